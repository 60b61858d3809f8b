"""Who is at the door and who is in: connections, boots, strangers, and what every charger is told first."""

from __future__ import annotations

import zlib

from edgectl.core.alarms import Alarms
from edgectl.core.balancing import Balancing
from edgectl.core.chargers import BOOT_GRACE_MS, PENDING_GRACE_MS, Chargers, ChargerState, Fallback
from edgectl.core.commissioning import Setups
from edgectl.core.drill import Drills
from edgectl.core.orders import style_of
from edgectl.domain.decisions import Ask, BootAnswer, Decision, InstallFallback, Remember, Reply
from edgectl.domain.events import (
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    ChargerNotified,
    ChargerRefused,
    ConnectorStatus,
    Event,
    FallbackAnswered,
    Outcome,
    RequestAnswered,
)
from edgectl.domain.ids import ChargerId
from edgectl.domain.quirks import ProfilePurpose, RateUnit, StatusTrigger
from edgectl.domain.remembered import ADOPTED, FALLBACKS
from edgectl.domain.site import PowerKind, Site
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import Millis
from edgectl.domain.views import RefusedView

FALLBACK_RETRY_MS: Millis = 60_000
PENDING_INTERVAL_S = 60
"""How soon an unknown charger asks again whether it has been adopted."""
CONFIGURING_INTERVAL_S = 5
"""How soon a station asks again that is held until its configuration is what it should be."""
REFUSED_COUNT = 100
"""Strangers remembered for the adoption list; the oldest is forgotten."""
IDENTITY_MS: Millis = 30_000
"""One that reconnected has this long to say who it is before its configuration is looked at all the same."""
IDENTITY = "identity/"
"""How the ask is named that makes a charger say who it is."""
STATES = "states/"
"""How the asks are named that make a charger tell the states of its connectors."""
STATES_MS: Millis = 30_000
"""It has this long to tell them by itself."""
READ_BACK = "fallback/"
"""How the ask is named that reads a fallback back."""
READ_BACK_S = 1_800
"""Looking this far ahead sees beyond every lease."""
_ROUNDING = 1.02
"""What a charger's own conversion between amps and watts may add."""
_JITTER_PERCENT = 10


