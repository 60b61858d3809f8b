"""Meters of the simulated site without a bus: what the real adapter would put into the inbox, with the faults a meter can have.

The bytes on the bus have their own tests against real sockets and ptys; here it is the daemon that is tested, cheaply enough for
hours of simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from edgectl.domain.events import MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.ports import Clock, Inbox

Amps = tuple[float, float, float]
NO_VALUES = {"dead": "timeout", "not-a-number": "not a number"}
"""What the real adapter says where there is no value."""


@dataclass
class SimMeter:
    """One meter. ``faults`` is what is wrong with it now: ``dead``, ``not-a-number``, ``garbled``, ``words-swapped``, ``frozen``,
    ``sign-flipped``, ``phase-rotated`` or ``phase-lost``."""

    id: MeterId
    current_a: Callable[[], Amps]
    delay_s: float = 0.3
    """From measuring to telling."""
    period_s: float = 1.0
    faults: set[str] = field(default_factory=set)
    _frozen_a: Amps = (0.0, 0.0, 0.0)
    _told_count: int = 0

    def measure(self) -> Amps:
        if "frozen" not in self.faults:
            self._frozen_a = self.current_a()
        l1, l2, l3 = self._frozen_a
        if "sign-flipped" in self.faults:
            return -l1, -l2, -l3
        if "phase-rotated" in self.faults:
            return l2, l3, l1
        return (l1, 0.0, l3) if "phase-lost" in self.faults else (l1, l2, l3)

    def reading(self, measured_a: Amps, mono_ms: int) -> MeterReading:
        for fault, words in NO_VALUES.items():
            if fault in self.faults:
                return MeterReading(self.id, mono_ms, Quality.NO_VALUE, reason=words)
        self._told_count += 1
        if "garbled" in self.faults and self._told_count % 2:
            return MeterReading(self.id, mono_ms, Quality.NO_VALUE, reason="checksum")
        current_ma = Phases(*(round(1000 * amps) for amps in measured_a))
        if "words-swapped" in self.faults:
            current_ma = Phases(*(_swapped(value_ma) for value_ma in current_ma))
        return MeterReading(self.id, mono_ms, Quality.GOOD, current_ma=current_ma)


def _swapped(value_ma: int) -> int:
    """A number of two registers whose halves were taken the wrong way round."""
    return ((value_ma & 0xFFFF) << 16) | (value_ma >> 16 & 0xFFFF)


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
        loop = asyncio.get_running_loop()
        while True:
            loop.call_later(meter.delay_s, self._tell, meter, meter.measure())
            await asyncio.sleep(meter.period_s)

    def _tell(self, meter: SimMeter, measured_a: Amps) -> None:
        self._read_count += 1
        self._inbox.put(MeterRead(meter.reading(measured_a, self._clock.now().mono_ms)))
