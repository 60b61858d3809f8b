"""Is the site safe when something fails? From the configuration alone, per conductor and phase, for every stated failure.

- ``fallbacks``  edgectl is gone or restarts, or all chargers are silent: every EVSE in use, at its fallback
- ``meter``      one meter is lost: its circuit runs as ``on_meter_loss`` says
- ``silent``     one charger does not hear us: it at its fallback, the others as low as they can be told
- ``ignores``    one charger accepts limits and ignores them: it at its rating, the others as low as they can be told

Other loads count at the most that the file says of them. It is assumed that fallbacks are installed (the daemon reads them back
and counts a charger whose fallback does not hold at its rating), and that leases are over: for as long as one runs after edgectl
has gone, its limits stand, and other loads that rise meanwhile come on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edgectl.core.allocation import Capacity, Claim, allocate
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.site import Charger, Circuit, MeterLoss, Site
from edgectl.domain.units import MilliAmps


class Failure(StrEnum):
    FALLBACKS = "fallbacks"
    METER = "meter"
    SILENT = "silent"
    IGNORES = "ignores"


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One conductor in the worst case without us: no controller, every charger in use at its fallback."""

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
class Case:
    """One failure on one conductor, on the phase where it is worst."""

    failure: Failure
    subject: str
    """The circuit, meter or charger that has failed."""
    circuit: CircuitId
    phase: Phase
    failed_ma: MilliAmps
    """Of the chargers that do not do as told."""
    told_ma: MilliAmps
    """Of those that do."""
    other_loads_ma: MilliAmps
    limit_ma: MilliAmps

    @property
    def worst_ma(self) -> MilliAmps:
        return self.failed_ma + self.told_ma + self.other_loads_ma

    @property
    def is_safe(self) -> bool:
        return self.worst_ma <= self.limit_ma

    @property
    def name(self) -> str:
        """As ``accept_risk`` names it."""
        return f"{self.failure.value}-{self.subject}"


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
    binding: tuple[Case, ...]
    """For each circuit the case that leaves the least room, or exceeds it most."""
    unsafe: tuple[Case, ...]
    """Every case that does not fit, each once for each circuit."""
    proposals: tuple[tuple[ChargerId, MilliAmps], ...] = ()
    """Fallbacks that would fit, for the chargers whose own do not."""

    @property
    def is_safe(self) -> bool:
        return not self.unsafe

    @property
    def unsafe_circuits(self) -> tuple[CircuitId, ...]:
        return tuple(dict.fromkeys(case.circuit for case in self.unsafe))


def prove(site: Site) -> ProofReport:
    """Every failure on every conductor of a site."""
    below: dict[CircuitId, list[Charger]] = {circuit.id: [] for circuit in site.circuits}
    for charger in site.chargers:
        for circuit in site.path(charger.circuit):
            below[circuit.id].append(charger)
    rows = tuple(row for circuit in site.circuits for row in _rows(circuit, below[circuit.id]))
    modes = tuple(
        CircuitMode(
            circuit.id, "metered" if circuit.meter is not None else "static", circuit.on_meter_loss if circuit.meter else None
        )
        for circuit in site.circuits
    )
    binding, unsafe = [], []
    for circuit in site.circuits:
        cases = _cases(circuit, below[circuit.id])
        binding.append(max(cases, key=lambda case: case.worst_ma - case.limit_ma))
        unsafe += [case for case in cases if not case.is_safe]
    is_too_much = any(case.failure is Failure.FALLBACKS for case in unsafe)
    return ProofReport(rows, modes, tuple(binding), tuple(unsafe), _proposals(site) if is_too_much else ())


def _rows(circuit: Circuit, chargers: list[Charger]) -> list[ProofRow]:
    fallbacks_ma = _sum(chargers, lambda charger: charger.fallback_ma)
    counts = sum((Phases.on(charger.phases, charger.evse_count) for charger in chargers), start=ZERO)
    return [
        ProofRow(circuit.id, phase, circuit.limit_ma[phase], fallbacks_ma[phase], circuit.other_loads_ma[phase], counts[phase])
        for phase in ALL_PHASES
    ]


def _cases(circuit: Circuit, chargers: list[Charger]) -> list[Case]:
    fallbacks_ma = _sum(chargers, lambda charger: charger.fallback_ma)
    floors_ma = _sum(chargers, floor_ma)
    cases = [_case(Failure.FALLBACKS, circuit.id, circuit, fallbacks_ma, ZERO)]
    if circuit.meter is not None:
        is_stopped = circuit.on_meter_loss is MeterLoss.STOP
        lost_ma = floors_ma if is_stopped else fallbacks_ma
        cases.append(_case(Failure.METER, circuit.meter, circuit, lost_ma, ZERO))
    for charger in chargers:
        others_ma = floors_ma - _of(charger, floor_ma(charger))
        cases.append(_case(Failure.SILENT, charger.id, circuit, _of(charger, charger.fallback_ma), others_ma))
        cases.append(_case(Failure.IGNORES, charger.id, circuit, _of(charger, charger.max_ma), others_ma))
    return cases


def _case(failure: Failure, subject: str, circuit: Circuit, failed_ma: Phases, told_ma: Phases) -> Case:
    other_ma, limit_ma = circuit.other_loads_ma, circuit.limit_ma
    worst = max(ALL_PHASES, key=lambda phase: failed_ma[phase] + told_ma[phase] + other_ma[phase] - limit_ma[phase])
    return Case(failure, subject, circuit.id, worst, failed_ma[worst], told_ma[worst], other_ma[worst], limit_ma[worst])


def floor_ma(charger: Charger) -> MilliAmps:
    """The least one of its EVSEs can be told: nothing, unless the site's file says that it cannot pause."""
    return 0 if dict(charger.own_quirks).get("can_pause", True) else charger.min_ma


def _of(charger: Charger, current_ma: MilliAmps) -> Phases:
    """All its EVSEs at this current."""
    return Phases.on(charger.phases, current_ma * charger.evse_count)


def _sum(chargers: list[Charger], current_of: Callable[[Charger], MilliAmps]) -> Phases:
    return sum((_of(charger, current_of(charger)) for charger in chargers), start=ZERO)


def _proposals(site: Site) -> tuple[tuple[ChargerId, MilliAmps], ...]:
    """The largest fallbacks that fit, shared as fairly as limits are; an EVSE that gets no minimum falls to nothing."""
    claims = [
        Claim(
            evse,
            tuple(circuit.id for circuit in site.path(charger.circuit)),
            charger.phases,
            charger.min_ma,
            max(charger.min_ma, charger.fallback_ma),
            (0,),
        )
        for charger in site.chargers
        for evse in charger.evses
        if charger.fallback_ma > 0
    ]
    room = [
        Capacity(circuit.id, phase, max(0, circuit.limit_ma[phase] - circuit.other_loads_ma[phase]))
        for circuit in site.circuits
        for phase in ALL_PHASES
    ]
    shares = allocate(claims, room)
    found = []
    for charger in site.chargers:
        if charger.fallback_ma <= 0:
            continue
        least_ma = min(shares[EvseId(charger.id, evse.number)].limit_ma for evse in charger.evses)
        if least_ma < charger.fallback_ma:
            found.append((charger.id, least_ma // 100 * 100))
    return tuple(found)
