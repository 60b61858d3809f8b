"""The loop keeps the order that safety and billing rest on: limits at once, replies only after the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest
from support.plant import TAG, Bench, plant
from support.store_records import ended

from edgectl.core.controller import Controller
from edgectl.domain.decisions import ActionAnswered, Ask, InstallFallback, PublishState, Reply, SetLimit, SignCertificate
from edgectl.domain.errors import InvariantError, StoreError
from edgectl.domain.events import (
    Call,
    ChargerBooted,
    ChargerConnected,
    CorrectionRequested,
    Event,
    HeartbeatReceived,
    LimitRequested,
    MeterRead,
    MeterReading,
    MeterValuesReported,
    Outcome,
    Quality,
    Sample,
    StoreChanged,
    Tick,
    TransactionStarted,
)
from edgectl.domain.external import Amount, LimitSource, LimitWish, Target, TargetKind
from edgectl.domain.ids import ChargerId, MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.records import BillKept, Durability, MessageKept, Record, Restored, SessionKept
from edgectl.domain.time import Instant
from edgectl.runtime import engine as engine_module
from edgectl.runtime.actions import ActionDesk
from edgectl.runtime.engine import Engine
from edgectl.runtime.health import HealthWatch
from edgectl.runtime.inbox import Inbox
from edgectl.solver import SolverInPlace
from hwsim.world.disk import SimMemory

A = ChargerId("A")


class NobodySigns:
    def sign(self, request: SignCertificate, now: Instant) -> None:
        raise AssertionError("no certificate is asked for in these tests")


class Clock:
    def __init__(self) -> None:
        self.mono_ms = 1_000

    def now(self) -> Instant:
        return Instant(self.mono_ms, 1_790_000_000_000 + self.mono_ms)


@dataclass
class HeldStore:
    """A disk whose syncs the test completes by hand."""

    commits: list[tuple[list[Record], Future[None]]] = field(default_factory=list)

    def restore(self) -> Restored:
        return Restored()

    def commit(self, records: Sequence[Record], now: Instant) -> Future[None]:
        future: Future[None] = Future()
        self.commits.append((list(records), future))
        return future

    def close(self) -> None:
        pass


@dataclass
class Links:
    """What the chargers would have been sent, in order."""

    sent: list[object] = field(default_factory=list)

    def reply(self, reply: Reply, now: Instant) -> None:
        self.sent.append(reply)

    def set_limit(self, order: SetLimit, now: Instant) -> None:
        self.sent.append(order)

    def install_fallback(self, order: InstallFallback, now: Instant) -> None:
        self.sent.append(order)

    def ask(self, ask: Ask, now: Instant) -> None:
        self.sent.append(ask)

    def close(self, charger: ChargerId, reason: str, refuse_ms: int = 0) -> None:
        self.sent.append(f"closed {charger}: {reason}")

    def kinds(self) -> list[str]:
        return [item if isinstance(item, str) else type(item).__name__ for item in self.sent]


class Publisher:
    def __init__(self) -> None:
        self.states: list[PublishState] = []
        self.wakes = 0

    def publish_state(self, state: PublishState, now: Instant) -> None:
        self.states.append(state)

    def wake(self) -> None:
        self.wakes += 1


class Rig:
    def __init__(self, memory: SimMemory | None = None) -> None:
        self.clock, self.store, self.links, self.publisher, self.inbox = Clock(), HeldStore(), Links(), Publisher(), Inbox()
        self.periods = 0
        self.memory = memory or SimMemory()
        controller = Controller(plant("A"), Restored(), Bench(plant("A")).ids, self.clock.now())
        self.health = HealthWatch(self.clock, self._period)
        self.actions = ActionDesk(self.inbox)
        self.engine = Engine(
            controller,
            self.inbox,
            clock=self.clock,
            store=self.store,
            links=self.links,
            publisher=self.publisher,
            memory=self.memory,
            authority=NobodySigns(),
            solver=SolverInPlace(self.inbox),
            actions=self.actions,
            health=self.health,
        )
        self.engine.handle(ChargerConnected(A, 1, "ocpp1.6", "127.0.0.1", 1))
        self.engine.handle(ChargerBooted(self.call("BootNotification"), "V", "M"))
        self.links.sent.clear()

    def _period(self) -> None:
        self.periods += 1

    def call(self, action: str) -> Call:
        return Call(A, 1, action, action, "frame")

    def start(self) -> TransactionStarted:
        return TransactionStarted(self.call("StartTransaction"), 1, 1, TAG, 0, self.clock.now().utc_ms)


class SlowMemory(SimMemory):
    """A state file whose disk takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Future[bool] = Future()

    def remember(self, kind: str, key: str, document: dict[str, object]) -> Future[bool]:
        super().remember(kind, key, document)
        return self.written


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_start_is_answered_only_when_its_record_is_durable() -> None:
    rig = Rig()
    rig.engine.handle(rig.start())
    await turns()
    assert "Reply" not in rig.links.kinds()
    rig.store.commits[-1][1].set_result(None)
    await turns()
    assert rig.links.kinds().count("Reply") == 1
    rig.engine.end()


