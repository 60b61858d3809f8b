"""The simulated broker keeps to what ``edgectl.uplink.transport`` says of every transport, also while it misbehaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import rfc8785

from edgectl.uplink import Message, Will
from hwsim.world.broker import FIRST_PREV_HASH, Backend, SimBroker, SimTransport
from hwsim.world.loop import VirtualLoop

pytestmark = pytest.mark.own_payloads

ROOT = "edgectl/v1/sim"


@dataclass
class Listener:
    """Notes what the transport says, with the moment."""

    loop: VirtualLoop
    said: list[tuple[str, Any]] = field(default_factory=list)
    is_publishing: bool = False

    def note(self, what: str, value: Any) -> None:
        assert not self.is_publishing, "called from inside publish"
        self.said.append((what, value))

    def on_connected(self, receive_maximum: int, maximum_packet_size: int | None, is_session_present: bool = False) -> None:
        self.note("connected", receive_maximum)

    def on_disconnected(self, reason: str, is_by_broker: bool = True) -> None:
        self.note("disconnected", reason)

    def on_puback(self, token: int, reason_code: int) -> None:
        self.note("puback", token)

    def on_message(self, message: Message) -> None:
        self.note("message", message)

    def on_credentials(self, problem: str) -> None: ...

    def on_suback(self, topic_filter: str, reason_code: int) -> None:
        self.note("suback", topic_filter)

    def of(self, what: str) -> list[Any]:
        return [value for kind, value in self.said if kind == what]


@dataclass
class Bench:
    loop: VirtualLoop

    def __post_init__(self) -> None:
        self.backend = Backend()
        self.broker = SimBroker(self.loop, random.Random(3), self.backend)
        self.transport = SimTransport(self.loop, self.broker)
        self.listener = Listener(self.loop)

    async def connect(self) -> None:
        self.transport.start(self.listener, Will(f"{ROOT}/status", b"offline"), random.Random(4))
        await asyncio.sleep(1)

    def publish(self, topic: str, payload: bytes, **options: Any) -> int | None:
        self.listener.is_publishing = True
        token = self.transport.publish(topic, payload, **options)
        self.listener.is_publishing = False
        return token


def virtual(main: Callable[[Bench], Awaitable[None]]) -> None:
    loop = VirtualLoop()  # type: ignore[abstract]
    try:
        loop.run_until_complete(main(Bench(loop)))
    finally:
        loop.close()
    assert loop.errors == []


def bill(seq: int, prev_hash: str = FIRST_PREV_HASH, **more: Any) -> dict[str, Any]:
    envelope = {
        "epoch": "e",
        "seq": seq,
        "record_id": f"s-{seq}",
        "rev": 1,
        "prev_hash": prev_hash,
        "session": {"n": seq},
        **more,
    }
    return {**envelope, "hash": hashlib.sha256(rfc8785.dumps(envelope)).hexdigest()}


def test_a_publish_is_acknowledged_and_receipted() -> None:
    async def main(bench: Bench) -> None:
        await bench.connect()
        bench.transport.subscribe(f"{ROOT}/receipt/#")
        token = bench.publish(f"{ROOT}/billing/session", json.dumps(bill(1)).encode())
        await asyncio.sleep(1)
        assert bench.listener.of("puback") == [token]
        (message,) = bench.listener.of("message")
        assert message.topic == f"{ROOT}/receipt/billing"
        assert json.loads(message.payload)["acked"] == [{"record_id": "s-1", "rev": 1}]

    virtual(main)


def test_nothing_of_an_older_connection_arrives() -> None:
    async def main(bench: Bench) -> None:
        await bench.connect()
        assert bench.publish(f"{ROOT}/state/x", b"1") is not None
        bench.transport.drop("gone")
        assert bench.publish(f"{ROOT}/state/x", b"2") is None
        bench.transport._connect()  # at once, sooner than any broker answers
        await asyncio.sleep(5)
        assert bench.listener.of("puback") == []
        assert [what for what, _ in bench.listener.said] == ["connected", "disconnected", "connected"]

    virtual(main)


def test_the_will_speaks_when_the_link_is_lost_and_not_after_a_good_bye() -> None:
    async def main(bench: Bench) -> None:
        await bench.connect()
        bench.transport.drop("cut")
        assert bench.broker.retained == {f"{ROOT}/status": b"offline"}
        bench.broker.retained.clear()
        await asyncio.sleep(10)
        await bench.transport.close()
        said = len(bench.listener.said)
        await asyncio.sleep(60)
        assert (bench.broker.retained, len(bench.listener.said)) == ({}, said)

    virtual(main)


def test_one_attempt_at_a_time_after_closing_and_starting_again() -> None:
    async def main(bench: Bench) -> None:
        bench.broker.go_down()
        for _ in range(5):
            await bench.connect()
            await bench.transport.close()
        await bench.connect()
        before = len(bench.listener.of("disconnected"))
        await asyncio.sleep(100)
        assert len(bench.listener.of("disconnected")) - before < 50, "pauses are 1 to 10 s"
        bench.broker.come_up()
        await asyncio.sleep(20)
        assert len(bench.listener.of("connected")) == 1

    virtual(main)


def test_a_command_reaches_those_who_subscribed_and_a_retained_one_says_so_later_too() -> None:
    async def main(bench: Bench) -> None:
        await bench.connect()
        bench.broker.publish(f"{ROOT}/cmd/reset", b"early", is_retained=True)
        bench.transport.subscribe(f"{ROOT}/cmd/+")
        await asyncio.sleep(1)
        bench.broker.publish(f"{ROOT}/cmd/start", b"go")
        bench.broker.publish(f"{ROOT}/other/start", b"not ours")
        messages = bench.listener.of("message")
        assert [(one.payload, one.is_retained) for one in messages] == [(b"early", True), (b"go", False)]

    virtual(main)


def test_duplicates_are_seen_as_such_by_the_backend() -> None:
    async def main(bench: Bench) -> None:
        await bench.connect()
        bench.transport.subscribe(f"{ROOT}/receipt/#")
        bench.broker.duplicates = 1.0
        bench.publish(f"{ROOT}/billing/session", json.dumps(bill(1)).encode())
        await asyncio.sleep(1)
        assert (len(bench.backend.records), bench.backend.duplicates, bench.backend.faults) == (1, 1, [])
        assert len(bench.listener.of("message")) == 4, "two receipts, each twice"

    virtual(main)


def test_what_the_broker_loses_after_acknowledging_has_no_receipt() -> None:
    async def main(bench: Bench) -> None:
        await bench.connect()
        bench.transport.subscribe(f"{ROOT}/receipt/#")
        bench.broker.loses_acknowledged = 1.0
        token = bench.publish(f"{ROOT}/billing/session", json.dumps(bill(1)).encode())
        await asyncio.sleep(1)
        assert bench.listener.of("puback") == [token]
        assert bench.listener.of("message") == []
        assert bench.backend.records == {}

    virtual(main)


def test_the_backend_finds_a_gap_a_wrong_hash_a_broken_chain_and_two_contents() -> None:
    backend = Backend()

    def receive(body: dict[str, Any]) -> None:
        backend.receive(f"{ROOT}/billing/session", json.dumps(body).encode())

    first = bill(1)
    receive(first)
    receive(bill(3, prev_hash="?"))
    assert backend.gaps() == [("e", 2)]
    assert backend.faults == []
    receive({**bill(2, first["hash"]), "session": {"n": 99}})
    receive(bill(4, prev_hash="wrong"))
    receive({**first, "session": {"n": 0}})
    assert [fault.split(" ")[0] for fault in backend.faults] == ["hash", "chain", "hash", "('s-1',"]
