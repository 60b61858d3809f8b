"""The door for commands: who gets in, who is told why not. Pure, apart from remembering which ids have been here.

A command is judged in the order of the contract: readable, role, signature, clock or nonce, not expired, not retained, not here
before. ``ping`` is answered at the door; every other one becomes an event, and what the core decides is the answer. A repeat
gets the answer of the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import msgspec

from edgectl import contract
from edgectl.contract import Command
from edgectl.contract.arguments import Args, SetLimitArgs, StartArgs
from edgectl.contract.commands import COMMANDS, Signed
from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import Outcome
from edgectl.domain.external import WishError
from edgectl.domain.time import Instant, utc_ms
from edgectl.domain.units import Millis
from edgectl.ports import KeptCommand
from edgectl.uplink.clock import CommandClock
from edgectl.uplink.codec import UnreadableError, decode, encode, shown
from edgectl.uplink.orders import MakeEvent, order_of
from edgectl.uplink.signatures import Authority, Refusal
from edgectl.uplink.topics import Topics
from edgectl.uplink.transport import Message

MAX_LIFE_MS: Final[Millis] = 24 * 3_600_000
"""A command that may still run tomorrow is a surprise; and an id must be remembered until its command has expired."""

CLOCK_SKEW_MS: Final[Millis] = 5 * 60_000
"""How far the sender's clock may be ahead of ours."""

REMEMBERED_COUNT: Final = 1_000
"""Ids of unexpired commands, some 500 kB with their answers. When all are taken, new commands are refused: forgetting one could
run it twice."""

MAX_ARGUMENT_DEPTH: Final = 12
"""Tariff objects need eight."""

MAX_CORRELATION_BYTES: Final = 256
"""MQTT sets no bound. Ids of any kind are shorter; longer ones are not sent back."""

