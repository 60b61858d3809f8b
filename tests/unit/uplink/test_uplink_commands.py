"""The door for commands: nothing retained, expired, repeated or unreadable passes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import LimitRequested, Outcome
from edgectl.domain.external import Amount, LimitSource
from edgectl.domain.phases import Phases
from edgectl.domain.time import Instant, iso
from edgectl.uplink.commands import MAX_LIFE_MS, REMEMBERED_COUNT, Answer, CommandDoor
from edgectl.uplink.topics import Topics
from edgectl.uplink.transport import Message

NOW = Instant(5_000, 1_790_000_000_000)
TOPICS = Topics("s1")


def command(**changes: Any) -> Message:
    """A ping that is in order, but for the changes; those of the message itself by their field names."""
    fields = {name: changes.pop(name) for name in ("is_retained", "response_topic", "correlation_data") if name in changes}
    body = {
        "id": "01890000-0000-7000-8000-000000000001",
        "issued_at": iso(NOW.utc_ms),
        "expires_at": iso(NOW.utc_ms + 60_000),
        "actor": "ops",
        "args": {},
        **changes,
    }
    kept = {name: value for name, value in body.items() if value is not ...}
    return Message("edgectl/v1/s1/cmd/ping", json.dumps(kept).encode(), **fields)


def said(answer: Answer | None) -> dict[str, Any]:
    assert answer is not None
    body: dict[str, Any] = json.loads(answer.payload)
    return body


def test_a_ping_is_done() -> None:
    handled = CommandDoor(TOPICS).receive("ping", command(), NOW)
    assert handled.refusal == ""
    assert handled.answer is not None
    assert handled.answer.topic == "edgectl/v1/s1/cmd-ack/ops"
    assert said(handled.answer) == {
        "id": "01890000-0000-7000-8000-000000000001",
        "status": "done",
        "code": None,
        "reason": "",
        "result": None,
    }


def test_the_answer_goes_to_the_response_topic_with_the_correlation_data() -> None:
    message = command(response_topic="replies/7", correlation_data=b"\x00\x01")
    answer = CommandDoor(TOPICS).receive("ping", message, NOW).answer
    assert answer is not None
    assert (answer.topic, answer.correlation_data) == ("replies/7", b"\x00\x01")


def test_every_other_command_is_not_supported() -> None:
    handled = CommandDoor(TOPICS).receive("set-target", command(), NOW)
    assert said(handled.answer)["status"] == "refused"
    assert said(handled.answer)["code"] == "not-supported"
    assert handled.refusal == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_retained": True}, "retained"),
        ({"expires_at": iso(NOW.utc_ms)}, "expired"),
        ({"expires_at": "0001-01-01T00:00:00+23:00"}, "expired"),
        ({"issued_at": iso(NOW.utc_ms + 3_600_000), "expires_at": iso(NOW.utc_ms + 3_700_000)}, "issued-in-future"),
        ({"expires_at": iso(NOW.utc_ms + 2 * MAX_LIFE_MS)}, "expires-too-late"),
    ],
)
def test_what_may_not_run_is_refused_told_and_recorded(changes: dict[str, Any], code: str) -> None:
    handled = CommandDoor(TOPICS).receive("ping", command(**changes), NOW)
    assert (said(handled.answer)["status"], said(handled.answer)["code"]) == ("refused", code)
    assert handled.refusal.startswith("cmd/ping of ops: ")


def test_a_repeat_is_refused() -> None:
    door = CommandDoor(TOPICS)
    door.receive("ping", command(), NOW)
    assert said(door.receive("ping", command(), NOW).answer)["code"] == "repeated"


def test_a_refused_command_may_be_sent_again_in_order() -> None:
    door = CommandDoor(TOPICS)
    door.receive("ping", command(is_retained=True), NOW)
    assert said(door.receive("ping", command(), NOW).answer)["status"] == "done"


def test_no_unexpired_id_is_ever_forgotten() -> None:
    door = CommandDoor(TOPICS)
    for number in range(REMEMBERED_COUNT):
        assert said(door.receive("ping", command(id=f"c{number}"), NOW).answer)["status"] == "done"
    assert said(door.receive("ping", command(id="one more"), NOW).answer)["code"] == "busy"
    assert said(door.receive("ping", command(id="c0"), NOW).answer)["code"] == "repeated"


def test_expired_ids_make_room() -> None:
    door = CommandDoor(TOPICS)
    for number in range(REMEMBERED_COUNT):
        door.receive("ping", command(id=f"c{number}"), NOW)
    later = Instant(NOW.mono_ms + 61_000, NOW.utc_ms + 61_000)
    assert said(door.receive("ping", command(expires_at=iso(later.utc_ms + 1_000)), later).answer)["status"] == "done"


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1)} if levels > 1 else {}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ...},
        {"id": ""},
        {"id": 7},
        {"id": "x" * 65},
        {"actor": ...},
        {"issued_at": ...},
        {"issued_at": "yesterday"},
        {"expires_at": "2026-01-01T00:00:00"},
        {"expires_at": 1_790_000_000},
        {"args": []},
        {"args": deep(9)},
    ],
)
def test_an_unreadable_command_is_recorded_and_answered_only_on_request(changes: dict[str, Any]) -> None:
    door = CommandDoor(TOPICS)
    silent = door.receive("ping", command(**changes), NOW)
    assert silent.answer is None
    assert silent.refusal.startswith("cmd/ping: ")
    asked = door.receive("ping", command(**changes, response_topic="replies/7"), NOW)
    assert said(asked.answer)["code"] == "malformed"


def test_arguments_may_be_as_deep_as_they_need() -> None:
    assert said(CommandDoor(TOPICS).receive("ping", command(args=deep(8)), NOW).answer)["status"] == "done"


def test_long_correlation_data_is_not_sent_back() -> None:
    answer = CommandDoor(TOPICS).receive("ping", command(correlation_data=b"x" * 300), NOW).answer
    assert answer is not None
    assert answer.correlation_data is None


def test_with_a_clock_from_before_its_time_nothing_runs() -> None:
    handled = CommandDoor(TOPICS).receive("ping", command(), Instant(0, 0))
    assert said(handled.answer)["code"] == "issued-in-future"


@given(st.binary(max_size=200), st.text(max_size=20), st.booleans(), st.none() | st.text(max_size=300))
def test_any_bytes_are_refused_without_an_error(payload: bytes, name: str, is_retained: bool, response_topic: str | None) -> None:
    message = Message("t", payload, is_retained, response_topic)
    assert CommandDoor(TOPICS).receive(name, message, NOW).refusal != ""


LIMIT = {"circuit": "grid", "current_ma": 20_000, "for_s": 60}


def test_a_limit_becomes_an_event_and_what_the_core_decides_is_the_answer() -> None:
    handled = CommandDoor(TOPICS).receive("set-limit", command(args=LIMIT, response_topic="replies/7"), NOW)
    assert (handled.answer, handled.refusal) == (None, "")
    assert handled.order is not None
    event = handled.order.make("a7")
    assert isinstance(event, LimitRequested)
    assert (event.action_id, event.source, event.actor, event.issued_utc_ms) == ("a7", LimitSource.BACKEND, "ops", NOW.utc_ms)
    assert event.wish.amount == Amount(Phases.uniform(20_000))
    done = handled.order.answer(ActionAnswered("a7", Outcome.ACCEPTED, "set", "", (("id", "backend:circuit:grid"),)))
    assert done.topic == "replies/7"
    assert {name: said(done)[name] for name in ("status", "code", "result")} == {
        "status": "done",
        "code": "set",
        "result": {"id": "backend:circuit:grid"},
    }
    refused = said(handled.order.answer(ActionAnswered("a7", Outcome.REJECTED, "older", "it is older")))
    assert (refused["status"], refused["code"], refused["reason"], refused["result"]) == ("refused", "older", "it is older", None)
    late = said(handled.order.answer(ActionAnswered("a7", Outcome.TIMEOUT, problem="no answer yet")))
    assert (late["status"], late["code"]) == ("failed", "timeout")


def test_a_limit_with_absurd_arguments_is_refused_and_its_id_is_used_up() -> None:
    door = CommandDoor(TOPICS)
    handled = door.receive("set-limit", command(args={**LIMIT, "current_ma": -1}), NOW)
    assert (said(handled.answer)["status"], said(handled.answer)["code"], handled.order) == ("refused", "bad-arguments", None)
    assert "current_ma" in handled.refusal
    assert said(door.receive("set-limit", command(args=LIMIT), NOW).answer)["code"] == "repeated"
