"""Imbalance, voltage, steps and classes, in the control step of a whole core."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.plant import GRID, Bench, plant

from edgectl.core.room import Leftover, capacities_of
from edgectl.domain.ids import ChargerId
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Balancing, Charger, Circuit, PowerKind, Priorities, Strategy


def single(name: str, phase: Phase) -> Charger:
    return Charger(ChargerId(name), GRID, phases=(phase,))


def charge(bench: Bench, *names: str, tokens: tuple[str, ...] = ()) -> None:
    bench.boot(*names)
    for name, token in zip(names, tokens or ["04AABBCC"] * len(names), strict=True):
        bench.start(name, token=token)


def test_one_phase_is_not_loaded_more_than_another_by_the_limit() -> None:
    bench = Bench(plant(single("A", Phase.L1), single("B", Phase.L1), limit_a=100, imbalance_ma=20_000, metered=False))
    charge(bench, "A", "B")
    bench.run(60, follows=False)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (10, 10)
    assert bench.view("A").reason.cause is Cause.IMBALANCE


def test_what_flows_on_the_other_phases_makes_room() -> None:
    leftover = Leftover(balance_ma={(Phase.L1, Phase.L2): 12_000})
    found = capacities_of(Circuit(GRID, Phases.uniform(63_000), imbalance_ma=20_000), leftover, 230_000)
    room_ma = {(c.phase, c.against): c.available_ma for c in found if c.against is not None}
    assert room_ma[Phase.L1, Phase.L2] == 32_000
    assert room_ma[Phase.L1, Phase.L3] == 20_000


def test_vehicles_on_three_phases_know_no_imbalance() -> None:
    bench = Bench(plant("A", "B", limit_a=100, imbalance_ma=20_000, metered=False))
    charge(bench, "A", "B")
    bench.run(60, follows=False)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (32, 32)


def test_three_vehicles_on_three_phases_balance_each_other_once_they_draw() -> None:
    bench = Bench(plant(single("A", Phase.L1), single("B", Phase.L2), single("C", Phase.L3), imbalance_ma=20_000, metered=False))
    charge(bench, "A", "B", "C")
    for _ in range(12):
        bench.run(10, follows=False)
        for name in "ABC":
            bench.values(name, amps=(bench.limit_a(name), 0, 0))
    assert {bench.limit_a(name) for name in "ABC"} == {32}


def test_a_charger_with_steps_leaves_what_it_cannot_use_to_others() -> None:
    stepped = Charger(ChargerId("A"), GRID, own_quirks=(("steps_ma", (6_000, 10_000, 16_000, 32_000)),))
    bench = Bench(plant(stepped, "B", limit_a=30, metered=False))
    charge(bench, "A", "B")
    bench.run(60, follows=False)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (10, 20)


def test_dc_power_at_low_voltage_is_counted_with_its_real_current() -> None:
    """207 V instead of 230 V: a DC charger that holds its power draws 1.11 times the current."""
    dc = Charger(ChargerId("D"), GRID, kind=PowerKind.DC, min_ma=0, max_ma=200_000, fallback_ma=0)
    bench = Bench(plant(dc, limit_a=100))
    bench.volts = 207
    charge(bench, "D")
    bench.run(300, building_a=0, follows=False)
    assert bench.limit_a("D") == pytest.approx(100 * 207 / 230, abs=0.6)


@pytest.mark.parametrize(("priorities", "expected"), [(Priorities.STRICT, (32, 8)), (Priorities.WEIGHTED, (32, 8))])
def test_a_class_is_served_before_others_or_by_its_part(priorities: Priorities, expected: tuple[int, int]) -> None:
    site = plant("A", "B", limit_a=40, metered=False)
    bench = Bench(replace(site, balancing=Balancing(strategy=Strategy.PRIORITY, priorities=priorities)))
    charge(bench, "A", "B", tokens=("VIP", "04AABBCC"))
    bench.run(120, follows=False)
    assert (bench.limit_a("A"), bench.limit_a("B")) == expected


def test_parts_go_by_weight() -> None:
    site = plant("A", "B", limit_a=35, metered=False)
    bench = Bench(replace(site, balancing=Balancing(strategy=Strategy.PRIORITY, priorities=Priorities.WEIGHTED)))
    charge(bench, "A", "B", tokens=("VIP", "04AABBCC"))
    bench.run(120, follows=False)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (29, 6), "six parts to one, but nobody below his minimum"


def test_a_vehicle_on_two_phases_is_recognised_and_one_that_takes_a_third_again_too() -> None:
    bench = Bench(plant("A", limit_a=40, metered=False))
    charge(bench, "A")
    vehicle = next(iter(bench.controller._balancing.vehicles.values()))
    for _ in range(4):
        bench.run(10, follows=False)
        bench.values("A", amps=(16, 16, 0))
    assert vehicle.phases == (Phase.L1, Phase.L2)
    bench.values("A", amps=(16, 16, 16))
    assert vehicle.phases == (Phase.L1, Phase.L2, Phase.L3)
    for _ in range(3):
        bench.run(10, follows=False)
        bench.values("A", amps=(0, 0, 16))
    assert vehicle.phases == (Phase.L3,)


def test_a_charger_that_tells_one_phase_and_draws_on_three_counts_on_three() -> None:
    bench = Bench(plant("A", limit_a=40, metered=False))
    charge(bench, "A")
    vehicle = next(iter(bench.controller._balancing.vehicles.values()))
    for _ in range(4):
        bench.run(10, follows=False)
        bench.values("A", amps=(16, 0, 0), power_w=16 * 230 * 3)
    assert vehicle.phases == (Phase.L1, Phase.L2, Phase.L3)
    assert vehicle.current_ma == Phases.uniform(16_000)
    assert not vehicle.has_shown_phases
    for _ in range(2):
        bench.values("A", amps=(16, 0, 0), power_w=16 * 250)
    assert vehicle.phases == (Phase.L1,), "one phase at a high voltage is one phase"
    bench.values("A", amps=(16, 0, 0), power_w=16 * 230 * 2)
    assert vehicle.phases == (Phase.L1, Phase.L2, Phase.L3), "it may be any that it did not tell"
