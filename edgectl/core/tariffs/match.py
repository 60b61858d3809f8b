"""When an element of a tariff is active (OCPI mod_tariffs, TariffRestrictions), and where a span must be cut for that.

Times, dates and days are those of the site's wall clock. In the night the clock is put back an hour happens twice, and a
restriction to that hour holds twice; in the night it is put forward, a start inside the missing hour is when the clock jumps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from fractions import Fraction
from typing import Final

from edgectl.core.tariffs.usage import Usage
from edgectl.domain.tariff import DAYS, Booking, Dimension, PriceComponent, Restrictions, Tariff
from edgectl.domain.time import utc_ms
from edgectl.domain.units import UtcMillis

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MINUTES: Final = 24 * 60
LONGEST_DAYS: Final = 400
"""Beyond this a span is cut at no clock any more: a year on one plug is a fault of a clock, not a session."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What restrictions look at, at the beginning of a piece."""

    local: datetime
    energy_wh: Fraction
    """In the session so far."""
    lasted_ms: Fraction
    power_w: Fraction | None = None
    current_ma: Fraction | None = None


def local_time(at_utc_ms: UtcMillis, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=at_utc_ms)).astimezone(zone)


def first_match(
    tariff: Tariff, dimension: Dimension, situation: Situation, booking: Booking | None = None
) -> tuple[int, PriceComponent] | None:
    """The first active element that prices the dimension, by its number from 1. ``booking`` asks for a reservation's."""
    for number, element in enumerate(tariff.elements, start=1):
        if element.restrictions.booking is not booking:
            continue
        component = next((one for one in element.components if one.dimension is dimension), None)
        if component is not None and is_active(element.restrictions, situation):
            return number, component
    return None


def is_active(restrictions: Restrictions, situation: Situation) -> bool:
    """All that is given holds. A power or current that is not known is in no range."""
    local = situation.local
    today = local.date().isoformat()
    return (
        _is_in_hours(restrictions, local)
        and (restrictions.start_date is None or restrictions.start_date <= today)
        and (restrictions.end_date is None or today < restrictions.end_date)
        and (not restrictions.days or DAYS[local.weekday()] in restrictions.days)
        and _is_between(situation.energy_wh, restrictions.min_wh, restrictions.max_wh)
        and _is_between(situation.lasted_ms, restrictions.min_ms, restrictions.max_ms)
        and _is_between(situation.power_w, restrictions.min_w, restrictions.max_w)
        and _is_between(situation.current_ma, restrictions.min_ma, restrictions.max_ma)
    )


def _is_between(value: Fraction | None, low: int | None, high: int | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or low <= value) and (high is None or value < high)


def _is_in_hours(restrictions: Restrictions, local: datetime) -> bool:
    start, end = restrictions.start_minute_count, restrictions.end_minute_count
    if start is None and end is None:
        return True
    minute = local.hour * 60 + local.minute
    begin, finish = start or 0, end or _DAY_MINUTES
    if begin < finish:
        return begin <= minute < finish
    return minute >= begin or minute < finish


# --- where to cut ---------------------------------------------------------------------------------------------------------


def cuts(
    tariff: Tariff, usage: Usage, before_wh: Fraction, began_utc_ms: UtcMillis, clock: Sequence[UtcMillis]
) -> list[Fraction]:
    """The fractions of a span, 0 and 1 included, between which no restriction changes. ``clock``: of ``clock_moments``."""
    found = {Fraction(0), Fraction(1)}
    every = [element.restrictions for element in tariff.elements]
    if usage.duration_ms > 0:
        moments = [began_utc_ms + bound for one in every for bound in (one.min_ms, one.max_ms) if bound is not None]
        moments += clock[bisect_left(clock, usage.from_utc_ms) : bisect_right(clock, usage.to_utc_ms)]
        inside = {moment for moment in moments if usage.from_utc_ms < moment < usage.to_utc_ms}
        found |= {Fraction(moment - usage.from_utc_ms, usage.duration_ms) for moment in inside}
    if usage.energy_wh > 0:
        bounds = {bound for one in every for bound in (one.min_wh, one.max_wh) if bound is not None}
        found |= {(bound - before_wh) / usage.energy_wh for bound in bounds}
    return sorted(cut for cut in found if 0 <= cut <= 1)


def clock_moments(tariff: Tariff, from_utc_ms: UtcMillis, to_utc_ms: UtcMillis, zone: tzinfo) -> list[UtcMillis]:
    """Every midnight and every named time of a span, both times where the clock shows it twice, and the changes of the clock.

    Sorted, with some around the span; none where no restriction looks at the clock.
    """
    every = [element.restrictions for element in tariff.elements]
    if not any(_uses_clock(one) for one in every):
        return []
    named = {minute for one in every for minute in (one.start_minute_count, one.end_minute_count) if minute is not None}
    minutes = {0} | named
    first = local_time(from_utc_ms, zone).date()
    day_count = min((local_time(to_utc_ms, zone).date() - first).days, LONGEST_DAYS)
    moments: set[UtcMillis] = set()
    for offset in range(day_count + 2):
        day = first + timedelta(days=offset)
        moments |= {_utc(day, minute, fold, zone) for minute in minutes for fold in (0, 1)}
        moments |= _clock_change(day, zone)
    return sorted(moments)


def _uses_clock(one: Restrictions) -> bool:
    given = (one.start_minute_count, one.end_minute_count, one.start_date, one.end_date)
    return bool(one.days) or any(value is not None for value in given)


def _utc(day: date, minute: int, fold: int, zone: tzinfo) -> UtcMillis:
    return utc_ms(datetime.combine(day, time(minute // 60, minute % 60, fold=fold), zone).astimezone(UTC))


def _clock_change(day: date, zone: tzinfo) -> set[UtcMillis]:
    """The moment at which the offset from UTC changes within a day, to the minute."""
    low, high = _utc(day, 0, 0, zone), _utc(day + timedelta(days=1), 0, 1, zone)
    before, after = local_time(low, zone).utcoffset(), local_time(high, zone).utcoffset()
    if before == after:
        return set()
    while high - low > 60_000:
        middle = (low + high) // 2 // 60_000 * 60_000
        middle = middle if middle > low else high - 60_000
        if local_time(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return {high}
