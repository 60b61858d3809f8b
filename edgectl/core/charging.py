"""Transactions of chargers: what they do to the sessions, and what they tell of the vehicles."""

from __future__ import annotations

from dataclasses import replace

from edgectl.core.actions import recorded
from edgectl.core.authorization import Authorization
from edgectl.core.balancing import Balancing
from edgectl.core.chargers import Chargers, ChargerState
from edgectl.core.scales import ScaleWatch
from edgectl.core.sessions import RegisterWatch, Sessions, Source
from edgectl.domain.decisions import ActionAnswered, Ask, Decision, Reply, TokenAnswer
from edgectl.domain.events import (
    ActionRequested,
    ConnectorStatus,
    CorrectionRequested,
    MeterValuesReported,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.reasons import Cause
from edgectl.domain.records import PeriodState
from edgectl.domain.site import Site
from edgectl.domain.time import Instant


class Charging:
    """From token to end. What may be drawn then is for the control step, which the controller takes afterwards."""

    def __init__(
        self, site: Site, chargers: Chargers, sessions: Sessions, balancing: Balancing, authorization: Authorization
    ) -> None:
        self._site = site
        self._chargers = chargers
        self._sessions = sessions
        self._balancing = balancing
        self._authorization = authorization
        self._marked: dict[EvseId, tuple[PeriodState, Cause]] = {}

    def reload(self, site: Site, now: Instant) -> None:
        self._site = site
        for session in self._sessions.open.values():
            self._follow(session.charger, now)

    def token(self, event: TokenPresented, now: Instant) -> list[Decision]:
        return [Reply(event.call, TokenAnswer(self._authorization.verdict(event.token, now.utc_ms)))]

    def started(self, event: TransactionStarted, now: Instant) -> list[Decision]:
        charger_id = event.call.charger
        state = self._chargers.get(charger_id)
        if event.evse_number == 0 and state is not None and state.charger.evse_count == 1:
            event = replace(event, evse_number=1)  # 2.x need not name the only EVSE there is
        if state is not None and not event.is_offline:
            state.clock.note_live(event.reported_utc_ms, now)
        before = self._sessions.at(EvseId(charger_id, event.evse_number))
        is_new = state is not None and not self._sessions.has_started(event)
        if state is not None and is_new:
            self._register(state, event.evse_number).note(event.meter_start_wh, is_start=True)
        decisions = self._sessions.start(event, self._source(charger_id, event.evse_number), now)
        after = self._sessions.at(EvseId(charger_id, event.evse_number))
        if before is not None and (after is None or after.id != before.id):
            self._balancing.close_session(before.evse, now)
        self._follow(charger_id, now)
        vehicle = self._balancing.vehicles.get(EvseId(charger_id, event.evse_number))
        if vehicle is not None and event.charging_state is not None:
            vehicle.status = event.charging_state
        return decisions

    def _follow(self, charger_id: ChargerId, now: Instant) -> None:
        """Every open session of the charger has a vehicle to balance, and no other EVSE has."""
        state = self._chargers.get(charger_id)
        if state is None:
            return
        for evse in state.charger.evses:
            is_open = self._sessions.at(evse) is not None
            if is_open and evse not in self._balancing.vehicles:
                self._balancing.open_session(evse, now)
                self._balancing.vehicles[evse].status = state.connector(evse.number).status
            elif not is_open and evse in self._balancing.vehicles:
                self._balancing.close_session(evse, now)
                self._marked.pop(evse, None)

    def reported(self, event: MeterValuesReported, now: Instant) -> list[Decision]:
        state = self._chargers.get(event.call.charger)
        if event.evse_number == 0 and event.transaction is not None and state is not None and state.charger.evse_count == 1:
            event = replace(event, evse_number=1)
        session = self._sessions.find(event.call.charger, event.transaction)
        evse = session.evse if session is not None else EvseId(event.call.charger, event.evse_number)
        vehicle = self._balancing.vehicles.get(evse)
        if state is not None:
            self._watch_values(state, evse.number, event, now)
        for sample in event.samples:
            if vehicle is not None and not event.is_offline:
                vehicle.report(sample, self._site.voltage_mv, now, self._site.wiring)
        if vehicle is not None and event.charging_state is not None:
            vehicle.status = event.charging_state
        source = self._source(event.call.charger, evse.number)
        decisions = self._sessions.progress(event, source, *self._period(evse), now)
        self._follow(event.call.charger, now)
        if event.is_resumed and state is not None:
            # A transaction profile need not survive the restart that the transaction survived (2.1 E17).
            return [*decisions, *self._balancing.orders.reassert(state.charger, now)]
        return decisions  # the next guard reading or tick acts on it; most messages are these

    def _watch_values(self, state: ChargerState, evse_number: int, event: MeterValuesReported, now: Instant) -> None:
        scale = state.scales.setdefault(evse_number, ScaleWatch())
        register = self._register(state, evse_number)
        for sample in event.samples:
            register.note(sample.energy_wh)
            if not event.is_offline:
                scale.note(sample, now)
        if event.samples and not event.is_offline:
            # 1.6 does not say whether values waited in a queue, and one that never empties looks like a clock that is behind.
            note = state.clock.note_live if state.protocol == "ocpp1.6" else state.clock.note
            note(event.samples[-1].reported_utc_ms, now)

    def ended(self, event: TransactionEnded, now: Instant) -> list[Decision]:
        known = self._sessions.find(event.call.charger, event.transaction)
        evse_number = known.evse_number if known is not None else event.evse_number or 0
        state = self._chargers.get(event.call.charger)
        if state is not None and evse_number:
            self._register(state, evse_number).note(event.meter_stop_wh)
        decisions = self._sessions.stop(event, self._source(event.call.charger, evse_number), now)
        self._follow(event.call.charger, now)
        closed = self._sessions.find(event.call.charger, event.transaction)
        is_news = closed is not None and known is not None and closed.rev != known.rev
        if is_news and closed is not None and "messages-missing" in closed.flags:
            # The station may still hold the missing messages; asking also tells us when it does not.
            decisions.append(
                Ask(closed.charger, f"transaction-{closed.id}", "get-transaction-status", (("transaction", closed.transaction),))
            )
        return decisions

    def correct(self, event: CorrectionRequested, now: Instant) -> list[Decision]:
        """A person corrects a sealed record; who did it is part of the site's history."""
        session = event.session
        decisions = self._sessions.correct(event, self._source(session.charger, session.evse_number), now)
        answer = next(one for one in decisions if isinstance(one, ActionAnswered))
        asked = ActionRequested(event.action_id, ChargerId(session.id), "correct-session", (), event.actor)
        return [*decisions, *recorded(asked, answer, now)]

    def _source(self, charger_id: ChargerId, evse_number: int) -> Source:
        state = self._chargers.get(charger_id)
        if state is None:
            # A session of a charger that has left the configuration is judged by the widest plug there is.
            return Source(1_000_000)
        rated_w = self._site.power_w(state.charger, state.charger.max_ma)
        watch = state.registers.get(evse_number)
        return Source(rated_w, state.clock.offset_ms, state.adopted_utc_ms, watch.before_wh if watch else None)

    @staticmethod
    def _register(state: ChargerState, evse_number: int) -> RegisterWatch:
        return state.registers.setdefault(evse_number, RegisterWatch())

    # --- spans of a session -------------------------------------------------------------------------------------------

    def mark(self, now: Instant) -> list[Decision]:
        """What a control step has meant for the running sessions' spans."""
        decisions: list[Decision] = []
        for evse in self._balancing.vehicles:
            mark = self._period(evse)
            if self._marked.get(evse) != mark:
                self._marked[evse] = mark
                decisions += self._sessions.mark(evse, *mark, now)
        return decisions

    def _period(self, evse: EvseId) -> tuple[PeriodState, Cause]:
        """What the vehicle does, and when it does nothing, whose doing that is."""
        vehicle = self._balancing.vehicles.get(evse)
        limit = self._balancing.limits.get(evse)
        if vehicle is None or limit is None:
            return PeriodState.CHARGING, Cause.IDLE
        cause = limit.commanded.reason.cause if limit.commanded is not None else Cause.IDLE
        if vehicle.is_drawing:
            return PeriodState.CHARGING, cause
        if limit.commanded_ma == 0 or vehicle.status is ConnectorStatus.SUSPENDED_EVSE:
            return PeriodState.SUSPENDED_EVSE, cause
        if vehicle.reported_mono_ms is None:
            return PeriodState.CHARGING, cause  # nothing said yet: it has only just begun
        return PeriodState.SUSPENDED_EV, cause
