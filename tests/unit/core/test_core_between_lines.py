"""A site wired between lines: no line carries more than its limit, and what the two kinds of pairs leave each other is used."""

from __future__ import annotations

import cmath
from dataclasses import replace
from math import pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import GRID, MAIN, Bench, plant

from edgectl import PluggedIn
from edgectl import allocate as share_out
from edgectl.core.allocation import Claim, allocate
from edgectl.core.proof import Case, Failure, case_words, prove
from edgectl.core.room import Leftover, capacities_of
from edgectl.domain.events import MeterRead, MeterReading, Quality, Sample
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Charger, Circuit, PowerKind, Site
from edgectl.domain.time import Instant

AHEAD, BEHIND = cmath.rect(1, pi / 6), cmath.rect(1, -pi / 6)
PAIRS = ((Phase.L1, Phase.L2), (Phase.L2, Phase.L3), (Phase.L3, Phase.L1))
BETWEEN = {"A": PAIRS[0], "B": PAIRS[1], "C": PAIRS[2], "T": ALL_PHASES}


def lines_ma(draws: list[tuple[tuple[Phase, ...], float]]) -> list[complex]:
    """What flows in each line, beside its own voltage."""
    found = [0j, 0j, 0j]
    for phases, current_ma in draws:
        if len(phases) == 2:
            first = phases[0] if (phases[0] + 1) % 3 == phases[1] else phases[1]
            found[first] += current_ma * AHEAD
            found[(first + 1) % 3] += current_ma * BEHIND
        else:
            for phase in phases:
                found[phase] += current_ma
    return found


def delta(*names: str, limit_a: int = 100, **circuit: object) -> Site:
    """Chargers by the first letter of their names: A, B and C between two lines, T on all three."""
    chargers = [Charger(ChargerId(name), GRID, phases=BETWEEN[name[0]]) for name in names]
    return replace(plant(*chargers, limit_a=limit_a, **circuit), wiring=Wiring.DELTA)  # type: ignore[arg-type]


# --- sharing --------------------------------------------------------------------------------------------------------------

CIRCUITS = (CircuitId("grid"), CircuitId("hall"))


@st.composite
def sites(draw: st.DrawFn) -> tuple[list[Claim], dict[CircuitId, Phases], list[int]]:
    claims = [
        Claim(
            EvseId(ChargerId(f"c{number}"), 1),
            draw(st.sampled_from([(CIRCUITS[0],), CIRCUITS])),
            draw(st.sampled_from([*PAIRS, (Phase.L2, Phase.L1), ALL_PHASES])),
            draw(st.sampled_from([0, 6_000])),
            draw(st.integers(6_000, 80_000)),
            (draw(st.integers(0, 2)),),
            weight=draw(st.sampled_from([1, 1, 3])),
            need_ma=draw(st.sampled_from([0, 0, 20_000])),
            steps_ma=draw(st.sampled_from([(), (), (6_000, 13_000, 32_000)])),
        )
        for number in range(draw(st.integers(1, 10)))
    ]
    limit_ma = st.builds(Phases, *[st.integers(1_000, 150_000)] * 3)
    permille = draw(st.lists(st.integers(0, 1_000), min_size=len(claims), max_size=len(claims)))
    return claims, {circuit: draw(limit_ma) for circuit in CIRCUITS}, permille


@settings(max_examples=300, deadline=None)
@given(sites())
def test_no_line_carries_more_than_its_limit_whatever_vehicles_draw_of_what_they_may(
    made: tuple[list[Claim], dict[CircuitId, Phases], list[int]],
) -> None:
    claims, limits_ma, taken_permille = made
    capacities = [
        capacity
        for circuit, limit_ma in limits_ma.items()
        for capacity in capacities_of(Circuit(circuit, limit_ma), Leftover(), 120_000, Wiring.DELTA)
    ]
    shares = allocate(claims, capacities)
    for parts in ([1_000] * len(claims), taken_permille):
        for circuit, limit_ma in limits_ma.items():
            draws = [
                (claim.phases, shares[claim.evse].limit_ma * part / 1_000)
                for claim, part in zip(claims, parts, strict=True)
                if circuit in claim.circuits
            ]
            for phase, carried in zip(ALL_PHASES, lines_ma(draws), strict=True):
                assert abs(carried) <= limit_ma[phase] + 1e-6


def test_two_kinds_of_pairs_get_more_together_than_their_sum_would_allow() -> None:
    found = share_out(delta("A", "C", limit_a=40), [PluggedIn("A"), PluggedIn("C")], 0)
    assert {limit.current_ma for limit in found.limits.values()} == {23_081}, "40 A over 1.733; as a sum it would be 20 A"
    assert (found.limits["A"].cause, found.limits["A"].circuit, found.limits["A"].phase) == (Cause.CIRCUIT, GRID, Phase.L1)
    assert found.limits["A"].power_w == 23_081 * 230 * 1.732051 // 1_000


def test_one_kind_of_pair_and_vehicles_on_all_lines_count_whole() -> None:
    for second in ("A2", "T"):
        found = share_out(delta("A", second, limit_a=40), [PluggedIn("A"), PluggedIn(second)], 0)
        assert {limit.current_ma for limit in found.limits.values()} == {20_000}


