"""How close a conductor came to tripping its breaker, and for how long it was above its limit.

The damage integral uses the fastest lawful miniature circuit breaker: t(m) = 3600 s * (1.13 / m) ** 10.06 above m = 1.13, which
goes through the two fixed points of IEC 60898-1 (1.13 In holds an hour; 2.55 In opens no sooner than after a second). D = 1 means
"may trip". It forgets within minutes, as the bimetal cools.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOLDS = 1.13
COOLING_S = 600.0


@dataclass
class Breaker:
    """One conductor set; fed with the true current of each phase."""

    rated_a: tuple[float, float, float]
    damage: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    worst_damages: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """The most that each phase has come to."""
    worst_ratio: float = 0.0
    over_s: float = 0.0
    """How long it has been above its limit without a break."""
    longest_over_s: float = 0.0
    above_113_s: float = 0.0
    longest_above_113_s: float = 0.0
    above_145_s: float = 0.0
    longest_above_145_s: float = 0.0
    over_amp_seconds: float = 0.0

    @property
    def worst_damage(self) -> float:
        return max(self.worst_damages)

    def carry(self, current_a: tuple[float, float, float], seconds: float) -> None:
        ratios = [current / rated for current, rated in zip(current_a, self.rated_a, strict=True)]
        for phase, ratio in enumerate(ratios):
            if ratio > HOLDS:
                self.damage[phase] += seconds / (3600 * (HOLDS / ratio) ** 10.06)
                self.worst_damages[phase] = max(self.worst_damages[phase], self.damage[phase])
            elif self.damage[phase]:
                self.damage[phase] *= max(0.0, 1 - seconds / COOLING_S)
            if ratio > 1.0:
                self.over_amp_seconds += (current_a[phase] - self.rated_a[phase]) * seconds
        ratio = max(ratios)
        self.worst_ratio = max(self.worst_ratio, ratio)
        self.over_s = self.over_s + seconds if ratio > 1.0 else 0.0
        self.longest_over_s = max(self.longest_over_s, self.over_s)
        self.above_113_s = self.above_113_s + seconds if ratio > HOLDS else 0.0
        self.longest_above_113_s = max(self.longest_above_113_s, self.above_113_s)
        self.above_145_s = self.above_145_s + seconds if ratio > 1.45 else 0.0
        self.longest_above_145_s = max(self.longest_above_145_s, self.above_145_s)
