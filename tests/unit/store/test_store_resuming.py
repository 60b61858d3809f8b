"""What ran when the ledger broke goes on in the new one: under its own id, from its true start, and only what can be believed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import NOW, alarm, bill, ended, later, message, session

from edgectl.domain.errors import StoreError
from edgectl.domain.records import SessionKept
from edgectl.store.copies import backup
from edgectl.store.opening import open_ledger, unsalvaged
from edgectl.store.resuming import RESUMED, running
from edgectl.store.salvage import salvage

PAGE = 4_096


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def used(bench: LedgerBench) -> LedgerBench:
    """A closed ledger with sessions that are over, one of them billed, and two that run."""
    ledger = bench.open()
    for number in range(60):
        ledger.commit([SessionKept(session(f"s-{number}"))], NOW)
    for number in range(60):
        over = ended(f"s-{number}", NOW.utc_ms + number)
        ledger.commit([SessionKept(over), message(f"s-{number}"), bill(f"s-{number}"), alarm(note="x" * 500)], NOW)
    for name in ("r-1", "r-2"):
        ledger.commit([SessionKept(session(name, energy_wh=100)), message(name)], NOW)
    bench.wait(ledger.commit([SessionKept(replace(session("r-1", energy_wh=700), last_utc_ms=NOW.utc_ms + 1))], NOW))
    ledger.close()
    return bench


def spoil(path: Path, *pages: int) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(random.Random(page).randbytes(PAGE))


def names(path: Path) -> list[str]:
    return [record.session.id for record in running(path) if isinstance(record, SessionKept)]


def test_it_goes_on_with_its_id_its_start_its_newest_register_and_its_messages(used: LedgerBench) -> None:
    before = {one.id: one for one in used.open().restore().open_sessions}
    used.opened[-1].close()
    spoil(used.path, 1)
    ledger = used.open()
    assert ledger.opened.quarantined is not None
    now = {one.id: one for one in ledger.restore().open_sessions}
    assert set(now) == {"r-1", "r-2"}
    for name, one in now.items():
        assert one.flags == tuple(sorted({*before[name].flags, RESUMED}))
        assert (one.meter_start_wh, one.energy_wh, one.id_token) == (
            before[name].meter_start_wh,
            before[name].energy_wh,
            before[name].id_token,
        )
    with closing(sqlite3.connect(used.path)) as connection:
        assert connection.execute("SELECT session_id FROM message ORDER BY session_id").fetchall() == [("r-1",), ("r-2",)]


def test_whatever_page_is_lost_nothing_that_is_over_goes_on(used: LedgerBench, tmp_path: Path) -> None:
    content = used.path.read_bytes()
    bad = tmp_path / "bad.db"
    missed = 0
    count = len(content) // PAGE
    for page in range(1, count + 1):
        bad.write_bytes(content)
        spoil(bad, page)
        found = names(bad)
        assert set(found) <= {"r-1", "r-2"}, page
        missed += len(found) < 2
    assert 0 < missed <= count / 10, "only the pages on which they stand"


def test_a_backup_in_the_ledgers_place_resumes_nothing(used: LedgerBench, tmp_path: Path) -> None:
    backup(used.path, tmp_path / "copy.db", NOW)
    used.path.write_bytes((tmp_path / "copy.db").read_bytes())
    ledger = used.open()
    assert ledger.opened.quarantined is not None
    assert ledger.restore().open_sessions == ()


def test_a_large_file_is_asked_through_sqlite_and_believed_only_where_that_answers(used: LedgerBench) -> None:
    asked = [record for record in running(used.path, most_pages=3) if isinstance(record, SessionKept)]
    assert [record.session.id for record in asked] == ["r-1", "r-2"]
    spoil(used.path, 1)
    assert running(used.path, most_pages=3) == []


def test_a_start_that_is_cut_off_before_the_new_ledger_begins_is_made_up_for(used: LedgerBench) -> None:
    spoil(used.path, 1)

    def cut(_: sqlite3.Connection, __: Path) -> None:
        raise StoreError("io-error", "cut off", is_permanent=False)

    with pytest.raises(StoreError, match="cut off"):
        open_ledger(used.path, new_epoch=lambda: "epoch-never-seen-by-anyone", now=NOW, max_bytes=1 << 30, resume=cut)
    ledger = used.open()
    assert ledger.opened.quarantined is None, "it was set aside by the start before"
    assert ledger.opened.epoch != "epoch-never-seen-by-anyone"
    assert [one.id for one in ledger.restore().open_sessions] == ["r-1", "r-2"]


def test_what_went_on_and_ended_is_not_taken_in_again_by_a_salvage(used: LedgerBench) -> None:
    spoil(used.path, 1)
    ledger = used.open()
    used.wait(ledger.commit([SessionKept(ended("r-1", NOW.utc_ms + 5)), bill("r-1")], later(5)))
    aside = unsalvaged(used.path)
    assert aside is not None
    copy = aside.with_name(f"{aside.name}.salvaged")
    salvage(aside, copy)
    taken = ledger.take_in(copy, later(10))
    assert (taken.sessions, taken.bills, taken.refused) == (60, 60, ())
    owed = [row.record_id for row in used.wait(ledger.rows("billing", 0, 1_000))]
    assert owed.count("r-1") == 1
    assert ledger.verify_chain().is_intact
