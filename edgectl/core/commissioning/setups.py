"""The set-ups of all chargers: what concerns which, and when there is something more important."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from edgectl.core.chargers import Chargers, ChargerState
from edgectl.core.commissioning.desired import Policy
from edgectl.core.commissioning.reconciler import Reconciler
from edgectl.domain.decisions import Decision
from edgectl.domain.events import ChargerNotified, RequestAnswered
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.domain.views import CommissioningView

REPORT = "report"
"""The kind of notification that carries a part of a station's report."""


class Setups:
    """One reconciler for each charger. ``heartbeat_of`` tells the interval, in seconds, a charger is told when it boots."""

    def __init__(
        self,
        chargers: Chargers,
        policy: Policy,
        heartbeat_of: Callable[[ChargerId], int],
        remembered: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._chargers = chargers
        self._policy = policy
        self._heartbeat_of = heartbeat_of
        self._remembered = remembered
        self._reconcilers: dict[ChargerId, Reconciler] = {}

    def of(self, charger: ChargerId) -> Reconciler:
        known = self._reconcilers.get(charger)
        if known is None:
            policy = replace(self._policy, heartbeat_s=self._heartbeat_of(charger))
            evse_count = self._chargers.by_id[charger].configured.evse_count
            known = Reconciler(charger, evse_count, policy, self._remembered.get(charger))
            self._reconcilers[charger] = known
        return known

    def reload(self, policy: Policy) -> None:
        """Other wishes hold from the next boot on; a set-up under way ends as it began."""
        self._policy = policy
        for charger, reconciler in list(self._reconcilers.items()):
            if charger not in self._chargers.by_id:
                del self._reconcilers[charger]
            else:
                reconciler.policy = replace(policy, heartbeat_s=self._heartbeat_of(charger))

    def came(self, state: ChargerState, now: Instant, *, has_booted: bool) -> list[Decision]:
        if state.protocol is None or not state.quirks.is_configured:
            return []
        return self.of(state.charger.id).came(state.protocol, state.firmware, state.quirks, now, has_booted=has_booted)

    def is_ready(self, state: ChargerState, firmware: str | None, now: Instant) -> bool:
        """Whether a booting station is to be accepted now. 1.6 has no configuring while it waits."""
        if state.protocol == "ocpp1.6" or not state.quirks.is_configured:
            return True
        return self.of(state.charger.id).is_ready(firmware, now)

    def disconnected(self, charger: ChargerId, now: Instant) -> list[Decision]:
        return self.of(charger).disconnected(now)

    def answered(self, event: RequestAnswered, now: Instant) -> list[Decision]:
        if event.charger not in self._chargers.by_id:
            return []
        return self.of(event.charger).answered(event, now)

    def notified(self, event: ChargerNotified, now: Instant) -> list[Decision] | None:
        """None: this is not for a set-up."""
        charger = event.call.charger
        if event.kind != REPORT or charger not in self._chargers.by_id or not self.of(charger).awaits_report:
            return None
        return self.of(charger).reported(event.detail, now)

    def begin(self, state: ChargerState, now: Instant) -> tuple[str, list[Decision]]:
        if not state.is_connected:
            return "it is not connected", []
        if not state.quirks.is_configured:
            return "its configuration is left alone (quirk `configure`)", []
        return self.of(state.charger.id).begin(state.quirks, now)

    def restore(self, state: ChargerState, now: Instant) -> tuple[str, list[Decision]]:
        return self.of(state.charger.id).restore(now)

    def tick(self, state: ChargerState, now: Instant, *, is_idle: bool) -> list[Decision]:
        if state.charger.id not in self._reconcilers:
            return []
        return self.of(state.charger.id).tick(now, is_idle=is_idle and state.is_connected)

    def is_busy(self, charger: ChargerId) -> bool:
        return charger in self._reconcilers and self._reconcilers[charger].is_busy

    def view(self, charger: ChargerId) -> CommissioningView:
        return self.of(charger).view()
