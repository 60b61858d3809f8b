"""After a blackout all chargers come back at once, and so do all vehicles. They begin at the least and rise one after another.

A breaker that carries a full site for hours may open when it all comes in one second (2.55 times its rating for one second is all
a lawful one owes), and the building's own motors start at the same moment. So once a blackout is recognised, by many chargers
booting together or by chargers booting into sessions from before our own start, every vehicle gets its minimum first, and each
waits its own random part of ``restart_spread`` before it is raised. Reductions are not touched by any of this.
"""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis

TOGETHER_MS: Millis = 60_000
"""Chargers need some seconds to a minute to boot, each make its own time."""
LEAST_COUNT = 3
"""Two may restart together by chance."""
AFTER_START_MS: Millis = 180_000
"""A gateway and its chargers get their power back in the same moment, and need this long to find each other."""
LASTS_MS: Millis = 120_000
"""Beyond the spread: by then everyone has been raised a few times, or waits for other reasons."""


class Ramp:
    """``chance`` gives a number from 0 to 1 for each draw."""

    def __init__(self, started: Instant, *, had_sessions: bool, chance: Callable[[], float]) -> None:
        self._started_mono_ms = started.mono_ms
        self._had_sessions = had_sessions
        self._chance = chance
        self._booted_mono_ms: dict[ChargerId, Millis] = {}
        self._since_mono_ms: Millis | None = None
        self._shares: dict[EvseId, float] = {}

    def booted(self, charger: ChargerId, charger_count: int, now: Instant) -> set[ChargerId]:
        """``charger_count``: how many the site has. Returns the chargers whose vehicles begin again."""
        self._booted_mono_ms = {c: at for c, at in self._booted_mono_ms.items() if now.mono_ms - at < TOGETHER_MS}
        self._booted_mono_ms[charger] = now.mono_ms
        are_many = len(self._booted_mono_ms) >= max(LEAST_COUNT, (charger_count + 1) // 2)
        age_ms = now.mono_ms - self._started_mono_ms
        is_return = self._had_sessions and age_ms < AFTER_START_MS
        # Chargers that meet a gateway which has just been installed or restarted boot together, too; without sessions from
        # before nothing comes back.
        if is_return or (are_many and age_ms >= AFTER_START_MS):
            if self._since_mono_ms is None or now.mono_ms - self._since_mono_ms > LASTS_MS:
                self._shares.clear()
            self._since_mono_ms = now.mono_ms
            return set(self._booted_mono_ms)
        return set()

    def is_on(self, spread_ms: Millis, now: Instant) -> bool:
        return self._since_mono_ms is not None and now.mono_ms - self._since_mono_ms < spread_ms + LASTS_MS

    def waits(self, evse: EvseId, spread_ms: Millis, now: Instant) -> bool:
        """This one is not raised above its beginning yet."""
        if self._since_mono_ms is None or not self.is_on(spread_ms, now):
            return False
        if evse not in self._shares:
            self._shares[evse] = self._chance()
        return now.mono_ms - self._since_mono_ms < self._shares[evse] * spread_ms
