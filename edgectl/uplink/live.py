"""Live messages: what is worth sending only while it is new. Pure. Kept in memory, never on the disk."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgectl.domain.units import Millis
from edgectl.uplink.transport import packet_size

MIN_INTERVAL_MS: Final[Millis] = 1_000
"""Between two states of one thing; a reader on a phone sees no more, and 200 EVSEs stay below 200 messages a second."""

MAX_THINGS_COUNT: Final = 4_096
"""States waiting at once: chargers, EVSEs, meters and circuits of a site of 1,000 EVSEs."""

MAX_NOTES_COUNT: Final = 64
"""Answers to commands waiting at once. A sender of more learns nothing of the oldest."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    topic: str
    payload: bytes
    is_retained: bool = True
    correlation_data: bytes | None = None
    is_state: bool = True
    """The newest replaces an older one of the same topic; others are told once, in order."""
    on_answered: Callable[[int], None] | None = None
    """Called with the reason code of the broker's answer."""

    @property
    def size(self) -> int:
        """The most it takes on the wire. Correlation data is one property: its name, a length, itself; and a longer length of
        all properties."""
        extra = 0 if self.correlation_data is None else 6 + len(self.correlation_data)
        return packet_size(len(self.topic.encode()), len(self.payload)) + extra


@dataclass(slots=True)
class _Waiting:
    message: LiveMessage
    since_ms: Millis


class LiveMessages:
    """States, one per topic, the newest wins; and notes (status, answers to commands), in order, before the states."""

    def __init__(self) -> None:
        self._notes: deque[LiveMessage] = deque(maxlen=MAX_NOTES_COUNT)
        self._states: dict[str, _Waiting] = {}
        self._ready: deque[str] = deque()
        """Topics of ``_states`` that may go, in order."""
        self._held: list[tuple[Millis, str]] = []
        """A heap of the other topics, by the moment from which they may go."""
        self._taken_ms: dict[str, Millis] = {}

    def note(self, message: LiveMessage) -> None:
        self._notes.append(message)

    def clear_notes(self) -> None:
        """They belong to a connection."""
        self._notes.clear()

    def state(self, message: LiveMessage, now_ms: Millis) -> bool:
        """Keep the newest of its topic at the older one's place in the queue. False when there is no room for one more topic."""
        topic = message.topic
        waiting = self._states.get(topic)
        if waiting is not None:
            waiting.message = message
            return True
        if len(self._states) >= MAX_THINGS_COUNT:
            return False
        self._states[topic] = _Waiting(message, now_ms)
        heapq.heappush(self._held, (self._taken_ms.get(topic, -MIN_INTERVAL_MS) + MIN_INTERVAL_MS, topic))
        return True

    def put_back(self, message: LiveMessage, now_ms: Millis) -> None:
        """It was taken and may not have arrived. A newer one in its place is as good; a note is not worth a repeat."""
        if message.is_state and message.topic not in self._states:
            self.state(message, now_ms)

    def take(self, now_ms: Millis) -> LiveMessage | None:
        """The next one to send."""
        if self._notes:
            return self._notes.popleft()
        self._release(now_ms)
        if not self._ready:
            return None
        topic = self._ready.popleft()
        if len(self._taken_ms) >= MAX_THINGS_COUNT:
            self._taken_ms = {other: at for other, at in self._taken_ms.items() if now_ms - at < MIN_INTERVAL_MS}
        self._taken_ms[topic] = now_ms
        return self._states.pop(topic).message

    def waiting_since_ms(self, now_ms: Millis) -> Millis | None:
        """Since when the next one to send has waited, None when there is none. A note cannot wait: for it, since ever."""
        self._release(now_ms)
        if self._notes:
            return 0
        return self._states[self._ready[0]].since_ms if self._ready else None

    def due_ms(self) -> Millis | None:
        """When a state held back by ``MIN_INTERVAL_MS`` may go; None when none is held back."""
        return self._held[0][0] if self._held else None

    def _release(self, now_ms: Millis) -> None:
        while self._held and self._held[0][0] <= now_ms:
            self._ready.append(heapq.heappop(self._held)[1])
