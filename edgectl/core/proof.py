"""Is the site safe when we are gone? From the configuration alone, per conductor and phase.

Each charger without a controller falls to its fallback. A conductor is safe when the fallbacks of all EVSEs on it and the worst
expected other load fit its limit together. This is the case that binds every other single failure: a silent charger, a lost
meter or a dead controller can draw no more than all fallbacks at once, as long as the fallbacks are installed.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.ids import CircuitId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.site import MeterLoss, Site
from edgectl.domain.units import MilliAmps


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One conductor in the worst case: no controller, every charger in use at its fallback."""

    circuit: CircuitId
    phase: Phase
    limit_ma: MilliAmps
    fallbacks_ma: MilliAmps
    other_loads_ma: MilliAmps
    evse_count: int

    @property
    def worst_ma(self) -> MilliAmps:
        return self.fallbacks_ma + self.other_loads_ma

    @property
    def is_safe(self) -> bool:
        return self.worst_ma <= self.limit_ma


@dataclass(frozen=True, slots=True)
class CircuitMode:
    """How a circuit is run, in words for ``check``."""

    circuit: CircuitId
    mode: str
    on_meter_loss: MeterLoss | None


@dataclass(frozen=True, slots=True)
class ProofReport:
    rows: tuple[ProofRow, ...]
    modes: tuple[CircuitMode, ...]

    @property
    def is_safe(self) -> bool:
        return all(row.is_safe for row in self.rows)

    @property
    def unsafe_circuits(self) -> tuple[CircuitId, ...]:
        return tuple(dict.fromkeys(row.circuit for row in self.rows if not row.is_safe))


def prove(site: Site) -> ProofReport:
    """The worst-case table of a site."""
    fallbacks = {circuit.id: ZERO for circuit in site.circuits}
    counts = {circuit.id: ZERO for circuit in site.circuits}
    for charger in site.chargers:
        draw_ma = Phases.on(charger.phases, charger.fallback_ma * charger.evse_count)
        users = Phases.on(charger.phases, charger.evse_count)
        for circuit in site.path(charger.circuit):
            fallbacks[circuit.id] += draw_ma
            counts[circuit.id] += users
    rows = tuple(
        ProofRow(
            circuit=circuit.id,
            phase=phase,
            limit_ma=circuit.limit_ma[phase],
            fallbacks_ma=fallbacks[circuit.id][phase],
            other_loads_ma=circuit.other_loads_ma[phase],
            evse_count=counts[circuit.id][phase],
        )
        for circuit in site.circuits
        for phase in ALL_PHASES
    )
    modes = tuple(
        CircuitMode(
            circuit.id, "metered" if circuit.meter is not None else "static", circuit.on_meter_loss if circuit.meter else None
        )
        for circuit in site.circuits
    )
    return ProofReport(rows, modes)
