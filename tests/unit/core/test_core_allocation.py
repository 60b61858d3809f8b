"""The share-out: feasible, max-min fair, independent of order, monotone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.core.allocation import Capacity, Claim, Share, allocate
from edgectl.core.demand import weight_in
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, Phase

G, H, K = CircuitId("grid"), CircuitId("hall"), CircuitId("kiosk")


def claim(
    name: str,
    circuits: tuple[CircuitId, ...] = (G,),
    phases: tuple[Phase, ...] = ALL_PHASES,
    low: int = 6_000,
    high: int = 32_000,
    rank: int = 0,
) -> Claim:
    return Claim(EvseId(ChargerId(name), 1), circuits, phases, low, high, (rank,))


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


CRUMB_MA = 30
"""What is left when a conductor has less than one milliamp for each that rises may still go to one of them elsewhere."""
PATHS = [(G,), (H, G), (K, G), (K, H, G)]


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Claim], list[Capacity]]:
    count = draw(st.integers(1, 9))
    claims = []
    for number in range(count):
        low = draw(st.sampled_from([0, 1_000, 6_000, 8_000]))
        claims.append(
            claim(
                f"c{number}",
                draw(st.sampled_from(PATHS)),
                draw(st.sampled_from([ALL_PHASES, (Phase.L1,), (Phase.L2,), (Phase.L2, Phase.L3)])),
                low,
                low + draw(st.integers(0, 32_000)),
                draw(st.integers(0, 2)),
            )
        )
    capacities = [
        Capacity(circuit, phase, draw(st.integers(-2_000, 90_000))) for circuit in (G, H, K) for phase in (*ALL_PHASES, None)
    ]
    return claims, capacities


def used_ma(capacity: Capacity, claims: list[Claim], values: dict[EvseId, int]) -> int:
    return sum(weight_in(capacity, c.circuits, c.phases) * values[c.evse] for c in claims)


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
    for capacity in capacities:
        used = used_ma(capacity, claims, values)
        assert used <= max(0, capacity.available_ma)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_nobody_can_be_raised_without_lowering_somebody_poorer(problem: tuple[list[Claim], list[Capacity]]) -> None:
    claims, capacities = problem
    shares = allocate(claims, capacities)
    values = {evse: share.limit_ma for evse, share in shares.items()}
    for one in claims:
        share = shares[one.evse]
        if not share.is_admitted or share.limit_ma == one.max_ma:
            continue
        # Some conductor it uses has no room for one more unit each of those that rise there, and nobody on it is richer
        # except by a minimum of his own.
        blocked = [c for c in capacities if weight_in(c, one.circuits, one.phases)]
        full = []
        for capacity in blocked:
            rising = sum(
                weight_in(capacity, o.circuits, o.phases)
                for o in claims
                if shares[o.evse].is_admitted and values[o.evse] <= share.limit_ma and values[o.evse] < o.max_ma
            )
            if capacity.available_ma - used_ma(capacity, claims, values) < max(1, rising):
                full.append(capacity)
        assert full, (one, share)
        assert any(
            all(
                values[o.evse] <= max(share.limit_ma, o.min_ma) + CRUMB_MA
                for o in claims
                if weight_in(capacity, o.circuits, o.phases) and shares[o.evse].is_admitted
            )
            for capacity in full
        )


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
def test_more_capacity_never_gives_anybody_less(maxima: list[int], available_ma: int, more_ma: int) -> None:
    claims = [claim(f"c{n}", low=0, high=high) for n, high in enumerate(maxima)]
    before = limits(allocate(claims, grid(available_ma)))
    after = limits(allocate(claims, grid(available_ma + more_ma)))
    assert all(after[name] >= before[name] for name in before)
