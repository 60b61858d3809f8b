"""What is looked at with every tick and becomes an alarm while it lasts."""

from __future__ import annotations

from edgectl.core.alarms import Alarms
from edgectl.core.balancing import Balancing
from edgectl.core.chargers import Chargers
from edgectl.core.doubts import Doubt
from edgectl.core.external import ExternalLimits
from edgectl.core.meters import Meters
from edgectl.core.proof import Case, case_words, live
from edgectl.core.waking import Wake
from edgectl.domain.decisions import Decision
from edgectl.domain.ids import ChargerId
from edgectl.domain.site import Site
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis

OVER_LIMIT_ALARM_MS: Millis = 5_000
PROOF_GRACE_MS: Millis = 180_000
"""Chargers have this long after our start to say that they hold their fallbacks."""


class Watch:
    """Changes nothing but alarms."""

    def __init__(
        self,
        site: Site,
        chargers: Chargers,
        meters: Meters,
        balancing: Balancing,
        external: ExternalLimits,
        alarms: Alarms,
        started: Instant,
    ) -> None:
        self._site = site
        self._chargers = chargers
        self._meters = meters
        self._balancing = balancing
        self._external = external
        self._alarms = alarms
        self._started = started
        self._proven_for: dict[ChargerId, MilliAmps] = {}
        self._unsafe: tuple[Case, ...] = ()

    def reload(self, site: Site) -> None:
        self._site = site
        self._proven_for = {}

    def tick(self, now: Instant) -> list[Decision]:
        """Meters, vehicles, the proof and the conductors."""
        decisions: list[Decision] = []
        for meter in self._meters.by_id.values():
            is_lost = meter.current_ma(now) is None
            decisions += self._alarms.set("meter-lost", meter.meter.id, is_lost, meter.why_lost, now)
            doubt = self._balancing.doubts.of(meter.meter.id)
            for kind in Doubt:
                is_on = doubt is not None and doubt[0] is kind
                decisions += self._alarms.set(f"meter-{kind.value}", meter.meter.id, is_on, doubt[1] if doubt else "", now)
        for evse, waking in self._balancing.wakings.items():
            words = f"it did not wake from a pause; trying {waking.trying.value}"
            decisions += self._alarms.set("vehicle-asleep", str(evse), waking.trying is not Wake.NOTHING, words, now)
        decisions += self._proof(now)
        for circuit in self._balancing.circuits.by_id.values():
            is_over = circuit.over_limit_ms(now) >= OVER_LIMIT_ALARM_MS
            decisions += self._alarms.set("circuit-over-limit", circuit.circuit.id, is_over, "measured above its limit", now)
        return decisions

    def external(self, now: Instant) -> list[Decision]:
        """Inputs that cannot be read, and limits that are no longer known."""
        decisions: list[Decision] = []
        for state in self._external.inputs.by_id.values():
            decisions += self._alarms.set("input-lost", state.input.id, state.is_lost(now), state.words(now), now)
        count = self._external.unreadable_count
        decisions += self._alarms.set("limits-lost", "state file", count > 0, f"{count} remembered limits cannot be read", now)
        return decisions

    def _proof(self, now: Instant) -> list[Decision]:
        """The proof of the site's file again, with what each charger is known to fall to."""
        if now.mono_ms - self._started.mono_ms < PROOF_GRACE_MS:
            return []
        unbound_ma = {state.charger.id: state.unbound_ma for state in self._chargers.by_id.values()}
        if unbound_ma != self._proven_for:
            self._proven_for = unbound_ma
            self._unsafe = live(self._site, unbound_ma)
        decisions: list[Decision] = []
        for circuit in self._site.circuits:
            cases = [case for case in self._unsafe if case.circuit == circuit.id]
            worst = max(cases, key=lambda case: case.excess_ma, default=None)
            words = "" if worst is None else case_words(worst)
            decisions += self._alarms.set("proof-violated", circuit.id, worst is not None, words, now)
        return decisions
