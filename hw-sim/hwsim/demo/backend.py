"""A small backend on a real broker: takes sessions and events, stores them in memory, sends receipts."""

from __future__ import annotations

import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from hwsim.world.broker import Backend

BRANCHES = ("billing", "event", "status", "state", "tele", "cmd-ack")
"""Everything a gateway writes."""


class MqttBackend:
    """``Backend`` behind paho; the counts are read by the demo."""

    def __init__(self, host: str, port: int, site: str) -> None:
        self.backend = Backend()
        self._lock = threading.Lock()
        self.is_listening = threading.Event()
        """Set once the broker delivers to it; what was published before had no reader."""
        self._root = f"edgectl/v1/{site}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "demo-backend", protocol=mqtt.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self.is_listening.set()
        self._client.on_message = self._on_message
        self._client.connect_async(host, port)
        self._client.loop_start()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(f"{self._root}/{branch}/#", 1) for branch in BRANCHES])

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            receipt = self.backend.receive(message.topic, bytes(message.payload))
        if receipt is not None:
            suffix, body = receipt
            client.publish(f"{self._root}/{suffix}", body, qos=1)

    def closed_sessions(self) -> int:
        with self._lock:
            return sum(1 for record in self.backend.records.values() if record["session"]["status"] == "completed")

    def faults(self) -> list[str]:
        with self._lock:
            return list(self.backend.faults)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
