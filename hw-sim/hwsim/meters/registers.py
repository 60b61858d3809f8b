"""From what is true to what a meter of some model would hold in its registers."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgectl.meters.catalogue import MeterModel, Point

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


def registers_of(model: MeterModel, truth: Truth) -> dict[int, int]:
    """Register contents by address, for every point the catalogue lists."""
    signed = model.has_signed_current
    values: dict[str, tuple[float, ...]] = {
        "u": truth.voltage_v,
        "i": truth.current_a if signed else tuple(abs(a) for a in truth.current_a),
        "p": truth.power_w,
        "pf": (truth.power_factor,) * 3,
        "p_tot": (sum(truth.power_w),),
        "pf_tot": (truth.power_factor,),
        "f": (truth.frequency_hz,),
        "e_imp": (truth.import_wh,),
        "e_exp": (truth.export_wh,),
    }
    contents: dict[int, int] = {}
    for quantity, point in model.points.items():
        found = values.get(quantity)
        if found is None:
            continue
        for index, address in enumerate(point.addresses):
            for offset, word in enumerate(words_of(point, found[index] if index < len(found) else 0.0)):
                contents[address + offset] = word
    return contents


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
    words = [content[i] << 8 | content[i + 1] for i in range(0, size, 2)]
    return words[::-1] if point.is_low_word_first else words
