"""From the state of chargers, vehicles and circuits to the problem ``allocation`` solves: claims, reserves, capacities."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgectl.core.allocation import PERMILLE, Capacity, Claim, counts_in
from edgectl.core.authorization import Authorization
from edgectl.core.chargers import BOOT_GRACE_MS, Chargers, ChargerState
from edgectl.core.circuits import Circuits, Draw, Mode
from edgectl.core.ladder import tolerated_ma
from edgectl.core.limits import EvseLimit
from edgectl.core.sessions import Sessions
from edgectl.core.turns import Turns
from edgectl.core.vehicles import SETTLE_MS, Vehicle
from edgectl.core.waking import Waking
from edgectl.domain.external import charger_place
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Site, Strategy
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis


@dataclass(frozen=True, slots=True)
class Demand:
    """One EVSE that can be told what to do, and why its maximum is what it is."""

    claim: Claim
    ceiling_cause: Cause
    ceiling_circuit: CircuitId | None = None
    is_urgent: bool = False
    """Its ceiling has dropped for safety: a lower limit waits for nothing."""
    is_held: bool = False
    """It must not be raised now."""


def is_commandable(state: ChargerState, now: Instant) -> bool:
    """Connected, and either booted or quiet about booting for long enough."""
    if not state.is_connected or state.since_mono_ms is None:
        return False
    return state.is_accepted or now.mono_ms - state.since_mono_ms >= BOOT_GRACE_MS


def is_settled(limit: EvseLimit, vehicle: Vehicle) -> bool:
    """The vehicle has reported after it had time to follow its last change."""
    return vehicle.reported_mono_ms is not None and vehicle.reported_mono_ms >= limit.changed_mono_ms + SETTLE_MS


def steady_ma(limit: EvseLimit, vehicle: Vehicle, now: Instant) -> MilliAmps:
    """The most this vehicle draws now, if it has followed its orders."""
    reported_ma = vehicle.drawn_ma(now)
    if reported_ma is not None and is_settled(limit, vehicle):
        return min(reported_ma.largest, limit.commanded_ma)
    if limit.commanded_ma >= limit.previous_ma:
        return limit.commanded_ma
    return min(limit.steady_ma, limit.commanded_ma)  # a lower limit raises nobody


def draw_of(limit: EvseLimit, vehicle: Vehicle, now: Instant) -> Draw:
    """The range of what this vehicle may have drawn at the last meter reading."""
    reported_ma = vehicle.drawn_ma(now)
    low_ma = ZERO if reported_ma is None else reported_ma.at_most(Phases.on(vehicle.phases, limit.commanded_ma))
    if reported_ma is not None and is_settled(limit, vehicle):
        return Draw(low_ma, low_ma, low_ma)
    following_ma = Phases.on(vehicle.phases, limit.following_ma(now))
    sure_ma = low_ma.at_least(following_ma)
    return Draw(low_ma, sure_ma.at_least(Phases.on(vehicle.phases, steady_ma(limit, vehicle, now))), sure_ma)


@dataclass(slots=True)
class Departed:
    """A vehicle that has just stopped: the meter may still show it for a moment."""

    circuit: CircuitId
    high_ma: Phases
    until_mono_ms: Millis


class DemandBook:
    """Builds the demands and reserves of one control step."""

    def __init__(
        self,
        site: Site,
        chargers: Chargers,
        sessions: Sessions,
        authorization: Authorization,
        turns: Turns,
        limits: dict[EvseId, EvseLimit],
        vehicles: dict[EvseId, Vehicle],
    ) -> None:
        self.chargers = chargers
        self.sessions = sessions
        self.authorization = authorization
        self.turns = turns
        self.limits = limits
        self.vehicles = vehicles
        self.departed: list[Departed] = []
        self.wakings: dict[EvseId, Waking] = {}
        self.reload(site)

    def reload(self, site: Site) -> None:
        self.site = site
        self.paths = {circuit.id: tuple(c.id for c in site.path(circuit.id)) for circuit in site.circuits}

    def below(self) -> dict[CircuitId, list[tuple[Vehicle, EvseLimit]]]:
        """The vehicles behind each circuit, with their limits."""
        found: dict[CircuitId, list[tuple[Vehicle, EvseLimit]]] = {circuit.id: [] for circuit in self.site.circuits}
        for evse, vehicle in self.vehicles.items():
            for circuit in self.paths[vehicle.charger.circuit]:
                found[circuit].append((vehicle, self.limits[evse]))
        return found

    def draws(self, now: Instant) -> dict[CircuitId, list[Draw]]:
        """The vehicles below each circuit."""
        found: dict[CircuitId, list[Draw]] = {circuit.id: [] for circuit in self.site.circuits}
        for state in self.chargers.by_id.values():
            for evse in state.charger.evses:
                vehicle = self.vehicles.get(evse)
                if vehicle is None:
                    continue
                draw = draw_of(self.limits[evse], vehicle, now)
                for circuit in self.paths[state.charger.circuit]:
                    found[circuit].append(draw)
        self.departed = [gone for gone in self.departed if gone.until_mono_ms > now.mono_ms]
        for gone in self.departed:
            for circuit in self.paths.get(gone.circuit, ()):
                found[circuit].append(Draw(ZERO, gone.high_ma, gone.high_ma))
        return found

    def excess(self, now: Instant) -> dict[CircuitId, Phases]:
        """What vehicles report beyond what they were told, below each circuit.

        Who is silent or drilled has all he draws reserved anyway. One that was found to draw too much is taken to go on, whatever
        it is told meanwhile, until it reports otherwise.
        """
        found: dict[CircuitId, Phases] = {}
        for evse, vehicle in self.vehicles.items():
            limit = self.limits[evse]
            reported_ma = vehicle.drawn_ma(now)
            if reported_ma is not None and is_settled(limit, vehicle):
                limit.is_exceeded = reported_ma.largest > tolerated_ma(limit.commanded_ma)
            if reported_ma is None or not limit.is_exceeded or limit.is_drilled:
                continue
            if not is_commandable(self.chargers.by_id[evse.charger], now):
                continue
            beyond_ma = (reported_ma - Phases.on(vehicle.phases, limit.commanded_ma)).at_least(ZERO)
            for circuit in self.paths[limit.charger.circuit]:
                found[circuit] = found.get(circuit, ZERO) + beyond_ma
        return found

    def reserves(self, now: Instant) -> dict[CircuitId, Phases]:
        """What must be left free for chargers that cannot be told anything."""
        reserved = {circuit.id: ZERO for circuit in self.site.circuits}
        for state in self.chargers.by_id.values():
            if is_commandable(state, now):
                continue
            for evse in state.charger.evses:
                worst_ma = self.silent_worst_ma(state, evse, now)
                for circuit in self.paths[state.charger.circuit]:
                    reserved[circuit] += worst_ma
        return reserved

    def silent_worst_ma(self, state: ChargerState, evse: EvseId, now: Instant) -> Phases:
        """A charger we cannot reach may at any time serve somebody at its fallback, or still run on its last lease."""
        vehicle = self.vehicles.get(evse)
        drawn_ma = vehicle.drawn_ma(now) if vehicle is not None else None
        worst_ma = self.limits[evse].silent_worst_ma(now, drawn_ma.largest if drawn_ma else None)
        return Phases.on(state.charger.phases, worst_ma)

    def demands(self, circuits: Circuits, now: Instant) -> dict[EvseId, Demand]:
        """Every EVSE with a session whose charger can be told what to do."""
        found: dict[EvseId, Demand] = {}
        for state in self.chargers.by_id.values():
            if not is_commandable(state, now):
                continue
            for evse in state.charger.evses:
                if evse in self.vehicles:
                    demand = self._demand(state, evse, circuits, now)
                    found[evse] = _fenced(demand, charger_place(state.charger.id), circuits)
        return found

    def _demand(self, state: ChargerState, evse: EvseId, circuits: Circuits, now: Instant) -> Demand:
        charger = state.charger
        vehicle = self.vehicles[evse]
        limit = self.limits[evse]
        path = self.paths[charger.circuit]
        ceiling_ma: MilliAmps = charger.max_ma
        cause, at = Cause.FULL, None
        is_urgent = is_held = False
        wanted_ma = charger.min_ma if vehicle.is_satisfied else vehicle.wanted_ma
        if wanted_ma is not None and wanted_ma < ceiling_ma:
            ceiling_ma, cause = wanted_ma, Cause.VEHICLE
        for circuit in path:
            mode = circuits.by_id[circuit].mode
            if mode is Mode.HOLD:
                is_held = True
            elif mode in {Mode.SAFE, Mode.STOP}:
                safe_ma = charger.fallback_ma if mode is Mode.SAFE else 0
                is_urgent = True
                if safe_ma < ceiling_ma:
                    ceiling_ma, cause, at = safe_ma, Cause.METER_LOST, circuit
        session = self.sessions.at(evse)
        priority = self.authorization.priority(session.id_token if session else None)
        by_priority = -priority if self.site.balancing.strategy is Strategy.PRIORITY else 0
        quirks = limit.quirks
        # One that loses its transaction or its vehicle's attention at 0 A keeps its place once it charges.
        waking = self.wakings[evse]
        keeps_going = (not quirks.can_pause or waking.stays_awake) and limit.commanded_ma > 0
        min_ma = charger.min_ma
        wakes_at_ma = waking.wakes_at_ma(limit)
        if wakes_at_ma is not None and not vehicle.is_drawing:
            min_ma = wakes_at_ma
            if cause is not Cause.METER_LOST:
                ceiling_ma = max(ceiling_ma, min_ma)
        if waking.is_toggling(now):
            ceiling_ma = 0
        claim = Claim(
            evse=evse,
            circuits=path,
            phases=vehicle.phases,
            min_ma=min_ma,
            max_ma=ceiling_ma,
            rank=(0 if keeps_going else 1, by_priority, 1 if vehicle.is_satisfied else 0, self.turns.place(evse)),
        )
        if limit.is_drilled:
            # Its rating or nothing, before everybody else: others leave room while it shows what it does.
            top_ma = ceiling_ma if cause is Cause.METER_LOST else charger.max_ma
            claim = Claim(evse, path, charger.phases, charger.max_ma, top_ma, (-1, *claim.rank[1:]))
        if limit.commanded is not None and is_held:
            claim = Claim(claim.evse, path, claim.phases, claim.min_ma, min(ceiling_ma, limit.commanded_ma), claim.rank)
        return Demand(claim, cause, at, is_urgent, is_held)


class Room:
    """The capacities of one control step and who uses which, worked out once."""

    __slots__ = ("capacities", "uses")

    def __init__(self, site: Site, circuits: Circuits, reserved: dict[CircuitId, Phases], demands: dict[EvseId, Demand]) -> None:
        self.capacities = capacities(site, circuits, reserved, margin_percent=100)
        at: dict[CircuitId, list[int]] = {}
        for place, capacity in enumerate(self.capacities):
            at.setdefault(capacity.circuit, []).append(place)
        self.uses: dict[EvseId, list[tuple[int, int]]] = {}
        """For each EVSE: the places of its capacities, and what one milliamp of it counts there, in thousandths."""
        for evse, demand in demands.items():
            claim = demand.claim
            places = (place for circuit in claim.circuits for place in at[circuit])
            self.uses[evse] = [(place, k) for place in places if (k := counts_in(self.capacities[place], claim))]

    def load_ma(self, draws_ma: dict[EvseId, MilliAmps]) -> list[MilliAmps]:
        """What these currents add up to in each capacity, rounded up."""
        loads = [0] * len(self.capacities)
        for evse, draw_ma in draws_ma.items():
            for place, k in self.uses[evse]:
                loads[place] += draw_ma * k
        return [-(-load // PERMILLE) for load in loads]


def capacities(site: Site, circuits: Circuits, reserved: dict[CircuitId, Phases], *, margin_percent: int) -> list[Capacity]:
    """What each conductor can give to those who can be told. ``margin_percent`` of the configured margin is kept free."""
    found: list[Capacity] = []
    for circuit in site.circuits:
        state = circuits.by_id[circuit.id]
        free_ma = state.headroom_ma(circuit.margin_ma * margin_percent // 100) - reserved[circuit.id]
        found.extend(Capacity(circuit.id, phase, free_ma[phase]) for phase in ALL_PHASES)
        if state.allowed_w is not None:
            total_ma = state.allowed_w * 1_000_000 // site.voltage_mv
            used_ma = state.background_ma.total + reserved[circuit.id].total + circuit.margin_ma * margin_percent // 100
            found.append(Capacity(circuit.id, None, total_ma - used_ma))
    for place, allowed in circuits.fences.items():
        found.extend(Capacity(place, phase, allowed.current_ma[phase]) for phase in ALL_PHASES)
        if allowed.power_w is not None:
            found.append(Capacity(place, None, allowed.power_w * 1_000_000 // site.voltage_mv))
    return found


def _fenced(demand: Demand, place: CircuitId, circuits: Circuits) -> Demand:
    """A charger with a limit from outside draws through one more conductor: its own feed."""
    if place not in circuits.fences:
        return demand
    return replace(demand, claim=replace(demand.claim, circuits=(*demand.claim.circuits, place)))
