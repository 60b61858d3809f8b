"""Opening the ledger: one process at a time, checked, migrated. A damaged file is set aside, never deleted.

The check runs on a read-only connection, because closing the last writing connection folds the WAL into the file: of a damaged
ledger every byte stays as it was found, for a person to salvage from.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, TextIO

import structlog

from edgectl.domain.errors import StoreError
from edgectl.domain.time import Instant, iso
from edgectl.store.errors import READING, is_damage, store_error

log = structlog.get_logger(__name__)

BUSY_TIMEOUT_MS: Final = 5_000
"""Only a backup tool or a person's shell can hold a lock; they get this long before a commit fails."""

WAL_AUTOCHECKPOINT_PAGES: Final = 1_000
"""SQLite's own default, 4 MB: the WAL is folded in at about this size."""

JOURNAL_SIZE_LIMIT_BYTES: Final = 8 << 20
"""The WAL is cut back to this after a checkpoint that followed a burst."""

COPY_MARK: Final = "copy"
"""The key of ``meta`` that says that a file is a backup or was salvaged."""

SALVAGED: Final = ".salvaged"
"""Ends the name of the file into which a damaged ledger was salvaged."""

HIGHEST_SCHEMA: Final = 1_000
"""A number beyond is not a newer edgectl's but a damaged one."""

_SIDE_FILES: Final = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class StoreOpened:
    """How the ledger was found."""

    epoch: str
    """Random id of this database; a new one tells the backend that ``seq`` starts again."""
    quarantined: Path | None = None
    """Where the damaged ledger was set aside, if there was one. Worth an alarm: sessions in it need a person."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    sql: str


def migrations() -> Sequence[Migration]:
    """All schema files in order; they are frozen once released."""
    files = (entry for entry in resources.files("edgectl.store").joinpath("schema").iterdir() if entry.name.endswith(".sql"))
    return sorted((Migration(int(file.name[:4]), file.read_text()) for file in files), key=lambda one: one.number)


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """Apply what is missing, each step and its number in one transaction.

    Raises:
        StoreError: ``newer-schema``, before anything was written.
        sqlite3.Error: a step failed and was rolled back.
    """
    version = _version(connection)
    _refuse_newer(version, steps)
    for step in steps:
        if step.number > version:
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{step.sql}\nPRAGMA user_version = {step.number};\nCOMMIT;")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def open_ledger(
    path: Path,
    *,
    new_epoch: Callable[[], str],
    now: Instant,
    max_bytes: int,
    resume: Callable[[sqlite3.Connection, Path], None],
) -> tuple[sqlite3.Connection, TextIO, StoreOpened]:
    """The writing connection, the lock that goes with it (close both), and how the file was found.

    ``resume`` writes what goes on of a damaged ledger into the new one, in the transaction with which that begins.

    Raises:
        StoreError: ``in-use``, ``newer-schema``, ``read-only``, ``cannot-open`` ... The file is as it was.
    """
    try:
        lock = _lock(path)
        try:
            quarantined = _set_damaged_aside(path, now)
            connection = _open_writer(path, max_bytes)
            try:
                migrate(connection, migrations())
                epoch = _begin(connection, path, quarantined, new_epoch, now, resume)
                sync_directory(path.parent)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.close()
            raise
    except READING as error:
        raise store_error(error) from error
    except OSError as error:
        raise StoreError("cannot-open", str(error), is_permanent=True) from error
    return connection, lock, StoreOpened(epoch, quarantined)


def _begin(
    connection: sqlite3.Connection,
    path: Path,
    quarantined: Path | None,
    new_epoch: Callable[[], str],
    now: Instant,
    resume: Callable[[sqlite3.Connection, Path], None],
) -> str:
    """The epoch; a new ledger gets one in the same transaction with all it takes over of a damaged one.

    A start that was cut off between setting aside and this transaction is made up for by the next one.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        if found is None:
            connection.execute("INSERT INTO meta (key, value) VALUES ('epoch', ?)", (new_epoch(),))
            found = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            aside = quarantined or unsalvaged(path)
            if aside is not None:
                _pass_over_numbers(connection, now)
                resume(connection, aside)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return str(found[0])


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write or checkpoint.

    Raises:
        sqlite3.Error: no such file, or it cannot be read.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.text_factory = _text
    return connection


def _text(content: bytes) -> str:
    """A flipped bit in one row must not keep all others from being read."""
    return content.decode("utf-8", "replace")


