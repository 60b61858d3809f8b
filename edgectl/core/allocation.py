"""Share capacity among vehicles: one pure function, max-min fair, provably inside every conductor.

Progressive filling in integers. Everyone admitted starts at its minimum; then all levels rise together, and a vehicle stops
rising when it has all it can take or when a conductor it uses is full. Nobody can then be raised without lowering somebody who
has less or equal. The result depends on the set of claims and their ``rank``, never on the order of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.phases import Phase
from edgectl.domain.units import MilliAmps


@dataclass(frozen=True, slots=True)
class Claim:
    """What one EVSE asks for. Currents are per phase."""

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


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one conductor can still give to all claims together."""

    circuit: CircuitId
    phase: Phase | None
    """None: a limit on the sum over all phases (a power limit expressed in milliamps at nominal voltage)."""
    available_ma: MilliAmps


@dataclass(frozen=True, slots=True)
class Share:
    """The result for one EVSE. ``binding`` is the capacity that stopped it, None when it has its maximum."""

    evse: EvseId
    limit_ma: MilliAmps
    is_admitted: bool
    binding: Capacity | None


class _Conductor:
    """A capacity while it is being filled."""

    __slots__ = ("capacity", "rising", "used_ma")

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.used_ma = 0
        self.rising = 0

    @property
    def left_ma(self) -> MilliAmps:
        return self.capacity.available_ma - self.used_ma


class _Vehicle:
    """A claim while it is being filled. ``uses`` pairs each conductor with how many of its phases the claim loads there."""

    __slots__ = ("binding", "claim", "is_open", "uses")

    def __init__(self, claim: Claim, uses: list[tuple[_Conductor, int]]) -> None:
        self.claim = claim
        self.uses = uses
        self.is_open = True
        self.binding: Capacity | None = None


def allocate(claims: Sequence[Claim], capacities: Sequence[Capacity]) -> dict[EvseId, Share]:
    """Max-min fair currents within every capacity.

    A claim that cannot get its minimum beside those ranked before it gets 0 and is not admitted. Capacities may be negative
    (a conductor already over its limit): then nobody who uses it is admitted.
    """
    conductors = [_Conductor(capacity) for capacity in capacities]
    by_circuit: dict[CircuitId, list[_Conductor]] = {}
    for conductor in conductors:
        by_circuit.setdefault(conductor.capacity.circuit, []).append(conductor)

    shares: dict[EvseId, Share] = {}
    admitted: list[_Vehicle] = []
    for claim in sorted(claims, key=lambda claim: (claim.rank, claim.evse)):
        uses = _uses(claim, by_circuit)
        full = next((c for c, weight in uses if c.left_ma < claim.min_ma * weight), None)
        if full is not None or claim.max_ma < claim.min_ma:
            shares[claim.evse] = Share(claim.evse, 0, is_admitted=False, binding=full.capacity if full else None)
            continue
        for conductor, weight in uses:
            conductor.used_ma += claim.min_ma * weight
        admitted.append(_Vehicle(claim, uses))

    for vehicle, level_ma in _fill(admitted, conductors):
        shares[vehicle.claim.evse] = Share(vehicle.claim.evse, level_ma, is_admitted=True, binding=vehicle.binding)
    return shares


def _uses(claim: Claim, by_circuit: dict[CircuitId, list[_Conductor]]) -> list[tuple[_Conductor, int]]:
    found = []
    for circuit in claim.circuits:
        for conductor in by_circuit.get(circuit, ()):
            if conductor.capacity.phase is None:
                found.append((conductor, len(claim.phases)))
            elif conductor.capacity.phase in claim.phases:
                found.append((conductor, 1))
    return found


def _fill(vehicles: list[_Vehicle], conductors: list[_Conductor]) -> list[tuple[_Vehicle, MilliAmps]]:
    """Raise all levels together; yields each vehicle with the level at which it stopped."""
    starts = sorted(vehicles, key=lambda v: (v.claim.min_ma, v.claim.evse), reverse=True)
    stops = sorted(vehicles, key=lambda v: (v.claim.max_ma, v.claim.evse), reverse=True)
    started: set[EvseId] = set()
    members: dict[int, list[_Vehicle]] = {id(conductor): [] for conductor in conductors}
    for vehicle in vehicles:
        for conductor, _ in vehicle.uses:
            members[id(conductor)].append(vehicle)
    finished: list[tuple[_Vehicle, MilliAmps]] = []
    open_count = len(vehicles)
    level_ma = 0

    def stop(vehicle: _Vehicle, at_ma: MilliAmps, binding: Capacity | None) -> None:
        nonlocal open_count
        vehicle.is_open = False
        vehicle.binding = binding
        open_count -= 1
        finished.append((vehicle, at_ma))
        if vehicle.claim.evse in started:
            for conductor, weight in vehicle.uses:
                conductor.rising -= weight

    while open_count:
        while starts and (starts[-1].claim.min_ma <= level_ma or not starts[-1].is_open):
            vehicle = starts.pop()
            if vehicle.is_open:
                started.add(vehicle.claim.evse)
                for conductor, weight in vehicle.uses:
                    conductor.rising += weight
        while stops and (stops[-1].claim.max_ma <= level_ma or not stops[-1].is_open):
            vehicle = stops.pop()
            if vehicle.is_open:
                stop(vehicle, vehicle.claim.max_ma, None)
        if not open_count:
            break
        # A conductor without one more milliamp for each that rises is full: its vehicles stop here.
        full = [c for c in conductors if c.rising and c.left_ma < c.rising]
        if full:
            for conductor in full:
                for vehicle in members[id(conductor)]:
                    if vehicle.is_open and vehicle.claim.evse in started:
                        stop(vehicle, level_ma, conductor.capacity)
            continue
        ahead = [c.left_ma // c.rising for c in conductors if c.rising]
        if starts:
            ahead.append(starts[-1].claim.min_ma - level_ma)
        if stops:
            ahead.append(stops[-1].claim.max_ma - level_ma)
        step_ma = min(ahead)
        for conductor in conductors:
            conductor.used_ma += conductor.rising * step_ma
        level_ma += step_ma
    return finished
