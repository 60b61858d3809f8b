"""Sessions that ran when the ledger broke: read from the damaged file, so that they go on in the new one under the same id.

What a session was and where its register stood at the start is in the row of its start, written long before the damage as a rule.
Its charger tells the rest. Because the id stays, what ``salvage`` finds later is known already and nothing is billed twice.

Only what can be believed goes on: a row on a page that belongs to nothing any more may be older than the truth, so a session
counts when its newest row of the whole file says that it runs, and nothing in the file says that it was billed. A file too large
to be read whole while everybody waits is asked through SQLite, if that still gets an answer; else nothing goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edgectl.domain.ids import ChargerId, SessionId
from edgectl.domain.records import MessageKept, Session, SessionKept, SessionStatus
from edgectl.store.errors import READING
from edgectl.store.opening import COPY_MARK, open_reader
from edgectl.store.pages import TABLE_LEAF, Pages, Row

log = structlog.get_logger(__name__)

RESUMED: Final = "ledger-replaced"
"""The flag of a session that began in a ledger that broke and went on in another one."""

READ_PAGES: Final = 125_000
"""How large a file is looked through: 0.5 GB, as 400 days make it. No charger is served meanwhile; each holds its limit."""

MESSAGES: Final = 5_000
"""Of running sessions, that go along at most: some 2 MB of memory."""


_MAY_RUN: Final = re.compile(b"active|" + COPY_MARK.encode())


def running(path: Path, *, most_pages: int = READ_PAGES) -> list[SessionKept | MessageKept]:
    """Sessions that ran, flagged, each with its messages. A backup in the ledger's place has none: its are long over."""
    found = _Found()
    is_whole = False
    try:
        with Pages(path) as pages:
            is_whole = pages.count <= most_pages
            if is_whole:
                for row in pages.rows(_MAY_RUN.search):
                    found.take(row)
                for row in pages.rows(found.is_told_of()):
                    found.take(row)
    except OSError as error:
        log.warning("ledger_not_read_for_running_sessions", reason=str(error))
    if found.is_copy:
        return []
    sessions = found.open() if is_whole else _asked(path)
    log.warning("sessions_resumed", sessions=[session.id for session in sessions], is_whole=is_whole)
    records: list[SessionKept | MessageKept] = []
    for session in sessions:
        records += [_flagged(session), *found.messages_of(session.id)]
    return records


def _flagged(session: Session) -> SessionKept:
    return SessionKept(replace(session, flags=tuple(sorted({*session.flags, RESUMED}))))


@dataclass
class _Found:
    """What the pages say, whichever order they lie in."""

    is_copy: bool = False
    _sessions: dict[str, Session] = field(default_factory=dict)
    _billed: set[str] = field(default_factory=set)
    _messages: dict[int, tuple[str, str, str, str, int]] = field(default_factory=dict)
    """By number: of sessions that may run."""

    def take(self, row: Row) -> None:
        match row.values:
            case (str(), str(), int(), str(), "active", int(), _, 0, str(body)) if row.is_committed and row.kind == TABLE_LEAF:
                self._note(body)
            case (str(name), str(), int(), str(), str(), int(), _, int(), str()) if row.kind == TABLE_LEAF:
                self._billed.add(name)  # over, or with a record: however new, it does not run any more
            case (None, str(name), int(), str(), str(), bytes(), int(), _):
                self._billed.add(name)
            case (None, "billing", int(), str(name), *_) if len(row.values) == 12:
                self._billed.add(name)
            case (None, str(charger), str(session), str(action), str(frame), int(at_utc_ms)) if row.is_committed:
                if session in self._sessions and len(self._messages) < MESSAGES:
                    self._messages[row.rowid or 0] = (session, charger, action, frame, at_utc_ms)
            case (str(key), str()) if key == COPY_MARK:
                self.is_copy = True

    def is_told_of(self) -> Callable[[bytes], object]:
        """Finds the pages that speak of any session that may run."""
        names = [re.escape(name.encode()) for name in self._sessions]
        return re.compile(b"|".join(names)).search if names else lambda _: False

    def _note(self, body: str) -> None:
        session = _session(body)
        if session is None:
            return
        known = self._sessions.get(session.id)
        if known is None or known.last_utc_ms <= session.last_utc_ms:
            self._sessions[session.id] = session

    def open(self) -> list[Session]:
        return sorted((one for one in self._sessions.values() if one.id not in self._billed), key=lambda one: one.started_utc_ms)

    def messages_of(self, session: SessionId) -> Sequence[MessageKept]:
        return [
            MessageKept(ChargerId(charger), session, action, frame, at_utc_ms)
            for _, (name, charger, action, frame, at_utc_ms) in sorted(self._messages.items())
            if name == session
        ]


def _asked(path: Path) -> list[Session]:
    """By SQLite itself, which looks at few pages; nothing where one of them is damaged."""
    try:
        with closing(open_reader(path)) as connection:
            if connection.execute("SELECT COUNT(*) FROM meta WHERE key = ?", (COPY_MARK,)).fetchone()[0]:
                return []
            bodies = connection.execute(
                "SELECT body FROM session WHERE status = 'active'"
                " AND NOT EXISTS (SELECT 1 FROM bill WHERE record_id = session.id) ORDER BY started_utc_ms"
            ).fetchall()
    except READING as error:
        log.warning("running_sessions_not_found", reason=str(error))
        return []
    return [session for (body,) in bodies if (session := _session(body)) is not None]


def _session(body: str) -> Session | None:
    try:
        session = msgspec.json.decode(body, type=Session)
    except msgspec.DecodeError:
        return None
    return session if session.status is SessionStatus.ACTIVE and not session.rev else None
