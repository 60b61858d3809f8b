"""Blocks of telemetry in the outbox: packed, within their own budget, the oldest making room."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import zstandard

from edgectl.domain.records import EventKept, TelemetryKept
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import UtcMillis

SCHEMA: Final = "edgectl/tele/1"
BUDGET_BYTES: Final = 128 << 20
"""Of packed blocks: six weeks of 20 EVSEs that charge day and night, one of 120."""
LEVEL: Final = 9
"""Of zstd: a block of 2,000 rows takes 5 ms on a PC."""
STEP_ROWS: Final = 50
"""Let go of at once."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Blocks that made room before the backend had them."""

    from_seq: int
    through_seq: int
    count: int
    """Fewer than the numbers between them where the backend has some already: the newest are sent first."""
    first_utc_ms: UtcMillis
    last_utc_ms: UtcMillis
    """When the first and the last of them were written, which is when they end."""

    def event(self, reason: str, now: Instant) -> EventKept:
        """``reason`` as in the contract's ``TelemetryGap``."""
        body: dict[str, object] = {
            "from_seq": self.from_seq,
            "through_seq": self.through_seq,
            "count": self.count,
            "first_at": iso(self.first_utc_ms),
            "last_at": iso(self.last_utc_ms),
            "reason": reason,
        }
        return EventKept("telemetry-gap", "telemetry", now.utc_ms, body)


def insert(connection: sqlite3.Connection, site: str, epoch: str, record: TelemetryKept, now: Instant) -> Gap | None:
    """Number a block, pack it, owe it; and let go of the oldest ones where all of them together are too large."""
    (last,) = connection.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'telemetry_seq'").fetchone()
    seq = last + 1
    message: dict[str, Any] = {
        "schema": SCHEMA,
        "site": site,
        "epoch": epoch,
        "seq": seq,
        "record_id": f"{epoch}-t{seq}",
        "rev": 1,
        "kind": record.kind,
        "from": iso(record.from_utc_ms),
        "to": iso(record.to_utc_ms),
        **record.body,
    }
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.json.encode(message))
    connection.execute("UPDATE meta SET value = ? WHERE key = 'telemetry_seq'", (str(seq),))
    connection.execute(
        "INSERT INTO outbox (stream, stream_seq, record_id, rev, topic_suffix, body, created_utc_ms)"
        " VALUES ('telemetry', ?, ?, 1, ?, ?, ?)",
        (seq, message["record_id"], f"tele/{record.kind}", packed, now.utc_ms),
    )
    (used,) = connection.execute("SELECT SUM(LENGTH(body)) FROM outbox WHERE stream = 'telemetry'").fetchone()
    return let_go(connection, STEP_ROWS) if used > BUDGET_BYTES else None


def let_go(connection: sqlite3.Connection, count: int) -> Gap | None:
    """The oldest blocks make room. Returns which did; whoever calls writes it down with the same commit."""
    going = connection.execute(
        "SELECT seq, stream_seq, created_utc_ms FROM outbox WHERE stream = 'telemetry' ORDER BY seq LIMIT ?", (count,)
    ).fetchall()
    if not going:
        return None
    connection.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _, _ in going])
    return Gap(going[0][1], going[-1][1], len(going), going[0][2], going[-1][2])
