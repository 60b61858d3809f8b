"""All of the processes, and the wires between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from hwsim.campaigns.uplink.proxy import FaultyWire
from hwsim.demo.process import Child
from hwsim.tools.mosquitto import find_or_fetch_mosquitto
from hwsim.tools.postgres import PostgresServer, find_or_fetch_postgres

BACKENDS = 2
START_S = 60.0
PRESSURE = 400
"""Records that wait at most: three windows of the sender, so that a lost window shows."""


class StageError(RuntimeError):
    """Something that is needed cannot be had, or does not start."""


class Stage:
    """``async with Stage(folder, records) as stage``: everything runs."""

    def __init__(self, folder: Path, records: int) -> None:
        mosquitto, postgres = find_or_fetch_mosquitto(), find_or_fetch_postgres()
        if mosquitto is None or postgres is None:
            raise StageError("mosquitto and PostgreSQL are needed")
        self.folder = folder
        self._records = records
        self._mosquitto = mosquitto
        self._broker_port = free_port()
        self.server = PostgresServer(postgres, folder, free_port(), is_durable=True, options=["max_connections=40"])
        self.wires: dict[str, FaultyWire] = {}
        self.children: dict[str, Child] = {}
        self.is_persistent = False
        """Whether the broker keeps its queues on the disk; counts from its next start."""

    @property
    def names(self) -> list[str]:
        return ["gateway", "broker", *(f"backend-{n}" for n in range(1, BACKENDS + 1))]

    async def __aenter__(self) -> Stage:
        (self.folder / "broker").mkdir(mode=0o777)
        (self.folder / "broker").chmod(0o777)
        await asyncio.to_thread(self.server.create)
        await asyncio.to_thread(self.server.start)
        for name, port in (
            ("gateway-broker", self._broker_port),
            ("backend-broker", self._broker_port),
            ("backend-database", self.server.port),
        ):
            self.wires[name] = FaultyWire(port)
            await self.wires[name].start()
        for name in self.names[1:]:
            await self.start(name)
        await self._until(
            "the backends are subscribed", lambda: all("broker_subscribed" in self.log(name) for name in self.names[2:])
        )
        self.allow(0)
        await self.start("gateway")
        await self._until("the gateway writes", lambda: self.gateway_status()["pid"])
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            await child.process.wait()
        await asyncio.to_thread(self.server.kill)
        for wire in self.wires.values():
            await wire.stop()

    async def start(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        self.children[name] = await Child.start(name, *self._command(name), log=log)

    def _command(self, name: str) -> list[str]:
        if name == "broker":
            return [str(self._mosquitto), "-c", str(self._broker_file())]
        python = [sys.executable, "-m"]
        if name == "gateway":
            numbers = [str(self.wires["gateway-broker"].port), str(self._records), str(PRESSURE)]
            return [*python, "hwsim.campaigns.uplink.gateway", str(self.folder), *numbers]
        url = self.server.url.replace(f":{self.server.port}/", f":{self.wires['backend-database'].port}/")
        broker = f"mqtt://127.0.0.1:{self.wires['backend-broker'].port}"
        return [*python, "hwsim.campaigns.uplink.hurried", "run", "--broker", broker, "--database", url, "--migrate"]

    def _broker_file(self) -> Path:
        path = self.folder / "mosquitto.conf"
        lines = [f"listener {self._broker_port} 127.0.0.1", "allow_anonymous true", "max_inflight_messages 500"]
        if os.geteuid() == 0:
            lines.append("user root")
        if self.is_persistent:
            lines += ["persistence true", f"persistence_location {self.folder / 'broker'}/", "autosave_interval 1"]
        else:
            lines.append("persistence false")
        path.write_text("\n".join(lines) + "\n")
        return path

    async def kill(self, name: str) -> None:
        """kill -9."""
        child = self.children[name]
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        await child.process.wait()

    async def revive(self, name: str) -> None:
        if not self.children[name].is_running:
            await self.start(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.children[name].process.send_signal(number)

    def fill_disk(self, *, is_full: bool) -> None:
        """The gateway's disk: no file of it may grow."""
        size = 0 if is_full else resource.RLIM_INFINITY
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.children["gateway"].process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def allow(self, records: int) -> None:
        """The gateway may write so many records by now."""
        draft = self.folder / "allowed.draft"
        draft.write_text(str(records))
        draft.replace(self.folder / "allowed")

    def fallen(self) -> list[str]:
        """Who has ended though nobody killed it."""
        return [name for name, child in self.children.items() if not child.is_running]

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def gateway_status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "gateway.json").read_text())
        except FileNotFoundError:
            return {"written": 0, "failures": 0, "counters": {}, "pid": 0}
        return found

    def is_gateway_up(self) -> bool:
        """It has said something since its last start."""
        return bool(self.gateway_status()["pid"] == self.children["gateway"].process.pid)

    async def _until(self, what: str, holds: Any) -> None:
        try:
            async with asyncio.timeout(START_S):
                while not holds():
                    if self.fallen():
                        raise StageError(
                            f"{self.fallen()} ended:\n" + "\n".join(self.log(name)[-2000:] for name in self.fallen())
                        )
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StageError(f"not within {START_S} s: {what}") from None


def free_port() -> int:
    """Below the ports of outgoing connections, so that nobody has it by the time it is bound."""
    chance = random.SystemRandom()
    for _ in range(100):
        port = chance.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StageError("no free port")
