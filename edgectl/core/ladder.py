"""What is tried, one after another, with a charger that does not do what it was told.

"Accepted" is not obeying. An EVSE that refuses its limits, or draws more than it was told, is told in the next of the standard's
ways; each way is a *rung* with a name, a moment it was entered and a reason. Where the last has failed too and its conductor has
no room for what it draws, its transaction is stopped. A rung that works is kept: for the session, and remembered for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgectl.domain.quirks import ProfilePurpose
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis, UtcMillis


class Rung(StrEnum):
    TX = "tx"
    TX_DEFAULT = "tx-default"
    STATION_MAX = "station-max"
    STOP = "stop"
    """Nothing it was told had any effect."""


PURPOSES: dict[Rung, ProfilePurpose] = {
    Rung.TX: ProfilePurpose.TX,
    Rung.TX_DEFAULT: ProfilePurpose.TX_DEFAULT,
    Rung.STATION_MAX: ProfilePurpose.STATION_MAX,
}
REFUSALS_COUNT = 2
"""Refused this often in a row: asking a third time in the same way is not going to help."""
OVERDRAWS_COUNT = 2
"""Reports in a row that show too much: one may be from before the vehicle followed."""
TOLERANCE_MA: MilliAmps = 1_000
TOLERANCE_PERCENT = 5
"""Above its limit by more than both the class of a charger's own meter and a step of some chargers."""
OBEYED_MS: Millis = 60_000
"""Obeying for this long is obeying."""
FOLLOWS_LATE_MS: Millis = 40_000
"""Some chargers take half a minute to follow, their vehicles a while more. Who draws what he was told within this is late."""
SHOWS_MS: Millis = 8_000
"""What a charger makes of being told in another way shows after this: a vehicle may take 5 s, and its report a while."""


@dataclass(slots=True)
class Ladder:
    """Where one EVSE stands. ``start`` is the rung its quirks or its fingerprint say works."""

    start: Rung = Rung.TX
    has_station_max: bool = True
    """False where a maximum of the whole station would hold down other EVSEs too."""
    rung: Rung = Rung.TX
    since_mono_ms: Millis = 0
    entered_utc_ms: UtcMillis | None = None
    why: str = ""
    _refusals_answered_count: int = 0
    """How many of the refusals have led to this rung."""
    _overdraw_count: int = 0
    _last_report_mono_ms: Millis = -1
    _obeys_since_mono_ms: Millis | None = None

    def begin(self, start: Rung, *, has_station_max: bool, now: Instant) -> None:
        """A session begins."""
        self.start = self.rung = start
        self.has_station_max = has_station_max
        self.since_mono_ms = now.mono_ms
        self.entered_utc_ms = None
        self.why = ""
        self._refusals_answered_count = 0
        self._overdraw_count = 0
        self._obeys_since_mono_ms = None

    @property
    def is_climbed(self) -> bool:
        return self.rung is not self.start

    def obeys(self, now: Instant) -> bool:
        """It has kept to its limit on this rung for long enough to be believed."""
        return self._obeys_since_mono_ms is not None and now.mono_ms - self._obeys_since_mono_ms >= OBEYED_MS

    def note_refusals(self, refused_count: int, now: Instant) -> bool:
        """Limits refused or unanswered in a row. Returns whether the next rung was entered."""
        if refused_count < self._refusals_answered_count:
            self._refusals_answered_count = 0  # one was accepted meanwhile
        if refused_count - self._refusals_answered_count < REFUSALS_COUNT or self.rung is Rung.STOP:
            return False
        self._refusals_answered_count = refused_count
        return self._climb(f"{refused_count} limits refused", now)

    def note_draw(
        self,
        drawn_ma: MilliAmps,
        limit_ma: MilliAmps,
        most_ma: MilliAmps,
        reported_mono_ms: Millis,
        now: Instant,
        *,
        is_settled: bool = True,
        is_pressing: bool = False,
    ) -> bool:
        """One report. Returns whether the next rung was entered.

        ``limit_ma`` is what it is told now, ``most_ma`` the most it was told within ``FOLLOWS_LATE_MS``; ``is_settled``: it has
        had the usual time to follow. ``is_pressing``: its conductor cannot carry what it draws, so one report on each rung has
        to do.
        """
        if reported_mono_ms == self._last_report_mono_ms:
            return False
        self._last_report_mono_ms = reported_mono_ms
        if drawn_ma <= tolerated_ma(most_ma):
            if is_settled and drawn_ma > tolerated_ma(limit_ma):
                self._obeys_since_mono_ms = None  # late, which is neither obeying nor disobeying
            elif is_settled:
                self._overdraw_count = 0
                if self._obeys_since_mono_ms is None:
                    self._obeys_since_mono_ms = now.mono_ms
            return False
        self._obeys_since_mono_ms = None
        self._overdraw_count += 1
        has_shown = is_pressing and reported_mono_ms >= self.since_mono_ms + SHOWS_MS
        if self.rung is Rung.STOP or not (has_shown or self._overdraw_count >= OVERDRAWS_COUNT):
            return False
        return self._climb(f"drew {drawn_ma / 1000:.1f} A, told {limit_ma / 1000:g} A", now)

    def _climb(self, why: str, now: Instant) -> bool:
        rungs = [rung for rung in Rung if self.has_station_max or rung is not Rung.STATION_MAX]
        self.rung = rungs[rungs.index(self.rung) + 1]
        self.since_mono_ms = now.mono_ms
        self.entered_utc_ms = now.utc_ms
        self.why = why
        self._overdraw_count = 0
        self._obeys_since_mono_ms = None
        return True


def tolerated_ma(limit_ma: MilliAmps) -> MilliAmps:
    """What may be measured under a limit that is obeyed."""
    return limit_ma + max(TOLERANCE_MA, limit_ma * TOLERANCE_PERCENT // 100)
