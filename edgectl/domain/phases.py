"""Three values of one unit, one for each phase of the site. The unit is in the name that holds it: ``limit_ma: Phases``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """A phase conductor of the site, as the electrician labels it."""

    L1 = 0
    L2 = 1
    L3 = 2


ALL_PHASES = (Phase.L1, Phase.L2, Phase.L3)


@dataclass(frozen=True, slots=True)
class Phases:
    """One integer per site phase. Never a list, so that a missing phase cannot be mistaken for a short one."""

    l1: int
    l2: int
    l3: int

    @classmethod
    def uniform(cls, value: int) -> Phases:
        return cls(value, value, value)

    @classmethod
    def on(cls, phases: tuple[Phase, ...], value: int) -> Phases:
        """``value`` on each of the named phases, 0 elsewhere."""
        return cls(*(value if phase in phases else 0 for phase in ALL_PHASES))

    def __getitem__(self, phase: int) -> int:
        return (self.l1, self.l2, self.l3)[phase]

    def __iter__(self) -> Iterator[int]:
        return iter((self.l1, self.l2, self.l3))

    def __add__(self, other: Phases) -> Phases:
        return Phases(self.l1 + other.l1, self.l2 + other.l2, self.l3 + other.l3)

    def __sub__(self, other: Phases) -> Phases:
        return Phases(self.l1 - other.l1, self.l2 - other.l2, self.l3 - other.l3)

    def map(self, function: Callable[[int], int]) -> Phases:
        return Phases(function(self.l1), function(self.l2), function(self.l3))

    def at_least(self, floor: Phases) -> Phases:
        """The larger of the two on each phase."""
        return Phases(max(self.l1, floor.l1), max(self.l2, floor.l2), max(self.l3, floor.l3))

    def at_most(self, ceiling: Phases) -> Phases:
        """The smaller of the two on each phase."""
        return Phases(min(self.l1, ceiling.l1), min(self.l2, ceiling.l2), min(self.l3, ceiling.l3))

    def fits(self, limit: Phases) -> bool:
        """True when no phase exceeds ``limit``."""
        return self.l1 <= limit.l1 and self.l2 <= limit.l2 and self.l3 <= limit.l3

    @property
    def largest(self) -> int:
        return max(self.l1, self.l2, self.l3)

    @property
    def total(self) -> int:
        return self.l1 + self.l2 + self.l3


ZERO = Phases(0, 0, 0)
