"""What is let go of, when, and what never: by age after the receipt, by room, a little at a time, with the chain unbroken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import DAY_MS, NOW, alarm, bill, ended, later, limit, message, receipt, session

from edgectl.domain.ids import SessionId
from edgectl.domain.records import MessageKept, SessionKept
from edgectl.domain.time import Instant
from edgectl.ports import Room
from edgectl.store import keeping
from edgectl.store.anchor import Anchor, write_anchor
from edgectl.store.keeping import NEWEST_BILLS, STEP_BILLS, STEP_TELEMETRY
from edgectl.store.sqlite import Ledger

RETENTION_MS = 100 * DAY_MS
OLD, COUNT = 60, 120


@pytest.fixture
def bench(tmp_path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


def at(day: int) -> Instant:
    return later(day * DAY_MS)


def fill(bench: LedgerBench, ledger: Ledger, *, unreceipted: frozenset[int] = frozenset()) -> None:
    """One session a day, each receipted on its day."""
    for day in range(COUNT):
        name, now = f"s-{day}", at(day)
        told = replace(message(name), received_utc_ms=now.utc_ms)
        stray = MessageKept(told.charger, None, "StatusNotification", "[]", now.utc_ms)
        ledger.commit([SessionKept(ended(name, now.utc_ms)), told, stray, bill(name)], now)
        if day not in unreceipted:
            ledger.commit([replace(receipt(ledger.opened.epoch, (name, 1)), at_utc_ms=now.utc_ms)], now)
    bench.wait(ledger.commit([SessionKept(session("running", started_utc_ms=NOW.utc_ms))], at(COUNT)))


def tidy_all(bench: LedgerBench, ledger: Ledger, now: Instant) -> list[Room]:
    rooms = []
    while not rooms or rooms[-1].removed or rooms[-1].evicted:
        rooms.append(bench.wait(ledger.tidy(now)))
        assert len(rooms) < 1_000
    return rooms


def ids(bench: LedgerBench, query: str) -> list[object]:
    with closing(sqlite3.connect(f"file:{bench.path}?mode=ro", uri=True)) as connection:
        return [value for (value,) in connection.execute(query)]


def test_what_was_receipted_long_ago_goes_with_its_session_and_messages_and_the_chain_holds(bench: LedgerBench) -> None:
    ledger = bench.open(retention_ms=RETENTION_MS)
    fill(bench, ledger)
    now = at(OLD + 100)
    rooms = tidy_all(bench, ledger, now)
    assert max(room.removed for room in rooms) <= STEP_BILLS + 4 * keeping.STEP_ROWS
    # The newest but twenty is of day 99: that is how far time is known to have gone.
    assert ids(bench, "SELECT MIN(seq) FROM bill") == [1], "a hundred days before day 99 there was nothing"

    for day in range(COUNT, COUNT + OLD + NEWEST_BILLS + 1):
        ledger.commit([bill(f"s-{day}")], at(day))
    tidy_all(bench, ledger, at(COUNT + OLD + NEWEST_BILLS))
    gone = COUNT + OLD - 100
    assert ids(bench, "SELECT MIN(seq) FROM bill") == [gone + 1]
    assert set(ids(bench, "SELECT id FROM session")) == {"running", *(f"s-{day}" for day in range(gone, COUNT))}
    assert ids(bench, "SELECT COUNT(*) FROM message") == [2 * (COUNT - gone)]
    assert ids(bench, "SELECT COUNT(*) FROM receipt") == [COUNT - gone]
    report = ledger.verify_chain()
    assert (report.is_intact, report.after_seq, report.count) == (True, gone, OLD + NEWEST_BILLS + 1 + COUNT - gone)
    assert [one.id for one in ledger.restore().open_sessions] == ["running"]


def test_a_record_without_a_receipt_stays_and_so_does_all_after_it(bench: LedgerBench) -> None:
    ledger = bench.open(retention_ms=RETENTION_MS)
    fill(bench, ledger, unreceipted=frozenset({7}))
    for day in range(COUNT, COUNT + 400):
        ledger.commit([bill(f"s-{day}")], at(day))
    tidy_all(bench, ledger, at(COUNT + 400))
    assert ids(bench, "SELECT MIN(seq) FROM bill") == [8]
    assert "s-7" in ids(bench, "SELECT id FROM session")
    assert [row.record_id for row in bench.wait(ledger.rows("billing", 0, 1))] == ["s-7"]
    assert ledger.verify_chain().is_intact


def test_a_clock_that_is_years_ahead_takes_nothing_more_away(bench: LedgerBench) -> None:
    ledger = bench.open(retention_ms=RETENTION_MS)
    fill(bench, ledger)
    future = at(30 * 365)
    for number in range(NEWEST_BILLS - 1):
        ledger.commit([bill(f"f-{number}")], future)
    tidy_all(bench, ledger, future)
    assert ids(bench, "SELECT MIN(seq) FROM bill") == [COUNT - 2 - 100 + 1], "reckoned from the day before yesterday"


def test_numbers_go_on_after_everything_old_has_gone(bench: LedgerBench) -> None:
    ledger = bench.open(retention_ms=RETENTION_MS)
    fill(bench, ledger)
    for number in range(NEWEST_BILLS + 5):
        ledger.commit([bill(f"f-{number}"), alarm()], at(1_000))
    tidy_all(bench, ledger, at(1_000))
    ledger.close()
    again = bench.open(retention_ms=RETENTION_MS)
    bench.wait(again.commit([bill("next")], at(1_001)))
    report = again.verify_chain()
    assert (report.is_intact, report.after_seq, report.count) == (True, COUNT, NEWEST_BILLS + 6)


def test_a_wrong_anchor_is_found(bench: LedgerBench) -> None:
    ledger = bench.open(retention_ms=RETENTION_MS)
    fill(bench, ledger)
    for number in range(NEWEST_BILLS + 5):
        ledger.commit([bill(f"f-{number}")], at(1_000))
    tidy_all(bench, ledger, at(1_000))
    ledger.close()
    with closing(sqlite3.connect(bench.path)) as connection, connection:
        write_anchor(connection, Anchor(COUNT, "f" * 64))
    report = bench.open().verify_chain()
    assert (report.first_broken_seq, report.count) == (COUNT + 1, 0)
    assert "before" in report.why


# --- room


def test_telemetry_goes_first_then_is_no_longer_written_and_billing_is(bench: LedgerBench) -> None:
    ledger = bench.open(max_bytes=2_800_000)
    bench.wait(ledger.commit([limit(NOW.utc_ms + number) for number in range(2_100)], NOW))
    bench.wait(ledger.commit([bill(f"s-{number}", note="x" * 800) for number in range(COUNT * 6)], NOW))
    rooms = tidy_all(bench, ledger, NOW)
    assert [room.evicted for room in rooms] == [STEP_TELEMETRY, STEP_TELEMETRY, 100, 0]
    assert [room.is_billing_only for room in rooms] == [False, False, False, True]
    assert rooms[-1].used_bytes < rooms[0].used_bytes
    bench.wait(ledger.commit([limit()], NOW))
    bench.wait(ledger.commit([limit(), bill("later")], NOW))
    assert ids(bench, "SELECT COUNT(*) FROM limit_history") == [0]
    assert ids(bench, "SELECT COUNT(*) FROM bill") == [COUNT * 6 + 1]
    assert ledger.verify_chain().is_intact


def test_a_disk_that_others_fill_leaves_the_rest_to_billing(bench: LedgerBench, monkeypatch) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([limit(), bill()], NOW))
    assert not bench.wait(ledger.tidy(NOW)).is_billing_only
    free = bench.wait(ledger.tidy(NOW)).disk_free_bytes
    monkeypatch.setattr(keeping, "DISK_LEAST_BYTES", free * 2)
    assert tidy_all(bench, ledger, NOW)[-1].is_billing_only
    bench.wait(ledger.commit([limit(), bill("s-2")], NOW))
    assert ids(bench, "SELECT COUNT(*) FROM limit_history") == [0]
    monkeypatch.setattr(keeping, "DISK_LEAST_BYTES", 1)
    assert not bench.wait(ledger.tidy(NOW)).is_billing_only
    bench.wait(ledger.commit([limit()], NOW))
    assert ids(bench, "SELECT COUNT(*) FROM limit_history") == [1]


def test_old_sessions_are_found_without_reading_all(bench: LedgerBench) -> None:
    bench.open().close()
    with closing(sqlite3.connect(bench.path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {keeping._OLD_SESSIONS}", (1, 1)).fetchall()
    steps = [step for *_, step in plan]
    assert any("session USING INDEX session_by_end" in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_a_session_whose_record_went_elsewhere_goes_by_its_own_age(bench: LedgerBench) -> None:
    ledger = bench.open(retention_ms=RETENTION_MS)
    fill(bench, ledger)
    bench.wait(ledger.commit([SessionKept(ended("taken-in", NOW.utc_ms - 500 * DAY_MS))], NOW))
    tidy_all(bench, ledger, at(COUNT))
    assert ledger.session(SessionId("taken-in")) is None
