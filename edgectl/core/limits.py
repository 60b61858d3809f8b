"""Commanded, confirmed and worst credible current of each EVSE. Most control bugs are two of these in one variable.

*Commanded* is what we sent last. *Confirmed* is what the charger accepted, until its lease ends. *Worst* is what it may draw
at this moment if everything unproven turns out badly: that is what others must leave room for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgectl.core.ladder import Ladder
from edgectl.domain.events import LimitAnswered, Outcome
from edgectl.domain.ids import EvseId
from edgectl.domain.phases import ZERO, Phases
from edgectl.domain.quirks import Quirks
from edgectl.domain.reasons import Cause, Reason
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis

RETRY_MS: Millis = 10_000
"""A refused or unanswered limit is tried again this long after; sooner would only fill the charger's queue."""

DISOBEYED_AGAIN_MS: Millis = 30_000
"""One that draws more than it was told is told again this long after: it may have been something that has passed."""

FOLLOW_MS: Millis = 7_000
"""After this a vehicle that was lowered is taken to have followed: IEC 61851-1 gives it 5 s, and meters may be 2 s late.
What is still measured is somebody else's."""
LEASE_GRACE_MS: Millis = 60_000
"""A charger ends a lease on its own clock, which may lag ours by this much between two clock updates."""

OFFLINE_GRACE_MS: Millis = 120_000
"""A charger may take so long to see that its link is gone, when nobody closed it."""

IN_FLIGHT_COUNT = 3
"""The newest orders of an EVSE that an answer may still come for."""
GRID_MA: MilliAmps = 100
"""OCPP carries tenths of an ampere."""


