"""What it costs to keep a record for certain: the ledger beside TinyDB as it comes and SQLite with a commit for each event.

An event is the end of a session: the session, its message, its billing record and what is owed to the backend. The ledger seals
the record into its chain and answers when the disk has it. Plain SQLite (WAL, FULL) writes the same four rows in one transaction
each. TinyDB as it comes writes two documents and does not sync, so a power cut can leave it unreadable. Telemetry, where nobody
waits, is measured apart. All in one process, one store after the other, each on a file with ``before`` events in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinydb import TinyDB

from benchmarks.report import CheckFailedError, Results, verdict
from benchmarks.wire import quantile
from edgectl.domain.bill import session_body
from edgectl.domain.ids import ChargerId, EvseId, IdToken, SessionId, SiteId, TransactionRef
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.records import (
    Authorisation,
    BillKept,
    LimitKept,
    MessageKept,
    Period,
    PeriodState,
    Record,
    Session,
    SessionKept,
    SessionStatus,
)
from edgectl.domain.time import Instant
from edgectl.store import Ledger

BLOCKED_GOAL_MS = 50.0
P99_GOAL_MS = 50.0
CALLERS = 16
"""Chargers whose sessions end at once."""
DISK_BYTES = 24_576
"""About what a billing commit dirties."""
_NOW = Instant(1_000, 1_767_225_600_000)
_CHARGER = ChargerId("CP-1")


@dataclass(frozen=True, slots=True)
class Figures:
    per_s: float
    p50_ms: float
    p99_ms: float
    bytes_each: float
    """That the process gave the kernel to write, journals and logs included."""


def run(events: int = 1_200, tiny_events: int = 60, before: int = 1_000) -> Results:
    print(f"ledger: {events} ends of sessions ({tiny_events} for TinyDB), {before} there before")
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        disk = _disk(path / "disk", events)
        found["edgectl, 16 at once"], blocked_ms = asyncio.run(_ledger(path / "many.db", events, before, CALLERS))
        found["edgectl, 1 at once"], _ = asyncio.run(_ledger(path / "one.db", events, before, 1))
        found["SQLite, a commit each"] = _plain(path / "plain.db", events, before)
        found["TinyDB"] = _tiny(path / "tiny.json", tiny_events, before)
        telemetry = {
            "edgectl": _telemetry(path / "telemetry.db", events),
            "SQLite, a commit each": _plain_telemetry(path / "plain-telemetry.db", events),
        }
    base = found["edgectl, 16 at once"]
    columns = ("commits/s", "p50 ms", "p99 ms", "bytes each", "speed", "bytes")
    print(f"  {'':<24}" + "".join(f"{column:>12}" for column in columns) + "   (the last two: edgectl, 16 at once = 1)")
    for name, one in found.items():
        numbers = f"{one.per_s:>12.0f}{one.p50_ms:>12.1f}{one.p99_ms:>12.1f}{one.bytes_each:>12.0f}"
        print(f"  {name:<24}{numbers}{one.per_s / base.per_s:>12.3f}{one.bytes_each / base.bytes_each:>12.1f}")
    for name, each in telemetry.items():
        print(f"  telemetry, {name:<22} {each:>8.0f} bytes each")
    print(
        f"  this disk: {DISK_BYTES} bytes and fdatasync p50 {disk.p50_ms:.1f} ms, p99 {disk.p99_ms:.1f} ms; edgectl, 16 at once"
    )
    print(f"  takes {base.p50_ms / disk.p50_ms:.1f} times that at p50 and {base.p99_ms / disk.p99_ms:.1f} times at p99")
    slowest = max(base.p99_ms, found["edgectl, 1 at once"].p99_ms)
    print(f"  p99 of a billing commit {slowest:.1f} ms, goal {P99_GOAL_MS:g} ms: {verdict(slowest, P99_GOAL_MS)}")
    blocked = verdict(blocked_ms, BLOCKED_GOAL_MS)
    print(f"  the loop was blocked for {blocked_ms:.1f} ms at most, goal {BLOCKED_GOAL_MS:g} ms: {blocked}")
    return {
        "events": events,
        "before": before,
        "stores": {name: asdict(one) for name, one in found.items()},
        "telemetry_bytes_each": telemetry,
        "disk": asdict(disk),
        "loop_blocked_ms": blocked_ms,
    }


async def _ledger(path: Path, events: int, before: int, callers: int) -> tuple[Figures, float]:
    """Callers on a loop, as in the daemon; and the longest the loop was kept from its next turn meanwhile."""
    latencies_ms: list[float] = []
    with closing(_open(path)) as ledger:
        for number in range(before):
            future = ledger.commit(_end(f"b-{number}"), _NOW)
        await asyncio.wrap_future(future)

        async def call(caller: int) -> None:
            for number in range(caller, events, callers):
                began_s = time.perf_counter()
                await asyncio.wrap_future(ledger.commit(_end(f"e-{number}"), _NOW))
                latencies_ms.append((time.perf_counter() - began_s) * 1_000)

        watch = asyncio.create_task(_longest_gap_ms())
        written, began_s = _written_bytes(), time.perf_counter()
        await asyncio.gather(*(call(caller) for caller in range(callers)))
        passed_s, written = time.perf_counter() - began_s, _written_bytes() - written
        watch.cancel()
        blocked_ms = await watch
        count = ledger.verify_chain().count
    if count != before + events:
        raise CheckFailedError(f"{count} records of {before + events} are in the chain")
    return Figures(events / passed_s, quantile(latencies_ms, 0.5), quantile(latencies_ms, 0.99), written / events), blocked_ms


async def _longest_gap_ms() -> float:
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
            await asyncio.sleep(0.001)
            last = time.perf_counter()
    except asyncio.CancelledError:
        return longest * 1_000


def _disk(path: Path, events: int) -> Figures:
    """What the disk takes by itself: one write and one sync, nobody else in this process."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:

        def write(_name: str) -> None:
            os.write(descriptor, bytes(DISK_BYTES))
            os.fdatasync(descriptor)

        return _timed(write, events, 0)
    finally:
        os.close(descriptor)