def test_power_between_lines_is_counted_once() -> None:
    site = replace(delta("A", "C", limit_w=10_000), voltage_mv=120_089)
    found = share_out(site, [PluggedIn("A", max_ma=80_000), PluggedIn("C")], 0)
    total_w = sum(limit.power_w for limit in found.limits.values())
    assert 9_980 <= total_w <= 10_000, "208 V between two lines"


def test_in_a_star_a_vehicle_on_two_phases_counts_on_each() -> None:
    site = replace(delta("A", "C", limit_a=40), wiring=Wiring.STAR)
    found = share_out(site, [PluggedIn("A"), PluggedIn("C")], 0)
    assert {limit.current_ma for limit in found.limits.values()} == {20_000}


# --- the control step -----------------------------------------------------------------------------------------------------


class Yard:
    """Vehicles that draw what they are told and report it every ten seconds, and a meter that sees what the lines carry."""

    def __init__(self, site: Site, building_a: float = 0.0, angle: float = 0.0) -> None:
        self.bench = Bench(site)
        self.building_a, self.angle = building_a, angle
        names = [charger.id for charger in site.chargers]
        self.phases = {charger.id: charger.phases for charger in site.chargers}
        self.bench.boot(*names)
        self.drawing: set[str] = set()
        self.worst_a = 0.0

    def start(self, *names: str) -> None:
        for name in names:
            self.drawing.add(name)
            self.bench.start(name)

    def stop(self, name: str) -> None:
        self.drawing.discard(name)
        self.bench.stop(name, None)

    def carried_a(self) -> list[float]:
        loads = lines_ma([(self.phases[ChargerId(name)], self.bench.limit_a(name)) for name in sorted(self.drawing)])
        return [abs(load + cmath.rect(self.building_a, self.angle)) for load in loads]

    def run(self, seconds: int) -> None:
        for second in range(seconds):
            self.bench.wait(1)
            carried_a = self.carried_a()
            self.worst_a = max(self.worst_a, *carried_a)
            reading = MeterReading(
                MAIN, self.bench.mono_ms, Quality.GOOD, current_ma=Phases(*(round(1_000 * a) for a in carried_a))
            )
            self.bench.settle(self.bench.put(MeterRead(reading)))
            if second % 10 == 9:
                for name in sorted(self.drawing):
                    amps = self.bench.limit_a(name)
                    self.bench.values(name, amps=(amps, amps, amps if len(self.phases[ChargerId(name)]) == 3 else 0.0))
            self.bench.tick()

    @property
    def background_a(self) -> list[float]:
        (circuit,) = self.bench.controller.circuits(self.bench.now)
        return [value / 1_000 for value in circuit.background_ma]


def test_a_metered_site_gives_all_a_line_can_carry_and_tells_lines() -> None:
    yard = Yard(delta("A", "C", limit_a=40))
    yard.run(5)
    yard.start("A", "C")
    yard.run(120)
    assert yard.bench.limit_a("A") == yard.bench.limit_a("C") == pytest.approx(23.0, abs=0.1)
    assert yard.worst_a <= 40
    assert yard.background_a[0] < 0.1
    (circuit,) = yard.bench.controller.circuits(yard.bench.now)
    assert circuit.commanded_ma[Phase.L1] == pytest.approx(1_000 * yard.carried_a()[0], abs=5)
    reason = yard.bench.view("A").reason
    assert (reason.cause, reason.circuit, reason.phase) == (Cause.CIRCUIT, GRID, Phase.L1)
    assert [one.name for one in reason.inputs] == ["limit", "other-loads", "reserved", "vehicles"]


@pytest.mark.parametrize("angle", [-pi / 6, 0.0, pi / 6])
def test_what_is_beside_vehicles_is_known_whatever_mixture_of_them_comes(angle: float) -> None:
    """First only vehicles between one pair of lines, then others beside them, then only those: what was seen without any stays
    true, though the meter shows less than the sum."""
    yard = Yard(delta("A1", "A2", "C1", "C2", limit_a=60), building_a=25, angle=angle)
    yard.run(5)
    yard.start("A1", "A2")
    yard.run(90)
    yard.start("C1", "C2")
    yard.run(90)
    yard.stop("A1")
    yard.stop("A2")
    yard.run(90)
    assert yard.worst_a <= 60.1
    assert yard.background_a[0] == pytest.approx(25, abs=0.2)
    assert yard.bench.limit_a("C1") == pytest.approx(17.5, abs=0.3)


def test_a_meter_seen_first_under_vehicles_leaves_the_most_beside_them() -> None:
    """Nothing was seen without them, so the building may be at the angle where it counts least."""
    yard = Yard(delta("A", limit_a=60), building_a=0)
    yard.bench.start("A")
    yard.drawing.add("A")
    yard.bench.values("A", amps=(6.0, 6.0, 0.0))
    yard.building_a = 20
    yard.run(1)
    assert yard.background_a[0] >= 20


