"""Requests beside limits on OCPP 2.0.1 and 2.1: valid calls from text arguments, clear words for what is not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.ocpp_examples import example

from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import BadRequestError
from edgectl.ocpp.rpc import CallEnded, Ending, OwnCall
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v201 import V201, requests
from edgectl.ocpp.v201.variables import name_of, read_name

CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)
AT = "2025-06-01T10:00:00Z"
AT_OURS = "2025-06-01T10:00:00.000Z"
TX = "2f6e8a0c-6a53-4f5e-9f0e-0d3c1b7a9e42"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
NETWORK = {
    "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "ws://10.0.0.1:8887/ocpp", "messageTimeout": 30,
    "securityProfile": 1, "ocppInterface": "Wired0",
}  # fmt: skip
CENTRAL = {"idToken": "AB", "type": "Central"}
VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}

REQUESTS: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
    ("trigger", {"message": "Heartbeat"}, "TriggerMessage", {"requestedMessage": "Heartbeat"}),
    (
        "trigger", {"message": "MeterValues", "evse": "1"}, "TriggerMessage",
        {"requestedMessage": "MeterValues", "evse": {"id": 1}},
    ),
    (
        "trigger", {"message": "StatusNotification", "evse": "2"}, "TriggerMessage",
        {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}},
    ),
    (
        "remote-start", {"token": "AB", "evse": "1", "request": "7"}, "RequestStartTransaction",
        {"idToken": CENTRAL, "remoteStartId": 7, "evseId": 1},
    ),
    (
        "start-transaction", {"token": "AB", "type": "ISO14443", "request": "7"}, "RequestStartTransaction",
        {"idToken": {"idToken": "AB", "type": "ISO14443"}, "remoteStartId": 7},
    ),
    ("remote-stop", {"transaction": TX}, "RequestStopTransaction", {"transactionId": TX}),
    ("stop-transaction", {"transaction": TX}, "RequestStopTransaction", {"transactionId": TX}),
    ("reset", {}, "Reset", {"type": "OnIdle"}),
    ("reset", {"kind": "hard", "evse": "1"}, "Reset", {"type": "Immediate", "evseId": 1}),
    ("unlock", {"evse": "2"}, "UnlockConnector", {"evseId": 2, "connectorId": 1}),
    ("availability", {"state": "Inoperative"}, "ChangeAvailability", {"operationalStatus": "Inoperative"}),
    (
        "availability", {"state": "operative", "evse": "1"}, "ChangeAvailability",
        {"operationalStatus": "Operative", "evse": {"id": 1}},
    ),
    (
        "get-configuration", {"key": "OCPPCommCtrlr.HeartbeatInterval", "attribute": "target"}, "GetVariables",
        {"getVariableData": [VARIABLE | {"attributeType": "Target"}]},
    ),
    (
        "change-configuration", {"key": "OCPPCommCtrlr.HeartbeatInterval", "value": "300"}, "SetVariables",
        {"setVariableData": [VARIABLE | {"attributeValue": "300"}]},
    ),
    ("get-report", {"request": "7"}, "GetBaseReport", {"requestId": 7, "reportBase": "FullInventory"}),
    ("clear-cache", {}, "ClearCache", {}),
    ("data-transfer", {"vendor": "V", "data": "D"}, "DataTransfer", {"vendorId": "V", "data": "D"}),
    (
        "get-log", {"location": "ftp://x", "kind": "security", "oldest": AT, "retries": "2", "request": "7"}, "GetLog",
        {
            "log": {"remoteLocation": "ftp://x", "oldestTimestamp": AT_OURS}, "logType": "SecurityLog", "requestId": 7,
            "retries": 2,
        },
    ),
    (
        "get-diagnostics", {"location": "ftp://x", "request": "7"}, "GetLog",
        {"log": {"remoteLocation": "ftp://x"}, "logType": "DiagnosticsLog", "requestId": 7},
    ),
    (
        "update-firmware",
        {"location": "ftp://x", "at": AT, "install-at": AT, "certificate": "C", "signature": "S", "request": "7"},
        "UpdateFirmware",
        {
            "requestId": 7,
            "firmware": {
                "location": "ftp://x", "retrieveDateTime": AT_OURS, "installDateTime": AT_OURS, "signingCertificate": "C",
                "signature": "S",
            },
        },
    ),
    (
        "send-local-list",
        {
            "version": "3", "kind": "differential",
            "list": json.dumps([{"token": "AB", "status": "blocked", "expires": AT, "group": "G"}, {"token": "CD"}]),
        },
        "SendLocalList",
        {
            "versionNumber": 3, "updateType": "Differential",
            "localAuthorizationList": [
                {
                    "idToken": {"idToken": "AB", "type": "ISO14443"},
                    "idTokenInfo": {
                        "status": "Blocked", "cacheExpiryDateTime": AT_OURS, "groupIdToken": {"idToken": "G", "type": "Central"},
                    },
                },
                {"idToken": {"idToken": "CD", "type": "ISO14443"}},
            ],
        },
    ),
    ("send-local-list", {"version": "4", "list": "[]"}, "SendLocalList", {"versionNumber": 4, "updateType": "Full"}),
    ("get-local-list-version", {}, "GetLocalListVersion", {}),
    (
        "reserve", {"reservation": "5", "token": "AB", "expires": AT, "evse": "1", "group": "G"}, "ReserveNow",
        {
            "id": 5, "expiryDateTime": AT_OURS, "idToken": CENTRAL, "evseId": 1,
            "groupIdToken": {"idToken": "G", "type": "Central"},
        },
    ),
    ("cancel-reservation", {"reservation": "5"}, "CancelReservation", {"reservationId": 5}),
    ("clear-profile", {"profile": "2001"}, "ClearChargingProfile", {"chargingProfileId": 2001}),
    ("clear-lease", {"purpose": "station-max", "evse": "2"}, "ClearChargingProfile", {"chargingProfileId": 3000}),
    (
        "get-profiles",
        {"request": "7", "evse": "1", "purpose": "tx"},
        "GetChargingProfiles",
        {"requestId": 7, "evseId": 1, "chargingProfile": {"chargingProfilePurpose": "TxProfile"}},
    ),
    (
        "get-profiles",
        {"request": "7", "profile": "2", "purpose": "tx"},
        "GetChargingProfiles",
        {"requestId": 7, "chargingProfile": {"chargingProfileId": [2]}},
    ),
    (
        "get-composite-schedule", {"evse": "1", "duration": "600", "unit": "a"}, "GetCompositeSchedule",
        {"evseId": 1, "duration": 600, "chargingRateUnit": "A"},
    ),
    ("get-transaction-status", {"transaction": TX}, "GetTransactionStatus", {"transactionId": TX}),
    ("get-transaction-status", {}, "GetTransactionStatus", {}),
    (
        "install-certificate", {"kind": "csms-root", "certificate": "PEM"}, "InstallCertificate",
        {"certificateType": "CSMSRootCertificate", "certificate": "PEM"},
    ),
    ("delete-certificate", {"hash": json.dumps(HASH)}, "DeleteCertificate", {"certificateHashData": HASH}),
    ("get-certificates", {}, "GetInstalledCertificateIds", {}),
    (
        "get-certificates", {"kind": "v2g-chain"}, "GetInstalledCertificateIds", {"certificateType": ["V2GCertificateChain"]},
    ),
    (
        "certificate-signed", {"chain": "PEM", "kind": "station"}, "CertificateSigned",
        {"certificateChain": "PEM", "certificateType": "ChargingStationCertificate"},
    ),
    (
        "set-network-profile", {"slot": "1", "data": json.dumps(NETWORK)}, "SetNetworkProfile",
        {"configurationSlot": 1, "connectionData": NETWORK},
    ),
    (
        "customer-information", {"token": "AB", "clear": "true", "request": "7"}, "CustomerInformation",
        {"requestId": 7, "report": True, "clear": True, "idToken": CENTRAL},
    ),
    (
        "customer-information", {"hash": json.dumps(HASH), "customer": "C-1", "request": "7"}, "CustomerInformation",
        {"requestId": 7, "report": True, "clear": False, "customerIdentifier": "C-1", "customerCertificate": HASH},
    ),
    (
        "set-monitoring", {"key": "EVSE@2.Power", "kind": "upper-threshold", "value": "-0.5", "monitor": "3"},
        "SetVariableMonitoring",
        {
            "setMonitoringData": [
                {
                    "component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "Power"}, "type": "UpperThreshold",
                    "value": -0.5, "severity": 5, "id": 3,
                }
            ]
        },
    ),
    ("clear-monitoring", {"monitor": "12"}, "ClearVariableMonitoring", {"id": [12]}),
    ("get-monitoring", {"request": "7"}, "GetMonitoringReport", {"requestId": 7}),
    (
        "get-monitoring", {"request": "7", "key": "EVSE@2.Power"}, "GetMonitoringReport",
        {
            "requestId": 7,
            "componentVariable": [{"component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "Power"}}],
        },
    ),
]  # fmt: skip

codecs = pytest.mark.parametrize("codec", [V201(), V21()], ids=["2.0.1", "2.1"])


def ask(request: str, arguments: dict[str, str] | None = None, ask_id: str = "a-1") -> Ask:
    return Ask(CP, ask_id, request, tuple((arguments or {}).items()))


def ended(action: str, payload: Any, ending: Ending = Ending.ANSWERED, sent: Any = None, code: str = "") -> CallEnded:
    return CallEnded(OwnCall(action, sent or {}), ending, payload, code)


def test_every_request_in_the_table_has_an_example_here() -> None:
    rows = [row.split("|")[1] for row in (requests.__doc__ or "").splitlines() if row.startswith("| ``")]
    assert {name for row in rows for name in re.findall("``([a-z-]+)``", row)} == {name for name, *_ in REQUESTS}


@codecs
@pytest.mark.parametrize(
    ("name", "arguments", "action", "payload"), REQUESTS, ids=[f"{name}-{number}" for number, (name, *_) in enumerate(REQUESTS)]
)
def test_q43_a_request_is_written_valid_and_without_absent_fields(
    codec: V201, name: str, arguments: dict[str, str], action: str, payload: object
) -> None:
    (own_call,) = codec.request_calls(ask(name, arguments), NOW)
    assert (own_call.action, own_call.payload, own_call.slot) == (action, payload, None)
    assert codec.own_call_problem(own_call) is None


@codecs
@pytest.mark.parametrize("is_full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("action", sorted({action for _, _, action, _ in REQUESTS}))
def test_every_valid_answer_is_understood(codec: V201, action: str, is_full: bool) -> None:
    name = next(name for name, _, its_action, _ in REQUESTS if its_action == action)
    payload = example(codec.edition.schema_package, action + "Response", is_full=is_full)
    answered = codec.request_answered(ask(name), [ended(action, payload)])
    assert answered.outcome in {Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SUPPORTED}


def test_several_keys_are_asked_in_one_call() -> None:
    two = Ask(CP, "a", "get-configuration", (("key", "A.B"), ("key", "C.D[x]")))
    (own_call,) = V201().request_calls(two, NOW)
    assert [name_of(data) for data in own_call.payload["getVariableData"]] == ["A.B", "C.D[x]"]


def test_a_request_number_is_made_of_the_ask_and_told_in_the_answer() -> None:
    (first,) = V201().request_calls(ask("get-report"), NOW)
    (again,) = V201().request_calls(ask("get-report"), Instant(5, 5))
    (other,) = V201().request_calls(ask("get-report", ask_id="a-2"), NOW)
    number = first.payload["requestId"]
    assert number == again.payload["requestId"] != other.payload["requestId"]
    assert 0 <= number < 2**31
    answered = V201().request_answered(ask("get-report"), [ended("GetBaseReport", {"status": "Accepted"}, sent=first.payload)])
    assert (answered.outcome, answered.status, answered.detail) == (Outcome.ACCEPTED, "Accepted", (("request", str(number)),))


def test_resetting_and_resuming_is_for_2_1_only() -> None:
    (own_call,) = V21().request_calls(ask("reset", {"kind": "resume"}), NOW)
    assert own_call.payload == {"type": "ImmediateAndResume"}
    assert V21().own_call_problem(own_call) is None
    assert V201().own_call_problem(own_call) is not None


@pytest.mark.parametrize(
    ("name", "arguments", "outcome", "words"),
    [
        ("make-coffee", {}, Outcome.NOT_SUPPORTED, "OCPP 2.0.1 has no request 'make-coffee'"),
        ("remote-stop", {}, Outcome.REJECTED, "needs 'transaction'"),
        ("reset", {"kind": "gentle"}, Outcome.REJECTED, "allowed are on-idle, soft, immediate, hard, resume"),
        ("unlock", {"evse": "first"}, Outcome.REJECTED, "'evse' of unlock is 'first'; it must be a number"),
        ("unlock", {"evse": "\u0661"}, Outcome.REJECTED, "it must be a number"),
        ("get-configuration", {}, Outcome.REJECTED, "needs 'key'"),
        ("get-configuration", {"key": "HeartbeatInterval"}, Outcome.REJECTED, "it must be Component.Variable, such as"),
        ("get-log", {"location": "ftp://x", "oldest": "yesterday"}, Outcome.REJECTED, "it must be a moment such as"),
        ("delete-certificate", {"hash": "[]"}, Outcome.REJECTED, "it must be a JSON object"),
        ("delete-certificate", {"hash": "{"}, Outcome.REJECTED, "it must be a JSON object"),
        ("send-local-list", {"version": "1", "list": "{}"}, Outcome.REJECTED, "it must be a JSON array"),
        ("send-local-list", {"version": "1", "list": "[5]"}, Outcome.REJECTED, "each entry must be an object with a token"),
        (
            "send-local-list",
            {"version": "1", "list": '[{"token":"A","status":"good"}]'},
            Outcome.REJECTED,
            "allowed as status are",
        ),
        (
            "send-local-list",
            {"version": "1", "list": '[{"token":"A","expires":"x"}]'},
            Outcome.REJECTED,
            "expires must be a moment",
        ),
        ("clear-profile", {"profile": "2"}, Outcome.REJECTED, "1 to 9 are the persistent fallback and stay"),
        ("set-monitoring", {"key": "A.B", "kind": "delta", "value": "x"}, Outcome.REJECTED, "it must be a number such as"),
        ("customer-information", {"clear": "yes"}, Outcome.REJECTED, "allowed are true, false"),
    ],
)
def test_a_request_that_cannot_be_written_says_why(name: str, arguments: dict[str, str], outcome: Outcome, words: str) -> None:
    with pytest.raises(BadRequestError) as problem:
        V201().request_calls(ask(name, arguments), NOW)
    assert problem.value.outcome is outcome
    assert words in str(problem.value)


def test_a_value_the_standard_does_not_allow_is_named_before_it_is_sent() -> None:
    (own_call,) = V201().request_calls(ask("trigger", {"message": "Coffee"}), NOW)
    assert "requestedMessage must be one of" in str(V201().own_call_problem(own_call))


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("Accepted", Outcome.ACCEPTED),
        ("AcceptedCanceled", Outcome.ACCEPTED),
        ("Scheduled", Outcome.ACCEPTED),
        ("Unlocked", Outcome.ACCEPTED),
        ("OngoingAuthorizedTransaction", Outcome.REJECTED),
        ("VersionMismatch", Outcome.REJECTED),
        ("NotImplemented", Outcome.NOT_SUPPORTED),
    ],
)
def test_the_stations_own_word_is_kept_beside_the_outcome(status: str, outcome: Outcome) -> None:
    answered = V201().request_answered(ask("unlock"), [ended("UnlockConnector", {"status": status})])
    assert (answered.outcome, answered.status, answered.detail) == (outcome, status, ())


def test_the_stations_reason_is_told() -> None:
    payload = {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidURL", "additionalInfo": "no scheme"}}
    answered = V201().request_answered(ask("get-log"), [ended("GetLog", payload)])
    assert answered.detail == (("problem", "Rejected: InvalidURL: no scheme"),)


def test_a_request_the_station_does_not_know_is_not_supported() -> None:
    answered = V201().request_answered(ask("get-report"), [ended("GetBaseReport", {}, Ending.REFUSED, code="NotImplemented")])
    assert (answered.outcome, answered.detail) == (Outcome.NOT_SUPPORTED, (("problem", "NotImplemented"),))


def test_variables_are_reported_by_name_and_what_is_unknown_is_marked() -> None:
    results = [
        {"attributeStatus": "Accepted", "attributeValue": "300", **VARIABLE},
        {"attributeStatus": "UnknownVariable", "component": {"name": "A"}, "variable": {"name": "B"}},
        {"attributeStatus": "Accepted"},
        5,
    ]
    answered = V201().request_answered(ask("get-configuration"), [ended("GetVariables", {"getVariableResult": results})])
    assert answered.outcome is Outcome.ACCEPTED
    assert answered.detail == (("OCPPCommCtrlr.HeartbeatInterval", "300"), ("unknown-key", "A.B"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("RebootRequired", Outcome.ACCEPTED), ("UnknownVariable", Outcome.REJECTED), (None, Outcome.ERROR)],
)
def test_a_variable_is_changed_or_it_is_said_why_not(status: str | None, outcome: Outcome) -> None:
    result = {"attributeStatus": status, "attributeStatusInfo": {"reasonCode": "ReadOnly"}}
    answered = V201().request_answered(ask("change-configuration"), [ended("SetVariables", {"setVariableResult": [result]})])
    assert (answered.outcome, answered.status) == (outcome, status or "")


def test_an_answer_without_a_result_is_an_error() -> None:
    answered = V201().request_answered(ask("change-configuration"), [ended("SetVariables", {})])
    assert answered.outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("name", "action", "payload", "detail"),
    [
        (
            "get-transaction-status",
            "GetTransactionStatus",
            {"ongoingIndicator": False, "messagesInQueue": True},
            (("ongoing", "false"), ("messages-in-queue", "true")),
        ),
        ("get-local-list-version", "GetLocalListVersion", {"versionNumber": 0}, (("version", "0"),)),
        ("remote-start", "RequestStartTransaction", {"status": "Accepted", "transactionId": TX}, (("transaction", TX),)),
        ("get-log", "GetLog", {"status": "Accepted", "filename": "log.zip"}, (("log", "log.zip"),)),
        (
            "get-composite-schedule",
            "GetCompositeSchedule",
            {"status": "Accepted", "schedule": {"duration": 600}},
            (("schedule", '{"duration": 600}'),),
        ),
        (
            "set-monitoring",
            "SetVariableMonitoring",
            {"setMonitoringResult": [{"id": 12, "status": "Accepted"}]},
            (("monitor", "12"),),
        ),
        (
            "clear-monitoring",
            "ClearVariableMonitoring",
            {"clearMonitoringResult": [{"id": 12, "status": "Accepted"}]},
            (("monitor", "12"),),
        ),
    ],
)
def test_what_an_answer_brings_is_told(name: str, action: str, payload: Any, detail: object) -> None:
    answered = V201().request_answered(ask(name), [ended(action, payload)])
    assert (answered.outcome, answered.detail) == (Outcome.ACCEPTED, detail)


# --- names of variables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["A.B", "A[i].B", "A.B[i]", "A@2.B", "A[i]@2:1.B[j]", "OCPPCommCtrlr.MessageAttempts[TransactionEvent]"],
)
def test_a_name_reads_back_as_it_was_written(name: str) -> None:
    assert name_of(read_name(name) or {}) == name


@pytest.mark.parametrize("name", ["", "A", "A.", ".B", "A.B.C", "A@x.B", "A[.B", "A.B]", "A@2:.B"])
def test_what_is_no_name_is_none(name: str) -> None:
    assert read_name(name) is None
