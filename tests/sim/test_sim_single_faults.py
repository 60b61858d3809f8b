"""Every fault of the catalogue alone, on a busy site near its limit, while the building takes 34 A more: damage at most 0.10,
back under every limit within 15 s, and all of it in use again once it has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgectl.domain.lines import Wiring
from hwsim.world.faults import CATALOGUE
from hwsim.world.single import SITE, run_single

BETWEEN_LINES = (
    "charger_ignores",
    "charger_mute",
    "charger_one_phase_values",
    "charger_overdraw",
    "daemon_killed",
    "links_stalled",
    "meter_dead",
    "meter_frozen",
    "meter_late",
    "meter_phase_lost",
    "meter_sign_flipped",
    "one_half_open",
)
"""Those that have to do with what flows and what is known of it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_fault_alone_does_no_harm(name: str) -> None:
    outcome = run_single(name)
    assert outcome.broken == [], f"{outcome.line}\nreplay with python -m hwsim fault {name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", BETWEEN_LINES)
def test_a_fault_alone_does_no_harm_between_lines(name: str) -> None:
    outcome = run_single(name, site=replace(SITE, wiring=Wiring.DELTA))
    assert outcome.broken == [], f"{outcome.line}\nreplay with python -m hwsim fault {name} --delta"


@pytest.mark.slow
def test_with_the_controller_gone_for_good_every_charger_goes_to_its_fallback() -> None:
    """The judge looks every second whether anybody still has more than his fallback a lease and a minute after he was told."""
    outcome = run_single("daemon_killed", lasts_s=400)
    assert outcome.broken == []
    assert outcome.report.worst_ratio <= 1
