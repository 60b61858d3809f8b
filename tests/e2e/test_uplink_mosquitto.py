"""The uplink on a real mosquitto: what arrives, what is sent again, what is set aside, and who speaks when we are gone."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
import pytest
import zstandard
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog.testing import capture_logs
from support.access_table import TABLE, USERS
from support.contract import own_faults
from support.mosquitto import Mosquitto, free_port
from support.outbox import EPOCH, ListOutbox

from edgectl.domain.decisions import PublishState
from edgectl.domain.events import AccessChecked, CredentialsChecked, Event, InputRefused, PublishRefused, UplinkChanged
from edgectl.domain.ids import SiteId
from edgectl.domain.settings import BrokerAddress, MqttSettings
from edgectl.domain.time import iso
from edgectl.runtime.clock import SystemClock
from edgectl.uplink import PahoTransport, Uplink

CONFIG = Path(__file__).resolve().parents[2] / "config"
BASE = "edgectl/v1/s1/"
LIMIT_S = 15.0
T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.own_payloads]


async def until(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    try:
        async with asyncio.timeout(limit_s):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {limit_s} s: {what}")


class Peer:
    """Another client of the broker: the backend, or somebody who pretends. Hears what its topic filter lets it."""

    def __init__(self, port: int, topic_filter: str = "edgectl/v1/#", user: tuple[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._heard: list[mqtt.MQTTMessage] = []
        self._codes: dict[int, int] = {}
        self.is_ready = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.on_connect = lambda client, *_: client.subscribe(topic_filter, qos=1)
        self._client.on_subscribe = lambda *_: self.is_ready.set()
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self._heard.append(message)

    def _on_publish(self, client: mqtt.Client, userdata: object, mid: int, reason_code: Any, properties: object) -> None:
        with self._lock:
            self._codes[mid] = reason_code.value

    def heard(self, topic: str) -> list[mqtt.MQTTMessage]:
        with self._lock:
            return [message for message in self._heard if message.topic == topic]

    def faults(self) -> list[str]:
        """What is not in the contract of what a gateway itself has written."""
        with self._lock:
            gateways = [message for message in self._heard if message.topic.startswith("edgectl/v1/")]
        return [fault for one in gateways for fault in own_faults(one.topic.split("/", 3)[3], bytes(one.payload))]

    def bodies(self, suffix: str) -> list[bytes]:
        return [bytes(message.payload) for message in self.heard(BASE + suffix)]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, properties: Properties | None = None) -> int:
        return self._client.publish(topic, payload, qos=1, retain=retain, properties=properties).mid

    async def publish_and_wait(self, topic: str, payload: bytes, **options: Any) -> int:
        """The reason code of the broker's answer."""
        mid = self.publish(topic, payload, **options)
        await until(lambda: mid in self._codes, f"an answer to a publish on {topic}")
        return self._codes[mid]

    def receipt(self, *record_ids: str) -> None:
        acked = [{"record_id": record_id, "rev": 1} for record_id in record_ids]
        body = {"schema": "edgectl/receipt/1", "epoch": EPOCH, "acked": acked}
        self.publish(f"{BASE}receipt/billing", json.dumps(body).encode())

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@asynccontextmanager
async def peer(broker: Mosquitto, **options: Any) -> AsyncIterator[Peer]:
    client = Peer(broker.port, **options)
    try:
        await until(client.is_ready.is_set, "a peer is subscribed")
        yield client
    finally:
        await asyncio.to_thread(client.close)
    assert client.faults() == []


class Gateway:
    """The uplink as the daemon runs it, on a list instead of the ledger."""

    def __init__(self, settings: MqttSettings, site: str = "s1", credentials: dict[str, bytes] | None = None) -> None:
        self.outbox = ListOutbox()
        self.events: list[Event] = []
        self.clock = SystemClock()
        self.uplink = Uplink(
            settings,
            SiteId(site),
            epoch=EPOCH,
            boot_id="boot-1",
            version="1.2.3",
            outbox=self.outbox,
            inbox=self,
            clock=self.clock,
            transport=PahoTransport(settings, SiteId(site), (credentials or {}).__getitem__),
            random=random.Random(1),
        )
        self.task: asyncio.Task[None] | None = None

    def put(self, event: Event) -> None:
        self.events.append(event)
        if self.outbox.take(event):
            self.uplink.wake()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def owe(self, record_id: str, body: bytes) -> None:
        self.outbox.owe(record_id, body)
        self.uplink.wake()

    @property
    def is_connected(self) -> bool:
        return self.uplink.status().is_connected


