"""The OCPP-J engine of one connection, sans-IO: text in, texts and happenings out, moments handed in.

Both directions are independent: the charger's calls wait for the core's answers, our calls wait for the charger's, one at a
time (OCPP-J 1.6 §4.1.1). Answers find their call by message id and by nothing else.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from edgectl.domain.units import Millis
from edgectl.ocpp import frames
from edgectl.ocpp.frames import CallFrame, Dialect, ErrorFrame, Fault, Ignored, Malformed, Payload, ResultErrorFrame, ResultFrame

QUEUED_REQUESTS_MAX = 32
"""Own calls beside limits. Commissioning sends some twenty keys; more waiting than this means nobody reads the answers."""
QUEUED_LIMITS_MAX = 64
"""One per EVSE and slot; the largest satellite systems have some tens of EVSEs."""
QUEUE_TIMEOUT_MS = 60_000
"""A call that could not even be sent for a minute is reported as timed out; whoever wanted it knows better by now."""
HELD_MAX = 32
"""Calls of the charger waiting for our answer; then we read no further. A correct charger has one, some have two."""
RECENT_MAX = 16
"""Answers kept for a repeated call. A charger repeats its last message, sometimes a short queue of them."""
RATE_BURST = 200
"""Messages at once: a charger back from a long night empties its queue as fast as we answer."""
RATE_PER_SECOND = 50
"""A busy charger sends one per second; a whole busy depot 50 (measured elsewhere: 500 chargers make about 100)."""
RATE_DEBT_MAX = 50
"""Refusals allowed beyond the burst before we stop reading: refusing costs time too, and other chargers wait for it."""
_MILLI = 1000


@dataclass(frozen=True, slots=True, eq=False)
class OwnCall:
    """A call of ours. Compared by identity: two equal requests are still two."""

    action: str
    payload: Payload
    slot: str | None = None
    """Calls with a slot are limits: they go before all others, and a newer one replaces an older one of its slot."""
    is_urgent: bool = False
    """Goes even before limits: what ends a transaction ends its load, also with a charger that answers no limits."""


class Ending(StrEnum):
    ANSWERED = "answered"
    REFUSED = "refused"
    """The charger answered with CALLERROR."""
    TIMED_OUT = "timed-out"
    SUPERSEDED = "superseded"
    DISCONNECTED = "disconnected"
    NOT_SENT = "not-sent"
    """Our queue was full, or the call would not have been valid."""


@dataclass(frozen=True, slots=True)
class CallReceived:
    """The charger waits for ``answer`` or ``refuse`` with this number. None: a SEND, which nobody answers."""

    number: int | None
    message_id: str
    action: str
    payload: Payload
    text: str
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallEnded:
    """What became of an own call; every ``request`` leads to exactly one."""

    call: OwnCall
    ending: Ending
    payload: Payload
    code: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """A frame that is nothing we can read; already answered."""

    reason: str


Happening: TypeAlias = CallReceived | CallEnded | FrameRefused


@dataclass(frozen=True, slots=True)
class OutgoingFrame:
    text: str
    answers: int | None = None
    """The number of the charger's call this answers."""


@dataclass(slots=True)
class _Held:
    message_id: str
    echo_id: str | int
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Queued:
    call: OwnCall
    expires_mono_ms: Millis


@dataclass(frozen=True, slots=True)
class _InFlight:
    call: OwnCall
    message_id: str
    deadline_mono_ms: Millis


