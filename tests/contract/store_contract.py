"""What every store must do, whoever made it: subclass the suites in a test module and give a ``bench`` fixture.

    class TestLedger(StoreContract, LedgerReaderContract):
        @pytest.fixture
        def bench(self, tmp_path): ...

A bench opens the store, again and again on the same disk, and knows how to wait for a future: the real ledger's is set by a
thread, a simulated one's by its loop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol, TypeVar

import pytest
import zstandard
from support.contract import faults
from support.store_records import (
    DAY_MS,
    EVSE,
    NOW,
    alarm,
    assert_chain,
    bill,
    block,
    ended,
    later,
    limit,
    message,
    receipt,
    session,
    unkeepable,
)

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import ChargerId, CircuitId, EvseId, IdToken
from edgectl.domain.phases import Phase
from edgectl.domain.reasons import Cause
from edgectl.domain.records import (
    Curtailment,
    CurtailmentKept,
    Excursion,
    ExcursionKept,
    ParkKept,
    Record,
    ReplayKept,
    RequeueKept,
    ReservationKept,
    SessionKept,
)
from edgectl.domain.reservations import Reservation
from edgectl.ports import CommandBook, KeptCommand, LedgerReader, Outbox, OutboxRow, OutboxSummary, Store

T = TypeVar("T")

SITE = "depot-north"


class StoreAndOutbox(Store, Outbox, CommandBook, Protocol):
    """Both faces of one ledger."""


class ReadableStore(Store, LedgerReader, Protocol):
    """The ledger as the CLI and the API read it."""


class Bench(Protocol[T]):
    def open(self) -> T:
        """The store on this bench's disk, for site ``depot-north``; at most one at a time. The bench closes it in the end."""

    def wait(self, future: Future[T]) -> T:
        """The result, or the exception, within a bounded time."""


class _Suite:
    """What the suites share: keeping records and reading the outbox back."""

    @staticmethod
    def keep(bench: Bench, store: Store, *records: Record) -> None:
        bench.wait(store.commit(records, NOW))

    @staticmethod
    def rows(bench: Bench, store: Outbox, stream: str = "billing", after_seq: int = 0, limit: int = 1_000) -> Sequence[OutboxRow]:
        return bench.wait(store.rows(stream, after_seq, limit))

    def names(self, bench: Bench, store: Outbox, stream: str = "billing") -> list[tuple[str, int]]:
        return [(row.record_id, row.rev) for row in self.rows(bench, store, stream)]


