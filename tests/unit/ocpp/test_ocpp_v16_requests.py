"""The rarer requests of OCPP 1.6: firmware, logs, lists, reservations, certificates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import BadRequestError
from edgectl.ocpp.rpc import CallEnded, Ending, OwnCall
from edgectl.ocpp.v16 import V16

CODEC = V16()
CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)
AT = "2025-06-01T12:00:00+02:00"
AT_OURS = "2025-06-01T10:00:00.000Z"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}

REQUESTS: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
    (
        "trigger", {"message": "LogStatusNotification"}, "ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"},
    ),
    (
        "get-diagnostics", {"location": "ftp://x", "oldest": AT, "latest": AT, "retries": "2", "retry-interval": "60"},
        "GetDiagnostics",
        {"location": "ftp://x", "startTime": AT_OURS, "stopTime": AT_OURS, "retries": 2, "retryInterval": 60},
    ),
    ("update-firmware", {"location": "ftp://x", "at": AT}, "UpdateFirmware", {"location": "ftp://x", "retrieveDate": AT_OURS}),
    (
        "update-firmware", {"location": "ftp://x", "at": AT, "certificate": "C", "signature": "S", "request": "7"},
        "SignedUpdateFirmware",
        {
            "requestId": 7,
            "firmware": {
                "location": "ftp://x", "retrieveDateTime": AT_OURS, "signingCertificate": "C", "signature": "S",
            },
        },
    ),
    (
        "send-local-list",
        {
            "version": "3",
            "list": json.dumps([{"token": "AB", "status": "accepted", "expires": AT, "group": "G"}, {"token": "CD"}]),
        },
        "SendLocalList",
        {
            "listVersion": 3, "updateType": "Full",
            "localAuthorizationList": [
                {"idTag": "AB", "idTagInfo": {"status": "Accepted", "expiryDate": AT_OURS, "parentIdTag": "G"}}, {"idTag": "CD"},
            ],
        },
    ),
    ("get-local-list-version", {}, "GetLocalListVersion", {}),
    (
        "reserve", {"reservation": "5", "token": "AB", "expires": AT, "group": "G"}, "ReserveNow",
        {"connectorId": 0, "expiryDate": AT_OURS, "idTag": "AB", "reservationId": 5, "parentIdTag": "G"},
    ),
    ("cancel-reservation", {"reservation": "5"}, "CancelReservation", {"reservationId": 5}),
    ("clear-profile", {"profile": "2001"}, "ClearChargingProfile", {"id": 2001}),
    ("clear-lease", {"purpose": "tx-default", "evse": "2"}, "ClearChargingProfile", {"id": 1002}),
    (
        "get-composite-schedule", {"evse": "1", "duration": "600", "unit": "W"}, "GetCompositeSchedule",
        {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"},
    ),
    (
        "get-log", {"location": "ftp://x", "kind": "security", "request": "7"}, "GetLog",
        {"log": {"remoteLocation": "ftp://x"}, "logType": "SecurityLog", "requestId": 7},
    ),
    (
        "install-certificate", {"kind": "csms-root", "certificate": "PEM"}, "InstallCertificate",
        {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"},
    ),
    ("delete-certificate", {"hash": json.dumps(HASH)}, "DeleteCertificate", {"certificateHashData": HASH}),
    (
        "get-certificates", {"kind": "manufacturer-root"}, "GetInstalledCertificateIds",
        {"certificateType": "ManufacturerRootCertificate"},
    ),
    ("certificate-signed", {"chain": "PEM"}, "CertificateSigned", {"certificateChain": "PEM"}),
]  # fmt: skip


def ask(request: str, arguments: dict[str, str] | None = None) -> Ask:
    return Ask(CP, "a-1", request, tuple((arguments or {}).items()))


@pytest.mark.parametrize(
    ("name", "arguments", "action", "payload"), REQUESTS, ids=[f"{name}-{number}" for number, (name, *_) in enumerate(REQUESTS)]
)
def test_a_request_is_written_valid_and_without_absent_fields(
    name: str, arguments: dict[str, str], action: str, payload: object
) -> None:
    (own_call,) = CODEC.request_calls(ask(name, arguments), NOW)
    assert (own_call.action, own_call.payload) == (action, payload)
    assert CODEC.own_call_problem(own_call) is None


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("clear-profile", {"profile": "1"}, "1 to 9 are the persistent fallback and stay"),
        ("get-certificates", {}, "needs 'kind'"),
        ("install-certificate", {"kind": "v2g-root", "certificate": "PEM"}, "allowed are csms-root, manufacturer-root"),
        ("update-firmware", {"location": "ftp://x", "at": AT, "certificate": "C"}, "needs 'signature'"),
        ("get-transaction-status", {}, "OCPP 1.6 has no request 'get-transaction-status'"),
    ],
)
def test_a_request_that_cannot_be_written_says_why(name: str, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(BadRequestError) as problem:
        CODEC.request_calls(ask(name, arguments), NOW)
    assert words in str(problem.value)


@pytest.mark.parametrize(
    ("name", "action", "payload", "outcome", "detail"),
    [
        ("update-firmware", "UpdateFirmware", {}, Outcome.ACCEPTED, ()),
        ("get-diagnostics", "GetDiagnostics", {"fileName": "d.zip"}, Outcome.ACCEPTED, (("file", "d.zip"),)),
        ("get-local-list-version", "GetLocalListVersion", {"listVersion": 0}, Outcome.ACCEPTED, (("version", "0"),)),
        ("get-local-list-version", "GetLocalListVersion", {"listVersion": -1}, Outcome.NOT_SUPPORTED, (("version", "-1"),)),
        ("send-local-list", "SendLocalList", {"status": "VersionMismatch"}, Outcome.REJECTED, ()),
        ("reserve", "ReserveNow", {"status": "Occupied"}, Outcome.REJECTED, ()),
        ("clear-profile", "ClearChargingProfile", {"status": "Unknown"}, Outcome.REJECTED, ()),
        (
            "get-certificates",
            "GetInstalledCertificateIds",
            {"status": "Accepted", "certificateHashData": [{"serialNumber": "01"}]},
            Outcome.ACCEPTED,
            (("certificates", '[{"serialNumber": "01"}]'),),
        ),
        (
            "get-composite-schedule",
            "GetCompositeSchedule",
            {"status": "Accepted", "scheduleStart": AT, "chargingSchedule": {"duration": 600}},
            Outcome.ACCEPTED,
            (("start", AT), ("schedule", '{"duration": 600}')),
        ),
    ],
)
def test_what_an_answer_brings_is_told(name: str, action: str, payload: Any, outcome: Outcome, detail: object) -> None:
    answered = CODEC.request_answered(ask(name), [CallEnded(OwnCall(action, {}), Ending.ANSWERED, payload)])
    assert (answered.outcome, answered.detail) == (outcome, detail)


def test_a_request_number_is_told_in_the_answer() -> None:
    (own_call,) = CODEC.request_calls(ask("get-log", {"location": "ftp://x"}), NOW)
    answered = CODEC.request_answered(ask("get-log"), [CallEnded(own_call, Ending.ANSWERED, {"status": "Accepted"})])
    assert answered.detail == (("request", str(own_call.payload["requestId"])),)
