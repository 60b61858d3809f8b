"""Each kind of record into its tables. The only SQL that writes; it runs on the writer's connection, inside a savepoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

import msgspec
import structlog

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import SiteId
from edgectl.domain.records import (
    BillKept,
    CurtailmentKept,
    Durability,
    EventKept,
    Excursion,
    ExcursionKept,
    LimitKept,
    MessageKept,
    ParkKept,
    ReceiptKept,
    Record,
    ReplayKept,
    RequeueKept,
    ReservationKept,
    Session,
    SessionKept,
    TelemetryKept,
)
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import Millis
from edgectl.store import billing, telemetry
from edgectl.store.limit_history import EVICTION_STEP, keep_limit
from edgectl.store.signing import Signer

log = structlog.get_logger(__name__)

EVENT_SCHEMA: Final = "edgectl/event/1"

EXCURSION_HISTORY_MS: Final[Millis] = 400 * 86_400_000
EXCURSION_ROWS: Final = 100_000
"""A year of them is what an insurer or a grid operator may ask for; the second bound is for a site that lives at its limit, some
20 MB."""

LARGEST_TRANSACTION_NUMBER: Final = 2**31 - 1
"""OCPP 1.6 carries it as an integer. A longer decimal id is a 2.x station's own, not a number we issued."""


