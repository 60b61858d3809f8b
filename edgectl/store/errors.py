"""SQLite's codes as ``StoreError``: one exception with a stable word."""

from __future__ import annotations

import sqlite3
from typing import Final

from edgectl.domain.errors import StoreError

_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: ("disk-full", False),
    sqlite3.SQLITE_IOERR: ("io-error", False),
    sqlite3.SQLITE_BUSY: ("busy", False),
    sqlite3.SQLITE_LOCKED: ("busy", False),
    sqlite3.SQLITE_READONLY: ("read-only", True),
    sqlite3.SQLITE_CANTOPEN: ("cannot-open", True),
    sqlite3.SQLITE_PERM: ("cannot-open", True),
    sqlite3.SQLITE_CORRUPT: ("damaged", True),
    sqlite3.SQLITE_NOTADB: ("damaged", True),
    sqlite3.SQLITE_CONSTRAINT: ("record-refused", True),
    sqlite3.SQLITE_TOOBIG: ("record-refused", True),
    sqlite3.SQLITE_MISMATCH: ("record-refused", True),
}

_UNREADABLE: Final = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)


READING: Final = (sqlite3.Error, UnicodeDecodeError)
"""What reading a database can raise: damage in its list of tables ends up in SQLite's own message, which need not be text."""


def store_error(error: Exception) -> StoreError:
    """What went wrong, in our words. Anything that is not SQLite's own trouble is the fault of the record being written."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, UnicodeDecodeError):
        return StoreError("damaged", f"text that is none: {error.reason}", is_permanent=True)
    code = _code(error)
    if code is None:
        return StoreError("record-refused", f"{type(error).__name__}: {error}", is_permanent=True)
    reason, is_permanent = _BY_CODE.get(code & 0xFF, ("database-error", False))
    return StoreError(reason, f"{error} ({getattr(error, 'sqlite_errorname', code)})", is_permanent=is_permanent)


def is_damage(error: Exception) -> bool:
    """True when the file cannot be read as a database, be it by its content or because its medium fails under a page."""
    code = _code(error)
    if code is None:
        return isinstance(error, UnicodeDecodeError)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code in _UNREADABLE


def _code(error: Exception) -> int | None:
    """SQLite's extended code; None for errors of the binding of values, which ``sqlite3`` raises without one."""
    return getattr(error, "sqlite_errorcode", None)
