"""The look-ahead: which energy must be given now, so that everybody who leaves later can still have his.

Time until the last departure is cut into slots. Every vehicle's energy is laid as late as possible, whoever leaves first before
the others; what does not fit later must be given now. That is all the share-out is told: needs, and who will be short. Pure and
off the fast path: at most once a minute, with a stated bound on its work, and never needed, for without a plan the even current
until the departure is the need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgectl.core.allocation import PERMILLE, Capacity, Claim, counts_in
from edgectl.domain.ids import EvseId
from edgectl.domain.units import MilliAmps, Millis

EVERY_MS: Millis = 60_000
"""Between two plans."""
SLOT_MS: Millis = 15 * 60_000
FINE_COUNT = 16
"""Slots of 15 minutes; the hours after that are planned hour by hour."""
SLOT_COUNT = 16 + 20
"""24 hours."""
WORK_MAX = 60_000
"""Jobs x slots x conductors looked at: some 15 ms here, 60 ms on a small gateway. Beyond that there is no plan."""


@dataclass(frozen=True, slots=True)
class Job:
    """Energy one vehicle must have by its departure."""

    claim: Claim
    charge_ma_s: int
    """What is missing, as a current per phase over time."""
    left_ms: Millis
    max_ma: MilliAmps


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next slot must give."""

    need_ma: dict[EvseId, MilliAmps]
    """The least current now with which nothing is lost later; 0 where all of it fits later."""
    short: frozenset[EvseId]
    """Will not have their energy, whatever the order, within the capacities there are."""


def slots_ms(horizon_ms: Millis) -> list[tuple[Millis, Millis]]:
    """Beginning and length of each slot."""
    found: list[tuple[Millis, Millis]] = []
    at_ms = 0
    while at_ms < horizon_ms and len(found) < SLOT_COUNT:
        length_ms = SLOT_MS if len(found) < FINE_COUNT else 4 * SLOT_MS
        found.append((at_ms, length_ms))
        at_ms += length_ms
    return found


def plan(jobs: Sequence[Job], capacities: Sequence[Capacity], work_max: int = WORK_MAX) -> Plan | None:
    """The needs of the first slot, or None when it would be more work than ``work_max``.

    ``capacities`` are taken to stay as they are now.
    """
    slots = slots_ms(max((job.left_ms for job in jobs), default=0))
    uses = [[(place, k) for place, c in enumerate(capacities) if (k := counts_in(c, job.claim))] for job in jobs]
    if sum(map(len, uses)) * len(slots) > work_max:
        return None
    left = [[max(0, capacity.available_ma) * PERMILLE for capacity in capacities] for _ in slots]
    need_ma: dict[EvseId, MilliAmps] = {}
    short = set()
    order = sorted(range(len(jobs)), key=lambda number: (jobs[number].left_ms, jobs[number].claim.evse))
    for number in order:
        job = jobs[number]
        missing_ma_s = job.charge_ma_s
        for slot in range(len(slots) - 1, -1, -1):
            begin_ms, length_ms = slots[slot]
            usable_ms = min(length_ms, job.left_ms - begin_ms)
            if usable_ms <= 0 or missing_ma_s <= 0:
                continue
            room_ma = min((left[slot][place] // k for place, k in uses[number]), default=job.max_ma)
            wanted_ma = -(-missing_ma_s * 1_000 // usable_ms)
            given_ma = min(job.max_ma, room_ma, wanted_ma)
            missing_ma_s -= given_ma * usable_ms // 1_000
            for place, k in uses[number]:
                left[slot][place] -= given_ma * k * usable_ms // length_ms
            if slot == 0:
                need_ma[job.claim.evse] = given_ma
        if missing_ma_s > 0:
            short.add(job.claim.evse)
    return Plan(need_ma, frozenset(short))