class Rpc:
    """One connection's calls and answers.

    ``counters`` is shared by all connections; its words are stable. ``id_prefix`` (at most 24 characters) makes our message ids
    unlike those of the connection before.
    """

    def __init__(
        self,
        dialect: Dialect,
        never_refused: frozenset[str],
        id_prefix: str,
        call_timeout_ms: Millis,
        mono_ms: Millis,
        counters: Counter[str],
    ) -> None:
        self._dialect = dialect
        self._never_refused = never_refused
        self._id_prefix = id_prefix
        self._call_timeout_ms = call_timeout_ms
        self._counters = counters
        self._outgoing: deque[OutgoingFrame] = deque()
        # The charger's calls.
        self._received_count = 0
        self._held: dict[int, _Held] = {}
        self._recent_answers: OrderedDict[str, tuple[bytes, str]] = OrderedDict()
        self._milli_tokens = RATE_BURST * _MILLI
        self._filled_mono_ms = mono_ms
        self._reads_from_mono_ms = mono_ms
        # Our calls.
        self._limits_yield = False
        self._sent_count = 0
        self._limits: OrderedDict[str, _Queued] = OrderedDict()
        self._requests: deque[_Queued] = deque()
        self._in_flight: _InFlight | None = None
        self._recent_calls: OrderedDict[str, str] = OrderedDict()
        self._opens_mono_ms: Millis | None = None

    # --- the charger's calls -----------------------------------------------------------------------------------------

    def receive(self, text: str, mono_ms: Millis) -> list[Happening]:
        """Take one text frame."""
        is_within_rate = self._take_token(mono_ms)
        frame = frames.parse(text, self._dialect, self._never_refused)
        match frame:
            case CallFrame():
                return self._on_call(frame, text, is_within_rate, mono_ms)
            case ResultFrame():
                self._complain(frame)
                return self._on_answer(frame.message_id, Ending.ANSWERED, mono_ms, payload=frame.payload)
            case ErrorFrame():
                return self._on_answer(frame.message_id, Ending.REFUSED, mono_ms, code=frame.code, description=frame.description)
            case Malformed():
                self._counters["frame_malformed"] += 1
                self._send_error(frame.echo_id, frame.fault, frame.reason)
                return [FrameRefused(frame.reason)]
            case Ignored():
                self._counters[f"frame_ignored_{frame.kind}"] += 1
            case ResultErrorFrame():
                self._counters["answer_unusable_to_charger"] += 1
            case frames.SendFrame():
                return [CallReceived(None, frame.message_id, frame.action, frame.payload, text)]
        return []

    def answer(self, number: int, payload: Payload) -> None:
        """Answer a held call. A number that is not held any more (answered twice) is counted and dropped."""
        held = self._held.pop(number, None)
        if held is None:
            self._counters["answer_without_call"] += 1
            return
        self._send_answer(number, held, frames.result_text(held.echo_id, payload))

    def refuse(self, number: int, fault: Fault, description: str) -> None:
        """Answer a held call with a CALLERROR."""
        held = self._held.pop(number, None)
        if held is None:
            self._counters["answer_without_call"] += 1
            return
        self._counters["call_refused"] += 1
        self._send_answer(number, held, frames.error_text(held.echo_id, self._dialect.codes[fault], description))

    def _on_call(self, frame: CallFrame, text: str, is_within_rate: bool, mono_ms: Millis) -> list[Happening]:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        answered = self._recent_answers.get(frame.message_id)
        if answered is not None and answered[0] == digest:
            self._counters["call_repeated"] += 1
            self._outgoing.append(OutgoingFrame(answered[1]))
            return []
        same_id = [held for held in self._held.values() if held.message_id == frame.message_id]
        if any(held.digest == digest for held in same_id):
            # Still being worked on. Repeats share the one answer: firmware that takes any answer for the awaited one would
            # otherwise match the second to its next call.
            self._counters["call_repeated"] += 1
            return []
        if answered is not None or same_id:
            self._counters["call_id_reused"] += 1
        if not is_within_rate:
            self._counters["call_beyond_rate"] += 1
            if frame.action not in self._never_refused:
                self._send_error(frame.echo_id, Fault.BUSY, "too many messages")
                return []
            self._pause_reading(mono_ms)
        if frame.repairs:
            self._counters["call_repaired"] += 1
        self._received_count += 1
        self._held[self._received_count] = _Held(frame.message_id, frame.echo_id, digest)
        return [
            CallReceived(self._received_count, frame.message_id, frame.action, frame.payload, text, frame.repairs),
        ]

    def _send_answer(self, number: int, held: _Held, text: str) -> None:
        self._recent_answers[held.message_id] = (held.digest, text)
        self._recent_answers.move_to_end(held.message_id)
        if len(self._recent_answers) > RECENT_MAX:
            self._recent_answers.popitem(last=False)
        self._outgoing.append(OutgoingFrame(text, answers=number))

    def _send_error(self, echo_id: str | int, fault: Fault, description: str) -> None:
        self._outgoing.append(OutgoingFrame(frames.error_text(echo_id, self._dialect.codes[fault], description)))

    # --- how fast we read --------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """As many of the charger's calls are unanswered as we hold; read no more until one is answered."""
        return len(self._held) >= HELD_MAX

    def read_pause_ms(self, mono_ms: Millis) -> Millis:
        """How long not to read, so that the charger's messages wait in its own queue."""
        return max(0, self._reads_from_mono_ms - mono_ms)

    def _take_token(self, mono_ms: Millis) -> bool:
        """True while within the rate. Debt is limited by pausing."""
        elapsed_ms = mono_ms - self._filled_mono_ms
        self._filled_mono_ms = mono_ms
        self._milli_tokens = min(RATE_BURST * _MILLI, self._milli_tokens + elapsed_ms * RATE_PER_SECOND) - _MILLI
        if self._milli_tokens < -RATE_DEBT_MAX * _MILLI:
            self._pause_reading(mono_ms)
        return self._milli_tokens >= 0

    def _pause_reading(self, mono_ms: Millis) -> None:
        self._reads_from_mono_ms = mono_ms + -self._milli_tokens // RATE_PER_SECOND

    # --- our calls ---------------------------------------------------------------------------------------------------

    def open_calls_at(self, mono_ms: Millis | None) -> None:
        """From when on own calls may be sent; None closes (a boot is under way). The call in flight is not affected."""
        self._opens_mono_ms = mono_ms

    def is_open_for_calls(self, mono_ms: Millis) -> bool:
        """Commands before the boot answer, or right behind it, are refused by some chargers and send others into a boot loop."""
        return self._opens_mono_ms is not None and mono_ms >= self._opens_mono_ms

    def request(self, call: OwnCall, mono_ms: Millis) -> list[CallEnded]:
        """Queue an own call. What it replaces, or the call itself if there is no room, ends at once."""
        queued = _Queued(call, mono_ms + QUEUE_TIMEOUT_MS)
        ended = []
        if call.slot is not None:
            replaced = self._limits.pop(call.slot, None)
            if replaced is not None:
                ended.append(CallEnded(replaced.call, Ending.SUPERSEDED, {}))
            if len(self._limits) >= QUEUED_LIMITS_MAX:
                return [*ended, CallEnded(call, Ending.NOT_SENT, {}, description="too many limits are waiting")]
            self._limits[call.slot] = queued
        else:
            if len(self._requests) >= QUEUED_REQUESTS_MAX:
                return [CallEnded(call, Ending.NOT_SENT, {}, description="too many requests are waiting")]
            if call.is_urgent:
                self._requests.appendleft(queued)
            else:
                self._requests.append(queued)
        self._advance(mono_ms)
        return ended

    def on_time(self, mono_ms: Millis) -> list[CallEnded]:
        """Let time pass: end what took too long, send what may be sent now."""
        ended = []
        if self._in_flight is not None and mono_ms >= self._in_flight.deadline_mono_ms:
            self._counters["own_call_timed_out"] += 1
            ended.append(CallEnded(self._in_flight.call, Ending.TIMED_OUT, {}, description="no answer"))
            # The next limit is there already; one that answers no limits must still be asked to stop. One that answers nothing
            # is told its limits.
            self._limits_yield = self._in_flight.call.slot is not None
            self._land("late")
        expired = [queued for queued in (*self._limits.values(), *self._requests) if mono_ms >= queued.expires_mono_ms]
        for queued in expired:
            ended.append(CallEnded(queued.call, Ending.TIMED_OUT, {}, description="could not be sent"))
            if queued.call.slot is not None:
                del self._limits[queued.call.slot]
            else:
                self._requests.remove(queued)
        self._advance(mono_ms)
        return ended

    def next_deadline_ms(self) -> Millis | None:
        """When ``on_time`` has something to do, on the monotonic clock; None: not before the next message."""
        deadlines = [queued.expires_mono_ms for queued in self._limits.values()]
        if self._requests:
            deadlines.append(min(queued.expires_mono_ms for queued in self._requests))
        if self._in_flight is not None:
            deadlines.append(self._in_flight.deadline_mono_ms)
        elif deadlines and self._opens_mono_ms is not None:
            deadlines.append(self._opens_mono_ms)
        return min(deadlines, default=None)

    def end(self) -> list[CallEnded]:
        """The connection is gone: nobody will answer, nobody waits."""
        calls = [queued.call for queued in (*self._limits.values(), *self._requests)]
        if self._in_flight is not None:
            calls.insert(0, self._in_flight.call)
        self._in_flight = None
        self._limits.clear()
        self._requests.clear()
        self._held.clear()
        self._outgoing.clear()
        return [CallEnded(call, Ending.DISCONNECTED, {}) for call in calls]

    def _on_answer(
        self,
        message_id: str,
        ending: Ending,
        mono_ms: Millis,
        payload: Payload | None = None,
        code: str = "",
        description: str = "",
    ) -> list[Happening]:
        flight = self._in_flight
        if flight is None or flight.message_id != message_id:
            # Late, twice, or never asked: the wrong call must not get it.
            self._counters[f"answer_{self._recent_calls.get(message_id, 'unknown')}"] += 1
            return []
        self._land("duplicate")
        self._advance(mono_ms)
        return [CallEnded(flight.call, ending, payload or {}, code, description)]

    def _complain(self, frame: ResultFrame) -> None:
        """Where the version has a word for it, tell the charger that its answer was none. The call has ended all the same."""
        flight = self._in_flight
        if frame.is_usable or not self._dialect.has_send or flight is None or flight.message_id != frame.message_id:
            return
        self._counters["answer_unusable"] += 1
        code = self._dialect.codes[Fault.FORMAT]
        self._outgoing.append(OutgoingFrame(frames.result_error_text(frame.message_id, code, "the payload is not an object")))

    def _land(self, word_for_later_answers: str) -> None:
        if self._in_flight is None:
            return
        self._recent_calls[self._in_flight.message_id] = word_for_later_answers
        if len(self._recent_calls) > RECENT_MAX:
            self._recent_calls.popitem(last=False)
        self._in_flight = None

    def _advance(self, mono_ms: Millis) -> None:
        """Send the next own call, if none is in flight and the charger is ready for it."""
        if self._in_flight is not None or not self.is_open_for_calls(mono_ms):
            return
        is_urgent = bool(self._requests) and self._requests[0].call.is_urgent
        if self._limits and not is_urgent and not (self._limits_yield and self._requests):
            self._limits_yield = False
            _, queued = self._limits.popitem(last=False)
        elif self._requests:
            queued = self._requests.popleft()
        else:
            return
        self._sent_count += 1
        message_id = f"{self._id_prefix}-{self._sent_count}"
        self._in_flight = _InFlight(queued.call, message_id, mono_ms + self._call_timeout_ms)
        self._outgoing.append(OutgoingFrame(frames.call_text(message_id, queued.call.action, queued.call.payload)))

    # --- towards the socket ------------------------------------------------------------------------------------------

    @property
    def outgoing_count(self) -> int:
        return len(self._outgoing)

    @property
    def only_answer(self) -> OutgoingFrame | None:
        """The answer to be written, if there is nothing else to write."""
        first = self._outgoing[0] if len(self._outgoing) == 1 else None
        return first if first is not None and first.answers is not None else None

    def take_frames(self) -> list[OutgoingFrame]:
        """Everything to be written, in order; each is handed out once."""
        taken = list(self._outgoing)
        self._outgoing.clear()
        return taken
