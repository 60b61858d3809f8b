"""What to send next, and what became of it: the sender's policy. Pure: no clock, no task, no socket; events in, orders out.

A row of the outbox passes through these states, and only the ledger ends its life:

    WAITING -- send --> FLYING -- taken by the broker --> SENT
    FLYING -- connection lost --> WAITING
    FLYING -- refused, or poisonous --> PARKED
    SENT -- no receipt in time --> WAITING
    FLYING -- nobody is subscribed, or the broker is full --> WAITING, and its topic rests, longer each time
    any -- receipt committed --> gone from the disk, and then from here

What the disk says (``refreshed``) is the truth about what is owed: this object holds the first ``LINE_COUNT`` rows of each
stream and what it has done about them, nothing else. Losing it costs repeats, never a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edgectl.contract.channels import STREAMS, TELEMETRY
from edgectl.domain.units import Millis
from edgectl.ports import OutboxRow
from edgectl.uplink.line import Entry, Line, State
from edgectl.uplink.packing import content_type_of
from edgectl.uplink.topics import why_unusable
from edgectl.uplink.transport import FIRST_FAILURE, NO_SUBSCRIBERS, PACKET_ID_IN_USE, QUOTA_EXCEEDED, SUCCESS, packet_size

WINDOW_COUNT: Final = 32
"""Publishes the broker has not answered yet. At 50 ms there and back 32 make 640 records a second, and paho's own bookkeeping
stays cheap; 128 brought a third more over loopback, where nothing is to be gained."""

LINE_COUNT: Final = 128
"""Rows of a stream held and sent without a receipt. It bounds the memory, and what is sent in vain to a backend that is away."""

TELEMETRY_LINE_COUNT: Final = 32
"""The same for telemetry, whose rows are large."""

TELEMETRY_FLIGHT_COUNT: Final = 4
"""Blocks on the wire at once: 100 kB, which a slow modem has moved in a second, so that a state is not behind them for longer."""

TELEMETRY_TIMEOUT_MS: Final[Millis] = 3_600_000
"""A backend that takes blocks and sends no receipts costs one line of them an hour."""

LONGEST_HOLD_MS: Final[Millis] = 60_000
"""One record a minute is 3 MB a day over a modem while nobody is subscribed; who comes back is found as soon."""
TELEMETRY_LONGEST_HOLD_MS: Final[Millis] = 600_000
"""A block is 25 kB. One that waits longer is found by the first receipt for anything else."""

TELEMETRY_BYTES_PER_S: Final = 64_000
"""The token bucket of telemetry: a week of 20 EVSEs, 20 MB, takes five minutes, and a shared line is not filled."""
TELEMETRY_BURST_BYTES: Final = 256_000

URGENT_MS: Final[Millis] = 1_000
"""A live message that has waited this long takes turns with the rows, whatever the backlog: states are to be 2 s old at most."""

STALLED_MS: Final[Millis] = 20_000
"""With something in flight and no answer for so long the connection is dead, or the client is."""
LONGEST_FLIGHT_MS: Final[Millis] = 300_000
"""One publish unanswered for so long while others are answered: the broker has lost it."""

STRIKES_COUNT: Final = 3
"""A row at the head of the flight when the broker ended the connection this many times is what it ends it for."""

NOT_DELIVERED: Final = frozenset({NO_SUBSCRIBERS, PACKET_ID_IN_USE, QUOTA_EXCEEDED})
"""Answers that say nothing against the row: it keeps its place, and its topic rests."""


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this row now; the answer names ``ticket``."""

    ticket: int
    row: OutboxRow


