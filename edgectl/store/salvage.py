"""What a damaged ledger still holds: every row that can be read goes into a new file, and a report says what is not there.

Rows are recognised by their shape, so nothing depends on the inner pages, the list of tables or the first page. A billing record
counts only when its own hash fits; one whose row is lost is taken from the outbox, which holds the same bytes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from edgectl.domain.errors import StoreError
from edgectl.domain.records import Session, SessionStatus
from edgectl.store import billing
from edgectl.store.anchor import ANCHOR_KEY, read_anchor
from edgectl.store.copies import finished, mark
from edgectl.store.opening import is_in_use, migrate, migrations
from edgectl.store.pages import TABLE_LEAF, Pages, Row, Value

META_KEYS: Final = frozenset({"epoch", "last_transaction_number", ANCHOR_KEY})
"""What is taken over of the table of single values; anything else of two texts is not of that table."""

_COUNTED: Final = ("bill", "session", "message", "event", "receipt", "limit_history")
"""Tables whose row numbers have no gaps of their own, save before the first that is kept."""


@dataclass(frozen=True, slots=True)
class TableFound:
    name: str
    found: int
    missing: int | None
    """Numbers without a row, between the first and the last that were found; None where numbers may be missing by nature."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One that ran when the file broke."""

    session: str
    charger: str
    evse: int
    started_utc_ms: int
    meter_start_wh: int | None
    meter_last_wh: int | None


@dataclass(frozen=True, slots=True)
class SalvageReport:
    source: Path
    target: Path
    epoch: str
    page_count: int
    lost_pages: int
    """Pages that make no sense; rows on them are lost."""
    tables: tuple[TableFound, ...]
    first_seq: int
    last_seq: int
    """The highest number of a billing record that anything in the file speaks of; what came after it nobody can know."""
    missing_seqs: tuple[tuple[int, int], ...]
    """First and last of each run of billing records that are lost."""
    owed_count: int
    """Billing records without a receipt."""
    lost_records: tuple[tuple[str, int], ...]
    """Sessions that had a billing record which is lost, and its revision: it can be made again from the session."""
    open_sessions: tuple[OpenSession, ...]


def salvage(source: Path, target: Path) -> SalvageReport:
    """Read what is readable of ``source`` and its log into ``target``, which is replaced if it is there. ``source`` stays.

    Raises:
        StoreError: ``in-use``, ``cannot-open``, ``nothing-found``, or ``target`` cannot be written.
    """
    try:
        if is_in_use(source):
            raise StoreError("in-use", f"{source} is being written to; make a backup and name that", is_permanent=True)
        pages = Pages(source)
    except OSError as error:
        raise StoreError("cannot-open", f"{source}: {error.strerror}", is_permanent=True) from error
    with pages, finished(target) as fresh:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # ``finished`` syncs the whole
            migrate(connection, migrations())
            connection.execute("BEGIN")
            collector = _Collector(connection)
            for row in pages.rows():
                collector.take(row)
            collector.finish()
            report = _report(connection, collector, source, target, pages)
            connection.execute("COMMIT")
        mark(fresh, f"salvaged from {source.name}")
    return report


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of a table look."""

    table: str
    columns: tuple[str, ...]
    types: tuple[tuple[type, ...], ...]
    has_rowid: bool
    number: int | None
    """Which column is the row's number; such a column is empty on the page."""

    def fits(self, row: Row) -> bool:
        return (
            (row.kind == TABLE_LEAF) is self.has_rowid
            and len(row.values) == len(self.types)
            and all(isinstance(value, kinds) for value, kinds in zip(row.values, self.types, strict=True))
        )


def shapes(connection: sqlite3.Connection) -> tuple[_Shape, ...]:
    kinds: dict[str, type] = {"TEXT": str, "INTEGER": int, "BLOB": bytes}
    found = []
    tables = connection.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'").fetchall()
    for table, is_without_rowid in tables:
        if table.startswith("sqlite_"):
            continue
        info = connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)).fetchall()
        is_numbered = not is_without_rowid and [(kind, pk) for _, kind, _, pk in info if pk] == [("INTEGER", 1)]
        number = next((place for place, (*_, pk) in enumerate(info) if pk), None) if is_numbered else None
        types = tuple(
            (type(None),) if place == number else (kinds[kind],) if not_null or pk else (kinds[kind], type(None))
            for place, (_, kind, not_null, pk) in enumerate(info)
        )
        found.append(_Shape(table, tuple(name for name, *_ in info), types, not is_without_rowid, number))
    return tuple(found)


