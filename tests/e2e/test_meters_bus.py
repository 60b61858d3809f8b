"""Real sockets and pseudo terminals: the traps of a serial bus, each proven impossible."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from edgectl.domain.events import Event, MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import MetersAdapter, model
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.rtu import Request
from edgectl.runtime.clock import SystemClock
from hwsim.meters.device import Device
from hwsim.meters.registers import Truth, registers_of
from hwsim.meters.rtu_server import MeterPty, MeterTunnel
from hwsim.meters.tcp_server import MeterTcpServer

KINDS = ["tcp", "pty", "tunnel"]


def own_address(address: int) -> int:
    """Every register holds something only it can hold."""
    return (address * 7919 + 13) % 65_536


def telltale() -> Device:
    return Device(lambda: {address: own_address(address) for address in range(200)})


@asynccontextmanager
async def line(kind: str, units: dict[int, Device]) -> AsyncIterator[Connection]:
    if kind == "pty":
        pty = MeterPty(units)
        pty.start()
        try:
            yield Connection(Transport.SERIAL, device=pty.device, baud=115_200)
        finally:
            await pty.stop()
    else:
        server = MeterTcpServer(units) if kind == "tcp" else MeterTunnel(units)
        port = await server.start()
        try:
            yield Connection(Transport.TCP if kind == "tcp" else Transport.RTU_OVER_TCP, "127.0.0.1", port)
        finally:
            await server.stop()


@asynccontextmanager
async def bus(kind: str, device: Device) -> AsyncIterator[Bus]:
    async with line(kind, {3: device}) as connection:
        opened = open_bus(connection)
        try:
            yield opened
        finally:
            await opened.close()


def expected(request: Request) -> tuple[int, ...]:
    return tuple(own_address(a) for a in range(request.address, request.address + request.count))


@pytest.mark.parametrize("kind", KINDS)
async def test_registers_are_read(kind: str) -> None:
    async with bus(kind, telltale()) as opened:
        for address in (0, 6, 12):
            request = Request(3, 4, address, 6)
            assert (await opened.read(request, 500)).words == expected(request)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_late_answer_is_never_the_answer_to_the_next_request(kind: str) -> None:
    device = telltale()
    async with bus(kind, device) as opened:
        await opened.read(Request(3, 4, 0, 6), 500)
        device.faults.add("late")
        device.late_s = 0.25
        assert (await opened.read(Request(3, 4, 6, 6), 80)).words is None
        device.faults.clear()
        request = Request(3, 4, 12, 6)
        assert (await opened.read(request, 500)).words in {expected(request), None}
        assert (await opened.read(request, 500)).words == expected(request)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_read_leaves_nothing_behind(kind: str) -> None:
    device = telltale()
    async with bus(kind, device) as opened:
        await opened.read(Request(3, 4, 0, 6), 500)
        device.faults.add("late")
        device.late_s = 0.1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await opened.read(Request(3, 4, 6, 6), 500)
        device.faults.clear()
        request = Request(3, 4, 12, 6)
        assert (await opened.read(request, 500)).words == expected(request)


@pytest.mark.parametrize("kind", ["pty", "tunnel"])
async def test_noise_before_an_answer_loses_nothing(kind: str) -> None:
    device = telltale()
    device.faults.add("noise")
    async with bus(kind, device) as opened:
        request = Request(3, 4, 6, 6)
        assert (await opened.read(request, 500)).words == expected(request)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["wrong-length", "wrong-function", "wrong-unit", "truncated", "silent"])
async def test_an_answer_that_does_not_fit_is_never_taken_and_the_bus_recovers(kind: str, fault: str) -> None:
    device = telltale()
    async with bus(kind, device) as opened:
        device.faults.add(fault)
        request = Request(3, 4, 6, 6)
        answer = await opened.read(request, 100)
        assert answer.words is None
        assert answer.reason
        device.faults.clear()
        assert (await opened.read(request, 500)).words == expected(request)


@pytest.mark.parametrize("rest", [0, 6])
async def test_an_answer_with_a_late_one_in_it_is_not_taken(rest: int) -> None:
    """Unit, function, length and number are right, and some words are those of another request: whether it completes a torn
    answer, or comes in the middle of one that is sent byte by byte (of whose rest nothing is waited for)."""
    late = b""

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal late
        with suppress(asyncio.IncompleteReadError):
            while asked := await reader.readexactly(12):
                address, count = int.from_bytes(asked[8:10]), int.from_bytes(asked[10:12])
                words = b"".join(own_address(one).to_bytes(2) for one in range(address, address + count))
                frame = asked[:4] + (3 + len(words)).to_bytes(2) + asked[6:8] + bytes([len(words)]) + words
                if not late:
                    late = frame
                else:
                    writer.write((frame[: -len(late) - rest] + late + frame[-len(late) - rest :])[: len(frame)])
        writer.close()

    server = await asyncio.start_server(gateway, "127.0.0.1", 0)
    opened = open_bus(Connection(Transport.TCP, "127.0.0.1", server.sockets[0].getsockname()[1]))
    try:
        assert (await opened.read(Request(3, 3, 0, 4), 100)).reason == "timeout"
        answer = await opened.read(Request(3, 3, 40, 20), 5_000)
        assert (answer.words, answer.reason) == (None, "damaged-answer")
    finally:
        await opened.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there_is_a_reason_not_an_error(kind: str) -> None:
    connection = {
        "tcp": Connection(Transport.TCP, "127.0.0.1", 1),
        "pty": Connection(Transport.SERIAL, device="/dev/ttyNOBODY"),
        "tunnel": Connection(Transport.RTU_OVER_TCP, "127.0.0.1", 1),
    }[kind]
    opened = open_bus(connection)
    assert (await opened.read(Request(1, 3, 0, 1), 100)).reason
    await opened.close()


@pytest.mark.timeout(60)
async def test_thousands_of_faulty_transactions_yield_no_wrong_word() -> None:
    rng = random.Random(5)
    device = telltale()
    faults = ["truncated", "noise", "wrong-unit", "wrong-function", "wrong-length", "damaged", "doubled", "busy"]
    good = 0
    async with bus("tunnel", device) as opened:
        for _ in range(1_500):
            device.faults = {rng.choice(faults)} if rng.random() < 0.02 else set()
            request = Request(3, 4, rng.randrange(0, 150), rng.randrange(1, 20))
            answer = await opened.read(request, 40)
            if answer.words is not None:
                good += 1
                assert answer.words == expected(request)
    assert good > 1_300


class Collected:
    """An inbox that can be waited on."""

    def __init__(self) -> None:
        self.readings: list[MeterReading] = []
        self._more = asyncio.Event()

    def put(self, event: Event) -> None:
        assert isinstance(event, MeterRead)
        self.readings.append(event.reading)
        self._more.set()

    async def until(self, meter: str, quality: Quality) -> MeterReading:
        async with asyncio.timeout(20):
            while True:
                found = [r for r in self.readings if r.meter == meter and r.quality is quality]
                if found:
                    return found[-1]
                self._more.clear()
                await self._more.wait()


def meter(name: str, connection: Connection, unit: int, **more: object) -> MeterConnection:
    return MeterConnection(MeterId(name), connection, unit, "eastron-sdm630", interval_ms=100, timeout_ms=100, **more)  # type: ignore[arg-type]


def sdm(amps: float) -> Device:
    return Device(lambda: registers_of(model("eastron-sdm630"), Truth((amps, amps, amps))), max_registers=80)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_poller_reads_loses_and_finds_a_meter_while_its_neighbour_goes_on(kind: str) -> None:
    first, second = sdm(10.0), sdm(20.0)
    async with line(kind, {1: first, 2: second}) as connection:
        inbox = Collected()
        adapter = MetersAdapter(
            (meter("first", connection, 1), meter("second", connection, 2)), frozenset(), inbox, SystemClock(), random.Random(1)
        )
        task = asyncio.create_task(adapter.run())
        assert (await inbox.until("first", Quality.GOOD)).current_ma == Phases.uniform(10_000)
        assert (await inbox.until("second", Quality.GOOD)).current_ma == Phases.uniform(20_000)
        first.faults.add("silent")
        assert (await inbox.until("first", Quality.NO_VALUE)).reason == "timeout"
        inbox.readings.clear()
        assert (await inbox.until("second", Quality.GOOD)).current_ma == Phases.uniform(20_000)
        first.faults.clear()
        inbox.readings.clear()
        assert (await inbox.until("first", Quality.GOOD)).current_ma == Phases.uniform(10_000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
