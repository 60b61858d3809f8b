"""The one loop: takes an event, stamps it, asks the core, carries the decisions out. No other place calls the core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

import structlog

from edgectl.core.controller import Controller
from edgectl.domain.decisions import (
    ActionAnswered,
    Ask,
    CloseLink,
    Decision,
    InstallFallback,
    Keep,
    PublishState,
    Remember,
    Reply,
    SetLimit,
    SignCertificate,
    Solve,
    StartAnswer,
    StopAnswer,
    WakeUplink,
)
from edgectl.domain.errors import InvariantError, StoreError, invariant
from edgectl.domain.events import Call, Event, Outcome, StoreChanged, Tick
from edgectl.domain.records import BillKept, Durability, Record, ReservationKept, SessionKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ports import Authority, ChargerLinks, Clock, FaultHook, Memory, Solver, StatePublisher, Store, no_fault
from edgectl.runtime.actions import ActionDesk
from edgectl.runtime.health import HealthWatch
from edgectl.runtime.inbox import Inbox

log = structlog.get_logger(__name__)

PERIOD_MS: Millis = 1_000
"""The control period: guard meters are read once a second and every reading is acted on."""
HELD_MS: Millis = 8_000
"""Replies held longer than this by a stalled disk are given up: their charger's socket is closed, so that it queues the message
itself. Chargers wait 10 to 30 s for an answer, and one that is ignored too often may discard the message (OCPP 1.6, 3.7.1)."""

UNWRITTEN_COUNT = 10_000
"""Records owed while the disk refuses them: hours of a depot. Beyond that the oldest are dropped, and the alarm has long been
raised; chargers that got no answer still hold their messages."""

Dependent = ActionAnswered | Reply | PublishState | WakeUplink
Trace = Callable[[Event, Instant, Sequence[Decision]], None]


class Engine:
    """Events in, decisions out. Owns nothing but the order in which things happen."""

    def __init__(
        self,
        controller: Controller,
        inbox: Inbox,
        *,
        clock: Clock,
        store: Store,
        links: ChargerLinks,
        publisher: StatePublisher,
        memory: Memory,
        authority: Authority,
        solver: Solver,
        actions: ActionDesk,
        health: HealthWatch,
        trace: Trace | None = None,
        fault: FaultHook = no_fault,
    ) -> None:
        self.controller = controller
        self._inbox = inbox
        self._clock = clock
        self._store = store
        self._links = links
        self.publisher = publisher
        self._memory = memory
        self._authority = authority
        self._solver = solver
        self._actions = actions
        self._health = health
        self._trace = trace
        self._fault = fault
        self._is_store_healthy = True
        self.failed_count = 0
        self._held: set[asyncio.Task[None]] = set()
        """What waits for a commit."""
        self._owing: set[asyncio.Task[None]] = set()
        """Those of them with a reply: a charger waits, too."""
        self._written: set[asyncio.Future[list[bool]]] = set()
        """Answers that wait for the state file."""
        self._committing = 0
        self._unwritten: list[Record] = []

    async def run(self) -> None:
        """Handle events until cancelled."""
        while True:
            event = await self._inbox.get()
            self.handle(event)

    async def tick(self) -> None:
        """Ask for a control period each second, on a fixed grid so that a slow one does not delay the next."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._inbox.put(Tick())
            due = max(due + PERIOD_MS / 1000, loop.time())
            await asyncio.sleep(due - loop.time())

    def handle(self, event: Event) -> None:
        now = self._clock.now()
        try:
            decisions = self.controller.handle(event, now)
        except InvariantError:
            raise
        except Exception:  # a bug met by one message must not end the site; its sender keeps the message and asks again
            self.failed_count += 1
            log.exception("event_failed", event_type=type(event).__name__)
            call = getattr(event, "call", None)
            if isinstance(call, Call):
                self._links.close(call.charger, "internal error")
            return
        if self._trace is not None:
            self._trace(event, now, decisions)
        self._carry_out(decisions, now)
        if isinstance(event, Tick):
            self._health.period_completed()

    def _carry_out(self, decisions: Sequence[Decision], now: Instant) -> None:
        """Limits first and at once; then records; what depends on the records waits for them. Who asked hears yes when what
        is to be remembered of it is on the disk."""
        remembered: list[Future[bool]] = []
        for decision in decisions:
            match decision:
                case SetLimit():
                    self._links.set_limit(decision, now)
                case InstallFallback():
                    self._links.install_fallback(decision, now)
                case Ask():
                    self._links.ask(decision, now)
                case SignCertificate():
                    self._authority.sign(decision, now)
                case Solve():
                    self._solver.solve(decision)
                case CloseLink():
                    self._links.close(decision.charger, decision.reason, decision.refuse_ms)
                case Remember():
                    remembered.append(self._memory.remember(decision.kind, decision.key, decision.document))
        records = [decision.record for decision in decisions if isinstance(decision, Keep)]
        dependent: list[Dependent] = [one for one in decisions if isinstance(one, Reply | PublishState | WakeUplink)]
        is_promised = any(isinstance(record, BillKept | ReservationKept) for record in records)
        for answer in decisions:
            if isinstance(answer, ActionAnswered) and is_promised:
                dependent.append(answer)  # what it says was billed, or is reserved, is on the disk first
            elif isinstance(answer, ActionAnswered):
                self._answer_when_remembered(answer, remembered)
        if _is_billing(records, dependent) and (records or self._unwritten or self._committing):
            # What was said to be stored must be stored first, and so must what a repeated message relies on.
            waiting, at_once = dependent, []
        else:
            # Telemetry waits for company on its way to the disk; a state that is new must not wait with it.
            is_owed = any(record.durability is not Durability.TELEMETRY for record in records)
            late = WakeUplink if records and not is_owed else PublishState | WakeUplink if records else ()
            waiting = [decision for decision in dependent if isinstance(decision, late)]
            at_once = [decision for decision in dependent if not isinstance(decision, late)]
        self._release(at_once, now)
        if records or waiting:
            self._commit(records, waiting, now)

    def _answer_when_remembered(self, answer: ActionAnswered, remembered: Sequence[Future[bool]]) -> None:
        if all(future.done() and future.result() for future in remembered):
            self._actions.answered(answer)
            return
        loop = asyncio.get_running_loop()

        def on_written(written: asyncio.Future[list[bool]]) -> None:
            if written.cancelled():
                return  # the loop is ending, and whoever waited with it
            is_kept = all(written.result())
            told = answer if is_kept else replace(answer, problem="done, but the disk does not take it: a restart will forget it")
            self._actions.answered(told)

        both = asyncio.ensure_future(asyncio.gather(*(asyncio.wrap_future(future, loop=loop) for future in remembered)))
        self._written.add(both)
        both.add_done_callback(self._written.discard)
        both.add_done_callback(on_written)

    def _commit(self, records: list[Record], waiting: list[Dependent], now: Instant) -> None:
        records = [*self._unwritten, *records]
        self._unwritten = []
        committed = asyncio.wrap_future(self._store.commit(records, now))
        self._committing += 1
        committed.add_done_callback(lambda done: self._on_committed(done, records))
        task = asyncio.create_task(self._release_when_durable(committed, waiting))
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        if any(isinstance(one, Reply) for one in waiting):
            self._owing.add(task)
            task.add_done_callback(self._owing.discard)

    def _on_committed(self, committed: asyncio.Future[None], records: list[Record]) -> None:
        """Runs for every commit in the order of the commits, also for one whose replies were given up."""
        self._committing -= 1
        error = None if committed.cancelled() else committed.exception()
        if error is None:
            self._store_changed(True, "")
            newer = {record.session.id for record in records if isinstance(record, SessionKept)}
            self._unwritten = [r for r in self._unwritten if not (isinstance(r, SessionKept) and r.session.id in newer)]
            return
        if not isinstance(error, StoreError):
            self._store_changed(False, str(error))
            return
        self._store_changed(False, str(error))
        if error.reason == "record-refused":
            # A record no disk will take is a bug of ours; keeping it would hold up all that follow.
            self.failed_count += 1
            log.error("record_refused", reason=str(error), kinds=[type(record).__name__ for record in records])
            return
        # The core has already moved on, so these records are owed: they go first in the next commit, and no reply that
        # relies on them leaves before.
        owed = [record for record in records if record.durability is not Durability.TELEMETRY]
        self._unwritten = [*self._unwritten, *owed][-UNWRITTEN_COUNT:]

    async def _release_when_durable(self, committed: asyncio.Future[None], waiting: Sequence[Dependent]) -> None:
        try:
            async with asyncio.timeout(HELD_MS / 1000 if any(isinstance(one, Reply) for one in waiting) else None):
                await asyncio.shield(committed)
        except TimeoutError:
            self._store_changed(False, "the disk does not answer")
            self._give_up(waiting, "cannot store now")
            return
        except StoreError:
            self._give_up(waiting, "cannot store")
            return
        self._fault("reply-after-commit")
        self._release(waiting, self._clock.now())

    def _give_up(self, dependent: Sequence[Dependent], reason: str) -> None:
        """Neither an error nor silence is safe for a billing message; an offline charger queues it and falls to its fallback."""
        for decision in dependent:
            match decision:
                case Reply():
                    self._links.close(decision.call.charger, reason)
                case ActionAnswered():
                    words = f"the gateway {reason}; it may still happen, and to ask again does no harm"
                    self._actions.answered(replace(decision, outcome=Outcome.ERROR, problem=words))

    def _release(self, dependent: Sequence[Dependent], now: Instant) -> None:
        for decision in dependent:
            match decision:
                case Reply():
                    self._links.reply(decision, now)
                case ActionAnswered():
                    self._actions.answered(decision)
                case PublishState():
                    self.publisher.publish_state(decision, now)
                case WakeUplink():
                    self.publisher.wake()

    def _store_changed(self, is_healthy: bool, detail: str) -> None:
        if is_healthy == self._is_store_healthy:
            return
        self._is_store_healthy = is_healthy
        if is_healthy:
            log.info("store_back")
        else:
            log.error("store_lost", reason=detail)
        self._inbox.put(StoreChanged(is_healthy, detail))

    async def drain(self, timeout_ms: Millis) -> None:
        """Wait until no charger is owed a reply for a record that is being stored. The links must still be open."""
        invariant(timeout_ms > 0, "a drain has a bound", timeout_ms=timeout_ms)
        if self._owing:
            await asyncio.wait(self._owing, timeout=timeout_ms / 1000)

    def end(self) -> None:
        """Wait for nothing any more; what is being committed is committed all the same."""
        for task in self._held:
            task.cancel()


def _is_billing(records: Sequence[Record], dependent: Sequence[Dependent]) -> bool:
    """A start or stop is being answered, or a billable record is among those kept."""
    if any(record.durability is Durability.BILLING for record in records):
        return True
    return any(isinstance(one, Reply) and isinstance(one.answer, StartAnswer | StopAnswer) for one in dependent)
