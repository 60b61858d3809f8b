"""The history of limits: what was so, and why, can be asked later; what flickers fills no disk."""

from __future__ import annotations

from support.plant import Bench, plant, records

from edgectl.domain.records import LimitKept


def causes(kept: list[LimitKept]) -> list[str]:
    return [row.reason.cause.value for row in kept]


def test_the_end_of_a_session_is_kept_so_that_nobody_reads_an_old_limit_as_a_present_one() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.meter(10)
    transaction = bench.start("A")
    bench.run(15, 10)
    session = next(iter(bench.controller._sessions.open.values()))
    bench.stop("A", session.transaction)
    rows = records(LimitKept, bench.run(15, 10))
    assert causes(rows) == ["idle"]
    assert transaction


def test_a_charger_that_falls_silent_is_kept_with_what_is_left_free_for_it() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    bench.run(15, 10)
    rows = records(LimitKept, [*bench.drop("A"), *bench.run(15, 10)])
    assert causes(rows) == ["charger-silent"]
    assert {item.name: item.value for item in rows[0].reason.inputs} == {"reserved": 32_000, "fallback": 6_000}


def test_every_row_names_what_it_rests_on() -> None:
    bench = Bench(plant("A", "B", limit_a=40))
    bench.boot("A", "B")
    bench.meter(10)
    bench.start("A")
    bench.start("B")
    rows = records(LimitKept, [*bench.log, *bench.run(60, 10)])
    bound = [row for row in rows if row.reason.cause.value == "circuit"]
    assert bound
    for row in bound:
        names = {item.name for item in row.reason.inputs}
        assert names >= {"limit", "other-loads", "vehicles"}
        assert row.reason.circuit == "grid"
        assert row.reason.phase is not None


def test_nothing_is_kept_while_nothing_changes() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    bench.run(60, 10)
    assert records(LimitKept, bench.run(120, 10)) == []