@asynccontextmanager
async def gateway(
    port: int, *, site: str = "s1", credentials: dict[str, bytes] | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    defaults = MqttSettings("127.0.0.1", port, is_tls=False, receipt_timeout_ms=60_000)
    made = Gateway(replace(defaults, **settings), site, credentials)
    made.task = asyncio.create_task(made.uplink.run())
    try:
        yield made
    finally:
        await made.uplink.stop()
        await made.task


async def test_a_bill_arrives_byte_for_byte_is_sent_again_and_goes_with_its_receipt(tmp_path: Path) -> None:
    body = b'{"energy": 1.0, "signed": "OCMF|{\\"a\\" : 1}", "who": "\xc3\xa9"}'
    async with Mosquitto(tmp_path) as broker, peer(broker) as backend, gateway(broker.port, receipt_timeout_ms=500) as site:
        site.owe("a", body)
        await until(lambda: len(backend.bodies("billing/session")) >= 2, "the bill and its repeat")
        assert set(backend.bodies("billing/session")) == {body}
        backend.receipt("a")
        await until(lambda: not site.outbox.owed, "the receipt is kept")
        site.owe("b", b"{}")
        await until(lambda: b"{}" in backend.bodies("billing/session"), "the next bill")
        assert site.uplink.status().last_receipt_age_ms is not None
        # b is repeated after its timeout; a, receipted, is not among the repeats.
        seen = len(backend.bodies("billing/session"))
        await until(lambda: len(backend.bodies("billing/session")) > seen, "a repeat of the next bill")
        assert set(backend.bodies("billing/session")[seen:]) == {b"{}"}


async def test_the_birth_is_retained_and_a_killed_gateway_is_declared_offline_by_its_will(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        async with gateway(broker.port) as site:
            async with peer(broker) as early:
                await until(lambda: early.heard(BASE + "status"), "the birth")
            async with peer(broker) as late:
                await until(lambda: late.heard(BASE + "status"), "the retained birth")
                birth = late.heard(BASE + "status")[0]
                assert birth.retain
                assert json.loads(birth.payload)["state"] == "online"
                assert site.task is not None
                site.task.cancel()
                await until(lambda: len(late.heard(BASE + "status")) > 1, "the will")
                assert json.loads(late.bodies("status")[-1]) == {
                    "schema": "edgectl/status/1",
                    "state": "offline",
                    "epoch": EPOCH,
                    "boot_id": "boot-1",
                    "version": "1.2.3",
                    "since": None,
                    "backlog": None,
                    "oldest_unacked_s": None,
                    "nonce": None,
                }
            await asyncio.gather(site.task, return_exceptions=True)
            site.task = asyncio.create_task(asyncio.sleep(0))
        async with peer(broker) as later:
            await until(lambda: later.heard(BASE + "status"), "the retained will")
            assert later.heard(BASE + "status")[0].retain


async def test_a_stop_is_quick_and_says_offline_with_its_moment(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, peer(broker) as backend, gateway(broker.port) as site:
        await until(lambda: backend.bodies("status"), "the birth")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await site.uplink.stop()
        assert loop.time() - began < 2
        await until(lambda: json.loads(backend.bodies("status")[-1])["state"] == "offline", "offline")
        assert json.loads(backend.bodies("status")[-1])["since"] is not None
        await until(lambda: "Client edgectl-s1 disconnected." in broker.log.read_text(), "a clean good-bye")


async def test_states_are_retained_and_the_last_word_counts(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, gateway(broker.port) as site:
        for value in range(5):
            site.uplink.publish_state(PublishState("evse", "CP/1-1", {"value": value}), site.clock.now())
        await until(lambda: site.uplink.counters().get("live_sent", 0) >= 2, "birth and state are sent")
        async with peer(broker) as late:
            await until(lambda: late.bodies("state/evse/CP%2F1-1"), "the retained state")
            assert late.bodies("state/evse/CP%2F1-1") == [b'{"value":4}']


async def test_a_broker_that_is_not_there_yet_is_found_when_it_comes(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with capture_logs() as logs:
        async with gateway(broker.port) as site:
            site.owe("a", b"{}")
            await until(lambda: site.uplink.status().detail == "the broker cannot be reached: Connection refused", "a refusal")
            try:
                await broker.start()
                await until(lambda: site.outbox.sent or site.uplink.counters().get("rows_sent"), "the bill is sent")
            finally:
                broker.kill()
    assert [entry["event"] for entry in logs][:2] == ["uplink_lost", "uplink_connected"]


async def test_a_broker_killed_again_and_again_with_everything_in_memory_loses_no_bill(tmp_path: Path) -> None:
    wanted = {f"r{number}".encode() for number in range(300)}
    async with Mosquitto(tmp_path) as broker, gateway(broker.port, receipt_timeout_ms=1_000) as site:
        for body in sorted(wanted):
            site.outbox.owe(body.decode(), body)
        kept: set[bytes] = set()
        for goal in (60, 120, 180):
            async with peer(broker) as backend:
                await until(lambda goal=goal: _receipt_all(backend, site, kept) >= goal, f"{goal} bills", 60)
                await broker.restart()
        async with peer(broker) as backend:
            await until(lambda: _receipt_all(backend, site, kept) and not site.outbox.owed, "everything is receipted", 60)
        assert kept == wanted
        assert site.of(PublishRefused) == []
        assert site.uplink.counters()["disconnects"] == 3


def _receipt_all(backend: Peer, site: Gateway, kept: set[bytes]) -> int:
    """The backend stores, and only then sends its receipt; repeats are receipted again. How many it has stored."""
    owed = {row.body for row in site.outbox.owed}
    news = [body for body in dict.fromkeys(backend.bodies("billing/session")) if body in owed]
    kept.update(news)
    if news:
        backend.receipt(*[body.decode() for body in news])
    return len(kept)


async def test_a_record_the_access_list_denies_is_parked_and_not_taken_for_published(tmp_path: Path) -> None:
    acl = (CONFIG / "mosquitto.acl").read_text()
    denied = acl.replace("pattern write edgectl/v1/%u/billing/#", "pattern write edgectl/v1/%u/billing/allowed")
    assert denied != acl
    users = {"s1": "secret", "backend": "other"}
    login = {"username": "s1", "password": "mqtt", "credentials": {"mqtt": b"secret"}}
    async with Mosquitto(tmp_path, acl=denied, users=users) as broker, gateway(broker.port, **login) as site:
        site.outbox.owe("a", b"denied")
        site.outbox.owe("b", b"fine", suffix="billing/allowed")
        site.uplink.wake()
        await until(lambda: site.outbox.parked, "the denied record is parked")
        assert site.outbox.parked == {1: "the broker refused it: not authorised (the broker's access list) (0x87)"}
        async with peer(broker, user=("backend", "other")) as backend:
            site.outbox.owe("c", b"fine too", suffix="billing/allowed")
            site.uplink.wake()
            await until(lambda: b"fine too" in backend.bodies("billing/allowed"), "the line moves on")
        assert 1 not in site.outbox.sent


async def test_the_sample_access_list_lets_each_site_do_its_own_and_nothing_else(tmp_path: Path) -> None:
    users = {"s1": "secret", "s2": "secret", "backend": "other"}
    login = {"username": "s1", "password": "mqtt", "credentials": {"mqtt": b"secret"}}
    async with (
        Mosquitto(tmp_path, acl=(CONFIG / "mosquitto.acl").read_text(), users=users) as broker,
        gateway(broker.port, **login) as site,
        peer(broker, user=("backend", "other")) as backend,
        peer(broker, user=("s2", "secret")) as neighbour,
    ):
        site.owe("a", b"{}")
        site.uplink.publish_state(PublishState("meter", "main", {}), site.clock.now())
        await until(lambda: backend.bodies("billing/session") and backend.bodies("state/meter/main"), "the backend reads")
        backend.receipt("a")
        await until(lambda: not site.outbox.owed, "the gateway reads its receipts")
        backend.publish(f"{BASE}cmd/ping", command())
        await until(lambda: backend.bodies("cmd-ack/ops"), "the gateway reads its commands and answers")
        for topic in (f"{BASE}billing/session", f"{BASE}receipt/billing", f"{BASE}cmd/ping", "edgectl/v1/s2/receipt/billing"):
            assert await neighbour.publish_and_wait(topic, b"{}") == 0x87
        assert await backend.publish_and_wait(f"{BASE}billing/session", b"forged") == 0x87
        assert await neighbour.publish_and_wait("edgectl/v1/s2/status", b"{}") < 0x80
        assert neighbour.heard(f"{BASE}billing/session") == []
        assert neighbour.heard(f"{BASE}state/meter/main") == []
        assert site.uplink.counters().get("live_refused", 0) == 0


async def test_who_may_write_and_read_where_is_as_the_table_says(tmp_path: Path) -> None:
    """The list for EMQX is held against the same table (``tests/unit/uplink/test_uplink_acl.py``)."""
    acl, users = (CONFIG / "mosquitto.acl").read_text(), dict.fromkeys(USERS, "secret")
    async with Mosquitto(tmp_path, acl=acl, users=users) as broker, AsyncExitStack() as stack:
        clients = {user: Peer(broker.port, user=(user, "secret"), topic_filter="#") for user in USERS}
        for client in clients.values():
            stack.callback(client.close)
            await until(client.is_ready.is_set, "a client is subscribed")
        for topic, (writers, _) in TABLE.items():
            for user, client in clients.items():
                assert (await client.publish_and_wait(topic, user.encode()) < 0x80) is (user in writers), (user, topic)
        written = {topic: writers for topic, (writers, _) in TABLE.items() if writers}
        for topic in written:
            await until(lambda topic=topic: clients["backend"].heard(topic), f"the backend reads {topic}")
        last = {"s1": "edgectl/v1/s1/cmd/last", "s2": "edgectl/v1/s2/cmd/last", "backend": "edgectl/v1/s1/cmd/last"}
        for topic in set(last.values()):
            assert await clients["backend"].publish_and_wait(topic, b"{}") < 0x80
        for user, topic in last.items():
            await until(lambda user=user, topic=topic: clients[user].heard(topic), f"{user} was given all that came before")
        for topic in written:
            readers = TABLE[topic][1]
            assert {user for user, client in clients.items() if client.heard(topic)} == readers, topic


async def test_a_record_above_the_brokers_packet_size_is_parked_and_the_next_arrives(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, max_packet_size=2_000) as broker, peer(broker) as backend, gateway(broker.port) as site:
        site.outbox.owe("large", b"x" * 3_000)
        site.outbox.owe("small", b"{}")
        site.uplink.wake()
        await until(lambda: backend.bodies("billing/session"), "the small one")
        assert backend.bodies("billing/session") == [b"{}"]
        assert list(site.outbox.parked) == [1]
        assert "too large" in site.outbox.parked[1]
        assert site.uplink.counters()["connects"] == 1


async def test_the_largest_record_that_is_sent_is_one_the_broker_takes(tmp_path: Path) -> None:
    largest = 2_000 - 10 - len("edgectl/v1/s1/billing/session")
    async with Mosquitto(tmp_path, max_packet_size=2_000) as broker, peer(broker) as backend, gateway(broker.port) as site:
        site.owe("a", b"x" * largest)
        await until(lambda: backend.bodies("billing/session") or site.outbox.parked, "it arrives")
        assert site.outbox.parked == {}
        assert site.uplink.counters()["connects"] == 1


async def test_a_broker_that_hangs_is_noticed_and_its_successor_gets_the_bill(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, gateway(broker.port, keepalive_s=1) as site:
        await until(lambda: site.is_connected, "connected")
        broker.freeze()
        site.owe("a", b"{}")
        await until(lambda: not site.is_connected, "the silence is noticed")
        assert site.uplink.status().detail == "the broker no longer answers"
        await broker.restart()
        async with peer(broker) as backend:
            await until(lambda: backend.bodies("billing/session"), "the bill", 40)


def command(**changes: object) -> bytes:
    body = {"id": "c1", "actor": "ops", "args": {}}
    now = SystemClock().now().utc_ms
    return json.dumps({**body, "expires_at": iso(now + 60_000), "issued_at": iso(now), **changes}).encode()


async def test_a_command_is_answered_on_the_response_topic_with_its_correlation_data(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, peer(broker, topic_filter="#") as backend, gateway(broker.port) as site:
        await until(lambda: site.is_connected, "connected")
        await until(lambda: "cmd/+ (QoS 1)" in broker.log.read_text(), "subscribed")
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "replies/7"
        properties.CorrelationData = b"\x00\xff"
        backend.publish(f"{BASE}cmd/ping", command(), properties=properties)
        await until(lambda: backend.heard("replies/7"), "the answer")
        (answer,) = backend.heard("replies/7")
        assert json.loads(answer.payload)["status"] == "done"
        assert answer.properties is not None
        assert answer.properties.CorrelationData == b"\x00\xff"
        assert not answer.retain


@pytest.mark.parametrize("is_there_first", [True, False])
async def test_a_retained_command_is_refused_whether_it_was_there_before_us_or_not(tmp_path: Path, is_there_first: bool) -> None:
    async with Mosquitto(tmp_path) as broker, peer(broker) as backend:
        if is_there_first:
            await backend.publish_and_wait(f"{BASE}cmd/ping", command(), retain=True)
        async with gateway(broker.port) as site:
            if not is_there_first:
                await until(lambda: "cmd/+ (QoS 1)" in broker.log.read_text(), "subscribed")
                await backend.publish_and_wait(f"{BASE}cmd/ping", command(), retain=True)
            await until(lambda: backend.bodies("cmd-ack/ops"), "an answer")
            assert json.loads(backend.bodies("cmd-ack/ops")[0])["code"] == "retained"
            assert len(site.of(InputRefused)) == 1


async def test_garbage_from_the_broker_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, peer(broker) as backend, gateway(broker.port) as site:
        await until(lambda: "receipt/+ (QoS 1)" in broker.log.read_text(), "subscribed")
        for payload in (b"", b"\xff\x00", b"[" * 60_000, b"x" * 100_000, json.dumps({"epoch": 7}).encode()):
            backend.publish(f"{BASE}receipt/billing", payload)
            backend.publish(f"{BASE}cmd/ping", payload)
        await until(lambda: site.uplink.counters().get("inputs_refused") == 10, "all are refused")
        site.owe("a", b"{}")
        await until(lambda: backend.bodies("billing/session"), "a bill still arrives")
        assert site.uplink.counters()["connects"] == 1


async def test_a_peer_that_speaks_no_mqtt_is_left_and_tried_again() -> None:
    greeted = 0

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        await reader.read(10)
        # A CONNACK that accepts, then a PUBACK of 2 bytes that says it has none.
        writer.write(b"\x20\x03\x00\x00\x00" + b"\x40\x00" + bytes(range(256)))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with capture_logs():
            async with gateway(port) as site:
                await until(lambda: greeted >= 2, "a second attempt")
                assert site.task is not None
                assert not site.task.done()
                assert len(site.of(UplinkChanged)) >= 2


async def test_a_wrong_password_is_said_in_words(tmp_path: Path) -> None:
    login = {"username": "s1", "password": "mqtt", "credentials": {"mqtt": b"wrong"}}
    async with Mosquitto(tmp_path, users={"s1": "secret"}) as broker, gateway(broker.port, **login) as site:
        await until(lambda: "refused the connection" in site.uplink.status().detail, "the refusal")
        assert site.uplink.status().detail == "the broker refused the connection: Not authorized"


async def test_a_missing_credential_is_said_in_words_and_tried_again() -> None:
    with capture_logs():
        async with gateway(free_port(), username="s1", password="mqtt", credentials={}) as site:
            await until(lambda: site.uplink.status().detail == "mqtt", "the name of what is missing")


async def test_a_file_descriptor_above_a_thousand_is_no_obstacle(tmp_path: Path) -> None:
    """A site with 1,000 chargers has that many sockets; ``select`` takes none above 1,023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_048:
        pytest.skip("this system does not allow so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2_048, hard))
    filler = [os.open("/dev/null", os.O_RDONLY) for _ in range(1_100)]
    try:
        async with Mosquitto(tmp_path) as broker, gateway(broker.port) as site:
            site.owe("a", b"{}")
            await until(lambda: site.uplink.counters().get("rows_sent"), "the bill is sent")
            await until(lambda: site.uplink.status().last_puback_age_ms is not None, "the broker answers")
    finally:
        for descriptor in filler:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_packed_block_says_so_in_its_content_type(tmp_path: Path) -> None:
    packed = zstandard.ZstdCompressor().compress(b"{}" * 500)
    async with Mosquitto(tmp_path) as broker, peer(broker) as backend, gateway(broker.port, packs_telemetry=True) as site:
        site.outbox.owe("t1", packed, stream="telemetry", suffix="tele/evse")
        site.uplink.wake()
        await until(lambda: backend.heard(BASE + "tele/evse"), "the block")
        (message,) = backend.heard(BASE + "tele/evse")
        assert bytes(message.payload) == packed
        assert message.properties is not None
        assert message.properties.ContentType == "application/json+zstd"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("stream", "suffix", "in_vain"), [("telemetry", "tele/evse", 4), ("billing", "billing/session", 6)])
async def test_what_nobody_was_there_for_comes_soon_after_somebody_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str, suffix: str, in_vain: int
) -> None:
    monkeypatch.setattr("edgectl.uplink.line.FIRST_HOLD_MS", 500)
    async with Mosquitto(tmp_path) as broker, gateway(broker.port) as site:
        for number in range(6):
            site.outbox.owe(f"t{number}", b"{}", stream=stream, suffix=suffix)
        site.uplink.wake()
        await until(lambda: site.uplink.counters().get("rows_sent", 0) > in_vain, "the first in vain, and one more")
        async with peer(broker) as backend:
            await until(lambda: len(backend.heard(BASE + suffix)) == 6, "all of them")
        assert site.of(PublishRefused) == []


async def test_at_the_start_the_broker_is_asked_what_it_lets_us_do(tmp_path: Path) -> None:
    acl = (CONFIG / "mosquitto.acl").read_text()
    users = {"s1": "secret", "backend": "other"}
    login = {"username": "s1", "password": "mqtt", "credentials": {"mqtt": b"secret"}}
    for text, words, problem in (
        (acl, "enough", ""),
        (acl.replace("pattern write edgectl/v1/%u/billing/#", ""), "denied: publishing on billing/#", "billing/#"),
        ("topic readwrite #\npattern readwrite #\n", "open", ""),
    ):
        folder = tmp_path / words.split(":")[0]
        folder.mkdir()
        async with Mosquitto(folder, acl=text, users=users) as broker, gateway(broker.port, **login) as site:
            await until(lambda: site.of(AccessChecked), "the answers")
            assert site.uplink.status().access == words
            assert [bool(one.problem) for one in site.of(AccessChecked)] == [bool(problem)]
            assert problem in site.of(AccessChecked)[-1].problem
            assert site.uplink.counters().get("live_refused", 0) == 0
            assert site.of(InputRefused) == []


@pytest.mark.parametrize(
    ("rule", "branch"),
    [("event/#", "event/#"), ("tele/#", "tele/#"), ("state/#", "state/#"), ("status", "status"), ("cmd-ack/#", "cmd-ack/#")],
)
async def test_each_branch_that_the_broker_denies_is_named(tmp_path: Path, rule: str, branch: str) -> None:
    acl = (CONFIG / "mosquitto.acl").read_text()
    line = f"pattern write edgectl/v1/%u/{rule}\n"
    assert line in acl
    users = {"s1": "secret", "backend": "other"}
    login = {"username": "s1", "password": "mqtt", "credentials": {"mqtt": b"secret"}}
    async with (
        Mosquitto(tmp_path, acl=acl.replace(line, ""), users=users) as broker,
        peer(broker, user=("backend", "other")) as backend,
        gateway(broker.port, **login) as site,
    ):
        await until(lambda: site.is_connected, "connected")
        site.outbox.owe("a", b"{}", stream="events", suffix="event/alarm")
        site.outbox.owe("b", b"{}", stream="telemetry", suffix="tele/evse")
        site.uplink.wake()
        site.uplink.publish_state(PublishState("meter", "main", {}), site.clock.now())
        backend.publish(BASE + "cmd/ping", command())
        await until(lambda: site.uplink.status().access == f"denied: publishing on {branch}", "it is named")
        assert site.of(AccessChecked)[-1].problem == f"the broker's access list denies publishing on {branch}"


async def test_the_next_broker_is_tried_when_the_first_is_gone_and_the_first_again_after_a_loss(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = Mosquitto(tmp_path / "one"), Mosquitto(tmp_path / "two")
    fallbacks = (BrokerAddress("127.0.0.1", two.port, is_tls=False),)
    async with two, gateway(one.port, fallbacks=fallbacks) as site, peer(two) as backend:
        site.owe("a", b"{}")
        await until(lambda: backend.bodies("billing/session"), "the bill comes over the second broker")
        assert site.uplink.status().broker == f"mqtt://127.0.0.1:{one.port}, mqtt://127.0.0.1:{two.port}"
        assert site.uplink.status().broker_in_use == f"mqtt://127.0.0.1:{two.port}"
        async with one, peer(one) as other:
            two.kill()
            await until(lambda: other.bodies("billing/session"), "and, not receipted, over the first when that is back")


# --- TLS ------------------------------------------------------------------------------------------------------------------


def issue(directory: Path, name: str, *, authority: str | None = None) -> bytes:
    """A certificate with its key as PEM, signed by ``authority`` or by itself; for the CN ``name`` and 127.0.0.1."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    new += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    if authority is not None:
        new += ["-CA", str(directory / f"{authority}.pem"), "-CAkey", str(directory / f"{authority}.key")]
        new += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:false"]
    subprocess.run(new, check=True, capture_output=True)
    return certificate.read_bytes() + key.read_bytes()


def secure_broker(directory: Path) -> tuple[Mosquitto, dict[str, bytes]]:
    """mosquitto with the sample configuration, its paths and port replaced; and the credentials of site s1."""
    authority = issue(directory, "clients-ca")
    issue(directory, "broker", authority="clients-ca")
    credentials = {"ca": authority.split(b"-----BEGIN PRIVATE")[0], "client": issue(directory, "s1", authority="clients-ca")}
    broker = Mosquitto(directory, has_listener=False)
    sample = (CONFIG / "mosquitto.conf").read_text()
    sample = sample.replace("/etc/mosquitto/certs/", f"{directory}/").replace("/etc/mosquitto/", f"{CONFIG}/")
    sample = sample.replace("edgectl.acl", "mosquitto.acl").replace("listener 8883", f"listener {broker.port} 127.0.0.1")
    broker.configure(sample.replace("persistence true", f"persistence true\npersistence_location {directory}/"))
    return broker, credentials


async def test_the_sample_configuration_takes_a_gateway_by_its_certificate(tmp_path: Path) -> None:
    broker, credentials = secure_broker(tmp_path)
    tls = {"is_tls": True, "client_certificate": "client", "ca_certificate": "ca"}
    async with broker, gateway(broker.port, credentials=credentials, **tls) as site:
        site.owe("a", b"x" * 50_000)
        site.uplink.publish_state(PublishState("meter", "main", {}), site.clock.now())
        await until(lambda: "edgectl/v1/s1/billing/session', ... (50000 bytes)" in broker.log.read_text(), "the bill")
        await until(lambda: site.uplink.status().in_flight_count == 0, "all is answered")
        assert site.outbox.parked == {}
        assert site.uplink.counters().get("live_refused", 0) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ca_certificate": None}, "the broker's certificate is not trusted"),
        ({"ca_certificate": "nonsense"}, "credential 'nonsense' is not a PEM certificate"),
        ({"client_certificate": "nonsense"}, "credential 'nonsense' is not a PEM certificate with its key"),
        ({"host": "localhost"}, "the broker's certificate is not trusted"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_said_in_words(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    broker, credentials = secure_broker(tmp_path)
    credentials["nonsense"] = b"nonsense"
    tls: dict[str, Any] = {"is_tls": True, "client_certificate": "client", "ca_certificate": "ca"}
    async with broker, gateway(broker.port, credentials=credentials, **{**tls, **changes}) as site:
        await until(lambda: words in site.uplink.status().detail, words)
        assert not site.is_connected


async def test_without_a_client_certificate_nobody_is_let_in(tmp_path: Path) -> None:
    broker, credentials = secure_broker(tmp_path)
    async with broker, gateway(broker.port, credentials=credentials, is_tls=True, ca_certificate="ca") as site:
        await until(lambda: site.of(UplinkChanged), "a refusal")
        assert not site.is_connected
        assert "connects" not in site.uplink.counters()


async def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgectl.uplink.paho.LOOK_INTERVAL_S", 0.2)
    broker, credentials = secure_broker(tmp_path)
    tls = {"is_tls": True, "client_certificate": "client", "ca_certificate": "ca"}
    async with broker, gateway(broker.port, credentials=credentials, **tls) as site:
        await until(lambda: site.is_connected, "connected")
        credentials["client"] = issue(tmp_path, "s1", authority="clients-ca")
        await until(lambda: site.uplink.counters()["connects"] == 2, "connected anew")
        assert [change.detail for change in site.of(UplinkChanged) if change.detail] == ["its credentials were renewed"]


async def test_a_renewed_certificate_that_is_none_ends_no_connection_and_the_last_good_one_makes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgectl.uplink.paho.LOOK_INTERVAL_S", 0.2)
    broker, credentials = secure_broker(tmp_path)
    good = credentials["client"]
    tls = {"is_tls": True, "client_certificate": "client", "ca_certificate": "ca"}
    async with broker, gateway(broker.port, credentials=credentials, **tls) as site:
        await until(lambda: site.is_connected, "connected")
        credentials["client"] = good[: len(good) // 2]
        words = "credential 'client' is not a PEM certificate with its key"
        await until(lambda: site.uplink.status().credential_problem == words, "it is said")
        assert site.uplink.counters()["connects"] == 1
        assert site.of(CredentialsChecked)[-1].problem == words
        await broker.restart()
        await until(lambda: site.uplink.counters()["connects"] == 2, "connected again, by the old one")
        del credentials["client"]
        await until(lambda: site.uplink.status().credential_problem == "client", "that there is none is said, too")
        credentials["client"] = issue(tmp_path, "s1", authority="clients-ca")
        await until(lambda: site.uplink.counters()["connects"] == 3, "connected by the new one")
        assert site.uplink.status().credential_problem == ""
        assert site.of(CredentialsChecked)[-1].problem == ""


async def test_what_was_mended_is_tried_at_once_when_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgectl.uplink.paho.FIRST_PAUSE_S", 3_600)
    monkeypatch.setattr("edgectl.uplink.paho.LONGEST_PAUSE_S", 3_600)
    broker, credentials = secure_broker(tmp_path)
    tls = {"is_tls": True, "client_certificate": "client", "ca_certificate": "ca"}
    good, credentials["client"] = credentials["client"], b"nonsense"
    async with broker, gateway(broker.port, credentials=credentials, **tls) as site:
        await until(lambda: "not a PEM certificate" in site.uplink.status().detail, "a first attempt")
        credentials["client"] = good
        site.uplink.look_again()
        await until(lambda: site.is_connected, "connected")
        assert site.of(CredentialsChecked)[-1].problem == ""
