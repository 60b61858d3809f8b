"""The state file behind the daemon: written in a thread of its own, never on the loop; what comes meanwhile waits its turn."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog

from edgectl.domain.errors import StoreError
from edgectl.store.state import StateFile

log = structlog.get_logger(__name__)


class StateMemory:
    """Implements ``ports.Memory`` on a ``StateFile``."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path)
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], dict[str, object]] = {}
        self._written: Future[bool] = Future()
        """Of those that wait: whether they got there."""
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state-file")
        self._is_failing = False

    def recall(self, kind: str) -> dict[str, dict[str, object]]:
        return self._file.all(kind)

    def remember(self, kind: str, key: str, document: dict[str, object]) -> Future[bool]:
        with self._lock:
            is_first = not self._waiting
            self._waiting[kind, key] = document
            if is_first:
                self._written = self._writer.submit(self._write)
            return self._written

    def close(self) -> None:
        """Write what waits."""
        self._writer.shutdown(wait=True)

    def _write(self) -> bool:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        try:
            for (kind, key), document in waiting.items():
                self._file.put(kind, key, document)
        except (StoreError, OSError, TypeError, ValueError) as error:
            # What is lost is asked of the charger again at its next boot; the ledger is another file.
            if not self._is_failing:
                log.warning("state_file_lost", reason=str(error))
            self._is_failing = True
            return False
        if self._is_failing:
            log.info("state_file_back")
        self._is_failing = False
        return True
