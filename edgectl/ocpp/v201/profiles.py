"""Limits and the persistent fallback as charging profiles of OCPP 2 (2.0.1 Part 2, block K)."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import FallbackAnswered, LimitAnswered, Outcome
from edgectl.domain.ids import TransactionRef
from edgectl.domain.time import Instant
from edgectl.ocpp import profiles
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded, OwnCall
from edgectl.ocpp.v201.edition import Edition
from edgectl.ocpp.v201.request_answers import outcome_of

_TRANSACTION_MAX_CHARS = 36
_STATION = 0
"""Stands for all EVSEs."""
_STATUSES = {"accepted": Outcome.ACCEPTED, "rejected": Outcome.REJECTED}


def limit_call(order: SetLimit, now: Instant, edition: Edition) -> OwnCall:
    """SetChargingProfile for one lease."""
    number = order.evse.number
    lease = profiles.lease_of(order, now)
    transaction_id = _transaction_id(order.transaction)
    profile_id = number + (profiles.DEFAULT_LEASE_BASE if transaction_id is None else profiles.TRANSACTION_LEASE_BASE)
    profile: Payload = {
        "id": profile_id,
        "stackLevel": profiles.LEASE_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile" if transaction_id is None else "TxProfile",
        "chargingProfileKind": "Absolute",
        "validTo": lease.valid_to,
        "chargingSchedule": [
            {
                "id": profile_id,
                "duration": lease.duration_s,
                "startSchedule": lease.start,
                **profiles.rate(order.kind, order.limit_ma, order.limit_w, order.phase_count),
            }
        ],
    }
    if transaction_id is not None:
        profile["transactionId"] = transaction_id
    if edition.has_offline_duration:
        # The standard's own dead-man switch, for stations that take neither date nor duration seriously. Without
        # invalidAfterOfflineDuration the profile is suspended, not deleted: that spares the station's flash.
        profile["maxOfflineDuration"] = lease.left_s
    return OwnCall("SetChargingProfile", {"evseId": number, "chargingProfile": profile}, slot=f"limit/{number}")


def limit_answered(order: SetLimit, ended: CallEnded) -> LimitAnswered:
    outcome, detail = outcome_of(ended, _STATUSES)
    return LimitAnswered(order.evse.charger, order.evse.number, order.order_number, outcome, detail)


def fallback_calls(order: InstallFallback) -> tuple[OwnCall, OwnCall]:
    """The station's rating and the default of all its EVSEs. Neither ever ends, online or offline."""
    rating = profiles.rate(order.kind, order.max_ma, order.max_w)
    default = profiles.rate(order.kind, order.fallback_ma, order.fallback_w)
    return (
        _permanent(profiles.STATION_MAX_ID, "ChargingStationMaxProfile", rating),
        _permanent(profiles.FALLBACK_ID, "TxDefaultProfile", default),
    )


def fallback_answered(order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
    return profiles.fallback_answered(order, ended, "ChargingStationMaxProfile", lambda call: outcome_of(call, _STATUSES))


def _permanent(profile_id: int, purpose: str, rate: Payload) -> OwnCall:
    profile = {
        "id": profile_id,
        "stackLevel": profiles.FALLBACK_LEVEL,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [{"id": profile_id, "startSchedule": profiles.ALWAYS, **rate}],
    }
    return OwnCall("SetChargingProfile", {"evseId": _STATION, "chargingProfile": profile})


def _transaction_id(transaction: TransactionRef | None) -> str | None:
    """The station's own id. One longer than a profile can carry gets a default profile instead."""
    if not transaction or len(transaction) > _TRANSACTION_MAX_CHARS:
        return None
    return transaction
