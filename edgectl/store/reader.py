"""Every question to the ledger, on a connection that cannot write.

The daemon asks in the ledger's reader thread. The CLI opens its own ``LedgerFile`` on the same path, also while the daemon
runs: a reader never waits for the writer, nor the writer for a reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
import structlog

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.phases import Phase
from edgectl.domain.reasons import Cause, Reason
from edgectl.domain.records import Curtailment, Excursion, LimitKept, Restored, Session
from edgectl.domain.reservations import Reservation
from edgectl.domain.units import Millis, UtcMillis
from edgectl.ports import KeptCommand, OutboxRow, OutboxSummary, ParkedRow
from edgectl.store import commands
from edgectl.store.anchor import read_anchor
from edgectl.store.billing import Bill, ChainReport, check_chain
from edgectl.store.errors import READING, store_error
from edgectl.store.opening import open_reader
from edgectl.store.signing import PublicKey

log = structlog.get_logger(__name__)

RECENT_MS: Final[Millis] = 7 * 86_400_000
"""Chargers repeat unanswered transaction messages for days; after a week offline a person has been there."""

RECENT_COUNT: Final = 1_000
"""The last ones we heard of are recent whatever their dates say: those are the charger's, and its clock may be years off."""

RECENT_LIMIT: Final = 5_000
"""Closed sessions handed to the core at start: a week of 700 a day, some 10 MB."""

CURTAILMENT_ROWS: Final = 10_000
"""In one answer: a year of ten circuits with three causes."""

CHAIN_STEP: Final = 500
"""Bills read in one go, so that a long verification never keeps the WAL from being folded in."""

_ENDED: Final = "COALESCE(ended_utc_ms, started_utc_ms)"
RECENT: Final = (
    "SELECT id, body FROM session WHERE rowid IN ("  # noqa: S608 - the name from the line above
    f"SELECT rowid FROM session WHERE status <> 'active' AND {_ENDED} >="
    f" (SELECT MIN(?, MAX({_ENDED})) FROM session WHERE status <> 'active') - ?"
    " UNION SELECT rowid FROM session WHERE status <> 'active' AND rowid > (SELECT MAX(rowid) FROM session) - ?"
    ") ORDER BY rowid DESC LIMIT ?"
)
"""Two questions, as each has its index: one with OR reads the whole table, and after years that is hundreds of megabytes."""

_ROW: Final = "seq, stream, record_id, rev, topic_suffix, body, sent_count"


