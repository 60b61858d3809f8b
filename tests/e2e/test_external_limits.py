"""Limits from outside on the real daemon: mosquitto, HTTP, the command line, a Modbus server of pymodbus as the contact."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from support.daemon import Depot
from support.mosquitto import Mosquitto, free_port
from support.signing import signed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TOKEN = "a-token-of-the-site-file"


class Operator:
    """A backend that sends commands and hears the answers."""

    def __init__(self, port: int) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "operator", protocol=mqtt.MQTTv5)
        self._client.on_message = self._heard
        is_listening = threading.Event()
        self._client.on_subscribe = lambda *_: is_listening.set()
        self._client.on_connect = lambda client, *_: client.subscribe(
            [("edgectl/v1/e2e/cmd-ack/#", 1), ("edgectl/v1/e2e/event/limit", 1)]
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert is_listening.wait(30), "an answer could come before anybody listens"

    def _heard(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload)
        if "/event/" in message.topic:
            self.events.append(body)
        else:
            self.answers[body["id"]] = body

    def send(
        self, id_: str, args: dict[str, Any], *, is_retained: bool = False, expired: bool = False, is_signed: bool = False
    ) -> None:
        issued = datetime.now(UTC) - timedelta(hours=expired)
        body = {
            "id": id_,
            "issued_at": issued.isoformat(),
            "expires_at": (issued + timedelta(minutes=5)).isoformat(),
            "actor": "ops",
            "args": args,
        }
        if is_signed:
            body = signed(body, "e2e", "set-limit")
        topic = "edgectl/v1/e2e/cmd/set-limit"
        self._client.publish(topic, json.dumps(body), qos=1, retain=is_retained).wait_for_publish(10)
        if is_retained:
            self._client.publish(topic, b"", qos=1, retain=True).wait_for_publish(10)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def alarms(depot: Depot) -> set[str]:
    return {alarm["kind"] for alarm in depot.cli.get("alarms")}


def drawn_a(depot: Depot) -> float:
    return max(depot.stations[0].evses[1].drawn_a)


def grid(depot: Depot) -> dict[str, Any]:
    found: dict[str, Any] = depot.cli.get("circuits")[0]
    return found


async def test_a_command_of_the_backend_lowers_a_charging_car_survives_a_kill_and_ends(tmp_path: Path) -> None:
    async with Depot(tmp_path) as depot, Mosquitto(tmp_path) as broker:
        depot.mqtt_port = broker.port
        depot.write_site()
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        await depot.until(lambda: drawn_a(depot) > 30, "the car takes all it can", 90)
        operator = Operator(broker.port)
        try:
            await depot.until(lambda: depot.cli.get("uplink")["connected"], "the broker is there")
            operator.send("c1", {"circuit": "grid", "current_ma": 22_000, "for_s": 3_600})
            await depot.until(lambda: "c1" in operator.answers, "an answer")
            answer = operator.answers["c1"]
            assert (answer["status"], answer["code"], answer["result"]["id"]) == ("done", "set", "backend:circuit:grid")
            await depot.until(lambda: 0 < drawn_a(depot) <= 12.1, "the car follows: 22 A less 10 A of the building")
            assert depot.evse()["reason"]["by"] == "backend (ops)"
            assert "backend (ops) limits grid" in depot.edgectl("why", "CP-1").stdout

            for id_, args, more, code in (
                ("c1", {"circuit": "grid", "current_ma": 90_000, "for_s": 60}, {}, "id-used"),
                ("c2", {"circuit": "grid", "current_ma": 90_000, "for_s": 60}, {"expired": True}, "expired"),
                ("c3", {"circuit": "grid", "current_ma": -5, "for_s": 60}, {}, "bad-arguments"),
                ("c4", {"circuit": "attic", "current_ma": 5, "for_s": 60}, {}, "no-such-target"),
            ):
                operator.answers.pop(id_, None)
                operator.send(id_, args, **more)
                await depot.until(lambda: id_ in operator.answers, f"{code} is answered")  # noqa: B023 - waited for here
                assert (operator.answers[id_]["status"], operator.answers[id_]["code"]) == ("refused", code)

            until = grid(depot)["limited_by"]
            depot.kill()
            await depot.start()
            assert grid(depot)["limited_by"] == until, "the same limit with the same end"
            assert grid(depot)["allowed_ma"]["L1"] == 22_000
            await depot.until(lambda: depot.evse()["reason"]["by"] == "backend (ops)", "and it is obeyed after the restart")
            assert drawn_a(depot) <= 12.1

            await depot.until(lambda: depot.cli.get("uplink")["connected"], "the broker is there again")
            # It ends before the one that stands, so it allows more then: only a signature lets it.
            operator.send("c5", {"circuit": "grid", "current_ma": 21_000, "for_s": 2}, is_signed=True)
            await depot.until(lambda: depot.cli.get("limits") == [], "it ends")
            await depot.until(lambda: drawn_a(depot) > 13, "the file holds again", 90)
            await depot.until(lambda: {e["action"] for e in operator.events} >= {"set", "ended"}, "the backend is told")
        finally:
            operator.stop()


def http(depot: Depot, method: str, path: str, body: object = None, token: str | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{depot.web_port}{path}", data, method=method)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]["code"]


async def test_http_needs_the_token_and_the_command_line_says_why_at_a_moment(tmp_path: Path) -> None:
    async with Depot(tmp_path) as depot:
        text = depot.site.read_text()
        await depot.start()
        limit = {"circuit": "grid", "current_ma": 22_000, "for_s": 3_600, "actor": "energy manager"}
        assert await asyncio.to_thread(http, depot, "POST", "/api/v1/limits", limit, TOKEN) == (403, "no-token")
        depot.kill()

        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "web-token").write_text(TOKEN + "\n")
        listen = f'"127.0.0.1:{depot.web_port}"'
        with_token = text.replace(f"listen: {listen}", f"listen: {listen}, token: {{credential: web-token}}")
        depot.site.write_text(with_token.replace("{id: e2e}", "{id: e2e, timezone: Europe/Berlin}"))
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        await depot.until(lambda: drawn_a(depot) > 30, "the car takes all it can", 90)
        before = datetime.now(UTC)
        for token in (None, "wrong", TOKEN + "x"):
            assert await asyncio.to_thread(http, depot, "POST", "/api/v1/limits", limit, token) == (401, "wrong-token")
        assert await asyncio.to_thread(http, depot, "GET", "/api/v1/limits") == (200, [])
        status, answer = await asyncio.to_thread(http, depot, "POST", "/api/v1/limits", limit, TOKEN)
        assert (status, answer["id"]) == (200, "local-api:circuit:grid")
        await depot.until(lambda: drawn_a(depot) <= 12.1, "the car follows")
        for body, code in (
            ({**limit, "current_ma": 1.5}, "bad-limit"),
            ({**limit, "circuit": "attic"}, "no-such-target"),
            ([], "bad-body"),
        ):
            assert (await asyncio.to_thread(http, depot, "POST", "/api/v1/limits", body, TOKEN))[1] == code

        done = depot.edgectl("limit", "CP-1", "--current", "8A", "--for", "10min", "--then", "6A")
        assert done.returncode == 0, done.stderr
        await depot.until(lambda: depot.evse()["commanded_ma"] == 8_000, "the lower of the two wins")
        await depot.until(lambda: drawn_a(depot) <= 8.1, "the car follows again")
        assert {one["by"] for one in depot.json("limits")} == {"local-api", "local-cli"}
        assert "8.0 A" in depot.edgectl("limits").stdout
        metrics = await asyncio.to_thread(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{depot.web_port}/metrics", timeout=10).read().decode()
        )
        assert 'edgectl_circuit_allowed_amperes{circuit="grid",phase="L1"} 22.0' in metrics
        assert 'edgectl_external_limit_left_seconds{by="local-cli"' in metrics

        mine = await asyncio.to_thread(http, depot, "DELETE", "/api/v1/limits/local-cli:charger:CP-1", None, TOKEN)
        assert mine == (403, "not-yours")
        assert depot.edgectl("limit", "CP-1", "--lift").returncode == 0
        assert (await asyncio.to_thread(http, depot, "DELETE", "/api/v1/limits/local-api:circuit:grid", None, TOKEN))[0] == 200
        await depot.until(lambda: drawn_a(depot) > 13, "all is lifted", 90)

        await depot.until(
            lambda: len(depot.rows("SELECT 1 FROM limit_history WHERE limit_ma = 8000")) >= 1, "the history is on disk"
        )
        ((at_ms,),) = depot.rows("SELECT at_utc_ms FROM limit_history WHERE limit_ma = 8000 ORDER BY id LIMIT 1")
        moment = datetime.fromtimestamp(at_ms / 1000 + 0.5, UTC).isoformat()
        past = depot.edgectl("why", "CP-1", "--at", moment)
        assert past.returncode == 0, past.stderr
        assert "CP-1/1 may draw 8.0 A because local-cli (local:" in past.stdout
        assert "limits this charger to 8.0 A until" in past.stdout
        assert "external-limit" in past.stdout, "the inputs stand below"
        (found,) = (await asyncio.to_thread(http, depot, "GET", f"/api/v1/why/CP-1/1?at={moment}"))[1]
        assert found["limit_ma"] == 8_000
        assert {item["name"] for item in found["reason"]["inputs"]} >= {"external-limit"}
        early = depot.edgectl("why", "CP-1", "--at", (before - timedelta(days=3)).isoformat())
        assert early.returncode == 1
        assert "30 days are kept" in early.stderr
        assert "on the site's clock" in depot.edgectl("why", "CP-1", "--at", "yesterday").stderr


class Contact:
    """A Modbus I/O module with its contact at address 3, by pymodbus."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        def contacts() -> list[SimData]:
            return [SimData(0, values=[False] * 16, datatype=DataType.BITS)]

        def registers() -> list[SimData]:
            return [SimData(0, count=2, values=0, datatype=DataType.REGISTERS)]

        device = SimDevice(1, (contacts(), contacts(), registers(), registers()))
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    async def close_contact(self) -> None:
        assert self._server is not None
        await self._server.async_setValues(1, 2, 3, [True])

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None


