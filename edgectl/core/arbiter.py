"""The arbiter: of all who say how much a place may carry, the lowest wins. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgectl.domain.external import Amount
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.reasons import Input
from edgectl.domain.time import spoken
from edgectl.domain.units import Millis, UtcMillis, Watts


@dataclass(frozen=True, slots=True)
class Held:
    """An amount somebody outside allows on one place, ready to be compared."""

    id: str
    words: str
    amount: Amount
    until_utc_ms: UtcMillis | None = None
    age_ms: Millis | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a place may carry after all have spoken, and who has the last word per phase and on power. None: the file."""

    current_ma: Phases
    power_w: Watts | None
    by_phase: tuple[Held | None, Held | None, Held | None]
    by_power: Held | None

    def by(self, phase: Phase | None) -> Held | None:
        return self.by_power if phase is None else self.by_phase[phase]

    @property
    def words(self) -> str:
        """Everybody who narrows something here."""
        found = {held.id: held for held in (*self.by_phase, self.by_power) if held is not None}
        return ", ".join(f"{held.words}{_until(held.until_utc_ms)}" for held in found.values())


def arbitrate(configured: Amount, limits: Iterable[Held]) -> Allowed:
    """The lowest wins, phase by phase; on a tie the file, then the first by id. Never more than ``configured``."""
    current_ma = configured.current_ma
    if current_ma is None:
        raise ValueError("a conductor has a current")
    bounds = list(current_ma)
    by_phase: list[Held | None] = [None, None, None]
    power_w = configured.power_w
    by_power: Held | None = None
    for held in sorted(limits, key=lambda one: one.id):
        for phase in ALL_PHASES:
            if held.amount.current_ma is not None and held.amount.current_ma[phase] < bounds[phase]:
                bounds[phase], by_phase[phase] = held.amount.current_ma[phase], held
        if held.amount.power_w is not None and (power_w is None or held.amount.power_w < power_w):
            power_w, by_power = held.amount.power_w, held
    return Allowed(Phases(*bounds), power_w, (by_phase[0], by_phase[1], by_phase[2]), by_power)


def external_input(held: Held, phase: Phase | None) -> Input:
    """The limit from outside as an input of a reason."""
    if phase is None:
        return Input("external-limit", held.amount.power_w or 0, "W", held.age_ms)
    current_ma = held.amount.current_ma
    return Input("external-limit", 0 if current_ma is None else current_ma[phase], "mA", held.age_ms)


def _until(until_utc_ms: UtcMillis | None) -> str:
    return "" if until_utc_ms is None else f" until {spoken(until_utc_ms)}"
