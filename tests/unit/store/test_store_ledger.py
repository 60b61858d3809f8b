"""The ledger's own promises beyond its ports: group commit, trouble with the disk, the chain, the reader beside it."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.store_bench import WAIT_S, LedgerBench, ledger_bench
from support.store_records import DAY_MS, EVSE, NOW, alarm, assert_chain, bill, later, limit, receipt, session, unkeepable

from edgectl.domain.errors import StoreError
from edgectl.domain.records import Durability, MessageKept, ParkKept, SessionKept
from edgectl.ports import OutboxSummary
from edgectl.store.reader import LedgerFile
from edgectl.store.sqlite import Ledger
from edgectl.store.writer import BATCH_LIMIT, QUEUE_LIMIT, TELEMETRY_QUEUE_LIMIT

HOUR_MS = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


class Windows:
    """Counts the ledger's narrow windows, and can hold the writer in the first ``ledger-before-commit``."""

    def __init__(self, *, hold: bool = False) -> None:
        self.passed: Counter[str] = Counter()
        self.is_held = threading.Event()
        self._go_on = threading.Event()
        if not hold:
            self._go_on.set()

    def __call__(self, name: str) -> None:
        if name == "ledger-before-commit":
            self.is_held.set()
            assert self._go_on.wait(WAIT_S)
        self.passed[name] += 1

    def release(self) -> None:
        self._go_on.set()

    @property
    def transactions(self) -> int:
        return self.passed["ledger-after-commit"]


@pytest.fixture
def held(bench: LedgerBench) -> Iterator[tuple[Ledger, Windows]]:
    """A ledger whose disk is busy with a first transaction until released."""
    windows = Windows(hold=True)
    ledger = bench.open(fault=windows)
    ledger.commit([alarm("first")], NOW)
    assert windows.is_held.wait(WAIT_S)
    yield ledger, windows
    windows.release()


# --- group commit


def test_what_queues_during_a_sync_shares_the_next(bench: LedgerBench, held: tuple[Ledger, Windows]) -> None:
    ledger, windows = held
    with ThreadPoolExecutor(8) as callers:
        futures = list(callers.map(lambda number: ledger.commit([bill(f"s-{number}")], NOW), range(200)))
    windows.release()
    for future in futures:
        bench.wait(future)
    assert windows.transactions == 2
    assert windows.passed["ledger-before-callback"] == 201


def test_a_group_has_a_bound(bench: LedgerBench, held: tuple[Ledger, Windows]) -> None:
    ledger, windows = held
    futures = [ledger.commit([limit()], NOW) for _ in range(2 * BATCH_LIMIT + 1)]
    windows.release()
    for future in futures:
        bench.wait(future)
    assert windows.transactions == 4


def test_records_that_may_wait_go_with_the_next_billing_commit(bench: LedgerBench) -> None:
    windows = Windows()
    ledger = bench.open(fault=windows, progress_linger_ms=HOUR_MS, telemetry_linger_ms=HOUR_MS)
    waiting = [
        ledger.commit([limit()], NOW),
        ledger.commit([SessionKept(session(), Durability.PROGRESS)], NOW),
        ledger.mark_sent([1], NOW),
    ]
    bench.wait(ledger.commit([SessionKept(session(energy_wh=900))], NOW))
    assert all(future.done() for future in waiting)
    assert windows.transactions == 1
    assert ledger.restore().open_sessions == (session(energy_wh=900),)


def test_a_record_that_may_wait_does_not_slow_the_billing_before_it(bench: LedgerBench) -> None:
    windows = Windows(hold=True)
    ledger = bench.open(fault=windows, telemetry_linger_ms=HOUR_MS)
    ledger.commit([], NOW)
    assert windows.is_held.wait(WAIT_S)
    urgent, patient = ledger.commit([bill()], NOW), ledger.commit([limit()], NOW)
    windows.release()
    bench.wait(urgent)
    bench.wait(patient)


