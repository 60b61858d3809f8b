"""The door for commands: who gets in, who is told why not. Pure, apart from remembering which ids have been here.

A command is refused when it is retained (it would run again after every restart), expired, dated in the future, repeated, or
not readable. ``ping`` is answered here. What is in ``COMMANDS`` becomes an event, and what the core decides is the answer. Every
other command is known by no one yet and answered ``not-supported``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from edgectl import contract
from edgectl.contract import Command
from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import Event, LimitRequested, Outcome
from edgectl.domain.external import LimitSource, WishError, read_wish
from edgectl.domain.time import Instant, utc_ms
from edgectl.domain.units import Millis, UtcMillis
from edgectl.uplink.codec import UnreadableError, decode, encode, shown
from edgectl.uplink.topics import Topics
from edgectl.uplink.transport import Message

MAX_LIFE_MS: Final[Millis] = 24 * 3_600_000
"""A command that may still run tomorrow is a surprise; and an id must be remembered until its command has expired."""

CLOCK_SKEW_MS: Final[Millis] = 5 * 60_000
"""How far the sender's clock may be ahead of ours."""

REMEMBERED_COUNT: Final = 1_000
"""Ids of unexpired commands, some 100 kB. When all are taken, new commands are refused: forgetting one could run it twice."""

MAX_ARGUMENT_DEPTH: Final = 8
"""Charging profiles and token lists need four."""

MAX_CORRELATION_BYTES: Final = 256
"""MQTT sets no bound. Ids of any kind are shorter; longer ones are not sent back."""

_envelopes = msgspec.json.Decoder(Command)

Status: TypeAlias = Literal["accepted", "done", "refused", "failed"]
MakeEvent: TypeAlias = Callable[[str], Event]
"""Given the id under which the answer will come."""


def _set_limit(envelope: Command) -> MakeEvent:
    wish = read_wish(envelope.args)
    issued_utc_ms = utc_ms(envelope.issued_at)

    def make(action_id: str) -> Event:
        return LimitRequested(action_id, LimitSource.BACKEND, envelope.actor, wish, envelope.id, issued_utc_ms)

    return make


COMMANDS: Final[dict[str, Callable[[Command], MakeEvent]]] = {"set-limit": _set_limit}
"""What each command is to the core. They raise ``WishError`` for arguments that cannot be understood."""
_STATUSES: Final[dict[Outcome, Status]] = {Outcome.ACCEPTED: "done", Outcome.REJECTED: "refused"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, and where."""

    topic: str
    payload: bytes
    correlation_data: bytes | None


@dataclass(frozen=True, slots=True)
class Order:
    """A command that passed the door."""

    make: MakeEvent
    answer: Callable[[ActionAnswered], Answer]
    """What goes back once it is known what became of it."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one command."""

    answer: Answer | None
    """None when it could not be read and nobody asked for an answer."""
    refusal: str = ""
    """Why it did not pass the door, in words; empty when it did."""
    order: Order | None = None
    """What is to be done; its outcome will be the answer."""


class CommandDoor:
    """Remembers the commands of one process. Not over a restart: what is answered here changes nothing, so twice is once, and the
    core knows the last command of each limit."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._expiry_utc_ms: dict[str, UtcMillis] = {}

    def receive(self, name: str, message: Message, now: Instant) -> Handled:
        """Judge and answer the command ``name``."""
        try:
            envelope = decode(_envelopes, message.payload)
            if _is_deeper(envelope.args, MAX_ARGUMENT_DEPTH):
                raise UnreadableError(f"args are nested deeper than {MAX_ARGUMENT_DEPTH}")
        except UnreadableError as error:
            answer = self._answer(message, "", None, "refused", "malformed", str(error)) if message.response_topic else None
            return Handled(answer, f"cmd/{shown(name)}: {error}")
        issued_utc_ms, expires_utc_ms = utc_ms(envelope.issued_at), utc_ms(envelope.expires_at)
        reason = self._why_not(message, envelope.id, issued_utc_ms, expires_utc_ms, now)
        if reason is not None:
            code, words = reason
            answer = self._answer(message, envelope.actor, envelope.id, "refused", code, words)
            return Handled(answer, f"cmd/{shown(name)} of {shown(envelope.actor)}: {words}")
        self._expiry_utc_ms[envelope.id] = expires_utc_ms
        if name == "ping":
            return Handled(self._answer(message, envelope.actor, envelope.id, "done", None, ""))
        if name in COMMANDS:
            return self._order(name, envelope, message)
        words = f"this gateway does not know the command {shown(name)!r}"
        return Handled(self._answer(message, envelope.actor, envelope.id, "refused", "not-supported", words))

    def _order(self, name: str, envelope: Command, message: Message) -> Handled:
        try:
            make = COMMANDS[name](envelope)
        except WishError as error:
            answer = self._answer(message, envelope.actor, envelope.id, "refused", "bad-arguments", str(error))
            return Handled(answer, f"cmd/{name} of {shown(envelope.actor)}: {shown(str(error))}")

        def answered(found: ActionAnswered) -> Answer:
            status = _STATUSES.get(found.outcome, "failed")
            result = None if found.outcome is Outcome.REJECTED else dict(found.detail)
            code = found.status or (None if status == "done" else found.outcome.value)
            return self._answer(message, envelope.actor, envelope.id, status, code, found.problem, result)

        return Handled(None, order=Order(make, answered))

    def _why_not(
        self, message: Message, id_: str, issued_utc_ms: UtcMillis, expires_utc_ms: UtcMillis, now: Instant
    ) -> tuple[str, str] | None:
        if message.is_retained:
            return "retained", "it was published as retained, so it would run again after every restart"
        if expires_utc_ms <= now.utc_ms:
            return "expired", f"it expired {(now.utc_ms - expires_utc_ms) // 1000} s ago by the clock of this gateway"
        if issued_utc_ms > now.utc_ms + CLOCK_SKEW_MS:
            return "issued-in-future", f"it is dated {(issued_utc_ms - now.utc_ms) // 1000} s ahead of the clock of this gateway"
        if expires_utc_ms - now.utc_ms > MAX_LIFE_MS + CLOCK_SKEW_MS:
            return "expires-too-late", f"it may live {MAX_LIFE_MS // 3_600_000} h at most"
        if id_ in self._expiry_utc_ms:
            return "repeated", "a command with this id has been answered already"
        if len(self._expiry_utc_ms) >= REMEMBERED_COUNT:
            self._expiry_utc_ms = {key: until for key, until in self._expiry_utc_ms.items() if until > now.utc_ms}
        if len(self._expiry_utc_ms) >= REMEMBERED_COUNT:
            return "busy", f"{REMEMBERED_COUNT} commands have not expired yet; send this one again later"
        return None

    def _answer(
        self,
        message: Message,
        actor: str,
        id_: str | None,
        status: Status,
        code: str | None,
        reason: str,
        result: dict[str, str] | None = None,
    ) -> Answer:
        correlation_data = message.correlation_data
        if correlation_data is not None and len(correlation_data) > MAX_CORRELATION_BYTES:
            correlation_data = None
        body = contract.Answer(id=id_, status=status, code=code, reason=reason, result=result)
        return Answer(self._topics.answer(message.response_topic, actor), encode(body), correlation_data)


def _is_deeper(value: object, depth: int) -> bool:
    """Whether containers are nested more than ``depth`` deep in ``value``."""
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(member, depth - 1) for member in members)
