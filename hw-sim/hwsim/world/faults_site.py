"""Faults of the meter, the backend and the gateway itself."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING

from edgectl.domain.time import iso
from hwsim.world.faults import Excuse, Play, fault

if TYPE_CHECKING:
    from hwsim.world.site import World

BREATHES_S = 0.05
"""A starved process runs for so long now and then."""


# --- the guard meter ----------------------------------------------------------------------------------------------------


def _meter(words: str, item: int, name: str, excuse: Excuse = Excuse.NONE) -> Play:
    """The guard meter has this fault for a while."""

    async def play(world: World, rng: random.Random, seconds: float) -> None:
        world.meter.faults.add(name)
        await asyncio.sleep(seconds)
        world.meter.faults.discard(name)

    play.__name__ = "meter_" + name.replace("-", "_")
    return fault(words, item, lasts_s=(1, 60), excuse=excuse)(play)


_meter("does not answer", 38, "dead")
_meter("has no value", 45, "not-a-number")
_meter("has every other answer spoilt on the wire", 39, "garbled")
_meter("tells the words of a number the wrong way round", 44, "words-swapped")
_meter("repeats its last value", 41, "frozen", Excuse.LIES)
_meter("tells export for import", 42, "sign-flipped", Excuse.LIES)
_meter("tells each phase's current as another's", 43, "phase-rotated", Excuse.LIES)
_meter("has lost a phase", 49, "phase-lost", Excuse.LIES)


@fault("the meter is read every five seconds", 48, lasts_s=(20, 90))
async def meter_slow(world: World, rng: random.Random, seconds: float) -> None:
    world.meter.period_s, world.meter.delay_s = 5.0, 2.0
    await asyncio.sleep(seconds)
    world.meter.period_s, world.meter.delay_s = 1.0, 0.3


@fault("the meter tells what was two seconds ago", 40, lasts_s=(20, 90))
async def meter_late(world: World, rng: random.Random, seconds: float) -> None:
    world.meter.delay_s = 2.0
    await asyncio.sleep(seconds)
    world.meter.delay_s = 0.3


# --- broker and backend -------------------------------------------------------------------------------------------------


@fault("the broker is gone", 50, lasts_s=(5, 300))
async def broker_down(world: World, rng: random.Random, seconds: float) -> None:
    world.broker.go_down()
    await asyncio.sleep(seconds)
    world.broker.come_up()


@fault("the backend sends no receipts", 51, lasts_s=(10, 200))
async def receipts_missing(world: World, rng: random.Random, seconds: float) -> None:
    world.backend.sends_receipts = False
    await asyncio.sleep(seconds)
    world.backend.sends_receipts = True


@fault("the broker acknowledges, then loses", 52, lasts_s=(10, 200))
async def acknowledged_lost(world: World, rng: random.Random, seconds: float) -> None:
    world.broker.loses_acknowledged = 0.5
    await asyncio.sleep(seconds)
    world.broker.loses_acknowledged = 0.0


@fault("messages of the broker come twice", 53, lasts_s=(10, 200))
async def delivered_twice(world: World, rng: random.Random, seconds: float) -> None:
    world.broker.duplicates = 0.5
    await asyncio.sleep(seconds)
    world.broker.duplicates = 0.0


WISHES_MA = (0, 1, 5_999, 6_000, 20_000, 60_000, 1_000_000_000, 2**63, -16_000)


@fault("the backend sets limits: none at all, next to nothing, more than there is, less than nothing", 55, 58, lasts_s=(20, 120))
async def backend_limits(world: World, rng: random.Random, seconds: float) -> None:
    now = world.clock.now()
    target = rng.choice([{"circuit": "grid"}, {"circuit": "hall"}, {"charger": rng.choice(world.stations).identity}])
    command = {
        "id": f"limit-{now.utc_ms}",
        "issued_at": iso(now.utc_ms),
        "expires_at": iso(now.utc_ms + 10_000),
        "actor": "tester",
        "args": {**target, "current_ma": rng.choice(WISHES_MA), "for_s": max(1, round(seconds))},
    }
    topic, payload = "edgectl/v1/sim/cmd/set-limit", json.dumps(command).encode()
    world.broker.publish(topic, payload)
    await asyncio.sleep(seconds)
    world.broker.publish(topic, payload)  # long expired
    await asyncio.sleep(1)


# --- the gateway --------------------------------------------------------------------------------------------------------


@fault("the disk takes long", 63)
async def disk_slow(world: World, rng: random.Random, seconds: float) -> None:
    world.disk.sync_ms = rng.choice([50, 400, 3000])
    await asyncio.sleep(seconds)
    world.disk.sync_ms = 3


@fault("the disk does not answer", 63, lasts_s=(3, 20))
async def disk_stalled(world: World, rng: random.Random, seconds: float) -> None:
    world.disk.is_stalled = True
    await asyncio.sleep(seconds)
    world.disk.is_stalled = False


@fault("the disk is full", 61)
async def disk_full(world: World, rng: random.Random, seconds: float) -> None:
    world.disk.is_full = True
    await asyncio.sleep(seconds)
    world.disk.is_full = False


@fault("the gateway's clock is stepped", 65, lasts_s=(10, 120))
async def clock_stepped(world: World, rng: random.Random, seconds: float) -> None:
    by_ms = rng.choice([-3_600_000, 3_600_000, 1_500, -1_500])
    world.clock.step_wall(by_ms)
    await asyncio.sleep(seconds)
    world.clock.step_wall(-by_ms)


@fault("the daemon is killed, and started again", 59, lasts_s=(1, 15), excuse=Excuse.UNTOLD)
async def daemon_killed(world: World, rng: random.Random, seconds: float) -> None:
    if world.daemon is None:
        return
    await world.kill_daemon()
    await asyncio.sleep(seconds)
    await world.start_daemon()


@fault("the daemon is stopped for a while, and goes on", 66, lasts_s=(2, 60), excuse=Excuse.UNTOLD)
async def daemon_paused(world: World, rng: random.Random, seconds: float) -> None:
    process = world.process
    world.loop.freeze(process)
    await asyncio.sleep(seconds)
    world.loop.thaw(process)


@fault("the daemon gets little of the processor", 67, lasts_s=(10, 60), slows=True)
async def processor_starved(world: World, rng: random.Random, seconds: float) -> None:
    process = world.process
    end_s = world.loop.time() + seconds
    while world.loop.time() < end_s and process == world.process:
        world.loop.freeze(process)
        await asyncio.sleep(rng.uniform(0.2, 1.5))
        world.loop.thaw(process)
        await asyncio.sleep(BREATHES_S)


@fault("a reload of a file that is wrong", 72, lasts_s=(0, 0))
async def reload_refused(world: World, rng: random.Random, seconds: float) -> None:
    if world.daemon is not None:
        has_reloaded, lines = await world.daemon.reload_from_file()
        if has_reloaded or not lines:
            world.judge.broken("a file full of mistakes was taken")
    await asyncio.sleep(seconds)
