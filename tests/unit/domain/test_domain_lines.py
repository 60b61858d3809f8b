"""Loads between lines: every sum against phasors, and the bounds that a meter without angles leaves."""

from __future__ import annotations

import cmath
from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.domain.lines import LIGHT_PERMILLE, Flow, Wiring, to_neutral_mv
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases

AMPS = st.integers(0, 400_000)
AHEAD, BEHIND = cmath.rect(1, pi / 6), cmath.rect(1, -pi / 6)


def phasor(flow: Flow, line: Phase) -> complex:
    """In the frame of the line's own voltage. A load to the next line is ahead of it, one to the line before is behind."""
    ahead_ma, behind_ma = flow.pairs_ma[(line + 2) % 3], flow.pairs_ma[(line + 1) % 3]
    return ahead_ma * AHEAD + behind_ma * BEHIND + flow.lines_ma[line]


@given(AMPS, AMPS)
def test_two_planes_bound_a_line_and_give_little_away(x: int, y: int) -> None:
    true = abs(x * AHEAD + y * BEHIND)
    planes = max(x + y * LIGHT_PERMILLE / 1_000, x * LIGHT_PERMILLE / 1_000 + y)
    assert true <= planes + 1e-6
    assert planes <= true * 1.037


@given(st.builds(Flow, st.builds(Phases, AMPS, AMPS, AMPS), st.builds(Phases, AMPS, AMPS, AMPS)))
def test_what_lines_carry_lies_between_the_bounds(flow: Flow) -> None:
    for line in ALL_PHASES:
        carried = abs(phasor(flow, line))
        assert abs(flow.least_ma[line] - carried) <= 2
        assert carried - 2 <= flow.most_ma[line] <= abs(phasor(Flow(ZERO, flow.pairs_ma), line)) + flow.lines_ma[line] + 1


@given(
    st.builds(Flow, st.builds(Phases, AMPS, AMPS, AMPS), st.builds(Phases, AMPS, AMPS, AMPS)),
    st.integers(0, 400_000),
    st.floats(-pi / 6, pi / 6),
)
def test_what_flows_beside_vehicles_lies_between_what_a_meter_leaves_open(flow: Flow, beside_ma: int, angle: float) -> None:
    carried = [abs(phasor(flow, line) + cmath.rect(beside_ma, angle)) for line in ALL_PHASES]
    measured_ma = Phases(*(round(value) for value in carried))
    for line in ALL_PHASES:
        assert measured_ma[line] - flow.most_ma[line] <= beside_ma + 3
        # Where little flows beside much, a milliamp of the meter is several of what is beside.
        assert flow.most_beside_ma(measured_ma)[line] >= beside_ma - 5


def test_without_anything_beside_there_is_nothing_beside() -> None:
    flow = Flow.of(Phases(10_000, 10_000, 0), Wiring.DELTA) + Flow.of(Phases(10_000, 0, 10_000), Wiring.DELTA)
    assert flow.pairs_ma == Phases(0, 10_000, 10_000)
    assert flow.most_ma == Phases(17_321, 10_000, 10_000)
    assert flow.most_beside_ma(Phases(17_320, 10_000, 10_000)) == ZERO
    assert flow.most_beside_ma(Phases(-5_000, 5_000, 0)) == ZERO


def test_in_a_star_everything_is_a_plain_sum() -> None:
    flow = Flow.of(Phases(10_000, 10_000, 0), Wiring.STAR) + Flow.of(Phases(10_000, 0, 10_000), Wiring.STAR)
    assert flow.most_ma == Phases(20_000, 10_000, 10_000)
    assert flow.power_ma == 40_000


@pytest.mark.parametrize("between_v", [208, 240])
def test_power_between_lines_is_current_times_their_voltage(between_v: int) -> None:
    neutral_mv = to_neutral_mv(between_v * 1_000)
    assert Wiring.DELTA.load_mv(neutral_mv, 2) == pytest.approx(between_v * 1_000, abs=2)
    assert Wiring.DELTA.load_mv(neutral_mv, 3) == pytest.approx(between_v * 1_000 * 3**0.5, rel=1e-4)
    assert Wiring.STAR.load_mv(230_000, 2) == 460_000
    pair = Flow.of(Phases(0, 10_000, 10_000), Wiring.DELTA)
    assert pair.power_ma * neutral_mv == pytest.approx(10_000 * between_v * 1_000, rel=2e-3)
    assert pair.power_ma == 2 * 10_000 * Wiring.DELTA.power_permille(1_000, 2) // 1_000
