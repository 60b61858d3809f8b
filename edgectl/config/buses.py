"""Meters: how they are reached, what cannot share a bus, and their part in control."""

from __future__ import annotations

from pathlib import Path

from edgectl.config.addresses import CONNECT_ALLOWED
from edgectl.config.bus_budget import Planner, check_budget
from edgectl.config.keys import CircuitKeys, MeterKeys
from edgectl.config.p1_ports import MAX_AGE_MS, check_p1, is_p1, p1_every_ms
from edgectl.config.problems import Place, excerpt, one_of
from edgectl.config.quantities import DURATION, show
from edgectl.config.sections import Entries
from edgectl.config.virtual_meters import compose_virtual, is_virtual
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import ALL_PHASES
from edgectl.domain.settings import Connection, InputConnection, MeterConnection, Transport, VirtualMeter
from edgectl.domain.site import Meter

RTU_UNITS = range(1, 248)
"""Modbus over Serial Line V1.02 §2.2: 1 to 247 are devices; 0 is broadcast and the rest reserved."""


def compose_meters(
    meters: Entries[MeterKeys],
    circuits: Entries[CircuitKeys],
    directory: Path,
    known_models: frozenset[str] | None,
    planner: Planner | None = None,
    inputs: tuple[InputConnection, ...] = (),
) -> tuple[tuple[Meter, ...], tuple[MeterConnection, ...], tuple[VirtualMeter, ...]]:
    """The meters that could be understood: their part in control, how each is read, what the virtual ones are made of.

    Reports all that is wrong.
    """
    parts: list[Meter] = []
    planned: list[tuple[MeterKeys, MeterConnection]] = []
    virtual: list[VirtualMeter] = []
    for name, keys in meters:
        if is_virtual(keys):
            made = compose_virtual(name, keys, meters)
            if made is not None:
                parts.append(Meter(MeterId(name), keys.role, keys.max_age))
                virtual.append(made)
            continue
        _check_model(keys, directory, known_models)
        if is_p1(keys):
            check_p1(name, keys, circuits, meters)
        else:
            _check_times(keys)
        if keys.connect is None:
            if "connect" not in keys.written:
                keys.place.inside("connect").wrong("is missing", CONNECT_ALLOWED)
            continue
        if keys.connect.transport is not Transport.TCP and keys.unit not in RTU_UNITS and not is_p1(keys):
            keys.at("unit").wrong("is no unit number on an RTU line", f"{RTU_UNITS[0]} to {RTU_UNITS[-1]}")
        parts.append(Meter(MeterId(name), keys.role, keys.max_age))
        connection = MeterConnection(
            meter=MeterId(name),
            connection=keys.connect,
            unit_number=keys.unit,
            model=keys.model,
            file=None if keys.file is None else str(directory / keys.file),
            phases=keys.phases or ALL_PHASES,
            is_reversed=keys.reversed,
            ct_ratio_permille=keys.ct_ratio,
            interval_ms=p1_every_ms(keys) if is_p1(keys) else keys.every,
            timeout_ms=keys.timeout,
        )
        planned.append((keys, connection))
    _check_sharing(meters)
    if planner is not None:
        known = [(keys, one) for keys, one in planned if known_models is None or keys.model in known_models or keys.file]
        check_budget(known, planner, inputs)
    return tuple(parts), tuple(connection for _, connection in planned), tuple(virtual)


def _check_model(keys: MeterKeys, directory: Path, known_models: frozenset[str] | None) -> None:
    if "model" in keys.written and "file" in keys.written:
        keys.at("file").wrong("stands beside `model`", "keep one: `model` from the catalogue, or `file` of your own")
    elif "model" not in keys.written and "file" not in keys.written:
        keys.place.inside("model").wrong("is missing", "a catalogue name, or `file: my-meter.yaml`")
    if keys.model is not None and known_models is not None and keys.model not in known_models:
        keys.at("model").wrong("is not in the catalogue", one_of(keys.model, sorted(known_models), "models"))
    if keys.file is not None and not _is_file(directory / keys.file):
        keys.at("file").wrong("there is no such file", f"looked for {directory / keys.file}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _check_times(keys: MeterKeys) -> None:
    if not keys.is_sound("every", "timeout", "max_age"):
        return
    if keys.max_age > MAX_AGE_MS:
        keys.at("max_age").wrong("is out of range", "1 s to 10 s; up to 30 s for a P1 port that sends every 10 s")
        return
    for key, value_ms in (("every", keys.every), ("timeout", keys.timeout)):
        if value_ms >= keys.max_age:
            place = keys.at(key if key in keys.written else "max_age")
            place.wrong(
                f"a reading {'every' if key == 'every' else 'that may take'} {show(value_ms, DURATION)} would always be too old",
                f"`{key}` below `max_age`, which is {show(keys.max_age, DURATION)}",
            )


def _check_sharing(meters: Entries[MeterKeys]) -> None:
    lines: dict[tuple[str, int, str], tuple[Connection, Place]] = {}
    units: dict[tuple[Connection, int], Place] = {}
    for _, keys in meters:
        connection = keys.connect
        if connection is None:
            continue
        wire = (connection.host, connection.port, connection.device)
        first, first_place = lines.setdefault(wire, (connection, keys.place))
        if first != connection:
            other = excerpt(first_place.path.rpartition(".")[2])
            keys.at("connect").wrong(
                f"is {_line(connection)}, but meter {other} in line {first_place.mark.line} has {_line(first)} on the same line",
                "one line has one speed, parity and protocol",
            )
        elif keys.is_sound("unit"):
            twin = units.setdefault((connection, keys.unit), keys.place)
            if twin is not keys.place:
                other = excerpt(twin.path.rpartition(".")[2])
                keys.at("unit").wrong(
                    f"is the same device as meter {other} in line {twin.mark.line}: same address, same unit",
                    "each meter on a bus has its own unit number",
                    found=str(keys.unit),
                )


def _line(connection: Connection) -> str:
    if connection.transport is Transport.SERIAL:
        return f"{connection.baud} baud 8{connection.parity}{connection.stop_bits}"
    return connection.transport.value
