"""Commands of a backend over a real mosquitto to the real daemon and a simulated charger: each is answered, none runs twice."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.contract import faults
from support.daemon import Depot
from support.mosquitto import Mosquitto
from support.signing import PUBLIC, signed

from edgectl.runtime.clock import is_clock_synchronised

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEYS = f"""
mqtt:
  broker: "mqtt://127.0.0.1:{{port}}"
  clock: {{clock}}
  actors: {{{{ops: {{{{role: operator}}}}, boss: {{{{role: manager}}}}}}}}
  command_keys:
    k1: {{{{public_key: "{PUBLIC}", actors: [boss]}}}}
"""


class Backend:
    """Sends commands and hears their answers at a topic of its own."""

    def __init__(self, port: int) -> None:
        self._answers: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self._number = 0
        self.faults: list[str] = []
        self.status: dict[str, Any] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "commander", protocol=mqtt.MQTTv5)
        self._client.on_message = self._heard
        self._client.on_connect = lambda client, *_: client.subscribe([("replies/me", 1), ("edgectl/v1/e2e/status", 1)])
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _heard(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        suffix = "status" if message.topic.endswith("/status") else "cmd-ack/me"
        self.faults += faults(suffix, bytes(message.payload))
        if suffix == "status":
            self.status = json.loads(message.payload)
        else:
            self._answers.put(message)

    def command(self, name: str, args: dict[str, Any], *, is_signed: bool = False, **changes: Any) -> bytes:
        self._number += 1
        issued = datetime.now(UTC)
        body = {
            "id": f"c{self._number}",
            "issued_at": issued.isoformat(),
            "expires_at": (issued + timedelta(minutes=5)).isoformat(),
            "actor": "boss" if is_signed else "ops",
            "args": args,
            **changes,
        }
        return json.dumps(signed(body, "e2e", name) if is_signed else body).encode()

    def send(self, name: str, payload: bytes) -> dict[str, Any]:
        """The answer to it, by its correlation data."""
        correlation = f"n{self._number}-{datetime.now(UTC).timestamp()}".encode()
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = "replies/me"
        properties.CorrelationData = correlation
        self._client.publish(f"edgectl/v1/e2e/cmd/{name}", payload, qos=1, properties=properties)
        while True:
            message = self._answers.get(timeout=60)
            if message.properties is not None and getattr(message.properties, "CorrelationData", None) == correlation:
                found: dict[str, Any] = json.loads(message.payload)
                return found

    def ask(self, name: str, args: dict[str, Any], **more: Any) -> tuple[str, str | None]:
        """Send a command; status and code of its answer."""
        answer = self.send(name, self.command(name, args, **more))
        return answer["status"], answer["code"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@asynccontextmanager
async def depot(tmp_path: Path, clock: str = "plausible") -> AsyncIterator[tuple[Depot, Backend]]:
    async with Depot(tmp_path) as made, Mosquitto(tmp_path) as broker:
        made.mqtt_port = broker.port
        made.write_site()
        text = made.site.read_text()
        lines = [line for line in text.splitlines() if not line.startswith("mqtt:")]
        made.site.write_text("\n".join(lines) + KEYS.format(port=broker.port, clock=clock))
        await made.start()
        await made.connected()
        backend = Backend(broker.port)
        try:
            await made.until(lambda: backend.status, "the birth is heard")
            yield made, backend
        finally:
            backend.close()
        assert backend.faults == []


async def test_what_a_charger_can_do_is_done_and_its_own_words_come_back(tmp_path: Path) -> None:
    async with depot(tmp_path) as (site, backend):
        ask = lambda *args, **more: asyncio.to_thread(backend.ask, *args, **more)  # noqa: E731
        place = {"charger": "CP-1", "evse": 1}
        assert await ask("ping", {}) == ("done", None)
        site.plug(token="")
        assert await ask("start", {**place, "token": "04A1"}) == ("done", "Accepted")
        await site.charging()
        assert await ask("set-priority", {**place, "priority": 3}) == ("done", None)
        assert await ask("set-limit", {"charger": "CP-1", "current_ma": 10_000, "for_s": 600}) == ("done", "set")
        assert await ask("set-limit", {"charger": "CP-1", "current_ma": 16_000, "for_s": 600}) == ("refused", "raises")
        raised = await ask("set-limit", {"charger": "CP-1", "current_ma": 16_000, "for_s": 600}, is_signed=True)
        assert raised == ("done", "set")
        assert await ask("stop", {"charger": "CP-1"}) == ("done", "Accepted")
        await site.until(lambda: site.evse()["session"] is None, "the session ends")
        assert await ask("stop", {"charger": "CP-1"}) == ("refused", "rejected")

        assert await ask("unlock", place) == ("refused", "unsigned")
        assert await ask("unlock", place, is_signed=True) == ("done", "Unlocked")
        assert await ask("availability", {"charger": "CP-2", "state": "inoperative"}) == ("done", "Accepted")
        assert await ask("trigger", {"charger": "CP-2", "message": "Heartbeat"}) == ("done", "Accepted")
        assert await ask("clear-cache", {"charger": "CP-2"}) == ("done", "Accepted")
        configured = await ask("configure", {"charger": "CP-2", "key": "HeartbeatInterval", "value": "77"}, is_signed=True)
        assert configured == ("done", "Accepted")
        read = await asyncio.to_thread(
            backend.send,
            "get-configuration",
            backend.command("get-configuration", {"charger": "CP-2", "keys": ["HeartbeatInterval"]}),
        )
        assert read["result"]["HeartbeatInterval"] == "77"
        assert await ask("set-tokens", {"version": 1, "tokens": [{"uid": "B-1"}]}, is_signed=True) == ("done", "set")
        assert await ask("replay", {"stream": "events", "from_seq": 1, "to_seq": 5}) == ("done", "queued")
        assert await ask("reset", {"charger": "CP-2"}) == ("done", "Accepted")
        assert (await ask("reset", {"charger": "CP-9"}))[0] == "refused"
        assert await ask("reset", {"charger": "CP-1"}, actor="somebody") == ("refused", "unknown-actor")


async def test_the_master_of_a_group_ends_what_a_token_of_the_backend_began_and_nobody_charges_offline(tmp_path: Path) -> None:
    async with depot(tmp_path) as (site, backend):
        site.site.write_text(site.site.read_text().replace("{tokens: tokens.yaml}", "{tokens: tokens.yaml, offline: nobody}"))
        assert site.edgectl("reload").returncode == 0
        tokens = {"version": 1, "tokens": [{"uid": "B-1", "group": "BOSS"}, {"uid": "BOSS"}]}
        assert await asyncio.to_thread(backend.ask, "set-tokens", tokens, is_signed=True) == ("done", "set")
        await site.until(
            lambda: site.edgectl("commission", "CP-1").returncode == 0, "no set-up is under way, and this one is done", 90
        )
        asked = backend.command("get-configuration", {"charger": "CP-1", "keys": ["LocalAuthorizeOffline"]})
        read = await asyncio.to_thread(backend.send, "get-configuration", asked)
        assert read["result"]["LocalAuthorizeOffline"] == "false"
        site.plug(token="B-1")
        await site.charging()
        station = site.stations[0]
        station.evses[1].transaction.token = "BOSS"  # whose card is shown to it now
        station.stop(station.evses[1], "Local", asyncio.get_running_loop().time())
        await site.until(lambda: site.rows("SELECT body FROM bill"), "the record")
        session = json.loads(site.rows("SELECT body FROM bill")[0][0])["session"]
        assert (session["id_token"], session["stopped_by"], session["flags"]) == ("B-1", "BOSS", ["stopped-by-group"])
        assert (session["auth"]["status"], session["auth"]["offline"]) == ("accepted", False)


async def test_a_start_without_a_token_charges_and_the_record_says_who_asked(tmp_path: Path) -> None:
    async with depot(tmp_path) as (site, backend):
        site.plug(token="")
        start = {"charger": "CP-1", "evse": 1}
        assert await asyncio.to_thread(backend.ask, "start", start) == ("refused", "unsigned")
        assert await asyncio.to_thread(backend.ask, "start", start, is_signed=True) == ("done", "Accepted")
        await site.charging()
        session = site.cli.get("sessions", site.evse()["session"])
        assert (session["auth"]["how"], session["auth"]["by"]) == ("remote", "backend:boss")


async def test_a_place_that_the_backend_has_reserved_is_in_the_records_it_gets_also_after_kill_9(tmp_path: Path) -> None:
    async with depot(tmp_path) as (site, backend):
        reader = site.backend()
        records = lambda: [one["session"] for one in reader.backend.records.values()]  # noqa: E731
        place = {"charger": "CP-1", "evse": 1, "token": "04A1", "expires": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        assert await asyncio.to_thread(backend.ask, "reserve", {**place, "reservation": 5}) == ("done", "Accepted")
        assert site.stations[0].evses[1].status == "Reserved"
        site.kill()
        await site.start()
        await site.connected()
        site.plug(token="04A1")
        await site.charging()
        site.unplug()
        await site.until(lambda: len(records()) == 1, "the record of the session", 60)
        assert await asyncio.to_thread(backend.ask, "reserve", {**place, "reservation": 2**31 - 1}) == ("done", "Accepted")
        cancel = {"charger": "CP-1", "reservation": 2**31 - 1}
        assert await asyncio.to_thread(backend.ask, "cancel-reservation", cancel) == ("done", "Accepted")
        await site.until(lambda: len(records()) == 2, "the record of the other reservation", 60)
        assert {one["reservation"]["id"]: one["reservation"]["outcome"] for one in records()} == {
            5: "used",
            2**31 - 1: "cancelled",
        }
        assert reader.faults() == []
        assert await asyncio.to_thread(backend.ask, "cancel-reservation", cancel) == ("refused", "Rejected")


async def test_a_repeat_gets_the_stored_answer_also_after_kill_9_and_does_nothing(tmp_path: Path) -> None:
    async with depot(tmp_path) as (site, backend):
        payload = backend.command("availability", {"charger": "CP-1", "state": "inoperative"})
        first = await asyncio.to_thread(backend.send, "availability", payload)
        assert first["status"] == "done"
        assert await asyncio.to_thread(backend.send, "availability", payload) == first
        site.kill()
        await site.start()
        await site.connected()
        await site.until(lambda: site.cli.get("uplink")["connected"], "the broker is there again")
        assert await asyncio.to_thread(backend.send, "availability", payload) == first
        asked = site.rows("SELECT COUNT(*) FROM event WHERE kind = 'action' AND subject = 'CP-1'")
        assert asked == [(1,)]


async def test_with_a_clock_nobody_keeps_right_only_the_nonce_of_the_status_lets_a_command_in(tmp_path: Path) -> None:
    if is_clock_synchronised():
        pytest.skip("something keeps this machine's clock right")
    async with depot(tmp_path, clock="synchronised") as (site, backend):
        trigger = {"charger": "CP-1", "message": "Heartbeat"}
        assert await asyncio.to_thread(backend.ask, "trigger", trigger) == ("refused", "clock-untrusted")
        nonce = backend.status["nonce"]
        assert await asyncio.to_thread(backend.ask, "trigger", trigger, nonce=nonce) == ("done", "Accepted")
        await site.until(lambda: backend.status["nonce"] != nonce, "a new nonce is told")
        assert await asyncio.to_thread(backend.ask, "trigger", trigger, nonce=nonce) == ("refused", "clock-untrusted")
        assert await asyncio.to_thread(backend.ask, "trigger", trigger, nonce=backend.status["nonce"]) == ("done", "Accepted")
