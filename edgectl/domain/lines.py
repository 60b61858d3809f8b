"""How loads are wired to the lines of a site, and what they add up to in each of them.

In a *star* a load is between phases and neutral, and what one phase conductor carries is counted as the sum of all that it feeds.
In a *delta* (US, 208 V or 240 V) a load on two phases is between those two lines and loads both. What it draws from one of them
is 30 degrees ahead of that line's own voltage, what a load to the third line draws is 30 degrees behind it, and one on all three
lines is in step with it. So two kinds of pairs, with ``x`` and ``y``, make sqrt(x2 + xy + y2) together, at power factor 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isqrt

from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.units import MilliAmps, MilliVolts

ROOT3_PPM = 1_732_051
"""The root of three in millionths, rounded up."""
LIGHT_PERMILLE = 733
"""The root of three less one, rounded up: what sqrt(x2 + xy + y2) is never more than, the larger of x + 0.733 y and 0.733 x + y.
Exact but for the rounding where x = y and where one of them is 0, and in between at most 3.6 % more."""
PAIR_POWER_PERMILLE = 867
"""On each of its two lines a load between them counts so much in a limit of power at phase voltage: half the root of three,
rounded up."""


class Wiring(StrEnum):
    STAR = "star"
    """Chargers are between phases and neutral."""
    DELTA = "delta"
    """A charger on two phases is between these two lines."""

    def load_mv(self, voltage_mv: MilliVolts, phase_count: int) -> MilliVolts:
        """What makes the power of a load of its current: the voltage to neutral on each of its phases, or that of the two lines
        it is between."""
        if self is Wiring.DELTA and phase_count == 2:
            return voltage_mv * ROOT3_PPM // 1_000_000
        return voltage_mv * phase_count

    def power_permille(self, permille: int, phase_count: int) -> int:
        """What one of its milliamps is in a limit of power, if it is so much to neutral: on each of its phases."""
        if self is Wiring.DELTA and phase_count == 2:
            return -(-permille * PAIR_POWER_PERMILLE // 1_000)
        return permille


def to_neutral_mv(between_lines_mv: MilliVolts) -> MilliVolts:
    """What the voltage between two lines is to neutral, or would be; rounded up, so that ``load_mv`` does not fall short."""
    return -(-between_lines_mv * 1_000_000 // ROOT3_PPM)


@dataclass(frozen=True, slots=True)
class Flow:
    """What several loads draw together, so that it can be told what each line carries."""

    lines_ma: Phases = ZERO
    """By line: of loads on it alone, or on all three."""
    pairs_ma: Phases = ZERO
    """Of loads between two lines, by the line they leave out. Always 0 in a star."""

    @classmethod
    def of(cls, current_ma: Phases, wiring: Wiring) -> Flow:
        """Of one load. One that is seen on exactly two lines is between them."""
        if wiring is Wiring.DELTA:
            out = [phase for phase in ALL_PHASES if current_ma[phase] == 0]
            if len(out) == 1:
                return cls(ZERO, Phases.on((out[0],), current_ma.largest))
        return cls(current_ma)

    def __add__(self, other: Flow) -> Flow:
        return Flow(self.lines_ma + other.lines_ma, self.pairs_ma + other.pairs_ma)

    def __sub__(self, other: Flow) -> Flow:
        return Flow(self.lines_ma - other.lines_ma, self.pairs_ma - other.pairs_ma)

    @property
    def most_ma(self) -> Phases:
        """The most that each line carries: pairs at their angle, beside them all else in step with them."""
        beside_ma = []
        for phase in ALL_PHASES:
            x, y = self._pairs_of(phase)
            square = x * x + x * y + y * y
            root = isqrt(square)
            beside_ma.append(root if root * root == square else root + 1)
        return self.lines_ma + Phases(*beside_ma)

    @property
    def least_ma(self) -> Phases:
        """The least that each line carries: the same with all else in step with the line."""
        return Phases(*(isqrt(self._square(phase)) for phase in ALL_PHASES))

    @property
    def power_ma(self) -> MilliAmps:
        """All of it as a current at phase voltage, rounded up."""
        return self.lines_ma.total - (-self.pairs_ma.total * 2 * PAIR_POWER_PERMILLE // 1_000)

    def most_beside_ma(self, measured_ma: Phases) -> Phases:
        """The most that may flow in each line beside this where a meter shows so much together.

        A meter tells no angles. Whatever else is there is no further from a line's own voltage than a load between it and one
        of the other two lines, and is taken to be on the side where it counts least: then there is most of it.
        """
        return Phases(*(self._beside(phase, measured_ma[phase]) for phase in ALL_PHASES))

    def _beside(self, phase: Phase, measured_ma: MilliAmps) -> MilliAmps:
        line, (x, y) = self.lines_ma[phase], self._pairs_of(phase)
        if measured_ma <= 0:
            return 0
        along_2 = max(x, y) + 2 * min(x, y) + isqrt(3 * line * line)
        rest = along_2 * along_2 + 4 * (measured_ma * measured_ma - self._square(phase))
        return max(0, isqrt(rest) - along_2) // 2 if rest > 0 else 0

    def _square(self, phase: Phase) -> int:
        line, (x, y) = self.lines_ma[phase], self._pairs_of(phase)
        return x * x + x * y + y * y + line * line + isqrt(3 * (line * (x + y)) ** 2)

    def _pairs_of(self, phase: Phase) -> tuple[MilliAmps, MilliAmps]:
        one, other = (out for out in ALL_PHASES if out is not phase)
        return self.pairs_ma[one], self.pairs_ma[other]