def test_a_building_that_takes_more_is_seen_with_the_next_reading() -> None:
    yard = Yard(delta("A", "C", limit_a=60), building_a=10)
    yard.run(5)
    yard.start("A", "C")
    yard.run(60)
    yard.building_a = 40
    yard.run(2)
    assert max(yard.carried_a()) <= 60


def test_a_charger_that_tells_one_of_its_two_lines_draws_from_both() -> None:
    yard = Yard(delta("A"))
    yard.run(5)
    yard.start("A")
    for _ in range(4):
        yard.run(10)
        yard.bench.values("A", amps=(16.0, 0.0, 0.0))
    assert yard.bench.view("A").measured_ma == Phases(16_000, 16_000, 0)
    assert yard.bench.controller._balancing.vehicles[EvseId(ChargerId("A"), 1)].phases == PAIRS[0]


def test_watts_of_a_vehicle_between_lines_are_amps_at_their_voltage() -> None:
    site = replace(delta("A"), voltage_mv=120_089)
    bench = Bench(site)
    bench.boot("A")
    bench.start("A")
    vehicle = bench.controller._balancing.vehicles[EvseId(ChargerId("A"), 1)]
    vehicle.report(Sample(power_w=4_160), site.voltage_mv, Instant(0, 0), site.wiring)
    assert vehicle.current_ma == Phases(19_999, 19_999, 0) or vehicle.current_ma == Phases(20_000, 20_000, 0)
    assert site.power_w(site.chargers[0], 20_000) == 4_160


# --- the proof ------------------------------------------------------------------------------------------------------------


def case(site: Site, failure: Failure) -> Case | None:
    return next((one for one in prove(site).unsafe if one.failure is failure), None)


def test_the_proof_adds_fallbacks_between_lines_as_they_add_up() -> None:
    """6 A of each pair make 10.4 A in a line."""
    site = delta("A", "B", "C", limit_a=11, metered=False)
    assert case(site, Failure.FALLBACKS) is None
    rows = prove(site).rows
    assert [(row.fallbacks_ma, row.evse_count) for row in rows] == [(10_393, 2)] * 3
    assert case(replace(site, wiring=Wiring.STAR), Failure.FALLBACKS) is not None


def test_what_others_add_to_the_one_that_fails_is_named_with_the_sum() -> None:
    stubborn = (("can_pause", False),)
    chargers = [Charger(ChargerId(name), GRID, phases=BETWEEN[name], own_quirks=stubborn) for name in ("A", "C")]
    site = replace(plant(*chargers, limit_a=35, metered=False), wiring=Wiring.DELTA)
    found = next(one for one in prove(site).unsafe if one.failure is Failure.IGNORES and one.subject == "A")
    assert (found.phase, found.failed_ma, found.told_ma) == (Phase.L1, 32_000, 3_384)
    assert found.worst_ma == pytest.approx(abs(32_000 * AHEAD + 6_000 * BEHIND), abs=1)
    assert "circuit grid L1: charger A ignores its limits and takes 32 A, the others 3.384 A at least" in case_words(found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["A", "B", "C", "T"]), min_size=1, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_proof_is_never_below_what_flows(kinds: list[str], at_rating: list[bool]) -> None:
    chargers = [
        Charger(ChargerId(f"{kind}{n}"), GRID, phases=BETWEEN[kind], fallback_ma=6_000 + 1_000 * n)
        for n, kind in enumerate(kinds)
    ]
    site = replace(plant(*chargers, limit_a=1_000, metered=False), wiring=Wiring.DELTA)
    rows = {row.phase: row.fallbacks_ma for row in prove(site).rows}
    carried = lines_ma([(c.phases, c.fallback_ma) for c, is_used in zip(chargers, at_rating, strict=False) if is_used])
    assert all(abs(carried[phase]) <= rows[phase] + 1e-6 for phase in ALL_PHASES)


def test_proposed_fallbacks_fit_between_lines() -> None:
    site = delta("A1", "A2", "C1", "C2", limit_a=22, metered=False, other_loads_ma=Phases.uniform(4_000))
    fitting = dict(prove(site).proposals)
    assert fitting
    changed = tuple(replace(c, fallback_ma=fitting.get(c.id, c.fallback_ma)) for c in site.chargers)
    assert case(replace(site, chargers=changed), Failure.FALLBACKS) is None


def test_a_dc_charger_between_two_lines_is_one_of_the_pair() -> None:
    dc = Charger(ChargerId("D"), GRID, kind=PowerKind.DC, phases=PAIRS[2], min_ma=0, fallback_ma=0, max_ma=60_000)
    site = replace(plant(dc, Charger(ChargerId("A"), GRID, phases=PAIRS[0]), limit_a=40), wiring=Wiring.DELTA)
    found = share_out(site, [PluggedIn("A"), PluggedIn("D")], 0, voltages_permille=(900, 1_000))
    carried = lines_ma([(PAIRS[0], found.limits["A"].current_ma), (PAIRS[2], found.limits["D"].current_ma / 0.9)])
    assert 38_500 <= max(map(abs, carried)) <= 40_000
