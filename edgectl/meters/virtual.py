"""Meters that are not there: the sum or the difference of others, as old and as good as the worst of them. Pure."""

from __future__ import annotations

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.settings import VirtualKind, VirtualMeter
from edgectl.domain.units import WattHours, Watts
from edgectl.meters.decode import no_value


class VirtualReader:
    """One virtual meter; ``read`` takes every reading of the site."""

    def __init__(self, meter: VirtualMeter) -> None:
        self._meter = meter
        self._latest: dict[MeterId, MeterReading] = {}

    def read(self, reading: MeterReading) -> MeterReading | None:
        """A reading of the virtual meter whenever one of its parts has a new one."""
        meter = self._meter
        if reading.meter not in meter.parts:
            return None
        self._latest[reading.meter] = reading
        parts = [self._latest[part] for part in meter.parts if part in self._latest]
        oldest_mono_ms = min(part.completed_mono_ms for part in parts)
        missing = [part for part in meter.parts if part not in self._latest]
        if missing:
            return no_value(meter.meter, oldest_mono_ms, f"{missing[0]}: not read yet")
        for part in parts:
            if part.quality is not Quality.GOOD or part.current_ma is None:
                return no_value(meter.meter, oldest_mono_ms, f"{part.meter}: {part.reason or 'no-phase-currents'}")
        signs = [1 if number == 0 or meter.kind is VirtualKind.SUM else -1 for number in range(len(parts))]
        has_energy = meter.kind is VirtualKind.SUM  # the difference of two counters can run backwards
        stamps = [part.energy_mono_ms for part in parts if part.energy_mono_ms is not None]
        return MeterReading(
            meter=meter.meter,
            completed_mono_ms=oldest_mono_ms,
            quality=Quality.GOOD,
            current_ma=_phases([part.current_ma for part in parts], signs),
            power_w=_phases([part.power_w for part in parts], signs),
            power_total_w=_total([part.power_total_w for part in parts], signs),
            voltage_mv=parts[0].voltage_mv,
            frequency_mhz=parts[0].frequency_mhz,
            energy_import_wh=_total([part.energy_import_wh for part in parts], signs) if has_energy else None,
            energy_export_wh=_total([part.energy_export_wh for part in parts], signs) if has_energy else None,
            energy_mono_ms=min(stamps) if len(stamps) == len(parts) else None,
        )


def _phases(values: list[Phases | None], signs: list[int]) -> Phases | None:
    found = Phases(0, 0, 0)
    for value, sign in zip(values, signs, strict=True):
        if value is None:
            return None
        found = found + value if sign > 0 else found - value
    return found


def _total(values: list[Watts | None] | list[WattHours | None], signs: list[int]) -> int | None:
    if any(value is None for value in values):
        return None
    return sum(sign * value for value, sign in zip(values, signs, strict=True) if value is not None)
