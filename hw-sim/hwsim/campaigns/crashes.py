"""The real daemon killed by the thousand while chargers do sessions: ``python -m hwsim crashes --count 2000 --seed 1``.

Each life of the daemon is a process of its own (``edgectl.app.run``: sockets, SQLite, all of it) on one site file and one data
directory. It is killed with SIGKILL: at random, while it starts, or by itself at the nth pass of one of its narrow windows.
Chargers speak OCPP 1.6 over real WebSockets, as fast as they are answered, and tell again what was not answered.
After every death the ledger is held against what they had been told; at the end everything must be there, once.

``--store`` kills the ledger's process alone, with four callers at once and no sockets: more deaths a second.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgectl.store import LedgerFile
from hwsim.campaigns.driver import Driver
from hwsim.campaigns.keeping import Told, judge, keep, open_ledger
from hwsim.campaigns.promises import BrokenPromiseError, promise, quiet_logs
from hwsim.campaigns.uplink.stage import free_port

WINDOWS = ("ledger-before-commit", "ledger-after-commit", "ledger-before-callback")
DAEMON_WINDOWS = (*WINDOWS, "reply-after-commit")
CHARGERS = 3
LIFE_S = 600.0
"""A bound for a life, and for what a judge needs after it: seconds where the machine is free, minutes where it does much else.
It only ends a daemon that hangs; one that has ended is seen by that at once."""
_SITE = """
site: {{id: crashes}}
circuits: {{grid: {{limit: 200 A}}}}
charger_defaults: {{current: 6 A .. 32 A, fallback: 6 A, fallback_verified: true}}
chargers: {{{chargers}}}
ocpp:
  listeners: [{{address: "127.0.0.1:{port}", security_profile: 0}}]
authorization: {{offline: anyone}}
mqtt:
web:
"""


def context() -> ForkServerContext:
    """Children are forked from a clean server that has the daemon loaded: a start costs a quarter of what it else would."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["edgectl.app", "hwsim.campaigns.keeping"])
    return made


# --- the daemon -----------------------------------------------------------------------------------------------------------


