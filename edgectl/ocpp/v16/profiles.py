"""Limits and the persistent fallback as OCPP 1.6 charging profiles (§3.13, §5.16)."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import FallbackAnswered, LimitAnswered, Outcome
from edgectl.domain.ids import TransactionRef
from edgectl.domain.quirks import ProfileKind, ProfilePurpose
from edgectl.domain.time import Instant
from edgectl.ocpp import profiles
from edgectl.ocpp.codec import outcome_of
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.profiles import Profile
from edgectl.ocpp.rpc import CallEnded, OwnCall

_STATUSES = {"accepted": Outcome.ACCEPTED, "rejected": Outcome.REJECTED, "notsupported": Outcome.NOT_SUPPORTED}
_PURPOSES = {
    ProfilePurpose.TX: "TxProfile",
    ProfilePurpose.TX_DEFAULT: "TxDefaultProfile",
    ProfilePurpose.STATION_MAX: "ChargePointMaxProfile",
}
_KINDS = {ProfileKind.ABSOLUTE: "Absolute", ProfileKind.RELATIVE: "Relative"}


def limit_call(order: SetLimit, now: Instant) -> OwnCall:
    """SetChargingProfile for one lease."""
    is_nameable = _transaction_id(order.transaction) is not None
    return _set(profiles.lease(order, now, is_nameable=is_nameable), f"limit/{order.evse.number}")


def limit_answered(order: SetLimit, ended: CallEnded) -> LimitAnswered:
    outcome, detail = outcome_of(ended, _STATUSES)
    return LimitAnswered(order.evse.charger, order.evse.number, order.order_number, outcome, detail)


def fallback_calls(order: InstallFallback) -> tuple[OwnCall, OwnCall]:
    """The charger's rating and the default of all its connectors; both on connector 0 (§5.16.4: it stands for all)."""
    rating, default = profiles.fallback(order)
    return _set(rating), _set(default)


def fallback_answered(order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
    return profiles.fallback_answered(order, ended, "ChargePointMaxProfile", lambda call: outcome_of(call, _STATUSES))


def _set(profile: Profile, slot: str | None = None) -> OwnCall:
    wire: Payload = {
        "chargingProfileId": profile.number,
        "stackLevel": profile.level,
        "chargingProfilePurpose": _PURPOSES[profile.purpose],
        "chargingProfileKind": _KINDS[profile.kind],
        "chargingSchedule": profile.schedule,
    }
    transaction_id = _transaction_id(profile.transaction)
    if transaction_id is not None:
        wire["transactionId"] = transaction_id
    if profile.valid_to is not None:
        wire["validTo"] = profile.valid_to
    return OwnCall("SetChargingProfile", {"connectorId": profile.place, "csChargingProfiles": wire}, slot=slot)


def _transaction_id(transaction: TransactionRef | None) -> int | None:
    """1.6 transaction ids are integers that we issue; a session known only under another name gets a default profile instead."""
    if transaction is None or not transaction.isdecimal():
        return None
    return int(transaction)
