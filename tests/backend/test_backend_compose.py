"""The sample for ``docker compose``: its backend services run here as they stand there, on a real broker and a real database.

What is replaced is what containers have of their own: host names, ports, and the place of a secret.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from ruamel.yaml import YAML
from support.backend_bench import ROOT, BareSite, until
from support.ledger import Book
from support.mosquitto import Mosquitto, free_port
from support.postgres import running_server

from edgectl_backend.web.login import make_line

SITES = ("s1", "s2", "s3")
COUNT = 150


def sample() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(ROOT / "config" / "backend" / "compose.yaml")
    return found


def test_whatever_a_service_names_is_there() -> None:
    found = sample()
    services: dict[str, dict[str, Any]] = found["services"]
    assert set(found) == {"services", "volumes", "secrets"}
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        assert set(service.get("secrets", ())) <= set(found["secrets"]), name
        assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= set(found["volumes"]), name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        for other, rule in service.get("depends_on", {}).items():
            assert rule["condition"] != "service_healthy" or "healthcheck" in services[other], name
    aliases = {
        alias for service in services.values() for alias in service.get("networks", {}).get("default", {}).get("aliases", ())
    }
    assert aliases == {
        service["environment"]["EMQX_NODE_NAME"].split("@")[1] for service in services.values() if "hostname" in service
    }
    url = services["backend"]["environment"]["EDGECTL_BACKEND_DATABASE"]
    database = services["database"]["environment"]
    user, password, name = (database[f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB"))
    assert url == f"postgresql://{user}:{password}@database/{name}"


def command(service: Mapping[str, Any], replaced: Mapping[str, str]) -> list[str]:
    program, *arguments = shlex.split(service["command"])
    assert program == "edgectl-backend"
    return [sys.executable, "-m", "edgectl_backend", *(replaced.get(one, one) for one in arguments)]


def environment(service: Mapping[str, Any], broker_port: int, database_port: int) -> dict[str, str]:
    replaced = {
        name: value.replace("@database/", f"@127.0.0.1:{database_port}/") for name, value in service["environment"].items()
    }
    replaced["EDGECTL_BACKEND_BROKER"] = replaced["EDGECTL_BACKEND_BROKER"].replace(
        "emqx1.cluster:1883", f"127.0.0.1:{broker_port}"
    )
    return {**os.environ, "PYTHONPATH": str(ROOT), **replaced}


def status_of(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_its_backend_services_take_the_records_of_several_sites(tmp_path: Path) -> None:
    services = sample()["services"]
    backend, migrate = services["backend"], services["migrate"]
    users = tmp_path / "users"
    users.write_text(make_line("ops", "correct horse battery", cost=16))
    books = {site: Book(site) for site in SITES}
    for book in books.values():
        book.fill(COUNT)
    wanted = {site: {(bill.record_id, bill.rev): bill.body for bill in book.bills} for site, book in books.items()}
    processes: list[subprocess.Popen[bytes]] = []
    with running_server() as server:
        owner = await asyncpg.connect(server.url)
        await owner.execute("CREATE DATABASE edgectl OWNER edgectl")
        await owner.close()
        async with Mosquitto(tmp_path, more=["max_inflight_messages 1000"]) as broker:
            own = environment(backend, broker.port, server.port)
            ports = [free_port() for _ in range(backend["deploy"]["replicas"])]
            lines = [
                command(backend, {"0.0.0.0:8090": f"0.0.0.0:{port}", "/run/secrets/fleet-users": str(users)}) for port in ports
            ]
            early = await asyncio.to_thread(subprocess.run, lines[0], env=own, capture_output=True, text=True, timeout=60)
            assert early.returncode == 1
            assert "run `edgectl-backend migrate` first" in early.stderr
            for words in ("0001_start", "nothing to do"):
                made = await asyncio.to_thread(
                    subprocess.run,
                    command(migrate, {}),
                    env=environment(migrate, broker.port, server.port),
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert made.returncode == 0, made.stderr
                assert made.stdout.startswith(words)
            try:
                log = (tmp_path / "backends.log").open("wb")
                processes = [subprocess.Popen(line, env=own, stdout=log, stderr=log) for line in lines]  # noqa: ASYNC220
                log.close()
                for port in ports:
                    await until(lambda port=port: status_of(port, "/healthz") == 200, f"the one at {port} is well", 60)
                    assert status_of(port, "/metrics") == 401
                async with (
                    BareSite(broker.port, "s1") as s1,
                    BareSite(broker.port, "s2") as s2,
                    BareSite(broker.port, "s3") as s3,
                ):
                    sites = {"s1": s1, "s2": s2, "s3": s3}
                    await asyncio.gather(*(site.sent_until_acknowledged(wanted[name]) for name, site in sites.items()))
            finally:
                for process in processes:
                    process.terminate()
                codes = [await asyncio.to_thread(process.wait, 20) for process in processes]
            assert codes == [0] * backend["deploy"]["replicas"], (tmp_path / "backends.log").read_text()
        reader = await asyncpg.connect(own["EDGECTL_BACKEND_DATABASE"])
        stored = await reader.fetch("SELECT site, record_id, rev, body FROM record")
        await reader.close()
    assert {(row["site"], row["record_id"], row["rev"]): row["body"] for row in stored} == {
        (site, *key): body for site, bodies in wanted.items() for key, body in bodies.items()
    }
    assert json.loads(stored[0]["body"])["schema"].startswith("edgectl/")
