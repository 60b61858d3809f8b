"""The real clock and id source. The only place in edgectl that reads time or randomness."""

from __future__ import annotations

import secrets
import time

from edgectl.domain.ids import SessionId
from edgectl.domain.time import Instant


class SystemClock:
    """Monotonic time for intervals, wall time for records."""

    def now(self) -> Instant:
        return Instant(mono_ms=time.monotonic_ns() // 1_000_000, utc_ms=time.time_ns() // 1_000_000)


class RandomIds:
    """UUIDv7 (RFC 9562): sortable by time, unique without coordination."""

    def session_id(self, now: Instant) -> SessionId:
        return uuid7(now.utc_ms, secrets.randbits(74))


def uuid7(utc_ms: int, random_bits: int) -> SessionId:
    """Compose a UUIDv7 from 48 bits of time and 74 random bits."""
    value = (utc_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return SessionId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
