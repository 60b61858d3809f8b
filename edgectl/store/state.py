"""The state file: a few small documents a person can read, replaced as a whole and never in place.

TinyDB's own storage rewrites the file in place and leaves it unreadable after a power cut; this one writes a new file beside it,
syncs and renames. The file names its SHA-256, the generation before is kept as ``.prev``, and a damaged file is kept as
``.damaged`` while the previous generation takes over.

Calls block for two syncs (some 20 ms on a card) and are rare, once a second at most; ``app`` makes them in an executor. They do
not go through the ledger's writer thread on purpose: a billing commit never waits behind a state file.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any, Final

import structlog
from tinydb import TinyDB, where
from tinydb.storages import Storage
from tinydb.table import Table

from edgectl.domain.errors import StoreError
from edgectl.domain.remembered import KINDS
from edgectl.ports import FaultHook, no_fault
from edgectl.store.opening import sync_directory

log = structlog.get_logger(__name__)

MAX_BYTES: Final = 1_000_000
MAX_DOCUMENTS: Final = 2_000
"""Every write rewrites all of it: at this size that is 200 ms on a small gateway. What grows beyond belongs into the ledger."""

Tables = dict[str, dict[str, Any]]


class AtomicStorage(Storage):
    """TinyDB's tables in one file, replaced atomically.

    ``fault`` is called at ``state-before-rename`` (the new file is synced, nothing renamed) and ``state-between-renames`` (the
    old one is ``.prev``, the new one not yet in place: reading falls back to ``.prev``, the last state anyone was told of).
    """

    def __init__(self, path: Path, fault: FaultHook = no_fault) -> None:
        self._path = path
        self._previous = path.with_name(f"{path.name}.prev")
        self._fresh = path.with_name(f"{path.name}.tmp")
        self._fault = fault
        self.damaged: tuple[Path, ...] = ()
        """What was found damaged and kept aside since this storage was opened."""

    def read(self) -> Tables | None:
        for path in (self._path, self._previous):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            tables = _parse(content)
            if tables is not None:
                return tables
            self._set_aside(path)
        return None

    def write(self, data: Tables) -> None:
        # TinyDB makes a table before it fills it; without its empty ones that first write changes nothing.
        tables = {kind: table for kind, table in data.items() if table}
        content = _render(tables)
        documents = sum(len(table) for table in tables.values())
        if len(content) > MAX_BYTES or documents > MAX_DOCUMENTS:
            detail = (
                f"{self._path.name} would hold {documents} documents in {len(content)} bytes;"
                f" at most {MAX_DOCUMENTS} in {MAX_BYTES} are kept"
            )
            raise StoreError("too-large", detail, is_permanent=True)
        # TinyDB writes after every operation, also one that changed nothing; the previous generation is not spent on that.
        if self._path.exists() and self._path.read_bytes() == content:
            return
        with self._fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._fault("state-before-rename")
        if self._path.exists():
            self._path.replace(self._previous)
            self._fault("state-between-renames")
        self._fresh.replace(self._path)
        sync_directory(self._path.parent)

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        self.damaged = (*self.damaged, aside)
        log.error("state_file_damaged", file=path.name, kept_as=str(aside))


class StateFile:
    """Documents by kind and key. Blocking, safe from several threads.

    Raises:
        StoreError: ``too-large``; the file keeps what it had.
        OSError: the disk's own trouble; the file keeps what it had.
        TypeError, ValueError: a document that is not JSON.
        KeyError: a kind that is not one of ``KINDS``.
    """

    def __init__(self, path: Path, fault: FaultHook = no_fault) -> None:
        self._lock = threading.Lock()
        self._storage = AtomicStorage(path, fault)
        self._storage.read()
        self._database = TinyDB(storage=lambda: self._storage)

    @property
    def damaged(self) -> tuple[Path, ...]:
        """Damaged generations found and kept aside, empty in good times. Worth an alarm."""
        return self._storage.damaged

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        with self._lock:
            found = self._table(kind).get(where("key") == key)
        return None if found is None else dict(found["document"])

    def put(self, kind: str, key: str, document: dict[str, Any]) -> None:
        """Durable on return; replaces what was there."""
        with self._lock:
            self._table(kind).upsert({"key": key, "document": document}, where("key") == key)

    def remove(self, kind: str, key: str) -> None:
        """Durable on return; nothing happens if it is not there."""
        with self._lock:
            self._table(kind).remove(where("key") == key)

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every document of a kind by its key, in key order."""
        with self._lock:
            found = self._table(kind).all()
        return {row["key"]: dict(row["document"]) for row in sorted(found, key=lambda row: str(row["key"]))}

    def _table(self, kind: str) -> Table:
        if kind not in KINDS:
            raise KeyError(f"{kind!r} is not kept in the state file; {', '.join(KINDS)} are")
        return self._database.table(kind, cache_size=0)


def _render(tables: Tables) -> bytes:
    content = {"sha256": _checksum(tables), "tables": tables}
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _parse(content: bytes) -> Tables | None:
    """The tables, or None when a single byte is not as it was written."""
    try:
        tables = json.loads(content)["tables"]
        return tables if _render(tables) == content else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _checksum(tables: Tables) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True, allow_nan=False).encode()).hexdigest()
