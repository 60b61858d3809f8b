"""Where people and the backend ask for something to be done with a charger, and wait for what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import ActionRequested, Outcome
from edgectl.domain.ids import ChargerId
from edgectl.ports import Inbox

WAITING_MAX = 64
"""Actions under way at once; each is a person or the backend waiting."""
TIMEOUT_S = 45.0
"""An answer of a charger has 15 s, and an action may need two after another."""


class ActionDesk:
    """``ports.Actions``: every request becomes one event, and its answer comes back as one decision."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._waiting: dict[str, asyncio.Future[ActionAnswered]] = {}
        self._number = 0

    async def request(self, charger: ChargerId, name: str, arguments: Sequence[tuple[str, str]], actor: str) -> ActionAnswered:
        self._number += 1
        action_id = str(self._number)
        if len(self._waiting) >= WAITING_MAX:
            return ActionAnswered(action_id, Outcome.REJECTED, problem="too many actions are under way; try again in a moment")
        future: asyncio.Future[ActionAnswered] = asyncio.get_running_loop().create_future()
        self._waiting[action_id] = future
        self._inbox.put(ActionRequested(action_id, charger, name, tuple(arguments), actor))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await future
        except TimeoutError:
            return ActionAnswered(action_id, Outcome.TIMEOUT, problem="no answer yet; what was asked may still happen")
        finally:
            del self._waiting[action_id]

    def answered(self, answer: ActionAnswered) -> None:
        """Tell whoever waits; an answer that comes too late is for nobody."""
        future = self._waiting.get(answer.action_id)
        if future is not None and not future.done():
            future.set_result(answer)
