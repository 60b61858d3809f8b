"""A vehicle that was let begin a moment ago may explain a part of an excess: never so much that others are lowered too little."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.plant import Bench, plant

from edgectl.domain.events import ConnectorStatus

LIMIT_A = 80


def full(names: str) -> Bench:
    """All of these have been charging for a while, on a conductor they fill."""
    bench = Bench(plant(*names, "N", limit_a=LIMIT_A))
    bench.boot(*names, "N")
    bench.meter(10)
    for name in names:
        bench.start(name)
    bench.run(90, 10)
    return bench


def test_the_others_make_room_for_one_that_begins_and_for_no_more() -> None:
    bench = full("AB")
    drawn_a = bench.drawn_ma() / 1000
    bench.wait(1)
    bench.start("N")
    assert bench.limit_a("N") == 6
    told_a = [bench.limit_a(name) for name in "AB"]
    bench.wait(2)
    bench.meter(10 + drawn_a + 6)  # it has begun, and nobody has followed yet: 86 of 80 A
    assert [bench.limit_a(name) for name in "AB"] == told_a


def test_one_that_has_not_begun_in_time_explains_nothing() -> None:
    bench = full("AB")
    bench.wait(1)
    bench.start("N")
    told_a = sum(bench.limit_a(name) for name in "AB")
    bench.wait(9)
    bench.values("A", amps=(bench.limit_a("A"),) * 3)
    bench.values("B", amps=(bench.limit_a("B"),) * 3)
    bench.meter(LIMIT_A + 5)
    # 85 A less what both report are the building's, and a third of what is left is kept for N.
    left_a = LIMIT_A - (LIMIT_A + 5 - told_a)
    assert sum(bench.limit_a(name) for name in "AB") == pytest.approx(left_a * 2 / 3, abs=0.5)


def test_one_whose_vehicle_says_it_wants_nothing_explains_nothing() -> None:
    bench = full("AB")
    bench.wait(1)
    bench.start("N")
    bench.status("N", ConnectorStatus.SUSPENDED_EV)
    before_a = sum(bench.limit_a(name) for name in "AB")
    bench.wait(8)
    bench.values("A", amps=(bench.limit_a("A"),) * 3)
    bench.values("B", amps=(bench.limit_a("B"),) * 3)
    bench.meter(LIMIT_A + 4)
    assert sum(bench.limit_a(name) for name in "AB") < before_a - 4


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(1, 60), st.integers(0, 7))
def test_the_others_fit_beside_what_is_measured_even_when_it_has_not_begun(count: int, rise_a: int, after_s: int) -> None:
    """The whole excess is the building's: what the others are told fits beside it; only the newcomer's beginning does not."""
    names = "ABCDE"[:count]
    bench = full(names)
    drawn_a = bench.drawn_ma() / 1000
    bench.wait(1)
    bench.start("N")
    bench.wait(after_s)
    bench.meter(10 + rise_a + drawn_a)
    building_a = 10 + rise_a
    told_a = sum(bench.limit_a(name) for name in names)
    assume(building_a + 6 * (count + 1) <= LIMIT_A)  # else turns decide
    assert building_a + told_a <= LIMIT_A + 0.1