@dataclass(frozen=True, slots=True)
class SendLive:
    """Publish the next live message (a state, a status, an answer) now; its answer names ``ticket``."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Park:
    """Set this row aside with its reason; it is not sent again unless a person puts it back."""

    row: OutboxRow
    reason: str


Order: TypeAlias = Send | SendLive | Park


@dataclass(slots=True)
class _Flight:
    entry: Entry | None
    """None for a live message."""
    sent_ms: Millis


def line_count(stream: str) -> int:
    """Rows of a stream that are held at once."""
    return TELEMETRY_LINE_COUNT if stream == TELEMETRY else LINE_COUNT


class SendWindow:
    """All streams of one site over one connection at a time.

    ``topic_bytes``: the length of what stands before a row's ``topic_suffix``. Times are on one monotonic clock.
    """

    def __init__(self, receipt_timeout_ms: Millis, topic_bytes: int) -> None:
        self._lines = {stream: Line(receipt_timeout_ms, LONGEST_HOLD_MS) for stream in STREAMS if stream != TELEMETRY}
        telemetry_timeout_ms = max(receipt_timeout_ms, TELEMETRY_TIMEOUT_MS)
        self._lines[TELEMETRY] = Line(telemetry_timeout_ms, TELEMETRY_LONGEST_HOLD_MS, is_newest_first=True)
        self._bucket_bytes = TELEMETRY_BURST_BYTES
        self._bucket_ms: Millis = 0
        self._topic_bytes = topic_bytes
        self._capacity = 0
        self._maximum_packet_size: int | None = None
        self._flights: dict[int, _Flight] = {}
        self._last_ticket = 0
        self._newest_answered = 0
        self._answered_ms: Millis = 0
        self._suspect: Entry | None = None
        self._was_live = False
        self._is_state_unheard = False
        """Nobody was subscribed to the last state."""
        self._is_retired = False

    @property
    def in_flight_count(self) -> int:
        return len(self._flights)

    @property
    def undelivered_streams(self) -> tuple[str, ...]:
        """Those whose last row the broker handed to nobody."""
        return tuple(stream for stream, line in self._lines.items() if line.is_undelivered)

    # --- what happens -------------------------------------------------------------------------------------------------

    def connected(self, receive_maximum: int, maximum_packet_size: int | None, is_session_present: bool, now_ms: Millis) -> None:
        """The broker has let us in, and said how much it takes."""
        self._capacity = min(WINDOW_COUNT, receive_maximum)
        self._maximum_packet_size = maximum_packet_size
        self._answered_ms = now_ms
        for line in self._lines.values():
            # The disk is asked first: what we parked has left it by now, or was put back by a person meanwhile.
            line.is_fresh = False
            line.is_heard = line.has_hidden_reader = False
            line.rewind(State.PARKED)
            if not is_session_present:
                # The broker has forgotten us, and with us perhaps what it had taken for the backend.
                line.rewind(State.SENT)
                line.release()

    def disconnected(self, is_by_broker: bool, now_ms: Millis) -> list[Park]:
        """What was in flight may or may not have arrived, so it is sent again.

        The oldest row in flight gets a strike when the broker ended the connection, or when it answered later ones but not this.
        A link that died takes nobody with it.
        """
        parked: list[Park] = []
        head = next(iter(self._flights), None)
        if head is not None:
            entry = self._flights[head].entry
            is_suspicious = is_by_broker or self._newest_answered > head
            if entry is not None and entry.state is State.FLYING and is_suspicious:
                parked = self._strike(entry, now_ms)
        for flight in self._flights.values():
            if flight.entry is not None and flight.entry.state is State.FLYING:
                flight.entry.state = State.WAITING
        self._flights.clear()
        self._capacity = 0
        return parked

    def _strike(self, entry: Entry, now_ms: Millis) -> list[Park]:
        entry.strike_count += 1
        # It goes alone next time: a reset can swallow the answers to innocent rows before the one the broker cannot bear.
        self._suspect = entry
        if entry.strike_count < STRIKES_COUNT:
            return []
        words = f"the broker ended the connection {STRIKES_COUNT} times instead of answering this record"
        return [_park(entry, words, now_ms)]

    def refreshed(self, stream: str, rows: Sequence[OutboxRow], limit: int, now_ms: Millis) -> None:
        """The disk's answer to "the first ``limit`` rows of ``stream`` that are owed"."""
        self._lines[stream].refresh(rows, limit, now_ms)

    def answered(self, ticket: int, reason_code: int, now_ms: Millis) -> OutboxRow | Park | None:
        """The broker's PUBACK. Returns the row that it has taken, or the order to park it, or nothing to do.

        After an answer that is no delivery the row keeps its place, and its topic rests.
        """
        flight = self._flights.pop(ticket, None)
        if flight is None:
            return None
        self._newest_answered = max(self._newest_answered, ticket)
        self._answered_ms = now_ms
        entry = flight.entry
        if entry is None or entry.state is not State.FLYING:
            return None
        entry.strike_count = 0
        if entry is self._suspect:
            self._suspect = None
        is_delivered = reason_code not in NOT_DELIVERED
        if is_delivered and reason_code >= FIRST_FAILURE:
            return _park(entry, f"the broker refused it: {reason_words(reason_code)}", now_ms)
        line = self._lines[entry.row.stream]
        entry.settled_ms = now_ms
        entry.is_undelivered = reason_code == NO_SUBSCRIBERS
        if is_delivered or (entry.is_undelivered and line.has_hidden_reader):
            if line.has_rested(entry.row.topic_suffix):
                self._release_all()
            entry.state = State.SENT
            return entry.row if is_delivered else None
        entry.state = State.WAITING
        line.hold(entry.row.topic_suffix, now_ms)
        return None

    def state_answered(self, reason_code: int) -> None:
        """The broker's PUBACK for a retained state: who hears these again most likely hears records, too."""
        if reason_code == NO_SUBSCRIBERS:
            self._is_state_unheard = True
        elif reason_code == SUCCESS and self._is_state_unheard:
            self._is_state_unheard = False
            self._release_all()

    def receipt_heard(self, stream: str) -> None:
        """The backend spoke about this stream and this ledger, whatever it said."""
        line = self._lines.get(stream)
        if line is None:
            return
        if line.is_left_alone:
            # It is back. One that takes bills and never telemetry says nothing new with each receipt.
            self._release_all()
        line.is_heard = True
        line.hear()

    def _release_all(self) -> None:
        for line in self._lines.values():
            line.release()

    # --- what to do ---------------------------------------------------------------------------------------------------

    def next(self, now_ms: Millis, live_since_ms: Millis | None) -> Order | None:
        """The next thing to do, or None until something happens. ``live_since_ms``: since when the oldest live message waits."""
        for line in self._lines.values():
            line.rewind_overdue(now_ms)
        if len(self._flights) >= self._capacity:
            return None
        entry = self._next_row(now_ms)
        is_late = live_since_ms is not None and now_ms - live_since_ms >= URGENT_MS
        is_idle = entry is None or entry.row.stream == TELEMETRY
        if live_since_ms is not None and (is_idle or (is_late and not self._was_live)):
            self._was_live = True
            return SendLive(self._take_off(None, now_ms))
        if entry is None:
            return None
        reason = self._why_unsendable(entry.row)
        if reason is not None:
            return _park(entry, reason, now_ms)
        self._was_live = False
        if entry.row.stream == TELEMETRY:
            self._bucket_bytes -= len(entry.row.body)
        entry.state = State.FLYING
        return Send(self._take_off(entry, now_ms), entry.row)

    def withdraw(self, ticket: int) -> None:
        """It was not published after all."""
        self._flights.pop(ticket, None)

    def retire(self) -> None:
        """No more rows, for good: what is left waits on the disk for the next process."""
        self._is_retired = True

    def is_stalled(self, now_ms: Millis) -> bool:
        """Something is in flight and the broker does not answer."""
        due_ms = self._stalled_at_ms()
        return due_ms is not None and now_ms >= due_ms

    def due_ms(self) -> Millis | None:
        """When something is to be done even if nothing happens; None when never."""
        dues = [line.due_ms() for line in self._lines.values()] if self._capacity else []
        if self._capacity and self._bucket_bytes <= 0 and self._lines[TELEMETRY].next() is not None:
            dues.append(self._bucket_ms - self._bucket_bytes * 1_000 // TELEMETRY_BYTES_PER_S + 1)
        return min((due_ms for due_ms in [*dues, self._stalled_at_ms()] if due_ms is not None), default=None)

    def _stalled_at_ms(self) -> Millis | None:
        head = next(iter(self._flights.values()), None)
        if head is None:
            return None
        return min(max(head.sent_ms, self._answered_ms) + STALLED_MS, head.sent_ms + LONGEST_FLIGHT_MS)

    def _next_row(self, now_ms: Millis) -> Entry | None:
        if self._is_retired:
            return None
        suspect = self._suspect
        if suspect is not None:
            if suspect.state is State.FLYING:
                return None
            line = self._lines[suspect.row.stream]
            if not line.is_fresh:
                return None
            if suspect.state is State.WAITING and line.entries.get(suspect.row.seq) is suspect:
                return suspect
            self._suspect = None
        found = next((entry for line in self._lines.values() if (entry := line.next()) is not None), None)
        return None if found is not None and found.row.stream == TELEMETRY and not self._has_room(now_ms) else found

    def _has_room(self, now_ms: Millis) -> bool:
        """For one more block of telemetry. The bucket may go below zero by one block, and then has to fill again."""
        filled = self._bucket_bytes + (now_ms - self._bucket_ms) * TELEMETRY_BYTES_PER_S // 1_000
        self._bucket_bytes, self._bucket_ms = min(TELEMETRY_BURST_BYTES, filled), now_ms
        flying = [
            flight for flight in self._flights.values() if flight.entry is not None and flight.entry.row.stream == TELEMETRY
        ]
        return self._bucket_bytes > 0 and len(flying) < TELEMETRY_FLIGHT_COUNT

    def _take_off(self, entry: Entry | None, now_ms: Millis) -> int:
        self._last_ticket += 1
        self._flights[self._last_ticket] = _Flight(entry, now_ms)
        return self._last_ticket

    def _why_unsendable(self, row: OutboxRow) -> str | None:
        reason = why_unusable(row.topic_suffix)
        if reason is not None:
            return reason
        size = packet_size(self._topic_bytes + len(row.topic_suffix.encode()), len(row.body), content_type_of(row))
        limit = self._maximum_packet_size
        return None if limit is None or size <= limit else f"too large: a packet of {size} bytes, the broker takes {limit}"


_REASONS: Final = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorised (the broker's access list)",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}


def reason_words(reason_code: int) -> str:
    """A reason code of PUBACK or SUBACK for a person (MQTT 5.0 §3.4.2.1)."""
    return f"{_REASONS.get(reason_code, 'refused')} (0x{reason_code:02X})"


def _park(entry: Entry, reason: str, now_ms: Millis) -> Park:
    entry.state = State.PARKED
    entry.settled_ms = now_ms
    entry.strike_count = 0  # a person who puts it back has mended what was wrong
    return Park(entry.row, reason)
