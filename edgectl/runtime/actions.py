"""Where people and the backend ask for something to be done, and hear what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import ActionRequested, Event, Outcome
from edgectl.domain.ids import ChargerId
from edgectl.ports import Inbox

WAITING_MAX = 64
"""Actions under way at once; each is a person or the backend waiting."""
TIMEOUT_S = 45.0
"""An answer of a charger has 15 s, and an action may need two after another."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    on_answered: Callable[[ActionAnswered], None]
    timer: asyncio.TimerHandle


class ActionDesk:
    """``ports.Actions``: every request becomes one event, and its answer comes back as one decision."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._waiting: dict[str, _Waiting] = {}
        self._number = 0

    async def request(self, charger: ChargerId, name: str, arguments: Sequence[tuple[str, str]], actor: str) -> ActionAnswered:
        return await self.ask(lambda action_id: ActionRequested(action_id, charger, name, tuple(arguments), actor))

    async def ask(self, make: Callable[[str], Event]) -> ActionAnswered:
        future: asyncio.Future[ActionAnswered] = asyncio.get_running_loop().create_future()

        def on_answered(answer: ActionAnswered) -> None:
            if not future.done():  # else nobody waits any more
                future.set_result(answer)

        self.begin(make, on_answered)
        return await future

    def begin(self, make: Callable[[str], Event], on_answered: Callable[[ActionAnswered], None]) -> None:
        self._number += 1
        action_id = str(self._number)
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= WAITING_MAX:
            words = "too many actions are under way; try again in a moment"
            loop.call_soon(on_answered, ActionAnswered(action_id, Outcome.REJECTED, "busy", words))
            return
        late = ActionAnswered(action_id, Outcome.TIMEOUT, problem="no answer yet; what was asked may still happen")
        self._waiting[action_id] = _Waiting(on_answered, loop.call_later(TIMEOUT_S, self.answered, late))
        self._inbox.put(make(action_id))

    def answered(self, answer: ActionAnswered) -> None:
        """Tell whoever waits; an answer that comes too late is for nobody."""
        waiting = self._waiting.pop(answer.action_id, None)
        if waiting is not None:
            waiting.timer.cancel()
            waiting.on_answered(answer)
