"""Share capacity among vehicles: one pure function, max-min fair, provably inside every conductor.

Progressive filling in integers. Everyone admitted starts at its minimum; what is needed for a departure comes next; then all
levels rise together, in proportion to their weights, and a vehicle stops rising when it has all it can take or when a conductor
it uses is full. Nobody can then be raised without lowering somebody who has less or equal for its weight. The result depends on
the set of claims and their ``rank``, never on the order of the list.

Instead of rising step by step, each conductor says at which level it will be full. The lowest of these is right whatever the
others do: its vehicles stop there, and the levels of the conductors they also use can only rise. So each conductor is looked at
a few times, and not once for every vehicle.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeAlias

from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.lines import LIGHT_PERMILLE
from edgectl.domain.phases import Phase
from edgectl.domain.units import MilliAmps

PERMILLE: Final = 1_000
UNIT: Final = 720_720
"""A level of this much is one milliamp for a weight of 1. Every weight up to 16 divides it, so that shares by weight come
out even."""
_level = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one EVSE asks for. Currents are per phase; those of a DC charger stand for power at nominal voltage."""

    evse: EvseId
    circuits: tuple[CircuitId, ...]
    """Every circuit its current flows through, up to the root."""
    phases: tuple[Phase, ...]
    """The site phases it loads."""
    min_ma: MilliAmps
    """It gets at least this or nothing."""
    max_ma: MilliAmps
    rank: tuple[int, ...]
    """Who is admitted first when not every minimum fits: smaller first. Ties break by EVSE id."""
    weight: int = 1
    """Above the minima, levels rise in this proportion. At least 1."""
    tier: int = 0
    """All of a smaller tier have what they can take before a larger one rises above its minimum."""
    need_ma: MilliAmps = 0
    """What it must have to leave with its target: given before anyone rises above that. Where not every need fits, all get the
    same part of theirs."""
    is_pressing: bool = False
    """It will leave without its target otherwise: its minimum and its need may break soft capacities."""
    steps_ma: tuple[MilliAmps, ...] = ()
    """The only currents it can be told, ascending; empty when any will do."""
    current_permille: int = PERMILLE
    """What one of its milliamps is on a conductor: more than 1,000 for power drawn at less than nominal voltage."""
    power_permille: int = PERMILLE
    """What one of its milliamps is in a limit of power: more than 1,000 for current drawn at more than nominal voltage."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one conductor can still give to all claims together."""

    circuit: CircuitId
    phase: Phase | None
    """None: a limit on the sum over all phases (a power limit expressed in milliamps at nominal voltage)."""
    available_ma: MilliAmps
    against: Phase | None = None
    """Counts only what flows on ``phase`` and not on this one: what may unbalance the two, at worst."""
    light: Phase | None = None
    """On a site wired between lines the room of one line is two of these: what flows between it and this other one counts
    ``LIGHT_PERMILLE`` here, and everything else whole. Where both are kept, so is the line (``domain.lines``)."""
    is_soft: bool = False
    """May be broken by what a pressing claim needs, and by nothing else."""


@dataclass(frozen=True, slots=True)
class Share:
    """The result for one EVSE. ``binding`` is the capacity that stopped it, None when it has its maximum."""

    evse: EvseId
    limit_ma: MilliAmps
    is_admitted: bool
    binding: Capacity | None


class _Vehicle:
    """A claim while it is being filled."""

    __slots__ = ("at_ma", "binding", "claim", "pull", "top_ma", "uses")

    def __init__(self, claim: Claim, uses: _Uses, at_ma: MilliAmps, top_ma: MilliAmps) -> None:
        self.claim = claim
        self.uses = uses
        self.at_ma = at_ma
        self.top_ma = top_ma
        self.pull = claim.weight
        self.binding: Capacity | None = None


