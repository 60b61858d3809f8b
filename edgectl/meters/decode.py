"""Registers to a reading on site phases. "No value" is a named reason, never 0. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

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


class NoValueError(Exception):
    """The registers hold no usable value; the text is the reason, one word or two."""


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
    return value * point.scale


def reading_of(model: MeterModel, connection: MeterConnection, registers: Registers, completed_mono_ms: Millis) -> MeterReading:
    """A complete reading, import positive, or one without a value and the reason why."""
    try:
        return _reading(model, connection, registers, completed_mono_ms)
    except NoValueError as reason:
        return no_value(connection.meter, completed_mono_ms, str(reason))


def no_value(meter: MeterId, completed_mono_ms: Millis, reason: str) -> MeterReading:
    return MeterReading(meter, completed_mono_ms, Quality.NO_VALUE, reason=reason)


def _reading(model: MeterModel, connection: MeterConnection, registers: Registers, completed_mono_ms: Millis) -> MeterReading:
    phases = connection.phases
    turn = -1 if connection.is_reversed else 1
    ratio = connection.ct_ratio_permille / 1000

    def each(quantity: str) -> list[float] | None:
        point = model.points.get(quantity)
        if point is None:
            return None
        count = min(len(point.addresses), len(phases))
        return [value_of(point, index, registers, model.no_value) for index in range(count)]

    amps, watts, volts = each("i"), each("p"), each("u")
    if amps is None:
        raise NoValueError("no-phase-currents")
    if volts is not None and not all(VOLTAGE_MIN_V <= value <= VOLTAGE_MAX_V for value in volts):
        raise NoValueError("no-voltage" if any(value < VOLTAGE_MIN_V for value in volts) else "implausible-voltage")
    if not all(abs(value * ratio) <= CURRENT_MAX_A for value in amps):
        raise NoValueError("implausible-current")
    if watts is not None and not model.has_signed_current:
        # A magnitude gets its direction from the watts of the same phase in the same read.
        amps = [math.copysign(value, power) if power else abs(value) for value, power in zip(amps, watts, strict=False)]
    power_w = None if watts is None else _on_site(phases, [turn * ratio * value for value in watts], 1)
    total = _single(model, "p_tot", registers)
    return MeterReading(
        meter=connection.meter,
        completed_mono_ms=completed_mono_ms,
        quality=Quality.GOOD,
        current_ma=_on_site(phases, [turn * ratio * value for value in amps], 1000),
        power_w=power_w,
        power_total_w=round(turn * ratio * total) if total is not None else power_w.total if power_w is not None else None,
        voltage_mv=None if volts is None else _on_site(phases, volts, 1000),
        frequency_mhz=_scaled(_single(model, "f", registers), 1000),
        energy_import_wh=_energy(model, "e_exp" if connection.is_reversed else "e_imp", registers, ratio),
        energy_export_wh=_energy(model, "e_imp" if connection.is_reversed else "e_exp", registers, ratio),
    )


def _on_site(phases: tuple[Phase, ...], values: list[float], factor: int) -> Phases:
    found = list(ZERO)
    for phase, value in zip(phases, values, strict=False):
        found[phase] = round(value * factor)
    return Phases(*found)


def _single(model: MeterModel, quantity: str, registers: Registers) -> float | None:
    """A value that is not always read, or not always there; its absence spoils nothing."""
    point = model.points.get(quantity)
    if point is None:
        return None
    try:
        return value_of(point, 0, registers, model.no_value)
    except NoValueError:
        return None


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)


def _energy(model: MeterModel, quantity: str, registers: Registers, ratio: float) -> int | None:
    value = _single(model, quantity, registers)
    return None if value is None or value < 0 else int(value * ratio)
