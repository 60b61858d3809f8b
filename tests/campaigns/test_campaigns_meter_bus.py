"""A slice of the million reads on a fault-injecting bus; ``python -m hwsim meters`` runs them all."""

from __future__ import annotations

import pytest

from hwsim.campaigns.meter_bus import run_campaign, run_comparison
from hwsim.meters.faulty import KINDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_of_thousands_of_reads_through_every_fault_no_wrong_one_is_believed() -> None:
    found = run_campaign(8_000, seed=11)
    assert found.caught == []
    assert (found.wrong_answers, found.wrong_samples) == (0, 0)
    assert found.samples > 4_000
    assert all(found.faults[kind] >= 10 for kind in KINDS)


def test_the_same_faults_deceive_the_bare_client_so_they_are_real() -> None:
    assert run_comparison(1_500, seed=11).wrong_answers > 5


def test_the_same_seed_makes_the_same_run() -> None:
    first, second = run_campaign(400, seed=3), run_campaign(400, seed=3)
    assert (first.faults, first.reasons, first.samples, first.virtual_s) == (
        second.faults,
        second.reasons,
        second.samples,
        second.virtual_s,
    )
