"""Starts everything, watches, ends everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from edgectl import config as site_file
from edgectl.domain.settings import Settings
from hwsim.demo.backend import MqttBackend
from hwsim.demo.meters import DemoMeters
from hwsim.demo.plant import Plant
from hwsim.demo.process import Child
from hwsim.demo.summary import Progress, charger_rows
from hwsim.tools.mosquitto import find_or_fetch_mosquitto

CONFIG = Path(__file__).resolve().parents[3] / "config"
START_S = 20.0
"""How long the daemon may take until its status page answers."""


async def run_demo(*, seconds: float | None, seed: int, has_broker: bool = True) -> int:
    """The whole demo. Returns 0 when a session was closed, published and receipted and no circuit was over its limit too long."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    with tempfile.TemporaryDirectory(prefix="edgectl-demo-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            try:
                progress, watch = await _start(Path(folder), stack, seed, has_broker=has_broker)
            except DemoError as error:
                print(f"The demo could not start: {error}", file=sys.stderr)
                return 1
            await _show(progress, watch, stopping, seconds)
        leftovers = _still_bound(progress.ports)
        if leftovers:
            progress.troubles.append(f"ports still bound: {leftovers}")
    print(progress.line())
    for trouble in progress.troubles:
        print(f"Trouble: {trouble}", file=sys.stderr)
    if seconds is None:
        return 0
    if not progress.is_good:
        print("Not good: no session was receipted, a circuit was over its limit, or there was trouble.", file=sys.stderr)
    return 0 if progress.is_good else 1


class DemoError(RuntimeError):
    """Something the demo needs cannot be had; the words are for the person who ran it."""


class _Watch:
    """Reads what is true (the plant) and what the daemon says (its API)."""

    def __init__(self, progress: Progress, plant: Plant, daemon: Child, backend: MqttBackend | None) -> None:
        self._progress = progress
        self._plant = plant
        self._daemon = daemon
        self._backend = backend

    async def look(self) -> None:
        progress, plant = self._progress, self._plant
        circuits = plant.depot.circuits.values()
        progress.currents = {c.name: (c.current_a, c.limit_a) for c in circuits}
        progress.longest_over_s = max(c.breaker.longest_over_s for c in circuits)
        progress.plugged = sum(1 for s in plant.stations for e in s.evses.values() if e.car is not None)
        progress.closed = sum(s.closed_transactions for s in plant.stations)
        if self._backend is not None:
            progress.receipted = self._backend.closed_sessions()
            for fault in self._backend.faults():
                if fault not in progress.troubles:
                    progress.troubles.append(f"backend: {fault}")
        if not self._daemon.is_running:
            progress.troubles.append("the daemon has ended:\n" + self._daemon.last_lines())
            return
        try:
            status = await asyncio.to_thread(_get, f"{progress.address}/api/v1/status")
            uplink = await asyncio.to_thread(_get, f"{progress.address}/api/v1/uplink")
        except (OSError, ValueError):
            return  # it is busy or ending; the next look tells
        progress.chargers = charger_rows(status)
        outbox = uplink.get("outbox") or {}
        progress.waiting = outbox.get("backlog_count")


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
        found = json.load(answer)
    return found if isinstance(found, dict) else {}


async def _start(folder: Path, stack: contextlib.AsyncExitStack, seed: int, *, has_broker: bool) -> tuple[Progress, _Watch]:
    meters = await stack.enter_async_context(DemoMeters())
    file, settings = _site_file(folder, meters.tcp_port, meters.device)
    ports = [settings.ocpp.listeners[0].port, *([settings.web.port] if settings.web else []), meters.tcp_port]
    broker_words = "none: records wait on disk"
    backend = None
    mosquitto = await asyncio.to_thread(find_or_fetch_mosquitto) if has_broker else None
    if settings.mqtt is not None and mosquitto is not None:
        ports.append(settings.mqtt.port)
        conf = folder / "mosquitto.conf"
        conf.write_text(f"listener {settings.mqtt.port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")
        broker = await Child.start("mosquitto", str(mosquitto), "-c", str(conf), log=folder / "mosquitto.log")
        stack.push_async_callback(broker.stop)
        backend = MqttBackend("127.0.0.1", settings.mqtt.port, settings.site.id)
        stack.callback(backend.stop)
        await asyncio.to_thread(backend.is_listening.wait, 10)
        broker_words = f"mosquitto on 127.0.0.1:{settings.mqtt.port}"
    else:
        print("No broker can be had, so the demo runs without: sessions are kept on disk and wait.", file=sys.stderr)
    daemon = await Child.start(
        "edgectl",
        sys.executable,
        "-m",
        "edgectl",
        "run",
        "-c",
        str(file),
        "--data-dir",
        str(folder / "data"),
        "--socket",
        str(folder / "api.sock"),
        log=folder / "edgectl.log",
    )
    stack.push_async_callback(daemon.stop)
    address = f"http://127.0.0.1:{settings.web.port}" if settings.web else ""
    await _answers(address, daemon)
    plant = Plant(settings, settings.ocpp.listeners[0].port, seed)
    meters.plant = plant
    running = asyncio.create_task(plant.run(), name="plant")
    stack.push_async_callback(_cancel, running)
    progress = Progress(address, broker_words)
    progress.ports = ports
    return progress, _Watch(progress, plant, daemon, backend)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _answers(address: str, daemon: Child) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + START_S
    while loop.time() < deadline_s:
        if not daemon.is_running:
            break
        try:
            await asyncio.to_thread(_get, f"{address}/api/v1/status")
            return
        except (OSError, ValueError):
            await asyncio.sleep(0.1)
    raise DemoError("edgectl does not answer on its status page:\n" + daemon.last_lines())


async def _show(progress: Progress, watch: _Watch, stopping: asyncio.Event, seconds: float | None) -> None:
    console = Console()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    print(f"Status page: {progress.address}    broker: {progress.broker}", flush=True)
    live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
    with live if live is not None else contextlib.nullcontext():
        async for _ in _seconds(stopping):
            await watch.look()
            progress.seconds = loop.time() - began_s
            if live is not None:
                live.update(progress.screen())
            elif round(progress.seconds) % 5 == 0:
                print(progress.line(), flush=True)
            if progress.troubles or (seconds is not None and progress.seconds >= seconds):
                return


async def _seconds(stopping: asyncio.Event) -> AsyncIterator[None]:
    """Once a second until told to stop."""
    while not stopping.is_set():
        yield
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await stopping.wait()


def _site_file(folder: Path, meter_port: int, device: str) -> tuple[Path, Settings]:
    """A copy of config/demo.yaml with the addresses that are free on this machine."""
    text = (CONFIG / "demo.yaml").read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:15020", f"127.0.0.1:{meter_port}").replace("/dev/ttyDEMO", device)
    for port in (18887, 18830, 18080):
        text = re.sub(rf"127\.0\.0\.1:{port}\b", f"127.0.0.1:{_free_port(port)}", text)
    file = folder / "site.yaml"
    file.write_text(text, encoding="utf-8")
    (folder / "demo-tokens.yaml").write_text((CONFIG / "demo-tokens.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    settings, problems = site_file.check(file)
    if settings is None:
        raise DemoError("\n".join(str(problem) for problem in problems))
    return file, settings


def _free_port(wanted: int) -> int:
    """The wanted port, or any other when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("no free port on 127.0.0.1")


def _still_bound(ports: list[int]) -> list[int]:
    bound = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                bound.append(port)
    return bound
