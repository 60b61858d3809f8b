"""What chargers are told: reductions at once, raises when they have lasted, are rested and fit even at the worst.

A raise waits until headroom has lasted, until the charger has had its dead time, and until every reduction it relies on is
*confirmed*: at every moment the sum of what each charger may draw at worst fits.
"""

from __future__ import annotations

from dataclasses import replace

from edgectl.core.allocation import PERMILLE, Share
from edgectl.core.circuits import Circuits, Mode
from edgectl.core.demand import Demand, DemandBook, steady_ma
from edgectl.core.explaining import Reasons
from edgectl.core.ladder import PURPOSES, Rung
from edgectl.core.limits import EvseLimit, Order, WriteRate
from edgectl.core.ramp import Ramp
from edgectl.core.room import Room
from edgectl.core.vehicles import SETTLE_MS, Vehicle
from edgectl.domain.decisions import Decision, ProfileStyle, SetLimit
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.phases import ZERO
from edgectl.domain.quirks import ProfilePurpose, Quirks, RateUnit
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.site import Charger, PowerKind, Site
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


class Orders:
    """Turns shares into limits that are told, and remembers what was."""

    def __init__(self, site: Site, book: DemandBook, circuits: Circuits, ramp: Ramp, reasons: Reasons) -> None:
        self.site = site
        self._book = book
        self._circuits = circuits
        self._ramp = ramp
        self._reasons = reasons
        self._limits = book.limits
        self._vehicles = book.vehicles
        self.writes: dict[ChargerId, WriteRate] = {}
        self._order_number = 0

    # --- of a control step ---------------------------------------------------------------------------------------------

    def lowered(self, demand: Demand, share: Share, crowded: set[EvseId], now: Instant) -> SetLimit | None:
        limit = self._limits[share.evse]
        gap_ma = limit.commanded_ma - share.limit_ma
        if gap_ma <= 0:
            return None
        limit.raise_wanted_since_mono_ms = None
        is_urgent = demand.ceiling.is_urgent or share.evse in crowded
        is_rested = now.mono_ms - limit.changed_mono_ms >= self.site.balancing.dead_time_ms
        is_first = limit.commanded is None
        if not is_urgent and not is_first and not (is_rested and (gap_ma >= STEP_MA or share.limit_ma == 0)):
            return None
        return self._order(limit, share.limit_ma, self._reasons.decided(share.evse, now), now)

    def free_at_worst(self, room: Room, now: Instant) -> list[MilliAmps]:
        """What is left of each capacity when everyone draws the worst that is not disproven."""
        loads = room.load_ma({evse: self._worst_ma(evse, now) for evse in room.uses})
        return [capacity.available_ma - load for capacity, load in zip(room.capacities, loads, strict=True)]

    def _worst_ma(self, evse: EvseId, now: Instant) -> MilliAmps:
        drawn_ma = self._vehicles[evse].drawn_ma(now)
        limit = self._limits[evse]
        is_settled = now.mono_ms - limit.changed_mono_ms >= SETTLE_MS
        counts = is_settled and limit.beyond_ma == ZERO  # what is beyond its limit is in the background already
        worst_ma = limit.worst_ma(now, drawn_ma.largest if drawn_ma is not None and counts else None)
        # What was refused is told again, perhaps in this very step: nobody may have had its room meanwhile.
        return worst_ma if limit.commanded is None else max(worst_ma, limit.commanded.limit_ma)

    def raised(self, demand: Demand, share: Share, room: Room, free: list[MilliAmps], now: Instant) -> SetLimit | None:
        limit = self._limits[share.evse]
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
        if not is_first and self._ramp.waits(share.evse, spread_ms, now):
            limit.waiting = Cause.SETTLING
            return None
        if not is_first:
            asks_again = self._vehicles[share.evse].asks_again(now)
            has_lasted = asks_again or now.mono_ms - limit.raise_wanted_since_mono_ms >= balancing.raise_after_ms
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
        if is_first and self._ramp.is_on(spread_ms, now):
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
        return self._order(limit, target_ma, self._reasons.decided(share.evse, now), now)

    def repeated(self, evse: EvseId, now: Instant, *, is_due: bool) -> SetLimit | None:
        """Renew a lease at half life, try again what was not accepted, or tell it in another way."""
        limit = self._limits[evse]
        if limit.commanded is not None and limit.is_understated and self._vehicles[evse].has_shown_phases:
            limit.changed_mono_ms = now.mono_ms  # only now may it take all of what it was given
            is_due = True
        if limit.commanded is None or not (is_due or limit.needs_repeat(self.site.balancing.lease_ms, now)):
            return None
        return self._order(limit, limit.commanded.limit_ma, limit.commanded.reason, now)

    def reassert(self, charger: Charger, now: Instant) -> list[Decision]:
        """After a reconnect, before anything else: some chargers forget their profiles with the socket.

        What was told last holds only while its lease does and the meter is there: after that, others may have what it left.
        """
        orders: list[Decision] = []
        is_unmetered = any(self._circuits.by_id[c].mode in {Mode.SAFE, Mode.STOP} for c in self._book.paths[charger.circuit])
        for evse in charger.evses:
            limit = self._limits[evse]
            if evse not in self._vehicles or limit.commanded is None or limit.is_drilled:
                continue
            limit_ma, reason = limit.commanded.limit_ma, limit.commanded.reason
            if limit_ma > charger.fallback_ma and (is_unmetered or now.mono_ms >= limit.commanded.lease_end_mono_ms):
                limit_ma, reason = charger.fallback_ma, Reason(Cause.SETTLING, Authority.POLICY)
            orders.append(self._order(limit, limit_ma, reason, now))
        return orders

    def begin_again(self, booted: ChargerId, now: Instant) -> list[Decision]:
        """A charger has booted. After a blackout the vehicles of all that have are lowered to where they begin."""
        orders: list[Decision] = []
        for charger_id in sorted(self._ramp.booted(booted, len(self._book.chargers.by_id), now)):
            state = self._book.chargers.get(charger_id)
            for evse in state.charger.evses if state is not None else ():
                limit = self._limits[evse]
                low_ma = limit.tellable_ma(max(limit.charger.min_ma, limit.charger.fallback_ma))
                if evse in self._vehicles and limit.commanded_ma > low_ma and not limit.is_drilled:
                    orders.append(self._order(limit, low_ma, Reason(Cause.SETTLING, Authority.POLICY), now))
        return orders

    def _order(self, limit: EvseLimit, limit_ma: MilliAmps, reason: Reason, now: Instant) -> SetLimit:
        charger, quirks = limit.charger, limit.quirks
        vehicle = self._vehicles[limit.evse]
        on_grid_ma = limit.tellable_ma(limit_ma)
        self._order_number += 1
        self.writes.setdefault(charger.id, WriteRate()).note(now)
        lease_ms = self.site.balancing.lease_ms
        order = Order(self._order_number, on_grid_ma, now.mono_ms, now.mono_ms + lease_ms, reason)
        limit.note_order(order, steady_ma(limit, vehicle, now))
        limit.raise_wanted_since_mono_ms = None
        is_in_watts = charger.kind is PowerKind.AC and quirks.unit is RateUnit.WATTS
        limit.is_understated = is_in_watts and len(charger.phases) > 1 and not vehicle.has_shown_phases
        session = self._book.sessions.at(limit.evse)
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
        return power_from_current_w(limit_ma, self.site.load_mv(phase_count))

    # --- drills -------------------------------------------------------------------------------------------------------

    def order_for_drill(
        self, evse: EvseId, limit_ma: MilliAmps, style: ProfileStyle, lease_ms: Millis, offline_ms: Millis | None, now: Instant
    ) -> SetLimit:
        """A limit of a drill. While it lasts the EVSE counts at its rating, so whatever the charger makes of it fits."""
        limit = self._limits[evse]
        order = self._order(limit, limit_ma, Reason(Cause.DRILL, Authority.POLICY), now)
        limit.commanded = replace(limit.commanded, lease_end_mono_ms=now.mono_ms + lease_ms) if limit.commanded else None
        return replace(order, style=style, lease_ms=lease_ms, offline_ms=offline_ms)

    def take_back(self, evse: EvseId, now: Instant) -> list[Decision]:
        """The drill is over: what the EVSE was told last is told again in its own style, until the next step decides anew."""
        limit = self._limits.get(evse)
        if limit is None or limit.commanded is None or evse not in self._vehicles:
            return []
        target_ma = min(limit.commanded.limit_ma, limit.charger.fallback_ma)
        return [self._order(limit, target_ma, Reason(Cause.SETTLING, Authority.POLICY), now)]


def style_of(charger: Charger, quirks: Quirks, rung: Rung | None = None) -> ProfileStyle:
    """How this charger is told its limits. A maximum of the whole station can only stand for one EVSE.

    ``rung``: where it stands on the ladder, when that is not where its quirks would have it.
    """
    purpose = quirks.purpose if rung is None else PURPOSES.get(rung, ProfilePurpose.TX)
    if purpose is ProfilePurpose.STATION_MAX and charger.evse_count > 1:
        purpose = None
    return ProfileStyle(purpose, quirks.kind, quirks.stack_level, quirks.unit)
