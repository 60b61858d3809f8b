"""Meters that answer and do not tell the truth. One that is doubted counts as lost, whatever it says.

Each doubt has a name, a start, a reason in words and an exit; it needs evidence that only a wrong meter explains:

- ``frozen``       no current of it has moved while its vehicles' have, by their own reports
- ``flipped``      it shows export where nothing generates, or falls short by just what its vehicles draw, mirrored
- ``implausible``  it shows less than the vehicles behind it draw, or than a meter further down

A load that is constant is no evidence, however long: a depot at night may stand still to the last digit. Evidence is what
chargers report at the same moment, with currents on named phases, so that an old report or a current without a phase accuses
nobody. Where generators are declared (``generation`` of the circuit), they may explain as much as they can give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from edgectl.core.demand import is_settled
from edgectl.core.limits import EvseLimit
from edgectl.core.meters import Meters, MeterState
from edgectl.core.vehicles import DRAWING_MA, SETTLE_MS, Vehicle
from edgectl.domain.events import MeterReading
from edgectl.domain.ids import CircuitId, EvseId, MeterId
from edgectl.domain.lines import Flow, Wiring
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.site import Circuit, MeterRole, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis

STEP_MA: MilliAmps = 4_000
"""A change of this much must move any meter: the coarsest in use resolve one ampere."""
SHORT_MA: MilliAmps = 4_000
SHORT_PERCENT = 10
"""What two meters of class 1 and a charger's own of class 2 may differ by, and the moment between their readings."""
SHORT_COUNT = 2
"""Showing less than there is must be seen twice in a row, beside two reports ..."""
SHORT_MS: Millis = 10_000
"""... this far apart."""
SHOWN_MA: MilliAmps = 6_000
"""Less than this reported at once says nothing about a meter."""
REPORT_SHOWS_MS: Millis = 3_000
REPORT_HOLDS_MS: Millis = 7_000
"""A report is compared with readings made this long after it: meters average, and a vehicle may do something else soon."""
HEARD_MS: Millis = 65_000
"""Chargers report once a minute at best; who has not by then is not waited for."""
EXPORT_MA: MilliAmps = 2_000
EXPORT_MS: Millis = 10_000
"""A motor that brakes feeds back for a second or two; what lasts longer is generation, or a meter the wrong way round."""
LASTING_MS: Millis = 20_000
"""Two meters are never read at the same moment; what they disagree on must last longer than any step takes to pass both."""
STILL_MS: Millis = 300_000
"""Voltage moves in its last digit all the time; where not even that has moved for so long, nothing is measured any more."""
STILL_MA: MilliAmps = 1_000
CLEAR_MS: Millis = 60_000
"""A doubt ends when its cause has been gone for this long."""


class Doubt(StrEnum):
    FROZEN = "frozen"
    FLIPPED = "flipped"
    IMPLAUSIBLE = "implausible"


@dataclass(slots=True)
class _Suspect:
    """What is held against one meter."""

    doubt: Doubt | None = None
    words: str = ""
    needs_showing: bool = False
    """It was wrong about vehicles, so only vehicles that it shows clear it: a site without any proves nothing."""
    clear_since_mono_ms: Millis | None = None
    seen_mono_ms: Millis | None = None
    still_since_mono_ms: Millis = 0
    """Since when no current of it has moved."""
    all_still_since_mono_ms: Millis = 0
    """Since when nothing of it has moved."""
    last: MeterReading | None = None
    reported_ma: dict[EvseId, Phases] = field(default_factory=dict)
    """What each vehicle said first after its currents stood still."""
    moved_since_mono_ms: Millis | None = None
    """Since when vehicles have moved and its currents have not."""
    short_count: int = 0
    short_mono_ms: Millis = -SHORT_MS
    is_shown: bool = False
    """The latest comparison with vehicles went well."""
    below_since_mono_ms: Millis | None = None
    export_since_mono_ms: Millis | None = None


