"""How often something may happen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.units import Millis


@dataclass(slots=True)
class Budget:
    """At most ``per_s`` in each second of the clock."""

    per_s: int
    _second: int = -1
    _spent_count: int = 0

    def spend(self, now_ms: Millis) -> bool:
        """Whether there was one left."""
        second = now_ms // 1000
        if second != self._second:
            self._second, self._spent_count = second, 0
        self._spent_count += 1
        return self._spent_count <= self.per_s
