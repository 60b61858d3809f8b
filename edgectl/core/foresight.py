"""The look-ahead as a linear programme: which vehicles charge now, and how fast, so that most energy is in them when they leave.

It is asked where everybody who charges has said how much and until when, and a conductor cannot give all of them what they can
take. Columns are the current of each vehicle in each slot of time until its departure, and for the first slot whether it charges
at all: a charger gives its minimum or nothing. To stop a vehicle has a price, so few are stopped; who waits is worth more the
longer he waits, so nobody starves; earlier is worth a little more than later, so nothing is put off that can be had now.

Where somebody has not said, or a soft limit stands, ``lookahead`` alone plans: what is not needed is then shared out fairly.
The solver is outside (``domain.programme``); its answer only says who waits and what the first slot needs. The share-out stays
what keeps every conductor (load-balancing.md 4.1, 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgectl.core.allocation import PERMILLE, Capacity, counts_in
from edgectl.core.lookahead import Job, Plan
from edgectl.domain.ids import EvseId
from edgectl.domain.programme import Column, Programme, Row
from edgectl.domain.units import Millis

SLOTS_MS: tuple[Millis, ...] = (*[5 * 60_000] * 3, *[15 * 60_000] * 15, *[3_600_000] * 22)
"""26 hours: fine where it is decided now, coarse where it will be planned again before it comes."""
COLUMNS_MAX = 8_000
"""Beyond that nothing is asked: a small gateway would not be done before the next plan is due."""
PAUSE_S = 8 * 60
"""A pause must win as much as the vehicle's minimum current gives in this time."""
DWELL_PRICE = 50
"""So many times dearer is a pause of one that has just begun, or stands none."""
WAITED_MA_S = 6_000 * 6 * 3_600
WAITED_PART = 0.5
"""Who went without 6 A for six hours counts for so much more."""
LATER_PART = 0.01
"""Energy a day later is worth so much less."""
TAIL_PART = 0.33
TAIL_LOW_PART = 0.1
"""A battery takes less at the end: over the last third of the target down to a tenth. A plan that does not know it leaves no time
for that."""
EVEN_PART = 0.5
EVEN_WORTH = 0.5
"""The first part of everybody's target counts for more than the rest, so that nobody leaves with little."""
DONE_PART = 0.1
"""What somebody takes who has his target already."""
SHORT_PART = 0.98
"""Who will have less than this part of his energy is short."""
SPARE_PART = 1.02
"""The last bit of energy may be less than the minimum current gives in a slot: it may be given all the same."""


@dataclass(frozen=True, slots=True)
class Stand:
    """How a vehicle stands when it is planned for."""

    is_running: bool
    stays: bool
    """It must not be stopped, if a conductor does not demand it."""
    may_start: bool
    owed_ma_s: int
    is_done: bool = False
    """It has its target, and goes on."""
    target_ma_s: int | None = None
    """All that its target is, with what it has had; None where only what is missing is known."""


@dataclass(frozen=True, slots=True)
class Question:
    """A programme, and whose columns are which."""

    programme: Programme
    evses: tuple[EvseId, ...]
    first: tuple[int, ...]
    """For each EVSE its current in the first slot, in amps."""
    chosen: tuple[int | None, ...]
    """Whether it charges; None where any current will do."""
    energy: tuple[int, ...]
    """The row of its energy, in ampere seconds."""

    def read(self, values: Sequence[float]) -> Plan:
        """The plan that a solver's answer is."""
        need_ma = {evse: round(values[column] * 1_000) for evse, column in zip(self.evses, self.first, strict=True)}
        waiting = {
            evse for evse, column in zip(self.evses, self.chosen, strict=True) if column is not None and values[column] < 0.5
        }
        short = set()
        for evse, place in zip(self.evses, self.energy, strict=True):
            row = self.programme.rows[place]
            if sum(values[column] * factor for column, factor in row.entries) < SHORT_PART * row.bound:
                short.add(evse)
        return Plan(need_ma, frozenset(short), waiting=frozenset(waiting), is_whole=True)


def ask(jobs: Sequence[tuple[Job, Stand]], capacities: Sequence[Capacity]) -> Question | None:
    """What to ask, or None where everybody can have all he can take, or it would be too much."""
    uses = [[(place, k) for place, c in enumerate(capacities) if (k := counts_in(c, job.claim))] for job, _ in jobs]
    wanted = [0] * len(capacities)
    for (job, _), paths in zip(jobs, uses, strict=True):
        for place, k in paths:
            wanted[place] += job.max_ma * k
    tight = {place for place, c in enumerate(capacities) if wanted[place] > max(0, c.available_ma) * PERMILLE}
    slots = _slots(max((job.left_ms for job, _ in jobs), default=0))
    if not tight or len(jobs) * len(slots) > COLUMNS_MAX:
        return None
    draft = _Draft(slots, capacities, tight)
    for (job, stand), paths in zip(jobs, uses, strict=True):
        draft.add(job, stand, paths)
    return draft.question(tuple(job.claim.evse for job, _ in jobs))


