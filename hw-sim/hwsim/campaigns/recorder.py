"""Every write and every sync SQLite makes, noted in order: what a power cut could take away is then known to the sector.

The system's own way to the disk (SQLite's unix VFS) does the work; in front of it stands a copy whose ``xOpen`` gives out files
that note writes, truncations and syncs (https://www.sqlite.org/vfs.html). It becomes the default of this process, so the store
under test runs unchanged: its own threads, its own connections, the library it is used with.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import sqlite3
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast, string_at
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
"""The name travels as the pointer it is: SQLite keeps it as long as the file is open, and a copy of ours would be gone."""
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_OK: Final = 0


class _Vfs(Structure):
    _fields_ = [
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 14),
    ]


class _Methods(Structure):
    _fields_ = [
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),
    ]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: ``write``, ``truncate``, ``sync``, ``delete`` or what the store's user was told."""

    what: str
    file: str
    """The file's name, without its folder; of a word, the word."""
    offset: int = 0
    """Of a write; of a truncation, the new size."""
    content: bytes = b""


class Recorder:
    """Installs itself for good: for a process that does nothing else.

    Raises:
        OSError: SQLite is built into this Python and cannot be reached.
    """

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.refuse: Callable[[Entry], int] = lambda _: _OK
        """Asked before each write, truncation and sync: SQLite's code for what goes wrong instead (10: I/O error, 13: full)."""
        self._lock = threading.Lock()
        self._names: dict[int, str] = {}
        self._tables: dict[int, tuple[_Methods, Any, Any, Any]] = {}
        self._kept: list[Any] = []
        """What C holds pointers to."""
        library = _library()
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._system = library.sqlite3_vfs_find(None)
        vfs = _Vfs()
        ctypes.memmove(ctypes.byref(vfs), self._system, ctypes.sizeof(_Vfs))
        self._system_open = _OPEN(vfs.open)
        self._system_delete = _DELETE(vfs.delete)
        opening, deleting = _OPEN(self._open), _DELETE(self._delete)
        vfs.name = b"recorder"
        vfs.open, vfs.delete = cast(opening, c_void_p), cast(deleting, c_void_p)
        self._kept += [vfs, opening, deleting]
        if library.sqlite3_vfs_register(ctypes.byref(vfs), 1) != _OK:
            raise OSError("SQLite takes no VFS")

    def tell(self, word: str) -> None:
        """Note what somebody was told at this moment."""
        self._note(Entry("told", word))

    def _note(self, entry: Entry) -> None:
        with self._lock:
            self.log.append(entry)

    def _do(self, entry: Entry, act: Callable[[], int]) -> int:
        code = self.refuse(entry)
        if code != _OK:
            return code
        if entry.what != "sync":
            self._note(entry)
            return int(act())
        code = int(act())
        self._note(entry)  # not before it has returned
        return code

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, flags_out: Any) -> int:
        code = int(self._system_open(cast(self._system, c_void_p), name, file, flags, flags_out))
        methods = cast(file, POINTER(c_void_p))
        if code == _OK and name is not None and methods[0]:
            self._names[file] = Path(string_at(name).decode()).name
            methods[0] = ctypes.addressof(self._table(methods[0]))
        return code

    def _delete(self, _vfs: int, name: bytes, sync_dir: int) -> int:
        code = int(self._system_delete(cast(self._system, c_void_p), name, sync_dir))
        self._note(Entry("delete", Path(name.decode()).name))
        return code

    def _table(self, address: int) -> _Methods:
        """The system's functions for a file, with ours in front of three of them."""
        if address not in self._tables:
            own = _Methods()
            ctypes.memmove(ctypes.byref(own), address, ctypes.sizeof(_Methods))
            write, truncate, sync = _WRITE(own.write), _TRUNCATE(own.truncate), _SYNC(own.sync)

            def on_write(file: int, data: int, size: int, offset: int) -> int:
                entry = Entry("write", self._names[file], offset, string_at(data, size))
                return self._do(entry, lambda: write(file, data, size, offset))

            def on_truncate(file: int, size: int) -> int:
                return self._do(Entry("truncate", self._names[file], size), lambda: truncate(file, size))

            def on_sync(file: int, flags: int) -> int:
                return self._do(Entry("sync", self._names[file]), lambda: sync(file, flags))

            mine = _WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync)
            own.write, own.truncate, own.sync = (cast(one, c_void_p) for one in mine)
            self._kept += [write, truncate, sync, *mine]
            self._tables[address] = own, *mine
        return self._tables[address][0]


def _library() -> Any:
    """The SQLite that this Python's ``sqlite3`` uses."""
    for name in ("libsqlite3.so.0", getattr(_sqlite3, "__file__", None)):  # the last for one with SQLite inside
        try:
            library = ctypes.CDLL(name)
            library.sqlite3_libversion.restype = c_char_p
            if library.sqlite3_libversion().decode() == sqlite3.sqlite_version:
                return library
        except (OSError, AttributeError):
            continue
    raise OSError("the SQLite of this Python cannot be reached from outside")
