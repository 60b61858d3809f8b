"""What OCPP 2.1 has beside 2.0.1."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.ocpp_examples import example

from edgectl.domain.decisions import Acknowledge, Answer, BootAnswer, CertificateAnswer, ScheduleAnswer, TokenAnswer, TokenVerdict
from edgectl.domain.events import Call, CertificateRequested, ChargerBooted, ChargerNotified, SchedulePulled, TokenPresented
from edgectl.domain.ids import ChargerId, IdToken
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.frames import CallFrame, Fault, ResultErrorFrame, SendFrame, parse
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v21.edition import EDITION_21
from edgectl.ocpp.v201 import V201

CODEC = V21()
SCHEMAS = Schemas("ocpp.v21.schemas", "Request")
CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)
SENT = "NotifyPeriodicEventStream"
"""The one message that is sent, not called: its schema is no request's."""


def call_of(action: str, payload: object) -> Call:
    return Call(CP, 1, "id", action, json.dumps([2, "id", action, payload]))


def decode(action: str, payload: dict[str, Any]) -> Any:
    return CODEC.decode(call_of(action, payload), payload)


def natural_answer(event: Any) -> Answer:
    match event:
        case ChargerBooted():
            return BootAnswer(True, 300)
        case TokenPresented():
            return TokenAnswer(TokenVerdict(TokenStatus.ACCEPTED, group=IdToken("g" * 40)))
        case SchedulePulled():
            return ScheduleAnswer(10_000)
        case CertificateRequested():
            return CertificateAnswer(is_accepted=True)
    return Acknowledge()


@pytest.mark.parametrize("is_full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("action", sorted(EDITION_21.readers))
def test_every_message_is_an_event_and_its_answer_is_valid(action: str, is_full: bool) -> None:
    name = action if action == SENT else action + "Request"
    payload = example("ocpp.v21.schemas", name, is_full=is_full)
    assert SCHEMAS.request_problem(action, payload) is None
    event = decode(action, payload)
    assert not isinstance(event, DecodeProblem)
    hash(event)
    encoded = CODEC.encode_answer(natural_answer(event), call_of(action, payload), NOW)
    assert SCHEMAS.response_problem(action, encoded) is None


def test_all_of_2_0_1_and_more_is_served() -> None:
    assert set(EDITION_21.readers) > set(V201.edition.readers)
    assert V201().decode(call_of("BatterySwap", {}), {}) == DecodeProblem(Fault.UNKNOWN_ACTION, "BatterySwap is not served here")


@pytest.mark.parametrize("action", ["GetCertificateChainStatus", "VatNumberValidation", "SetDERControl", "AFRRSignal"])
def test_what_is_not_served_is_not_supported(action: str) -> None:
    problem = decode(action, {})
    assert isinstance(problem, DecodeProblem)
    assert problem.fault is Fault.UNSUPPORTED_ACTION


def test_a_stream_we_never_asked_for_is_rejected() -> None:
    assert CODEC.encode_answer(Acknowledge(), call_of("OpenPeriodicEventStream", {}), NOW) == {"status": "Rejected"}


def test_a_long_group_fits() -> None:
    verdict = TokenVerdict(TokenStatus.ACCEPTED, group=IdToken("g" * 255))
    info = CODEC.encode_answer(TokenAnswer(verdict), call_of("Authorize", {}), NOW)["idTokenInfo"]
    assert info["groupIdToken"] == {"idToken": "g" * 255, "type": "Central"}


def test_a_periodic_event_stream_is_noted() -> None:
    payload = {"id": 1, "pending": 0, "basetime": "2025-06-01T10:00:00Z", "data": [{"t": 0.0, "v": "16"}]}
    event = decode(SENT, payload)
    assert isinstance(event, ChargerNotified)
    assert event.kind == "event-stream"
    assert dict(event.detail)["data"] == '[{"t": 0.0, "v": "16"}]'


def test_a_settlement_is_noted_without_what_is_personal() -> None:
    payload = example("ocpp.v21.schemas", "NotifySettlementRequest", is_full=True)
    assert {name for name, _ in decode("NotifySettlement", payload).detail} == {
        "transaction", "reference", "status", "amount", "at", "receipt"
    }  # fmt: skip


def test_message_types_5_and_6_exist_here_only() -> None:
    sent, failed = '[6,"m1","NotifyPeriodicEventStream",{}]', '[5,"m1","FormatViolation","no",{}]'
    assert parse(sent, CODEC.dialect) == SendFrame("m1", SENT, {})
    assert parse(failed, CODEC.dialect) == ResultErrorFrame("m1", "FormatViolation", "no")
    assert not isinstance(parse(sent, V201().dialect), SendFrame | CallFrame)
    assert not isinstance(parse(failed, V201().dialect), ResultErrorFrame)