def test_a_list_is_as_urgent_as_its_most_urgent_record(bench: LedgerBench) -> None:
    ledger = bench.open(progress_linger_ms=HOUR_MS, telemetry_linger_ms=HOUR_MS)
    bench.wait(ledger.commit([limit(), alarm(), bill()], NOW))


def test_an_empty_commit_is_a_barrier(bench: LedgerBench) -> None:
    ledger = bench.open(telemetry_linger_ms=HOUR_MS)
    before = ledger.commit([limit()], NOW)
    bench.wait(ledger.commit([], NOW))
    assert before.done()


@pytest.mark.parametrize("record", [limit(), alarm()], ids=["telemetry", "progress"])
def test_records_that_may_wait_do_not_wait_for_ever(bench: LedgerBench, record: object) -> None:
    ledger = bench.open(progress_linger_ms=30, telemetry_linger_ms=30)
    bench.wait(ledger.commit([record], NOW))


def test_a_full_group_does_not_wait(bench: LedgerBench) -> None:
    ledger = bench.open(telemetry_linger_ms=HOUR_MS)
    for future in [ledger.commit([limit()], NOW) for _ in range(BATCH_LIMIT)]:
        bench.wait(future)


def test_a_stalled_disk_fills_the_queue_and_billing_has_the_last_half(held: tuple[Ledger, Windows]) -> None:
    ledger, _ = held
    for _ in range(TELEMETRY_QUEUE_LIMIT):
        ledger.commit([limit()], NOW)
    refused = ledger.commit([limit()], NOW).exception(timeout=0)
    assert isinstance(refused, StoreError)
    assert (refused.reason, refused.is_permanent) == ("queue-full", False)
    for _ in range(QUEUE_LIMIT - TELEMETRY_QUEUE_LIMIT):
        assert not ledger.commit([], NOW).done()
    assert ledger.commit([bill()], NOW).done()


def test_questions_are_answered_while_the_disk_is_busy(bench: LedgerBench, held: tuple[Ledger, Windows]) -> None:
    ledger, _ = held
    assert bench.wait(ledger.summary()) == OutboxSummary(0, 0, None)


async def test_the_loop_bridges_with_wrap_future(bench: LedgerBench) -> None:
    ledger = bench.open()
    async with asyncio.timeout(WAIT_S):
        await asyncio.wrap_future(ledger.commit([bill()], NOW))
        (row,) = await asyncio.wrap_future(ledger.rows("billing", 0, 10))
    assert row.record_id == "s-1"


def test_who_stops_waiting_does_not_undo_the_record(bench: LedgerBench, held: tuple[Ledger, Windows]) -> None:
    ledger, windows = held
    future = ledger.commit([bill()], NOW)
    assert not future.cancel()
    windows.release()
    bench.wait(future)
    assert len(bench.wait(ledger.rows("billing", 0, 10))) == 1


# --- trouble with the disk

SMALL_DISK_BYTES = 60 * 4_096


def test_a_full_disk_fails_commits_and_loses_nothing_acknowledged(bench: LedgerBench) -> None:
    ledger = bench.open(max_bytes=SMALL_DISK_BYTES)
    acknowledged = []
    trouble = None
    for number in range(1_000):
        trouble = ledger.commit([bill(f"s-{number}", note="x" * 2_000), alarm()], NOW).exception(WAIT_S)
        if trouble is not None:
            break
        acknowledged.append(f"s-{number}")
    assert isinstance(trouble, StoreError)
    assert (trouble.reason, trouble.is_permanent) == ("disk-full", False)
    epoch = ledger.restore().epoch
    ledger.close()

    ledger = bench.open()
    bench.wait(ledger.commit([bill("after")], NOW))
    rows = bench.wait(ledger.rows("billing", 0, 1_000))
    assert [row.record_id for row in rows] == [*acknowledged, "after"]
    assert len(bench.wait(ledger.rows("events", 0, 1_000))) == len(acknowledged)
    assert_chain([row.body for row in rows], epoch)


