"""The yard: conductors that must not be exceeded, vehicles that take what they are given, and what became of everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.charging.days import SLOT_MIN, SLOTS, Visit, Wiring
from benchmarks.report import CheckFailedError
from edgectl.domain.ids import ChargerId, CircuitId, SiteId
from edgectl.domain.lines import Wiring as Wired
from edgectl.domain.lines import to_neutral_mv
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.site import Balancing, Charger, Circuit, Site, Strategy

BOARDS = 2
BOARD_PART = 0.65
"""Each board may carry this part of the grid connection."""
FLOOR_MA = 6_000
TAPER_FROM = 0.8
"""From this charge on a battery takes less, down to a tenth of its rate when full."""


@dataclass(frozen=True, slots=True)
class Yard:
    """A grid connection with two boards."""

    wiring: Wiring
    evse_count: int
    grid_ma: int
    is_real: bool
    """Real hardware: nothing between 0 and 6 A, whole amps, batteries that take less at the end."""

    @property
    def floor_ma(self) -> int:
        return FLOOR_MA if self.is_real else 0

    def board(self, visit: Visit) -> int:
        return int(visit.evse[3:]) % BOARDS

    def limits_ma(self) -> list[int]:
        return [self.grid_ma, *[round(self.grid_ma * BOARD_PART)] * BOARDS]

    def site(self, strategy: Strategy, turn_min: int) -> Site:
        grid = CircuitId("grid")
        limits = self.limits_ma()
        volts, is_delta = self.wiring.volts, self.wiring.is_delta
        circuits = [Circuit(grid, Phases.uniform(limits[0]))]
        circuits += [Circuit(CircuitId(f"board-{n}"), Phases.uniform(limits[1 + n]), fed_by=grid) for n in range(BOARDS)]
        chargers = tuple(
            Charger(ChargerId(f"CP-{n:02}"), CircuitId(f"board-{n % BOARDS}"), min_ma=self.floor_ma, fallback_ma=self.floor_ma)
            for n in range(self.evse_count)
        )
        return Site(
            SiteId("yard"),
            tuple(circuits),
            chargers,
            voltage_mv=to_neutral_mv(round(2_000 * volts)) if is_delta else round(1_000 * volts),
            wiring=Wired.DELTA if is_delta else Wired.STAR,
            balancing=Balancing(strategy=strategy, rotate_ms=turn_min * 60_000),
        )


class Load:
    """What flows, conductor by conductor; grows one vehicle at a time."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.limits_ma = yard.limits_ma()
        pairs = 3 if yard.wiring.is_delta else 0
        self.by_key: list[list[float]] = [[0.0] * (pairs or 3) for _ in self.limits_ma]

    def add(self, visit: Visit, current_ma: float) -> None:
        for place in (0, 1 + self.yard.board(visit)):
            for key in self._keys(visit):
                self.by_key[place][key] += current_ma

    def _keys(self, visit: Visit) -> Sequence[int]:
        # Between lines, the pair is what counts; it is named after its first line.
        return (visit.phases[0],) if self.yard.wiring.is_delta else visit.phases

    def room_ma(self, visit: Visit) -> float:
        """The most that can still be added for this vehicle."""
        return min(self._room_in(place, visit) for place in (0, 1 + self.yard.board(visit)))

    def _room_in(self, place: int, visit: Visit) -> float:
        loads, limit = self.by_key[place], self.limits_ma[place]
        if not self.yard.wiring.is_delta:
            return min(limit - loads[key] for key in visit.phases)
        own = visit.phases[0]
        # A line carries two pairs, 60 degrees apart: its current squared is x2 + xy + y2.
        room = []
        for other in ((own + 1) % 3, (own + 2) % 3):
            x, y = loads[own], loads[other]
            root = 4 * limit * limit - 3 * y * y
            room.append((root**0.5 - y) / 2 - x if root > 0 else -1.0)
        return min(room)

    def worst_part(self) -> float:
        """The largest load of a conductor, as a part of its limit."""
        parts = []
        for loads, limit in zip(self.by_key, self.limits_ma, strict=True):
            if self.yard.wiring.is_delta:
                lines = [(x * x + x * y + y * y) ** 0.5 for x, y in zip(loads, loads[1:] + loads[:1], strict=True)]
            else:
                lines = loads
            parts.append(max(lines) / limit)
        return max(parts)


