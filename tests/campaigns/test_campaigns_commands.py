"""Hostile commands: a slice of the campaign."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgectl.domain.settings import CommandKey
from hwsim.campaigns import commands
from hwsim.campaigns.commands import SETTINGS, STRANGER, Campaign, run_commands


def test_of_a_thousand_hostile_commands_none_is_carried_out_and_of_the_honest_ones_all() -> None:
    campaign = Campaign(seed=5)
    campaign.run(1_000)
    assert len(campaign.sent) >= 15, "every kind of hostility"
    assert campaign.honest_count == 50
    assert campaign.executed_count == 0


def test_a_door_that_lets_a_stranger_in_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The campaign itself."""
    stolen = CommandKey("k1", STRANGER.public_key().public_bytes_raw())
    monkeypatch.setattr(commands, "SETTINGS", replace(SETTINGS, command_keys=(stolen,)))
    assert run_commands(300, 5) == 1
    assert "python -m hwsim commands --seed 5 --count 300" in capsys.readouterr().err
