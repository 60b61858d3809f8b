"""The last known state of things, waiting to be told. Pure: only the newest of each thing counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edgectl.domain.units import Millis

LEAST_INTERVAL_MS: Final[Millis] = 1_000
"""Between two publications of one thing: the control period, so nothing newer is missed for long."""

THINGS_MAX: Final = 4_096
"""Things with a state: a depot of a thousand chargers has some three thousand. What comes beyond is not told."""


@dataclass(slots=True)
class LatestStates:
    _bodies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Waiting, the longest waiting first: a newer body keeps the place of the one it replaces."""
    _told_mono_ms: dict[tuple[str, str], Millis] = field(default_factory=dict)

    def put(self, kind: str, thing: str, body: bytes) -> bool:
        """False when there are too many things."""
        key = (kind, thing)
        if key not in self._bodies and len(self._bodies) >= THINGS_MAX:
            return False
        self._bodies[key] = body
        return True

    def take(self, now_ms: Millis) -> tuple[str, str, bytes] | None:
        """The one that has waited longest and may be told now."""
        for (kind, thing), body in self._bodies.items():
            if self._may_be_told_ms((kind, thing)) <= now_ms:
                del self._bodies[kind, thing]
                self._note((kind, thing), now_ms)
                return kind, thing, body
        return None

    def next_due_ms(self) -> Millis | None:
        return min(map(self._may_be_told_ms, self._bodies), default=None)

    def _may_be_told_ms(self, key: tuple[str, str]) -> Millis:
        told = self._told_mono_ms.get(key)
        return 0 if told is None else told + LEAST_INTERVAL_MS

    def _note(self, key: tuple[str, str], now_ms: Millis) -> None:
        self._told_mono_ms.pop(key, None)
        self._told_mono_ms[key] = now_ms
        # In order of telling, so the first are the oldest; those of more than an interval ago restrict nothing any more.
        while (oldest := next(iter(self._told_mono_ms))) != key and self._told_mono_ms[oldest] + LEAST_INTERVAL_MS <= now_ms:
            del self._told_mono_ms[oldest]
