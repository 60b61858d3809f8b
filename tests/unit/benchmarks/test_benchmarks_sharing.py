"""The benchmarks of the share-out: both solvers agree, whole days run inside their conductors, and the checks can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import allocation, quality
from benchmarks.charging.days import DELTA, STAR, depot, workplace
from benchmarks.charging.rules import equal_share, optimum_wh, ours, uncontrolled
from benchmarks.charging.yard import Yard, run_day
from benchmarks.report import CheckFailedError
from edgectl.core.allocation import allocate


def test_a_linear_solver_finds_the_same_shares() -> None:
    claims, capacities = allocation.site(40, 9)
    shares = allocate(claims, capacities)
    found, _ = allocation.Programs(claims, capacities).solve()
    apart = [abs(value - shares[c.evse].limit_ma) for c, value in zip(claims, found, strict=True)]
    assert max(apart) <= allocation.TOLERANCE_MA


def test_a_share_that_could_be_larger_fails_the_benchmark() -> None:
    claims, capacities = allocation.site(40, 9)
    shares = allocate(claims, capacities)
    poor = next(c.evse for c in claims if shares[c.evse].limit_ma > 8_000)
    with pytest.raises(CheckFailedError, match="could have more"):
        allocation.check_fair(claims, capacities, {**shares, poor: replace(shares[poor], limit_ma=7_000)})


def test_a_day_inside_its_conductors_gives_no_more_than_the_optimum() -> None:
    for wiring, day in ((STAR, depot), (DELTA, workplace)):
        visits = day(3, 6, wiring)
        for is_real in (False, True):
            yard = Yard(wiring, 6, 25_000, is_real)
            result = run_day(yard, visits, ours(knows_departures=True))
            assert 0 < sum(result.given_wh.values()) <= optimum_wh(yard, visits) * 1.000_001
            assert result.worst_part <= 1.000_001


def test_a_rule_that_overloads_a_conductor_fails_the_benchmark() -> None:
    visits = depot(3, 6, STAR)
    with pytest.raises(CheckFailedError, match="times its limit"):
        run_day(Yard(STAR, 6, 25_000, is_real=False), visits, uncontrolled)


def test_equal_shares_leave_more_unused_than_ours() -> None:
    visits = workplace(3, 8, STAR)
    yard = Yard(STAR, 8, 25_000, is_real=True)
    plain = run_day(yard, visits, equal_share).energy_part(visits)
    assert run_day(yard, visits, ours(knows_departures=False)).energy_part(visits) > plain


def test_the_table_and_the_plot_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "PLOT", tmp_path / "plots" / "quality.svg")
    scene = replace(quality.SCENES[2], grid_a=(20, 40))
    found = quality.run([scene], seeds=(1,), evses=4)
    assert set(found) == {f"depot, star, {kind} hardware, {a} A" for kind in ("ideal", "real") for a in (20, 40)}
    assert "optimum" in capsys.readouterr().out
    assert quality.PLOT.read_text(encoding="utf-8").count("<polyline") == 2 * len(quality.RULES)