@dataclass(slots=True)
class RecordWriter:
    site: SiteId
    epoch: str
    signer: Signer | None = None
    is_billing_only: bool = False
    """No room for telemetry: what comes of it is dropped."""

    def write(self, connection: sqlite3.Connection, records: Sequence[Record], now: Instant) -> None:
        """Write all of ``records``.

        Raises:
            sqlite3.Error: the disk's trouble.
            StoreError: ``record-refused``, for a revision that was already written with another content.
            ValueError, TypeError: a body that is not JSON.
        """
        for record in records:
            if self.is_billing_only and record.durability is Durability.TELEMETRY:
                continue
            match record:
                case SessionKept():
                    keep_session(connection, record.session)
                case ReservationKept():
                    _keep_reservation(connection, record)
                case MessageKept():
                    keep_message(connection, record)
                case BillKept():
                    self._keep_bill(connection, record, now)
                case EventKept():
                    self.keep_event(connection, record, now)
                case LimitKept():
                    keep_limit(connection, record, now)
                case ExcursionKept():
                    _keep_excursion(connection, record.excursion, now)
                case CurtailmentKept():
                    _keep_curtailment(connection, record)
                case ReceiptKept():
                    self._keep_receipt(connection, record)
                case ParkKept():
                    connection.execute(
                        "UPDATE outbox SET parked_reason = ?, parked_utc_ms = ? WHERE seq = ? AND parked_utc_ms IS NULL",
                        (record.reason, record.at_utc_ms, record.outbox_seq),
                    )
                case RequeueKept():
                    if record.outbox_seqs:
                        requeue(connection, record.outbox_seqs)
                    else:
                        connection.execute(_REQUEUE)
                case TelemetryKept():
                    gap = telemetry.insert(connection, self.site, self.epoch, record, now)
                    if gap is not None:
                        self.keep_event(connection, gap.event("telemetry-budget", now), now)
                case ReplayKept():
                    self._replay(connection, record, now)
                case _:
                    assert_never(record)

    def _keep_bill(self, connection: sqlite3.Connection, record: BillKept, now: Instant) -> None:
        """Number it, chain it, owe it. Keeping the same revision again changes nothing.

        A commit whose sync failed may turn out to be on the disk after all, so whoever tries again must not be refused.
        """
        key = (record.session, record.rev)
        kept = connection.execute("SELECT body FROM bill WHERE record_id = ? AND rev = ?", key).fetchone()
        if kept is not None:
            if billing.session_of(kept[0]) == billing.canonical(record.body):
                return
            detail = f"revision {record.rev} of {record.session} was already written with another content"
            raise StoreError("record-refused", detail, is_permanent=True)
        last = connection.execute("SELECT seq, hash FROM bill ORDER BY seq DESC LIMIT 1").fetchone()
        last_seq, last_hash = last or (0, billing.FIRST_PREV_HASH)
        bill = billing.seal(
            site=self.site,
            epoch=self.epoch,
            seq=last_seq + 1,
            record_id=record.session,
            rev=record.rev,
            prev_hash=last_hash,
            session=record.body,
            signer=self.signer,
        )
        connection.execute(
            "INSERT INTO bill (seq, record_id, rev, prev_hash, hash, body, created_utc_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (bill.seq, bill.record_id, bill.rev, bill.prev_hash, bill.hash, bill.body, now.utc_ms),
        )
        _owe(connection, "billing", bill.seq, bill.record_id, bill.rev, billing.TOPIC_SUFFIX, bill.body, now)

    def keep_event(self, connection: sqlite3.Connection, record: EventKept, now: Instant) -> None:
        row_id = _insert(
            connection,
            "INSERT INTO event (kind, subject, at_utc_ms, body) VALUES (?, ?, ?, ?)",
            (record.kind, record.subject, record.at_utc_ms, billing.canonical(record.body).decode()),
        )
        self._owe_event(connection, row_id, record, now)

    def _owe_event(self, connection: sqlite3.Connection, row_id: int, record: EventKept, now: Instant) -> None:
        record_id, rev = f"{self.epoch}-{row_id}", 1
        message: dict[str, Any] = {
            **record.body,
            "schema": EVENT_SCHEMA,
            "site": self.site,
            "epoch": self.epoch,
            "seq": row_id,
            "record_id": record_id,
            "rev": rev,
            "kind": record.kind,
            "subject": record.subject,
            "at": iso(record.at_utc_ms),
        }
        _owe(connection, "events", row_id, record_id, rev, f"event/{record.kind}", billing.canonical(message), now)

    def _replay(self, connection: sqlite3.Connection, wanted: ReplayKept, now: Instant) -> None:
        """Owe these records again, byte for byte. Those still owed are left as they are; parked ones go back into the line."""
        span = (wanted.from_seq, wanted.to_seq)
        connection.execute(
            "UPDATE outbox SET parked_reason = NULL, parked_utc_ms = NULL, sent_count = 0"
            " WHERE stream = ? AND stream_seq BETWEEN ? AND ? AND parked_utc_ms IS NOT NULL",
            (wanted.stream, *span),
        )
        missing = " NOT IN (SELECT stream_seq FROM outbox WHERE stream = ?)"
        if wanted.stream == "billing":
            statement = f"SELECT seq, record_id, rev, body FROM bill WHERE seq BETWEEN ? AND ? AND seq{missing} ORDER BY seq"  # noqa: S608
            for seq, record_id, rev, body in connection.execute(statement, (*span, wanted.stream)).fetchall():
                _owe(connection, wanted.stream, seq, record_id, rev, billing.TOPIC_SUFFIX, body, now)
        elif wanted.stream == "events":
            statement = (
                f"SELECT id, kind, subject, at_utc_ms, body FROM event WHERE id BETWEEN ? AND ? AND id{missing} ORDER BY id"  # noqa: S608
            )
            for row_id, kind, subject, at_utc_ms, text in connection.execute(statement, (*span, wanted.stream)).fetchall():
                self._owe_event(connection, row_id, EventKept(kind, subject, at_utc_ms, msgspec.json.decode(text)), now)

    def _keep_receipt(self, connection: sqlite3.Connection, receipt: ReceiptKept) -> None:
        """Note the receipt; if it speaks of this ledger, park what was rejected and let go of what was acknowledged."""
        is_applied = receipt.epoch == self.epoch
        connection.execute(
            "INSERT INTO receipt (stream, epoch, acked_through, is_applied, body, at_utc_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (receipt.stream, receipt.epoch, receipt.acked_through, is_applied, _json(receipt), receipt.at_utc_ms),
        )
        if not is_applied:
            log.warning("receipt_of_other_epoch", stream=receipt.stream, epoch=receipt.epoch, own_epoch=self.epoch)
            return
        # Rejections first: a cumulative acknowledgement in the same receipt must not sweep them away.
        connection.executemany(
            "UPDATE outbox SET parked_reason = ?, parked_utc_ms = ?"
            " WHERE stream = ? AND record_id = ? AND rev = ? AND parked_utc_ms IS NULL",
            [(why, receipt.at_utc_ms, receipt.stream, record_id, rev) for record_id, rev, why in receipt.rejected],
        )
        settled = [
            row
            for record_id, rev in receipt.acked
            for row in connection.execute(
                "SELECT seq, stream_seq FROM outbox WHERE stream = ? AND record_id = ? AND rev = ?",
                (receipt.stream, record_id, rev),
            )
        ]
        if receipt.acked_through is not None and self._is_credible(connection, receipt.stream, receipt.acked_through):
            settled += connection.execute(
                "SELECT seq, stream_seq FROM outbox WHERE stream = ? AND stream_seq <= ? AND parked_utc_ms IS NULL",
                (receipt.stream, receipt.acked_through),
            )
        connection.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _ in settled])
        if receipt.stream == "billing":
            connection.executemany(
                "UPDATE bill SET receipted_utc_ms = ? WHERE seq = ? AND receipted_utc_ms IS NULL",
                [(receipt.at_utc_ms, bill_seq) for _, bill_seq in settled],
            )

    def _is_credible(self, connection: sqlite3.Connection, stream: str, acked_through: int) -> bool:
        """False when the backend has numbers we never wrote: this ledger is then an older copy of itself, restored.

        What the backend calls acknowledged may be other records under the same numbers, so only those it names are let go.
        """
        statement = _LAST_STREAM_SEQ.get(stream)
        last_seq = connection.execute(statement).fetchone()[0] if statement else 0
        if acked_through > last_seq:
            log.warning("receipt_beyond_ledger", stream=stream, acked_through=acked_through, last_seq=last_seq)
        return bool(acked_through <= last_seq)


