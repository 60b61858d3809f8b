"""The command line without a daemon: what it prints, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GOOD = """
site: {id: here}
circuits:
  grid: {limit: 63 A}
chargers:
  CP-1: {circuit: grid}
ocpp: {listeners: [{address: "127.0.0.1:8887", security_profile: 1}]}
"""
BAD = """
site: {id: here}
circuits:
  grid: {limit: 32, metre: main}
  hall: {fed_by: hall, limit: 20 A}
chargers:
  CP-1: {circuit: grid, fallback: 80 A}
  cp-1: {circuit: nowhere}
"""


def edgectl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgectl", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "site.yaml"


def test_a_good_file_is_shown_with_its_worst_case(file: Path) -> None:
    file.write_text(GOOD)
    done = edgectl("check", str(file))
    assert done.returncode == 0, done.stderr
    assert "1 EVSEs 6.0 A" in done.stdout
    assert "fits" in done.stdout


def test_every_mistake_comes_at_once_with_its_place(file: Path) -> None:
    file.write_text(BAD)
    done = edgectl("check", str(file))
    assert done.returncode == 2
    places = [line.removeprefix(f"{file}:").split(": ")[:2] for line in done.stderr.splitlines()]
    assert ["4:17", "circuits.grid.limit"] in places
    keys = {key for _, key in places}
    assert {"circuits.grid.metre", "circuits.hall.fed_by", "chargers.cp-1.circuit"} <= keys
    assert "did you mean" in done.stderr.lower()
    assert "32 A" in done.stderr


def test_problems_are_machine_readable_too(file: Path) -> None:
    file.write_text(BAD)
    done = edgectl("check", str(file), "--json")
    assert done.returncode == 2
    problem = next(p for p in json.loads(done.stdout)["problems"] if p["key"] == "circuits.grid.limit")
    assert (problem["line"], problem["column"], problem["is_warning"]) == (4, 17, False)


def test_an_unsafe_file_is_valid_but_says_so(file: Path) -> None:
    file.write_text(GOOD.replace("63 A", "5 A").replace("{circuit: grid}", "{circuit: grid, fallback: 0 A}"))
    alone = edgectl("check", str(file))
    assert alone.returncode == 3
    assert "charger CP-1 ignores its limits and takes 32 A: 32 A of 5 A" in alone.stderr
    file.write_text(file.read_text() + "accept_risk: [ignores-CP-1]\n")
    assert edgectl("check", str(file)).returncode == 0
    file.write_text(GOOD.replace("63 A", "10 A").replace("CP-1: {circuit: grid}", "CP-1: {circuit: grid, evses: 2}"))
    done = edgectl("check", str(file), "--json")
    assert done.returncode == 3
    proof = json.loads(done.stdout)["proof"]
    assert (proof["is_safe"], proof["is_allowed"], proof["rows"][0]["fallbacks_ma"]) == (False, False, 12_000)


def test_a_site_whose_fallbacks_load_one_phase_too_much_is_unsafe_until_accepted(file: Path) -> None:
    chargers = "\n".join(f"  CP-{number}: {{circuit: grid}}" for number in range(1, 5))
    site = GOOD.replace("63 A", "63 A, imbalance_limit: 20 A").replace("  CP-1: {circuit: grid}", chargers)
    site += "charger_defaults: {unbalanced_limit: 20 A}\n"
    file.write_text(site)
    done = edgectl("check", str(file))
    assert done.returncode == 3
    assert "24 A of 20 A; accept it with `accept_risk: [imbalance-fallbacks-grid]`" in done.stderr
    assert "would fit" in done.stderr
    file.write_text(site + "accept_risk: [imbalance-fallbacks-grid]\n")
    assert edgectl("check", str(file)).returncode == 0
    file.write_text(site.replace("unbalanced_limit: 20 A", "unbalanced_limit: 0 A"))
    assert edgectl("check", str(file)).returncode == 0


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    assert edgectl("check", str(tmp_path / "nothing.yaml")).returncode == 2


def test_the_starter_file_passes_its_own_check(file: Path) -> None:
    done = edgectl("init", "--site", "my-depot", "--grid-limit", "100 A", "--chargers", "3")
    assert done.returncode == 0
    file.write_text(done.stdout)
    assert edgectl("check", str(file)).returncode == 0


def test_a_plan_says_in_words_what_would_change(file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD)
    other = tmp_path / "new.yaml"
    other.write_text(GOOD.replace("63 A", "50 A"))
    done = edgectl("plan", str(other), "--against", str(file))
    assert (done.returncode, done.stdout) == (0, "circuit grid: limit 63 A -> 50 A\n")


def test_the_schema_is_json() -> None:
    assert json.loads(edgectl("schema").stdout)["$schema"].startswith("https://json-schema.org/")


def test_a_mistyped_command_is_guessed() -> None:
    done = edgectl("chargrs")
    assert done.returncode == 2
    assert "Did you mean 'chargers'?" in done.stderr


def test_without_a_daemon_a_view_says_how_to_start_one(tmp_path: Path) -> None:
    done = edgectl("status", EDGECTL_SOCKET=str(tmp_path / "none.sock"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("edgectl: edgectl is not running here")
    assert len(done.stderr.splitlines()) == 1


def test_no_ledger_is_a_sentence_not_a_traceback(tmp_path: Path) -> None:
    done = edgectl("ledger", "verify", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_had_enough_ends_nothing_badly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m edgectl schema | head -1",
        shell=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr


def test_the_version_is_told() -> None:
    assert edgectl("--version").stdout == "edgectl 0.1.0\n"


def test_the_contract_is_printed_in_each_of_its_forms() -> None:
    assert json.loads(edgectl("contract").stdout) == json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    assert json.loads(edgectl("contract", "--schemas").stdout) == json.loads((ROOT / "docs" / "schemas.json").read_text())
    page = edgectl("contract", "--html").stdout
    assert page.startswith("<!doctype html>")
    assert "edgectl/v1/{site}/billing/session" in page


def test_a_contract_that_would_break_somebody_is_told_with_exit_code_1(tmp_path: Path) -> None:
    old = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    same = tmp_path / "same.json"
    same.write_text(json.dumps(old))
    done = edgectl("contract", "--against", str(same))
    assert (done.returncode, done.stdout) == (0, "")
    old["components"]["schemas"]["Session"]["properties"]["driver"] = {"type": "string"}
    same.write_text(json.dumps(old))
    done = edgectl("contract", "--against", str(same))
    assert (done.returncode, done.stdout) == (1, "BillingRecord.session.driver: is gone\n")
    same.write_text("{}")
    assert edgectl("contract", "--against", str(same)).returncode == 2
