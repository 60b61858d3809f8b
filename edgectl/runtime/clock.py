"""The real clock and id source. The only place in edgectl that reads time or randomness."""

from __future__ import annotations

import ctypes
import secrets
import time
from pathlib import Path
from typing import Final

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


TIMESYNC_MARK: Final = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd when it has set the clock after the start of the machine."""
_UNSYNCHRONISED: Final = 5
"""TIME_ERROR of adjtimex(2): nobody keeps the clock right."""


def is_clock_synchronised() -> bool:
    """Whether something keeps the wall clock right: the kernel says so, or systemd-timesyncd where we may not ask the kernel."""
    timex = ctypes.create_string_buffer(512)  # struct timex, all zero: only ask
    state = ctypes.CDLL(None).adjtimex(timex)
    return bool(0 <= state < _UNSYNCHRONISED) or TIMESYNC_MARK.exists()
