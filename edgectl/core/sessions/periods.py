"""The spans of a session: what flowed, and when nothing did, whose doing it was."""

from __future__ import annotations

from dataclasses import replace

from edgectl.domain.reasons import Cause
from edgectl.domain.records import Period, PeriodState, Session
from edgectl.domain.units import UtcMillis, WattHours

MAX_PERIODS = 500
"""A record with more would not fit a broker's usual message size (about 256 kB); further changes extend the last span."""


def advance(
    session: Session, utc_ms: UtcMillis, energy_so_far_wh: WattHours, state: PeriodState, cause: Cause
) -> tuple[Period, ...]:
    """Extend the running span to now, or begin a new one when state or cause have changed.

    ``energy_so_far_wh`` is the session's energy at ``utc_ms``; the spans' energies always add up to it. Time that runs
    backwards (a corrected clock) extends nothing.
    """
    periods = _reduced(session.periods, energy_so_far_wh)
    spent_wh = sum(period.energy_wh for period in periods)
    gained_wh = max(0, energy_so_far_wh - spent_wh)
    if not periods:
        start_ms = min(session.started_utc_ms, utc_ms)
        return (Period(start_ms, max(start_ms, utc_ms), state, gained_wh, cause),)
    last = periods[-1]
    until_ms = max(last.to_utc_ms, utc_ms)
    extended = replace(last, to_utc_ms=until_ms, energy_wh=last.energy_wh + gained_wh)
    if (last.state, last.limit_cause) == (state, cause) or len(periods) >= MAX_PERIODS:
        return (*periods[:-1], extended)
    if last.from_utc_ms == until_ms and extended.energy_wh == 0:
        return (*periods[:-1], Period(until_ms, until_ms, state, 0, cause))
    return (*periods[:-1], extended, Period(until_ms, until_ms, state, 0, cause))


def scaled(periods: tuple[Period, ...], energy_wh: WattHours) -> tuple[Period, ...]:
    """The same spans with another total, each with its share in whole watt-hours; those without any energy stay as they are."""
    total_wh = sum(period.energy_wh for period in periods)
    if not total_wh:
        return periods
    found, before_wh, shared_wh = [], 0, 0
    for period in periods:
        before_wh += period.energy_wh
        through_wh = before_wh * energy_wh // total_wh
        found.append(replace(period, energy_wh=through_wh - shared_wh))
        shared_wh = through_wh
    return tuple(found)


def _reduced(periods: tuple[Period, ...], energy_wh: WattHours) -> tuple[Period, ...]:
    """Take back, from the newest span on, what a corrected total no longer covers."""
    excess_wh = sum(period.energy_wh for period in periods) - energy_wh
    if excess_wh <= 0:
        return periods
    kept: list[Period] = []
    for period in reversed(periods):
        taken_wh = min(excess_wh, period.energy_wh)
        excess_wh -= taken_wh
        kept.append(replace(period, energy_wh=period.energy_wh - taken_wh))
    return tuple(reversed(kept))
