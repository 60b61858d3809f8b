"""Strikes, lets everything settle, compares the two books."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from edgectl.domain.time import Instant
from edgectl.store import Ledger
from edgectl_backend.postgres import questions
from edgectl_backend.postgres.database import Database
from hwsim.campaigns.uplink.depot import DepotStage
from hwsim.campaigns.uplink.faults import choose
from hwsim.campaigns.uplink.gateway import SITE
from hwsim.campaigns.uplink.stage import Stage, StageError

PAUSE_S = (0.02, 0.5)
"""Between two faults; they may overlap."""
LAG_FAULTS = 15
"""So many faults' share of records the gateway may be behind before the next fault waits for it."""
LAG_S = 5.0
SETTLE_S = 300.0


@dataclass
class Outcome:
    faults: Counter[str] = field(default_factory=Counter)
    records: int = 0
    promised: int = 0
    lost_by_gateway: int = 0
    """Committed records that its ledger no longer has."""
    lost: int = 0
    """In the gateway's ledger, and not in the database."""
    differing: int = 0
    """In both, not to the byte."""
    doubled: int = 0
    """Sessions, records or links in the database that the gateway's ledger does not have."""
    sessions: int = 0
    stale_sessions: int = 0
    """Whose highest revision is not the one that is shown."""
    through_seq: int = 0
    gaps: int = 0
    chain_faults: int = 0
    rejected: int = 0
    parked: int = 0
    """Set aside by the gateway as what the broker breaks off for, and put back at the end as a person would."""
    published: int = 0
    """By the gateway, as far as it could still say; the rest of a second before each kill is not in it."""
    refused_commits: int = 0
    unfinished: str = ""
    seconds: float = 0.0
    fallen: list[str] = field(default_factory=list)
    told_again: int = 0
    """Starts and stops that chargers repeated because nobody had answered."""
    sessions_per_s: float = 0.0
    """While the faults came."""
    broken_promises: list[str] = field(default_factory=list)
    """What a charger was told, and the daemon's ledger does not say."""

    @property
    def broken(self) -> list[str]:
        """Promises that did not hold."""
        found = [
            f"{words}: {count}"
            for words, count in (
                ("acknowledged records lost by the gateway's ledger", self.lost_by_gateway),
                ("records lost", self.lost),
                ("records that differ", self.differing),
                ("records doubled", self.doubled),
                ("sessions that show an older revision", self.stale_sessions),
                ("gaps", self.gaps),
                ("breaks of the chain", self.chain_faults),
                ("records refused", self.rejected),
            )
            if count
        ]
        if self.through_seq != self.records:
            found.append(f"the chain was walked to {self.through_seq} of {self.records}")
        found += self.broken_promises
        return [*found, *([self.unfinished] if self.unfinished else []), *(f"ended by itself: {words}" for words in self.fallen)]

    @property
    def _promises(self) -> str:
        if not self.sessions_per_s:
            return f"the commits of {self.promised} were seen"
        return (
            f"{self.promised} starts and stops acknowledged to chargers, {self.told_again} told again;"
            f" {self.sessions_per_s:.1f} sessions/s"
        )

    def lines(self) -> list[str]:
        # The daemon does not say how many; its chargers tell again what was not answered.
        refused = "" if self.sessions_per_s else f" {self.refused_commits} commits refused by a full disk;"
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return [
            f"{sum(self.faults.values())} faults in {self.seconds:.0f} s: {kinds}",
            f"{self.records} records of {self.sessions} sessions; {self._promises}",
            (
                f"lost {self.lost_by_gateway + self.lost}, doubled {self.doubled}, differing {self.differing}, chain whole"
                f" through {self.through_seq}, gaps {self.gaps}, chain faults {self.chain_faults}, refused {self.rejected}"
            ),
            (
                f"{self.published} publishes, so at least {max(0, self.published - self.records)} repeats absorbed;"
                f"{refused} {self.parked} set aside and put back"
            ),
        ]


