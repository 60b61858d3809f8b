"""The control step: who may draw how much now, and which orders follow. ``orders`` says when each of them goes out,
``explaining`` why it is what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from edgectl.core.allocation import Capacity, Claim, Share, allocate
from edgectl.core.authorization import Authorization
from edgectl.core.chargers import Chargers, Evidence
from edgectl.core.circuits import Circuits, Draw
from edgectl.core.containment import Containment
from edgectl.core.demand import Ceiling, Demand, DemandBook, Departed, draw_of
from edgectl.core.departures import Departures, Outlook
from edgectl.core.doubts import Doubts
from edgectl.core.explaining import Reasons
from edgectl.core.external import ExternalLimits
from edgectl.core.foresight import Question
from edgectl.core.inquiries import Inquiries
from edgectl.core.limits import EvseLimit
from edgectl.core.lookahead import EVERY_MS, Plan
from edgectl.core.meters import Meters
from edgectl.core.orders import Orders
from edgectl.core.policy import Wish, claim_all, foresee, look_ahead
from edgectl.core.ramp import Ramp
from edgectl.core.room import Room
from edgectl.core.sessions import Sessions
from edgectl.core.turns import Turns
from edgectl.core.vehicles import SETTLE_MS, Vehicle
from edgectl.core.waking import Waking
from edgectl.domain.decisions import Decision, Keep, Solve
from edgectl.domain.errors import invariant
from edgectl.domain.events import Solved
from edgectl.domain.external import charger_place
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.records import LimitKept, Session
from edgectl.domain.site import Site, Strategy
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis

_T = TypeVar("_T")

ANSWER_MS: Millis = 10_000
"""A solver that has not answered by then does not count any more."""
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
        self._asked: tuple[int, Question] | None = None
        """What the solver has been asked and not answered yet."""
        self._asked_count = 0
        self.containment = Containment(sessions, self.limits, self.vehicles)
        self.inquiries = Inquiries(self.book)
        self.wakings: dict[EvseId, Waking] = {}
        self.book.wakings = self.wakings
        self.ramp = Ramp(now, had_sessions=bool(sessions.open), chance=chance)
        self.reasons = Reasons(self.circuits, meters, self.limits, self.vehicles)
        self.orders = Orders(site, self.book, self.circuits, self.ramp, self.reasons)
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

    def lose(self, charger_id: ChargerId, now: Instant) -> None:
        """The charger's link has ended."""
        for evse in self.chargers.by_id[charger_id].charger.evses:
            self.limits[evse].lose(now)

    def find(self, charger_id: ChargerId) -> None:
        """The charger is back."""
        self.inquiries.connected(charger_id)
        for evse in self.chargers.by_id[charger_id].charger.evses:
            self.limits[evse].find()

    def reload(self, site: Site) -> None:
        self.site = site
        self.turns.turn_ms = site.balancing.rotate_ms
        self.external.reload(site)
        self.circuits.reload(site)
        self._add_evses(site)
        self.book.reload(site)
        self.orders.site = site

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
        if self.plan is not None and not self.plan.is_whole:
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
        self.reasons.forget(evse)

    # --- the step -----------------------------------------------------------------------------------------------------

    def step(self, now: Instant) -> list[Decision]:
        """One pass over the whole site. Orders come out with every reduction before any raise."""
        self.doubts.judge(self.site, self.meters, self.book.below(), now)
        self.circuits.allow(self.external.allowed(now))
        excess = self.book.excess(now)  # first, as it finds out whose draw is no longer a matter of what he was told
        draws: dict[CircuitId, Sequence[Draw]] = dict(self.book.draws(now))
        self.circuits.update(self.meters, draws, excess, now)
        self.reserved = self.book.reserves(now)
        for evse, vehicle in self.vehicles.items():
            limit = self.limits[evse]
            if not limit.is_understated:
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
        self.reasons.note(demands, shares, self.reserved)

        crowded = self._crowded(room, now)
        led = [evse for evse in demands if not self.limits[evse].is_drilled]
        lowered = [order for evse in led if (order := self.orders.lowered(demands[evse], shares[evse], crowded, now))]
        free = self.orders.free_at_worst(room, now)
        drilled = (evse for evse in demands if self.limits[evse].is_drilled)
        self._squeezed = {evse for evse in drilled if any(free[place] < 0 for place, _ in room.uses[evse])}
        raised = [order for evse in led if (order := self.orders.raised(demands[evse], shares[evse], room, free, now))]
        repeated = [order for evse in led if (order := self.orders.repeated(evse, now, is_due=evse in climbed))]
        kept = [Keep(LimitKept(order.evse, order.limit_ma, order.reason, now.utc_ms)) for order in (*lowered, *raised)]
        stops = self.containment.stop_hopeless(room, now)
        inquiries = self.inquiries.due(self.circuits, now)
        planning = self._look_ahead(asked, claimed.claims, capacities, now)
        return [*lowered, *repeated, *raised, *stops, *inquiries, *planning, *kept]

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
    ) -> list[Decision]:
        """Make the plan the next steps use, when it is due. Without one the even current until a departure is what it needs."""
        if self.site.balancing.strategy is not Strategy.DEPARTURE:
            self.plan = self._asked = None
            return []
        since_ms = None if self._planned_mono_ms is None else now.mono_ms - self._planned_mono_ms
        if self._asked is not None and since_ms is not None and since_ms >= ANSWER_MS:
            self._asked = None
            self.plan_failed_count += 1
            self._plan_simply(wishes, claims, capacities)
            return []
        if since_ms is not None and since_ms < EVERY_MS:
            return []
        self._planned_mono_ms = now.mono_ms
        self._asked = None
        question = self._unless_broken(lambda: foresee(wishes, claims, capacities, self.site, self.turns, now.mono_ms))
        if question is None or self.plan is None:
            self._plan_simply(wishes, claims, capacities)
        if question is None:
            return []
        self._asked_count += 1
        self._asked = self._asked_count, question
        return [Solve(self._asked_count, question.programme)]

    def _plan_simply(self, wishes: Sequence[Wish], claims: Mapping[EvseId, Claim], capacities: Sequence[Capacity]) -> None:
        self.plan = self._unless_broken(lambda: look_ahead(wishes, claims, capacities, self.site))

    def solved(self, event: Solved) -> None:
        """The solver's answer: the plan from the next step on. One that came too late is for others."""
        if self._asked is None or self._asked[0] != event.number:
            return
        question, values = self._asked[1], event.values
        self._asked = None
        if values is None:
            self.plan_failed_count += 1
        self.plan = None if values is None else self._unless_broken(lambda: question.read(values))

    def _unless_broken(self, work: Callable[[], _T | None]) -> _T | None:
        """A bug in what is never needed must not cost what is: counted and shown, and the share-out goes on without."""
        try:
            return work()
        except (ArithmeticError, LookupError, TypeError, ValueError):
            self.plan_failed_count += 1
            return None

    def _crowded(self, room: Room, now: Instant) -> set[EvseId]:
        """EVSEs on a conductor where what is commanded no longer fits, with half the margin used up."""
        loads = room.load_ma({evse: self.limits[evse].commanded_ma for evse in room.uses})
        relaxed = self.book.capacities(self.circuits, self.reserved, now, margin_percent=50)
        bounds = [capacity for capacity in relaxed if not capacity.is_soft]
        full = {place for place, bound in enumerate(bounds) if loads[place] > bound.available_ma}
        return {evse for evse, uses in room.uses.items() if any(place in full for place, _ in uses)} if full else set()

    def has_room_for_rating(self, evse: EvseId) -> bool:
        """Everybody else leaves room for all this EVSE can draw, and has confirmed it."""
        share = self.reasons.shares.get(evse)
        # Without a share it cannot be told anything, and its rating is kept free as for any silent charger of its kind.
        return share is None or (share.is_admitted and evse not in self._squeezed)

    def limited_by(self, charger: ChargerId) -> str:
        """Who outside limits this charger; empty when nobody does."""
        fence = self.circuits.fences.get(charger_place(charger))
        return "" if fence is None else fence.words


def _check(room: Room, shares: dict[EvseId, Share]) -> None:
    """What was shared out fits every hard capacity; that it does is proven for any input, so anything else is our mistake."""
    loads = room.load_ma({evse: shares[evse].limit_ma for evse in room.uses})
    for capacity, load_ma in zip(room.capacities, loads, strict=True):
        fits = capacity.is_soft or load_ma <= max(0, capacity.available_ma)
        invariant(fits, "what is shared out fits its conductor", circuit=capacity.circuit, load_ma=load_ma)