def _slots(horizon_ms: Millis) -> list[tuple[Millis, Millis]]:
    found: list[tuple[Millis, Millis]] = []
    at_ms = 0
    for length_ms in SLOTS_MS:
        if at_ms >= horizon_ms:
            break
        found.append((at_ms, length_ms))
        at_ms += length_ms
    return found


class _Draft:
    """A programme that grows vehicle by vehicle. Currents are in amps, times in seconds."""

    def __init__(self, slots: Sequence[tuple[Millis, Millis]], capacities: Sequence[Capacity], tight: set[int]) -> None:
        self._slots = slots
        self._capacities = capacities
        self._tight = tight
        self._columns: list[Column] = []
        self._rows: list[Row] = []
        self._conductors: dict[tuple[int, int], list[tuple[int, float]]] = {}
        """By slot and capacity."""
        self._first: list[int] = []
        self._chosen: list[int | None] = []
        self._energy: list[int] = []

    def add(self, job: Job, stand: Stand, uses: Sequence[tuple[int, int]]) -> None:
        power = len(job.claim.phases) * job.claim.power_permille / PERMILLE
        worth = power * (1 + max(0, job.priority))
        worth *= DONE_PART if stand.is_done else 1 + WAITED_PART * min(1.0, stand.owed_ma_s / WAITED_MA_S)
        can_charge = job.max_ma >= job.claim.min_ma and (stand.is_running or stand.may_start)
        first = len(self._columns)
        self._first.append(first)
        energy = []
        for slot, (begin_ms, length_ms) in enumerate(self._slots):
            usable_s = min(length_ms, job.left_ms - begin_ms) / 1_000
            if usable_s <= 0:
                break
            column = len(self._columns)
            top_a = job.max_ma / 1_000 if slot or can_charge else 0.0
            self._columns.append(Column(worth * usable_s * (1 - LATER_PART * begin_ms / 86_400_000), top_a))
            energy.append((column, usable_s))
            part = usable_s * 1_000 / length_ms
            for place, k in uses:
                if place in self._tight:
                    self._conductors.setdefault((slot, place), []).append((column, k * part / PERMILLE))
        min_a = job.claim.min_ma / 1_000
        least_a_s = SPARE_PART * min_a * energy[0][1]
        self._energy.append(len(self._rows))
        self._rows.append(Row(max(job.charge_ma_s / 1_000, least_a_s), tuple(energy)))
        if stand.target_ma_s and not stand.is_done:
            self._even_out(job, stand.target_ma_s / 1_000, worth, energy)
            self._slow_down(job, stand.target_ma_s / 1_000, energy)
        self._choose(job, stand, first, worth * min_a, can_charge=can_charge)

    def _even_out(self, job: Job, target_a_s: float, worth: float, energy: Sequence[tuple[int, float]]) -> None:
        """What is missing to the first part of the target, in a column of its own that the energy must cover."""
        missing_a_s = job.charge_ma_s / 1_000 - (1 - EVEN_PART) * target_a_s
        if missing_a_s > 0:
            column = len(self._columns)
            self._columns.append(Column(worth * EVEN_WORTH * 3_600, missing_a_s / 3_600))
            self._rows.append(Row(0.0, ((column, 3_600.0), *((slot, -length_s) for slot, length_s in energy))))

    def _slow_down(self, job: Job, target_a_s: float, energy: Sequence[tuple[int, float]]) -> None:
        """In each later slot the less it can take the more it has had by the middle of it."""
        top_a, missing_a_s = job.max_ma / 1_000, job.charge_ma_s / 1_000
        fall = (1 - TAIL_LOW_PART) * top_a / (TAIL_PART * target_a_s)
        most = TAIL_LOW_PART * top_a + fall * missing_a_s
        had_s = energy[0][1]
        for place, (column, length_s) in enumerate(energy[1:], 1):
            had_s += length_s
            if most < top_a * (1 + fall * had_s):  # else not that full by then, whatever it gets
                before = tuple((earlier, fall * earlier_s) for earlier, earlier_s in energy[:place])
                self._rows.append(Row(most, (*before, (column, 1 + fall * length_s / 2))))

    def _choose(self, job: Job, stand: Stand, first: int, worth_a: float, *, can_charge: bool) -> None:
        """Its minimum or nothing."""
        if job.claim.min_ma == 0:
            self._chosen.append(None)
            return
        column = len(self._columns)
        price = worth_a * PAUSE_S if stand.is_running else 0.0
        if stand.stays:
            price = worth_a * PAUSE_S * DWELL_PRICE
        self._columns.append(Column(price, 1.0 if can_charge else 0.0, is_choice=True))
        self._rows.append(Row(0.0, ((column, job.claim.min_ma / 1_000), (first, -1.0))))
        self._rows.append(Row(0.0, ((first, 1.0), (column, -job.max_ma / 1_000))))
        self._chosen.append(column)

    def question(self, evses: tuple[EvseId, ...]) -> Question:
        for (_, place), entries in self._conductors.items():
            self._rows.append(Row(max(0, self._capacities[place].available_ma) / 1_000, tuple(entries)))
        programme = Programme(tuple(self._columns), tuple(self._rows))
        return Question(programme, evses, tuple(self._first), tuple(self._chosen), tuple(self._energy))