class StoreContract(_Suite):
    """``ports.Store`` and ``ports.Outbox``."""

    # --- what is kept stays

    def test_an_open_session_is_known_after_reopening(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, SessionKept(session(energy_wh=800)), message())
        store.close()
        assert bench.open().restore().open_sessions == (session(energy_wh=800),)

    def test_reservations_are_known_after_reopening_until_they_are_over(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        first, second = (
            Reservation(EVSE.charger, number, 1, IdToken("04A1"), None, NOW.utc_ms - number, NOW.utc_ms + 3_600_000, None)
            for number in (5, 6)
        )
        later_end = replace(first, until_utc_ms=NOW.utc_ms + 7_200_000, group=IdToken("G"))
        self.keep(bench, store, ReservationKept(first), ReservationKept(second))
        self.keep(bench, store, ReservationKept(later_end))
        store.close()
        store = bench.open()
        assert store.restore().reservations == (second, later_end)
        self.keep(bench, store, ReservationKept(second, is_over=True), ReservationKept(second, is_over=True))
        store.close()
        assert bench.open().restore().reservations == (later_end,)

    def test_the_latest_state_of_a_session_wins(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        for energy_wh in (0, 400, 900):
            self.keep(bench, store, SessionKept(session(energy_wh=energy_wh)))
        assert store.restore().open_sessions == (session(energy_wh=900),)

    def test_a_session_that_ended_within_a_week_of_the_last_is_recent_however_many_came_since(
        self, bench: Bench[StoreAndOutbox]
    ) -> None:
        store = bench.open()
        old = ended("old", NOW.utc_ms - 37 * DAY_MS - 1)
        week = ended("week", NOW.utc_ms - 37 * DAY_MS)
        since = tuple(ended(f"s-{number}", NOW.utc_ms - 30 * DAY_MS) for number in range(1_000))
        self.keep(bench, store, SessionKept(week), SessionKept(old), *map(SessionKept, since))
        restored = store.restore()
        assert (restored.open_sessions, restored.recent_sessions) == ((), (week, *since))

    def test_the_last_thousand_heard_of_are_recent_whatever_their_dates_say(self, bench: Bench[StoreAndOutbox]) -> None:
        """Their dates are the chargers', and a charger's clock may be years off."""
        store = bench.open()
        latest = ended("latest", NOW.utc_ms)
        years_ago = tuple(ended(f"s-{number}", number * DAY_MS) for number in range(1_001))
        self.keep(bench, store, SessionKept(latest), *map(SessionKept, years_ago))
        assert store.restore().recent_sessions == (latest, *years_ago[1:])

    def test_no_more_closed_sessions_than_the_core_can_hold_are_recent(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        closed = tuple(ended(f"s-{number}", NOW.utc_ms) for number in range(5_001))
        self.keep(bench, store, *map(SessionKept, closed))
        assert store.restore().recent_sessions == closed[1:]

    def test_the_highest_transaction_number_is_remembered(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        assert store.restore().last_transaction_number == 0
        for number in ("41", "9", "e0a1-station", "007"):
            self.keep(bench, store, SessionKept(ended(f"s-{number}", NOW.utc_ms, transaction=number)))
        store.close()
        assert bench.open().restore().last_transaction_number == 41

    def test_a_transaction_id_too_long_for_ocpp_16_is_no_number_of_ours(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        for number in ("2147483648", "9" * 5_000):
            self.keep(bench, store, SessionKept(session(f"s-{len(number)}", transaction=number)))
        assert store.restore().last_transaction_number == 0

    def test_the_epoch_outlives_a_restart(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        store.close()
        assert epoch
        assert bench.open().restore().epoch == epoch

    def test_closing_commits_what_waits(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        futures = [store.commit([bill(f"s-{number}")], NOW) for number in range(5)]
        store.close()
        for future in futures:
            bench.wait(future)
        assert len(self.rows(bench, bench.open())) == 5

    def test_after_closing_a_commit_fails_in_its_future(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        store.close()
        future = store.commit([bill()], NOW)
        with pytest.raises(Exception, match="closed"):
            bench.wait(future)

    # --- all of a list, or nothing

    def test_a_list_with_a_record_that_fails_leaves_nothing(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        future = store.commit([SessionKept(session()), bill(), alarm(), unkeepable()], NOW)
        with pytest.raises(Exception, match="record-refused"):
            bench.wait(future)
        assert store.restore().open_sessions == ()
        assert bench.wait(store.summary()) == OutboxSummary(0, 0, None)

    def test_a_commit_that_fails_takes_no_other_with_it(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        futures = [store.commit([one], NOW) for one in (bill("a"), unkeepable(), bill("b"), unkeepable(), bill("c"))]
        verdicts = []
        for future in futures:
            try:
                verdicts.append(bench.wait(future))
            except Exception as error:  # noqa: BLE001 - which one is the store's own; that it fails is what counts
                verdicts.append(type(error))
        assert [verdict is None for verdict in verdicts] == [True, False, True, False, True]
        assert self.names(bench, store) == [("a", 1), ("b", 1), ("c", 1)]

    # --- billing records

    def test_bills_are_numbered_in_the_order_of_the_commits(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        futures = [store.commit([SessionKept(session()), bill(rev=rev)], NOW) for rev in range(1, 51)]
        for future in futures:
            bench.wait(future)
        rows = self.rows(bench, store)
        assert [row.rev for row in rows] == list(range(1, 51))
        assert [json.loads(row.body)["seq"] for row in rows] == list(range(1, 51))

    def test_the_chain_holds_across_failures_and_restarts(self, bench: Bench[StoreAndOutbox]) -> None:
        for opening in range(3):
            store = bench.open()
            for number in range(4):
                self.keep(bench, store, bill(f"s-{opening}-{number}"))
                with pytest.raises(Exception, match="record-refused"):
                    self.keep(bench, store, bill("lost"), unkeepable())
            epoch = store.restore().epoch
            bodies = [row.body for row in self.rows(bench, store)]
            store.close()
            assert len(bodies) == 4 * (opening + 1)
            assert_chain(bodies, epoch)

    def test_a_bill_is_published_with_its_envelope(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        kept = bill("s-9", rev=3, flags=["energy-estimated"])
        self.keep(bench, store, kept)
        (row,) = self.rows(bench, store)
        envelope = json.loads(row.body)
        assert (row.stream, row.record_id, row.rev, row.topic_suffix, row.sent_count) == (
            "billing",
            "s-9",
            3,
            "billing/session",
            0,
        )
        assert sorted(envelope) == ["epoch", "hash", "prev_hash", "record_id", "rev", "schema", "seq", "session", "site"]
        assert (envelope["site"], envelope["record_id"], envelope["rev"]) == (SITE, "s-9", 3)
        assert envelope["session"] == kept.body

    def test_keeping_the_same_revision_again_changes_nothing(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill())
        before = self.rows(bench, store)
        self.keep(bench, store, bill())
        assert self.rows(bench, store) == before

    def test_a_revision_is_never_rewritten(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill(energy_wh=1))
        with pytest.raises(Exception, match="record-refused"):
            self.keep(bench, store, bill(energy_wh=2))
        assert [json.loads(row.body)["session"]["energy_wh"] for row in self.rows(bench, store)] == [1]

    def test_an_event_is_owed_on_its_own_stream(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, alarm("meter-lost", since=7, kind="forged", site="elsewhere"), bill())
        (row,) = self.rows(bench, store, "events")
        epoch = store.restore().epoch
        assert (row.topic_suffix, row.rev) == ("event/meter-lost", 1)
        assert json.loads(row.body) == {
            "schema": "edgectl/event/1",
            "site": SITE,
            "epoch": epoch,
            "seq": 1,
            "record_id": row.record_id,
            "rev": 1,
            "kind": "meter-lost",
            "subject": "main",
            "at": "2026-01-01T00:00:00.000Z",
            "severity": "high",
            "since": 7,
        }
        assert epoch in row.record_id

    # --- the outbox

    def test_rows_come_in_order_after_the_cursor_and_within_the_window(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        for number in range(6):
            self.keep(bench, store, bill(f"s-{number}"), alarm())
        first = self.rows(bench, store, limit=2)
        rest = self.rows(bench, store, after_seq=first[-1].seq)
        assert [row.record_id for row in (*first, *rest)] == [f"s-{number}" for number in range(6)]
        assert len(first) == 2
        assert self.rows(bench, store, after_seq=rest[-1].seq) == []

    def test_a_sent_row_stays_and_counts(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill("a"), bill("b"))
        (a, b) = self.rows(bench, store)
        bench.wait(store.mark_sent([a.seq, b.seq], later(1)))
        bench.wait(store.mark_sent([a.seq], later(2)))
        assert [(row.record_id, row.sent_count) for row in self.rows(bench, store)] == [("a", 2), ("b", 1)]

    def test_the_summary_counts_what_is_owed(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        assert bench.wait(store.summary()) == OutboxSummary(0, 0, None)
        self.keep(bench, store, bill("a"))
        bench.wait(store.commit([bill("b"), alarm()], later(1_000)))
        assert bench.wait(store.summary()) == OutboxSummary(3, 0, NOW.utc_ms)
        self.keep(bench, store, ParkKept(self.rows(bench, store)[0].seq, "too large", NOW.utc_ms))
        assert bench.wait(store.summary()) == OutboxSummary(2, 1, NOW.utc_ms + 1_000)

    def test_a_receipt_lets_go_of_exactly_what_it_names(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        self.keep(bench, store, bill("a"), bill("b"), bill("a", rev=2))
        self.keep(bench, store, receipt(epoch, ("a", 1), ("unknown", 1), ("b", 9)))
        assert self.names(bench, store) == [("b", 1), ("a", 2)]
        store.close()
        assert self.names(bench, bench.open()) == [("b", 1), ("a", 2)]

    def test_a_cumulative_receipt_counts_bills_not_outbox_rows(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        for number in range(1, 6):
            self.keep(bench, store, alarm(), bill(f"s-{number}"))
        self.keep(bench, store, receipt(epoch, through=3))
        assert self.names(bench, store) == [("s-4", 1), ("s-5", 1)]
        assert len(self.rows(bench, store, "events")) == 5

    def test_events_are_receipted_on_their_own_stream(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        self.keep(bench, store, bill(), alarm(), alarm(), alarm())
        events = self.names(bench, store, "events")
        self.keep(bench, store, receipt(epoch, events[0], stream="events"))
        self.keep(bench, store, receipt(epoch, through=2, stream="events"))
        assert self.names(bench, store, "events") == events[2:]
        assert self.names(bench, store) == [("s-1", 1)]

    def test_a_receipt_of_another_epoch_deletes_nothing(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill("a"), bill("b"))
        self.keep(bench, store, receipt("of-another-card", ("a", 1), through=2, rejected=(("b", 1, "no"),)))
        assert self.names(bench, store) == [("a", 1), ("b", 1)]

    def test_a_cumulative_receipt_for_numbers_never_written_deletes_nothing(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        self.keep(bench, store, bill("a"), bill("b"))
        self.keep(bench, store, receipt(epoch, ("b", 1), through=3))
        assert self.names(bench, store) == [("a", 1)]

    def test_a_rejected_row_is_parked_and_the_line_moves_on(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        self.keep(bench, store, bill("a"), bill("b"), bill("c"))
        self.keep(bench, store, receipt(epoch, rejected=(("b", 1, "unknown site"),), through=2))
        assert self.names(bench, store) == [("c", 1)]
        assert bench.wait(store.summary()) == OutboxSummary(1, 1, NOW.utc_ms)

    def test_a_parked_row_survives_cumulative_receipts_and_goes_when_named(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        self.keep(bench, store, bill("a"), bill("b"))
        self.keep(bench, store, ParkKept(self.rows(bench, store)[0].seq, "too large", NOW.utc_ms))
        self.keep(bench, store, receipt(epoch, through=2))
        assert bench.wait(store.summary()) == OutboxSummary(0, 1, None)
        self.keep(bench, store, receipt(epoch, ("a", 1)))
        assert bench.wait(store.summary()) == OutboxSummary(0, 0, None)

    def test_records_are_owed_again_byte_for_byte_when_the_backend_wants_them(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill("a"), alarm(), bill("b"), alarm("charger-offline"), bill("c"))
        bills, events = self.rows(bench, store), self.rows(bench, store, "events")
        epoch = store.restore().epoch
        self.keep(bench, store, receipt(epoch, through=2), receipt(epoch, through=2, stream="events"))
        self.keep(bench, store, ReplayKept("billing", 2, 3, NOW.utc_ms), ReplayKept("events", 1, 2, NOW.utc_ms))
        assert [row.body for row in self.rows(bench, store)] == [bills[2].body, bills[1].body], "c was owed all the time"
        assert [row.body for row in self.rows(bench, store, "events")] == [row.body for row in events]
        self.keep(bench, store, receipt(epoch, ("b", 1), ("c", 1)))
        assert self.rows(bench, store) == []

    def test_a_parked_record_goes_back_into_the_line_when_the_backend_wants_it(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill("a"))
        (row,) = self.rows(bench, store)
        self.keep(bench, store, ParkKept(row.seq, "refused", NOW.utc_ms))
        assert self.rows(bench, store) == []
        self.keep(bench, store, ReplayKept("billing", 1, 1, NOW.utc_ms))
        assert [row.body for row in self.rows(bench, store)] == [row.body]

    def test_a_person_puts_back_parked_rows_by_number_or_all_of_them(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, bill("a"), bill("b"), bill("c"))
        rows = self.rows(bench, store)
        self.keep(bench, store, *(ParkKept(row.seq, "refused", NOW.utc_ms) for row in rows))
        assert [(one.row.record_id, one.reason) for one in bench.wait(store.parked(2))] == [("a", "refused"), ("b", "refused")]
        self.keep(bench, store, RequeueKept((rows[1].seq, 999), NOW.utc_ms))
        assert [row.record_id for row in self.rows(bench, store)] == ["b"]
        self.keep(bench, store, RequeueKept((), NOW.utc_ms))
        assert self.rows(bench, store) == rows

    # --- telemetry

    def test_blocks_are_numbered_packed_and_owed_the_newest_first(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        self.keep(bench, store, block(1), block(2))
        self.keep(bench, store, block(3))
        newest, *older = self.rows(bench, store, "telemetry")
        body = zstandard.ZstdDecompressor().decompress(newest.body)
        assert faults(newest.topic_suffix, body) == []
        assert [json.loads(zstandard.ZstdDecompressor().decompress(row.body))["seq"] for row in (newest, *older)] == [3, 2, 1]
        assert json.loads(body)["columns"] == {"current_l1_ma": [3, None]}
        store.close()
        again = bench.open()
        self.keep(bench, again, receipt(again.restore().epoch, through=3, stream="telemetry"), block(4))
        assert [row.record_id for row in self.rows(bench, again, "telemetry")] == [f"{again.restore().epoch}-t4"]

    def test_blocks_are_no_backlog_and_make_room_the_oldest_first(
        self, bench: Bench[StoreAndOutbox], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = bench.open()
        self.keep(bench, store, bill())
        for number in range(60):
            self.keep(bench, store, block(number))
        summary = bench.wait(store.summary())
        assert (summary.backlog_count, summary.telemetry_count) == (1, 60)
        size = summary.telemetry_bytes
        assert size > 0
        monkeypatch.setattr("edgectl.store.telemetry.BUDGET_BYTES", size)
        self.keep(bench, store, block(60))
        left = bench.wait(store.summary())
        assert (left.backlog_count, left.telemetry_count) == (2, 11)
        assert left.telemetry_bytes <= size
        assert self.rows(bench, store, "telemetry")[0].record_id.endswith("-t61"), "the newest stays"
        (event,) = self.rows(bench, store, "events")
        assert faults(event.topic_suffix, event.body) == []
        told = json.loads(event.body)
        assert (told["kind"], told["from_seq"], told["through_seq"], told["count"]) == ("telemetry-gap", 1, 50, 50)
        assert told["reason"] == "telemetry-budget"

    # --- commands

    def test_a_command_and_its_answer_outlive_a_restart(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        one, two = KeptCommand("c1", b"1", NOW.utc_ms, NOW.utc_ms + 1_000), KeptCommand("c2", b"2", NOW.utc_ms + 5, NOW.utc_ms)
        bench.wait(store.begin_command(one, NOW))
        bench.wait(store.begin_command(two, NOW))
        bench.wait(store.finish_command("c1", b"done"))
        store.close()
        assert list(bench.open().commands()) == [two, replace(one, answer=b"done")]

    def test_a_command_is_not_let_in_twice_and_forgotten_a_day_after_its_end(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        one = KeptCommand("c1", b"1", NOW.utc_ms, NOW.utc_ms)
        bench.wait(store.begin_command(one, NOW))
        with pytest.raises(StoreError):
            bench.wait(store.begin_command(one, later(DAY_MS)))
        bench.wait(store.begin_command(one, later(DAY_MS + 1)))

    def test_an_outbox_number_is_not_used_twice(self, bench: Bench[StoreAndOutbox]) -> None:
        store = bench.open()
        epoch = store.restore().epoch
        self.keep(bench, store, bill("a"))
        (first,) = self.rows(bench, store)
        self.keep(bench, store, receipt(epoch, through=1))
        store.close()
        store = bench.open()
        self.keep(bench, store, bill("b"))
        assert self.rows(bench, store)[0].seq > first.seq


class LedgerReaderContract(_Suite):
    """``ports.LedgerReader``."""

    def test_a_session_is_read_back_as_it_was_kept(self, bench: Bench[ReadableStore]) -> None:
        store = bench.open()
        kept = ended("s-5", NOW.utc_ms, energy_wh=7_300)
        self.keep(bench, store, SessionKept(kept))
        assert store.session("s-5") == kept
        assert store.session("s-6") is None

    def test_sessions_are_listed_by_start_latest_first(self, bench: Bench[ReadableStore]) -> None:
        store = bench.open()
        started = [session(f"s-{number}", started_utc_ms=NOW.utc_ms + number) for number in range(5)]
        self.keep(bench, store, *(SessionKept(one) for one in started))
        assert list(store.sessions(None, None, 10)) == started[::-1]
        assert list(store.sessions(None, None, 2)) == started[:2:-1]
        assert list(store.sessions(NOW.utc_ms + 1, NOW.utc_ms + 3, 10)) == [started[2], started[1]]
        assert list(store.sessions(NOW.utc_ms + 4, None, 10)) == [started[4]]
        assert list(store.sessions(None, NOW.utc_ms + 1, 10)) == [started[0]]

    def test_limits_are_read_back_with_their_reason_latest_first(self, bench: Bench[ReadableStore]) -> None:
        store = bench.open()
        kept = [limit(NOW.utc_ms + number, 6_000 + number) for number in range(4)]
        other = limit(NOW.utc_ms, evse=EvseId(ChargerId("CP-2"), 1))
        self.keep(bench, store, *kept, other)
        assert list(store.limits(EVSE, NOW.utc_ms + 2, 10)) == kept[2::-1]
        assert list(store.limits(EVSE, NOW.utc_ms + 9, 1)) == [kept[3]]
        assert list(store.limits(EVSE, NOW.utc_ms - 1, 10)) == []

    def test_excursions_are_kept_once_and_grow(self, bench: Bench[ReadableStore]) -> None:
        store = bench.open()
        first, second = excursion(NOW.utc_ms, peak_ma=70_000), excursion(NOW.utc_ms + 60_000, phase=Phase.L3)
        grown = replace(first, to_utc_ms=NOW.utc_ms + 9_000, peak_ma=82_000, over_ms=9_000, excess_mas=90_000, damage_permille=40)
        self.keep(bench, store, ExcursionKept(first), ExcursionKept(second), ExcursionKept(grown))
        assert list(store.excursions(None, None, 10)) == [second, grown]
        assert list(store.excursions(NOW.utc_ms, NOW.utc_ms + 60_000, 10)) == [grown]
        assert list(store.excursions(None, None, 1)) == [second]

    def test_curtailment_adds_up_runs_and_repeats_change_nothing(self, bench: Bench[ReadableStore]) -> None:
        store = bench.open()

        def held(run: int, energy_wh: int, day: str = "2026-03-01", cause: Cause = Cause.CIRCUIT) -> CurtailmentKept:
            return CurtailmentKept(run, Curtailment(day, CircuitId("hall-a"), cause, energy_wh, energy_wh * 1000))

        self.keep(bench, store, held(1, 400), held(1, 500), held(1, 500), held(2, 30), held(2, 7, cause=Cause.TURN))
        self.keep(bench, store, held(2, 9, day="2026-03-02"))
        assert [(one.day, one.cause, one.energy_wh, one.held_ms) for one in store.curtailment(None, None)] == [
            ("2026-03-02", Cause.CIRCUIT, 9, 9_000),
            ("2026-03-01", Cause.CIRCUIT, 530, 530_000),
            ("2026-03-01", Cause.TURN, 7, 7_000),
        ]
        assert [one.energy_wh for one in store.curtailment("2026-03-02", None)] == [9]
        assert [one.energy_wh for one in store.curtailment(None, "2026-03-01")] == [530, 7]


def excursion(from_utc_ms: int, phase: Phase = Phase.L1, peak_ma: int = 65_000) -> Excursion:
    return Excursion(CircuitId("hall-a"), phase, from_utc_ms, from_utc_ms + 1_000, 63_000, "C63", peak_ma, 1_000, 2_000, 0)