def test_what_does_not_fit_takes_nothing_of_its_group_with_it(bench: LedgerBench) -> None:
    windows = Windows(hold=True)
    ledger = bench.open(fault=windows, max_bytes=SMALL_DISK_BYTES)
    ledger.commit([], NOW)
    assert windows.is_held.wait(WAIT_S)
    huge = MessageKept(EVSE.charger, None, "DataTransfer", "x" * 2 * SMALL_DISK_BYTES, NOW.utc_ms)
    group = [ledger.commit([one], NOW) for one in (bill("a"), huge, bill("b"))]
    windows.release()
    assert [str(future.exception(WAIT_S))[:9] for future in group] == ["None", "disk-full", "None"]
    assert [row.record_id for row in bench.wait(ledger.rows("billing", 0, 10))] == ["a", "b"]


def test_a_failed_write_fails_the_commit_and_the_writer_goes_on(bench: LedgerBench) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([bill("before")], NOW))
    wal_bytes = bench.path.with_name("ledger.db-wal").stat().st_size
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal_bytes + 4_096, unlimited[1]))  # the kernel answers EFBIG beyond
    try:
        trouble = ledger.commit([SessionKept(session()), bill("lost", note="x" * 20_000)], NOW).exception(WAIT_S)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert isinstance(trouble, StoreError)
    assert (trouble.reason, trouble.is_permanent) == ("io-error", False)
    bench.wait(ledger.commit([bill("after")], NOW))
    assert [row.record_id for row in bench.wait(ledger.rows("billing", 0, 10))] == ["before", "after"]
    assert ledger.restore().open_sessions == ()
    assert ledger.verify_chain().is_intact


def test_the_fault_of_a_record_is_not_the_fault_of_the_disk(bench: LedgerBench) -> None:
    trouble = bench.open().commit([unkeepable()], NOW).exception(WAIT_S)
    assert isinstance(trouble, StoreError)
    assert (trouble.reason, trouble.is_permanent) == ("record-refused", True)


@pytest.mark.parametrize("text", ["\ud800", "nan", "big"])
def test_what_json_cannot_carry_is_refused(bench: LedgerBench, text: str) -> None:
    value: object = {"nan": float("nan"), "big": 2**53}.get(text, text)
    assert "record-refused" in str(bench.open().commit([bill(note=value)], NOW).exception(WAIT_S))


@pytest.mark.slow
def test_closing_gives_up_on_a_stuck_disk_and_keeps_the_ledger_locked(bench: LedgerBench, held: tuple[Ledger, Windows]) -> None:
    ledger, windows = held
    late = ledger.commit([bill()], NOW)
    ledger.close()
    with pytest.raises(StoreError, match="in-use"):
        bench.open()
    windows.release()
    bench.wait(late)


# --- parked rows


def test_a_parked_row_tells_why_and_goes_back_to_its_place(bench: LedgerBench) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([bill("a"), bill("b")], NOW))
    a, b = bench.wait(ledger.rows("billing", 0, 10))
    bench.wait(ledger.mark_sent([a.seq], NOW))
    bench.wait(ledger.commit([ParkKept(a.seq, "larger than the broker takes", NOW.utc_ms + 7)], NOW))
    (parked,) = bench.wait(ledger.parked(10))
    assert (parked.row.record_id, parked.reason, parked.parked_utc_ms) == ("a", "larger than the broker takes", NOW.utc_ms + 7)
    assert bench.wait(ledger.requeue([a.seq, b.seq, 999])) == 1
    assert bench.wait(ledger.rows("billing", 0, 10)) == [a, b]
    assert bench.wait(ledger.parked(10)) == []


