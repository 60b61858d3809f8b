"""Whether the lines can carry what is asked of them, and whether each meter can do its part. Numbers are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from edgectl.config.addresses import BAUDS
from edgectl.config.keys import MeterKeys
from edgectl.config.problems import Place
from edgectl.config.quantities import DURATION, show
from edgectl.domain.bus_plan import FULL_PERMILLE, TIGHT_PERMILLE, LineLoad, ReadPlan, as_meter, line_loads
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import InputConnection, MeterConnection, Transport
from edgectl.domain.site import MeterRole
from edgectl.domain.units import Millis

Planner: TypeAlias = Callable[[MeterConnection], ReadPlan | None]
"""How a meter will be read; None where nothing is asked of it (P1). Raises ValueError for a model that cannot be used."""


Reads: TypeAlias = list[tuple[MeterConnection, ReadPlan]]


def check_budget(
    meters: Sequence[tuple[MeterKeys, MeterConnection]], planner: Planner, inputs: Sequence[InputConnection] = ()
) -> None:
    """Report every line that has too much to do, and every meter that cannot do its part."""
    reads: Reads = []
    sections: dict[MeterId, MeterKeys] = {}
    for keys, connection in meters:
        if not keys.is_sound("model", "file", "connect", "unit", "every"):
            continue
        try:
            plan = planner(connection)
        except ValueError as error:
            keys.at("file" if connection.file is not None else "model").wrong("cannot be used", str(error))
            continue
        if plan is not None:
            reads.append((connection, plan))
            sections[connection.meter] = keys
            _check_role(keys, plan)
    # Inputs come behind the meters, so that a line with both is complained of at a meter.
    reads += [as_meter(one) for one in inputs]
    for line in line_loads(reads):
        _check_devices(line, sections)
        first = sections.get(line.units[0].meter)
        if line.connection.transport is Transport.SERIAL and first is not None:
            _check_line(line, first.at("connect"), [one for one in reads if one[0].connection == line.connection])


def _check_role(keys: MeterKeys, plan: ReadPlan) -> None:
    if plan.has_phase_currents:
        return
    place = keys.at("file" if keys.file is not None else "model")
    if keys.role is MeterRole.GUARD:
        place.wrong(
            "has no phase currents, so it cannot guard a fuse", "a model with phase currents; `edgectl meters models` lists them"
        )
    else:
        place.wrong("has no phase currents, so there is nothing to subtract", "a model with phase currents")


def _check_devices(line: LineLoad, sections: Mapping[MeterId, MeterKeys]) -> None:
    for unit in line.units:
        if unit.busy_ms > unit.interval_ms and unit.meter in sections:
            sections[unit.meter].at("every").wrong(
                f"one reading keeps this meter busy for {unit.busy_ms} ms, its own pauses included",
                f"`every: {show(_rounded_up(unit.busy_ms), DURATION)}` or more",
                found=show(unit.interval_ms, DURATION),
            )


def _check_line(line: LineLoad, place: Place, reads: Reads) -> None:
    load, count = line.load_permille, len(line.units)
    if load <= TIGHT_PERMILLE:
        return
    subject = f"{count} devices need" if count > 1 else "the meter needs"
    words = f"{subject} {load} ms of each second on this line at {line.connection.baud} baud, {load / 10:.0f} %"
    advice = " or ".join(_remedies(line, reads)) + "; `edgectl meters budget` shows the sum"
    if load > FULL_PERMILLE:
        place.wrong(words, advice, found="")
    else:
        place.warn(f"{words}: little is left for retries", advice, found="")


def _remedies(line: LineLoad, reads: Reads) -> list[str]:
    found = []
    for baud in (baud for baud in BAUDS if baud > line.connection.baud):
        faster = replace(line.connection, baud=baud)
        (load,) = line_loads([(replace(meter, connection=faster), plan) for meter, plan in reads])
        if load.load_permille <= TIGHT_PERMILLE:
            found.append(f"baud={baud} ({load.load_permille / 10:.0f} %)")
            break
    slowest_ms = max(unit.interval_ms for unit in line.units)
    every_ms = _rounded_up(slowest_ms * line.load_permille // TIGHT_PERMILLE)
    return [*found, f"`every: {show(every_ms, DURATION)}` for all of them", "a second line"]


def _rounded_up(value_ms: Millis) -> Millis:
    return -(-value_ms // 100) * 100
