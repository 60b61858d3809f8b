"""The proof over failures: each stated case against arithmetic done by hand, and against trying every failure out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.plant import plant

from edgectl.core.proof import Case, Failure, case_words, live, prove
from edgectl.domain.ids import ChargerId, CircuitId
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.protection import Curve, Protection
from edgectl.domain.site import Charger, MeterLoss, Site

GRID, HALL = CircuitId("grid"), CircuitId("hall")


def charger(name: str, circuit: CircuitId = GRID, **more: object) -> Charger:
    return Charger(ChargerId(name), circuit, **more)  # type: ignore[arg-type]


def case(site: Site, failure: Failure, subject: str) -> Case:
    found = [one for one in prove(site).unsafe if (one.failure, one.subject) == (failure, subject)]
    assert len(found) == 1, prove(site).unsafe
    return found[0]


def test_a_roomy_site_is_safe_in_every_case_and_the_tightest_is_named() -> None:
    report = prove(plant("A", "B", limit_a=63))
    assert report.is_safe
    (binding,) = report.binding
    assert (binding.failure, binding.worst_ma, binding.limit_ma) == (Failure.IGNORES, 32_000, 63_000)


def test_fallbacks_that_do_not_fit_are_named_with_those_that_would() -> None:
    site = plant("A", "B", "C", limit_a=35, other_loads_ma=Phases.uniform(20_000))
    found = case(site, Failure.FALLBACKS, "grid")
    assert (found.name, found.worst_ma) == ("fallbacks-grid", 38_000)
    assert dict(prove(site).proposals) == {"C": 0}, "two may keep their 6 A"
    fitting = dict(prove(site).proposals)
    changed = tuple(replace(c, fallback_ma=fitting.get(c.id, c.fallback_ma)) for c in site.chargers)
    assert all(one.failure is not Failure.FALLBACKS for one in prove(replace(site, chargers=changed)).unsafe)


def test_a_charger_that_ignores_its_limits_must_fit_beside_the_other_loads() -> None:
    site = plant("A", limit_a=40, other_loads_ma=Phases.uniform(10_000))
    found = case(site, Failure.IGNORES, "A")
    assert (found.name, found.failed_ma, found.told_ma, found.worst_ma) == ("ignores-A", 32_000, 0, 42_000)


def test_chargers_that_cannot_pause_count_at_their_least_beside_the_one_that_fails() -> None:
    stubborn = charger("B", own_quirks=(("can_pause", False),), min_ma=6_000)
    site = plant(charger("A"), stubborn, limit_a=37)
    found = case(site, Failure.IGNORES, "A")
    assert (found.failed_ma, found.told_ma) == (32_000, 6_000)


def test_a_lost_meter_counts_as_its_circuit_says() -> None:
    site = plant("A", "B", limit_a=50, other_loads_ma=Phases.uniform(40_000))
    assert case(site, Failure.METER, "main").worst_ma == 52_000
    stopped = replace(site, circuits=(replace(site.circuits[0], on_meter_loss=MeterLoss.STOP),))
    assert not any(one.failure is Failure.METER for one in prove(stopped).unsafe)


def test_the_phase_where_it_is_worst_is_the_one_named() -> None:
    single = charger("A", phases=(Phase.L2,))
    site = plant(single, limit_a=40, other_loads_ma=Phases(0, 30_000, 35_000))
    assert case(site, Failure.IGNORES, "A").phase is Phase.L2


@st.composite
def sites(draw: st.DrawFn) -> Site:
    def one(number: int) -> Charger:
        max_ma = draw(st.integers(6, 32)) * 1000
        return charger(
            f"C{number}",
            draw(st.sampled_from([GRID, HALL])),
            max_ma=max_ma,
            fallback_ma=draw(st.sampled_from([0, 6_000])),
            evse_count=draw(st.integers(1, 2)),
            phases=draw(st.sampled_from([tuple(ALL_PHASES), (Phase.L1,), (Phase.L3, Phase.L1, Phase.L2)])),
            own_quirks=draw(st.sampled_from([(), (("can_pause", False),)])),
        )

    chargers = [one(number) for number in range(draw(st.integers(1, 5)))]
    return plant(
        *chargers, limit_a=draw(st.integers(10, 120)), hall_a=draw(st.integers(10, 80)),
        other_loads_ma=Phases.uniform(draw(st.integers(0, 60)) * 1000),
    )  # fmt: skip


@given(sites())
def test_trying_every_failure_out_finds_the_same(site: Site) -> None:
    expected = set()
    for circuit in site.circuits:
        below = [c for c in site.chargers if circuit in site.path(c.circuit)]

        def load_ma(currents_ma: list[int], phase: Phase, below: list[Charger] = below) -> int:
            return sum(ma * c.evse_count for ma, c in zip(currents_ma, below, strict=True) if phase in c.phases)

        floors = [c.min_ma if c.own_quirks else 0 for c in below]
        fallbacks = [c.fallback_ma for c in below]
        outcomes = {("fallbacks", str(circuit.id)): fallbacks}
        if circuit.meter is not None:
            outcomes["meter", str(circuit.meter)] = fallbacks
        for number, failed in enumerate(below):
            for failure, current_ma in (("silent", failed.fallback_ma), ("ignores", failed.max_ma)):
                outcomes[failure, str(failed.id)] = [*floors[:number], current_ma, *floors[number + 1 :]]
        for (failure, subject), currents_ma in outcomes.items():
            is_over = [load_ma(currents_ma, p) + circuit.other_loads_ma[p] > circuit.limit_ma[p] for p in ALL_PHASES]
            if any(is_over):
                expected.add((failure, subject, circuit.id))
    report = prove(site)
    found = {(one.failure.value, one.subject, one.circuit) for one in report.unsafe if one.failure is not Failure.LEASES}
    assert found == expected
    assert len(report.binding) == len(site.circuits)


@given(sites())
def test_proposed_fallbacks_fit_and_raise_nobody(site: Site) -> None:
    proposals = dict(prove(site).proposals)
    now = {c.id: c.fallback_ma for c in site.chargers}
    assert all(proposed < now[name] for name, proposed in proposals.items())
    changed = replace(site, chargers=tuple(replace(c, fallback_ma=proposals.get(c.id, c.fallback_ma)) for c in site.chargers))
    still = [one for one in prove(changed).unsafe if one.failure is Failure.FALLBACKS]
    assert all(one.failed_ma == 0 for one in still), "only other loads that are too much by themselves remain"


def leases(site: Site) -> Case:
    (found,) = prove(site).leases
    return found


def test_leases_that_still_run_are_judged_by_the_breaker_and_the_time_they_last() -> None:
    """All was shared out while other loads were low; now they rise, and nobody lowers anybody for lease and a minute."""
    site = plant("A", "B", "C", limit_a=80, other_loads_ma=Phases.uniform(30_000))
    found = leases(site)
    assert (found.failed_ma, found.worst_ma, found.lasts_ms) == (80_000, 110_000, 240_000)
    # 110 A is 1.375 times 80 A; (1.375 / 1.13) ^ 10.06 = 7.2, so a C80 holds 500 s.
    assert found.is_safe
    assert found.opens_after_s is not None
    assert 480 < found.opens_after_s < 520
    assert case_words(found).endswith("for 240 s at most; C80 may open after 500 s")


def test_a_lease_longer_than_the_breaker_is_unsafe_and_a_shorter_one_or_a_larger_breaker_is_not() -> None:
    site = plant("A", "B", "C", limit_a=80, other_loads_ma=Phases.uniform(45_000))
    assert case(site, Failure.LEASES, "grid").name == "leases-grid"
    short = replace(site, balancing=replace(site.balancing, lease_ms=30_000))
    assert all(one.failure is not Failure.LEASES for one in prove(short).unsafe)
    larger = replace(site.circuits[0], protection=Protection(Curve.GG, 100_000))
    assert all(one.failure is not Failure.LEASES for one in prove(replace(site, circuits=(larger,))).unsafe)


def test_leases_behind_a_thin_circuit_cannot_be_more_than_it_lets_through() -> None:
    site = plant("A", "B", "C", limit_a=100, hall_a=40, other_loads_ma=Phases.uniform(90_000))
    assert leases(site).failed_ma == 40_000


def test_a_limit_of_power_is_proven_like_a_conductor() -> None:
    site = plant("A", "B", limit_a=100, limit_w=30_000, other_loads_ma=Phases.uniform(15_000))
    found = case(site, Failure.IGNORES, "A")
    assert found.phase is None
    # 32 A on three phases are 22.1 kW, and 15 A of other loads 10.4 kW.
    assert case_words(found) == (
        "circuit grid power: charger A ignores its limits and takes 22.1 kW, other loads up to 10.3 kW: 32.4 kW of 30 kW"
    )


def test_the_running_site_is_proven_with_what_chargers_are_known_to_fall_to() -> None:
    site = plant("A", "B", limit_a=60, other_loads_ma=Phases.uniform(20_000))
    assert live(site, {ChargerId("A"): 6_000, ChargerId("B"): 6_000}) == ()
    found = live(site, {ChargerId("A"): 32_000, ChargerId("B"): 32_000})
    assert {one.name for one in found} == {"fallbacks-grid", "meter-main"}
    unsafe_by_file = plant("A", "B", limit_a=30, other_loads_ma=Phases.uniform(20_000))
    assert live(unsafe_by_file, {}) == (), "what the file accepts is no news"
