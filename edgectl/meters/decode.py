"""Registers to a reading on site phases. "No value" is a named reason, never 0. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import ZERO, Phase, Phases
from edgectl.domain.settings import MeterConnection
from edgectl.domain.units import Millis
from edgectl.meters.catalogue import MeterModel, Point

Registers = Mapping[int, int]
"""Register contents by address."""

CURRENT_MAX_A = 10_000.0
VOLTAGE_MIN_V, VOLTAGE_MAX_V = 80.0, 300.0
"""Phase to neutral, for 110 V and 230 V systems; a phase without voltage is a blown fuse or a loose wire, not a measurement."""
FREQUENCY_MIN_HZ, FREQUENCY_MAX_HZ = 40.0, 70.0
FACTOR_MAX = 10
"""SunSpec allows scale factors from -10 to 10."""
KILO_BELOW = 0.005
"""Watts are never so small a part of volts times amps, unless they are kilowatts: then they are at most a thousandth."""


class NoValueError(Exception):
    """The registers hold no usable value; the text is the reason, one word or two."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one read says, on the meter's own phases, in volts, amps and watts; not yet judged."""

    volts: tuple[float, ...] | None
    amps: tuple[float, ...]
    watts: tuple[float, ...] | None
    total_w: float | None


def value_of(point: Point, index: int, registers: Registers, no_value: frozenset[str]) -> float:
    """One engineering value (V, A, W, Hz, Wh).

    Raises:
        NoValueError: ``missing-register``, ``nan``, ``infinite`` or ``sentinel``.
    """
    start = point.addresses[index]
    try:
        words = [registers[address] for address in range(start, start + point.width)]
    except KeyError as error:
        raise NoValueError("missing-register") from error
    if point.is_low_word_first:
        words.reverse()
    raw = struct.pack(f">{point.width}H", *words)
    bits = 16 * point.width
    pattern = int.from_bytes(raw)
    if point.is_accumulator and pattern == 0:
        raise NoValueError("sentinel")
    # In a signed value all ones are -1, an honest reading next to zero.
    if "ones" in no_value and not point.kind.startswith("s") and pattern == (1 << bits) - 1:
        raise NoValueError("sentinel")
    if point.kind.startswith("f"):
        value = float(struct.unpack(">f" if point.width == 2 else ">d", raw)[0])
        if math.isnan(value):
            raise NoValueError("nan")
        if math.isinf(value):
            raise NoValueError("infinite")
    else:
        if "smax" in no_value and pattern == (1 << (bits - 1)) - 1:
            raise NoValueError("sentinel")
        if "smin" in no_value and pattern == 1 << (bits - 1):
            raise NoValueError("sentinel")
        value = float(int.from_bytes(raw, signed=point.kind.startswith("s")))
    return value * point.scale * _factor(point, registers)


def _factor(point: Point, registers: Registers) -> float:
    if point.factor_address is None:
        return 1.0
    if point.factor_address not in registers:
        raise NoValueError("missing-register")
    raw = registers[point.factor_address]
    exponent = raw - 65_536 if raw >= 32_768 else raw
    if abs(exponent) > FACTOR_MAX:
        raise NoValueError("sentinel")
    return float(10.0**exponent)


def measured_of(model: MeterModel, registers: Registers, phase_count: int = 3) -> Measured:
    """Volts, amps and watts of one read.

    Raises:
        NoValueError: with the reason.
    """
    for address, content in model.marks.items():
        if registers.get(address) != content:
            raise NoValueError("layout-moved")
    if model.has_doubtful_word_order:
        model = _in_right_order(model, registers)

    def each(quantity: str) -> tuple[float, ...] | None:
        point = model.points.get(quantity)
        if point is None:
            return None
        count = min(len(point.addresses), phase_count)
        return tuple(value_of(point, index, registers, model.no_value) for index in range(count))

    amps, watts, volts = each("i"), each("p"), each("u")
    if amps is None:
        raise NoValueError("no-phase-currents")
    taken, given = each("p_imp"), each("p_exp")
    if taken is not None and given is not None:
        watts = tuple(take - give for take, give in zip(taken, given, strict=True))
    total_w = total_of(model, registers)
    if model.has_doubtful_kilo and volts is not None and watts is not None:
        apparent_va = sum(abs(volt * amp) for volt, amp in zip(volts, amps, strict=False))
        if 0 < sum(abs(watt) for watt in watts) < KILO_BELOW * apparent_va:
            watts = tuple(1000 * watt for watt in watts)
            total_w = None if total_w is None else 1000 * total_w
    return Measured(volts, amps, watts, total_w)


def _in_right_order(model: MeterModel, registers: Registers) -> MeterModel:
    """Volts tell which word comes first: in the wrong order a float is next to nothing or beyond all bounds."""

    def has_voltage(candidate: MeterModel) -> bool:
        try:
            volts = [value_of(candidate.points["u"], index, registers, candidate.no_value) for index in range(model.phase_count)]
        except (NoValueError, KeyError):
            return False
        return any(VOLTAGE_MIN_V <= volt <= VOLTAGE_MAX_V for volt in volts)

    other = replace(
        model,
        points={
            quantity: replace(point, is_low_word_first=not point.is_low_word_first) for quantity, point in model.points.items()
        },
    )
    return other if not has_voltage(model) and has_voltage(other) else model


