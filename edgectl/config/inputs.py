"""Inputs: contacts and registers that limit the site from outside, how they are read and what they mean."""

from __future__ import annotations

from edgectl.config.buses import RTU_UNITS
from edgectl.config.keys import ChargerKeys, CircuitKeys, InputKeys, MeterKeys
from edgectl.config.kinds import known_name
from edgectl.config.problems import Place, excerpt
from edgectl.config.quantities import DURATION, show
from edgectl.config.sections import Entries
from edgectl.domain.external import ExternalInput, Level, Target, TargetKind
from edgectl.domain.ids import InputId
from edgectl.domain.settings import Connection, InputConnection, Table, Transport

_CONTACTS = (Table.COIL, Table.DISCRETE)


def compose_inputs(
    inputs: Entries[InputKeys], circuits: Entries[CircuitKeys], chargers: Entries[ChargerKeys], meters: Entries[MeterKeys]
) -> tuple[tuple[ExternalInput, ...], tuple[InputConnection, ...]]:
    """The inputs that could be understood: what they mean, and how each is read. Reports all that is wrong."""
    _check_lines(inputs, meters)
    parts, connections = [], []
    for name, keys in inputs:
        _check_times(keys)
        target = _target(keys, circuits, chargers)
        levels = _levels(keys)
        if keys.connect is None or keys.read is None or target is None or keys.when_lost is None:
            continue
        if keys.connect.transport is not Transport.TCP and keys.unit not in RTU_UNITS:
            keys.at("unit").wrong("is no unit number on an RTU line", f"{RTU_UNITS[0]} to {RTU_UNITS[-1]}")
        part = ExternalInput(InputId(name), target, levels, keys.counts_in, keys.when_lost, keys.max_age)
        parts.append(part)
        connections.append(
            InputConnection(part.id, keys.connect, keys.unit, keys.read.table, keys.read.address_number, keys.every, keys.timeout)
        )
    return tuple(parts), tuple(connections)


def _target(keys: InputKeys, circuits: Entries[CircuitKeys], chargers: Entries[ChargerKeys]) -> Target | None:
    if ("circuit" in keys.written) == ("charger" in keys.written):
        keys.place.inside("circuit").wrong("name one circuit or one charger", "`circuit: NAME` or `charger: NAME`", found="")
        return None
    if keys.circuit is not None and known_name(keys.circuit, circuits.sections, "circuits", keys.at("circuit")):
        return Target(TargetKind.CIRCUIT, keys.circuit)
    if keys.charger is not None and known_name(keys.charger, chargers.sections, "chargers", keys.at("charger")):
        return Target(TargetKind.CHARGER, keys.charger)
    return None


def _levels(keys: InputKeys) -> tuple[tuple[int, Level], ...]:
    if keys.read is None:
        return ()
    if keys.read.table in _CONTACTS:
        for key in ("levels", "counts_in"):
            if key in keys.written:
                keys.at(key).wrong("is for registers", "a contact has `closed` and `open`", found="")
        if "closed" not in keys.written:
            keys.place.inside("closed").wrong("is missing", "what holds while the contact is closed, such as `60 %`", found="")
        return ((0, keys.open), (1, keys.closed or Level()))
    for key in ("open", "closed"):
        if key in keys.written:
            keys.at(key).wrong("is for contacts", "a register has `levels` or `counts_in`", found="")
    if ("levels" in keys.written) == ("counts_in" in keys.written):
        keys.place.inside("levels").wrong("says not what its values mean", "either `levels` or `counts_in`", found="")
    return keys.levels or ()


def _check_times(keys: InputKeys) -> None:
    if not keys.is_sound("every", "timeout", "max_age"):
        return
    for key, value_ms in (("every", keys.every), ("timeout", keys.timeout)):
        if value_ms >= keys.max_age:
            place = keys.at(key if key in keys.written else "max_age")
            place.wrong("its values would always be too old", f"`{key}` below `max_age`, {show(keys.max_age, DURATION)}")


def _check_lines(inputs: Entries[InputKeys], meters: Entries[MeterKeys]) -> None:
    """One line has one speed, parity and protocol, whatever is read on it."""
    lines: dict[tuple[str, int, str], tuple[Connection, Place]] = {}
    for _, keys in (*meters, *inputs):
        connection = keys.connect
        if connection is None:
            continue
        wire = (connection.host, connection.port, connection.device)
        first, place = lines.setdefault(wire, (connection, keys.place))
        if first != connection and isinstance(keys, InputKeys):
            other = excerpt(place.path.rpartition(".")[2])
            words = f"is the line of {other} in line {place.mark.line} with another speed, parity or protocol"
            keys.at("connect").wrong(words, "one line has one of each")
