"""Every kind of change, by one replacement in a file. One case a line."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.config import check, describe_changes
from edgectl.domain.settings import Settings

BASE = """\
site: {id: n, name: North}
meters:
  main: {model: x, connect: tcp://10.0.0.9}
circuits:
  grid: {limit: 250 A, meter: main}
  hall-a: {fed_by: grid, limit: 125 A}
  hall-b: {fed_by: grid, limit: 125 A}
chargers:
  CP-1: {circuit: hall-a}
  CP-2: {circuit: hall-a, password: {credential: cp-2}}
ocpp:
  listeners:
    - {address: 0.0.0.0:8887, security_profile: 1}
authorization: {tokens: tokens.yaml}
mqtt: {broker: mqtts://b}
web: {listen: 127.0.0.1:8080}
"""
TOKENS = "A1: {}\nB2: {}\nC3: {priority: 1}\n"


def settings_of(folder: Path, text: str = BASE, tokens: str = TOKENS) -> Settings:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "tokens.yaml").write_text(tokens, encoding="utf-8")
    settings, problems = check(path, environ={})
    assert settings is not None, [str(problem) for problem in problems]
    return settings


CASES = [
    ("limit: 125 A}\n  hall-b", "limit: 100 A}\n  hall-b", ["circuit hall-a: limit 125 A -> 100 A"]),
    ("limit: 250 A", "limit: {L1: 250 A, L2: 250 A, L3: 200 A}", ["circuit grid: limit 250 A -> {L1: 250 A, L2: 250 A, L3: 200 A}"]),
    ("name: North", "name: North, wiring: delta", ["site: wiring star -> delta"]),
    ("name: North", "name: North, wiring: delta, voltage: 208 V", ["site: voltage 230 V -> 208 V", "site: wiring star -> delta"]),
    ("limit: 250 A", "limit: 250 A, power: 150 kW", ["circuit grid: power none -> 150 kW"]),
    ("hall-b: {fed_by: grid", "hall-b: {fed_by: hall-a", ["circuit hall-b: fed_by grid -> hall-a"]),
    ("ocpp:", "  CP-9: {circuit: hall-b}\nocpp:", ["charger CP-9 added on hall-b"]),
    ("  CP-1: {circuit: hall-a}\n", "", ["charger CP-1 removed"]),
    ("CP-1: {circuit: hall-a}", "CP-1: {circuit: hall-b, current: 16 A}", ["charger CP-1: circuit hall-a -> hall-b", "charger CP-1: maximum 32 A -> 16 A"]),
    ("CP-1: {circuit: hall-a}", "CP-1: {circuit: hall-a, phases: [L2]}", ["charger CP-1: phases [L1, L2, L3] -> [L2]"]),
    ("credential: cp-2", "credential: cp-two", ["charger CP-2: password credential cp-2 -> credential cp-two"]),
    ("  hall-b: {fed_by: grid, limit: 125 A}\n", "", ["circuit hall-b removed"]),
    ("chargers:", "  hall-c: {fed_by: hall-b, limit: 9 A}\nchargers:", ["circuit hall-c added under hall-b"]),
    ("tcp://10.0.0.9", "tcp://10.0.0.8", ["meter main: connect tcp://10.0.0.9:502 -> tcp://10.0.0.8:502"]),
    ("tcp://10.0.0.9", "serial:///dev/ttyS0", ["meter main: connect tcp://10.0.0.9:502 -> serial:///dev/ttyS0?baud=9600&parity=none&stop_bits=1"]),
    ("model: x", "model: x, max_age: 2 s, role: consumer", ["meter main: role guard -> consumer", "meter main: max_age 3 s -> 2 s"]),
    ("meter: main}", "meter: main, on_meter_loss: hold, hold_for: 15 s}", ["circuit grid: on_meter_loss safe -> hold", "circuit grid: hold_for 1 min -> 15 s"]),
    ("0.0.0.0:8887", "0.0.0.0:8889", ["OCPP listener 0.0.0.0:8887 removed", "OCPP listener 0.0.0.0:8889 added"]),
    ("security_profile: 1", "security_profile: 0", ["OCPP listener 0.0.0.0:8887: security_profile 1 -> 0"]),
    ("ocpp:", "ocpp:\n  heartbeat: 10 min", ["ocpp: heartbeat 5 min -> 10 min"]),
    ("web:", "balancing: {strategy: departure, lease: 90 s}\nweb:", ["balancing: strategy fair -> departure", "balancing: lease 3 min -> 90 s"]),
    ("authorization: {", "authorization: {offline: anyone, ", ["authorization: offline known-tokens -> anyone"]),
    (
        "authorization: {",
        "authorization: {tokens_max_age: 7 days, master_group: GUARDS, ",
        ["authorization: tokens_max_age never -> 7 days", "authorization: master_group none -> GUARDS"],
    ),
    ("mqtts://b", "mqtt://c", ["mqtt: host b -> c", "mqtt: port 8883 -> 1883", "mqtt: TLS yes -> no"]),
    (
        "{broker: mqtts://b}",
        "{broker: mqtts://b, fallbacks: [mqtts://c, mqtt://d]}",
        ["mqtt: fallbacks none -> mqtts://c:8883, mqtt://d:1883"],
    ),
    ("mqtt: {broker: mqtts://b}", "mqtt:", ["mqtt removed"]),
    ("web: {listen: 127.0.0.1:8080}", "", ["web removed"]),
    ("web:", "ledger: {retention: 90 days, budget: 500 MB}\nweb:", ["ledger: retention 400 days -> 90 days", "ledger: budget 4 GB -> 0.5 GB"]),
    ("web:", "accept_risk: [hall-a]\nweb:", ["accept_risk: hall-a accepted"]),
    ("North", "South", ["site: name North -> South"]),
    ("circuit: hall-a}\n  CP-2", "circuit: hall-a, current: 6 A .. 32 A, fallback: 6 A}\n  CP-2", []),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "told"), CASES)
def test_a_change_is_told_in_words(tmp_path: Path, before: str, after: str, told: list[str]) -> None:
    assert BASE.count(before) == 1

    assert list(describe_changes(settings_of(tmp_path), settings_of(tmp_path, BASE.replace(before, after)))) == told


def test_what_appears_is_told_as_added(tmp_path: Path) -> None:
    less = BASE.replace("mqtt: {broker: mqtts://b}\n", "").replace("web: {listen: 127.0.0.1:8080}\n", "")

    assert describe_changes(settings_of(tmp_path, less), settings_of(tmp_path)) == ("mqtt added", "web added")


def test_tokens_are_counted_and_not_named(tmp_path: Path) -> None:
    told = describe_changes(settings_of(tmp_path), settings_of(tmp_path, tokens="a1: {}\nC3: {priority: 2}\nD4: {}\n"))

    assert told == ("tokens: 1 added, 1 removed, 2 changed",)


def test_the_same_file_changes_nothing(tmp_path: Path) -> None:
    assert describe_changes(settings_of(tmp_path), settings_of(tmp_path)) == ()
