"""The share-out alone, beside a general solver of linear programs (HiGHS, by way of SciPy) that finds the same fair shares.

The solver raises the poorest as far as it can, fixes whoever cannot be raised, and goes on with the others: one program for each
level. Both must find the same shares. At the largest site only its first program is timed; that the shares are fair is then shown
by the conductor that stops each vehicle.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

from benchmarks.report import CheckFailedError, Results, verdict
from benchmarks.timing import cpu_us
from edgectl.core.allocation import Capacity, Claim, Share, allocate, counts_in
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, Phase

SIZES = [(50, 10), (200, 40), (1_000, 100), (5_000, 500)]
"""Connectors and circuits."""
SOLVED_MAX = 1_000
"""Connectors up to which the solver goes to the end."""
GOAL_MS = 20.0
"""At 1,000 connectors."""
TOLERANCE_MA = 30
"""The share-out rounds down to milliamps, and what that leaves may go to one vehicle."""


def site(connectors: int, circuits: int, seed: int = 0) -> tuple[list[Claim], list[Capacity]]:
    """A grid connection, boards below it, rows below those; every conductor has room for all minima, and few for all maxima."""
    rng = random.Random(connectors + seed)
    board_count = max(1, round(circuits**0.5))
    grid = CircuitId("grid")
    boards = [CircuitId(f"board-{number}") for number in range(board_count)]
    rows = {CircuitId(f"row-{number}"): rng.choice(boards) for number in range(circuits - board_count - 1)}
    leaves = list(rows)
    claims = []
    for number in range(connectors):
        row = leaves[number % len(leaves)]
        claims.append(
            Claim(
                EvseId(ChargerId(f"CP-{number:04}"), 1),
                (row, rows[row], grid),
                ALL_PHASES if rng.random() < 0.7 else (rng.choice(list(Phase)),),
                6_000,
                rng.choice([16_000, 20_000, 32_000]) - rng.randrange(0, 4_000),
                (number,),
            )
        )
    capacities = []
    for circuit in (grid, *boards, *rows):
        for phase in ALL_PHASES:
            below = [claim for claim in claims if circuit in claim.circuits and phase in claim.phases]
            least, most = sum(c.min_ma for c in below), sum(c.max_ma for c in below)
            part = rng.uniform(0.35, 1.1) if circuit != grid else 0.45
            capacities.append(Capacity(circuit, phase, round(least + part * (most - least))))
    return claims, capacities


class Programs:
    """The same problem for HiGHS."""

    def __init__(self, claims: list[Claim], capacities: list[Capacity]) -> None:
        import numpy as np
        from scipy import sparse

        self.claims = claims
        count = len(claims)
        place = {(c.circuit, c.phase): number for number, c in enumerate(capacities)}
        entries = [
            (place[circuit, phase], number) for number, c in enumerate(claims) for circuit in c.circuits for phase in c.phases
        ]
        rows, columns = zip(*entries, strict=True)
        self.carried = sparse.csr_matrix((np.ones(len(entries)), (rows, columns)), shape=(len(capacities), count + 1))
        self.available = np.array([c.available_ma for c in capacities], dtype=float)
        self.low = np.array([c.min_ma for c in claims], dtype=float)
        self.high = np.array([c.max_ma for c in claims], dtype=float)

    def raise_poorest(self, is_open: Any) -> tuple[float, Any, Any]:
        """The highest level all open ones can have; the shares; who cannot be raised above it."""
        import numpy as np
        from scipy import sparse
        from scipy.optimize import linprog

        count = len(self.claims)
        open_places = np.flatnonzero(is_open)
        ones = np.ones(len(open_places))
        lines = np.arange(len(open_places))
        above = sparse.csr_matrix((-ones, (lines, open_places)), shape=(len(open_places), count + 1))
        above = above + sparse.csr_matrix((ones, (lines, np.full(len(open_places), count))), shape=above.shape)
        cost = np.zeros(count + 1)
        cost[count] = -1
        solved = linprog(
            cost,
            A_ub=sparse.vstack([self.carried, above], format="csr"),
            b_ub=np.concatenate([self.available, np.zeros(len(open_places))]),
            bounds=[*zip(self.low, self.high, strict=True), (0, None)],
            method="highs",
        )
        if not solved.success:
            raise CheckFailedError(f"HiGHS: {solved.message}")
        blocked = open_places[solved.ineqlin.marginals[len(self.available) :] < -1e-9]
        return solved.x[count], solved.x[:count], blocked

    def solve(self) -> tuple[list[float], int]:
        """The fair shares, and how many programs that took."""
        import numpy as np

        is_open = np.ones(len(self.claims), dtype=bool)
        low, high = self.low.copy(), self.high.copy()
        programs = 0
        while is_open.any():
            level, _, blocked = self.raise_poorest(is_open)
            programs += 1
            done = np.union1d(blocked, np.flatnonzero(is_open & (self.high <= level + 1e-6)))
            if not len(done):
                raise CheckFailedError("HiGHS named nobody who cannot be raised")
            self.low[done] = self.high[done] = np.clip(level, low[done], high[done])
            is_open[done] = False
        found = list(self.low)
        self.low, self.high = low, high
        return found, programs


def check_fair(claims: list[Claim], capacities: list[Capacity], shares: dict[EvseId, Share]) -> None:
    """Every vehicle has its maximum, or a full conductor on which nobody has more, but for his minimum."""
    by_circuit: dict[CircuitId, list[Capacity]] = {}
    for capacity in capacities:
        by_circuit.setdefault(capacity.circuit, []).append(capacity)
    load = dict.fromkeys(capacities, 0)
    users: dict[Capacity, list[Claim]] = {capacity: [] for capacity in capacities}
    for claim in claims:
        for circuit in claim.circuits:
            for capacity in by_circuit[circuit]:
                if counts_in(capacity, claim):
                    load[capacity] += shares[claim.evse].limit_ma
                    users[capacity].append(claim)
    above = {
        c: max((shares[u.evse].limit_ma for u in us if shares[u.evse].limit_ma > u.min_ma), default=0) for c, us in users.items()
    }
    for capacity in capacities:
        if load[capacity] > capacity.available_ma:
            raise CheckFailedError(f"{capacity} carries {load[capacity]} mA")
    for claim in claims:
        share = shares[claim.evse]
        bound = share.binding
        if share.limit_ma < claim.max_ma and (
            bound is None or bound.available_ma - load[bound] > len(users[bound]) or above[bound] > share.limit_ma + 1
        ):
            raise CheckFailedError(f"{claim.evse} could have more than {share.limit_ma} mA")


def run() -> Results:
    print("allocation: CPU per decision beside a linear solver that finds the same max-min fair shares")
    heads = ("edgectl ms", 11), ("HiGHS ms", 10), ("programs", 8), ("ratio", 9), ("differ by", 18)
    print(f"{'connectors':>10} {'circuits':>8} " + " ".join(f"{head:>{width}}" for head, width in heads))
    results: Results = {}
    for connectors, circuits in SIZES:
        claims, capacities = site(connectors, circuits)
        shares = allocate(claims, capacities)
        check_fair(claims, capacities, shares)
        spent_us = cpu_us(partial(allocate, claims, capacities))
        programs = Programs(claims, capacities)
        start = time.process_time()
        if connectors <= SOLVED_MAX:
            found, count = programs.solve()
            solved_ms = (time.process_time() - start) * 1_000
            apart_ma = max(abs(value - shares[c.evse].limit_ma) for c, value in zip(claims, found, strict=True))
            if apart_ma > TOLERANCE_MA:
                raise CheckFailedError(f"{connectors} connectors: a share differs by {apart_ma:.0f} mA from the solver's")
            apart = f"{apart_ma:.2f} mA"
        else:
            import numpy as np

            level, _, _ = programs.raise_poorest(np.ones(len(claims), dtype=bool))
            solved_ms, count, apart_ma = (time.process_time() - start) * 1_000, 1, 0.0
            least_ma = min(share.limit_ma for share in shares.values() if share.limit_ma > 6_000)
            apart = f"poorest {abs(level - least_ma):.2f} mA"
        ratio = solved_ms * 1_000 / spent_us
        print(f"{connectors:>10} {circuits:>8} {spent_us / 1000:>11.2f} {solved_ms:>10.0f} {count:>8} {ratio:>8.0f}x {apart:>18}")
        results[f"{connectors} connectors"] = {
            "circuits": circuits,
            "edgectl_us": spent_us,
            "solver_ms": solved_ms,
            "programs": count,
            "ratio": ratio,
            "apart_ma": float(apart_ma),
        }
    at_goal_ms = results["1000 connectors"]["edgectl_us"] / 1_000
    print(f"  1,000 connectors in {at_goal_ms:.1f} ms; the goal is {GOAL_MS:.0f} ms: {verdict(at_goal_ms, GOAL_MS)}")
    return results
