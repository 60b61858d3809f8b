"""Every fault of the catalogue alone, on a busy site near its limit, while the building takes 34 A more: damage at most 0.10,
back under every limit within 15 s, and all of it in use again once it has ended."""

from __future__ import annotations

import pytest

from hwsim.world.faults import CATALOGUE
from hwsim.world.single import run_single


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_fault_alone_does_no_harm(name: str) -> None:
    outcome = run_single(name)
    assert outcome.broken == [], f"{outcome.line}\nreplay with python -m hwsim fault {name}"


@pytest.mark.slow
def test_with_the_controller_gone_for_good_every_charger_goes_to_its_fallback() -> None:
    """The judge looks every second whether anybody still has more than his fallback a lease and a minute after he was told."""
    outcome = run_single("daemon_killed", lasts_s=400)
    assert outcome.broken == []
    assert outcome.report.worst_ratio <= 1
