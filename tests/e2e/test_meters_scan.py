"""The scan over real sockets and a real pseudo terminal: whoever is planted is found, and nothing but reads is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edgectl.domain.settings import Connection, Transport
from edgectl.meters.tools.lines import LineError
from edgectl.meters.tools.scan import Finding, ScanReport, scan
from hwsim.meters.device import Device
from hwsim.meters.p1 import DIALECTS, P1Meter, P1Pty
from hwsim.meters.registers import Truth
from hwsim.meters.rtu_server import MeterPty, MeterTunnel
from hwsim.meters.tcp_server import MeterTcpServer
from hwsim.meters.twins import TwinLine

KINDS = ["tcp", "pty", "tunnel"]
FUNCTIONS: set[int] = set()


class Listening(Device):
    """A device that notes which functions it was asked for."""

    def answer(self, function: int, address: int, count: int) -> bytes:
        self.asked.add(function)
        return super().answer(function, address, count)

    @property
    def asked(self) -> set[int]:
        return FUNCTIONS


def device(value: int = 1) -> Device:
    return Listening(lambda: dict.fromkeys(range(100), value))


@asynccontextmanager
async def line(kind: str, units: dict[int, Device]) -> AsyncIterator[Connection]:
    if kind == "pty":
        pty = MeterPty(units)
        pty.start()
        try:
            yield Connection(Transport.SERIAL, device=pty.device, baud=115_200)
        finally:
            await pty.stop()
        return
    server = MeterTcpServer(units) if kind == "tcp" else MeterTunnel(units)
    port = await server.start()
    try:
        yield Connection(Transport.TCP if kind == "tcp" else Transport.RTU_OVER_TCP, "127.0.0.1", port)
    finally:
        await server.stop()


async def scanned(connection: Connection, units: range) -> ScanReport:
    async with asyncio.timeout(60):
        return await scan(connection, units, lambda _: None)


def answering(report: ScanReport) -> list[int]:
    return [found.unit for found in report.found if found.finding is Finding.ANSWERS]


@pytest.mark.parametrize("kind", KINDS)
async def test_planted_units_are_found_by_reads_alone(kind: str) -> None:
    FUNCTIONS.clear()
    async with line(kind, {3: device(), 7: device(), 9: device()}) as connection:
        report = await scanned(connection, range(1, 13))
    assert answering(report) == [3, 7, 9]
    assert (report.asked_count, report.ignores_unit, report.talks_by_itself) == (12, False, False)
    assert {3, 4} >= FUNCTIONS


@pytest.mark.parametrize("kind", ["tcp", "pty"])
async def test_a_unit_that_refuses_is_there(kind: str) -> None:
    busy = device()
    busy.faults.add("busy")
    async with line(kind, {2: busy}) as connection:
        assert answering(await scanned(connection, range(1, 4))) == [2]


@pytest.mark.parametrize("kind", ["tcp", "pty"])
async def test_a_unit_that_answers_after_its_turn_is_found_all_the_same(kind: str) -> None:
    slow = device()
    slow.faults.add("late")
    slow.late_s = 0.35
    async with line(kind, {4: slow, 6: device()}) as connection:
        assert answering(await scanned(connection, range(3, 8))) == [4, 6]


async def test_two_units_with_one_number_are_told_from_one_and_from_none() -> None:
    pty = MeterPty({5: device(0x1234), 8: device()})
    pty.line = TwinLine(pty.line.units, {5: device(0xAA55)}, pty._write)
    pty.start()
    try:
        report = await scanned(Connection(Transport.SERIAL, device=pty.device, baud=115_200), range(4, 10))
    finally:
        await pty.stop()
    assert [(found.unit, found.finding) for found in report.found] == [(5, Finding.SHARED), (8, Finding.ANSWERS)]
    assert report.stray_count > 0


async def test_a_unit_heard_twice_each_time_is_shared() -> None:
    double = device()
    double.faults.add("doubled")
    async with line("tunnel", {5: double}) as connection:
        report = await scanned(connection, range(4, 7))
    assert [(found.unit, found.finding) for found in report.found] == [(5, Finding.SHARED)]


async def test_a_device_that_answers_to_every_number_is_one_device() -> None:
    one = device()
    async with line("tcp", dict.fromkeys(range(1, 11), one)) as connection:
        report = await scanned(connection, range(1, 11))
    assert report.ignores_unit
    assert answering(report) == [1]


async def test_a_port_that_talks_by_itself_is_noticed() -> None:
    port = P1Pty(P1Meter(lambda: Truth((1.0, 1.0, 1.0)), DIALECTS["dsmr-5"]), 0.3)
    port.start()
    try:
        report = await scanned(Connection(Transport.SERIAL, device=port.device, baud=115_200), range(1, 3))
    finally:
        await port.stop()
    assert report.talks_by_itself
    assert (report.found, report.asked_count) == ((), 0)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (Connection(Transport.TCP, "127.0.0.1", 1), "refuses the connection"),
        (Connection(Transport.SERIAL, device="/dev/ttyNOBODY"), "cannot be opened"),
    ],
)
async def test_a_line_that_is_not_there_is_told_in_words(connection: Connection, words: str) -> None:
    with pytest.raises(LineError, match=words):
        await scanned(connection, range(1, 3))
