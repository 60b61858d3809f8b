"""More processes share the load through a shared subscription, with nothing in common but the database."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest
from support.backend_bench import BackendProcess, BareSite, until
from support.ledger import Book
from support.mosquitto import Mosquitto, free_port

from edgectl_backend.postgres.database import Database

pytestmark = pytest.mark.slow

SITES = ("s1", "s2", "s3")
COUNT = 700


def commits(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return float(next((line.split()[-1] for line in lines if line.startswith("edgectl_backend_records_new_total")), 0))


async def test_two_processes_share_the_sites_and_one_may_die(tmp_path: Path, database_url: str, database: Database) -> None:
    ports = free_port(), free_port()
    books = {site: Book(site) for site in SITES}
    for book in books.values():
        book.fill(COUNT)
    wanted = {site: {(bill.record_id, bill.rev): bill.body for bill in book.bills} for site, book in books.items()}
    async with Mosquitto(tmp_path) as broker:
        made = [
            BackendProcess(tmp_path, broker.port, database_url, "--listen", f"127.0.0.1:{port}", name=f"backend-{port}")
            for port in ports
        ]
        async with (
            made[0] as first,
            made[1],
            BareSite(broker.port, "s1") as s1,
            BareSite(broker.port, "s2") as s2,
            BareSite(broker.port, "s3") as s3,
        ):
            sites = {"s1": s1, "s2": s2, "s3": s3}
            sending = [asyncio.create_task(site.sent_until_acknowledged(wanted[name])) for name, site in sites.items()]
            await until(lambda: len(set(s1.acked)) >= COUNT // 3, "a third is through", 60)
            shares = [await asyncio.to_thread(commits, port) for port in ports]
            assert min(shares) > 0
            first.kill()
            await asyncio.gather(*sending)
    stored = await database.rows("SELECT site, record_id, rev, body FROM record")
    assert {(row["site"], row["record_id"], row["rev"]): row["body"] for row in stored} == {
        (site, *key): body for site, bodies in wanted.items() for key, body in bodies.items()
    }
    assert (await database.rows("SELECT count(*) AS n FROM chain_fault"))[0]["n"] == 0


async def test_the_ledger_of_a_process_that_died_is_walked_by_another(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    book = Book()
    book.fill(200)
    async with Mosquitto(tmp_path) as broker:
        async with BackendProcess(tmp_path, broker.port, database_url) as first, BareSite(broker.port) as site:
            site.bill(*(bill.body for bill in book.bills))
            await site.acknowledged((bill.record_id, bill.rev) for bill in book.bills)
            first.kill()
        unwalk = (
            "UPDATE chain SET through_seq = 0, through_hash = decode(repeat('0', 64), 'hex'), highest_seq = 0, walked_at = NULL"
        )
        await database.rows(unwalk)
        async with BackendProcess(tmp_path, broker.port, database_url, name="second"):
            async with asyncio.timeout(20):
                while (await database.rows("SELECT through_seq FROM chain"))[0]["through_seq"] != 200:
                    await asyncio.sleep(0.05)
