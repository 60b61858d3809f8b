"""A database file read page by page, without SQLite, so that what surrounds a damaged page can still be had.

Follows the file format at https://www.sqlite.org/fileformat2.html: b-tree pages (1.6), records (2.1), overflow (1.6), the list of
free pages (1.5) and the write-ahead log (4). SQLite itself gives up a whole tree when one inner page of it is damaged; here a
damaged page costs the rows that lie on it. Nothing is written.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

Value: TypeAlias = int | float | str | bytes | None

TABLE_LEAF: Final = 0x0D
INDEX_LEAF: Final = 0x0A
TABLE_INNER: Final = 0x05
INDEX_INNER: Final = 0x02
_INNER: Final = frozenset({TABLE_INNER, INDEX_INNER})
_KINDS: Final = frozenset({TABLE_LEAF, INDEX_LEAF, *_INNER})

_SIZES: Final = frozenset(2**power for power in range(9, 17))
USUAL_PAGE_BYTES: Final = 4_096
"""SQLite's default, for a file whose first page does not say."""

MAX_PAYLOAD_BYTES: Final = 16 << 20
"""No row of ours is a tenth of this; a longer one is a damaged length."""

_INT_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Serial types of integers, and how many bytes each takes."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record found on a page."""

    page: int
    kind: int
    """``TABLE_LEAF``: of a table with row ids; ``INDEX_LEAF``: of an index or of a table without."""
    rowid: int | None
    values: tuple[Value, ...]
    is_committed: bool
    """False for one from a part of the log that SQLite no longer reads, behind a damaged frame."""


