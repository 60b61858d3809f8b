"""The two clocks. They do not mix: intervals and deadlines use one, records and the wire the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edgectl.domain.units import Millis, UtcMillis

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks, taken together by the runtime when an event enters."""

    mono_ms: Millis
    utc_ms: UtcMillis


def iso(utc_ms: UtcMillis) -> str:
    """RFC 3339 with milliseconds and ``Z``; some chargers parse nothing else."""
    moment = _EPOCH + timedelta(milliseconds=utc_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def spoken(utc_ms: UtcMillis) -> str:
    """For people: to the second."""
    return (_EPOCH + timedelta(milliseconds=utc_ms)).strftime("%Y-%m-%d %H:%M:%SZ")


def utc_ms(moment: datetime) -> UtcMillis:
    """Milliseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
