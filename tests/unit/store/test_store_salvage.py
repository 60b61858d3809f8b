"""What is had of a ledger that is damaged, and of a backup; and that it is owed again, once."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import DAY_MS, NOW, alarm, assert_chain, bill, ended, later, message, receipt, session

from edgectl.domain.bill import session_body
from edgectl.domain.errors import StoreError
from edgectl.domain.ids import SessionId
from edgectl.domain.records import BillKept, Correction, CorrectionKind, Session, SessionKept, SessionStatus
from edgectl.store.copies import backup
from edgectl.store.opening import unsalvaged
from edgectl.store.reader import LedgerFile
from edgectl.store.salvage import SalvageReport, salvage

COUNT = 120
RECEIPTED = 40
PAGE = 4_096


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


def true_bill(number: int) -> BillKept:
    return BillKept(one(number).id, 1, session_body(one(number)))


def one(number: int) -> Session:
    return replace(ended(f"s-{number}", NOW.utc_ms + number, energy_wh=number), rev=1)


@pytest.fixture
def used(bench: LedgerBench) -> LedgerBench:
    """A closed ledger with sessions whose rows are short, longer than a page, and in the way of splitting pages."""
    ledger = bench.open()
    for number in range(COUNT):
        ledger.commit([SessionKept(session(f"s-{number}"))], NOW)
    for number in range(COUNT):
        extra = "x" * (9_000 if number % 10 == 0 else 300)
        record = BillKept(one(number).id, 1, session_body(one(number)))
        ledger.commit([SessionKept(one(number)), message(f"s-{number}"), record, alarm(note=extra)], NOW)
    ledger.commit([SessionKept(session("running", energy_wh=700))], NOW)
    acked = [(f"s-{number}", 1) for number in range(RECEIPTED)]
    bench.wait(ledger.commit([receipt(ledger.opened.epoch, *acked)], NOW))
    ledger.close()
    return bench


def found(report: SalvageReport) -> dict[str, int]:
    return {table.name: table.found for table in report.tables}


def spoil(path: Path, page: int, seed: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(random.Random(seed).randbytes(PAGE))


def rows(path: Path, table: str) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute(f"SELECT * FROM {table}"))


def test_of_a_sound_ledger_every_row_is_found_as_it_was(used: LedgerBench, tmp_path: Path) -> None:
    report = salvage(used.path, tmp_path / "out.db")
    for table in ("session", "message", "bill", "outbox", "event", "receipt"):
        assert rows(tmp_path / "out.db", table) == rows(used.path, table), table
    assert (report.lost_pages, report.missing_seqs, report.lost_records) == (0, (), ())
    assert (report.first_seq, report.last_seq, report.owed_count) == (1, COUNT, COUNT - RECEIPTED)
    assert [one.session for one in report.open_sessions] == ["running"]
    with LedgerFile(tmp_path / "out.db") as copy:
        assert (copy.verify_chain().count, copy.epoch()) == (COUNT, used.opened[0].opened.epoch)


def test_what_is_only_in_the_log_is_found(bench: LedgerBench, tmp_path: Path) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([SessionKept(one(1)), bill("s-1", note="x" * 9_000)], NOW))
    shutil.copy(bench.path, tmp_path / "cut.db")
    log = bench.path.with_name("ledger.db-wal").read_bytes()
    (tmp_path / "cut.db-wal").write_bytes(log + os.urandom(1_000))
    assert found(salvage(tmp_path / "cut.db", tmp_path / "out.db"))["bill"] == 1
    (tmp_path / "cut.db").unlink()
    assert found(salvage(tmp_path / "cut.db", tmp_path / "out.db"))["bill"] == 1, "the log alone"


def test_a_torn_log_ends_with_the_last_whole_commit(bench: LedgerBench, tmp_path: Path) -> None:
    ledger = bench.open()
    sizes = []
    for number in range(20):
        bench.wait(ledger.commit([bill(f"s-{number}")], NOW))
        sizes.append(bench.path.with_name("ledger.db-wal").stat().st_size)
    log = bench.path.with_name("ledger.db-wal").read_bytes()
    shutil.copy(bench.path, tmp_path / "cut.db")
    for kept in (0, 7, 18):
        (tmp_path / "cut.db-wal").write_bytes(log[: sizes[kept] + PAGE])
        assert found(salvage(tmp_path / "cut.db", tmp_path / "out.db"))["bill"] == kept + 1


def test_billing_records_behind_a_damaged_place_in_the_log_are_found(bench: LedgerBench, tmp_path: Path) -> None:
    """SQLite reads a log up to its first damaged byte; everything after it was acknowledged all the same."""
    ledger = bench.open()
    for number in range(30):
        bench.wait(ledger.commit([bill(f"s-{number}", note="x" * 3_000)], NOW))
        middle = bench.path.with_name("ledger.db-wal").stat().st_size if number == 10 else 0
        if middle:
            place = middle
    log = bytearray(bench.path.with_name("ledger.db-wal").read_bytes())
    log[place + 500] ^= 0xFF
    shutil.copy(bench.path, tmp_path / "cut.db")
    (tmp_path / "cut.db-wal").write_bytes(log)
    with closing(sqlite3.connect(f"file:{tmp_path / 'cut.db'}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM bill").fetchone()[0] == 11
    (tmp_path / "cut.db-wal").write_bytes(log)
    assert found(salvage(tmp_path / "cut.db", tmp_path / "out.db"))["bill"] >= 29


def test_a_damaged_page_costs_no_more_than_what_lies_on_it(used: LedgerBench, tmp_path: Path) -> None:
    whole = found(salvage(used.path, tmp_path / "whole.db"))
    pages = used.path.stat().st_size // PAGE
    bad = tmp_path / "bad.db"
    lost = dict.fromkeys(whole, 0)
    for page in range(1, pages + 1, 7):
        shutil.copy(used.path, bad)
        spoil(bad, page, seed=page)
        report = salvage(bad, tmp_path / "out.db")
        got = found(report)
        assert report.owed_count >= COUNT - RECEIPTED - 1, "what is owed stands in the file twice"
        for table in whole:
            assert got[table] <= whole[table]
            lost[table] += whole[table] - got[table]
        absent = sum(last - first + 1 for first, last in report.missing_seqs)
        assert absent == COUNT - got["bill"], "what is lost is named"
        if got["session"] < whole["session"]:
            continue
        assert len(report.lost_records) == absent, "and can be made again where its session is there"
    assert 0 < sum(lost.values()) <= sum(whole.values()) / 4, "a seventh of the pages, one at a time"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_gives_back_what_stands_before_its_end(used: LedgerBench, tmp_path: Path, share: float) -> None:
    bad = tmp_path / "bad.db"
    bad.write_bytes(used.path.read_bytes()[: int(used.path.stat().st_size * share)])
    report = salvage(bad, tmp_path / "out.db")
    assert found(report)["session"] >= COUNT * share / 3
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM bill ORDER BY seq")]
    for body in bodies:
        assert json.loads(body)["epoch"] == report.epoch


def test_a_ledger_in_use_is_not_read_behind_its_back(used: LedgerBench, tmp_path: Path) -> None:
    ledger = used.open()
    with pytest.raises(StoreError, match=r"in-use: .* make a backup"):
        salvage(used.path, tmp_path / "out.db")
    ledger.close()
    assert salvage(used.path, tmp_path / "out.db").last_seq == COUNT


def test_what_is_no_ledger_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(random.Random(3).randbytes(100_000))
    with pytest.raises(StoreError, match="nothing-found"):
        salvage(tmp_path / "noise", tmp_path / "out.db")
    with pytest.raises(StoreError, match="cannot-open"):
        salvage(tmp_path / "not there", tmp_path / "out.db")
    assert [path.name for path in tmp_path.iterdir()] == ["noise"]


# --- owed again


def test_what_had_no_receipt_is_owed_again_in_the_new_epoch_and_only_once(used: LedgerBench) -> None:
    spoil(used.path, 1)
    ledger = used.open()
    aside = unsalvaged(used.path)
    assert aside == ledger.opened.quarantined
    assert aside is not None
    copy = aside.with_name(f"{aside.name}.salvaged")
    salvage(aside, copy)
    taken = ledger.take_in(copy, later(1_000))
    assert (taken.sessions, taken.bills, taken.rebuilt, taken.refused) == (COUNT, COUNT - RECEIPTED, 0, ())
    owed = used.wait(ledger.rows("billing", 0, 1_000))
    assert [(row.record_id, row.rev) for row in owed] == [(f"s-{number}", 1) for number in range(RECEIPTED, COUNT)]
    assert_chain([row.body for row in owed], ledger.opened.epoch)
    assert json.loads(owed[0].body)["session"] == json.loads(json.dumps(session_body(one(RECEIPTED))))
    running = ledger.session("running")
    assert running is not None
    assert (running.status, "ledger-replaced" in running.flags) == (SessionStatus.ACTIVE, True), (
        "it goes on, and is not taken in again"
    )

    again = ledger.take_in(copy, later(2_000))
    assert (again.sessions, again.rebuilt, again.refused) == (0, 0, ())
    assert used.wait(ledger.rows("billing", 0, 1_000)) == owed
    assert unsalvaged(used.path) is None


def test_a_record_that_is_lost_is_made_again_from_its_session(used: LedgerBench, tmp_path: Path) -> None:
    with closing(sqlite3.connect(used.path)) as connection, connection:
        connection.execute("DELETE FROM outbox WHERE record_id = 's-77'")
        connection.execute("DELETE FROM bill WHERE record_id = 's-77'")
        connection.execute("UPDATE outbox SET body = zeroblob(500), record_id = 'x' WHERE record_id = 's-78'")
        connection.execute("UPDATE bill SET body = zeroblob(500) WHERE record_id = 's-78'")
    report = salvage(used.path, tmp_path / "copy.db")
    assert report.lost_records == (("s-77", 1), ("s-78", 1))
    assert report.missing_seqs == ((78, 79),)
    fresh = LedgerBench(tmp_path / "fresh" / "ledger.db")
    fresh.path.parent.mkdir()
    with closing(fresh.open()) as ledger:
        taken = ledger.take_in(tmp_path / "copy.db", NOW)
        assert (taken.bills, taken.rebuilt) == (COUNT - RECEIPTED, 2)
        owed = {row.record_id: json.loads(row.body)["session"] for row in fresh.wait(ledger.rows("billing", 0, 1_000))}
    assert owed["s-77"] == json.loads(json.dumps(session_body(one(77))))


def test_a_record_that_is_here_with_another_content_is_told_and_stays_out(used: LedgerBench, tmp_path: Path) -> None:
    salvage(used.path, tmp_path / "copy.db")
    fresh = LedgerBench(tmp_path / "fresh" / "ledger.db")
    fresh.path.parent.mkdir()
    with closing(fresh.open()) as ledger:
        fresh.wait(ledger.commit([bill("s-90", energy_wh=1)], NOW))
        taken = ledger.take_in(tmp_path / "copy.db", NOW)
    assert (taken.bills, len(taken.refused)) == (COUNT - RECEIPTED - 1, 1)
    assert taken.refused[0].startswith("s-90 rev 1: ")


def test_only_a_copy_is_taken_in(used: LedgerBench, tmp_path: Path) -> None:
    shutil.copy(used.path, tmp_path / "plain.db")
    with pytest.raises(StoreError, match="not-a-copy"):
        used.open().take_in(tmp_path / "plain.db", NOW)


def test_numbers_of_transactions_do_not_begin_again_when_a_ledger_is_lost(used: LedgerBench) -> None:
    spoil(used.path, 1)
    assert used.open().restore().last_transaction_number > 3_000_000


# --- backup


def test_a_backup_is_made_beside_a_ledger_in_use(bench: LedgerBench, tmp_path: Path) -> None:
    ledger = bench.open()
    bench.wait(ledger.commit([SessionKept(one(1)), true_bill(1)], NOW))
    report = backup(bench.path, tmp_path / "copy.db", NOW)
    assert (report.bill_count, report.session_count, report.epoch) == (1, 1, ledger.opened.epoch)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    bench.wait(ledger.commit([true_bill(2)], NOW))
    with LedgerFile(tmp_path / "copy.db") as copy:
        assert copy.verify_chain().count == 1
    with pytest.raises(StoreError, match="exists"):
        backup(bench.path, tmp_path / "copy.db", NOW)


def test_a_backup_put_in_the_place_of_the_ledger_begins_a_new_epoch_and_waits_for_a_salvage(
    used: LedgerBench, tmp_path: Path
) -> None:
    backup(used.path, tmp_path / "copy.db", NOW)
    used.path.unlink()
    shutil.copy(tmp_path / "copy.db", used.path)
    ledger = used.open()
    assert ledger.opened.epoch != used.opened[0].opened.epoch
    aside = unsalvaged(used.path)
    assert aside is not None
    salvage(aside, tmp_path / "salvaged.db")
    assert ledger.take_in(tmp_path / "salvaged.db", NOW).bills == COUNT - RECEIPTED


def test_a_backup_goes_on_a_stick_without_permissions_too(used: LedgerBench, tmp_path: Path, mocker: MockerFixture) -> None:
    """A FAT file system refuses to take rights from somebody; there is none to be had in a test."""
    mocker.patch.object(Path, "chmod", side_effect=PermissionError)
    mocker.patch("os.chown", side_effect=PermissionError)
    assert backup(used.path, tmp_path / "copy.db", NOW).bill_count == COUNT


def test_a_backup_that_cannot_be_made_leaves_nothing(used: LedgerBench, tmp_path: Path) -> None:
    spoil(used.path, 40)
    spoil(used.path, 60)
    with pytest.raises(StoreError):
        backup(used.path, tmp_path / "copy.db", NOW)
    with pytest.raises(StoreError, match="cannot-open"):
        backup(used.path, tmp_path / "no folder" / "copy.db", NOW)
    assert not list(tmp_path.glob("copy.db*"))


def test_a_corrected_record_comes_back_with_its_credit_and_its_replacement(bench: LedgerBench, tmp_path: Path) -> None:
    at_utc_ms = NOW.utc_ms + 40 * DAY_MS

    def follower(name: str, kind: CorrectionKind) -> Session:
        about = Correction(kind, one(1).id, one(1).id, at_utc_ms, "ops", "meter exchanged")
        return replace(one(1), id=SessionId(name), correction=about)

    followers = follower("credit", CorrectionKind.CREDIT), follower("replacement", CorrectionKind.REPLACEMENT)
    noted = replace(one(1), credited_by=followers[0].id, replaced_by=followers[1].id)
    ledger = bench.open()
    ledger.commit([SessionKept(one(1)), true_bill(1)], NOW)
    ledger.commit([SessionKept(session("after", started_utc_ms=NOW.utc_ms + DAY_MS))], NOW)
    kept = [record for each in followers for record in (SessionKept(each), BillKept(each.id, 1, session_body(each)))]
    bench.wait(ledger.commit([SessionKept(noted), *kept], NOW))
    assert [found.id for found in ledger.sessions(None, None, 10)] == ["replacement", "credit", "after", "s-1"]  # by when made
    assert [found.id for found in ledger.sessions(at_utc_ms, None, 10)] == ["replacement", "credit"]
    ledger.close()

    salvage(bench.path, tmp_path / "found.db")
    (tmp_path / "fresh").mkdir()
    with closing(LedgerBench(tmp_path / "fresh" / "ledger.db").open()) as fresh:
        taken = fresh.take_in(tmp_path / "found.db", NOW)
        assert (taken.sessions, taken.bills, taken.refused) == (4, 3, ())
        assert [fresh.session(each.id) for each in (noted, *followers)] == [noted, *followers]
        assert fresh.verify_chain().is_intact
