"""An MQTT broker in memory and the backend behind it: acknowledges, stores, sends receipts; and fails, when told to.

The backend is the judge of the billing stream: it checks every hash and the chain, and counts what it got twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import rfc8785
import zstandard

from edgectl.uplink import Listener, Message, Will

FIRST_PREV_HASH = "0" * 64


@dataclass
class Backend:
    """What a cloud team would run: upserts by record and revision, answers with receipts."""

    sends_receipts: bool = True
    records: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    by_seq: dict[tuple[str, int], str] = field(default_factory=dict)
    duplicates: int = 0
    faults: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of telemetry, by record."""

    def receive(self, topic: str, payload: bytes) -> tuple[str, bytes] | None:
        """Store a message; the receipt to send, as topic suffix and payload."""
        if topic.endswith("/billing/session"):
            stream = "billing"
        elif "/event/" in topic:
            stream = "events"
        elif "/tele/" in topic:
            stream = "telemetry"
        else:
            return None
        if payload.startswith(zstandard.FRAME_HEADER):
            payload = zstandard.ZstdDecompressor().decompress(payload)
        body = json.loads(payload)
        key = (body["record_id"], body["rev"])
        if stream == "billing":
            self._check(body)
            if key in self.records:
                self.duplicates += 1
                before = self.records[key]
                # A ledger that was damaged and salvaged sends again what had no receipt, in its new epoch.
                if before["session"] != body["session"] or (before["epoch"] == body["epoch"] and before != body):
                    self.faults.append(f"{key} came with two contents")
            self.records[key] = body
            self.by_seq[body["epoch"], body["seq"]] = body["hash"]
        elif stream == "events":
            self.events.append(body)
        else:
            self.blocks[body["record_id"]] = body
        if not self.sends_receipts:
            return None
        receipt = {
            "schema": "edgectl/receipt/1",
            "epoch": body["epoch"],
            "acked_through": None,
            "acked": [{"record_id": key[0], "rev": key[1]}],
            "rejected": [],
        }
        return f"receipt/{stream}", json.dumps(receipt).encode()

    def _check(self, body: dict[str, Any]) -> None:
        unsealed = {name: value for name, value in body.items() if name != "hash"}
        if hashlib.sha256(rfc8785.dumps(unsealed)).hexdigest() != body["hash"]:
            self.faults.append(f"hash of seq {body['seq']} does not fit")
        before = self.by_seq.get((body["epoch"], body["seq"] - 1), FIRST_PREV_HASH if body["seq"] == 1 else None)
        if before is not None and before != body["prev_hash"]:
            self.faults.append(f"chain broken before seq {body['seq']}")

    def gaps(self) -> list[tuple[str, int]]:
        """Numbers missing below the highest of each epoch."""
        missing = []
        for epoch in {epoch for epoch, _ in self.by_seq}:
            seqs = {seq for other, seq in self.by_seq if other == epoch}
            missing += [(epoch, seq) for seq in range(1, max(seqs)) if seq not in seqs]
        return missing


class SimBroker:
    """The broker. ``is_up``, ``loses_acknowledged`` and ``duplicates`` are its faults."""

    def __init__(self, loop: Any, rng: random.Random, backend: Backend) -> None:
        self._loop = loop
        self._rng = rng
        self.backend = backend
        self.is_up = True
        self.loses_acknowledged = 0.0
        """The chance that a message is acknowledged and then lost, as a broker without persistence does."""
        self.duplicates = 0.0
        """The chance that a message is delivered twice, in either direction: QoS 1 promises at least once, no more."""
        self.retained: dict[str, bytes] = {}
        self.published_count = 0
        self.clients: list[SimTransport] = []

    def attach(self, transport: SimTransport) -> None:
        self.clients.append(transport)

    def go_down(self) -> None:
        self.is_up = False
        for client in self.clients:
            client.drop("the broker is gone")

    def come_up(self) -> None:
        self.is_up = True

    def take(self, client: SimTransport, token: int, topic: str, payload: bytes, is_retained: bool) -> None:
        self.published_count += 1
        if is_retained:
            self.retained[topic] = payload
        connection = client.connection_count
        self.later(lambda: client.acknowledge(token, connection))
        if self._rng.random() < self.loses_acknowledged:
            return
        root = "/".join(topic.split("/")[:3])
        for _ in range(self._copies()):
            receipt = self.backend.receive(topic, payload)
            if receipt is not None:
                suffix, body = receipt
                self.later(lambda suffix=suffix, body=body: self.publish(f"{root}/{suffix}", body), 0.05)  # type: ignore[misc]

    def publish(self, topic: str, payload: bytes, *, is_retained: bool = False) -> None:
        """Something for the sites: a receipt, a command. Lost for those who are not connected."""
        if not self.is_up:
            return
        if is_retained:
            self.retained[topic] = payload
        for client in list(self.clients):
            for _ in range(self._copies()):
                client.deliver(Message(topic, payload, is_retained=is_retained))

    def _copies(self) -> int:
        return 2 if self.duplicates and self._rng.random() < self.duplicates else 1

    def later(self, action: Callable[[], None], seconds: float = 0.01) -> None:
        self._loop.call_later(seconds * self._rng.uniform(0.5, 2), action)


