"""The history of limits and their reasons, for the day somebody asks "why 9 A at 02:14 on CP-07?".

Every order is kept when it is given. Between orders a reason may change all the same: a session ends, a charger falls silent,
another limit binds at the same height. That is kept too, not more often than people could read it.
"""

from __future__ import annotations

from typing import TypeAlias

from edgectl.core.balancing import Balancing
from edgectl.core.picture import shown_reason
from edgectl.domain.decisions import Decision, Keep
from edgectl.domain.ids import EvseId
from edgectl.domain.reasons import IDLE_REASON, Cause, Reason
from edgectl.domain.records import LimitKept
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis

REST_MS: Millis = 10_000
"""Between two rows of one EVSE that no order caused: a reason that flickers fills no disk."""

LOOKS = 5
"""A reason that changes without an order is seen within so many ticks: each looks at its share of the EVSEs, for one reason costs
some microseconds and a large site has a thousand."""

_Headline: TypeAlias = tuple[object, ...]


class LimitHistory:
    def __init__(self) -> None:
        self._kept: dict[EvseId, tuple[_Headline, Millis]] = {}
        self._look = 0

    def note(self, record: LimitKept, now: Instant) -> None:
        """An order was kept."""
        self._kept[record.evse] = (_headline(record.limit_ma, record.reason), now.mono_ms)

    def changes(self, balancing: Balancing, now: Instant) -> list[Decision]:
        """What is different from what was kept last. The first time, after a start, that is everything."""
        found: list[Decision] = []
        self._look = (self._look + 1) % LOOKS
        for number, state in enumerate(balancing.chargers.by_id.values()):
            for evse in state.charger.evses:
                kept = self._kept.get(evse)
                is_used = evse in balancing.vehicles
                if kept is not None:
                    was_used = kept[0][1] is not Cause.IDLE
                    is_my_turn = is_used and number % LOOKS == self._look
                    if now.mono_ms - kept[1] < REST_MS or (is_used == was_used and not is_my_turn):
                        continue
                limit_ma, reason = 0, IDLE_REASON
                if is_used:
                    limit_ma, reason = balancing.limits[evse].commanded_ma, shown_reason(state, evse, balancing, now)
                headline = _headline(limit_ma, reason)
                if kept is None or kept[0] != headline:
                    self._kept[evse] = (headline, now.mono_ms)
                    found.append(Keep(LimitKept(evse, limit_ma, reason, now.utc_ms)))
        return found


def _headline(limit_ma: MilliAmps, reason: Reason) -> _Headline:
    return limit_ma, reason.cause, reason.authority, reason.circuit, reason.phase, reason.by
