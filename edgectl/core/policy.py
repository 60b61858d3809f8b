"""From what vehicles wish to what is claimed for them: classes, turns, departures.

The daemon and ``edgectl.allocate`` share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgectl.core import foresight
from edgectl.core.allocation import PERMILLE, Capacity, Claim, counts_in
from edgectl.core.departures import GUARD_MS, Outlook, outlook
from edgectl.core.foresight import Question, Stand
from edgectl.core.lookahead import Job, Plan, plan
from edgectl.core.turns import Turns
from edgectl.domain.ids import CircuitId, EvseId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import Phase
from edgectl.domain.site import Balancing, PowerKind, Priorities, Site, Strategy
from edgectl.domain.units import MilliAmps, Millis, WattHours

WEIGHT_MAX = 100
NEED_PART_MA: MilliAmps = 330
"""A weight of 1 stands for so much: what vehicles can take, 32 A, for ``WEIGHT_MAX``."""
BLIND_NEED_MA: MilliAmps = 6_000
DONE_MS: Millis = 3_600_000
"""Who goes on beyond his target is planned for this long, at his minimum."""
VOLTAGE_STEP_PERMILLE = 5
"""A voltage that trembles moves nobody's limit."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is known of one vehicle when current is shared out. Currents are per phase."""

    evse: EvseId
    circuits: tuple[CircuitId, ...]
    phases: tuple[Phase, ...]
    min_ma: MilliAmps
    max_ma: MilliAmps
    """All it may have now, whatever the reason."""
    kind: PowerKind = PowerKind.AC
    priority: int = 0
    keeps_going: bool = False
    """It does not stand a pause once it charges."""
    is_first: bool = False
    """Before everybody, for a drill."""
    is_satisfied: bool = False
    """It wants nothing at the moment."""
    remaining_wh: WattHours | None = None
    """Of its target; None without one."""
    target_wh: WattHours | None = None
    """All of its target, with what it has had; None where that is not known."""
    left_ms: Millis | None = None
    """Until its departure."""
    steps_ma: tuple[MilliAmps, ...] = ()


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is claimed for everybody, and why."""

    claims: dict[EvseId, Claim]
    outlooks: dict[EvseId, Outlook]
    resting: frozenset[EvseId]
    """Paused a moment ago, and not to be started again yet."""


def claim_all(
    wishes: Iterable[Wish],
    capacities: Sequence[Capacity],
    site: Site,
    turns: Turns,
    ahead: Plan | None,
    voltages_permille: tuple[int, int],
    mono_ms: Millis,
) -> Claimed:
    """The claim of each wish. ``ahead``: what the look-ahead found last, where there is one; ``voltages_permille``: the lowest
    and highest measured voltage over the nominal one."""
    claims: dict[EvseId, Claim] = {}
    outlooks: dict[EvseId, Outlook] = {}
    resting = set()
    reach = Reach(capacities)
    short = ahead.short if ahead is not None else frozenset[EvseId]()
    for wish in wishes:
        claim = _bare(wish, site.wiring, voltages_permille)
        max_ma = wish.max_ma
        if not wish.keeps_going and not wish.is_first and turns.is_resting(wish.evse, mono_ms):
            resting.add(wish.evse)
            max_ma = 0
        is_planned = ahead is not None and ahead.is_whole
        if ahead is not None and is_planned and _must_wait(wish, ahead):
            resting.add(wish.evse)
            max_ma = 0
        seen = _outlook(wish, claim, reach, site) if site.balancing.strategy is Strategy.DEPARTURE else None
        if seen is not None:
            outlooks[wish.evse] = seen
        is_short = wish.evse in short
        is_pressing = seen is not None and seen.is_pressing and not is_short and not is_planned
        need_ma = 0
        if seen is not None:
            planned_ma = ahead.need_ma.get(wish.evse, 0) if ahead is not None else 0
            need_ma = max(planned_ma, seen.need_ma) if ahead is None or is_pressing else planned_ma
        claims[wish.evse] = replace(
            claim,
            max_ma=max_ma,
            rank=_rank(wish, seen, site.balancing, turns, mono_ms, is_pressing=is_pressing, is_short=is_short),
            weight=_weight(wish, site.balancing, None if is_pressing else seen, are_all_in_time=not short),
            tier=-wish.priority if _is_strict(site.balancing) else 0,
            need_ma=min(need_ma, max_ma),
            is_pressing=is_pressing,
        )
    return Claimed(claims, outlooks, frozenset(resting))


def _must_wait(wish: Wish, ahead: Plan) -> bool:
    """A plan for all says so, or does not know it yet: the next one is on its way."""
    if wish.keeps_going or wish.is_first or wish.is_satisfied:
        return False
    return wish.evse in ahead.waiting or wish.evse not in ahead.need_ma


def _bare(wish: Wish, wiring: Wiring, voltages_permille: tuple[int, int]) -> Claim:
    low, high = voltages_permille
    is_dc = wish.kind is PowerKind.DC
    power_permille = _stepped(high) if not is_dc and high > PERMILLE else PERMILLE
    return Claim(
        evse=wish.evse,
        circuits=wish.circuits,
        phases=wish.phases,
        min_ma=wish.min_ma,
        max_ma=wish.max_ma,
        rank=(),
        steps_ma=wish.steps_ma,
        # A DC charger holds its power, so at low voltage its current rises; an AC one its current, so at high voltage its power.
        current_permille=_stepped(-(-PERMILLE * PERMILLE // low)) if is_dc and low < PERMILLE else PERMILLE,
        power_permille=wiring.power_permille(power_permille, len(wish.phases)),
    )


def _stepped(permille: int) -> int:
    return -(-permille // VOLTAGE_STEP_PERMILLE) * VOLTAGE_STEP_PERMILLE


def _outlook(wish: Wish, claim: Claim, reach: Reach, site: Site) -> Outlook | None:
    if wish.remaining_wh is None or wish.left_ms is None or wish.is_satisfied:
        return None
    reach_ma = min(wish.max_ma, reach.alone_ma(claim))
    return outlook(wish.remaining_wh, wish.left_ms, reach_ma, site.load_mv(len(wish.phases)) // 1_000)


def _is_strict(balancing: Balancing) -> bool:
    return balancing.strategy is Strategy.PRIORITY and balancing.priorities is Priorities.STRICT


def _weight(wish: Wish, balancing: Balancing, seen: Outlook | None, *, are_all_in_time: bool) -> int:
    """A token of priority 2 gets three parts where one without gets one. Where all departures can be met, each gets parts by the
    current it needs for that, so that nobody comes late who was in time; one without a target, or with its need given already,
    then counts as if it needed ``BLIND_NEED_MA``. Where they cannot, that would only feed those that are late anyway."""
    if balancing.priorities is Priorities.STRICT and balancing.strategy is not Strategy.DEPARTURE:
        return 1
    if balancing.strategy is Strategy.FAIR:
        return 1
    parts = 1 + max(0, wish.priority)
    if balancing.strategy is Strategy.DEPARTURE and are_all_in_time:
        parts *= max(1, (seen.need_ma if seen is not None else BLIND_NEED_MA) // NEED_PART_MA)
    return min(WEIGHT_MAX, parts)


def _rank(
    wish: Wish,
    seen: Outlook | None,
    balancing: Balancing,
    turns: Turns,
    mono_ms: Millis,
    *,
    is_pressing: bool,
    is_short: bool,
) -> tuple[int, ...]:
    """Smaller is admitted first.

    Among the pressing it is turns that decide and not their laxity: where not all can make it, least laxity first would serve the
    most hopeless, and change its mind all the time. Who will make it anyway needs no turns: the one that runs goes on. Who cannot
    come after all others, and in turns.
    """
    is_sure = seen is not None and not is_pressing and not is_short
    return (
        -1 if wish.is_first else 0 if wish.keeps_going else 1,
        0 if turns.keeps_running(wish.evse, mono_ms) else 1,
        -wish.priority if _is_strict(balancing) else 0,
        0 if is_pressing else 2 if is_short else 1,
        1 if wish.is_satisfied else 0,
        1 if is_sure and not turns.is_running(wish.evse) else 0,
        *turns.order(wish.evse, mono_ms),
    )


class Reach:
    """How much the conductors could give to one vehicle alone, soft limits kept."""

    def __init__(self, capacities: Sequence[Capacity]) -> None:
        self._by_circuit: dict[CircuitId, list[Capacity]] = {}
        for capacity in capacities:
            self._by_circuit.setdefault(capacity.circuit, []).append(capacity)

    def alone_ma(self, claim: Claim) -> MilliAmps:
        found = [
            max(0, capacity.available_ma) * PERMILLE // k
            for circuit in claim.circuits
            for capacity in self._by_circuit.get(circuit, ())
            if (k := counts_in(capacity, claim))
        ]
        return min(found, default=claim.max_ma)


def _charge_ma_s(energy_wh: WattHours, wish: Wish, site: Site) -> int:
    """What ``energy_wh`` is on each of its phases."""
    return energy_wh * 3_600_000 // (site.load_mv(len(wish.phases)) // 1_000)


def look_ahead(wishes: Sequence[Wish], claims: Mapping[EvseId, Claim], capacities: Sequence[Capacity], site: Site) -> Plan | None:
    """The plan for those with a target; None when there is none to make, or too much work."""
    jobs = [
        Job(
            claims[wish.evse],
            _charge_ma_s(wish.remaining_wh, wish, site),
            wish.left_ms,
            wish.max_ma,
            wish.priority,
        )
        for wish in wishes
        if wish.remaining_wh is not None and wish.left_ms is not None and wish.remaining_wh > 0 and wish.left_ms > 0
    ]
    if not jobs:
        return None
    found = plan(jobs, capacities)
    hard = [capacity for capacity in capacities if not capacity.is_soft]
    if found is None or not found.short or len(hard) == len(capacities):
        return found
    # Soft limits give way to a departure: who is in time without them is not short, but pressing, once he is late within them.
    broken = plan(jobs, hard)
    return found if broken is None else Plan(found.need_ma, broken.short)


def foresee(
    wishes: Sequence[Wish],
    claims: Mapping[EvseId, Claim],
    capacities: Sequence[Capacity],
    site: Site,
    turns: Turns,
    mono_ms: Millis,
) -> Question | None:
    """What to ask a solver; None where somebody who charges has not said how much and until when, where a soft limit stands, or
    where there is nothing to decide."""
    if any(capacity.is_soft for capacity in capacities):
        return None
    jobs = []
    for wish in wishes:
        if wish.is_satisfied:
            continue
        if wish.remaining_wh is None or wish.left_ms is None:
            return None
        claim = claims[wish.evse]
        is_done = wish.remaining_wh <= 0 or wish.left_ms <= 0
        is_running = turns.is_running(wish.evse)
        stand = Stand(
            is_running=is_running,
            stays=wish.is_first or turns.keeps_running(wish.evse, mono_ms) or (wish.keeps_going and is_running),
            may_start=wish.keeps_going or wish.is_first or not turns.is_resting(wish.evse, mono_ms),
            owed_ma_s=turns.owed_ma_s(wish.evse),
            is_done=is_done,
            target_ma_s=None if wish.target_wh is None else _charge_ma_s(wish.target_wh, wish, site),
        )
        if is_done:
            left_ms, charge_ma_s = DONE_MS, claim.min_ma * DONE_MS // 1_000
        else:
            left_ms = max(wish.left_ms - GUARD_MS, wish.left_ms // 2)
            charge_ma_s = _charge_ma_s(wish.remaining_wh, wish, site)
        jobs.append((Job(claim, charge_ma_s, left_ms, wish.max_ma, wish.priority), stand))
    return foresight.ask(jobs, capacities)
