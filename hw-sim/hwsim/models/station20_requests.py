"""What a simulated OCPP 2 station answers to the calls of its server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwsim.models.station16_requests import ACCEPTED, REJECTED, Answer, periods_of

if TYPE_CHECKING:
    from hwsim.models.station20 import Station20

REPORT_COUNT = 8
"""Variables in one part of a report."""
_PURPOSES = {"ChargingStationMaxProfile": "ChargePointMaxProfile"}
_BACK = {"ChargePointMaxProfile": "ChargingStationMaxProfile"}


def answer(station: Station20, action: str, payload: dict[str, Any], now_s: float) -> Answer:
    """Carry the call out and answer it."""
    handler = _HANDLERS.get(action)
    if "mute" in station.faults:
        return None
    if action == "UpdateDynamicSchedule" and station.version != "2.1":
        return "NotImplemented"
    return "NotImplemented" if handler is None else handler(station, payload, now_s)


# --- charging profiles ------------------------------------------------------------------------------------------------


def _set_profile(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    station.limits_received += 1
    faults, number, profile = station.faults, payload["evseId"], payload["chargingProfile"]
    schedule = profile["chargingSchedule"][0]
    if "mute-profiles" in faults:
        return None
    if "callerror-profiles" in faults:
        return "NotImplemented"
    if "ignore-profiles" in faults:
        return ACCEPTED
    if "reject-profiles" in faults or ("reject-amps" in faults and schedule["chargingRateUnit"] == "A"):
        return REJECTED
    evse = station.evses.get(number)
    if evse is None and number != 0:
        return REJECTED
    is_dynamic = profile["chargingProfileKind"] == "Dynamic"
    if is_dynamic:
        schedule = schedule | {"startSchedule": station.stamp(now_s)}
    known = {
        "chargingProfileId": profile["id"],
        "stackLevel": profile["stackLevel"],
        "chargingProfilePurpose": _PURPOSES.get(profile["chargingProfilePurpose"], profile["chargingProfilePurpose"]),
        "chargingProfileKind": "Absolute" if is_dynamic else profile["chargingProfileKind"],
        "chargingSchedule": schedule,
        **{key: profile[key] for key in ("validFrom", "validTo", "transactionId", "recurrencyKind") if key in profile},
    }
    transaction = evse.transaction.id if evse is not None and evse.transaction is not None else None
    status = station.profiles.install(number, known, transaction)
    if status == "Accepted" and "maxOfflineDuration" in profile:
        is_gone = bool(profile.get("invalidAfterOfflineDuration", False))
        station.max_offline_s[profile["id"]] = (float(profile["maxOfflineDuration"]), is_gone)
    return {"status": status}


def _update_schedule(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    limit = payload["scheduleUpdate"].get("limit")
    known = [profile for profile in station.profiles.installed if profile.id == payload["chargingProfileId"]]
    if not known or limit is None:
        return REJECTED
    station.limits_received += 1
    changed = replace(known[0], periods=((0.0, float(limit), None),), start_s=station.wall_s(now_s))
    station.profiles.installed = [changed if p is known[0] else p for p in station.profiles.installed]
    return ACCEPTED


def _clear_profile(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    criteria = payload.get("chargingProfileCriteria", {})
    wanted = {
        "id": payload.get("chargingProfileId"),
        "connectorId": criteria.get("evseId"),
        "stackLevel": criteria.get("stackLevel"),
    }
    purpose = criteria.get("chargingProfilePurpose")
    wanted["chargingProfilePurpose"] = _PURPOSES.get(purpose, purpose)
    has_removed = station.profiles.clear(**{key: value for key, value in wanted.items() if value is not None})
    return {"status": "Accepted" if has_removed else "Unknown"}


def _get_profiles(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    found = [p for p in station.profiles.installed if payload.get("evseId") in {None, p.connector}]
    for profile in found:
        schedule = {
            "id": profile.id,
            "chargingRateUnit": profile.unit,
            "chargingSchedulePeriod": [{"startPeriod": int(start_s), "limit": limit} for start_s, limit, _ in profile.periods],
        }
        told = {
            "id": profile.id,
            "stackLevel": profile.level,
            "chargingProfilePurpose": _BACK.get(profile.purpose, profile.purpose),
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [schedule],
        }
        report = {
            "requestId": payload["requestId"],
            "chargingLimitSource": "CSO",
            "evseId": profile.connector,
            "chargingProfile": [told],
            "tbc": profile is not found[-1],
        }
        station.solicited.append(("ReportChargingProfiles", report))
    return {"status": "Accepted" if found else "NoProfiles"}


def _composite(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    number, unit, duration_s = payload["evseId"], payload.get("chargingRateUnit", "A"), payload["duration"]
    if number != 0 and number not in station.evses:
        return REJECTED
    schedule = {
        "evseId": number,
        "duration": duration_s,
        "scheduleStart": station.stamp(now_s),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods_of(station, number, unit, duration_s, now_s),
    }
    return {"status": "Accepted", "schedule": schedule}


# --- its variables ----------------------------------------------------------------------------------------------------


def _base_report(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    if "no-base-report" in station.faults:
        return {"status": "NotSupported"}
    entries = station.device.report()
    parts = [entries[start : start + REPORT_COUNT] for start in range(0, len(entries), REPORT_COUNT)]
    for number, part in enumerate(parts):
        report = {
            "requestId": payload["requestId"],
            "generatedAt": station.stamp(now_s),
            "seqNo": number,
            "tbc": number + 1 < len(parts),
            "reportData": part,
        }
        station.solicited.append(("NotifyReport", report))
    return ACCEPTED


def _set_variables(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    return {"setVariableResult": [station.device.set(entry) for entry in payload["setVariableData"]]}


def _monitoring(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    names = ("component", "variable", "type", "severity")
    data = payload["setMonitoringData"]
    return {"setMonitoringResult": [{n: one[n] for n in names} | {"status": "Rejected"} for one in data]}


# --- what people ask --------------------------------------------------------------------------------------------------


def _start(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    numbers = [payload["evseId"]] if "evseId" in payload else list(station.evses)
    for number in numbers:
        evse = station.evses.get(number)
        if evse is not None and evse.car is not None and evse.transaction is None and evse.is_operative:
            station.start(evse, payload["idToken"]["idToken"], now_s)
            return ACCEPTED
    return REJECTED


def _stop(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    for evse in station.evses.values():
        if evse.transaction is not None and evse.transaction.id == payload["transactionId"]:
            station.stop(evse, "Remote", now_s)
            return ACCEPTED
    return REJECTED


def _reset(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    is_busy = any(evse.transaction is not None for evse in station.evses.values())
    if payload["type"] == "OnIdle" and is_busy:
        return {"status": "Scheduled"}
    station.reset("Immediate", now_s)
    return ACCEPTED


def _unlock(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    evse = station.evses.get(payload["evseId"])
    if evse is None:
        return {"status": "UnknownConnector"}
    return {"status": "OngoingAuthorizedTransaction" if evse.transaction is not None else "Unlocked"}


def _availability(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    if "no-availability" in station.faults:
        return REJECTED
    number = payload.get("evse", {}).get("id", 0)
    if number != 0 and number not in station.evses:
        return REJECTED
    wanted = [evse for one, evse in station.evses.items() if number in {0, one}]
    for evse in wanted:
        evse.is_operative = payload["operationalStatus"] == "Operative"
    station.settle_availability(now_s)
    return {"status": "Scheduled"} if any(evse.transaction and not evse.is_operative for evse in wanted) else ACCEPTED


def _trigger(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    number = payload.get("evse", {}).get("id")
    if number is not None and number not in station.evses:
        return REJECTED
    wanted = [number] if number is not None else list(station.evses)
    match payload["requestedMessage"]:
        case "BootNotification":
            if station.is_booted:
                return REJECTED  # 2.0.1 F06.FR.17: not once it has been accepted
            station.boot(now_s)
        case "Heartbeat":
            station.beat()
        case "MeterValues" | "TransactionEvent":
            for one in wanted:
                station.measure_soon(one, now_s)
        case "StatusNotification":
            for one in wanted:
                station.solicited.append(("StatusNotification", station.status_of(one, now_s)))
        case _:
            return {"status": "NotImplemented"}
    return ACCEPTED


def _local_list(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    station.list_messages.append(payload["updateType"])
    entries = {
        entry["idToken"]["idToken"]: entry.get("idTokenInfo", {}).get("status")
        for entry in payload.get("localAuthorizationList", [])
    }
    if len(entries) > station.configuration.number("SendLocalListMaxLength"):
        return {"status": "Failed"}
    accepted = {token for token, status in entries.items() if status == "Accepted"}
    kept = set() if payload["updateType"] == "Full" else station.known_tokens - entries.keys()
    station.known_tokens = frozenset(kept | accepted)
    station.list_version = payload["versionNumber"]
    return ACCEPTED


def _transaction_status(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    wanted = payload.get("transactionId")
    if wanted is None:
        return {"messagesInQueue": station.queued_count > 0}
    is_running = any(evse.transaction is not None and evse.transaction.id == wanted for evse in station.evses.values())
    return {"ongoingIndicator": is_running, "messagesInQueue": station.queued_count > 0}


def _log(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    station.solicited += [
        ("LogStatusNotification", {"status": status, "requestId": payload["requestId"]}) for status in ("Uploading", "Uploaded")
    ]
    return {"status": "Accepted", "filename": f"{station.identity}.log"}


def _firmware(station: Station20, payload: dict[str, Any], now_s: float) -> Answer:
    station.solicited += [
        ("FirmwareStatusNotification", {"status": status, "requestId": payload["requestId"]})
        for status in ("Downloading", "Downloaded", "Installing", "Installed")
    ]
    return ACCEPTED


_HANDLERS: dict[str, Callable[[Station20, dict[str, Any], float], Answer]] = {
    "CancelReservation": lambda station, payload, now_s: REJECTED,
    "CertificateSigned": lambda station, payload, now_s: ACCEPTED,
    "ChangeAvailability": _availability,
    "ClearCache": lambda station, payload, now_s: ACCEPTED,
    "ClearChargingProfile": _clear_profile,
    "CustomerInformation": lambda station, payload, now_s: {"status": "Invalid"},
    "DataTransfer": lambda station, payload, now_s: {"status": "UnknownVendorId"},
    "DeleteCertificate": lambda station, payload, now_s: {"status": "NotFound"},
    "GetBaseReport": _base_report,
    "GetChargingProfiles": _get_profiles,
    "GetCompositeSchedule": _composite,
    "GetInstalledCertificateIds": lambda station, payload, now_s: {"status": "NotFound"},
    "GetLocalListVersion": lambda station, payload, now_s: {"versionNumber": station.list_version},
    "GetLog": _log,
    "GetTransactionStatus": _transaction_status,
    "GetVariables": lambda station, payload, now_s: {
        "getVariableResult": [station.device.get(entry) for entry in payload["getVariableData"]]
    },
    "InstallCertificate": lambda station, payload, now_s: ACCEPTED,
    "RequestStartTransaction": _start,
    "RequestStopTransaction": _stop,
    "ReserveNow": lambda station, payload, now_s: REJECTED,
    "Reset": _reset,
    "SendLocalList": _local_list,
    "SetChargingProfile": _set_profile,
    "SetNetworkProfile": lambda station, payload, now_s: REJECTED,
    "SetVariableMonitoring": _monitoring,
    "SetVariables": _set_variables,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
    "UpdateDynamicSchedule": _update_schedule,
    "UpdateFirmware": _firmware,
}
