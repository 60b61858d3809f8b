"""How far a charger's clock is off, measured from what it dates and when that comes.

A message can be late, so an old date proves little; it can never be early, so a date in the future is a wrong clock. A clock that
is behind shows as a whole row of live messages that are all late by the same amount.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis

OFF_MS: Millis = 120_000
"""Less is delay, rounding, or a clock that was set by the last heartbeat."""
SPREAD_MS: Millis = 30_000
"""Live messages are within this of each other in their lateness; those from a queue are not."""
ROW_COUNT = 3
ROW_MS: Millis = 60_000
"""A row of this many, over at least this long, is a clock and not a coincidence."""
OLDEST_CREDIBLE_UTC_MS: UtcMillis = 1_577_836_800_000
"""2020: a clock that says earlier has never been set, and is no measure of anything."""


@dataclass(slots=True)
class ClockWatch:
    """The clock of one charger, since it last booted: our answer to a boot sets it."""

    offset_ms: Millis = 0
    """Its clock minus ours, when that is known and more than delay; otherwise 0."""
    _seen: deque[tuple[Millis, Millis]] = field(default_factory=lambda: deque(maxlen=ROW_COUNT))

    def reset(self) -> None:
        self.offset_ms = 0
        self._seen.clear()

    def note_live(self, reported_utc_ms: UtcMillis | None, now: Instant) -> None:
        """A message that may have waited: only a date in the future says something of the clock."""
        if reported_utc_ms is not None and reported_utc_ms - now.utc_ms > OFF_MS:
            self.note(reported_utc_ms, now)

    def note(self, reported_utc_ms: UtcMillis | None, now: Instant) -> None:
        """A message that was made just before it was sent, as far as anybody can know."""
        if reported_utc_ms is None or reported_utc_ms < OLDEST_CREDIBLE_UTC_MS:
            return
        ahead_ms = reported_utc_ms - now.utc_ms
        self._seen.append((now.mono_ms, ahead_ms))
        if ahead_ms > OFF_MS:
            self.offset_ms = ahead_ms
            return
        offsets = [offset_ms for _, offset_ms in self._seen]
        is_row = len(offsets) == ROW_COUNT and now.mono_ms - self._seen[0][0] >= ROW_MS
        if is_row and max(offsets) - min(offsets) <= SPREAD_MS:
            largest_ms = max(offsets)  # the one with the least delay
            self.offset_ms = largest_ms if abs(largest_ms) > OFF_MS else 0