Told: TypeAlias = Sequence[tuple[Vehicle, EvseLimit]]
"""Vehicles with their limits."""


class Doubts:
    """Judges every meter of a circuit with each new reading of it."""

    def __init__(self) -> None:
        self._suspects: dict[MeterId, _Suspect] = {}

    def of(self, meter: MeterId) -> tuple[Doubt, str] | None:
        """Why a meter is not believed, and in words; None while it is."""
        suspect = self._suspects.get(meter)
        return None if suspect is None or suspect.doubt is None else (suspect.doubt, suspect.words)

    def judge(self, site: Site, meters: Meters, below: Mapping[CircuitId, Told], now: Instant) -> None:
        """``below``: the vehicles behind each circuit. Marks in ``meters`` what is doubted."""
        for gone in [meter for meter in self._suspects if meter not in meters.by_id]:
            del self._suspects[gone]
        for circuit in site.circuits:
            state = meters.by_id.get(circuit.meter) if circuit.meter is not None else None
            if state is None or state.good is None:
                continue
            suspect = self._suspects.setdefault(state.meter.id, _Suspect())
            if suspect.seen_mono_ms == state.good.completed_mono_ms:
                continue
            suspect.seen_mono_ms = state.good.completed_mono_ms
            found = self._evidence(suspect, site, circuit, state, state.good, meters, below.get(circuit.id, ()), now)
            _settle(suspect, found, now)
            state.doubt = "" if suspect.doubt is None else f"{suspect.doubt.value}: {suspect.words}"

    def _evidence(
        self,
        suspect: _Suspect,
        site: Site,
        circuit: Circuit,
        state: MeterState,
        reading: MeterReading,
        meters: Meters,
        below: Told,
        now: Instant,
    ) -> tuple[Doubt, str] | None:
        measured_ma = reading.current_ma
        if measured_ma is None:
            return None
        told = [(vehicle, limit) for vehicle, limit in below if vehicle.has_shown_phases]
        _note_stillness(suspect, reading, now)
        found = _export(suspect, circuit, measured_ma, now) or _all_still(suspect, measured_ma, now)
        if state.meter.role is not MeterRole.GUARD:
            return found
        short = _short(suspect, circuit, site.wiring, reading, measured_ma, told, now)
        frozen = _frozen(suspect, reading, below, now)
        return found or short or frozen or _below(suspect, site, circuit, measured_ma, meters, now)


def _settle(suspect: _Suspect, found: tuple[Doubt, str] | None, now: Instant) -> None:
    """A doubt begins at once and ends late."""
    if found is not None:
        if suspect.doubt is None:
            suspect.doubt, suspect.words = found
        suspect.needs_showing = suspect.needs_showing or suspect.short_count >= SHORT_COUNT
        suspect.clear_since_mono_ms = None
        return
    if suspect.doubt is None or (suspect.needs_showing and not suspect.is_shown):
        return
    if suspect.clear_since_mono_ms is None:
        suspect.clear_since_mono_ms = now.mono_ms
    if now.mono_ms - suspect.clear_since_mono_ms >= CLEAR_MS:
        suspect.doubt, suspect.words, suspect.clear_since_mono_ms, suspect.needs_showing = None, "", None, False


def _note_stillness(suspect: _Suspect, reading: MeterReading, now: Instant) -> None:
    last, suspect.last = suspect.last, reading
    if last is None or last.current_ma != reading.current_ma:
        suspect.still_since_mono_ms = now.mono_ms
        suspect.reported_ma.clear()
        suspect.moved_since_mono_ms = None
    if last is None or replace(last, completed_mono_ms=0) != replace(reading, completed_mono_ms=0):
        suspect.all_still_since_mono_ms = now.mono_ms


