"""What a simulated OCPP 1.6 charge point answers to the calls of its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hwsim.models.profiles import VOLTAGE_V

if TYPE_CHECKING:
    from hwsim.models.station16 import Station16

Answer: TypeAlias = dict[str, Any] | str | None
"""A payload, the code of a CALLERROR, or nothing at all."""

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}
NEVER_ENDS_A = 1_000.0
FLASH_WRITES, FLASH_SPAN_S = 40, 600.0
"""How many profiles a unit with ``worn-flash`` writes in which time."""
"""How a station says that nothing limits it: GetCompositeSchedule has no word for it."""


def answer(station: Station16, action: str, payload: dict[str, Any], now_s: float) -> Answer:
    """Carry the call out and answer it."""
    handler = _HANDLERS.get(action)
    if "mute" in station.faults:
        return None
    return "NotImplemented" if handler is None else handler(station, payload, now_s)


def _set_profile(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    station.limits_received += 1
    faults, connector, profile = station.faults, payload["connectorId"], payload["csChargingProfiles"]
    if "mute-profiles" in faults:
        return None
    if "callerror-profiles" in faults:
        return "NotImplemented"
    if "ignore-profiles" in faults:
        return ACCEPTED
    is_in_amps = profile["chargingSchedule"]["chargingRateUnit"] == "A"
    if "vendor-switch" in faults or ("worn-flash" in faults and not _bears_a_write(station, now_s)):
        return REJECTED
    if ("level-zero-only" in faults and profile["stackLevel"] > 0) or (
        "relative-only" in faults and profile["chargingProfileKind"] != "Relative"
    ):
        return REJECTED
    if "reject-profiles" in faults or ("reject-amps" in faults and is_in_amps):
        return REJECTED
    evse = station.evses.get(connector)
    if evse is None and connector != 0:
        return REJECTED
    transaction = evse.transaction.id if evse is not None and evse.transaction is not None else None
    return {"status": station.profiles.install(connector, profile, transaction)}


def _bears_a_write(station: Station16, now_s: float) -> bool:
    writes = station.profile_writes_s
    while writes and writes[0] <= now_s - FLASH_SPAN_S:
        writes.popleft()
    if len(writes) >= FLASH_WRITES:
        return False
    writes.append(now_s)
    return True


def _clear_profile(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    return {"status": "Accepted" if station.profiles.clear(**payload) else "Unknown"}


def _composite(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    connector, unit = payload["connectorId"], payload.get("chargingRateUnit", "A")
    evse = station.evses.get(connector)
    if evse is None and connector != 0:
        return REJECTED
    phase_count = len(station.wiring)
    began_s = evse.transaction.began_wall_s if evse is not None and evse.transaction is not None else None
    if "odd-schedule" in station.faults:
        period = {"startPeriod": 0, "limit": -1, "numberPhases": -1}
        odd = (
            {"duration": payload["duration"], "chargingSchedulePeriod": [period]}
            if began_s is None
            else {"duration": 8_638_204_580_137, "chargingSchedulePeriod": []}
        )
        return {"status": "Accepted", "connectorId": connector, "chargingSchedule": {"chargingRateUnit": unit, **odd}}
    steps = station.profiles.schedule_a(connector, station.wall_s(now_s), payload["duration"], began_s, phase_count)
    most_a = station.max_a if connector else station.max_a * len(station.evses)
    factor = VOLTAGE_V * phase_count if unit == "W" else 1.0
    periods = [
        {"startPeriod": int(start_s), "limit": round(min(limit_a, most_a, NEVER_ENDS_A) * factor, 1)}
        for start_s, limit_a in steps
    ]
    return {
        "status": "Accepted",
        "connectorId": connector,
        "scheduleStart": station.stamp(now_s),
        "chargingSchedule": {"duration": payload["duration"], "chargingRateUnit": unit, "chargingSchedulePeriod": periods},
    }


def _trigger(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    if "trigger-needs-no-connector" in station.faults and "connectorId" in payload:
        return REJECTED
    if payload.get("connectorId", 1) not in station.evses:
        return REJECTED
    wanted = [payload["connectorId"]] if "connectorId" in payload else list(station.evses)
    match payload["requestedMessage"]:
        case "BootNotification":
            if "boot-on-trigger" in station.faults:
                station.crash()
            else:
                station.boot(now_s)
        case "Heartbeat":
            station.beat()
        case "MeterValues":
            for number in wanted:
                station.measure_soon(number, now_s)
        case "StatusNotification":
            for number in wanted:
                station.evses[number].told_status = ""
            station.report_statuses(now_s)
        case _:
            return {"status": "NotImplemented"}
    return ACCEPTED


def _remote_start(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    if "no-start-profile" in station.faults and "chargingProfile" in payload:
        return REJECTED
    numbers = [payload["connectorId"]] if "connectorId" in payload else list(station.evses)
    for number in numbers:
        evse = station.evses.get(number)
        if evse is None or not station.reservations.admits(number, payload["idTag"]):
            continue
        if evse.car is not None and evse.transaction is None and evse.is_operative:
            station.start(evse, payload["idTag"], now_s)
            if payload.get("chargingProfile"):  # its transaction has no id yet, so the profile names none
                station.profiles.install(number, payload["chargingProfile"], 0)
            return ACCEPTED
    return REJECTED


def _remote_stop(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    for evse in station.evses.values():
        if evse.transaction is not None and evse.transaction.id == payload["transactionId"]:
            station.stop(evse, "Remote", now_s)
            return ACCEPTED
    return REJECTED


def _reset(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    station.reset(payload["type"], now_s)
    return ACCEPTED


def _unlock(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    evse = station.evses.get(payload["connectorId"])
    if evse is None:
        return {"status": "NotSupported"}
    station.stop(evse, "UnlockCommand", now_s)
    return {"status": "Unlocked"}


def _availability(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    if "no-availability" in station.faults:
        return REJECTED
    connector, is_operative = payload["connectorId"], payload["type"] == "Operative"
    if connector != 0 and connector not in station.evses:
        return REJECTED
    wanted = [evse for number, evse in station.evses.items() if connector in {0, number}]
    for evse in wanted:
        evse.is_operative = is_operative
    station.settle_availability(now_s)
    return {"status": "Scheduled"} if not is_operative and any(evse.transaction for evse in wanted) else ACCEPTED


def _local_list(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    station.list_messages.append(payload["updateType"])
    if "differential-fails" in station.faults and payload["updateType"] == "Differential":
        return {"status": "Failed"}
    if len(payload.get("localAuthorizationList", [])) > station.configuration.number("SendLocalListMaxLength"):
        return {"status": "Failed"}
    if payload["updateType"] == "Differential" and payload["listVersion"] <= station.list_version:
        return {"status": "VersionMismatch"}
    entries = {
        entry["idTag"]: entry.get("idTagInfo", {}).get("status") for entry in payload.get("localAuthorizationList", [])
    }  # without idTagInfo an entry of a differential update deletes
    accepted = {tag for tag, status in entries.items() if status == "Accepted"}
    kept = set() if payload["updateType"] == "Full" else station.known_tokens - entries.keys()
    station.known_tokens = frozenset(kept | accepted)
    station.list_version = payload["listVersion"]
    return ACCEPTED


def _clear_cache(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    station.cache_cleared_count += 1
    return ACCEPTED


def _get_configuration(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    wanted = payload.get("key", [])
    if "mute-configuration" in station.faults or ("no-read-all" in station.faults and not wanted):
        return None
    if "four-keys" in station.faults and not 0 < len(wanted) <= 4:
        station.crash()
        return None
    return station.configuration.get(wanted)


def _change_configuration(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    if "restart-on-write" in station.faults and payload["key"] == "ConnectionTimeOut":
        station.crash()
        return None
    return {"status": station.configuration.change(payload["key"], payload["value"])}


def _reserve(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    status = station.reservations.reserve(payload, station.evses.get(payload["connectorId"]), station.wall_s(now_s))
    station.settle_reservations(now_s)
    return {"status": status}


def _cancel_reservation(station: Station16, payload: dict[str, Any], now_s: float) -> Answer:
    was_held = station.reservations.cancel(payload["reservationId"])
    station.settle_reservations(now_s)
    return ACCEPTED if was_held else REJECTED


_HANDLERS = {
    "CancelReservation": _cancel_reservation,
    "ChangeAvailability": _availability,
    "ChangeConfiguration": _change_configuration,
    "ClearCache": _clear_cache,
    "ClearChargingProfile": _clear_profile,
    "DataTransfer": lambda station, payload, now_s: {"status": "UnknownVendorId"},
    "GetCompositeSchedule": _composite,
    "GetConfiguration": _get_configuration,
    "GetLocalListVersion": lambda station, payload, now_s: {"listVersion": station.list_version},
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "ReserveNow": _reserve,
    "Reset": _reset,
    "SendLocalList": _local_list,
    "SetChargingProfile": _set_profile,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
}
