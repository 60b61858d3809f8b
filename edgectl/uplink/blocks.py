"""Blocks of telemetry on their way from the disk, where they are packed, to the wire. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import zstandard

from edgectl.ports import OutboxRow

PACKED_TYPE: Final = "application/json+zstd"
"""The MQTT content type of a payload that is one zstd frame."""
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""Of a zstd frame (RFC 8878 3.1.1)."""


class Blocks:
    """Unpacks rows unless the backend takes them packed; what has been unpacked is kept while it is in sight."""

    def __init__(self, *, is_packed: bool) -> None:
        self._is_packed = is_packed
        self._plain: dict[int, bytes] = {}

    def for_the_wire(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """The rows as they will be published."""
        if self._is_packed:
            return rows
        packed = {row.seq: row for row in rows if row.body.startswith(_MAGIC)}
        self._plain = {
            seq: self._plain.get(seq) or zstandard.ZstdDecompressor().decompress(row.body) for seq, row in packed.items()
        }
        return [replace(row, body=self._plain[row.seq]) if row.seq in packed else row for row in rows]


def content_type_of(row: OutboxRow) -> str | None:
    """What a reader has to be told of this payload; None for plain JSON."""
    return PACKED_TYPE if row.body.startswith(_MAGIC) else None