def _export(suspect: _Suspect, circuit: Circuit, measured_ma: Phases, now: Instant) -> tuple[Doubt, str] | None:
    bound_ma = circuit.generation_ma + Phases.uniform(EXPORT_MA)
    exporting = [phase for phase in ALL_PHASES if measured_ma[phase] < -bound_ma[phase]]
    if not exporting:
        suspect.export_since_mono_ms = None
        return None
    if suspect.export_since_mono_ms is None:
        suspect.export_since_mono_ms = now.mono_ms
    if now.mono_ms - suspect.export_since_mono_ms < EXPORT_MS:
        return None
    phase = exporting[0]
    most_ma = circuit.generation_ma[phase]
    declared = f"only {_amps(most_ma)} of generation is declared" if most_ma else "no generation is declared"
    return Doubt.FLIPPED, f"shows {_amps(-measured_ma[phase])} of export on {phase.name}, and {declared}"


def _all_still(suspect: _Suspect, measured_ma: Phases, now: Instant) -> tuple[Doubt, str] | None:
    """Only a meter that tells its voltages can be seen through this way."""
    still_ms = now.mono_ms - suspect.all_still_since_mono_ms
    has_voltage = suspect.last is not None and suspect.last.voltage_mv is not None
    if not has_voltage or still_ms < STILL_MS or measured_ma.map(abs).largest < STILL_MA:
        return None
    return Doubt.FROZEN, f"nothing of it has moved for {still_ms // 1000} s, not even a voltage"


def _short(
    suspect: _Suspect,
    circuit: Circuit,
    wiring: Wiring,
    reading: MeterReading,
    measured_ma: Phases,
    told: Told,
    now: Instant,
) -> tuple[Doubt, str] | None:
    """It shows less than vehicles draw by reports made just before."""
    drawn = Flow()
    for vehicle, limit in told:
        reported_ms = vehicle.reported_mono_ms
        if vehicle.current_ma is None or reported_ms is None:
            continue
        is_lowered = limit.commanded_ma < vehicle.current_ma.largest - DRAWING_MA and not is_settled(limit, vehicle)
        if is_lowered:
            continue  # it may have followed between its report and the reading
        if REPORT_SHOWS_MS <= reading.completed_mono_ms - reported_ms <= REPORT_HOLDS_MS:
            drawn += Flow.of(vehicle.current_ma, wiring)
    drawn_ma = drawn.least_ma if wiring is Wiring.DELTA else drawn.lines_ma
    explained_ma = measured_ma + circuit.generation_ma
    phase = _shortest(drawn_ma, explained_ma)
    if drawn_ma.largest >= SHOWN_MA:
        suspect.is_shown = phase is None
        if phase is None:
            suspect.short_count = 0
        elif now.mono_ms - suspect.short_mono_ms >= SHORT_MS:
            suspect.short_count += 1
            suspect.short_mono_ms = now.mono_ms
    if suspect.short_count < SHORT_COUNT:
        return None
    if phase is None:
        return None if suspect.doubt is None else (suspect.doubt, suspect.words)  # until vehicles show something else
    words = f"shows {_amps(measured_ma[phase])} on {phase.name}, vehicles report {_amps(drawn_ma[phase])} at the same time"
    if now.mono_ms - suspect.still_since_mono_ms >= LASTING_MS:
        return Doubt.FROZEN, words
    is_mirrored = measured_ma[phase] < 0 and _shortest(drawn_ma, measured_ma.map(abs)) is None
    return (Doubt.FLIPPED if is_mirrored else Doubt.IMPLAUSIBLE), words


