"""The one loop: takes an event, stamps it, asks the core, carries the decisions out. No other place calls the core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from edgectl.core.controller import Controller
from edgectl.domain.decisions import Ask, Decision, InstallFallback, Keep, PublishState, Reply, SetLimit, WakeUplink
from edgectl.domain.errors import InvariantError, StoreError, invariant
from edgectl.domain.events import Call, Event, StoreChanged, Tick
from edgectl.domain.records import Durability
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ports import ChargerLinks, Clock, FaultHook, StatePublisher, Store, no_fault
from edgectl.runtime.health import HealthWatch
from edgectl.runtime.inbox import Inbox

log = structlog.get_logger(__name__)

PERIOD_MS: Millis = 1_000
"""The control period: guard meters are read once a second and every reading is acted on."""
HELD_MS: Millis = 8_000
"""Replies held longer than this by a stalled disk are given up: their charger's socket is closed, so that it queues the message
itself. Chargers wait 10 to 30 s for an answer, and one that is ignored too often may discard the message (OCPP 1.6, 3.7.1)."""

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
        health: HealthWatch,
        trace: Trace | None = None,
        fault: FaultHook = no_fault,
    ) -> None:
        self.controller = controller
        self._inbox = inbox
        self._clock = clock
        self._store = store
        self._links = links
        self._publisher = publisher
        self._health = health
        self._trace = trace
        self._fault = fault
        self._is_store_healthy = True
        self.failed_count = 0
        self._held: set[asyncio.Task[None]] = set()

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
        """Limits first and at once; then records; what depends on the records waits for them."""
        for decision in decisions:
            match decision:
                case SetLimit():
                    self._links.set_limit(decision, now)
                case InstallFallback():
                    self._links.install_fallback(decision, now)
                case Ask():
                    self._links.ask(decision, now)
        records = [decision.record for decision in decisions if isinstance(decision, Keep)]
        dependent = [decision for decision in decisions if isinstance(decision, Reply | PublishState | WakeUplink)]
        if not records:
            self._release(dependent, now)
            return
        committed = self._store.commit(records, now)
        if any(record.durability is Durability.BILLING for record in records):
            # What was said to be stored must be stored first.
            task = asyncio.create_task(self._release_when_durable(asyncio.wrap_future(committed), dependent))
        else:
            replies = [decision for decision in dependent if isinstance(decision, Reply)]
            self._release(replies, now)
            rest = [decision for decision in dependent if not isinstance(decision, Reply)]
            task = asyncio.create_task(self._release_when_durable(asyncio.wrap_future(committed), rest))
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def _release_when_durable(
        self, committed: asyncio.Future[None], dependent: Sequence[Reply | PublishState | WakeUplink]
    ) -> None:
        try:
            if any(isinstance(decision, Reply) for decision in dependent):
                async with asyncio.timeout(HELD_MS / 1000):
                    await asyncio.shield(committed)
            else:
                await committed
        except TimeoutError:
            self._store_changed(False, "the disk does not answer")
            self._give_up(dependent, "cannot store now")
            return
        except StoreError as error:
            self._store_changed(False, str(error))
            self._give_up(dependent, "cannot store")
            return
        self._store_changed(True, "")
        self._fault("reply-after-commit")
        self._release(dependent, self._clock.now())

    def _give_up(self, dependent: Sequence[Reply | PublishState | WakeUplink], reason: str) -> None:
        """Neither an error nor silence is safe for a billing message; an offline charger queues it and falls to its fallback."""
        for decision in dependent:
            if isinstance(decision, Reply):
                self._links.close(decision.call.charger, reason)

    def _release(self, dependent: Sequence[Reply | PublishState | WakeUplink], now: Instant) -> None:
        for decision in dependent:
            match decision:
                case Reply():
                    self._links.reply(decision, now)
                case PublishState():
                    self._publisher.publish_state(decision, now)
                case WakeUplink():
                    self._publisher.wake()

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
        """Wait for what is being committed, so that a stop leaves no reply owed for a record that is stored."""
        invariant(timeout_ms > 0, "a drain has a bound", timeout_ms=timeout_ms)
        if self._held:
            await asyncio.wait(self._held, timeout=timeout_ms / 1000)
        for task in self._held:
            task.cancel()
