"""How long to wait for an answer, and for which answers not to wait while others may still come. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.units import Millis
from edgectl.meters.buses import ECHO_MS
from edgectl.meters.catalogue import Block
from edgectl.meters.rtu import Answer

PROBE_MS: Millis = 180
"""How long a probe waits, where the meter is not known to be slower: most answer within 60 ms, and at 9600 baud a probe has 20 ms
of wire; with the longest pause that makes a twentieth of the bus."""
TIMEOUT_MIN_MS: Millis = 200
"""Below this a timeout would say more about our own load than about the meter."""
LATE_MS: Millis = 3_000
"""An answer that has not come may still come for so long: twice what the slowest stated device takes, and gateways queue."""

Shape = tuple[int, int]
"""Function and length: all that tells two answers of one unit apart on a serial line."""


class Shapes:
    """Which lengths of answer may still be on their way, so that none is waited for meanwhile."""

    def __init__(self) -> None:
        self._said: set[Shape] = set()
        """The last answer, and what was asked since and not answered: the meter may say one of these again, or only now."""
        self._answered: dict[Shape, Millis] = {}
        """When an answer of each shape last came: it may be repeated."""
        self._late: dict[Shape, Millis] = {}
        """Until when an answer of each shape may still come."""

    def free_at(self, shape: Shape, now_mono_ms: Millis) -> Millis:
        """When an answer of this shape can be no other than the one asked for."""
        repeated_mono_ms = self._answered.get(shape, now_mono_ms - ECHO_MS) + ECHO_MS
        return max(self._late.get(shape, now_mono_ms), repeated_mono_ms, now_mono_ms)

    def is_mistakable(self, shape: Shape) -> bool:
        """Whether an answer to an earlier request, repeated or never heard before, would pass for an answer of this shape."""
        return shape in self._said

    def choose(self, found: tuple[tuple[Block, ...], ...], function: int, now_mono_ms: Millis) -> tuple[Block, ...]:
        """The first way that need not wait and leaves no doubt, else the one that loses least time."""

        def wait_ms(way: tuple[Block, ...]) -> Millis:
            first = self.free_at((function, way[0].count), now_mono_ms) - now_mono_ms
            late = max((self._late.get((function, block.count), now_mono_ms) - now_mono_ms for block in way[1:]), default=0)
            doubt = ECHO_MS if self.is_mistakable((function, way[0].count)) else 0
            return max(first, late, 0) + doubt

        return min(found, key=wait_ms)

    def note(self, shape: Shape, answer: Answer, now_mono_ms: Millis) -> None:
        self._late = {known: until for known, until in self._late.items() if until > now_mono_ms}
        if answer.words is not None:
            self._said = {shape}
            self._answered[shape] = now_mono_ms
        elif not answer.is_link_trouble:
            self._said.add(shape)
            self._late[shape] = now_mono_ms + LATE_MS


@dataclass
class Latency:
    """How fast a meter answers, and so how long to wait for it (the estimator of RFC 6298)."""

    mean_ms: float | None = None
    spread_ms: float = 0.0

    def note(self, elapsed_ms: Millis) -> None:
        if self.mean_ms is None:
            self.mean_ms, self.spread_ms = float(elapsed_ms), elapsed_ms / 2
        else:
            self.spread_ms += (abs(elapsed_ms - self.mean_ms) - self.spread_ms) / 4
            self.mean_ms += (elapsed_ms - self.mean_ms) / 8

    def timeout_ms(self, at_most_ms: Millis, failure_count: int) -> Millis:
        """Short for a meter known to be fast, longer with each failure, never beyond what the file allows."""
        if self.mean_ms is None:
            return at_most_ms
        wanted_ms = max(TIMEOUT_MIN_MS, self.mean_ms + 4 * self.spread_ms + 50) * (1 << min(failure_count, 8))
        return min(at_most_ms, round(wanted_ms))

    def probe_ms(self, at_most_ms: Millis) -> Millis:
        return min(at_most_ms, max(PROBE_MS, round(2 * (self.mean_ms or 0))))
