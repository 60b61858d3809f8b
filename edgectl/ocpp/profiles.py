"""What charging profiles of all versions have in common: two layers, their ids, the span of a lease, a limit as a rate.

Two layers per EVSE, told apart by stack level:

- stack level 0, the fallback: the station's rating and a TxDefaultProfile of the whole charger, without an end. They stay when
  we are gone, and nothing here ever clears them.
- the lease, normally at stack level 1: a TxProfile while a transaction runs, otherwise a TxDefaultProfile of the EVSE. It ends
  by itself unless renewed, and then the fallback applies again.

A charger may need it otherwise (``decisions.ProfileStyle``). Here a profile is in our words; each version writes it in its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import FallbackAnswered, Outcome
from edgectl.domain.ids import TransactionRef
from edgectl.domain.quirks import ProfileKind, ProfilePurpose, RateUnit
from edgectl.domain.site import PowerKind
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import MilliAmps, Watts
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded

FALLBACK_LEVEL = 0
# Profile ids are per charger. The same purpose on the same EVSE always has the same id, so that a renewal replaces; 1 to 9 are
# reserved for the fallback and never reused.
STATION_MAX_ID = 1
FALLBACK_ID = 2
FALLBACK_IDS = range(1, 10)
_LEASE_BASES = {ProfilePurpose.TX_DEFAULT: 1000, ProfilePurpose.TX: 2000, ProfilePurpose.STATION_MAX: 3000}
STATION = 0
"""Stands for all EVSEs of a charger."""

_HEAD_START_S = 60
"""Leases begin a minute ago: a charger whose clock is slightly behind would otherwise not apply them yet (and some firmware
refuses a start that is not in the past)."""
ALWAYS = iso(0)
"""The fallback begins in 1970: it must hold on a charger that lost its clock in a power cut, while we are not there to set it.
Should a charger refuse so old a date, we see the refusal; a fallback that silently does not apply nobody would see."""
_FULL_PHASES = 3
"""The default of numberPhases; sent only when it differs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One charging profile."""

    number: int
    level: int
    purpose: ProfilePurpose
    kind: ProfileKind
    place: int
    """The EVSE, or ``STATION``."""
    schedule: Payload
    """Rate unit, periods, and where it has them its start and duration: the same words in all versions."""
    transaction: TransactionRef | None = None
    valid_to: str | None = None
    offline_s: int | None = None
    """For how long a lease holds without a link."""


def lease_number(purpose: ProfilePurpose, evse_number: int) -> int:
    """The id of the lease of this purpose on an EVSE."""
    return _LEASE_BASES[purpose] + (STATION if purpose is ProfilePurpose.STATION_MAX else evse_number)


def evse_of(number: int) -> int | None:
    """The EVSE for which a lease with this id stands; None when it is none of ours."""
    for base in _LEASE_BASES.values():
        if base < number < base + 1000:
            return number - base
    return 1 if number == _LEASE_BASES[ProfilePurpose.STATION_MAX] else None


def lease(order: SetLimit, now: Instant, *, is_nameable: bool, has_dynamic: bool = False) -> Profile:
    """A limit that ends at the moment the order was made plus the lease, however long the call waits.

    The end is said twice, as a date and as a duration: firmware is known to ignore the one or the other, and a lease that does
    not end is the one mistake we could not take back when we are gone. A relative schedule counts from the start of the
    transaction, so there only the date can say it.

    ``is_nameable``: the version can carry the id of the order's transaction. ``has_dynamic``: it knows dynamic profiles.
    """
    style = order.style
    purpose = style.purpose or ProfilePurpose.TX
    if purpose is ProfilePurpose.TX and not is_nameable:
        purpose = ProfilePurpose.TX_DEFAULT
    is_maximum = purpose is ProfilePurpose.STATION_MAX
    place = STATION if is_maximum else order.evse.number
    kind = style.kind
    if (is_maximum and kind is ProfileKind.RELATIVE) or (kind is ProfileKind.DYNAMIC and not has_dynamic):
        kind = ProfileKind.ABSOLUTE  # a station's maximum cannot be relative (2.0.1 K01.FR.38)
    left_s = order.lease_ms // 1000  # ending early is safe
    start_utc_ms = now.utc_ms - _HEAD_START_S * 1000
    duration_s = _HEAD_START_S + left_s
    schedule = rate(order.kind, order.limit_ma, order.limit_w, order.phase_count, style.unit)
    if kind is ProfileKind.ABSOLUTE:
        schedule = {"duration": duration_s, "startSchedule": iso(start_utc_ms), **schedule}
    return Profile(
        number=lease_number(purpose, order.evse.number),
        level=style.stack_level,
        purpose=purpose,
        kind=kind,
        place=place,
        schedule=schedule,
        transaction=order.transaction if purpose is ProfilePurpose.TX else None,
        valid_to=iso(start_utc_ms + duration_s * 1000),
        offline_s=left_s if order.offline_ms is None else min(left_s, order.offline_ms // 1000),
    )


def fallback(order: InstallFallback) -> tuple[Profile, Profile]:
    """The charger's rating and the default of all its EVSEs. Neither ever ends, online or offline."""
    style = order.style
    rating = rate(order.kind, order.max_ma, order.max_w, unit=style.unit)
    # A dynamic profile lives on updates, and the fallback is for when there are none.
    permanent = ProfileKind.ABSOLUTE if style.kind is ProfileKind.DYNAMIC else style.kind
    default = rate(order.kind, order.fallback_ma, order.fallback_w, unit=style.unit)
    return (
        _permanent(STATION_MAX_ID, ProfilePurpose.STATION_MAX, ProfileKind.ABSOLUTE, rating),
        _permanent(FALLBACK_ID, ProfilePurpose.TX_DEFAULT, permanent, default),
    )


