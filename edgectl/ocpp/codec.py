"""What a protocol version has to translate. One folder per version implements ``Codec``; nothing else knows its words.

A codec is pure: no clock, socket or state beyond its compiled schemas. Calls go from the link to ``decode`` and come back as
``encode_answer``; orders become ``OwnCall``s, and when all calls of an order have ended the codec says what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgectl.domain.decisions import Answer, Ask, InstallFallback, SetLimit
from edgectl.domain.events import Call, Event, FallbackAnswered, LimitAnswered, Outcome, RequestAnswered
from edgectl.domain.time import Instant
from edgectl.ocpp.frames import Dialect, Fault, Payload
from edgectl.ocpp.rpc import CallEnded, Ending, OwnCall


@dataclass(frozen=True, slots=True)
class DecodeProblem:
    """The call cannot become an event and is answered with an error. Never for a message in ``never_refused``."""

    fault: Fault
    reason: str


class BadRequestError(ValueError):
    """An ``Ask`` this version cannot express; the text says why. ``outcome`` is what to answer."""

    def __init__(self, outcome: Outcome, words: str) -> None:
        super().__init__(words)
        self.outcome = outcome


class Codec(Protocol):
    """One OCPP version, as server."""

    @property
    def subprotocol(self) -> str: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def never_refused(self) -> frozenset[str]:
        """Actions that carry billing data: never answered with an error, whatever is in them."""

    @property
    def naming_action(self) -> str | None:
        """The call in whose answer we name a transaction; None where the station names its own."""

    @property
    def is_warm(self) -> bool:
        """What is slow the first time has been done."""

    def warm(self) -> None:
        """Do it now; may be called in a thread."""

    def decode(self, call: Call, payload: Payload) -> Event | DecodeProblem: ...
    def encode_answer(self, answer: Answer, call: Call, now: Instant) -> Payload: ...
    def deviation(self, action: str, payload: Payload) -> str | None:
        """How a charger's request departs from the standard, in words; None when it does not or is not looked at."""

    def own_call_problem(self, call: OwnCall) -> str | None:
        """Why a call of ours must not be sent."""

    def limit_calls(self, order: SetLimit, now: Instant) -> Sequence[OwnCall]: ...
    def limit_answered(self, order: SetLimit, ended: Sequence[CallEnded]) -> LimitAnswered: ...
    def fallback_calls(self, order: InstallFallback, now: Instant) -> Sequence[OwnCall]: ...
    def fallback_answered(self, order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered: ...
    def request_calls(self, ask: Ask, now: Instant) -> Sequence[OwnCall]:
        """Raises: BadRequestError."""

    def request_answered(self, ask: Ask, ended: Sequence[CallEnded]) -> RequestAnswered: ...


_UNANSWERED = {
    Ending.TIMED_OUT: Outcome.TIMEOUT,
    Ending.SUPERSEDED: Outcome.SUPERSEDED,
    Ending.DISCONNECTED: Outcome.DISCONNECTED,
    Ending.NOT_SENT: Outcome.ERROR,
}
_NOT_THERE = frozenset({"NotImplemented", "NotSupported"})


def outcome_of(ended: CallEnded, statuses: dict[str, Outcome]) -> tuple[Outcome, str]:
    """What an ended call means, with the charger's own words; ``statuses`` translates the ``status`` of its answer."""
    if ended.ending is Ending.REFUSED:
        outcome = Outcome.NOT_SUPPORTED if ended.code in _NOT_THERE else Outcome.ERROR
        return outcome, f"{ended.code}: {ended.description}".strip(": ")
    if ended.ending is not Ending.ANSWERED:
        return _UNANSWERED[ended.ending], ended.description
    status = ended.payload.get("status")
    if not isinstance(status, str):
        return Outcome.ERROR, "the answer has no status"
    outcome = statuses.get(status.casefold(), Outcome.ERROR)
    return outcome, "" if outcome is Outcome.ACCEPTED else status[:50]
