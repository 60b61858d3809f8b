"""edgectl's clock and ids in virtual time. The wall clock is apart from the monotonic one, so that it can be stepped."""

from __future__ import annotations

import random
from typing import Any

from edgectl.domain.ids import SessionId
from edgectl.domain.time import Instant
from edgectl.runtime.clock import uuid7

START_UTC_MS = 1_800_000_000_000
"""2027-01-15T08:00:00Z, when a simulated day begins."""


class VirtualClock:
    def __init__(self, loop: Any, start_utc_ms: int = START_UTC_MS) -> None:
        self._loop = loop
        self.offset_ms = start_utc_ms

    def now(self) -> Instant:
        mono_ms = self._loop.now_us // 1000
        return Instant(mono_ms, self.offset_ms + mono_ms)

    def step_wall(self, by_ms: int) -> None:
        """NTP has something to say."""
        self.offset_ms += by_ms


class SeededIds:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def session_id(self, now: Instant) -> SessionId:
        return uuid7(now.utc_ms, self._rng.getrandbits(74))
