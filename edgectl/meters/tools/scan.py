"""Who answers on a line. Reads only; 247 units at one setting take less than a minute (``bound_ms``).

Every unit is asked once, with a window of at most 0.2 s, so that all fit into the minute. What is heard out of turn (an answer
of the unit before, bytes that are no answer) makes suspects, who are asked again with patience. A unit that is heard damaged or
twice each time is two units with one number: they answer at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edgectl.domain.settings import Connection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.tools.lines import ScanLine, open_line
from edgectl.meters.tools.questions import Question, Table

ALL_UNITS = range(1, 248)
"""Modbus over Serial Line V1.02, 2.2."""
SETTINGS = tuple((baud, parity) for baud in (9_600, 19_200, 38_400, 115_200, 2_400, 4_800, 57_600, 1_200) for parity in "NEO")
"""Baud and parity in the order in which meters leave the factory."""
LISTEN_MS: Millis = 1_200
"""Before the first question: a P1 port speaks each second, another master more often."""
WINDOW_MS: Millis = 200
WINDOW_MIN_MS: Millis = 120
PATIENT_MS: Millis = 700
"""The longest answer time a maker states is 500 ms."""
BUDGET_MS: Millis = 50_000
"""For all units at one setting; the rest of the minute is for whoever answers, for suspects, and for a gateway that is busy."""
CONFIRMATIONS = 3
NETWORK_MS: Millis = 20
QUESTION_BYTES = 8
SILENCE_CHARACTERS = 4
"""3.5 of them, rounded up."""
CHARACTER_BITS = 11


class Finding(StrEnum):
    ANSWERS = "answers"
    SHARED = "shared"
    """Damaged or double answers each time: two units with this number."""


@dataclass(frozen=True, slots=True)
class Found:
    unit: int
    finding: Finding
    clean_count: int
    """Of ``CONFIRMATIONS`` more questions, how many had one whole answer."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """One setting of one line."""

    connection: Connection
    found: tuple[Found, ...]
    asked_count: int
    talks_by_itself: bool = False
    """Bytes came before anything was asked (a P1 port, another master on the line), so nothing was asked."""
    ignores_unit: bool = False
    """The device answers whatever unit is asked."""
    stray_count: int = 0
    """Bytes that belong to no answer: noise, a wrong setting, or two units with one number."""


Progress = Callable[[int], None]
"""Told how many units have been asked."""


def window_ms(connection: Connection) -> Millis:
    """How long each unit may take to begin its answer, so that all of them fit into the budget."""
    left_ms = BUDGET_MS // len(ALL_UNITS) - _wire_ms(connection)
    return max(WINDOW_MIN_MS, min(WINDOW_MS, left_ms))


def bound_ms(connection: Connection, unit_count: int = len(ALL_UNITS)) -> Millis:
    """How long asking this many units takes at most while nobody answers; an answer comes before its window ends."""
    return LISTEN_MS + unit_count * (window_ms(connection) + _wire_ms(connection))


def _wire_ms(connection: Connection) -> Millis:
    """A question on the wire with the silence before it, rounded up. The window itself is the silence behind."""
    if connection.transport is not Transport.SERIAL:
        return NETWORK_MS
    return -(-(QUESTION_BYTES + SILENCE_CHARACTERS) * CHARACTER_BITS * 1000 // connection.baud)


def settings_of(connection: Connection) -> tuple[Connection, ...]:
    """A serial line at every baud and parity, the likeliest first."""
    return tuple(replace(connection, baud=baud, parity=parity) for baud, parity in SETTINGS)


async def scan(connection: Connection, units: Sequence[int], progress: Progress) -> ScanReport:
    """Ask every unit.

    Raises:
        LineError: the line cannot be used.
    """
    line = open_line(connection)
    await line.open()
    try:
        return await _scan(line, connection, units, progress)
    finally:
        await line.close()


async def _scan(line: ScanLine, connection: Connection, units: Sequence[int], progress: Progress) -> ScanReport:
    if not (await line.listen(LISTEN_MS)).is_silence:
        # Whoever talks without being asked would be disturbed, and would disturb.
        return ScanReport(connection, (), 0, talks_by_itself=True)
    window = window_ms(connection) + _wire_ms(connection)
    present: set[int] = set()
    suspects: set[int] = set()
    stray_count = 0
    for number, unit in enumerate(units, start=1):
        found = await line.ask(_question(unit), window)
        present.update(found.units)
        stray_count += found.stray_count
        if not found.is_silence and not found.is_clean(unit):
            suspects.update({units[number - 2] if number > 1 else unit, unit, *found.units})
        progress(number)
    present.update((await line.listen(PATIENT_MS)).units)
    if len(units) > 1 and present >= set(units) and connection.transport is Transport.TCP:
        return ScanReport(connection, (Found(units[0], Finding.ANSWERS, 0),), len(units), ignores_unit=True)
    confirmed = [await _confirm(line, unit) for unit in sorted(present | suspects)]
    return ScanReport(
        connection,
        tuple(one for one in confirmed if one is not None),
        len(units),
        stray_count=stray_count,
    )


async def _confirm(line: ScanLine, unit: int) -> Found | None:
    heard = [await line.ask(_question(unit), PATIENT_MS) for _ in range(CONFIRMATIONS)]
    clean_count = sum(one.is_clean(unit) for one in heard)
    spoiled_count = sum(not one.is_silence and not one.is_clean(unit) for one in heard)
    if clean_count > spoiled_count:
        return Found(unit, Finding.ANSWERS, clean_count)
    return Found(unit, Finding.SHARED, clean_count) if spoiled_count > 1 else None


def _question(unit: int) -> Question:
    """Two input registers: some meters answer with them, every other with an exception; both are an answer."""
    return Question(unit, Table.INPUT, 0, 2)