Status: TypeAlias = Literal["accepted", "done", "refused", "failed"]
_STATUSES: Final[dict[Outcome, Status]] = {
    Outcome.ACCEPTED: "done",
    Outcome.REJECTED: "refused",
    Outcome.NOT_SUPPORTED: "refused",
}
"""All others may have happened."""
_raw = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, and where."""

    topic: str
    payload: bytes
    correlation_data: bytes | None


@dataclass(frozen=True, slots=True)
class Order:
    """A command that passed the door. It is kept first, then carried out, then its answer is kept, then told."""

    kept: KeptCommand
    make: MakeEvent
    answer_to: Answer
    """Where the answer goes; its payload comes from ``outcome_payload``."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one command."""

    answer: Answer | None
    """None when it is under way, or could not be read and nobody asked for an answer."""
    refusal: str = ""
    """Why it did not pass the door, in words; empty when it did."""
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A command that could be read."""

    command: Command
    args: Args
    raw: dict[str, Any]


class CommandDoor:
    """Remembers the commands of this process, and those ``recalled`` from before."""

    def __init__(
        self, topics: Topics, site: str, authority: Authority, clock: CommandClock, recalled: Iterable[KeptCommand] = ()
    ) -> None:
        self._topics = topics
        self._site = site
        self._authority = authority
        self._clock = clock
        self._seen = {
            # What was under way when the daemon ended may have happened or not; nobody can say, and it is not tried again.
            kept.id: kept if kept.answer is not None else replace(kept, answer=interrupted_payload(kept.id))
            for kept in recalled
        }

    def receive(self, name: str, message: Message, now: Instant) -> Handled:
        """Judge and answer the command ``name``."""
        try:
            read = self._read(name, message.payload)
        except UnreadableError as error:
            answer = self._answer(message, "", None, "refused", "malformed", str(error)) if message.response_topic else None
            return Handled(answer, f"cmd/{shown(name)}: {error}")
        command = read.command
        digest = hashlib.sha256(message.payload).digest()
        found = self._why_not(name, read, digest, message, now) or self._why_not_new(command, digest, message, now)
        if isinstance(found, Answer):
            return Handled(found)
        make: MakeEvent | None = None
        if found is None and name != "ping":
            try:
                make = order_of(name, read.args, command, is_signed=command.signature is not None)
            except WishError as error:
                found = "bad-arguments", shown(str(error))
        if found is not None:
            code, words = found
            answer = self._answer(message, command.actor, command.id, "refused", code, words)
            return Handled(answer, f"cmd/{shown(name)} of {shown(command.actor)}: {words}")
        return self._let_in(read, make, digest, message, now)

    def _let_in(self, read: _Read, make: MakeEvent | None, digest: bytes, message: Message, now: Instant) -> Handled:
        command = read.command
        is_timely = self._clock.is_trusted(now)
        self._clock.note_command(now)
        self._clock.use(now)
        until_utc_ms = utc_ms(command.expires_at) if is_timely else now.utc_ms + MAX_LIFE_MS
        kept = KeptCommand(command.id, digest, now.utc_ms, until_utc_ms)
        if make is None:
            answer = self._answer(message, command.actor, command.id, "done", None, "")
            self.answered(kept, answer.payload)
            return Handled(answer)
        self._seen[command.id] = kept
        return Handled(None, order=Order(kept, make, self._address(message, command.actor, b"")))

    def answered(self, kept: KeptCommand, payload: bytes) -> None:
        """This became of it; a repeat is told the same."""
        self._seen[kept.id] = replace(kept, answer=payload)

    def forget(self, kept: KeptCommand) -> None:
        """It was not carried out, and may be sent again."""
        self._seen.pop(kept.id, None)

    # --- judging ------------------------------------------------------------------------------------------------------

    def _read(self, name: str, payload: bytes) -> _Read:
        """Everything is read from one decoding, so that nobody can show the signature one thing and the core another."""
        raw = decode(_raw, payload)
        if _is_deeper(raw, MAX_ARGUMENT_DEPTH):
            raise UnreadableError(f"nested deeper than {MAX_ARGUMENT_DEPTH}")
        try:
            command = msgspec.convert(raw, Command)
        except ValueError as error:
            raise UnreadableError(shown(str(error))) from None
        kind = COMMANDS.get(name)
        if kind is None:
            return _Read(command, Args(), raw)
        try:
            return _Read(command, msgspec.convert(command.args, kind.args), raw)
        except ValueError as error:
            return _Read(command, _Unfit(shown(str(error)).replace("`$", "`args")), raw)

    def _why_not(self, name: str, read: _Read, digest: bytes, message: Message, now: Instant) -> Refusal | None:
        command, args = read.command, read.args
        kind = COMMANDS.get(name)
        if kind is None:
            return "not-supported", f"this gateway does not know the command {shown(name)!r}"
        if isinstance(args, _Unfit):
            return "bad-arguments", args.words
        if command.site not in (None, self._site) or command.name not in (None, name):
            return "wrong-address", "it names another site or command than its topic"
        refusal = self._authority.why_not_allowed(command.actor, name, kind)
        if refusal is not None:
            return refusal
        if command.signature is not None:
            refusal = self._authority.why_not_signed(command, read.raw, self._site, name)
            if refusal is not None:
                return refusal
        elif _needs_signature(kind.signed, args):
            return "unsigned", f"{name} needs a signature by a key of this site's file"
        return self._why_not_now(command, digest, message, now)

    def _why_not_now(self, command: Command, digest: bytes, message: Message, now: Instant) -> Refusal | None:
        issued_utc_ms, expires_utc_ms = utc_ms(command.issued_at), utc_ms(command.expires_at)
        if not self._clock.is_trusted(now):
            seen = self._seen.get(command.id)
            is_repeat = seen is not None and seen.digest == digest  # its nonce was used by the first
            if not is_repeat and not self._clock.is_fresh(command.nonce, now):
                words = "the clock of this gateway cannot be trusted now: the command must carry the `nonce` of its status"
                return "clock-untrusted", words
        elif expires_utc_ms <= now.utc_ms:
            return "expired", f"it expired {(now.utc_ms - expires_utc_ms) // 1000} s ago by the clock of this gateway"
        elif issued_utc_ms > now.utc_ms + CLOCK_SKEW_MS:
            return "issued-in-future", f"it is dated {(issued_utc_ms - now.utc_ms) // 1000} s ahead of the clock of this gateway"
        elif expires_utc_ms - now.utc_ms > MAX_LIFE_MS + CLOCK_SKEW_MS:
            return "expires-too-late", f"it may live {MAX_LIFE_MS // 3_600_000} h at most"
        if message.is_retained:
            return "retained", "it was published as retained, so it would run again after every restart"
        return None

    def _why_not_new(self, command: Command, digest: bytes, message: Message, now: Instant) -> Refusal | Answer | None:
        """A refusal, the stored answer of a repeat, or nothing for one that is new."""
        seen = self._seen.get(command.id)
        if seen is not None and seen.digest != digest:
            return "id-used", "another command had this id"
        if seen is not None:
            words = "it is under way"
            under_way = self._answer(message, command.actor, command.id, "accepted", "under-way", words)
            return under_way if seen.answer is None else self._address(message, command.actor, seen.answer)
        if len(self._seen) >= REMEMBERED_COUNT:
            self._seen = {key: kept for key, kept in self._seen.items() if kept.expires_utc_ms > now.utc_ms}
        if len(self._seen) >= REMEMBERED_COUNT:
            return "busy", f"{REMEMBERED_COUNT} commands have not expired yet; send this one again later"
        return None

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, message: Message, actor: str, id_: str | None, status: Status, code: str | None, reason: str) -> Answer:
        body = contract.Answer(id=id_, status=status, code=code, reason=reason, result=None)
        return self._address(message, actor, encode(body))

    def _address(self, message: Message, actor: str, payload: bytes) -> Answer:
        correlation_data = message.correlation_data
        if correlation_data is not None and len(correlation_data) > MAX_CORRELATION_BYTES:
            correlation_data = None
        return Answer(self._topics.answer(message.response_topic, actor), payload, correlation_data)


class _Unfit(Args):
    """Arguments that are not what the command takes; said once the envelope is known to be whole."""

    words: str = ""


def outcome_payload(command_id: str, found: ActionAnswered) -> bytes:
    """What became of a command that was carried out."""
    status = _STATUSES.get(found.outcome, "failed")
    detail = dict(found.detail)
    result = None if found.outcome is Outcome.REJECTED and not detail else detail
    code = found.status or (None if status == "done" else found.outcome.value)
    return encode(contract.Answer(id=command_id, status=status, code=code, reason=found.problem, result=result))


def interrupted_payload(command_id: str) -> bytes:
    """Of a command that was under way when the daemon ended."""
    words = "the gateway restarted while it was under way; whether it happened is not known"
    return encode(contract.Answer(id=command_id, status="failed", code="interrupted", reason=words, result=None))


def _needs_signature(signed: Signed, args: Args) -> bool:
    """Raising a limit is judged where the limits are known: an unsigned one may only lower."""
    if signed is Signed.WITHOUT_TOKEN:
        return isinstance(args, StartArgs) and args.token is None
    if signed is Signed.WHEN_RAISING:
        return isinstance(args, SetLimitArgs) and args.lift is not None
    return signed is Signed.ALWAYS


def _is_deeper(value: object, depth: int) -> bool:
    """Whether containers are nested more than ``depth`` deep in ``value``."""
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(member, depth - 1) for member in members)
