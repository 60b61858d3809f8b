"""How long things are kept and how much room they may take: what goes, in which order, a little at a time.

By age goes what the backend has had in its hands for ``retention_ms``: billing records from the first on, with their sessions
and messages. One that has no receipt holds up all after it, so the chain never has a hole; the last record that went is the
chain's anchor. For want of room goes telemetry, the oldest first, and then no more of it is written. Billing never goes for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgectl.domain.records import EventKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ports import Room
from edgectl.store import telemetry
from edgectl.store.anchor import Anchor, write_anchor

STEP_BILLS: Final = 20
STEP_ROWS: Final = 100
STEP_TELEMETRY: Final = 1_000
"""What one step lets go of at most: some ten milliseconds of work, so that a commit behind it waits no longer."""

NEWEST_BILLS: Final = 20
"""The age of records is reckoned from the one so far back: a clock that is wrong for an hour takes nothing away. And the last
numbers must stand, so that they are not given out again."""

RESERVE_SHARE: Final = 4
"""A quarter of the budget is for billing alone: at 4 GB some 250,000 records."""

DISK_LEAST_BYTES: Final = 256 << 20
"""When the file system has less free, the ledger behaves as if its budget were used up: the room is for billing."""

_TELEMETRY: Final = ("limit_history", "excursion")
"""In the order in which it is given up."""

_OLD_SESSIONS: Final = (
    "SELECT id FROM (SELECT id, COALESCE(ended_utc_ms, started_utc_ms) AS ended FROM session"
    " WHERE status <> 'active' ORDER BY ended LIMIT ?) WHERE ended < ? AND NOT EXISTS (SELECT 1 FROM bill WHERE record_id = id)"
)
_OLD_ROWS: Final = {
    "event": (
        "DELETE FROM event WHERE id IN (SELECT id FROM (SELECT id, at_utc_ms FROM event ORDER BY id LIMIT ?) AS oldest"
        " WHERE at_utc_ms < ? AND id < (SELECT MAX(id) FROM event)"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE stream = 'events' AND stream_seq = oldest.id))"
    ),
    "receipt": (
        "DELETE FROM receipt WHERE id IN (SELECT id FROM (SELECT id, at_utc_ms FROM receipt ORDER BY id LIMIT ?)"
        " WHERE at_utc_ms < ?)"
    ),
    "message": (
        "DELETE FROM message WHERE id IN (SELECT id FROM (SELECT id, received_utc_ms FROM message WHERE session_id IS NULL"
        " ORDER BY id LIMIT ?) WHERE received_utc_ms < ?)"
    ),
}


@dataclass(frozen=True, slots=True)
class Keeping:
    """The site's wishes."""

    retention_ms: Millis
    budget_bytes: int

    @property
    def telemetry_bytes(self) -> int:
        """Up to here the file may grow with everything."""
        return self.budget_bytes - self.budget_bytes // RESERVE_SHARE


def tidy(
    connection: sqlite3.Connection, keeping: Keeping, disk_free_bytes: int, now: Instant, keep_event: Callable[[EventKept], None]
) -> Room:
    """One step. Runs on the writer's connection like every other piece of work; ``keep_event`` writes with the same commit."""
    removed = _let_go_by_age(connection, keeping.retention_ms, now)
    used = _used_bytes(connection)
    is_short = used > keeping.telemetry_bytes or disk_free_bytes < DISK_LEAST_BYTES
    evicted = 0
    if is_short and (used > keeping.telemetry_bytes or _spare_bytes(connection) < DISK_LEAST_BYTES // 4):
        gap = telemetry.let_go(connection, telemetry.STEP_ROWS)  # what nobody has fetched, before what explains a limit
        if gap is not None:
            keep_event(gap.event("ledger-budget" if used > keeping.telemetry_bytes else "disk", now))
        evicted = gap.count if gap is not None else _evict(connection)
    return Room(
        used_bytes=_used_bytes(connection),
        budget_bytes=keeping.budget_bytes,
        disk_free_bytes=disk_free_bytes,
        disk_least_bytes=DISK_LEAST_BYTES,
        is_billing_only=is_short and not evicted,
        removed=removed,
        evicted=evicted,
    )


def _let_go_by_age(connection: sqlite3.Connection, retention_ms: Millis, now: Instant) -> int:
    execute = connection.execute
    newest = execute("SELECT seq, created_utc_ms FROM bill ORDER BY seq DESC LIMIT 1 OFFSET ?", (NEWEST_BILLS,)).fetchone()
    if newest is None:
        return 0
    before_utc_ms = min(now.utc_ms, newest[1]) - retention_ms
    removed = _let_go_of_bills(connection, newest[0], before_utc_ms)
    sessions = execute(_OLD_SESSIONS, (STEP_ROWS, before_utc_ms)).fetchall()
    connection.executemany("DELETE FROM message WHERE session_id = ?", sessions)
    connection.executemany("DELETE FROM session WHERE id = ?", sessions)
    for statement in _OLD_ROWS.values():
        removed += execute(statement, (STEP_ROWS, before_utc_ms)).rowcount
    return removed + len(sessions)


def _let_go_of_bills(connection: sqlite3.Connection, newest_seq: int, before_utc_ms: int) -> int:
    oldest = connection.execute(
        "SELECT seq, hash, record_id, receipted_utc_ms FROM bill WHERE seq < ? ORDER BY seq LIMIT ?", (newest_seq, STEP_BILLS)
    ).fetchall()
    going = []
    for row in oldest:
        if row[3] is None or row[3] >= before_utc_ms:
            break
        going.append(row)
    if not going:
        return 0
    seq, hash_, *_ = going[-1]
    write_anchor(connection, Anchor(seq, hash_))
    connection.execute("DELETE FROM bill WHERE seq <= ?", (seq,))
    return len(going)


def _evict(connection: sqlite3.Connection) -> int:
    for table in _TELEMETRY:
        statement = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?)"  # noqa: S608 - names above
        count = connection.execute(statement, (STEP_TELEMETRY,)).rowcount
        if count:
            return count
    return 0


def _used_bytes(connection: sqlite3.Connection) -> int:
    page_bytes, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count"))
    return int(page_bytes * pages) - _spare_bytes(connection)


def _spare_bytes(connection: sqlite3.Connection) -> int:
    """Pages of the file that hold nothing."""
    page_bytes, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "freelist_count"))
    return int(page_bytes * free)
