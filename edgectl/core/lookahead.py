"""The look-ahead: which energy must be given now, so that everybody who leaves later can still have his.

Time until the last departure is cut into slots. Every vehicle's energy is laid as late as possible, whoever leaves first before
the others; what does not fit later must be given now. Where not all of it fits in any order, as many as possible are to leave
with all of theirs: those of higher priority first, then those that take least of the conductors. The others are *short*: nothing
is laid for them, and they take turns at what is left. That is all the share-out is told: needs, and who is short. Pure and off
the fast path: at most once a minute, with a stated bound on its work, and never needed, for without a plan the even current until
the departure is the need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
"""Jobs x slots x conductors looked at each time everything is laid, three times at most: some 15 ms each here, 60 ms on a small
gateway. Beyond that there is no plan."""


@dataclass(frozen=True, slots=True)
class Job:
    """Energy one vehicle must have by its departure."""

    claim: Claim
    charge_ma_s: int
    """What is missing, as a current per phase over time."""
    left_ms: Millis
    max_ma: MilliAmps
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next slot must give."""

    need_ma: dict[EvseId, MilliAmps]
    """The least current now with which nothing is lost later; 0 where all of it fits later."""
    short: frozenset[EvseId] = frozenset()
    """Will not have all of their energy, so that as many others as possible have theirs."""
    waiting: frozenset[EvseId] = frozenset()
    """Do not charge now, for the good of all."""
    is_whole: bool = False
    """Everybody who charges is in ``need_ma``, with all he should have now and not only what he must."""


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
    paths = list(zip(jobs, uses, strict=True))
    paths.sort(key=lambda path: (path[0].left_ms, path[0].claim.evse))
    laid = _lay_all(paths, capacities, slots)
    short = frozenset[EvseId]()
    if len(laid) < len(paths):
        easiest = sorted(paths, key=lambda path: (-path[0].priority, path[0].charge_ma_s * len(path[1]), path[0].claim.evse))
        kept = _lay_all(easiest, capacities, slots)
        short = frozenset(job.claim.evse for job in jobs if job.claim.evse not in kept)
        laid = _lay_all([path for path in paths if path[0].claim.evse in kept], capacities, slots, is_part_enough=True)
    return Plan(laid, short)


_Path: TypeAlias = tuple[Job, list[tuple[int, int]]]
"""A job, and what one of its milliamps is in each capacity it uses, by place."""


def _lay_all(
    paths: Sequence[_Path],
    capacities: Sequence[Capacity],
    slots: Sequence[tuple[Millis, Millis]],
    *,
    is_part_enough: bool = False,
) -> dict[EvseId, MilliAmps]:
    """Lay one after the other. What falls into the first slot, of those that fit beside the ones before; with
    ``is_part_enough`` of all, as far as they fit."""
    left = [[max(0, capacity.available_ma) * PERMILLE for capacity in capacities] for _ in slots]
    now_ma: dict[EvseId, MilliAmps] = {}
    for job, uses in paths:
        laid, is_all = _lay(job, uses, left, slots)
        if not is_all and not is_part_enough:
            continue
        for slot, (given_ma, usable_ms) in laid.items():
            for place, k in uses:
                left[slot][place] -= given_ma * k * usable_ms // slots[slot][1]
        now_ma[job.claim.evse] = laid.get(0, (0, 0))[0]
    return now_ma


def _lay(
    job: Job, uses: Sequence[tuple[int, int]], left: Sequence[Sequence[int]], slots: Sequence[tuple[Millis, Millis]]
) -> tuple[dict[int, tuple[MilliAmps, Millis]], bool]:
    """The current and the time of each slot, as late as possible; and whether that is all of it."""
    missing_ma_s = job.charge_ma_s
    laid: dict[int, tuple[MilliAmps, Millis]] = {}
    for slot in range(len(slots) - 1, -1, -1):
        begin_ms, length_ms = slots[slot]
        usable_ms = min(length_ms, job.left_ms - begin_ms)
        if usable_ms <= 0 or missing_ma_s <= 0:
            continue
        room_ma = min((left[slot][place] // k for place, k in uses), default=job.max_ma)
        given_ma = min(job.max_ma, room_ma, -(-missing_ma_s * 1_000 // usable_ms))
        missing_ma_s -= given_ma * usable_ms // 1_000
        laid[slot] = given_ma, usable_ms
    return laid, missing_ma_s <= 0
