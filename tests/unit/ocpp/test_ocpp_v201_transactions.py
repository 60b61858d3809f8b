"""OCPP 2.0.1 TransactionEvent: never refused, whatever is in it, and answered about the token it brought."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from edgectl.domain.decisions import Acknowledge, Answer, StartAnswer, StopAnswer, TokenAnswer, TokenVerdict
from edgectl.domain.events import Call, ConnectorStatus, MeterValuesReported, Sample, TransactionEnded, TransactionStarted
from edgectl.domain.ids import ChargerId, IdToken, TransactionRef
from edgectl.domain.phases import Phases
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import Instant
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v201 import V201

CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)  # 2025-06-01T10:00:00Z
AT = "2025-06-01T10:00:00Z"
TX = "2f6e8a0c-6a53-4f5e-9f0e-0d3c1b7a9e42"
TOKEN = {"idToken": "04AABB", "type": "ISO14443"}
NOBODY = {"idToken": "", "type": "NoAuthorization"}
ACCEPTED = TokenVerdict(TokenStatus.ACCEPTED)

STARTED: dict[str, Any] = {
    "eventType": "Started",
    "timestamp": AT,
    "triggerReason": "CablePluggedIn",
    "seqNo": 0,
    "transactionInfo": {"transactionId": TX, "chargingState": "EVConnected"},
    "evse": {"id": 2, "connectorId": 1},
    "idToken": TOKEN,
    "meterValue": [
        {
            "timestamp": AT,
            "sampledValue": [
                {"value": 900, "context": "Sample.Clock"},
                {
                    "value": 1.2,
                    "context": "Transaction.Begin",
                    "measurand": "Energy.Active.Import.Register",
                    "unitOfMeasure": {"unit": "kWh"},
                },
            ],
        }
    ],
}
UPDATED: dict[str, Any] = {
    "eventType": "Updated",
    "timestamp": AT,
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 3,
    "offline": True,
    "transactionInfo": {"transactionId": TX, "chargingState": "SuspendedEV"},
    "meterValue": [{"timestamp": AT, "sampledValue": [{"value": 5_000}]}],
}
ENDED: dict[str, Any] = {
    "eventType": "Ended",
    "timestamp": AT,
    "triggerReason": "EVDeparted",
    "seqNo": 9,
    "transactionInfo": {"transactionId": TX, "stoppedReason": "EVDisconnected"},
    "meterValue": [
        {"timestamp": AT, "sampledValue": [{"value": 1_200, "context": "Transaction.Begin"}]},
        {"timestamp": AT, "sampledValue": [{"value": 12_400, "context": "Transaction.End"}]},
        {"timestamp": AT, "sampledValue": [{"value": 12_300}]},
    ],
}

codecs = pytest.mark.parametrize("codec", [V201(), V21()], ids=["2.0.1", "2.1"])


def call_of(payload: object) -> Call:
    return Call(CP, 1, "id", "TransactionEvent", json.dumps([2, "id", "TransactionEvent", payload]))


def decode(payload: Any, codec: V201 | None = None) -> Any:
    return (codec or V201()).decode(call_of(payload), payload)


def encode(answer: Answer, payload: object, codec: V201 | None = None) -> Any:
    codec = codec or V201()
    encoded = codec.encode_answer(answer, call_of(payload), NOW)
    assert Schemas(codec.edition.schema_package, "Request").response_problem("TransactionEvent", encoded) is None
    return encoded


def with_values(*values: object) -> tuple[Sample, ...]:
    event = decode(UPDATED | {"meterValue": [{"timestamp": AT, "sampledValue": list(values)}]})
    samples: tuple[Sample, ...] = event.samples
    return samples


# --- events -----------------------------------------------------------------------------------------------------------


@codecs
@pytest.mark.parametrize("payload", [STARTED, UPDATED, ENDED], ids=["Started", "Updated", "Ended"])
def test_the_examples_are_valid(codec: V201, payload: dict[str, Any]) -> None:
    assert Schemas(codec.edition.schema_package, "Request").request_problem("TransactionEvent", payload) is None


@codecs
def test_a_started_transaction(codec: V201) -> None:
    event = decode(STARTED, codec)
    assert event == TransactionStarted(
        call_of(STARTED),
        evse_number=2,
        connector_number=1,
        token=IdToken("04AABB"),
        meter_start_wh=1_200,
        reported_utc_ms=NOW.utc_ms,
        transaction=TransactionRef(TX),
        samples=(
            Sample(reported_utc_ms=NOW.utc_ms, context="clock", energy_wh=900),
            Sample(reported_utc_ms=NOW.utc_ms, context="begin", energy_wh=1_200),
        ),
        is_offline=False,
        sequence_number=0,
        charging_state=ConnectorStatus.PREPARING,
    )


@codecs
@pytest.mark.parametrize("payload", [STARTED, UPDATED], ids=["Started", "Updated"])
def test_the_reservation_that_it_uses_up_is_told_with_the_driver(codec: V201, payload: dict[str, Any]) -> None:
    assert decode(payload, codec).reservation_number is None
    assert decode(payload | {"reservationId": 5}, codec).reservation_number == 5
    assert decode(payload | {"reservationId": "?"}, codec).reservation_number is None


@codecs
def test_an_updated_transaction(codec: V201) -> None:
    event = decode(UPDATED, codec)
    assert isinstance(event, MeterValuesReported)
    assert (event.transaction, event.evse_number, event.token) == (TX, 0, None)
    assert (event.charging_state, event.is_offline, event.sequence_number) == (ConnectorStatus.SUSPENDED_EV, True, 3)
    assert [sample.energy_wh for sample in event.samples] == [5_000]


@codecs
def test_an_ended_transaction(codec: V201) -> None:
    event = decode(ENDED, codec)
    assert isinstance(event, TransactionEnded)
    assert (event.transaction, event.token, event.meter_stop_wh, event.reason) == (TX, None, 12_400, "EVDisconnected")
    assert (event.reported_utc_ms, event.evse_number, event.sequence_number) == (NOW.utc_ms, None, 9)


def test_registers_without_a_context_are_the_first_and_the_last() -> None:
    values = [{"timestamp": AT, "sampledValue": [{"value": wh}]} for wh in (100, 200, 300)]
    assert decode(STARTED | {"meterValue": values}).meter_start_wh == 100
    assert decode(ENDED | {"meterValue": values}).meter_stop_wh == 300
    assert decode(STARTED | {"meterValue": None}).meter_start_wh is None
    assert decode(ENDED | {"meterValue": []}).meter_stop_wh is None


def test_a_reason_left_out_means_local() -> None:
    assert decode(ENDED | {"transactionInfo": {"transactionId": TX}}).reason == "Local"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Charging", ConnectorStatus.CHARGING),
        ("EVConnected", ConnectorStatus.PREPARING),
        ("SuspendedEVSE", ConnectorStatus.SUSPENDED_EVSE),
        ("Idle", ConnectorStatus.FINISHING),
        (None, None),
    ],
)
def test_charging_states(word: str | None, state: ConnectorStatus | None) -> None:
    info = {"transactionId": TX} | ({} if word is None else {"chargingState": word})
    assert decode(UPDATED | {"transactionInfo": info}).charging_state is state


def test_the_evse_is_named_once_and_unknown_otherwise() -> None:
    assert decode(UPDATED | {"evse": {"id": 3}}).evse_number == 3
    assert decode({key: value for key, value in STARTED.items() if key != "evse"}).evse_number == 0
    assert decode(ENDED | {"evse": {"id": 3, "connectorId": 2}}).evse_number == 3


@pytest.mark.parametrize(("token", "expected"), [(NOBODY, None), (None, None), ("bare text", "bare text"), (TOKEN, "04AABB")])
def test_tokens(token: object, expected: str | None) -> None:
    event = decode(STARTED | {"idToken": token})
    assert event.token == expected
    assert not [sample for sample in event.samples if sample.dropped]


@codecs
def test_resuming_after_a_restart_is_an_update(codec: V201) -> None:
    assert isinstance(decode(UPDATED | {"triggerReason": "TxResumed"}, codec), MeterValuesReported)


# --- samples ----------------------------------------------------------------------------------------------------------


def test_all_values_the_core_uses() -> None:
    (sample,) = with_values(
        {"value": 12.3456, "unitOfMeasure": {"unit": "kWh"}},
        {"value": 10.95, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W", "multiplier": 3}},
        {"value": 15.9, "measurand": "Current.Import", "phase": "L1", "unitOfMeasure": {"unit": "A"}},
        {"value": 15.8, "measurand": "Current.Import", "phase": "L2", "unitOfMeasure": {"unit": "A"}},
        {"value": 15.7, "measurand": "Current.Import", "phase": "L3", "unitOfMeasure": {"unit": "A"}},
        {"value": 2_301, "measurand": "Voltage", "phase": "L1-N", "unitOfMeasure": {"unit": "V", "multiplier": -1}},
        {"value": 40, "measurand": "SoC", "location": "EV", "unitOfMeasure": {"unit": "Percent"}},
        {"value": 32, "measurand": "Current.Offered"},
    )
    assert sample == Sample(
        reported_utc_ms=NOW.utc_ms,
        context="periodic",
        energy_wh=12_345,
        power_w=10_950,
        current_ma=Phases(15_900, 15_800, 15_700),
        voltage_mv=Phases(230_100, 0, 0),
        offered_ma=32_000,
        soc_percent=40,
    )


def test_q33_numbers_as_text_and_units_beside_the_value_are_read() -> None:
    (sample,) = with_values({"value": " 0.15003999999999998 ", "unit": "kWh"})
    assert (sample.energy_wh, sample.dropped) == (150, ())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "a sampledValue is not an object"),
        ({"value": "many"}, "value of Energy.Active.Import.Register"),
        ({"value": 1, "measurand": "Vendor.Thing"}, "measurand Vendor.Thing"),
        ({"value": 1, "unitOfMeasure": {"unit": "BTU"}}, "unit BTU of Energy.Active.Import.Register"),
        ({"value": 1, "unitOfMeasure": {"multiplier": "lots"}}, "multiplier of Energy.Active.Import.Register"),
        ({"value": 1, "unitOfMeasure": {"multiplier": -(10**15)}}, "multiplier of Energy.Active.Import.Register"),
        ({"value": 1, "phase": "N", "measurand": "Current.Import"}, "phase N of Current.Import"),
        ({"value": 1, "signedMeterValue": {}}, "signedMeterValue has no data"),
    ],
)
def test_a_bad_value_costs_only_itself(value: object, words: str) -> None:
    samples = with_values(value, {"value": 80, "measurand": "SoC"})
    assert samples[0].soc_percent == 80
    assert samples[0].dropped == (words,)


def test_a_value_at_the_inlet_counts_only_where_the_outlet_says_nothing() -> None:
    inlet = {"value": 900, "location": "Inlet"}
    upstream = {"value": 99_999, "location": "Upstream"}
    outlet = {"value": 800}
    for values in ([inlet, outlet, upstream], [outlet, inlet], [{"value": 800, "location": "Outlet"}, upstream]):
        assert [sample.energy_wh for sample in with_values(*values)] == [800]
    assert [sample.energy_wh for sample in with_values(inlet)] == [900]
    per_phase = {"value": 7, "measurand": "Current.Import", "phase": "L1", "location": "Inlet"}
    total = {"value": 6, "measurand": "Current.Import"}
    (sample,) = with_values(per_phase, total)
    assert (sample.current_ma, sample.current_single_ma) == (None, 6_000)
    assert with_values({"value": "x", "location": "Inlet"})[0].dropped == ("value of Energy.Active.Import.Register",)


def test_signed_values_are_kept_byte_for_byte_and_their_plain_value_is_used() -> None:
    data = 'T0NNRnx7IkZWIjoi+/=\u00e9"\\ AP7'
    signed = {"encodingMethod": "OCMF", "signedMeterData": data, "signingMethod": "", "publicKey": "MFkw+/=="}
    (sample,) = with_values({"value": 5, "signedMeterValue": signed}, {"value": 6, "signedMeterValue": "bare"})
    assert sample.energy_wh == 6
    kept, bare = sample.signed_values
    assert bare == "bare"
    assert json.loads(kept) == signed
    assert list(json.loads(kept)) == list(signed)
    assert json.loads(kept)["signedMeterData"].encode() == data.encode()


# --- answers ----------------------------------------------------------------------------------------------------------


@codecs
@pytest.mark.parametrize("answer", [StartAnswer(TransactionRef(TX), ACCEPTED), TokenAnswer(ACCEPTED), StopAnswer(ACCEPTED)])
def test_the_verdict_is_told_when_a_token_was_shown(codec: V201, answer: Answer) -> None:
    assert encode(answer, STARTED, codec) == {"idTokenInfo": {"status": "Accepted"}}
    assert encode(answer, UPDATED, codec) == {}  # no token, no verdict


@codecs
def test_nothing_is_said_about_a_token_nobody_judged(codec: V201) -> None:
    assert encode(Acknowledge(), UPDATED, codec) == {}
    assert encode(StopAnswer(), ENDED, codec) == {}
    assert encode(Acknowledge(), STARTED, codec) == {}


@pytest.mark.parametrize(
    "answer", [StartAnswer(TransactionRef(TX), TokenVerdict(TokenStatus.UNKNOWN)), StopAnswer(), Acknowledge()]
)
def test_a_station_that_asks_nobody_is_not_stopped(answer: Answer) -> None:
    assert encode(answer, STARTED | {"idToken": NOBODY}) == {"idTokenInfo": {"status": "Accepted"}}


def test_a_repaired_frame_is_answered_about_its_token_too() -> None:
    call = Call(CP, 1, "id", "TransactionEvent", json.dumps([2, "id", "TransactionEvent", STARTED, "one too many"]))
    answer = V201().encode_answer(StartAnswer(TransactionRef(TX), TokenVerdict(TokenStatus.BLOCKED)), call, NOW)
    assert answer == {"idTokenInfo": {"status": "Blocked"}}


# --- whatever comes ---------------------------------------------------------------------------------------------------


def test_an_event_with_nothing_usable_is_still_an_event() -> None:
    event = decode({"eventType": "Ended", "transactionInfo": 5, "timestamp": "yesterday", "seqNo": -1, "evse": "?"})
    assert isinstance(event, TransactionEnded)
    assert (event.transaction, event.reported_utc_ms, event.sequence_number, event.evse_number) == (None, None, None, None)
    assert event.samples[-1].dropped == ("transactionInfo", "transactionId", "evse", "seqNo", "timestamp")


@pytest.mark.parametrize("event_type", [None, "Resumed", 5, {}])
def test_an_unknown_kind_of_event_is_read_as_an_update(event_type: object) -> None:
    event = decode(UPDATED | {"eventType": event_type})
    assert isinstance(event, MeterValuesReported)
    assert event.transaction == TX
    assert event.samples[-1].dropped == ("eventType",)


anything = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(max_size=8),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to every value inside."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


@strategies.composite
def mutations(draw: strategies.DrawFn) -> dict[str, Any]:
    """A valid event with some of its values replaced, removed or given strange company."""
    payload = copy.deepcopy(draw(strategies.sampled_from([STARTED, UPDATED, ENDED])))
    for _ in range(draw(strategies.integers(1, 4))):
        found = places(payload)
        if not found:
            break
        *path, last = draw(strategies.sampled_from(found))
        holder: Any = payload
        for key in path:
            holder = holder[key]
        match draw(strategies.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[last] = draw(anything)
            case "remove":
                del holder[last]
            case "add" if isinstance(holder, dict):
                holder[draw(strategies.text(max_size=8))] = draw(anything)
    return payload


@codecs
@settings(max_examples=400, deadline=None)
@given(payload=mutations())
def test_a_mutated_event_is_always_an_event_and_can_be_answered(codec: V201, payload: dict[str, Any]) -> None:
    event = decode(payload, codec)
    assert isinstance(event, TransactionStarted | TransactionEnded | MeterValuesReported)
    hash(event)
    codec.deviation("TransactionEvent", payload)
    for answer in (StartAnswer(TransactionRef(TX), ACCEPTED), StopAnswer(ACCEPTED), StopAnswer(), Acknowledge()):
        encode(answer, payload, codec)