def sync_directory(directory: Path) -> None:
    """Make renames and new files in it survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_in_use(path: Path) -> bool:
    """Whether a daemon has this very file as its ledger."""
    lock = path.with_name(f"{path.name}.lock")
    if not lock.exists():
        return False
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def unsalvaged(path: Path) -> Path | None:
    """The latest damaged ledger that was set aside for ``path`` and that nobody has salvaged yet."""
    aside = [
        file for file in path.parent.glob(f"{path.name}.damaged-*") if not file.name.endswith((*_SIDE_FILES, SALVAGED, ".part"))
    ]
    waiting = [file for file in sorted(aside) if not file.with_name(file.name + SALVAGED).exists()]
    return waiting[-1] if waiting else None


def _open_writer(path: Path, max_bytes: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError("cannot-open", f"{path}: this file system cannot hold a WAL (mode {mode})", is_permanent=True)
        # Not stored in the file, so it is set on every connection. Below FULL a power cut loses acknowledged records.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_SIZE_LIMIT_BYTES}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA mmap_size = 0")
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {max_bytes // page_bytes}")
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(path: Path) -> TextIO:
    """One daemon per ledger. The kernel lets go of the lock when the process ends, however it ends."""
    lock = path.with_name(f"{path.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreError("in-use", f"{path} is open in another edgectl", is_permanent=True) from None
    except BaseException:
        lock.close()
        raise
    return lock


def _set_damaged_aside(path: Path, now: Instant) -> Path | None:
    trouble = _examine(path)
    if not trouble:
        return None
    stamp = iso(now.utc_ms).replace("-", "").replace(":", "")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("", *_SIDE_FILES):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    sync_directory(path.parent)
    log.error("ledger_quarantined", kept_as=str(aside), trouble=trouble)
    return aside


def _pass_over_numbers(connection: sqlite3.Connection, now: Instant) -> None:
    """Chargers still run transactions whose numbers only the lost ledger knew: none of them is given to another one.

    Minutes since 2020 are beyond what any ledger has counted to, and fit the 31 bits of OCPP 1.6 for four thousand years.
    """
    minutes = max(1_000_000, (now.utc_ms - 1_577_836_800_000) // 60_000)
    connection.execute(
        "UPDATE meta SET value = ? WHERE key = 'last_transaction_number' AND CAST(value AS INTEGER) < ?", (str(minutes), minutes)
    )


def _examine(path: Path) -> str:
    """What is wrong with the file; empty when it is sound or not there.

    Raises:
        StoreError: ``newer-schema``.
        sqlite3.Error: it cannot be opened at all, which says nothing about its content.
    """
    if not path.exists():
        # A WAL without its database is what a power cut leaves between the renames of an earlier quarantine.
        return "a WAL without its database" if path.with_name(f"{path.name}-wal").exists() else ""
    # Before SQLite has it open: closing a file lets go of every lock this process has on it (fcntl(2)), SQLite's too.
    with path.open("rb") as file:
        header = file.read(20)
    try:
        with closing(open_reader(path)) as connection:
            version = _version(connection)
            if not 0 <= version <= HIGHEST_SCHEMA:
                return f"schema {version}, which no edgectl will ever have"
            if any(form not in (1, 2) for form in header[18:]):
                return f"a file format that SQLite does not have: {header[18:].hex()}"
            _refuse_newer(version, migrations())
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if verdict == "ok" and (absent := _absent(connection, version)):
                return f"{absent} is not as it was made"
            if verdict == "ok" and _is_copy(connection):
                return "a copy of a ledger, and numbers after its last one may have been given out since"
    except READING as error:
        if is_damage(error):
            return str(error)
        raise
    return "" if verdict == "ok" else verdict


def _absent(connection: sqlite3.Connection, version: int) -> str:
    """A table or index that is not there, or not as the schema files make it; SQLite does not look for that."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        migrate(model, [step for step in migrations() if step.number <= version] or migrations()[:1])
        made = {} if version == 0 else dict(model.execute(_MADE))
    found = dict(connection.execute(_MADE))
    return next((str(name) for name, text in made.items() if found.get(name) != text), "")


_MADE: Final = "SELECT type || ' ' || name || ' on ' || tbl_name, COALESCE(sql, '') FROM sqlite_master"


def _is_copy(connection: sqlite3.Connection) -> bool:
    is_ours = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
    return bool(is_ours and connection.execute("SELECT COUNT(*) FROM meta WHERE key = ?", (COPY_MARK,)).fetchone()[0])


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(version: int, steps: Sequence[Migration]) -> None:
    known = steps[-1].number
    if version > known:
        detail = f"the ledger has schema {version}, this edgectl knows {known}; install the newer version again"
        raise StoreError("newer-schema", detail, is_permanent=True)
