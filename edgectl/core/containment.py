"""Chargers that do not do what they are told: noticed, told in another way, and where nothing helps, stopped.

What such a charger really draws is counted against everybody else all the while (``limits.EvseLimit.worst_ma``), so a conductor
with room to spare need not stop anybody.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgectl.core.allocation import PERMILLE
from edgectl.core.demand import is_settled
from edgectl.core.ladder import FOLLOWS_LATE_MS, SHOWS_MS, Rung
from edgectl.core.limits import EvseLimit
from edgectl.core.room import Room
from edgectl.core.sessions import Sessions
from edgectl.core.vehicles import Vehicle
from edgectl.domain.decisions import Ask, Decision
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis

STOP_AGAIN_MS: Millis = 60_000
"""A stop that was asked for and did not happen is asked for again."""
CONTAIN = "contain/"
"""How the asks are named that stop a transaction nothing else could limit."""


class Containment:
    """The ladders of all EVSEs."""

    def __init__(self, sessions: Sessions, limits: Mapping[EvseId, EvseLimit], vehicles: Mapping[EvseId, Vehicle]) -> None:
        self._sessions = sessions
        self._limits = limits
        self._vehicles = vehicles
        self._pressing_since: dict[EvseId, Millis] = {}
        """Since when what they draw does not fit their conductors, even without all others."""
        self.learned: dict[ChargerId, Rung] = {}
        """The rung on which a charger was found to obey, where it is not the one it began on."""

    def begin(self, limit: EvseLimit, now: Instant) -> None:
        """A session begins: on the rung its quirks name, or on the one that worked the last time."""
        is_single = limit.charger.evse_count == 1
        start = Rung(limit.quirks.purpose) if limit.quirks.purpose is not None else Rung.TX
        learned = self.learned.get(limit.evse.charger, start)
        limit.ladder.begin(start, has_station_max=is_single, now=now)
        self._pressing_since.pop(limit.evse, None)
        if learned is not start and (learned is not Rung.STATION_MAX or is_single):
            limit.ladder.rung = learned

    def forget(self, charger: ChargerId) -> None:
        """New firmware is a new charger."""
        self.learned.pop(charger, None)

    def climb(self, now: Instant) -> set[EvseId]:
        """The EVSEs that have to be told in another way from now on."""
        climbed = set()
        for evse, vehicle in self._vehicles.items():
            limit = self._limits[evse]
            if limit.is_drilled or limit.commanded is None:
                continue
            has_climbed = limit.ladder.note_refusals(limit.refused_count, now)
            reported_ms, confirmed_ma = vehicle.reported_mono_ms, limit.confirmed_now_ma(now)
            if reported_ms is not None and vehicle.current_ma is not None and confirmed_ma is not None:
                most_ma = max(limit.highest_told_ma(reported_ms - FOLLOWS_LATE_MS), confirmed_ma)
                has_climbed |= limit.ladder.note_draw(
                    vehicle.current_ma.largest,
                    limit.commanded_ma,
                    most_ma,
                    reported_ms,
                    now,
                    is_settled=is_settled(limit, vehicle) and limit.is_confirmed(now),
                    is_pressing=now.mono_ms - self._pressing_since.get(evse, now.mono_ms) >= SHOWS_MS,
                )
            if has_climbed:
                climbed.add(evse)
        return climbed

    def stop_hopeless(self, room: Room, now: Instant) -> list[Decision]:
        """Nothing it was told had any effect, and its conductor could not carry what it draws even without all others."""
        asked: list[Decision] = []
        for evse, uses in room.uses.items():
            limit = self._limits[evse]
            session = self._sessions.at(evse)
            # What it draws above its limit is in the background already, so the limit itself is what must still fit.
            fits = all(room.capacities[place].available_ma * PERMILLE >= limit.commanded_ma * k for place, k in uses)
            if fits:
                self._pressing_since.pop(evse, None)
                continue
            self._pressing_since.setdefault(evse, now.mono_ms)
            if limit.ladder.rung is not Rung.STOP or session is None:
                continue
            if now.mono_ms - limit.stop_asked_mono_ms >= STOP_AGAIN_MS:
                limit.stop_asked_mono_ms = now.mono_ms
                name = f"{CONTAIN}{evse.charger}/{evse.number}/{now.mono_ms}"
                asked.append(Ask(evse.charger, name, "stop-transaction", (("transaction", session.transaction),)))
        return asked

    def learn(self, now: Instant) -> list[tuple[ChargerId, Rung]]:
        """Rungs that have been found to work since the last time, to be remembered."""
        news: list[tuple[ChargerId, Rung]] = []
        for evse in self._vehicles:
            limit = self._limits[evse]
            ladder = limit.ladder
            known = self.learned.get(evse.charger, ladder.start)
            if ladder.rung is not known and ladder.rung is not Rung.STOP and ladder.obeys(now) and limit.commanded_ma > 0:
                self.learned[evse.charger] = ladder.rung
                news.append((evse.charger, ladder.rung))
        return news