def total_of(model: MeterModel, registers: Registers) -> float | None:
    """Watts over all phases, where they are there."""
    total = single(model, "p_tot", registers)
    if total is not None:
        return total
    taken, given = single(model, "p_tot_imp", registers), single(model, "p_tot_exp", registers)
    return None if taken is None or given is None else taken - given


def single(model: MeterModel, quantity: str, registers: Registers) -> float | None:
    """A value that is not always read, or not always there; its absence spoils nothing."""
    point = model.points.get(quantity)
    if point is None:
        return None
    try:
        return value_of(point, 0, registers, model.no_value)
    except NoValueError:
        return None


def frequency_hz(model: MeterModel, registers: Registers) -> float | None:
    """Firmware of several makers differs in the decimal point; mains frequency leaves no doubt where it belongs."""
    value = single(model, "f", registers)
    while value is not None and value > FREQUENCY_MAX_HZ:
        value /= 10
    return value if value is not None and value >= FREQUENCY_MIN_HZ else None


def energy_wh(model: MeterModel, quantity: str, registers: Registers, ratio: float) -> int | None:
    """A total counter. Some meters count exported energy downwards from zero."""
    value = single(model, quantity, registers)
    if value is None or (value < 0 and quantity != "e_exp"):
        return None
    return int(abs(value) * ratio)


def reading_of(
    model: MeterModel,
    connection: MeterConnection,
    registers: Registers,
    completed_mono_ms: Millis,
    measured: Measured | None = None,
    slow: Registers | None = None,
    slow_mono_ms: Millis | None = None,
) -> MeterReading:
    """A complete reading, import positive, or one without a value and the reason why.

    ``slow`` holds frequency and energy where they were read at another time, ``slow_mono_ms``.
    """
    try:
        found = measured or measured_of(model, registers, len(connection.phases))
        judge_limits(found, connection.ct_ratio_permille)
    except NoValueError as reason:
        return no_value(connection.meter, completed_mono_ms, str(reason))
    if slow is None:
        slow, slow_mono_ms = registers, completed_mono_ms
    phases = connection.phases
    turn = -1 if connection.is_reversed else 1
    ratio = connection.ct_ratio_permille / 1000
    amps, watts = found.amps, found.watts
    if watts is not None and not model.has_signed_current:
        # A magnitude gets its direction from the watts of the same phase in the same read.
        amps = tuple(math.copysign(amp, watt) if watt else abs(amp) for amp, watt in zip(amps, watts, strict=False))
    power_w = None if watts is None else _on_site(phases, tuple(turn * ratio * watt for watt in watts), 1)
    total_w = None if found.total_w is None else round(turn * ratio * found.total_w)
    hertz = frequency_hz(model, slow)
    taken_wh, given_wh = energy_wh(model, "e_imp", slow, ratio), energy_wh(model, "e_exp", slow, ratio)
    has_slow = hertz is not None or taken_wh is not None or given_wh is not None
    return MeterReading(
        meter=connection.meter,
        completed_mono_ms=completed_mono_ms,
        quality=Quality.GOOD,
        current_ma=_on_site(phases, tuple(turn * ratio * amp for amp in amps), 1000),
        power_w=power_w,
        power_total_w=total_w if total_w is not None or power_w is None else power_w.total,
        voltage_mv=None if found.volts is None else _on_site(phases, found.volts, 1000),
        frequency_mhz=None if hertz is None else round(1000 * hertz),
        energy_import_wh=given_wh if connection.is_reversed else taken_wh,
        energy_export_wh=taken_wh if connection.is_reversed else given_wh,
        energy_mono_ms=slow_mono_ms if has_slow else None,
    )


def judge_limits(found: Measured, ct_ratio_permille: int) -> None:
    """Volts and amps no installation has.

    Raises:
        NoValueError: ``no-voltage``, ``implausible-voltage`` or ``implausible-current``.
    """
    if found.volts is not None and not all(VOLTAGE_MIN_V <= volt <= VOLTAGE_MAX_V for volt in found.volts):
        raise NoValueError("no-voltage" if any(volt < VOLTAGE_MIN_V for volt in found.volts) else "implausible-voltage")
    if not all(abs(amp) * ct_ratio_permille <= 1000 * CURRENT_MAX_A for amp in found.amps):
        raise NoValueError("implausible-current")


def no_value(meter: MeterId, completed_mono_ms: Millis, reason: str) -> MeterReading:
    return MeterReading(meter, completed_mono_ms, Quality.NO_VALUE, reason=reason)


def _on_site(phases: tuple[Phase, ...], values: tuple[float, ...], factor: int) -> Phases:
    found = list(ZERO)
    for phase, value in zip(phases, values, strict=False):
        found[phase] = round(value * factor)
    return Phases(*found)
