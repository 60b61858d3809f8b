"""Who waits when not every minimum fits: a queue in which everybody is owed what he went without.

Whoever waits is owed his minimum current for as long as he waits; whoever is served pays back with what he gets. A turn lasts a
stated time, and after it a vehicle goes on until somebody is owed more than it by the price of a pause: stopping a vehicle costs
about ten minutes of charging in wear, in sleepy vehicles, and in drivers who look at a dark display. So nobody starves and few
are stopped. A run and a pause both last ten minutes at least. Only a conductor can demand otherwise: then a vehicle is stopped at
once and goes on when there is room, but not the second time in half an hour, for a building that comes and goes is no reason to
switch a vehicle on and off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgectl.domain.ids import EvseId
from edgectl.domain.units import MilliAmps, Millis

DWELL_MS: Millis = 10 * 60_000
"""The least time of a run and of a pause (products-regulation.md 1.3: 6 A for 10 min after a pause); also the price of a pause.
A site that rotates faster than this has said so itself."""
SHOWN_MS: Millis = 60_000
"""Stopped sooner than this, a vehicle had not reported yet: its own beginning may have been taken for the building."""
FALSE_STARTS_COUNT = 3
"""After so many of these in a row it rests all the same."""
OWED_MAX_MA_S = 24 * 3_600 * 32_000
"""A day at 32 A: what is owed beyond that changes nobody's place."""


@dataclass(slots=True)
class Turn:
    """How one EVSE stands in the queue, from plug-in to plug-out."""

    number: int
    """In order of arrival."""
    since_ms: Millis | None = None
    """Of its present run or pause; None before the first."""
    is_served: bool = False
    is_resting: bool = False
    """This pause lasts its time."""
    forced_ms: Millis | None = None
    """When a conductor stopped it last, within its turn."""
    false_start_count: int = 0
    """Times in a row that it was stopped before it had shown what it draws."""
    owed_ma_s: int = 0
    """What it went without, per phase."""
    pause_count: int = 0
    min_ma: MilliAmps = 0
    is_exempt: bool = False
    """Never paused for somebody else's turn."""


class Turns:
    """The queue of a site."""

    def __init__(self, turn_ms: Millis, by_evse: Mapping[EvseId, Turn] | None = None, mono_ms: Millis | None = None) -> None:
        self.turn_ms = turn_ms
        self.by_evse: dict[EvseId, Turn] = {evse: replace(turn) for evse, turn in (by_evse or {}).items()}
        self.pause_count = 0
        """Times a vehicle was stopped that wanted to go on, since the start."""
        self._noted_ms = mono_ms
        self._arrivals = max((turn.number for turn in self.by_evse.values()), default=0)

    @property
    def dwell_ms(self) -> Millis:
        return min(DWELL_MS, self.turn_ms)

    def join(self, evse: EvseId, *, is_exempt: bool = False) -> None:
        if evse not in self.by_evse:
            self._arrivals += 1
            self.by_evse[evse] = Turn(self._arrivals, is_exempt=is_exempt)

    def leave(self, evse: EvseId) -> None:
        self.by_evse.pop(evse, None)

    def owed_ma_s(self, evse: EvseId) -> int:
        turn = self.by_evse.get(evse)
        return 0 if turn is None else turn.owed_ma_s

    def is_running(self, evse: EvseId) -> bool:
        turn = self.by_evse.get(evse)
        return turn is not None and turn.is_served

    def keeps_running(self, evse: EvseId, mono_ms: Millis) -> bool:
        """It has only just begun, or is never paused for others."""
        turn = self.by_evse.get(evse)
        if turn is None or not turn.is_served or turn.since_ms is None:
            return False
        return turn.is_exempt or mono_ms - turn.since_ms < self.dwell_ms

    def is_resting(self, evse: EvseId, mono_ms: Millis) -> bool:
        """It has only just been paused."""
        turn = self.by_evse.get(evse)
        if turn is None or not turn.is_resting or turn.since_ms is None:
            return False
        return mono_ms - turn.since_ms < self.dwell_ms

    def order(self, evse: EvseId, mono_ms: Millis) -> tuple[int, int, int]:
        """Smaller is served first: exempt ones, those in their turn, then who is owed most; arrival breaks ties."""
        turn = self.by_evse.get(evse)
        if turn is None:
            return (2, 0, self._arrivals + 1)
        if turn.is_exempt or (turn.is_served and turn.since_ms is not None and mono_ms - turn.since_ms < self.turn_ms):
            return (0, 0, turn.number)
        price_ma_s = turn.min_ma * self.dwell_ms // 1_000 if turn.is_served else 0
        return (1, -(turn.owed_ma_s + price_ma_s), turn.number)

    def note(self, served: Mapping[EvseId, MilliAmps], waiting: Mapping[EvseId, MilliAmps], mono_ms: Millis) -> None:
        """Record who is served with how much from now on, and who waits for which minimum. Who is in neither wants nothing or may
        not charge: his account rests."""
        passed_ms = 0 if self._noted_ms is None else max(0, mono_ms - self._noted_ms)
        self._noted_ms = mono_ms
        for evse, current_ma in served.items():
            turn = self.by_evse[evse]
            if not turn.is_served:
                turn.is_served, turn.is_resting, turn.since_ms = True, False, mono_ms
            turn.owed_ma_s = max(0, turn.owed_ma_s - current_ma * passed_ms // 1_000)
        for evse, min_ma in waiting.items():
            turn = self.by_evse[evse]
            if turn.is_served:
                self._pause(turn, mono_ms)
            turn.min_ma = min_ma
            turn.owed_ma_s = min(OWED_MAX_MA_S, turn.owed_ma_s + min_ma * passed_ms // 1_000)

    def _pause(self, turn: Turn, mono_ms: Millis) -> None:
        is_forced = turn.since_ms is None or mono_ms - turn.since_ms < self.turn_ms
        is_false_start = is_forced and turn.since_ms is not None and mono_ms - turn.since_ms < SHOWN_MS
        turn.false_start_count = turn.false_start_count + 1 if is_false_start else 0
        is_again = turn.forced_ms is not None and mono_ms - turn.forced_ms < 3 * self.dwell_ms
        if is_false_start and turn.false_start_count <= FALSE_STARTS_COUNT:
            is_again = False
        turn.is_resting = is_again or not is_forced
        if is_forced:
            turn.forced_ms = mono_ms
        turn.is_served, turn.since_ms = False, mono_ms
        turn.pause_count += 1
        self.pause_count += 1

    def queue(self, waiting: set[EvseId], mono_ms: Millis) -> dict[EvseId, int]:
        """The place of each that waits, from 1."""
        return {evse: 1 + place for place, evse in enumerate(sorted(waiting, key=lambda one: (self.order(one, mono_ms), one)))}
