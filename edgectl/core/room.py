"""What each conductor has left for those who can be told, and who uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgectl.core.allocation import PERMILLE, Capacity, Claim, counts_in
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Circuit
from edgectl.domain.units import MilliAmps, MilliVolts


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a circuit carries beside the vehicles that can be told."""

    background_ma: Phases = ZERO
    reserved_ma: Phases = ZERO
    """For chargers that cannot be told anything."""
    balance_ma: Mapping[tuple[Phase, Phase], MilliAmps] | None = None
    """By phase and the one it is compared with: what may flow more on the first because vehicles draw on the second."""


def room_of_line(
    circuit: CircuitId, phase: Phase, available_ma: MilliAmps, wiring: Wiring, *, is_soft: bool = False
) -> list[Capacity]:
    """What keeps one line within ``available_ma``."""
    if wiring is Wiring.STAR:
        return [Capacity(circuit, phase, available_ma, is_soft=is_soft)]
    others = (other for other in ALL_PHASES if other is not phase)
    return [Capacity(circuit, phase, available_ma, light=other, is_soft=is_soft) for other in others]


def capacities_of(
    circuit: Circuit, leftover: Leftover, voltage_mv: MilliVolts, wiring: Wiring = Wiring.STAR, *, margin_percent: int = 100
) -> list[Capacity]:
    """What a circuit can give. ``margin_percent`` of the configured margin is kept free.

    The imbalance limit counts each vehicle on one or two phases as if all those on the other phases drew nothing, but for
    what they are seen to draw: then no two phases can differ by more, whatever vehicles do below their limits.
    """
    margin_ma = circuit.margin_ma * margin_percent // 100
    used_ma = leftover.background_ma + leftover.reserved_ma
    free_ma = circuit.limit_ma - used_ma
    found: list[Capacity] = []
    for phase in ALL_PHASES:
        found += room_of_line(circuit.id, phase, free_ma[phase] - margin_ma, wiring)
    if circuit.limit_w is not None:
        found.append(Capacity(circuit.id, None, circuit.limit_w * 1_000_000 // voltage_mv - used_ma.total - margin_ma))
    if circuit.imbalance_ma is not None:
        seen_ma = leftover.balance_ma or {}
        found += [
            Capacity(circuit.id, phase, circuit.imbalance_ma + seen_ma.get((phase, other), 0), against=other)
            for phase in ALL_PHASES
            for other in ALL_PHASES
            if phase is not other
        ]
    if circuit.soft_limit_ma is not None:
        soft_ma = circuit.soft_limit_ma - used_ma
        for phase in ALL_PHASES:
            found += room_of_line(circuit.id, phase, soft_ma[phase], wiring, is_soft=True)
    if circuit.soft_limit_w is not None:
        left_ma = circuit.soft_limit_w * 1_000_000 // voltage_mv - used_ma.total
        found.append(Capacity(circuit.id, None, left_ma, is_soft=True))
    return found


def limiting_cause(binding: Capacity) -> Cause:
    """Why somebody gets no more, when this is what binds."""
    if binding.is_soft:
        return Cause.SOFT_LIMIT
    return Cause.CIRCUIT if binding.against is None else Cause.IMBALANCE


class Room:
    """The hard capacities of one control step and who uses which, worked out once."""

    __slots__ = ("capacities", "uses")

    def __init__(self, capacities: Sequence[Capacity], claims: Mapping[EvseId, Claim]) -> None:
        self.capacities = [capacity for capacity in capacities if not capacity.is_soft]
        at: dict[CircuitId, list[int]] = {}
        for place, capacity in enumerate(self.capacities):
            at.setdefault(capacity.circuit, []).append(place)
        self.uses: dict[EvseId, list[tuple[int, int]]] = {}
        """For each EVSE: the places of its capacities, and what one milliamp of it counts there, in thousandths."""
        for evse, claim in claims.items():
            places = (place for circuit in claim.circuits for place in at[circuit])
            self.uses[evse] = [(place, k) for place in places if (k := counts_in(self.capacities[place], claim))]

    def load_ma(self, draws_ma: Mapping[EvseId, MilliAmps]) -> list[MilliAmps]:
        """What these currents add up to in each capacity, rounded up."""
        loads = [0] * len(self.capacities)
        for evse, draw_ma in draws_ma.items():
            for place, k in self.uses[evse]:
                loads[place] += draw_ma * k
        return [-(-load // PERMILLE) for load in loads]
