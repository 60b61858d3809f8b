"""What a transaction message says, and how far it can be believed: identity by content, credible times, signed values."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.decisions import Keep
from edgectl.domain.events import Call, Sample, TransactionEnded, TransactionStarted
from edgectl.domain.ids import SessionId, TransactionRef
from edgectl.domain.records import MessageKept, Session
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis, WattHours, Watts

OLDEST_CREDIBLE_UTC_MS: UtcMillis = 1_577_836_800_000
"""2020-01-01: a charger that says earlier has lost its clock (1970 and year 1 are what is seen)."""
LATE_MS: Millis = 300_000
"""A start or stop reported this long after it happened came from the charger's offline queue."""

SURE_MS: Millis = 60_000
"""A date this close to our own time needs no correction."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of the EVSE that a message comes from."""

    rated_w: Watts
    """The most it can deliver."""
    clock_offset_ms: Millis = 0
    """Its charger's clock minus ours, where that is known and more than delay."""
    adopted_utc_ms: UtcMillis | None = None
    """When we first saw the charger; None when that is not known."""
    register_wh: WattHours | None = None
    """Where its register stood before the session that runs, as far as it was seen."""


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


def credible(reported_utc_ms: UtcMillis | None, offset_ms: Millis, now: Instant) -> tuple[UtcMillis, set[str]]:
    """The time to write down: the charger's where it can be true, less what its clock is off, ours where it cannot; flagged."""
    if reported_utc_ms is None:
        return now.utc_ms, {"clock-missing"}
    if reported_utc_ms < OLDEST_CREDIBLE_UTC_MS:
        return now.utc_ms, {"clock-lost"}
    is_right = abs(reported_utc_ms - now.utc_ms) <= SURE_MS  # whatever it said before
    corrected_utc_ms = reported_utc_ms - offset_ms
    if offset_ms and not is_right and OLDEST_CREDIBLE_UTC_MS <= corrected_utc_ms <= now.utc_ms + LATE_MS:
        return min(now.utc_ms, corrected_utc_ms), {"clock-corrected"}
    if reported_utc_ms > now.utc_ms + LATE_MS:
        return now.utc_ms, {"clock-ahead"}
    return reported_utc_ms, set()


def told_ms(session: Session, reported_utc_ms: UtcMillis | None) -> Millis:
    """How long it has lasted by the charger's own account: right even where its clock is wrong."""
    if reported_utc_ms is None or session.started_reported_utc_ms is None:
        return 0
    return max(0, reported_utc_ms - session.started_reported_utc_ms)


def adoption(started_utc_ms: UtcMillis, source: Source) -> set[str]:
    """Sessions of before we knew the charger were, as a rule, billed by somebody else."""
    is_before = source.adopted_utc_ms is not None and started_utc_ms < source.adopted_utc_ms - LATE_MS
    return {"pre-adoption"} if is_before else set()


def is_issued(transaction: TransactionRef) -> bool:
    """Not one of the references that mean "none": chargers that never got an id say 0 or something negative."""
    return transaction not in {"", "0"} and not (transaction[0] == "-" and transaction[1:].isdecimal())


def start_key(event: TransactionStarted) -> str:
    token = (event.token or "").strip().casefold()
    return f"{event.evse_number}|{token}|{event.reported_utc_ms}|{event.meter_start_wh}"


def stop_key(event: TransactionEnded) -> str:
    return f"{event.transaction}|{event.reported_utc_ms}|{event.meter_stop_wh}"


class Sequences:
    """The sequence numbers seen in each open 2.x transaction: lowest, highest and how many."""

    def __init__(self) -> None:
        self._seen: dict[SessionId, tuple[int, int, int]] = {}

    def note(self, session: SessionId, number: int | None) -> None:
        if number is None:
            return
        first, last, count = self._seen.get(session, (number, number, 0))
        self._seen[session] = (min(first, number), max(last, number), count + 1)

    def closed(self, session: SessionId) -> bool:
        """Forget them. True: messages are missing. A station that always says 0, or repeats numbers, tells nothing."""
        first, last, count = self._seen.pop(session, (0, 0, 0))
        return last > first and count < last - first + 1
