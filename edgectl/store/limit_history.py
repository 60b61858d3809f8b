"""The history of limits: what is kept of it, and what goes, a little with each row that comes.

A row goes by its age, and by its number where a site's limits never rest. A clock that was ahead for a while has stamped rows
with a time that is still to come: their age is that of what came after them. Otherwise they would hold up, for as long as the
clock was ahead, everything behind them.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from edgectl.domain.records import LimitKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis

LIMIT_HISTORY_MS: Final[Millis] = 30 * 86_400_000
"""How far back ``edgectl why --at`` can see."""

LIMIT_HISTORY_ROWS: Final = 1_000_000
"""The second bound, for a site whose limits never rest: some 300 MB."""

EVICTION_STEP: Final = 4
"""Rows looked at for each row added: the table shrinks three times faster than it grows, and no commit pays for a clean-up."""


def keep_limit(connection: sqlite3.Connection, record: LimitKept, now: Instant) -> None:
    """Write the row, and let the oldest go."""
    reason = msgspec.json.encode(record.reason).decode()
    newest = connection.execute(
        "INSERT INTO limit_history (charger, evse_number, at_utc_ms, limit_ma, reason) VALUES (?, ?, ?, ?, ?)",
        (record.evse.charger, record.evse.number, record.at_utc_ms, record.limit_ma, reason),
    ).lastrowid
    _let_go(connection, newest or 0, now)


def _let_go(connection: sqlite3.Connection, newest: int, now: Instant) -> None:
    before_utc_ms = now.utc_ms - LIMIT_HISTORY_MS
    oldest = connection.execute("SELECT id, at_utc_ms FROM limit_history ORDER BY id LIMIT ?", (EVICTION_STEP,)).fetchall()
    end = next((_end_of_ahead(connection, row, newest, now) for row, at in oldest if at > now.utc_ms), None)
    outlived = end[0] if end is not None and end[1] < before_utc_ms else 0
    going = [
        (row,)
        for row, at in oldest
        if at < before_utc_ms or row <= newest - LIMIT_HISTORY_ROWS or (at > now.utc_ms and row < outlived)
    ]
    if going:
        connection.executemany("DELETE FROM limit_history WHERE id = ?", going)


def _end_of_ahead(connection: sqlite3.Connection, first: int, newest: int, now: Instant) -> tuple[int, UtcMillis] | None:
    """The row that ends the rows stamped ahead which begin at ``first``, with its stamp. None while there is none.

    Found by some forty looks, however many they are: the clock was ahead in one piece. Where it was in several, it is a later
    one of their ends: what came before it is as old as it, at least.
    """
    ahead, step = first, 1
    while True:
        found = _row_from(connection, min(ahead + step, newest))
        if found is None:
            return None
        if found[1] <= now.utc_ms:
            break
        if found[0] >= newest:
            return None
        ahead, step = found[0], step * 2
    end, probe = found, found[0]
    while probe - ahead > 1:
        middle = (ahead + probe) // 2
        found = _row_from(connection, middle)
        if found is not None and found[1] > now.utc_ms:
            ahead = found[0]
        else:
            end, probe = found or end, middle
    return end


def _row_from(connection: sqlite3.Connection, row: int) -> tuple[int, UtcMillis] | None:
    found = connection.execute("SELECT id, at_utc_ms FROM limit_history WHERE id >= ? ORDER BY id LIMIT 1", (row,)).fetchone()
    return None if found is None else (int(found[0]), int(found[1]))