class LedgerFile:
    """A ledger opened for reading. Use as a context manager or call ``close``; not for two threads at once.

    Raises:
        StoreError: from the constructor and from every method, when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._connection = open_reader(path)
        except READING as error:
            raise store_error(error) from error

    def __enter__(self) -> LedgerFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def epoch(self) -> str:
        return self._meta("epoch")

    def rows(self, stream: str, after_seq: int, limit: int) -> Sequence[OutboxRow]:
        """Owed and not parked, in the order in which they are to be sent: telemetry the newest first."""
        order = "seq DESC" if stream == "telemetry" else "seq"
        found = self._all(
            f"SELECT {_ROW} FROM outbox WHERE stream = ? AND seq > ? AND parked_utc_ms IS NULL ORDER BY {order} LIMIT ?",  # noqa: S608
            (stream, after_seq, limit),
        )
        return [OutboxRow(*row) for row in found]

    def parked(self, limit: int) -> Sequence[ParkedRow]:
        """Set aside, oldest first."""
        found = self._all(
            f"SELECT {_ROW}, parked_reason, parked_utc_ms FROM outbox"  # noqa: S608
            " WHERE parked_utc_ms IS NOT NULL ORDER BY seq LIMIT ?",
            (limit,),
        )
        return [ParkedRow(OutboxRow(*row), reason, at_utc_ms) for *row, reason, at_utc_ms in found]

    def summary(self) -> OutboxSummary:
        """Parked rows and telemetry are counted apart; the oldest is the one that has been owed longest."""
        (row,) = self._all(
            "SELECT (SELECT COUNT(*) FROM outbox WHERE parked_utc_ms IS NULL AND stream <> 'telemetry'),"
            " (SELECT COUNT(*) FROM outbox WHERE parked_utc_ms IS NOT NULL),"
            " (SELECT created_utc_ms FROM outbox WHERE parked_utc_ms IS NULL AND stream <> 'telemetry' ORDER BY seq LIMIT 1),"
            " (SELECT COUNT(*) FROM outbox WHERE parked_utc_ms IS NULL AND stream = 'telemetry'),"
            " (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM outbox WHERE stream = 'telemetry')",
            (),
        )
        return OutboxSummary(*row)

    def commands(self) -> Sequence[KeptCommand]:
        """Commands that were let in, the latest first."""
        return [KeptCommand(*row) for row in self._all(commands.READ, ())]

    def sessions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Session]:
        """Started in ``[since, until)``, the latest first."""
        found = self._all(
            "SELECT id, body FROM session WHERE started_utc_ms >= COALESCE(?, started_utc_ms)"
            " AND started_utc_ms < COALESCE(?, started_utc_ms + 1) ORDER BY started_utc_ms DESC, id DESC LIMIT ?",
            (since_utc_ms, until_utc_ms, limit),
        )
        return _sessions(found)

    def session(self, session_id: str) -> Session | None:
        return next(iter(_sessions(self._all("SELECT id, body FROM session WHERE id = ?", (session_id,)))), None)

    def limits(self, evse: EvseId, until_utc_ms: int, limit: int) -> Sequence[LimitKept]:
        """The limits of an EVSE at and before a moment, the latest first."""
        found = self._all(
            "SELECT limit_ma, reason, at_utc_ms FROM limit_history WHERE charger = ? AND evse_number = ? AND at_utc_ms <= ?"
            " ORDER BY at_utc_ms DESC, id DESC LIMIT ?",
            (evse.charger, evse.number, until_utc_ms, limit),
        )
        return [
            LimitKept(evse, limit_ma, msgspec.json.decode(reason, type=Reason), at_utc_ms)
            for limit_ma, reason, at_utc_ms in found
        ]

    def excursions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Excursion]:
        """Begun in ``[since, until)``, the latest first."""
        found = self._all(
            "SELECT circuit, phase, from_utc_ms, to_utc_ms, limit_ma, protection, peak_ma, over_ms, excess_mas, damage_permille"
            " FROM excursion WHERE from_utc_ms >= COALESCE(?, from_utc_ms) AND from_utc_ms < COALESCE(?, from_utc_ms + 1)"
            " ORDER BY from_utc_ms DESC, id DESC LIMIT ?",
            (since_utc_ms, until_utc_ms, limit),
        )
        return [Excursion(CircuitId(circuit), Phase[phase], *values) for circuit, phase, *values in found]

    def curtailment(self, first_day: str | None, last_day: str | None) -> Sequence[Curtailment]:
        """By day, circuit and cause, the latest day first; both days included."""
        found = self._all(
            "SELECT day, circuit, cause, SUM(energy_wh), SUM(held_ms) FROM curtailment"
            " WHERE day >= COALESCE(?, day) AND day <= COALESCE(?, day)"
            " GROUP BY day, circuit, cause ORDER BY day DESC, SUM(energy_wh) DESC, circuit, cause LIMIT ?",
            (first_day, last_day, CURTAILMENT_ROWS),
        )
        return [
            Curtailment(day, CircuitId(circuit), Cause(cause), energy_wh, held_ms)
            for day, circuit, cause, energy_wh, held_ms in found
        ]

    def restore(self, now_utc_ms: UtcMillis) -> Restored:
        """What the core needs after a restart.

        *Recent* counts back from the latest end in the ledger, so a gateway that was off for a month, or has no clock yet,
        still knows the sessions its chargers may repeat; a single end in the future (a clock that jumped) counts as now.
        The last ones heard of are recent in any case.
        """
        active = self._all("SELECT id, body FROM session WHERE status = 'active' ORDER BY started_utc_ms, id", ())
        recent = self._all(RECENT, (now_utc_ms, RECENT_MS, RECENT_COUNT, RECENT_LIMIT))
        return Restored(
            _sessions(active),
            _sessions(reversed(recent)),
            int(self._meta("last_transaction_number")),
            self.epoch(),
            _reservations(self._all("SELECT charger, reservation_number, body FROM reservation", ())),
        )

    def verify_chain(self, keys: Sequence[PublicKey] = ()) -> ChainReport:
        """Check every billing record from the first on; some 0.3 ms each on a PC, several times that on a small gateway."""
        bills = self._bills()
        try:
            self._connection.execute("BEGIN")  # retention must not let go of the first between the two questions
            anchor = read_anchor(self._connection)
            first = next(bills, None)
            self._connection.execute("COMMIT")
        except READING as error:
            raise store_error(error) from error
        report = check_chain(chain([first] if first is not None else [], bills), self.epoch(), anchor.seq, anchor.hash, keys)
        if report.is_intact:
            # A damaged page can also end the table early, and the chain with it.
            ((verdict,),) = self._all("PRAGMA integrity_check(bill)", ())[:1]
            if verdict != "ok":
                next_seq = anchor.seq + report.count + 1
                return replace(report, first_broken_seq=next_seq, why=f"the file is damaged: {verdict}")
        return report

    def _bills(self) -> Iterator[Bill]:
        after_seq = -(2**63)
        while step := self._all(
            "SELECT seq, record_id, rev, prev_hash, hash, body FROM bill WHERE seq > ? ORDER BY seq LIMIT ?",
            (after_seq, CHAIN_STEP),
        ):
            for seq, record_id, rev, prev_hash, hash_, body in step:
                # A flipped bit can make a number of it, or nothing.
                yield Bill(seq, record_id, rev, prev_hash, hash_, body if isinstance(body, bytes) else b"")
            after_seq = step[-1][0]

    def _meta(self, key: str) -> str:
        found = self._all("SELECT value FROM meta WHERE key = ?", (key,))
        if not found:
            raise StoreError("damaged", f"it has no {key} any more", is_permanent=True)
        return str(found[0][0])

    def _all(self, statement: str, values: tuple[str | int | None, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except READING as error:
            raise store_error(error) from error


def _reservations(found: Iterable[tuple[Any, ...]]) -> tuple[Reservation, ...]:
    """Like sessions, the oldest first."""
    understood = []
    for charger, number, body in found:
        try:
            understood.append(msgspec.json.decode(body, type=Reservation))
        except msgspec.DecodeError:
            log.exception("reservation_unreadable", charger=charger, reservation=number)
    return tuple(sorted(understood, key=lambda one: (one.from_utc_ms, one.charger, one.reservation_number)))


def _sessions(found: Iterable[tuple[Any, ...]]) -> tuple[Session, ...]:
    """A session that cannot be understood is left out and said so: it must not keep the daemon from starting."""
    understood = []
    for session_id, body in found:
        try:
            understood.append(msgspec.json.decode(body, type=Session))
        except msgspec.DecodeError:
            log.exception("session_unreadable", session=session_id)
    return tuple(understood)