def run_crashes(count: int, seed: int, sites: int = 1) -> int:
    """Kill the daemon ``count`` times and print what became of it; 1 when something is lost or there twice.

    With several ``sites`` as many daemons die beside each other, each on a port, a ledger and a seed of its own.
    """
    began_s = time.perf_counter()
    with TemporaryDirectory() as folder:
        made = []
        for number in range(sites):
            own = Path(folder) / str(number)
            own.mkdir()
            made.append(CrashSite(own, random.Random(seed if sites == 1 else f"{seed}/{number}")))
        shares = [(count + number) // sites for number in range(sites)]
        try:
            with quiet_logs():
                asyncio.run(_run_all(made, shares))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
            if not isinstance(error, BrokenPromiseError):
                traceback.print_exc()
            for site in made:
                print(f"seed {seed} after {site.deaths.total()} deaths FAILED: {error}", file=sys.stderr)
                print(site.log.read_text(errors="replace")[-3_000:] if site.log.exists() else "", file=sys.stderr)
            return 1
    total = sum((site.deaths for site in made), Counter[str]())
    deaths = ", ".join(f"{name} {number}" for name, number in sorted(total.items()))
    sessions, acknowledged, repeats = (
        sum(counts)
        for counts in zip(*((one.session_count, one.acknowledged_count, one.repeat_count) for one in made), strict=True)
    )
    print(
        f"deaths {total.total()}  seed {seed}  ({deaths})  sessions {sessions}  acknowledged {acknowledged}"
        f"  told again {repeats}  lost 0  doubled 0  {count / max(1e-9, time.perf_counter() - began_s):.1f}/s"
    )
    return 0


async def _run_all(sites: Sequence[CrashSite], shares: Sequence[int]) -> None:
    runs = [asyncio.create_task(site.run(share)) for site, share in zip(sites, shares, strict=True)]
    try:
        await asyncio.gather(*runs)
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


class CrashSite:
    """One site with its chargers, through all lives of its daemon."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._rng = rng
        self._data = folder / "data"
        self._file = folder / "site.yaml"
        self.log = folder / "daemon.log"
        self._socket = folder / "api.sock"
        self._port = free_port()
        self._context = context()
        self._process: BaseProcess | None = None
        """The daemon's last life."""
        self.deaths: Counter[str] = Counter()
        self._manners = _rounds(rng, (*DAEMON_WINDOWS, "at random", "at random", "while it starts"))
        self.drivers = [Driver(f"CP-{n}", self._port, random.Random(rng.random())) for n in range(1, CHARGERS + 1)]
        chargers = ", ".join(f"{driver.name}: {{circuit: grid}}" for driver in self.drivers)
        self._file.write_text(_SITE.format(chargers=chargers, port=self._port))

    @property
    def session_count(self) -> int:
        return sum(len(driver.charger.transactions) for driver in self.drivers)

    @property
    def acknowledged_count(self) -> int:
        return sum(driver.answered_count for driver in self.drivers)

    @property
    def repeat_count(self) -> int:
        return sum(driver.repeat_count for driver in self.drivers)

    async def run(self, count: int) -> None:
        tasks = [asyncio.create_task(driver.run()) for driver in self.drivers]
        try:
            while self.deaths.total() < count:
                await self._one_life()
                await asyncio.to_thread(self._judge, is_final=False)
            for driver in self.drivers:
                driver.begins_new = False
            process = await self._start("")
            await self._until(lambda: all(driver.is_done for driver in self.drivers), process, "all is told and answered")
            process.terminate()
            await self._until(lambda: not process.is_alive(), process, "it ends when it is told to", is_alive=False)
            promise(process.exitcode == 0, f"the daemon ended with {process.exitcode}")
            await asyncio.to_thread(self._judge, is_final=True)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            self._end()
        for one in ended:
            if isinstance(one, Exception):
                raise one

    def _end(self) -> None:
        """Whatever a failed promise left running must not write into a folder that is about to go."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    async def _one_life(self) -> None:
        manner = next(self._manners)
        if manner in DAEMON_WINDOWS:
            nth = self._rng.choice((1, 2, 3, 10, 30))
            process = await self._start(f"{manner}:{nth}", waits=False)
            await self._until(lambda: not process.is_alive(), process, f"dies at {manner} {nth}", is_alive=False)
        else:
            process = await self._start("", waits=manner == "at random")
            await asyncio.sleep(self._rng.uniform(0, 0.4))
            process.kill()
        await self._until(lambda: not process.is_alive(), process, "it is gone", is_alive=False)
        promise(process.exitcode == -signal.SIGKILL, f"the daemon ended by itself with {process.exitcode}")
        self.deaths[manner] += 1

    async def _start(self, window: str, *, waits: bool = True) -> BaseProcess:
        process = self._context.Process(target=_live, args=(self._file, self._data, self._socket, self.log, window), daemon=True)
        process.start()
        self._process = process
        if waits:
            before = self.acknowledged_count
            await self._until(lambda: self.acknowledged_count > before or self._is_quiet(), process, "it answers")
        return process

    def _is_quiet(self) -> bool:
        return all(driver.is_done for driver in self.drivers)

    async def _until(self, holds: Any, process: BaseProcess, what: str, *, is_alive: bool = True) -> None:
        deadline = time.monotonic() + LIFE_S
        while not holds():
            promise(time.monotonic() < deadline, f"not within {LIFE_S:g} s: {what}")
            promise(process.is_alive() or not is_alive, f"it ended with {process.exitcode} before: {what}")
            for driver in self.drivers:
                promise(not driver.broken, driver.broken)
            await asyncio.sleep(0.01)

    def _judge(self, *, is_final: bool) -> None:
        """Between two lives: what was acknowledged is there, once."""
        path = self._data / "ledger.db"
        if not path.exists():
            promise(not self.acknowledged_count, "there is no ledger")
            return
        promise(not list(self._data.glob("*.damaged-*")), "the ledger was set aside as damaged")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            has_tables = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'bill'").fetchone()[0]
            if not has_tables:
                promise(not self.acknowledged_count, "the ledger is empty")
                return
            sessions = connection.execute("SELECT charger, transaction_ref, id FROM session").fetchall()
            bills = {
                record_id: json.loads(body)["session"]
                for record_id, body in connection.execute("SELECT record_id, body FROM bill ORDER BY rev")
            }
        known = {(charger, reference): session_id for charger, reference, session_id in sessions}
        promise(len(known) == len(sessions), "two sessions of one transaction")
        for driver in self.drivers:
            driver.judge(known, bills)
        promise(len(sessions) <= self.session_count, f"{len(sessions)} sessions of {self.session_count} transactions")
        if is_final:
            promise(len(sessions) == len(bills) == self.session_count, f"{len(sessions)} sessions, {len(bills)} billed")
            with LedgerFile(path) as file:
                report = file.verify_chain()
            promise(report.is_intact, f"the chain is broken at {report.first_broken_seq}: {report.why}")


def _live(file: Path, data: Path, socket_path: Path, log: Path, window: str) -> None:
    """The child: the daemon until it is killed."""
    from edgectl.app import run

    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.exit(run(file, data, socket_path, fault=_deadly(window)))


# --- the store alone ------------------------------------------------------------------------------------------------------


def run_store_crashes(count: int, seed: int) -> int:
    """Kill the ledger's process ``count`` times; 1 when something acknowledged is lost or there twice."""
    began_s = time.perf_counter()
    rng = random.Random(seed)
    manners = _rounds(rng, (*WINDOWS, "at random"))
    deaths: Counter[str] = Counter()
    told = Told()
    records = 0
    made = context()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        for number in range(count):
            manner = next(manners)
            nth = rng.choice((1, 2, 3, 10, 60))
            if number % 40 == 0:  # what is judged again and again is not to grow without end
                for old in path.parent.glob("ledger.db*"):
                    old.unlink()
                told = Told()
            try:
                with quiet_logs():
                    live_once(made, path, f"r{number}", told, manner=manner, nth=nth, after=rng.randint(1, 120))
                    records = judge(path, told)
            except BrokenPromiseError as error:
                print(f"seed {seed} death {number + 1} ({manner}) FAILED: {error}", file=sys.stderr)
                return 1
            deaths[manner] += 1
    shown = ", ".join(f"{name} {number}" for name, number in sorted(deaths.items()))
    print(
        f"deaths of the store {count}  seed {seed}  ({shown})  records at the end {records}  lost 0  doubled 0  "
        f"{count / max(1e-9, time.perf_counter() - began_s):.1f}/s"
    )
    return 0


def live_once(made: ForkServerContext, path: Path, run: str, told: Told, *, manner: str, nth: int, after: int) -> None:
    """One life of the ledger's process: killed in its window, or from here after it has told so many things."""
    receiver, sender = made.Pipe(duplex=False)
    window = "" if manner == "at random" else f"{manner}:{nth}"
    process = made.Process(target=_keep, args=(path, run, sender, window), daemon=True)
    process.start()
    sender.close()
    heard = 0
    with suppress(EOFError, OSError):
        while True:
            told.hear(receiver.recv())
            heard += 1
            if not window and heard == after:
                process.kill()
    process.join(LIFE_S)
    promise(process.exitcode == -signal.SIGKILL, f"the process ended with {process.exitcode}")


def _keep(path: Path, run: str, sender: Any, window: str) -> None:
    import threading

    lock = threading.Lock()

    def tell(word: str) -> None:
        with lock:
            sender.send(word)

    with quiet_logs():
        keep(open_ledger(path, run, _deadly(window)), run, 2_000, tell)


def _rounds(rng: random.Random, manners: Sequence[str]) -> Iterator[str]:
    """Each as often as it stands there, in an order of its own each time."""
    while True:
        yield from rng.sample(manners, len(manners))


def _deadly(window: str) -> Any:
    """A fault hook that ends the process at the nth pass of a window, ``NAME:N``."""
    name, _, nth = window.partition(":")
    passed: Counter[str] = Counter()

    def fault(here: str) -> None:
        passed[here] += 1
        if here == name and passed[here] == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)

    return fault
