"""The two ledgers of a site's conductors: how far they were above their limits, and what vehicles were not allowed to take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.plant import GRID, Bench, of, plant, records

from edgectl.domain.decisions import Decision
from edgectl.domain.events import ConnectorStatus
from edgectl.domain.phases import Phase
from edgectl.domain.protection import Curve, Protection
from edgectl.domain.reasons import Cause
from edgectl.domain.records import CurtailmentKept, EventKept, Excursion, ExcursionKept


def measured(bench: Bench, *amps: float) -> list[Decision]:
    decisions: list[Decision] = []
    for one in amps:
        bench.wait(1)
        decisions += bench.meter(one, 10, 10)
    return decisions


def last_excursion(decisions: list[Decision]) -> Excursion:
    return records(ExcursionKept, decisions)[-1].excursion


def test_an_excursion_carries_its_peak_its_time_and_its_amp_seconds() -> None:
    bench = Bench(plant(limit_a=63))
    decisions = measured(bench, 60, 63, 70, 83, 65, 60, *[50] * 12)
    over = last_excursion(decisions)
    assert (over.circuit, over.phase, over.limit_ma, over.protection) == (GRID, Phase.L1, 63_000, "C63")
    assert (over.peak_ma, over.over_ms, over.excess_mas) == (83_000, 3_000, 7_000 + 20_000 + 2_000)
    # 83 A is 1.317 times 63 A: (1.317 / 1.13) ^ 10.06 = 4.67 of 3600 s for one second.
    assert over.damage_permille == round(1000 * 4.67 / 3600)


def test_it_is_written_when_it_begins_and_once_more_when_it_is_over() -> None:
    bench = Bench(plant(limit_a=63))
    begun = records(ExcursionKept, measured(bench, 60, 70))
    assert [one.excursion.peak_ma for one in begun] == [70_000]
    assert records(ExcursionKept, measured(bench, 70, 60, 70, 60)) == [], "a dip of a second does not end it"
    ended = records(ExcursionKept, measured(bench, *[60] * 10))
    assert [(one.excursion.from_utc_ms, one.excursion.over_ms) for one in ended] == [(begun[0].excursion.from_utc_ms, 3_000)]


def test_only_what_lasts_or_heats_is_told_to_the_backend() -> None:
    bench = Bench(plant(limit_a=63))
    assert not [e for e in records(EventKept, measured(bench, 60, 64, 64, *[60] * 11)) if e.kind == "circuit-excursion"]
    told = [e for e in records(EventKept, measured(bench, *[64] * 6, *[60] * 11)) if e.kind == "circuit-excursion"]
    assert [(one.subject, one.body["over_ms"], one.body["phase"]) for one in told] == [(GRID, 6_000, "L1")]


def test_a_gap_in_the_readings_is_not_made_up() -> None:
    bench = Bench(plant(limit_a=63))
    measured(bench, 60, 70)
    bench.wait(300)
    over = last_excursion(measured(bench, 70, *[60] * 11))
    assert over.over_ms <= 12_000


@pytest.mark.parametrize(
    ("protection", "ratio", "seconds"),
    [
        (Protection(Curve.C, 63_000), 1.13, None),
        (Protection(Curve.C, 63_000), 1.45, 293),
        (Protection(Curve.C, 63_000), 2.0, 11.6),
        (Protection(Curve.C, 63_000), 2.55, 1.0),
        (Protection(Curve.B, 63_000), 3.0, 0.01),
        (Protection(Curve.D, 63_000), 3.0, 0.195),
        (Protection(Curve.GG, 63_000), 1.25, None),
        (Protection(Curve.GG, 63_000), 2.5, 10.0),
        (Protection(Curve.GG, 160_000), 2.9, 10.0),
    ],
)
def test_the_soonest_a_device_may_open_is_on_the_points_of_its_standard(
    protection: Protection, ratio: float, seconds: float | None
) -> None:
    found = protection.opens_after_s(round(protection.rated_ma * ratio))
    assert found == (None if seconds is None else pytest.approx(seconds, rel=0.03))


def curtailed(bench: Bench) -> dict[tuple[str, Cause], tuple[int, int]]:
    picture = bench.controller.picture(bench.now)
    return {(one.circuit, one.cause): (one.energy_wh, one.held_ms) for one in picture.curtailed}


def charging(*chargers: str, limit_a: int, wants_a: float = 32) -> Bench:
    """Vehicles that draw what they are told, at most what they want, and say so."""
    bench = Bench(plant(*chargers, limit_a=limit_a))
    bench.boot(*chargers)
    for charger in chargers:
        bench.start(charger)
    drive(bench, chargers, 120, wants_a)
    return bench


def drive(bench: Bench, chargers: tuple[str, ...], seconds: int, wants_a: float) -> list[Decision]:
    decisions: list[Decision] = []
    for second in range(seconds):
        bench.wait(1)
        draws = {charger: min(wants_a, bench.limit_a(charger)) for charger in chargers}
        decisions += bench.meter(sum(draws.values()))
        if second % 10 == 9:
            for charger, amps in draws.items():
                decisions += bench.values(charger, amps=(amps,) * 3)
        decisions += bench.tick()
    return decisions


def test_what_a_thin_cable_holds_back_is_counted_at_its_circuit() -> None:
    bench = charging("A", "B", limit_a=32)
    before = curtailed(bench).get((GRID, Cause.CIRCUIT), (0, 0))
    drive(bench, ("A", "B"), 3_600, 32)
    energy_wh, held_ms = curtailed(bench)[GRID, Cause.CIRCUIT]
    # Two vehicles, each 16 of 32 A on three phases for an hour.
    assert energy_wh - before[0] == pytest.approx(2 * 16 * 3 * 230, rel=0.03)
    assert held_ms - before[1] == pytest.approx(2 * 3_600_000, rel=0.01)


def test_a_vehicle_that_has_shown_how_little_it_takes_loses_nothing() -> None:
    bench = charging("A", limit_a=40, wants_a=10)
    before = curtailed(bench)
    drive(bench, ("A",), 600, 10)
    assert curtailed(bench) == before


def test_a_vehicle_that_pauses_by_itself_is_not_held_back() -> None:
    bench = charging("A", "B", limit_a=32)
    bench.status("A", ConnectorStatus.SUSPENDED_EV)
    bench.status("B", ConnectorStatus.SUSPENDED_EV)
    before = curtailed(bench)
    drive(bench, ("A", "B"), 60, 0)
    assert curtailed(bench) == before


def test_sums_are_written_soon_and_then_every_minute_by_day_and_run() -> None:
    bench = charging("A", "B", limit_a=32)
    kept = records(CurtailmentKept, drive(bench, ("A", "B"), 300, 32))
    circuit = [one for one in kept if one.curtailment.cause is Cause.CIRCUIT]
    assert len(circuit) == 5
    assert {one.curtailment.day for one in circuit} == {"2026-09-21"}
    assert len({one.run_utc_ms for one in circuit}) == 1
    assert circuit[0].curtailment.energy_wh < circuit[1].curtailment.energy_wh


def test_the_first_that_is_held_back_is_written_within_ten_seconds() -> None:
    bench = Bench(plant("A", "B", limit_a=32))
    bench.boot("A", "B")
    bench.start("A")
    bench.start("B")
    decisions = drive(bench, ("A", "B"), 60, 32)
    first_ms = records(CurtailmentKept, decisions)[0].curtailment.held_ms
    assert 0 < first_ms <= 2 * 11_000


def test_midnight_at_the_site_begins_a_new_sum() -> None:
    site = replace(plant("A", "B", limit_a=32), timezone="Pacific/Auckland")
    bench = Bench(site)  # noon UTC is one in the morning there, a day later
    bench.boot("A", "B")
    bench.start("A")
    bench.start("B")
    kept = of(CurtailmentKept, [getattr(d, "record", None) for d in drive(bench, ("A", "B"), 320, 32)])
    assert {one.curtailment.day for one in kept} == {"2026-09-22"}
