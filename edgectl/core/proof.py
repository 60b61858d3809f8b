"""Is the site safe when something fails? From the configuration alone, per conductor and phase, for every stated failure.

- ``fallbacks``  all chargers are silent, or edgectl is gone or restarts and leases are over: every EVSE in use, at its fallback
- ``leases``     edgectl is gone or restarts, and leases still run: what was shared out stands, and other loads rise on top of it
- ``meter``      one meter is lost: its circuit runs as ``on_meter_loss`` says
- ``silent``     one charger does not hear us: it at its fallback, the others as low as they can be told
- ``ignores``    one charger accepts limits and ignores them: it at its rating, the others as low as they can be told

A limit of power is a conductor of its own here. So is a limit of imbalance, for each phase over each other: on it only vehicles
count, each of them on as few phases as makes it worst. Other loads count at the most that the file says of them. ``leases`` lasts
no longer than a lease and what a charger's clock may lag, so it is safe when the circuit's breaker or fuse carries it that long.

It rests on what the file says and on two things only the chargers can show: that their fallbacks hold, and that leases end. The
daemon looks after both (``chargers.Evidence``), and proves the site again with what it has seen: see ``live``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edgectl.core.allocation import PERMILLE, Capacity, Claim, allocate
from edgectl.core.limits import LEASE_GRACE_MS
from edgectl.core.room import room_of_line
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.lines import Flow
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.protection import Protection
from edgectl.domain.site import Charger, Circuit, MeterLoss, PowerKind, Site
from edgectl.domain.units import MilliAmps, Millis, MilliVolts, Watts


class Failure(StrEnum):
    FALLBACKS = "fallbacks"
    LEASES = "leases"
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
    phase: Phase | None
    """None: the limit of power, with all phases added up at nominal voltage."""
    failed_ma: MilliAmps
    """Of the chargers that do not do as told."""
    told_ma: MilliAmps
    """Of those that do."""
    other_loads_ma: MilliAmps
    limit_ma: MilliAmps
    voltage_mv: MilliVolts = 230_000
    lasts_ms: Millis | None = None
    """It ends by itself after this long; None where it does not."""
    protection: Protection | None = None
    """What carries it for that long, or does not."""
    against: Phase | None = None
    """The limit of imbalance: what vehicles load ``phase`` more than this one."""

    @property
    def worst_ma(self) -> MilliAmps:
        return self.failed_ma + self.told_ma + self.other_loads_ma

    @property
    def excess_ma(self) -> MilliAmps:
        """Above the limit, per phase; negative where there is room."""
        return (self.worst_ma - self.limit_ma) // (3 if self.phase is None else 1)

    @property
    def opens_after_s(self) -> float | None:
        """The soonest the breaker or fuse may open; None when it carries it."""
        return None if self.protection is None else self.protection.opens_after_s(self.worst_ma)

    @property
    def is_safe(self) -> bool:
        if self.worst_ma <= self.limit_ma:
            return True
        opens_s = self.opens_after_s
        return self.lasts_ms is not None and (opens_s is None or opens_s * 1000 > self.lasts_ms)

    @property
    def name(self) -> str:
        """As ``accept_risk`` names it."""
        kind = "" if self.against is None else "imbalance-"
        return f"{kind}{self.failure.value}-{self.subject}"


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
    """For each circuit, and each limit of imbalance, the case that leaves the least room, or exceeds it most."""
    leases: tuple[Case, ...]
    """For each metered circuit, and each limit of imbalance, what happens until leases are over, where that is above it."""
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
    rows = tuple(row for circuit in site.circuits for row in _rows(site, circuit, below[circuit.id]))
    modes = tuple(
        CircuitMode(
            circuit.id, "metered" if circuit.meter is not None else "static", circuit.on_meter_loss if circuit.meter else None
        )
        for circuit in site.circuits
    )
    binding: list[Case] = []
    leases: list[Case] = []
    unsafe: list[Case] = []
    for circuit in site.circuits:
        cases = _cases(site, circuit, below[circuit.id])
        lasting = [case for case in cases if case.failure is not Failure.LEASES]
        binding.append(max(lasting, key=lambda case: case.excess_ma))
        uneven = _imbalances(site, circuit, below[circuit.id])
        if uneven:
            binding.append(max((c for c in uneven if c.failure is not Failure.LEASES), key=lambda case: case.excess_ma))
        cases += uneven
        leases += [case for case in cases if case.failure is Failure.LEASES and case.excess_ma > 0]
        unsafe += [case for case in cases if not case.is_safe]
    is_too_much = any(case.failure is Failure.FALLBACKS for case in unsafe)
    proposals = _proposals(site) if is_too_much else ()
    return ProofReport(rows, modes, tuple(binding), tuple(leases), tuple(unsafe), proposals)


def live(site: Site, unbound_ma: Mapping[ChargerId, MilliAmps]) -> tuple[Case, ...]:
    """The proof again with what each charger is known to fall to: the cases that do not hold though those of the file do."""
    assumed = {(case.name, case.circuit) for case in prove(site).unsafe}
    chargers = tuple(replace(charger, fallback_ma=unbound_ma.get(charger.id, charger.fallback_ma)) for charger in site.chargers)
    found = prove(replace(site, chargers=chargers)).unsafe
    return tuple(case for case in found if case.failure is not Failure.LEASES and (case.name, case.circuit) not in assumed)


def _rows(site: Site, circuit: Circuit, chargers: list[Charger]) -> list[ProofRow]:
    fallbacks_ma = _sum(site, chargers, lambda charger: charger.fallback_ma).most_ma
    counts = sum((Phases.on(charger.phases, charger.evse_count) for charger in chargers), start=ZERO)
    return [
        ProofRow(circuit.id, phase, circuit.limit_ma[phase], fallbacks_ma[phase], circuit.other_loads_ma[phase], counts[phase])
        for phase in ALL_PHASES
    ]


def _cases(site: Site, circuit: Circuit, chargers: list[Charger]) -> list[Case]:
    fallbacks = _sum(site, chargers, lambda charger: charger.fallback_ma)
    floors = _sum(site, chargers, floor_ma)
    cases = [_case(site, Failure.FALLBACKS, circuit.id, circuit, fallbacks, Flow())]
    if circuit.meter is not None:
        is_stopped = circuit.on_meter_loss is MeterLoss.STOP
        lost = floors if is_stopped else fallbacks
        cases.append(_case(site, Failure.METER, circuit.meter, circuit, lost, Flow()))
        cases.append(_leases(site, circuit))
    for charger in chargers:
        others = floors - _of(site, charger, floor_ma(charger))
        cases.append(_case(site, Failure.SILENT, charger.id, circuit, _of(site, charger, charger.fallback_ma), others))
        cases.append(_case(site, Failure.IGNORES, charger.id, circuit, _of(site, charger, charger.max_ma), others))
    return cases


def _case(site: Site, failure: Failure, subject: str, circuit: Circuit, failed: Flow, told: Flow) -> Case:
    # Between lines two parts make less than their sum, so those that do as told count with what they add.
    failed_ma = failed.most_ma
    told_ma = (failed + told).most_ma - failed_ma
    other_ma, limit_ma = circuit.other_loads_ma, circuit.limit_ma
    worst = max(ALL_PHASES, key=lambda phase: failed_ma[phase] + told_ma[phase] + other_ma[phase] - limit_ma[phase])
    case = Case(failure, subject, circuit.id, worst, failed_ma[worst], told_ma[worst], other_ma[worst], limit_ma[worst])
    if circuit.limit_w is None:
        return case
    total_ma = circuit.limit_w * 1_000_000 // site.voltage_mv
    power = Case(failure, subject, circuit.id, None, failed.power_ma, told.power_ma, other_ma.total, total_ma, site.voltage_mv)
    return max(case, power, key=lambda one: one.excess_ma)


def _leases(site: Site, circuit: Circuit) -> Case:
    """At the last moment other loads drew nothing, so all there was had been shared out; then they rise to their most."""
    case = _case(site, Failure.LEASES, circuit.id, replace(circuit, limit_w=None), Flow(_shared_ma(site, circuit)), Flow())
    return replace(case, lasts_ms=site.balancing.lease_ms + LEASE_GRACE_MS, protection=circuit.protected_by)


def _imbalances(site: Site, circuit: Circuit, chargers: list[Charger]) -> list[Case]:
    """What vehicles load one phase more than another. Without its meter edgectl still keeps that limit, as far as they pause."""
    if circuit.imbalance_ma is None:
        return []
    pairs = [(one, other) for one in ALL_PHASES for other in ALL_PHASES if one is not other]
    floors = [_uneven(chargers, floor_ma, *pair) for pair in pairs]
    fallbacks = [_uneven(chargers, lambda charger: charger.fallback_ma, *pair) for pair in pairs]
    shared_ma = _shared_ma(site, circuit)
    leases = [min(_uneven(chargers, lambda charger: charger.max_ma, *pair), shared_ma[pair[0]]) for pair in pairs]
    nothing = [0] * len(pairs)

    def case(failure: Failure, subject: str, failed: Sequence[MilliAmps], told: Sequence[MilliAmps]) -> Case:
        worst = max(range(len(pairs)), key=lambda place: failed[place] + told[place])
        one, other = pairs[worst]
        limit_ma = circuit.imbalance_ma or 0
        return Case(failure, subject, circuit.id, one, failed[worst], told[worst], 0, limit_ma, against=other)

    cases = [
        case(Failure.FALLBACKS, circuit.id, fallbacks, nothing),
        # Those that made up for it may have left since limits were told.
        replace(case(Failure.LEASES, circuit.id, leases, nothing), lasts_ms=site.balancing.lease_ms + LEASE_GRACE_MS),
    ]
    if circuit.meter is not None:
        cases.append(case(Failure.METER, circuit.meter, nothing, floors))
    for charger in chargers:
        own = [_uneven([charger], floor_ma, *pair) for pair in pairs]
        others = [all_ma - own_ma for all_ma, own_ma in zip(floors, own, strict=True)]
        silent = [unbalanced_ma(charger, charger.fallback_ma, *pair) * charger.evse_count for pair in pairs]
        ignores = [unbalanced_ma(charger, charger.max_ma, *pair) * charger.evse_count for pair in pairs]
        cases.append(case(Failure.SILENT, charger.id, silent, others))
        cases.append(case(Failure.IGNORES, charger.id, ignores, others))
    return cases


def _uneven(chargers: list[Charger], current_of: Callable[[Charger], MilliAmps], one: Phase, other: Phase) -> MilliAmps:
    return sum(unbalanced_ma(charger, current_of(charger), one, other) * charger.evse_count for charger in chargers)


def unbalanced_ma(charger: Charger, current_ma: MilliAmps, one: Phase, other: Phase) -> MilliAmps:
    """The most that a vehicle at one of its EVSEs loads one phase more than another when this is what it may draw. A vehicle on
    one phase or two takes the first of its plug."""
    if one not in charger.phases:
        return 0
    if other not in charger.phases:
        return current_ma
    if charger.kind is PowerKind.DC or charger.phases.index(one) > charger.phases.index(other):
        return 0
    return current_ma if charger.unbalanced_ma is None else min(current_ma, charger.unbalanced_ma)


def _shared_ma(site: Site, circuit: Circuit) -> Phases:
    """The most that chargers behind a circuit can have been given: what they take, and what the circuits between let through."""
    own = _sum(site, [charger for charger in site.chargers if charger.circuit == circuit.id], lambda charger: charger.max_ma)
    wanted_ma = sum((_shared_ma(site, child) for child in site.circuits if child.fed_by == circuit.id), start=own.most_ma)
    kept_ma = Phases.uniform(circuit.margin_ma) + (ZERO if circuit.meter is not None else circuit.other_loads_ma)
    return wanted_ma.at_most(circuit.limit_ma - kept_ma).at_least(ZERO)


def floor_ma(charger: Charger) -> MilliAmps:
    """The least one of its EVSEs can be told: nothing, unless the site's file says that it cannot pause."""
    return 0 if dict(charger.own_quirks).get("can_pause", True) else charger.min_ma


