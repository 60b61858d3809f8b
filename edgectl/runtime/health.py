"""What the watchdog, ``/healthz`` and ``/readyz`` go by: completed control periods, not the mere existence of a process."""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.units import Millis
from edgectl.domain.views import Health
from edgectl.ports import Clock

LIVE_MS: Millis = 10_000
"""Ten control periods without a completed one: the loop hangs."""


class HealthWatch:
    """Fed by the engine after each completed control period."""

    def __init__(self, clock: Clock, on_period: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._on_period = on_period
        self._last_mono_ms: Millis | None = None
        self.is_ready = False
        """Every adapter has started once."""

    def period_completed(self) -> None:
        self._last_mono_ms = self._clock.now().mono_ms
        if self._on_period is not None:
            self._on_period()

    def health(self) -> Health:
        if self._last_mono_ms is None:
            return Health(last_period_age_ms=None, is_live=False, is_ready=False, detail="no control period completed yet")
        age_ms = self._clock.now().mono_ms - self._last_mono_ms
        is_live = age_ms <= LIVE_MS
        detail = "" if is_live else f"the last control period completed {age_ms / 1000:.1f} s ago"
        return Health(last_period_age_ms=age_ms, is_live=is_live, is_ready=is_live and self.is_ready, detail=detail)
