"""The frames of a station: one call at a time, what may be lost with the link, and what is kept until it is acknowledged."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Payload: TypeAlias = dict[str, Any]
Then: TypeAlias = Callable[[Payload | None, float], None]
"""What to do with an answer; None when there was none, or an error."""

ANSWER_TIMEOUT_S = 30.0
SLOW_S = 8.0


@dataclass
class Ask:
    """A call that is lost with the link."""

    action: str
    payload: Payload
    then: Then | None = None
    is_solicited: bool = False
    """The server has asked for it: it goes out before the station is accepted."""


@dataclass(eq=False)
class Kept:
    """A TransactionEvent, kept through power cuts until it is acknowledged."""

    payload: Payload
    attempts: int = 0
    not_before_s: float = 0.0
    message_id: str = ""
    is_repeated: bool = False


@dataclass
class _Pending:
    """The call that waits for its answer."""

    message_id: str
    what: Ask | Kept
    until_s: float


class Wire:
    """``pump`` sends the next call, if none is under way: what is urgent first, then what is kept, in order."""

    def __init__(
        self,
        rng: random.Random,
        faults: frozenset[str],
        *,
        attempts: Callable[[], tuple[int, int]],
        delivered: Callable[[Kept, Payload, float], None],
    ) -> None:
        self.kept: deque[Kept] = deque()
        self.discarded: list[str] = []
        """TransactionEvents it gave up on (E13)."""
        self._rng = rng
        self._faults = faults
        self._attempts = attempts
        """How often a TransactionEvent is tried, and after how many seconds again."""
        self._delivered = delivered
        self._urgent: deque[Ask] = deque()
        self._outgoing: list[str] = []
        self._late: list[tuple[float, str]] = []
        self._pending: _Pending | None = None

    def set_faults(self, faults: frozenset[str]) -> None:
        """What is wrong with it from now on."""
        self._faults = faults

    # --- what there is to say

    def ask(self, action: str, payload: Payload, then: Then | None = None, *, is_solicited: bool = False) -> None:
        self._urgent.append(Ask(action, payload, then, is_solicited))

    def ask_first(self, action: str, payload: Payload, then: Then) -> None:
        """Before anything else that waits, and even though the station has not been accepted."""
        self._urgent.appendleft(Ask(action, payload, then, is_solicited=True))

    def keep(self, payload: Payload) -> None:
        self.kept.append(Kept(payload))

    def answer(self, message_id: str, answer: Payload | str, now_s: float) -> None:
        """Answer a call of the server: a payload, or the code of a CALLERROR."""
        frame = [4, message_id, answer, "", {}] if isinstance(answer, str) else [3, message_id, answer]
        if "slow" in self._faults:
            self._late.append((now_s + SLOW_S, _text(frame)))
        else:
            self._outgoing.append(_text(frame))

    def clear(self) -> None:
        """The link is new, or gone."""
        self._pending = None
        self._outgoing.clear()
        self._urgent.clear()
        self._late.clear()
        for kept in self.kept:
            kept.not_before_s = 0.0

    def take_frames(self) -> list[str]:
        frames, self._outgoing = self._outgoing, []
        return frames

    # --- what comes back, and what does not

    def answered(self, message_id: str, payload: Payload | None, now_s: float) -> None:
        """The answer to a call; without a payload it was an error."""
        pending = self._pending
        if pending is None or pending.message_id != message_id:
            return
        self._pending = None
        self._settle(pending.what, payload, now_s)

    def advance(self, now_s: float) -> None:
        self._outgoing += [text for due_s, text in self._late if due_s <= now_s]
        self._late = [(due_s, text) for due_s, text in self._late if due_s > now_s]
        pending = self._pending
        if pending is not None and now_s >= pending.until_s:
            self._pending = None
            self._settle(pending.what, None, now_s)

    def _settle(self, what: Ask | Kept, payload: Payload | None, now_s: float) -> None:
        if isinstance(what, Ask):
            if what.then is not None:
                what.then(payload, now_s)
        elif payload is None:
            self._failed(what, now_s)
        elif "repeat-events" in self._faults and not what.is_repeated:
            what.is_repeated, what.message_id = True, ""
        else:
            self.kept.remove(what)
            self._delivered(what, payload, now_s)

    def _failed(self, kept: Kept, now_s: float) -> None:
        most, interval_s = self._attempts()
        kept.not_before_s = now_s + interval_s * kept.attempts
        if kept.attempts >= most:
            self.kept.remove(kept)
            self.discarded.append(str(kept.payload["eventType"]))

    def pump(self, now_s: float, *, is_accepted: bool) -> None:
        """Send the next call, if none is under way. Before it is accepted a station sends only what it was asked for."""
        if self._pending is not None:
            return
        for ask in self._urgent:
            if is_accepted or ask.is_solicited:
                self._urgent.remove(ask)
                self._send(self.new_id(), ask.action, ask.payload, ask, now_s)
                return
        if is_accepted and self.kept and self.kept[0].not_before_s <= now_s:
            kept = self.kept[0]
            kept.attempts += 1
            kept.message_id = kept.message_id or self.new_id()
            self._send(kept.message_id, "TransactionEvent", kept.payload, kept, now_s)

    def _send(self, message_id: str, action: str, payload: Payload, what: Ask | Kept, now_s: float) -> None:
        self._pending = _Pending(message_id, what, now_s + ANSWER_TIMEOUT_S)
        self._outgoing.append(_text([2, message_id, action, payload]))

    def new_id(self) -> str:
        """As a UUID is written."""
        digits = f"{self._rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _text(frame: list[Any]) -> str:
    return json.dumps(frame, separators=(",", ":"))
