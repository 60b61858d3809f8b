"""The uplink's questions to the outbox: asked when due, one of a kind at a time, answered on the event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, TypeVar

import structlog

from edgectl.contract.channels import STREAMS
from edgectl.domain.errors import StoreError
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ports import Clock, Outbox, OutboxRow, OutboxSummary

log = structlog.get_logger(__name__)
T = TypeVar("T")

READ_INTERVAL_MS: Final[Millis] = 50
"""Between two reads of one stream: receipts come singly, and to read a whole line for each would be waste. Twenty reads of 128
rows are 2,560 records a second."""
RECHECK_INTERVAL_MS: Final[Millis] = 10_000
"""The outbox is looked at this often even if nobody says it has changed, e.g. after a person put parked rows back."""
RETRY_MS: Final[Millis] = 1_000
"""After the ledger could not answer."""
MARK_INTERVAL_MS: Final[Millis] = 1_000
"""*Sent* is only a note; one commit a second carries all of them."""
MAX_MARKS_COUNT: Final = 4_096
"""Notes waiting while the disk is slow. Beyond that the newest are not taken."""


class OutboxDesk:
    """Asks for rows and numbers, notes what was sent.

    ``on_rows(stream, rows)`` is called for each answer, ``on_change`` whenever there is something new to look at. An answer that
    is no ``StoreError`` and no result is a bug; ``take_bug`` hands it to whoever runs us.
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        limit_of: Callable[[str], int],
        on_rows: Callable[[str, Sequence[OutboxRow]], None],
        on_change: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._limit_of = limit_of
        self._on_rows = on_rows
        self._on_change = on_change
        self._counters = counters
        self.summary: OutboxSummary | None = None
        """The latest numbers; None until the first have come."""
        self._unread = set(STREAMS)
        self._asked: set[str] = set()
        now_ms = clock.now().mono_ms
        self._read_due_ms = dict.fromkeys(STREAMS, now_ms)
        self._recheck_due_ms = now_ms
        self._marks: list[int] = []
        self._mark_due_ms = now_ms
        self._is_healthy = True
        self._bug: BaseException | None = None

    def wake(self) -> None:
        """The outbox has changed."""
        self._unread.update(STREAMS)
        self._on_change()

    def look_around(self, now: Instant) -> Millis:
        """Ask for the numbers when due, and suspect every line of having changed; when it is due again."""
        if now.mono_ms >= self._recheck_due_ms:
            self._recheck_due_ms = now.mono_ms + RECHECK_INTERVAL_MS
            self._unread.update(STREAMS)
            if "summary" not in self._asked:
                self._ask("summary", self._outbox.summary(), self._on_summary)
        return self._recheck_due_ms

    def read(self, now: Instant) -> Millis | None:
        """Ask for each line that may have changed; when the next is due, None when none is."""
        dues = []
        for stream in STREAMS:
            if stream not in self._unread or stream in self._asked:
                continue
            if now.mono_ms < self._read_due_ms[stream]:
                dues.append(self._read_due_ms[stream])
                continue
            self._unread.discard(stream)
            self._read_due_ms[stream] = now.mono_ms + READ_INTERVAL_MS
            self._ask(stream, self._outbox.rows(stream, 0, self._limit_of(stream)), partial(self._on_rows, stream))
        return min(dues, default=None)

    def mark(self, seq: int) -> None:
        """The broker has this row."""
        if len(self._marks) < MAX_MARKS_COUNT:
            self._marks.append(seq)

    def write_marks(self, now: Instant, *, at_once: bool = False) -> Millis | None:
        """Note what was sent; when the next note is due, None when there is nothing to note."""
        if not self._marks or "marks" in self._asked:
            return None
        if now.mono_ms < self._mark_due_ms and not at_once:
            return self._mark_due_ms
        marks, self._marks = self._marks, []
        self._mark_due_ms = now.mono_ms + MARK_INTERVAL_MS
        self._ask("marks", self._outbox.mark_sent(marks, now), lambda _: None)
        return None

    def raise_bug(self) -> None:
        """Raise what no answer should have been, so that the supervisor hears of it."""
        bug, self._bug = self._bug, None
        if bug is not None:
            raise bug

    def _ask(self, what: str, question: Future[T], on_answer: Callable[[T], None]) -> None:
        self._asked.add(what)
        asyncio.wrap_future(question).add_done_callback(partial(self._answered, what, on_answer))

    def _answered(self, what: str, on_answer: Callable[[T], None], answer: asyncio.Future[T]) -> None:
        self._asked.discard(what)
        error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
        if error is None:
            if not self._is_healthy:
                self._is_healthy = True
                log.info("outbox_back")
            on_answer(answer.result())
        elif isinstance(error, StoreError):
            self._counters["outbox_failures"] += 1
            if self._is_healthy:
                self._is_healthy = False
                log.warning("outbox_lost", question=what, reason=str(error))
            if what in self._read_due_ms:
                self._unread.add(what)
                self._read_due_ms[what] = self._clock.now().mono_ms + RETRY_MS
        elif not isinstance(error, asyncio.CancelledError):  # cancelled: the ledger is closing, and so are we
            self._bug = error
        self._on_change()

    def _on_summary(self, summary: OutboxSummary) -> None:
        self.summary = summary
