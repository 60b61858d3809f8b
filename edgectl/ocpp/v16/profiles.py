"""Limits and the persistent fallback as OCPP 1.6 charging profiles (§3.13, §5.16).

Two layers per EVSE, told apart by stack level:

- stack level 0, the fallback: ChargePointMaxProfile and TxDefaultProfile of the whole charger, without an end. They stay when we
  are gone, and nothing here ever clears them.
- stack level 1, the lease: a TxProfile while a transaction runs, otherwise a TxDefaultProfile of the connector. It ends by itself
  unless renewed, and then the fallback applies again.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import FallbackAnswered, LimitAnswered, Outcome
from edgectl.domain.ids import TransactionRef
from edgectl.domain.site import PowerKind
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import MilliAmps, Watts
from edgectl.ocpp.codec import outcome_of
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded, OwnCall

_FALLBACK_LEVEL = 0
_LEASE_LEVEL = 1
# Profile ids are per charger. The same purpose on the same EVSE always has the same id, so that a renewal replaces; 1 to 9 are
# reserved for the fallback and never reused.
_STATION_MAX_ID = 1
_FALLBACK_ID = 2
_DEFAULT_LEASE_BASE = 1000
_TRANSACTION_LEASE_BASE = 2000

_HEAD_START_S = 60
"""Leases begin a minute ago: a charger whose clock is slightly behind would otherwise not apply them yet (and some firmware
refuses a start that is not in the past)."""
_ALWAYS = iso(0)
"""The fallback begins in 1970: it must hold on a charger that lost its clock in a power cut, while we are not there to set it.
Should a charger refuse so old a date, we see the refusal; a fallback that silently does not apply nobody would see."""
_FULL_PHASES = 3
"""The default of numberPhases (§7.14); sent only when it differs."""

_STATUSES = {"accepted": Outcome.ACCEPTED, "rejected": Outcome.REJECTED, "notsupported": Outcome.NOT_SUPPORTED}


def limit_call(order: SetLimit, now: Instant) -> OwnCall:
    """SetChargingProfile for one lease. It ends at the moment the order was made plus the lease, however long the call waits."""
    number = order.evse.number
    lease_s = order.lease_ms // 1000  # ending early is safe
    start_utc_ms = now.utc_ms - _HEAD_START_S * 1000
    duration_s = _HEAD_START_S + lease_s
    transaction_id = _transaction_id(order.transaction)
    profile: Payload = {"chargingProfileId": _DEFAULT_LEASE_BASE + number}
    if transaction_id is not None:
        profile = {"chargingProfileId": _TRANSACTION_LEASE_BASE + number, "transactionId": transaction_id}
    profile |= {
        "stackLevel": _LEASE_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile" if transaction_id is None else "TxProfile",
        "chargingProfileKind": "Absolute",
        # The end is said twice, as a date and as a duration: firmware is known to ignore the one or the other, and a lease that
        # does not end is the one mistake we could not take back when we are gone.
        "validTo": iso(start_utc_ms + duration_s * 1000),
        "chargingSchedule": {
            "duration": duration_s,
            "startSchedule": iso(start_utc_ms),
            **_rate(order.kind, order.limit_ma, order.limit_w, order.phase_count),
        },
    }
    return OwnCall("SetChargingProfile", {"connectorId": number, "csChargingProfiles": profile}, slot=f"limit/{number}")


def limit_answered(order: SetLimit, ended: CallEnded) -> LimitAnswered:
    outcome, detail = outcome_of(ended, _STATUSES)
    return LimitAnswered(order.evse.charger, order.evse.number, order.order_number, outcome, detail)


def fallback_calls(order: InstallFallback) -> tuple[OwnCall, OwnCall]:
    """The charger's rating and the default of all its connectors; both on connector 0 (§5.16.4: it stands for all)."""
    station_max = _permanent(_STATION_MAX_ID, "ChargePointMaxProfile", _rate(order.kind, order.max_ma, order.max_w, _FULL_PHASES))
    fallback = _permanent(_FALLBACK_ID, "TxDefaultProfile", _rate(order.kind, order.fallback_ma, order.fallback_w, _FULL_PHASES))
    return station_max, fallback


def fallback_answered(order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
    """The worse of the two, except that a refused rating is tolerable: the default alone keeps the promise."""
    (max_outcome, max_words), (outcome, words) = (outcome_of(call, _STATUSES) for call in ended)
    is_max_answered = max_outcome in {Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SUPPORTED, Outcome.ERROR}
    if outcome is Outcome.ACCEPTED and max_outcome is not Outcome.ACCEPTED:
        detail = f"ChargePointMaxProfile {max_outcome.value}" + (f" ({max_words})" if max_words else "")
        return FallbackAnswered(order.charger, outcome if is_max_answered else max_outcome, detail)
    detail = "" if outcome is Outcome.ACCEPTED else f"TxDefaultProfile {outcome.value}" + (f" ({words})" if words else "")
    return FallbackAnswered(order.charger, outcome, detail)


def _permanent(profile_id: int, purpose: str, rate: Payload) -> OwnCall:
    profile = {
        "chargingProfileId": profile_id,
        "stackLevel": _FALLBACK_LEVEL,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {"startSchedule": _ALWAYS, **rate},
    }
    return OwnCall("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})


def _rate(kind: PowerKind, limit_ma: MilliAmps, limit_w: Watts, phase_count: int) -> Payload:
    period: Payload = {"startPeriod": 0}
    if kind is PowerKind.DC:
        return {"chargingRateUnit": "W", "chargingSchedulePeriod": [period | {"limit": limit_w}]}
    period["limit"] = _amps(limit_ma)
    if phase_count != _FULL_PHASES:
        period["numberPhases"] = phase_count
    return {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}


def _amps(limit_ma: MilliAmps) -> float | int:
    """Amps with at most the one decimal the wire has (§7.14), rounded down."""
    tenths = limit_ma // 100
    return tenths // 10 if tenths % 10 == 0 else tenths / 10


def _transaction_id(transaction: TransactionRef | None) -> int | None:
    """1.6 transaction ids are integers that we issue; a session known only under another name gets a default profile instead."""
    if transaction is None or not transaction.isdecimal():
        return None
    return int(transaction)
