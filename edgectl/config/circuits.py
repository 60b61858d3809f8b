"""Circuits: one tree with one root, each conductor with its limit and perhaps its meter."""

from __future__ import annotations

from collections.abc import Mapping

from edgectl.config.electrical import milliamps
from edgectl.config.keys import CircuitKeys, MeterKeys, SiteKeys
from edgectl.config.kinds import known_name
from edgectl.config.problems import Place, excerpt
from edgectl.config.quantities import POWER, show
from edgectl.config.sections import Entries
from edgectl.config.virtual_meters import virtual_parts
from edgectl.domain.ids import CircuitId, MeterId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ZERO
from edgectl.domain.site import Circuit, MeterLoss, MeterRole
from edgectl.domain.units import MilliAmps, Watts

UNBALANCED_MA: Mapping[str, MilliAmps] = {"DE": 20_000}
"""By country, what charging equipment may load one phase more than another, at the grid connection and each device by itself.
DE: VDE-AR-N 4100, 4.6 kVA."""


def compose_circuits(circuits: Entries[CircuitKeys], meters: Entries[MeterKeys], site: SiteKeys) -> tuple[Circuit, ...]:
    """The circuits that could be understood, parents before children. Reports all that is wrong with them."""
    parents = _parents(circuits)
    _check_cycles(circuits, parents)
    _check_roots(circuits)
    _check_meters(circuits, meters)
    composed = {name: circuit for name, keys in circuits if (circuit := _circuit(name, keys, site)) is not None}
    return tuple(composed[name] for name in _parents_first(circuits, parents) if name in composed)


def _circuit(name: str, keys: CircuitKeys, site: SiteKeys) -> Circuit | None:
    power_w = _power_limit(keys)
    if keys.limit is None:
        return None
    limit_ma = keys.limit.current_ma
    if any(keys.margin > phase_ma > 0 for phase_ma in limit_ma):
        keys.at("margin").wrong("is above the limit", f"less than {milliamps(min(filter(None, limit_ma)))}")
    if keys.protection is not None and keys.protection.rated_ma < limit_ma.largest:
        keys.at("protection").warn(
            "is smaller than the limit of its conductor", f"a limit of {milliamps(keys.protection.rated_ma)}"
        )
    if keys.meter is None:
        for key in ("on_meter_loss", "hold_for"):
            if key in keys.written and "meter" not in keys.written:
                keys.at(key).warn("has no effect on a circuit without a meter")
    elif "hold_for" in keys.written and keys.on_meter_loss is not MeterLoss.HOLD:
        keys.at("hold_for").warn("has no effect", "it needs `on_meter_loss: hold`")
    if keys.soft_limit is not None and not keys.soft_limit.fits(limit_ma):
        keys.at("soft_limit").wrong("is above the limit", "at most the limit, on every phase")
    if keys.soft_power is not None and power_w is not None and keys.soft_power > power_w:
        keys.at("soft_power").wrong("is above the power limit", f"at most {show(power_w, POWER)}")
    imbalance_ma = keys.imbalance_limit
    if site.wiring is Wiring.DELTA and imbalance_ma:
        keys.at("imbalance_limit").wrong("is for phases with a neutral", "`none` on a site with `wiring: delta`")
    if imbalance_ma is None and keys.fed_by is None and site.country is not None and site.wiring is Wiring.STAR:
        imbalance_ma = UNBALANCED_MA.get(site.country)
    return Circuit(
        id=CircuitId(name),
        limit_ma=limit_ma,
        fed_by=None if keys.fed_by is None else CircuitId(keys.fed_by),
        limit_w=power_w,
        soft_limit_ma=keys.soft_limit,
        soft_limit_w=keys.soft_power,
        imbalance_ma=imbalance_ma or None,
        meter=None if keys.meter is None else MeterId(keys.meter),
        protection=keys.protection,
        margin_ma=keys.margin,
        other_loads_ma=keys.other_loads or ZERO,
        generation_ma=keys.generation or ZERO,
        on_meter_loss=keys.on_meter_loss,
        hold_ms=keys.hold_for,
    )


