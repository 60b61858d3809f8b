"""A slice of the crash campaigns: the daemon and its ledger killed (-9), and power cuts; and proof that a loss is noticed.

``python -m hwsim crashes`` and ``python -m hwsim cuts`` do the same by the thousand.
"""

from __future__ import annotations

import multiprocessing
import re
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hwsim.campaigns import crashes
from hwsim.campaigns.crashes import DAEMON_WINDOWS, WINDOWS, context, live_once, run_crashes, run_store_crashes
from hwsim.campaigns.keeping import Told, judge, keep, open_ledger
from hwsim.campaigns.power_cuts import run_cuts
from hwsim.campaigns.promises import BrokenPromiseError, quiet_logs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_no_death_of_the_daemon_loses_or_doubles_a_session(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_crashes(42, 5) == 0, capfd.readouterr().err
    said = capfd.readouterr().out
    assert "lost 0  doubled 0" in said
    assert all(window in said for window in (*DAEMON_WINDOWS, "at random", "while it starts")), said


def test_two_daemons_die_beside_each_other_as_often_as_was_asked(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_crashes(9, 6, sites=2) == 0, capfd.readouterr().err
    assert capfd.readouterr().out.startswith("deaths 9 ")


def test_no_death_of_the_store_loses_an_acknowledged_record(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_store_crashes(200, 3) == 0, capfd.readouterr().err
    said = capfd.readouterr().out
    assert all(window in said for window in (*WINDOWS, "at random")), said


@pytest.mark.parametrize("window", WINDOWS)
def test_no_death_in_a_narrow_window_loses_an_acknowledged_record(tmp_path: Path, window: str) -> None:
    path, told, made = tmp_path / "ledger.db", Told(), context()
    with quiet_logs():
        for nth in (1, 2, 30):
            live_once(made, path, f"w{nth}", told, manner=window, nth=nth, after=0)
            judge(path, told)
    assert told.names["kept"]


def test_no_power_cut_loses_an_acknowledged_record(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_cuts(100, 1) == 0, capfd.readouterr().err
    assert "lost 0  doubled 0" in capfd.readouterr().out


# --- what would be noticed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"LIFE_S": 0.01}, "not within 0.01 s"),
        ({"_SITE": "site: {{id: crashes}}\nfuses: {{{chargers}}}\nport: {port}\n"}, r"ended (by itself )?with 2"),
    ],
    ids=["one-that-hangs", "one-that-ends-by-itself"],
)
def test_a_daemon_that_does_not_serve_ends_the_campaign_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], change: dict[str, object], words: str
) -> None:
    monkeypatch.setattr(crashes, "TemporaryDirectory", partial(TemporaryDirectory, dir=tmp_path))
    for name, value in change.items():
        monkeypatch.setattr(crashes, name, value)
    assert run_crashes(9, 7, sites=2) == 1
    assert re.search(words, capfd.readouterr().err)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def test_a_disk_that_lies_about_its_syncs_is_noticed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_cuts(80, 1, keeps_syncs=False) == 1
    assert "again with: python -m hwsim cuts --seed 1 --count" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        ("DELETE FROM bill WHERE seq = (SELECT MAX(seq) FROM bill)", "acknowledged and lost"),
        ("DELETE FROM outbox WHERE record_id = 'r-5'", "no longer owed"),
        ("DELETE FROM session WHERE id = 'r-4'", "begun and lost"),
        ("UPDATE session SET body = replace(body, '\"energy_wh\":7', '\"energy_wh\":8')", "went apart"),
        ("UPDATE message SET session_id = 'r-5' WHERE session_id = 'r-6'", "went apart"),
        ("DELETE FROM bill WHERE seq = 3", "the chain is broken at 3"),
    ],
)
def test_a_loss_is_noticed(tmp_path: Path, tamper: str, words: str) -> None:
    path, told = tmp_path / "ledger.db", Told()
    with quiet_logs():
        with closing(open_ledger(path, "r")) as ledger:
            keep(ledger, "r", 12, told.hear)
        assert judge(path, told) == 12
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(tamper)
        with pytest.raises(BrokenPromiseError, match=words):
            judge(path, told)