async def run_daemon_campaign(folder: Path, faults: int, seed: int, *, is_told: bool = False) -> Outcome:
    """The same with the whole daemon, and as many records as its chargers make.

    Raises:
        StageError: the stage cannot be set.
    """
    rng = random.Random(seed)
    outcome = Outcome()
    began = time.monotonic()
    async with DepotStage(folder, seed) as stage:
        await _strike(stage, outcome, rng, faults, 0, is_told=is_told)
        struck_s = time.monotonic() - began
        for name in stage.names:
            await stage.revive(name)
        outcome.unfinished = await stage.finish()
        records, _, _ = await asyncio.to_thread(_outbox, folder)
        await _settle(stage, outcome, records)
        outcome.fallen += stage.fallen()
        await _note_gateway(stage, outcome)
        async with Database(stage.server.url, connections=1) as database:
            await compare(folder, database, outcome)
        outcome.promised, outcome.told_again = stage.acknowledged_count, stage.repeat_count
        outcome.sessions_per_s = outcome.sessions / struck_s
        outcome.broken_promises = await asyncio.to_thread(stage.broken_promises)
    outcome.seconds = time.monotonic() - began
    return outcome


async def run_campaign(folder: Path, faults: int, records: int, seed: int, *, is_told: bool = False) -> Outcome:
    """Raises ``StageError`` when the stage cannot be set."""
    rng = random.Random(seed)
    outcome = Outcome()
    began = time.monotonic()
    async with Stage(folder, records) as stage:
        await _strike(stage, outcome, rng, faults, records, is_told=is_told)
        await _settle(stage, outcome, records)
        outcome.fallen += stage.fallen()
        await _note_gateway(stage, outcome)
        async with Database(stage.server.url, connections=1) as database:
            await compare(folder, database, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


async def _strike(stage: Stage, outcome: Outcome, rng: random.Random, faults: int, records: int, *, is_told: bool) -> None:
    in_trouble: set[str] = set()
    strikes: set[asyncio.Task[None]] = set()
    share = records / max(1, faults)
    for number in range(1, faults + 1):
        stage.allow(min(records, int(share * number) + 1))
        await _keep_up(stage, share * (number - LAG_FAULTS))
        while (fault := choose(rng, in_trouble)) is None:  # noqa: ASYNC110 - several faults, each ends by itself
            await asyncio.sleep(0.02)
        if fault.name == "gateway killed":
            await _note_gateway(stage, outcome)
        in_trouble |= fault.targets
        task = asyncio.create_task(_one(fault.strike(stage, rng), fault.targets, in_trouble))
        strikes.add(task)
        task.add_done_callback(strikes.discard)
        outcome.faults[fault.name] += 1
        if is_told and number % 50 == 0:
            print(f"{number} faults, {stage.gateway_status()['written']} records written", flush=True)
        await asyncio.sleep(rng.uniform(*PAUSE_S))
        done = [task for task in list(strikes) if task.done()]
        for task in done:
            task.result()
        fallen = set(stage.fallen()) - in_trouble
        if fallen:
            # Nobody killed them just now: it is written down, and they are started again as systemd would.
            outcome.fallen += [f"{name} after {fault.name}: {stage.children[name].last_lines(3)}" for name in sorted(fallen)]
            for name in fallen:
                await stage.revive(name)
    await asyncio.gather(*strikes)


async def _one(strike: object, targets: frozenset[str], in_trouble: set[str]) -> None:
    try:
        await strike  # type: ignore[misc]
    finally:
        in_trouble -= targets


async def _keep_up(stage: Stage, wanted: float) -> None:
    deadline = time.monotonic() + LAG_S
    while stage.gateway_status()["written"] < wanted and time.monotonic() < deadline:  # noqa: ASYNC110 - a file of a process
        await asyncio.sleep(0.05)


async def _note_gateway(stage: Stage, outcome: Outcome) -> None:
    if not stage.is_gateway_up():
        return
    status = stage.gateway_status()
    outcome.published += status["counters"].get("rows_sent", 0)
    outcome.refused_commits += status["failures"]


def _outbox(folder: Path) -> tuple[int, int, int]:
    """Records, rows owed, rows set aside."""
    with closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True, timeout=10)) as connection:
        found: tuple[int, int, int] = connection.execute(
            "SELECT (SELECT COUNT(*) FROM bill), COUNT(*) FILTER (WHERE parked_utc_ms IS NULL),"
            " COUNT(*) FILTER (WHERE parked_utc_ms IS NOT NULL) FROM outbox"
        ).fetchone()
    return found