def _power_limit(keys: CircuitKeys) -> Watts | None:
    listed_w = keys.limit.power_w if keys.limit is not None else None
    if listed_w is not None and "power" in keys.written:
        keys.at("power").wrong("stands beside a power in `limit`", "keep one of them")
    return keys.power if listed_w is None else listed_w


def _parents(circuits: Entries[CircuitKeys]) -> dict[str, str]:
    """Who feeds whom, as far as it resolves."""
    return {
        name: keys.fed_by
        for name, keys in circuits
        if keys.fed_by is not None and known_name(keys.fed_by, circuits.sections, "circuits", keys.at("fed_by"))
    }


def _check_cycles(circuits: Entries[CircuitKeys], parents: Mapping[str, str]) -> None:
    done: set[str] = set()
    position = {name: number for number, name in enumerate(circuits.sections)}
    for name in position:
        walked: dict[str, None] = {}
        current: str | None = name
        while current is not None and current not in done and current not in walked:
            walked[current] = None
            current = parents.get(current)
        done.update(walked)
        if current is None or current not in walked:
            continue
        way = list(walked)
        circle = way[way.index(current) :]
        first = min(circle, key=lambda member: position[member])
        place = circuits.sections[first].at("fed_by")
        if len(circle) == 1:
            place.wrong("the circuit is fed by itself", "the name of another circuit")
        else:
            place.wrong(f"is a circle: {_told(circle, first)}", "the way up must end at the grid connection")


def _told(circle: list[str], first: str) -> str:
    start = circle.index(first)
    names = [excerpt(name) for name in (*circle[start:], *circle[:start], first)]
    shown = names if len(names) <= 8 else [*names[:7], "…", names[-1]]  # a line's worth shows the way
    return " is fed by ".join([shown[0], ", fed by ".join(shown[1:])])


def _check_roots(circuits: Entries[CircuitKeys]) -> None:
    roots = [keys for _, keys in circuits if keys.is_readable and "fed_by" not in keys.written]
    if not roots and circuits.sections and all(keys.is_readable for _, keys in circuits):
        circuits.place.wrong("no circuit is the grid connection", "exactly one circuit has no `fed_by`")
    for keys in roots[1:]:
        first = roots[0].place
        keys.place.wrong(
            f"is a second grid connection beside the one in line {first.mark.line}", "exactly one circuit has no `fed_by`"
        )


def _check_meters(circuits: Entries[CircuitKeys], meters: Entries[MeterKeys]) -> None:
    used: dict[str, Place] = {}
    for _, keys in circuits:
        if keys.meter is None or not known_name(keys.meter, meters.sections, "meters", keys.at("meter")):
            continue
        first = used.setdefault(keys.meter, keys.at("meter"))
        if first.mark != keys.at("meter").mark and meters.sections[keys.meter].role is MeterRole.GUARD:
            keys.at("meter").warn(f"also guards the circuit in line {first.mark.line}", "a guard meter measures one conductor")
    for name, meter in meters:
        if name not in used and name not in virtual_parts(meters) and all(keys.is_sound("meter") for _, keys in circuits):
            meter.place.warn("is read but named by no circuit", "write `meter:` at the circuit it measures")


def _parents_first(circuits: Entries[CircuitKeys], parents: Mapping[str, str]) -> list[str]:
    ordered: dict[str, None] = {}
    for name, _ in circuits:
        way: dict[str, None] = {}
        current: str | None = name
        while current is not None and current not in ordered and current not in way:
            way[current] = None
            current = parents.get(current)
        ordered.update(dict.fromkeys(reversed(way)))
    return sorted(ordered, key=lambda name: circuits.sections[name].fed_by is not None)