class SimTransport:
    """``edgectl.uplink.MqttTransport`` to a ``SimBroker``."""

    def __init__(self, loop: Any, broker: SimBroker) -> None:
        self._loop = loop
        self._broker = broker
        self._listener: Listener | None = None
        self._will: Will | None = None
        self._random: random.Random | None = None
        self._is_connected = False
        self._is_closed = False
        self._token = 0
        self.connection_count = 0
        """Which connection this is; what was on its way to an older one never arrives."""
        self._attempt: asyncio.TimerHandle | None = None
        self._filters: list[str] = []
        self.broker = "mqtt://simulated:1883"
        broker.attach(self)

    def start(self, listener: Listener, will: Will, random: random.Random) -> None:
        self._listener, self._will, self._random = listener, will, random
        self._is_closed = False
        self._try_later(0.05)

    def _try_later(self, seconds: float) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
        self._attempt = self._loop.call_later(seconds, self._connect)

    def _connect(self) -> None:
        if self._is_closed or self._is_connected or self._listener is None or self._random is None:
            return
        if not self._broker.is_up:
            self._listener.on_disconnected("connection refused")
            self._try_later(self._random.uniform(1, 10))
            return
        self._is_connected = True
        self.connection_count += 1
        self._filters.clear()
        self._listener.on_connected(20, None)

    def drop(self, reason: str) -> None:
        if not self._is_connected or self._listener is None or self._random is None:
            return
        self._is_connected = False
        if self._will is not None:
            self._broker.retained[self._will.topic] = self._will.payload
        self._listener.on_disconnected(reason)
        self._try_later(self._random.uniform(1, 3))

    def vanish(self) -> None:
        """The process that used it is gone; only the will speaks."""
        if self._is_connected and self._will is not None:
            self._broker.retained[self._will.topic] = self._will.payload
        self._is_closed, self._is_connected, self._listener = True, False, None

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        is_retained: bool = False,
        correlation_data: bytes | None = None,
        content_type: str | None = None,
    ) -> int | None:
        if not self._is_connected:
            return None
        self._token += 1
        self._broker.take(self, self._token, topic, payload, is_retained)
        return self._token

    def acknowledge(self, token: int, connection: int) -> None:
        if self._is_connected and self._listener is not None and connection == self.connection_count:
            self._listener.on_puback(token, 0)

    def deliver(self, message: Message) -> None:
        if self._is_connected and self._listener is not None and any(topic_matches(f, message.topic) for f in self._filters):
            self._listener.on_message(message)

    def subscribe(self, topic_filter: str) -> None:
        self._filters.append(topic_filter)
        self._broker.later(lambda: self._granted(topic_filter))
        for topic, payload in self._broker.retained.items():
            if topic_matches(topic_filter, topic):
                message = Message(topic, payload, is_retained=True)
                self._broker.later(lambda message=message: self.deliver(message))  # type: ignore[misc]

    def _granted(self, topic_filter: str) -> None:
        if self._is_connected and self._listener is not None:
            self._listener.on_suback(topic_filter, 1)

    def look_again(self) -> None: ...

    async def close(self) -> None:
        self._is_closed = True
        self._is_connected = False
        if self._attempt is not None:
            self._attempt.cancel()


def topic_matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5, 4.7.1."""
    wanted, actual = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(actual) or level not in {"+", actual[index]}:
            return False
    return len(wanted) == len(actual)
