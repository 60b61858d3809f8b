"""Statuses, states, events and telemetry: what is kept of them, and what people are shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard
from support.ledger import Book

from edgectl_backend.judging.bills import Bill, Poison, read_bill
from edgectl_backend.judging.telling import BLOCK_MAX_BYTES, Event, State, Status, Telemetry, Unread, read
from edgectl_backend.judging.topics import read_topic
from edgectl_backend.postgres import questions
from edgectl_backend.postgres.chains import walk_all
from edgectl_backend.postgres.database import Database
from edgectl_backend.postgres.keeping import Batch, Keeper
from edgectl_backend.postgres.partitions import tend
from edgectl_backend.web.metrics import exposition

CONFIG = Path(__file__).resolve().parents[2] / "config"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUS = {
    "schema": "edgectl/status/1",
    "state": "online",
    "epoch": "e1",
    "boot_id": "b1",
    "version": "1.0",
    "since": "2026-03-01T10:00:00.000Z",
    "backlog": 3,
    "oldest_unacked_s": 40,
    "nonce": None,
}


def told(suffix: str, body: Any, at: datetime = NOW) -> Any:
    place = read_topic(f"edgectl/v1/s1/{suffix}")
    assert place is not None
    return read(place, body if isinstance(body, bytes) else json.dumps(body).encode(), at)


def status(at: datetime = NOW, **members: Any) -> Status:
    found = told("status", {**STATUS, **members}, at)
    assert isinstance(found, Status)
    return found


def alarm(seq: int, at: str, state: str, **members: Any) -> dict[str, Any]:
    head = {"schema": "edgectl/event/1", "site": "s1", "epoch": "e1", "seq": seq, "record_id": f"e1-{seq}", "rev": 1}
    return {**head, "kind": "meter-lost", "subject": "main", "at": at, "state": state, "detail": "no answer", **members}


def block(at: datetime, number: int = 1) -> dict[str, Any]:
    moment = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "schema": "edgectl/tele/1",
        "site": "s1",
        "epoch": "e1",
        "seq": number,
        "record_id": f"t{number}",
        "rev": 1,
        "kind": "meter",
        "from": moment,
        "to": moment,
        "things": ["main"],
        "thing": [0],
        "offset_ms": [0],
        "columns": {"power_w": [5]},
    }


def test_each_kind_of_message_is_read() -> None:
    assert isinstance(status(), Status)
    assert told("event/meter-lost", alarm(1, "2026-03-01T10:00:00.000Z", "raised")).is_raised is True
    state = told("state/evse/CP%2F1-1", {"at": "2026-03-01T10:00:00.000Z", "quality": "good", "reason": "full", "more": 1})
    assert isinstance(state, State)
    assert (state.kind, state.thing) == ("evse", "CP/1-1")
    assert isinstance(told("tele/meter", block(NOW)), Telemetry)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_poison_where_a_gateway_waits_for_a_word(body: bytes) -> None:
    for suffix, stream in (("event/x", "events"), ("tele/meter", "telemetry")):
        found = told(suffix, body)
        assert isinstance(found, Poison)
        assert found.stream == stream
    assert isinstance(told("status", body), Unread)
    assert isinstance(told("state/evse/x", body), Unread)


def test_packed_telemetry_is_read_and_kept_packed() -> None:
    packed = zstandard.ZstdCompressor().compress(json.dumps(block(NOW)).encode())
    found = told("tele/meter", packed)
    assert isinstance(found, Telemetry)
    assert (found.record_id, found.body) == ("t1", packed)


def test_a_frame_that_is_cut_or_unpacks_without_end_is_poison() -> None:
    bomb = b" " * (BLOCK_MAX_BYTES + 1)
    stream = zstandard.ZstdCompressor().compressobj()  # says nothing of its size
    endless = stream.compress(bomb) + stream.flush()
    whole = zstandard.ZstdCompressor().compress(bomb)
    for body in (whole, endless, whole[:-5]):
        found = told("tele/meter", body)
        assert isinstance(found, Poison)
        assert "zstd" in found.reason or "unpacks" in found.reason


def test_an_event_whose_name_a_receipt_cannot_carry_is_poison() -> None:
    found = told("event/meter-lost", alarm(1, "2026-03-01T10:00:00.000Z", "raised", record_id="x" * 200))
    assert isinstance(found, Poison)


@pytest.mark.slow
async def test_the_newest_word_counts_in_whatever_order_the_words_come(database: Database) -> None:
    keeper = Keeper(database)
    raised, cleared = (
        told("event/meter-lost", alarm(seq, f"2026-03-01T10:00:0{seq}.000Z", state))
        for seq, state in ((1, "raised"), (2, "cleared"))
    )
    later = told("event/meter-lost", alarm(3, "2026-03-01T10:00:03.000Z", "raised"))
    assert isinstance(raised, Event)
    await keeper.keep(Batch(events=[cleared]))
    await keeper.keep(Batch(events=[raised, raised]))
    assert await questions.alarms(database) == []
    await keeper.keep(Batch(events=[later]))
    assert [a["kind"] for a in await questions.alarms(database)] == ["meter-lost"]
    assert (await database.rows("SELECT count(*) AS n FROM event"))[0]["n"] == 3

    new = told("state/meter/main", {"at": "2026-03-01T10:00:02.000Z", "quality": "good", "reason": ""})
    old = told("state/meter/main", {"at": "2026-03-01T10:00:01.000Z", "quality": "stale", "reason": "x"})
    await keeper.keep(Batch(states=[new]))
    await keeper.keep(Batch(states=[old]))
    assert (await database.rows("SELECT quality FROM state"))[0]["quality"] == "good"

    await keeper.keep(Batch(statuses=[status()]))
    await keeper.keep(Batch(statuses=[status(NOW + timedelta(seconds=1), state="offline", since=None, backlog=None)]))
    await keeper.keep(Batch(statuses=[status(NOW - timedelta(seconds=1))]))
    (site,) = await questions.sites(database)
    assert (site["state"], site["backlog"]) == ("offline", 3)


@pytest.mark.slow
async def test_a_will_has_no_numbers_and_takes_none_away(database: Database) -> None:
    will = status(state="offline", since=None, backlog=None, oldest_unacked_s=None)
    await Keeper(database).keep(Batch(statuses=[will]))
    (site,) = await questions.sites(database)
    assert (site["state"], site["backlog"]) == ("offline", None)


@pytest.mark.slow
async def test_telemetry_lies_in_days_that_go_when_they_are_old(database: Database) -> None:
    keeper = Keeper(database)
    made = await tend(database, 30)
    assert len(made) == 12
    assert await tend(database, 30) == []
    now = (await database.rows("SELECT now() AS now"))[0]["now"]
    moments = [now, now - timedelta(days=5), now - timedelta(days=20), now - timedelta(days=60)]
    blocks = [told("tele/meter", block(at, number)) for number, at in enumerate(moments)]
    await keeper.keep(Batch(telemetry=[*blocks, *blocks]))
    where = {
        row["record_id"]: row["place"]
        for row in await database.rows("SELECT record_id, tableoid::regclass::text AS place FROM telemetry")
    }
    assert where["t0"] == f"telemetry_{now:%Y%m%d}"
    assert where["t2"] == where["t3"] == "telemetry_other"
    await tend(database, 30)
    assert {row["record_id"] for row in await database.rows("SELECT record_id FROM telemetry")} == {"t0", "t1", "t2"}
    dropped = await tend(database, 3)
    assert f"telemetry_{now - timedelta(days=5):%Y%m%d}" in dropped
    assert {row["record_id"] for row in await database.rows("SELECT record_id FROM telemetry")} == {"t0"}


@pytest.mark.slow
async def test_telemetry_can_be_read_as_rows_and_kept_as_such(database: Database) -> None:
    rows = {"things": ["main", "pv"], "thing": [0, 1, 0], "offset_ms": [0, 0, 10_000], "columns": {"power_w": [5, None, -7]}}
    packed = zstandard.ZstdCompressor().compress(json.dumps(block(NOW, 2)).encode())
    kept = [told("tele/meter", {**block(NOW), **rows}), told("tele/meter", packed), told("tele/meter", block(NOW, 3))]
    await Keeper(database).keep(Batch(telemetry=kept[:2]))
    async with database.connection() as connection:
        await connection.execute((CONFIG / "backend" / "measurements.sql").read_text())
        assert await connection.fetchval("SELECT take_measurements($1)", NOW - timedelta(days=1)) == 2
        await Keeper(database).keep(Batch(telemetry=kept[2:]))  # the same moment again, in another block
        assert await connection.fetchval("SELECT take_measurements($1)", NOW - timedelta(days=1)) == 0
        found = await connection.fetch("SELECT site, kind, thing, name, at, value FROM measurement ORDER BY at")
    head = ("s1", "meter", "main", "power_w")
    assert [tuple(row) for row in found] == [(*head, NOW, 5), (*head, NOW + timedelta(seconds=10), -7)]


def bill(body: bytes) -> Bill:
    found = read_bill("s1", body)
    assert isinstance(found, Bill), found
    return found


@pytest.mark.slow
async def test_the_fleet_in_numbers_and_the_gaps_by_name(database: Database) -> None:
    keeper = Keeper(database)
    now = (await database.rows("SELECT now() AS now"))[0]["now"]
    hour_ago = (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    book = Book()
    for number in range(1, 8):
        is_open = number == 7
        book.write(
            f"r{number}", started_at=hour_ago, ended_at=None if is_open else hour_ago, status="active" if is_open else "completed"
        )
    poison = read_bill("s1", book.bills[4].body.replace(b"CP-1", b"CP-9"))
    assert isinstance(poison, Poison)
    sent = [bill(book.bills[index].body) for index in (0, 1, 3, 6)]
    await keeper.keep(Batch(bills=sent, poisons=[poison], statuses=[status()]))
    await walk_all(database, [("s1", "e1")])
    found = [(gap["first_seq"], gap["last_seq"], gap["rejected"]) for gap in await questions.gaps(database)]
    assert found == [(3, 3, None), (5, 6, "hash-mismatch")]
    (site,) = await questions.sites(database)
    assert (site["open_sessions"], site["sessions_24h"], site["energy_24h_wh"], site["alarms"]) == (1, 3, 30_000, 1)
    assert site["missing_records"] == 0  # not for two minutes yet
    await database.rows("UPDATE chain SET gap_since = now() - interval '1 hour'")
    assert (await questions.sites(database))[0]["missing_records"] == 3
    text = exposition({"commits": 4}, {"broker_connected": 1.0}, await questions.sites(database)).decode()
    assert 'edgectl_backend_site_records_missing{site="s1"} 3.0' in text
    assert "edgectl_backend_commits_total 4.0" in text
