"""The last reading of each meter, and whether it can still be trusted. Age counts, not timeouts."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.site import Meter, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis


@dataclass(slots=True)
class MeterState:
    meter: Meter
    good: MeterReading | None = None
    """The last reading with a value."""
    trouble: str = "never read"
    """Why the newest attempt has no value; empty when it has."""
    is_lost: bool = True
    lost_since_mono_ms: Millis | None = None

    def age_ms(self, now: Instant) -> Millis | None:
        return None if self.good is None else now.mono_ms - self.good.completed_mono_ms

    def current_ma(self, now: Instant) -> Phases | None:
        """The measured currents, or None when there is no reading young enough."""
        age_ms = self.age_ms(now)
        if self.good is None or age_ms is None or age_ms > self.meter.max_age_ms:
            return None
        return self.good.current_ma


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
            self.by_id[meter.id] = state

    def read(self, reading: MeterReading) -> None:
        state = self.by_id.get(reading.meter)
        if state is None:
            return  # a meter that a reload has just removed
        if reading.quality is Quality.GOOD and reading.current_ma is not None:
            state.good = reading
            state.trouble = ""
        else:
            state.trouble = reading.reason or "no phase currents"
