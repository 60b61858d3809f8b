"""Background load and headroom of each conductor.

What flows in a metered circuit is vehicles plus everything else. The vehicles' part is known only loosely: reports are up
to a minute old and a vehicle needs seconds to follow a limit. So each vehicle contributes a range, which makes the
background a range, and the estimate moves inside it no further than it must. A vehicle that follows its new limit is then
not mistaken for a building that changes, and a building that changes shows at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from edgectl.core.arbiter import Allowed
from edgectl.core.meters import Meters, MeterState
from edgectl.domain.ids import CircuitId
from edgectl.domain.lines import Flow, Wiring
from edgectl.domain.phases import ALL_PHASES, ZERO, Phases
from edgectl.domain.site import Circuit, MeterLoss, MeterRole, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, Watts


class Mode(StrEnum):
    """On what the headroom of a circuit rests."""

    METERED = "metered"
    STATIC = "static"
    """No meter: the configured other loads are assumed."""
    HOLD = "hold"
    """The meter is quiet; its last background stands for a while, and nobody is raised."""
    SAFE = "safe"
    """The meter is quiet: fallbacks only."""
    STOP = "stop"
    """The meter is quiet: nothing."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What one EVSE below a circuit may be drawing at the moment of the meter reading, per site phase."""

    low_ma: Phases
    high_ma: Phases
    sure_ma: Phases
    """What is credited to it when the conductor is over its limit: a vehicle just raised may not have followed, and then the
    excess is the building's; one just lowered still draws what it drew before."""


@dataclass(slots=True)
class CircuitState:
    circuit: Circuit
    mode: Mode = Mode.STATIC
    background_ma: Phases = ZERO
    measured_ma: Phases | None = None
    last_good_mono_ms: Millis | None = None
    over_since_mono_ms: Millis | None = None
    allowed: Allowed | None = None
    """What somebody outside allows here, where that is less than the conductor's limit."""
    _others_ma: Phases = ZERO
    """Of the background, what no vehicle draws."""
    _excess_ma: Phases = ZERO
    _seen_mono_ms: Millis | None = field(default=None)

    @property
    def limit_ma(self) -> Phases:
        """The conductor's own."""
        return self.circuit.limit_ma

    @property
    def allowed_ma(self) -> Phases:
        """The limit, or less where somebody outside allows less."""
        return self.circuit.limit_ma if self.allowed is None else self.allowed.current_ma

    @property
    def allowed_w(self) -> Watts | None:
        return self.circuit.limit_w if self.allowed is None else self.allowed.power_w

    def headroom_ma(self, margin_ma: int) -> Phases:
        """What the chargers below may share, keeping ``margin_ma`` free. May be negative."""
        return self.allowed_ma - self.background_ma - Phases.uniform(margin_ma)

    def over_limit_ms(self, now: Instant) -> Millis:
        return 0 if self.over_since_mono_ms is None else now.mono_ms - self.over_since_mono_ms