def _permanent(number: int, purpose: ProfilePurpose, kind: ProfileKind, schedule: Payload) -> Profile:
    if kind is ProfileKind.ABSOLUTE:
        schedule = {"startSchedule": ALWAYS, **schedule}
    return Profile(number, FALLBACK_LEVEL, purpose, kind, STATION, schedule)


def rate(
    kind: PowerKind,
    limit_ma: MilliAmps,
    limit_w: Watts,
    phase_count: int = _FULL_PHASES,
    unit: RateUnit | None = None,
) -> Payload:
    """A limit without an end inside its schedule: amps for AC unless the charger wants watts, watts for DC."""
    period: Payload = {"startPeriod": 0}
    if kind is PowerKind.DC or unit is RateUnit.WATTS:
        return {"chargingRateUnit": "W", "chargingSchedulePeriod": [period | {"limit": limit_w}]}
    period["limit"] = _amps(limit_ma)
    if phase_count != _FULL_PHASES:
        period["numberPhases"] = phase_count
    return {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}


def fallback_answered(
    order: InstallFallback, ended: Sequence[CallEnded], rating_name: str, read: Callable[[CallEnded], tuple[Outcome, str]]
) -> FallbackAnswered:
    """The worse of the two, except that a refused rating is tolerable: the default alone keeps the promise.

    ``ended`` are the rating's and the default's calls; ``read`` tells the outcome of one, and the charger's words.
    """
    (rating_outcome, rating_words), (outcome, words) = (read(call) for call in ended)
    is_rating_answered = rating_outcome in {Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SUPPORTED, Outcome.ERROR}
    if outcome is Outcome.ACCEPTED and rating_outcome is not Outcome.ACCEPTED:
        detail = f"{rating_name} {rating_outcome.value}" + (f" ({rating_words})" if rating_words else "")
        return FallbackAnswered(order.charger, outcome if is_rating_answered else rating_outcome, detail)
    detail = "" if outcome is Outcome.ACCEPTED else f"TxDefaultProfile {outcome.value}" + (f" ({words})" if words else "")
    return FallbackAnswered(order.charger, outcome, detail)


def _amps(limit_ma: MilliAmps) -> float | int:
    """Amps with at most the one decimal the wire has (1.6 §7.14, 2.0.1 ChargingSchedulePeriodType), rounded down."""
    tenths = limit_ma // 100
    return tenths // 10 if tenths % 10 == 0 else tenths / 10
