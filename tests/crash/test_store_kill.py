"""A real process that keeps billing records is killed (-9), at random and in each narrow window of the commit.

Run as a program this file is that process: it tells on its standard output which records were acknowledged.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from support.store_bench import ledger_bench
from support.store_records import NOW, assert_chain, bill, limit, receipt, session

from edgectl.domain.ids import SiteId
from edgectl.domain.records import Durability, SessionKept
from edgectl.store.sqlite import Ledger

ROOT = Path(__file__).parents[2]
WINDOWS = ("ledger-before-commit", "ledger-after-commit", "ledger-before-callback")
CALLERS = 4
ENOUGH = 2_000
"""Records after which the child ends by itself, so that a parent that fails leaves no process behind."""


def keep_until_killed(path: Path, run: str, window: str, count: int) -> None:
    passed: Counter[str] = Counter()

    def fault(name: str) -> None:
        passed[name] += 1
        if name == window and passed[name] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def tell(*words: str) -> None:
        os.write(1, (" ".join(words) + "\n").encode())

    def call(caller: int) -> None:
        for number in range(ENOUGH // CALLERS):
            name = f"{run}-{caller}-{number}"
            ledger.commit([SessionKept(session(name), Durability.PROGRESS), limit()], NOW)
            ledger.commit([SessionKept(session(name, energy_wh=number)), bill(name, energy_wh=number)], NOW).result(30)
            tell("kept", name)
            if number % 3 == 0:
                tell("receipting", name)
                ledger.commit([receipt(ledger.opened.epoch, (name, 1))], NOW).result(30)
                tell("receipted", name)

    ledger = Ledger(path, site=SiteId("depot-north"), new_epoch=lambda: f"epoch-of-{run}", now=NOW, fault=fault)
    tell("opened", ledger.opened.epoch, str(ledger.opened.quarantined))
    callers = [threading.Thread(target=call, args=(caller,), daemon=True) for caller in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


class Kept:
    """What the child has said, over all its lives."""

    def __init__(self) -> None:
        self.said: dict[str, set[str]] = {"opened": set(), "kept": set(), "receipting": set(), "receipted": set()}

    def hear(self, line: str) -> None:
        if line.endswith("\n"):  # a last line may be cut short by the kill
            word, rest = line[:-1].split(" ", 1)
            self.said[word].add(rest)


def live_once(path: Path, run: str, kept: Kept, *, window: str = "none", count: int = 0, lines: int | None = None) -> None:
    """Start the child and see it killed: by itself in ``window``, or from here after so many ``lines``."""
    command = [sys.executable, str(Path(__file__)), str(path), run, window, str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout, start=1):
            kept.hear(line)
            if number == lines:
                child.kill()
    assert child.returncode == -signal.SIGKILL


def check(path: Path, kept: Kept) -> None:
    (opened,) = kept.said["opened"]
    epoch, quarantined = opened.split(" ")
    assert quarantined == "None"
    with ledger_bench(path.parent) as bench:
        ledger = bench.open()
        assert (ledger.opened.epoch, ledger.opened.quarantined) == (epoch, None)
        owed = {row.record_id for row in bench.wait(ledger.rows("billing", 0, 100_000))}
        open_sessions = {one.id: one.energy_wh for one in ledger.restore().open_sessions}
    with closing(sqlite3.connect(path)) as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM bill ORDER BY seq")]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert_chain(bodies, epoch)
    billed = {envelope["record_id"]: envelope["session"]["energy_wh"] for envelope in map(json.loads, bodies)}
    assert kept.said["kept"] - billed.keys() == set(), "acknowledged and lost"
    assert kept.said["kept"] - kept.said["receipting"] - owed == set(), "acknowledged and no longer owed"
    assert kept.said["receipted"] & owed == set(), "receipted and owed again"
    assert {name: open_sessions[name] for name in billed} == billed, "the session and its bill went apart"


def test_no_kill_at_random_loses_an_acknowledged_record(tmp_path: Path) -> None:
    chance = random.Random(20_260_101)
    path, kept = tmp_path / "ledger.db", Kept()
    for life in range(9):
        live_once(path, f"r{life}", kept, lines=chance.randint(2, 300))
        check(path, kept)
    assert len(kept.said["kept"]) > 100


@pytest.mark.parametrize("window", WINDOWS)
def test_no_kill_in_a_narrow_window_loses_an_acknowledged_record(tmp_path: Path, window: str) -> None:
    path, kept = tmp_path / "ledger.db", Kept()
    for life, count in enumerate((1, 2, 30)):
        live_once(path, f"w{life}", kept, window=window, count=count)
        if kept.said["opened"]:
            check(path, kept)
    assert kept.said["kept"]


if __name__ == "__main__":
    keep_until_killed(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
