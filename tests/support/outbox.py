"""An outbox in memory: a list of rows, and the inbox that lets go of them as the ledger would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from edgectl.domain.errors import StoreError
from edgectl.domain.events import Event, PublishRefused, ReceiptReceived
from edgectl.domain.time import Instant
from edgectl.ports import OutboxRow, OutboxSummary

T = TypeVar("T")
EPOCH = "epoch-0123456789"


class ListOutbox:
    """Implements ``ports.Outbox`` at once and in memory. ``fails`` makes every question fail like a broken disk."""

    def __init__(self) -> None:
        self.owed: list[OutboxRow] = []
        self.parked: dict[int, str] = {}
        self.sent: list[int] = []
        self.oldest_utc_ms: int | None = None
        self.fails = False
        self._last_seq = 0

    def owe(self, record_id: str, body: bytes, *, stream: str = "billing", suffix: str | None = None, rev: int = 1) -> OutboxRow:
        """Add a row at the end."""
        topic = suffix or {"billing": "billing/session", "events": "event/alarm"}.get(stream, "tele/meters")
        self._last_seq += 1
        row = OutboxRow(self._last_seq, stream, record_id, rev, topic, body, 0)
        self.owed.append(row)
        return row

    def take(self, event: Event) -> bool:
        """What the core and the ledger make of an event: rows leave by receipt, or are parked. Whether anything changed."""
        before = len(self.owed), len(self.parked)
        if isinstance(event, PublishRefused):
            self.parked[event.outbox_seq] = event.reason
        elif isinstance(event, ReceiptReceived) and event.epoch == EPOCH:
            for item in event.rejected:
                for row in self.owed:
                    if (row.stream, row.record_id, row.rev) == (event.stream, item.record_id, item.rev):
                        self.parked[row.seq] = f"{item.code}: {item.reason}"
            acked = set(event.acked)
            self.owed = [row for row in self.owed if row.stream != event.stream or (row.record_id, row.rev) not in acked]
        return before != (len(self.owed), len(self.parked))

    def waiting(self, stream: str) -> list[OutboxRow]:
        waiting = [row for row in self.owed if row.stream == stream and row.seq not in self.parked]
        return waiting[::-1] if stream == "telemetry" else waiting

    def rows(self, stream: str, after_seq: int, limit: int) -> Future[Sequence[OutboxRow]]:
        return self._answer(lambda: [row for row in self.waiting(stream) if row.seq > after_seq][:limit])

    def mark_sent(self, seqs: Sequence[int], now: Instant) -> Future[None]:
        return self._answer(lambda: self.sent.extend(seqs))

    def summary(self) -> Future[OutboxSummary]:
        owed = [row for row in self.owed if row.seq not in self.parked]
        return self._answer(lambda: OutboxSummary(len(owed), len(self.parked), self.oldest_utc_ms if owed else None))

    def _answer(self, question: Callable[[], T]) -> Future[T]:
        answer: Future[T] = Future()
        if self.fails:
            answer.set_exception(StoreError("io-error", "the disk is gone", is_permanent=False))
        else:
            answer.set_result(question())
        return answer