class Circuits:
    def __init__(self, site: Site) -> None:
        self.by_id: dict[CircuitId, CircuitState] = {}
        self.wiring = site.wiring
        self.fences: dict[CircuitId, Allowed] = {}
        """The feeds of single chargers that somebody outside limits."""
        self.reload(site)

    def allow(self, allowed: Mapping[CircuitId, Allowed]) -> None:
        """Take in what is allowed from outside."""
        for circuit_id, state in self.by_id.items():
            state.allowed = allowed.get(circuit_id)
        self.fences = {place: bound for place, bound in allowed.items() if place not in self.by_id}

    def reload(self, site: Site) -> None:
        known = self.by_id
        self.by_id = {}
        self.wiring = site.wiring
        for circuit in site.circuits:
            state = known.get(circuit.id) or CircuitState(circuit)
            state.circuit = circuit
            self.by_id[circuit.id] = state

    def update(
        self, meters: Meters, draws: dict[CircuitId, Sequence[Draw]], excess: dict[CircuitId, Phases], now: Instant
    ) -> None:
        """Take in the newest meter readings. ``draws`` lists the EVSEs below each circuit, with all they draw, ``excess`` what
        they report beyond what they were told: that is like any other load."""
        for state in self.by_id.values():
            circuit = state.circuit
            meter = meters.by_id.get(circuit.meter) if circuit.meter is not None else None
            if meter is None:
                state.mode = Mode.STATIC
                state.measured_ma = None
                state.background_ma = circuit.other_loads_ma + excess.get(circuit.id, ZERO)
            else:
                excess_ma = excess.get(circuit.id, ZERO)
                self._update_metered(state, meter, draws.get(circuit.id, ()), now, is_anew=excess_ma != state._excess_ma)
                state._excess_ma = excess_ma
                if state.mode is not Mode.HOLD:
                    state.background_ma = state._others_ma + excess_ma

    def _update_metered(
        self, state: CircuitState, meter: MeterState, draws: Sequence[Draw], now: Instant, *, is_anew: bool
    ) -> None:
        """``is_anew``: of what this reading shows, another part is known to be vehicles'."""
        circuit = state.circuit
        measured_ma = meter.current_ma(now)
        if measured_ma is None or meter.good is None:
            state.measured_ma = None
            state.over_since_mono_ms = None
            self._lose(state, now, is_doubted=bool(meter.doubt))
            return
        is_new = state._seen_mono_ms != meter.good.completed_mono_ms
        was_metered = state.mode is Mode.METERED
        state.mode = Mode.METERED
        state.last_good_mono_ms = meter.good.completed_mono_ms
        state.measured_ma = measured_ma
        if _is_consumer(meter):
            state._others_ma = (measured_ma + circuit.other_loads_ma).at_least(ZERO)
            return
        if is_new or is_anew or not was_metered:
            state._seen_mono_ms = meter.good.completed_mono_ms
            low_ma, high_ma, sure_ma = _beside(draws, measured_ma) if self.wiring is Wiring.STAR else _between(draws, measured_ma)
            limit_ma = circuit.limit_ma
            low_ma = Phases(*(sure_ma[phase] if measured_ma[phase] > limit_ma[phase] else low_ma[phase] for phase in ALL_PHASES))
            # The first estimate after a loss is the pessimistic end of the range.
            estimate_ma = state._others_ma if was_metered else high_ma
            state._others_ma = estimate_ma.at_least(low_ma).at_most(high_ma).at_least(ZERO)
            if not measured_ma.fits(circuit.limit_ma):
                if state.over_since_mono_ms is None:
                    state.over_since_mono_ms = now.mono_ms
            else:
                state.over_since_mono_ms = None

    def _lose(self, state: CircuitState, now: Instant, *, is_doubted: bool) -> None:
        """Nothing of a meter that is not believed is held: what it said last is as doubtful as what it says now."""
        circuit = state.circuit
        if circuit.on_meter_loss is MeterLoss.STOP:
            state.mode = Mode.STOP
        elif (
            circuit.on_meter_loss is MeterLoss.HOLD
            and not is_doubted
            and state.last_good_mono_ms is not None
            and now.mono_ms - state.last_good_mono_ms <= circuit.hold_ms
        ):
            state.mode = Mode.HOLD
            return
        else:
            state.mode = Mode.SAFE
        state._others_ma = circuit.other_loads_ma


def _beside(draws: Sequence[Draw], measured_ma: Phases) -> tuple[Phases, Phases, Phases]:
    """The least and the most that flows beside vehicles, and the least by what is sure of them."""
    low_ma = high_ma = sure_ma = measured_ma
    for draw in draws:
        low_ma -= draw.high_ma
        high_ma -= draw.low_ma
        sure_ma -= draw.sure_ma
    return low_ma, high_ma, sure_ma


def _between(draws: Sequence[Draw], measured_ma: Phases) -> tuple[Phases, Phases, Phases]:
    """The same between lines. There is least beside vehicles when it is in step with them, and more the further it is from them;
    which of it is so a meter does not tell. So the estimate keeps what it was, as long as both are possible, and what was once
    seen without vehicles stays true beside any mixture of them."""
    low, high, sure = Flow(), Flow(), Flow()
    for draw in draws:
        low += Flow.of(draw.low_ma, Wiring.DELTA)
        high += Flow.of(draw.high_ma, Wiring.DELTA)
        sure += Flow.of(draw.sure_ma, Wiring.DELTA)
    return measured_ma - high.most_ma, low.most_beside_ma(measured_ma), measured_ma - sure.most_ma


def _is_consumer(meter: MeterState) -> bool:
    return meter.meter.role is MeterRole.CONSUMER