class _Collector:
    """Rows into their tables, each judged on its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self.shapes = shapes(connection)
        self._statements = {shape.table: _insert(shape) for shape in self.shapes}
        self._sessions: dict[str, tuple[int, int, bool]] = {}
        """How far the kept state of each session had come: pages from before a split hold older ones."""
        self._owed: list[tuple[bytes, int]] = []
        """Billing records as they wait in the outbox, and since when."""
        self.highest_seq = 0
        self.open: dict[str, Session] = {}
        self.revisions: dict[str, int] = {}

    def take(self, row: Row) -> None:
        shape = next((one for one in self.shapes if one.fits(row)), None)
        if shape is None:
            return
        values = list(row.values)
        if shape.number is not None:
            values[shape.number] = row.rowid
        named = dict(zip(shape.columns, values, strict=True))
        if not row.is_committed and shape.table not in ("bill", "outbox"):
            return  # only what carries its own hash can be believed there
        if self._is_believed(shape.table, named, row):
            more = () if shape.number is not None or not shape.has_rowid else (row.rowid,)
            self._execute(self._statements[shape.table], (*values, *more))

    def finish(self) -> None:
        """Take from the outbox what is missing among the billing records."""
        for body, created_utc_ms in self._owed:
            bill = billing.unsealed(body)
            if bill is not None:
                self._note_seq(bill.seq)
                self._execute(
                    "INSERT OR IGNORE INTO bill (seq, record_id, rev, prev_hash, hash, body, created_utc_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (bill.seq, bill.record_id, bill.rev, bill.prev_hash, bill.hash, bill.body, created_utc_ms),
                )

    def _is_believed(self, table: str, row: dict[str, Value], found: Row) -> bool:
        match table:
            case "meta":
                return row["key"] in META_KEYS
            case "bill":
                bill = billing.unsealed(_bytes(row["body"]))
                shown = (row["seq"], row["record_id"], row["rev"], row["prev_hash"], row["hash"])
                if bill is None or shown != (bill.seq, bill.record_id, bill.rev, bill.prev_hash, bill.hash):
                    return False
                self._note_seq(bill.seq)
            case "session":
                return self._is_newest(row)
            case "outbox" if row["stream"] == "billing":
                self._owed.append((_bytes(row["body"]), int(row["created_utc_ms"] or 0)))
                return found.is_committed
            case "outbox":
                return found.is_committed
            case "receipt" if row["stream"] == "billing" and row["is_applied"]:
                self._note_seq(row["acked_through"])
        return True

    def _is_newest(self, row: dict[str, Value]) -> bool:
        try:
            session = msgspec.json.decode(str(row["body"]), type=Session)
        except msgspec.DecodeError:
            return False
        if session.id != row["id"]:
            return False
        state = (session.rev, session.last_utc_ms, session.replaced_by is not None)
        if state < self._sessions.get(session.id, (-1, 0, False)):
            return False
        self._sessions[session.id] = state
        self.revisions[session.id] = session.rev
        self.open.pop(session.id, None)
        if session.status is SessionStatus.ACTIVE:
            self.open[session.id] = session
        return True

    def _note_seq(self, seq: Value) -> None:
        # A number far beyond all others is a damaged one: it would report a million records as lost.
        if isinstance(seq, int) and 0 < seq < 1 << 40:
            self.highest_seq = max(self.highest_seq, seq)


def _insert(shape: _Shape) -> str:
    columns = [*shape.columns, *(["rowid"] if shape.has_rowid and shape.number is None else [])]
    return (
        f"INSERT OR REPLACE INTO {shape.table} ({', '.join(columns)})"  # noqa: S608 - names of our own schema
        f" VALUES ({', '.join('?' * len(columns))})"
    )


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _report(connection: sqlite3.Connection, collector: _Collector, source: Path, target: Path, pages: Pages) -> SalvageReport:
    def one(statement: str) -> Any:
        return connection.execute(statement).fetchone()[0]

    tables = []
    for shape in collector.shapes:
        found = one(f"SELECT COUNT(*) FROM {shape.table}")  # noqa: S608 - names of our own schema
        gaps = f"SELECT COALESCE(MAX(rowid) - MIN(rowid) + 1, 0) FROM {shape.table}"  # noqa: S608 - same
        missing = one(gaps) - found if shape.table in _COUNTED else None
        tables.append(TableFound(shape.table, found, missing))
    if not sum(table.found for table in tables if table.name != "meta"):
        raise StoreError("nothing-found", f"{source} holds nothing that looks like a ledger's", is_permanent=True)
    first_seq = read_anchor(connection).seq + 1
    seqs = [seq for (seq,) in connection.execute("SELECT seq FROM bill WHERE seq >= ? ORDER BY seq", (first_seq,))]
    known = {(record_id, rev) for record_id, rev in connection.execute("SELECT record_id, rev FROM bill")}
    bodies = connection.execute("SELECT body FROM bill ORDER BY seq DESC LIMIT 1").fetchone()
    if bodies is not None and not one("SELECT COUNT(*) FROM meta WHERE key = 'epoch'"):
        epoch = json.loads(bodies[0])["epoch"]
        connection.execute("INSERT INTO meta (key, value) VALUES ('epoch', ?)", (epoch,))
    return SalvageReport(
        source=source,
        target=target,
        epoch=str((connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone() or ("",))[0]),
        page_count=pages.count,
        lost_pages=pages.lost(),
        tables=tuple(tables),
        first_seq=first_seq,
        last_seq=collector.highest_seq,
        missing_seqs=_runs_missing(seqs, first_seq, collector.highest_seq),
        owed_count=one("SELECT COUNT(*) FROM bill WHERE receipted_utc_ms IS NULL"),
        lost_records=tuple(sorted((name, rev) for name, rev in collector.revisions.items() if rev and (name, rev) not in known)),
        open_sessions=tuple(
            OpenSession(
                session.id,
                session.charger,
                session.evse_number,
                session.started_utc_ms,
                session.meter_start_wh,
                session.meter_last_wh,
            )
            for session in collector.open.values()
        ),
    )


def _runs_missing(seqs: Sequence[int], first: int, last: int) -> tuple[tuple[int, int], ...]:
    runs = []
    expected = first
    for seq in (*seqs, last + 1):
        if seq > expected:
            runs.append((expected, seq - 1))
        expected = max(expected, seq + 1)
    return tuple(runs)
