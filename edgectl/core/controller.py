"""The one door of the core: an event and its moment in, decisions out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgectl.core.actions import ACTION, Actions, recorded
from edgectl.core.alarms import Alarms
from edgectl.core.authorization import Authorization
from edgectl.core.balancing import Balancing
from edgectl.core.certificates import Certificates
from edgectl.core.chargers import Chargers, ChargerState
from edgectl.core.charging import Charging
from edgectl.core.commissioning import COMMISSION, Policy, Setups
from edgectl.core.corrections import corrected, needs_correction
from edgectl.core.curtailment import CurtailmentBook
from edgectl.core.departures import ACTIONS as TARGET_ACTIONS
from edgectl.core.departures import Departures
from edgectl.core.drill import DRILL, Drills
from edgectl.core.excursions import Excursions
from edgectl.core.external import ExternalLimits
from edgectl.core.history import LimitHistory
from edgectl.core.housekeeping import Housekeeping
from edgectl.core.inquiries import INQUIRY
from edgectl.core.ladder import Rung
from edgectl.core.local_lists import LOCAL_LIST, LocalLists
from edgectl.core.managed import Managed
from edgectl.core.meters import Meters
from edgectl.core.picture import draw_circuits, draw_picture
from edgectl.core.publishing import StatePublishing
from edgectl.core.reception import READ_BACK, Reception
from edgectl.core.sessions import Sessions
from edgectl.core.signed.book import SignedBook
from edgectl.core.tariffs.book import PriceBook
from edgectl.core.telemetry import TelemetryBook
from edgectl.core.watch import Watch
from edgectl.domain.decisions import (
    Acknowledge,
    ActionAnswered,
    Decision,
    Keep,
    Remember,
    Reply,
    ScheduleAnswer,
    SetLimit,
    WakeUplink,
)
from edgectl.domain.events import (
    AccessChecked,
    ActionRequested,
    CertificateRequested,
    CertificateSigned,
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    ChargerNotified,
    ChargerRefused,
    ConnectorStatus,
    CorrectionRequested,
    CredentialsChecked,
    Event,
    FallbackAnswered,
    HeartbeatReceived,
    InputRead,
    InputRefused,
    LedgerReplaced,
    LimitAnswered,
    LimitRequested,
    MeterRead,
    MeterValuesReported,
    Outcome,
    PublishRefused,
    ReceiptReceived,
    ReplayRequested,
    RequestAnswered,
    RequeueRequested,
    RoomMeasured,
    SchedulePulled,
    SiteReloaded,
    Solved,
    StatusReported,
    StoreChanged,
    TariffsGiven,
    Tick,
    TokenPresented,
    TokensGiven,
    TransactionEnded,
    TransactionStarted,
    UplinkChanged,
)
from edgectl.domain.external import charger_place
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.quirks import QuirkProfile, RateUnit
from edgectl.domain.records import EventKept, LimitKept, Restored
from edgectl.domain.remembered import (
    ADOPTED,
    COMMISSIONING,
    FALLBACKS,
    FINGERPRINTS,
    MANAGED,
    REMOTE_LIMITS,
    RUNGS,
    SIGNATURE_KEYS,
    TARGETS,
)
from edgectl.domain.site import OfflinePolicy, PowerKind, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.domain.views import CircuitView, CommissioningView, DrillView, SiteView
from edgectl.ports import IdSource

STEP_MS: Millis = 900
"""A tick takes a control step only when the last is this old: with a guard meter every reading has brought one already."""


RESERVATION_STATUS = "reservation-status"
"""The kind of what a station notes of a reservation."""
REMEMBERED = (ADOPTED, COMMISSIONING, FALLBACKS, FINGERPRINTS, MANAGED, REMOTE_LIMITS, RUNGS, SIGNATURE_KEYS, TARGETS)
"""Kinds of what the core wants to know again after a restart."""


class Controller:
    """All decisions of one site. ``heartbeat_s`` is what a booting charger is told; ``machine_boot`` names the start of the
    machine, on whose uptime deadlines go on through a restart of the daemon; ``chance`` gives a random number from 0 to 1."""

    def __init__(
        self,
        site: Site,
        restored: Restored,
        ids: IdSource,
        now: Instant,
        *,
        heartbeat_s: int = 300,
        quirk_table: Sequence[QuirkProfile] = (),
        chance: Callable[[], float] = lambda: 0.0,
        remembered: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
        machine_boot: str = "",
    ) -> None:
        memory = remembered or {}
        self._managed = Managed(memory.get(MANAGED, {}))
        self._file_site = site
        self.site = site = self._managed.applied(site)
        self._started = now
        self._chargers = Chargers(site, quirk_table)
        self._chargers.recall(memory.get(ADOPTED, {}))
        self._chargers.recall_fallbacks(memory.get(FALLBACKS, {}))
        self._meters = Meters(site)
        self._authorization = Authorization(site, self._managed.told_utc_ms)
        self._prices = PriceBook(site)
        self._alarms = Alarms()
        known = (*(one for one in restored.recent_sessions if one.correction is None), *restored.open_sessions)
        self._signed = SignedBook(site, self._alarms, memory.get(SIGNATURE_KEYS, {}), known)
        self._sessions = Sessions(restored, self._authorization, ids, self._prices, self._signed)
        self._reservations = self._sessions.reservations
        self._external = ExternalLimits(site, memory.get(REMOTE_LIMITS, {}), now, machine_boot)
        self._departures = Departures(memory.get(TARGETS, {}))
        self._balancing = Balancing(
            site, self._chargers, self._meters, self._sessions, self._authorization, self._departures, now, self._external, chance
        )
        self._charging = Charging(site, self._chargers, self._sessions, self._balancing, self._authorization)
        self._history = LimitHistory()
        for name, document in memory.get(RUNGS, {}).items():
            rung = next((rung for rung in Rung if rung.value == document.get("rung")), None)
            if rung is not None:
                self._balancing.containment.learned[ChargerId(name)] = rung
        self._excursions = Excursions()
        self._curtailment = CurtailmentBook(now)
        own = {
            "drill": self._begin_drill,
            "commission": self._begin_setup,
            "restore": self._begin_restore,
            "sync-local-list": self._begin_list,
        }
        self._actions = Actions(self._sessions, own, self._authorization)
        self._certificates = Certificates()
        self._drills = Drills(self._chargers, self._balancing, memory.get(FINGERPRINTS, {}))
        self._setups = Setups(self._chargers, _policy(site), self._heartbeat_s, memory.get(COMMISSIONING, {}))
        self._local_lists = LocalLists(site, self._chargers)
        self._reception = Reception(
            site, self._chargers, self._balancing, self._drills, self._setups, self._alarms, heartbeat_s, now
        )
        self._watch = Watch(site, self._chargers, self._meters, self._balancing, self._external, self._alarms, now)
        self._publishing = StatePublishing()
        self._telemetry = TelemetryBook()
        self._stepped_mono_ms = now.mono_ms - STEP_MS
        self._counters: Counter[str] = Counter()
        self._house = Housekeeping(self._alarms, self._counters)
        self._handlers: dict[type[Any], Callable[[Any, Instant], list[Decision]]] = {
            ChargerConnected: self._on_connected,
            ChargerDisconnected: self._on_disconnected,
            ChargerRefused: self._on_refused,
            ChargerBooted: self._on_booted,
            HeartbeatReceived: self._on_acknowledged,
            StatusReported: self._on_status,
            TokenPresented: self._charging.token,
            TransactionStarted: self._on_started,
            MeterValuesReported: self._on_meter_values,
            TransactionEnded: self._on_ended,
            ChargerNotified: self._on_notified,
            LimitAnswered: self._on_limit_answered,
            FallbackAnswered: self._on_fallback_answered,
            RequestAnswered: self._on_request_answered,
            MeterRead: self._on_meter_read,
            InputRead: self._on_input_read,
            LimitRequested: self._on_limit_requested,
            UplinkChanged: self._on_uplink,
            ReceiptReceived: self._house.receipt,
            PublishRefused: self._house.publish_refused,
            InputRefused: self._house.input_refused,
            Tick: self._on_tick,
            SiteReloaded: self._on_reloaded,
            Solved: self._on_solved,
            StoreChanged: self._house.store_changed,
            LedgerReplaced: self._house.ledger_replaced,
            RoomMeasured: self._house.room_measured,
            SchedulePulled: self._on_schedule_pulled,
            CertificateRequested: self._on_certificate_requested,
            CertificateSigned: self._on_certificate_signed,
            ActionRequested: self._on_action,
            TokensGiven: self._on_tokens,
            TariffsGiven: self._on_tariffs,
            ReplayRequested: self._house.replay,
            RequeueRequested: self._house.requeue,
            AccessChecked: self._house.access_checked,
            CredentialsChecked: self._house.credentials_checked,
            CorrectionRequested: self._charging.correct,
        }

    def handle(self, event: Event, now: Instant) -> list[Decision]:
        """Decide. Every ``Call`` inside an event gets exactly one ``Reply`` in the returned list."""
        call = getattr(event, "call", None)
        state = self._chargers.get(call.charger) if call is not None else None
        if state is None:
            return self._handlers[type(event)](event, now)
        if needs_correction(state.quirks):
            event = corrected(event, state.quirks, self.site.timezone)
        is_back = self._reception.talked(state, event)
        decisions = self._handlers[type(event)](event, now)
        return [*decisions, *self._control_for(state, now)] if is_back else decisions

    def picture(self, now: Instant) -> SiteView:
        """The state as people are shown it. Changes nothing."""
        return draw_picture(
            self.site,
            self._balancing,
            self._sessions,
            self._alarms,
            about=self._about,
            uplink=self._house.uplink,
            is_store_healthy=self._house.is_store_healthy,
            refused=self._reception.strangers,
            curtailed=self._curtailment.since_start,
            counters=self._counters,
            room=self._house.room(),
            started=self._started,
            now=now,
        )

    def circuits(self, now: Instant) -> tuple[CircuitView, ...]:
        """The part of the picture that tells of the conductors."""
        return draw_circuits(self._balancing, now)

    def _about(self, charger: ChargerId) -> tuple[CommissioningView, DrillView, str]:
        return self._setups.view(charger), self._drills.view(charger), self._local_lists.words(charger)

    def serial_of(self, charger: ChargerId) -> str | None:
        """The serial number a charger is known by."""
        state = self._chargers.get(charger)
        return None if state is None else state.serial

    # --- chargers -----------------------------------------------------------------------------------------------------

    def _on_connected(self, event: ChargerConnected, now: Instant) -> list[Decision]:
        return self._reception.connected(event, now)

    def _on_disconnected(self, event: ChargerDisconnected, now: Instant) -> list[Decision]:
        self._local_lists.lost(event.charger)
        return [*self._reception.disconnected(event, now), *self._control(now)]

    def _on_refused(self, event: ChargerRefused, now: Instant) -> list[Decision]:
        self._counters["chargers_refused"] += 1
        self._reception.refused(event, now)
        return []

    def _on_booted(self, event: ChargerBooted, now: Instant) -> list[Decision]:
        decisions = self._reception.booted(event, now)
        decisions += self._balancing.orders.begin_again(event.call.charger, now)
        state = self._chargers.get(event.call.charger)
        return decisions if state is None else [*decisions, *self._control_for(state, now)]

    def _on_fallback_answered(self, event: FallbackAnswered, now: Instant) -> list[Decision]:
        return self._reception.fallback_answered(event, now)

    def _on_acknowledged(self, event: HeartbeatReceived, _now: Instant) -> list[Decision]:
        return [Reply(event.call, Acknowledge())]

    def _on_notified(self, event: ChargerNotified, now: Instant) -> list[Decision]:
        answered = self._setups.notified(event, now)
        if answered is not None:
            return [Reply(event.call, Acknowledge()), *self._reception.identified(event), *answered]
        body: dict[str, object] = dict(event.detail)
        kept = Keep(EventKept(event.kind, event.call.charger, now.utc_ms, body))
        ended = self._reservations.told(event.call.charger, dict(event.detail), now) if event.kind == RESERVATION_STATUS else []
        return [kept, *ended, Reply(event.call, Acknowledge()), WakeUplink()]

    def _on_request_answered(self, event: RequestAnswered, now: Instant) -> list[Decision]:
        if event.ask_id.startswith(ACTION):
            return self._actions.answered(event, now)
        if event.ask_id.startswith(COMMISSION):
            return self._setups.answered(event, now)
        if event.ask_id.startswith(LOCAL_LIST):
            return self._local_lists.answered(event)
        if event.ask_id.startswith(READ_BACK):
            return self._reception.read_back(event, now)
        if event.ask_id.startswith(DRILL):
            return []
        if event.ask_id.startswith(INQUIRY):
            self._balancing.inquiries.answered(event)
            return []
        body: dict[str, object] = {
            "ask": event.ask_id,
            "outcome": event.outcome.value,
            "status": event.status,
            **dict(event.detail),
        }
        return [Keep(EventKept("request-answered", event.charger, now.utc_ms, body)), WakeUplink()]

    def _on_status(self, event: StatusReported, now: Instant) -> list[Decision]:
        reply = Reply(event.call, Acknowledge())
        state = self._chargers.get(event.call.charger)
        if state is None:
            return [reply]
        state.report(event, now)
        state.clock.note(event.reported_utc_ms, now)
        evse = EvseId(state.charger.id, event.evse_number)
        vehicle = self._balancing.vehicles.get(evse)
        if vehicle is not None and event.status is not ConnectorStatus.OCCUPIED:
            vehicle.status = event.status  # 2.x says only "occupied"; its transaction says more
        return [*self._reservations.reported(evse.charger, evse.number, event.status, now), reply]

    # --- transactions -------------------------------------------------------------------------------------------------

    def _on_started(self, event: TransactionStarted, now: Instant) -> list[Decision]:
        return [*self._charging.started(event, now), *self._control(now)]

    def _on_ended(self, event: TransactionEnded, now: Instant) -> list[Decision]:
        return [*self._charging.ended(event, now), *self._control(now)]

    def _on_meter_values(self, event: MeterValuesReported, now: Instant) -> list[Decision]:
        for sample in event.samples:
            self._counters["samples_dropped"] += len(sample.dropped)
        self._drills.reported(event, now)
        return self._charging.reported(event, now)

    # --- actions and certificates -------------------------------------------------------------------------------------

    def _on_action(self, event: ActionRequested, now: Instant) -> list[Decision]:
        if event.name in TARGET_ACTIONS:
            state = self._chargers.get(event.charger)
            problem, decisions = self._departures.asked(event, state.charger if state else None, self.site.timezone, now)
            answer = ActionAnswered(event.action_id, Outcome.REJECTED if problem else Outcome.ACCEPTED, problem=problem)
            self._balancing.plan_anew()
            return [answer, *decisions, *recorded(event, answer, now), *self._control(now)]
        return self._actions.begin(event, self._chargers.get(event.charger), now)

    def _heartbeat_s(self, charger: ChargerId) -> int:
        return self._reception.interval_s(charger)

    def _begin_setup(self, state: ChargerState, now: Instant) -> tuple[str, list[Decision]]:
        return ("a drill is under way", []) if self._drills.is_running(state.charger.id) else self._setups.begin(state, now)

    def _begin_restore(self, state: ChargerState, now: Instant) -> tuple[str, list[Decision]]:
        return ("a drill is under way", []) if self._drills.is_running(state.charger.id) else self._setups.restore(state, now)

    def _begin_list(self, state: ChargerState, _now: Instant) -> tuple[str, list[Decision]]:
        return self._local_lists.begin(state, self._setups.of(state.charger.id).facts)

    def _begin_drill(self, state: ChargerState, now: Instant) -> tuple[str, list[Decision]]:
        if self._setups.is_busy(state.charger.id):
            return "a set-up is under way", []
        if charger_place(state.charger.id) in self._balancing.circuits.fences:
            return "a limit from outside stands on it, and a drill needs its rating", []
        problem, decisions = self._drills.begin(state, now)
        return problem, [*decisions, *([] if problem else self._control(now))]

    def _on_schedule_pulled(self, event: SchedulePulled, _now: Instant) -> list[Decision]:
        number = event.evse_number
        limit = self._balancing.limits.get(EvseId(event.call.charger, number)) if number is not None else None
        if limit is None or limit.commanded is None:
            return [Reply(event.call, ScheduleAnswer(None))]
        is_power = limit.charger.kind is PowerKind.DC or limit.quirks.unit is RateUnit.WATTS
        power_w = self.site.power_w(limit.charger, limit.commanded_ma)
        return [Reply(event.call, ScheduleAnswer(limit.commanded_ma, power_w, is_power))]

    def _on_certificate_requested(self, event: CertificateRequested, now: Instant) -> list[Decision]:
        return self._certificates.requested(event, self._chargers.get(event.call.charger), now)

    def _on_certificate_signed(self, event: CertificateSigned, now: Instant) -> list[Decision]:
        return self._certificates.signed(event, now)

    # --- limits -------------------------------------------------------------------------------------------------------

    def _on_limit_answered(self, event: LimitAnswered, now: Instant) -> list[Decision]:
        evse = EvseId(event.charger, event.evse_number)
        limit = self._balancing.limits.get(evse)
        if limit is None:
            return []
        self._drills.limit_answered(event)
        refused = limit.answer(event)
        if refused is not None:
            self._counters[f"limits_{event.outcome.value.replace('-', '_')}"] += 1
        alarm = self._alarms.set("limit-refused", str(evse), limit.refused_count >= 3, limit.trouble, now)
        if refused is None and not self._balancing.awaits_confirmation:
            return alarm  # nobody waits for this one; after a storm of answers one step is enough, and the next is at hand
        return [*alarm, *self._control(now)]

    def _on_meter_read(self, event: MeterRead, now: Instant) -> list[Decision]:
        self._meters.read(event.reading)
        return self._control(now)

    def _on_input_read(self, event: InputRead, now: Instant) -> list[Decision]:
        return [*self._external.read(event, now), *self._control(now)]

    def _on_limit_requested(self, event: LimitRequested, now: Instant) -> list[Decision]:
        decided = self._external.request(event, now)
        return [*self._control(now), *decided]

    def _on_tick(self, _event: Tick, now: Instant) -> list[Decision]:
        is_due = now.mono_ms - self._stepped_mono_ms >= STEP_MS
        ended = [*self._external.tick(now), *self._watch.external(now)]
        decisions = [*(self._control(now) if is_due else []), *self._advance_drills(now), *self._remember_rungs(now), *ended]
        for state in self._chargers.by_id.values():
            decisions += self._reception.watch(state, now)
            is_idle = all(evse not in self._balancing.vehicles for evse in state.charger.evses)
            decisions += self._setups.tick(state, now, is_idle=is_idle)
            if state.is_greeted and not state.is_list_told and self._is_set_up(state):
                decisions += self._begin_list(state, now)[1]
        decisions += self._departures.tidy({session.id for session in self._sessions.open.values()}, now)
        decisions += self._reservations.tick(self._is_reachable, now)
        decisions += [*self._watch.tick(now), *self._house.tick(now)]
        is_stale = self._managed.has_tokens and self._authorization.is_stale(now.utc_ms)
        words = "the backend has not told its tokens for longer than tokens_max_age allows"
        decisions += self._alarms.set("tokens-stale", "backend", is_stale, words, now)
        told = self._publishing.changes(self._balancing, self._sessions, now)
        decisions += self._telemetry.sample(self._balancing, self._sessions, now)
        return [*decisions, *self._history.changes(self._balancing, now), *told]

    def _is_reachable(self, charger: ChargerId) -> bool:
        """It could tell what it has to tell."""
        state = self._chargers.get(charger)
        return state is not None and state.is_connected and state.is_accepted

    def _is_set_up(self, state: ChargerState) -> bool:
        is_free = state.is_accepted and state.quirks.is_configured and not self._drills.is_running(state.charger.id)
        return is_free and not self._setups.is_busy(state.charger.id)

    def _remember_rungs(self, now: Instant) -> list[Decision]:
        news = self._balancing.containment.learn(now)
        return [Remember(RUNGS, charger, {"rung": rung.value}) for charger, rung in news]

    def _advance_drills(self, now: Instant) -> list[Decision]:
        decisions = self._drills.tick(now)
        for decision in decisions:
            if isinstance(decision, Remember) and decision.kind == FINGERPRINTS:
                self._reception.characterise(self._chargers.by_id[ChargerId(decision.key)])
        return decisions

    def _control(self, now: Instant) -> list[Decision]:
        """One control step, and what it means for the running sessions' spans."""
        decisions = self._balancing.step(now)
        self._stepped_mono_ms = now.mono_ms
        decisions += self._charging.mark(now)
        balancing = self._balancing
        decisions += self._excursions.note(balancing.circuits, now)
        decisions += self._curtailment.note(self.site, balancing.vehicles, balancing.limits, balancing.reasons.of, now)
        for decision in decisions:
            if isinstance(decision, Keep) and isinstance(decision.record, LimitKept):
                self._history.note(decision.record, now)
        self._counters["control_steps"] += 1
        self._counters["pauses"] = self._balancing.turns.pause_count
        self._counters["plans_failed"] = self._balancing.plan_failed_count
        self._counters["limits_sent"] += sum(isinstance(decision, SetLimit) for decision in decisions)
        return decisions

    def _control_for(self, state: ChargerState, now: Instant) -> list[Decision]:
        """A charger is back. Without a vehicle on it nobody waits: when all come back at once the next tick serves them all."""
        return self._control(now) if any(evse in self._balancing.vehicles for evse in state.charger.evses) else []

    # --- uplink, host -------------------------------------------------------------------------------------------------

    def _on_uplink(self, event: UplinkChanged, now: Instant) -> list[Decision]:
        ended = self._house.uplink_changed(event, now)
        if not event.is_connected:
            return ended
        self._publishing.forget()
        return [*ended, *self._publishing.changes(self._balancing, self._sessions, now), WakeUplink()]

    def _on_tokens(self, event: TokensGiven, now: Instant) -> list[Decision]:
        is_news, decisions = self._managed.tokens_given(event, now)
        return [*decisions, *(self._reload(now) if is_news else [])]

    def _on_tariffs(self, event: TariffsGiven, now: Instant) -> list[Decision]:
        is_news, decisions = self._managed.tariffs_given(event, self._file_site, now)
        return [*decisions, *(self._reload(now) if is_news else [])]

    def _on_solved(self, event: Solved, _now: Instant) -> list[Decision]:
        self._balancing.solved(event)
        return []

    def _on_reloaded(self, event: SiteReloaded, now: Instant) -> list[Decision]:
        self._file_site = event.site
        return self._reload(now)

    def _reload(self, now: Instant) -> list[Decision]:
        """The file or what the backend manages has changed."""
        site = self._managed.applied(self._file_site)
        self.site = site
        self._watch.reload(site)
        self._chargers.reload(site)
        self._reception.site = site
        self._meters.reload(site)
        self._authorization.reload(site, self._managed.told_utc_ms)
        self._prices.reload(site)
        self._signed.reload(site)
        self._balancing.reload(site)
        self._setups.reload(_policy(site))
        self._local_lists.reload(site)
        self._charging.reload(site, now)
        return self._control(now)


def _policy(site: Site) -> Policy:
    return Policy(
        lets_unknown_charge_offline=site.offline_policy is OfflinePolicy.ANYONE,
        lets_known_charge_offline=site.offline_policy is not OfflinePolicy.NOBODY,
        master_group=site.master_group,
    )
