"""Faults of the way to the chargers: all links at once, or one charger's own."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from hwsim.station.client import StationClient
from hwsim.world.faults import OCPP_PORT, Excuse, fault
from hwsim.world.network import Link

if TYPE_CHECKING:
    from hwsim.world.site import World

FLOOD_COUNT = 400


def _all(world: World) -> Link:
    return world.network.link(OCPP_PORT)


async def _linked(world: World, rng: random.Random) -> StationClient:
    """One charger that has a link; waited for."""
    while not (able := [client for client in world.clients if client.transport is not None]):  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(1)
    client = rng.choice(able)
    world.judge.afflict(client.station.identity)
    return client


async def _own(world: World, rng: random.Random) -> Link:
    client = await _linked(world, rng)
    return world.network.own_link(client.transport)


@fault("every link is reset, or some", 1, 6, lasts_s=(0, 0), slows=True)
async def links_reset(world: World, rng: random.Random, seconds: float) -> None:
    world.network.reset(OCPP_PORT, chance=rng.choice([0.1, 0.5, 1.0]))
    await asyncio.sleep(seconds)


@fault("power returns: all chargers boot at once", 6, 36, lasts_s=(2, 30), excuse=Excuse.UNTOLD)
async def reconnect_storm(world: World, rng: random.Random, seconds: float) -> None:
    off = [client for client in world.clients if client.is_powered]
    for client in off:
        client.power_off()
    await asyncio.sleep(seconds)
    for client in off:
        client.power_on()


@fault("half-open: what is written to or by any charger is lost", 2, 13, lasts_s=(2, 90), excuse=Excuse.UNTOLD)
async def links_half_open(world: World, rng: random.Random, seconds: float) -> None:
    _all(world).is_silent = True
    await asyncio.sleep(seconds)
    _all(world).is_silent = False


@fault("nothing arrives for a while, then all of it", 10, lasts_s=(1, 20), excuse=Excuse.UNTOLD)
async def links_stalled(world: World, rng: random.Random, seconds: float) -> None:
    link = _all(world)
    link.is_stalled = True
    await asyncio.sleep(seconds)
    world.network.release(link)


@fault("every message takes half a second or one", 4, slows=True)
async def links_slow(world: World, rng: random.Random, seconds: float) -> None:
    link = _all(world)
    link.latency_us, link.jitter_us = 400_000, 600_000
    await asyncio.sleep(seconds)
    link.latency_us, link.jitter_us = 500, 500


@fault("one byte at a time", 7, slows=True)
async def links_dribble(world: World, rng: random.Random, seconds: float) -> None:
    _all(world).is_dribbling = True
    await asyncio.sleep(seconds)
    _all(world).is_dribbling = False


@fault("no charger hears edgectl, but edgectl hears all", 14, lasts_s=(5, 60), excuse=Excuse.UNTOLD)
async def links_deaf(world: World, rng: random.Random, seconds: float) -> None:
    _all(world).is_server_unheard = True
    await asyncio.sleep(seconds)
    _all(world).is_server_unheard = False


@fault("links stall one after the other, then all that waited arrives in another order", 15, lasts_s=(5, 30), slows=True)
async def links_clogged(world: World, rng: random.Random, seconds: float) -> None:
    able = [client for client in world.clients if client.transport is not None]
    clogged = [world.network.own_link(client.transport) for client in rng.sample(able, k=len(able))]
    for link in clogged:
        link.is_stalled = True
        await asyncio.sleep(seconds / (2 * len(clogged)))
    for link in rng.sample(clogged, k=len(clogged)):
        world.network.release(link)
        await asyncio.sleep(seconds / (2 * len(clogged)))


@fault("one charger's link is half-open", 2, 13, lasts_s=(20, 120))
async def one_half_open(world: World, rng: random.Random, seconds: float) -> None:
    link = await _own(world, rng)
    link.is_silent = True
    await asyncio.sleep(seconds)
    link.is_silent = False


@fault("one charger does not hear edgectl, which hears it", 14, lasts_s=(20, 120))
async def one_deaf(world: World, rng: random.Random, seconds: float) -> None:
    link = await _own(world, rng)
    link.is_server_unheard = True
    await asyncio.sleep(seconds)
    link.is_server_unheard = False


@fault("one charger's answers come after any timeout", 4, lasts_s=(30, 90))
async def one_late(world: World, rng: random.Random, seconds: float) -> None:
    link = await _own(world, rng)
    link.latency_us = 16_000_000
    await asyncio.sleep(seconds)
    link.latency_us = 500


@fault("one charger does not read what it is sent", 10, lasts_s=(20, 90))
async def one_stalled_reader(world: World, rng: random.Random, seconds: float) -> None:
    client = await _linked(world, rng)
    transport = client.transport
    if transport is not None:
        transport.pause_reading()
        await asyncio.sleep(seconds)
        transport.resume_reading()


@fault("one charger's network is gone", 2, 71, lasts_s=(20, 400))
async def one_cut_off(world: World, rng: random.Random, seconds: float) -> None:
    client = await _linked(world, rng)
    client.is_powered = False
    await client.cut()
    await asyncio.sleep(seconds)
    client.is_powered = client.station.is_powered


@fault("somebody else connects as one of the chargers, and says nothing", 5, lasts_s=(10, 60))
async def duplicate_socket(world: World, rng: random.Random, seconds: float) -> None:
    station = (await _linked(world, rng)).station
    subprotocol = Subprotocol(getattr(station, "subprotocol", "ocpp1.6"))
    url = f"ws://127.0.0.1:{OCPP_PORT}/ocpp/{station.identity}"
    try:
        async with connect(url, subprotocols=[subprotocol], compression=None, ping_interval=None, close_timeout=1):
            await asyncio.sleep(seconds)
    except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake):
        return  # refused, as it may be


@fault("one charger sends hundreds of messages at once", 9, lasts_s=(5, 20))
async def message_flood(world: World, rng: random.Random, seconds: float) -> None:
    client = await _linked(world, rng)
    await client.say(f'[2,"flood-{number}","Heartbeat",{{}}]' for number in range(FLOOD_COUNT))
    await asyncio.sleep(seconds)


@fault("one charger sends a message of a megabyte, and one that is none", 8, 33, lasts_s=(1, 5))
async def huge_message(world: World, rng: random.Random, seconds: float) -> None:
    client = await _linked(world, rng)
    padding = "x" * 1_048_576
    await client.say(["[" * 5_000, f'[2,"huge","DataTransfer",{{"vendorId":"x","data":"{padding}"}}]'])
    await asyncio.sleep(seconds)