def _frozen(suspect: _Suspect, reading: MeterReading, below: Told, now: Instant) -> tuple[Doubt, str] | None:
    """Its currents stand still to the last digit while vehicles have reported first one current and then another.

    Vehicles whose phases nobody has seen yet, and those that are gone since, accuse nobody; but what they may have taken over or
    left to the others explains a meter that stands still.
    """
    here = {vehicle.evse for vehicle, _ in below}
    moved_ma, is_fresh = ZERO, False
    taken_ma = sum((ZERO - first_ma for evse, first_ma in suspect.reported_ma.items() if evse not in here), ZERO)
    for vehicle, _ in below:
        reported_ms = vehicle.reported_mono_ms
        if vehicle.current_ma is None or reported_ms is None or reported_ms < suspect.still_since_mono_ms + SETTLE_MS:
            continue
        first_ma = suspect.reported_ma.setdefault(vehicle.evse, vehicle.current_ma)
        if not vehicle.has_shown_phases:
            taken_ma += vehicle.current_ma - first_ma
        elif reading.completed_mono_ms - reported_ms >= REPORT_SHOWS_MS:
            moved_ma += vehicle.current_ma - first_ma
        else:
            is_fresh = True
    moved_ma = Phases(*(_unexplained(moved_ma[phase], taken_ma[phase]) for phase in ALL_PHASES))
    phase = max(ALL_PHASES, key=lambda phase: abs(moved_ma[phase]))
    if abs(moved_ma[phase]) < STEP_MA:
        if not is_fresh:  # else what was seen to have moved has only just been said again
            suspect.moved_since_mono_ms = None
        return None
    if suspect.moved_since_mono_ms is None:
        suspect.moved_since_mono_ms = now.mono_ms
    since_ms = suspect.moved_since_mono_ms
    # Another that took over just what the first left off has not said so yet: everybody is heard first.
    are_heard = all((vehicle.reported_mono_ms or 0) >= since_ms - REPORT_SHOWS_MS for vehicle, _ in below)
    if not are_heard and now.mono_ms - since_ms < HEARD_MS:
        return None
    still_s = (now.mono_ms - suspect.still_since_mono_ms) // 1000
    return (
        Doubt.FROZEN,
        f"no current of it has moved for {still_s} s, its vehicles' have by {_amps(moved_ma[phase])} on {phase.name}",
    )


def _unexplained(moved_ma: MilliAmps, taken_ma: MilliAmps) -> MilliAmps:
    """What is left of a movement when another in the other direction may have made up for it."""
    if moved_ma < 0:
        return -_unexplained(-moved_ma, -taken_ma)
    return max(0, moved_ma + min(0, taken_ma))


def _below(
    suspect: _Suspect, site: Site, circuit: Circuit, measured_ma: Phases, meters: Meters, now: Instant
) -> tuple[Doubt, str] | None:
    """What flows in a circuit also flows in the one that feeds it."""
    children_ma, names = ZERO, []
    for child in site.circuits:
        meter = meters.by_id.get(child.meter) if child.fed_by == circuit.id and child.meter is not None else None
        current_ma = meter.current_ma(now) if meter is not None and meter.meter.role is MeterRole.GUARD else None
        if current_ma is not None:
            children_ma += current_ma.at_least(ZERO)
            names.append(str(child.id))
    if site.wiring is Wiring.DELTA:  # where they feed different pairs of lines, they are 60 degrees apart at most
        children_ma = children_ma.map(lambda current_ma: current_ma * 866 // 1_000)
    phase = _shortest(children_ma, measured_ma + circuit.generation_ma)
    if phase is None:
        suspect.below_since_mono_ms = None
        return None
    if suspect.below_since_mono_ms is None:
        suspect.below_since_mono_ms = now.mono_ms
    if now.mono_ms - suspect.below_since_mono_ms < LASTING_MS:
        return None
    words = f"shows {_amps(measured_ma[phase])} on {phase.name}, {' and '.join(names)} behind it {_amps(children_ma[phase])}"
    return Doubt.IMPLAUSIBLE, f"{words}; one of them is wrong"


def _shortest(drawn_ma: Phases, measured_ma: Phases) -> Phase | None:
    """The phase on which most is missing; None when none is short."""
    allowed_ma = drawn_ma.map(lambda value: SHORT_MA + value * SHORT_PERCENT // 100)
    phase = max(ALL_PHASES, key=lambda phase: drawn_ma[phase] - measured_ma[phase] - allowed_ma[phase])
    return phase if measured_ma[phase] + allowed_ma[phase] < drawn_ma[phase] else None


def _amps(current_ma: MilliAmps) -> str:
    return f"{current_ma / 1000:.1f} A"
