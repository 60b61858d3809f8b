"""The real ledger on a bench: opened and reopened on one file, without waiting for company, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from support.store_records import NOW

from edgectl.domain.ids import SiteId
from edgectl.store.sqlite import Ledger

T = TypeVar("T")

WAIT_S = 30
"""No commit of a test takes this long; a future that does not resolve fails the test instead of hanging it."""


class LedgerBench:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[Ledger] = []

    def open(self, **changes: Any) -> Ledger:
        number = len(self.opened)
        settings: dict[str, Any] = {
            "site": SiteId("depot-north"),
            "new_epoch": lambda: f"epoch-{number}-0123456789",
            "now": NOW,
            "progress_linger_ms": 0,
            "telemetry_linger_ms": 0,
        }
        ledger = Ledger(self.path, **{**settings, **changes})
        self.opened.append(ledger)
        return ledger

    @staticmethod
    def wait(future: Future[T]) -> T:
        return future.result(WAIT_S)


@contextmanager
def ledger_bench(directory: Path) -> Iterator[LedgerBench]:
    bench = LedgerBench(directory / "ledger.db")
    try:
        yield bench
    finally:
        for ledger in bench.opened:
            ledger.close()
