"""The excursion ledger: how far and for how long each conductor was above its limit, and how near that came to its breaker.

An excursion begins with the first reading above the limit and ends when there has been none for ``QUIET_MS``. Each reading stands
for the time since the one before. What a circuit without a meter carries nobody knows, and it has no excursions here.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.core.circuits import Circuits, CircuitState
from edgectl.domain.decisions import Decision, Keep, WakeUplink
from edgectl.domain.ids import CircuitId
from edgectl.domain.phases import ALL_PHASES, Phase
from edgectl.domain.records import EventKept, Excursion, ExcursionKept
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import Millis

QUIET_MS: Millis = 10_000
"""Back above the limit sooner than this it is the same excursion."""
KEEP_MS: Millis = 60_000
"""A long one is written down this often, so that a crash loses no more of it."""
LONGEST_STEP_MS: Millis = 10_000
"""A reading stands for no more than this: the oldest that a guard meter may give."""
NOTABLE_MS: Millis = 5_000
NOTABLE_PERMILLE = 10
"""The backend is told of an excursion that lasted this long, or took this much of the breaker's patience."""


@dataclass(slots=True)
class _Open:
    excursion: Excursion
    damage: float
    last_over_mono_ms: Millis
    kept_mono_ms: Millis


class Excursions:
    """Watches the measured circuits; ``note`` after each control step."""

    def __init__(self) -> None:
        self._open: dict[tuple[CircuitId, Phase], _Open] = {}
        self._read_mono_ms: dict[CircuitId, Millis] = {}

    def note(self, circuits: Circuits, now: Instant) -> list[Decision]:
        decisions: list[Decision] = []
        for state in circuits.by_id.values():
            read_ms = state.last_good_mono_ms
            before_ms = self._read_mono_ms.get(state.circuit.id)
            if state.measured_ma is not None and read_ms is not None and read_ms != before_ms:
                self._read_mono_ms[state.circuit.id] = read_ms
                step_ms = 0 if before_ms is None else min(read_ms - before_ms, LONGEST_STEP_MS)
                for phase in ALL_PHASES:
                    decisions += self._read(state, phase, step_ms, now)
        if self._open:
            decisions += self._end(circuits, now)
        return decisions

    def _read(self, state: CircuitState, phase: Phase, step_ms: Millis, now: Instant) -> list[Decision]:
        circuit = state.circuit
        current_ma = state.measured_ma[phase] if state.measured_ma is not None else 0
        excess_ma = current_ma - circuit.limit_ma[phase]
        if excess_ma <= 0:
            return []
        key = (circuit.id, phase)
        found = self._open.get(key)
        is_new = found is None
        if found is None:
            first = Excursion(
                circuit.id, phase, now.utc_ms, now.utc_ms, circuit.limit_ma[phase], str(circuit.protected_by), current_ma, 0, 0, 0
            )
            found = self._open[key] = _Open(first, 0.0, now.mono_ms, now.mono_ms)
        found.damage += circuit.protected_by.damage(current_ma, step_ms / 1000)
        found.last_over_mono_ms = now.mono_ms
        so_far = found.excursion
        found.excursion = Excursion(
            circuit.id,
            phase,
            so_far.from_utc_ms,
            now.utc_ms,
            so_far.limit_ma,
            so_far.protection,
            max(so_far.peak_ma, current_ma),
            so_far.over_ms + step_ms,
            so_far.excess_mas + excess_ma * step_ms // 1000,
            round(found.damage * 1000),
        )
        if is_new or now.mono_ms - found.kept_mono_ms >= KEEP_MS:
            found.kept_mono_ms = now.mono_ms
            return [Keep(ExcursionKept(found.excursion))]
        return []

    def _end(self, circuits: Circuits, now: Instant) -> list[Decision]:
        decisions: list[Decision] = []
        for key, found in list(self._open.items()):
            if now.mono_ms - found.last_over_mono_ms < QUIET_MS and key[0] in circuits.by_id:
                continue
            del self._open[key]
            over = found.excursion
            decisions.append(Keep(ExcursionKept(over)))
            if over.over_ms >= NOTABLE_MS or over.damage_permille >= NOTABLE_PERMILLE:
                decisions += [Keep(EventKept("circuit-excursion", over.circuit, now.utc_ms, _body(over))), WakeUplink()]
        return decisions


def _body(over: Excursion) -> dict[str, object]:
    return {
        "phase": over.phase.name,
        "from": iso(over.from_utc_ms),
        "to": iso(over.to_utc_ms),
        "limit_ma": over.limit_ma,
        "peak_ma": over.peak_ma,
        "over_ms": over.over_ms,
        "excess_mas": over.excess_mas,
        "protection": over.protection,
        "damage_permille": over.damage_permille,
    }
