"""The commands that were let in, in the ledger's file. SQL only; what writes runs on the writer's connection."""

from __future__ import annotations

import sqlite3
from typing import Final

from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ports import KeptCommand

KEPT_AFTER_MS: Final[Millis] = 24 * 3_600_000
"""After its end a command is kept this long, for a clock that is set back."""
READ: Final = "SELECT id, digest, received_utc_ms, expires_utc_ms, answer FROM command ORDER BY received_utc_ms DESC LIMIT 4096"
"""All that are kept, the latest first: more are never let in within that time."""


def begin(connection: sqlite3.Connection, command: KeptCommand, now: Instant) -> None:
    """Note a command before it is carried out."""
    connection.execute("DELETE FROM command WHERE expires_utc_ms < ?", (now.utc_ms - KEPT_AFTER_MS,))
    connection.execute(
        "INSERT INTO command (id, digest, received_utc_ms, expires_utc_ms, answer) VALUES (?, ?, ?, ?, ?)",
        (command.id, command.digest, command.received_utc_ms, command.expires_utc_ms, command.answer),
    )


def finish(connection: sqlite3.Connection, command_id: str, answer: bytes) -> None:
    """Note what became of it."""
    connection.execute("UPDATE command SET answer = ? WHERE id = ?", (answer, command_id))
