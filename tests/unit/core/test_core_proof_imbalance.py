"""The limit of imbalance in the proof: by hand, and against trying out who may charge on how many phases when something fails."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import plant

from edgectl.core.proof import Case, Failure, case_words, live, prove
from edgectl.domain.ids import ChargerId, CircuitId
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.site import Charger, PowerKind, Site

GRID, HALL = CircuitId("grid"), CircuitId("hall")
L1, L2, L3 = Phase.L1, Phase.L2, Phase.L3


def charger(name: str, circuit: CircuitId = GRID, **more: object) -> Charger:
    return Charger(ChargerId(name), circuit, **more)  # type: ignore[arg-type]


def uneven(site: Site) -> dict[str, Case]:
    return {one.name: one for one in prove(site).unsafe if one.against is not None}


def test_six_chargers_wired_alike_are_too_much_on_one_phase_when_edgectl_is_gone() -> None:
    chargers = [charger(name, unbalanced_ma=20_000) for name in "ABCDEF"]
    site = plant(*chargers, limit_a=250, imbalance_ma=20_000)
    (found,) = uneven(site).values()
    assert (found.name, found.failed_ma, found.limit_ma) == ("imbalance-fallbacks-grid", 36_000, 20_000)
    assert case_words(found) == (
        "circuit grid L1 over L2: without edgectl every EVSE falls to its fallback, 36 A together "
        "with vehicles on one phase or two: 36 A of 20 A"
    )
    report = prove(site)
    assert found in report.binding, "beside the one that binds the conductor"
    fitting = dict(report.proposals)
    assert list(fitting.values()) == [0, 0, 0], "three keep 6 A"
    changed = tuple(replace(c, fallback_ma=fitting.get(c.id, c.fallback_ma)) for c in site.chargers)
    assert prove(replace(site, chargers=changed)).is_safe


def test_rotated_wiring_and_vehicles_on_all_phases_are_what_helps() -> None:
    turns = [(L1, L2, L3), (L2, L3, L1), (L3, L1, L2)]
    rotated = [charger(name, phases=turn, unbalanced_ma=20_000) for name, turn in zip("ABC", turns, strict=True)]
    assert prove(plant(*rotated, limit_a=250, imbalance_ma=20_000)).is_safe
    vans = [charger(name, unbalanced_ma=0) for name in "ABCDEFGHIJ"]
    assert prove(plant(*vans, limit_a=250, imbalance_ma=20_000)).is_safe


def test_one_charger_that_ignores_its_limits_is_bound_by_its_own_setting() -> None:
    free = plant(charger("A"), limit_a=63, imbalance_ma=20_000)
    assert set(uneven(free)) == {"imbalance-ignores-A"}
    set_up = plant(charger("A", unbalanced_ma=20_000), limit_a=63, imbalance_ma=20_000)
    assert not uneven(set_up)


def test_a_dc_charger_loads_its_phases_evenly_and_one_wired_to_one_phase_does_not() -> None:
    dc = charger("D", kind=PowerKind.DC, max_ma=200_000, fallback_ma=0)
    assert not uneven(plant(dc, limit_a=250, imbalance_ma=20_000))
    single = charger("S", phases=(L2,), unbalanced_ma=20_000)
    found = uneven(plant(single, limit_a=250, imbalance_ma=20_000))["imbalance-ignores-S"]
    assert (found.phase, found.failed_ma) == (L2, 32_000)


def test_leases_that_run_on_are_told_of_and_no_breaker_opens_by_them() -> None:
    site = plant(charger("A", unbalanced_ma=20_000), charger("B", unbalanced_ma=20_000), limit_a=250, imbalance_ma=20_000)
    (found,) = [one for one in prove(site).leases if one.against is not None]
    assert found.is_safe
    assert case_words(found).endswith("40 A of 20 A for 240 s at most; no breaker opens by that")


def test_the_running_site_is_proven_for_it_too() -> None:
    site = plant(charger("A", phases=(L1,)), limit_a=63, imbalance_ma=32_000)
    assert prove(site).is_safe
    known = replace(site, chargers=(replace(site.chargers[0], max_ma=40_000),))
    assert [one.name for one in live(known, {ChargerId("A"): 40_000})] == ["imbalance-fallbacks-grid", "imbalance-silent-A"]


def test_without_such_a_limit_nothing_is_said_of_it() -> None:
    report = prove(plant(*"ABCDEFGH", limit_a=250))
    assert all(one.against is None for one in (*report.binding, *report.leases, *report.unsafe))


@st.composite
def sites(draw: st.DrawFn) -> Site:
    def one(number: int) -> Charger:
        return charger(
            f"C{number}",
            draw(st.sampled_from([GRID, HALL])),
            max_ma=draw(st.sampled_from([10_000, 16_000, 32_000])),
            fallback_ma=draw(st.sampled_from([0, 6_000, 8_000])),
            phases=draw(st.sampled_from([tuple(ALL_PHASES), (L1,), (L3, L1, L2), (L2, L1, L3), (L2, L3)])),
            own_quirks=draw(st.sampled_from([(), (("can_pause", False),)])),
            unbalanced_ma=draw(st.sampled_from([None, 0, 20_000])),
        )

    chargers = [one(number) for number in range(draw(st.integers(1, 3)))]
    return plant(*chargers, limit_a=400, hall_a=200, imbalance_ma=draw(st.sampled_from([6_000, 12_000, 20_000])))


def drawn_ma(one: Charger, current_ma: int, taken_count: int) -> Phases:
    """A vehicle on so many phases of its plug, at an EVSE that may give so much."""
    if taken_count < len(one.phases) and one.unbalanced_ma is not None:
        current_ma = min(current_ma, one.unbalanced_ma)
    return Phases.on(one.phases[:taken_count], current_ma)


def worst_ma(chargers: list[Charger], currents_ma: list[int]) -> int:
    """The largest difference of two phases over all vehicles that may come: none, or on one phase, two or three."""
    worst = 0
    for counts in product(*[range(len(one.phases) + 1) for one in chargers]):
        drawn = [drawn_ma(one, ma, count) for one, ma, count in zip(chargers, currents_ma, counts, strict=True)]
        total = sum(drawn, start=Phases.uniform(0))
        worst = max(worst, max(total) - min(total))
    return worst


@settings(deadline=None)
@given(sites())
def test_trying_out_all_vehicles_in_every_failure_finds_the_same(site: Site) -> None:
    (grid, _) = site.circuits
    floors = [c.min_ma if c.own_quirks else 0 for c in site.chargers]
    outcomes = {("fallbacks", "grid"): [c.fallback_ma for c in site.chargers], ("meter", "main"): floors}
    for number, failed in enumerate(site.chargers):
        for failure, current_ma in (("silent", failed.fallback_ma), ("ignores", failed.max_ma)):
            outcomes[failure, str(failed.id)] = [*floors[:number], current_ma, *floors[number + 1 :]]
    limit_ma = grid.imbalance_ma or 0
    expected = {
        f"imbalance-{failure}-{subject}"
        for (failure, subject), currents_ma in outcomes.items()
        if worst_ma(list(site.chargers), currents_ma) > limit_ma
    }
    assert set(uneven(site)) == expected


@settings(deadline=None)
@given(sites())
def test_proposed_fallbacks_fit_the_limit_of_imbalance(site: Site) -> None:
    proposals = dict(prove(site).proposals)
    changed = replace(site, chargers=tuple(replace(c, fallback_ma=proposals.get(c.id, c.fallback_ma)) for c in site.chargers))
    assert all(one.failure is not Failure.FALLBACKS for one in prove(changed).unsafe)


@pytest.mark.parametrize("failure", [Failure.SILENT, Failure.IGNORES, Failure.METER])
def test_every_failure_has_words(failure: Failure) -> None:
    stubborn = charger("A", phases=(L1,), own_quirks=(("can_pause", False),))
    site = plant(stubborn, charger("B", phases=(L1,)), limit_a=250, imbalance_ma=5_000)
    found = [one for one in uneven(site).values() if one.failure is failure]
    assert found
    assert all(case_words(one).startswith("circuit grid L1 over L2: ") for one in found)
