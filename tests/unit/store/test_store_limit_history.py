"""Thirty days of limits: what goes, also when the clock was ahead for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import DAY_MS, NOW, later, limit

from edgectl.domain.time import Instant
from edgectl.store import limit_history
from edgectl.store.limit_history import EVICTION_STEP, LIMIT_HISTORY_MS, keep_limit

TABLE = (
    "CREATE TABLE limit_history (id INTEGER PRIMARY KEY, charger TEXT, evse_number INTEGER, at_utc_ms INTEGER,"
    " limit_ma INTEGER, reason TEXT)"
)
YEAR_MS = 365 * DAY_MS


@pytest.fixture
def bench(tmp_path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def table() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(TABLE)
        yield connection


def keep(table: sqlite3.Connection, count: int, now: Instant) -> None:
    """Rows stamped by the clock as it is."""
    for _ in range(count):
        keep_limit(table, limit(now.utc_ms), now)


def stamps(table: sqlite3.Connection) -> list[int]:
    return [at for (at,) in table.execute("SELECT at_utc_ms FROM limit_history ORDER BY id")]


def test_rows_of_a_clock_that_was_a_year_ahead_go_with_those_that_came_after_them(table: sqlite3.Connection) -> None:
    keep(table, 20, NOW)
    ahead = later(YEAR_MS)
    # While the clock is ahead all before it is more than 30 days old: it goes, as nobody can tell.
    keep(table, 200, ahead)
    assert set(stamps(table)) == {ahead.utc_ms}
    keep(table, 50, later(DAY_MS))
    keep(table, 20, later(20 * DAY_MS))
    assert len(stamps(table)) == 270, "nothing is known to be older than 30 days"
    now = later(DAY_MS + LIMIT_HISTORY_MS + 1)
    keep(table, 90, now)
    assert set(stamps(table)) == {later(20 * DAY_MS).utc_ms, now.utc_ms}


def test_the_table_does_not_grow_behind_rows_from_the_future(table: sqlite3.Connection) -> None:
    keep(table, 40, later(10 * YEAR_MS))
    most = 0
    for day in range(120):
        keep(table, 3, later(day * DAY_MS))
        most = max(most, len(stamps(table)))
    assert most <= 40 + 3 * 32
    assert min(stamps(table)) >= later(119 * DAY_MS).utc_ms - LIMIT_HISTORY_MS
    assert max(stamps(table)) == later(119 * DAY_MS).utc_ms


def test_a_clock_behind_for_a_moment_takes_nothing_away(table: sqlite3.Connection) -> None:
    """A gateway without a battery begins in 1970: all there is lies ahead of it then."""
    keep(table, 10, NOW)
    keep(table, 10, Instant(0, 60_000))
    assert len(stamps(table)) == 20


def test_the_row_bound_holds_for_them_too(table: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_history, "LIMIT_HISTORY_ROWS", 50)
    keep(table, 40, later(YEAR_MS))
    keep(table, 100, NOW)
    assert len(stamps(table)) == 50


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0, 0, 0, 5, 40, 400])), min_size=1, max_size=30))
def test_only_what_is_older_than_thirty_days_goes_once_clocks_are_right_or_ahead(days: list[tuple[int, int]]) -> None:
    """Each row came some days after the last, and was stamped by a clock so many days ahead; all of it is looked at while the
    clock is right."""
    with closing(sqlite3.connect(":memory:")) as table:
        table.execute(TABLE)
        day = 0
        came: dict[int, int] = {}
        for number, (after, ahead) in enumerate(days, start=1):
            day += after
            row = (number, later((day + ahead) * DAY_MS).utc_ms)
            table.execute("INSERT INTO limit_history VALUES (?, 'A', 1, ?, 0, '')", row)
            came[number] = day
        now = later(day * DAY_MS)
        for _ in range(len(days)):
            keep_limit(table, limit(now.utc_ms), now)
        left = {row for (row,) in table.execute("SELECT id FROM limit_history WHERE charger = 'A' AND reason = ''")}
        for row in came.keys() - left:
            assert day - came[row] > 30, "it was not due"


def test_however_many_rows_lie_ahead_a_few_looks_are_enough(table: sqlite3.Connection) -> None:
    values = ((later(YEAR_MS).utc_ms,) for _ in range(50_000))
    table.executemany(
        "INSERT INTO limit_history (charger, evse_number, at_utc_ms, limit_ma, reason) VALUES ('A', 1, ?, 0, '')", values
    )
    looks: list[str] = []
    keep(table, 1, NOW)
    table.set_trace_callback(looks.append)
    keep(table, 1, later(31 * DAY_MS))
    assert len(looks) < 60
    table.set_trace_callback(None)
    (count,) = table.execute("SELECT COUNT(*) FROM limit_history").fetchone()
    assert count == 50_002 - EVICTION_STEP


def test_in_the_ledger_itself(bench: LedgerBench) -> None:
    ledger = bench.open()
    ahead, now = later(YEAR_MS), later(40 * DAY_MS)
    bench.wait(ledger.commit([limit(ahead.utc_ms) for _ in range(8)], ahead))
    bench.wait(ledger.commit([limit(NOW.utc_ms)], NOW))
    bench.wait(ledger.commit([limit(now.utc_ms) for _ in range(8)], now))
    ledger.close()
    with closing(sqlite3.connect(bench.path)) as connection:
        assert set(stamps(connection)) == {now.utc_ms}
