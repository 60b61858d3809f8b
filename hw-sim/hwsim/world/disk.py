"""The real ledger's tables behind a simulated disk: commits take time, and what was not acknowledged is lost with the power.

``edgectl.store`` writes with a thread; here the same statements run on the virtual loop, one commit after the other, each
acknowledged when its simulated sync is over. A power cut between the two loses it, as WAL with synchronous=FULL would.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import EvseId, SiteId
from edgectl.domain.records import Curtailment, EventKept, Excursion, LimitKept, Record, Restored, Session
from edgectl.domain.remembered import KINDS
from edgectl.domain.time import Instant
from edgectl.ports import KeptCommand, OutboxRow, OutboxSummary, ParkedRow, Room
from edgectl.store import commands
from edgectl.store.errors import store_error
from edgectl.store.keeping import Keeping, tidy
from edgectl.store.opening import migrate, migrations
from edgectl.store.reader import LedgerFile
from edgectl.store.records import RecordWriter, mark_sent
from edgectl.store.sqlite import MAX_BYTES, RETENTION_MS

T = TypeVar("T")


@dataclass
class Disk:
    """How the medium behaves now. It outlives the stores that are opened on it."""

    path: Path
    sync_ms: int = 3
    is_full: bool = False
    is_stalled: bool = False


class SimStore:
    """``ports.SiteStore`` on a ``Disk``. ``kill`` it to lose what is not acknowledged; open another one on the same disk."""

    def __init__(self, disk: Disk, loop: Any, site: SiteId, epoch: str, now: Instant) -> None:
        self._disk = disk
        self._loop = loop
        self._opened_utc_ms = now.utc_ms
        self._connection = sqlite3.connect(disk.path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        migrate(self._connection, migrations())
        self._connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('epoch', ?)", (epoch,))
        self.epoch = str(self._connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])
        self._file = LedgerFile(disk.path)
        self._records = RecordWriter(site, self.epoch)
        self._waiting: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._is_syncing = False
        self._is_dead = False
        self.commit_count = 0

    # --- Store --------------------------------------------------------------------------------------------------------

    def restore(self) -> Restored:
        return self._file.restore(self._opened_utc_ms)

    def commit(self, records: Sequence[Record], now: Instant) -> Future[None]:
        return self._submit(lambda: self._records.write(self._connection, tuple(records), now))

    def tidy(self, now: Instant) -> Future[Room]:
        keeping = Keeping(RETENTION_MS, MAX_BYTES)

        def keep_event(event: EventKept) -> None:
            self._records.keep_event(self._connection, event, now)

        return self._submit(lambda: tidy(self._connection, keeping, MAX_BYTES, now, keep_event))

    def close(self) -> None:
        if self._is_dead:
            return
        self._write(self._waiting)
        self._waiting = []
        self.kill()

    def kill(self) -> None:
        """The process is gone; whatever was not acknowledged never happened."""
        if not self._is_dead:
            self._is_dead = True
            self._waiting.clear()
            self._file.close()
            self._connection.close()

    # --- Outbox -------------------------------------------------------------------------------------------------------

    def rows(self, stream: str, after_seq: int, limit: int) -> Future[Sequence[OutboxRow]]:
        return self._ask(lambda: self._file.rows(stream, after_seq, limit))

    def mark_sent(self, seqs: Sequence[int], now: Instant) -> Future[None]:
        return self._submit(lambda: mark_sent(self._connection, tuple(seqs), now))

    def summary(self) -> Future[OutboxSummary]:
        return self._ask(self._file.summary)

    def parked(self, limit: int) -> Future[Sequence[ParkedRow]]:
        return self._ask(lambda: self._file.parked(limit))

    # --- CommandBook --------------------------------------------------------------------------------------------------

    def commands(self) -> Sequence[KeptCommand]:
        return self._file.commands()

    def begin_command(self, command: KeptCommand, now: Instant) -> Future[None]:
        return self._submit(lambda: commands.begin(self._connection, command, now))

    def finish_command(self, command_id: str, answer: bytes) -> Future[None]:
        return self._submit(lambda: commands.finish(self._connection, command_id, answer))

    # --- LedgerReader -------------------------------------------------------------------------------------------------

    def sessions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Session]:
        return self._file.sessions(since_utc_ms, until_utc_ms, limit)

    def session(self, session_id: str) -> Session | None:
        return self._file.session(session_id)

    def limits(self, evse: EvseId, until_utc_ms: int, limit: int) -> Sequence[LimitKept]:
        return self._file.limits(evse, until_utc_ms, limit)

    def excursions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Excursion]:
        return self._file.excursions(since_utc_ms, until_utc_ms, limit)

    def curtailment(self, first_day: str | None, last_day: str | None) -> Sequence[Curtailment]:
        return self._file.curtailment(first_day, last_day)

    # --- the simulated sync -------------------------------------------------------------------------------------------

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # as the real one: whoever stops waiting does not undo it
        if self._is_dead:
            future.set_exception(StoreError("closed", "the process is gone", is_permanent=True))
            return future
        self._waiting.append((work, future))
        self._sync()
        return future

    def _ask(self, question: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def answer() -> None:
            if not self._is_dead:
                future.set_result(question())

        self._loop.call_later(0.0005, answer)
        return future

    def _sync(self) -> None:
        """Everything that waits shares the next sync."""
        if self._is_syncing or not self._waiting:
            return
        self._is_syncing = True
        self._loop.call_later(self._disk.sync_ms / 1000, self._synced)

    def _synced(self) -> None:
        self._is_syncing = False
        if self._is_dead:
            return
        if self._disk.is_stalled:
            self._is_syncing = True
            self._loop.call_later(0.1, self._synced)
            return
        batch, self._waiting = self._waiting, []
        self._write(batch)
        self._sync()

    def _write(self, batch: list[tuple[Callable[[], Any], Future[Any]]]) -> None:
        execute = self._connection.execute
        results: list[tuple[Future[Any], Any]] = []
        execute("BEGIN IMMEDIATE")
        for work, future in batch:
            if self._disk.is_full:
                results.append((future, StoreError("disk-full", "simulated", is_permanent=False)))
                continue
            execute("SAVEPOINT job")
            try:
                results.append((future, work()))
            except (sqlite3.Error, StoreError, ValueError, TypeError) as error:
                execute("ROLLBACK TO job")
                results.append((future, store_error(error)))
            execute("RELEASE job")
        execute("COMMIT")
        self.commit_count += 1
        for future, result in results:
            if isinstance(result, StoreError):
                future.set_exception(result)
            else:
                future.set_result(result)


class SimMemory:
    """``ports.Memory`` on the same simulated gateway: outlives the daemon, forgets nothing."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, dict[str, object]]] = {}

    def remember(self, kind: str, key: str, document: dict[str, object]) -> Future[bool]:
        if kind not in KINDS:
            raise KeyError(kind)
        self._documents.setdefault(kind, {})[key] = document
        written: Future[bool] = Future()
        written.set_result(True)
        return written

    def recall(self, kind: str) -> dict[str, dict[str, object]]:
        return dict(self._documents.get(kind, {}))

    def close(self) -> None:
        """Nothing is held back."""