class _Group:
    """Vehicles that use the same conductors and rise at the same pace: what stops one stops all that still rise."""

    __slots__ = ("bends", "is_open", "members", "pull", "uses", "wanted_ma")

    def __init__(self, uses: _Uses, pull: int) -> None:
        self.uses = uses
        self.pull = pull
        self.members: list[tuple[_Vehicle, MilliAmps]] = []
        self.bends: dict[int, int] = {}
        """At which levels the load of the group begins to rise faster or slower."""
        self.wanted_ma = 0
        self.is_open = True

    def add(self, vehicle: _Vehicle, top_ma: MilliAmps) -> None:
        self.members.append((vehicle, top_ma))
        self.wanted_ma += top_ma - vehicle.at_ma
        start, end = vehicle.at_ma * UNIT // self.pull, -(-top_ma * UNIT // self.pull)
        self.bends[start] = self.bends.get(start, 0) + self.pull
        self.bends[end] = self.bends.get(end, 0) - self.pull

    def stop(self, level: int | None, capacity: Capacity | None) -> None:
        """Everyone stays where this level has brought him; None: at his top."""
        self.is_open = False
        gained_ma = 0
        for vehicle, top_ma in self.members:
            target_ma = top_ma if level is None else min(top_ma, max(vehicle.at_ma, level * self.pull // UNIT))
            vehicle.binding = capacity if target_ma < top_ma else None
            gained_ma += target_ma - vehicle.at_ma
            vehicle.at_ma = target_ma
        for conductor, k in self.uses:
            conductor.left -= gained_ma * k
            conductor.is_stale = True


class _Conductor:
    """A capacity while it is being filled. Loads are in thousandths of a milliamp."""

    __slots__ = ("bends", "capacity", "groups", "is_stale", "left", "wanted")

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.left = capacity.available_ma * PERMILLE
        self.groups: list[tuple[_Group, int]] = []
        self.wanted = 0
        """What those that rise here could still take."""
        self.bends: list[tuple[int, int, _Group]] = []
        self.is_stale = False

    def full_at(self) -> int | None:
        """The level at which it is full if nobody else stops anyone; None when it never is."""
        left = self.left * UNIT
        slope = at = 0
        for level, gain, group in self.bends:
            if not group.is_open:
                continue
            if slope:
                cost = slope * (level - at)
                if cost > left:
                    return at + max(0, left) // slope
                left -= cost
            at = level
            slope += gain
        return None


_Uses: TypeAlias = list[tuple[_Conductor, int]]
"""Conductors, and what one milliamp counts in each."""


def allocate(claims: Iterable[Claim], capacities: Sequence[Capacity]) -> dict[EvseId, Share]:
    """Max-min fair currents within every capacity.

    A claim that cannot get its minimum beside those ranked before it gets 0 and is not admitted. Capacities may be negative
    (a conductor already over its limit): then nobody who uses it is admitted.
    """
    by_circuit: dict[CircuitId, list[_Conductor]] = {}
    for capacity in capacities:
        by_circuit.setdefault(capacity.circuit, []).append(_Conductor(capacity))
    known: dict[tuple[object, ...], _Uses] = {}
    vehicles: list[_Vehicle] = []
    shares: dict[EvseId, Share] = {}
    for claim in claims:
        key = (claim.circuits, claim.phases, claim.current_permille, claim.power_permille)
        uses = known.get(key)
        if uses is None:
            uses = known[key] = _uses(claim, by_circuit)
        min_ma, max_ma = (claim.min_ma, claim.max_ma) if not claim.steps_ma else _told(claim)
        if max_ma < min_ma:
            shares[claim.evse] = Share(claim.evse, 0, is_admitted=False, binding=None)
        else:
            vehicles.append(_Vehicle(claim, uses, min_ma, max_ma))
    admitted = _admit(vehicles, shares)
    _serve_needs(admitted)
    for tier in sorted({vehicle.claim.tier for vehicle in admitted}):
        _fill([vehicle for vehicle in admitted if vehicle.claim.tier == tier])
    if any(vehicle.claim.steps_ma for vehicle in admitted):
        _fit_to_steps(admitted)
    for vehicle in admitted:
        shares[vehicle.claim.evse] = Share(vehicle.claim.evse, vehicle.at_ma, is_admitted=True, binding=vehicle.binding)
    return shares


def counts_in(capacity: Capacity, claim: Claim) -> int:
    """What one milliamp of the claim counts in this capacity, in thousandths; 0 when it does not use it."""
    if capacity.circuit not in claim.circuits:
        return 0
    if capacity.phase is None:
        return len(claim.phases) * claim.power_permille
    if capacity.phase not in claim.phases or (capacity.against is not None and capacity.against in claim.phases):
        return 0
    if capacity.light is not None and len(claim.phases) == 2 and capacity.light in claim.phases:
        return -(-claim.current_permille * LIGHT_PERMILLE // PERMILLE)
    return claim.current_permille


def _uses(claim: Claim, by_circuit: dict[CircuitId, list[_Conductor]]) -> list[tuple[_Conductor, int]]:
    found = []
    for circuit in claim.circuits:
        for conductor in by_circuit.get(circuit, ()):
            count = counts_in(conductor.capacity, claim)
            if count:
                found.append((conductor, count))
    return found


def _told(claim: Claim) -> tuple[MilliAmps, MilliAmps]:
    """The least and the most of its steps."""
    fitting = [step_ma for step_ma in claim.steps_ma if claim.min_ma <= step_ma <= claim.max_ma]
    return (fitting[0], fitting[-1]) if fitting else (claim.min_ma, -1)


def _admit(vehicles: list[_Vehicle], shares: dict[EvseId, Share]) -> list[_Vehicle]:
    """Those whose minimum fits beside the ones ranked before; the others get nothing."""
    asked: dict[int, tuple[_Uses, MilliAmps]] = {}
    for vehicle in vehicles:
        uses, sum_ma = asked.get(id(vehicle.uses), (vehicle.uses, 0))
        asked[id(vehicle.uses)] = (uses, sum_ma + vehicle.at_ma)
    loads: dict[int, tuple[_Conductor, int]] = {}
    for uses, sum_ma in asked.values():
        for conductor, k in uses:
            _, load = loads.get(id(conductor), (conductor, 0))
            loads[id(conductor)] = (conductor, load + sum_ma * k)
    if all(load <= conductor.left for conductor, load in loads.values()):
        for conductor, load in loads.values():
            conductor.left -= load
        return vehicles
    admitted = []
    for vehicle in sorted(vehicles, key=lambda vehicle: (vehicle.claim.rank, vehicle.claim.evse)):
        claim, min_ma = vehicle.claim, vehicle.at_ma
        for conductor, k in vehicle.uses:
            if conductor.left < min_ma * k and not (claim.is_pressing and conductor.capacity.is_soft):
                shares[claim.evse] = Share(claim.evse, 0, is_admitted=False, binding=conductor.capacity)
                break
        else:
            for conductor, k in vehicle.uses:
                conductor.left -= min_ma * k
            admitted.append(vehicle)
    return admitted


def _serve_needs(vehicles: list[_Vehicle]) -> None:
    """Those who must leave rise to what they need: first who may break a soft capacity for it, then the others within it."""
    for is_pressing in (True, False):
        needy = [v for v in vehicles if v.claim.need_ma > v.at_ma and v.claim.is_pressing is is_pressing]
        if not needy:
            continue
        for vehicle in needy:
            vehicle.pull = vehicle.claim.need_ma
        _fill(needy, top=lambda vehicle: min(vehicle.top_ma, vehicle.claim.need_ma), is_soft_broken=is_pressing)
        for vehicle in needy:
            vehicle.pull = vehicle.claim.weight


def _all_it_can_take(vehicle: _Vehicle) -> MilliAmps:
    return vehicle.top_ma


def _fill(
    vehicles: list[_Vehicle], *, top: Callable[[_Vehicle], MilliAmps] = _all_it_can_take, is_soft_broken: bool = False
) -> None:
    """Raise these together until each is at its top or stopped by a conductor; the others stay where they are."""
    groups: dict[tuple[int, int], _Group] = {}
    for vehicle in vehicles:
        top_ma = top(vehicle)
        if vehicle.at_ma < top_ma:
            group = groups.get((id(vehicle.uses), vehicle.pull))
            if group is None:
                group = groups[id(vehicle.uses), vehicle.pull] = _Group(vehicle.uses, vehicle.pull)
            group.add(vehicle, top_ma)
    queue = []
    for number, conductor in enumerate(_tight(groups.values(), is_soft_broken=is_soft_broken)):
        level = conductor.full_at()
        if level is not None:
            queue.append((level, number, conductor))
    heapq.heapify(queue)
    while queue:
        level, number, conductor = heapq.heappop(queue)
        if conductor.is_stale:
            # Somebody it carries has stopped meanwhile, so it is full later than it thought.
            conductor.is_stale = False
            later = conductor.full_at()
            if later is not None:
                heapq.heappush(queue, (later, number, conductor))
            continue
        for group, _ in conductor.groups:
            if group.is_open:
                group.stop(level, conductor.capacity)
    for group in groups.values():
        if group.is_open:
            group.stop(None, None)


def _tight(groups: Iterable[_Group], *, is_soft_broken: bool) -> list[_Conductor]:
    """The conductors that will stop somebody: those that could not carry all of these at their tops."""
    touched: dict[int, _Conductor] = {}
    for group in groups:
        for conductor, k in group.uses:
            if id(conductor) not in touched:
                touched[id(conductor)] = conductor
                conductor.wanted = 0
                conductor.groups = []
            conductor.wanted += group.wanted_ma * k
            conductor.groups.append((group, k))
    tight = [c for c in touched.values() if c.wanted > c.left and not (is_soft_broken and c.capacity.is_soft)]
    for conductor in tight:
        conductor.is_stale = False
        bends: list[tuple[int, int, _Group]] = []
        for group, k in conductor.groups:
            bends += [(level, gain * k, group) for level, gain in group.bends.items()]
        bends.sort(key=_level)
        conductor.bends = bends
    return tight


def _fit_to_steps(vehicles: list[_Vehicle]) -> None:
    """Round down to what each charger can be told, then hand out what that leaves: a step at a time to the poorest it fits, and
    the rest to those who can be told any current."""
    stepped = [vehicle for vehicle in vehicles if vehicle.claim.steps_ma]
    for vehicle in stepped:
        steps = vehicle.claim.steps_ma
        _move(vehicle, steps[bisect_right(steps, vehicle.at_ma) - 1])
    queue = [(v.claim.tier, v.at_ma * UNIT // v.pull, v.claim.rank, v.claim.evse, v) for v in stepped]
    heapq.heapify(queue)
    while queue:
        *_, vehicle = heapq.heappop(queue)
        steps = vehicle.claim.steps_ma
        place = bisect_right(steps, vehicle.at_ma)
        if place == len(steps) or steps[place] > vehicle.top_ma:
            continue
        gap_ma = steps[place] - vehicle.at_ma
        if all(conductor.left >= gap_ma * k for conductor, k in vehicle.uses):
            _move(vehicle, steps[place])
            level = vehicle.at_ma * UNIT // vehicle.pull
            heapq.heappush(queue, (vehicle.claim.tier, level, vehicle.claim.rank, vehicle.claim.evse, vehicle))
    free = [vehicle for vehicle in vehicles if not vehicle.claim.steps_ma]
    for tier in sorted({vehicle.claim.tier for vehicle in free}):
        _fill([vehicle for vehicle in free if vehicle.claim.tier == tier])


def _move(vehicle: _Vehicle, to_ma: MilliAmps) -> None:
    gap_ma = to_ma - vehicle.at_ma
    vehicle.at_ma = to_ma
    for conductor, k in vehicle.uses:
        conductor.left -= gap_ma * k
