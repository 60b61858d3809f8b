"""What a server has committed, without a disk: the quick one of the histories and the thorough one of the mutated frames."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

import msgspec

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import SessionId, SiteId
from edgectl.domain.records import BillKept, Record, ReservationKept, Restored, Session, SessionKept, SessionStatus
from edgectl.domain.reservations import Reservation
from edgectl.domain.time import Instant
from edgectl.domain.units import UtcMillis
from edgectl.store.opening import migrate, migrations
from edgectl.store.reader import RECENT_COUNT, RECENT_LIMIT, RECENT_MS
from edgectl.store.records import LARGEST_TRANSACTION_NUMBER, RecordWriter
from hwsim.campaigns.promises import BrokenPromiseError, promise

_KEPT_COMMITS = 2_000


class Ledger(Protocol):
    """The two things a restart needs of a ledger."""

    def commit(self, records: Sequence[Record], now: Instant) -> None: ...
    def restore(self, now: Instant) -> Restored: ...


class QuickLedger:
    """Sessions and bills as the real ledger keeps them, in two dicts; a test compares what both restore.

    ``commit`` raises ``BrokenPromiseError`` for what no ledger must ever be asked to do.
    """

    def __init__(self) -> None:
        self.sessions: dict[SessionId, Session] = {}
        self.bills: dict[tuple[SessionId, int], dict[str, object]] = {}
        self.reservations: dict[tuple[str, int], Reservation] = {}
        self._last_number = 0

    def commit(self, records: Sequence[Record], now: Instant) -> None:
        for record in records:
            if isinstance(record, SessionKept):
                self._keep(record.session)
            elif isinstance(record, BillKept):
                known = self.bills.setdefault((record.session, record.rev), record.body)
                promise(known == record.body, f"revision {record.rev} of {record.session} was written twice, differently")
            elif isinstance(record, ReservationKept):
                one = record.reservation
                self.reservations.pop((one.charger, one.reservation_number), None)
                if not record.is_over:
                    self.reservations[one.charger, one.reservation_number] = one

    def _keep(self, session: Session) -> None:
        before = self.sessions.get(session.id)
        if before is not None and before.status is not SessionStatus.ACTIVE:
            is_closed = session.status is not SessionStatus.ACTIVE
            promise(is_closed, f"session {session.id} of {session.transaction} was {before.status} and is active again")
            promise(session.rev >= before.rev, f"session {session.id} went back from revision {before.rev} to {session.rev}")
        self.sessions[session.id] = session
        digits = session.transaction
        number = int(digits) if len(digits) <= 10 and digits.isascii() and digits.isdecimal() else 0
        if self._last_number < number <= LARGEST_TRANSACTION_NUMBER:
            self._last_number = number

    def restore(self, now: Instant) -> Restored:
        """As ``store.reader`` does it, through the same JSON."""
        active = [session for session in self.sessions.values() if session.status is SessionStatus.ACTIVE]
        closed = [session for session in self.sessions.values() if session.status is not SessionStatus.ACTIVE]
        latest_ms = min(now.utc_ms, max(map(_ended_utc_ms, closed), default=0))
        last = set(list(self.sessions)[-RECENT_COUNT:])
        recent = [session for session in closed if _ended_utc_ms(session) >= latest_ms - RECENT_MS or session.id in last]
        active.sort(key=lambda session: (session.started_utc_ms, session.id))
        held = sorted(self.reservations.values(), key=lambda one: (one.from_utc_ms, one.charger, one.reservation_number))
        copied = tuple(map(_copied, active)), tuple(map(_copied, recent[-RECENT_LIMIT:]))
        return Restored(*copied, self._last_number, "epoch", tuple(held))


class ThoroughLedger:
    """The real statements on a database in memory, emptied now and then so that a long run stays small."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self._connection, migrations())
        self._writer = RecordWriter(SiteId("campaign"), "epoch")
        self._commit_count = 0

    def commit(self, records: Sequence[Record], now: Instant) -> None:
        execute = self._connection.execute
        execute("BEGIN")
        try:
            self._writer.write(self._connection, records, now)
        except (sqlite3.Error, StoreError, ValueError, TypeError, ArithmeticError) as error:
            execute("ROLLBACK")
            raise BrokenPromiseError(f"the ledger refuses a record: {error!r}") from error
        execute("COMMIT")
        self._commit_count += 1
        if self._commit_count % _KEPT_COMMITS == 0:
            for table in ("message", "event", "outbox", "limit_history", "session"):
                execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
            execute("DELETE FROM bill WHERE seq < (SELECT MAX(seq) FROM bill)")

    def restore(self, now: Instant) -> Restored:
        """Nothing: the mutated frames do without crashes."""
        return Restored()


def _ended_utc_ms(session: Session) -> UtcMillis:
    return session.started_utc_ms if session.ended_utc_ms is None else session.ended_utc_ms


def _copied(session: Session) -> Session:
    return msgspec.json.decode(msgspec.json.encode(session), type=Session)