def _of(site: Site, charger: Charger, current_ma: MilliAmps) -> Flow:
    """All its EVSEs at this current."""
    return Flow.of(Phases.on(charger.phases, current_ma * charger.evse_count), site.wiring)


def _sum(site: Site, chargers: list[Charger], current_of: Callable[[Charger], MilliAmps]) -> Flow:
    return sum((_of(site, charger, current_of(charger)) for charger in chargers), start=Flow())


def _proposals(site: Site) -> tuple[tuple[ChargerId, MilliAmps], ...]:
    """The largest fallbacks that fit, shared as fairly as limits are; an EVSE that gets no minimum falls to nothing."""
    claims = [
        Claim(
            evse,
            (*(circuit.id for circuit in site.path(charger.circuit)), *_uneven_places(site, charger)),
            charger.phases,
            charger.min_ma,
            max(charger.min_ma, charger.fallback_ma),
            (0,),
            power_permille=site.wiring.power_permille(PERMILLE, len(charger.phases)),
        )
        for charger in site.chargers
        for evse in charger.evses
        if charger.fallback_ma > 0
    ]
    room = [
        capacity
        for circuit in site.circuits
        for phase in ALL_PHASES
        for capacity in room_of_line(
            circuit.id, phase, max(0, circuit.limit_ma[phase] - circuit.other_loads_ma[phase]), site.wiring
        )
    ]
    room += [
        Capacity(circuit.id, None, max(0, circuit.limit_w * 1_000_000 // site.voltage_mv - circuit.other_loads_ma.total))
        for circuit in site.circuits
        if circuit.limit_w is not None
    ]
    room += [
        Capacity(_uneven_place(circuit, one, other), one, circuit.imbalance_ma)
        for circuit in site.circuits
        for one in ALL_PHASES
        for other in ALL_PHASES
        if circuit.imbalance_ma is not None
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


def _uneven_places(site: Site, charger: Charger) -> list[CircuitId]:
    """The limits of imbalance in which its vehicles may count."""
    return [
        _uneven_place(circuit, one, other)
        for circuit in site.path(charger.circuit)
        for one in ALL_PHASES
        for other in ALL_PHASES
        if circuit.imbalance_ma is not None and unbalanced_ma(charger, charger.max_ma, one, other)
    ]


def _uneven_place(circuit: Circuit, one: Phase, other: Phase) -> CircuitId:
    return CircuitId(f"{circuit.id} {one.name}>{other.name}")


# --- in words -------------------------------------------------------------------------------------------------------------


def case_words(case: Case) -> str:
    """A failure and what it comes to, for people."""
    uneven = "" if case.against is None else " with vehicles on one phase or two"
    failed = _shown(case, case.failed_ma)
    what = {
        Failure.FALLBACKS: f"without edgectl every EVSE falls to its fallback, {failed} together",
        Failure.LEASES: f"when edgectl stops while other loads are low, leases of {failed} together still run",
        Failure.METER: f"with meter {case.subject} lost the chargers take {failed} together",
        Failure.SILENT: f"charger {case.subject} does not answer and takes {failed}",
        Failure.IGNORES: f"charger {case.subject} ignores its limits and takes {failed}",
    }[case.failure]
    if case.against is not None and case.failure is Failure.LEASES:
        what = f"when edgectl stops and the vehicles on {case.against.name} leave, leases of {failed} together still run"
    told = f", the others {_shown(case, case.told_ma)} at least" if case.told_ma else ""
    other = f", other loads up to {_shown(case, case.other_loads_ma)}" if case.other_loads_ma else ""
    place = f"circuit {case.circuit} {'power' if case.phase is None else case.phase.name}"
    if case.against is not None:
        place += f" over {case.against.name}"
    sums = f"{place}: {what}{uneven}{told}{other}: {_shown(case, case.worst_ma)} of {_shown(case, case.limit_ma)}"
    return sums + _lasting_words(case)


def _lasting_words(case: Case) -> str:
    if case.lasts_ms is None or case.worst_ma <= case.limit_ma:
        return ""
    lasts = f" for {case.lasts_ms / 1000:.0f} s at most"
    if case.protection is None:
        return f"{lasts}; no breaker opens by that"
    opens_s = case.opens_after_s
    carries = "carries that" if opens_s is None else f"may open after {opens_s:.0f} s"
    return f"{lasts}; {case.protection} {carries}"


def _shown(case: Case, current_ma: MilliAmps) -> str:
    if case.phase is not None:
        return f"{current_ma / 1000:g} A"
    power_w: Watts = current_ma * case.voltage_mv // 1_000_000
    return f"{round(power_w / 1000, 1):g} kW"