class Pages:
    """The pages of a database and its log. Use as a context manager.

    Raises:
        OSError: from the constructor, when the file cannot be read at all.
    """

    def __init__(self, path: Path) -> None:
        log = path.with_name(f"{path.name}-wal")
        self._map = None
        if path.exists() or not log.exists():  # a log can be left alone by a power cut between two renames
            with path.open("rb") as file:
                size = path.stat().st_size
                self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else None
        self._data: memoryview = memoryview(self._map) if self._map is not None else memoryview(b"")
        wal = log.read_bytes() if log.exists() else b""
        self.page_bytes = _page_bytes(wal[8:12], is_wal=True) or _page_bytes(bytes(self._data[16:18])) or USUAL_PAGE_BYTES
        self._newer, self._stranded = _read_wal(wal, self.page_bytes)
        in_file = -(-len(self._data) // self.page_bytes)
        self.count = max([in_file, *self._newer])
        first = self.page(1)
        reserved = first[20] if len(first) > 20 and first[:15] == b"SQLite format 3" else 0
        self._usable = self.page_bytes - (reserved if reserved <= 32 else 0)
        self._used: set[int] = set()
        """Pages that made sense: rows, inner pages, free ones, continuations of long rows."""

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._data.release()
        if self._map is not None:
            self._map.close()

    def page(self, number: int) -> bytes:
        """As a reader would see it, newest first; shorter than a page where the file ends."""
        if number in self._newer:
            return self._newer[number]
        return bytes(self._data[(number - 1) * self.page_bytes : number * self.page_bytes])

    def rows(self, is_wanted: Callable[[bytes], object] = bool) -> Iterator[Row]:
        """Every row that can be read, table by table as the pages lie; those of free pages are passed over.

        ``is_wanted`` looks at the bytes of a page, which is quicker than reading rows; ``lost`` then counts the others as lost.
        """
        free = self._free()
        self._used |= free
        for number in range(1, self.count + 1):
            if number not in free and is_wanted(page := self.page(number)):
                yield from self._rows_of(number, page, is_committed=True)
        for number, page in self._stranded:
            if is_wanted(page):
                yield from self._rows_of(number, page, is_committed=False)

    def lost(self) -> int:
        """After ``rows``: how many pages made no sense."""
        return self.count - len({number for number in self._used if number <= self.count})

    def _rows_of(self, number: int, page: bytes, *, is_committed: bool) -> Iterator[Row]:
        start = 100 if number == 1 else 0
        if len(page) < start + 12 or page[start] not in _KINDS:
            return
        kind = page[start]
        cell_count = int.from_bytes(page[start + 3 : start + 5], "big")
        pointers = start + (12 if kind in _INNER else 8)
        if pointers + 2 * cell_count > len(page):
            return
        self._used.add(number)
        if kind == TABLE_INNER:
            return
        for cell in range(cell_count):
            at = int.from_bytes(page[pointers + 2 * cell : pointers + 2 * cell + 2], "big")
            try:
                rowid, payload = self._cell(page, at, kind)
                values = _record(payload)
            except (ValueError, IndexError, struct.error):
                continue
            yield Row(number, TABLE_LEAF if kind == TABLE_LEAF else INDEX_LEAF, rowid, values, is_committed)

    def _cell(self, page: bytes, at: int, kind: int) -> tuple[int | None, bytes]:
        if kind == INDEX_INNER:
            at += 4
        size, at = _varint(page, at)
        rowid: int | None = None
        if kind == TABLE_LEAF:
            rowid, at = _varint(page, at)
            most = self._usable - 35
        else:
            most = (self._usable - 12) * 64 // 255 - 23
        if not 0 < size <= MAX_PAYLOAD_BYTES:
            raise ValueError("not a length")
        local = size
        if size > most:
            least = (self._usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (self._usable - 4)
            local = local if local <= most else least
        payload = page[at : at + local]
        if len(payload) < local:
            raise ValueError("the page ends inside the row")
        if local < size:
            payload += self._overflow(int.from_bytes(page[at + local : at + local + 4], "big"), size - local)
        return rowid, payload

    def _overflow(self, number: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            page = self.page(number) if 1 < number <= self.count else b""
            part = page[4 : 4 + min(size, self._usable - 4)]
            if not part:
                raise ValueError("the rest of the row is not there")
            self._used.add(number)
            parts.append(part)
            size -= len(part)
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)

    def _free(self) -> set[int]:
        """Pages on the free list as far as it makes sense; what lies on them was deleted."""
        first = self.page(1)
        free: set[int] = set()
        if first[:15] != b"SQLite format 3":
            return free
        trunk = int.from_bytes(first[32:36], "big")
        while 1 < trunk <= self.count and trunk not in free:
            page = self.page(trunk)
            leaf_count = int.from_bytes(page[4:8], "big")
            if leaf_count > self._usable // 4 - 2:
                break
            leaves = {int.from_bytes(page[8 + 4 * i : 12 + 4 * i], "big") for i in range(leaf_count)}
            if any(not 1 < leaf <= self.count for leaf in leaves):
                break
            free |= {trunk, *leaves}
            trunk = int.from_bytes(page[:4], "big")
        return free


def _page_bytes(field: bytes, *, is_wal: bool = False) -> int | None:
    size = int.from_bytes(field, "big")
    size = 65_536 if size == 1 and not is_wal else size
    return size if size in _SIZES else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number, as SQLite signs it, and where the next begins."""
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            value = value << 8 | byte
            return (value - (1 << 64) if value >= 1 << 63 else value), at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise ValueError("no number")


def _record(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    if not 0 < end <= len(payload):
        raise ValueError("not a record")
    values: list[Value] = []
    body = end
    while at < end:
        kind, at = _varint(payload, at)
        value, body = _value(payload, body, kind)
        values.append(value)
    if at != end or body != len(payload):
        raise ValueError("the record is longer or shorter than it says")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind >= 12:
        end = at + (kind - 12) // 2
        text = payload[at:end]
        if end > len(payload):
            raise ValueError("the record ends inside a value")
        return (text.decode("utf-8") if kind % 2 else text), end
    if kind == 7:
        return float(struct.unpack(">d", payload[at : at + 8])[0]), at + 8
    size = _INT_BYTES.get(kind, 0)
    if not size or at + size > len(payload):
        raise ValueError("no kind of value")
    return int.from_bytes(payload[at : at + size], "big", signed=True), at + size


def _read_wal(wal: bytes, page_bytes: int) -> tuple[dict[int, bytes], list[tuple[int, bytes]]]:
    """The newest committed page of each number, and what stands behind a damaged frame: pages of commits that SQLite forgets.

    A tail without its commit belongs to nobody: whoever wrote it was never told that it is stored.
    """
    if len(wal) < 32 or int.from_bytes(wal[:4], "big") & ~1 != 0x377F0682:
        return {}, []
    order = ">" if wal[3] & 1 else "<"
    salts = wal[16:24]
    sums = _checksum(wal[:24], (0, 0), order)
    is_sound = struct.pack(">II", *sums) == wal[24:32]
    committed: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    stranded: list[tuple[int, bytes]] = []
    undecided: list[tuple[int, bytes]] = []
    for at in range(32, len(wal) - page_bytes - 23, page_bytes + 24):
        head, page = wal[at : at + 24], wal[at + 24 : at + 24 + page_bytes]
        if head[8:16] != salts and is_sound:
            break  # of an earlier round of the log
        number, is_commit = int.from_bytes(head[:4], "big"), head[4:8] != b"\0\0\0\0"
        if is_sound:
            sums = _checksum(page, _checksum(head[:8], sums, order), order)
            is_sound = struct.pack(">II", *sums) == head[16:24]
        if is_sound:
            waiting[number] = page
            if is_commit:
                committed |= waiting
                waiting = {}
        elif head[8:16] == salts:
            undecided.append((number, page))
            if is_commit:
                stranded += undecided
                undecided = []
    if stranded:
        stranded = [*waiting.items(), *stranded]  # their commit stands behind the damaged frame
    return committed, stranded


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    return first, second
