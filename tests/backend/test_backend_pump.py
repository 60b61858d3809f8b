"""The order of the pump's promises: the commit, the receipts, the acknowledgement. Broker and database are held in hand here."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from support.backend_bench import until
from support.ledger import Book

from edgectl.runtime.clock import SystemClock
from edgectl.uplink.transport import Listener, Message, Will
from edgectl_backend.judging.records import Meaning
from edgectl_backend.judging.topics import filters
from edgectl_backend.postgres.database import DatabaseError
from edgectl_backend.postgres.keeping import Batch, Judged
from edgectl_backend.service import pump as pump_module
from edgectl_backend.service.pump import ARRIVED_MAX, BATCH_MAX, Pump


class HeldTransport:
    """Implements ``transport.MqttTransport``; writes down what happens."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.filters: list[str] = []
        self._token = 0

    def start(self, listener: Listener, will: Will | None, random: random.Random) -> None: ...
    def drop(self, reason: str) -> None: ...
    def look_again(self) -> None: ...
    async def close(self) -> None: ...

    def subscribe(self, topic_filter: str) -> None:
        self.filters.append(topic_filter)

    def publish(self, topic: str, payload: bytes, **_: Any) -> int | None:
        self.events += [f"receipt {item['record_id']}" for item in json.loads(payload)["acked"]]
        self._token += 1
        return self._token

    def message(self, name: str, body: bytes) -> Message:
        return Message("edgectl/v1/s1/billing/session", body, acknowledge=lambda: self.events.append(f"acknowledge {name}"))


class HeldKeeper:
    """Implements what the pump asks of a ``Keeper``: a batch is committed when it is let go."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gate = asyncio.Event()
        self.failures = 0

    async def keep(self, batch: Batch) -> Judged:
        self.batches.append(batch)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise DatabaseError("away")
        return Judged(meanings=[(bill, Meaning.NEW) for bill in batch.bills])


@pytest.fixture
async def held() -> Any:
    transport, keeper = HeldTransport(), HeldKeeper()
    pump = Pump(transport, keeper, SystemClock(), "g")  # type: ignore[arg-type]
    task = asyncio.create_task(pump.run())
    yield transport, keeper, pump
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_nobody_is_told_anything_before_the_commit(held: Any) -> None:
    transport, keeper, pump = held
    pump.on_connected(100, None, False)
    pump.on_message(transport.message("a", Book().write("a").body))
    await until(lambda: keeper.batches, "the batch is on its way")
    assert transport.events == []
    keeper.gate.set()
    await until(lambda: len(transport.events) == 2, "receipt and acknowledgement")
    assert transport.events == ["receipt a", "acknowledge a"]


async def test_a_database_that_is_away_is_asked_again_and_nothing_is_acknowledged_meanwhile(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "RETRY_S", 0.01)
    transport, keeper, pump = held
    keeper.failures = 3
    keeper.gate.set()
    pump.on_connected(100, None, False)
    pump.on_message(transport.message("a", Book().write("a").body))
    await until(lambda: transport.events, "it is stored in the end")
    assert transport.events == ["receipt a", "acknowledge a"]
    assert len(keeper.batches) == 4
    assert pump.counters["database_failures"] == 3
    assert pump.is_storing


async def test_what_came_during_a_commit_is_the_next_batch_and_a_flood_is_bounded(held: Any) -> None:
    transport, keeper, pump = held
    bodies = [transport.message("x", body) for body in Book().fill(30)]
    for message in bodies[:2]:
        pump.on_message(message)
        await until(lambda: not pump.waiting_count, "a worker has it")
    for _ in range(ARRIVED_MAX + 50):
        pump.on_message(bodies[2])
    assert pump.waiting_count == ARRIVED_MAX
    assert pump.counters["messages_dropped"] == 50
    keeper.gate.set()
    await until(lambda: not pump.waiting_count, "all of it is stored")
    assert [len(batch.bills) for batch in keeper.batches][:3] == [1, 1, BATCH_MAX]


async def test_receipts_stay_within_what_the_broker_takes_and_wait_for_a_connection(held: Any) -> None:
    transport, keeper, pump = held
    keeper.gate.set()
    for number, body in enumerate(Book().fill(5)):
        pump.on_message(transport.message(str(number), body))
        await until(lambda: not pump.waiting_count, "a worker has it")
    await until(lambda: len([e for e in transport.events if e.startswith("acknowledge")]) == 5, "all are stored")
    assert not any(event.startswith("receipt") for event in transport.events)
    pump.on_connected(1, None, False)
    sent = [event for event in transport.events if event.startswith("receipt")]
    assert 0 < len(sent) < 5
    token = 0
    while len([event for event in transport.events if event.startswith("receipt")]) < 5:
        token += 1
        pump.on_puback(token, 0)
    assert transport.filters[0] == "$share/g/edgectl/v1/+/billing/session"


async def test_a_subscription_that_is_denied_is_no_health(held: Any) -> None:
    _, _, pump = held
    pump.on_connected(1, None, False)
    for topic_filter in filters("g"):
        pump.on_suback(topic_filter, 0x87 if topic_filter == "edgectl/v1/+/status" else 0x01)
    assert pump.is_connected
    assert not pump.is_subscribed
    assert "does not let us read edgectl/v1/+/status" in pump.detail


async def test_it_is_ready_when_the_last_subscription_is_granted_and_on_each_connection_anew(held: Any) -> None:
    _, _, pump = held
    assert not pump.is_subscribed
    for _ in range(2):
        pump.on_connected(1, None, False)
        for topic_filter in filters("g"):
            assert not pump.is_subscribed
            assert "has not granted the subscriptions yet" in pump.detail
            pump.on_suback(topic_filter, 0x01)
        assert pump.is_subscribed
        assert pump.detail == ""
        pump.on_disconnected("gone")
        assert not pump.is_subscribed
        assert pump.detail == "gone"