@dataclass(slots=True)
class Standing:
    """One vehicle while it is here."""

    visit: Visit
    given_wh: float = 0.0
    limit_ma: int = 0
    drawn_ma: float = 0.0

    @property
    def missing_wh(self) -> float:
        return self.visit.asked_wh - self.given_wh


@dataclass(slots=True)
class Result:
    """What became of a day."""

    given_wh: dict[int, float] = field(default_factory=dict)
    pause_count: int = 0
    worst_part: float = 0.0

    def energy_part(self, visits: Sequence[Visit]) -> float:
        return sum(self.given_wh.values()) / sum(visit.asked_wh for visit in visits)

    def parts(self, visits: Sequence[Visit]) -> list[float]:
        return sorted(self.given_wh.get(visit.number, 0.0) / visit.asked_wh for visit in visits)

    def met_part(self, visits: Sequence[Visit]) -> float:
        """Who left with 99 % of what he asked for."""
        parts = self.parts(visits)
        return sum(part >= 0.99 for part in parts) / len(parts)

    def worst_tenth(self, visits: Sequence[Visit]) -> float:
        parts = self.parts(visits)
        count = max(1, len(parts) // 10)
        return sum(parts[:count]) / count

    def jain(self, visits: Sequence[Visit]) -> float:
        parts = self.parts(visits)
        squares = sum(part * part for part in parts)
        return sum(parts) ** 2 / (len(parts) * squares) if squares else 0.0


Rule = Callable[[Yard, list[Standing], int], dict[int, int]]
"""The limits of one slot in mA, by the visit's number."""


def run_day(yard: Yard, visits: Sequence[Visit], rule: Rule, *, may_exceed: bool = False) -> Result:
    """Every slot: who is here and wants energy is shared out, draws, and is counted."""
    result = Result()
    here: dict[int, Standing] = {}
    for slot in range(SLOTS):
        for visit in visits:
            if visit.arrives == slot:
                here[visit.number] = Standing(visit)
        for number in [number for number, one in here.items() if one.visit.leaves <= slot]:
            result.given_wh[number] = here.pop(number).given_wh
        wanting = [one for one in here.values() if one.missing_wh > 1]
        limits = rule(yard, wanting, slot) if wanting else {}
        load = Load(yard)
        for one in wanting:
            limit_ma = limits.get(one.visit.number, 0)
            if limit_ma < 0 or 0 < limit_ma < yard.floor_ma or limit_ma > one.visit.max_ma:
                raise CheckFailedError(f"{one.visit.evse} was told {limit_ma} mA")
            load.add(one.visit, limit_ma)
            if limit_ma == 0 and one.limit_ma > 0:
                result.pause_count += 1
            one.limit_ma = limit_ma
            watts_per_ma = yard.wiring.volts * len(one.visit.phases) / 1_000
            takes_ma = min(float(limit_ma), accepts_ma(yard, one))
            takes_ma = min(takes_ma, one.missing_wh * 60 / SLOT_MIN / watts_per_ma)
            one.drawn_ma = takes_ma
            one.given_wh += takes_ma * watts_per_ma * SLOT_MIN / 60
        result.worst_part = max(result.worst_part, load.worst_part())
    if result.worst_part > 1.000_001 and not may_exceed:
        raise CheckFailedError(f"a conductor carried {result.worst_part:.3f} times its limit")
    for number, one in here.items():
        result.given_wh[number] = one.given_wh
    return result


def accepts_ma(yard: Yard, one: Standing) -> float:
    """What the battery takes."""
    if not yard.is_real:
        return float(one.visit.max_ma)
    charge = 0.4 + one.given_wh / one.visit.battery_wh
    if charge <= TAPER_FROM:
        return float(one.visit.max_ma)
    return one.visit.max_ma * (1 - 0.9 * min(1.0, (charge - TAPER_FROM) / (1 - TAPER_FROM)))


def seen_max_ma(one: Standing) -> int:
    """As every rule here sees it: who takes clearly less than he may gets a little more than he takes."""
    if one.limit_ma and one.drawn_ma < one.limit_ma - 3_000:
        return min(one.visit.max_ma, max(FLOOR_MA, round(one.drawn_ma) + 2_000))
    return one.visit.max_ma


def phases_of(visit: Visit) -> tuple[Phase, ...]:
    return tuple(phase for phase in ALL_PHASES if phase in visit.phases)
