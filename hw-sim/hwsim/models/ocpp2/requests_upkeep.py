"""What a station answers to calls about tokens, reservations, certificates, logs, firmware and monitors."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hwsim.models.profiles import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwsim.models.ocpp2.requests import Answer, Payload
    from hwsim.models.ocpp2.station import Station20

_PEM = "-----BEGIN CERTIFICATE-----"
NETWORK_SLOTS = (1, 2)


def _send_list(station: Station20, payload: Payload, now_s: float) -> Answer:
    return {"status": station.tokens.send_list(payload)}


def _reserve(station: Station20, payload: Payload, now_s: float) -> Answer:
    if not station.device.flag("ReservationCtrlr.Enabled"):
        return {"status": "Rejected"}
    return {"status": station.drivers.reserve(payload, parse_time(payload["expiryDateTime"]), now_s)}


def _cancel(station: Station20, payload: Payload, now_s: float) -> Answer:
    return {"status": station.drivers.cancel(payload["reservationId"], now_s)}


def _log(station: Station20, payload: Payload, now_s: float) -> Answer:
    status = station.service.send_log(payload["requestId"], now_s)
    return {"status": status, "filename": f"{station.identity}-{payload['logType']}.log"}


def _firmware(station: Station20, payload: Payload, now_s: float) -> Answer:
    firmware = payload["firmware"]
    if "signingCertificate" in firmware and not firmware["signingCertificate"].startswith(_PEM):
        return {"status": "InvalidCertificate"}
    behind_s = station.wall_s(now_s) - now_s
    status = station.service.renew_firmware(
        payload["requestId"],
        parse_time(firmware["retrieveDateTime"]) - behind_s,
        parse_time(firmware["installDateTime"]) - behind_s if "installDateTime" in firmware else now_s,
        is_signed="signature" in firmware,
        now_s=now_s,
    )
    return {"status": status}


def _customer(station: Station20, payload: Payload, now_s: float) -> Answer:
    """N09: about one customer, by one of three names. It knows nobody but by the tokens of its list."""
    names = [key for key in ("idToken", "customerIdentifier", "customerCertificate") if key in payload]
    if len(names) != 1 or not (payload["report"] or payload["clear"]):
        return {"status": "Invalid"}
    token = payload["idToken"]["idToken"] if "idToken" in payload else ""
    known = station.tokens.listed.get(token)
    if payload["clear"]:
        station.tokens.listed.pop(token, None)
    if payload["report"]:
        report = {
            "requestId": payload["requestId"],
            "generatedAt": station.stamp(now_s),
            "seqNo": 0,
            "tbc": False,
            "data": "" if known is None else f"{token} {known}",
        }
        station.wire.ask("NotifyCustomerInformation", report, is_solicited=True)
    return {"status": "Accepted"}


def _network_profile(station: Station20, payload: Payload, now_s: float) -> Answer:
    data = payload["connectionData"]
    if data["ocppTransport"] != "JSON" or data["securityProfile"] < station.device.number("SecurityCtrlr.SecurityProfile"):
        return {"status": "Rejected"}  # never back to less security (A05)
    return {"status": "Accepted" if payload["configurationSlot"] in NETWORK_SLOTS else "Rejected"}


def _monitoring(station: Station20, payload: Payload, now_s: float) -> Answer:
    return {"setMonitoringResult": [station.device.monitor(asked) for asked in payload["setMonitoringData"]]}


def _unmonitor(station: Station20, payload: Payload, now_s: float) -> Answer:
    return {"clearMonitoringResult": [station.device.unmonitor(number) for number in payload["id"]]}


def _monitors(station: Station20, payload: Payload, now_s: float) -> Answer:
    """N02: nothing to tell is an answer of its own."""
    found = station.device.monitored(payload.get("componentVariable", []))
    if not found:
        return {"status": "EmptyResultSet"}
    more = {} if station.version == "2.0.1" else {"eventNotificationType": "CustomMonitor"}
    for entry in found:
        entry["variableMonitoring"] = [one | more for one in entry["variableMonitoring"]]
    report = {"requestId": payload["requestId"], "seqNo": 0, "tbc": False, "generatedAt": station.stamp(now_s), "monitor": found}
    station.wire.ask("NotifyMonitoringReport", report, is_solicited=True)
    return {"status": "Accepted"}


# --- certificates -----------------------------------------------------------------------------------------------------


def _install(station: Station20, payload: Payload, now_s: float) -> Answer:
    if not payload["certificate"].startswith(_PEM):
        return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidCertificate"}}
    if len(station.certificates) >= station.device.number("SecurityCtrlr.CertificateEntries"):
        return {"status": "Failed", "statusInfo": {"reasonCode": "OutOfStorage"}}
    data = _hash_data(payload["certificate"])
    entry = {"certificateType": payload["certificateType"], "certificateHashData": data}
    station.certificates = [one for one in station.certificates if one["certificateHashData"] != data] + [entry]
    return {"status": "Accepted"}


def _hash_data(certificate: str) -> dict[str, Any]:
    """Of the text: nobody compares it with anything but itself."""
    digest = hashlib.sha256(certificate.encode()).hexdigest()
    return {"hashAlgorithm": "SHA256", "issuerNameHash": digest, "issuerKeyHash": digest[::-1], "serialNumber": digest[:16]}


def _delete(station: Station20, payload: Payload, now_s: float) -> Answer:
    kept = [one for one in station.certificates if one["certificateHashData"] != payload["certificateHashData"]]
    has_deleted = len(kept) < len(station.certificates)
    station.certificates = kept
    return {"status": "Accepted" if has_deleted else "NotFound"}


def _certificates(station: Station20, payload: Payload, now_s: float) -> Answer:
    found = [
        one for one in station.certificates if one["certificateType"] in payload.get("certificateType", [one["certificateType"]])
    ]
    return {"status": "Accepted", "certificateHashDataChain": found} if found else {"status": "NotFound"}


def _signed(station: Station20, payload: Payload, now_s: float) -> Answer:
    is_chain = payload["certificateChain"].startswith(_PEM)
    if is_chain:
        return {"status": "Accepted"}
    event = {"type": "InvalidChargingStationCertificate", "timestamp": station.stamp(now_s)}
    station.wire.ask("SecurityEventNotification", event)  # A02.FR.07
    return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidCertificate"}}


HANDLERS: dict[str, Callable[[Station20, Payload, float], Answer]] = {
    "CancelReservation": _cancel,
    "CertificateSigned": _signed,
    "ClearCache": lambda station, payload, now_s: {"status": station.tokens.clear_cache()},
    "ClearVariableMonitoring": _unmonitor,
    "CustomerInformation": _customer,
    "DataTransfer": lambda station, payload, now_s: {"status": "UnknownVendorId"},
    "DeleteCertificate": _delete,
    "GetInstalledCertificateIds": _certificates,
    "GetLocalListVersion": lambda station, payload, now_s: {"versionNumber": station.tokens.version},
    "GetLog": _log,
    "GetMonitoringReport": _monitors,
    "InstallCertificate": _install,
    "ReserveNow": _reserve,
    "SendLocalList": _send_list,
    "SetNetworkProfile": _network_profile,
    "SetVariableMonitoring": _monitoring,
    "UpdateFirmware": _firmware,
}
