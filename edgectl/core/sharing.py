"""The share-out as one pure call, for simulators and notebooks: a site, its vehicles and a moment in, limits with reasons out.

It is the fast step of the daemon without the daemon: the same capacities, policy, turns and share-out, but no chargers that have
to be told, so nothing of what makes a raise wait. What must be known from one call to the next is handed back in the answer::

    site = edgectl.load_site("depot.yaml")
    before = None
    for now_ms, vehicles in day:
        before = edgectl.allocate(site, vehicles, now_ms, before)
        for limit in before.limits.values():
            print(limit.evse, limit.current_ma, limit.cause)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgectl.core.allocation import Share, allocate
from edgectl.core.lookahead import EVERY_MS, Plan
from edgectl.core.policy import Wish, claim_all, foresee, look_ahead
from edgectl.core.room import Leftover, capacities_of
from edgectl.core.turns import Turn, Turns
from edgectl.core.vehicles import RESERVE_MA, Use
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.programme import Programme
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Charger, Site, Strategy
from edgectl.domain.units import MilliAmps, Millis, WattHours, Watts, power_from_current_w


@dataclass(frozen=True, slots=True)
class PluggedIn:
    """One vehicle that is plugged in. Only ``evse`` is needed; the rest is what happens to be known. Currents are per phase."""

    evse: str
    """``CP-1`` or ``CP-1/2``, as in the site's file."""
    phases: tuple[Phase, ...] | None = None
    """The site phases it uses; all of the charger's until known."""
    max_ma: MilliAmps | None = None
    """The most it can take, if less than the charger gives, e.g. near the end of its charge."""
    min_ma: MilliAmps | None = None
    """The least it takes, if more than the charger's minimum."""
    drawn_ma: MilliAmps | None = None
    """What it is seen to draw under its last limit, after it had time to follow. What it leaves unused then is given to others
    until it takes up the reserve of 2 A it is left with."""
    energy_wh: WattHours | None = None
    """Still missing to its target."""
    target_wh: WattHours | None = None
    """All of its target: a plan then knows that the last third of it goes slower."""
    depart_ms: Millis | None = None
    """When it leaves, on the clock of ``now_ms``."""
    priority: int = 0
    is_never_paused: bool = False
    steps_ma: tuple[MilliAmps, ...] = ()
    """The only currents its charger can be told, ascending."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What one vehicle may draw, and why not more."""

    evse: str
    current_ma: MilliAmps
    """Per phase; 0 or at least the minimum."""
    power_w: Watts
    """The same on the phases it uses, at nominal voltage, rounded down."""
    cause: Cause
    circuit: CircuitId | None = None
    """The conductor that binds, where one does."""
    phase: Phase | None = None
    """The phase of it that binds; None for a limit of power."""
    queue_number: int | None = None
    """Its place in the queue while it waits for its turn, from 1."""
    laxity_ms: Millis | None = None
    """With a target: the time that could still be lost; negative when it will be missed."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """The limits of one moment, and what the next call wants to know of it."""

    limits: dict[str, Limit]
    """By the name each vehicle was given with."""
    now_ms: Millis
    pause_count: int
    """Times a vehicle was stopped that wanted to go on, since the first call."""
    turns: Mapping[EvseId, Turn] = field(repr=False)
    wanted_ma: Mapping[EvseId, MilliAmps] = field(repr=False, default_factory=dict)
    """Of those who left current unused, all they are taken to want."""
    plan: Plan | None = field(repr=False, default=None)
    planned_ms: Millis | None = field(repr=False, default=None)


def share_out(
    site: Site,
    vehicles: Iterable[PluggedIn],
    now_ms: Millis,
    before: Allocation | None = None,
    *,
    other_loads_ma: Mapping[str, Phases] | None = None,
    voltages_permille: tuple[int, int] = (1_000, 1_000),
    solve: Callable[[Programme], Sequence[float]] | None = None,
) -> Allocation:
    """Limits for all vehicles: inside every conductor of the site, by its ``balancing``.

    ``now_ms`` is any clock that only goes forward. ``before`` is the answer of the call before: without it turns and plans begin
    anew. ``other_loads_ma`` is what each circuit carries beside vehicles, by its name; what the file says under ``other_loads``
    where it is not given. ``voltages_permille`` are the lowest and the highest phase voltage over the nominal one. ``solve``,
    such as ``edgectl.solve``, plans for sites where everybody says when he leaves; without it they are planned more simply.

    Raises:
        ValueError: an EVSE is not of this site, or is named twice.
    """
    turns = Turns(site.balancing.rotate_ms, before.turns if before else None, before.now_ms if before else None)
    turns.pause_count = before.pause_count if before else 0
    plugged = _by_evse(site, vehicles)
    for evse in [evse for evse in turns.by_evse if evse not in plugged]:
        turns.leave(evse)
    is_same = before is not None and before.turns.keys() == plugged.keys()
    for evse, (vehicle, _) in plugged.items():
        turns.join(evse, is_exempt=vehicle.is_never_paused)

    paths = {circuit.id: tuple(c.id for c in site.path(circuit.id)) for circuit in site.circuits}
    wanted_ma = _wanted(plugged, before)
    wishes = [_wish(evse, vehicle, charger, paths, wanted_ma.get(evse), now_ms) for evse, (vehicle, charger) in plugged.items()]
    loads = other_loads_ma or {}
    capacities = []
    for circuit in site.circuits:
        background_ma = loads.get(circuit.id, circuit.other_loads_ma)
        balance = _balance(circuit.id, wishes, plugged) if circuit.imbalance_ma is not None else None
        capacities += capacities_of(circuit, Leftover(background_ma, ZERO, balance), site.voltage_mv, site.wiring)

    plan, planned_ms = (before.plan, before.planned_ms) if before is not None and is_same else (None, None)
    if site.balancing.strategy is Strategy.DEPARTURE and (planned_ms is None or now_ms - planned_ms >= EVERY_MS):
        bare = claim_all(wishes, capacities, site, turns, None, voltages_permille, now_ms).claims
        question = foresee(wishes, bare, capacities, site, turns, now_ms) if solve is not None else None
        if question is not None and solve is not None:
            plan = question.read(solve(question.programme))
        else:
            plan = look_ahead(wishes, bare, capacities, site)
        planned_ms = now_ms
    claimed = claim_all(wishes, capacities, site, turns, plan, voltages_permille, now_ms)
    shares = allocate(claimed.claims.values(), capacities)

    able = {wish.evse: wish for wish in wishes if wish.max_ma >= wish.min_ma}
    served = {evse: shares[evse].limit_ma for evse in able if shares[evse].is_admitted}
    waiting = {evse: wish.min_ma for evse, wish in able.items() if evse not in served}
    turns.note(served, waiting, now_ms)
    queue = turns.queue(set(waiting), now_ms)
    limits = {}
    for wish in wishes:
        vehicle, charger = plugged[wish.evse]
        seen = claimed.outlooks.get(wish.evse)
        share = shares[wish.evse]
        limits[vehicle.evse] = Limit(
            evse=vehicle.evse,
            current_ma=share.limit_ma,
            power_w=power_from_current_w(share.limit_ma, site.load_mv(len(wish.phases))),
            cause=_cause(share, wish, charger, is_resting=wish.evse in claimed.resting),
            circuit=share.binding.circuit if share.binding else None,
            phase=share.binding.phase if share.binding else None,
            queue_number=queue.get(wish.evse),
            laxity_ms=seen.laxity_ms if seen else None,
        )
    return Allocation(limits, now_ms, turns.pause_count, turns.by_evse, wanted_ma, plan, planned_ms)


def _wanted(plugged: Mapping[EvseId, tuple[PluggedIn, Charger]], before: Allocation | None) -> dict[EvseId, MilliAmps]:
    """What those want who left unused what they were given, or did so earlier and have not asked for more."""
    found = {}
    for evse, (vehicle, charger) in plugged.items():
        last = before.limits.get(vehicle.evse) if before is not None else None
        if before is None or last is None:
            continue
        known_ma = before.wanted_ma.get(evse)
        if vehicle.drawn_ma is not None and last.current_ma > 0:
            use = Use.of(vehicle.drawn_ma, last.current_ma)
            if use is Use.ALL:
                known_ma = None
            elif use is Use.PART:
                known_ma = max(charger.min_ma, vehicle.min_ma or 0, vehicle.drawn_ma + RESERVE_MA)
        if known_ma is not None:
            found[evse] = known_ma
    return found


def _by_evse(site: Site, vehicles: Iterable[PluggedIn]) -> dict[EvseId, tuple[PluggedIn, Charger]]:
    chargers = {charger.id: charger for charger in site.chargers}
    found: dict[EvseId, tuple[PluggedIn, Charger]] = {}
    for vehicle in vehicles:
        name, _, number = vehicle.evse.partition("/")
        charger = chargers.get(ChargerId(name))
        evse = EvseId(ChargerId(name), int(number) if number.isdecimal() else 1 if not number else 0)
        if charger is None or evse not in charger.evses:
            raise ValueError(f"{vehicle.evse!r} is no EVSE of this site")
        if evse in found:
            raise ValueError(f"{vehicle.evse!r} is named twice; one vehicle is at an EVSE")
        found[evse] = (vehicle, charger)
    return found


def _wish(
    evse: EvseId,
    vehicle: PluggedIn,
    charger: Charger,
    paths: Mapping[CircuitId, tuple[CircuitId, ...]],
    wanted_ma: MilliAmps | None,
    now_ms: Millis,
) -> Wish:
    able_ma = charger.max_ma if vehicle.max_ma is None else min(charger.max_ma, vehicle.max_ma)
    return Wish(
        evse=evse,
        circuits=paths[charger.circuit],
        phases=charger.phases if vehicle.phases is None else vehicle.phases,
        min_ma=max(charger.min_ma, vehicle.min_ma or 0),
        max_ma=able_ma if wanted_ma is None else min(able_ma, wanted_ma),
        kind=charger.kind,
        priority=vehicle.priority,
        remaining_wh=vehicle.energy_wh,
        target_wh=vehicle.target_wh,
        left_ms=None if vehicle.depart_ms is None else vehicle.depart_ms - now_ms,
        steps_ma=vehicle.steps_ma,
    )


def _balance(
    circuit: CircuitId, wishes: Iterable[Wish], plugged: Mapping[EvseId, tuple[PluggedIn, Charger]]
) -> dict[tuple[Phase, Phase], MilliAmps]:
    """What one phase may carry more than another because vehicles are seen to draw on the other."""
    found = {(one, other): 0 for one in ALL_PHASES for other in ALL_PHASES if one is not other}
    for wish in wishes:
        if circuit in wish.circuits:
            for one, other in found:
                if other in wish.phases and one not in wish.phases:
                    found[one, other] += plugged[wish.evse][0].drawn_ma or 0
    return found


def _cause(share: Share, wish: Wish, charger: Charger, *, is_resting: bool) -> Cause:
    if is_resting or (not share.is_admitted and share.binding is not None):
        return Cause.TURN
    if share.binding is not None:
        return (
            Cause.SOFT_LIMIT if share.binding.is_soft else Cause.IMBALANCE if share.binding.against is not None else Cause.CIRCUIT
        )
    return Cause.VEHICLE if wish.max_ma < charger.max_ma else Cause.FULL
