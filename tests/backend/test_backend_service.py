"""The backend's process on a real mosquitto and a real PostgreSQL: receipts only for what is committed, through every kill."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from support.backend_bench import ROOT, BackendProcess, BareSite, until
from support.ledger import Book, altered
from support.mosquitto import Mosquitto, free_port
from support.postgres import new_database, postgres_server

from edgectl_backend.postgres.database import Database
from hwsim.tools.postgres import PostgresServer

pytestmark = pytest.mark.slow


async def stored(url: str) -> dict[tuple[str, int], bytes]:
    async with Database(url, connections=1) as database:
        rows = await database.rows("SELECT record_id, rev, body FROM record")
    return {(row["record_id"], row["rev"]): row["body"] for row in rows}


def named(book: Book) -> dict[tuple[str, int], bytes]:
    return {(bill.record_id, bill.rev): bill.body for bill in book.bills}


async def test_records_are_stored_and_receipted_again_when_they_come_again(tmp_path: Path, database_url: str) -> None:
    book = Book()
    book.fill(50)
    async with (
        Mosquitto(tmp_path) as broker,
        BackendProcess(tmp_path, broker.port, database_url) as _,
        BareSite(broker.port) as site,
    ):
        site.bill(*named(book).values())
        await site.acknowledged(named(book))
        assert await stored(database_url) == named(book)
        site.acked.clear()
        site.bill(*named(book).values())
        await site.acknowledged(named(book))
        assert await stored(database_url) == named(book)
        assert all(receipt["acked_through"] is None and receipt["epoch"] == "e1" for receipt in site.receipts)


async def test_poison_is_refused_with_a_reason_and_the_line_moves_on(tmp_path: Path, database_url: str) -> None:
    book = Book()
    good, bad, last = book.write("a"), book.write("b"), book.write("c")
    async with (
        Mosquitto(tmp_path) as broker,
        BackendProcess(tmp_path, broker.port, database_url) as _,
        BareSite(broker.port) as site,
    ):
        site.bill(good.body)
        await site.acknowledged([("a", 1)])
        site.bill(b"no json", altered(bad.body, seq=9), Book().write("a", energy_wh=5).body, last.body)
        await site.acknowledged([("a", 1), ("c", 1)])
        await until(lambda: len(site.rejected) == 2, "two refusals")
        assert site.rejected == {("b", 1): "hash-mismatch", ("a", 1): "conflict"}
        assert await stored(database_url) == {("a", 1): good.body, ("c", 1): last.body}
        async with Database(database_url, connections=1) as database:
            rows = await database.rows("SELECT code FROM reject")
        assert sorted(row["code"] for row in rows) == ["conflict", "hash-mismatch", "malformed"]


async def test_a_backend_killed_again_and_again_loses_nothing_it_gave_a_receipt_for(tmp_path: Path, database_url: str) -> None:
    book = Book()
    book.fill(2_000)
    wanted = named(book)
    async with Mosquitto(tmp_path) as broker, BackendProcess(tmp_path, broker.port, database_url) as backend:
        async with BareSite(broker.port) as site:
            sending = asyncio.create_task(site.sent_until_acknowledged(wanted))
            for goal in (300, 900, 1_500):
                await until(lambda goal=goal: len(set(site.acked)) >= goal or sending.done(), f"{goal} receipts", 60)
                backend.kill()
                receipted = set(site.acked)
                kept = await stored(database_url)
                assert receipted <= kept.keys()
                await backend.start()
            await sending
        assert await stored(database_url) == wanted


async def test_a_database_killed_with_the_backend_at_work_has_what_was_receipted(tmp_path: Path) -> None:
    server = postgres_server(tmp_path, is_durable=True)
    await asyncio.to_thread(server.start)
    book = Book()
    book.fill(1_000)
    wanted = named(book)
    try:
        url = await new_database(server)
        async with Mosquitto(tmp_path) as broker, BackendProcess(tmp_path, broker.port, url, "--migrate") as _:
            async with BareSite(broker.port) as site:
                sending = asyncio.create_task(site.sent_until_acknowledged(wanted))
                for goal in (200, 600):
                    await until(lambda goal=goal: len(set(site.acked)) >= goal or sending.done(), f"{goal} receipts", 60)
                    server.kill()
                    await asyncio.to_thread(server.start)
                    assert set(site.acked) <= (await stored(url)).keys()
                await sending
            assert await stored(url) == wanted
    finally:
        server.stop()


async def test_it_waits_for_database_and_broker_in_whatever_order_they_come(tmp_path: Path, server: PostgresServer) -> None:
    url = await new_database(server)
    broker = Mosquitto(tmp_path)
    backend = BackendProcess(tmp_path, broker.port, url, "--migrate")
    starting = asyncio.create_task(backend.start())
    try:
        await until(lambda: "broker_lost" in (backend.log.read_text() if backend.log.exists() else ""), "no broker yet")
        await broker.start()
        await starting
        async with BareSite(broker.port) as site:
            site.bill(Book().write("a").body)
            await site.acknowledged([("a", 1)])
        assert backend.kill(signal.SIGTERM) == 0
    finally:
        starting.cancel()
        backend.kill()
        broker.kill()


async def test_without_its_schema_it_says_what_to_do(tmp_path: Path, server: PostgresServer) -> None:
    url = await new_database(server)
    with pytest.raises(AssertionError, match="edgectl-backend migrate"):
        await BackendProcess(tmp_path, free_port(), url).start()


async def test_the_sample_access_list_lets_the_backend_do_its_work(tmp_path: Path, database_url: str) -> None:
    acl = (ROOT / "config" / "mosquitto.acl").read_text()
    secret = tmp_path / "password"
    secret.write_text("other\n")
    login = ("--username", "backend", "--password-file", str(secret))
    async with (
        Mosquitto(tmp_path, acl=acl, users={"s1": "secret", "backend": "other"}) as broker,
        BackendProcess(tmp_path, broker.port, database_url, *login) as _,
        BareSite(broker.port, password="secret") as site,
    ):
        site.bill(Book().write("a").body)
        await site.acknowledged([("a", 1)])


async def test_what_the_database_will_not_have_is_found_among_the_good_and_set_aside(
    tmp_path: Path, database_url: str, database: Database
) -> None:
    await database.rows("ALTER TABLE session ADD CHECK (charger <> 'CP-9')")
    book = Book()
    for number in range(40):
        book.write(f"r{number}", charger="CP-9" if number in {7, 23} else "CP-1")
    wanted = {key: body for key, body in named(book).items() if key[0] not in {"r7", "r23"}}
    async with (
        Mosquitto(tmp_path) as broker,
        BackendProcess(tmp_path, broker.port, database_url) as _,
        BareSite(broker.port) as site,
    ):
        site.bill(*named(book).values())
        await site.acknowledged(wanted)
        await until(lambda: len(site.rejected) == 2, "two refusals")
        assert site.rejected == {("r7", 1): "unstorable", ("r23", 1): "unstorable"}
        assert await stored(database_url) == wanted
