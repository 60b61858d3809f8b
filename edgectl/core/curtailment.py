"""The curtailment ledger: what vehicles would have taken and were not allowed, by day, circuit and cause.

An estimate, and always called one. What a vehicle would take is what it drew when it had room to draw more; until it has shown
that, it is its charger's rating, so a small vehicle that was limited from its first minute on counts too high. A vehicle that
pauses by itself, or that never took what it was offered, loses nothing. The circuit with the most of it is the one to widen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from edgectl.core.demand import is_settled
from edgectl.core.limits import EvseLimit
from edgectl.core.vehicles import DRAWING_MA, Vehicle
from edgectl.domain.decisions import Decision, Keep
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.reasons import Cause, Reason
from edgectl.domain.records import Curtailment, CurtailmentKept
from edgectl.domain.site import Site
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, power_from_current_w
from edgectl.domain.views import CurtailedView

Key = TypeVar("Key")

STEP_MS: Millis = 1_000
LONGEST_STEP_MS: Millis = 10_000
"""Longer than this nobody looked, and nothing is claimed."""
KEEP_MS: Millis = 60_000
"""A crash loses no more than this."""
NEWS_MS: Millis = 10_000
"""What has no row yet is written this soon: a list that says nobody was held back is not to be wrong for a minute."""
_NOBODYS = frozenset({Cause.IDLE, Cause.FULL, Cause.VEHICLE, Cause.DRILL})
_WMS_PER_WH = 3_600_000


class CurtailmentBook:
    """Adds up from control step to control step. Its sums begin at zero with each start; the ledger adds them up."""

    def __init__(self, started: Instant) -> None:
        self._started_utc_ms = started.utc_ms
        self._noted_mono_ms = started.mono_ms
        self._kept_mono_ms = started.mono_ms
        self._ceilings_ma: dict[EvseId, MilliAmps] = {}
        self._sums: dict[tuple[str, CircuitId, Cause], tuple[int, Millis]] = {}
        """Watt-milliseconds, and milliseconds of one EVSE held back."""
        self._totals: dict[tuple[CircuitId, Cause], tuple[int, Millis]] = {}
        """The same since the start, whatever the day."""
        self._changed: set[tuple[str, CircuitId, Cause]] = set()
        self._written: set[tuple[str, CircuitId, Cause]] = set()

    def note(
        self,
        site: Site,
        vehicles: Mapping[EvseId, Vehicle],
        limits: Mapping[EvseId, EvseLimit],
        reason: Callable[[EvseId, Instant], Reason],
        now: Instant,
    ) -> list[Decision]:
        step_ms = now.mono_ms - self._noted_mono_ms
        if step_ms < STEP_MS:
            return []
        self._noted_mono_ms = now.mono_ms
        for gone in [evse for evse in self._ceilings_ma if evse not in vehicles]:
            del self._ceilings_ma[gone]
        if step_ms <= LONGEST_STEP_MS:
            for evse, vehicle in vehicles.items():
                self._note_one(site, vehicle, limits[evse], reason(evse, now), step_ms, now)
        return self._keep(now)

    def _note_one(self, site: Site, vehicle: Vehicle, limit: EvseLimit, reason: Reason, step_ms: Millis, now: Instant) -> None:
        self._learn(vehicle, limit, now)
        wanted_ma = min(limit.charger.max_ma, self._ceilings_ma.get(vehicle.evse, limit.charger.max_ma))
        held_ma = wanted_ma - limit.commanded_ma
        if held_ma < DRAWING_MA or vehicle.is_satisfied or reason.cause in _NOBODYS:
            return
        power_w = power_from_current_w(held_ma, site.load_mv(len(vehicle.phases)))
        key = (_day(now.utc_ms, site.timezone), reason.circuit or limit.charger.circuit, reason.cause)
        _add(self._sums, key, power_w * step_ms, step_ms)
        _add(self._totals, (key[1], key[2]), power_w * step_ms, step_ms)
        self._changed.add(key)

    def _learn(self, vehicle: Vehicle, limit: EvseLimit, now: Instant) -> None:
        drawn_ma = vehicle.drawn_ma(now)
        if drawn_ma is None or limit.commanded_ma == 0 or not is_settled(limit, vehicle):
            return
        known_ma = self._ceilings_ma.get(vehicle.evse)
        if drawn_ma.largest < limit.commanded_ma - DRAWING_MA:
            self._ceilings_ma[vehicle.evse] = drawn_ma.largest  # it has room and does not use it
        elif known_ma is not None and drawn_ma.largest > known_ma:
            self._ceilings_ma[vehicle.evse] = drawn_ma.largest

    def _keep(self, now: Instant) -> list[Decision]:
        waits_ms = KEEP_MS if self._changed <= self._written else NEWS_MS
        if not self._changed or now.mono_ms - self._kept_mono_ms < waits_ms:
            return []
        self._kept_mono_ms = now.mono_ms
        kept: list[Decision] = [Keep(CurtailmentKept(self._started_utc_ms, self._sum(key))) for key in sorted(self._changed)]
        today = max(day for day, _, _ in self._sums)
        for key in [key for key in self._sums if key[0] < today]:
            del self._sums[key]  # written down for the last time just now
        self._written = set(self._sums)
        self._changed.clear()
        return kept

    def _sum(self, key: tuple[str, CircuitId, Cause]) -> Curtailment:
        energy_wms, held_ms = self._sums[key]
        return Curtailment(*key, energy_wms // _WMS_PER_WH, held_ms)

    @property
    def since_start(self) -> tuple[CurtailedView, ...]:
        """What is shown live."""
        return tuple(
            CurtailedView(circuit, cause, energy_wms // _WMS_PER_WH, held_ms)
            for (circuit, cause), (energy_wms, held_ms) in sorted(self._totals.items())
        )


def _add(sums: dict[Key, tuple[int, Millis]], key: Key, energy_wms: int, held_ms: Millis) -> None:
    before_wms, before_ms = sums.get(key, (0, 0))
    sums[key] = (before_wms + energy_wms, before_ms + held_ms)


def _day(at_utc_ms: UtcMillis, timezone: str) -> str:
    return datetime.fromtimestamp(at_utc_ms / 1000, UTC).astimezone(ZoneInfo(timezone)).date().isoformat()
