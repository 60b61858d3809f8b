"""The backend as a process of its own, and a bare site that publishes to it and hears its receipts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0
RECEIVE_MAXIMUM = 20
"""Of mosquitto, where its file names no other: who has more unanswered is thrown out."""


async def until(holds: Callable[[], object], what: str, seconds: float = LIMIT_S) -> None:
    """Wait for a condition, with a bound."""
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


class BackendProcess:
    """``edgectl-backend run``, with its log in ``folder``."""

    def __init__(self, folder: Path, broker_port: int, database_url: str, *options: str, name: str = "backend") -> None:
        self.log = folder / f"{name}.log"
        self._command = [
            *(sys.executable, "-m", "edgectl_backend", "run"),
            *("--broker", f"mqtt://127.0.0.1:{broker_port}", "--database", database_url, *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> BackendProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()

    async def start(self) -> None:
        """Run it until it is subscribed."""
        seen = self._subscribed_count()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - a fork takes no time a test would notice
                self._command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        process = self._process
        await until(lambda: self._subscribed_count() > seen or process.poll() is not None, "the backend is subscribed")
        assert process.poll() is None, self.log.read_text()

    def _subscribed_count(self) -> int:
        return self.log.read_text().count("broker_subscribed") if self.log.exists() else 0

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        return process.wait(timeout=15)


class BareSite:
    """A client in a gateway's place. ``async with BareSite(port, "s1") as site``."""

    def __init__(self, port: int, site: str = "s1", *, password: str | None = None) -> None:
        self.site = site
        self.acked: list[tuple[str, int]] = []
        self.rejected: dict[tuple[str, int], str] = {}
        self.receipts: list[dict[str, Any]] = []
        self._is_ready = False
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(RECEIVE_MAXIMUM)
        if password is not None:
            self._client.username_pw_set(site, password)
        self._client.on_connect = lambda client, *_: client.subscribe(f"edgectl/v1/{site}/receipt/+", qos=1)
        self._client.on_subscribe = lambda *_: setattr(self, "_is_ready", True)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    async def __aenter__(self) -> BareSite:
        await until(lambda: self._is_ready, "the site is subscribed")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        receipt = json.loads(message.payload)
        for item in receipt["rejected"]:
            self.rejected[item["record_id"], item["rev"]] = item["code"]
        self.acked += [(item["record_id"], item["rev"]) for item in receipt["acked"]]
        self.receipts.append(receipt)

    def publish(self, suffix: str, body: bytes, *, retain: bool = False) -> None:
        self._client.publish(f"edgectl/v1/{self.site}/{suffix}", body, qos=1, retain=retain)

    def bill(self, *bodies: bytes) -> None:
        for body in bodies:
            self.publish("billing/session", body)

    async def acknowledged(self, keys: Iterable[tuple[str, int]]) -> None:
        wanted = set(keys)
        await until(lambda: wanted <= set(self.acked), f"receipts for all of {len(wanted)} records")

    async def sent_until_acknowledged(self, bodies: dict[tuple[str, int], bytes], *, every_s: float = 2.0) -> None:
        """Like a gateway: what has no receipt is sent again, each time a little later, up to a bound."""
        for round_number in range(60):
            missing = [key for key in bodies if key not in set(self.acked)]
            if not missing:
                return
            for start in range(0, len(missing), 200):
                self.bill(*(bodies[key] for key in missing[start : start + 200]))
            deadline = asyncio.get_running_loop().time() + every_s * min(4, 1 + round_number / 2)
            while asyncio.get_running_loop().time() < deadline and not set(missing) <= set(self.acked):
                await asyncio.sleep(0.02)
        pytest.fail(f"{len([key for key in bodies if key not in set(self.acked)])} records have no receipt")
