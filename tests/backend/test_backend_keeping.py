"""Batches in a real PostgreSQL: what is kept, what a second process with the same records does to it, what stands for ever."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime

import pytest
from support.ledger import Book
from support.postgres import new_database

from edgectl_backend.judging.bills import Bill, read_bill
from edgectl_backend.judging.records import Meaning
from edgectl_backend.postgres import questions
from edgectl_backend.postgres.chains import unwalked, walk_all
from edgectl_backend.postgres.database import Database, DatabaseError
from edgectl_backend.postgres.keeping import Batch, Judged, Keeper
from edgectl_backend.postgres.migrating import migrate, missing, steps
from hwsim.tools.postgres import PostgresServer

pytestmark = pytest.mark.slow


def bill(body: bytes, site: str = "s1") -> Bill:
    found = read_bill(site, body)
    assert isinstance(found, Bill), found
    return found


def meanings(judged: Judged) -> list[tuple[str, int, str]]:
    return sorted((b.record_id, b.rev, meaning.name) for b, meaning in judged.meanings)


async def count(database: Database, table: str) -> int:
    return int((await database.rows(f"SELECT count(*) AS n FROM {table}"))[0]["n"])


async def test_processes_that_start_together_migrate_once(server: PostgresServer) -> None:
    url = await new_database(server)
    async with Database(url) as one, Database(url) as two:
        assert await missing(one) == [name for _, name, _ in steps()]
        applied = await asyncio.gather(migrate(one), migrate(two))
        assert sorted(map(len, applied)) == [0, len(steps())]
        assert await missing(one) == []


async def test_a_record_is_kept_to_the_byte_and_a_repeat_changes_nothing(database: Database) -> None:
    body = json.dumps(json.loads(Book().write("a", note="\0 é").body), indent=1).encode()
    keeper = Keeper(database)
    assert meanings(await keeper.keep(Batch(bills=[bill(body)]))) == [("a", 1, "NEW")]
    assert meanings(await keeper.keep(Batch(bills=[bill(body), bill(body)]))) == [("a", 1, "REPEATED")] * 2
    (row,) = await database.rows("SELECT body FROM record")
    assert row["body"] == body


async def test_another_content_under_the_same_revision_is_refused_alarmed_and_never_stored(database: Database) -> None:
    keeper = Keeper(database)
    first, other = bill(Book().write("a").body), bill(Book().write("a", energy_wh=1).body)
    await keeper.keep(Batch(bills=[first]))
    judged = await keeper.keep(Batch(bills=[other]))
    assert meanings(judged) == [("a", 1, "CONFLICT")]
    assert [one.code for one in judged.rejected] == ["conflict"]
    (row,) = await database.rows("SELECT body FROM record")
    assert row["body"] == first.body
    (reject,) = await database.rows("SELECT code, body FROM reject")
    assert (reject["code"], reject["body"]) == ("conflict", other.body)
    assert (await database.rows("SELECT kind FROM alarm WHERE is_active"))[0]["kind"] == "record-conflict"


async def test_an_alarm_that_was_seen_to_comes_back_only_for_something_new(database: Database) -> None:
    keeper = Keeper(database)
    first = bill(Book().write("a").body)
    await keeper.keep(Batch(bills=[first]))
    for energy_wh, standing in ((1, 1), (1, 0), (2, 1)):
        await keeper.keep(Batch(bills=[bill(Book().write("a", energy_wh=energy_wh).body)]))
        assert len(await questions.alarms(database)) == standing
        assert await questions.clear_alarms(database, "s1", None, None) == standing
    assert [row["times"] for row in await questions.rejects(database)] == [1, 2]


async def test_the_highest_revision_counts_in_whatever_order_they_come(database: Database) -> None:
    keeper = Keeper(database)
    book = Book()
    bodies = [book.write("a", rev, energy_wh=rev * 1_000, status="active" if rev < 3 else "completed").body for rev in (1, 2, 3)]
    for body in (bodies[1], bodies[2], bodies[0]):
        await keeper.keep(Batch(bills=[bill(body)]))
    (row,) = await database.rows("SELECT rev, energy_wh, status FROM session")
    assert (row["rev"], row["energy_wh"], row["status"]) == (3, 3_000, "completed")
    assert await count(database, "record") == 3


async def test_a_nul_in_a_text_is_no_obstacle(database: Database) -> None:
    await Keeper(database).keep(Batch(bills=[bill(Book().write("a", charger="CP\0-1", id_token="\0", flags=["x\0"]).body)]))
    (row,) = await database.rows("SELECT charger, flags FROM session")
    assert row["charger"] == "CP\N{REPLACEMENT CHARACTER}-1"


async def test_processes_with_the_same_records_in_other_orders_keep_each_once(database: Database, database_url: str) -> None:
    bills = [bill(body, site) for site in ("s1", "s2") for body in Book(site).fill(300)]
    async with Database(database_url) as second:
        keepers = [Keeper(database), Keeper(second)]
        batches = [bills, bills[::-1], bills[150:] + bills[:150], bills[::3] + bills[1::3] + bills[2::3]]
        found = await asyncio.gather(*(keepers[n % 2].keep(Batch(bills=list(batch))) for n, batch in enumerate(batches)))
    new = [b for judged in found for b, meaning in judged.meanings if meaning is Meaning.NEW]
    assert (
        len(new)
        == len(bills)
        == await count(database, "record")
        == await count(database, "link")
        == await count(database, "session")
    )


async def test_a_salvaged_ledger_names_its_sessions_again_without_doubling_them(database: Database) -> None:
    keeper = Keeper(database)
    book, again = Book(), Book(epoch="e2")
    await keeper.keep(Batch(bills=[bill(book.write(f"r{n}").body) for n in range(3)]))
    judged = await keeper.keep(Batch(bills=[bill(again.write(f"r{n}").body) for n in range(3)]))
    assert {meaning for _, meaning in judged.meanings} == {Meaning.REPEATED}
    assert await count(database, "link") == 6
    assert await count(database, "session") == 3


async def test_gaps_close_when_what_was_missing_comes_and_the_chain_is_found_whole(database: Database) -> None:
    keeper = Keeper(database)
    bodies = Book().fill(10)
    await keeper.keep(Batch(bills=[bill(body) for body in (bodies[0], bodies[1], bodies[4], bodies[9])]))
    assert await unwalked(database) == {("s1", "e1")}
    assert await walk_all(database, [("s1", "e1")]) == set()
    (row,) = await database.rows("SELECT * FROM chain")
    assert (row["through_seq"], row["highest_seq"], row["missing_count"], row["gap_since"] is None) == (2, 10, 6, False)
    await keeper.keep(Batch(bills=[bill(body) for body in bodies]))
    await walk_all(database, [("s1", "e1")])
    (row,) = await database.rows("SELECT * FROM chain")
    assert (row["through_seq"], row["highest_seq"], row["missing_count"], row["gap_since"]) == (10, 10, 0, None)
    assert await unwalked(database) == set()
    assert await count(database, "chain_fault") == 0


async def test_a_record_that_does_not_follow_is_found_and_alarmed_and_kept(database: Database) -> None:
    book, other = Book(), Book()
    book.fill(3)
    other.write("x")
    other.write("y")
    third = other.write("z")
    bodies = [book.bills[0].body, book.bills[1].body, third.body]
    judged = await Keeper(database).keep(Batch(bills=[bill(body) for body in bodies]))
    assert all(meaning is Meaning.NEW for _, meaning in judged.meanings)
    await walk_all(database, [("s1", "e1")])
    (fault,) = await database.rows("SELECT seq, kind FROM chain_fault")
    assert (fault["seq"], fault["kind"]) == (3, "broken")
    assert (await database.rows("SELECT kind FROM alarm"))[0]["kind"] == "chain-broken"


async def test_a_ledger_restored_from_a_copy_loses_no_session_and_its_fork_is_alarmed(database: Database) -> None:
    keeper = Keeper(database)
    first, restored = Book(), Book()
    for book in (first, restored):
        book.write("a")
    lost, written_on = first.write("b"), restored.write("c")
    await keeper.keep(Batch(bills=[bill(one.body) for one in first.bills]))
    judged = await keeper.keep(Batch(bills=[bill(written_on.body)]))
    assert meanings(judged) == [("c", 1, "NEW")]
    assert [b.record_id for b in judged.forked] == ["c"]
    assert await count(database, "session") == 3
    (fault,) = await database.rows("SELECT * FROM chain_fault")
    assert (fault["kind"], fault["seq"], fault["expected"].hex()) == ("fork", 2, lost.hash)


async def test_a_ledger_longer_than_one_walk_is_walked_to_its_end(database: Database) -> None:
    keeper = Keeper(database)
    bills = [bill(body) for body in Book().fill(10_050)]
    for start in range(0, len(bills), 1_000):
        await keeper.keep(Batch(bills=bills[start : start + 1_000]))
    await walk_all(database, [("s1", "e1")])
    (row,) = await database.rows("SELECT through_seq, missing_count FROM chain")
    assert (row["through_seq"], row["missing_count"]) == (10_050, 0)


async def test_a_database_that_is_away_is_said_so(database_url: str) -> None:
    with pytest.raises(DatabaseError):
        async with Database(database_url + "x"):
            pass


async def test_a_reservation_that_nobody_came_for_is_listed_and_is_no_session(database: Database) -> None:
    ended_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    kept = {"id": 5, "from": ended_at, "until": ended_at, "ended_at": ended_at}
    book = Book("s1")
    written = [book.write("plain", ended_at=ended_at, energy_wh=1_000)]
    for outcome in ("used", "expired", "cancelled", "removed"):
        energy_wh = 2_000 if outcome == "used" else 0
        written.append(book.write(outcome, ended_at=ended_at, energy_wh=energy_wh, reservation={**kept, "outcome": outcome}))
    await Keeper(database).keep(Batch(bills=[bill(one.body, "s1") for one in written]))
    (site,) = await questions.sites(database)
    assert (site["sessions_24h"], site["energy_24h_wh"]) == (2, 3_000)
    listed = {row["record_id"]: row["reservation"] for row in await questions.sessions(database)}
    assert listed == {"plain": None, "used": "used", "expired": "expired", "cancelled": "cancelled", "removed": "removed"}


async def test_the_energy_of_a_corrected_record_counts_once_in_whatever_order_its_three_records_come(database: Database) -> None:
    ended_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"session": "a", "of": "a", "at": ended_at, "by": "ops", "reason": "meter exchanged"}
    for number, order in enumerate(itertools.permutations(range(3))):
        site = f"s{number}"
        book = Book(site)
        written = [
            book.write("a", ended_at=ended_at, energy_wh=10_000),
            book.write("b", ended_at=ended_at, energy_wh=10_000, correction={"kind": "credit", **told}),
            book.write("c", ended_at=ended_at, energy_wh=7_000, correction={"kind": "replacement", **told}),
        ]
        for place in order:
            await Keeper(database).keep(Batch(bills=[bill(written[place].body, site)]))
    found = await questions.sites(database)
    assert [(row["sessions_24h"], row["energy_24h_wh"]) for row in found] == [(1, 7_000)] * 6
    listed = {row["record_id"]: (row["correction"], row["corrects"]) for row in await questions.sessions(database, "s0")}
    assert listed == {"a": (None, None), "b": ("credit", "a"), "c": ("replacement", "a")}