_LAST_STREAM_SEQ: Final = {
    "billing": "SELECT COALESCE(MAX(seq), 0) FROM bill",
    "events": "SELECT COALESCE(MAX(id), 0) FROM event",
    "telemetry": "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'telemetry_seq'",
}


_REQUEUE: Final = "UPDATE outbox SET parked_reason = NULL, parked_utc_ms = NULL, sent_count = 0 WHERE parked_utc_ms IS NOT NULL"


def mark_sent(connection: sqlite3.Connection, seqs: Sequence[int], now: Instant) -> None:
    connection.executemany(
        "UPDATE outbox SET sent_count = sent_count + 1, sent_utc_ms = ? WHERE seq = ?", [(now.utc_ms, seq) for seq in seqs]
    )


def requeue(connection: sqlite3.Connection, seqs: Sequence[int]) -> int:
    """Parked rows go back into the line at their old place. Returns how many did."""
    return sum(connection.execute(f"{_REQUEUE} AND seq = ?", (seq,)).rowcount for seq in seqs)


def keep_session(connection: sqlite3.Connection, session: Session) -> None:
    """The present state of a session, new or changed."""
    connection.execute(
        "INSERT INTO session (id, charger, evse_number, transaction_ref, status, started_utc_ms, ended_utc_ms, rev, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET charger = excluded.charger, evse_number = excluded.evse_number,"
        " transaction_ref = excluded.transaction_ref, status = excluded.status, started_utc_ms = excluded.started_utc_ms,"
        " ended_utc_ms = excluded.ended_utc_ms, rev = excluded.rev, body = excluded.body",
        (
            session.id,
            session.charger,
            session.evse_number,
            session.transaction,
            session.status.value,
            session.entered_utc_ms,
            session.booked_utc_ms,
            session.rev,
            _json(session),
        ),
    )
    # Ten digits at most before it is even parsed: what a charger calls its transaction may be of any length.
    digits = session.transaction
    number = int(digits) if len(digits) <= 10 and digits.isascii() and digits.isdecimal() else 0
    if 0 < number <= LARGEST_TRANSACTION_NUMBER:
        connection.execute(
            "UPDATE meta SET value = ? WHERE key = 'last_transaction_number' AND CAST(value AS INTEGER) < ?",
            (str(number), number),
        )


