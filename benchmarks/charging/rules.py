"""The rules vehicles are shared out by: ours, the published ones, and the best there is with full knowledge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, radians
from typing import Any

import edgectl
from benchmarks.charging.days import SLOT_MIN, Visit
from benchmarks.charging.yard import Load, Rule, Standing, Yard, phases_of, seen_max_ma
from benchmarks.report import CheckFailedError
from edgectl.domain.site import Strategy

AMP = 1_000
TANGENTS = [radians(7.5 * step) for step in range(-4, 5)]
"""Where planes touch what a line can carry between two pairs of lines, which are 30 degrees ahead of it and 30 behind."""


def uncontrolled(_yard: Yard, here: list[Standing], _slot: int) -> dict[int, int]:
    """Everybody takes all he can: what would flow without anybody's care."""
    return {one.visit.number: one.visit.max_ma for one in here}


def equal_share(yard: Yard, here: list[Standing], _slot: int) -> dict[int, int]:
    """Each conductor divided by those below it, whatever their phases; what one cannot use is lost."""
    limits = yard.limits_ma()
    found = {}
    for one in here:
        board = yard.board(one.visit)
        beside = sum(yard.board(other.visit) == board for other in here)
        each_ma = min(limits[0] // len(here), limits[1 + board] // beside)
        found[one.visit.number] = _told(yard, min(one.visit.max_ma, each_ma))
    return found


def round_robin(yard: Yard, here: list[Standing], slot: int) -> dict[int, int]:
    """An amp at a time in turn, as long as it fits (as in zach401/acnportal); who begins moves on with time."""
    load = Load(yard)
    levels = {one.visit.number: 0 for one in here}
    start = slot % len(here)
    queue = here[start:] + here[:start]
    if yard.floor_ma:
        queue = _floors(yard, queue, load, levels)
    while queue:
        going = []
        for one in queue:
            at_ma = levels[one.visit.number]
            if at_ma + AMP <= seen_max_ma(one) and load.room_ma(one.visit) >= AMP:
                load.add(one.visit, AMP)
                levels[one.visit.number] = at_ma + AMP
                going.append(one)
        queue = going
    return levels


def _floors(yard: Yard, queue: Sequence[Standing], load: Load, levels: dict[int, int]) -> list[Standing]:
    """First the least current for each, in order, as far as it fits."""
    served = []
    for one in queue:
        if load.room_ma(one.visit) >= yard.floor_ma:
            load.add(one.visit, yard.floor_ma)
            levels[one.visit.number] = yard.floor_ma
            served.append(one)
    return served


def sorted_rule(key: Callable[[Yard, Standing, int], float]) -> Rule:
    """One after another gets all he can have, in the order of a key."""

    def rule(yard: Yard, here: list[Standing], slot: int) -> dict[int, int]:
        load = Load(yard)
        found = {}
        for one in sorted(here, key=lambda one: (key(yard, one, slot), one.visit.number)):
            needed_ma = one.missing_wh * 60 / SLOT_MIN / _watts_per_ma(yard, one.visit)
            wanted_ma = min(seen_max_ma(one), max(yard.floor_ma, -(-needed_ma // AMP) * AMP))
            given_ma = _told(yard, int(min(wanted_ma, max(0.0, load.room_ma(one.visit)))))
            load.add(one.visit, given_ma)
            found[one.visit.number] = given_ma
        return found

    return rule


def _departure(_yard: Yard, one: Standing, _slot: int) -> float:
    return float(one.visit.leaves)


def _laxity(yard: Yard, one: Standing, slot: int) -> float:
    takes_h = one.missing_wh / (one.visit.max_ma * _watts_per_ma(yard, one.visit))
    return (one.visit.leaves - slot) * SLOT_MIN / 60 - takes_h


earliest_departure = sorted_rule(_departure)
least_laxity = sorted_rule(_laxity)


def _watts_per_ma(yard: Yard, visit: Visit) -> float:
    return yard.wiring.volts * len(visit.phases) / 1_000


def _told(yard: Yard, current_ma: int) -> int:
    if not yard.is_real:
        return max(0, current_ma)
    told_ma = current_ma // AMP * AMP
    return told_ma if told_ma >= yard.floor_ma else 0


def ours(*, knows_departures: bool, turn_min: int = 15) -> Rule:
    """``edgectl.allocate``, a call each slot; a rule keeps what one call hands to the next, so each day takes a new one."""
    before: list[edgectl.Allocation | None] = [None]
    sites: dict[int, Any] = {}

    def rule(yard: Yard, here: list[Standing], slot: int) -> dict[int, int]:
        strategy = Strategy.DEPARTURE if knows_departures else Strategy.FAIR
        site = sites.setdefault(id(yard), yard.site(strategy, turn_min))
        steps = tuple(range(6 * AMP, 33 * AMP, AMP)) if yard.is_real else ()
        vehicles = [
            edgectl.PluggedIn(
                one.visit.evse,
                phases=phases_of(one.visit),
                max_ma=one.visit.max_ma,
                drawn_ma=round(one.drawn_ma) if one.limit_ma else None,
                energy_wh=round(one.missing_wh) if knows_departures else None,
                target_wh=round(one.visit.asked_wh) if knows_departures else None,
                depart_ms=one.visit.leaves * SLOT_MIN * 60_000 if knows_departures else None,
                steps_ma=steps,
            )
            for one in here
        ]
        found = edgectl.allocate(site, vehicles, slot * SLOT_MIN * 60_000, before[0], solve=edgectl.solve)
        before[0], limits = found, found.limits
        return {one.visit.number: limits[one.visit.evse].current_ma for one in here}

    return rule


def optimum_wh(yard: Yard, visits: Sequence[Visit]) -> float:
    """The most energy any rule could give that knows the whole day: a linear program.

    Floors, steps and tapers are left out, and a line between two pairs is bounded by nine planes that touch its true limit from
    outside, so nothing real can be better; in between they allow 0.2 % more than there is.
    """
    import numpy as np
    from scipy import sparse
    from scipy.optimize import linprog

    columns = [(visit, slot) for visit in visits for slot in range(visit.arrives, visit.leaves)]
    hours = SLOT_MIN / 60
    gain = np.array([_watts_per_ma(yard, visit) * hours for visit, _ in columns])
    rows: dict[tuple[object, ...], int] = {}
    bounds: list[float] = []
    entries: list[tuple[int, int, float]] = []

    def row(key: tuple[object, ...], bound: float) -> int:
        if key not in rows:
            rows[key] = len(bounds)
            bounds.append(bound)
        return rows[key]

    limits = yard.limits_ma()
    for column, (visit, slot) in enumerate(columns):
        entries.append((row(("energy", visit.number), visit.asked_wh), column, gain[column]))
        for place in (0, 1 + yard.board(visit)):
            if not yard.wiring.is_delta:
                entries += [(row((place, slot, phase), limits[place]), column, 1.0) for phase in visit.phases]
                continue
            own = visit.phases[0]
            for line, is_first in ((own, True), ((own + 1) % 3, False)):
                for number, angle in enumerate(TANGENTS):
                    part = cos(angle - pi / 6 if is_first else angle + pi / 6)
                    entries.append((row((place, slot, line, number), limits[place]), column, part))
    places, lines, values = zip(*((r, c, v) for r, c, v in entries), strict=True)
    matrix = sparse.csr_matrix((values, (places, lines)), shape=(len(bounds), len(columns)))
    tops = [(0, visit.max_ma) for visit, _ in columns]
    solved = linprog(-gain, A_ub=matrix, b_ub=bounds, bounds=tops, method="highs")
    if not solved.success:
        raise CheckFailedError(f"HiGHS: {solved.message}")
    return float(-solved.fun)
