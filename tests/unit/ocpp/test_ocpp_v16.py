"""OCPP 1.6: each message there and back, and the quirks of real chargers."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings, strategies

from edgectl.domain.decisions import (
    Acknowledge,
    Answer,
    Ask,
    BootAnswer,
    CertificateAnswer,
    InstallFallback,
    SetLimit,
    StartAnswer,
    StopAnswer,
    TokenAnswer,
    TokenVerdict,
)
from edgectl.domain.events import (
    Call,
    ChargerBooted,
    ChargerNotified,
    ConnectorStatus,
    HeartbeatReceived,
    MeterValuesReported,
    Outcome,
    Sample,
    StatusReported,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, EvseId, IdToken, TransactionRef
from edgectl.domain.phases import Phases
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.site import PowerKind, TokenStatus
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import BadRequestError, DecodeProblem
from edgectl.ocpp.frames import Fault
from edgectl.ocpp.rpc import CallEnded, Ending, OwnCall
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.v16 import V16

CODEC = V16(accepted_vendors=["com.example"])
SCHEMAS = Schemas("ocpp.v16.schemas")
CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)  # 2025-06-01T10:00:00Z
ACCEPTED = TokenVerdict(TokenStatus.ACCEPTED)


def call_of(action: str, payload: object) -> Call:
    return Call(CP, 1, "id", action, json.dumps([2, "id", action, payload]))


def decode(action: str, payload: dict[str, Any]) -> Any:
    return CODEC.decode(call_of(action, payload), payload)


def encode(answer: Answer, action: str, payload: object = None) -> Any:
    encoded = CODEC.encode_answer(answer, call_of(action, payload or {}), NOW)
    assert SCHEMAS.response_problem(action, encoded) is None
    assert "null" not in json.dumps(encoded)  # Q43: some firmware crashes on null
    return encoded


# --- what chargers send -----------------------------------------------------------------------------------------------


def test_boot_notification() -> None:
    payload = {"chargePointVendor": "V", "chargePointModel": "M", "chargeBoxSerialNumber": "B", "firmwareVersion": "1.2"}
    event = decode("BootNotification", payload)
    assert event == ChargerBooted(call_of("BootNotification", payload), "V", "M", "B", "1.2")
    assert encode(BootAnswer(True, 300), "BootNotification") == {
        "currentTime": "2025-06-01T10:00:00.000Z",
        "interval": 300,
        "status": "Accepted",
    }
    assert encode(BootAnswer(False, 60), "BootNotification")["status"] == "Pending"


def test_a_boot_without_vendor_or_model_is_still_a_boot() -> None:
    event = decode("BootNotification", {})
    assert (event.vendor, event.model) == ("", "")
    assert CODEC.deviation("BootNotification", {}) is not None


def test_heartbeat() -> None:
    assert isinstance(decode("Heartbeat", {}), HeartbeatReceived)
    assert encode(Acknowledge(), "Heartbeat") == {"currentTime": "2025-06-01T10:00:00.000Z"}


def test_authorize() -> None:
    event = decode("Authorize", {"idTag": "04AABB"})
    assert isinstance(event, TokenPresented)
    assert event.token == "04AABB"
    verdict = TokenVerdict(TokenStatus.CONCURRENT, expires_utc_ms=NOW.utc_ms, group=IdToken("FLEET"))
    assert encode(TokenAnswer(verdict), "Authorize") == {
        "idTagInfo": {"status": "ConcurrentTx", "expiryDate": "2025-06-01T10:00:00.000Z", "parentIdTag": "FLEET"}
    }


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (TokenStatus.ACCEPTED, "Accepted"),
        (TokenStatus.BLOCKED, "Blocked"),
        (TokenStatus.EXPIRED, "Expired"),
        (TokenStatus.UNKNOWN, "Invalid"),
        (TokenStatus.CONCURRENT, "ConcurrentTx"),
    ],
)
def test_every_verdict_has_its_word(status: TokenStatus, word: str) -> None:
    assert encode(TokenAnswer(TokenVerdict(status)), "Authorize") == {"idTagInfo": {"status": word}}


def test_a_group_longer_than_the_wire_allows_is_left_out() -> None:
    verdict = TokenVerdict(TokenStatus.ACCEPTED, group=IdToken("x" * 21))
    assert encode(TokenAnswer(verdict), "Authorize") == {"idTagInfo": {"status": "Accepted"}}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Available", ConnectorStatus.AVAILABLE),
        ("SuspendedEVSE", ConnectorStatus.SUSPENDED_EVSE),
        ("Suspended_EV", ConnectorStatus.SUSPENDED_EV),
        ("charging", ConnectorStatus.CHARGING),
        ("OutOfOrder", ConnectorStatus.UNKNOWN),
    ],
)
def test_status_notification(word: str, status: ConnectorStatus) -> None:
    payload = {"connectorId": 2, "errorCode": "NoError", "status": word, "timestamp": "2025-06-01T10:00:00Z"}
    event = decode("StatusNotification", payload)
    assert isinstance(event, StatusReported)
    assert (event.evse_number, event.connector_number, event.status, event.error_code) == (2, 1, status, None)
    assert event.reported_utc_ms == NOW.utc_ms
    assert encode(Acknowledge(), "StatusNotification") == {}


def test_q33_an_error_code_of_the_vendors_own_is_kept() -> None:
    payload = {"connectorId": 0, "errorCode": "OverTemp", "status": "Faulted", "vendorErrorCode": "E17"}
    event = decode("StatusNotification", payload)
    assert (event.connector_number, event.error_code, event.info) == (0, "OverTemp", "E17")


@pytest.mark.parametrize(("found", "number"), [(5, 5), ("5", 5), (None, None), ("five", None), (-1, -1)])
def test_a_start_names_the_reservation_that_it_uses_up(found: object, number: int | None) -> None:
    payload = {"connectorId": 1, "idTag": "04AABB", "meterStart": 1_200, "timestamp": "2025-06-01T10:00:00Z"}
    assert decode("StartTransaction", payload | {"reservationId": found}).reservation_number == number


def test_start_transaction() -> None:
    payload = {"connectorId": 1, "idTag": "04AABB", "meterStart": 1_200, "timestamp": "2025-06-01T10:00:00Z"}
    event = decode("StartTransaction", payload)
    assert event == TransactionStarted(call_of("StartTransaction", payload), 1, 1, IdToken("04AABB"), 1_200, NOW.utc_ms)
    assert encode(StartAnswer(TransactionRef("7"), ACCEPTED), "StartTransaction") == {
        "transactionId": 7,
        "idTagInfo": {"status": "Accepted"},
    }


def test_stop_transaction() -> None:
    payload = {
        "transactionId": 7,
        "idTag": "04AABB",
        "meterStop": 12_400,
        "timestamp": "2025-06-01T10:00:00Z",
        "reason": "EVDisconnected",
        "transactionData": [
            {
                "timestamp": "2025-06-01T09:00:00Z",
                "sampledValue": [
                    {"value": "1200", "context": "Transaction.Begin"},
                    {"value": "12400", "context": "Transaction.End"},
                ],
            }
        ],
    }
    event = decode("StopTransaction", payload)
    assert isinstance(event, TransactionEnded)
    assert (event.transaction, event.token, event.meter_stop_wh, event.reason) == ("7", "04AABB", 12_400, "EVDisconnected")
    assert event.reported_utc_ms == NOW.utc_ms
    assert [(sample.context, sample.energy_wh) for sample in event.samples] == [("begin", 1_200), ("end", 12_400)]
    assert encode(StopAnswer(), "StopTransaction") == {}
    assert encode(StopAnswer(ACCEPTED), "StopTransaction") == {"idTagInfo": {"status": "Accepted"}}


def test_meter_values() -> None:
    payload = {
        "connectorId": 1,
        "transactionId": 7,
        "meterValue": [
            {
                "timestamp": "2025-06-01T12:00:00+02:00",
                "sampledValue": [
                    {"value": "12.3456", "unit": "kWh", "measurand": "Energy.Active.Import.Register"},
                    {"value": "10.95", "unit": "kW", "measurand": "Power.Active.Import"},
                    {"value": "15.9", "unit": "A", "measurand": "Current.Import", "phase": "L1"},
                    {"value": "15.8", "unit": "A", "measurand": "Current.Import", "phase": "L2"},
                    {"value": "15.7", "unit": "A", "measurand": "Current.Import", "phase": "L3"},
                    {"value": "230.1", "unit": "V", "measurand": "Voltage", "phase": "L1-N"},
                    {"value": "16", "unit": "A", "measurand": "Current.Offered"},
                    {"value": "40", "unit": "Percent", "measurand": "SoC"},
                    {"value": "AP7+/\u00e9 signed", "format": "SignedData"},
                ],
            }
        ],
    }
    event = decode("MeterValues", payload)
    assert isinstance(event, MeterValuesReported)
    assert (event.evse_number, event.transaction) == (1, "7")
    assert event.samples == (
        Sample(
            reported_utc_ms=NOW.utc_ms,
            context="periodic",
            energy_wh=12_345,
            power_w=10_950,
            current_ma=Phases(15_900, 15_800, 15_700),
            voltage_mv=Phases(230_100, 0, 0),
            offered_ma=16_000,
            soc_percent=40,
            signed_values=("AP7+/\u00e9 signed",),
        ),
    )
    assert encode(Acknowledge(), "MeterValues") == {}


@pytest.mark.parametrize(
    ("action", "payload", "kind", "detail"),
    [
        ("DiagnosticsStatusNotification", {"status": "Uploaded"}, "diagnostics-status", (("status", "Uploaded"),)),
        ("FirmwareStatusNotification", {"status": "Installed"}, "firmware-status", (("status", "Installed"),)),
        ("SignedFirmwareStatusNotification", {"status": "Idle"}, "firmware-status", (("status", "Idle"),)),
        ("LogStatusNotification", {"status": "Idle"}, "log-status", (("status", "Idle"),)),
        (
            "SecurityEventNotification",
            {"type": "TamperDetectionActivated", "timestamp": "2025-06-01T10:00:00Z"},
            "security-event",
            (("type", "TamperDetectionActivated"), ("at", "2025-06-01T10:00:00Z")),
        ),
    ],
)  # fmt: skip
def test_notifications_are_noted_and_acknowledged(action: str, payload: dict[str, Any], kind: str, detail: object) -> None:
    event = decode(action, payload)
    assert event == ChargerNotified(call_of(action, payload), kind, cast("Any", detail))
    assert encode(Acknowledge(), action) == {}


@pytest.mark.parametrize(("is_accepted", "status"), [(True, "Accepted"), (False, "Rejected")])
def test_a_certificate_request_is_the_stations_own(is_accepted: bool, status: str) -> None:
    requested = decode("SignCertificate", {"csr": "x" * 9_000})
    assert (requested.csr, requested.kind) == ("x" * 9_000, "station")
    assert encode(CertificateAnswer(is_accepted), "SignCertificate") == {"status": status}


@pytest.mark.parametrize(("vendor", "status"), [("COM.example", "Accepted"), ("org.other", "UnknownVendorId")])
def test_data_transfer_is_accepted_from_known_vendors_only(vendor: str, status: str) -> None:
    payload = {"vendorId": vendor, "messageId": "m", "data": {"socLimit": 80, "X-Vendor": [1]}}
    event = decode("DataTransfer", payload)
    assert dict(event.detail) == {"vendor": vendor, "message": "m", "data": '{"socLimit": 80, "X-Vendor": [1]}'}
    assert encode(Acknowledge(), "DataTransfer", payload) == {"status": status}


@pytest.mark.parametrize(
    ("action", "payload", "fault"),
    [
        ("MakeCoffee", {}, Fault.UNKNOWN_ACTION),
        ("Reset", {"type": "Hard"}, Fault.UNSUPPORTED_ACTION),
        ("Authorize", {}, Fault.MISSING),
        ("Authorize", {"idTag": {}}, Fault.MISSING),
        ("StatusNotification", {"status": "Available"}, Fault.MISSING),
        ("StatusNotification", {"connectorId": 1}, Fault.MISSING),
        ("DataTransfer", {}, Fault.MISSING),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_fault(action: str, payload: dict[str, Any], fault: Fault) -> None:
    problem = decode(action, payload)
    assert isinstance(problem, DecodeProblem)
    assert problem.fault is fault


# --- quirks -----------------------------------------------------------------------------------------------------------


def test_q17_an_overlong_field_is_taken_and_named_as_a_deviation() -> None:
    payload = {"chargePointVendor": "V" * 30, "chargePointModel": "M"}
    assert decode("BootNotification", payload).vendor == "V" * 30
    assert "20 characters" in str(CODEC.deviation("BootNotification", payload))


@pytest.mark.parametrize("number", [-1, 0, 2**31])
def test_q20_a_transaction_id_of_minus_one_or_zero_is_passed_on_as_it_is(number: int) -> None:
    event = decode("StopTransaction", {"transactionId": number, "meterStop": 5, "timestamp": "2025-06-01T10:00:00Z"})
    assert event.transaction == str(number)
    assert event.reason == "Local"


def test_q25_a_stop_with_nothing_usable_is_still_an_event() -> None:
    event = decode("StopTransaction", {"transactionId": {}, "meterStop": "?", "timestamp": "yesterday"})
    assert isinstance(event, TransactionEnded)
    assert (event.transaction, event.meter_stop_wh, event.reported_utc_ms) == (None, None, None)
    assert event.samples == (Sample(context="message", dropped=("transactionId", "meterStop", "timestamp")),)


def test_q26_a_negative_or_fractional_register_is_kept_rounded_down() -> None:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": -1, "timestamp": "2025-06-01T10:00:00Z"}
    assert decode("StartTransaction", payload).meter_start_wh == -1
    assert decode("StartTransaction", payload | {"meterStart": 12.9}).meter_start_wh == 12
    assert decode("StartTransaction", payload | {"meterStart": "1300"}).meter_start_wh == 1_300


def test_q31_a_bad_timestamp_in_a_sample_is_dropped_and_named() -> None:
    element = {"timestamp": "0", "sampledValue": [{"value": "5"}]}
    (sample,) = decode("MeterValues", {"connectorId": 1, "meterValue": [element]}).samples
    assert (sample.reported_utc_ms, sample.energy_wh, sample.dropped) == (None, 5, ("timestamp",))


def test_q33_numbers_empty_texts_and_unknown_enums_cost_only_themselves() -> None:
    element = {
        "timestamp": "2025-06-01T10:00:00Z",
        "sampledValue": [
            {"value": 7_500},
            {"value": "", "measurand": "Voltage"},
            {"value": "1", "measurand": "Vendor.Thing"},
            {"value": 16.5, "measurand": "Current.Import", "context": "Sample.Weird"},
            "rubbish",
            {"value": 5, "format": "SignedData"},
        ],
    }
    samples = decode("MeterValues", {"connectorId": 1, "meterValue": [element]}).samples
    assert [(sample.context, sample.energy_wh, sample.current_single_ma) for sample in samples] == [
        ("periodic", 7_500, None),
        ("Sample.Weird", None, 16_500),
    ]
    assert samples[0].dropped == (
        "value of Voltage",
        "measurand Vendor.Thing",
        "a sampledValue is not an object",
        "signed value is not a text",
    )


@pytest.mark.parametrize("connector", [0, "0"])
def test_q34_values_without_a_transaction_or_on_connector_0_are_reported(connector: object) -> None:
    event = decode("MeterValues", {"connectorId": connector, "meterValue": [{"sampledValue": [{"value": "5"}]}]})
    assert (event.evse_number, event.transaction) == (0, None)
    assert event.samples[0].energy_wh == 5


@pytest.mark.parametrize("meter_value", [5, "x", [5], [{}], [{"sampledValue": 5}], {"sampledValue": {"value": "5"}}])
def test_meter_values_of_the_wrong_shape_are_an_event_all_the_same(meter_value: object) -> None:
    assert isinstance(decode("MeterValues", {"connectorId": 1, "meterValue": meter_value}), MeterValuesReported)


def test_one_message_cannot_bring_values_without_end() -> None:
    element = {"timestamp": "2025-06-01T10:00:00Z", "sampledValue": [{"value": "5"}] * 3_000}
    samples = decode("MeterValues", {"connectorId": 1, "meterValue": [element] * 3}).samples
    assert len(samples) == 3
    assert samples[-1].dropped == ("more values than 4000 in one message",)


anything = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(max_size=8),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    action=strategies.sampled_from(sorted(CODEC.never_refused)),
    payload=strategies.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("connectorId", "idTag", "meterStart", "meterStop", "timestamp", "transactionId", "reason"), anything
        )
        | {
            key: strategies.lists(
                anything
                | strategies.fixed_dictionaries(
                    {
                        "sampledValue": strategies.lists(
                            strategies.fixed_dictionaries({"value": anything, "unit": anything}), max_size=3
                        )
                    }
                ),
                max_size=3,
            )
            for key in ("meterValue", "transactionData")
        },
    ),
)
def test_a_billing_message_becomes_an_event_whatever_is_in_it(action: str, payload: dict[str, Any]) -> None:
    event = decode(action, payload)
    assert isinstance(event, TransactionStarted | TransactionEnded | MeterValuesReported)
    hash(event)


# --- limits -----------------------------------------------------------------------------------------------------------


def order(**changes: Any) -> SetLimit:
    values: dict[str, Any] = {
        "evse": EvseId(CP, 2),
        "order_number": 9,
        "limit_ma": 15_999,
        "limit_w": 11_039,
        "kind": PowerKind.AC,
        "phase_count": 3,
        "lease_ms": 180_000,
        "transaction": TransactionRef("7"),
        "reason": Reason(Cause.FULL, Authority.CHARGER),
    }
    return SetLimit(**(values | changes))


def profile_of(limit: SetLimit) -> Any:
    (own_call,) = CODEC.limit_calls(limit, NOW)
    assert CODEC.own_call_problem(own_call) is None
    assert own_call.action == "SetChargingProfile"
    assert own_call.slot == f"limit/{limit.evse.number}"
    assert own_call.payload["connectorId"] == limit.evse.number
    return own_call.payload["csChargingProfiles"]


def test_a_limit_during_a_transaction_is_a_tx_profile_that_ends_with_its_lease() -> None:
    assert profile_of(order()) == {
        "chargingProfileId": 2002,
        "transactionId": 7,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "validTo": "2025-06-01T10:03:00.000Z",
        "chargingSchedule": {
            "duration": 240,
            "startSchedule": "2025-06-01T09:59:00.000Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 15.9}],
        },
    }


@pytest.mark.parametrize("transaction", [None, TransactionRef("provisional-3"), TransactionRef("-1")])
def test_a_limit_without_a_usable_transaction_is_a_default_of_the_connector_above_the_fallback(
    transaction: TransactionRef | None,
) -> None:
    profile = profile_of(order(transaction=transaction))
    assert (profile["chargingProfilePurpose"], profile["stackLevel"], profile["chargingProfileId"]) == (
        "TxDefaultProfile",
        1,
        1002,
    )
    assert "transactionId" not in profile
    assert profile["chargingSchedule"]["duration"] == 240


@pytest.mark.parametrize(
    ("limit_ma", "amps"), [(0, 0), (6_000, 6), (6_099, 6), (15_960, 15.9), (16_100, 16.1), (31_999, 31.9), (32_000, 32), (50, 0)]
)
def test_q42_amps_are_rounded_down_to_a_tenth_and_zero_stays_zero(limit_ma: int, amps: float) -> None:
    assert profile_of(order(limit_ma=limit_ma))["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == amps


def test_phases_are_said_when_they_are_not_three() -> None:
    assert profile_of(order(phase_count=1))["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 15.9, "numberPhases": 1}
    ]


def test_q41_a_dc_charger_is_told_watts() -> None:
    schedule = profile_of(order(kind=PowerKind.DC, phase_count=1))["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "W"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 11_039}]


def test_a_lease_with_a_part_of_a_second_ends_before_it() -> None:
    assert profile_of(order(lease_ms=180_999))["validTo"] == "2025-06-01T10:03:00.000Z"


def ended(ending: Ending = Ending.ANSWERED, status: object = None, code: str = "") -> CallEnded:
    return CallEnded(OwnCall("SetChargingProfile", {}), ending, {} if status is None else {"status": status}, code, "words")


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (ended(status="Accepted"), Outcome.ACCEPTED),
        (ended(status="Rejected"), Outcome.REJECTED),
        (ended(status="NotSupported"), Outcome.NOT_SUPPORTED),
        (ended(status="Whatever"), Outcome.ERROR),
        (ended(status=5), Outcome.ERROR),
        (ended(), Outcome.ERROR),
        (ended(Ending.REFUSED, code="NotImplemented"), Outcome.NOT_SUPPORTED),
        (ended(Ending.REFUSED, code="InternalError"), Outcome.ERROR),
        (ended(Ending.TIMED_OUT), Outcome.TIMEOUT),
        (ended(Ending.SUPERSEDED), Outcome.SUPERSEDED),
        (ended(Ending.DISCONNECTED), Outcome.DISCONNECTED),
        (ended(Ending.NOT_SENT), Outcome.ERROR),
    ],
)
def test_q19_every_way_a_limit_can_end_has_its_outcome(end: CallEnded, outcome: Outcome) -> None:
    answered = CODEC.limit_answered(order(), [end])
    assert (answered.charger, answered.evse_number, answered.order_number, answered.outcome) == (CP, 2, 9, outcome)


def test_the_fallback_is_a_rating_and_a_default_without_an_end_in_the_lowest_layer() -> None:
    install = InstallFallback(CP, 6_000, 4_140, 32_000, 22_080, PowerKind.AC)
    rating, default = CODEC.fallback_calls(install, NOW)
    assert CODEC.own_call_problem(rating) is None
    assert CODEC.own_call_problem(default) is None
    assert default.payload == {
        "connectorId": 0,
        "csChargingProfiles": {
            "chargingProfileId": 2,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "startSchedule": "1970-01-01T00:00:00.000Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}],
            },
        },
    }
    assert rating.payload["csChargingProfiles"]["chargingProfilePurpose"] == "ChargePointMaxProfile"
    assert rating.payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 32}]
    assert [call.payload for call in CODEC.fallback_calls(install, Instant(9, 9))] == [rating.payload, default.payload]


@pytest.mark.parametrize(
    ("rating", "default", "outcome", "detail"),
    [
        (ended(status="Accepted"), ended(status="Accepted"), Outcome.ACCEPTED, ""),
        (ended(status="Rejected"), ended(status="Accepted"), Outcome.ACCEPTED, "ChargePointMaxProfile rejected (Rejected)"),
        (ended(status="Accepted"), ended(status="Rejected"), Outcome.REJECTED, "TxDefaultProfile rejected (Rejected)"),
        (ended(Ending.TIMED_OUT), ended(status="Accepted"), Outcome.TIMEOUT, "ChargePointMaxProfile timeout (words)"),
        (ended(status="Accepted"), ended(Ending.DISCONNECTED), Outcome.DISCONNECTED, "TxDefaultProfile disconnected (words)"),
    ],
)
def test_the_fallback_stands_or_falls_with_the_default_profile(
    rating: CallEnded, default: CallEnded, outcome: Outcome, detail: str
) -> None:
    answered = CODEC.fallback_answered(InstallFallback(CP, 6_000, 4_140, 32_000, 22_080, PowerKind.AC), [rating, default])
    assert (answered.outcome, answered.detail) == (outcome, detail)


# --- other requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_name", "arguments", "action", "payload"),
    [
        ("trigger", [("message", "X"), ("evse", "1")], "TriggerMessage", {"requestedMessage": "X", "connectorId": 1}),
        ("trigger", [("message", "Heartbeat")], "TriggerMessage", {"requestedMessage": "Heartbeat"}),
        ("remote-stop", [("transaction", "7")], "RemoteStopTransaction", {"transactionId": 7}),
        ("stop-transaction", [("transaction", "7")], "RemoteStopTransaction", {"transactionId": 7}),
        ("remote-start", [("token", "AB"), ("evse", "1")], "RemoteStartTransaction", {"idTag": "AB", "connectorId": 1}),
        ("reset", [], "Reset", {"type": "Soft"}),
        ("reset", [("kind", "HARD")], "Reset", {"type": "Hard"}),
        ("unlock", [("evse", "2")], "UnlockConnector", {"connectorId": 2}),
        ("availability", [("state", "inoperative")], "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
        ("get-configuration", [("key", "A"), ("key", "B")], "GetConfiguration", {"key": ["A", "B"]}),
        ("get-configuration", [], "GetConfiguration", {}),
        ("change-configuration", [("key", "A"), ("value", "1")], "ChangeConfiguration", {"key": "A", "value": "1"}),
        ("clear-cache", [], "ClearCache", {}),
        ("data-transfer", [("vendor", "V"), ("data", "D")], "DataTransfer", {"vendorId": "V", "data": "D"}),
    ],
)  # fmt: skip
def test_q43_a_request_is_written_without_absent_fields(
    request_name: str, arguments: list[tuple[str, str]], action: str, payload: object
) -> None:
    (own_call,) = CODEC.request_calls(Ask(CP, "a", request_name, tuple(arguments)), NOW)
    assert (own_call.action, own_call.payload, own_call.slot) == (action, payload, None)


@pytest.mark.parametrize(
    ("request_name", "arguments", "words"),
    [
        ("make-coffee", [], "no request 'make-coffee'"),
        ("remote-stop", [], "needs 'transaction'"),
        ("remote-stop", [("transaction", "x")], "must be a number"),
        ("reset", [("kind", "gentle")], "allowed are soft, hard"),
        ("trigger", [("message", "Heartbeat"), ("evse", "first")], "must be a number"),
    ],
)
def test_a_request_that_cannot_be_written_says_why(request_name: str, arguments: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        CODEC.request_calls(Ask(CP, "a", request_name, tuple(arguments)), NOW)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("Accepted", Outcome.ACCEPTED),
        ("RebootRequired", Outcome.ACCEPTED),
        ("Scheduled", Outcome.ACCEPTED),
        ("Unlocked", Outcome.ACCEPTED),
        ("UnlockFailed", Outcome.REJECTED),
        ("UnknownVendorId", Outcome.NOT_SUPPORTED),
        ("NotImplemented", Outcome.NOT_SUPPORTED),
    ],
)
def test_the_chargers_own_word_is_kept_beside_the_outcome(status: str, outcome: Outcome) -> None:
    answered = CODEC.request_answered(Ask(CP, "a", "unlock"), [ended(status=status)])
    assert (answered.outcome, answered.status, answered.detail) == (outcome, status, ())


def test_q18_configuration_is_reported_in_the_chargers_spelling() -> None:
    payload = {
        "configurationKey": [{"key": "ConnectionTimeout", "readonly": False, "value": "60"}, {"key": "K", "readonly": True}, 5],
        "unknownKey": ["X"],
    }
    answer = CallEnded(OwnCall("GetConfiguration", {}), Ending.ANSWERED, payload)
    answered = CODEC.request_answered(Ask(CP, "a", "get-configuration"), [answer])
    assert answered.outcome is Outcome.ACCEPTED
    assert answered.detail == (("ConnectionTimeout", "60"), ("K", ""), ("read-only", "K"), ("unknown-key", "X"))
