"""A P1 port on a real pseudo terminal and behind a real bridge: read, lost, found again, not believed when it repeats itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.settings import P1_MODEL, Connection, MeterConnection, Transport
from edgectl.domain.time import Instant
from edgectl.meters.p1 import P1Reader
from edgectl.runtime.clock import SystemClock
from hwsim.meters.p1 import DIALECTS, P1Bridge, P1Meter, P1Pty
from hwsim.meters.registers import Truth

FAST_S = 0.05


class Shifted:
    """The real clock, put forward at will."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._clock = SystemClock()

    def now(self) -> Instant:
        now = self._clock.now()
        return Instant(mono_ms=now.mono_ms + self.ahead_ms, utc_ms=now.utc_ms + self.ahead_ms)


class Port:
    """A reader at work, and what it has said."""

    def __init__(self, connection: Connection) -> None:
        self.clock = Shifted()
        self.readings: asyncio.Queue[MeterReading] = asyncio.Queue()
        meter = MeterConnection(MeterId("main"), connection, 1, P1_MODEL, interval_ms=100)
        self.reader = P1Reader(meter, self.readings.put_nowait, self.clock)

    async def until(self, quality: Quality, reason: str = "") -> MeterReading:
        async with asyncio.timeout(20):
            while True:
                found = await self.readings.get()
                if found.quality is quality and found.reason == reason:
                    return found


@asynccontextmanager
async def port(connection: Connection) -> AsyncIterator[Port]:
    opened = Port(connection)
    task = asyncio.create_task(opened.reader.run())
    try:
        yield opened
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def meter(name: str = "dsmr-5", amps: float = 10.0) -> P1Meter:
    return P1Meter(lambda: Truth((amps, amps, -amps)), DIALECTS[name])


@asynccontextmanager
async def pty(source: P1Meter) -> AsyncIterator[tuple[P1Pty, Connection]]:
    line = P1Pty(source, FAST_S)
    line.start()
    try:
        yield line, Connection(Transport.SERIAL, device=line.device, baud=source.dialect.baud)
    finally:
        await line.stop()


@pytest.mark.parametrize("name", ["dsmr-4", "dsmr-5", "belgium", "luxembourg"])
async def test_a_port_on_a_serial_line_is_read(name: str) -> None:
    async with pty(meter(name)) as (_, connection), port(connection) as opened:
        assert (await opened.until(Quality.GOOD)).current_ma == Phases(10_000, 10_000, -10_000)


@pytest.mark.parametrize("name", ["dsmr-2.2", "dsmr-3"])
async def test_a_port_that_knows_only_a_total_says_so(name: str) -> None:
    async with pty(meter(name)) as (_, connection), port(connection) as opened:
        await opened.until(Quality.NO_VALUE, "no-phase-currents")


async def test_damage_and_silence_have_their_reasons_and_end() -> None:
    source = meter()
    async with pty(source) as (_, connection), port(connection) as opened:
        await opened.until(Quality.GOOD)
        source.faults = {"damaged"}
        await opened.until(Quality.NO_VALUE, "wrong-checksum")
        source.faults = {"silent"}
        await opened.until(Quality.NO_VALUE, "timeout")
        source.faults = set()
        await opened.until(Quality.GOOD)
        assert opened.reader.counters()["wrong_checksum"] >= 1


async def test_bytes_that_are_no_telegram_are_not_silence() -> None:
    source = meter()
    source.faults = {"silent"}
    async with pty(source) as (line, connection), port(connection) as opened:

        async def babble() -> None:
            while True:
                line.write(b"\x01\x02\x03")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(babble())
        await opened.until(Quality.NO_VALUE, "no-telegram")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_meter_that_repeats_itself_is_frozen() -> None:
    source = meter()
    async with pty(source) as (_, connection), port(connection) as opened:
        await opened.until(Quality.GOOD)
        source.faults = {"frozen"}
        await opened.until(Quality.GOOD)
        opened.clock.ahead_ms = 40_000
        await opened.until(Quality.NO_VALUE, "frozen")
        source.faults = set()
        await opened.until(Quality.GOOD)


async def test_another_meter_on_the_port_is_noticed() -> None:
    source = meter()
    async with pty(source) as (_, connection), port(connection) as opened:
        await opened.until(Quality.GOOD)
        source.serial = "E0099999999999999"
        async with asyncio.timeout(20):
            while not (await opened.until(Quality.GOOD)).energy_note:
                continue
        assert opened.reader.counters()["meter_replaced"] == 1


async def test_a_bridge_is_read_and_found_again_after_a_cut() -> None:
    bridge = P1Bridge(meter("belgium"), FAST_S)
    connection = Connection(Transport.TCP, "127.0.0.1", await bridge.start())
    try:
        async with port(connection) as opened:
            await opened.until(Quality.GOOD)
            bridge.cut()
            await opened.until(Quality.NO_VALUE, "connection-lost")
            assert (await opened.until(Quality.GOOD)).current_ma == Phases(10_000, 10_000, -10_000)
    finally:
        await bridge.stop()


async def test_a_pulled_adapter_is_a_reason_and_no_end() -> None:
    line = P1Pty(meter(), FAST_S)
    line.start()
    async with port(Connection(Transport.SERIAL, device=line.device, baud=115_200)) as opened:
        await opened.until(Quality.GOOD)
        await line.stop()
        async with asyncio.timeout(20):
            while True:
                reading = await opened.readings.get()
                if reading.reason in {"serial-line-gone", "connection-lost"}:
                    break


async def test_a_line_that_somebody_else_has_is_not_read_along() -> None:
    async with pty(meter()) as (_, connection), port(connection) as first:
        await first.until(Quality.GOOD)
        async with port(connection) as second:
            await second.until(Quality.NO_VALUE, "serial-line-in-use")