async def test_a_contact_lowers_the_site_and_its_loss_means_its_fail_safe_limit(tmp_path: Path) -> None:
    contact = Contact()
    await contact.start()
    async with Depot(tmp_path) as depot:
        depot.write_site(
            extra=f"""
inputs:
  operator:
    connect: tcp://127.0.0.1:{contact.port}
    read: discrete 3
    circuit: grid
    closed: 25 %
    when_lost: 20 %
"""
        )
        try:
            await depot.start()
            await depot.connected()
            depot.plug()
            await depot.charging()
            await depot.until(lambda: drawn_a(depot) > 30, "an open contact limits nothing", 90)
            await contact.close_contact()
            await depot.until(lambda: 12 < drawn_a(depot) <= 15.1, "25 % of 100 A less 10 A of the building")
            assert "input operator limits grid" in depot.evse()["why"]
            await contact.stop()
            await depot.until(lambda: 8 < drawn_a(depot) <= 10.1, "its fail-safe limit holds")
            await depot.until(lambda: "input-lost" in alarms(depot), "an alarm says so")
            assert depot.json("limits")[0]["state"] == "lost"
            await contact.start()
            await depot.until(lambda: drawn_a(depot) > 16, "it is back, and open", 90)
            await depot.until(lambda: "input-lost" not in alarms(depot), "the alarm has ended")
        finally:
            await contact.stop()
