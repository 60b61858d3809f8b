"""What a vehicle leaves unused is given to others, and given back when it wants it again: both soon, and without hunting, however
late meter and vehicles are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.settling import AMPLITUDE_MAX_A, REVERSALS_MAX, fill, reversals, watch

from hwsim.world.single import SITE
from hwsim.world.site import World, run_site

REPORT_S = 10.0
"""How often chargers are made to report."""
RELEASE_S, GIVE_BACK_S = 15.0, 5.0
SETTLE_S = 8.0
"""Where its limit has just been changed for another reason it is first given so long to follow."""
STEP_S = 2.0
"""A control step, a message, and the second in which it is looked at."""
LOW_A = 8.0


async def until_told(world: World, name: str, *, below_a: float | None = None, above_a: float | None = None) -> float:
    """How long it takes until a charger is told so; infinite when it does not come to that."""
    began_s = world.loop.time()
    while world.loop.time() - began_s < 120:
        await asyncio.sleep(1)
        told_a = world.judge.told_a(name) or 0.0
        if (below_a is not None and told_a < below_a) or (above_a is not None and told_a > above_a):
            return world.loop.time() - began_s
    return float("inf")


def told_to_others_a(world: World) -> float:
    return sum(world.judge.told_a(station.identity) or 0.0 for station in world.stations[1:])


@pytest.mark.slow
@pytest.mark.parametrize(("delay_s", "follows_s"), [(0.0, 0.5), (0.3, 6.0), (1.0, 3.0), (3.0, 0.5), (3.0, 6.0)])
def test_unused_current_goes_to_others_and_comes_back(delay_s: float, follows_s: float) -> None:
    times: list[float] = []
    seen: list[dict[str, list[float]]] = []

    async def story(world: World) -> None:
        cars = await fill(world, follows_s=follows_s)
        one, name = cars[0], world.stations[0].identity
        before_a = world.judge.told_a(name) or 0.0
        assert before_a > LOW_A + 3
        others_a = told_to_others_a(world)
        one.max_a = LOW_A
        times.append(await until_told(world, name, below_a=LOW_A + 2.5))
        await asyncio.sleep(45)
        assert told_to_others_a(world) >= others_a + (before_a - LOW_A - 2) - 1, "it is with the others"
        seen.append(await watch(world, 90))
        one.max_a = 32.0
        times.append(await until_told(world, name, above_a=LOW_A + 2.5))
        await asyncio.sleep(90)
        seen.append(await watch(world, 90))
        assert (world.judge.told_a(name) or 0.0) == pytest.approx(before_a, abs=1.5), "and all of it"

    report = run_site(replace(SITE, grid_a=110.0, hall_a=60.0, meter_delay_s=delay_s), story)
    assert report.broken == []
    assert report.longest_over_s <= 15
    shown_s = follows_s + REPORT_S + STEP_S
    assert times[0] <= shown_s + SETTLE_S + RELEASE_S
    assert times[1] <= shown_s + GIVE_BACK_S
    for told in seen:
        for name, values in told.items():
            assert reversals(values) <= REVERSALS_MAX, f"{name}: {values}"
            assert max(values) - min(values) <= AMPLITUDE_MAX_A, f"{name}: {values}"
