"""The look-ahead as a linear programme: what is asked, what its answer means, and that nothing depends on there being one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import Bench, of, plant

from edgectl.core import foresight
from edgectl.core.allocation import PERMILLE, Capacity, Claim, counts_in
from edgectl.core.foresight import Question, Stand
from edgectl.core.lookahead import Job
from edgectl.domain.decisions import SetLimit, Solve
from edgectl.domain.events import ActionRequested, Solved
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, Phase
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Balancing, Strategy
from edgectl.domain.time import iso
from edgectl.solver.highs import SolveError, solve

HOUR_MS = 3_600_000
G = CircuitId("grid")
WAITING = Stand(is_running=False, stays=False, may_start=True, owed_ma_s=0)
RUNNING = replace(WAITING, is_running=True)


def job(name: str, hours: float, amp_hours: float, phases: tuple[Phase, ...] = ALL_PHASES, min_ma: int = 6_000) -> Job:
    claim = Claim(EvseId(ChargerId(name), 1), (G,), phases, min_ma, 32_000, rank=())
    return Job(claim, round(amp_hours * 3_600_000), round(hours * HOUR_MS), 32_000)


def grid(amps: int) -> list[Capacity]:
    return [Capacity(G, phase, amps * 1_000) for phase in ALL_PHASES]


def asked(capacities: list[Capacity], *jobs: tuple[Job, Stand]) -> Question:
    question = foresight.ask(jobs, capacities)
    assert question is not None
    return question


def evse(name: str) -> EvseId:
    return EvseId(ChargerId(name), 1)


# --- what is planned ---


@pytest.mark.parametrize("knows_target", [False, True])
def test_the_end_of_a_charge_takes_longer_where_the_whole_target_is_known(knows_target: bool) -> None:
    stand = replace(WAITING, target_ma_s=60 * 3_600_000 if knows_target else None)
    question = asked(grid(31), (job("A", 2, 60), stand))
    assert bool(question.read(solve(question.programme)).short) is knows_target


def test_whoever_leaves_first_has_his_energy_and_the_rest_goes_to_the_other() -> None:
    question = asked(grid(32), (job("A", 1, 26), WAITING), (job("B", 8, 100), WAITING))
    plan = question.read(solve(question.programme))
    assert plan.is_whole
    assert not plan.short
    assert plan.need_ma[evse("A")] >= 20_000
    assert plan.need_ma[evse("A")] + plan.need_ma[evse("B")] == pytest.approx(32_000, abs=5)


def test_where_not_all_minima_fit_whoever_can_wait_waits() -> None:
    question = asked(grid(10), (job("A", 1, 10), WAITING), (job("B", 9, 20), WAITING))
    plan = question.read(solve(question.programme))
    assert plan.waiting == {evse("B")}
    assert plan.need_ma[evse("B")] == 0


def test_a_little_energy_more_is_no_reason_to_stop_a_vehicle() -> None:
    """B would take a little more of the conductors; but A runs."""
    one, other = job("A", 4, 50), job("B", 4, 52)
    question = asked(grid(10), (one, RUNNING), (other, WAITING))
    assert question.read(solve(question.programme)).waiting == {evse("B")}
    question = asked(grid(10), (one, WAITING), (other, RUNNING))
    assert question.read(solve(question.programme)).waiting == {evse("A")}


def test_who_has_only_just_begun_is_stopped_for_nobody() -> None:
    urgent = replace(job("B", 1, 30), priority=20)
    question = asked(grid(10), (job("A", 9, 20), RUNNING), (urgent, WAITING))
    assert question.read(solve(question.programme)).waiting == {evse("A")}
    question = asked(grid(10), (job("A", 9, 20), replace(RUNNING, stays=True)), (urgent, WAITING))
    assert question.read(solve(question.programme)).waiting == {evse("B")}


def test_who_waited_long_is_served_before_his_equal() -> None:
    owed = replace(WAITING, owed_ma_s=foresight.WAITED_MA_S)
    question = asked(grid(10), (job("A", 5, 60), WAITING), (job("B", 5, 60), owed))
    assert question.read(solve(question.programme)).waiting == {evse("A")}


@pytest.mark.parametrize("knows_targets", [False, True])
def test_who_has_had_most_of_his_target_waits_for_who_waited_long_and_had_nothing(knows_targets: bool) -> None:
    target_ma_s = 100 * 3_600_000 if knows_targets else None
    fuller = replace(RUNNING, target_ma_s=target_ma_s)
    empty = replace(WAITING, target_ma_s=target_ma_s, owed_ma_s=foresight.WAITED_MA_S)
    question = asked(grid(10), (job("A", 4, 40), fuller), (job("B", 4, 100), empty))
    assert question.read(solve(question.programme)).waiting == {evse("A" if knows_targets else "B")}


def test_the_last_bit_of_a_battery_is_given_at_the_minimum() -> None:
    question = asked(grid(20), (job("A", 5, 0.1), RUNNING), (job("B", 5, 100), RUNNING))
    assert not question.read(solve(question.programme)).waiting


def test_phases_that_others_leave_free_are_used() -> None:
    """Sixteen amps for three phases; one vehicle on the first, one on all three: filling both is more than a fair half each."""
    single, three = job("A", 2, 100, ALL_PHASES[:1]), job("B", 2, 100)
    question = asked(grid(32), (single, WAITING), (three, WAITING))
    plan = question.read(solve(question.programme))
    assert plan.need_ma[evse("B")] >= 26_000


def test_where_all_can_have_all_they_take_nothing_is_asked() -> None:
    assert foresight.ask([(job("A", 2, 10), WAITING)], grid(32)) is None
    many = [(job(f"A{n}", 25, 10), WAITING) for n in range(400)]
    assert foresight.ask(many, grid(100)) is None, "more columns than a small gateway can do"


_jobs = st.lists(
    st.tuples(
        st.floats(0.1, 20),
        st.floats(0.01, 200),
        st.sampled_from([ALL_PHASES, ALL_PHASES[:1], ALL_PHASES[1:2], ALL_PHASES[1:]]),
        st.sampled_from([0, 6_000, 8_000]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=60, deadline=None)
@given(_jobs, st.lists(st.integers(-10, 120), min_size=3, max_size=3))
def test_every_plan_fits_the_conductors_and_gives_a_minimum_or_nothing(drafts: list[tuple[object, ...]], amps: list[int]) -> None:
    jobs = []
    for n, (hours, amp_hours, phases, min_ma, is_running, stays, may_start) in enumerate(drafts):
        stand = Stand(bool(is_running), bool(stays and is_running), bool(may_start), n * 1_000_000)
        jobs.append((job(f"A{n}", hours, amp_hours, phases, min_ma), stand))  # type: ignore[arg-type]
    capacities = [Capacity(G, phase, amps[phase] * 1_000) for phase in ALL_PHASES]
    question = foresight.ask(jobs, capacities)
    if question is None:
        return
    plan = question.read(solve(question.programme))
    for capacity in capacities:
        load = sum(plan.need_ma[one.claim.evse] * counts_in(capacity, one.claim) for one, _ in jobs)
        assert load <= max(0, capacity.available_ma) * PERMILLE + 10 * len(jobs) * PERMILLE
    for one, stand in jobs:
        need_ma = plan.need_ma[one.claim.evse]
        is_off = one.claim.evse in plan.waiting
        assert need_ma <= one.max_ma + 10
        assert need_ma == pytest.approx(0, abs=10) if is_off else need_ma >= one.claim.min_ma - 10
        if one.claim.min_ma and not stand.is_running and not stand.may_start:
            assert is_off


def test_what_no_solver_can_do_is_an_error_with_its_reason() -> None:
    from edgectl.domain.programme import Column, Programme, Row

    with pytest.raises(SolveError, match="HiGHS"):
        solve(Programme((Column(1.0, 1.0),), (Row(-1.0, ((0, 1.0),)),)))


# --- in the control step ---


def departing(*chargers: str, limit_a: int = 50) -> Bench:
    site = plant(*chargers, limit_a=limit_a)
    bench = Bench(replace(site, balancing=Balancing(strategy=Strategy.DEPARTURE)))
    bench.boot(*chargers)
    for charger in chargers:
        bench.start(charger)
    return bench


def ask(bench: Bench, charger: str, energy: str, hours: float) -> list[Solve]:
    by = iso(bench.utc_ms + round(hours * HOUR_MS)).replace("Z", "+00:00")
    event = ActionRequested("1", ChargerId(charger), "set-target", (("energy", energy), ("by", by)), "local:test")
    return of(Solve, bench.settle(bench.put(event)))


def run(bench: Bench, seconds: int, building_a: int = 10) -> list[Solve]:
    """Second by second, with a solver that answers at once."""
    found = []
    for _ in range(seconds):
        for request in of(Solve, bench.run(1, building_a=building_a)):
            found.append(request)
            bench.put(Solved(request.number, solve(request.programme)))
    return found


def test_with_everybody_s_departure_known_the_plan_says_who_waits() -> None:
    bench = departing("A", "B", limit_a=20)
    ask(bench, "A", "4 kWh", 1.5)
    ask(bench, "B", "20 kWh", 9)
    assert run(bench, 780), "a run lasts ten minutes"
    assert bench.limit_a("A") >= 8
    assert bench.limit_a("B") == 0
    assert bench.view("B").reason.cause is Cause.TURN


def test_who_does_not_say_when_he_leaves_is_not_planned_over() -> None:
    bench = departing("A", "B")
    ask(bench, "A", "16 kWh", 1)
    assert not run(bench, 130)


def test_a_solver_that_is_silent_or_fails_is_counted_and_the_share_out_goes_on() -> None:
    bench = departing("A", "B", limit_a=20)
    ask(bench, "A", "6 kWh", 1)
    ask(bench, "B", "20 kWh", 9)
    requests = of(Solve, bench.run(140, building_a=10))
    assert requests
    assert dict(bench.controller.picture(bench.now).counters)["plans_failed"] >= 1
    assert max(bench.limit_a("A"), bench.limit_a("B")) >= 6
    before = dict(bench.controller.picture(bench.now).counters)["plans_failed"]
    for request in of(Solve, bench.run(61, building_a=10)):
        bench.put(Solved(request.number, None, "no"))
        bench.put(Solved(request.number, None, "no"))
    assert dict(bench.controller.picture(bench.now).counters)["plans_failed"] > before
    assert of(SetLimit, bench.run(60, building_a=0)), "the share-out goes on"


def test_an_answer_of_yesterday_is_for_others() -> None:
    bench = departing("A", "B", limit_a=20)
    ask(bench, "A", "6 kWh", 1)
    ask(bench, "B", "20 kWh", 9)
    request = run(bench, 130)[-1]
    before = [bench.limit_a("A"), bench.limit_a("B")]
    bench.put(Solved(request.number, tuple(0.0 for _ in request.programme.columns)))
    bench.run(3, building_a=10)
    assert [bench.limit_a("A"), bench.limit_a("B")] == before
    assert max(before) >= 6


def test_who_comes_waits_for_the_plan_that_knows_him_and_not_longer() -> None:
    bench = departing("A", "B", "C", limit_a=60)
    bench.stop("C", bench.controller._sessions.at(evse("C")).transaction)  # type: ignore[union-attr]
    ask(bench, "A", "40 kWh", 3)
    ask(bench, "B", "40 kWh", 3)
    run(bench, 70)
    bench.start("C")
    ask(bench, "C", "10 kWh", 5)
    bench.run(5, building_a=10)
    assert bench.limit_a("C") == 0
    bench.run(70, building_a=10)
    assert bench.limit_a("C") >= 6, "nobody answers, so nobody is waited for"
