"""The ledger: one SQLite file, one thread that writes, one that reads."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import EvseId, SiteId
from edgectl.domain.records import Curtailment, Durability, Excursion, LimitKept, Record, Restored, Session, SessionKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ports import FaultHook, KeptCommand, OutboxRow, OutboxSummary, ParkedRow, Room, no_fault
from edgectl.store import commands
from edgectl.store import records as tables
from edgectl.store.billing import ChainReport
from edgectl.store.keeping import Keeping, tidy
from edgectl.store.opening import open_ledger
from edgectl.store.reader import LedgerFile
from edgectl.store.resuming import running
from edgectl.store.signing import Signer
from edgectl.store.taking_in import Group, TakenIn, groups
from edgectl.store.writer import Writer

T = TypeVar("T")

TAKING_IN_COUNT: Final = 64
"""Commits under way while a copy is taken in: they share syncs, and what the site itself has to store never waits for many."""

MAX_BYTES: Final = 4_000_000_000
"""The ledger refuses to grow above this, so that a runaway never fills the card it shares with the system. 400 days of 120
sessions are some 0.5 GB with their messages, the history of limits is bounded at 0.3 GB."""

RETENTION_MS: Final[Millis] = 400 * 86_400_000

PROGRESS_LINGER_MS: Final[Millis] = 1_000
TELEMETRY_LINGER_MS: Final[Millis] = 15_000
"""How long records may wait for company when nothing more urgent comes: commits of 20 EVSEs then write a seventh of the bytes."""

QUESTION_LIMIT: Final = 64
"""Questions that may wait. The uplink asks one at a time and a page a handful; more is somebody who does not wait for answers."""


class Ledger:
    """Implements ``ports.SiteStore`` on the file ``path``.

    Questions, the outbox's among them, are answered by a second thread on a read-only connection: they see every commit whose
    future has resolved, and neither wait for a sync nor make a commit wait. That connection cannot write or checkpoint, so
    there is still only one that does (see ``writer``).

    ``new_epoch`` makes the random id of a new database, 16 characters or more. ``now`` dates a quarantined file and bounds what
    ``restore`` calls recent. ``fault`` is called in the writer thread at ``ledger-before-commit`` (all written, not synced),
    ``ledger-after-commit`` (durable, nobody told) and ``ledger-before-callback`` (before each future is resolved).

    Raises:
        StoreError: the file cannot be used: ``in-use``, ``newer-schema``, ``read-only``, ``cannot-open`` ... A damaged file is
            no error; see ``opened.quarantined``.
    """

    def __init__(
        self,
        path: Path,
        *,
        site: SiteId,
        new_epoch: Callable[[], str],
        now: Instant,
        fault: FaultHook = no_fault,
        max_bytes: int = MAX_BYTES,
        retention_ms: Millis = RETENTION_MS,
        signer: Signer | None = None,
        progress_linger_ms: Millis = PROGRESS_LINGER_MS,
        telemetry_linger_ms: Millis = TELEMETRY_LINGER_MS,
    ) -> None:
        connection, self._lock, self.opened = open_ledger(path, new_epoch=new_epoch, now=now, max_bytes=max_bytes, resume=_resume)
        try:
            self._file = LedgerFile(path)
        except BaseException:
            connection.close()
            self._lock.close()
            raise
        self._path = path
        self._keeping = Keeping(retention_ms, max_bytes)
        self._opened_utc_ms = now.utc_ms
        self._records = tables.RecordWriter(site, self.opened.epoch, signer)
        self._writer = Writer(
            connection, fault=fault, progress_linger_ms=progress_linger_ms, telemetry_linger_ms=telemetry_linger_ms
        )
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-reader")
        self._questions = threading.BoundedSemaphore(QUESTION_LIMIT)
        self._is_closed = False

    # --- Store

    def restore(self) -> Restored:
        """Open sessions, sessions that ended in the last 7 days (5,000 at most, the latest last), and the counters."""
        return self._ask(self._file.restore, self._opened_utc_ms).result()

    def commit(self, records: Sequence[Record], now: Instant) -> Future[None]:
        """All of ``records`` in one transaction, in the order of the calls; the most urgent record decides how soon.

        Never blocks. The future fails with ``StoreError`` when nothing of it was written. A commit of nothing is a barrier: it
        resolves when all before it is durable.
        """
        urgency = {record.durability for record in records}
        durability = next((one for one in Durability if one in urgency), Durability.BILLING)
        return self._writer.submit(partial(self._records.write, records=tuple(records), now=now), durability)

    def tidy(self, now: Instant) -> Future[Room]:
        """One step of letting go (see ``keeping``), in its turn behind what waits."""

        def work(connection: sqlite3.Connection) -> Room:
            disk = os.statvfs(self._path.parent)
            free_bytes = disk.f_bavail * disk.f_frsize
            room = tidy(
                connection, self._keeping, free_bytes, now, lambda event: self._records.keep_event(connection, event, now)
            )
            self._records.is_billing_only = room.is_billing_only
            return room

        return self._writer.submit(work, Durability.PROGRESS)

    def close(self) -> None:
        """Commit what waits, checkpoint, release the file; give up after 3 s if the disk does not answer. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            # The reader goes first: the last checkpoint can only empty the WAL when nobody reads from it.
            self._reader.shutdown(wait=True)
            self._file.close()
        if self._writer.close():
            self._lock.close()
        # Else a write is still stuck in the kernel: the lock stays until a later close, or the end of the process.

    # --- Outbox

    def rows(self, stream: str, after_seq: int, limit: int) -> Future[Sequence[OutboxRow]]:
        return self._ask(self._file.rows, stream, after_seq, limit)

    def mark_sent(self, seqs: Sequence[int], now: Instant) -> Future[None]:
        """The broker has them. Only a note: to lose it costs one repeat, so it waits for company like progress does."""
        return self._writer.submit(partial(tables.mark_sent, seqs=tuple(seqs), now=now), Durability.PROGRESS)

    def summary(self) -> Future[OutboxSummary]:
        return self._ask(self._file.summary)

    def parked(self, limit: int) -> Future[Sequence[ParkedRow]]:
        """What was set aside and why, oldest first."""
        return self._ask(self._file.parked, limit)

    def requeue(self, seqs: Sequence[int]) -> Future[int]:
        """Put parked rows back at their old place; the sender has to start from the head again. Resolves to how many."""
        return self._writer.submit(partial(tables.requeue, seqs=tuple(seqs)), Durability.BILLING)

    # --- CommandBook

    def commands(self) -> Sequence[KeptCommand]:
        return self._ask(self._file.commands).result()

    def begin_command(self, command: KeptCommand, now: Instant) -> Future[None]:
        return self._writer.submit(partial(commands.begin, command=command, now=now), Durability.BILLING)

    def finish_command(self, command_id: str, answer: bytes) -> Future[None]:
        return self._writer.submit(partial(commands.finish, command_id=command_id, answer=answer), Durability.BILLING)

    # --- LedgerReader; these wait for the answer, so the API calls them in an executor

    def sessions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Session]:
        return self._ask(self._file.sessions, since_utc_ms, until_utc_ms, limit).result()

    def session(self, session_id: str) -> Session | None:
        return self._ask(self._file.session, session_id).result()

    def limits(self, evse: EvseId, until_utc_ms: int, limit: int) -> Sequence[LimitKept]:
        return self._ask(self._file.limits, evse, until_utc_ms, limit).result()

    def excursions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Excursion]:
        return self._ask(self._file.excursions, since_utc_ms, until_utc_ms, limit).result()

    def curtailment(self, first_day: str | None, last_day: str | None) -> Sequence[Curtailment]:
        return self._ask(self._file.curtailment, first_day, last_day).result()

    def take_in(self, path: Path, now: Instant) -> TakenIn:
        """Keep what a backup or a salvaged file holds and this ledger does not; see ``taking_in``. Waits, so not on the loop.

        Raises:
            StoreError: the file cannot be read or is neither, or the disk does not take it; what was taken in until then stays.
        """
        waiting: deque[tuple[Group, Future[None]]] = deque()
        done: Counter[str] = Counter()
        refused: list[str] = []

        def settle() -> None:
            group, future = waiting.popleft()
            try:
                future.result()
            except StoreError as error:
                if error.reason != "record-refused":
                    raise
                refused.append(f"{group.name}: {error.detail}")
                return
            done.update({"bills": group.is_bill, "sessions": not group.is_bill, "rebuilt": group.is_rebuilt})

        for group in groups(path, lambda name: self.session(name) is not None):
            waiting.append((group, self.commit(group.records, now)))
            if len(waiting) >= TAKING_IN_COUNT:
                settle()
        while waiting:
            settle()
        return TakenIn(done["sessions"], done["bills"], done["rebuilt"], tuple(refused))

    def verify_chain(self) -> ChainReport:
        """Runs in the caller's thread on a connection of its own, since it may take minutes."""
        with LedgerFile(self._path) as file:
            return file.verify_chain()

    def _ask(self, question: Callable[..., T], *values: object) -> Future[T]:
        if not self._is_closed and self._questions.acquire(blocking=False):
            answer = self._reader.submit(question, *values)
            answer.add_done_callback(lambda _: self._questions.release())
            return answer
        refused: Future[T] = Future()
        if self._is_closed:
            refused.set_exception(StoreError("closed", "the ledger is closed", is_permanent=True))
        else:
            refused.set_exception(StoreError("queue-full", f"{QUESTION_LIMIT} questions wait", is_permanent=False))
        return refused


def _resume(connection: sqlite3.Connection, damaged: Path) -> None:
    for record in running(damaged):
        if isinstance(record, SessionKept):
            tables.keep_session(connection, record.session)
        else:
            tables.keep_message(connection, record)
