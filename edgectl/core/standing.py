"""One accepted limit from outside: what it allows at a moment, whether another would allow more, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgectl.domain.external import Amount, LimitSource, Target, TargetKind
from edgectl.domain.phases import Phases
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis

STEP_MS: Millis = 5_000
"""What the two clocks may drift apart before people are told another end."""
NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit that was accepted."""

    id: str
    target: Target
    source: LimitSource
    actor: str
    amount: Amount
    issued_utc_ms: UtcMillis
    early_mono_ms: Millis
    """Its end, when the time the machine was off is counted by the wall clock."""
    late_mono_ms: Millis
    """Its end, when that time is not counted at all. The same while the machine was never off."""
    told_until_utc_ms: UtcMillis
    """Its end as it was accepted, for people."""
    then: Amount | None = None
    request_id: str = ""

    def holds(self, now: Instant) -> Amount:
        """What it allows at this moment."""
        after = self.then or NOTHING
        if now.mono_ms < self.early_mono_ms:
            return self.amount
        return after if now.mono_ms >= self.late_mono_ms else self.amount.lowest(after)

    def is_over(self, now: Instant) -> bool:
        return now.mono_ms >= self.late_mono_ms and self.then is None

    def state(self, now: Instant) -> str:
        if now.mono_ms < self.early_mono_ms:
            return "in-force"
        return "then" if now.mono_ms >= self.late_mono_ms else "uncertain"

    def until_utc_ms(self, now: Instant) -> UtcMillis | None:
        """Its end, by the present wall clock where that has stepped; None once what follows holds."""
        if now.mono_ms >= self.late_mono_ms:
            return None
        until_utc_ms = now.utc_ms + self.late_mono_ms - now.mono_ms
        return self.told_until_utc_ms if abs(until_utc_ms - self.told_until_utc_ms) < STEP_MS else until_utc_ms // 1_000 * 1_000

    @property
    def words(self) -> str:
        return f"{self.source.value} ({self.actor})" if self.actor else self.source.value


def raises(before: Standing, after: Standing, now: Instant) -> bool:
    """Whether at any moment more would be allowed than before."""
    held = before.holds(now)
    if not after.amount.narrows(held):
        return True
    follows = after.then or NOTHING
    ends_sooner = after.late_mono_ms < before.late_mono_ms or now.mono_ms >= before.late_mono_ms
    return (ends_sooner and not follows.narrows(held)) or not follows.narrows(before.then or NOTHING)


def to_document(one: Standing, now: Instant) -> dict[str, object]:
    return {
        "id": one.id,
        "kind": one.target.kind.value,
        "target": one.target.name,
        "by": one.source.value,
        "actor": one.actor,
        "amount": _amount_document(one.amount),
        "then": None if one.then is None else _amount_document(one.then),
        "issued_utc_ms": one.issued_utc_ms,
        "left_ms": [one.early_mono_ms - now.mono_ms, one.late_mono_ms - now.mono_ms],
        "until_utc_ms": one.told_until_utc_ms,
        "request": one.request_id,
    }


def from_document(row: Mapping[str, Any], now: Instant, sure_ms: Millis, credible_ms: Millis) -> Standing:
    early_ms, late_ms = row["left_ms"]
    return Standing(
        id=row["id"],
        target=Target(TargetKind(row["kind"]), row["target"]),
        source=LimitSource(row["by"]),
        actor=row["actor"],
        amount=_amount_of(row["amount"]),
        issued_utc_ms=row["issued_utc_ms"],
        early_mono_ms=now.mono_ms + early_ms - credible_ms,
        late_mono_ms=now.mono_ms + late_ms - sure_ms,
        told_until_utc_ms=row["until_utc_ms"],
        then=None if row["then"] is None else _amount_of(row["then"]),
        request_id=row["request"],
    )


def _amount_document(amount: Amount) -> dict[str, object]:
    return {"current_ma": None if amount.current_ma is None else list(amount.current_ma), "power_w": amount.power_w}


def _amount_of(document: Mapping[str, Any]) -> Amount:
    current_ma = document["current_ma"]
    return Amount(None if current_ma is None else Phases(*current_ma), document["power_w"])
