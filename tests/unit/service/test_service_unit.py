"""What the shipped unit promises to the rest of the code."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).resolve().parents[3] / "systemd"


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    settings: dict[str, list[str]] = defaultdict(list)
    for line in (SYSTEMD / "edgectl.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            settings[name].append(value)
    return settings


def test_it_is_started_again_however_often_it_fails(unit: dict[str, list[str]]) -> None:
    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_systemd_waits_for_readiness_and_for_the_watchdog(unit: dict[str, list[str]]) -> None:
    assert (unit["Type"], unit["WatchdogSec"]) == (["notify"], ["30"])


def test_state_is_for_the_daemon_alone_and_the_socket_for_its_group(unit: dict[str, list[str]]) -> None:
    assert (unit["StateDirectory"], unit["StateDirectoryMode"]) == (["edgectl"], ["0700"])
    assert (unit["RuntimeDirectory"], unit["RuntimeDirectoryMode"]) == (["edgectl"], ["0750"])


def test_every_kind_of_serial_adapter_is_allowed_and_no_other_device(unit: dict[str, list[str]]) -> None:
    assert unit["DevicePolicy"] == ["closed"]
    assert unit["DeviceAllow"] == [f"char-{kind} rw" for kind in ("ttyUSB", "ttyACM", "ttyAMA", "ttyS")]


def test_the_folder_of_secrets_exists_before_the_unit_loads_it(unit: dict[str, list[str]]) -> None:
    folder = unit["LoadCredential"][0].partition(":")[2]
    assert f"d {folder} 0700 root root -" in (SYSTEMD / "edgectl.tmpfiles").read_text().splitlines()


def test_the_user_of_the_unit_is_made_by_sysusers(unit: dict[str, list[str]]) -> None:
    lines = [line.split() for line in (SYSTEMD / "edgectl.sysusers").read_text().splitlines() if not line.startswith("#")]
    assert [fields[:2] for fields in lines] == [["u", user] for user in unit["User"]]
