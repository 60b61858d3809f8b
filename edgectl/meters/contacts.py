"""One contact or register of a network operator on the same bus as the meters: one raw value. Sans-IO, as ``unit`` is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edgectl.domain.events import InputRead
from edgectl.domain.settings import InputConnection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.buses import ECHO_MS
from edgectl.meters.rtu import Answer, Request
from edgectl.meters.unit import DEAD_AFTER, PROBE_PAUSE_MAX_MS, Ask
from edgectl.meters.waiting import LATE_MS


@dataclass
class ContactUnit:
    """One input. A limit from outside is as urgent as a guard meter."""

    connection: InputConnection
    is_guard: bool = True
    is_in_cycle: bool = False
    """Its readings are of one request each."""
    is_silent: bool = False
    due_mono_ms: Millis = 0
    failure_count: int = 0
    events: Counter[str] = field(default_factory=Counter)
    _free_mono_ms: Millis = 0
    """Before this an earlier answer of the same length may still come; on a serial line nothing else tells them apart."""

    def ready_mono_ms(self) -> Millis:
        return max(self.due_mono_ms, self._free_mono_ms)

    def ask(self, _now_mono_ms: Millis) -> Ask:
        one = self.connection
        # On a serial line all its answers are alike, so one that is repeated must not pass for the next.
        is_mistakable = one.connection.transport is not Transport.TCP
        request = Request(one.unit_number, one.table.function_number, one.address_number, 1, is_mistakable)
        return Ask(request, one.timeout_ms, self._free_mono_ms)

    def answered(self, answer: Answer, now_mono_ms: Millis) -> InputRead:
        """What an answer says, or why it says nothing."""
        if self.connection.connection.transport is not Transport.TCP and not answer.is_link_trouble:
            self._free_mono_ms = now_mono_ms + (ECHO_MS if answer.words is not None else LATE_MS)
        self.failure_count = 0 if answer.words is not None else self.failure_count + 1
        self.is_silent = self.failure_count >= DEAD_AFTER
        interval_ms = self.connection.interval_ms
        pause_ms = max(interval_ms, PROBE_PAUSE_MAX_MS) if self.is_silent and not answer.is_link_trouble else interval_ms
        self.due_mono_ms = max(self.due_mono_ms + interval_ms, now_mono_ms + pause_ms if self.is_silent else now_mono_ms)
        value_number = None if answer.words is None else answer.words[0]
        return InputRead(self.connection.input, now_mono_ms, value_number, answer.reason)

    def lost(self, now_mono_ms: Millis, reason: str) -> InputRead:
        """Its line is away."""
        return InputRead(self.connection.input, now_mono_ms, None, reason)
