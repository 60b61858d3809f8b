"""A slice of the campaign against real processes, and whether its comparison sees what it is there to see."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.postgres import new_database, running_server

from edgectl.domain.time import Instant
from edgectl.store import Ledger, LedgerFile
from edgectl_backend.judging.bills import Bill, read_bill
from edgectl_backend.postgres.chains import unwalked, walk_all
from edgectl_backend.postgres.database import Database
from edgectl_backend.postgres.keeping import Batch, Keeper
from edgectl_backend.postgres.migrating import migrate
from hwsim.campaigns.uplink.campaign import Outcome, compare, run_campaign, run_daemon_campaign
from hwsim.campaigns.uplink.depot import DepotStage
from hwsim.campaigns.uplink.gateway import SITE, record
from hwsim.tools.postgres import PostgresServer

pytestmark = pytest.mark.slow

COUNT = 20
NOW = Instant(0, 1_700_000_000_000)


@pytest.mark.timeout(300)
async def test_a_hundred_faults_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    outcome = await run_campaign(tmp_path, faults=100, records=1_500, seed=5)
    assert outcome.broken == [], outcome.lines()
    assert outcome.records == 1_500
    assert sum(outcome.faults.values()) == 100


@pytest.mark.timeout(300)
async def test_forty_faults_around_the_whole_daemon_lose_nothing_a_charger_was_told(tmp_path: Path) -> None:
    outcome = await run_daemon_campaign(tmp_path, faults=40, seed=5)
    assert outcome.broken == [], outcome.lines()
    assert outcome.records == outcome.sessions > 40
    assert sum(outcome.faults.values()) == 40
    assert outcome.faults["gateway killed"] > 0
    assert outcome.promised >= 2 * outcome.sessions


@pytest.mark.timeout(300)
async def test_a_daemon_that_forgets_what_it_told_a_charger_is_found(tmp_path: Path) -> None:
    async with DepotStage(tmp_path, seed=6) as stage:
        async with asyncio.timeout(120):
            while stage.acknowledged_count < 40:
                await asyncio.sleep(0.1)
        assert await stage.finish() == ""
        assert stage.broken_promises() == []
        await stage.kill("gateway")
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
            connection.execute("DELETE FROM bill WHERE seq = 3")
        (count, missing) = stage.broken_promises()
        assert "billed" in count
        assert "was acknowledged and is not billed" in missing


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_server() as started:
        yield started


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[Database]:
    async with Database(await new_database(server)) as opened:
        await migrate(opened)
        yield opened


async def books(folder: Path, database: Database, *, without: frozenset[int] = frozenset()) -> None:
    """A ledger in ``folder`` and what a backend has of it."""
    ledger = Ledger(folder / "ledger.db", site=SITE, new_epoch=lambda: "e" * 32, now=NOW)
    ledger.commit([record(number) for number in range(1, COUNT + 1)], NOW).result()
    ledger.close()
    (folder / "promised").write_text("".join(f"{number}\n" for number in range(1, COUNT + 1)))
    with LedgerFile(folder / "ledger.db") as file:
        bodies = [row.body for row in file.rows("billing", 0, 1_000)]
    bills = [read_bill(SITE, body) for number, body in enumerate(bodies, 1) if number not in without]
    await Keeper(database).keep(Batch(bills=[bill for bill in bills if isinstance(bill, Bill)]))
    await walk_all(database, await unwalked(database))


async def found(folder: Path, database: Database) -> list[str]:
    outcome = Outcome()
    await compare(folder, database, outcome)
    return outcome.broken


async def test_two_equal_books_are_found_equal(tmp_path: Path, database: Database) -> None:
    await books(tmp_path, database)
    assert await found(tmp_path, database) == []


async def test_a_record_that_never_came_is_found(tmp_path: Path, database: Database) -> None:
    await books(tmp_path, database, without=frozenset({7}))
    assert await found(tmp_path, database) == ["records lost: 1", "gaps: 1", f"the chain was walked to 6 of {COUNT}"]


async def test_a_lost_last_revision_is_found_in_the_session_too(tmp_path: Path, database: Database) -> None:
    await books(tmp_path, database, without=frozenset({COUNT}))
    broken = await found(tmp_path, database)
    assert "records lost: 1" in broken
    assert "sessions that show an older revision: 1" in broken


async def test_a_changed_byte_and_a_doubled_session_are_found(tmp_path: Path, database: Database) -> None:
    await books(tmp_path, database)
    await database.rows("UPDATE record SET body = body || ' ' WHERE rev = 1 AND seq = 1")
    await database.rows(
        "INSERT INTO session SELECT site, 'again', rev, charger, evse, id_token, status, started_at, ended_at, energy_wh,"
        " currency, amount, flags FROM session LIMIT 1"
    )
    assert await found(tmp_path, database) == ["records that differ: 1", "records doubled: 1"]


async def test_a_promise_that_the_ledger_broke_is_found(tmp_path: Path, database: Database) -> None:
    await books(tmp_path, database)
    with (tmp_path / "promised").open("a") as file:
        file.write(f"{COUNT + 1}\n")
    assert await found(tmp_path, database) == ["acknowledged records lost by the gateway's ledger: 1"]
