"""Contacts and registers that limit the site from outside: what each says now, and what holds while it says nothing.

Age counts, not timeouts. After a restart the last known value holds for as long as a reading may be old, so that a restart
pauses nobody; then, or when there is none, the input counts as lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgectl.domain.events import InputRead
from edgectl.domain.external import ExternalInput, Level
from edgectl.domain.ids import InputId
from edgectl.domain.site import Site
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis

REMEMBER_MS: Millis = 10_000
"""A register that never rests is remembered this often at most."""
COUNT_MAX = 0xFFFF
"""One register."""


@dataclass(slots=True)
class InputState:
    input: ExternalInput
    value_number: int | None = None
    completed_mono_ms: Millis = 0
    trouble: str = "never read"
    """Why the newest attempt has no value; empty when it has."""

    def age_ms(self, now: Instant) -> Millis | None:
        return None if self.value_number is None else now.mono_ms - self.completed_mono_ms

    def is_lost(self, now: Instant) -> bool:
        age_ms = self.age_ms(now)
        return age_ms is None or age_ms > self.input.max_age_ms

    def level(self, now: Instant) -> Level:
        """What it says, or what holds while it says nothing."""
        if self.value_number is None or self.is_lost(now):
            return self.input.when_lost
        return meaning(self.input, self.value_number) or self.input.when_lost

    def words(self, now: Instant) -> str:
        if not self.is_lost(now):
            return ""
        age_ms = self.age_ms(now)
        since = "" if age_ms is None else f" for {age_ms // 1000} s"
        return f"not readable{since}: {self.trouble or 'reading too old'}"


def meaning(given: ExternalInput, value_number: int) -> Level | None:
    """What a value means; None for one that means nothing."""
    if given.per_count is not None:
        return given.per_count.times(value_number) if 0 <= value_number <= COUNT_MAX else None
    return dict(given.levels).get(value_number)


class Inputs:
    def __init__(self, site: Site, remembered: Mapping[str, object], now: Instant) -> None:
        self.by_id: dict[InputId, InputState] = {}
        self._remembered_mono_ms: Millis | None = None
        self.reload(site)
        for state in self.by_id.values():
            value_number = remembered.get(state.input.id)
            if isinstance(value_number, int) and meaning(state.input, value_number) is not None:
                state.value_number, state.completed_mono_ms = value_number, now.mono_ms

    def reload(self, site: Site) -> None:
        known = self.by_id
        self.by_id = {}
        for given in site.inputs:
            state = known.get(given.id) or InputState(given)
            state.input = given
            self.by_id[given.id] = state

    def read(self, event: InputRead, now: Instant) -> bool:
        """Take in a reading. True when it says something else than before and that is worth remembering now."""
        state = self.by_id.get(event.input)
        if state is None:
            return False  # an input that a reload has just removed
        if event.value_number is None or meaning(state.input, event.value_number) is None:
            state.trouble = event.reason or f"value {event.value_number} means nothing"
            return False
        is_news = state.value_number != event.value_number
        state.value_number, state.completed_mono_ms, state.trouble = event.value_number, event.completed_mono_ms, ""
        is_due = self._remembered_mono_ms is None or now.mono_ms - self._remembered_mono_ms >= REMEMBER_MS
        if is_news and is_due:
            self._remembered_mono_ms = now.mono_ms
        return is_news and is_due

    def document(self) -> dict[str, object]:
        """The last known values."""
        return {str(name): state.value_number for name, state in self.by_id.items() if state.value_number is not None}
