"""Transactions become sessions, once each, whatever the chargers repeat, reorder or forget.

Identity is content, never a message id: a start repeated with a new message id has the same key and gets the same answer. A
stop that matches nothing is kept as an orphan and acknowledged, because a charger whose stop is refused may never start again.
"""

from __future__ import annotations

from dataclasses import replace

from edgectl.core import evidence, periods, registers
from edgectl.core.authorization import Authorization
from edgectl.domain.bill import session_body
from edgectl.domain.decisions import (
    Acknowledge,
    Decision,
    Keep,
    Reply,
    StartAnswer,
    StopAnswer,
    TokenAnswer,
    TokenVerdict,
    WakeUplink,
)
from edgectl.domain.events import MeterValuesReported, TransactionEnded, TransactionStarted
from edgectl.domain.ids import ChargerId, EvseId, IdToken, SessionId, TransactionRef, same_token
from edgectl.domain.reasons import Cause
from edgectl.domain.records import (
    BillKept,
    Durability,
    PeriodState,
    Restored,
    Session,
    SessionKept,
    SessionStatus,
)
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis, WattHours, Watts
from edgectl.ports import IdSource

RECENT_COUNT = 2_000
"""Closed sessions remembered for repeats: more than a charger's queue (100 entries is common) times a site's chargers."""
PROGRESS_MS: Millis = 10_000
PROGRESS_WH: WattHours = 100
"""Running energy is written at least this often, so a crash loses no more of it."""
MAX_TRANSACTION_NUMBER = 2**31 - 1

_PROVISIONAL = {"start-missing", "orphan-stop"}
"""What a session is flagged with until its start arrives."""


