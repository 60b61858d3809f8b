"""What goes wrong in a simulated run: drawn from the seed, one after the other and on top of each other, then healed.

Each fault has a name, begins, lasts a while and ends. Every run draws its own mix of them. Some minutes before the end everything
is healthy again, and then the promises about recovery must hold. ``world.single`` plays each one alone.

The catalogue is that of research/style.md §6, as far as it touches limits; ``items`` are its numbers. The faults themselves are
in ``faults_links``, ``faults_chargers`` and ``faults_site``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hwsim.world.site import World

OCPP_PORT = 8887
MEAN_PAUSE_S = 45.0
"""Between the beginnings of two faults."""
KINDS_COUNT = (6, 14)
"""How many kinds of fault one run draws, least and most."""


class Excuse(StrEnum):
    """What cannot be promised while a fault lasts."""

    NONE = "none"
    DISOBEYS = "disobeys"
    """A charger draws what it was not allowed: then only that this is contained."""
    UNTOLD = "untold"
    """Nobody can be told anything, so nobody makes room for a building that takes more meanwhile."""
    LIES = "lies"
    """The meter tells a wrong current as if it were right: until that is noticed, so are the limits."""


Play: TypeAlias = Callable[["World", random.Random, float], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """``play`` makes it happen, lets it last so many seconds, and mends it."""

    name: str
    items: tuple[int, ...]
    words: str
    lasts_s: tuple[float, float]
    excuse: Excuse
    play: Play
    slows: bool = False
    """It holds up the way to all chargers, or the daemon itself: then an order may take its time to anybody."""


CATALOGUE: dict[str, Fault] = {}


def fault(
    words: str,
    *items: int,
    lasts_s: tuple[float, float] = (5, 60),
    excuse: Excuse = Excuse.NONE,
    slows: bool = False,
) -> Callable[[Play], Play]:
    """Enter a coroutine function into the catalogue, under its own name."""

    def enter(play: Play) -> Play:
        name = play.__name__
        CATALOGUE[name] = Fault(name, items, words, lasts_s, excuse, play, slows or excuse is Excuse.UNTOLD)
        return play

    return enter


class FaultPlan:
    """All faults of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(world.rng.random())
        chosen = self._rng.sample(list(CATALOGUE.values()), k=self._rng.randint(*KINDS_COUNT))
        self._kinds = [(kind, self._rng.choice([1, 1, 2, 4])) for kind in chosen]  # some of them often

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        end_s = self._world.options.hours * 3600 - self._world.options.heal_s
        under_way: set[asyncio.Task[None]] = set()
        number = 0
        while loop.time() < end_s:
            await asyncio.sleep(self._rng.expovariate(1 / MEAN_PAUSE_S))
            kind = self._rng.choices([k for k, _ in self._kinds], [w for _, w in self._kinds])[0]
            number += 1
            rng = random.Random(self._rng.random())
            task = asyncio.ensure_future(inflict(self._world, kind, rng, rng.uniform(*kind.lasts_s)))
            task.set_name(f"fault-{kind.name}-{number}")
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)


async def inflict(world: World, kind: Fault, rng: random.Random, seconds: float) -> None:
    """One fault from its beginning to its end, with whoever judges told of both."""
    counts = world.report.fault_counts
    counts[kind.name] = counts.get(kind.name, 0) + 1
    world.judge.begins(kind)
    try:
        await kind.play(world, rng, seconds)
    finally:
        world.judge.ends(kind)
