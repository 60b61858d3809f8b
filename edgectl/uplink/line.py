"""One stream's line: the rows at its head, what became of each, when the line is to be asked again. Pure, as ``window`` is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from edgectl.domain.units import Millis
from edgectl.ports import OutboxRow

FIRST_HOLD_MS: Final[Millis] = 10_000
"""After a row that was not delivered its topic rests, and then asks with one row; each time twice as long, up to the longest."""

LONGEST_TIMEOUT_MS: Final[Millis] = 600_000
"""Receipt timeouts double up to here, so that an absent backend costs ``LINE_COUNT`` publishes in ten minutes. Also the longest
that one row waits for its own receipt while others get theirs."""


class State(Enum):
    WAITING = auto()
    FLYING = auto()
    SENT = auto()
    PARKED = auto()
    """By us, a moment ago: the ledger has still to hear of it. One that stays on the disk nevertheless is tried again."""


@dataclass(slots=True)
class Entry:
    row: OutboxRow
    state: State = State.WAITING
    settled_ms: Millis = 0
    """When it became what it is, SENT or PARKED."""
    strike_count: int = 0
    is_undelivered: bool = False
    """The broker's last answer was that nobody is subscribed."""


@dataclass(slots=True)
class Rest:
    """Of a topic that nobody was subscribed to, or for which the broker was full."""

    hold_ms: Millis
    """How long it lasts."""
    until_ms: Millis | None
    """None: it is over, and one row asks."""


class Line:
    """The head of one stream. Each of its topics rests by itself: a reader of some events is not kept from them by the others."""

    def __init__(self, timeout_ms: Millis, longest_hold_ms: Millis, *, is_newest_first: bool = False) -> None:
        self._longest_hold_ms = longest_hold_ms
        self._first_timeout_ms = timeout_ms
        self._longest_timeout_ms = max(LONGEST_TIMEOUT_MS, timeout_ms)
        self._is_newest_first = is_newest_first
        self.timeout_ms = timeout_ms
        self.progress_ms: Millis = 0
        """When the backend last took something, or we last gave up waiting for it."""
        self.entries: dict[int, Entry] = {}
        self.is_fresh = False
        """Read from the disk since the connection was made."""
        self._rests: dict[str, Rest] = {}
        """By topic, since something of it was not delivered."""
        self.is_heard = False
        """The backend has spoken on this connection."""
        self.has_hidden_reader = False
        """Receipts came for what nobody was subscribed to: a rule of the broker hands it on. There that answer means nothing."""

    def hold(self, topic: str, now_ms: Millis) -> None:
        """Something was not delivered: nothing more of its topic for a while. Answers to its companions change nothing."""
        before = self._rests.get(topic)
        if before is None:
            self._rests[topic] = Rest(FIRST_HOLD_MS, now_ms + FIRST_HOLD_MS)
        elif before.until_ms is None:
            hold_ms = min(2 * before.hold_ms, self._longest_hold_ms)
            self._rests[topic] = Rest(hold_ms, now_ms + hold_ms)

    def release(self) -> None:
        """Somebody is there again, or may be: no reason to rest."""
        self._rests.clear()

    def has_rested(self, topic: str) -> bool:
        """Its last row was not delivered."""
        return topic in self._rests

    @property
    def is_undelivered(self) -> bool:
        """Of some topic the last row was not delivered."""
        return bool(self._rests)

    @property
    def is_left_alone(self) -> bool:
        """Nobody was subscribed, or the backend was silent for too long; and nobody has been heard since."""
        return self.is_undelivered or self.timeout_ms > self._first_timeout_ms

    def refresh(self, rows: Sequence[OutboxRow], limit: int, now_ms: Millis) -> None:
        self.is_fresh = True
        known = self.entries
        self.entries = {row.seq: known.get(row.seq) or Entry(row) for row in rows}
        last_seq = rows[-1].seq if len(rows) >= limit else None
        for seq, entry in known.items():
            # Rows pushed out of sight, by older ones that a person put back or by newer blocks, are not gone; they are sent again
            # when they return.
            is_in_sight = last_seq is None or (seq > last_seq if self._is_newest_first else seq < last_seq)
            if seq not in self.entries and entry.state is not State.PARKED and is_in_sight:
                self.progress_ms = now_ms
                self.has_hidden_reader |= entry.is_undelivered and self.is_heard
                self.hear()

    def hear(self) -> None:
        """The backend is there: no reason to be slower than at first."""
        self.timeout_ms = self._first_timeout_ms

    def rewind_overdue(self, now_ms: Millis) -> None:
        """Without a receipt in time, what was sent is sent again, from the head and in order. A rest that is over ends."""
        for rest in self._rests.values():
            if rest.until_ms is not None and now_ms >= rest.until_ms:
                rest.until_ms = None
        due_ms = self.due_ms()
        if due_ms is None or now_ms < due_ms:
            return
        for entry in self.entries.values():
            if entry.state is State.PARKED and now_ms - entry.settled_ms >= self._longest_timeout_ms:
                entry.state = State.WAITING
        silent_ms = self._silent_ms()
        is_silent = silent_ms is not None and now_ms >= silent_ms
        for entry in self._sent():
            age_ms = now_ms - entry.settled_ms
            # Those that were sent soon after the overdue ones go along with them, instead of one by one.
            if age_ms >= self._longest_timeout_ms or (is_silent and age_ms >= self.timeout_ms // 2):
                entry.state = State.WAITING
        if is_silent:
            self.progress_ms = now_ms
            self.timeout_ms = min(2 * self.timeout_ms, self._longest_timeout_ms)

    def due_ms(self) -> Millis | None:
        dues = [e.settled_ms + self._longest_timeout_ms for e in self.entries.values() if e.state in (State.SENT, State.PARKED)]
        ends = [self._silent_ms(), *(rest.until_ms for rest in self._rests.values())]
        return min([*dues, *(due for due in ends if due is not None)], default=None)

    def _silent_ms(self) -> Millis | None:
        """When the backend will have been silent for too long; None while nothing waits for it."""
        oldest_ms = min((entry.settled_ms for entry in self._sent()), default=None)
        return None if oldest_ms is None else max(oldest_ms, self.progress_ms) + self.timeout_ms

    def next(self) -> Entry | None:
        if not self.is_fresh:
            return None
        if not self._rests:
            return next((entry for entry in self.entries.values() if entry.state is State.WAITING), None)
        # What nobody takes is asked with one row of its topic at a time.
        closed = {topic for topic, rest in self._rests.items() if rest.until_ms is not None}
        flying = {entry.row.topic_suffix for entry in self.entries.values() if entry.state is State.FLYING}
        closed |= flying & self._rests.keys()
        waiting = (entry for entry in self.entries.values() if entry.state is State.WAITING)
        return next((entry for entry in waiting if entry.row.topic_suffix not in closed), None)

    def _sent(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.state is State.SENT]

    def rewind(self, state: State) -> None:
        """What is in ``state`` is to be sent again."""
        for entry in self.entries.values():
            if entry.state is state:
                entry.state = State.WAITING
