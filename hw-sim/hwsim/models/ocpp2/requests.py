"""What a station answers to the calls of its server. What is in no table is NotImplemented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hwsim.models.evse import Evse
from hwsim.models.ocpp2 import requests_charging, requests_upkeep
from hwsim.models.ocpp2.drivers import Remote
from hwsim.models.ocpp2.transactions import running_at

if TYPE_CHECKING:
    from hwsim.models.ocpp2.station import Station20

Payload: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, Any] | str | None
"""A payload, the code of a CALLERROR, or nothing at all."""

_NEW_IN_21 = frozenset({"UpdateDynamicSchedule"})


def answer(station: Station20, action: str, payload: Payload, now_s: float) -> Answer:
    """Carry the call out and answer it."""
    handler = _HANDLERS.get(action)
    if handler is None or (action in _NEW_IN_21 and station.version != "2.1"):
        return "NotImplemented"
    return handler(station, payload, now_s)


def status(word: str, reason: str = "") -> Payload:
    """An answer that is a status, with a reason code of the standard where there is one."""
    return {"status": word, "statusInfo": {"reasonCode": reason}} if reason else {"status": word}


# --- transactions -----------------------------------------------------------------------------------------------------


def _start(station: Station20, payload: Payload, now_s: float) -> Answer:
    if not station.is_accepted:
        return status("Rejected", "NotAccepted")  # B02.FR.05
    evse = _free_evse(station, payload)
    if evse is None:
        return status("Rejected", "TxInProgress" if station.is_busy else "UnknownEvse")
    profile = payload.get("chargingProfile")
    if profile is not None:
        reason = "InvalidProfile" if profile["chargingProfilePurpose"] != "TxProfile" or "transactionId" in profile else ""
        reason = reason or station.profiles.refusal(evse.number, profile, None, is_new_transaction=True)
        if reason:
            return status("Rejected", reason)
    running = running_at(evse)
    token = payload["idToken"]
    until_s = now_s + station.device.number("TxCtrlr.EVConnectionTimeOut")
    remote = Remote(token["idToken"], token["type"], payload["remoteStartId"], until_s, profile)
    station.drivers.start_remotely(evse, remote, now_s)
    if "other-remote-name" in station.faults:
        return {"status": "Accepted", "transactionId": "1"}
    return {"status": "Accepted"} | ({} if running is None else {"transactionId": running.id})


def _free_evse(station: Station20, payload: Payload) -> Evse | None:
    """Where a start from afar goes: to the EVSE it names, else to one with a car, else to one without."""
    token = payload["idToken"]["idToken"]
    found = []
    for number in [payload["evseId"]] if "evseId" in payload else list(station.evses):
        evse = station.evses.get(number)
        if evse is None or not evse.is_operative:
            continue
        running, reserved = running_at(evse), station.drivers.reservation_at(number)
        is_taken = running is not None and bool(running.token)
        if not is_taken and (reserved is None or reserved.token == token):
            found.append(evse)
    return min(found, key=lambda evse: (evse.car is None, evse.number), default=None)


def _stop(station: Station20, payload: Payload, now_s: float) -> Answer:
    for evse in station.evses.values():
        running = running_at(evse)
        if running is not None and running.id == payload["transactionId"]:
            station.stop(evse, "Remote", now_s)
            return status("Accepted")
    return status("Rejected", "TxNotFound")


def _transaction_status(station: Station20, payload: Payload, now_s: float) -> Answer:
    wanted = payload.get("transactionId")
    waiting = [kept.payload["transactionInfo"]["transactionId"] for kept in station.wire.kept]
    if wanted is None:
        return {"messagesInQueue": bool(waiting)}
    is_running = any(running is not None and running.id == wanted for running in map(running_at, station.evses.values()))
    return {"ongoingIndicator": is_running, "messagesInQueue": wanted in waiting}


# --- the station ------------------------------------------------------------------------------------------------------


def _reset(station: Station20, payload: Payload, now_s: float) -> Answer:
    if "evseId" in payload:
        return status("Rejected", "UnsupportedRequest")  # it cannot restart one EVSE alone (B11.FR.10)
    if payload["type"] == "ImmediateAndResume":
        return status("Rejected", "UnsupportedParam")
    if payload["type"] == "OnIdle" and station.is_busy:
        station.reset_when_idle()
        return status("Scheduled")
    station.reset("RemoteReset", now_s)
    return status("Accepted")


def _unlock(station: Station20, payload: Payload, now_s: float) -> Answer:
    evse = station.evses.get(payload["evseId"])
    if evse is None or payload["connectorId"] != 1:
        return status("UnknownConnector")
    running = running_at(evse)
    is_authorised = running is not None and running.is_authorised
    return status("OngoingAuthorizedTransaction" if is_authorised else "Unlocked")


def _availability(station: Station20, payload: Payload, now_s: float) -> Answer:
    number = payload["evse"]["id"] if "evse" in payload else None
    wanted = [evse for evse in station.evses.values() if number in {None, evse.number}]
    if not wanted:
        return status("Rejected", "UnknownEvse")
    for evse in wanted:
        evse.is_operative = payload["operationalStatus"] == "Operative"
    station.report_statuses(now_s)
    is_later = any(evse.transaction is not None and not evse.is_operative for evse in wanted)
    return status("Scheduled" if is_later else "Accepted")


def _trigger(station: Station20, payload: Payload, now_s: float) -> Answer:
    place = payload.get("evse", {})
    wanted = [evse for evse in station.evses.values() if place.get("id") in {None, evse.number}]
    if not wanted or place.get("connectorId", 1) != 1:
        return status("Rejected", "UnknownEvse")
    match payload["requestedMessage"]:
        case "BootNotification":
            if station.is_accepted:
                return status("Rejected", "NotEnabled")  # F06.FR.17: not once it has been accepted
            station.boot(now_s, "Triggered")
        case "Heartbeat":
            station.beat(is_solicited=True)
        case "MeterValues":
            for evse in wanted:
                station.service.tell_values(evse, "Trigger", now_s, is_solicited=True)
        case "TransactionEvent":
            for evse in wanted:
                station.service.measure_now(evse, now_s)
        case "StatusNotification":
            if "connectorId" not in place:
                return status("Rejected", "MissingParam")  # F06.FR.13
            station.wire.ask("StatusNotification", station.status_of(wanted[0], now_s), is_solicited=True)
        case "LogStatusNotification" | "FirmwareStatusNotification" as action:
            station.wire.ask(action, station.service.status(action), is_solicited=True)
        case _:
            return status("NotImplemented")
    return status("Accepted")


# --- its variables ----------------------------------------------------------------------------------------------------


def _base_report(station: Station20, payload: Payload, now_s: float) -> Answer:
    if "no-base-report" in station.faults:
        return status("NotSupported")
    station.device.put("ClockCtrlr.DateTime", station.stamp(now_s))
    entries = station.device.report(payload["reportBase"])
    count = station.device.number("DeviceDataCtrlr.ItemsPerMessage[GetReport]")
    parts = [entries[start : start + count] for start in range(0, len(entries), count)]
    for number, part in enumerate(parts):
        report = {
            "requestId": payload["requestId"],
            "generatedAt": station.stamp(now_s),
            "seqNo": number,
            "tbc": number + 1 < len(parts),
            "reportData": part,
        }
        station.wire.ask("NotifyReport", report, is_solicited=True)
    return status("Accepted" if parts else "EmptyResultSet")


def _get_variables(station: Station20, payload: Payload, now_s: float) -> Answer:
    if len(payload["getVariableData"]) > station.device.number("DeviceDataCtrlr.ItemsPerMessage[GetVariables]"):
        return "OccurrenceConstraintViolation"  # B06.FR.16
    station.device.put("ClockCtrlr.DateTime", station.stamp(now_s))
    return {"getVariableResult": [station.device.get(asked) for asked in payload["getVariableData"]]}


def _set_variables(station: Station20, payload: Payload, now_s: float) -> Answer:
    if len(payload["setVariableData"]) > station.device.number("DeviceDataCtrlr.ItemsPerMessage[SetVariables]"):
        return "OccurrenceConstraintViolation"  # B05.FR.11
    return {"setVariableResult": [station.device.set(asked) for asked in payload["setVariableData"]]}


_HANDLERS = {
    "ChangeAvailability": _availability,
    "GetBaseReport": _base_report,
    "GetTransactionStatus": _transaction_status,
    "GetVariables": _get_variables,
    "RequestStartTransaction": _start,
    "RequestStopTransaction": _stop,
    "Reset": _reset,
    "SetVariables": _set_variables,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
    **requests_charging.HANDLERS,
    **requests_upkeep.HANDLERS,
}
