"""What protects a conductor, and how long it lets an overload pass. Context for the excursion ledger and for the proof, and no
promise: a real device may open later, an old or a hot one sooner.

Circuit breakers by IEC 60898-1: 1.13 times the rating does not open them within an hour, 2.55 times no sooner than after a
second; the curve through both points is the fastest lawful one, t = 3600 s x (1.13 / m)^10.06. Above 3 (B), 5 (C) or 10 (D)
times the rating they may open at once. Fuses gG by IEC 60269-1: 1.25 times the rating for the conventional time (1 h to 63 A,
2 h to 160 A, 3 h to 400 A, then 4 h), and no sooner than after 10 s below 2.1 to 3.6 times, by size.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import log

from edgectl.domain.units import MilliAmps


class Curve(StrEnum):
    B = "B"
    C = "C"
    D = "D"
    GG = "gG"


_MAGNETIC = {Curve.B: 3.0, Curve.C: 5.0, Curve.D: 10.0}
_BREAKER_HOLDS = 1.13
_BREAKER_HOLDS_S = 3_600.0
_BREAKER_EXPONENT = 10.06
_AT_ONCE_S = 0.01
_FUSE_HOLDS = 1.25
_FUSE_TIMES = ((63_000, 3_600.0), (160_000, 7_200.0), (400_000, 10_800.0))
_FUSE_LONGEST_S = 14_400.0
_FUSE_TEN_SECONDS = ((16_000, 2.1), (63_000, 2.5), (160_000, 2.9), (400_000, 3.6))
"""Below so many times its rating a fuse up to this size must not melt within 10 s."""


@dataclass(frozen=True, slots=True)
class Protection:
    """A breaker or fuse, as printed on it: ``C63``, ``gG100``."""

    curve: Curve
    rated_ma: MilliAmps

    def __str__(self) -> str:
        return f"{self.curve.value}{self.rated_ma / 1000:g}"

    def opens_after_s(self, current_ma: MilliAmps) -> float | None:
        """The soonest it may open when this current lasts; None when it may carry it for ever."""
        ratio = current_ma / self.rated_ma
        return self._fuse_s(ratio) if self.curve is Curve.GG else self._breaker_s(ratio)

    def _breaker_s(self, ratio: float) -> float | None:
        if ratio >= _MAGNETIC[self.curve]:
            return _AT_ONCE_S
        if ratio <= _BREAKER_HOLDS:
            return None
        return _BREAKER_HOLDS_S * float((_BREAKER_HOLDS / ratio) ** _BREAKER_EXPONENT)

    def _fuse_s(self, ratio: float) -> float | None:
        if ratio <= _FUSE_HOLDS:
            return None
        holds_s = next((seconds for size_ma, seconds in _FUSE_TIMES if self.rated_ma <= size_ma), _FUSE_LONGEST_S)
        at = next((times for size_ma, times in _FUSE_TEN_SECONDS if self.rated_ma <= size_ma), _FUSE_TEN_SECONDS[-1][1])
        exponent = log(holds_s / 10) / log(at / _FUSE_HOLDS)
        return holds_s * float((_FUSE_HOLDS / ratio) ** exponent)

    def damage(self, current_ma: MilliAmps, seconds: float) -> float:
        """The share of its way to opening that so much current for so long takes; 1 means that it may open."""
        opens_s = self.opens_after_s(current_ma)
        return 0.0 if opens_s is None else seconds / opens_s
