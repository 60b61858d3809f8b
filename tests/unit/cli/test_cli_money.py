"""Prices and signatures from the command line, against a real ledger on the disk and no daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.ocmf import OwnMeter
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import NOW, ended

from edgectl.cli.commands import cli
from edgectl.domain.records import Session, SessionKept

TARIFF = {
    "id": "T",
    "currency": "EUR",
    "elements": [{"price_components": [{"type": "ENERGY", "price": 0.4, "vat": 19, "step_size": 1}]}],
}
SITE = """\
site: {id: n, timezone: Europe/Berlin}
circuits: {grid: {limit: 250 A}}
chargers: {CP-1: {circuit: grid}}
ocpp: {listeners: [{address: "0.0.0.0:8887", security_profile: 1}]}
signature_keys: {M-1: {key: KEY}}
"""
METER = OwnMeter()
GOOD = METER.record("B", "E", page=1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as made:
        made.open()
        yield made


def keep(bench: LedgerBench, *sessions: Session) -> None:
    bench.wait(bench.opened[0].commit([SessionKept(session) for session in sessions], NOW))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)


def test_a_session_of_the_ledger_is_priced_by_a_file(bench: LedgerBench, tmp_path: Path) -> None:
    keep(bench, ended("s-1", NOW.utc_ms, energy_wh=10_000))
    path = tmp_path / "tariff.json"
    path.write_text(json.dumps(TARIFF), encoding="utf-8")
    told = run("price", "--tariff", path, "--session", "s-1", "--data-dir", tmp_path)
    assert "energy (element 1): 10 kWh, at 0.4 EUR/kWh: 4.0000 EUR, taxed at 19 %" in told.output
    found = json.loads(run("price", "--tariff", path, "--session", "s-1", "--data-dir", tmp_path, "--json").output)
    assert (found["before_taxes"], found["after_taxes"], found["timezone"]) == ("4.00", "4.76", "UTC")


def test_a_session_carries_its_own_tariff(bench: LedgerBench, tmp_path: Path) -> None:
    keep(bench, replace(ended("s-1", NOW.utc_ms, energy_wh=10_000), tariff=json.dumps(TARIFF)))
    assert "4.00 EUR before taxes, 4.76 EUR after" in run("price", "--session", "s-1", "--data-dir", tmp_path).output
    keep(bench, ended("s-2", NOW.utc_ms))
    without = run("price", "--session", "s-2", "--data-dir", tmp_path)
    assert "give --tariff FILE" in str(without.exception)


def test_a_broken_tariff_is_told_with_its_place(bench: LedgerBench, tmp_path: Path) -> None:
    path = tmp_path / "tariff.json"
    path.write_text(json.dumps(TARIFF).replace("0.4", '"much"'), encoding="utf-8")
    keep(bench, ended("s-1", NOW.utc_ms))
    done = run("price", "--tariff", path, "--session", "s-1", "--data-dir", tmp_path)
    assert done.return_value == 2
    assert f"{path}:1:" in done.stderr
    assert "elements[1].price_components[1].price: is no possible number (found much)" in done.stderr


def test_every_signed_value_of_the_ledger_is_checked_anew(bench: LedgerBench, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("KEY", METER.public_key), encoding="utf-8")
    first, second = ended("s-1", NOW.utc_ms), ended("s-2", NOW.utc_ms + 7_200_000)
    keep(bench, replace(first, signed_values=(GOOD,)), replace(second, signed_values=(METER.record("B", "E", page=2),)))
    whole = run("ledger", "verify-signed", "--data-dir", tmp_path, "-c", site)
    assert (whole.return_value, whole.output) == (0, "2 signed values: 2 valid\n")

    keep(bench, replace(second, signed_values=(METER.record("B", "E", page=4), GOOD.replace("0.10", "0.01"))))
    broken = run("ledger", "verify-signed", "--data-dir", tmp_path, "-c", site, "--json")
    assert broken.return_value == 1
    found = json.loads(broken.output)
    assert found["counts"] == {"valid": 2, "invalid": 1}
    assert [(one["session"], one["verdict"], one["doubts"]) for one in found["wrong"]] == [
        ("s-2", "valid", ["page-gap"]),
        ("s-2", "invalid", []),
    ]


def test_the_ledger_is_exported_without_a_daemon(bench: LedgerBench, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("KEY", METER.public_key), encoding="utf-8")
    keep(bench, ended("s-1", NOW.utc_ms, energy_wh=10_000))
    sheet = run("sessions", "export", "--data-dir", tmp_path, "-c", site)
    assert sheet.output.splitlines()[0].startswith("id,charger,evse,connector,id_token,account")
    assert sheet.output.splitlines()[1].startswith("s-1,CP-1,1,1,04A2B3C4,")
    refused = run("sessions", "export", "--format", "ocpi", "--data-dir", tmp_path, "-c", site)
    assert (refused.return_value, refused.stdout) == (2, "")
    assert "an OCPI record needs tariffs.operator and site.location in the site's file" in refused.stderr
