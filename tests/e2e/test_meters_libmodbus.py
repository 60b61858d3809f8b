"""Against a server nobody here wrote: libmodbus, over TCP and on a serial line made of two pseudo terminals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import sys
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edgectl.domain.events import Event, MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import MetersAdapter, model
from edgectl.runtime.clock import SystemClock
from hwsim.meters.generated import identity_of
from hwsim.meters.registers import Truth, registers_of
from hwsim.tools.libmodbus import find_or_fetch_libmodbus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
UNIT = 3
TRUTH = Truth((12.5, -7.25, 31.0), (229.0, 231.5, 230.0), import_wh=123_400.0, export_wh=56_700.0)


@asynccontextmanager
async def libmodbus(name: str, *place: str) -> AsyncIterator[None]:
    """A process that holds the registers of a model."""
    find_or_fetch_libmodbus()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hwsim.tools.libmodbus", *place, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps({**identity_of(model(name)), **registers_of(model(name), TRUTH)}).encode())
        process.stdin.close()
        assert await process.stdout.readline() == b"listening\n"
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[str, str]]:
    """Two serial devices, connected."""
    loop = asyncio.get_running_loop()
    pairs = [os.openpty(), os.openpty()]
    for end in (end for pair in pairs for end in pair):
        tty.setraw(end)
    (left, _), (right, _) = pairs

    def carry(source: int, target: int) -> None:
        with contextlib.suppress(OSError):
            os.write(target, os.read(source, 4096))

    loop.add_reader(left, carry, left, right)
    loop.add_reader(right, carry, right, left)
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        loop.remove_reader(left)
        loop.remove_reader(right)
        for end in (end for pair in pairs for end in pair):
            os.close(end)


class Readings:
    """Waits for readings with a value, currents and energy."""

    def __init__(self) -> None:
        self.enough: asyncio.Future[MeterReading] = asyncio.get_running_loop().create_future()
        self.reasons: list[str] = []
        self.count = 0

    def put(self, event: Event) -> None:
        assert isinstance(event, MeterRead)
        reading = event.reading
        if reading.quality is not Quality.GOOD:
            self.reasons.append(reading.reason)
            return
        self.count += 1
        if self.count >= 20 and reading.energy_mono_ms is not None and not self.enough.done():
            self.enough.set_result(reading)


async def read(name: str, connection: Connection) -> tuple[MeterReading, list[str]]:
    readings = Readings()
    meter = MeterConnection(MeterId("m"), connection, UNIT, name, interval_ms=100)
    task = asyncio.create_task(MetersAdapter((meter,), frozenset(), readings, SystemClock(), random.Random(1)).run())
    try:
        async with asyncio.timeout(60):
            return await readings.enough, readings.reasons
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def check(reading: MeterReading) -> None:
    assert reading.current_ma is not None
    assert list(reading.current_ma) == pytest.approx([12_500, -7_250, 31_000], abs=2)
    assert (reading.energy_import_wh, reading.energy_export_wh) == (123_400, 56_700)


@pytest.mark.parametrize("name", ["eastron-sdm630", "janitza-umg604", "cg-em24-rs485"])
async def test_libmodbus_is_read_over_tcp(name: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with libmodbus(name, "tcp", str(port)):
        reading, _ = await read(name, Connection(Transport.TCP, "127.0.0.1", port))
    check(reading)


@pytest.mark.parametrize("name", ["eastron-sdm630", "cg-em24-rs485"])
async def test_libmodbus_is_read_on_a_serial_line(name: str) -> None:
    async with cable() as (ours, theirs), libmodbus(name, "rtu", theirs, str(UNIT)):
        reading, _ = await read(name, Connection(Transport.SERIAL, device=ours, baud=9_600))
    check(reading)
