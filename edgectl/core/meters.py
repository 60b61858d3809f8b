"""The last reading of each meter, and whether it can still be trusted. Age counts, not timeouts."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.site import Meter, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis

LARGEST_RATIO = 5
"""Of its limit a conductor cannot carry more for a second: IEC 60898-1 breakers open at once at 5 (B) or 10 (C) times."""


@dataclass(slots=True)
class MeterState:
    meter: Meter
    good: MeterReading | None = None
    """The last reading with a value."""
    trouble: str = "never read"
    """Why the newest attempt has no value; empty when it has."""
    is_lost: bool = True
    lost_since_mono_ms: Millis | None = None
    doubt: str = ""
    """Why its readings are not believed (see ``doubts``); empty while they are."""
    largest_ma: MilliAmps | None = None
    """More than this its conductor cannot carry, so a reading above it is none."""

    def age_ms(self, now: Instant) -> Millis | None:
        return None if self.good is None else now.mono_ms - self.good.completed_mono_ms

    def current_ma(self, now: Instant) -> Phases | None:
        """The measured currents, or None when there is no reading young enough, or the meter is not believed."""
        age_ms = self.age_ms(now)
        if self.doubt or self.good is None or age_ms is None or age_ms > self.meter.max_age_ms:
            return None
        return self.good.current_ma

    def is_possible(self, current_ma: Phases | None) -> bool:
        """Not so large that it can only be a mistake of the meter or of the bus."""
        return current_ma is None or self.largest_ma is None or current_ma.map(abs).largest <= self.largest_ma

    @property
    def why_lost(self) -> str:
        return self.doubt or self.trouble or "reading too old"


class Meters:
    def __init__(self, site: Site) -> None:
        self.by_id: dict[MeterId, MeterState] = {}
        self.reload(site)

    def reload(self, site: Site) -> None:
        known = self.by_id
        self.by_id = {}
        for meter in site.meters:
            state = known.get(meter.id) or MeterState(meter)
            state.meter = meter
            limits_ma = [circuit.limit_ma.largest for circuit in site.circuits if circuit.meter == meter.id]
            state.largest_ma = LARGEST_RATIO * max(limits_ma) if limits_ma else None
            self.by_id[meter.id] = state

    def read(self, reading: MeterReading) -> None:
        state = self.by_id.get(reading.meter)
        if state is None:
            return  # a meter that a reload has just removed
        is_good = reading.quality is Quality.GOOD and reading.current_ma is not None
        if is_good and not state.is_possible(reading.current_ma):
            state.trouble = f"implausible: more than {(state.largest_ma or 0) / 1000:g} A, which its breaker would not carry"
        elif is_good:
            state.good = reading
            state.trouble = ""
        else:
            state.trouble = reading.reason or "no phase currents"
