"""Named conditions with a start and an end, each told once when it begins and once when it ends."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.decisions import Decision, Keep, WakeUplink
from edgectl.domain.records import EventKept
from edgectl.domain.time import Instant
from edgectl.domain.units import UtcMillis


@dataclass(frozen=True, slots=True)
class Alarm:
    kind: str
    subject: str
    since_utc_ms: UtcMillis
    detail: str


class Alarms:
    def __init__(self) -> None:
        self._active: dict[tuple[str, str], Alarm] = {}

    @property
    def active(self) -> tuple[Alarm, ...]:
        return tuple(self._active[key] for key in sorted(self._active))

    def is_active(self, kind: str, subject: str) -> bool:
        return (kind, subject) in self._active

    def set(self, kind: str, subject: str, is_on: bool, detail: str, now: Instant) -> list[Decision]:
        """Raise or clear; nothing when the condition has not changed."""
        key = (kind, subject)
        if is_on == (key in self._active):
            return []
        if is_on:
            self._active[key] = Alarm(kind, subject, now.utc_ms, detail)
            return _told(kind, subject, {"state": "raised", "detail": detail}, now)
        alarm = self._active.pop(key)
        return _told(
            kind, subject, {"state": "cleared", "detail": detail, "lasted_ms": max(0, now.utc_ms - alarm.since_utc_ms)}, now
        )


def _told(kind: str, subject: str, body: dict[str, object], now: Instant) -> list[Decision]:
    return [Keep(EventKept(kind=kind, subject=subject, at_utc_ms=now.utc_ms, body=body)), WakeUplink()]
