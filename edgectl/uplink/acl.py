"""Asks each broker what it lets us do, at the start and when it takes over from another: publishes where nobody reads and looks
at the reason codes. Pure.

An access list that is wrong would otherwise show only when the first bill is set aside. The questions are empty and not
retained; who subscribes to ``billing/session`` never sees them.
"""

from __future__ import annotations

from typing import Final

from edgectl.uplink.topics import Topics
from edgectl.uplink.transport import FIRST_FAILURE

PROBE: Final = "probe"
"""The last level of the topics that are only for asking."""


class AccessTest:
    """``words`` and ``problem`` are the finding so far."""

    def __init__(self, topics: Topics) -> None:
        self._needed = topics.row(f"billing/{PROBE}")
        self._foreign = topics.row(f"receipt/{PROBE}")
        self._broker = ""
        self._answers: dict[str, bool] = {}
        self._denied: list[str] = []

    @property
    def topics(self) -> frozenset[str]:
        return frozenset({self._needed, self._foreign})

    def probes(self, broker: str) -> tuple[str, ...]:
        """Where to publish now that ``broker`` has let us in; nowhere once it has answered. What another said is forgotten."""
        if broker != self._broker:
            self._broker = broker
            self._answers.clear()
            self._denied.clear()
        return () if len(self._answers) == len(self.topics) else (self._needed, self._foreign)

    def answered(self, topic: str, reason_code: int) -> bool:
        """The broker's word on one of them; True when it was the last."""
        self._answers[topic] = reason_code < FIRST_FAILURE
        if topic == self._needed and not self._answers[topic]:
            self._denied.append("publishing on billing/#")
        return len(self._answers) == len(self.topics)

    def refused(self, topic_filter: str) -> bool:
        """A subscription we need was denied; True when that is news."""
        words = f"subscribing to {topic_filter}"
        if words in self._denied:
            return False
        self._denied.append(words)
        return True

    @property
    def problem(self) -> str:
        """What we need and may not; empty when all is well."""
        return f"the broker's access list denies {' and '.join(self._denied)}" if self._denied else ""

    @property
    def words(self) -> str:
        if self._denied:
            return f"denied: {', '.join(self._denied)}"
        if len(self._answers) < len(self.topics):
            return "unknown"
        return "open" if self._answers[self._foreign] else "enough"