def test_a_receipt_is_noted_on_the_bill(bench: LedgerBench) -> None:
    ledger = bench.open()
    epoch = ledger.restore().epoch
    bench.wait(ledger.commit([bill("a"), bill("b"), bill("c")], NOW))
    bench.wait(ledger.commit([receipt(epoch, ("c", 1), through=1), receipt("other", ("b", 1))], NOW))
    ledger.close()
    with sqlite3.connect(bench.path) as connection:
        receipted = connection.execute("SELECT record_id FROM bill WHERE receipted_utc_ms IS NOT NULL ORDER BY seq").fetchall()
        applied = connection.execute("SELECT epoch, is_applied FROM receipt ORDER BY id").fetchall()
    connection.close()
    assert receipted == [("a",), ("c",)]
    assert applied == [(epoch, 1), ("other", 0)]


# --- limits


def test_limits_older_than_thirty_days_go_in_small_steps(bench: LedgerBench) -> None:
    ledger = bench.open()
    for number in range(20):
        ledger.commit([limit(NOW.utc_ms + number)], NOW)
    future = later(30 * DAY_MS + 10)
    counts = []
    for _ in range(6):
        bench.wait(ledger.commit([limit(future.utc_ms)], future))
        counts.append(len(ledger.limits(EVSE, future.utc_ms, 100)))
    assert counts == [17, 14, 13, 14, 15, 16]
    assert min(kept.at_utc_ms for kept in ledger.limits(EVSE, future.utc_ms, 100)) == NOW.utc_ms + 10


# --- the chain, and reading beside a running daemon


def test_the_chain_is_verified_beside_a_writing_ledger(bench: LedgerBench) -> None:
    ledger = bench.open()
    for number in range(30):
        ledger.commit([bill(f"s-{number}")], NOW)
    bench.wait(ledger.commit([], NOW))
    with LedgerFile(bench.path) as beside:
        bench.wait(ledger.commit([bill("later")], NOW))
        report = beside.verify_chain()
    assert (report.count, report.first_broken_seq, report.why) == (31, None, "")


def test_a_stopped_ledger_can_be_read(bench: LedgerBench) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([bill(), SessionKept(session())], NOW))
    ledger.close()
    with LedgerFile(bench.path) as file:
        assert file.verify_chain().count == 1
        assert file.session("s-1") == session()


def test_a_reader_cannot_write(bench: LedgerBench) -> None:
    bench.open()
    with pytest.raises(StoreError, match="cannot-open"):
        LedgerFile(bench.path.with_name("no-such.db"))
    assert not bench.path.with_name("no-such.db").exists()


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        ("UPDATE bill SET body = CAST(replace(CAST(body AS TEXT), '12400', '12401') AS BLOB) WHERE seq = 3", "does not fit"),
        ("UPDATE bill SET rev = 2 WHERE seq = 3", "differ"),
        ("UPDATE bill SET hash = prev_hash WHERE seq = 3", "differ"),
        ("DELETE FROM bill WHERE seq = 3", "record 3 is missing"),
        ("UPDATE bill SET body = (SELECT body FROM bill WHERE seq = 2) WHERE seq = 3", "differ"),
    ],
    ids=["body", "column", "hash", "missing", "exchanged"],
)
def test_tampering_with_a_bill_is_found(bench: LedgerBench, tamper: str, why: str) -> None:
    ledger = bench.open()
    for number in range(5):
        ledger.commit([bill(f"s-{number}")], NOW)
    ledger.close()
    with sqlite3.connect(bench.path) as connection:
        assert connection.execute(tamper).rowcount == 1
    connection.close()
    report = bench.open().verify_chain()
    assert report.count == 2
    assert report.first_broken_seq in (3, 4)
    assert why in report.why


def test_a_session_that_cannot_be_read_does_not_stop_the_start(bench: LedgerBench) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([SessionKept(session("good")), SessionKept(session("bad"))], NOW))
    ledger.close()
    with sqlite3.connect(bench.path) as connection:
        connection.execute("UPDATE session SET body = '{\"id\": 5}' WHERE id = 'bad'")
    connection.close()
    assert bench.open().restore().open_sessions == (session("good"),)