async def test_a_drain_waits_for_replies_that_are_owed_and_for_nothing_else() -> None:
    rig = Rig()
    rig.engine.handle(rig.start())
    draining = asyncio.create_task(rig.engine.drain(60_000))
    await turns()
    assert not draining.done()
    rig.store.commits[-1][1].set_result(None)
    await turns()
    assert draining.done()
    assert rig.links.kinds().count("Reply") == 1
    rig.clock.mono_ms += 60_000
    rig.engine.handle(MeterValuesReported(rig.call("MeterValues"), 1, None, (Sample(energy_wh=100),)))
    assert not rig.store.commits[-1][1].done()
    await asyncio.wait_for(rig.engine.drain(60_000), 1)
    rig.engine.end()


async def test_a_limit_waits_for_no_disk() -> None:
    rig = Rig()
    rig.engine.handle(rig.start())
    assert rig.links.kinds() == ["SetLimit"]
    rig.engine.end()


async def test_progress_does_not_hold_a_reply() -> None:
    rig = Rig()
    rig.engine.handle(rig.start())
    rig.store.commits[-1][1].set_result(None)
    await turns()
    rig.links.sent.clear()
    rig.clock.mono_ms += 60_000
    rig.engine.handle(MeterValuesReported(rig.call("MeterValues"), 1, None, (Sample(energy_wh=100),)))
    assert "Reply" in rig.links.kinds()
    rig.engine.end()


async def test_a_reply_without_a_record_goes_at_once() -> None:
    rig = Rig()
    rig.engine.handle(HeartbeatReceived(rig.call("Heartbeat")))
    assert rig.links.kinds() == ["Reply"]


async def test_a_failed_commit_closes_the_socket_instead_of_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.engine.handle(rig.start())
    rig.store.commits[-1][1].set_exception(StoreError("disk-full", "no room", is_permanent=False))
    await turns()
    assert rig.links.kinds() == ["SetLimit", "closed A: cannot store"]
    assert await rig.inbox.get() == StoreChanged(False, "disk-full: no room")


async def test_a_stalled_disk_closes_the_socket_before_the_charger_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HELD_MS", 20)
    rig = Rig()
    rig.engine.handle(rig.start())
    async with asyncio.timeout(5):
        while "closed A: cannot store now" not in rig.links.kinds():
            await asyncio.sleep(0.005)
    assert "Reply" not in rig.links.kinds()


async def test_a_repeated_start_is_answered_only_after_the_record_the_disk_refused_before_is_written() -> None:
    rig = Rig()
    start = rig.start()
    rig.engine.handle(start)
    rig.store.commits[-1][1].set_exception(StoreError("disk-full", "no room", is_permanent=False))
    await turns()
    refused = [record for record in rig.store.commits[-1][0] if record.durability is not Durability.TELEMETRY]
    rig.links.sent.clear()
    rig.engine.handle(start)
    await turns()
    again, future = rig.store.commits[-1]
    assert again[: len(refused)] == refused
    assert "Reply" not in rig.links.kinds()
    future.set_result(None)
    await turns()
    assert "Reply" in rig.links.kinds()


async def test_a_repeated_start_waits_for_a_commit_still_under_way() -> None:
    rig = Rig()
    start = rig.start()
    rig.engine.handle(start)
    rig.engine.handle(start)
    first, barrier = rig.store.commits[-2][1], rig.store.commits[-1][1]
    assert "Reply" not in rig.links.kinds()
    first.set_result(None)
    barrier.set_result(None)
    await turns()
    assert rig.links.kinds().count("Reply") == 2


async def test_a_refused_session_does_not_overwrite_the_newer_one_already_stored() -> None:
    rig = Rig()
    start = rig.start()
    rig.engine.handle(start)
    rig.clock.mono_ms += 60_000
    rig.engine.handle(MeterValuesReported(rig.call("MeterValues"), 1, None, (Sample(energy_wh=100),)))
    rig.store.commits[-2][1].set_exception(StoreError("io-error", "hiccup", is_permanent=False))
    rig.store.commits[-1][1].set_result(None)
    await turns()
    rig.engine.handle(start)
    retried = rig.store.commits[-1][0]
    assert [record for record in retried if isinstance(record, SessionKept)] == []
    assert [record.action for record in retried if isinstance(record, MessageKept)] == ["StartTransaction"]
    rig.engine.end()