class Sessions:
    """All open sessions and the recently closed ones."""

    def __init__(self, restored: Restored, authorization: Authorization, ids: IdSource) -> None:
        self._authorization = authorization
        self._ids = ids
        self._last_number = restored.last_transaction_number
        self.open: dict[SessionId, Session] = {session.id: session for session in restored.open_sessions}
        self._at: dict[EvseId, SessionId] = {session.evse: session.id for session in restored.open_sessions}
        self._recent: dict[SessionId, Session] = {session.id: session for session in restored.recent_sessions[-RECENT_COUNT:]}
        self._kept_mono_ms: dict[SessionId, Millis] = {}
        self._kept_wh: dict[SessionId, WattHours] = {}
        self._sequences: dict[SessionId, tuple[int, int, int]] = {}
        """Lowest, highest and count of the sequence numbers seen in each open 2.x transaction."""

    # --- questions ----------------------------------------------------------------------------------------------------

    def at(self, evse: EvseId) -> Session | None:
        """The open session of an EVSE."""
        id_ = self._at.get(evse)
        return None if id_ is None else self.open.get(id_)

    def find(self, charger: ChargerId, transaction: TransactionRef | None) -> Session | None:
        """An open or recent session by the charger's own reference."""
        if transaction is None:
            return None
        for known in (self.open, self._recent):
            for session in known.values():
                if session.charger == charger and session.transaction == transaction:
                    return session
        return None

    # --- start --------------------------------------------------------------------------------------------------------

    def start(self, event: TransactionStarted, rated_w: Watts, now: Instant) -> list[Decision]:
        charger = event.call.charger
        verdict = self._verdict(event.token, now)
        key = evidence.start_key(event)
        known = self._same_start(event, key)
        if known is not None:
            reply = Reply(event.call, StartAnswer(known.transaction, verdict))
            self._note_sequence(known.id, event.sequence_number)
            return [*self._complete_start(known, event, key, rated_w, now), reply]

        decisions: list[Decision] = []
        left_open = self.at(EvseId(charger, event.evse_number))
        if left_open is not None:
            # The charger begins anew without having told the end: its register at the new start is the best end we have.
            decisions += self._close(
                left_open,
                meter_stop_wh=event.meter_start_wh,
                reported_utc_ms=event.reported_utc_ms,
                reason="superseded",
                flags={"stop-missing"},
                rated_w=rated_w,
                now=now,
            )
        started_utc_ms, flags = evidence.credible(event.reported_utc_ms, now)
        is_offline = event.is_offline or now.utc_ms - started_utc_ms > evidence.LATE_MS
        session = Session(
            id=self._ids.session_id(now),
            charger=charger,
            evse_number=event.evse_number,
            connector_number=event.connector_number,
            transaction=event.transaction or self._next_transaction(),
            status=SessionStatus.ACTIVE,
            id_token=event.token,
            authorisation=self._authorization.account_of(event.token, started_utc_ms, is_offline=is_offline),
            started_utc_ms=started_utc_ms,
            started_reported_utc_ms=event.reported_utc_ms,
            meter_start_wh=event.meter_start_wh,
            meter_last_wh=event.meter_start_wh,
            last_utc_ms=started_utc_ms,
            signed_values=evidence.signed(event.samples),
            flags=tuple(sorted(flags | ({"reported-late"} if is_offline else set()))),
            start_key=key,
        )
        self._keep(session, now)
        return [
            *decisions,
            Keep(SessionKept(session)),
            evidence.message(event.call, session.id, now),
            Reply(event.call, StartAnswer(session.transaction, verdict)),
        ]

    def _complete_start(
        self, known: Session, event: TransactionStarted, key: str, rated_w: Watts, now: Instant
    ) -> list[Decision]:
        """The start of a session that was opened or even ended on other evidence: fill in what was missing, once."""
        if known.start_key or not _PROVISIONAL & set(known.flags):
            return []
        started_utc_ms, clock_flags = evidence.credible(event.reported_utc_ms, now)
        is_open = known.id in self.open
        completed = replace(
            known,
            id_token=known.id_token or event.token,
            evse_number=known.evse_number or event.evse_number,
            connector_number=known.connector_number or event.connector_number,
            authorisation=self._authorization.account_of(event.token, started_utc_ms, is_offline=event.is_offline),
            started_utc_ms=min(started_utc_ms, known.started_utc_ms),
            started_reported_utc_ms=event.reported_utc_ms,
            meter_start_wh=event.meter_start_wh if event.meter_start_wh is not None else known.meter_start_wh,
            flags=tuple(sorted((set(known.flags) - _PROVISIONAL) | clock_flags | {"start-late"})),
            start_key=key,
        )
        if is_open:
            energy_wh = evidence.energy_so_far(completed.meter_start_wh, completed.meter_last_wh)
            completed = replace(completed, energy_wh=energy_wh)
            self._keep(completed, now)
            return [Keep(SessionKept(completed)), evidence.message(event.call, known.id, now)]
        ended_utc_ms = completed.ended_utc_ms or now.utc_ms
        energy = registers.session_energy(
            completed.meter_start_wh, None, completed.meter_stop_wh, rated_w, ended_utc_ms - completed.started_utc_ms
        )
        completed = replace(
            completed,
            status=SessionStatus.COMPLETED,
            energy_wh=energy.energy_wh,
            periods=(),
            flags=evidence.merged(tuple(flag for flag in completed.flags if flag != "energy-unknown"), energy.flags),
            rev=completed.rev + 1,
        )
        completed = replace(
            completed, periods=periods.advance(completed, ended_utc_ms, energy.energy_wh, PeriodState.CHARGING, Cause.IDLE)
        )
        return [*self._bill(completed), evidence.message(event.call, known.id, now)]

    def _provisional(self, event: MeterValuesReported, transaction: TransactionRef, now: Instant) -> Session:
        """Values of a transaction whose start we never saw: energy flows, so there is a session."""
        reported_utc_ms = event.samples[0].reported_utc_ms if event.samples else None
        started_utc_ms, clock_flags = evidence.credible(reported_utc_ms, now)
        return Session(
            id=self._ids.session_id(now),
            charger=event.call.charger,
            evse_number=event.evse_number,
            connector_number=1 if event.evse_number else 0,
            transaction=transaction,
            status=SessionStatus.ACTIVE,
            id_token=event.token,
            authorisation=self._authorization.account_of(event.token, started_utc_ms, is_offline=True),
            started_utc_ms=started_utc_ms,
            started_reported_utc_ms=None,
            meter_start_wh=None,
            meter_last_wh=None,
            last_utc_ms=started_utc_ms,
            flags=tuple(sorted(clock_flags | {"start-missing"})),
        )

    def _note_sequence(self, session: SessionId, number: int | None) -> None:
        if number is None:
            return
        first, last, count = self._sequences.get(session, (number, number, 0))
        self._sequences[session] = (min(first, number), max(last, number), count + 1)

    def _has_gap(self, session: SessionId) -> bool:
        """Messages of this transaction are missing. A station that always says 0, or repeats numbers, tells nothing."""
        first, last, count = self._sequences.get(session, (0, 0, 0))
        return last > first and count < last - first + 1

    def _same_start(self, event: TransactionStarted, key: str) -> Session | None:
        charger = event.call.charger
        if event.transaction is not None:
            return self.find(charger, event.transaction)
        for known in (self.open, self._recent):
            for session in known.values():
                if session.charger == charger and session.start_key == key:
                    return session
        # The charger corrected its clock before the retry: all the same but the time, and no stop between.
        session_here = self.at(EvseId(charger, event.evse_number))
        if (
            session_here is not None
            and event.meter_start_wh is not None
            and session_here.meter_start_wh == event.meter_start_wh
            and session_here.energy_wh == 0
            and session_here.id_token is not None
            and event.token is not None
            and same_token(session_here.id_token, event.token)
        ):
            return session_here
        return None

    def _next_transaction(self) -> TransactionRef:
        # An OCPP 1.6 id is a positive 32-bit integer; two thousand million of them outlast any charger.
        self._last_number = self._last_number % MAX_TRANSACTION_NUMBER + 1
        return TransactionRef(str(self._last_number))

    # --- progress -----------------------------------------------------------------------------------------------------

    def progress(
        self, event: MeterValuesReported, rated_w: Watts, state: PeriodState, cause: Cause, now: Instant
    ) -> list[Decision]:
        """Take in meter values. They never open or reopen a session; what comes after the end is kept and answered."""
        charger = event.call.charger
        session = self.find(charger, event.transaction)
        if session is None and event.evse_number > 0:
            session = self.at(EvseId(charger, event.evse_number))
        signed = evidence.signed(event.samples)
        reply = Reply(event.call, Acknowledge() if event.token is None else TokenAnswer(self._verdict(event.token, now)))
        is_new = session is None and event.transaction is not None and evidence.is_issued(event.transaction)
        if is_new and event.transaction is not None:
            session = self._provisional(event, event.transaction, now)
            self._keep(session, now)
        if session is None or session.id not in self.open:
            return [evidence.message(event.call, session.id if session else None, now), reply] if signed else [reply]
        self._note_sequence(session.id, event.sequence_number)
        if event.evse_number and not session.evse_number:
            session = replace(session, evse_number=event.evse_number, connector_number=1)
        if event.token is not None and session.id_token is None:
            session = replace(
                session,
                id_token=event.token,
                authorisation=self._authorization.account_of(event.token, now.utc_ms, is_offline=event.is_offline),
            )
            is_new = True
        flags: set[str] = set()
        register_wh = session.meter_last_wh
        for sample in event.samples:
            if sample.energy_wh is None:
                continue
            if register_wh is None:
                register_wh = sample.energy_wh
                if session.meter_start_wh is None:
                    session = replace(session, meter_start_wh=register_wh)
                    flags.add("meter-start-derived")
            elif sample.energy_wh < register_wh:
                flags.add("register-backwards")
            elif registers.is_plausible(session.meter_start_wh, sample.energy_wh, rated_w, now.utc_ms - session.started_utc_ms):
                register_wh = sample.energy_wh
            else:
                flags.add("register-jump")
        session = replace(
            session,
            meter_last_wh=register_wh,
            energy_wh=evidence.energy_so_far(session.meter_start_wh, register_wh),
            last_utc_ms=max(session.last_utc_ms, now.utc_ms),
            signed_values=session.signed_values + signed,
            flags=evidence.merged(session.flags, flags),
        )
        session = replace(session, periods=periods.advance(session, now.utc_ms, session.energy_wh, state, cause))
        self._put(session)
        decisions: list[Decision] = []
        if signed or is_new:
            self._keep(session, now)
            decisions += [Keep(SessionKept(session)), evidence.message(event.call, session.id, now)]
        elif self._is_progress_due(session, now):
            self._keep(session, now)
            decisions.append(Keep(SessionKept(session, Durability.PROGRESS)))
        return [*decisions, reply]

    def mark(self, evse: EvseId, state: PeriodState, cause: Cause, now: Instant) -> list[Decision]:
        """The state or the cause of the limit has changed between two meter values."""
        session = self.at(evse)
        if session is None:
            return []
        advanced = periods.advance(session, now.utc_ms, session.energy_wh, state, cause)
        if len(advanced) == len(session.periods):
            return []
        session = replace(session, periods=advanced)
        self._keep(session, now)
        return [Keep(SessionKept(session, Durability.PROGRESS))]

    def _is_progress_due(self, session: Session, now: Instant) -> bool:
        kept_ms = self._kept_mono_ms.get(session.id)
        return (
            kept_ms is None
            or now.mono_ms - kept_ms >= PROGRESS_MS
            or session.energy_wh - self._kept_wh.get(session.id, 0) >= PROGRESS_WH
        )

    # --- stop ---------------------------------------------------------------------------------------------------------

    def stop(self, event: TransactionEnded, rated_w: Watts, now: Instant) -> list[Decision]:
        charger = event.call.charger
        verdict = self._verdict(event.token, now) if event.token is not None else None
        reply = Reply(event.call, StopAnswer(verdict))
        key = evidence.stop_key(event)
        session = self.find(charger, event.transaction)
        flags: set[str] = set()
        if session is None:
            repeated = next((s for s in self._recent.values() if s.charger == charger and s.stop_key == key), None)
            if repeated is not None:
                return [reply]
            session = self._match_unknown(event)
            flags.add("stop-matched")
        if session is None:
            return [*self._orphan(event, key, now), reply]
        if session.id not in self.open:
            # A repeat, or a second opinion after the end: the end is sticky.
            return [reply] if session.stop_key == key else [evidence.message(event.call, session.id, now), reply]
        meter_stop_wh = event.meter_stop_wh
        if meter_stop_wh is None:
            meter_stop_wh = next((s.energy_wh for s in reversed(event.samples) if s.energy_wh is not None), None)
        self._note_sequence(session.id, event.sequence_number)
        if self._has_gap(session.id):
            flags.add("messages-missing")
        self._sequences.pop(session.id, None)
        if signed := evidence.signed(event.samples):
            session = replace(session, signed_values=session.signed_values + signed)
            self._put(session)
        closed = self._close(
            session,
            meter_stop_wh=meter_stop_wh,
            reported_utc_ms=event.reported_utc_ms,
            reason=event.reason,
            flags=flags,
            rated_w=rated_w,
            now=now,
            key=key,
        )
        return [*closed, evidence.message(event.call, session.id, now), reply]

    def _match_unknown(self, event: TransactionEnded) -> Session | None:
        """A stop with -1, 0 or a foreign id: exactly one open session it can belong to, or none."""
        candidates = [
            session
            for session in self.open.values()
            if session.charger == event.call.charger
            and (event.evse_number is None or session.evse_number == event.evse_number)
            and (event.token is None or session.id_token is None or same_token(event.token, session.id_token))
            and (event.meter_stop_wh is None or (session.meter_last_wh or 0) <= event.meter_stop_wh)
            and (event.reported_utc_ms is None or session.started_utc_ms <= event.reported_utc_ms)
        ]
        return candidates[0] if len(candidates) == 1 else None

    def _close(
        self,
        session: Session,
        *,
        meter_stop_wh: WattHours | None,
        reported_utc_ms: UtcMillis | None,
        reason: str,
        flags: set[str],
        rated_w: Watts,
        now: Instant,
        key: str = "",
    ) -> list[Decision]:
        ended_utc_ms, clock_flags = evidence.credible(reported_utc_ms, now)
        if ended_utc_ms < session.started_utc_ms:
            ended_utc_ms = max(now.utc_ms, session.started_utc_ms)
            clock_flags = clock_flags | {"clock-backwards"}
        elapsed_ms = max(ended_utc_ms, now.utc_ms) - session.started_utc_ms
        energy = registers.session_energy(session.meter_start_wh, session.meter_last_wh, meter_stop_wh, rated_w, elapsed_ms)
        last_state = session.periods[-1].state if session.periods else PeriodState.CHARGING
        last_cause = session.periods[-1].limit_cause if session.periods else Cause.IDLE
        closed = replace(
            session,
            status=SessionStatus.COMPLETED,
            ended_utc_ms=ended_utc_ms,
            ended_reported_utc_ms=reported_utc_ms,
            meter_stop_wh=meter_stop_wh,
            energy_wh=energy.energy_wh,
            last_utc_ms=max(session.last_utc_ms, ended_utc_ms),
            stop_reason=reason,
            periods=periods.advance(session, ended_utc_ms, energy.energy_wh, last_state, last_cause),
            flags=evidence.merged(session.flags, flags | clock_flags | energy.flags),
            rev=session.rev + 1,
            stop_key=key,
        )
        return self._bill(closed)

    def _orphan(self, event: TransactionEnded, key: str, now: Instant) -> list[Decision]:
        ended_utc_ms, flags = evidence.credible(event.reported_utc_ms, now)
        session = Session(
            id=self._ids.session_id(now),
            charger=event.call.charger,
            evse_number=event.evse_number or 0,
            connector_number=0,
            transaction=event.transaction or TransactionRef(""),
            status=SessionStatus.ORPHAN,
            id_token=event.token,
            authorisation=self._authorization.account_of(event.token, ended_utc_ms, is_offline=True),
            started_utc_ms=ended_utc_ms,
            started_reported_utc_ms=None,
            meter_start_wh=None,
            meter_last_wh=event.meter_stop_wh,
            last_utc_ms=ended_utc_ms,
            ended_utc_ms=ended_utc_ms,
            ended_reported_utc_ms=event.reported_utc_ms,
            meter_stop_wh=event.meter_stop_wh,
            energy_wh=0,
            stop_reason=event.reason,
            signed_values=evidence.signed(event.samples),
            flags=tuple(sorted(flags | {"orphan-stop", "energy-unknown"})),
            rev=1,
            stop_key=key,
        )
        return [*self._bill(session), evidence.message(event.call, session.id, now)]

    def _bill(self, session: Session) -> list[Decision]:
        gone = self.open.pop(session.id, None)
        if gone is not None and self._at.get(gone.evse) == session.id:
            del self._at[gone.evse]
        self._kept_mono_ms.pop(session.id, None)
        self._kept_wh.pop(session.id, None)
        self._recent[session.id] = session
        while len(self._recent) > RECENT_COUNT:
            del self._recent[next(iter(self._recent))]
        return [
            Keep(SessionKept(session)),
            Keep(BillKept(session.id, session.rev, session_body(session))),
            WakeUplink(),
        ]

    # --- shared -------------------------------------------------------------------------------------------------------

    def _verdict(self, token: IdToken | None, now: Instant) -> TokenVerdict:
        if token is None:
            return TokenVerdict(TokenStatus.UNKNOWN)
        return self._authorization.verdict(token, now.utc_ms)

    def _put(self, session: Session) -> None:
        self.open[session.id] = session
        self._at[session.evse] = session.id

    def _keep(self, session: Session, now: Instant) -> None:
        self._put(session)
        self._kept_mono_ms[session.id] = now.mono_ms
        self._kept_wh[session.id] = session.energy_wh
