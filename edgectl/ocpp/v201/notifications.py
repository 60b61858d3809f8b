"""What a station tells us that needs an answer and a note, but no decision."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from edgectl.domain.events import Call, CertificateRequested, ChargerNotified, Event
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.fields import TEXT_MAX_CHARS, pairs_of, text_of
from edgectl.ocpp.frames import Fault, Payload
from edgectl.ocpp.v201 import variables

_LISTED_MAX = 50
"""Elements noted from one list; stations split longer ones into several messages (ItemsPerMessage is at most some tens)."""
_VARIABLES_MAX = 500
"""Variables noted from one report message; a whole full inventory has about as many."""

_STATION = "ChargingStationCertificate"
_CERTIFICATE_KINDS = {_STATION: "station", "V2GCertificate": "v2g", "V2G20Certificate": "v2g"}

_REPORT = {"request": "requestId", "sequence": "seqNo", "more": "tbc"}
"""What every message has that is part of a report."""


def noted(kind: str, **fields: str) -> Callable[[Call, Payload], Event | DecodeProblem]:
    """A reader that notes the values under the given keys, under our names for them."""

    def read(call: Call, payload: Payload) -> Event | DecodeProblem:
        return ChargerNotified(call, kind, pairs_of(payload, **fields))

    return read


def listed(kind: str, word: str, key: str, **fields: str) -> Callable[[Call, Payload], Event | DecodeProblem]:
    """The same, and each element of the list under ``key`` as JSON: ``word 1``, ``word 2`` and so on."""

    def read(call: Call, payload: Payload) -> Event | DecodeProblem:
        elements = _list(payload, key)
        numbered = tuple(
            (f"{word} {number}", json.dumps(element)[:TEXT_MAX_CHARS])
            for number, element in enumerate(elements[:_LISTED_MAX], start=1)
        )
        return ChargerNotified(call, kind, pairs_of(payload, **fields) + numbered + _left_out(elements, _LISTED_MAX))

    return read


def data_transfer(call: Call, payload: Payload) -> Event | DecodeProblem:
    if text_of(payload.get("vendorId"), 255) is None:
        return DecodeProblem(Fault.MISSING, "vendorId is missing")
    return ChargerNotified(call, "data-transfer", pairs_of(payload, vendor="vendorId", message="messageId", data="data"))


def report(call: Call, payload: Payload) -> Event | DecodeProblem:
    """Part of the device model: names and actual values, other attributes under ``name:attribute``, and ``read-only`` names."""
    pairs = list(pairs_of(payload, **_REPORT))
    entries = _list(payload, "reportData")
    for entry in entries[:_VARIABLES_MAX]:
        name = variables.name_of(entry) if isinstance(entry, dict) else None
        if name is not None:
            pairs += [(name + suffix, value) for suffix, value in _attributes(entry)]
            if _is_read_only(entry):
                pairs.append(("read-only", name))
    return ChargerNotified(call, "report", tuple(pairs) + _left_out(entries, _VARIABLES_MAX))


def charging_limit(call: Call, payload: Payload) -> Event | DecodeProblem:
    limit = payload.get("chargingLimit")
    pairs = pairs_of(payload, evse="evseId", schedule="chargingSchedule")
    if isinstance(limit, dict):
        pairs = pairs_of(limit, source="chargingLimitSource", critical="isGridCritical") + pairs
    return ChargerNotified(call, "charging-limit", pairs)


def charging_needs(call: Call, payload: Payload) -> Event | DecodeProblem:
    needs = payload.get("chargingNeeds")
    pairs = pairs_of(payload, evse="evseId", needs="chargingNeeds")
    if isinstance(needs, dict):
        pairs += pairs_of(needs, transfer="requestedEnergyTransfer", departure="departureTime")
    return ChargerNotified(call, "charging-needs", pairs)


def sign_certificate(call: Call, payload: Payload) -> Event | DecodeProblem:
    csr = payload.get("csr")
    if not isinstance(csr, str) or not csr:
        return DecodeProblem(Fault.MISSING, "csr is missing")
    # Without a type it is the station's own (2.0.1 A02.FR.01).
    kind = _CERTIFICATE_KINDS.get(text_of(payload.get("certificateType"), 50) or _STATION, "other")
    return CertificateRequested(call, csr, kind)


READERS: dict[str, Callable[[Call, Payload], Event | DecodeProblem]] = {
    "ClearedChargingLimit": noted("charging-limit-cleared", source="chargingLimitSource", evse="evseId"),
    "DataTransfer": data_transfer,
    "FirmwareStatusNotification": noted("firmware-status", status="status", request="requestId"),
    "Get15118EVCertificate": noted("vehicle-certificate-request", action="action", schema="iso15118SchemaVersion"),
    "GetCertificateStatus": noted("certificate-status-request", data="ocspRequestData"),
    "LogStatusNotification": noted("log-status", status="status", request="requestId"),
    "NotifyChargingLimit": charging_limit,
    "NotifyCustomerInformation": noted("customer-information", data="data", **_REPORT),
    "NotifyDisplayMessages": listed("display-messages", "message", "messageInfo", **_REPORT),
    "NotifyEVChargingNeeds": charging_needs,
    "NotifyEVChargingSchedule": noted("charging-schedule", evse="evseId", at="timeBase", schedule="chargingSchedule"),
    "NotifyEvent": listed("monitor-event", "event", "eventData", sequence="seqNo", more="tbc"),
    "NotifyMonitoringReport": listed("monitoring-report", "monitor", "monitor", **_REPORT),
    "NotifyReport": report,
    "PublishFirmwareStatusNotification": noted(
        "firmware-publishing-status", status="status", request="requestId", location="location"
    ),
    "ReportChargingProfiles": listed(
        "charging-profiles", "profile", "chargingProfile", source="chargingLimitSource", evse="evseId", **_REPORT
    ),
    "ReservationStatusUpdate": noted("reservation-status", reservation="reservationId", status="reservationUpdateStatus"),
    "SecurityEventNotification": noted("security-event", type="type", at="timestamp", info="techInfo"),
    "SignCertificate": sign_certificate,
}


def _attributes(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Suffix and value of each attribute that has a value. An empty one is a value; write-only variables tell none."""
    found = []
    for attribute in _list(entry, "variableAttribute")[:4]:
        value = attribute.get("value") if isinstance(attribute, dict) else None
        if value is not None:
            kind = text_of(attribute.get("type"), 20) or "Actual"
            found.append(("" if kind == "Actual" else f":{kind}", text_of(value) or ""))
    return found


def _is_read_only(entry: dict[str, Any]) -> bool:
    return any(
        isinstance(attribute, dict)
        and text_of(attribute.get("type"), 20) in {None, "Actual"}
        and text_of(attribute.get("mutability"), 20) == "ReadOnly"
        for attribute in _list(entry, "variableAttribute")[:4]
    )


def _list(payload: Payload, key: str) -> list[Any]:
    value = payload.get(key)
    return value if isinstance(value, list) else []


def _left_out(elements: list[Any], maximum: int) -> tuple[tuple[str, str], ...]:
    return (("left-out", str(len(elements) - maximum)),) if len(elements) > maximum else ()
