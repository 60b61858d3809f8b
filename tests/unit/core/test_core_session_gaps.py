"""Sessions on little evidence: starts that come late, values after the end, wrong clocks, odd registers, old history."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.plant import NOON_UTC_MS, TAG, Bench, answer, of, plant, records

from edgectl.core.sessions import RegisterWatch
from edgectl.domain.decisions import Decision, Remember, StartAnswer
from edgectl.domain.events import ConnectorStatus, MeterValuesReported, Sample, StatusReported, TransactionStarted
from edgectl.domain.ids import IdToken, TransactionRef
from edgectl.domain.quirks import RegisterBehaviour
from edgectl.domain.records import BillKept, Session, SessionKept, SessionStatus

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def bench_of(charger_quirks: tuple[tuple[str, object], ...] = (), **site: str) -> Bench:
    depot = plant("A")
    chargers = tuple(replace(charger, own_quirks=charger_quirks) for charger in depot.chargers)
    bench = Bench(replace(depot, chargers=chargers, **site))
    bench.boot("A")
    bench.meter(5)
    return bench


def values(
    bench: Bench, energy_wh: int, transaction: str | None = "17", at_ms: int | None = None, **more: object
) -> list[Decision]:
    sample = Sample(reported_utc_ms=bench.utc_ms if at_ms is None else at_ms, energy_wh=energy_wh, **more)  # type: ignore[arg-type]
    reference = None if transaction is None else TransactionRef(transaction)
    return bench.put(MeterValuesReported(bench.call("A", "MeterValues"), 1, reference, (sample,)))


def kept(decisions: list[Decision]) -> Session:
    return records(SessionKept, decisions)[-1].session


def test_q23_a_start_that_comes_after_its_values_completes_the_session_they_opened() -> None:
    bench = bench_of()
    began_ms = bench.utc_ms
    bench.wait(60)
    opened = kept(values(bench, 5_200))
    assert opened.flags == ("meter-start-derived", "start-missing")
    bench.wait(30)
    late = bench.start("A", meter_wh=5_000, reported_utc_ms=began_ms)
    reply = answer(late)
    assert isinstance(reply, StartAnswer)
    assert reply.transaction == "17", "it goes on with the id it uses"
    session = kept(late)
    assert (session.id, session.meter_start_wh, session.started_utc_ms) == (opened.id, 5_000, began_ms)
    assert session.energy_wh == 200
    assert session.flags == ("start-late",)
    bench.wait(600)
    closed = kept(bench.stop("A", "17", meter_wh=6_000))
    assert (closed.energy_wh, closed.status) == (1_000, SessionStatus.COMPLETED)


def test_q23_another_drivers_start_is_another_session() -> None:
    bench = bench_of()
    opened = kept(values(bench, 5_200))
    bench.wait(7_200)
    other = bench.start("A", meter_wh=5_900)
    assert kept(other).id != opened.id
    assert [bill.session for bill in records(BillKept, other)] == [opened.id]


def test_q30_the_closing_register_after_a_stop_without_one_is_still_billed() -> None:
    bench = bench_of()
    bench.start("A", meter_wh=1_000)
    bench.wait(600)
    values(bench, 2_000, "1")
    bench.wait(60)
    closed = kept(bench.stop("A", "1", meter_wh=None))
    assert closed.energy_wh == 1_000
    assert "energy-estimated" in closed.flags
    bench.wait(20)
    late = values(bench, 2_100, "1")
    (bill,) = records(BillKept, late)
    session = kept(late)
    assert (session.energy_wh, session.meter_stop_wh, session.rev, bill.rev) == (1_100, 2_100, 2, 2)
    assert "energy-estimated" not in session.flags
    assert "closed-late" in session.flags
    assert records(BillKept, values(bench, 2_100, "1")) == [], "once"


def test_q30_signed_values_after_the_stop_are_added_once_and_energy_that_was_told_stays() -> None:
    bench = bench_of()
    bench.start("A", meter_wh=1_000)
    bench.wait(600)
    bench.stop("A", "1", meter_wh=2_000)
    late = values(bench, 2_300, "1", signed_values=("OCMF|x",))
    session = kept(late)
    assert (session.signed_values, session.energy_wh, session.meter_stop_wh) == (("OCMF|x",), 1_000, 2_000)
    assert records(BillKept, values(bench, 2_300, "1", signed_values=("OCMF|x",))) == []


def test_q27_q30_long_after_the_end_nothing_is_changed_any_more() -> None:
    bench = bench_of()
    bench.start("A", meter_wh=1_000)
    bench.wait(600)
    bench.stop("A", "1", meter_wh=None)
    bench.wait(601)
    assert records(BillKept, values(bench, 2_100, "1")) == []


def test_q29_sessions_of_before_we_knew_the_charger_are_marked() -> None:
    bench = bench_of()
    old_ms = NOON_UTC_MS - 48 * HOUR_MS
    old = kept(bench.start("A", meter_wh=100, reported_utc_ms=old_ms))
    assert "pre-adoption" in old.flags
    assert "pre-adoption" in kept(bench.stop("A", "1", meter_wh=5_100, reported_utc_ms=old_ms + HOUR_MS)).flags
    orphan = kept(bench.stop("A", "999", meter_wh=50, reported_utc_ms=old_ms))
    assert orphan.status is SessionStatus.ORPHAN
    assert "pre-adoption" in orphan.flags
    assert "pre-adoption" not in kept(bench.start("A", meter_wh=5_100)).flags


def test_q29_what_happened_while_we_were_away_from_a_charger_we_know_is_not() -> None:
    bench = bench_of()
    (told, *_) = of(Remember, bench.log)
    assert told.document["adopted_utc_ms"] == NOON_UTC_MS
    bench.drop("A")
    bench.wait(48 * 3600)
    bench.boot("A")
    assert "pre-adoption" not in kept(bench.start("A", meter_wh=100, reported_utc_ms=bench.utc_ms - HOUR_MS)).flags


def test_q31_a_clock_that_is_known_to_be_behind_is_corrected() -> None:
    bench = bench_of()
    behind_ms = 2 * HOUR_MS
    for _ in range(4):
        told_ms = bench.utc_ms - behind_ms
        bench.put(StatusReported(bench.call("A"), 1, 1, ConnectorStatus.AVAILABLE, reported_utc_ms=told_ms))
        bench.wait(30)
    session = kept(bench.start("A", meter_wh=1_000, reported_utc_ms=bench.utc_ms - behind_ms))
    assert abs(session.started_utc_ms - bench.utc_ms) < 1_000
    assert "clock-corrected" in session.flags
    assert "reported-late" not in session.flags
    assert session.started_reported_utc_ms == bench.utc_ms - behind_ms, "as told, beside it"


def test_q31_a_queue_that_is_always_late_is_no_wrong_clock() -> None:
    bench = bench_of()
    late_ms = 20 * MINUTE_MS
    for _ in range(20):
        values(bench, 900, None, at_ms=bench.utc_ms - late_ms)
        bench.wait(30)
    session = kept(bench.start("A", meter_wh=1_000, reported_utc_ms=bench.utc_ms - late_ms))
    assert session.started_utc_ms == bench.utc_ms - late_ms
    assert "clock-corrected" not in session.flags


def test_q31_local_time_told_as_utc_is_read_in_the_sites_timezone() -> None:
    bench = bench_of((("has_local_time", True),), timezone="Europe/Berlin")
    # The plant's noon is in September: two hours ahead.
    session = kept(bench.start("A", meter_wh=1_000, reported_utc_ms=NOON_UTC_MS + 2 * HOUR_MS))
    assert session.started_utc_ms == NOON_UTC_MS
    assert session.flags == ()


def test_q26_a_start_of_zero_on_a_register_that_counts_on_is_billed_from_where_it_stood() -> None:
    bench = bench_of()
    bench.start("A", meter_wh=500_000)
    bench.wait(3600)
    bench.stop("A", "1", meter_wh=510_000)
    bench.start("A", meter_wh=0)
    bench.wait(3600)
    values(bench, 515_000, "2")
    closed = kept(bench.stop("A", "2", meter_wh=516_000))
    assert closed.energy_wh == 6_000
    assert "meter-start-derived" in closed.flags
    assert bench.controller._chargers.by_id["A"].register is RegisterBehaviour.LIFETIME  # type: ignore[index]


@pytest.mark.parametrize(
    ("told", "behaviour"),
    [
        ([(1_000, True), (2_000, False), (2_000, True), (2_500, False)], RegisterBehaviour.LIFETIME),
        ([(0, True), (900, False), (0, True), (700, False)], RegisterBehaviour.SESSION),
        ([(0, True), (900, False), "boot", (0, True), (700, False)], RegisterBehaviour.BOOT),
        ([(50_000, True), (60_000, False), (0, True), (60_500, False)], RegisterBehaviour.LIFETIME),
        ([(1_000, True), (2_000, False)], RegisterBehaviour.UNKNOWN),
        ([(50_000, True), (60_000, False), (40_000, True)], RegisterBehaviour.UNKNOWN),
    ],
)
def test_q26_how_a_register_behaves_is_found_out(told: list[object], behaviour: RegisterBehaviour) -> None:
    watch = RegisterWatch()
    for one in told:
        if isinstance(one, tuple):
            watch.note(one[0], is_start=one[1])
        else:
            watch.booted()
    assert watch.behaviour is behaviour


def test_a_session_is_found_again_by_reference_start_and_stop_after_many_others() -> None:
    bench = bench_of()
    events = []
    for number in range(30):
        event = TransactionStarted(bench.call("A", "StartTransaction"), 1, 1, IdToken(TAG), 1_000 + number, bench.utc_ms)
        events.append((event, answer(bench.put(event))))
        bench.wait(MINUTE_MS / 1000)
        bench.stop("A", str(number + 1), meter_wh=1_001 + number)
    for event, reply in events:
        assert answer(bench.put(replace(event, call=bench.call("A", "StartTransaction")))) == reply


def test_q31_one_absurd_date_does_not_move_what_is_dated_right() -> None:
    bench = bench_of()
    values(bench, 900, None, at_ms=250_000_000_000_000)  # the year 9892
    session = kept(bench.start("A", meter_wh=1_000))
    assert (session.started_utc_ms, session.flags) == (NOON_UTC_MS, ())
    bench.wait(600)
    late = kept(bench.stop("A", "1", meter_wh=1_500, reported_utc_ms=NOON_UTC_MS + 100_000))
    assert late.ended_utc_ms == NOON_UTC_MS + 100_000


def test_q20_a_transaction_named_by_nobody_opens_no_session() -> None:
    bench = bench_of()
    assert records(SessionKept, values(bench, 900, "-70")) == []
    assert kept(bench.start("A", meter_wh=900)).transaction == "1"


def test_a_number_a_charger_has_made_up_is_not_given_out_again() -> None:
    bench = bench_of()
    made_up = kept(values(bench, 900, "1"))
    bench.wait(7_200)
    assert kept(bench.start("A", meter_wh=5_000)).transaction == "2"
    assert made_up.transaction == "1"


def began(bench: Bench, name: str, meter_wh: int, at_ms: int) -> list[Decision]:
    call = bench.call("A", "TransactionEvent")
    return bench.put(TransactionStarted(call, 1, 1, IdToken(TAG), meter_wh, at_ms, transaction=TransactionRef(name)))


def test_an_earlier_transaction_told_late_does_not_end_the_one_that_runs() -> None:
    bench = bench_of()
    before_ms = bench.utc_ms
    bench.wait(300)
    running = kept(values(bench, 1_183, "tx-2"))
    bench.wait(10)
    began(bench, "tx-1", 1_000, before_ms)
    (evse,) = bench.controller.picture(bench.now).chargers[0].evses
    assert evse.session == running.id, "the one that runs is the one that gets current"
    ended = kept(bench.stop("A", "tx-1", meter_wh=1_000))
    assert (ended.energy_wh, ended.status) == (0, SessionStatus.COMPLETED)
    began(bench, "tx-2", 1_000, before_ms + 6_000)
    bench.wait(300)
    closed = kept(bench.stop("A", "tx-2", meter_wh=1_549))
    assert (closed.id, closed.energy_wh) == (running.id, 549)
    assert bench.controller.picture(bench.now).open_session_count == 0


def test_the_next_start_ends_what_was_told_late_and_never_ended() -> None:
    bench = bench_of()
    before_ms = bench.utc_ms
    bench.wait(300)
    values(bench, 1_183, "tx-2")
    began(bench, "tx-1", 1_000, before_ms)
    bench.wait(300)
    began(bench, "tx-3", 1_500, bench.utc_ms)
    assert bench.controller.picture(bench.now).open_session_count == 1


def test_a_stop_that_comes_after_the_next_start_is_better_than_the_guess() -> None:
    bench = bench_of()
    began(bench, "tx-1", 1_000, bench.utc_ms)
    bench.wait(600)
    ended_ms = bench.utc_ms
    guessed = records(BillKept, began(bench, "tx-2", 1_700, bench.utc_ms))[0]
    bench.wait(5)
    told = bench.stop("A", "tx-1", meter_wh=1_650, reported_utc_ms=ended_ms)
    closed = kept(told)
    (bill,) = records(BillKept, told)
    assert (guessed.rev, bill.rev, bill.session) == (1, 2, guessed.session)
    assert (closed.energy_wh, closed.ended_utc_ms, closed.flags) == (650, ended_ms, ("closed-late",))
    assert records(BillKept, bench.stop("A", "tx-1", meter_wh=1_650, reported_utc_ms=ended_ms)) == []
    assert records(BillKept, bench.stop("A", "tx-1", meter_wh=1_900)) == [], "and that is its end"
