"""The real daemon, a real broker, the reference backend and a real PostgreSQL: from the plug to the fleet's page and back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.backend_bench import BackendProcess
from support.daemon import ROOT, Depot
from support.mosquitto import Mosquitto, free_port
from support.postgres import postgres_server, running_server

from edgectl_backend.postgres.database import Database
from hwsim.tools.postgres import PostgresServer

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running_server() as started:
        yield started


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        found: bytes = answer.read()
    return found


class Cli:
    def __init__(self, database_url: str, broker_port: int) -> None:
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "EDGECTL_BACKEND_DATABASE": database_url,
            "EDGECTL_BACKEND_BROKER": f"mqtt://127.0.0.1:{broker_port}",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgectl_backend", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


async def test_a_session_reaches_the_fleets_page_and_a_command_reaches_the_charger(
    tmp_path: Path, server: PostgresServer
) -> None:
    web_port = free_port()
    depot = Depot(tmp_path)
    broker = Mosquitto(tmp_path)
    depot.mqtt_port = broker.port
    cli = Cli(server.url, broker.port)
    options = ("--migrate", "--listen", f"127.0.0.1:{web_port}")
    async with broker, BackendProcess(tmp_path, broker.port, server.url, *options) as _, depot:
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()

        def fleet() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(get(web_port, "/api/v1/fleet"))
            return found

        await depot.until(lambda: [site["state"] for site in fleet()["sites"]] == ["online"], "the site is on the page")
        assert b"edgectl fleet" in get(web_port, "/")
        assert json.loads(get(web_port, "/healthz"))["ok"] is True
        answer = cli.json("send-command", "e2e", "ping", "--actor", "ops")
        assert answer["status"] == "done"
        depot.unplug()
        await depot.until(lambda: any(s["status"] == "completed" for s in cli.json("sessions", "--json")), "the session is there")
        await depot.until(lambda: depot.rows("SELECT count(*) FROM outbox") == [(0,)], "everything is receipted")
        await depot.until(lambda: cli.json("sites", "--json")[0]["records"] > 0, "the chain has been looked through")
        (site,) = cli.json("sites", "--json")
        assert site["chain_faults"] == 0
        assert cli.json("gaps", "--json") == []
        assert cli.json("rejects", "--json") == []
        (session,) = [s for s in cli.json("sessions", "--json") if s["status"] == "completed"]
        own = depot.rows("SELECT body FROM bill ORDER BY seq")
        shown = cli.run("sessions", "--record", session["record_id"])
        assert shown.stdout.split() == [body.decode() for (body,) in own if session["record_id"] in body.decode()]
        assert 'edgectl_backend_site_online{site="e2e"} 1.0' in get(web_port, "/metrics").decode()
        states = get(web_port, "/api/v1/sessions?site=e2e")
        assert len(json.loads(states)) == 1


@pytest.mark.timeout(240)
async def test_whoever_dies_at_the_end_of_a_session_the_bill_arrives_once(tmp_path: Path) -> None:
    server = postgres_server(tmp_path, is_durable=True)
    await asyncio.to_thread(server.start)
    broker = Mosquitto(tmp_path)
    depot = Depot(tmp_path)
    depot.mqtt_port = broker.port
    try:
        async with broker, BackendProcess(tmp_path, broker.port, server.url, "--migrate") as backend, depot:
            # A minute's patience for a receipt is right on a site and long in a test.
            depot.site.write_text(depot.site.read_text().replace("mqtt: {", "mqtt: {receipt_timeout: 2 s, "))
            await depot.start()
            for victim in ("daemon", "backend", "broker", "database"):
                await depot.connected()
                depot.plug()
                await depot.charging()
                depot.unplug()
                match victim:
                    case "daemon":
                        depot.kill()
                        await depot.start()
                    case "backend":
                        backend.kill()
                        await backend.start()
                    case "broker":
                        await broker.restart()
                    case _:
                        server.kill()
                        await asyncio.to_thread(server.start)
                ended = "SELECT COUNT(*) FROM session WHERE status = 'active'"
                await depot.until(lambda ended=ended: depot.rows(ended) == [(0,)], f"the session ends after the {victim}'s death")
            await depot.until(lambda: depot.rows("SELECT COUNT(*) FROM outbox") == [(0,)], "everything is receipted", 90)
            own = depot.rows("SELECT record_id, rev, body FROM bill")
        async with Database(server.url, connections=1) as database:
            stored = [tuple(row) for row in await database.rows("SELECT record_id, rev, body FROM record")]
        assert sorted(stored) == sorted(own)
        assert len({record_id for record_id, _, _ in own}) >= 4
    finally:
        server.stop()


async def test_the_command_line_says_what_is_wrong(tmp_path: Path, server: PostgresServer) -> None:
    cli = Cli(server.url, 1)
    assert cli.run("migrate").stdout.startswith("0001_start")
    assert "up to date" in cli.run("migrate").stdout
    for arguments, words, code in (
        (("send-command", "s1", "dance"), "there is no command 'dance'", 1),
        (("send-command", "s1", "stop", "--args", "{"), "is not JSON", 2),
        (("send-command", "s1", "ping", "--patience", "1"), "the broker cannot be reached", 1),
        (("sites", "--database", "postgresql://127.0.0.1:1/x"), "the database:", 1),
        (("run", "--broker", "http://x"), "mqtts://host:port", 2),
        (("run", "--listen", "8090"), "host:port", 2),
    ):
        done = cli.run(*arguments)
        assert words in done.stderr, done.stderr
        assert done.returncode == code
        assert "Traceback" not in done.stderr
