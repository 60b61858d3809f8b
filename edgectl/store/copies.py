"""Whole copies of a ledger: the backup, and what both it and a salvage need to put a file in its place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgectl.domain.errors import StoreError
from edgectl.domain.time import Instant, iso
from edgectl.store.errors import READING, store_error
from edgectl.store.opening import COPY_MARK, open_reader, sync_directory


@dataclass(frozen=True, slots=True)
class BackupReport:
    path: Path
    size_bytes: int
    bill_count: int
    session_count: int
    epoch: str


def backup(ledger: Path, target: Path, now: Instant) -> BackupReport:
    """Copy a ledger, in use or not, as it is at one moment, into ``target``: checked, synced, and only then there.

    The copy is marked as one: put in the ledger's place it is not written to, for the numbers after its last one were given
    out meanwhile. What is in it comes back with a salvage. While it is made, the log of a ledger in use cannot be folded in.

    Raises:
        StoreError: ``exists``, or the ledger cannot be read, or the copy cannot be written or is not sound.
    """
    if target.exists():
        raise StoreError("exists", f"{target} is there already", is_permanent=True)
    with finished(target) as fresh:
        try:
            with closing(open_reader(ledger)) as source:
                source.execute("VACUUM INTO ?", (str(fresh),))
        except READING as error:
            raise store_error(error) from error
        mark(fresh, f"backup {iso(now.utc_ms)}")
    with closing(open_reader(target)) as copy:
        (epoch,) = copy.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        bills, sessions = copy.execute("SELECT (SELECT COUNT(*) FROM bill), (SELECT COUNT(*) FROM session)").fetchone()
    return BackupReport(target, target.stat().st_size, bills, sessions, str(epoch))


def mark(path: Path, words: str) -> None:
    """Say in the file that it is a copy.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (COPY_MARK, words))
    except READING as error:
        raise store_error(error) from error


@contextmanager
def finished(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write a database to; sound, it becomes ``target`` in one step, else nothing is left.

    It can be read by whoever can read the folder's owner's files, and by nobody else.

    Raises:
        StoreError: the file is not a sound database, or cannot be written.
    """
    fresh = target.with_name(f"{target.name}.part")
    try:
        fresh.unlink(missing_ok=True)
        yield fresh
        with suppress(PermissionError):  # a USB stick's file system may know no such thing
            fresh.chmod(0o600)
        with closing(open_reader(fresh)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if verdict != "ok":
            raise StoreError("damaged", f"the copy is not sound: {verdict}", is_permanent=False)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        if os.geteuid() == 0:  # the daemon, which is not root, is to read it, too
            owner = target.parent.stat()
            with suppress(PermissionError):
                os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.replace(target)
        sync_directory(target.parent)
    except READING as error:
        raise store_error(error) from error
    except OSError as error:
        raise StoreError("cannot-write", str(error), is_permanent=True) from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
