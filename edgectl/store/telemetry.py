"""Blocks of telemetry in the outbox: packed, within their own budget, the oldest making room."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec
import zstandard

from edgectl.domain.records import TelemetryKept
from edgectl.domain.time import Instant, iso

SCHEMA: Final = "edgectl/tele/1"
BUDGET_BYTES: Final = 128 << 20
"""Of packed blocks: six weeks of 20 EVSEs that charge day and night, one of 120."""
LEVEL: Final = 9
"""Of zstd: a block of 2,000 rows takes 5 ms on a PC."""
STEP_ROWS: Final = 50
"""Let go of at once."""


def insert(connection: sqlite3.Connection, site: str, epoch: str, record: TelemetryKept, now: Instant) -> None:
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
    if used > BUDGET_BYTES:
        let_go(connection, STEP_ROWS)


def let_go(connection: sqlite3.Connection, count: int) -> int:
    """The oldest blocks make room. Returns how many did."""
    return connection.execute(
        "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE stream = 'telemetry' ORDER BY seq LIMIT ?)", (count,)
    ).rowcount
