"""From the state of chargers, vehicles and circuits to what ``policy`` makes claims of: wishes, reserves, capacities."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgectl.core.allocation import Capacity, Claim
from edgectl.core.authorization import Authorization
from edgectl.core.chargers import BOOT_GRACE_MS, Chargers, ChargerState
from edgectl.core.circuits import Circuits, Draw, Mode
from edgectl.core.departures import Departures
from edgectl.core.ladder import tolerated_ma
from edgectl.core.limits import EvseLimit
from edgectl.core.policy import Wish
from edgectl.core.room import Leftover, capacities_of
from edgectl.core.sessions import Sessions
from edgectl.core.vehicles import SETTLE_MS, Vehicle
from edgectl.core.waking import Waking
from edgectl.domain.external import charger_place
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Charger, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most one EVSE may have now, and why not more."""

    limit_ma: MilliAmps
    cause: Cause
    circuit: CircuitId | None = None
    is_urgent: bool = False
    """It has dropped for safety: a lower limit waits for nothing."""
    is_held: bool = False
    """It must not be raised now."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One EVSE that can be told what to do: what is claimed for it, and why its maximum is what it is."""

    claim: Claim
    ceiling: Ceiling
    is_resting: bool = False
    """Paused a moment ago, so not to be started again yet."""


def is_commandable(state: ChargerState, now: Instant) -> bool:
    """Connected, and either booted or quiet about booting for long enough."""
    if not state.is_connected or state.since_mono_ms is None:
        return False
    return state.is_accepted or now.mono_ms - state.since_mono_ms >= BOOT_GRACE_MS


def is_settled(limit: EvseLimit, vehicle: Vehicle) -> bool:
    """The vehicle has reported after it had time to follow its last change."""
    return vehicle.reported_mono_ms is not None and vehicle.reported_mono_ms >= limit.changed_mono_ms + SETTLE_MS


def is_exceeding(limit: EvseLimit, vehicle: Vehicle, drawn_ma: MilliAmps) -> bool:
    """Its last report shows more than all it was told within the time that a vehicle has to follow.

    So one whose limit changes every second is found out as soon as one whose limit stands. In between it stays what it was: one
    that was found to draw too much is taken to go on, whatever it is told meanwhile, until it reports otherwise.
    """
    told_ma = limit.highest_told_ma((vehicle.reported_mono_ms or 0) - SETTLE_MS)
    if drawn_ma > tolerated_ma(told_ma):
        return True
    return limit.is_exceeded and drawn_ma > tolerated_ma(limit.commanded_ma) and not is_settled(limit, vehicle)


def steady_ma(limit: EvseLimit, vehicle: Vehicle, now: Instant) -> MilliAmps:
    """The most this vehicle draws now, if it has followed its orders."""
    reported_ma = vehicle.drawn_ma(now)
    if reported_ma is not None and is_settled(limit, vehicle):
        return min(reported_ma.largest, limit.commanded_ma)
    if limit.commanded_ma >= limit.previous_ma:
        return limit.commanded_ma
    return min(limit.steady_ma, limit.commanded_ma)  # a lower limit raises nobody


def starting_ma(limit: EvseLimit, vehicle: Vehicle, now: Instant) -> MilliAmps:
    """What a vehicle that was let begin, or begin again, a moment ago may explain of an excess its charger has not reported yet.

    Only its least, which it keeps in whatever is shared out next: then others are lowered by all that is too much, even when
    it has not begun and the excess is the building's. What is given up is the room for it to begin in after all.
    """
    is_new = now.mono_ms - limit.changed_mono_ms < SETTLE_MS and limit.commanded_ma >= limit.previous_ma
    return min(limit.commanded_ma, limit.charger.min_ma) if is_new and not vehicle.is_satisfied else 0


