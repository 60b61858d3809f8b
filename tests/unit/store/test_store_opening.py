"""How the ledger begins: fresh, again, damaged, from an older or a newer edgectl, twice, and without permission."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import NOW, alarm, assert_chain, bill, ended, session

from edgectl.domain.errors import StoreError
from edgectl.domain.records import SessionKept
from edgectl.store.errors import is_damage, store_error
from edgectl.store.opening import Migration, migrate, migrations, open_ledger
from edgectl.store.reader import RECENT

DATA = Path(__file__).parent / "data"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def used(bench: LedgerBench) -> LedgerBench:
    """A bench with a closed ledger of many pages."""
    ledger = bench.open()
    for number in range(200):
        ledger.commit([SessionKept(session(f"s-{number}")), bill(f"s-{number}", note="x" * 900)], NOW)
    ledger.close()
    return bench


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.endswith(".lock"))


# --- damage


@pytest.mark.parametrize("page", [1, 2, 40], ids=["header", "root", "leaf"])
def test_a_damaged_page_puts_the_file_aside_and_starts_a_new_epoch(used: LedgerBench, page: int) -> None:
    epoch = used.opened[0].opened.epoch
    with used.path.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xa5" * 4_096)
    damaged = used.path.read_bytes()

    ledger = used.open()
    aside = used.path.with_name("ledger.db.damaged-20260101T000000.000Z")
    assert ledger.opened.quarantined == aside
    assert aside.read_bytes() == damaged
    assert ledger.opened.epoch != epoch
    assert ledger.restore().open_sessions == ()
    used.wait(ledger.commit([bill()], NOW))
    assert_chain([row.body for row in used.wait(ledger.rows("billing", 0, 10))], ledger.opened.epoch)


def test_a_file_that_is_no_database_is_put_aside(bench: LedgerBench) -> None:
    bench.path.write_bytes(b"not a database, however long one looks at it" * 100)
    assert bench.open().opened.quarantined is not None


def test_a_truncated_file_is_put_aside(used: LedgerBench) -> None:
    os.truncate(used.path, used.path.stat().st_size // 2)
    assert used.open().opened.quarantined is not None


def test_the_wal_of_a_damaged_file_is_kept_with_it(used: LedgerBench, tmp_path: Path) -> None:
    ledger = used.open()
    used.wait(ledger.commit([bill("only in the WAL")], NOW))
    copy = LedgerBench(tmp_path / "copy" / "ledger.db")
    copy.path.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{used.path}{suffix}", f"{copy.path}{suffix}")
    wal = copy.path.with_name("ledger.db-wal").read_bytes()
    with copy.path.open("r+b") as file:
        file.seek(100 * 4_096)
        file.write(b"\xa5" * 4_096 * 10)

    with closing(copy.open()) as fresh:
        aside = fresh.opened.quarantined
        assert aside is not None
        assert aside.with_name(f"{aside.name}-wal").read_bytes() == wal


def test_a_wal_left_over_by_an_interrupted_quarantine_is_kept(bench: LedgerBench) -> None:
    wal = bench.path.with_name("ledger.db-wal")
    wal.write_bytes(b"frames")
    aside = bench.open().opened.quarantined
    assert aside is not None
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"frames"


def test_a_second_quarantine_in_the_same_second_keeps_both(bench: LedgerBench) -> None:
    kept = []
    for content in (b"first " * 1_000, b"second " * 1_000):
        bench.path.write_bytes(content)
        ledger = bench.open()
        assert ledger.opened.quarantined is not None
        kept.append(ledger.opened.quarantined)
        ledger.close()
    assert [path.read_bytes()[:6] for path in kept] == [b"first ", b"second"]


def test_a_sound_ledger_is_not_put_aside(used: LedgerBench) -> None:
    assert used.open().opened.quarantined is None
    assert used.opened[0].opened.epoch == used.opened[1].opened.epoch


@pytest.mark.parametrize(
    ("code", "is_damaged"),
    [
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_IOERR_READ, True),
        (sqlite3.SQLITE_IOERR_WRITE, False),
        (sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.SQLITE_BUSY, False),
    ],
)
def test_only_what_cannot_be_read_counts_as_damage(code: int, is_damaged: bool) -> None:
    error = sqlite3.DatabaseError("as sqlite3 raises it")
    error.sqlite_errorcode = code
    assert is_damage(error) is is_damaged


def test_every_known_trouble_has_its_word() -> None:
    words = []
    for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_NOMEM):
        error = sqlite3.OperationalError("as sqlite3 raises it")
        error.sqlite_errorcode = code
        words.append(store_error(error).reason)
    assert words == ["disk-full", "read-only", "io-error", "database-error"]


def test_whatever_single_byte_is_flipped_the_ledger_opens_and_takes_records(used: LedgerBench) -> None:
    """As it is or set aside: a daemon that does not start serves no charger. The list of tables, byte by byte, and a sample."""
    whole = used.path.read_bytes()
    places = (
        [place for place in range(100, 4_096) if whole[place]][::29]
        + list(range(0, 100, 3))
        + list(range(4_096, len(whole), 30_011))
    )
    told, refused = {"set aside": 0, "as it is": 0}, []
    for number, place in enumerate(places):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << number % 8
        used.path.write_bytes(damaged)
        try:
            ledger = used.open()
        except StoreError as error:
            refused.append((place, error.reason))
            continue
        told["as it is" if ledger.opened.quarantined is None else "set aside"] += 1
        ledger.restore()
        used.wait(ledger.commit([SessionKept(session("later")), bill("later")], NOW))
        ledger.close()
    assert min(told.values()) > 10, told
    assert refused in ([], [(63, "newer-schema")]), "the number of the schema, one up"


# --- one at a time, and not without permission


def test_a_ledger_in_use_is_refused_and_free_again_after_closing(bench: LedgerBench) -> None:
    first = bench.open()
    with pytest.raises(StoreError, match="in-use"):
        bench.open()
    first.close()
    bench.open()


@pytest.fixture
def public_path() -> Iterator[Path]:
    """``tmp_path`` is closed to other users, and root may write everything: this test becomes nobody."""
    directory = Path(tempfile.mkdtemp(prefix="edgectl-store-"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def test_a_file_that_may_not_be_written_is_refused_and_left_alone(public_path: Path) -> None:
    with ledger_bench(public_path) as bench:
        bench.open().close()
        bench.path.chmod(0o444)
        bench.path.with_name("ledger.db.lock").chmod(0o666)
        public_path.chmod(0o555)
        before = bench.path.read_bytes()
        was_root = os.geteuid() == 0
        if was_root:
            os.seteuid(65_534)
        try:
            with pytest.raises(StoreError) as caught:
                bench.open()
        finally:
            if was_root:
                os.seteuid(0)
        assert caught.value.reason in ("read-only", "cannot-open")
        assert caught.value.is_permanent
        assert bench.path.read_bytes() == before


def test_a_missing_directory_is_said_plainly(tmp_path: Path) -> None:
    with ledger_bench(tmp_path / "no-such") as bench, pytest.raises(StoreError, match="no-such"):
        bench.open()


# --- schemas


def test_a_newer_schema_is_refused_and_the_file_left_alone(used: LedgerBench) -> None:
    with closing(sqlite3.connect(used.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before, files = used.path.read_bytes(), names(used.path.parent)
    with pytest.raises(StoreError, match="newer-schema: the ledger has schema 99"):
        used.open()
    assert used.path.read_bytes() == before
    assert [name for name in names(used.path.parent) if "damaged" in name] == []
    assert files == ["ledger.db"]


def test_released_schema_files_are_frozen() -> None:
    """A changed file would give two ledgers of one number two shapes. Add a file with the next number instead."""
    digests = {step.number: hashlib.sha256(step.sql.encode()).hexdigest() for step in migrations()}
    assert digests == {
        1: "564b18e56d5d04500b460fae583356a807d55e27eab74d2092b0f731d99a8532",
        2: "317a7a90617a7a6ac77ad066bbcc62a8eac4b232320841de267607a138514af4",
        3: "6aed04ff8d924c01910b217ac35e0fe67ba74b3ed7eb872cce7d944e33a0c85e",
        4: "0ea680a32ca185e28e2c3ee2788e6807ca0165469c16ceb84e1635847e563757",
        5: "f727ff7c770edf68fc7ffa29a3b10bcf6302196aec4d830ff9de45bf1bbb1c3b",
    }


def test_a_ledger_of_schema_1_opens_with_all_it_held(bench: LedgerBench) -> None:
    """The dump was written by the first release; it must never be made anew."""
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.executescript((DATA / "ledger-0001.sql").read_text())
        connection.execute("PRAGMA user_version = 1")
    ledger = bench.open()
    restored = ledger.restore()
    assert ledger.opened.quarantined is None
    assert restored.epoch == "epoch-of-the-first-release"
    assert restored.open_sessions == (session("open", transaction="42", energy_wh=900),)
    assert restored.recent_sessions == (ended("closed", NOW.utc_ms, transaction="41"),)
    assert restored.last_transaction_number == 42
    owed = bench.wait(ledger.rows("billing", 0, 10))
    assert [(row.record_id, row.rev, row.sent_count) for row in owed] == [("closed", 2, 1)]
    bench.wait(ledger.commit([bill("next"), alarm()], NOW))
    report = ledger.verify_chain()
    assert (report.count, report.is_intact) == (3, True)


def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path: Path) -> None:
    broken = Migration(
        len(migrations()) + 1, "CREATE TABLE half (id INTEGER PRIMARY KEY);\nINSERT INTO no_such_table VALUES (1);"
    )
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
            migrate(connection, [*migrations(), broken])
        assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    last = len(migrations())
    more = [Migration(last + 1, "CREATE TABLE two (id INTEGER);"), Migration(last + 2, "INSERT INTO two VALUES (3);")]
    steps = [*migrations(), *more]
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as connection:
        for _ in range(2):
            migrate(connection, steps)
        assert connection.execute("PRAGMA user_version").fetchone() == (last + 2,)
        assert connection.execute("SELECT id FROM two").fetchall() == [(3,)]


def test_the_writing_connection_syncs_every_commit(tmp_path: Path) -> None:
    """``synchronous`` is not stored in the file: below FULL (2) a power cut loses acknowledged records."""
    connection, lock, _ = open_ledger(
        tmp_path / "ledger.db", new_epoch=lambda: "epoch", now=NOW, max_bytes=1 << 20, resume=lambda *_: None
    )
    with closing(lock), closing(connection):
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "mmap_size", "wal_autocheckpoint", "max_page_count")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "mmap_size": 0,
        "wal_autocheckpoint": 1_000,
        "max_page_count": 256,
    }


def test_what_was_heard_last_is_known_again_whatever_its_charger_takes_for_the_date(bench: LedgerBench) -> None:
    ledger = bench.open()
    years_ago_ms = NOW.utc_ms - 3 * 365 * 86_400_000
    wanted = [ended("first", NOW.utc_ms, transaction="41"), ended("odd", years_ago_ms, transaction="42")]
    bench.wait(ledger.commit([SessionKept(one) for one in wanted], NOW))
    assert ledger.restore().recent_sessions == tuple(wanted)


def test_years_of_sessions_are_not_read_through_at_every_start(bench: LedgerBench) -> None:
    """200,000 sessions are 400 MB: many seconds on a memory card, in which no charger is served."""
    bench.open().close()
    with closing(sqlite3.connect(bench.path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {RECENT}", (NOW.utc_ms, 1, 1, 1)).fetchall()
    assert [step for *_, step in plan if step.startswith("SCAN")] == []
