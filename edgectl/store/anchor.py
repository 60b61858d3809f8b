"""Where the chain begins: the number and hash of the last billing record that retention has let go of."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from edgectl.store.billing import FIRST_PREV_HASH

ANCHOR_KEY: Final = "bill_anchor"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The record before the first that is kept; of a ledger that has let go of nothing, number 0."""

    seq: int = 0
    hash: str = FIRST_PREV_HASH


def read_anchor(connection: sqlite3.Connection) -> Anchor:
    """Raises sqlite3.Error; a note that makes no sense counts as none, and the chain then does not hold."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (ANCHOR_KEY,)).fetchone()
    try:
        return Anchor() if row is None else Anchor(**json.loads(row[0]))
    except (ValueError, TypeError):
        return Anchor()


def write_anchor(connection: sqlite3.Connection, anchor: Anchor) -> None:
    text = json.dumps({"seq": anchor.seq, "hash": anchor.hash})
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (ANCHOR_KEY, text))
