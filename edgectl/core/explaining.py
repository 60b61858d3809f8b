"""Why each EVSE may draw what it may: read off the last share-out, with what it rests on and how old that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgectl.core.allocation import PERMILLE, Capacity, Share, counts_in
from edgectl.core.arbiter import external_input
from edgectl.core.circuits import Circuits
from edgectl.core.demand import Demand
from edgectl.core.limits import EvseLimit
from edgectl.core.meters import Meters
from edgectl.core.room import limiting_cause
from edgectl.core.vehicles import Vehicle
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.phases import ZERO, Phases
from edgectl.domain.reasons import IDLE_REASON, Authority, Cause, Input, Reason
from edgectl.domain.time import Instant


class Reasons:
    """Of the share-out that was noted last."""

    def __init__(
        self, circuits: Circuits, meters: Meters, limits: Mapping[EvseId, EvseLimit], vehicles: Mapping[EvseId, Vehicle]
    ) -> None:
        self._circuits = circuits
        self._meters = meters
        self._limits = limits
        self._vehicles = vehicles
        self.shares: dict[EvseId, Share] = {}
        self._demands: Mapping[EvseId, Demand] = {}
        self._reserved: Mapping[CircuitId, Phases] = {}
        self._users: dict[Capacity, int] = {}
        """How many demands count in a capacity, as far as a reason has asked since then."""

    def note(self, demands: Mapping[EvseId, Demand], shares: dict[EvseId, Share], reserved: Mapping[CircuitId, Phases]) -> None:
        """A share-out has been decided, with so much kept free for the silent."""
        self._demands, self.shares, self._reserved = demands, shares, reserved
        self._users.clear()

    def forget(self, evse: EvseId) -> None:
        """Its session is over."""
        self.shares.pop(evse, None)

    def of(self, evse: EvseId, now: Instant) -> Reason:
        """Why the limit of an EVSE is what it is now."""
        if evse not in self.shares:
            return IDLE_REASON
        decided = self.decided(evse, now)
        waiting = self._limits[evse].waiting
        return decided if waiting is None else replace(decided, cause=waiting)

    def decided(self, evse: EvseId, now: Instant) -> Reason:
        """The same for a limit that is being told: nothing waits."""
        return self._reason(self._demands[evse], self.shares[evse], now)

    def _reason(self, demand: Demand, share: Share, now: Instant) -> Reason:
        binding, ceiling = share.binding, demand.ceiling
        if ceiling.cause is Cause.METER_LOST and (share.is_admitted or binding is None):
            return Reason(Cause.METER_LOST, Authority.CONDUCTOR, ceiling.circuit, None, self._meter_inputs(demand, now))
        if demand.is_resting:
            return Reason(Cause.TURN, Authority.POLICY)
        if binding is not None:
            return self._bound(binding, demand, share, now)
        if ceiling.cause is Cause.VEHICLE:
            vehicle = self._vehicles[share.evse]
            age_ms = None if vehicle.reported_mono_ms is None else now.mono_ms - vehicle.reported_mono_ms
            return Reason(Cause.VEHICLE, Authority.VEHICLE, inputs=(Input("wanted", demand.claim.max_ma, "mA", age_ms),))
        return Reason(Cause.FULL, Authority.CHARGER, inputs=(Input("rating", self._limits[share.evse].charger.max_ma, "mA"),))

    def _bound(self, binding: Capacity, demand: Demand, share: Share, now: Instant) -> Reason:
        """A conductor stops it, by its own limit or by one from outside."""
        state = self._circuits.by_id.get(binding.circuit)
        allowed = self._circuits.fences.get(binding.circuit) if state is None else state.allowed
        held = None if allowed is None or binding.against is not None else allowed.by(binding.phase)
        cause = limiting_cause(binding) if share.is_admitted else Cause.TURN
        if binding.is_soft:
            return Reason(cause, Authority.POLICY, binding.circuit, binding.phase, self._inputs(binding, now))
        if held is None:
            return Reason(cause, Authority.CONDUCTOR, binding.circuit, binding.phase, self._inputs(binding, now))
        needs_ma = demand.claim.min_ma * counts_in(binding, demand.claim) // PERMILLE
        if share.is_admitted or binding.available_ma < needs_ma:
            cause = Cause.EXTERNAL  # else others are served first of what is allowed
        inputs = (external_input(held, binding.phase), *(self._inputs(binding, now) if state is not None else ()))
        place = None if state is None else binding.circuit
        return Reason(cause, Authority.EXTERNAL, place, binding.phase, inputs, by=held.words, until_utc_ms=held.until_utc_ms)

    def _inputs(self, binding: Capacity, now: Instant) -> tuple[Input, ...]:
        state = self._circuits.by_id[binding.circuit]
        meter = self._meters.by_id.get(state.circuit.meter) if state.circuit.meter is not None else None
        age_ms = meter.age_ms(now) if meter is not None else None
        phase = binding.phase
        users = self._users.get(binding)
        if users is None:
            users = self._users[binding] = sum(1 for demand in self._demands.values() if counts_in(binding, demand.claim))
        circuit = state.circuit
        limit_w = circuit.soft_limit_w if binding.is_soft else circuit.limit_w
        if binding.against is not None:
            return (Input("limit", circuit.imbalance_ma or 0, "mA"), Input("vehicles", users, "count"))
        limit: Input | None
        if phase is None:
            limit = None if limit_w is None else Input("limit", limit_w, "W")
            other = Input("other-loads", state.background_ma.total, "mA", age_ms)
            reserved = self._reserved.get(binding.circuit, ZERO).total
        else:
            per_phase_ma = (circuit.soft_limit_ma if binding.is_soft else None) or circuit.limit_ma
            limit = Input("limit", per_phase_ma[phase], "mA")
            other = Input("other-loads", state.background_ma[phase], "mA", age_ms)
            reserved = self._reserved.get(binding.circuit, ZERO)[phase]
        facts = (other, Input("reserved", reserved, "mA"), Input("vehicles", users, "count"))
        return facts if limit is None else (limit, *facts)

    def _meter_inputs(self, demand: Demand, now: Instant) -> tuple[Input, ...]:
        if demand.ceiling.circuit is None:
            return ()
        meter_id = self._circuits.by_id[demand.ceiling.circuit].circuit.meter
        meter = self._meters.by_id.get(meter_id) if meter_id is not None else None
        age_ms = meter.age_ms(now) if meter is not None else None
        return (Input("fallback", demand.claim.max_ma, "mA"), Input("meter-silent", age_ms or 0, "ms", age_ms))
