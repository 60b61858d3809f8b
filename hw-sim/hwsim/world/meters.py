"""Meters of the simulated site without a bus: what the real adapter would put into the inbox, with the faults a meter can have.

The bytes on the bus have their own tests against real sockets and ptys; here it is the daemon that is tested, cheaply enough for
hours of simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from edgectl.domain.events import MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.ports import Clock, Inbox


@dataclass
class SimMeter:
    """One meter and what is wrong with it now."""

    id: MeterId
    current_a: Callable[[], tuple[float, float, float]]
    delay_s: float = 0.3
    is_dead: bool = False
    is_frozen: bool = False
    _frozen_a: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def measure(self) -> tuple[float, float, float]:
        if not self.is_frozen:
            self._frozen_a = self.current_a()
        return self._frozen_a


class SimMeters:
    """Stands in for ``edgectl.meters.MetersAdapter``."""

    def __init__(self, meters: list[SimMeter], inbox: Inbox, clock: Clock) -> None:
        self._meters = meters
        self._inbox = inbox
        self._clock = clock
        self._read_count = 0

    def counters(self) -> dict[str, int]:
        return {"reads": self._read_count}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for meter in self._meters:
                tasks.create_task(self._read(meter), name=f"meter-{meter.id}")

    async def _read(self, meter: SimMeter) -> None:
        while True:
            measured_a = meter.measure()
            await asyncio.sleep(meter.delay_s)
            mono_ms = self._clock.now().mono_ms
            self._read_count += 1
            if meter.is_dead:
                reading = MeterReading(meter.id, mono_ms, Quality.NO_VALUE, reason="timeout")
            else:
                current_ma = Phases(*(round(1000 * amps) for amps in measured_a))
                reading = MeterReading(meter.id, mono_ms, Quality.GOOD, current_ma=current_ma)
            self._inbox.put(MeterRead(reading))
            await asyncio.sleep(max(0.05, 1.0 - meter.delay_s))
