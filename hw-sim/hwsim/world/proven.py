"""What each charger may draw as far as it is proven, worked out from orders and answers alone: nothing of edgectl's own reckoning
is used. A limit that was refused or not answered counts as what stood before it, or as itself where that is larger (S9). And how
long a healthy charger waits for what it is told (L2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.core.limits import LEASE_GRACE_MS
from edgectl.domain.decisions import SetLimit
from edgectl.domain.events import LimitAnswered, Outcome
from edgectl.domain.time import Instant

BEFORE = 10**9
NOT_SENT = frozenset({Outcome.SUPERSEDED})
UNKNOWN = frozenset({Outcome.TIMEOUT, Outcome.DISCONNECTED, Outcome.ERROR})
"""It may have taken effect all the same."""


@dataclass
class _Ledger:
    confirmed_ma: int | None = None
    until_ms: int = 0
    sent: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Orders that may be in force, by number: the limit, and the end of its lease."""
    sent_ms: dict[int, int] = field(default_factory=dict)
    told_ma: int | None = None
    """What it was told last in this transaction."""


class Proven:
    """One ledger for each charger; every charger of these worlds has one EVSE."""

    def __init__(self, fallback_ma: int) -> None:
        self._fallback_ma = fallback_ma
        self._ledgers: dict[str, _Ledger] = {}

    def _of(self, charger: str) -> _Ledger:
        return self._ledgers.setdefault(charger, _Ledger())

    def restarted(self) -> None:
        """Orders are numbered from 1 again; those before came before all that follow."""
        for ledger in self._ledgers.values():
            ledger.sent = {number - BEFORE: sent for number, sent in ledger.sent.items()}
            ledger.sent_ms.clear()
            ledger.told_ma = None

    def transaction(self, charger: str) -> None:
        """One has begun or ended: what was told for the one before ended with it."""
        before = self._of(charger)
        self._ledgers[charger] = _Ledger(sent_ms=before.sent_ms)

    def order(self, order: SetLimit, now: Instant) -> bool:
        """Note what is told. Returns whether it is more than what was told before."""
        ledger = self._of(order.evse.charger)
        ledger.sent[order.order_number] = (order.limit_ma, now.mono_ms + order.lease_ms)
        ledger.sent_ms[order.order_number] = now.mono_ms
        before_ma, ledger.told_ma = ledger.told_ma, order.limit_ma
        return before_ma is not None and order.limit_ma > before_ma

    def answer(self, event: LimitAnswered, now: Instant) -> int | None:
        """Note an answer. Returns after how many milliseconds it came; None where nobody was asked."""
        ledger = self._of(event.charger)
        sent_ms = ledger.sent_ms.pop(event.order_number, None)
        order = ledger.sent.get(event.order_number)
        if event.outcome is Outcome.ACCEPTED and order is not None:
            ledger.confirmed_ma, ledger.until_ms = order
            ledger.sent = {number: sent for number, sent in ledger.sent.items() if number > event.order_number}
        elif event.outcome not in UNKNOWN:
            ledger.sent.pop(event.order_number, None)
        asked = event.outcome not in NOT_SENT and event.outcome is not Outcome.DISCONNECTED
        return now.mono_ms - sent_ms if sent_ms is not None and asked else None

    def worst_ma(self, charger: str, now: Instant) -> int:
        """The most it may draw now."""
        ledger = self._of(charger)
        standing_ma = self._fallback_ma
        if ledger.confirmed_ma is not None:
            if now.mono_ms < ledger.until_ms:
                standing_ma = ledger.confirmed_ma
            elif now.mono_ms < ledger.until_ms + LEASE_GRACE_MS:
                standing_ma = max(ledger.confirmed_ma, self._fallback_ma)
        running = (limit_ma for limit_ma, until_ms in ledger.sent.values() if now.mono_ms < until_ms)
        return max(standing_ma, *running, 0)


class Afflictions:
    """Which chargers have a fault of their own, and until when that is an excuse."""

    def __init__(self, tail_s: float) -> None:
        self._tail_s = tail_s
        self._by_fault: dict[object, set[str]] = {}
        self._counts: Counter[str] = Counter()
        self._ended_s: dict[str, float] = {}

    def begin(self, fault: object, charger: str) -> None:
        if charger not in self._by_fault.setdefault(fault, set()):
            self._by_fault[fault].add(charger)
            self._counts[charger] += 1

    def end(self, fault: object, now_s: float) -> None:
        for charger in self._by_fault.pop(fault, set()):
            self._counts[charger] -= 1
            self._ended_s[charger] = now_s

    def has(self, charger: str, now_s: float) -> bool:
        ended_s: Mapping[str, float] = self._ended_s
        return self._counts[charger] > 0 or (charger in ended_s and now_s - ended_s[charger] < self._tail_s)
