"""The share-out: feasible, max-min fair, independent of order, monotone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.core.allocation import UNIT, Capacity, Claim, Share, allocate, counts_in
from edgectl.core.room import room_of_line
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases

G, H, K = CircuitId("grid"), CircuitId("hall"), CircuitId("kiosk")


def claim(
    name: str,
    circuits: tuple[CircuitId, ...] = (G,),
    phases: tuple[Phase, ...] = ALL_PHASES,
    low: int = 6_000,
    high: int = 32_000,
    rank: int = 0,
    *,
    need: int = 0,
    pressing: bool = False,
    steps: tuple[int, ...] = (),
    **more: int,
) -> Claim:
    return Claim(
        EvseId(ChargerId(name), 1),
        circuits,
        phases,
        low,
        high,
        (rank,),
        need_ma=need,
        is_pressing=pressing,
        steps_ma=steps,
        **more,
    )


def grid(available_ma: int, circuit: CircuitId = G) -> list[Capacity]:
    return [Capacity(circuit, phase, available_ma) for phase in ALL_PHASES]


def limits(shares: dict[EvseId, Share]) -> dict[str, int]:
    return {evse.charger: share.limit_ma for evse, share in shares.items()}


def test_capacity_is_shared_equally() -> None:
    assert limits(allocate([claim("a"), claim("b")], grid(40_000))) == {"a": 20_000, "b": 20_000}


def test_what_one_cannot_use_goes_to_the_others() -> None:
    shares = allocate([claim("a", high=8_000), claim("b"), claim("c")], grid(40_000))
    assert limits(shares) == {"a": 8_000, "b": 16_000, "c": 16_000}


def test_a_single_phase_vehicle_leaves_the_other_phases_alone() -> None:
    shares = allocate([claim("a", phases=(Phase.L2,)), claim("b", phases=(Phase.L1,))], grid(20_000))
    assert limits(shares) == {"a": 20_000, "b": 20_000}


def test_the_smallest_conductor_on_the_path_binds() -> None:
    shares = allocate([claim("a", (H, G)), claim("b", (G,))], grid(60_000) + grid(10_000, H))
    assert limits(shares) == {"a": 10_000, "b": 32_000}
    binding = shares[EvseId(ChargerId("a"), 1)].binding
    assert binding is not None
    assert binding.circuit == H


def test_nobody_gets_less_than_the_minimum_but_nothing() -> None:
    shares = allocate([claim("a", rank=1), claim("b", rank=0), claim("c", rank=2)], grid(13_000))
    assert limits(shares) == {"a": 6_500, "b": 6_500, "c": 0}
    assert not shares[EvseId(ChargerId("c"), 1)].is_admitted


def test_an_overloaded_conductor_admits_nobody() -> None:
    assert limits(allocate([claim("a")], grid(-5_000))) == {"a": 0}


def test_a_power_limit_counts_every_phase() -> None:
    shares = allocate([claim("a"), claim("b", phases=(Phase.L1,))], [*grid(100_000), Capacity(G, None, 40_000)])
    assert limits(shares) == {"a": 10_000, "b": 10_000}


def test_levels_rise_in_proportion_to_weights() -> None:
    shares = allocate([claim("a", low=0, weight=3), claim("b", low=0, weight=1)], grid(40_000))
    assert limits(shares) == {"a": 30_000, "b": 10_000}


def test_a_weight_does_not_lift_anybody_over_what_he_can_take() -> None:
    shares = allocate([claim("a", low=0, high=16_000, weight=8), claim("b", low=0)], grid(40_000))
    assert limits(shares) == {"a": 16_000, "b": 24_000}


def test_a_class_has_all_it_can_take_before_the_next_rises_above_its_minimum() -> None:
    shares = allocate([claim("a", tier=1), claim("b", tier=0), claim("c", tier=1)], grid(46_000))
    assert limits(shares) == {"a": 7_000, "b": 32_000, "c": 7_000}


def test_what_is_needed_to_leave_comes_before_equal_shares() -> None:
    shares = allocate([claim("a", need=20_000), claim("b"), claim("c")], grid(40_000))
    assert limits(shares) == {"a": 20_000, "b": 10_000, "c": 10_000}


def test_where_not_every_need_fits_all_get_the_same_part_of_theirs() -> None:
    shares = allocate([claim("a", low=0, need=30_000), claim("b", low=0, need=10_000), claim("c", low=0)], grid(20_000))
    assert limits(shares) == {"a": 15_000, "b": 5_000, "c": 0}


def test_a_soft_limit_holds_for_everybody_who_can_wait() -> None:
    soft = [Capacity(G, phase, 20_000, is_soft=True) for phase in ALL_PHASES]
    assert limits(allocate([claim("a", need=32_000), claim("b")], grid(60_000) + soft)) == {"a": 14_000, "b": 6_000}


def test_a_soft_limit_is_broken_for_a_departure_and_no_further_than_needed() -> None:
    soft = [Capacity(G, phase, 20_000, is_soft=True) for phase in ALL_PHASES]
    shares = allocate([claim("a", need=25_000, pressing=True), claim("b"), claim("c")], grid(60_000) + soft)
    assert limits(shares) == {"a": 25_000, "b": 6_000, "c": 6_000}


def test_a_hard_limit_is_not_broken_for_a_departure() -> None:
    assert limits(allocate([claim("a", need=32_000, pressing=True), claim("b")], grid(20_000))) == {"a": 14_000, "b": 6_000}


def test_what_steps_leave_over_goes_to_others() -> None:
    steps = (6_000, 10_000, 16_000, 32_000)
    assert limits(allocate([claim("a", steps=steps), claim("b")], grid(25_000))) == {"a": 10_000, "b": 15_000}
    assert limits(allocate([claim(n, steps=steps) for n in "abc"], grid(37_000))) == {"a": 16_000, "b": 10_000, "c": 10_000}


def test_a_charger_is_told_one_of_its_steps_or_nothing() -> None:
    assert limits(allocate([claim("a", steps=(10_000, 16_000))], grid(9_999))) == {"a": 0}
    assert limits(allocate([claim("a", steps=(10_000, 16_000), high=9_000)], grid(50_000))) == {"a": 0}


def test_power_at_low_voltage_is_more_current_on_the_conductor() -> None:
    """A DC charger holds its watts when the voltage falls by a tenth, so its amps rise."""
    dc = claim("dc", low=0, high=90_000, current_permille=1_112)
    assert limits(allocate([dc], grid(50_000))) == {"dc": 50_000 * 1_000 // 1_112}


def test_current_at_high_voltage_is_more_power() -> None:
    ac = claim("ac", low=0, high=90_000, power_permille=1_100)
    assert limits(allocate([ac], [*grid(50_000), Capacity(G, None, 66_000)])) == {"ac": 20_000}


PATHS = [(G,), (H, G), (K, G), (K, H, G)]
STEPS = [(), (), (), (6_000, 10_000, 16_000, 20_000, 32_000)]
PHASES = [ALL_PHASES, (Phase.L1,), (Phase.L2,), (Phase.L2, Phase.L3)]
BETWEEN = [ALL_PHASES, (Phase.L1, Phase.L2), (Phase.L2, Phase.L3), (Phase.L3, Phase.L1)]
"""On a site wired between lines."""


@st.composite
def problems(draw: st.DrawFn, *, is_plain: bool = False) -> tuple[list[Claim], list[Capacity]]:
    """``is_plain``: equal classes, no needs, no steps; weights, mixed currents and powers remain."""
    claims = []
    is_delta = draw(st.booleans())
    for number in range(draw(st.integers(1, 9))):
        low = draw(st.sampled_from([0, 1_000, 6_000, 8_000]))
        claims.append(
            claim(
                f"c{number}",
                draw(st.sampled_from(PATHS)),
                draw(st.sampled_from(BETWEEN if is_delta else PHASES)),
                low,
                low + draw(st.integers(0, 32_000)),
                draw(st.integers(0, 2)),
                weight=draw(st.sampled_from([1, 1, 2, 7])),
                tier=0 if is_plain else draw(st.integers(0, 1)),
                need=0 if is_plain else draw(st.sampled_from([0, 0, 9_000, 30_000])),
                pressing=False if is_plain else draw(st.booleans()),
                steps=() if is_plain else draw(st.sampled_from(STEPS)),
                current_permille=draw(st.sampled_from([1_000, 1_000, 1_087])),
                power_permille=draw(st.sampled_from([1_000, 1_000, 1_061])),
            )
        )
    room_ma = st.integers(-2_000, 90_000)
    if is_delta:
        lines = [room_of_line(circuit, phase, draw(room_ma), Wiring.DELTA) for circuit in (G, H, K) for phase in ALL_PHASES]
        capacities = [Capacity(circuit, None, draw(room_ma)) for circuit in (G, H, K)]
        capacities += [capacity for planes in lines for capacity in planes]
    else:
        capacities = [Capacity(circuit, phase, draw(room_ma)) for circuit in (G, H, K) for phase in (*ALL_PHASES, None)]
    if not is_delta and draw(st.booleans()):
        capacities += [Capacity(G, a, 20_000, against=b) for a in ALL_PHASES for b in ALL_PHASES if a is not b]
    if not is_plain and draw(st.booleans()):
        capacities += [Capacity(H, phase, draw(st.integers(0, 40_000)), is_soft=True) for phase in (*ALL_PHASES, None)]
    return claims, capacities


def load(capacity: Capacity, claims: list[Claim], values: dict[EvseId, int]) -> int:
    """In thousandths of a milliamp."""
    return sum(counts_in(capacity, c) * values[c.evse] for c in claims)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_no_conductor_is_exceeded_and_no_set_point_lies_below_a_minimum(problem: tuple[list[Claim], list[Capacity]]) -> None:
    claims, capacities = problem
    shares = allocate(claims, capacities)
    values = {evse: share.limit_ma for evse, share in shares.items()}
    assert len(values) == len(claims)
    for one in claims:
        value = values[one.evse]
        assert one.min_ma <= value <= one.max_ma or (value == 0 and not shares[one.evse].is_admitted)
        assert not one.steps_ma or value == 0 or value in one.steps_ma
    for capacity in capacities:
        if not capacity.is_soft:
            assert load(capacity, claims, values) <= max(0, capacity.available_ma) * 1_000


@settings(max_examples=300, deadline=None)
@given(problems())
def test_a_soft_limit_is_broken_only_by_what_a_departure_needs(problem: tuple[list[Claim], list[Capacity]]) -> None:
    claims, capacities = problem
    values = {evse: share.limit_ma for evse, share in allocate(claims, capacities).items()}
    for capacity in capacities:
        if capacity.is_soft and load(capacity, claims, values) > capacity.available_ma * 1_000:
            for one in claims:
                if counts_in(capacity, one) and values[one.evse]:
                    least_ma = min((s for s in one.steps_ma if s >= one.min_ma), default=one.min_ma)
                    assert values[one.evse] <= max(least_ma, one.need_ma if one.is_pressing else 0)


@settings(max_examples=300, deadline=None)
@given(problems(is_plain=True))
def test_nobody_can_be_raised_without_lowering_somebody_poorer(problem: tuple[list[Claim], list[Capacity]]) -> None:
    """Whoever has less than his maximum uses a conductor that is full, and nobody on it has more for his weight, except where
    his own minimum lifts him."""
    claims, capacities = problem
    shares = allocate(claims, capacities)
    values = {evse: share.limit_ma for evse, share in shares.items()}
    admitted = [c for c in claims if shares[c.evse].is_admitted]
    for one in admitted:
        value = values[one.evse]
        if value == one.max_ma:
            continue
        assert any(
            capacity.available_ma * 1_000 - load(capacity, claims, values) <= sum(counts_in(capacity, o) for o in admitted)
            and all(
                values[o.evse] <= o.min_ma or values[o.evse] * one.weight <= (value + 1) * o.weight
                for o in admitted
                if counts_in(capacity, o)
            )
            for capacity in capacities
            if counts_in(capacity, one)
        ), (one, value)


@settings(max_examples=150, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_result_does_not_depend_on_the_order_of_the_input(
    problem: tuple[list[Claim], list[Capacity]], random: object
) -> None:
    claims, capacities = problem
    shuffled = list(claims)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert limits(allocate(claims, capacities)) == limits(allocate(shuffled, capacities))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=8), st.integers(0, 200_000), st.integers(0, 50_000))
def test_on_one_conductor_more_capacity_never_gives_anybody_less(maxima: list[int], available_ma: int, more_ma: int) -> None:
    claims = [claim(f"c{n}", low=0, high=high) for n, high in enumerate(maxima)]
    before = limits(allocate(claims, grid(available_ma)))
    after = limits(allocate(claims, grid(available_ma + more_ma)))
    assert all(after[name] >= before[name] for name in before)


CRUMB = 30 * UNIT
"""Rounding down leaves less than a milliamp for each vehicle; what is left may go to one of them."""


@settings(max_examples=300, deadline=None)
@given(problems(is_plain=True), st.lists(st.integers(0, 40_000), min_size=21, max_size=21))
def test_more_capacity_never_makes_the_poorest_poorer(problem: tuple[list[Claim], list[Capacity]], more_ma: list[int]) -> None:
    """On a tree one vehicle may get less when a conductor it does not use gets more: somebody else then takes more of what both
    use. What never falls is the sorted list of levels, read from the poorest up, as long as the same are admitted; and who is
    admitted, read by rank."""
    claims, capacities = problem
    larger = [replace(c, available_ma=c.available_ma + more) for c, more in zip(capacities, more_ma, strict=False)]
    before, after = allocate(claims, capacities), allocate(claims, larger)
    by_rank = sorted(claims, key=lambda c: (c.rank, c.evse))
    served_before = [before[c.evse].is_admitted for c in by_rank]
    served_after = [after[c.evse].is_admitted for c in by_rank]
    assert served_after >= served_before
    if served_after == served_before:
        pairs = zip(_levels(claims, before), _levels(claims, after), strict=True)
        step = next((new - old for old, new in pairs if new - old >= UNIT or old - new > CRUMB), 0)
        assert step >= 0


def _levels(claims: list[Claim], shares: dict[EvseId, Share]) -> list[int]:
    return sorted(shares[c.evse].limit_ma * UNIT // c.weight for c in claims if shares[c.evse].is_admitted)


@settings(max_examples=150, deadline=None)
@given(problems(), st.lists(st.integers(0, 1_000), min_size=9, max_size=9))
def test_whatever_vehicles_do_below_their_limits_no_two_phases_differ_by_more(
    problem: tuple[list[Claim], list[Capacity]], taken_permille: list[int]
) -> None:
    claims, capacities = problem
    claims = [replace(c, current_permille=1_000) for c in claims]
    capacities = [c for c in capacities if c.against is None]
    capacities += [Capacity(G, a, 20_000, against=b) for a in ALL_PHASES for b in ALL_PHASES if a is not b]
    shares = allocate(claims, capacities)
    drawn = [
        Phases.on(c.phases, shares[c.evse].limit_ma * part // 1_000) for c, part in zip(claims, taken_permille, strict=False)
    ]
    total = sum(drawn, ZERO)
    assert max(total) - min(total) <= 20_000
