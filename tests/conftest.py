"""What holds in every test: whatever a gateway publishes, to a broker in memory or a real one, is what the contract says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.contract import faults

from hwsim.demo.backend import MqttBackend
from hwsim.world.broker import SimBroker

SHOWN = 5


@pytest.fixture(autouse=True)
def published_as_agreed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """The simulated broker takes and the small backend hears nothing that is not in the contract."""
    if request.node.get_closest_marker("own_payloads") is not None:
        yield
        return
    found: list[str] = []

    def judge(topic: str, payload: bytes) -> None:
        _root, _version, _site, suffix = topic.split("/", 3)
        if not suffix.startswith("receipt/") and payload:  # an empty one only asks the broker what may be written there
            found.extend(faults(suffix, payload))

    take, hear = SimBroker.take, MqttBackend._on_message

    def taken(self: SimBroker, client: Any, token: int, topic: str, payload: bytes, is_retained: bool) -> None:
        judge(topic, payload)
        take(self, client, token, topic, payload, is_retained)

    def heard(self: MqttBackend, client: Any, data: object, message: Any) -> None:
        judge(message.topic, bytes(message.payload))
        hear(self, client, data, message)

    monkeypatch.setattr(SimBroker, "take", taken)
    monkeypatch.setattr(MqttBackend, "_on_message", heard)
    yield
    assert not found, "\n".join(found[:SHOWN])
