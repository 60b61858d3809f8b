"""What a serial line's time is used for: the real poller and RTU master in virtual time, on a line as slow as a real one."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import serial_asyncio

from edgectl.domain.events import Event, MeterRead, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import MetersAdapter, model
from edgectl.meters.unit import SLOW_EVERY
from hwsim.campaigns.promises import quiet_logs
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth
from hwsim.meters.timed_line import TimedLine
from hwsim.world.clock import VirtualClock
from hwsim.world.loop import VirtualLoop
from hwsim.world.network import Link, Network

MODEL = "eastron-sdm630"
REGISTERS, SLOW_REGISTERS = 18, 24
PORT = 502


class Line(asyncio.Protocol):
    """The far end of the line."""

    def __init__(self, baud: int, count: int) -> None:
        units = {n: device_of(model(MODEL), lambda: Truth((10.0, 11.0, 12.0))) for n in range(1, count + 1)}
        self.timed = TimedLine(units, self._write, baud)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.timed.receive(data)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)


class Readings:
    """When each meter was read."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.times_s: dict[str, list[float]] = {}

    def put(self, event: Event) -> None:
        if isinstance(event, MeterRead) and event.reading.quality is Quality.GOOD:
            self.times_s.setdefault(event.reading.meter, []).append(self._loop.time())

    def count(self, begin_s: float, end_s: float) -> int:
        return sum(begin_s <= time_s < end_s for times in self.times_s.values() for time_s in times)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyserial-asyncio opens a file descriptor; in virtual time the line is a connection in memory."""

    async def connect(loop: Any, factory: Any, _device: str, **_options: Any) -> Any:
        return await loop.create_connection(factory, "127.0.0.1", PORT)

    monkeypatch.setattr(serial_asyncio, "create_serial_connection", connect)


def play(
    count: int, baud: int, interval_ms: int, seconds: float, dead: dict[int, tuple[float, float]] | None = None
) -> tuple[Readings, Line]:
    """A line for so long; ``dead`` says from when to when a unit is silent."""
    network = Network(random.Random(1), links={PORT: Link(latency_us=0, jitter_us=0)})
    loop = VirtualLoop(network)  # type: ignore[abstract]
    line, readings = Line(baud, count), Readings(loop)

    async def work() -> None:
        await loop.create_server(lambda: line, "127.0.0.1", PORT)
        connection = Connection(Transport.SERIAL, device="/dev/ttyS0", baud=baud)
        adapter = MetersAdapter(
            tuple(MeterConnection(MeterId(f"m{n}"), connection, n, MODEL, interval_ms=interval_ms) for n in line.timed.units),
            frozenset({MeterId("m1")}),
            readings,
            VirtualClock(loop),
            random.Random(1),
        )
        for unit, (begin_s, end_s) in (dead or {}).items():
            loop.call_at(begin_s, line.timed.silent.add, unit)
            loop.call_at(end_s, line.timed.silent.discard, unit)
        task = loop.create_task(adapter.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with quiet_logs():
        loop.run_until_complete(work())
    return readings, line


@pytest.mark.parametrize(("count", "baud"), [(10, 9_600), (20, 19_200)])
def test_nine_tenths_of_the_line_are_put_to_use(in_memory: None, count: int, baud: int) -> None:
    readings, line = play(count, baud, 100, 60)
    # Each tenth reading is followed by totals, frequency and energy.
    bound_s = line.timed.bound_s(REGISTERS) + line.timed.bound_s(SLOW_REGISTERS) / SLOW_EVERY
    efficiency = readings.count(10, 60) / 50 * bound_s
    assert efficiency >= 0.90, efficiency


def test_ten_meters_are_read_each_second_at_9600_baud(in_memory: None) -> None:
    readings, _ = play(10, 9_600, 1_000, 60)
    assert all(len([t for t in times if 10 <= t < 60]) >= 49 for times in readings.times_s.values())


def test_a_dead_one_among_ten_costs_a_twentieth_and_is_back_within_five_seconds_of_repair(in_memory: None) -> None:
    alive, _ = play(10, 9_600, 100, 100)
    readings, _ = play(10, 9_600, 100, 100, dead={7: (0.0, 90.0)})
    cost = 1 - readings.count(30, 90) / alive.count(30, 90)
    assert cost <= 0.05, cost
    assert min(readings.times_s["m7"]) <= 95.0
