"""Which sessions an export has: those that *ended* in the span, because a session is paid in the month in which it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Final, TypeAlias

from edgectl.domain.records import Session, SessionStatus
from edgectl.domain.time import utc_ms
from edgectl.domain.units import Millis, UtcMillis

Ask: TypeAlias = Callable[[int | None, int | None, int], Sequence[Session]]
"""The ledger's question: started in ``[since, until)``, the latest first, at most so many."""

STEP: Final = 500
SESSIONS_MAX: Final = 20_000
"""In one export: a year of 55 a day, some 100 MB on the way. More is refused, never cut off."""
LONGEST_MS: Final[Millis] = 35 * 86_400_000
"""A session that began this long before a span can still have ended in it."""


class TooManyError(ValueError):
    """More sessions than one export takes."""


def oldest_first(
    ask: Ask,
    since_utc_ms: UtcMillis | None = None,
    until_utc_ms: UtcMillis | None = None,
    *,
    is_wanted: Callable[[Session], bool] = lambda _: True,
    most: int | None = None,
) -> list[Session]:
    """Every wanted session that started in the span, by its start; corrections by when they were made.

    Raises:
        TooManyError: as soon as there are more than ``most``; no more are read then.
    """
    found: list[Session] = []
    seen: set[str] = set()
    until = until_utc_ms
    while True:
        step = ask(since_utc_ms, until, STEP)
        new = [session for session in step if session.id not in seen]
        found += filter(is_wanted, new)
        if most is not None and len(found) > most:
            raise TooManyError(f"more than {most} sessions, the most in one export: ask for a shorter span")
        if len(step) < STEP or not new:
            return sorted(found, key=lambda session: (session.entered_utc_ms, not session.is_credit, session.id))
        seen.update(session.id for session in new)
        until = step[-1].entered_utc_ms + 1  # others may have begun in the same millisecond


def ended_between(ask: Ask, since_utc_ms: UtcMillis | None, until_utc_ms: UtcMillis | None) -> list[Session]:
    """Completed sessions that ended in ``[since, until)``, by their end; corrections that were made in it.

    Raises:
        TooManyError: with what to do about it.
    """
    earliest = None if since_utc_ms is None else since_utc_ms - LONGEST_MS

    def is_wanted(session: Session) -> bool:
        ended = session.booked_utc_ms
        if session.status is not SessionStatus.COMPLETED or ended is None:
            return False
        return (since_utc_ms is None or since_utc_ms <= ended) and (until_utc_ms is None or ended < until_utc_ms)

    found = oldest_first(ask, earliest, until_utc_ms, is_wanted=is_wanted, most=SESSIONS_MAX)
    return sorted(found, key=lambda session: (session.booked_utc_ms or 0, not session.is_credit, session.id))


def month_span(month: str, zone: tzinfo) -> tuple[UtcMillis, UtcMillis]:
    """The first moment of ``YYYY-MM`` at the site and the first of the next.

    Raises:
        ValueError: no such month.
    """
    first = date.fromisoformat(f"{month}-01")
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    begin, end = (utc_ms(datetime.combine(day, time.min, zone).astimezone(UTC)) for day in (first, after))
    return begin, end