def _plain(path: Path, events: int, before: int) -> Figures:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for table in ("session", "message", "bill", "outbox"):
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT, body TEXT)")
            connection.execute(f"CREATE INDEX {table}_by_name ON {table} (name)")

        def write(name: str) -> None:
            session = _session(name)
            body = json.dumps(session_body(session))
            frame = f'[2,"{name}","StopTransaction",{{"meterStop":21000,"reason":"EVDisconnected"}}]'
            connection.execute("BEGIN IMMEDIATE")
            for table, text in (("session", body), ("message", frame), ("bill", body), ("outbox", body)):
                connection.execute(f"INSERT INTO {table} (name, body) VALUES (?, ?)", (name, text))
            connection.execute("COMMIT")

        return _timed(write, events, before)


def _tiny(path: Path, events: int, before: int) -> Figures:
    documents = {str(n): {"name": f"b-{n}", "body": session_body(_session(f"b-{n}"))} for n in range(1, before + 1)}
    path.write_text(json.dumps({"session": documents, "bill": documents}))
    with TinyDB(path) as database:
        sessions, bills = database.table("session"), database.table("bill")

        def write(name: str) -> None:
            document = {"name": name, "body": session_body(_session(name))}
            sessions.insert(document)
            bills.insert(document)

        return _timed(write, events, 0)


def _timed(write: Callable[[str], None], events: int, before: int) -> Figures:
    for number in range(before):
        write(f"b-{number}")
    latencies_ms = []
    written, began_s = _written_bytes(), time.perf_counter()
    for number in range(events):
        one_s = time.perf_counter()
        write(f"e-{number}")
        latencies_ms.append((time.perf_counter() - one_s) * 1_000)
    passed_s = time.perf_counter() - began_s
    return Figures(
        events / passed_s, quantile(latencies_ms, 0.5), quantile(latencies_ms, 0.99), (_written_bytes() - written) / events
    )


def _telemetry(path: Path, events: int) -> float:
    """Limits as they come at a busy site, a few at a time; what one of them costs."""
    with closing(_open(path)) as ledger:
        written = _written_bytes()
        for number in range(events):
            future = ledger.commit([_limit(number)], _NOW)
        ledger.commit([], _NOW).result(30)
        future.result(30)
        return (_written_bytes() - written) / events


def _plain_telemetry(path: Path, events: int) -> float:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE limits (id INTEGER PRIMARY KEY, charger TEXT, at INTEGER, ma INTEGER, reason TEXT)")
        connection.execute("CREATE INDEX limits_by_charger ON limits (charger, at)")
        written = _written_bytes()
        for number in range(events):
            values = (_CHARGER, number, 9_000, '{"cause":"circuit","authority":"conductor","subject":"hall-a"}')
            connection.execute("INSERT INTO limits (charger, at, ma, reason) VALUES (?, ?, ?, ?)", values)
        return (_written_bytes() - written) / events


def _open(path: Path) -> Ledger:
    return Ledger(path, site=SiteId("bench"), new_epoch=lambda: "bench-0123456789abcdef", now=_NOW)


def _end(name: str) -> list[Record]:
    session = _session(name)
    frame = f'[2,"{name}","StopTransaction",{{"meterStop":21000,"reason":"EVDisconnected"}}]'
    return [
        SessionKept(session),
        BillKept(session.id, 1, session_body(session)),
        MessageKept(_CHARGER, session.id, "StopTransaction", frame, _NOW.utc_ms),
    ]


def _limit(number: int) -> LimitKept:
    return LimitKept(EvseId(_CHARGER, 1), 9_000, Reason(Cause.CIRCUIT, Authority.CONDUCTOR), _NOW.utc_ms + number)


def _session(name: str) -> Session:
    hour_ms = 3_600_000
    return Session(
        id=SessionId(name),
        charger=_CHARGER,
        evse_number=1,
        connector_number=1,
        transaction=TransactionRef(name),
        status=SessionStatus.COMPLETED,
        id_token=IdToken("04A2B3C4D5E6F7"),
        authorisation=Authorisation("local-list", "edgectl", "Accepted", is_offline=False),
        started_utc_ms=_NOW.utc_ms - 6 * hour_ms,
        started_reported_utc_ms=_NOW.utc_ms - 6 * hour_ms,
        meter_start_wh=1_000,
        meter_last_wh=21_000,
        last_utc_ms=_NOW.utc_ms,
        ended_utc_ms=_NOW.utc_ms,
        meter_stop_wh=21_000,
        energy_wh=20_000,
        stop_reason="EVDisconnected",
        periods=tuple(
            Period(_NOW.utc_ms - n * hour_ms, _NOW.utc_ms - (n - 1) * hour_ms, PeriodState.CHARGING, 3_333, Cause.CIRCUIT)
            for n in range(6, 0, -1)
        ),
        rev=1,
    )


def _written_bytes() -> int:
    os.sync()
    fields: dict[str, Any] = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])
