"""A car at a plug: what it draws when it is offered so much."""

from __future__ import annotations

import random
from dataclasses import dataclass

MIN_A = 6.0
"""IEC 61851-1: below this pilot a car stops."""
VOLTAGE_V = 230.0
WAKE_S = 40.0
"""How long a sleeping car takes until its on-board charger is up again."""


@dataclass
class Car:
    """A battery, an on-board charger and a driver's plans."""

    battery_wh: float
    energy_wh: float
    """In the battery now."""
    phase_count: int = 3
    max_a: float = 16.0
    leaves_at_s: float = float("inf")
    token: str = "04A1"
    reaction_s: float = 2.0
    """How long it takes to follow a new limit; the standard allows 5 s."""
    sleeps_after_s: float = float("inf")
    """After so long without current it sleeps, and wakes ``WAKE_S`` after it is offered some again."""
    drawn_a: float = 0.0
    _target_a: float = 0.0
    _changes_at_s: float = 0.0
    _paused_since_s: float | None = None

    @property
    def is_full(self) -> bool:
        return self.energy_wh >= self.battery_wh

    @property
    def soc_percent(self) -> int:
        return min(100, int(100 * self.energy_wh / self.battery_wh))

    def wish_a(self) -> float:
        """What it would take if nothing limited it: everything, less and less from 90 % on."""
        if self.is_full:
            return 0.0
        taper = min(1.0, (1.0 - self.energy_wh / self.battery_wh) / 0.1)
        return min(self.max_a, max(MIN_A, self.max_a * taper))

    def follow(self, offered_a: float, now_s: float) -> None:
        """Take note of the pilot; the current follows after the reaction time."""
        target_a = min(offered_a, self.wish_a()) if offered_a >= MIN_A else 0.0
        if abs(target_a - self._target_a) > 0.05:
            is_asleep = self._paused_since_s is not None and now_s - self._paused_since_s >= self.sleeps_after_s
            self._changes_at_s = now_s + self.reaction_s + (WAKE_S if is_asleep and target_a > 0 else 0.0)
            self._target_a = target_a
        if now_s >= self._changes_at_s:
            self.drawn_a = self._target_a
        if self.drawn_a > 0:
            self._paused_since_s = None
        elif self._paused_since_s is None:
            self._paused_since_s = now_s

    def cut_off(self, now_s: float) -> None:
        """The contactor opens: no current from this moment on, whatever the pilot said."""
        self.drawn_a = self._target_a = 0.0
        if self._paused_since_s is None:
            self._paused_since_s = now_s

    def charge(self, seconds: float, wired_count: int = 3) -> float:
        """Energy taken in this span at an EVSE with so many phases, Wh."""
        taken_wh = self.drawn_a * VOLTAGE_V * min(self.phase_count, wired_count) * seconds / 3600
        self.energy_wh += taken_wh
        return taken_wh


def random_car(
    rng: random.Random, now_s: float, *, battery_wh: float = 40_000, stay_s: tuple[float, float] = (1800, 7200)
) -> Car:
    """A van like those of a depot: most on three phases, some on one."""
    return Car(
        battery_wh=battery_wh * rng.uniform(0.7, 1.5),
        energy_wh=battery_wh * rng.uniform(0.1, 0.5),
        phase_count=rng.choice([3, 3, 3, 2, 1]),
        max_a=rng.choice([16.0, 16.0, 20.0, 32.0]),
        leaves_at_s=now_s + rng.uniform(*stay_s),
        token=rng.choice(TOKENS),
        reaction_s=rng.uniform(1.0, 4.5),
    )


TOKENS = ("04A1", "04A2", "04A3", "04A4", "04A5", "04A6")
