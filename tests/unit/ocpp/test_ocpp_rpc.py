"""The OCPP-J engine: frames in, frames and happenings out, no sockets and no clock."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from edgectl.ocpp.frames import DIALECT_16, DIALECT_20, DIALECT_21, Dialect, Fault
from edgectl.ocpp.rpc import (
    HELD_MAX,
    QUEUE_TIMEOUT_MS,
    QUEUED_LIMITS_MAX,
    QUEUED_REQUESTS_MAX,
    RATE_BURST,
    RECENT_MAX,
    CallEnded,
    CallReceived,
    Ending,
    FrameRefused,
    OwnCall,
    Rpc,
)

BILLING = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
TIMEOUT_MS = 15_000


class Wire:
    """An engine with its counters, and short words for what a test does with them."""

    def __init__(self, dialect: Dialect = DIALECT_16, *, is_open: bool = True) -> None:
        self.counters: Counter[str] = Counter()
        self.rpc = Rpc(dialect, BILLING, "pre", TIMEOUT_MS, 0, self.counters)
        if is_open:
            self.rpc.open_calls_at(0)

    def receive(self, *parts: object, mono_ms: int = 0) -> list[Any]:
        return self.rpc.receive(json.dumps(list(parts)), mono_ms)

    def sent(self) -> list[Any]:
        return [json.loads(frame.text) for frame in self.rpc.take_frames()]

    def request(self, action: str = "Reset", slot: str | None = None, mono_ms: int = 0) -> OwnCall:
        call = OwnCall(action, {}, slot)
        self.ended = self.rpc.request(call, mono_ms)
        return call


@pytest.mark.parametrize("dialect", [DIALECT_16, DIALECT_20, DIALECT_21])
@pytest.mark.parametrize(
    ("text", "echo_id", "fault"),
    [
        ("{", "-1", Fault.UNREADABLE),
        ("{}", "-1", Fault.UNREADABLE),
        ("[]", "-1", Fault.UNREADABLE),
        ('"2"', "-1", Fault.UNREADABLE),
        ("[2", "-1", Fault.UNREADABLE),
        ("[2]", "-1", Fault.UNREADABLE),
        ('[2,"","Heartbeat",{}]', "-1", Fault.UNREADABLE),
        ('[2,null,"Heartbeat",{}]', "-1", Fault.UNREADABLE),
        ('[2,true,"Heartbeat",{}]', "-1", Fault.UNREADABLE),
        ('[2,["a"],"Heartbeat",{}]', "-1", Fault.UNREADABLE),
        ('[2,"' + "x" * 37 + '","Heartbeat",{}]', "-1", Fault.UNREADABLE),
        ('[2,"' + "x" * 256 + '","MeterValues",{}]', "-1", Fault.UNREADABLE),
        ('[2,"1"]', "1", Fault.FORMAT),
        ('[2,"1",{},{}]', "1", Fault.FORMAT),
        ('[2,"1","Heartbeat"]', "1", Fault.FORMAT),
        ('[2,"1","Heartbeat",{},1]', "1", Fault.FORMAT),
        ('[2,"1","Heartbeat",[]]', "1", Fault.FORMAT),
        ("[" * 33 + "]" * 33, "-1", Fault.UNREADABLE),
        ("[" * 100_000, "-1", Fault.UNREADABLE),
        ('[2,"1","Heartbeat",' + '{"a":' * 40 + "1" + "}" * 40 + "]", "-1", Fault.UNREADABLE),
        ('[2,"1","Heartbeat",{"a":"' + "x" * 262_144 + '"}]', "-1", Fault.UNREADABLE),
    ],
)
def test_an_unusable_frame_gets_one_error_with_the_versions_code(dialect: Dialect, text: str, echo_id: str, fault: Fault) -> None:
    wire = Wire(dialect)
    happenings = wire.rpc.receive(text, 0)
    assert [type(happening) for happening in happenings] == [FrameRefused]
    assert [frame[:3] for frame in wire.sent()] == [[4, echo_id, dialect.codes[fault]]]
    assert wire.counters["frame_malformed"] == 1


def test_error_codes_are_spelled_as_each_version_spells_them() -> None:
    assert (DIALECT_16.codes[Fault.FORMAT], DIALECT_16.codes[Fault.MISSING]) == (
        "FormationViolation",
        "OccurenceConstraintViolation",
    )
    assert (DIALECT_20.codes[Fault.FORMAT], DIALECT_20.codes[Fault.MISSING]) == (
        "FormatViolation",
        "OccurrenceConstraintViolation",
    )
    assert DIALECT_20.codes[Fault.UNREADABLE] == "RpcFrameworkError"


@pytest.mark.parametrize(
    "text", ["", "  \n", "[1]", "[7,1]", '["2","1","Heartbeat",{}]', "[null]", "[3]", "[4,null]", '[5,"1"]', "[6]"]
)
def test_empty_text_and_unknown_types_are_counted_and_not_answered(text: str) -> None:
    wire = Wire()
    assert wire.rpc.receive(text, 0) == []
    assert wire.sent() == []
    assert sum(wire.counters.values()) == 1


def test_a_call_is_handed_out_and_its_answer_goes_out_once() -> None:
    wire = Wire()
    (received,) = wire.receive(2, "a", "Heartbeat", {})
    assert (received.message_id, received.action, received.payload) == ("a", "Heartbeat", {})
    wire.rpc.answer(received.number, {"currentTime": "x"})
    wire.rpc.answer(received.number, {"currentTime": "y"})
    assert wire.sent() == [[3, "a", {"currentTime": "x"}]]
    assert wire.counters["answer_without_call"] == 1


def test_q9_a_null_payload_is_an_empty_one() -> None:
    (received,) = Wire().receive(2, "a", "Heartbeat", None)
    assert received.payload == {}


def test_a_numeric_message_id_is_answered_with_the_number() -> None:
    wire = Wire()
    (received,) = wire.receive(2, 17, "Heartbeat", {})
    assert received.message_id == "17"
    wire.rpc.answer(received.number, {})
    assert wire.sent() == [[3, 17, {}]]


@pytest.mark.parametrize("tail", [[], [None], [[]], ["x"], [{}, 1], [1, 2, 3]])
@pytest.mark.parametrize("action", sorted(BILLING))
@pytest.mark.parametrize("message_id", ["a", 5, "x" * 255])
def test_q33_a_billing_message_is_repaired_and_never_refused(action: str, message_id: object, tail: list[object]) -> None:
    wire = Wire()
    (received,) = wire.receive(2, message_id, action, *tail)
    assert isinstance(received, CallReceived)
    assert wire.sent() == []


def test_absurd_numbers_do_not_refuse_the_frame() -> None:
    text = '[2,"a","MeterValues",{"connectorId":' + "9" * 5_000 + ',"x":NaN,"y":1e999}]'
    (received,) = Wire().rpc.receive(text, 0)
    assert received.payload["connectorId"] == float("inf")


def test_half_a_surrogate_pair_is_replaced_so_that_stores_can_keep_the_text() -> None:
    (received,) = Wire().rpc.receive('[2,"a","Authorize",{"idTag":"A\\ud800B","k\\udfff":"\\ud83d\\ude00"}]', 0)
    assert received.payload == {"idTag": "A?B", "k?": "\N{GRINNING FACE}"}


def test_q24_the_same_call_again_gets_the_cached_answer() -> None:
    wire = Wire()
    (received,) = wire.receive(2, "a", "StartTransaction", {"meterStart": 1})
    wire.rpc.answer(received.number, {"transactionId": 7})
    assert wire.receive(2, "a", "StartTransaction", {"meterStart": 1}) == []
    assert wire.sent() == [[3, "a", {"transactionId": 7}]] * 2
    assert wire.counters["call_repeated"] == 1


def test_q24_a_repeat_while_the_first_is_held_shares_its_one_answer() -> None:
    wire = Wire()
    (received,) = wire.receive(2, "a", "StopTransaction", {"x": 1})
    assert wire.receive(2, "a", "StopTransaction", {"x": 1}) == []
    wire.rpc.answer(received.number, {})
    assert wire.sent() == [[3, "a", {}]]


def test_q24_the_same_id_with_another_payload_is_processed_and_counted() -> None:
    wire = Wire()
    (first,) = wire.receive(2, "a", "StartTransaction", {"meterStart": 1})
    (second,) = wire.receive(2, "a", "StartTransaction", {"meterStart": 2})
    wire.rpc.answer(second.number, {"transactionId": 2})
    wire.rpc.answer(first.number, {"transactionId": 1})
    assert wire.sent() == [[3, "a", {"transactionId": 2}], [3, "a", {"transactionId": 1}]]
    assert wire.counters["call_id_reused"] == 1


def test_only_the_last_answers_are_cached() -> None:
    wire = Wire()
    for number in range(RECENT_MAX + 1):
        (received,) = wire.receive(2, str(number), "Heartbeat", {})
        wire.rpc.answer(received.number, {})
    assert wire.receive(2, "1", "Heartbeat", {}) == []
    assert len(wire.receive(2, "0", "Heartbeat", {})) == 1


def test_reading_should_stop_while_many_calls_are_unanswered() -> None:
    wire = Wire()
    numbers = [wire.receive(2, str(number), "Heartbeat", {})[0].number for number in range(HELD_MAX)]
    assert wire.rpc.is_full
    wire.rpc.answer(numbers[0], {})
    assert not wire.rpc.is_full


def test_beyond_the_rate_ordinary_calls_are_refused_and_billing_ones_slow_the_reading() -> None:
    wire = Wire()
    for number in range(RATE_BURST):
        (received,) = wire.receive(2, f"h{number}", "Heartbeat", {})
        wire.rpc.answer(received.number, {})
    wire.sent()
    assert wire.receive(2, "over", "Heartbeat", {}) == []
    assert wire.sent()[0][:3] == [4, "over", "GenericError"]
    assert wire.rpc.read_pause_ms(0) == 0
    assert len(wire.receive(2, "m", "MeterValues", {})) == 1
    pause_ms = wire.rpc.read_pause_ms(0)
    assert pause_ms == 2 * 1000 // 50
    assert wire.rpc.read_pause_ms(pause_ms) == 0
    assert len(wire.receive(2, "later", "Heartbeat", {}, mono_ms=pause_ms + 20)) == 1


def test_a_flood_of_refusals_stops_the_reading_too() -> None:
    wire = Wire()
    for number in range(RATE_BURST + 51):
        for received in wire.receive(2, f"h{number}", "Heartbeat", {}):
            wire.rpc.answer(received.number, {})
    assert wire.rpc.read_pause_ms(0) > 0


def test_one_own_call_is_in_flight_at_a_time() -> None:
    wire = Wire()
    first, second = wire.request("Reset"), wire.request("ClearCache")
    assert wire.sent() == [[2, "pre-1", "Reset", {}]]
    assert wire.receive(3, "pre-1", {"status": "Accepted"}) == [CallEnded(first, Ending.ANSWERED, {"status": "Accepted"})]
    assert wire.sent() == [[2, "pre-2", "ClearCache", {}]]
    assert wire.receive(4, "pre-2", "NotSupported", "no", {}) == [CallEnded(second, Ending.REFUSED, {}, "NotSupported", "no")]


def test_both_directions_are_independent() -> None:
    wire = Wire()
    wire.request("Reset")
    (received,) = wire.receive(2, "h", "Heartbeat", {})
    wire.rpc.answer(received.number, {})
    assert [frame[:2] for frame in wire.sent()] == [[2, "pre-1"], [3, "h"]]


def test_a_newer_limit_supersedes_an_older_queued_one_of_its_evse_only() -> None:
    wire = Wire()
    wire.request("Reset")
    older, other = wire.request("SetChargingProfile", "limit/1"), wire.request("SetChargingProfile", "limit/2")
    wire.request("SetChargingProfile", "limit/1")
    assert wire.ended == [CallEnded(older, Ending.SUPERSEDED, {})]
    wire.sent()
    assert wire.receive(3, "pre-1", {})[0].ending is Ending.ANSWERED
    assert wire.receive(3, "pre-2", {}) == [CallEnded(other, Ending.ANSWERED, {})]


def test_a_limit_in_flight_is_not_superseded() -> None:
    wire = Wire()
    wire.request("SetChargingProfile", "limit/1")
    wire.request("SetChargingProfile", "limit/1")
    assert wire.ended == []


def test_limits_go_before_other_requests() -> None:
    wire = Wire(is_open=False)
    wire.request("Reset")
    wire.request("SetChargingProfile", "limit/1")
    wire.rpc.open_calls_at(5)
    assert wire.rpc.next_deadline_ms() == 5
    wire.rpc.on_time(5)
    assert wire.sent()[0][2] == "SetChargingProfile"


def test_queues_are_bounded_and_what_finds_no_room_ends_at_once() -> None:
    wire = Wire(is_open=False)
    for _ in range(QUEUED_REQUESTS_MAX):
        wire.request()
    assert wire.ended == []
    wire.request()
    assert [ended.ending for ended in wire.ended] == [Ending.NOT_SENT]
    for number in range(QUEUED_LIMITS_MAX):
        wire.request("SetChargingProfile", f"limit/{number}")
    assert wire.ended == []
    wire.request("SetChargingProfile", "limit/more")
    assert [ended.ending for ended in wire.ended] == [Ending.NOT_SENT]


def test_an_unanswered_call_times_out_on_the_monotonic_clock_and_the_next_goes_out() -> None:
    wire = Wire()
    call = wire.request(mono_ms=1_000)
    wire.request("ClearCache", mono_ms=1_000)
    wire.sent()
    assert wire.rpc.next_deadline_ms() == 16_000
    assert wire.rpc.on_time(15_999) == []
    (ended,) = wire.rpc.on_time(16_000)
    assert (ended.call, ended.ending) == (call, Ending.TIMED_OUT)
    assert wire.sent() == [[2, "pre-2", "ClearCache", {}]]


def test_a_call_that_cannot_be_sent_for_a_minute_times_out() -> None:
    wire = Wire(is_open=False)
    call = wire.request()
    limit = wire.request("SetChargingProfile", "limit/1")
    assert wire.rpc.next_deadline_ms() == QUEUE_TIMEOUT_MS
    ended = wire.rpc.on_time(QUEUE_TIMEOUT_MS)
    assert {(item.call, item.ending) for item in ended} == {(call, Ending.TIMED_OUT), (limit, Ending.TIMED_OUT)}
    assert wire.rpc.next_deadline_ms() is None


@pytest.mark.parametrize("kind", [3, 4])
def test_q54_late_duplicate_and_unknown_answers_are_counted_and_match_nothing(kind: int) -> None:
    wire = Wire()
    wire.request()
    wire.rpc.on_time(TIMEOUT_MS)
    waiting = wire.request("ClearCache", mono_ms=TIMEOUT_MS)
    assert wire.receive(kind, "pre-1", {}, mono_ms=TIMEOUT_MS) == []
    assert wire.receive(kind, "nobody", {}, mono_ms=TIMEOUT_MS) == []
    (ended,) = wire.receive(3, "pre-2", {"status": "Accepted"}, mono_ms=TIMEOUT_MS)
    assert ended.call is waiting
    assert wire.receive(kind, "pre-2", {}, mono_ms=TIMEOUT_MS) == []
    assert {name: count for name, count in wire.counters.items() if name.startswith("answer_")} == {
        "answer_late": 1,
        "answer_unknown": 1,
        "answer_duplicate": 1,
    }


@pytest.mark.parametrize(("answer", "expected"), [([3, "pre-1"], {}), ([3, "pre-1", None], {}), ([3, "pre-1", "x"], {})])
def test_an_answer_without_a_usable_payload_still_ends_its_call(answer: list[object], expected: object) -> None:
    wire = Wire()
    call = wire.request()
    assert wire.receive(*answer) == [CallEnded(call, Ending.ANSWERED, {})]


def test_q12_closing_holds_back_what_is_queued_until_the_moment_given() -> None:
    wire = Wire()
    wire.rpc.open_calls_at(None)
    wire.request()
    assert not wire.rpc.is_open_for_calls(10**9)
    wire.rpc.open_calls_at(3_000)
    assert wire.rpc.on_time(2_999) == []
    assert wire.sent() == []
    wire.rpc.on_time(3_000)
    assert [frame[2] for frame in wire.sent()] == ["Reset"]


def test_the_end_disconnects_everything_that_waits() -> None:
    wire = Wire()
    calls = [wire.request(), wire.request("SetChargingProfile", "limit/1"), wire.request("ClearCache")]
    wire.receive(2, "h", "Heartbeat", {})
    ended = wire.rpc.end()
    assert {item.call for item in ended} == set(calls)
    assert {item.ending for item in ended} == {Ending.DISCONNECTED}
    assert wire.sent() == []


def test_2_1_knows_unanswered_messages_and_refused_answers_and_older_versions_do_not() -> None:
    wire = Wire(DIALECT_21)
    (received,) = wire.receive(6, "s", "NotifyPeriodicEventStream", {"id": 1})
    assert (received.number, received.action) == (None, "NotifyPeriodicEventStream")
    assert wire.receive(5, "x", "FormatViolation", "bad", {}) == []
    assert wire.counters == {"answer_unusable_to_charger": 1}
    assert wire.receive(6, "s", "NotifyPeriodicEventStream") == []
    old = Wire(DIALECT_20)
    assert old.receive(6, "s", "NotifyPeriodicEventStream", {}) == []
    assert old.counters == {"frame_ignored_unknown_type": 1}


def test_2_1_is_told_of_an_answer_that_is_none_once_and_older_versions_are_not() -> None:
    wire = Wire(DIALECT_21)
    call, next_call = wire.request(), wire.request()
    ((_, message_id, *_),) = wire.sent()
    assert wire.receive(3, message_id, "Accepted") == [CallEnded(call, Ending.ANSWERED, {})]
    complaint, following = wire.sent()
    assert complaint == [5, message_id, "FormatViolation", "the payload is not an object", {}]
    assert following[:1] == [2]
    assert wire.receive(3, message_id, None) == []
    assert wire.sent() == []
    assert wire.receive(3, following[1], {}) == [CallEnded(next_call, Ending.ANSWERED, {})]
    assert wire.sent() == []
    old = Wire(DIALECT_20)
    old.request()
    ((_, message_id, *_),) = old.sent()
    old.receive(3, message_id, "Accepted")
    assert old.sent() == []
