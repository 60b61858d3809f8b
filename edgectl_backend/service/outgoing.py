"""What waits to be published, within what the broker takes unanswered."""

from __future__ import annotations

from collections import deque

from edgectl.uplink.transport import MqttTransport

WINDOW_MAX = 1_000
"""However much the broker takes: an answer to the last of more would only come later."""


class Outgoing:
    """In order, over one connection at a time. What was on its way when a connection ended is not sent again."""

    def __init__(self, transport: MqttTransport, *, keep: int | None = None) -> None:
        """``keep``: beyond so many the oldest are let go."""
        self._transport = transport
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=keep)
        self._unanswered: set[int] = set()
        self._window = 0
        self.sent_count = 0

    @property
    def is_idle(self) -> bool:
        """Everything has been sent and answered."""
        return not self._waiting and not self._unanswered

    def put(self, topic: str, payload: bytes) -> None:
        self._waiting.append((topic, payload))
        self._send()

    def connected(self, receive_maximum: int) -> None:
        self._window = min(receive_maximum, WINDOW_MAX)
        self._unanswered.clear()
        self._send()

    def disconnected(self) -> None:
        self._window = 0

    def answered(self, token: int) -> None:
        self._unanswered.discard(token)
        self._send()

    def _send(self) -> None:
        while self._waiting and len(self._unanswered) < self._window:
            token = self._transport.publish(*self._waiting[0])
            if token is None:
                return
            self._unanswered.add(token)
            self._waiting.popleft()
            self.sent_count += 1
