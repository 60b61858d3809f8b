"""Inputs in the site's file: contacts and registers, what they mean, and every mistake in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl import config
from edgectl.config.loading import check_text
from edgectl.domain.external import ExternalInput, Level, Target, TargetKind
from edgectl.domain.settings import Settings, Table

SITE = """
site: {{id: s}}
circuits: {{grid: {{limit: 100 A}}}}
chargers: {{CP-1: {{circuit: grid}}}}
ocpp: {{listeners: [{{address: "127.0.0.1:8887", security_profile: 0}}]}}
inputs:
  dso: {{{keys}}}
"""
CONTACT = 'connect: "tcp://10.0.0.1:502", read: discrete 3, circuit: grid, closed: 60 %, when_lost: 30 %'


def checked(keys: str) -> tuple[Settings | None, str]:
    settings, problems = check_text(SITE.format(keys=keys), Path("site.yaml"))
    return settings, " | ".join(str(problem) for problem in problems if not problem.is_warning)


def the_input(keys: str) -> ExternalInput:
    settings, words = checked(keys)
    assert settings is not None, words
    (found,) = settings.site.inputs
    return found


def test_a_contact() -> None:
    found = the_input(CONTACT)
    assert found.target == Target(TargetKind.CIRCUIT, "grid")
    assert dict(found.levels) == {0: Level(), 1: Level(share_percent=60)}
    assert found.when_lost == Level(share_percent=30)
    settings, _ = checked(CONTACT)
    assert settings is not None
    (connection,) = settings.inputs
    assert (connection.table, connection.address_number, connection.table.function_number) == (Table.DISCRETE, 3, 2)


def test_a_register_with_levels_and_one_that_counts() -> None:
    common = 'connect: "tcp://10.0.0.1:502", charger: CP-1, when_lost: 0 A'
    levels = the_input(f"{common}, read: holding 7, levels: {{0: none, 1: 16 A, 2: 11 kW}}").levels
    assert dict(levels) == {0: Level(), 1: Level(current_ma=16_000), 2: Level(power_w=11_000)}
    assert the_input(f"{common}, read: input 7, counts_in: 0.1 A").per_count == Level(current_ma=100)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (CONTACT.replace("circuit: grid", "circuit: attic"), "is defined nowhere"),
        (CONTACT.replace("circuit: grid, ", ""), "name one circuit or one charger"),
        (CONTACT + ", charger: CP-1", "name one circuit or one charger"),
        (CONTACT.replace("closed: 60 %, ", ""), "closed: is missing"),
        (CONTACT.replace("60 %", "160 %"), "is out of range"),
        (CONTACT.replace("60 %", "60"), "the unit is missing"),
        (CONTACT + ", counts_in: 1 A", "is for registers"),
        (CONTACT.replace(", when_lost: 30 %", ""), "when_lost: is missing"),
        (CONTACT.replace("discrete 3", "discrete 99999"), "is out of range"),
        (CONTACT.replace("discrete 3", "relay 3"), "is no place in a Modbus device"),
        (CONTACT.replace("discrete 3", "holding 3"), "is for contacts"),
        (CONTACT + ", every: 6 s", "always be too old"),
        (CONTACT.replace("closed: 60 %", "levels: 5").replace("discrete", "holding"), "a mapping of values is needed"),
    ],
)
def test_every_mistake_is_told(keys: str, words: str) -> None:
    settings, told = checked(keys)
    assert settings is None
    assert words in told


def test_a_change_of_an_input_is_told_in_words() -> None:
    old, _ = checked(CONTACT)
    new, _ = checked(CONTACT.replace("60 %", "16 A").replace("30 %", "0 A"))
    assert old is not None
    assert new is not None
    assert config.describe_changes(old, new) == (
        "input dso: levels 0: none, 1: 60 % -> 0: none, 1: 16 A",
        "input dso: when_lost 30 % -> 0 A",
    )
