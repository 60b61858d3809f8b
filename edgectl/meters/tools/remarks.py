"""What looks odd in a good reading: things a person should look at before trusting the wiring. Pure."""

from __future__ import annotations

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.phases import ALL_PHASES, Phase
from edgectl.domain.units import Millis

VOLTS_PERCENT = 10
"""EN 50160: 230 V within 10 % in 95 of 100 weeks."""
NOMINAL_MV = 230_000
LOAD_MIN_MA = 1_000
"""Below this the direction and power factor of a phase say nothing."""
POWER_FACTOR_MIN_PERCENT = 50
ROUNDING_W = 20
ROUNDING_PERCENT = 5
FREQUENCY_MHZ = (47_000, 53_000)


def remarks(reading: MeterReading, age_ms: Millis, max_age_ms: Millis, phases: tuple[Phase, ...] = ALL_PHASES) -> tuple[str, ...]:
    """One short sentence each; none when everything agrees."""
    if reading.quality is not Quality.GOOD:
        return (f"no value: {reading.reason}",)
    found = [f"older than {max_age_ms / 1000:g} s"] if age_ms > max_age_ms else []
    for phase in phases:
        found += _of_phase(reading, phase)
    found += _together(reading, phases)
    return tuple(found)


def _of_phase(reading: MeterReading, phase: Phase) -> list[str]:
    found = []
    volts, amps, watts = reading.voltage_mv, reading.current_ma, reading.power_w
    if volts is not None and abs(volts[phase] - NOMINAL_MV) * 100 > VOLTS_PERCENT * NOMINAL_MV:
        found.append(f"{phase.name} has {volts[phase] / 1000:.0f} V")
    if volts is not None and amps is not None and watts is not None:
        apparent_va = volts[phase] * abs(amps[phase]) // 1_000_000
        if abs(watts[phase]) > apparent_va * (100 + ROUNDING_PERCENT) // 100 + ROUNDING_W:
            found.append(
                f"{phase.name}: {watts[phase]} W is more than volts times amps ({apparent_va} VA): ratio or phase order?"
            )
        elif abs(amps[phase]) >= LOAD_MIN_MA and abs(watts[phase]) * 100 < apparent_va * POWER_FACTOR_MIN_PERCENT:
            found.append(
                f"{phase.name}: power factor {abs(watts[phase]) / max(1, apparent_va):.2f}: do volts and amps belong together?"
            )
    return found


def _together(reading: MeterReading, phases: tuple[Phase, ...]) -> list[str]:
    found = []
    amps = reading.current_ma
    if amps is not None:
        outward = [phase.name for phase in phases if amps[phase] <= -LOAD_MIN_MA]
        inward = [phase.name for phase in phases if amps[phase] >= LOAD_MIN_MA]
        if outward and inward:
            found.append(f"{', '.join(outward)} out, {', '.join(inward)} in: is a transformer reversed?")
    if reading.frequency_mhz is not None and not FREQUENCY_MHZ[0] <= reading.frequency_mhz <= FREQUENCY_MHZ[1]:
        found.append(f"{reading.frequency_mhz / 1000:.2f} Hz")
    return found
