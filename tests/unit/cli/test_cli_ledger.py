"""``edgectl ledger``: what a person types when something is wrong, or so that nothing is lost when it is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import NOW, bill, ended

from edgectl.cli.commands import cli
from edgectl.domain.records import SessionKept
from edgectl.store import Signer


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    (tmp_path / "data").mkdir()
    with ledger_bench(tmp_path / "data") as bench:
        yield bench


def edgectl(bench: LedgerBench, *arguments: str) -> Result:
    socket = str(bench.path.parent / "nobody.sock")
    runner = CliRunner()
    return runner.invoke(
        cli, ["--socket", socket, "ledger", *arguments, "--data-dir", str(bench.path.parent)], standalone_mode=False
    )


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """As the handbook says to make them."""
    private, public = tmp_path / "ledger-key", tmp_path / "ledger-key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_signatures_are_counted_and_checked_by_the_key_given(bench: LedgerBench, keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, _ = keys
    bench.wait(bench.open().commit([bill("s-0")], NOW))
    bench.opened[0].close()
    bench.wait(bench.open(signer=Signer(private.read_bytes())).commit([bill("s-1"), bill("s-2")], NOW))

    without = edgectl(bench, "verify")
    assert without.return_value == 0
    assert "3 billing records, the chain is intact" in without.output
    assert "2 are signed, by whom was not checked: give --public-key; 1 are not" in without.output
    for key in keys:
        found = edgectl(bench, "verify", "--public-key", str(key))
        assert (found.return_value, "2 are signed, each by a key given; 1 are not" in found.output) == (0, True)

    strange = tmp_path / "strange"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", strange], check=True)
    found = edgectl(bench, "verify", "--public-key", str(strange))
    assert found.return_value == 1
    assert "broken at number 2: it is signed by" in found.output
    wrong = edgectl(bench, "verify", "--public-key", str(bench.path))
    assert (wrong.return_value, "is not an Ed25519 key" in wrong.output) == (2, True)


def test_a_backup_goes_into_a_folder_under_a_name_of_its_own(bench: LedgerBench, tmp_path: Path) -> None:
    bench.wait(bench.open().commit([SessionKept(ended("s-1", NOW.utc_ms)), bill("s-1")], NOW))
    found = edgectl(bench, "backup", str(tmp_path))
    assert found.return_value == 0
    (path,) = tmp_path.glob("ledger-*.db")
    assert found.output.startswith(f"{path}: 1 billing records, 1 sessions, ")
    again = edgectl(bench, "backup", str(path))
    assert (again.return_value, "is there already" in again.output) == (1, True)


def test_without_a_daemon_a_salvage_says_what_is_there_and_to_come_back(bench: LedgerBench, tmp_path: Path) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([SessionKept(ended("s-1", NOW.utc_ms)), bill("s-1")], NOW))
    ledger.close()
    nothing = edgectl(bench, "salvage")
    assert "no damaged ledger waits" in str(nothing.exception)
    with bench.path.open("r+b") as file:
        file.write(os.urandom(100))
    aside = bench.open().opened.quarantined
    assert aside is not None
    bench.opened[-1].close()

    found = edgectl(bench, "salvage")
    assert found.return_value == 1
    assert "billing records 1 to 1: all there" in found.output
    assert "without a receipt: 1" in found.output
    assert "give this command again when the daemon runs" in found.output
    assert not aside.with_name(f"{aside.name}.salvaged").exists(), "so that it still counts as waiting"

    kept = edgectl(bench, "salvage", str(aside), "--into", str(tmp_path / "out.db"), "--json")
    assert kept.return_value == 0
    told = json.loads(kept.stdout)
    assert (told["owed_count"], told["missing_seqs"], told["taken_in"]) == (1, [], None)
    assert (tmp_path / "out.db").exists()
    assert edgectl(bench, "salvage", str(tmp_path / "not there")).return_value == 1
