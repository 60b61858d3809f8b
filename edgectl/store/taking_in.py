"""What a copy of a ledger holds and the ledger in use does not, as records to keep: its sessions, and what is still owed.

A billing record goes in with the same id and revision, so it is numbered, chained and owed again in the epoch of now; a backend
that has it already knows it by these two and only receipts it. Taking the same file in again changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from edgectl.domain.bill import session_body
from edgectl.domain.errors import StoreError
from edgectl.domain.ids import ChargerId, SessionId
from edgectl.domain.records import BillKept, MessageKept, Record, Session, SessionKept, SessionStatus
from edgectl.store.errors import READING, store_error
from edgectl.store.opening import COPY_MARK, open_reader

LEFT_OPEN: Final = "ledger-lost"
"""The flag of a session that ran when its ledger broke: how it went on stands in another one."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    sessions: int
    """That were not known here."""
    bills: int
    """Billing records without a receipt, owed again."""
    rebuilt: int
    """Of those, made again from their session because the record itself was lost."""
    refused: tuple[str, ...]
    """Records that are here already with another content, and why; they stay in the copy."""


@dataclass(frozen=True, slots=True)
class Group:
    """Records that go in together, and what they are."""

    records: tuple[Record, ...]
    name: str
    is_bill: bool = False
    is_rebuilt: bool = False


def groups(path: Path, is_known: Callable[[str], bool]) -> Iterator[Group]:
    """What to keep, in the order it came about. Sessions that are known here stay as they are here.

    Raises:
        StoreError: ``not-a-copy``, or it cannot be read.
    """
    try:
        with closing(open_reader(path)) as copy:
            if copy.execute("SELECT COUNT(*) FROM meta WHERE key = ?", (COPY_MARK,)).fetchone() != (1,):
                raise StoreError("not-a-copy", f"{path.name} is no backup and was not salvaged", is_permanent=True)
            yield from _sessions(copy, is_known)
            yield from _bills(copy)
    except READING as error:
        raise store_error(error) from error


def _sessions(copy: sqlite3.Connection, is_known: Callable[[str], bool]) -> Iterator[Group]:
    for session_id, body in copy.execute("SELECT id, body FROM session ORDER BY rowid"):
        if is_known(session_id):
            continue
        session = msgspec.json.decode(body, type=Session)
        if session.status is SessionStatus.ACTIVE:
            # Its charger goes on, and what it tells makes a session of its own; this one is for a person.
            flags = tuple(sorted({*session.flags, LEFT_OPEN}))
            session = replace(session, status=SessionStatus.ORPHAN, ended_utc_ms=session.last_utc_ms, flags=flags)
        messages = copy.execute(
            "SELECT charger, action, frame, received_utc_ms FROM message WHERE session_id = ? ORDER BY id", (session_id,)
        )
        kept = [
            MessageKept(ChargerId(charger), SessionId(session_id), action, frame, received_utc_ms)
            for charger, action, frame, received_utc_ms in messages
        ]
        yield Group((SessionKept(session), *kept), session_id)


def _bills(copy: sqlite3.Connection) -> Iterator[Group]:
    owed = copy.execute("SELECT record_id, rev, body FROM bill WHERE receipted_utc_ms IS NULL ORDER BY seq")
    for record_id, rev, body in owed:
        record = BillKept(SessionId(record_id), rev, json.loads(body)["session"])
        yield Group((record,), f"{record_id} rev {rev}", is_bill=True)
    lost = copy.execute(
        "SELECT id, rev, body FROM session WHERE rev > 0 AND status <> 'active'"
        " AND NOT EXISTS (SELECT 1 FROM bill WHERE record_id = session.id AND bill.rev = session.rev) ORDER BY rowid"
    )
    for session_id, rev, body in lost:
        session = msgspec.json.decode(body, type=Session)
        record = BillKept(SessionId(session_id), rev, session_body(session))
        yield Group((record,), f"{session_id} rev {rev}", is_bill=True, is_rebuilt=True)
