"""Vehicles that do not wake from a pause of ours: recognised by what they do, woken where that works, and not paused again.

Some vehicles go to sleep at 0 A and miss the current that comes back; some need more than the least of it, some need it taken
away once more. Who slept through the end of a pause is not paused again in its session if that can be helped. A vehicle that is
simply full looks the same, so no more is tried than the few things below.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgectl.core.limits import EvseLimit
from edgectl.core.vehicles import Vehicle
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis

WAKE_MS: Millis = 90_000
"""An on-board charger that was switched off is up again within a minute; reports come a little later."""
MORE_MA: MilliAmps = 4_000
"""Vehicles that ignore 6 A take 7 to 10 A (Renault Zoe needs 8 to 10 A to begin)."""
TOGGLE_MS: Millis = 10_000
"""So long without current is a new beginning for any vehicle; IEC 61851-1 wants 3 s at least between two."""


class Wake(StrEnum):
    """What is being tried."""

    NOTHING = ""
    MORE = "more current"
    ALL = "full current"
    TOGGLE = "taking the current away once more"
    GIVEN_UP = "nothing more"


_NEXT = {Wake.NOTHING: Wake.MORE, Wake.MORE: Wake.ALL, Wake.ALL: Wake.TOGGLE, Wake.TOGGLE: Wake.GIVEN_UP}


@dataclass(slots=True)
class Waking:
    """One vehicle, from plug-in to plug-out."""

    trying: Wake = Wake.NOTHING
    stays_awake: bool = False
    """It slept through the end of a pause once: it is not paused again if that can be helped."""
    _has_drawn: bool = False
    _is_paused: bool = False
    _offered_since_mono_ms: Millis | None = None
    _toggled_mono_ms: Millis | None = None

    def watch(self, vehicle: Vehicle, limit: EvseLimit, now: Instant) -> None:
        """After each step of control."""
        if vehicle.is_drawing and limit.commanded_ma > 0:
            if self.trying is not Wake.NOTHING:
                self.stays_awake = True
            self._has_drawn, self._is_paused = True, False
            self.trying, self._offered_since_mono_ms = Wake.NOTHING, None
            return
        if not self._has_drawn or self.trying is Wake.GIVEN_UP or self.is_toggling(now):
            return  # a vehicle that never drew anything is none that we have put to sleep
        if limit.commanded_ma == 0:
            self._is_paused, self._offered_since_mono_ms = True, None
            return
        if not self._is_paused or not limit.is_confirmed(now):
            return
        if self._offered_since_mono_ms is None:
            self._offered_since_mono_ms = now.mono_ms
        since_ms = self._offered_since_mono_ms
        is_seen = vehicle.reported_mono_ms is not None and vehicle.reported_mono_ms > since_ms
        if is_seen and now.mono_ms - since_ms >= WAKE_MS:
            self.trying = _NEXT[self.trying]
            if self.trying is Wake.TOGGLE and not limit.quirks.can_pause:
                self.trying = Wake.GIVEN_UP
            self._toggled_mono_ms = now.mono_ms if self.trying is Wake.TOGGLE else None
            self._offered_since_mono_ms = None
            self.stays_awake = True

    def is_toggling(self, now: Instant) -> bool:
        """Just now it gets nothing, on purpose."""
        return self._toggled_mono_ms is not None and now.mono_ms - self._toggled_mono_ms < TOGGLE_MS

    def wakes_at_ma(self, limit: EvseLimit) -> MilliAmps | None:
        """What it has to be offered at least; None: its minimum will do."""
        charger = limit.charger
        known_ma = limit.quirks.wakes_at_ma if limit.commanded_ma == 0 else None
        if self.trying is Wake.MORE:
            return min(charger.max_ma, max(charger.min_ma + MORE_MA, known_ma or 0))
        if self.trying in {Wake.ALL, Wake.TOGGLE}:
            return charger.max_ma
        return None if known_ma is None else min(charger.max_ma, max(charger.min_ma, known_ma))
