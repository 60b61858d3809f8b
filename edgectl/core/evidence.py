"""What a transaction message says, and how far it can be believed: identity by content, credible times, signed values."""

from __future__ import annotations

from edgectl.domain.decisions import Keep
from edgectl.domain.events import Call, Sample, TransactionEnded, TransactionStarted
from edgectl.domain.ids import SessionId, TransactionRef
from edgectl.domain.records import MessageKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis, WattHours

OLDEST_CREDIBLE_UTC_MS: UtcMillis = 1_577_836_800_000
"""2020-01-01: a charger that says earlier has lost its clock (1970 and year 1 are what is seen)."""
LATE_MS: Millis = 300_000
"""A start or stop reported this long after it happened came from the charger's offline queue."""


def energy_so_far(start_wh: WattHours | None, register_wh: WattHours | None) -> WattHours:
    if start_wh is None or register_wh is None:
        return 0
    return max(0, register_wh - start_wh)


def merged(flags: tuple[str, ...], more: set[str] | frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(set(flags) | more)) if more else flags


def signed(samples: tuple[Sample, ...]) -> tuple[str, ...]:
    return tuple(value for sample in samples for value in sample.signed_values)


def message(call: Call, session: SessionId | None, now: Instant) -> Keep:
    return Keep(MessageKept(call.charger, session, call.action, call.frame, now.utc_ms))


def credible(reported_utc_ms: UtcMillis | None, now: Instant) -> tuple[UtcMillis, set[str]]:
    """The time to write down: the charger's where it can be true, ours where it cannot, with a flag."""
    if reported_utc_ms is None:
        return now.utc_ms, {"clock-missing"}
    if reported_utc_ms < OLDEST_CREDIBLE_UTC_MS:
        return now.utc_ms, {"clock-lost"}
    if reported_utc_ms > now.utc_ms + LATE_MS:
        return now.utc_ms, {"clock-ahead"}
    return reported_utc_ms, set()


def is_issued(transaction: TransactionRef) -> bool:
    """Not one of the references that mean "none": chargers that never got an id say -1 or 0."""
    return transaction not in {"", "0", "-1"}


def start_key(event: TransactionStarted) -> str:
    token = (event.token or "").strip().casefold()
    return f"{event.evse_number}|{token}|{event.reported_utc_ms}|{event.meter_start_wh}"


def stop_key(event: TransactionEnded) -> str:
    return f"{event.transaction}|{event.reported_utc_ms}|{event.meter_stop_wh}"
