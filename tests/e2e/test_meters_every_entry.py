"""Every catalogue entry over real sockets: its generated device, with all its rules enforced, read by the real poller."""

from __future__ import annotations

import asyncio
import random
from functools import cache

import pytest

from edgectl.domain.events import Event, MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import MetersAdapter, model
from edgectl.meters.catalogue import entry_names
from edgectl.runtime.clock import SystemClock
from hwsim.meters.device import Device
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth
from hwsim.meters.rtu_server import MeterPty, MeterTunnel
from hwsim.meters.tcp_server import MeterTcpServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
IMPORT = Truth((12.5, 7.25, 31.0), (229.0, 231.5, 230.0), 0.97, 123_400.0, 56_700.0)
EXPORT = Truth((-12.5, -7.25, -31.0), (229.0, 231.5, 230.0), 0.97, 123_400.0, 56_700.0)


@cache
def entries() -> tuple[str, ...]:
    """Those that measure currents; read when a test runs, as every collection of tests would read the whole catalogue."""
    return tuple(name for name in sorted(entry_names()) if model(name).has_phase_currents)


class Readings:
    """The latest reading of each meter; can be waited on."""

    def __init__(self) -> None:
        self.latest: dict[str, MeterReading] = {}
        self._more = asyncio.Event()

    def put(self, event: Event) -> None:
        assert isinstance(event, MeterRead)
        self.latest[event.reading.meter] = event.reading
        self._more.set()

    async def until_all(self, truth: Truth) -> None:
        """Every meter says what is true."""
        missing = set(entries())
        try:
            async with asyncio.timeout(120):
                while missing := {name for name in missing if not self._is_said(name, truth)}:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"never right: { {name: self.latest.get(name) for name in sorted(missing)} }") from None

    def _is_said(self, name: str, truth: Truth) -> bool:
        one, reading = model(name), self.latest.get(name)
        if reading is None or reading.quality is not Quality.GOOD or reading.current_ma is None or reading.energy_mono_ms is None:
            return False
        has_direction = one.has_signed_current or not {"p", "p_imp"}.isdisjoint(one.points)
        amps = [amp if has_direction else abs(amp) for amp in truth.current_a[: one.phase_count]]
        is_right = all(abs(said - 1000 * amp) <= 12 for said, amp in zip(reading.current_ma, amps, strict=False))
        has_energy = "e_imp" not in one.points or abs((reading.energy_import_wh or 0) - truth.import_wh) <= 1_000
        return is_right and has_energy


async def start(kind: str, units: dict[int, Device]) -> tuple[Connection, MeterTcpServer | MeterTunnel | MeterPty]:
    if kind == "pty":
        pty = MeterPty(units)
        pty.start()
        return Connection(Transport.SERIAL, device=pty.device, baud=115_200), pty
    server = MeterTcpServer(units) if kind == "tcp" else MeterTunnel(units)
    port = await server.start()
    return Connection(Transport.TCP if kind == "tcp" else Transport.RTU_OVER_TCP, "127.0.0.1", port), server


@pytest.mark.parametrize("kind", ["tcp", "tunnel", "pty"])
async def test_every_entry_is_read_in_both_directions(kind: str) -> None:
    now = {"truth": IMPORT}
    loop = asyncio.get_running_loop()
    devices = {
        number: device_of(model(name), lambda: now["truth"], seconds=loop.time) for number, name in enumerate(entries(), start=1)
    }
    connection, server = await start(kind, devices)
    meters = tuple(
        MeterConnection(MeterId(name), connection, number, name, timeout_ms=2_000)
        for number, name in enumerate(entries(), start=1)
    )
    readings = Readings()
    task = asyncio.create_task(MetersAdapter(meters, frozenset(), readings, SystemClock(), random.Random(1)).run())
    try:
        await readings.until_all(IMPORT)
        now["truth"] = EXPORT
        await readings.until_all(EXPORT)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()
    assert {name: device.refusals for name, device in zip(entries(), devices.values(), strict=True) if device.refusals} == {}
