"""The watch over what is published sees a wrong payload wherever it comes from, and says where it is wrong."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from support.backend_bench import ROOT, BackendProcess, BareSite, until
from support.contract import Watch
from support.ledger import Book
from support.mosquitto import Mosquitto

from edgectl.domain.ids import SiteId
from edgectl.domain.settings import MqttSettings
from edgectl.uplink import Message, PahoTransport
from hwsim.tools.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.own_payloads]

WRONG = {**json.loads(Book().write("a").body), "seq": "one"}
WORDS = "billing/session: BillingRecord: data.seq must be integer"
OTHER_PROCESS = """
import sys, paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
client.publish("edgectl/v1/s1/billing/session", sys.argv[2], qos=1).wait_for_publish(10)
"""


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    made.install(monkeypatch)
    return made


class _Silent:
    """``transport.Listener``."""

    def __init__(self) -> None:
        self.is_connected = asyncio.Event()

    def on_connected(self, _receive_maximum: int, _maximum_packet_size: int | None, _is_session_present: bool = False) -> None:
        self.is_connected.set()

    def on_disconnected(self, reason: str, is_by_broker: bool = True) -> None: ...
    def on_puback(self, token: int, reason_code: int) -> None: ...
    def on_message(self, message: Message) -> None: ...
    def on_credentials(self, problem: str) -> None: ...

    def on_suback(self, topic_filter: str, reason_code: int) -> None: ...


async def test_a_wrong_payload_of_this_process_is_seen(tmp_path: Path, watch: Watch) -> None:
    async with Mosquitto(tmp_path) as broker:
        transport, listener = (
            PahoTransport(MqttSettings("127.0.0.1", broker.port, False), SiteId("s1"), {}.__getitem__),
            _Silent(),
        )
        transport.start(listener, None, random.Random(1))
        await asyncio.wait_for(listener.is_connected.wait(), 20)
        transport.publish("edgectl/v1/s1/billing/session", json.dumps(WRONG).encode())
        transport.publish("edgectl/v1/s1/nonsense", b"{}")
        await transport.close()
    assert watch.found[0].startswith(WORDS)
    assert watch.found[1] == "nonsense: no such topic"


async def test_a_wrong_payload_of_another_process_is_seen_and_one_of_the_tests_own_is_not(tmp_path: Path, watch: Watch) -> None:
    heard: list[bytes] = []
    async with Mosquitto(tmp_path) as broker, BareSite(broker.port) as site:
        reader = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        reader.on_connect = lambda client, *_: client.subscribe("edgectl/v1/#", 1)
        reader.on_subscribe = lambda *_: heard.append(b"")
        reader.on_message = lambda _client, _data, message: heard.append(message.payload)
        reader.connect("127.0.0.1", broker.port)
        reader.loop_start()
        try:
            await until(lambda: heard, "it is subscribed")
            site.bill(b"as wrong as it likes")
            command = [sys.executable, "-c", OTHER_PROCESS, str(broker.port), json.dumps(WRONG)]
            await asyncio.to_thread(subprocess.run, command, check=True, cwd=ROOT, timeout=30)
            await until(lambda: len(heard) == 3, "both have come")
        finally:
            reader.disconnect()
            await asyncio.to_thread(reader.loop_stop)
    assert [words.startswith(WORDS) for words in watch.found] == [True]


async def test_the_receipts_of_the_backends_process_are_judged(tmp_path: Path, watch: Watch, server: PostgresServer) -> None:
    book = Book()
    book.fill(3)
    async with (
        Mosquitto(tmp_path) as broker,
        BackendProcess(tmp_path, broker.port, server.url, "--migrate"),
        BareSite(broker.port) as site,
    ):
        site.bill(*(bill.body for bill in book.bills))
        await site.acknowledged([(bill.record_id, bill.rev) for bill in book.bills])
    assert watch.found == []
    assert watch.judged_count >= 1
