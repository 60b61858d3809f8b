"""The one thread that writes, and its group commit.

SQLite syncs once per transaction, and that sync is nearly all a commit costs. So whatever has queued while one sync runs shares
the next transaction; each piece of work sits in its own savepoint, so that one that fails takes nobody with it. The queue is
strictly first in, first out: a billing commit takes everything queued before it along, and so nothing overtakes.

One connection writes and checkpoints, always the same: SQLite 3.7.0 to 3.51.2 can corrupt a database when two connections do so
at once (the WAL-reset bug), and the builds of Debian 12 are in that range.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from edgectl.domain.errors import StoreError
from edgectl.domain.records import Durability
from edgectl.domain.units import Millis
from edgectl.ports import FaultHook
from edgectl.store.errors import store_error

log = structlog.get_logger(__name__)

T = TypeVar("T")

QUEUE_LIMIT: Final = 4_096
"""Commits that may wait. At 500 a second that is a disk that stalls for 8 s; at some 4 kB each it is 16 MB of memory."""

TELEMETRY_QUEUE_LIMIT: Final = QUEUE_LIMIT // 2
"""Telemetry is refused earlier, so that the other half stays free for what must not be lost."""

BATCH_LIMIT: Final = 256
"""Work in one transaction. A billing commit dirties some 25 kB, so a full batch stays near the 4 MB of one checkpoint."""

CLOSE_TIMEOUT_S: Final = 3
"""How long closing waits for a disk that does not answer. A stop takes less than 5 s in all; nobody was told that what is
still waiting then is stored."""

_URGENCY: Final = {Durability.TELEMETRY: 0, Durability.PROGRESS: 1, Durability.BILLING: 2}


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: StoreError | None = None


class Writer:
    """Owns ``connection`` from now on. ``submit`` may be called from any thread; results are set from the writer's."""

    def __init__(
        self, connection: sqlite3.Connection, *, fault: FaultHook, progress_linger_ms: Millis, telemetry_linger_ms: Millis
    ) -> None:
        self._connection = connection
        self._fault = fault
        self._linger_s = (telemetry_linger_ms / 1000, progress_linger_ms / 1000)
        self._changed = threading.Condition()
        self._waiting: list[_Job] = []
        self._in_hand: list[_Job] = []
        self._urgency = 0
        self._is_closing = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T], durability: Durability) -> Future[T]:
        """Queue ``work`` to run in a savepoint of the next transaction. Never blocks.

        The future resolves once the transaction is synced, or fails with ``StoreError``. It cannot be cancelled: whoever stops
        waiting for a record does not undo it.
        """
        job = _Job(work)
        job.future.set_running_or_notify_cancel()
        limit = TELEMETRY_QUEUE_LIMIT if durability is Durability.TELEMETRY else QUEUE_LIMIT
        with self._changed:
            if self._is_closing:
                refusal = StoreError("closed", "the ledger is closed", is_permanent=True)
            elif len(self._waiting) >= limit:
                refusal = StoreError("queue-full", f"{len(self._waiting)} commits wait for the disk", is_permanent=False)
            else:
                self._waiting.append(job)
                self._urgency = max(self._urgency, _URGENCY[durability])
                if len(self._waiting) >= BATCH_LIMIT:
                    self._urgency = _URGENCY[Durability.BILLING]
                self._changed.notify()
                return job.future
        job.future.set_exception(refusal)
        return job.future

    def close(self) -> bool:
        """Write what waits, checkpoint, close the connection. False when the disk did not answer in time. Safe to call twice."""
        with self._changed:
            self._is_closing = True
            self._urgency = _URGENCY[Durability.BILLING]
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        is_closed = not self._thread.is_alive()
        if not is_closed:
            log.error("ledger_close_timed_out", timeout_s=CLOSE_TIMEOUT_S)
        return is_closed

    def _run(self) -> None:
        try:
            while self._gather():
                self._write(self._in_hand)
                self._answer()
        finally:
            self._give_up()
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

    def _gather(self) -> bool:
        """Wait for work, then for company if it may wait, and take it in hand. False when closed and nothing is left."""
        telemetry_s, progress_s = self._linger_s
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            if self._changed.wait_for(lambda: self._urgency >= 1, telemetry_s):
                self._changed.wait_for(lambda: self._urgency >= 2, progress_s)
            self._in_hand, self._waiting = self._waiting[:BATCH_LIMIT], self._waiting[BATCH_LIMIT:]
            if not self._waiting and not self._is_closing:
                self._urgency = 0
            return bool(self._in_hand)

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - the writer outlives every failure; each future is told
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            trouble = store_error(error)
            if trouble.reason == "disk-full" and len(jobs) > 1:
                # The last pages may still hold a small record when a large one of the same group does not fit.
                for job in jobs:
                    self._write((job,))
                return
            for job in jobs:
                job.error = trouble
            self._note_failure(trouble)
        else:
            self._note_success()

    def _transact(self, jobs: Sequence[_Job]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for job in jobs:
            execute("SAVEPOINT job")
            try:
                job.result, job.error = job.work(self._connection), None
            except Exception as error:
                if not self._connection.in_transaction:
                    raise  # A full disk or a failed write has rolled back the whole transaction, not this job alone.
                execute("ROLLBACK TO job")
                job.error = store_error(error)
                log.warning("ledger_record_refused", reason=job.error.reason, detail=job.error.detail)
            execute("RELEASE job")
        self._fault("ledger-before-commit")
        execute("COMMIT")
        self._fault("ledger-after-commit")

    def _answer(self) -> None:
        for job in self._in_hand:
            self._fault("ledger-before-callback")
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
        self._in_hand = []

    def _give_up(self) -> None:
        """After the last batch, or after our own bug: nobody waits for an answer that will not come."""
        with self._changed:
            self._is_closing = True
            left = [job for job in (*self._in_hand, *self._waiting) if not job.future.done()]
            self._waiting = []
        for job in left:
            job.future.set_exception(StoreError("closed", "the ledger's writer has ended", is_permanent=True))

    def _note_failure(self, trouble: StoreError) -> None:
        if not self._is_failing:
            log.error("ledger_write_failed", reason=trouble.reason, detail=trouble.detail)
        self._is_failing = True

    def _note_success(self) -> None:
        if self._is_failing:
            log.info("ledger_write_recovered")
        self._is_failing = False
