"""What can happen, to whom, and how often."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hwsim.campaigns.uplink.stage import Stage

Strike = Callable[[Stage, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    targets: frozenset[str]
    """Who is in trouble until it is over: no second fault hits them meanwhile."""
    weight: int
    strike: Strike
    """Returns when the trouble is over, though not yet all that followed from it."""


def _kill(name: str) -> Strike:
    async def strike(stage: Stage, rng: random.Random) -> None:
        await stage.kill(name)
        await asyncio.sleep(rng.uniform(0, 0.4))
        await stage.revive(name)

    return strike


async def _kill_broker(stage: Stage, rng: random.Random) -> None:
    stage.is_persistent = rng.random() < 0.5
    await stage.kill("broker")
    await asyncio.sleep(rng.uniform(0, 0.4))
    await stage.revive("broker")


async def _kill_database(stage: Stage, rng: random.Random) -> None:
    await asyncio.to_thread(stage.server.kill)
    await asyncio.sleep(rng.uniform(0, 0.3))
    await asyncio.to_thread(stage.server.start)


def _cut(wire: str) -> Strike:
    async def strike(stage: Stage, _: random.Random) -> None:
        stage.wires[wire].cut()

    return strike


def _half_open(wire: str) -> Strike:
    async def strike(stage: Stage, rng: random.Random) -> None:
        stage.wires[wire].freeze()
        try:
            # Now and then for longer than anybody waits for an answer.
            await asyncio.sleep(rng.uniform(0.1, 2.0) if rng.random() < 0.97 else 25.0)
        finally:
            stage.wires[wire].thaw(lost=rng.random() < 0.7)

    return strike


def _slow(wire: str) -> Strike:
    async def strike(stage: Stage, rng: random.Random) -> None:
        stage.wires[wire].delay_s = rng.uniform(0.05, 0.3)
        try:
            await asyncio.sleep(rng.uniform(0.3, 1.0))
        finally:
            stage.wires[wire].delay_s = 0.0

    return strike


async def _disk_full(stage: Stage, rng: random.Random) -> None:
    await _gateway_up(stage)
    stage.fill_disk(is_full=True)
    try:
        await asyncio.sleep(rng.uniform(0.1, 0.8))
    finally:
        stage.fill_disk(is_full=False)


async def _clock_jump(stage: Stage, rng: random.Random) -> None:
    await _gateway_up(stage)
    stage.signal("gateway", rng.choice((signal.SIGUSR1, signal.SIGUSR2)))


async def _gateway_up(stage: Stage) -> None:
    """Before it is up, a signal would end it, and so would a full disk, as it should."""
    while not stage.is_gateway_up():  # noqa: ASYNC110 - another process's file
        await asyncio.sleep(0.05)


def _fault(name: str, weight: int, strike: Strike, *targets: str) -> Fault:
    return Fault(name, frozenset(targets), weight, strike)


FAULTS = (
    _fault("gateway killed", 6, _kill("gateway"), "gateway"),
    _fault("broker killed", 8, _kill_broker, "broker"),
    _fault("backend 1 killed", 3, _kill("backend-1"), "backend-1"),
    _fault("backend 2 killed", 3, _kill("backend-2"), "backend-2"),
    _fault("database killed", 6, _kill_database, "database"),
    _fault("gateway cut off", 10, _cut("gateway-broker"), "gateway-broker"),
    _fault("backends cut off", 10, _cut("backend-broker"), "backend-broker"),
    _fault("database cut off", 10, _cut("backend-database"), "backend-database"),
    _fault("gateway half-open", 6, _half_open("gateway-broker"), "gateway-broker"),
    _fault("backends half-open", 6, _half_open("backend-broker"), "backend-broker"),
    _fault("database half-open", 6, _half_open("backend-database"), "backend-database"),
    _fault("gateway slow", 4, _slow("gateway-broker"), "gateway-broker"),
    _fault("database slow", 4, _slow("backend-database"), "backend-database"),
    _fault("gateway's disk full", 6, _disk_full, "gateway"),
    _fault("gateway's clock jumps", 6, _clock_jump, "gateway"),
)


def choose(rng: random.Random, in_trouble: set[str]) -> Fault | None:
    """One whose targets are well; None when nobody is."""
    possible = [fault for fault in FAULTS if not fault.targets & in_trouble]
    return rng.choices(possible, [fault.weight for fault in possible])[0] if possible else None
