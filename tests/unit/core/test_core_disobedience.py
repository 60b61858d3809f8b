"""Who draws more than all he was told within the time it takes to follow is found out at once, whatever he is told meanwhile; who
is only slow is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.plant import GRID, HALL, Bench, of, plant

from edgectl.core.demand import draw_of, is_exceeding
from edgectl.core.ladder import FOLLOWS_LATE_MS, SHOWS_MS, Ladder, Rung, tolerated_ma
from edgectl.core.limits import EvseLimit, Order
from edgectl.core.vehicles import SETTLE_MS, Vehicle
from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome, RequestAnswered, Sample
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.quirks import StatusTrigger
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant

A = ChargerId("A")
EVSE = EvseId(A, 1)
CHARGER = Charger(A, CircuitId("grid"))
REASON = Reason(Cause.CIRCUIT, Authority.POLICY)
currents = st.sampled_from([0, *range(6_000, 32_001, 500)])
orders = st.lists(st.tuples(st.integers(0, 12_000), currents), min_size=1, max_size=25)
"""Limits, each with how long after the last it is told."""


def told(steps: list[tuple[int, int]]) -> tuple[EvseLimit, list[tuple[int, int]]]:
    """A limit that has been told these, and each with its moment."""
    limit = EvseLimit(EVSE, CHARGER)
    limit.open(Instant(0, 0))
    moments, mono_ms = [], 0
    for number, (after_ms, limit_ma) in enumerate(steps):
        mono_ms += after_ms
        limit.note_order(Order(number, limit_ma, mono_ms, mono_ms + 180_000, REASON), limit.commanded_ma)
        moments.append((mono_ms, limit_ma))
    return limit, moments


def reporting(current_ma: int, mono_ms: int) -> Vehicle:
    vehicle = Vehicle(EVSE, CHARGER)
    vehicle.report(Sample(0, current_ma=Phases.uniform(current_ma)), 230_000, Instant(mono_ms, 0))
    return vehicle


@given(orders, st.integers(0, SETTLE_MS), st.integers(0, 10_000))
def test_nobody_who_follows_in_time_is_taken_to_disobey(steps: list[tuple[int, int]], reaction_ms: int, later_ms: int) -> None:
    limit, moments = told(steps)
    at_ms = moments[-1][0] + later_ms
    heard = [ma for ms, ma in moments if ms <= at_ms - reaction_ms]
    drawn_ma = heard[-1] if heard else CHARGER.fallback_ma
    assert not is_exceeding(limit, reporting(drawn_ma, at_ms), drawn_ma)


@given(orders, st.integers(0, 10_000))
def test_who_draws_more_than_all_he_was_told_is_found_by_his_next_report(steps: list[tuple[int, int]], later_ms: int) -> None:
    limit, moments = told(steps)
    at_ms = moments[-1][0] + later_ms
    in_force = [ma for (ms, ma), (until_ms, _) in zip(moments, [*moments[1:], (at_ms + 1, 0)], strict=True) if until_ms > ms]
    most_ma = max(in_force, default=0)
    drawn_ma = tolerated_ma(max(most_ma, CHARGER.fallback_ma)) + 1
    assert is_exceeding(limit, reporting(drawn_ma, at_ms), drawn_ma)


@given(orders, st.integers(0, 60_000))
def test_the_most_that_was_told_since_a_moment_is_remembered(steps: list[tuple[int, int]], back_ms: int) -> None:
    limit, moments = told(steps)
    since_ms = moments[-1][0] - back_ms
    in_force = [CHARGER.fallback_ma, *(ma for ms, ma in moments if ms < since_ms)][-1]
    assert limit.highest_told_ma(since_ms) == max([in_force, *(ma for ms, ma in moments if ms >= since_ms)])


def charging(*chargers: str, building_a: float = 10, limit_a: int = 80, **site: object) -> Bench:
    bench = Bench(plant(*chargers, limit_a=limit_a, **site))  # type: ignore[arg-type]
    bench.boot(*chargers)
    for charger in chargers:
        bench.start(charger)
    bench.run(60, building_a=building_a)
    return bench


def is_exceeded(bench: Bench) -> bool:
    return bench.controller._balancing.limits[EVSE].is_exceeded


def test_one_whose_limit_changes_every_second_is_found_by_its_first_report() -> None:
    bench = charging("A", "B", limit_a=60)
    for second in range(6):
        bench.wait(1)
        bench.meter(30 + 32 + 3 * second)
        if second == 4:
            bench.values("A", amps=(32, 32, 32))
        bench.tick()
    assert is_exceeded(bench)


def test_what_is_drawn_beyond_a_limit_is_no_reduction_that_is_still_followed() -> None:
    """Lowered again and again, it is counted at all it draws after each reading."""
    bench = charging("A", "B", limit_a=60)
    assert bench.limit_a("A") == 25
    bench.wait(1)
    bench.values("A", amps=(32, 32, 32))
    balancing = bench.controller._balancing
    for building_a in (10, 14, 18, 20):
        bench.wait(1)
        before_ma = balancing.limits[EVSE].commanded_ma
        bench.meter(building_a + 32 + 25)  # B has not followed yet
        balancing.book.excess(bench.now)
        draw = draw_of(balancing.limits[EVSE], balancing.vehicles[EVSE], bench.now)
        assert draw.low_ma == draw.sure_ma == draw.high_ma == Phases.uniform(32_000)
        others_ma = balancing.circuits.by_id[GRID].background_ma.l1 - (32_000 - before_ma)
        assert others_ma == 1000 * building_a, "the building is not credited with what A was told to give up"
    assert bench.limit_a("A") < 25


def test_room_beside_one_that_disobeys_is_given_to_the_others() -> None:
    """Its excess counts once: as background, and not a second time as what it may draw at worst."""
    bench = charging("A", "B", limit_a=100, hall_a=40)
    for second in range(120):
        bench.wait(1)
        other_a = bench.limit_a("B")
        bench.meter(10 + 32 + other_a)
        if second % 10 == 0:
            bench.values("A", amps=(32, 32, 32))
            bench.values("B", amps=(other_a, other_a, other_a))
        bench.tick()
    hall = bench.controller._balancing.circuits.by_id[HALL]
    assert hall.background_ma.l1 + 1000 * bench.limit_a("A") == 32_000
    assert bench.limit_a("B") >= 6


# --- the ladder ---------------------------------------------------------------------------------------------------------


def test_one_that_follows_half_a_minute_late_climbs_no_rung() -> None:
    bench = charging("A", limit_a=60)
    history = [(bench.mono_ms - 60_000, bench.limit_a("A"))]
    for second in range(180):
        bench.wait(1)
        history.append((bench.mono_ms, bench.limit_a("A")))
        late_a = [amps for ms, amps in history if ms <= bench.mono_ms - 31_000][-1]
        building_a = 10 if second < 20 or second > 120 else 35
        bench.meter(building_a + late_a)
        if second % 10 == 9:
            bench.values("A", amps=(late_a, late_a, late_a))
        bench.tick()
    assert bench.limit_a("A") > 20, "and it is raised again"
    assert bench.controller._balancing.limits[EVSE].ladder.rung is Rung.TX
    assert "stop-transaction" not in {ask.request for ask in of(Ask, bench.log)}


def test_one_that_keeps_an_old_limit_for_ever_does_climb() -> None:
    bench = charging("A", limit_a=60)
    for second in range(90):
        bench.wait(1)
        bench.meter(35 + 32)
        if second % 10 == 9:
            bench.values("A", amps=(32, 32, 32))
        bench.tick()
    assert bench.controller._balancing.limits[EVSE].ladder.rung is not Rung.TX


def test_where_nothing_fits_one_report_on_each_rung_has_to_do_once_it_had_time_to_show() -> None:
    ladder = Ladder()
    ladder.begin(Rung.TX, has_station_max=True, now=Instant(0, 0))
    seen = []
    for second in range(10, 60):
        now = Instant(second * 1000, 0)
        if ladder.note_draw(32_000, 6_000, 6_000, now.mono_ms, now, is_pressing=True):
            seen.append((second, ladder.rung))
    step_s = SHOWS_MS // 1000
    # A report every second: two in a row still do, even sooner.
    assert [rung for _, rung in seen] == [Rung.TX_DEFAULT, Rung.STATION_MAX, Rung.STOP]
    ladder.begin(Rung.TX, has_station_max=True, now=Instant(0, 0))
    seen = []
    for second in range(10, 60, step_s):
        now = Instant(second * 1000, 0)
        if ladder.note_draw(32_000, 6_000, 6_000, now.mono_ms + 1, now, is_pressing=True):
            seen.append(second)
    assert seen == [10, 10 + step_s, 10 + 2 * step_s]


def test_a_late_report_is_neither_obeying_nor_disobeying() -> None:
    ladder = Ladder()
    ladder.begin(Rung.TX, has_station_max=True, now=Instant(0, 0))
    for second in range(0, FOLLOWS_LATE_MS // 1000, 10):
        now = Instant(second * 1000, 0)
        assert not ladder.note_draw(20_000, 6_000, 20_000, now.mono_ms, now)
    assert ladder.rung is Rung.TX
    assert not ladder.obeys(Instant(10_000_000, 0))


# --- reports out of turn ------------------------------------------------------------------------------------------------


def inquiries(decisions: list[object]) -> list[Ask]:
    return [ask for ask in of(Ask, decisions) if ask.request == "trigger" and ("message", "MeterValues") in ask.arguments]


def overloaded(bench: Bench, seconds: int) -> list[Ask]:
    found = []
    for _ in range(seconds):
        bench.wait(1)
        found += inquiries(bench.meter(110))
    return found


def test_when_too_much_flows_all_behind_that_conductor_are_asked_what_they_draw() -> None:
    bench = charging("A", "B")
    asks = overloaded(bench, 1)
    assert {ask.charger for ask in asks} == {"A", "B"}
    assert asks[0].arguments == (("message", "MeterValues"), ("evse", "1"))


def test_nobody_is_asked_while_all_fits_or_again_at_once() -> None:
    bench = charging("A")
    assert not inquiries(bench.run(60, building_a=20))
    assert len(overloaded(bench, SETTLE_MS // 1000)) == 1
    assert len(overloaded(bench, 2)) == 1


def test_one_that_does_not_answer_such_requests_is_not_asked_until_it_is_back() -> None:
    bench = charging("A")
    (ask,) = overloaded(bench, 1)
    before = len(bench.log)
    bench.put(RequestAnswered(A, ask.ask_id, Outcome.TIMEOUT))
    assert len(bench.log) == before, "nobody is told of it"
    assert not overloaded(bench, 30)
    bench.boot("A")
    assert overloaded(bench, 10)


def test_one_that_can_be_asked_nothing_is_not_asked() -> None:
    charger = Charger(A, GRID, own_quirks=(("status_trigger", StatusTrigger.NONE),))
    bench = Bench(plant(charger, limit_a=80))
    bench.boot("A")
    bench.start("A")
    bench.run(60, building_a=10)
    assert not overloaded(bench, 10)
