"""A disk that fails: the nth write or sync of the real ledger, for every n, and as long as it lasts.

SQLite writes through a VFS of ours here (see ``hwsim.campaigns.recorder``), in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.store_records import NOW, assert_chain, bill, session

from edgectl.domain.errors import StoreError
from edgectl.domain.ids import SiteId
from edgectl.domain.records import SessionKept
from edgectl.store.sqlite import Ledger
from hwsim.campaigns.recorder import Entry, Recorder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READ_ONLY, IO_ERROR, FULL = sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_FULL
FSYNC_FAILED = sqlite3.SQLITE_IOERR_FSYNC
REASONS = {READ_ONLY: "read-only", IO_ERROR: "io-error", FULL: "disk-full", FSYNC_FAILED: "io-error"}
COMMITS = 3


def in_a_process_of_its_own(work: Any, *values: Any) -> Any:
    made = multiprocessing.get_context("spawn")
    with made.Pool(1) as pool:
        return pool.apply(work, values)


def opened(path: Path) -> Ledger:
    return Ledger(path, site=SiteId("depot"), new_epoch=lambda: "epoch", now=NOW, progress_linger_ms=0)


def fail_each(folder: Path, what: str, code: int) -> tuple[int, dict[str, int]]:
    """The nth ``what`` fails once, for every n until nothing fails any more. How many n, and what callers were told."""
    recorder = Recorder()
    told: dict[str, int] = {}
    nth = 0
    while True:
        nth += 1
        path = folder / f"{nth}.db"
        counted = [0]
        with closing(opened(path)) as ledger:
            recorder.refuse = lambda entry, counted=counted, nth=nth: _nth(entry, what, counted, nth, code)  # type: ignore[misc]
            kept = []
            for number in range(COMMITS):
                name = f"s-{number}"
                trouble = ledger.commit([SessionKept(session(name)), bill(name, note="x" * 3_000)], NOW).exception(30)
                if trouble is None:
                    kept.append(name)
                else:
                    assert isinstance(trouble, StoreError)
                    told[trouble.reason] = told.get(trouble.reason, 0) + 1
                    # What was refused is tried again, as the daemon does.
                    ledger.commit([SessionKept(session(name)), bill(name, note="x" * 3_000)], NOW).result(30)
                    kept.append(name)
        recorder.refuse = lambda _: 0
        with closing(opened(path)) as ledger:
            assert ledger.opened.quarantined is None
            owed = ledger.rows("billing", 0, 100).result(30)
            assert [row.record_id for row in owed] == kept, nth
            assert_chain([row.body for row in owed], "epoch")
            assert len(ledger.restore().open_sessions) == COMMITS
        path.unlink()
        if counted[0] < nth:
            return nth - 1, told


def _nth(entry: Entry, what: str, counted: list[int], nth: int, code: int) -> int:
    if entry.what != what:
        return 0
    counted[0] += 1
    return code if counted[0] == nth else 0


@pytest.mark.parametrize(("what", "code"), [("write", IO_ERROR), ("write", FULL), ("write", READ_ONLY), ("sync", FSYNC_FAILED)])
def test_whichever_call_fails_nothing_acknowledged_is_lost_and_the_writer_goes_on(tmp_path: Path, what: str, code: int) -> None:
    count, told = in_a_process_of_its_own(fail_each, tmp_path, what, code)
    assert count >= COMMITS, "each commit writes and syncs"
    assert set(told) == {REASONS[code]}, told
    assert told[REASONS[code]] >= COMMITS


def stay_read_only(path: Path) -> list[str]:
    recorder = Recorder()
    told = []
    with closing(opened(path)) as ledger:
        ledger.commit([SessionKept(session("before")), bill("before")], NOW).result(30)
        recorder.refuse = lambda _: READ_ONLY
        for number in range(5):
            trouble = ledger.commit([bill(f"s-{number}")], NOW).exception(30)
            told.append(trouble.reason if isinstance(trouble, StoreError) else "stored")
            assert [one.id for one in ledger.restore().open_sessions] == ["before"], "what there is can be read"
        recorder.refuse = lambda _: 0
        ledger.commit([bill("after")], NOW).result(30)
        told += [row.record_id for row in ledger.rows("billing", 0, 10).result(30)]
    return told


def test_a_file_system_that_turns_read_only_refuses_until_it_is_writable_again(tmp_path: Path) -> None:
    assert in_a_process_of_its_own(stay_read_only, tmp_path / "ledger.db") == ["read-only"] * 5 + ["before", "after"]


def sync_slowly(path: Path) -> tuple[float, float, int]:
    recorder = Recorder()
    with closing(opened(path)) as ledger:
        recorder.refuse = lambda entry: time.sleep(1.5) or 0 if entry.what == "sync" else 0  # type: ignore[func-returns-value]
        began = time.monotonic()
        futures = [ledger.commit([bill(f"s-{number}")], NOW) for number in range(300)]
        queued_s = time.monotonic() - began
        began = time.monotonic()
        ledger.restore()
        ledger.summary().result(30)
        asked_s = time.monotonic() - began
        for future in futures:
            future.result(30)
        recorder.refuse = lambda _: 0
        count = sum(entry.what == "sync" and entry.file.endswith("-wal") for entry in recorder.log)
    return queued_s, asked_s, count


def test_a_slow_sync_holds_up_nobody_who_does_not_wait_for_it(tmp_path: Path) -> None:
    queued_s, asked_s, sync_count = in_a_process_of_its_own(sync_slowly, tmp_path / "ledger.db")
    assert queued_s < 1, "to hand a record over takes no sync"
    assert asked_s < 1, "nor does a question"
    assert sync_count <= 10, "three hundred records share a few"


def test_a_clock_that_is_wrong_changes_no_order_and_no_record(tmp_path: Path) -> None:
    """An hour on, an hour back (as in autumn, though we keep no local time), 1970, a year ahead, and right again."""
    hours = (0, 1, -1, -490_000, 8_760, 0)
    with closing(opened(tmp_path / "ledger.db")) as ledger:
        for number, hour in enumerate(hours):
            now = type(NOW)(NOW.mono_ms + number, max(0, NOW.utc_ms + hour * 3_600_000))
            one = session(f"s-{number}", started_utc_ms=now.utc_ms, energy_wh=number)
            ledger.commit([SessionKept(one), bill(one.id, energy_wh=number)], now).result(30)
            ledger.tidy(now).result(30)
    with closing(opened(tmp_path / "ledger.db")) as ledger:
        owed = ledger.rows("billing", 0, 10).result(30)
        assert [row.record_id for row in owed] == [f"s-{number}" for number in range(len(hours))]
        assert ledger.verify_chain().count == len(hours)
        assert {one.energy_wh for one in ledger.restore().open_sessions} == set(range(len(hours)))
