"""Departures: what must be given by when, against what the conductors can really deliver."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import Bench, of, plant

from edgectl.core.allocation import Capacity, Claim
from edgectl.core.departures import Departures, outlook, parse_energy_wh, parse_moment
from edgectl.core.lookahead import Job, plan
from edgectl.domain.decisions import ActionAnswered, Remember, SetLimit
from edgectl.domain.events import ActionRequested, Outcome
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Balancing, Strategy

HOUR_MS = 3_600_000
G = CircuitId("grid")
THREE_PHASES_MW = 690
"""One milliamp on three phases of 230 V, in milliwatts."""


# --- how a target stands ---


def test_the_need_is_the_even_current_that_would_just_do() -> None:
    seen = outlook(11_040, 4 * HOUR_MS + 5 * 60_000, reach_ma=32_000, voltage_mw_per_ma=THREE_PHASES_MW)
    assert seen is not None
    assert seen.need_ma == 4_000  # 11.04 kWh in four hours are 2.76 kW, and five minutes are kept for the end


def test_laxity_is_counted_against_what_the_conductors_give_and_not_against_the_rating() -> None:
    there = outlook(22_080, 2 * HOUR_MS, reach_ma=32_000, voltage_mw_per_ma=THREE_PHASES_MW)
    tight = outlook(22_080, 2 * HOUR_MS, reach_ma=16_000, voltage_mw_per_ma=THREE_PHASES_MW)
    assert there is not None
    assert tight is not None
    assert not there.is_pressing
    assert tight.is_pressing
    assert tight.laxity_ms == -5 * 60_000


@pytest.mark.parametrize(("remaining_wh", "left_ms"), [(0, HOUR_MS), (5_000, 0), (5_000, -1)])
def test_a_target_that_is_met_or_past_asks_for_nothing(remaining_wh: int, left_ms: int) -> None:
    assert outlook(remaining_wh, left_ms, 32_000, THREE_PHASES_MW) is None


# --- what people write ---


@pytest.mark.parametrize(("text", "wh"), [("30kWh", 30_000), ("30 kWh", 30_000), ("7.5 kwh", 7_500), ("800 Wh", 800)])
def test_an_energy_is_read_with_its_unit(text: str, wh: int) -> None:
    assert parse_energy_wh(text) == wh


@pytest.mark.parametrize("text", ["30", "-3 kWh", "0 kWh", "9999999 kWh", "30 kW", ""])
def test_what_is_no_energy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"energy|out of range"):
        parse_energy_wh(text)


def test_a_time_of_day_is_the_next_one_on_the_clock_of_the_site() -> None:
    evening_utc_ms = 1_772_820_000_000  # 2026-03-06T18:00Z, 19:00 in Berlin
    assert parse_moment("06:30", "Europe/Berlin", evening_utc_ms) - evening_utc_ms == 11 * HOUR_MS + 30 * 60_000
    assert parse_moment("19:30", "Europe/Berlin", evening_utc_ms) - evening_utc_ms == 30 * 60_000


@pytest.mark.parametrize("text", ["25:00", "soon", "2026-03-06T20:00:00", "2020-01-01T00:00:00Z", "2027-01-01T00:00:00Z"])
def test_what_is_no_moment_ahead_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"moment|past|week"):
        parse_moment(text, "Europe/Berlin", 1_772_820_000_000)


# --- the look-ahead ---


def job(name: str, amp_hours: float, hours: float, max_ma: int = 32_000) -> Job:
    claim = Claim(EvseId(ChargerId(name), 1), (G,), ALL_PHASES, 6_000, max_ma, ())
    return Job(claim, round(amp_hours * 3_600_000), round(hours * HOUR_MS), max_ma)


def room(current_ma: int) -> list[Capacity]:
    return [Capacity(G, phase, current_ma) for phase in ALL_PHASES]


def needs(*jobs: Job, current_ma: int) -> dict[str, int]:
    found = plan(jobs, room(current_ma))
    assert found is not None
    return {evse.charger: need_ma for evse, need_ma in found.need_ma.items() if need_ma}


def test_nothing_must_be_given_now_that_still_fits_later() -> None:
    assert needs(job("a", 16, 8), job("b", 16, 8), current_ma=32_000) == {}


def test_what_does_not_fit_later_must_be_given_now() -> None:
    assert needs(job("a", 32, 1), current_ma=32_000) == {"a": 32_000}
    # Together they need every slot there is.
    assert sum(needs(job("a", 32, 4), job("b", 96, 4), current_ma=32_000).values()) == 32_000


def test_who_cannot_have_his_energy_in_any_order_is_named() -> None:
    found = plan([job("a", 40, 1), job("b", 1, 8)], room(32_000))
    assert found is not None
    assert {evse.charger for evse in found.short} == {"a"}


def short(*jobs: Job, current_ma: int = 32_000) -> set[str]:
    found = plan(jobs, room(current_ma))
    assert found is not None
    return {evse.charger for evse in found.short}


def test_where_not_all_can_be_full_as_many_as_possible_are() -> None:
    assert short(job("big", 96, 4), job("one", 40, 4), job("two", 40, 4), job("three", 40, 4)) == {"big"}


def test_a_higher_priority_keeps_the_larger_one() -> None:
    jobs = [job("big", 96, 4), job("one", 40, 4), job("two", 40, 4)]
    assert short(replace(jobs[0], priority=1), *jobs[1:]) == {"one", "two"}


def test_who_is_short_leaves_nothing_undone_for_the_others() -> None:
    assert needs(job("big", 200, 4), job("one", 32, 1), current_ma=32_000) == {"one": 32_000}


def test_more_work_than_allowed_is_no_plan() -> None:
    assert plan([job("a", 16, 8)] * 50, room(32_000), work_max=100) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 40), st.sampled_from([16_000, 32_000])), min_size=1, max_size=8),
    st.integers(0, 100_000),
)
def test_the_needs_of_a_slot_fit_together(asked: list[tuple[int, int, int]], current_ma: int) -> None:
    found = plan([job(f"c{n}", ah, hours / 2, top) for n, (ah, hours, top) in enumerate(asked)], room(current_ma))
    assert found is not None
    assert sum(found.need_ma.values()) <= current_ma


# --- in the daemon's core ---


def departing(*chargers: str, **circuit: object) -> Bench:
    site = plant(*chargers, limit_a=50, **circuit)
    bench = Bench(replace(site, balancing=Balancing(strategy=Strategy.DEPARTURE)))
    bench.boot(*chargers)
    for charger in chargers:
        bench.start(charger)
    return bench


def ask(bench: Bench, name: str, charger: str, **arguments: str) -> ActionAnswered:
    event = ActionRequested("1", ChargerId(charger), name, tuple(arguments.items()), "local:test")
    return of(ActionAnswered, bench.settle(bench.put(event)))[0]


def test_who_must_leave_soon_gets_what_he_needs_and_the_others_share_the_rest() -> None:
    bench = departing("A", "B", "C")
    bench.run(40, building_a=10)
    assert {bench.limit_a(c) for c in "ABC"} == {13.3}
    ask(bench, "set-target", "A", energy="16 kWh", by=_in(bench, hours=1))
    bench.run(90, building_a=10)
    assert bench.limit_a("A") == pytest.approx(25, abs=1.5)
    assert bench.limit_a("B") == pytest.approx(7.5, abs=1)
    target = bench.view("A").target
    assert target is not None
    assert (target.energy_wh, target.actor) == (16_000, "local:test")
    assert target.laxity_ms is not None


def test_a_soft_limit_gives_way_to_a_departure_only() -> None:
    bench = departing("A", "B", soft_limit_ma=Phases.uniform(26_000))
    bench.run(40, building_a=10)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (8, 8)
    assert bench.view("A").reason.cause is Cause.SOFT_LIMIT
    ask(bench, "set-target", "A", energy="16 kWh", by=_in(bench, hours=1))
    bench.run(90, building_a=10)
    assert bench.limit_a("A") == pytest.approx(25, abs=1.5)
    assert bench.limit_a("B") == 6


def test_a_soft_limit_gives_way_before_anybody_is_short() -> None:
    bench = departing("A", "B", soft_limit_ma=Phases.uniform(26_000))
    for charger in "AB":
        ask(bench, "set-target", charger, energy="11 kWh", by=_in(bench, hours=1))
    bench.run(90, building_a=10)
    assert bench.limit_a("A") + bench.limit_a("B") == pytest.approx(35, abs=2), "16 A are left within the soft limit"


def test_where_not_all_can_leave_full_those_who_can_go_first() -> None:
    """Nobody takes what would make another late, only to be late himself."""
    bench = departing("A", "B")
    ask(bench, "set-target", "A", energy="60 kWh", by=_in(bench, hours=1))
    ask(bench, "set-target", "B", energy="18 kWh", by=_in(bench, hours=1))
    bench.run(120, building_a=10)
    assert bench.limit_a("B") >= 28
    assert bench.limit_a("A") >= 6


def test_a_target_is_remembered_over_a_restart_and_forgotten_with_the_session() -> None:
    bench = departing("A")
    ask(bench, "set-target", "A", energy="20 kWh", by=_in(bench, hours=4))
    kept = of(Remember, bench.log)[-1]
    assert (kept.kind, kept.key) == ("targets", "A/1")
    again = Departures({kept.key: kept.document})
    session = bench.controller._sessions.at(EvseId(ChargerId("A"), 1))
    target = again.of(session, EvseId(ChargerId("A"), 1))
    assert target is not None
    assert target.energy_wh == 20_000
    assert session is not None
    bench.stop("A", session.transaction)
    bench.wait(1)
    bench.tick()
    assert of(Remember, bench.log)[-1].document == {}


@pytest.mark.parametrize(
    ("charger", "arguments", "words"),
    [
        ("A", {"energy": "20 kWh"}, "a target is an energy and a departure"),
        ("A", {"energy": "lots", "by": "06:30"}, "is not an energy"),
        ("A", {"energy": "20 kWh", "by": "06:30", "evse": "2"}, "name an EVSE of A"),
        ("Z", {"energy": "20 kWh", "by": "06:30"}, "no charger is called Z"),
        ("A", {"priority": "loud"}, "is not a priority"),
        ("A", {}, "nothing was said"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused_in_words(charger: str, arguments: dict[str, str], words: str) -> None:
    answer = ask(departing("A"), "set-target", charger, **arguments)
    assert answer.outcome is Outcome.REJECTED
    assert words in answer.problem


def test_a_plan_that_fails_costs_nothing_but_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("edgectl.core.balancing.look_ahead", broken)
    bench = departing("A")
    ask(bench, "set-target", "A", energy="20 kWh", by=_in(bench, hours=4))
    decisions = bench.run(30, building_a=10)
    assert of(SetLimit, decisions)
    assert dict(bench.controller.picture(bench.now).counters)["plans_failed"] >= 1


def _in(bench: Bench, *, hours: float) -> str:
    from edgectl.domain.time import iso

    return iso(bench.utc_ms + round(hours * HOUR_MS)).replace("Z", "+00:00")
