"""The load beside the chargers: a base, machines that switch, and noise, on three phases."""

from __future__ import annotations

import math
import random


class Building:
    """Seeded; asked for its currents at a moment, which must not go backwards. ``step_a`` comes on top, for scripts."""

    def __init__(
        self, rng: random.Random, *, base_a: float, machine_a: float, machine_count: int = 6, pace_s: float = 120.0
    ) -> None:
        self._rng = rng
        self._base_a = base_a
        self._pace_s = pace_s
        self.step_a = 0.0
        self._machines = [
            (rng.uniform(0.3, 1.0) * machine_a / machine_count * 2, rng.choice([(0,), (1,), (2,), (0, 1, 2), (0, 1, 2)]))
            for _ in range(machine_count)
        ]
        self._is_on = [rng.random() < 0.4 for _ in self._machines]
        self._switches_at_s = [rng.expovariate(1 / pace_s) for _ in self._machines]
        self._noise_a = [0.0, 0.0, 0.0]
        self._noise_at_s = -1.0

    def peak_a(self) -> tuple[float, float, float]:
        """The most it draws on each phase, without ``step_a``: every machine at once, noise four times its deviation."""
        base_a = self._base_a + 4 * self._deviation_a
        peaks = [base_a + sum(machine_a for machine_a, phases in self._machines if phase in phases) for phase in range(3)]
        return peaks[0], peaks[1], peaks[2]

    @property
    def _deviation_a(self) -> float:
        return 0.01 * self._base_a + 0.05

    def current_a(self, now_s: float) -> tuple[float, float, float]:
        for index, switches_at_s in enumerate(self._switches_at_s):
            while switches_at_s <= now_s:
                self._is_on[index] = not self._is_on[index]
                switches_at_s += self._rng.expovariate(1 / self._pace_s)
            self._switches_at_s[index] = switches_at_s
        if now_s - self._noise_at_s >= 1.0:
            self._noise_at_s = now_s
            self._noise_a = [self._rng.gauss(0, self._deviation_a) for _ in range(3)]
        day = 0.85 + 0.15 * math.sin(2 * math.pi * now_s / 86_400)
        values = [self._base_a * day + noise + self.step_a for noise in self._noise_a]
        for (machine_a, phases), is_on in zip(self._machines, self._is_on, strict=True):
            if is_on:
                for phase in phases:
                    values[phase] += machine_a
        return (max(0.0, values[0]), max(0.0, values[1]), max(0.0, values[2]))