def _keep_reservation(connection: sqlite3.Connection, record: ReservationKept) -> None:
    one = record.reservation
    if record.is_over:
        key = (one.charger, one.reservation_number)
        connection.execute("DELETE FROM reservation WHERE charger = ? AND reservation_number = ?", key)
        return
    connection.execute(
        "INSERT INTO reservation (charger, reservation_number, body) VALUES (?, ?, ?)"
        " ON CONFLICT (charger, reservation_number) DO UPDATE SET body = excluded.body",
        (one.charger, one.reservation_number, _json(one)),
    )


def keep_message(connection: sqlite3.Connection, record: MessageKept) -> None:
    """As it came."""
    connection.execute(
        "INSERT INTO message (charger, session_id, action, frame, received_utc_ms) VALUES (?, ?, ?, ?, ?)",
        (record.charger, record.session, record.action, record.frame, record.received_utc_ms),
    )


def _keep_excursion(connection: sqlite3.Connection, over: Excursion, now: Instant) -> None:
    connection.execute(
        "INSERT INTO excursion (circuit, phase, from_utc_ms, to_utc_ms, limit_ma, protection, peak_ma, over_ms, excess_mas,"
        " damage_permille) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (circuit, phase, from_utc_ms) DO UPDATE SET"
        " to_utc_ms = excluded.to_utc_ms, peak_ma = excluded.peak_ma, over_ms = excluded.over_ms,"
        " excess_mas = excluded.excess_mas, damage_permille = excluded.damage_permille",
        (
            over.circuit,
            over.phase.name,
            over.from_utc_ms,
            over.to_utc_ms,
            over.limit_ma,
            over.protection,
            over.peak_ma,
            over.over_ms,
            over.excess_mas,
            over.damage_permille,
        ),
    )
    connection.execute(
        "DELETE FROM excursion WHERE id IN (SELECT id FROM (SELECT id, from_utc_ms FROM excursion ORDER BY id LIMIT ?)"
        " WHERE from_utc_ms < ? OR id <= (SELECT MAX(id) FROM excursion) - ?)",
        (EVICTION_STEP, now.utc_ms - EXCURSION_HISTORY_MS, EXCURSION_ROWS),
    )


def _keep_curtailment(connection: sqlite3.Connection, record: CurtailmentKept) -> None:
    held = record.curtailment
    connection.execute(
        "INSERT INTO curtailment (day, circuit, cause, run_utc_ms, energy_wh, held_ms) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (day, circuit, cause, run_utc_ms) DO UPDATE SET"
        " energy_wh = excluded.energy_wh, held_ms = excluded.held_ms",
        (held.day, held.circuit, held.cause.value, record.run_utc_ms, held.energy_wh, held.held_ms),
    )


def _owe(
    connection: sqlite3.Connection,
    stream: str,
    stream_seq: int,
    record_id: str,
    rev: int,
    topic_suffix: str,
    body: bytes,
    now: Instant,
) -> None:
    connection.execute(
        "INSERT INTO outbox (stream, stream_seq, record_id, rev, topic_suffix, body, created_utc_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (stream, stream_seq, record_id, rev, topic_suffix, body, now.utc_ms),
    )


def _insert(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> int:
    """The number of the new row."""
    return int(connection.execute(statement, values).lastrowid or 0)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
