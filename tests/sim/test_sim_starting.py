"""A vehicle that begins is not taken for the building: one after the other comes to a full conductor, and nobody is lowered by
more than he has to be, however late the meter and the vehicles are. And when it is the building after all, it is safe."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from hwsim.models.car import Car
from hwsim.world.single import SET_UP_S, SITE
from hwsim.world.site import SiteOptions, World, run_site

BETWEEN_S = (40.0, 100.0)


async def arrive(world: World, rng: random.Random, told: dict[str, list[float]]) -> None:
    """A vehicle that takes all it gets comes to each charger in turn."""
    await asyncio.sleep(SET_UP_S)
    for station in world.stations:
        station.plug(1, Car(10_000_000, 0, max_a=32.0, reaction_s=rng.uniform(1, 4.5)), world.loop.time())
        await watch(world, rng.uniform(*BETWEEN_S), told)
    await watch(world, 60, told)


async def watch(world: World, seconds: float, told: dict[str, list[float]]) -> None:
    end_s = world.loop.time() + seconds
    while world.loop.time() < end_s:
        await asyncio.sleep(1)
        for station in world.stations:
            amps = world.judge.told_a(station.identity)
            if amps is not None and told.setdefault(station.identity, [amps])[-1] != amps:
                told[station.identity].append(amps)


def raised_after_cut_a(levels: list[float]) -> float:
    """What was given back after it had been taken: cut for nothing, as the building stands still and nobody leaves."""
    given_a, is_cut = 0.0, False
    for before, after in pairwise(levels):
        is_cut = is_cut or after < before
        given_a += max(0.0, after - before) if is_cut else 0.0
    return given_a


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.3, 2.0])
@pytest.mark.parametrize("seed", [1, 3, 6])
def test_nobody_is_cut_for_nothing_when_another_begins(seed: int, delay_s: float) -> None:
    told: dict[str, list[float]] = {}

    async def story(world: World) -> None:
        await arrive(world, random.Random(seed), told)

    report = run_site(replace(SITE, seed=seed, meter_delay_s=delay_s), story)
    assert report.broken == []
    assert report.longest_over_s <= 5
    assert len(told) == SITE.charger_count
    assert all(len(levels) > 1 for levels in told.values()), "and everybody was told something else meanwhile"
    for name, levels in told.items():
        assert raised_after_cut_a(levels) < 0.5, f"{name}: {levels}"


@pytest.mark.slow
@pytest.mark.parametrize("late_s", [0.0, 2.0, 5.0])
def test_a_building_that_rises_just_as_vehicles_begin_overloads_nothing_for_long(late_s: float) -> None:
    """Three begin at once on a full conductor, and slowly: the excess is the building's alone at first, then theirs as well."""

    async def story(world: World) -> None:
        await asyncio.sleep(SET_UP_S)
        for number, station in enumerate(world.stations):
            if number == 3:
                await asyncio.sleep(120)
            reaction_s = 2.0 if number < 3 else 7.0
            station.plug(1, Car(10_000_000, 0, max_a=32.0, reaction_s=reaction_s), world.loop.time())
        await asyncio.sleep(late_s)
        world.building.step_a = world.options.step_a
        await asyncio.sleep(60)

    options: SiteOptions = replace(SITE, seed=2)
    report = run_site(options, story)
    assert report.broken == []
    assert report.longest_over_s <= 15
    assert report.worst_damage <= 0.05
