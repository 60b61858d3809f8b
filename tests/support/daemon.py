"""The real daemon as a process, with simulated chargers and a simulated meter around it on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from support.mosquitto import free_port
from support.signing import PUBLIC

from edgectl.cli.client import Daemon, DaemonError
from edgectl.meters import model
from hwsim.demo.backend import MqttBackend
from hwsim.meters.device import Device
from hwsim.meters.registers import Truth, registers_of
from hwsim.meters.tcp_server import MeterTcpServer
from hwsim.models.car import Car
from hwsim.models.station16 import Station16
from hwsim.station.client import StationClient

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
"""A bound, not a wait: on a machine that does much else a start takes most of a minute."""
SITE = """
site: {{id: e2e}}
meters:
  main: {{model: eastron-sdm630, connect: "tcp://127.0.0.1:{meter_port}", unit: 1, every: 500 ms, timeout: 300 ms}}
circuits:
  grid: {{limit: {limit} A, meter: main, other_loads: 20 A}}
charger_defaults: {{current: 6 A .. 32 A, fallback: 6 A}}
chargers:
  CP-1: {{circuit: grid}}
  CP-2: {{circuit: grid}}
ocpp:
  listeners: [{{address: "127.0.0.1:{ocpp_port}", security_profile: 0}}]
authorization: {{tokens: tokens.yaml}}
mqtt: {{broker: "mqtt://127.0.0.1:{mqtt_port}", clock: plausible, command_keys: {{k1: {{public_key: "{key}"}}}}}}
web: {{listen: "127.0.0.1:{web_port}"}}
"""
RUN = """
import importlib, json, os, sys
from pathlib import Path
from edgectl.app import run
for place, value in json.loads(os.environ.get("EDGECTL_TEST_NUMBERS", "{}")).items():
    module, name = place.rsplit(".", 1)
    assert hasattr(importlib.import_module(module), name)
    setattr(importlib.import_module(module), name, value)
def fault(name, wanted=os.environ.get("KILL_AT", "")):
    if name == wanted:
        os.kill(os.getpid(), 9)
sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), fault=fault))
"""


class Depot:
    """``async with Depot(tmp_path) as depot``: everything but the daemon runs; ``depot.start()`` starts that."""

    def __init__(self, folder: Path, *, limit_a: int = 100, has_meter: bool = True) -> None:
        self.folder = folder
        self.building_a = 10.0
        self.limit_a = limit_a
        self.ocpp_port, self.web_port, self.mqtt_port = free_port(), free_port(), free_port()
        self.data = folder / "data"
        self.site = folder / "site.yaml"
        self.log = folder / "daemon.log"
        self.cli = Daemon(folder / "api.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self.stations = [
            Station16(f"CP-{n}", random.Random(n), meter_interval_s=1.0, wall_offset_s=time.time() - time.monotonic())
            for n in (1, 2)
        ]
        self.clients: list[StationClient] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._meter = MeterTcpServer({1: Device(lambda: registers_of(model("eastron-sdm630"), self._truth()), max_registers=80)})
        self._has_meter = has_meter
        self._backend: MqttBackend | None = None

    def _truth(self) -> Truth:
        drawn = [sum(e.drawn_a[phase] for s in self.stations for e in s.evses.values()) for phase in range(3)]
        return Truth((drawn[0] + self.building_a, drawn[1] + self.building_a, drawn[2] + self.building_a))

    async def __aenter__(self) -> Depot:
        meter_port = await self._meter.start() if self._has_meter else free_port()
        self._meter_port = meter_port
        self.write_site()
        (self.folder / "tokens.yaml").write_text('tokens: {"04A1": {account: van-1}}\n')
        for number, station in enumerate(self.stations):
            client = StationClient(
                station, "127.0.0.1", self.ocpp_port, random.Random(number), reconnect_s=0.3, reconnect_max_s=0.3
            )
            self.clients.append(client)
            self._tasks.append(asyncio.create_task(client.run()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.kill()
        if self._has_meter:
            await self._meter.stop()
        if self._backend is not None:
            self._backend.stop()

    def write_site(self, *, limit_a: int | None = None, extra: str = "") -> None:
        limit = self.limit_a if limit_a is None else limit_a
        text = SITE.format(
            limit=limit,
            meter_port=self._meter_port,
            ocpp_port=self.ocpp_port,
            mqtt_port=self.mqtt_port,
            web_port=self.web_port,
            key=PUBLIC,
        )
        self.site.write_text(text + extra)

    # --- the daemon ---------------------------------------------------------------------------------------------------

    async def start(self, *, kill_at: str = "", numbers: Mapping[str, int] | None = None) -> None:
        """Start it and wait until it answers. ``numbers``: constants of its modules, to see in seconds what takes hours."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "KILL_AT": kill_at}
        environment["EDGECTL_TEST_NUMBERS"] = json.dumps(dict(numbers or {}))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - a fork takes no time a test would notice
                [sys.executable, "-c", RUN, str(self.site), str(self.data), str(self.cli.path)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self.until(lambda: self.view() is not None, "the daemon answers", START_S)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal and wait for the end; the exit code."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)
        return process.wait(timeout=15)

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def view(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.cli.get("status")
        except DaemonError:
            return None
        return found

    async def until(self, holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Wait for a condition; fail with the daemon's log when it does not come."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not await asyncio.to_thread(holds):
            if loop.time() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()[-3000:]}")
            await asyncio.sleep(0.05)

    # --- people -------------------------------------------------------------------------------------------------------

    def plug(self, number: int = 1, *, token: str = "04A1", battery_wh: float = 50_000) -> Car:
        car = Car(battery_wh=battery_wh, energy_wh=1_000, max_a=32, token=token, reaction_s=0.2)
        self.stations[number - 1].plug(1, car, asyncio.get_running_loop().time())
        return car

    def unplug(self, number: int = 1) -> None:
        self.stations[number - 1].unplug(1, asyncio.get_running_loop().time())

    async def connected(self) -> None:
        await self.until(lambda: all(charger["is_accepted"] for charger in self.cli.get("chargers")), "both chargers are in")

    async def charging(self, number: int = 1) -> None:
        station = self.stations[number - 1]
        await self.until(lambda: sum(station.evses[1].drawn_a) > 0, "current flows")
        await self.until(lambda: self.evse(number)["session"] is not None, "a session is open")

    def evse(self, number: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = self.cli.get("chargers", f"CP-{number}")["evses"][0]
        return found

    # --- what is on disk ----------------------------------------------------------------------------------------------

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.data / 'ledger.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def backend(self) -> MqttBackend:
        self._backend = MqttBackend("127.0.0.1", self.mqtt_port, "e2e")
        return self._backend

    def edgectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The real command line in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "edgectl", "--socket", str(self.cli.path), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.edgectl(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