class Reception:
    """The chargers' comings and goings. ``heartbeat_s`` is what a booting charger is told, give or take a tenth."""

    def __init__(
        self,
        site: Site,
        chargers: Chargers,
        balancing: Balancing,
        drills: Drills,
        setups: Setups,
        alarms: Alarms,
        heartbeat_s: int,
        started: Instant,
    ) -> None:
        self.site = site
        self._chargers = chargers
        self._balancing = balancing
        self._drills = drills
        self._setups = setups
        self._alarms = alarms
        self._heartbeat_s = heartbeat_s
        self._started = started
        for state in chargers.by_id.values():
            self.characterise(state)
        self._refused: dict[ChargerId, RefusedView] = {}

    # --- strangers ----------------------------------------------------------------------------------------------------

    @property
    def strangers(self) -> tuple[RefusedView, ...]:
        """Who knocked and is not in, the latest last."""
        return tuple(self._refused.values())

    def refused(self, event: ChargerRefused, now: Instant) -> None:
        self._note(event.charger, event.peer, event.reason, now)

    def _note(self, charger: ChargerId, peer: str, reason: str, now: Instant) -> None:
        known = self._refused.pop(charger, None)
        count = known.attempt_count + 1 if known else 1
        self._refused[charger] = RefusedView(charger, peer, reason, now.utc_ms, count)
        while len(self._refused) > REFUSED_COUNT:
            del self._refused[next(iter(self._refused))]

    # --- links --------------------------------------------------------------------------------------------------------

    def connected(self, event: ChargerConnected, now: Instant) -> list[Decision]:
        state = self._chargers.get(event.charger)
        if state is None:
            self._note(event.charger, event.peer, "unknown charger, waiting to be adopted", now)
            return []
        unanswered = self._setups.disconnected(event.charger, now)  # a link may be replaced before its end was noticed
        state.connect(event, now)
        self._balancing.find(event.charger)
        self._refused.pop(event.charger, None)
        if not state.is_known:
            state.is_known, state.adopted_utc_ms = True, now.utc_ms
            unanswered.append(Remember(ADOPTED, event.charger, state.identity()))
        return [*unanswered, *self._balancing.orders.reassert(state.charger, now)]

    def disconnected(self, event: ChargerDisconnected, now: Instant) -> list[Decision]:
        state = self._chargers.get(event.charger)
        if state is None or state.link_number != event.link_number:
            return []
        state.disconnect(event.reason, now)
        self._balancing.lose(event.charger, now)
        return self._setups.disconnected(event.charger, now)

    def talked(self, state: ChargerState, event: Event) -> bool:
        """A known charger that talks without booting first has only reconnected, which OCPP allows it to do. True: just now."""
        is_waiting = state.is_pending and isinstance(event, ChargerNotified)
        is_back = state.is_connected and not state.is_accepted and not isinstance(event, ChargerBooted) and not is_waiting
        if is_back:
            state.is_accepted = True
        return is_back

    def booted(self, event: ChargerBooted, now: Instant) -> list[Decision]:
        charger = event.call.charger
        state = self._chargers.get(charger)
        if state is None:
            return [Reply(event.call, BootAnswer(is_accepted=False, interval_s=PENDING_INTERVAL_S))]
        before = state.identity()
        if event.firmware is not None and event.firmware != state.firmware:
            self._balancing.containment.forget(charger)
            state.is_fallback_verified = False
        state.boot(event)
        self.characterise(state)
        news: list[Decision] = []
        if state.identity() != before:
            news.append(Remember(ADOPTED, charger, state.identity()))
        is_drilled = self._drills.is_running(charger)
        if not is_drilled and not self._setups.is_ready(state, state.firmware, now):
            state.is_accepted, state.is_pending, state.is_greeted = False, True, True
            wait = BootAnswer(False, CONFIGURING_INTERVAL_S, is_configuring=True, settle_ms=state.quirks.settle_ms)
            return [Reply(event.call, wait), *news, *self._setups.came(state, now, has_booted=True)]
        answer = Reply(event.call, BootAnswer(True, self.interval_s(charger), settle_ms=state.quirks.settle_ms))
        if is_drilled:
            return [answer, *news]  # it is being watched for what it has kept; the fallback follows when that is known
        is_held = state.is_greeted and state.protocol != "ocpp1.6"
        state.is_greeted = True
        setup = [] if is_held else self._setups.came(state, now, has_booted=True)
        return [answer, *news, *self.install_fallback(state, now), *setup]

    def identified(self, event: ChargerNotified) -> list[Decision]:
        """A report tells of a station that only reconnected who it is; it refuses to boot again for that (2.0.1 F06)."""
        state = self._chargers.get(event.call.charger)
        if state is None or state.vendor is not None:
            return []
        told = {name.casefold(): value for name, value in event.detail}
        if not told.get("chargingstation.vendorname"):
            return []
        for name, variable in _REPORTED:
            setattr(state, name, told.get(variable) or getattr(state, name))
        self.characterise(state)
        return [Remember(ADOPTED, state.charger.id, state.identity())]

    def _ask_states(self, state: ChargerState) -> list[Decision]:
        """After a short absence a station tells only the states that have changed; we may know none of them."""
        state.is_status_asked = True
        if state.quirks.status_trigger is StatusTrigger.NONE or not state.quirks.is_configured:
            return []
        unknown = [e.number for e in state.charger.evses if state.connector(e.number).status is ConnectorStatus.UNKNOWN]
        if state.quirks.status_trigger is StatusTrigger.STATION:
            unknown = unknown[:1]
        return [
            Ask(state.charger.id, f"{STATES}{state.charger.id}/{number}", "trigger", _status_trigger(state, number))
            for number in unknown
        ]

    def characterise(self, state: ChargerState) -> None:
        """Apply what is known of chargers like this one, and what was measured on it."""
        fingerprint = self._drills.measured(state.charger.id, state.firmware)
        if state.apply(self._chargers.quirk_table, dict(fingerprint.quirks) if fingerprint is not None else None):
            self._balancing.requirk(state.charger.id)

    def interval_s(self, charger: ChargerId) -> int:
        """What this charger is told when it boots."""
        # All chargers come back together after a power cut; their heartbeats should not stay together for ever. The charger's
        # own share of the jitter is always the same, so that a boot changes nothing.
        percent = 100 - _JITTER_PERCENT + zlib.crc32(charger.encode()) % (2 * _JITTER_PERCENT + 1)
        return max(1, self._heartbeat_s * percent // 100)

    # --- the fallback -------------------------------------------------------------------------------------------------

    def install_fallback(self, state: ChargerState, now: Instant) -> list[Decision]:
        """Write what holds when we are gone."""
        charger = state.charger
        state.fallback = Fallback.ASKED
        state.fallback_asked_mono_ms = now.mono_ms
        style = style_of(charger, state.quirks)
        # Where the station's maximum carries the lease, what lies under the lease must be the fallback.
        is_maximum = style.purpose is ProfilePurpose.STATION_MAX
        max_ma = (charger.fallback_ma if is_maximum else charger.max_ma) * charger.evse_count
        return [
            InstallFallback(
                charger=charger.id,
                fallback_ma=charger.fallback_ma,
                fallback_w=self.site.power_w(charger, charger.fallback_ma),
                max_ma=max_ma,
                max_w=self.site.power_w(charger, max_ma),
                kind=charger.kind,
                style=style,
            )
        ]

    def fallback_answered(self, event: FallbackAnswered, now: Instant) -> list[Decision]:
        state = self._chargers.get(event.charger)
        if state is None:
            return []
        if event.outcome in {Outcome.DISCONNECTED, Outcome.TIMEOUT}:
            state.fallback = Fallback.UNKNOWN  # nothing was said; it is asked again
            return []
        if event.outcome is not Outcome.ACCEPTED:
            return self._judge_fallback(
                state, Fallback.REFUSED, f"fallback {event.outcome.value}: {event.detail}".rstrip(": "), now
            )
        news: list[Decision] = []
        if state.written_fallback_ma != state.charger.fallback_ma:
            state.written_fallback_ma = state.charger.fallback_ma
            state.is_fallback_verified = False
            news.append(self._remember_fallback(state, now))
        unit = state.quirks.unit or (RateUnit.WATTS if state.charger.kind is PowerKind.DC else RateUnit.AMPS)
        how = (("evse", "1"), ("duration", str(READ_BACK_S)), ("unit", unit.value.lower()))
        read_back = Ask(event.charger, READ_BACK + event.charger, "get-composite-schedule", how)
        return [*self._judge_fallback(state, Fallback.INSTALLED, "", now), *news, read_back]

    @staticmethod
    def _remember_fallback(state: ChargerState, now: Instant) -> Decision:
        document: dict[str, object] = {
            "fallback_ma": state.written_fallback_ma or 0,
            "written_at": iso(now.utc_ms),
            "verified": state.is_fallback_verified,
        }
        return Remember(FALLBACKS, state.charger.id, document)

    def read_back(self, event: RequestAnswered, now: Instant) -> list[Decision]:
        """The charger's own schedule beyond the end of every lease: there must be the fallback, or less.

        Many cannot tell, or tell it only while a transaction runs; then the fallback stays accepted and unproven.
        """
        state = self._chargers.get(event.charger)
        if state is None or state.fallback is not Fallback.INSTALLED or event.outcome is not Outcome.ACCEPTED:
            return []
        detail = dict(event.detail)
        found = _told(detail.get("last-limit", ""))
        if found is None or found < 0:
            return []  # -1 says that nothing is running
        charger = state.charger
        is_power = detail.get("rate-unit") == RateUnit.WATTS.value
        limit = self.site.power_w(charger, charger.fallback_ma) if is_power else charger.fallback_ma / 1000
        if found <= limit * _ROUNDING:
            is_news = not state.is_fallback_verified
            state.is_fallback_verified = True
            proven = [self._remember_fallback(state, now)] if is_news else []
            return [*self._judge_fallback(state, Fallback.VERIFIED, "", now), *proven]
        was_verified, state.is_fallback_verified = state.is_fallback_verified, False
        news = [self._remember_fallback(state, now)] if was_verified else []
        unit = "W" if is_power else "A"
        words = f"its schedule without us ends at {found:g} {unit}, not at {limit:g} {unit}"
        return [*self._judge_fallback(state, Fallback.DIFFERS, words, now), *news]

    def _judge_fallback(self, state: ChargerState, fallback: Fallback, words: str, now: Instant) -> list[Decision]:
        state.fallback = fallback
        if words:
            state.detail = words
        self._balancing.requirk(state.charger.id)
        refused = self._alarms.set("fallback-refused", state.charger.id, fallback is Fallback.REFUSED, words, now)
        return [*refused, *self._alarms.set("fallback-differs", state.charger.id, fallback is Fallback.DIFFERS, words, now)]

    # --- as time passes -----------------------------------------------------------------------------------------------

    def watch(self, state: ChargerState, now: Instant) -> list[Decision]:
        """What is due with one charger at this tick."""
        charger = state.charger.id
        if not state.is_connected:
            since_ms = state.since_mono_ms if state.since_mono_ms is not None else self._started.mono_ms
            is_away = now.mono_ms - since_ms >= state.quirks.offline_grace_ms
            return self._alarms.set("charger-offline", charger, is_away, state.detail or "never connected", now)
        link_ms = now.mono_ms - (state.since_mono_ms or 0)
        if link_ms >= (PENDING_GRACE_MS if state.is_pending else BOOT_GRACE_MS):
            state.is_accepted, state.is_pending = True, False
        decisions = [*self._alarms.set("charger-offline", charger, False, "", now), *self._watch_health(state, now)]
        if not state.is_accepted:
            return decisions
        if state.vendor is None and not state.is_identity_asked:
            # It only reconnected, and we do not know it. Asking makes some restart, so it is done only while we need to.
            state.is_identity_asked = True
            decisions.append(Ask(charger, IDENTITY + charger, "trigger", (("message", "BootNotification"),)))
        is_drilled = self._drills.is_running(charger)
        if not state.is_greeted and not is_drilled and (state.vendor is not None or link_ms >= IDENTITY_MS):
            state.is_greeted = True
            decisions += self._setups.came(state, now, has_booted=False)
        if not state.is_status_asked and state.is_greeted and link_ms >= STATES_MS and not is_drilled:
            decisions += self._ask_states(state)
        asked_ms = state.fallback_asked_mono_ms
        is_due = state.fallback.is_void and asked_ms is not None and now.mono_ms - asked_ms >= FALLBACK_RETRY_MS
        if (state.fallback is Fallback.UNKNOWN or is_due) and not is_drilled:
            decisions += self.install_fallback(state, now)
        return decisions

    def _watch_health(self, state: ChargerState, now: Instant) -> list[Decision]:
        decisions: list[Decision] = []
        for number, connector in state.connectors.items():
            subject = f"{state.charger.id}/{number}"
            decisions += self._alarms.set(
                "connector-faulted", subject, connector.is_faulted(now), connector.error_code or "no code", now
            )
        for evse in state.charger.evses:
            ladder = self._balancing.limits[evse].ladder
            is_ignoring = ladder.entered_utc_ms is not None and evse in self._balancing.vehicles and not ladder.obeys(now)
            detail = f"{ladder.why}; now trying {ladder.rung.value}"
            decisions += self._alarms.set("limits-ignored", str(evse), is_ignoring, detail, now)
        for number, scale in state.scales.items():
            subject = f"{state.charger.id}/{number}"
            decisions += self._alarms.set("register-scale", subject, bool(scale.verdict), scale.verdict, now)
        return decisions


_REPORTED = (
    ("vendor", "chargingstation.vendorname"),
    ("model", "chargingstation.model"),
    ("serial", "chargingstation.serialnumber"),
    ("firmware", "chargingstation.firmwareversion"),
)


def _status_trigger(state: ChargerState, number: int) -> tuple[tuple[str, str], ...]:
    place = (("evse", str(number)),) if state.quirks.status_trigger is StatusTrigger.CONNECTOR else ()
    return (("message", "StatusNotification"), *place)


def _told(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
