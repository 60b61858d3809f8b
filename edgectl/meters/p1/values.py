"""A telegram's lines to numbers, and to a reading on site phases. Pure.

Amps come from watts and volts of the same phase, because a P1 meter prints whole amps (Belgium: hundredths) and never a sign. The
printed amps are RMS and include what a poor power factor adds, so the larger of the two is taken: a fuse warms with all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.phases import ZERO, Phases
from edgectl.domain.settings import MeterConnection
from edgectl.domain.units import MilliAmps, Millis, MilliVolts, WattHours, Watts
from edgectl.meters.p1.telegram import Telegram

NOMINAL_MV: MilliVolts = 230_000
"""Where no volts are printed (before DSMR 5): every country with a P1 port has 230 V."""
VOLTAGE_MIN_MV, VOLTAGE_MAX_MV = 80_000, 300_000
CURRENT_MAX_MA: MilliAmps = 10_000_000
SUM_TOLERANCE_W, SUM_TOLERANCE_PERCENT = 100, 5
"""The phases and the total of one telegram are the same measurement; more than rounding between them is a fault."""

_VOLTS = ("1-0:32.7.0", "1-0:52.7.0", "1-0:72.7.0")
_AMPS = ("1-0:31.7.0", "1-0:51.7.0", "1-0:71.7.0")
_WATTS_IN = ("1-0:21.7.0", "1-0:41.7.0", "1-0:61.7.0")
_WATTS_OUT = ("1-0:22.7.0", "1-0:42.7.0", "1-0:62.7.0")
_SERIALS = ("0-0:96.1.1", "0-0:42.0.0", "0-0:96.1.0")
"""Netherlands and Belgium; Luxembourg; others."""
_TARIFFS = range(1, 5)


class NoValueError(Exception):
    """The telegram holds no usable value; the text is the reason, one word or two."""


@dataclass(frozen=True, slots=True)
class P1Values:
    """What one telegram says, on the meter's own phases, import positive. None is "not said"."""

    ident: str
    version: str | None
    """``42``, ``50`` ... as printed; None before DSMR 4."""
    timestamp: str | None
    """As printed, in the meter's own time; only ever compared with the one before."""
    serial: str | None
    power_w: tuple[Watts | None, ...]
    voltage_mv: tuple[MilliVolts | None, ...]
    printed_ma: tuple[MilliAmps | None, ...]
    power_total_w: Watts | None
    energy_import_wh: WattHours | None
    """All tariffs together."""
    energy_export_wh: WattHours | None
    has_checksum: bool


def values_of(telegram: Telegram) -> P1Values:
    """The numbers of a telegram.

    Raises:
        NoValueError: ``damaged-value``: a line that should hold a number holds something else.
    """
    import_w, export_w = _number(telegram, "1-0:1.7.0", "kW"), _number(telegram, "1-0:2.7.0", "kW")
    return P1Values(
        ident=telegram.ident,
        version=_text(telegram, "1-3:0.2.8") or _text(telegram, "0-0:96.1.4"),
        timestamp=_text(telegram, "0-0:1.0.0"),
        serial=next((found for code in _SERIALS if (found := _identifier(telegram, code))), None),
        power_w=tuple(
            _net(_number(telegram, inward, "kW"), _number(telegram, outward, "kW"))
            for inward, outward in zip(_WATTS_IN, _WATTS_OUT, strict=True)
        ),
        voltage_mv=tuple(_number(telegram, code, "V") for code in _VOLTS),
        printed_ma=tuple(_number(telegram, code, "A") for code in _AMPS),
        power_total_w=_net(import_w, export_w),
        energy_import_wh=_energy(telegram, "1-0:1.8"),
        energy_export_wh=_energy(telegram, "1-0:2.8"),
        has_checksum=telegram.has_checksum,
    )


def reading_of(values: P1Values, connection: MeterConnection, completed_mono_ms: Millis) -> MeterReading:
    """A complete reading, or one without a value and the reason why."""
    try:
        return _reading(values, connection, completed_mono_ms)
    except NoValueError as reason:
        return MeterReading(connection.meter, completed_mono_ms, Quality.NO_VALUE, reason=str(reason))