async def test_limits_keep_going_while_the_disk_stalls() -> None:
    rig = Rig()
    rig.engine.handle(rig.start())
    rig.links.sent.clear()
    rig.clock.mono_ms += 11_000
    rig.engine.handle(MeterRead(MeterReading(MeterId("main"), rig.clock.mono_ms, Quality.GOOD, current_ma=Phases(1, 1, 1))))
    rig.clock.mono_ms += 11_000
    rig.engine.handle(MeterRead(MeterReading(MeterId("main"), rig.clock.mono_ms, Quality.GOOD, current_ma=Phases(1, 1, 1))))
    assert "SetLimit" in rig.links.kinds()
    rig.engine.end()


async def test_a_bug_met_by_one_message_ends_neither_the_loop_nor_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def broken(event: Event, now: Instant) -> list[object]:
        raise KeyError("surprise")

    monkeypatch.setattr(rig.engine.controller, "handle", broken)
    rig.engine.handle(rig.start())
    assert rig.links.kinds() == ["closed A: internal error"]
    assert rig.engine.failed_count == 1


async def test_a_broken_invariant_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def broken(event: Event, now: Instant) -> list[object]:
        raise InvariantError("limits fit")

    monkeypatch.setattr(rig.engine.controller, "handle", broken)
    with pytest.raises(InvariantError):
        rig.engine.handle(Tick())


async def test_health_is_fed_by_completed_control_periods_only() -> None:
    rig = Rig()
    assert not rig.health.health().is_live
    rig.engine.handle(Tick())
    assert rig.periods == 1
    assert rig.health.health().is_live
    rig.clock.mono_ms += 11_000
    rig.engine.handle(HeartbeatReceived(rig.call("Heartbeat")))
    assert not rig.health.health().is_live
    rig.engine.end()


async def test_a_newer_reading_replaces_one_still_waiting_in_the_inbox() -> None:
    inbox = Inbox()
    for value in (1, 2, 3):
        inbox.put(MeterRead(MeterReading(MeterId("main"), value, Quality.GOOD)))
        inbox.put(Tick())
    assert len(inbox) == 2
    first = await inbox.get()
    assert isinstance(first, MeterRead)
    assert first.reading.completed_mono_ms == 3
    assert await inbox.get() == Tick()


@pytest.mark.parametrize("is_kept", [True, False])
async def test_who_sets_a_limit_hears_yes_when_it_is_on_the_disk_and_the_limit_does_not_wait(is_kept: bool) -> None:
    memory = SlowMemory()
    rig = Rig(memory)
    rig.engine.handle(rig.start())
    rig.links.sent.clear()
    heard: list[ActionAnswered] = []
    wish = LimitWish(Target(TargetKind.CIRCUIT, "grid"), Amount(Phases.uniform(0)), for_ms=60_000)
    rig.actions.begin(lambda name: LimitRequested(name, LimitSource.BACKEND, "ops", wish), heard.append)
    rig.engine.handle(await rig.inbox.get())
    await turns()
    assert "SetLimit" in rig.links.kinds()
    assert heard == []
    memory.written.set_result(is_kept)
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0.001)
    assert (heard[0].outcome, heard[0].problem == "") == (Outcome.ACCEPTED, is_kept)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_who_corrects_a_record_hears_yes_when_the_credit_and_the_replacement_are_on_the_disk(is_kept: bool) -> None:
    rig = Rig()
    heard: list[ActionAnswered] = []
    sealed = ended("s-1", rig.clock.now().utc_ms - 3_600_000, energy_wh=2_000)
    rig.actions.begin(lambda name: CorrectionRequested(name, "ops", sealed, None, 1_000, None, "r"), heard.append)
    event = await rig.inbox.get()
    while not isinstance(event, CorrectionRequested):
        event = await rig.inbox.get()
    rig.engine.handle(event)
    await turns()
    records, committed = rig.store.commits[-1]
    assert sum(isinstance(record, BillKept) for record in records) == 2
    assert heard == []
    if is_kept:
        committed.set_result(None)
    else:
        committed.set_exception(StoreError("disk-full", "no room", is_permanent=False))
    async with asyncio.timeout(5):
        while not heard:
            await asyncio.sleep(0.001)
    assert heard[0].outcome is (Outcome.ACCEPTED if is_kept else Outcome.ERROR)
    rig.engine.end()
