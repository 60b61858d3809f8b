"""Commands that passed the door: kept, carried out, their answers kept, then told. In that order, so that none runs twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import structlog

from edgectl import contract
from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.errors import StoreError
from edgectl.domain.events import Outcome
from edgectl.domain.time import Instant
from edgectl.ports import Actions, CommandBook
from edgectl.uplink.codec import encode
from edgectl.uplink.commands import Answer, CommandDoor, Order, outcome_payload

log = structlog.get_logger(__name__)


class Execution:
    """``tell`` is given each answer once. Without ``actions`` nothing is carried out, without ``book`` nothing outlives us."""

    def __init__(
        self,
        door: CommandDoor,
        actions: Actions | None,
        book: CommandBook | None,
        tell: Callable[[Answer], None],
        counters: Counter[str],
    ) -> None:
        self._door = door
        self._actions = actions
        self._book = book
        self._tell = tell
        self._counters = counters

    def begin(self, order: Order, now: Instant) -> None:
        """Keep it, then carry it out."""
        if self._book is None:
            self._carry_out(order)
        else:
            self._when(self._book.begin_command(order.kept, now), partial(self._kept, order))

    def _kept(self, order: Order, error: BaseException | None) -> None:
        if error is None:
            self._carry_out(order)
            return
        # What is not on the disk might run again after a restart, so it does not run at all.
        self._counters["commands_not_kept"] += 1
        log.warning("command_not_kept", command=order.kept.id, reason=str(error))
        self._door.forget(order.kept)
        words = "the gateway's disk does not take it, so nothing was done; send it again"
        body = contract.Answer(id=order.kept.id, status="failed", code="not-kept", reason=words, result=None)
        self._tell(replace(order.answer_to, payload=encode(body)))

    def _carry_out(self, order: Order) -> None:
        self._counters["commands_executed"] += 1
        if self._actions is None:
            self._done(order, ActionAnswered("", Outcome.NOT_SUPPORTED, problem="nobody here carries commands out"))
        else:
            self._actions.begin(order.make, partial(self._done, order))

    def _done(self, order: Order, found: ActionAnswered) -> None:
        payload = outcome_payload(order.kept.id, found)
        self._door.answered(order.kept, payload)
        answer = replace(order.answer_to, payload=payload)
        if self._book is None:
            self._tell(answer)
        else:
            self._when(self._book.finish_command(order.kept.id, payload), partial(self._answer_kept, answer))

    def _answer_kept(self, answer: Answer, error: BaseException | None) -> None:
        if error is not None:
            # It has happened, and whoever asked must hear of it; after a restart a repeat hears that nobody knows.
            self._counters["answers_not_kept"] += 1
            log.warning("answer_not_kept", reason=str(error))
        self._tell(answer)

    @staticmethod
    def _when(future: Future[None], then: Callable[[BaseException | None], None]) -> None:
        def on_done(done: asyncio.Future[None]) -> None:
            if done.cancelled():
                return  # the ledger is closing, and so are we
            error = done.exception()
            if error is not None and not isinstance(error, StoreError):
                raise error
            then(error)

        asyncio.wrap_future(future).add_done_callback(on_done)
