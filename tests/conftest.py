"""What holds in every test: whatever a gateway or a backend publishes, to a broker in memory or a real one, is what the contract
says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.contract import Watch, own_faults

SHOWN = 5


@pytest.fixture(autouse=True)
def published_as_agreed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """``own_payloads`` tells it that a test makes up what is on a gateway's disk."""
    watch = Watch(own_faults) if request.node.get_closest_marker("own_payloads") else Watch()
    watch.install(monkeypatch)
    yield
    assert not watch.found, "\n".join(watch.found[:SHOWN])
