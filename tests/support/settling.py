"""A full site in virtual time, and whether what its chargers are told stands still."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hwsim.models.car import Car
from hwsim.world.single import SET_UP_S, SETTLE_S
from hwsim.world.site import World

REVERSALS_MAX = 1
"""Of the limit of one charger, once the loop has had its time: it may overshoot once by what it could not know."""
AMPLITUDE_MAX_A = 2.0


async def fill(world: World, *, follows_s: float = 2.0) -> list[Car]:
    """A vehicle that wants everything at every charger, and time for all to settle."""
    await asyncio.sleep(SET_UP_S)
    cars = [Car(10_000_000, 0, max_a=32.0, reaction_s=follows_s) for _ in world.stations]
    for station, car in zip(world.stations, cars, strict=True):
        station.plug(1, car, world.loop.time())
    await asyncio.sleep(SETTLE_S)
    return cars


async def watch(world: World, seconds: int) -> dict[str, list[float]]:
    """What each charger is told, second by second."""
    told: dict[str, list[float]] = {station.identity: [] for station in world.stations}
    for _ in range(seconds):
        await asyncio.sleep(1)
        for name, values in told.items():
            values.append(world.judge.told_a(name) or 0.0)
    return told


def reversals(values: list[float]) -> int:
    """How often it turned from falling to rising or back."""
    moves = [after - before for before, after in pairwise(values) if after != before]
    return sum(1 for before, after in pairwise(moves) if before * after < 0)