class WriteRate:
    """How often one charger was told a limit within the last hour, minute by minute."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def note(self, now: Instant) -> None:
        minute = now.mono_ms // 60_000
        if minute not in self._counts:
            self._counts = {one: count for one, count in self._counts.items() if one > minute - 60}
        self._counts[minute] = self._counts.get(minute, 0) + 1

    def last_hour_count(self, now: Instant) -> int:
        minute = now.mono_ms // 60_000
        return sum(count for one, count in self._counts.items() if one > minute - 60)


@dataclass(frozen=True, slots=True)
class Order:
    """One limit we sent."""

    number: int
    limit_ma: MilliAmps
    sent_mono_ms: Millis
    lease_end_mono_ms: Millis
    reason: Reason


@dataclass(slots=True)
class EvseLimit:
    """The limit of one EVSE. Without a session only the persistent fallback applies."""

    evse: EvseId
    charger: Charger
    quirks: Quirks = field(default_factory=Quirks)
    is_forgotten: bool = False
    """It has lost what we told it, or may have: nothing binds it until it accepts a limit again."""
    lost_mono_ms: Millis | None = None
    """Since when its link is gone; None while there is one."""
    has_fallback: bool = True
    """False: the fallback is known not to hold, or was never confirmed, so without a limit of ours nothing binds it."""
    is_drilled: bool = False
    """A drill tells it its limits, and it may make of them what it likes."""
    is_understated: bool = False
    """It was told in watts for one phase, as its vehicle had not shown yet that it takes more: it may not use all of that."""
    is_exceeded: bool = False
    """The vehicle's last report shows more than all it was told within the time it has to follow."""
    beyond_ma: Phases = ZERO
    """What it draws beyond what it is told now: as good as another load, whatever it is told next."""
    commanded: Order | None = None
    previous_ma: MilliAmps = 0
    """What was commanded before the last change."""
    steady_ma: MilliAmps = 0
    """The most the vehicle may have been drawing before the last change, once it had followed the one before that."""
    replaced: list[tuple[Millis, MilliAmps]] = field(default_factory=list)
    """Limits that were replaced by others: when, and what they were. Only those that are more than all replaced since."""
    following: list[tuple[Millis, MilliAmps]] = field(default_factory=list)
    """Reductions still being followed: until when, and what may be drawn until then."""
    confirmed_ma: MilliAmps | None = None
    confirmed_until_mono_ms: Millis = 0
    unanswered: dict[int, Order] = field(default_factory=dict)
    changed_mono_ms: Millis = -1_000_000
    raise_wanted_since_mono_ms: Millis | None = None
    refused_count: int = 0
    trouble: str = ""
    stop_asked_mono_ms: Millis = -1_000_000
    ladder: Ladder = field(default_factory=Ladder)
    waiting: Cause | None = None
    """Why a raise that is due waits: ``SETTLING`` or ``UNCONFIRMED``."""

    def open(self, now: Instant, *, confirmed_ma: MilliAmps | None = None, lease_ms: Millis = 0) -> None:
        """A session begins: the vehicle is at the fallback until told. After a restart the old lease may still run
        (``confirmed_ma``, ``lease_ms``): then that is the worst until answered."""
        self.commanded = None
        self.previous_ma = confirmed_ma if confirmed_ma is not None else self.charger.fallback_ma
        self.steady_ma = self.previous_ma
        self.replaced.clear()
        self.following.clear()
        self.confirmed_ma = confirmed_ma
        self.confirmed_until_mono_ms = now.mono_ms + lease_ms
        self.unanswered.clear()
        self.changed_mono_ms = now.mono_ms
        self.raise_wanted_since_mono_ms = None
        self.refused_count = 0
        self.is_exceeded = False
        self.beyond_ma = ZERO
        self.trouble = ""

    def close(self) -> None:
        """The session is over; a transaction profile dies with its transaction."""
        self.commanded = None
        self.previous_ma = 0
        self.steady_ma = 0
        self.replaced.clear()
        self.following.clear()
        self.confirmed_ma = None
        self.unanswered.clear()
        self.raise_wanted_since_mono_ms = None
        self.trouble = ""
        self.waiting = None

    @property
    def commanded_ma(self) -> MilliAmps:
        """What the charger was last told, or what it falls to without us."""
        return self.charger.fallback_ma if self.commanded is None else self.commanded.limit_ma

    def highest_told_ma(self, since_mono_ms: Millis) -> MilliAmps:
        """The most it has been told at any moment since then: what it may still follow, in whatever order it was told."""
        return max([self.commanded_ma, *(limit_ma for at_ms, limit_ma in self.replaced if at_ms >= since_mono_ms)])

    def lose(self, now: Instant | None = None) -> None:
        """The link is gone; a charger that forgets its profiles with it is bound by nothing. ``now``: None where it never was
        there since we began."""
        self.is_forgotten = not self.quirks.keeps_profiles
        self.lost_mono_ms = None if now is None else now.mono_ms

    def find(self) -> None:
        """The link is back; a limit that ended without it holds again (2.1 K01)."""
        self.lost_mono_ms = None

    def _has_ended_offline(self, now: Instant) -> bool:
        """Its link has been gone for the time that its limit was given without one, and a good while more."""
        if not self.quirks.ends_offline or self.lost_mono_ms is None or self.commanded is None:
            return False
        given_ms = self.commanded.lease_end_mono_ms - self.commanded.sent_mono_ms
        return now.mono_ms >= self.lost_mono_ms + given_ms + OFFLINE_GRACE_MS

    def tellable_ma(self, limit_ma: MilliAmps) -> MilliAmps:
        """The highest current up to this one that the charger can be told: on the wire's grid, one of its steps, nothing
        between 0 and its minimum."""
        told_ma = limit_ma // GRID_MA * GRID_MA
        if self.quirks.steps_ma:
            told_ma = max((step_ma for step_ma in self.quirks.steps_ma if step_ma <= told_ma), default=0)
        if told_ma < self.charger.min_ma <= limit_ma:
            told_ma = self.charger.min_ma  # the minimum itself may lie beside the grid
        return told_ma if told_ma >= self.charger.min_ma else 0

    def confirmed_now_ma(self, now: Instant) -> MilliAmps | None:
        """The accepted limit while its lease runs."""
        if self.confirmed_ma is None or now.mono_ms >= self.confirmed_until_mono_ms:
            return None
        return self.confirmed_ma

    def worst_ma(self, now: Instant, measured_ma: MilliAmps | None) -> MilliAmps:
        """The largest current this EVSE may draw now, as far as anything is proven."""
        if self.is_forgotten or self.is_drilled:
            return self.charger.max_ma
        unbound_ma = self.charger.fallback_ma if self.has_fallback else self.charger.max_ma
        standing_ma = unbound_ma
        if self.confirmed_ma is not None:
            if not self.quirks.has_lease:
                standing_ma = unbound_ma if self._has_ended_offline(now) else self.confirmed_ma
            elif now.mono_ms < self.confirmed_until_mono_ms:
                standing_ma = self.confirmed_ma
            elif now.mono_ms < self.confirmed_until_mono_ms + LEASE_GRACE_MS:
                standing_ma = max(self.confirmed_ma, unbound_ma)
        waiting_ma = max((order.limit_ma for order in self.unanswered.values()), default=0)
        return min(self.charger.max_ma, max(standing_ma, waiting_ma, measured_ma or 0))

    def silent_worst_ma(self, now: Instant, measured_ma: MilliAmps | None) -> MilliAmps:
        """The same for a charger that does not hear us: when its lease ends it goes to its fallback."""
        unbound_ma = self.charger.fallback_ma if self.has_fallback else self.charger.max_ma
        return max(self.worst_ma(now, measured_ma), unbound_ma)

    def following_ma(self, now: Instant) -> MilliAmps:
        """The most it may still draw because it has not followed its latest reductions yet; 0 when it has."""
        return max((draw_ma for until_ms, draw_ma in self.following if until_ms > now.mono_ms), default=0)

    def note_order(self, order: Order, steady_ma: MilliAmps) -> None:
        """``steady_ma`` is the most the vehicle draws now if it has followed all earlier orders."""
        if self.commanded is None or order.limit_ma != self.commanded.limit_ma:
            replaced_ma = self.commanded_ma if self.commanded is not None else max(self.commanded_ma, self.previous_ma)
            self.replaced = [one for one in self.replaced if one[1] > replaced_ma]
            self.replaced.append((order.sent_mono_ms, replaced_ma))
            self.previous_ma = self.commanded_ma
            self.steady_ma = steady_ma
            self.following = [one for one in self.following if one[0] > order.sent_mono_ms]
            if order.limit_ma < steady_ma:
                self.following.append((order.sent_mono_ms + FOLLOW_MS, steady_ma))
            self.changed_mono_ms = order.sent_mono_ms
        self.commanded = order
        self.unanswered[order.number] = order
        self._tidy_unanswered(order.sent_mono_ms)

    def _tidy_unanswered(self, mono_ms: Millis) -> None:
        """The link holds one order in flight and one in its queue, so of more than three the older ones have had no answer in
        time. Any of them may be what the charger has taken, so each stays that is more than all since, while its lease runs."""
        most_ma = 0
        for place, number in enumerate(sorted(self.unanswered, reverse=True)):
            order = self.unanswered[number]
            is_over = self.quirks.has_lease and mono_ms >= order.lease_end_mono_ms + LEASE_GRACE_MS
            if place >= IN_FLIGHT_COUNT and (is_over or order.limit_ma <= most_ma):
                del self.unanswered[number]
            most_ma = max(most_ma, order.limit_ma)

    def answer(self, event: LimitAnswered) -> Order | None:
        """Take in a charger's answer. Returns the order when the charger did not accept it."""
        order = self.unanswered.pop(event.order_number, None)
        if order is None:
            return None
        if event.outcome is Outcome.ACCEPTED:
            for number in [number for number in self.unanswered if number < order.number]:
                del self.unanswered[number]
            self.is_forgotten = False
            self.confirmed_ma = order.limit_ma
            self.confirmed_until_mono_ms = order.lease_end_mono_ms
            self.refused_count = 0
            self.trouble = ""
            return None
        if event.outcome is Outcome.SUPERSEDED:
            return None
        if event.outcome is not Outcome.DISCONNECTED:  # then nobody was asked
            self.refused_count += 1
        self.trouble = f"limit {order.limit_ma / 1000:g} A {event.outcome.value}" + (f": {event.detail}" if event.detail else "")
        if event.outcome in {Outcome.TIMEOUT, Outcome.DISCONNECTED, Outcome.ERROR}:
            # It may have taken effect all the same; the higher of old and new stays the worst until the next answer.
            self.unanswered[order.number] = order
        return order

    def is_confirmed(self, now: Instant) -> bool:
        """The charger has accepted exactly what was last commanded."""
        return self.commanded is not None and self.confirmed_now_ma(now) == self.commanded.limit_ma

    def needs_repeat(self, lease_ms: Millis, now: Instant) -> bool:
        """The lease is half over, or the last order was not accepted or not obeyed and enough time has passed to try again."""
        if self.commanded is None:
            return False
        age_ms = now.mono_ms - self.commanded.sent_mono_ms
        if self.is_confirmed(now) and self.commanded.number not in self.unanswered:
            return age_ms >= (min(lease_ms // 2, DISOBEYED_AGAIN_MS) if self.is_exceeded else lease_ms // 2)
        return age_ms >= RETRY_MS
