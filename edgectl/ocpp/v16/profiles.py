"""Limits and the persistent fallback as OCPP 1.6 charging profiles (§3.13, §5.16)."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import FallbackAnswered, LimitAnswered, Outcome
from edgectl.domain.ids import TransactionRef
from edgectl.domain.time import Instant
from edgectl.ocpp import profiles
from edgectl.ocpp.codec import outcome_of
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded, OwnCall

_STATUSES = {"accepted": Outcome.ACCEPTED, "rejected": Outcome.REJECTED, "notsupported": Outcome.NOT_SUPPORTED}


def limit_call(order: SetLimit, now: Instant) -> OwnCall:
    """SetChargingProfile for one lease."""
    number = order.evse.number
    lease = profiles.lease_of(order, now)
    transaction_id = _transaction_id(order.transaction)
    profile: Payload = {"chargingProfileId": profiles.DEFAULT_LEASE_BASE + number}
    if transaction_id is not None:
        profile = {"chargingProfileId": profiles.TRANSACTION_LEASE_BASE + number, "transactionId": transaction_id}
    profile |= {
        "stackLevel": profiles.LEASE_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile" if transaction_id is None else "TxProfile",
        "chargingProfileKind": "Absolute",
        "validTo": lease.valid_to,
        "chargingSchedule": {
            "duration": lease.duration_s,
            "startSchedule": lease.start,
            **profiles.rate(order.kind, order.limit_ma, order.limit_w, order.phase_count),
        },
    }
    return OwnCall("SetChargingProfile", {"connectorId": number, "csChargingProfiles": profile}, slot=f"limit/{number}")


def limit_answered(order: SetLimit, ended: CallEnded) -> LimitAnswered:
    outcome, detail = outcome_of(ended, _STATUSES)
    return LimitAnswered(order.evse.charger, order.evse.number, order.order_number, outcome, detail)


def fallback_calls(order: InstallFallback) -> tuple[OwnCall, OwnCall]:
    """The charger's rating and the default of all its connectors; both on connector 0 (§5.16.4: it stands for all)."""
    rating = profiles.rate(order.kind, order.max_ma, order.max_w)
    default = profiles.rate(order.kind, order.fallback_ma, order.fallback_w)
    return (
        _permanent(profiles.STATION_MAX_ID, "ChargePointMaxProfile", rating),
        _permanent(profiles.FALLBACK_ID, "TxDefaultProfile", default),
    )


def fallback_answered(order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
    return profiles.fallback_answered(order, ended, "ChargePointMaxProfile", lambda call: outcome_of(call, _STATUSES))


def _permanent(profile_id: int, purpose: str, rate: Payload) -> OwnCall:
    profile = {
        "chargingProfileId": profile_id,
        "stackLevel": profiles.FALLBACK_LEVEL,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {"startSchedule": profiles.ALWAYS, **rate},
    }
    return OwnCall("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})


def _transaction_id(transaction: TransactionRef | None) -> int | None:
    """1.6 transaction ids are integers that we issue; a session known only under another name gets a default profile instead."""
    if transaction is None or not transaction.isdecimal():
        return None
    return int(transaction)
