"""The door for commands: nothing retained, expired, repeated or unreadable passes it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edgectl.contract.commands import COMMANDS, Signed
from edgectl.contract.signing import signed_bytes
from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import ActionRequested, LimitRequested, Outcome, ReplayRequested, TariffsGiven, TokensGiven
from edgectl.domain.external import Amount, LimitSource
from edgectl.domain.phases import Phases
from edgectl.domain.roles import Role
from edgectl.domain.settings import ClockNeed, CommandKey, MqttSettings
from edgectl.domain.time import Instant, iso
from edgectl.ports import KeptCommand
from edgectl.uplink.clock import NONCE_MS, CommandClock
from edgectl.uplink.commands import MAX_LIFE_MS, REMEMBERED_COUNT, Answer, CommandDoor, Handled, outcome_payload
from edgectl.uplink.signatures import Authority
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


ROLES = (("ops", Role.OPERATOR), ("boss", Role.MANAGER), ("eye", Role.VIEWER))
SECRET = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KEY = CommandKey("k1", SECRET.public_key().public_bytes_raw())


def door(
    *,
    actors: tuple[tuple[str, Role], ...] = ROLES,
    keys: tuple[CommandKey, ...] = (KEY,),
    is_synchronised: Callable[[], bool] = lambda: True,
    need: ClockNeed = ClockNeed.SYNCHRONISED,
    recalled: Iterable[KeptCommand] = (),
) -> CommandDoor:
    settings = MqttSettings("broker", 1883, False, actors=actors, command_keys=keys)
    recalled = tuple(recalled)
    clock = CommandClock(need, is_synchronised, random.Random(1), max((k.received_utc_ms for k in recalled), default=0))
    return CommandDoor(TOPICS, "s1", Authority(settings), clock, recalled)


def signed(name: str, *, secret: Ed25519PrivateKey = SECRET, site: str = "s1", **changes: Any) -> Message:
    """A command signed as the contract says."""
    fields = {field: changes.pop(field) for field in ("is_retained", "response_topic") if field in changes}
    body = json.loads(command(site=site, name=name, **{"actor": "boss", "key": "k1", **changes}).payload)
    body["signature"] = base64.b64encode(secret.sign(signed_bytes(body))).decode()
    return Message(f"edgectl/v1/s1/cmd/{name}", json.dumps(body).encode(), **fields)


def code(handled: Handled) -> str | None:
    """Why it was refused; None when it passed."""
    return None if handled.order is not None else said(handled.answer)["code"]


def said(answer: Answer | None) -> dict[str, Any]:
    assert answer is not None
    body: dict[str, Any] = json.loads(answer.payload)
    return body


def test_a_ping_is_done() -> None:
    handled = door().receive("ping", command(), NOW)
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
    answer = door().receive("ping", message, NOW).answer
    assert answer is not None
    assert (answer.topic, answer.correlation_data) == ("replies/7", b"\x00\x01")


def test_a_command_nobody_knows_is_not_supported() -> None:
    handled = door().receive("self-destruct", command(), NOW)
    assert said(handled.answer)["status"] == "refused"
    assert said(handled.answer)["code"] == "not-supported"


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
    handled = door().receive("ping", command(**changes), NOW)
    assert (said(handled.answer)["status"], said(handled.answer)["code"]) == ("refused", code)
    assert handled.refusal.startswith("cmd/ping of ops: ")


def test_a_repeat_of_a_ping_gets_the_same_answer() -> None:
    one = door()
    first = one.receive("ping", command(), NOW)
    assert one.receive("ping", command(), NOW).answer == first.answer


def test_another_command_under_the_same_id_is_refused() -> None:
    one = door()
    one.receive("ping", command(), NOW)
    assert said(one.receive("ping", command(args={}, nonce="x"), NOW).answer)["code"] == "id-used"


def test_a_refused_command_may_be_sent_again_in_order() -> None:
    one = door()
    one.receive("ping", command(is_retained=True), NOW)
    assert said(one.receive("ping", command(), NOW).answer)["status"] == "done"


def test_no_unexpired_id_is_ever_forgotten() -> None:
    one = door()
    for number in range(REMEMBERED_COUNT):
        assert said(one.receive("ping", command(id=f"c{number}"), NOW).answer)["status"] == "done"
    assert said(one.receive("ping", command(id="one more"), NOW).answer)["code"] == "busy"
    assert said(one.receive("ping", command(id="c0"), NOW).answer)["status"] == "done"


def test_expired_ids_make_room() -> None:
    one = door()
    for number in range(REMEMBERED_COUNT):
        one.receive("ping", command(id=f"c{number}"), NOW)
    later = Instant(NOW.mono_ms + 61_000, NOW.utc_ms + 61_000)
    assert said(one.receive("ping", command(expires_at=iso(later.utc_ms + 1_000)), later).answer)["status"] == "done"


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
        {"args": deep(12)},
    ],
)
def test_an_unreadable_command_is_recorded_and_answered_only_on_request(changes: dict[str, Any]) -> None:
    one = door()
    silent = one.receive("ping", command(**changes), NOW)
    assert silent.answer is None
    assert silent.refusal.startswith("cmd/ping: ")
    asked = one.receive("ping", command(**changes, response_topic="replies/7"), NOW)
    assert said(asked.answer)["code"] == "malformed"


def test_long_correlation_data_is_not_sent_back() -> None:
    answer = door().receive("ping", command(correlation_data=b"x" * 300), NOW).answer
    assert answer is not None
    assert answer.correlation_data is None


@given(st.binary(max_size=200), st.text(max_size=20), st.booleans(), st.none() | st.text(max_size=300))
def test_any_bytes_are_refused_without_an_error(payload: bytes, name: str, is_retained: bool, response_topic: str | None) -> None:
    message = Message("t", payload, is_retained, response_topic)
    assert door().receive(name, message, NOW).refusal != ""


LIMIT = {"circuit": "grid", "current_ma": 20_000, "for_s": 60}


def test_a_limit_becomes_an_event_and_what_the_core_decides_is_the_answer() -> None:
    handled = door().receive("set-limit", command(args=LIMIT, response_topic="replies/7"), NOW)
    assert (handled.answer, handled.refusal) == (None, "")
    assert handled.order is not None
    event = handled.order.make("a7")
    assert isinstance(event, LimitRequested)
    assert (event.action_id, event.source, event.actor, event.issued_utc_ms) == ("a7", LimitSource.BACKEND, "ops", NOW.utc_ms)
    assert event.wish.amount == Amount(Phases.uniform(20_000))
    assert not event.may_raise, "it is not signed"
    assert handled.order.answer_to.topic == "replies/7"
    done = json.loads(outcome_payload("c1", ActionAnswered("a7", Outcome.ACCEPTED, "set", "", (("id", "backend:circuit:grid"),))))
    assert done == {"id": "c1", "status": "done", "code": "set", "reason": "", "result": {"id": "backend:circuit:grid"}}
    refused = json.loads(outcome_payload("c1", ActionAnswered("a7", Outcome.REJECTED, "older", "it is older")))
    assert (refused["status"], refused["code"], refused["reason"], refused["result"]) == ("refused", "older", "it is older", None)
    unknown = json.loads(outcome_payload("c1", ActionAnswered("a7", Outcome.NOT_SUPPORTED, problem="NotImplemented")))
    assert (unknown["status"], unknown["code"], unknown["reason"]) == ("refused", "not-supported", "NotImplemented")
    late = json.loads(outcome_payload("c1", ActionAnswered("a7", Outcome.TIMEOUT, problem="no answer yet")))
    assert (late["status"], late["code"]) == ("failed", "timeout")


def test_absurd_arguments_are_refused_and_the_command_may_be_sent_again_in_order() -> None:
    one = door()
    handled = one.receive("set-limit", command(args={**LIMIT, "current_ma": -1}), NOW)
    assert (said(handled.answer)["status"], said(handled.answer)["code"], handled.order) == ("refused", "bad-arguments", None)
    assert "current_ma" in handled.refusal
    assert said(one.receive("set-limit", command(args={"circuit": "grid"}), NOW).answer)["code"] == "bad-arguments"
    assert code(one.receive("set-limit", command(args=LIMIT), NOW)) is None


# --- roles and signatures -------------------------------------------------------------------------------------------------

ARGS: dict[str, dict[str, Any]] = {
    "ping": {},
    "start": {"charger": "CP-1", "evse": 1, "token": "04A1"},
    "stop": {"charger": "CP-1"},
    "reset": {"charger": "CP-1", "kind": "hard"},
    "unlock": {"charger": "CP-1", "evse": 1},
    "availability": {"charger": "CP-1", "state": "inoperative"},
    "trigger": {"charger": "CP-1", "message": "StatusNotification"},
    "set-limit": LIMIT,
    "set-priority": {"charger": "CP-1", "evse": 1, "priority": 7},
    "set-target": {"token": "04A1", "energy_wh": 30_000, "depart_at": iso(NOW.utc_ms + 3_600_000)},
    "clear-target": {"token": "04A1"},
    "set-tokens": {"version": 3, "tokens": [{"uid": "04A1", "account": "van", "expires": iso(NOW.utc_ms + 1_000)}]},
    "set-tariffs": {"version": 1, "tariffs": []},
    "configure": {"charger": "CP-1", "key": "HeartbeatInterval", "value": "60"},
    "get-configuration": {"charger": "CP-1", "keys": ["A", "B"]},
    "reserve": {"charger": "CP-1", "reservation": 5, "token": "04A1", "expires": iso(NOW.utc_ms + 3_600_000)},
    "cancel-reservation": {"charger": "CP-1", "reservation": 5},
    "update-firmware": {"charger": "CP-1", "location": "https://edge/f", "at": iso(NOW.utc_ms), "retry_interval": 60},
    "get-log": {"charger": "CP-1", "location": "https://edge/l", "kind": "security"},
    "data-transfer": {"charger": "CP-1", "vendor": "Acme", "data": "1"},
    "clear-cache": {"charger": "CP-1"},
    "get-certificates": {"charger": "CP-1"},
    "install-certificate": {"charger": "CP-1", "certificate": "PEM"},
    "delete-certificate": {
        "charger": "CP-1",
        "hash": {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "cc"},
    },
    "certificate-signed": {"charger": "CP-1", "chain": "PEM"},
    "replay": {"stream": "billing", "from_seq": 1, "to_seq": 9},
}


def test_there_is_an_example_of_every_command() -> None:
    assert ARGS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_signed_command_of_a_manager_passes(name: str) -> None:
    handled = door().receive(name, signed(name, args=ARGS[name]), NOW)
    assert handled.refusal == ""
    assert (handled.order is not None) == (name != "ping")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_is_about_money_or_safety_needs_a_signature_and_nothing_else_does(name: str) -> None:
    handled = door(actors=()).receive(name, command(args=ARGS[name]), NOW)
    expected = "unsigned" if COMMANDS[name].signed is Signed.ALWAYS else None
    assert code(handled) == expected


@pytest.mark.parametrize(
    ("name", "args"),
    [("start", {"charger": "CP-1"}), ("set-limit", {"circuit": "grid", "lift": True})],
)
def test_a_start_without_a_token_and_lifting_a_limit_need_a_signature(name: str, args: dict[str, Any]) -> None:
    assert code(door().receive(name, command(args=args), NOW)) == "unsigned"
    assert code(door().receive(name, signed(name, args=args), NOW)) is None


def test_a_signed_limit_may_raise() -> None:
    order = door().receive("set-limit", signed("set-limit", args=LIMIT), NOW).order
    assert order is not None
    event = order.make("a1")
    assert isinstance(event, LimitRequested)
    assert event.may_raise


@pytest.mark.parametrize(
    ("actor", "name", "expected"),
    [
        ("eye", "ping", None),
        ("eye", "stop", "not-allowed"),
        ("ops", "stop", None),
        ("ops", "unlock", "unsigned"),
        ("ops", "configure", "not-allowed"),
        ("stranger", "ping", "unknown-actor"),
    ],
)
def test_an_actor_may_ask_for_what_its_role_includes(actor: str, name: str, expected: str | None) -> None:
    assert code(door().receive(name, command(actor=actor, args=ARGS[name]), NOW)) == expected


def test_without_actors_in_the_file_the_broker_alone_decides_who_may_ask() -> None:
    assert code(door(actors=()).receive("stop", command(actor="anybody", args=ARGS["stop"]), NOW)) is None


OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (signed("unlock", args=ARGS["unlock"], secret=OTHER), "bad-signature"),
        (signed("unlock", args=ARGS["unlock"], key="k2"), "unknown-key"),
        (signed("unlock", args=ARGS["unlock"], site="s2"), "wrong-address"),
        (signed("stop", args=ARGS["unlock"]), "wrong-address"),
        (command(actor="boss", args=ARGS["unlock"], signature="A" * 88, key="k1"), "bad-signature"),
        (command(actor="boss", args=ARGS["unlock"], site="s1", name="unlock", signature="?", key="k1"), "bad-signature"),
        (command(actor="boss", args=ARGS["unlock"], site="s1", name="unlock", signature="", key="k1"), "bad-signature"),
    ],
)
def test_a_signature_of_somebody_else_or_for_something_else_is_none(message: Message, expected: str) -> None:
    assert code(door().receive("unlock", message, NOW)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"args": {**ARGS["unlock"], "evse": 2}},
        {"expires_at": iso(NOW.utc_ms + 61_000)},
        {"actor": "ops"},
        {"id": "another"},
        {"nonce": "x"},
        {"something": "new"},
    ],
)
def test_nothing_that_was_signed_can_be_changed(change: dict[str, Any]) -> None:
    message = signed("unlock", args=ARGS["unlock"])
    changed = json.dumps({**json.loads(message.payload), **change}).encode()
    assert code(door().receive("unlock", replace(message, payload=changed), NOW)) == "bad-signature"


def test_a_key_signs_for_its_actors_only() -> None:
    key = replace(KEY, actors=("boss",))
    assert code(door(keys=(key,)).receive("unlock", signed("unlock", args=ARGS["unlock"]), NOW)) is None
    foreign = signed("unlock", args=ARGS["unlock"], actor="ops")
    assert code(door(keys=(key,)).receive("unlock", foreign, NOW)) == "unknown-key"


def test_a_signature_holds_whatever_the_order_and_the_spaces() -> None:
    message = signed("unlock", args=ARGS["unlock"])
    body = json.loads(message.payload)
    shuffled = json.dumps(dict(reversed(body.items())), indent=3).encode()
    assert code(door().receive("unlock", replace(message, payload=shuffled), NOW)) is None


# --- what commands are to the core ----------------------------------------------------------------------------------------


def event_of(name: str, args: dict[str, Any] | None = None) -> Any:
    order = door().receive(name, signed(name, args=ARGS[name] if args is None else args), NOW).order
    assert order is not None
    return order.make("a1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("start", ("start", (("evse", "1"), ("token", "04A1")))),
        ("reset", ("reset", (("kind", "hard"),))),
        ("get-configuration", ("get-configuration", (("key", "A"), ("key", "B")))),
        ("set-priority", ("set-priority", (("evse", "1"), ("priority", "7")))),
        ("clear-cache", ("clear-cache", ())),
    ],
)
def test_a_command_on_a_charger_is_the_action_of_the_command_line(name: str, expected: tuple[str, Any]) -> None:
    event = event_of(name)
    assert isinstance(event, ActionRequested)
    assert (event.name, event.arguments) == expected
    assert (event.charger, event.actor) == ("CP-1", "backend:boss")


def test_a_target_of_a_token_names_no_charger() -> None:
    event = event_of("set-target")
    assert dict(event.arguments)["token"] == "04A1"
    assert dict(event.arguments)["energy"] == "30000 Wh"


def test_tokens_tariffs_and_replays_are_events_of_their_own() -> None:
    tokens = event_of("set-tokens")
    assert isinstance(tokens, TokensGiven)
    assert (tokens.version_number, tokens.mode, tokens.tokens[0].account) == (3, "replace", "van")
    assert isinstance(event_of("set-tariffs"), TariffsGiven)
    replay = event_of("replay")
    assert isinstance(replay, ReplayRequested)
    assert (replay.stream, replay.from_seq, replay.to_seq) == ("billing", 1, 9)


def test_a_target_of_nobody_or_of_two_is_refused() -> None:
    for place in ({}, {"token": "04A1", "charger": "CP-1"}):
        args = {"priority": 1, **place}
        assert code(door().receive("set-priority", command(args=args), NOW)) == "bad-arguments"


def test_a_misspelt_argument_is_refused() -> None:
    handled = door().receive("stop", command(args={"charger": "CP-1", "evs": 1}), NOW)
    assert code(handled) == "bad-arguments"
    assert "evs" in said(handled.answer)["reason"]


# --- the clock and the nonce ----------------------------------------------------------------------------------------------


def untrusted(**changes: Any) -> tuple[CommandDoor, str]:
    """A door whose clock nobody keeps right, and its nonce."""
    one = door(is_synchronised=lambda: False, **changes)
    nonce = one._clock.nonce(NOW)
    assert nonce is not None
    return one, nonce


def test_without_a_trusted_clock_a_command_needs_the_nonce_of_the_moment_and_uses_it_up() -> None:
    one, nonce = untrusted()
    assert code(one.receive("stop", command(args=ARGS["stop"]), NOW)) == "clock-untrusted"
    assert code(one.receive("stop", command(args=ARGS["stop"], nonce="0" * 32), NOW)) == "clock-untrusted"
    past = {"issued_at": iso(0), "expires_at": iso(1_000)}
    assert code(one.receive("stop", command(args=ARGS["stop"], nonce=nonce, **past), NOW)) is None
    assert one._clock.nonce(NOW) != nonce
    assert code(one.receive("stop", command(id="another", args=ARGS["stop"], nonce=nonce), NOW)) == "clock-untrusted"


def test_a_nonce_is_not_used_up_by_what_is_refused_and_ends_by_itself() -> None:
    one, nonce = untrusted()
    assert code(one.receive("unlock", command(args=ARGS["unlock"], nonce=nonce), NOW)) == "unsigned"
    assert one._clock.nonce(NOW) == nonce
    later = Instant(NOW.mono_ms + NONCE_MS, NOW.utc_ms)
    assert code(one.receive("stop", command(args=ARGS["stop"], nonce=nonce), later)) == "clock-untrusted"


def test_a_repeat_of_a_command_with_a_nonce_gets_its_answer() -> None:
    one, nonce = untrusted()
    message = command(args=ARGS["stop"], nonce=nonce)
    order = one.receive("stop", message, NOW).order
    assert order is not None
    assert said(one.receive("stop", message, NOW).answer)["code"] == "under-way"
    one.answered(order.kept, b'{"code":"x"}')
    assert said(one.receive("stop", message, NOW).answer)["code"] == "x"


@pytest.mark.parametrize("utc_ms", [0, 1_700_000_000_000, NOW.utc_ms - 600_000])
def test_a_clock_from_before_its_release_or_behind_the_last_command_is_not_trusted(utc_ms: int) -> None:
    last = KeptCommand("c0", b"", NOW.utc_ms, NOW.utc_ms)
    one = door(need=ClockNeed.PLAUSIBLE, recalled=[last], is_synchronised=lambda: False)
    behind = Instant(0, utc_ms)
    body = {"issued_at": iso(utc_ms), "expires_at": iso(utc_ms + 60_000), "args": ARGS["stop"]}
    assert code(one.receive("stop", command(**body), behind)) == "clock-untrusted"
    assert code(one.receive("stop", command(args=ARGS["stop"]), NOW)) is None


def test_the_machine_is_asked_once_a_second_and_its_new_word_counts() -> None:
    words = [False, True]
    one = door(is_synchronised=lambda: words.pop(0))
    assert code(one.receive("stop", command(args=ARGS["stop"]), NOW)) == "clock-untrusted"
    assert one._clock.nonce(Instant(NOW.mono_ms + 999, NOW.utc_ms)) is not None
    later = Instant(NOW.mono_ms + 1_000, NOW.utc_ms + 1_000)
    assert one._clock.nonce(later) is None
    assert code(one.receive("stop", command(args=ARGS["stop"]), later)) is None


# --- over a restart -------------------------------------------------------------------------------------------------------


def test_after_a_restart_a_repeat_gets_the_stored_answer_and_one_that_was_under_way_is_not_tried_again() -> None:
    message = command(args=ARGS["stop"])
    before = door().receive("stop", message, NOW).order
    assert before is not None
    done = replace(before.kept, answer=b'{"code":"kept"}')
    assert said(door(recalled=[done]).receive("stop", message, NOW).answer)["code"] == "kept"
    interrupted = door(recalled=[before.kept]).receive("stop", message, NOW)
    assert interrupted.order is None
    assert (said(interrupted.answer)["status"], said(interrupted.answer)["code"]) == ("failed", "interrupted")


def test_one_that_could_not_be_kept_may_be_sent_again() -> None:
    one = door()
    message = command(args=ARGS["stop"])
    order = one.receive("stop", message, NOW).order
    assert order is not None
    one.forget(order.kept)
    assert code(one.receive("stop", message, NOW)) is None