def _reading(values: P1Values, connection: MeterConnection, completed_mono_ms: Millis) -> MeterReading:
    phases = connection.phases
    count = len(phases)
    watts = _phase_watts(values, count)
    volts = values.voltage_mv[:count]
    for millivolts in volts:
        if millivolts is not None and not VOLTAGE_MIN_MV <= millivolts <= VOLTAGE_MAX_MV:
            raise NoValueError("no-voltage" if millivolts < VOLTAGE_MIN_MV else "implausible-voltage")
    amps = [
        _current_ma(power_w, millivolts, printed_ma)
        for power_w, millivolts, printed_ma in zip(watts, volts, values.printed_ma[:count], strict=True)
    ]
    turn = -1 if connection.is_reversed else 1
    ratio = turn * connection.ct_ratio_permille
    imported, exported = values.energy_import_wh, values.energy_export_wh
    if connection.is_reversed:
        imported, exported = exported, imported

    def on_site(found: list[int], permille: int) -> Phases:
        placed = list(ZERO)
        for phase, value in zip(phases, found, strict=True):
            placed[phase] = round(value * permille / 1000)
        return Phases(*placed)

    total_w = values.power_total_w if values.power_total_w is not None else sum(watts)
    return MeterReading(
        meter=connection.meter,
        completed_mono_ms=completed_mono_ms,
        quality=Quality.GOOD,
        current_ma=on_site(amps, ratio),
        power_w=on_site(watts, ratio),
        power_total_w=round(total_w * ratio / 1000),
        voltage_mv=None if None in volts else on_site([millivolts or 0 for millivolts in volts], 1000),
        energy_import_wh=_scaled(imported, connection.ct_ratio_permille),
        energy_export_wh=_scaled(exported, connection.ct_ratio_permille),
        energy_mono_ms=completed_mono_ms,
    )


def _phase_watts(values: P1Values, count: int) -> list[Watts]:
    found = [power_w for power_w in values.power_w if power_w is not None]
    if not found:
        # DSMR 2.2 and 3 know only the total, which is the phase's own where there is only one.
        if count != 1 or values.power_total_w is None:
            raise NoValueError("no-phase-currents")
        return [values.power_total_w]
    watts = values.power_w[:count]
    if None in watts:
        raise NoValueError("missing-phase")
    total_w = values.power_total_w
    if total_w is not None and abs(sum(found) - total_w) > max(SUM_TOLERANCE_W, abs(total_w) * SUM_TOLERANCE_PERCENT // 100):
        raise NoValueError("sum-against-total")
    return [power_w or 0 for power_w in watts]


def _current_ma(power_w: Watts, voltage_mv: MilliVolts | None, printed_ma: MilliAmps | None) -> MilliAmps:
    derived_ma = -(-abs(power_w) * 1_000_000 // (voltage_mv or NOMINAL_MV))
    current_ma = max(derived_ma, abs(printed_ma or 0))
    if current_ma > CURRENT_MAX_MA:
        raise NoValueError("implausible-current")
    return -current_ma if power_w < 0 else current_ma


def _net(imported: int | None, exported: int | None) -> int | None:
    return None if imported is None and exported is None else (imported or 0) - (exported or 0)


def _scaled(value: int | None, permille: int) -> int | None:
    return None if value is None else value * permille // 1000


def _energy(telegram: Telegram, code: str) -> WattHours | None:
    """The total over tariffs; the register without tariff (Luxembourg, Sweden) where there are none."""
    parts = [found for tariff in _TARIFFS if (found := _number(telegram, f"{code}.{tariff}", "kWh")) is not None]
    return sum(parts) if parts else _number(telegram, f"{code}.0", "kWh")


_FACTORS = {"kW": 1000, "kWh": 1000, "V": 1000, "A": 1000}
"""To watts, watt-hours, millivolts, milliamps."""


def _number(telegram: Telegram, code: str, unit: str) -> int | None:
    text = _text(telegram, code)
    if text is None:
        return None
    if re.fullmatch(rf"-?\d{{1,9}}(\.\d{{1,6}})?\*{unit}", text) is None:
        raise NoValueError("damaged-value")
    return int((Decimal(text.removesuffix(f"*{unit}")) * _FACTORS[unit]).to_integral_value())


def _text(telegram: Telegram, code: str) -> str | None:
    found = telegram.objects.get(code)
    return found[-1] if found else None


def _identifier(telegram: Telegram, code: str) -> str | None:
    """Serial numbers are ASCII written as hex; one that is not stays as it is."""
    text = _text(telegram, code)
    if not text:
        return None
    try:
        plain = bytes.fromhex(text).decode("ascii")
    except ValueError:
        return text
    return plain if plain.isprintable() else text