async def _settle(stage: Stage, outcome: Outcome, records: int) -> None:
    """Until every record is written and receipted, and the chain is walked."""
    for name in stage.names:
        await stage.revive(name)
    stage.allow(records)
    deadline = time.monotonic() + SETTLE_S + records / 100
    while True:
        written, owed, parked = await asyncio.to_thread(_outbox, stage.folder)
        if written >= records and owed == 0:
            if parked == 0:
                break
            outcome.parked += parked
            await _put_back(stage, outcome)
        if time.monotonic() > deadline:
            outcome.unfinished = (
                f"after {SETTLE_S:.0f} s of peace {written} of {records} records were written and {owed} were owed"
            )
            return
        await asyncio.sleep(0.2)
    async with Database(stage.server.url, connections=1) as database:
        while time.monotonic() < deadline:
            rows = await database.rows("SELECT min(through_seq) AS seq FROM chain")
            if rows[0]["seq"] == records:
                return
            await asyncio.sleep(0.2)
    outcome.unfinished = "the chain was not walked to its end"


async def _put_back(stage: Stage, outcome: Outcome) -> None:
    """``edgectl uplink requeue``, with the gateway stopped for it."""
    await _note_gateway(stage, outcome)
    await stage.kill("gateway")

    def requeue() -> None:
        now = Instant(0, time.time_ns() // 1_000_000)
        ledger = Ledger(stage.folder / "ledger.db", site=SITE, new_epoch=lambda: "unused", now=now)
        try:
            ledger.requeue([parked.row.seq for parked in ledger.parked(10_000).result()]).result()
        finally:
            ledger.close()

    await asyncio.to_thread(requeue)
    await stage.start("gateway")


async def compare(folder: Path, database: Database, outcome: Outcome) -> None:
    """The gateway's ledger and its promises in ``folder`` beside the database; what differs goes into ``outcome``."""
    with closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)) as connection:
        own = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute("SELECT record_id, rev, body, seq FROM bill")}
    promised = [int(line) for line in (folder / "promised").read_text().split()]
    outcome.records, outcome.promised = len(own), len(set(promised))
    numbers = {seq for _, seq in own.values()}
    outcome.lost_by_gateway = sum(1 for number in set(promised) if number not in numbers)
    stored = {
        (row["record_id"], row["rev"]): row["body"] for row in await database.rows("SELECT record_id, rev, body FROM record")
    }
    outcome.lost = sum(1 for key in own if key not in stored)
    outcome.differing = sum(1 for key, (body, _) in own.items() if key in stored and stored[key] != body)
    links = (await database.rows("SELECT count(*) AS n FROM link"))[0]["n"]
    shown = {row["record_id"]: row["rev"] for row in await database.rows("SELECT record_id, rev FROM session")}
    highest: dict[str, int] = {}
    for record_id, rev in own:
        highest[record_id] = max(rev, highest.get(record_id, 0))
    outcome.sessions = len(shown)
    outcome.doubled = (
        sum(1 for key in stored if key not in own) + max(0, links - len(own)) + sum(1 for key in shown if key not in highest)
    )
    outcome.stale_sessions = sum(1 for record_id, rev in highest.items() if shown.get(record_id) != rev)
    chains = await database.rows("SELECT through_seq FROM chain")
    outcome.through_seq = min((row["through_seq"] for row in chains), default=0)
    outcome.gaps = len(await questions.gaps(database))
    outcome.chain_faults = len(await questions.chain_faults(database))
    outcome.rejected = len(await questions.rejects(database))


def play_uplink_faults(faults: int, records: int, seed: int, *, with_daemon: bool = False, folder: Path | None = None) -> int:
    """Run it and print the figures; 1 when a promise did not hold, 2 when it could not run."""
    with tempfile.TemporaryDirectory(prefix="edgectl-faults-", ignore_cleanup_errors=True) as made:
        try:
            place = folder or Path(made)
            if with_daemon:
                outcome = asyncio.run(run_daemon_campaign(place, faults, seed, is_told=True))
            else:
                outcome = asyncio.run(run_campaign(place, faults, records, seed, is_told=True))
        except StageError as error:
            print(error, file=sys.stderr)
            return 2
    for line in outcome.lines():
        print(line)
    for broken in outcome.broken:
        print(f"  broken: {broken}")
    return 1 if outcome.broken else 0
