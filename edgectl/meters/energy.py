"""Counters that wrap, start again, are replaced, or jump. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.units import Millis, WattHours

SLACK_WH = 1_000
"""What two clocks and a coarse register may account for."""
DIGITS = (10**5, 10**6, 10**7, 10**8, 10**9)
"""Where displays wrap, in the register's own steps."""


@dataclass
class Counter:
    """One total counter of one meter: whether the next value follows from the last."""

    step_wh: int
    """What one step of the register is worth."""
    power_max_w: float
    """More cannot flow through what it measures."""
    last_wh: WattHours | None = None
    last_mono_ms: Millis = 0
    _doubted_wh: WattHours | None = None

    def note(self, now_wh: WattHours, mono_ms: Millis) -> str:
        """``""`` when all is well, ``rollover`` or ``reset`` when it starts again, ``energy-jump`` when it must not be used yet.

        A jump is doubted once; when it stays, it is what the meter now says.
        """
        last_wh, span_ms = self.last_wh, mono_ms - self.last_mono_ms
        event = "" if last_wh is None else self._judge(last_wh, now_wh, span_ms)
        if event == "energy-jump" and not self._is_confirmed(now_wh, mono_ms):
            self._doubted_wh = now_wh
            return event
        self.last_wh, self.last_mono_ms, self._doubted_wh = now_wh, mono_ms, None
        return "reset" if event == "energy-jump" else event

    def _judge(self, last_wh: WattHours, now_wh: WattHours, span_ms: Millis) -> str:
        possible_wh = SLACK_WH + 2 * self.step_wh + self.power_max_w * span_ms / 3_600_000
        if 0 <= now_wh - last_wh <= possible_wh or -2 * self.step_wh <= now_wh - last_wh < 0:
            return ""
        if now_wh < last_wh:
            wraps = [1 << 32, 1 << 31, *DIGITS]
            if any(0 <= now_wh + size * self.step_wh - last_wh <= possible_wh for size in wraps):
                return "rollover"
            if now_wh <= possible_wh:
                return "reset"
        return "energy-jump"

    def _is_confirmed(self, now_wh: WattHours, mono_ms: Millis) -> bool:
        doubted_wh = self._doubted_wh
        if doubted_wh is None:
            return False
        possible_wh = SLACK_WH + 2 * self.step_wh + self.power_max_w * (mono_ms - self.last_mono_ms) / 3_600_000
        return 0 <= now_wh - doubted_wh <= possible_wh
