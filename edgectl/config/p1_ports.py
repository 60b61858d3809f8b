"""DSMR P1 ports: what a port that only talks cannot have, and when it talks too seldom for what it guards."""

from __future__ import annotations

from edgectl.config.electrical import milliamps
from edgectl.config.keys import CircuitKeys, MeterKeys
from edgectl.config.problems import excerpt
from edgectl.config.quantities import DURATION, show
from edgectl.config.sections import Entries
from edgectl.domain.phases import ALL_PHASES
from edgectl.domain.settings import P1_MODEL, Connection, Transport
from edgectl.domain.site import MeterRole
from edgectl.domain.units import Millis

MODBUS_PORT = 502
OLD_BAUD, BAUD = 9_600, 115_200
OLD_EVERY_MS: Millis = 10_000
"""How often DSMR 2.2, 3 and 4 send; at 9600 baud it can be no other."""
MAX_AGE_MS: Millis = 10_000
"""For every other meter (PRODUCT: 1 to 10 s)."""
TIGHT_PERCENT = 10
"""A margin below this share of the limit is tight for a meter that tells of a rise ten seconds later: a breaker may open at 1.13
times its current within an hour (IEC 60898-1), and every rise stands for that long."""


def is_p1(keys: MeterKeys) -> bool:
    return keys.model == P1_MODEL


def p1_every_ms(keys: MeterKeys) -> Millis:
    """How often telegrams are expected."""
    is_old = keys.connect is not None and keys.connect.transport is Transport.SERIAL and keys.connect.baud == OLD_BAUD
    return OLD_EVERY_MS if is_old and "every" not in keys.written else keys.every


def check_p1(name: str, keys: MeterKeys, circuits: Entries[CircuitKeys], meters: Entries[MeterKeys]) -> None:
    """Report what is wrong with one port."""
    for key, words in (("unit", "a P1 port has no unit number"), ("timeout", "a P1 port is not asked, it talks by itself")):
        if key in keys.written:
            keys.at(key).wrong(words, "leave it out", found="")
    connection = keys.connect
    if connection is not None:
        if connection.transport is Transport.RTU_OVER_TCP:
            keys.at("connect").wrong("a P1 port does not speak Modbus", "`tcp://host:port` of the bridge, or `serial:///dev/...`")
        elif connection.transport is Transport.TCP and connection.port == MODBUS_PORT:
            keys.at("connect").wrong("names Modbus's port or none", "the port of the bridge, for example `tcp://host:2001`")
        elif connection.transport is Transport.SERIAL and connection.baud not in {OLD_BAUD, BAUD}:
            keys.at("connect").wrong(
                f"no P1 port speaks {connection.baud} baud", f"baud={BAUD} (DSMR 4 and 5) or baud={OLD_BAUD} (DSMR 2.2 and 3)"
            )
    for other, section in meters:
        if (
            connection is not None
            and not is_p1(section)
            and section.connect is not None
            and _is_same(section.connect, connection)
        ):
            keys.at("connect").wrong(f"is also the line of meter {excerpt(other)}", "a P1 port has its line to itself")
    if keys.is_sound("connect", "every", "max_age"):
        _check_pace(name, keys, circuits)


def _is_same(one: Connection, other: Connection) -> bool:
    return (one.host, one.port, one.device) == (other.host, other.port, other.device)


def _check_pace(name: str, keys: MeterKeys, circuits: Entries[CircuitKeys]) -> None:
    every_ms = p1_every_ms(keys)
    is_old = every_ms == OLD_EVERY_MS and "every" not in keys.written
    if every_ms >= keys.max_age:
        place = keys.at("every" if "every" in keys.written else "max_age")
        because = f" (at {OLD_BAUD} baud it is DSMR 2.2 or 3)" if is_old else ""
        place.wrong(
            f"the meter sends every {show(every_ms, DURATION)}{because}, so each reading would soon be too old",
            f"`max_age: {show(every_ms + 3_000, DURATION)}`" + (f", or `?baud={BAUD}` for DSMR 4 and 5" if is_old else ""),
            found=show(keys.max_age, DURATION),
        )
    if is_old and len(keys.phases or ALL_PHASES) > 1:
        keys.at("connect").warn(
            f"at {OLD_BAUD} baud a P1 port (DSMR 2.2 and 3) tells only the total power, so there are no phase currents",
            "`phases: [L1]` on a single-phase connection; otherwise a Modbus meter",
            found="",
        )
    if every_ms < OLD_EVERY_MS or keys.role is not MeterRole.GUARD:
        return
    for circuit, section in circuits:
        if section.meter != name or section.limit is None:
            continue
        limit_ma = min(filter(None, section.limit.current_ma), default=0)
        enough_ma = -(-limit_ma * TIGHT_PERCENT // 100_000) * 1_000
        if section.margin * 100 < limit_ma * TIGHT_PERCENT:
            keys.at("every" if "every" in keys.written else "connect").warn(
                f"the meter sends every {show(every_ms, DURATION)}, so a rise on {excerpt(circuit)} is seen that much later, "
                f"and the margin is {milliamps(section.margin)} of {milliamps(limit_ma)}",
                f"`margin: {milliamps(enough_ma)}` or more, or a meter that is read each second",
                found="",
            )
