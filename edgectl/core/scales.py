"""Whether a charger's register and its power tell the same story. Some label kilowatt-hours as watt-hours, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.events import Sample
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, WattHours, Watts

ENOUGH_WH: WattHours = 3_000
"""Drawn by its own account of power: the least at which a register in kilowatt-hours has moved by more than chance."""
LONGEST_GAP_MS: Millis = 120_000
"""Between two samples of power; what happened in a longer gap is not known."""
_HOUR_MS = 3_600_000


@dataclass(slots=True)
class ScaleWatch:
    """One EVSE's register against its power, over as long as it takes."""

    _power_w: Watts | None = None
    _at_mono_ms: Millis = 0
    _drawn_wms: int = 0
    """By its power, in watt-milliseconds."""
    _first_wh: WattHours | None = None
    verdict: str = ""
    """Words for a person when the two are a factor of about a thousand apart; empty when they agree, or too little is known."""

    def note(self, sample: Sample, now: Instant) -> None:
        gap_ms = now.mono_ms - self._at_mono_ms
        if self._power_w is not None and gap_ms > LONGEST_GAP_MS:
            self._restart()
        elif self._power_w is not None:
            self._drawn_wms += self._power_w * gap_ms
        if sample.power_w is not None:
            self._power_w = max(0, sample.power_w)
        self._at_mono_ms = now.mono_ms
        if sample.energy_wh is None or self._power_w is None:
            return
        if self._first_wh is None or sample.energy_wh < self._first_wh:
            self._drawn_wms = 0
            self._first_wh = sample.energy_wh
            return
        drawn_wh = self._drawn_wms // _HOUR_MS
        if drawn_wh >= ENOUGH_WH:
            self._judge(drawn_wh, sample.energy_wh - self._first_wh)
            self._restart()

    def _judge(self, drawn_wh: WattHours, counted_wh: WattHours) -> None:
        if counted_wh * 2_000 >= drawn_wh >= counted_wh * 500 > 0:
            self.verdict = "its register counts 1 Wh where 1 kWh was drawn; if so, set `energy_scale: 1000` in its quirks"
        elif drawn_wh * 2_000 >= counted_wh >= drawn_wh * 500:
            self.verdict = "its register counts 1 kWh where 1 Wh was drawn; if so, set `energy_scale: 0.001` in its quirks"
        else:
            self.verdict = ""

    def _restart(self) -> None:
        self._power_w = None
        self._first_wh = None
        self._drawn_wms = 0
