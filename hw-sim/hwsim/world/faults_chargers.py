"""Faults of one charger: what it makes of its limits, and whether it is there at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwsim.models import personalities
from hwsim.models.ocpp2 import FAULTS_20, Station20
from hwsim.models.stations import Station
from hwsim.world.faults import Excuse, Play, fault

if TYPE_CHECKING:
    from hwsim.station.client import StationClient
    from hwsim.world.site import World

FLAPS_S = 9.0


@contextmanager
def disorder(station: Station, *names: str) -> Iterator[None]:
    """A healthy charger has these faults for a while."""
    before = station.faults
    _set(station, before | set(names))
    try:
        yield
    finally:
        _set(station, station.faults - (set(names) - before))


def _choose(world: World, rng: random.Random, *names: str) -> Station:
    """A charger that can have these faults."""
    able = [
        s for s in world.stations if all(n in (FAULTS_20 if isinstance(s, Station20) else personalities.FAULTS) for n in names)
    ]
    return _afflicted(world, rng.choice(able))


def _afflicted(world: World, station: Station) -> Station:
    world.judge.afflict(station.identity)
    return station


def _client(world: World, rng: random.Random) -> StationClient:
    client = rng.choice(world.clients)
    _afflicted(world, client.station)
    return client


def _set(station: Station, faults: frozenset[str]) -> None:
    station.faults = faults
    for evse in station.evses.values():
        evse.faults = faults
    if isinstance(station, Station20):
        station.wire.set_faults(faults)


def _odd(words: str, item: int, *names: str, excuse: Excuse = Excuse.NONE) -> Play:
    """One charger has the named faults for some minutes."""

    async def play(world: World, rng: random.Random, seconds: float) -> None:
        station = _choose(world, rng, *names)
        with disorder(station, *names):
            await asyncio.sleep(seconds)

    play.__name__ = "charger_" + names[0].replace("-", "_")
    return fault(words, item, lasts_s=(60, 400), excuse=excuse)(play)


_odd("rejects every profile", 23, "reject-profiles")
_odd("answers profiles with CALLERROR", 23, "callerror-profiles")
_odd("never answers a profile", 24, "mute-profiles")
_odd("never answers anything", 24, "mute")
_odd("follows a new limit after 30 s", 25, "obey-late", excuse=Excuse.DISOBEYS)
_odd("answers after eight seconds", 4, "slow")
_odd("has room for two profiles, and refuses a third", 35, "profile-table-full")
_odd("tells that nothing is plugged in, for a second in the middle of a session", 34, "phantom-plugs")
_odd("tells that it charges while it is paused", 34, "charging-at-zero")
_odd("draws a tenth more than it was allowed", 26, "overdraw", excuse=Excuse.DISOBEYS)
_odd("knows whole amps only", 27, "whole-amps")
_odd("cannot pause", 27, "zero-is-six", excuse=Excuse.DISOBEYS)
_odd("tells the current of one phase, and draws on all", 31, "one-phase-values")
_odd("tells energy and power only", 30, "no-currents")


@fault("accepts profiles, ignores them and gives all it has", 22, lasts_s=(60, 400), excuse=Excuse.DISOBEYS)
async def charger_ignores(world: World, rng: random.Random, seconds: float) -> None:
    station = _afflicted(world, rng.choice(world.stations))
    with disorder(station, "ignore-profiles"):
        station.profiles.forget(keep_persistent=False)
        await asyncio.sleep(seconds)


@fault("loses its link, forgets all its limits with it and gives all it has", 2, 35, lasts_s=(20, 90), excuse=Excuse.DISOBEYS)
async def charger_forgets_offline(world: World, rng: random.Random, seconds: float) -> None:
    station = _choose(world, rng, "forget-on-disconnect")
    client = next(one for one in world.clients if one.station is station)
    with disorder(station, "forget-on-disconnect"):
        client.is_powered = False
        await client.cut()
        await asyncio.sleep(seconds)
        client.is_powered = station.is_powered
        await asyncio.sleep(60)


@fault("loses its power and has it back", 21, lasts_s=(5, 120))
async def charger_power_cut(world: World, rng: random.Random, seconds: float) -> None:
    client = _client(world, rng)
    client.power_off()
    await asyncio.sleep(seconds)
    client.power_on()


@fault("has forgotten all profiles when its power is back", 21, 35, lasts_s=(5, 60), excuse=Excuse.DISOBEYS)
async def charger_forgets(world: World, rng: random.Random, seconds: float) -> None:
    client = _client(world, rng)
    with disorder(client.station, "forget-on-reboot"):
        client.power_off()
        await asyncio.sleep(seconds)
        client.power_on()


@fault("boots again and again", 36, lasts_s=(30, 150))
async def boot_flapping(world: World, rng: random.Random, seconds: float) -> None:
    client = _client(world, rng)
    end_s = world.loop.time() + seconds
    while world.loop.time() < end_s:
        client.power_off()
        await asyncio.sleep(2)
        client.power_on()
        await asyncio.sleep(FLAPS_S)


@fault("its clock is hours off", 32, lasts_s=(60, 600))
async def charger_clock_off(world: World, rng: random.Random, seconds: float) -> None:
    station = _afflicted(world, rng.choice(world.stations))
    by_s = rng.choice([-7_200.0, -90.0, 90.0, 7_200.0])
    station.set_clock(by_s)
    await asyncio.sleep(seconds)
    station.set_clock(-by_s)
