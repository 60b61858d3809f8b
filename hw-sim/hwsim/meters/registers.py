"""From what is true to what a meter of some model would hold in its registers."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from edgectl.meters.catalogue import WIDTHS, MeterModel, Point

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Truth:
    """What flows, on the meter's own L1, L2, L3. Currents and watts are positive towards the site."""

    current_a: Three
    voltage_v: Three = (230.0, 230.0, 230.0)
    power_factor: float = 1.0
    import_wh: float = 0.0
    export_wh: float = 0.0
    frequency_hz: float = 50.0

    @property
    def power_w(self) -> Three:
        watts = [a * v * self.power_factor for a, v in zip(self.current_a, self.voltage_v, strict=True)]
        return (watts[0], watts[1], watts[2])


@dataclass(frozen=True)
class Installation:
    """How an electrician connected the meter: what it sees is not always what is there."""

    order: tuple[int, int, int] = (0, 1, 2)
    """Which phase each input sits on."""
    is_reversed: tuple[bool, bool, bool] = (False, False, False)
    """Current transformers the wrong way round."""
    ratio_error: float = 0.0
    """Of the current transformers, such as 0.01 for class 1."""

    def seen(self, truth: Truth) -> Truth:
        amps = [
            truth.current_a[phase] * (1 + self.ratio_error) * (-1 if turned else 1)
            for phase, turned in zip(self.order, self.is_reversed, strict=True)
        ]
        volts = [truth.voltage_v[phase] for phase in self.order]
        return Truth(
            (amps[0], amps[1], amps[2]),
            (volts[0], volts[1], volts[2]),
            truth.power_factor,
            truth.import_wh,
            truth.export_wh,
            truth.frequency_hz,
        )


def registers_of(model: MeterModel, truth: Truth, seconds: float = 0.0) -> dict[int, int]:
    """Register contents by address, for every point the catalogue lists. ``seconds`` is the meter's own time."""
    count = model.phase_count
    amps, watts = truth.current_a[:count], truth.power_w[:count]
    total_w = sum(watts)
    values: dict[str, tuple[float, ...]] = {
        "u": truth.voltage_v,
        "i": amps if model.has_signed_current else tuple(abs(a) for a in amps),
        "i_tot": (sum(abs(a) for a in amps),),
        "p": watts,
        "p_imp": tuple(max(0.0, watt) for watt in watts),
        "p_exp": tuple(max(0.0, -watt) for watt in watts),
        "pf": (truth.power_factor,) * 3,
        "p_tot": (total_w,),
        "p_tot_imp": (max(0.0, total_w),),
        "p_tot_exp": (max(0.0, -total_w),),
        "pf_tot": (truth.power_factor,),
        "f": (truth.frequency_hz,),
        "e_imp": (truth.import_wh,),
        "e_exp": (truth.export_wh,),
        "e_imp_partial": (truth.import_wh / 3,),
        "e_imp_ph": (truth.import_wh / 3,) * 3,
        "e_exp_ph": (truth.export_wh / 3,) * 3,
        "e_total": (truth.import_wh + truth.export_wh,),
    }
    contents: dict[int, int] = dict(model.marks)
    for quantity, point in model.points.items():
        found = values.get(quantity)
        if found is None:
            continue
        exponent = 0
        if point.factor_address is not None:
            # As fine as the largest of the values sharing the factor allows.
            largest = max(
                abs(value)
                for other, one in model.points.items()
                if one.factor_address == point.factor_address
                for value in values.get(other, ())
            )
            exponent = _exponent(point, largest)
            contents[point.factor_address] = exponent & 0xFFFF
        for index, address in enumerate(point.addresses):
            raw = found[index] if index < len(found) else 0.0
            for offset, word in enumerate(words_of(point, raw / 10.0**exponent)):
                contents[address + offset] = word
    if model.heartbeat is not None:
        point = model.heartbeat.point
        for offset, word in enumerate(words_of(point, int(seconds))):
            contents[point.addresses[0] + offset] = word
    return contents


def _exponent(point: Point, largest: float) -> int:
    """The finest power of ten with which the largest value still fits."""
    room = 32_000 if point.kind == "s16" else 4_000_000_000
    return max(-4, math.ceil(math.log10(largest / room))) if largest > 0 else -2


def words_of(point: Point, value: float) -> list[int]:
    """The registers of one value, high word first unless the point says otherwise."""
    raw = value / point.scale
    size = 2 * point.width
    if point.kind == "f32":
        content = struct.pack(">f", raw)
    elif point.kind == "f64":
        content = struct.pack(">d", raw)
    else:
        content = round(raw).to_bytes(size, signed=point.kind.startswith("s"))
    return in_words(content, is_low_word_first=point.is_low_word_first)


def in_words(content: bytes, *, is_low_word_first: bool = False) -> list[int]:
    words = [content[i] << 8 | content[i + 1] for i in range(0, len(content), 2)]
    return words[::-1] if is_low_word_first else words


def pattern_of(point: Point, pattern: str) -> list[int]:
    """What a point holds when it has no value: ``nan``, ``ones``, ``smax``, ``smin`` or ``zero``."""
    bits = 16 * WIDTHS[point.kind]
    value = {
        "nan": 0x7FC0 << (bits - 16) if bits == 32 else 0x7FF8 << (bits - 16),
        "ones": (1 << bits) - 1,
        "smax": (1 << (bits - 1)) - 1,
        "smin": 1 << (bits - 1),
        "zero": 0,
    }[pattern]
    return in_words(value.to_bytes(bits // 8), is_low_word_first=point.is_low_word_first)
