"""Limits and the persistent fallback as charging profiles of OCPP 2 (2.0.1 Part 2, block K)."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import FallbackAnswered, LimitAnswered, Outcome
from edgectl.domain.quirks import ProfileKind, ProfilePurpose
from edgectl.domain.time import Instant
from edgectl.ocpp import profiles
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.profiles import Profile
from edgectl.ocpp.rpc import CallEnded, OwnCall
from edgectl.ocpp.v201.edition import Edition
from edgectl.ocpp.v201.request_answers import outcome_of

_TRANSACTION_MAX_CHARS = 36
_STATUSES = {"accepted": Outcome.ACCEPTED, "rejected": Outcome.REJECTED}
_PURPOSES = {
    ProfilePurpose.TX: "TxProfile",
    ProfilePurpose.TX_DEFAULT: "TxDefaultProfile",
    ProfilePurpose.STATION_MAX: "ChargingStationMaxProfile",
}
_KINDS = {ProfileKind.ABSOLUTE: "Absolute", ProfileKind.RELATIVE: "Relative", ProfileKind.DYNAMIC: "Dynamic"}
_PULL_INTERVAL_S = 60
"""How often a station asks for a dynamic limit by itself: changes are sent at once, this is for one that got lost."""


def limit_call(order: SetLimit, now: Instant, edition: Edition) -> OwnCall:
    """SetChargingProfile for one lease."""
    # A station's own id longer than a profile can carry gets a default profile instead.
    is_nameable = bool(order.transaction) and len(order.transaction or "") <= _TRANSACTION_MAX_CHARS
    return _set(
        profiles.lease(order, now, is_nameable=is_nameable, has_dynamic=edition.has_dynamic_profiles),
        edition,
        f"limit/{order.evse.number}",
    )


def limit_answered(order: SetLimit, ended: CallEnded) -> LimitAnswered:
    outcome, detail = outcome_of(ended, _STATUSES)
    return LimitAnswered(order.evse.charger, order.evse.number, order.order_number, outcome, detail)


def fallback_calls(order: InstallFallback, edition: Edition) -> tuple[OwnCall, OwnCall]:
    """The station's rating and the default of all its EVSEs."""
    rating, default = profiles.fallback(order)
    return _set(rating, edition), _set(default, edition)


def fallback_answered(order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
    return profiles.fallback_answered(order, ended, "ChargingStationMaxProfile", lambda call: outcome_of(call, _STATUSES))


def _set(profile: Profile, edition: Edition, slot: str | None = None) -> OwnCall:
    wire: Payload = {
        "id": profile.number,
        "stackLevel": profile.level,
        "chargingProfilePurpose": _PURPOSES[profile.purpose],
        "chargingProfileKind": _KINDS[profile.kind],
        "chargingSchedule": [{"id": profile.number, **profile.schedule}],
    }
    if profile.kind is ProfileKind.DYNAMIC:
        wire["dynUpdateInterval"] = _PULL_INTERVAL_S
    if profile.transaction is not None:
        wire["transactionId"] = profile.transaction
    if profile.valid_to is not None:
        wire["validTo"] = profile.valid_to
    if edition.has_offline_duration and profile.offline_s is not None:
        # The standard's own dead-man switch, for stations that take neither date nor duration seriously. Without
        # invalidAfterOfflineDuration the profile is suspended, not deleted: that spares the station's flash.
        wire["maxOfflineDuration"] = profile.offline_s
    return OwnCall("SetChargingProfile", {"evseId": profile.place, "chargingProfile": wire}, slot=slot)
