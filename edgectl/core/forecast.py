"""How long room will last at the rate of the last days: time and what is left in, days out."""

from __future__ import annotations

from collections import deque
from typing import Final

from edgectl.domain.units import Millis

DAY_MS: Final[Millis] = 86_400_000
STEP_MS: Final[Millis] = 3_600_000
"""One look an hour is kept."""
SPAN_MS: Final[Millis] = 7 * DAY_MS
"""The rate is that of the last week, so that a weekend is in it."""
LEAST_MS: Final[Millis] = 3 * DAY_MS
"""Before that nothing is said: an update of the system takes in an hour what it will not take again tomorrow."""


class Trend:
    """What is left of something that is used up. By the monotonic clock: a date that jumps makes no trend."""

    def __init__(self) -> None:
        self._seen: deque[tuple[Millis, int]] = deque()
        """When, and what was left, the oldest first."""
        self._newest: tuple[Millis, int] | None = None

    def note(self, mono_ms: Millis, left_bytes: int) -> None:
        self._newest = (mono_ms, left_bytes)
        if not self._seen or mono_ms - self._seen[-1][0] >= STEP_MS:
            self._seen.append(self._newest)
        while mono_ms - self._seen[0][0] > SPAN_MS:
            self._seen.popleft()

    @property
    def left_bytes(self) -> int | None:
        """None: nobody has looked."""
        return None if self._newest is None else self._newest[1]

    @property
    def used_per_day(self) -> int:
        """Bytes; 0 while nothing is used up, or not long enough to say."""
        if self._newest is None:
            return 0
        (first_ms, first_bytes), (last_ms, last_bytes) = self._seen[0], self._newest
        if last_ms - first_ms < LEAST_MS:
            return 0
        return max(0, first_bytes - last_bytes) * DAY_MS // (last_ms - first_ms)

    @property
    def left_days(self) -> int | None:
        """Whole days until nothing is left; None: no end in sight."""
        per_day = self.used_per_day
        return None if self._newest is None or not per_day else max(0, self._newest[1]) // per_day
