"""The control step: who may draw how much now, and which orders follow.

Reductions go out first and wait for nothing. A raise waits until headroom has lasted, until the charger has had its dead time,
and until every reduction it relies on is *confirmed*: at every moment the sum of what each charger may draw at worst fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edgectl.core.allocation import PERMILLE, Capacity, Claim, Share, allocate, counts_in
from edgectl.core.arbiter import external_input
from edgectl.core.authorization import Authorization
from edgectl.core.chargers import Chargers, Evidence
from edgectl.core.circuits import Circuits, Draw, Mode
from edgectl.core.containment import Containment
from edgectl.core.demand import Ceiling, Demand, DemandBook, Departed, draw_of, steady_ma
from edgectl.core.departures import Departures, Outlook
from edgectl.core.doubts import Doubts
from edgectl.core.external import ExternalLimits
from edgectl.core.ladder import PURPOSES, Rung
from edgectl.core.limits import EvseLimit, Order, WriteRate
from edgectl.core.lookahead import EVERY_MS, Plan
from edgectl.core.meters import Meters
from edgectl.core.policy import Wish, claim_all, look_ahead
from edgectl.core.ramp import Ramp
from edgectl.core.room import Room, limiting_cause
from edgectl.core.sessions import Sessions
from edgectl.core.turns import Turns
from edgectl.core.vehicles import SETTLE_MS, Vehicle
from edgectl.core.waking import Waking
from edgectl.domain.decisions import Decision, Keep, ProfileStyle, SetLimit
from edgectl.domain.errors import invariant
from edgectl.domain.external import charger_place
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ZERO, Phases
from edgectl.domain.quirks import ProfilePurpose, Quirks
from edgectl.domain.reasons import IDLE_REASON, Authority, Cause, Input, Reason
from edgectl.domain.records import LimitKept, Session
from edgectl.domain.site import Charger, PowerKind, Site, Strategy
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis, Watts, power_from_current_w

STEP_MA: MilliAmps = 1_000
"""Smaller changes than this are not worth a message, unless a conductor needs them: profile writes wear flash."""
RAISE_STEP_MA: MilliAmps = 8_000
"""The most a running vehicle is raised at once, so that a wrong estimate is seen before it is repeated."""

BUSY_COUNT = 120
"""Limits written to one charger in an hour, three times what renewing leases takes; beyond it raises are kept apart ..."""
BUSY_REST_MS: Millis = 60_000
"""... by this. Where a firmware keeps each limit in flash, that is what wears it; reductions wait for nothing."""
VOLTAGE_LEAST_PERMILLE = 850
VOLTAGE_MOST_PERMILLE = 1_150
"""Beyond 15 % below or above the nominal voltage a reading is not believed to go on (EN 50160 allows 10 %)."""


class Balancing:
    """Limits of all EVSEs, and the step that moves them."""

    def __init__(
        self,
        site: Site,
        chargers: Chargers,
        meters: Meters,
        sessions: Sessions,
        authorization: Authorization,
        departures: Departures,
        now: Instant,
        external: ExternalLimits | None = None,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.site = site
        self.chargers = chargers
        self.meters = meters
        self.external = external or ExternalLimits(site, {}, now)
        self.circuits = Circuits(site)
        self.doubts = Doubts()
        self.limits: dict[EvseId, EvseLimit] = {}
        self.vehicles: dict[EvseId, Vehicle] = {}
        self.turns = Turns(site.balancing.rotate_ms)
        self.authorization = authorization
        self.book = DemandBook(site, chargers, sessions, authorization, departures, self.limits, self.vehicles)
        self.reserved: dict[CircuitId, Phases] = {}
        self.waiting: dict[EvseId, int] = {}
        """The place in the queue of each that waits, from 1."""
        self.outlooks: dict[EvseId, Outlook] = {}
        """How the targets stand."""
        self.plan: Plan | None = None
        self.plan_failed_count = 0
        self._planned_mono_ms: Millis | None = None
        self.containment = Containment(sessions, self.limits, self.vehicles)
        self.wakings: dict[EvseId, Waking] = {}
        self.book.wakings = self.wakings
        self.ramp = Ramp(now, had_sessions=bool(sessions.open), chance=chance)
        self.writes: dict[ChargerId, WriteRate] = {}
        self._order_number = 0
        self._demands: dict[EvseId, Demand] = {}
        self._shares: dict[EvseId, Share] = {}
        self._users: dict[Capacity, int] = {}
        """How many demands count in a capacity, as far as a reason has asked since the last step."""
        self._squeezed: set[EvseId] = set()
        self._add_evses(site, is_new_site=True)
        for session in sessions.open.values():
            self._resume(session, now)

    def _add_evses(self, site: Site, *, is_new_site: bool = False) -> None:
        for charger in site.chargers:
            for evse in charger.evses:
                if evse not in self.limits:
                    self.limits[evse] = EvseLimit(evse, charger)
            self.requirk(charger.id)
            if is_new_site:
                for evse in charger.evses:
                    self.limits[evse].lose()
        for evse in [evse for evse in self.limits if evse not in {e for c in site.chargers for e in c.evses}]:
            self.close_session(evse, None)
            del self.limits[evse]

    def requirk(self, charger_id: ChargerId) -> None:
        """What is known of a charger's behaviour, or of its fallback, has changed."""
        state = self.chargers.by_id[charger_id]
        for evse in state.charger.evses:
            self.limits[evse].charger = state.charger
            self.limits[evse].quirks = state.quirks
            self.limits[evse].has_fallback = state.fallback_evidence is not Evidence.NONE
            if evse in self.vehicles:
                self.vehicles[evse].charger = state.charger

    def lose(self, charger_id: ChargerId) -> None:
        """The charger's link has ended."""
        for evse in self.chargers.by_id[charger_id].charger.evses:
            self.limits[evse].lose()

    def reload(self, site: Site) -> None:
        self.site = site
        self.turns.turn_ms = site.balancing.rotate_ms
        self.external.reload(site)
        self.circuits.reload(site)
        self._add_evses(site)
        self.book.reload(site)

    # --- sessions come and go -----------------------------------------------------------------------------------------

    def open_session(self, evse: EvseId, now: Instant) -> None:
        limit = self.limits.get(evse)
        if limit is None or evse in self.vehicles:
            return
        self.vehicles[evse] = Vehicle(evse, limit.charger)
        self.wakings[evse] = Waking()
        limit.open(now)
        self.containment.begin(limit, now)
        session = self.book.sessions.at(evse)
        self.turns.join(evse, is_exempt=self.authorization.is_never_paused(session.id_token if session else None))
        self.plan_anew()

    def plan_anew(self) -> None:
        """Somebody has come or gone, or wants something else: the plan is for others."""
        self.plan = None
        self._planned_mono_ms = None

    def _resume(self, session: Session, now: Instant) -> None:
        """After a restart the charger may still hold a lease of ours, of a height we do not remember."""
        limit = self.limits.get(session.evse)
        if limit is None:
            return
        self.open_session(session.evse, now)
        limit.open(now, confirmed_ma=limit.charger.max_ma, lease_ms=self.site.balancing.lease_ms)

    def close_session(self, evse: EvseId, now: Instant | None) -> None:
        vehicle = self.vehicles.pop(evse, None)
        self.wakings.pop(evse, None)
        limit = self.limits.get(evse)
        if vehicle is not None and limit is not None and now is not None:
            high_ma = draw_of(limit, vehicle, now).high_ma
            self.book.departed.append(Departed(limit.charger.circuit, high_ma, now.mono_ms + SETTLE_MS))
        if limit is not None:
            limit.close()
        self.turns.leave(evse)
        self.waiting.pop(evse, None)
        self.outlooks.pop(evse, None)
        self.plan_anew()
        self._shares.pop(evse, None)

    # --- the step -----------------------------------------------------------------------------------------------------

    def step(self, now: Instant) -> list[Decision]:
        """One pass over the whole site. Orders come out with every reduction before any raise."""
        self.doubts.judge(self.site, self.meters, self.book.below(), now)
        self.circuits.allow(self.external.allowed(now))
        draws: dict[CircuitId, Sequence[Draw]] = dict(self.book.draws(now))
        self.circuits.update(self.meters, draws, self.book.excess(now), now)
        self.reserved = self.book.reserves(now)
        for evse, vehicle in self.vehicles.items():
            limit = self.limits[evse]
            vehicle.watch(limit.commanded_ma, limit.changed_mono_ms, now)
            self.wakings[evse].watch(vehicle, limit, now)
        climbed = self.containment.climb(now)
        capacities = self.book.capacities(self.circuits, self.reserved, now)
        wishes = self.book.wishes(self.circuits, now)
        asked = [wish for wish, _ in wishes.values()]
        claimed = claim_all(asked, capacities, self.site, self.turns, self.plan, self._voltages_permille(now), now.mono_ms)
        demands = {e: Demand(claimed.claims[e], ceiling, e in claimed.resting) for e, (_, ceiling) in wishes.items()}
        room = Room(capacities, claimed.claims)
        shares = allocate(claimed.claims.values(), capacities)
        _check(room, shares)
        self.outlooks = claimed.outlooks
        self._note_turns(wishes, shares, now)
        self._demands, self._shares = demands, shares
        self._users.clear()

        crowded = self._crowded(room, now)
        led = [evse for evse in demands if not self.limits[evse].is_drilled]
        lowered = [order for evse in led if (order := self._lower(demands[evse], shares[evse], crowded, now))]
        free = self._free_at_worst(room, now)
        drilled = (evse for evse in demands if self.limits[evse].is_drilled)
        self._squeezed = {evse for evse in drilled if any(free[place] < 0 for place, _ in room.uses[evse])}
        raised = [order for evse in led if (order := self._raise(demands[evse], shares[evse], room, free, now))]
        repeated = [order for evse in led if (order := self._repeat(evse, now, is_due=evse in climbed))]
        kept = [Keep(LimitKept(order.evse, order.limit_ma, order.reason, now.utc_ms)) for order in (*lowered, *raised)]
        stops = self.containment.stop_hopeless(room, now)
        self._look_ahead(asked, claimed.claims, capacities, now)
        return [*lowered, *repeated, *raised, *stops, *kept]

    @property
    def awaits_confirmation(self) -> bool:
        """A raise waits until others have confirmed that they take less."""
        return any(self.limits[evse].waiting is Cause.UNCONFIRMED for evse in self.vehicles)

    def _voltages_permille(self, now: Instant) -> tuple[int, int]:
        """The lowest and highest measured phase voltage over the nominal one; nominal where nobody measures it."""
        root = self.site.circuits[0]
        meter = self.meters.by_id.get(root.meter) if root.meter is not None else None
        if meter is None or meter.good is None or meter.good.voltage_mv is None or meter.current_ma(now) is None:
            return 1_000, 1_000
        measured_mv = [mv for mv in meter.good.voltage_mv if mv * 2 > self.site.voltage_mv]  # a dead phase drives nothing
        found = [mv * 1_000 // self.site.voltage_mv for mv in measured_mv] or [1_000]
        return max(VOLTAGE_LEAST_PERMILLE, min(found)), min(VOLTAGE_MOST_PERMILLE, max(found) + 1)

    def _note_turns(self, wishes: dict[EvseId, tuple[Wish, Ceiling]], shares: dict[EvseId, Share], now: Instant) -> None:
        able = {evse: wish for evse, (wish, _) in wishes.items() if wish.max_ma >= wish.min_ma}
        served = {evse: shares[evse].limit_ma for evse in able if shares[evse].is_admitted}
        waiting = {evse: wish.min_ma for evse, wish in able.items() if evse not in served}
        self.turns.note(served, waiting, now.mono_ms)
        self.waiting = self.turns.queue(set(waiting), now.mono_ms)

    def _look_ahead(
        self, wishes: Sequence[Wish], claims: Mapping[EvseId, Claim], capacities: Sequence[Capacity], now: Instant
    ) -> None:
        """Make the plan the next steps use, when it is due. Without one the even current until a departure is what it needs."""
        if self.site.balancing.strategy is not Strategy.DEPARTURE:
            self.plan = None
            return
        if self._planned_mono_ms is not None and now.mono_ms - self._planned_mono_ms < EVERY_MS:
            return
        self._planned_mono_ms = now.mono_ms
        try:
            self.plan = look_ahead(wishes, claims, capacities, self.site.voltage_mv)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # A bug in what is never needed must not cost what is: counted and shown, and the share-out goes on without.
            self.plan = None
            self.plan_failed_count += 1

    def _crowded(self, room: Room, now: Instant) -> set[EvseId]:
        """EVSEs on a conductor where what is commanded no longer fits, with half the margin used up."""
        loads = room.load_ma({evse: self.limits[evse].commanded_ma for evse in room.uses})
        relaxed = self.book.capacities(self.circuits, self.reserved, now, margin_percent=50)
        bounds = [capacity for capacity in relaxed if not capacity.is_soft]
        full = {place for place, bound in enumerate(bounds) if loads[place] > bound.available_ma}
        return {evse for evse, uses in room.uses.items() if any(place in full for place, _ in uses)} if full else set()

    def _lower(self, demand: Demand, share: Share, crowded: set[EvseId], now: Instant) -> SetLimit | None:
        limit = self.limits[share.evse]
        gap_ma = limit.commanded_ma - share.limit_ma
        if gap_ma <= 0:
            return None
        limit.raise_wanted_since_mono_ms = None
        is_urgent = demand.ceiling.is_urgent or share.evse in crowded
        is_rested = now.mono_ms - limit.changed_mono_ms >= self.site.balancing.dead_time_ms
        is_first = limit.commanded is None
        if not is_urgent and not is_first and not (is_rested and (gap_ma >= STEP_MA or share.limit_ma == 0)):
            return None
        return self._order(limit, share.limit_ma, self._decided(share.evse, now), now)

    def _free_at_worst(self, room: Room, now: Instant) -> list[MilliAmps]:
        """What is left of each capacity when everyone draws the worst that is not disproven."""
        loads = room.load_ma({evse: self._worst_ma(evse, now) for evse in room.uses})
        return [capacity.available_ma - load for capacity, load in zip(room.capacities, loads, strict=True)]

    def _worst_ma(self, evse: EvseId, now: Instant) -> MilliAmps:
        drawn_ma = self.vehicles[evse].drawn_ma(now)
        limit = self.limits[evse]
        is_settled = now.mono_ms - limit.changed_mono_ms >= SETTLE_MS
        return limit.worst_ma(now, drawn_ma.largest if drawn_ma is not None and is_settled else None)

    def _raise(self, demand: Demand, share: Share, room: Room, free: list[MilliAmps], now: Instant) -> SetLimit | None:
        limit = self.limits[share.evse]
        limit.waiting = None
        is_first = limit.commanded is None
        gap_ma = share.limit_ma - limit.commanded_ma
        if gap_ma < 0 or (gap_ma == 0 and not is_first):
            return None
        if gap_ma < STEP_MA and not is_first and share.limit_ma < demand.claim.max_ma:
            limit.raise_wanted_since_mono_ms = None
            return None
        if limit.raise_wanted_since_mono_ms is None:
            limit.raise_wanted_since_mono_ms = now.mono_ms
        balancing = self.site.balancing
        spread_ms = balancing.restart_spread_ms
        if not is_first and self.ramp.waits(share.evse, spread_ms, now):
            limit.waiting = Cause.SETTLING
            return None
        if not is_first:
            has_lasted = now.mono_ms - limit.raise_wanted_since_mono_ms >= balancing.raise_after_ms
            is_busy = self.writes[share.evse.charger].last_hour_count(now) >= BUSY_COUNT * limit.charger.evse_count
            rest_ms = max(balancing.dead_time_ms, limit.quirks.write_interval_ms, BUSY_REST_MS if is_busy else 0)
            is_rested = now.mono_ms - limit.changed_mono_ms >= rest_ms
            if not (has_lasted and is_rested):
                limit.waiting = Cause.SETTLING
                return None
        uses = room.uses[share.evse]
        worst_ma = self._worst_ma(share.evse, now)
        spare_ma = min((free[place] * PERMILLE // k for place, k in uses), default=0)
        # Where the worst already does not fit, nobody is told more than before, even if his own worst allows it.
        target_ma = min(share.limit_ma, worst_ma + spare_ma if spare_ma >= 0 else limit.commanded_ma)
        if limit.commanded_ma > 0 and not is_first:
            target_ma = min(target_ma, limit.commanded_ma + RAISE_STEP_MA)
        if is_first and self.ramp.is_on(spread_ms, now):
            target_ma = min(target_ma, max(demand.claim.min_ma, limit.charger.fallback_ma))
        target_ma = max(target_ma, min(share.limit_ma, limit.commanded_ma))
        if target_ma < demand.claim.min_ma:
            target_ma = 0
        target_ma = limit.tellable_ma(target_ma)
        if target_ma - limit.commanded_ma < min(STEP_MA, gap_ma) and not is_first:
            limit.waiting = Cause.UNCONFIRMED
            return None
        for place, k in uses:
            free[place] -= -(-max(0, target_ma - worst_ma) * k // PERMILLE)
        return self._order(limit, target_ma, self._decided(share.evse, now), now)

    def _repeat(self, evse: EvseId, now: Instant, *, is_due: bool) -> SetLimit | None:
        """Renew a lease at half life, try again what was not accepted, or tell it in another way."""
        limit = self.limits[evse]
        if limit.commanded is None or not (is_due or limit.needs_repeat(self.site.balancing.lease_ms, now)):
            return None
        return self._order(limit, limit.commanded.limit_ma, limit.commanded.reason, now)

    def reassert(self, charger: Charger, now: Instant) -> list[Decision]:
        """After a reconnect, before anything else: some chargers forget their profiles with the socket.

        What was told last holds only while its lease does and the meter is there: after that, others may have what it left.
        """
        orders: list[Decision] = []
        is_unmetered = any(self.circuits.by_id[c].mode in {Mode.SAFE, Mode.STOP} for c in self.book.paths[charger.circuit])
        for evse in charger.evses:
            limit = self.limits[evse]
            if evse not in self.vehicles or limit.commanded is None or limit.is_drilled:
                continue
            limit_ma, reason = limit.commanded.limit_ma, limit.commanded.reason
            if limit_ma > charger.fallback_ma and (is_unmetered or now.mono_ms >= limit.commanded.lease_end_mono_ms):
                limit_ma, reason = charger.fallback_ma, Reason(Cause.SETTLING, Authority.POLICY)
            orders.append(self._order(limit, limit_ma, reason, now))
        return orders

    def begin_again(self, booted: ChargerId, now: Instant) -> list[Decision]:
        """A charger has booted. After a blackout the vehicles of all that have are lowered to where they begin."""
        orders: list[Decision] = []
        for charger_id in sorted(self.ramp.booted(booted, len(self.chargers.by_id), now)):
            state = self.chargers.get(charger_id)
            for evse in state.charger.evses if state is not None else ():
                limit = self.limits[evse]
                low_ma = limit.tellable_ma(max(limit.charger.min_ma, limit.charger.fallback_ma))
                if evse in self.vehicles and limit.commanded_ma > low_ma and not limit.is_drilled:
                    orders.append(self._order(limit, low_ma, Reason(Cause.SETTLING, Authority.POLICY), now))
        return orders

    def _order(self, limit: EvseLimit, limit_ma: MilliAmps, reason: Reason, now: Instant) -> SetLimit:
        charger, quirks = limit.charger, limit.quirks
        vehicle = self.vehicles[limit.evse]
        on_grid_ma = limit.tellable_ma(limit_ma)
        self._order_number += 1
        self.writes.setdefault(charger.id, WriteRate()).note(now)
        lease_ms = self.site.balancing.lease_ms
        order = Order(self._order_number, on_grid_ma, now.mono_ms, now.mono_ms + lease_ms, reason)
        limit.note_order(order, steady_ma(limit, vehicle, now))
        limit.raise_wanted_since_mono_ms = None
        session = self.book.sessions.at(limit.evse)
        return SetLimit(
            evse=limit.evse,
            order_number=self._order_number,
            limit_ma=on_grid_ma,
            limit_w=self._power_w(limit, vehicle, on_grid_ma),
            kind=charger.kind,
            phase_count=len(charger.phases),
            lease_ms=lease_ms,
            transaction=session.transaction if session else None,
            reason=reason,
            style=style_of(charger, quirks, limit.ladder.rung if limit.ladder.is_climbed else None),
        )

    def _power_w(self, limit: EvseLimit, vehicle: Vehicle, limit_ma: MilliAmps) -> Watts:
        """The same limit in watts. An AC charger divides watts by the phases in use, so until these are known from
        measurement it is told what is safe on one."""
        charger = limit.charger
        if charger.kind is PowerKind.DC:
            return self.site.power_w(charger, limit_ma)
        phase_count = len(vehicle.phases) if vehicle.has_shown_phases else 1
        return power_from_current_w(limit_ma, self.site.voltage_mv, phase_count)

    # --- drills -------------------------------------------------------------------------------------------------------

    def order_for_drill(self, evse: EvseId, limit_ma: MilliAmps, style: ProfileStyle, lease_ms: Millis, now: Instant) -> SetLimit:
        """A limit of a drill. While it lasts the EVSE counts at its rating, so whatever the charger makes of it fits."""
        limit = self.limits[evse]
        order = self._order(limit, limit_ma, Reason(Cause.DRILL, Authority.POLICY), now)
        limit.commanded = replace(limit.commanded, lease_end_mono_ms=now.mono_ms + lease_ms) if limit.commanded else None
        return replace(order, style=style, lease_ms=lease_ms)

    def has_room_for_rating(self, evse: EvseId) -> bool:
        """Everybody else leaves room for all this EVSE can draw, and has confirmed it."""
        share = self._shares.get(evse)
        # Without a share it cannot be told anything, and its rating is kept free as for any silent charger of its kind.
        return share is None or (share.is_admitted and evse not in self._squeezed)

    def take_back(self, evse: EvseId, now: Instant) -> list[Decision]:
        """The drill is over: what the EVSE was told last is told again in its own style, until the next step decides anew."""
        limit = self.limits.get(evse)
        if limit is None or limit.commanded is None or evse not in self.vehicles:
            return []
        target_ma = min(limit.commanded.limit_ma, limit.charger.fallback_ma)
        return [self._order(limit, target_ma, Reason(Cause.SETTLING, Authority.POLICY), now)]

    def limited_by(self, charger: ChargerId) -> str:
        """Who outside limits this charger; empty when nobody does."""
        fence = self.circuits.fences.get(charger_place(charger))
        return "" if fence is None else fence.words

    # --- reasons ------------------------------------------------------------------------------------------------------

    def reason(self, evse: EvseId, now: Instant) -> Reason:
        """Why the limit of an EVSE is what it is now."""
        if evse not in self._shares:
            return IDLE_REASON
        decided = self._decided(evse, now)
        waiting = self.limits[evse].waiting
        return decided if waiting is None else replace(decided, cause=waiting)

    def _decided(self, evse: EvseId, now: Instant) -> Reason:
        return self._reason(self._demands[evse], self._shares[evse], self._demands, now)

    def _reason(self, demand: Demand, share: Share, demands: dict[EvseId, Demand], now: Instant) -> Reason:
        binding, ceiling = share.binding, demand.ceiling
        if ceiling.cause is Cause.METER_LOST and (share.is_admitted or binding is None):
            return Reason(Cause.METER_LOST, Authority.CONDUCTOR, ceiling.circuit, None, self._meter_inputs(demand, now))
        if demand.is_resting:
            return Reason(Cause.TURN, Authority.POLICY)
        if binding is not None:
            return self._bound(binding, demand, share, demands, now)
        if ceiling.cause is Cause.VEHICLE:
            vehicle = self.vehicles[share.evse]
            age_ms = None if vehicle.reported_mono_ms is None else now.mono_ms - vehicle.reported_mono_ms
            return Reason(Cause.VEHICLE, Authority.VEHICLE, inputs=(Input("wanted", demand.claim.max_ma, "mA", age_ms),))
        return Reason(Cause.FULL, Authority.CHARGER, inputs=(Input("rating", self.limits[share.evse].charger.max_ma, "mA"),))

    def _bound(self, binding: Capacity, demand: Demand, share: Share, demands: dict[EvseId, Demand], now: Instant) -> Reason:
        """A conductor stops it, by its own limit or by one from outside."""
        state = self.circuits.by_id.get(binding.circuit)
        allowed = self.circuits.fences.get(binding.circuit) if state is None else state.allowed
        held = None if allowed is None or binding.against is not None else allowed.by(binding.phase)
        cause = limiting_cause(binding) if share.is_admitted else Cause.TURN
        if binding.is_soft:
            return Reason(cause, Authority.POLICY, binding.circuit, binding.phase, self._inputs(binding, demands, now))
        if held is None:
            return Reason(cause, Authority.CONDUCTOR, binding.circuit, binding.phase, self._inputs(binding, demands, now))
        needs_ma = demand.claim.min_ma * counts_in(binding, demand.claim) // PERMILLE
        if share.is_admitted or binding.available_ma < needs_ma:
            cause = Cause.EXTERNAL  # else others are served first of what is allowed
        inputs = (external_input(held, binding.phase), *(self._inputs(binding, demands, now) if state is not None else ()))
        place = None if state is None else binding.circuit
        return Reason(cause, Authority.EXTERNAL, place, binding.phase, inputs, by=held.words, until_utc_ms=held.until_utc_ms)

    def _inputs(self, binding: Capacity, demands: dict[EvseId, Demand], now: Instant) -> tuple[Input, ...]:
        state = self.circuits.by_id[binding.circuit]
        meter = self.meters.by_id.get(state.circuit.meter) if state.circuit.meter is not None else None
        age_ms = meter.age_ms(now) if meter is not None else None
        phase = binding.phase
        users = self._users.get(binding)
        if users is None:
            users = self._users[binding] = sum(1 for demand in demands.values() if counts_in(binding, demand.claim))
        circuit = state.circuit
        limit_w = circuit.soft_limit_w if binding.is_soft else circuit.limit_w
        if binding.against is not None:
            return (Input("limit", circuit.imbalance_ma or 0, "mA"), Input("vehicles", users, "count"))
        limit: Input | None
        if phase is None:
            limit = None if limit_w is None else Input("limit", limit_w, "W")
            other = Input("other-loads", state.background_ma.total, "mA", age_ms)
            reserved = self.reserved.get(binding.circuit, ZERO).total
        else:
            per_phase_ma = (circuit.soft_limit_ma if binding.is_soft else None) or circuit.limit_ma
            limit = Input("limit", per_phase_ma[phase], "mA")
            other = Input("other-loads", state.background_ma[phase], "mA", age_ms)
            reserved = self.reserved.get(binding.circuit, ZERO)[phase]
        facts = (other, Input("reserved", reserved, "mA"), Input("vehicles", users, "count"))
        return facts if limit is None else (limit, *facts)

    def _meter_inputs(self, demand: Demand, now: Instant) -> tuple[Input, ...]:
        if demand.ceiling.circuit is None:
            return ()
        meter_id = self.circuits.by_id[demand.ceiling.circuit].circuit.meter
        meter = self.meters.by_id.get(meter_id) if meter_id is not None else None
        age_ms = meter.age_ms(now) if meter is not None else None
        return (Input("fallback", demand.claim.max_ma, "mA"), Input("meter-silent", age_ms or 0, "ms", age_ms))


def _check(room: Room, shares: dict[EvseId, Share]) -> None:
    """What was shared out fits every hard capacity; that it does is proven for any input, so anything else is our mistake."""
    loads = room.load_ma({evse: shares[evse].limit_ma for evse in room.uses})
    for capacity, load_ma in zip(room.capacities, loads, strict=True):
        fits = capacity.is_soft or capacity.against is not None or load_ma <= max(0, capacity.available_ma)
        invariant(fits, "what is shared out fits its conductor", circuit=capacity.circuit, load_ma=load_ma)


def style_of(charger: Charger, quirks: Quirks, rung: Rung | None = None) -> ProfileStyle:
    """How this charger is told its limits. A maximum of the whole station can only stand for one EVSE.

    ``rung``: where it stands on the ladder, when that is not where its quirks would have it.
    """
    purpose = quirks.purpose if rung is None else PURPOSES.get(rung, ProfilePurpose.TX)
    if purpose is ProfilePurpose.STATION_MAX and charger.evse_count > 1:
        purpose = None
    return ProfileStyle(purpose, quirks.kind, quirks.stack_level, quirks.unit)
