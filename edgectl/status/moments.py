"""Moments as people write them: ``02:14`` and ``2026-11-25 02:14`` on the clock of the site, or with a zone of their own."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from edgectl.domain.time import utc_ms
from edgectl.domain.units import UtcMillis

ALLOWED = "`02:14`, `2026-03-01 02:14` (on the site's clock) or `2026-03-01T02:14:00Z`"
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_SPACED_OFFSET = re.compile(r"(.*[T ].*) (\d{2}:?\d{2})", re.ASCII)


def read_moment(text: str, timezone: str, now_utc_ms: UtcMillis) -> UtcMillis:
    """The moment meant. A time alone is the last one that has passed; of an hour that comes twice it is the first.

    Raises:
        ValueError: it is no moment.
    """
    zone = ZoneInfo(timezone)
    written = text.strip()
    clock = _CLOCK.fullmatch(written)
    if clock is not None:
        at = time(int(clock[1]), int(clock[2]), int(clock[3] or 0))
        today = datetime.fromtimestamp(now_utc_ms / 1000, UTC).astimezone(zone).date()
        days = [utc_ms(datetime.combine(today - timedelta(days=back), at, zone)) for back in (0, 1)]
        return next(day_utc_ms for day_utc_ms in days if day_utc_ms <= now_utc_ms)
    spaced = _SPACED_OFFSET.fullmatch(written)
    if spaced is not None:
        written = f"{spaced[1]}+{spaced[2]}"  # a plus that an address turned into a space
    moment = datetime.fromisoformat(written)
    return utc_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))


def local(moment_utc_ms: UtcMillis, timezone: str) -> str:
    """On the site's clock, with its offset: ``2026-11-25 02:14:00+01:00``."""
    return datetime.fromtimestamp(moment_utc_ms // 1000, ZoneInfo(timezone)).isoformat(sep=" ")


def local_minutes(moment_utc_ms: UtcMillis, timezone: str) -> str:
    """``2026-11-25 18:00`` on the site's clock."""
    return f"{datetime.fromtimestamp(moment_utc_ms // 1000, ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
