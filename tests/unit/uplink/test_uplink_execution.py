"""Commands that passed the door: kept before they run, told after their answer is kept."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from structlog.testing import capture_logs
from support.contract import own_faults

from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.errors import StoreError
from edgectl.domain.events import ActionRequested, Event, Outcome
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.ports import KeptCommand
from edgectl.uplink.commands import Answer, Order
from edgectl.uplink.execution import Execution

NOW = Instant(5_000, 1_790_000_000_000)
FULL = StoreError("disk-full", "no space", is_permanent=False)


class Desk:
    """A disk and a core that answer when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Future[None]] = []
        self.finished: list[tuple[bytes, Future[None]]] = []
        self.asked: list[Event] = []
        self.replies: list[Callable[[ActionAnswered], None]] = []
        self.told: list[dict[str, Any]] = []
        self.remembered: dict[str, bytes | None] = {}
        self.execution = Execution(self, self, self, self._tell, Counter())  # type: ignore[arg-type]

    def _tell(self, answer: Answer) -> None:
        assert own_faults("cmd-ack/ops", answer.payload) == []
        self.told.append(json.loads(answer.payload))

    # --- the door

    def answered(self, kept: KeptCommand, payload: bytes) -> None:
        self.remembered[kept.id] = payload

    def forget(self, kept: KeptCommand) -> None:
        self.remembered.pop(kept.id, None)

    # --- the core

    def begin(self, make: Callable[[str], Event], on_answered: Callable[[ActionAnswered], None]) -> None:
        self.asked.append(make("a1"))
        self.replies.append(on_answered)

    # --- the ledger

    def commands(self) -> Sequence[KeptCommand]:
        return ()

    def begin_command(self, command: KeptCommand, now: Instant) -> Future[None]:
        self.remembered[command.id] = None
        self.begun.append(Future())
        return self.begun[-1]

    def finish_command(self, command_id: str, answer: bytes) -> Future[None]:
        self.finished.append((answer, Future()))
        return self.finished[-1][1]

    def order(self) -> None:
        kept = KeptCommand("c1", b"d", NOW.utc_ms, NOW.utc_ms + 1)
        make = lambda action_id: ActionRequested(action_id, ChargerId("A"), "stop")  # noqa: E731
        self.execution.begin(Order(kept, make, Answer("t", b"", b"7")), NOW)


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_nothing_runs_before_it_is_kept_and_nothing_is_told_before_its_answer_is() -> None:
    desk = Desk()
    desk.order()
    await turns()
    assert desk.asked == []
    desk.begun[0].set_result(None)
    await turns()
    assert len(desk.asked) == 1
    desk.replies[0](ActionAnswered("a1", Outcome.ACCEPTED, "Accepted"))
    await turns()
    assert desk.told == []
    answer, kept = desk.finished[0]
    assert desk.remembered["c1"] == answer, "a repeat is told the same from now on"
    kept.set_result(None)
    await turns()
    assert [(body["id"], body["status"], body["code"]) for body in desk.told] == [("c1", "done", "Accepted")]


async def test_what_the_disk_does_not_take_is_not_done_and_may_be_sent_again() -> None:
    desk = Desk()
    with capture_logs():
        desk.order()
        desk.begun[0].set_exception(FULL)
        await turns()
    assert desk.asked == []
    assert [(body["status"], body["code"]) for body in desk.told] == [("failed", "not-kept")]
    assert desk.remembered == {}


async def test_what_was_done_is_told_even_if_the_disk_does_not_take_the_answer() -> None:
    desk = Desk()
    with capture_logs():
        desk.order()
        desk.begun[0].set_result(None)
        await turns()
        desk.replies[0](ActionAnswered("a1", Outcome.REJECTED, "", "nothing is charging there"))
        desk.finished[0][1].set_exception(FULL)
        await turns()
    assert [(body["status"], body["reason"]) for body in desk.told] == [("refused", "nothing is charging there")]
