"""The share-out alone, beside giving everybody the same by bisection on one level: the simplest thing that never overloads."""

from __future__ import annotations

import random
from functools import partial

from benchmarks.report import Results
from benchmarks.timing import cpu_us
from edgectl.core.allocation import Capacity, Claim, allocate, counts_in
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, Phase

SIZES = [(24, 4), (100, 12), (250, 28), (1_000, 100)]
"""Connectors and circuits."""


def site(connectors: int, circuits: int) -> tuple[list[Claim], list[Capacity]]:
    rng = random.Random(connectors)
    grid = CircuitId("grid")
    names = [CircuitId(f"hall-{number}") for number in range(circuits - 1)]
    capacities = [Capacity(grid, phase, connectors * 9_000) for phase in ALL_PHASES]
    capacities += [Capacity(name, phase, connectors * 14_000 // circuits) for name in names for phase in ALL_PHASES]
    claims = [
        Claim(
            EvseId(ChargerId(f"CP-{number:04}"), 1),
            (rng.choice(names), grid),
            ALL_PHASES if rng.random() < 0.7 else (rng.choice(list(Phase)),),
            6_000,
            rng.choice([16_000, 20_000, 32_000]),
            (rng.randrange(3), number),
        )
        for number in range(connectors)
    ]
    return claims, capacities


def one_level(claims: list[Claim], capacities: list[Capacity]) -> int:
    """The largest current everybody can have at once: fair, and wasteful wherever one conductor is tighter than the rest."""
    low, high = 0, 32_000
    while low < high:
        middle = (low + high + 1) // 2
        fits = all(
            sum(min(middle, c.max_ma) * counts_in(capacity, c) for c in claims) <= capacity.available_ma * 1_000
            for capacity in capacities
        )
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def run() -> Results:
    print("allocation: CPU per decision, and the current handed out beside one level for all")
    print(f"{'connectors':>10} {'circuits':>8} {'edgectl ms':>11} {'handed out':>11}")
    results: Results = {}
    for connectors, circuits in SIZES:
        claims, capacities = site(connectors, circuits)
        spent_us = cpu_us(partial(allocate, claims, capacities))
        given = sum(share.limit_ma for share in allocate(claims, capacities).values())
        level = one_level(claims, capacities) * connectors
        print(f"{connectors:>10} {circuits:>8} {spent_us / 1000:>11.2f} {given / max(1, level):>10.2f}x")
        results[f"{connectors} connectors"] = {"edgectl_us": spent_us, "handed_out": given / max(1, level)}
    return results
