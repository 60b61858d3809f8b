"""Meters that are not there: the sum or the difference of others."""

from __future__ import annotations

from edgectl.config.keys import MeterKeys
from edgectl.config.sections import Entries
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import VirtualKind, VirtualMeter

OWN_KEYS = frozenset({"virtual", "role", "max_age"})


def is_virtual(keys: MeterKeys) -> bool:
    return "virtual" in keys.written


def virtual_parts(meters: Entries[MeterKeys]) -> frozenset[str]:
    """Meters that others are made of."""
    made = [keys.virtual for _, keys in meters if is_virtual(keys)]
    return frozenset(part for virtual in made for part in (*(virtual.sum or ()), *(virtual.difference or ())))


def compose_virtual(name: str, keys: MeterKeys, meters: Entries[MeterKeys]) -> VirtualMeter | None:
    """What it is made of; reports all that is wrong."""
    virtual = keys.virtual
    for key in sorted(keys.written.keys() - OWN_KEYS):
        keys.at(key).wrong("a virtual meter is not read itself", "`virtual`, `role` and `max_age`")
    written = [kind for kind in VirtualKind if kind.value in virtual.written]
    if len(written) != 1:
        virtual.place.wrong(
            "is no meter yet" if not written else "is two meters", "one of `sum: [a, b]` and `difference: [a, b]`"
        )
        return None
    (kind,) = written
    parts = (virtual.sum if kind is VirtualKind.SUM else virtual.difference) or ()
    place = virtual.at(kind.value)
    if not virtual.is_sound(kind.value):
        return None
    if len(parts) < 2 or len(set(parts)) != len(parts):
        place.wrong("needs two different meters at least", "`[a, b]`")
        return None
    for part in parts:
        other = meters.sections.get(part)
        if other is None or part == name:
            known = ", ".join(sorted(one for one, more in meters if not is_virtual(more))) or "there are none"
            place.wrong(f"no meter that is read is called {part}", known)
            return None
        if is_virtual(other):
            place.wrong(f"{part} is virtual itself", "meters that are read")
            return None
    return VirtualMeter(MeterId(name), kind, tuple(MeterId(part) for part in parts))
