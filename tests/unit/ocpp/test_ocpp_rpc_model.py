"""The engine against a model of both parties, and against noise."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgectl.domain.decisions import Acknowledge
from edgectl.domain.events import Call
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.frames import DIALECT_16, DIALECT_21, MAX_MESSAGE_ID_CHARS
from edgectl.ocpp.rpc import HELD_MAX, CallEnded, CallReceived, Ending, OwnCall, Rpc
from edgectl.ocpp.v16 import V16


class Conversation(RuleBasedStateMachine):
    """A charger that calls, repeats, answers late, twice and for nobody, while the core answers when it likes.

    Promises: a well-formed call is answered exactly once per message id; an own call ends exactly once; an answer never reaches
    a call it was not meant for; never two own calls in flight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.rpc = Rpc(DIALECT_16, frozenset({"MeterValues"}), "own", 1_000, 0, Counter())
        self.rpc.open_calls_at(0)
        self.calls_sent: dict[str, str] = {}
        self.held: dict[int, str] = {}
        self.answers: Counter[str] = Counter()
        self.own: dict[OwnCall, str] = {}
        self.ended: Counter[OwnCall] = Counter()
        self.wire_order: list[str] = []
        self.in_flight: str | None = None

    def take(self, happenings: list[Any]) -> None:
        for happening in happenings:
            if isinstance(happening, CallReceived):
                assert happening.number is not None
                assert happening.payload == {"n": happening.message_id}
                self.held[happening.number] = happening.message_id
            elif isinstance(happening, CallEnded):
                self.ended[happening.call] += 1
                if happening.ending is Ending.ANSWERED:
                    assert happening.payload == {"for": happening.call.payload["n"]}
                if happening.ending in {Ending.ANSWERED, Ending.TIMED_OUT} and self.in_flight is not None:
                    self.in_flight = None
        for frame in self.rpc.take_frames():
            kind, message_id, *rest = json.loads(frame.text)
            if kind == 2:
                assert self.in_flight is None, "two own calls in flight"
                self.in_flight = message_id
                self.wire_order.append(rest[1]["n"])
            else:
                self.answers[message_id] += 1

    @rule(action=strategies.sampled_from(["Heartbeat", "MeterValues"]))
    def charger_calls(self, action: str) -> None:
        if self.rpc.is_full or self.rpc.read_pause_ms(self.now_ms):
            return  # the shell does not read now
        message_id = f"c{len(self.calls_sent)}"
        text = json.dumps([2, message_id, action, {"n": message_id}])
        self.calls_sent[message_id] = text
        self.take(self.rpc.receive(text, self.now_ms))

    @precondition(lambda self: self.calls_sent)
    @rule(data=strategies.data())
    def charger_repeats_an_unanswered_call(self, data: strategies.DataObject) -> None:
        unanswered = [message_id for message_id in self.calls_sent if not self.answers[message_id]]
        if unanswered:
            text = self.calls_sent[data.draw(strategies.sampled_from(unanswered))]
            self.take(self.rpc.receive(text, self.now_ms))

    @precondition(lambda self: self.held)
    @rule(data=strategies.data())
    def core_answers(self, data: strategies.DataObject) -> None:
        number = data.draw(strategies.sampled_from(sorted(self.held)))
        del self.held[number]
        self.rpc.answer(number, {})
        self.take([])

    @rule(slot=strategies.sampled_from([None, "limit/1", "limit/2"]))
    def core_asks(self, slot: str | None) -> None:
        name = f"o{len(self.own)}"
        call = OwnCall("Reset", {"n": name}, slot)
        self.own[call] = name
        self.take(list(self.rpc.request(call, self.now_ms)))

    @precondition(lambda self: self.in_flight)
    @rule()
    def charger_answers(self) -> None:
        self.take(self.rpc.receive(json.dumps([3, self.in_flight, {"for": self.wire_order[-1]}]), self.now_ms))

    @precondition(lambda self: self.wire_order)
    @rule(data=strategies.data())
    def charger_answers_something_else(self, data: strategies.DataObject) -> None:
        past = len(self.wire_order) - 1
        number = data.draw(strategies.integers(min_value=0, max_value=past))
        if number and f"own-{number}" != self.in_flight:
            self.take(self.rpc.receive(json.dumps([3, f"own-{number}", {"for": "wrong"}]), self.now_ms))

    @rule(passed_ms=strategies.sampled_from([1, 20, 500, 1_001]))
    def time_passes(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        self.take(list(self.rpc.on_time(self.now_ms)))

    @invariant()
    def nothing_is_answered_or_ended_twice(self) -> None:
        assert all(count == 1 for count in self.answers.values())
        assert all(count == 1 for count in self.ended.values())
        assert len(self.held) <= HELD_MAX

    @invariant()
    def deadlines_are_met(self) -> None:
        deadline = self.rpc.next_deadline_ms()
        assert deadline is None or deadline > self.now_ms

    def teardown(self) -> None:
        for number in list(self.held):
            self.rpc.answer(number, {})
        self.take([])
        assert set(self.answers) == set(self.calls_sent), "a well-formed call was not answered"
        self.take(list(self.rpc.end()))
        assert set(self.ended) == set(self.own), "an own call has not ended"


Conversation.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestConversation = Conversation.TestCase


SEEDS = [
    '[2,"19223201","BootNotification",{"chargePointVendor":"VendorX","chargePointModel":"SingleSocketCharger"}]',
    '[2,"a","StartTransaction",{"connectorId":1,"idTag":"04AABB","meterStart":100,"timestamp":"2025-06-01T10:00:00Z"}]',
    (
        '[2,"b","MeterValues",{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":"2025-06-01T10:00:00+02:00",'
        '"sampledValue":[{"value":"12.5","unit":"kWh"},{"value":16,"measurand":"Current.Import","phase":"L1"},'
        '{"value":"c2lnbmVk","format":"SignedData"}]}]}]'
    ),
    (
        '[2,"c","StopTransaction",{"transactionId":7,"meterStop":12400,"timestamp":"2025-06-01T11:00:00.000Z",'
        '"transactionData":[{"timestamp":"2025-06-01T10:30:00Z","sampledValue":[{"value":"1"}]}]}]'
    ),
    '[2,"d","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]',
    '[2,"e","DataTransfer",{"vendorId":"V","data":"\\ud83d\\ude00"}]',
    '[3,"own-1",{"status":"Accepted"}]',
    '[4,"own-1","NotSupported","",{}]',
    '[6,"f","NotifyPeriodicEventStream",{}]',
]
NOISE = [
    "[",
    "]",
    "{",
    "}",
    '"',
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e400",
    "NaN",
    "9" * 60,
    "\\",
    "\\ud800",
    "\x00",
    "\u00e9",
    "[[[[",
    "Z",
]


def mutated(source: random.Random) -> str:
    text = source.choice(SEEDS)
    for _ in range(source.randint(1, 6)):
        start = source.randrange(len(text) + 1)
        stop = min(len(text), start + source.choice([0, 1, 2, 10]))
        middle = source.choice([source.choice(NOISE), text[start:stop] * 2, "", chr(source.randrange(32, 0x2FF))])
        text = text[:start] + middle + text[stop:]
    return text


def test_mutated_frames_leave_the_engine_and_the_codec_unharmed() -> None:
    """Every frame is answered, handed out as an event with its answer, or counted; nothing escapes and nothing grows."""
    source = random.Random(20250601)
    codec = V16()
    refused_billing = []
    for dialect in (DIALECT_16, DIALECT_21):
        counters: Counter[str] = Counter()
        rpc = Rpc(dialect, codec.never_refused, "own", 15_000, 0, counters)
        for number in range(4_000):
            text = mutated(source)
            now_ms = number * 20
            before = counters.total()
            happenings = rpc.receive(text, now_ms)
            for happening in happenings:
                if not isinstance(happening, CallReceived) or happening.number is None:
                    continue
                assert len(happening.message_id) <= (255 if happening.action in codec.never_refused else MAX_MESSAGE_ID_CHARS)
                call = Call(ChargerId("CP"), 1, happening.message_id, happening.action, text)
                event = codec.decode(call, happening.payload)
                codec.deviation(happening.action, happening.payload)
                if isinstance(event, DecodeProblem):
                    if happening.action in codec.never_refused:
                        refused_billing.append(text)
                    rpc.refuse(happening.number, event.fault, event.reason)
                elif happening.action in {"Heartbeat", "MeterValues", "StatusNotification", "DataTransfer"}:
                    payload = codec.encode_answer(Acknowledge(), call, Instant(now_ms, now_ms))
                    rpc.answer(happening.number, payload)
                else:
                    rpc.answer(happening.number, {})
            frames = rpc.take_frames()
            assert frames or happenings or counters.total() > before, text
            for frame in frames:
                assert json.loads(frame.text)[0] in {3, 4}
                frame.text.encode()
        assert not rpc.is_full
    assert refused_billing == []
