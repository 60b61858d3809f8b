"""OCPP 2.0.1: each message there and back, and what real stations make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.ocpp_examples import example

from edgectl.domain.decisions import Acknowledge, Answer, BootAnswer, CertificateAnswer, TokenAnswer, TokenVerdict
from edgectl.domain.events import (
    Call,
    CertificateRequested,
    ChargerBooted,
    ChargerNotified,
    ConnectorStatus,
    HeartbeatReceived,
    MeterValuesReported,
    StatusReported,
    TokenPresented,
)
from edgectl.domain.ids import ChargerId, IdToken
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.frames import Fault
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.v201 import V201

CODEC = V201(accepted_vendors=["com.example"])
SCHEMAS = Schemas("ocpp.v201.schemas", "Request")
CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)  # 2025-06-01T10:00:00Z

INBOUND = [
    "Authorize", "BootNotification", "ClearedChargingLimit", "DataTransfer", "FirmwareStatusNotification",
    "Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues", "NotifyChargingLimit",
    "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule", "NotifyEvent",
    "NotifyMonitoringReport", "NotifyReport", "PublishFirmwareStatusNotification", "ReportChargingProfiles",
    "ReservationStatusUpdate", "SecurityEventNotification", "SignCertificate", "StatusNotification", "TransactionEvent",
]  # fmt: skip


def call_of(action: str, payload: object) -> Call:
    return Call(CP, 1, "id", action, json.dumps([2, "id", action, payload]))


def decode(action: str, payload: dict[str, Any]) -> Any:
    return CODEC.decode(call_of(action, payload), payload)


def encode(answer: Answer, action: str, payload: object = None) -> Any:
    encoded = CODEC.encode_answer(answer, call_of(action, payload or {}), NOW)
    assert SCHEMAS.response_problem(action, encoded) is None
    assert "null" not in json.dumps(encoded)  # Q43: some firmware crashes on null
    return encoded


def natural_answer(event: Any) -> Answer:
    match event:
        case ChargerBooted():
            return BootAnswer(True, 300)
        case TokenPresented():
            return TokenAnswer(TokenVerdict(TokenStatus.ACCEPTED))
        case CertificateRequested():
            return CertificateAnswer(is_accepted=False)
    return Acknowledge()


@pytest.mark.parametrize("is_full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("action", INBOUND)
def test_every_message_is_an_event_and_its_answer_is_valid(action: str, is_full: bool) -> None:
    payload = example("ocpp.v201.schemas", action + "Request", is_full=is_full)
    assert SCHEMAS.request_problem(action, payload) is None
    assert CODEC.deviation(action, payload) is None
    event = decode(action, payload)
    assert not isinstance(event, DecodeProblem)
    hash(event)
    encode(natural_answer(event), action, payload)


@pytest.mark.parametrize("action", sorted(set(INBOUND) - CODEC.never_refused))
def test_every_message_without_a_single_field_is_an_event_or_a_clear_refusal(action: str) -> None:
    event = decode(action, {})
    if isinstance(event, DecodeProblem):
        assert event.fault is Fault.MISSING
        assert event.reason.endswith("is missing")
    else:
        encode(natural_answer(event), action)


def test_boot_notification() -> None:
    station = {"vendorName": "V", "model": "M", "serialNumber": "S", "firmwareVersion": "1.2"}
    payload = {"reason": "PowerUp", "chargingStation": station}
    assert decode("BootNotification", payload) == ChargerBooted(call_of("BootNotification", payload), "V", "M", "S", "1.2")
    assert encode(BootAnswer(True, 300), "BootNotification") == {
        "currentTime": "2025-06-01T10:00:00.000Z",
        "interval": 300,
        "status": "Accepted",
    }
    assert encode(BootAnswer(False, 60), "BootNotification")["status"] == "Pending"


@pytest.mark.parametrize(
    ("payload", "vendor"),
    [({}, ""), ({"chargingStation": 5}, ""), ({"chargePointVendor": "V", "chargePointModel": "M"}, "V")],
)
def test_a_boot_in_words_of_1_6_or_none_is_still_a_boot(payload: dict[str, Any], vendor: str) -> None:
    assert decode("BootNotification", payload).vendor == vendor
    assert CODEC.deviation("BootNotification", payload) is not None


def test_heartbeat() -> None:
    assert isinstance(decode("Heartbeat", {}), HeartbeatReceived)
    assert encode(Acknowledge(), "Heartbeat") == {"currentTime": "2025-06-01T10:00:00.000Z"}


def test_authorize() -> None:
    event = decode("Authorize", {"idToken": {"idToken": "04AABB", "type": "ISO14443"}})
    assert event.token == "04AABB"
    verdict = TokenVerdict(TokenStatus.CONCURRENT, expires_utc_ms=NOW.utc_ms, group=IdToken("FLEET"))
    assert encode(TokenAnswer(verdict), "Authorize") == {
        "idTokenInfo": {
            "status": "ConcurrentTx",
            "cacheExpiryDateTime": "2025-06-01T10:00:00.000Z",
            "groupIdToken": {"idToken": "FLEET", "type": "Central"},
        }
    }


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (TokenStatus.ACCEPTED, "Accepted"),
        (TokenStatus.BLOCKED, "Blocked"),
        (TokenStatus.EXPIRED, "Expired"),
        (TokenStatus.UNKNOWN, "Unknown"),
        (TokenStatus.CONCURRENT, "ConcurrentTx"),
    ],
)
def test_every_verdict_has_its_word(status: TokenStatus, word: str) -> None:
    assert encode(TokenAnswer(TokenVerdict(status)), "Authorize") == {"idTokenInfo": {"status": word}}


def test_a_group_longer_than_the_wire_allows_is_left_out() -> None:
    verdict = TokenVerdict(TokenStatus.ACCEPTED, group=IdToken("x" * 37))
    assert encode(TokenAnswer(verdict), "Authorize") == {"idTokenInfo": {"status": "Accepted"}}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Available", ConnectorStatus.AVAILABLE),
        ("Occupied", ConnectorStatus.OCCUPIED),
        ("faulted", ConnectorStatus.FAULTED),
        ("Sleeping", ConnectorStatus.UNKNOWN),
    ],
)
def test_status_notification(word: str, status: ConnectorStatus) -> None:
    payload = {"timestamp": "2025-06-01T10:00:00Z", "connectorStatus": word, "evseId": 2, "connectorId": 1}
    event = decode("StatusNotification", payload)
    assert isinstance(event, StatusReported)
    assert (event.evse_number, event.connector_number, event.status) == (2, 1, status)
    assert event.reported_utc_ms == NOW.utc_ms
    assert encode(Acknowledge(), "StatusNotification") == {}


def test_a_status_without_a_connector_is_of_the_first_one_of_its_evse() -> None:
    assert decode("StatusNotification", {"connectorStatus": "Available", "evseId": "3"}).connector_number == 1
    assert decode("StatusNotification", {"connectorStatus": "Available", "evseId": 0}).connector_number == 0


def test_meter_values_outside_a_transaction() -> None:
    element = {"timestamp": "2025-06-01T10:00:00Z", "sampledValue": [{"value": 7_500}]}
    event = decode("MeterValues", {"evseId": 1, "meterValue": [element]})
    assert isinstance(event, MeterValuesReported)
    assert (event.evse_number, event.transaction) == (1, None)
    assert [sample.energy_wh for sample in event.samples] == [7_500]
    assert encode(Acknowledge(), "MeterValues") == {}


@pytest.mark.parametrize("meter_value", [None, 5, "x", [5], [{}], [{"sampledValue": 5}], {"sampledValue": {"value": "5"}}])
def test_q33_meter_values_of_the_wrong_shape_are_an_event_all_the_same(meter_value: object) -> None:
    event = decode("MeterValues", {"evseId": "one", "meterValue": meter_value})
    assert isinstance(event, MeterValuesReported)
    assert event.samples[-1].dropped == ("evseId",)


# --- notes ------------------------------------------------------------------------------------------------------------


def test_a_report_is_noted_by_name_and_value() -> None:
    payload = {
        "requestId": 7,
        "generatedAt": "2025-06-01T10:00:00Z",
        "seqNo": 0,
        "tbc": True,
        "reportData": [
            {
                "component": {"name": "OCPPCommCtrlr"},
                "variable": {"name": "MessageAttempts", "instance": "TransactionEvent"},
                "variableAttribute": [{"value": "3"}, {"type": "MaxSet", "value": "10"}, {"type": "Target"}],
            },
            {
                "component": {"name": "EVSE", "evse": {"id": 2, "connectorId": 1}},
                "variable": {"name": "Power"},
                "variableAttribute": [{"type": "Actual", "value": "11"}],
            },
            "rubbish",
        ],
    }
    assert decode("NotifyReport", payload) == ChargerNotified(
        call_of("NotifyReport", payload),
        "report",
        (
            ("request", "7"),
            ("sequence", "0"),
            ("more", "true"),
            ("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "3"),
            ("OCPPCommCtrlr.MessageAttempts[TransactionEvent]:MaxSet", "10"),
            ("EVSE@2:1.Power", "11"),
        ),
    )


def test_one_report_cannot_bring_variables_without_end() -> None:
    entry = {"component": {"name": "C"}, "variable": {"name": "V"}, "variableAttribute": [{"value": "1"}]}
    event = decode("NotifyReport", {"reportData": [entry] * 600})
    assert len(event.detail) == 501
    assert event.detail[-1] == ("left-out", "100")


def test_monitor_events_are_noted_one_by_one() -> None:
    event = decode("NotifyEvent", {"seqNo": 1, "eventData": [{"eventId": 4, "actualValue": "91"}, {"eventId": 5}]})
    assert (event.kind, event.detail) == (
        "monitor-event",
        (("sequence", "1"), ("event 1", '{"eventId": 4, "actualValue": "91"}'), ("event 2", '{"eventId": 5}')),
    )
    assert len(decode("NotifyEvent", {"eventData": [{}] * 60}).detail) == 51


def test_an_external_limit_is_noted_with_its_source() -> None:
    payload = {"evseId": 1, "chargingLimit": {"chargingLimitSource": "EMS", "isGridCritical": True}}
    assert decode("NotifyChargingLimit", payload).detail == (("source", "EMS"), ("critical", "true"), ("evse", "1"))


def test_what_a_vehicle_needs_is_noted_with_its_departure_and_no_schedule_is_promised() -> None:
    needs = {"requestedEnergyTransfer": "AC_three_phase", "departureTime": "2025-06-01T18:00:00Z"}
    detail = dict(decode("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs}).detail)
    assert (detail["transfer"], detail["departure"]) == ("AC_three_phase", "2025-06-01T18:00:00Z")
    assert encode(Acknowledge(), "NotifyEVChargingNeeds") == {"status": "Processing"}


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("Get15118EVCertificate", {"status": "Failed", "exiResponse": ""}),
        ("GetCertificateStatus", {"status": "Failed"}),
        ("NotifyEVChargingSchedule", {"status": "Accepted"}),
    ],
)
def test_what_we_do_not_do_is_said(action: str, answer: object) -> None:
    assert encode(Acknowledge(), action) == answer


@pytest.mark.parametrize(
    ("written", "kind"),
    [({}, "station"), ({"certificateType": "V2GCertificate"}, "v2g"), ({"certificateType": "Hologram"}, "other")],
)
def test_a_certificate_request_says_what_for(written: dict[str, str], kind: str) -> None:
    assert decode("SignCertificate", {"csr": "x", **written}).kind == kind
    assert encode(CertificateAnswer(is_accepted=True), "SignCertificate") == {"status": "Accepted"}


@pytest.mark.parametrize(("vendor", "status"), [("COM.example", "Accepted"), ("org.other", "UnknownVendorId")])
def test_data_transfer_is_accepted_from_known_vendors_only(vendor: str, status: str) -> None:
    payload = {"vendorId": vendor, "messageId": "m", "data": {"socLimit": 80, "X-Vendor": [1]}}
    assert dict(decode("DataTransfer", payload).detail)["data"] == '{"socLimit": 80, "X-Vendor": [1]}'
    assert encode(Acknowledge(), "DataTransfer", payload) == {"status": status}


@pytest.mark.parametrize(
    ("action", "payload", "fault", "code"),
    [
        ("MakeCoffee", {}, Fault.UNKNOWN_ACTION, "NotImplemented"),
        ("A" * 300, {}, Fault.UNKNOWN_ACTION, "NotImplemented"),
        ("../Heartbeat", {}, Fault.UNKNOWN_ACTION, "NotImplemented"),
        ("Reset", {"type": "Immediate"}, Fault.UNSUPPORTED_ACTION, "NotSupported"),
        ("Authorize", {}, Fault.MISSING, "OccurrenceConstraintViolation"),
        ("Authorize", {"idToken": {"idToken": "", "type": "NoAuthorization"}}, Fault.MISSING, "OccurrenceConstraintViolation"),
        ("StatusNotification", {"connectorStatus": "Available"}, Fault.MISSING, "OccurrenceConstraintViolation"),
        ("StatusNotification", {"evseId": 1}, Fault.MISSING, "OccurrenceConstraintViolation"),
        ("DataTransfer", {}, Fault.MISSING, "OccurrenceConstraintViolation"),
    ],
)
def test_what_makes_no_sense_is_refused_in_the_words_of_the_version(
    action: str, payload: dict[str, Any], fault: Fault, code: str
) -> None:
    problem = decode(action, payload)
    assert isinstance(problem, DecodeProblem)
    assert problem.fault is fault
    assert CODEC.dialect.codes[fault] == code
