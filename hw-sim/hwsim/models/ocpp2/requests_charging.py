"""What a station answers to calls about charging profiles (block K)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwsim.models.ocpp2.transactions import running_at
from hwsim.models.profiles import VOLTAGE_V

if TYPE_CHECKING:
    from hwsim.models.ocpp2.requests import Answer, Payload
    from hwsim.models.ocpp2.station import Station20

NEVER_ENDS_A = 1_000.0
"""How a station says that nothing limits it: GetCompositeSchedule has no word for it."""


def _set_profile(station: Station20, payload: Payload, now_s: float) -> Answer:
    station.limits_received += 1
    number, profile = payload["evseId"], payload["chargingProfile"]
    if "mute-profiles" in station.faults:
        return None
    if "ignore-profiles" in station.faults:
        return {"status": "Accepted"}
    if "reject-profiles" in station.faults:
        return _rejected("UnspecifiedReason")
    if not station.device.flag("SmartChargingCtrlr.Enabled"):
        return _rejected("NotEnabled")
    evse = station.evses.get(number)
    if evse is None and number != 0:
        return _rejected("UnknownEvse")
    if profile["chargingProfileKind"] == "Dynamic" and station.version != "2.1":
        return "PropertyConstraintViolation"
    running = running_at(evse) if evse is not None else None
    reason = station.profiles.refusal(number, profile, running.id if running is not None else None)
    if reason:
        return _rejected(reason)
    station.profiles.take(number, profile, now_s)
    return {"status": "Accepted"}


def _clear_profile(station: Station20, payload: Payload, now_s: float) -> Answer:
    has_cleared = station.profiles.clear(payload.get("chargingProfileId"), payload.get("chargingProfileCriteria", {}))
    return {"status": "Accepted" if has_cleared else "Unknown"}


def _get_profiles(station: Station20, payload: Payload, now_s: float) -> Answer:
    """ReportChargingProfiles follow, one for each source and EVSE (K09)."""
    criteria = payload["chargingProfile"] | ({"evseId": payload["evseId"]} if "evseId" in payload else {})
    found = station.profiles.find(criteria, *criteria.get("chargingProfileId", []))
    places = sorted({(record.source, record.evse) for record in found})
    for source, number in places:
        report = {
            "requestId": payload["requestId"],
            "chargingLimitSource": source,
            "evseId": number,
            "chargingProfile": [record.profile for record in found if (record.source, record.evse) == (source, number)],
            "tbc": (source, number) != places[-1],
        }
        station.wire.ask("ReportChargingProfiles", report, is_solicited=True)
    return {"status": "Accepted" if found else "NoProfiles"}


def _composite(station: Station20, payload: Payload, now_s: float) -> Answer:
    number, unit = payload["evseId"], payload.get("chargingRateUnit", "A")
    evse = station.evses.get(number)
    if evse is None and number != 0:
        return _rejected("UnknownEvse")
    phase_count, wall_s = len(station.wiring), station.wall_s(now_s)
    transaction = evse.transaction if evse is not None else None
    began_s = transaction.began_wall_s if transaction is not None else None
    steps = station.profiles.schedule_a(number, wall_s, payload["duration"], began_s, phase_count)
    most_a = station.max_a if number else station.max_a * len(station.evses)
    factor = VOLTAGE_V * phase_count if unit == "W" else 1.0
    periods = [
        {"startPeriod": int(start_s), "limit": round(min(limit_a, most_a, NEVER_ENDS_A) * factor, 1)}
        for start_s, limit_a in steps
    ]
    schedule = {
        "evseId": number,
        "duration": payload["duration"],
        "scheduleStart": station.stamp(now_s),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods,
    }
    return {"status": "Accepted", "schedule": schedule}


def _update_schedule(station: Station20, payload: Payload, now_s: float) -> Answer:
    is_known = station.profiles.change(payload["chargingProfileId"], payload["scheduleUpdate"], now_s)
    return {"status": "Accepted"} if is_known else _rejected("InvalidProfile")


def _rejected(reason: str) -> dict[str, Any]:
    return {"status": "Rejected", "statusInfo": {"reasonCode": reason}}


HANDLERS = {
    "ClearChargingProfile": _clear_profile,
    "GetChargingProfiles": _get_profiles,
    "GetCompositeSchedule": _composite,
    "SetChargingProfile": _set_profile,
    "UpdateDynamicSchedule": _update_schedule,
}
