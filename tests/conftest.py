"""What holds in every test: whatever a gateway or a backend publishes, to a broker in memory or a real one, is what the contract
says. And that tests are the same each time they run.

Examples of hypothesis are drawn from a fixed seed; ``pytest --hypothesis-profile=search`` looks further than that.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from support.contract import Watch, own_faults

SHOWN = 5

for name, is_repeatable in (("repeatable", True), ("search", False)):
    # How long an example takes says how busy the machine is, and nothing of the code.
    settings.register_profile(name, derandomize=is_repeatable, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def published_as_agreed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """``own_payloads`` tells it that a test makes up what is on a gateway's disk."""
    watch = Watch(own_faults) if request.node.get_closest_marker("own_payloads") else Watch()
    watch.install(monkeypatch)
    yield
    assert not watch.found, "\n".join(watch.found[:SHOWN])