def draw_of(limit: EvseLimit, vehicle: Vehicle, now: Instant) -> Draw:
    """The range of what this vehicle may have drawn at the last meter reading."""
    reported_ma = vehicle.drawn_ma(now)
    low_ma = ZERO if reported_ma is None else reported_ma.at_most(Phases.on(vehicle.phases, limit.commanded_ma))
    if reported_ma is not None and (limit.beyond_ma != ZERO or is_settled(limit, vehicle)):
        low_ma += limit.beyond_ma  # who disobeys follows no reduction: what is measured has all of it
        return Draw(low_ma, low_ma, low_ma)
    following_ma = Phases.on(vehicle.phases, limit.following_ma(now))
    sure_ma = low_ma.at_least(following_ma).at_least(Phases.on(vehicle.phases, starting_ma(limit, vehicle, now)))
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
        departures: Departures,
        limits: dict[EvseId, EvseLimit],
        vehicles: dict[EvseId, Vehicle],
    ) -> None:
        self.chargers = chargers
        self.sessions = sessions
        self.authorization = authorization
        self.departures = departures
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

        Who is silent or drilled has all he draws reserved anyway.
        """
        found: dict[CircuitId, Phases] = {}
        for evse, vehicle in self.vehicles.items():
            limit = self.limits[evse]
            reported_ma, limit.beyond_ma = vehicle.drawn_ma(now), ZERO
            if reported_ma is not None:
                limit.is_exceeded = is_exceeding(limit, vehicle, reported_ma.largest)
            if reported_ma is None or not limit.is_exceeded or limit.is_drilled:
                continue
            if not is_commandable(self.chargers.by_id[evse.charger], now):
                continue
            limit.beyond_ma = (reported_ma - Phases.on(vehicle.phases, limit.commanded_ma)).at_least(ZERO)
            for circuit in self.paths[limit.charger.circuit]:
                found[circuit] = found.get(circuit, ZERO) + limit.beyond_ma
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

    def capacities(
        self, circuits: Circuits, reserved: dict[CircuitId, Phases], now: Instant, *, margin_percent: int = 100
    ) -> list[Capacity]:
        """What each conductor can give to those who can be told."""
        found: list[Capacity] = []
        for circuit in self.site.circuits:
            balance = self._balance(circuit.id, now) if circuit.imbalance_ma is not None else None
            state = circuits.by_id[circuit.id]
            leftover = Leftover(state.background_ma, reserved[circuit.id], balance)
            allowed = replace(circuit, limit_ma=state.allowed_ma, limit_w=state.allowed_w)
            found += capacities_of(allowed, leftover, self.site.voltage_mv, self.site.wiring, margin_percent=margin_percent)
        for place, bound in circuits.fences.items():
            found += [Capacity(place, phase, bound.current_ma[phase]) for phase in ALL_PHASES]
            if bound.power_w is not None:
                found.append(Capacity(place, None, bound.power_w * 1_000_000 // self.site.voltage_mv))
        return found

    def _balance(self, circuit: CircuitId, now: Instant) -> dict[tuple[Phase, Phase], MilliAmps]:
        """What one phase may carry more than another because of vehicles on the other; less what the silent may do to it."""
        found = {(one, other): 0 for one in ALL_PHASES for other in ALL_PHASES if one is not other}
        for state in self.chargers.by_id.values():
            if circuit not in self.paths[state.charger.circuit]:
                continue
            is_told = is_commandable(state, now)
            for evse in state.charger.evses:
                vehicle = self.vehicles.get(evse)
                if is_told and vehicle is not None:
                    low_ma = draw_of(self.limits[evse], vehicle, now).low_ma
                    for one, other in found:
                        if other in vehicle.phases and one not in vehicle.phases:
                            found[one, other] += low_ma[other]
                elif not is_told:
                    worst_ma = self.silent_worst_ma(state, evse, now)
                    for one, other in found:
                        found[one, other] -= max(0, worst_ma[one] - worst_ma[other])
        return found

    def wishes(self, circuits: Circuits, now: Instant) -> dict[EvseId, tuple[Wish, Ceiling]]:
        """Of every EVSE with a session whose charger can be told what to do."""
        found: dict[EvseId, tuple[Wish, Ceiling]] = {}
        for state in self.chargers.by_id.values():
            if not is_commandable(state, now):
                continue
            for evse in state.charger.evses:
                if evse in self.vehicles:
                    found[evse] = self._wish(state, evse, circuits, now)
        return found

    def _wish(self, state: ChargerState, evse: EvseId, circuits: Circuits, now: Instant) -> tuple[Wish, Ceiling]:
        charger = state.charger
        vehicle = self.vehicles[evse]
        limit = self.limits[evse]
        ceiling = self._ceiling(charger, vehicle, circuits)
        quirks = limit.quirks
        min_ma, max_ma = charger.min_ma, ceiling.limit_ma
        waking = self.wakings[evse]
        wakes_at_ma = waking.wakes_at_ma(limit)
        if wakes_at_ma is not None and not vehicle.is_drawing:
            min_ma = wakes_at_ma
            if ceiling.cause is not Cause.METER_LOST:
                max_ma = max(max_ma, min_ma)
        if waking.is_toggling(now):
            max_ma = 0
        phases = vehicle.phases
        if limit.is_drilled:
            # Its rating or nothing, before everybody else: others leave room while it shows what it does.
            min_ma, phases = charger.max_ma, charger.phases
            max_ma = ceiling.limit_ma if ceiling.cause is Cause.METER_LOST else charger.max_ma
        if limit.commanded is not None and ceiling.is_held:
            max_ma = min(max_ma, limit.commanded_ma)
        session = self.sessions.at(evse)
        target = self.departures.of(session, evse)
        priority = self.authorization.priority(session.id_token if session else None)
        has_goal = target is not None and session is not None and target.energy_wh is not None
        return Wish(
            evse=evse,
            circuits=self._path(charger, circuits),
            phases=phases,
            min_ma=min_ma,
            max_ma=max_ma,
            kind=charger.kind,
            priority=priority if target is None or target.priority is None else target.priority,
            # One that loses its transaction or its vehicle's attention at 0 A keeps its place once it charges.
            keeps_going=(not quirks.can_pause or waking.stays_awake) and limit.commanded_ma > 0,
            is_first=limit.is_drilled,
            is_satisfied=vehicle.is_satisfied,
            remaining_wh=max(0, (target.energy_wh or 0) - session.energy_wh) if has_goal and target and session else None,
            target_wh=target.energy_wh if has_goal and target else None,
            left_ms=(target.depart_utc_ms or 0) - now.utc_ms if has_goal and target else None,
            steps_ma=() if limit.is_drilled else quirks.steps_ma,
        ), ceiling

    def _path(self, charger: Charger, circuits: Circuits) -> tuple[CircuitId, ...]:
        """A charger with a limit from outside draws through one more conductor: its own feed."""
        path, place = self.paths[charger.circuit], charger_place(charger.id)
        return (*path, place) if place in circuits.fences else path

    def _ceiling(self, charger: Charger, vehicle: Vehicle, circuits: Circuits) -> Ceiling:
        """The most it may have, whatever there is."""
        found = Ceiling(charger.max_ma, Cause.FULL)
        wanted_ma = charger.min_ma if vehicle.is_satisfied else vehicle.wanted_ma
        if wanted_ma is not None and wanted_ma < found.limit_ma:
            found = Ceiling(wanted_ma, Cause.VEHICLE)
        for circuit in self.paths[charger.circuit]:
            mode = circuits.by_id[circuit].mode
            if mode is Mode.HOLD:
                found = replace(found, is_held=True)
            elif mode in {Mode.SAFE, Mode.STOP}:
                safe_ma = charger.fallback_ma if mode is Mode.SAFE else 0
                found = replace(found, is_urgent=True)
                if safe_ma < found.limit_ma:
                    found = replace(found, limit_ma=safe_ma, cause=Cause.METER_LOST, circuit=circuit)
        return found
