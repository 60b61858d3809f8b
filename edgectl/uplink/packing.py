"""Rows on their way from the disk to the wire: telemetry is packed there and sessions are not, and the file says how they travel.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import zstandard

from edgectl.contract.channels import BILLING, TELEMETRY
from edgectl.ports import OutboxRow

PACKED_TYPE: Final = "application/json+zstd"
"""The MQTT content type of a payload that is one zstd frame."""
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""Of a zstd frame (RFC 8878 3.1.1)."""
LEVEL: Final = 9
"""A session of 3 kB in 0.1 ms; higher levels save no more than a few bytes."""


class Packing:
    """Packs what the backend takes packed and unpacks the rest; what has been made is kept while it is in sight."""

    def __init__(self, *, packs_telemetry: bool = False, packs_billing: bool = False) -> None:
        self._is_packed = {TELEMETRY: packs_telemetry, BILLING: packs_billing}
        self._made: dict[str, dict[int, bytes]] = {}

    def for_the_wire(self, stream: str, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """The rows as they will be published."""
        wants_packed = self._is_packed.get(stream, False)
        to_make = [row for row in rows if row.body.startswith(_MAGIC) is not wants_packed]
        if not to_make:
            self._made.pop(stream, None)
            return rows
        make = _packed if wants_packed else _unpacked
        before = self._made.get(stream, {})
        made = {row.seq: before.get(row.seq) or make(row.body) for row in to_make}
        self._made[stream] = made
        return [replace(row, body=made[row.seq]) if row.seq in made else row for row in rows]


def _packed(body: bytes) -> bytes:
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(body)
    return packed if len(packed) < len(body) else body


def _unpacked(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(body)


def content_type_of(row: OutboxRow) -> str | None:
    """What a reader has to be told of this payload; None for plain JSON."""
    return PACKED_TYPE if row.body.startswith(_MAGIC) else None
