"""Asks each broker what it lets us do, at the start and when it takes over from another: publishes where nobody reads and looks
at the reason codes. Pure.

An access list that is wrong would otherwise show only when the first bill is set aside. The questions are empty and not
retained; who subscribes to ``billing/session`` never sees them. Of the other branches, whose readers would see them, the answers
to what is really published tell, from the first on.
"""

from __future__ import annotations

from typing import Final

from edgectl.uplink.topics import Topics
from edgectl.uplink.transport import FIRST_FAILURE, NOT_AUTHORISED

PROBE: Final = "probe"
"""The last level of the topics that are only for asking."""


class AccessTest:
    """``words`` and ``problem`` are the finding so far."""

    def __init__(self, topics: Topics) -> None:
        self._base = topics.base
        self._needed = topics.row(f"billing/{PROBE}")
        self._foreign = topics.row(f"receipt/{PROBE}")
        self._broker = ""
        self._answers: dict[str, bool] = {}
        self._denied: list[str] = []

    @property
    def topics(self) -> frozenset[str]:
        return frozenset({self._needed, self._foreign})

    def probes(self, broker: str) -> tuple[str, ...]:
        """Where to publish now that ``broker`` has let us in; nowhere once it has answered that all is well. What another said is
        forgotten."""
        if broker != self._broker:
            self._broker = broker
            self._answers.clear()
            self._denied.clear()
        if len(self._answers) == len(self.topics) and not self._denied:
            return ()
        self._answers.clear()
        return self._needed, self._foreign

    def answered(self, topic: str, reason_code: int) -> bool:
        """The broker's word on one of them; True when it was the last."""
        self._answers[topic] = reason_code < FIRST_FAILURE
        if topic == self._needed:
            self._note("publishing on billing/#", is_denied=not self._answers[topic])
        return len(self._answers) == len(self.topics)

    def published(self, topic: str, reason_code: int) -> bool:
        """The broker's word on something that is no question; True when that is news."""
        if not topic.startswith(self._base) or (reason_code >= FIRST_FAILURE and reason_code != NOT_AUTHORISED):
            return False
        branch, slash, _ = topic.removeprefix(self._base).partition("/")
        return self._note(f"publishing on {branch}{slash and '/#'}", is_denied=reason_code == NOT_AUTHORISED)

    def subscribed(self, topic_filter: str, reason_code: int) -> bool:
        """The broker's word on a subscription we need; True when that is news."""
        return self._note(f"subscribing to {topic_filter.removeprefix(self._base)}", is_denied=reason_code >= FIRST_FAILURE)

    def _note(self, words: str, *, is_denied: bool) -> bool:
        if is_denied == (words in self._denied):
            return False
        if is_denied:
            self._denied.append(words)
        else:
            self._denied.remove(words)
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
