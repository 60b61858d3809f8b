"""Readings for people: once, or as they come, by the very readers the daemon uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from random import Random

from edgectl.domain.events import Event, MeterRead, MeterReading, Quality
from edgectl.domain.settings import P1_MODEL, Connection, MeterConnection
from edgectl.domain.units import Millis
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.p1 import P1Reader
from edgectl.meters.readers import SiteMeters
from edgectl.meters.rtu import Answer, Request
from edgectl.meters.tools.tapped import TappedBus
from edgectl.ports import Clock

MODBUS_MS: Millis = 5_000
P1_MS: Millis = 25_000
"""Two telegrams of the slowest port."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One reading, and what went over the line for it."""

    reading: MeterReading | None
    """None: nothing came in time."""
    exchanges: tuple[tuple[Request, Answer], ...] = ()
    lines: tuple[str, ...] = ()
    """A P1 port's telegram."""


class _Told:
    def __init__(self, tell: Callable[[MeterReading], None]) -> None:
        self._tell = tell

    def put(self, event: Event) -> None:
        if isinstance(event, MeterRead):
            self._tell(event.reading)


async def sample(connection: MeterConnection, clock: Clock, random: Random) -> Sampled:
    """One reading with all it can say; without a value when there is none in time."""
    readings: asyncio.Queue[MeterReading] = asyncio.Queue()
    if connection.model == P1_MODEL:
        port = P1Reader(connection, readings.put_nowait, clock)
        reading = await _best(port.run, readings, P1_MS)
        return Sampled(reading, lines=_lines(port))
    taps: list[TappedBus] = []

    def tapped(bus: Connection) -> Bus:
        taps.append(TappedBus(open_bus(bus)))
        return taps[-1]

    adapter = SiteMeters((connection,), frozenset(), _Told(readings.put_nowait), clock, random, buses=tapped)
    reading = await _best(adapter.run, readings, MODBUS_MS)
    return Sampled(reading, tuple(exchange for tap in taps for exchange in tap.exchanges))


async def follow(meters: Iterable[MeterConnection], tell: Callable[[MeterReading], None], clock: Clock, random: Random) -> None:
    """Every reading of every meter, until cancelled."""
    await SiteMeters(tuple(meters), frozenset(), _Told(tell), clock, random).run()


async def _best(
    run: Callable[[], Coroutine[None, None, None]], readings: asyncio.Queue[MeterReading], within_ms: Millis
) -> MeterReading | None:
    """The first good reading with energy, else the last good one, else the last."""
    task = asyncio.create_task(run())
    found: MeterReading | None = None
    try:
        async with asyncio.timeout(within_ms / 1000):
            while True:
                reading = await readings.get()
                if found is None or reading.quality is Quality.GOOD or found.quality is not Quality.GOOD:
                    found = reading
                if reading.quality is Quality.GOOD and reading.energy_import_wh is not None:
                    return reading
    except TimeoutError:
        return found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _lines(port: P1Reader) -> tuple[str, ...]:
    telegram = port.telegram
    if telegram is None:
        return ()
    return (f"/{telegram.ident}", *(f"{code}({')('.join(found)})" for code, found in telegram.objects.items()))
