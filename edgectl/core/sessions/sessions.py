"""Starts and progress: transactions become sessions, once each, whatever the chargers repeat, reorder or forget.

Identity is content, never a message id: a start repeated with a new message id has the same key and gets the same answer.
"""

from __future__ import annotations

from dataclasses import replace

from edgectl.core.authorization import Authorization
from edgectl.core.sessions import evidence, periods, registers
from edgectl.core.sessions.book import MAX_TRANSACTION_NUMBER, SessionBook, can_be_told
from edgectl.core.sessions.correcting import Corrections
from edgectl.core.sessions.endings import Endings
from edgectl.core.sessions.evidence import Source
from edgectl.core.sessions.reservations import Reservations
from edgectl.core.signed.book import SignedBook
from edgectl.core.tariffs.book import PriceBook
from edgectl.domain.decisions import Acknowledge, Decision, Keep, Reply, StartAnswer, TokenAnswer
from edgectl.domain.events import CorrectionRequested, MeterValuesReported, TransactionEnded, TransactionStarted
from edgectl.domain.ids import ChargerId, EvseId, SessionId, TransactionRef
from edgectl.domain.reasons import Cause
from edgectl.domain.records import Durability, PeriodState, Restored, Session, SessionKept, SessionStatus
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, WattHours
from edgectl.ports import IdSource

PROGRESS_MS: Millis = 10_000
PROGRESS_WH: WattHours = 100
"""Running energy is written at least this often, so a crash loses no more of it."""
SAME_MS: Millis = 1_000
"""Values that change nothing are not noted more often than this."""


class Sessions:
    """All sessions of the site that are open or were closed lately."""

    def __init__(
        self, restored: Restored, authorization: Authorization, ids: IdSource, prices: PriceBook, signed: SignedBook
    ) -> None:
        self._prices = prices
        self._signed = signed
        self._authorization = authorization
        self._ids = ids
        self._last_number = restored.last_transaction_number
        self._book = SessionBook(restored)
        self._sequences = evidence.Sequences()
        self.reservations = Reservations(restored.reservations, self._book, authorization, ids, prices)
        self._endings = Endings(self._book, authorization, ids, self._sequences, prices, signed, self.reservations)
        self._corrections = Corrections(self._book, prices, ids)
        self._kept: dict[SessionId, tuple[Millis, WattHours]] = {}
        """When and with which energy an open session was last written."""

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def open(self) -> dict[SessionId, Session]:
        return self._book.open

    def at(self, evse: EvseId) -> Session | None:
        """The open session of an EVSE."""
        return self._book.at(evse)

    def find(self, charger: ChargerId, transaction: TransactionRef | None) -> Session | None:
        """An open or recent session by the charger's own reference."""
        return self._book.find(charger, transaction)

    def has_started(self, event: TransactionStarted) -> bool:
        """This very start has been told before."""
        if event.transaction is not None:
            return self._book.find(event.call.charger, event.transaction) is not None
        return self._book.by_start(event.call.charger, evidence.start_key(event)) is not None

    # --- start --------------------------------------------------------------------------------------------------------

    def start(self, event: TransactionStarted, source: Source, now: Instant) -> list[Decision]:
        """The same start, whenever and however often it comes, is the same session."""
        charger = event.call.charger
        verdict = self._authorization.of(event.token, now.utc_ms)
        key = evidence.start_key(event)
        started_utc_ms, flags = evidence.credible(event.reported_utc_ms, source.clock_offset_ms, now)
        known = self._same_start(event, key, started_utc_ms)
        if known is not None:
            reply = Reply(event.call, StartAnswer(known.transaction, verdict))
            self._sequences.note(known.id, event.sequence_number)
            return [*self._endings.complete_start(known, event, key, source, now), reply]

        decisions: list[Decision] = []
        for left_open in self._book.all_at(EvseId(charger, event.evse_number)):
            if "start-missing" in left_open.flags and started_utc_ms < left_open.started_utc_ms:
                continue  # told out of order: what we know by its values alone runs now, and this was before it
            # The charger begins anew without having told the end: its register at the new start is the best end we have.
            decisions += self._endings.close(
                left_open,
                meter_stop_wh=event.meter_start_wh,
                reported_utc_ms=event.reported_utc_ms,
                reason="superseded",
                flags={"stop-missing"},
                source=source,
                now=now,
            )
        is_offline = event.is_offline or now.utc_ms - started_utc_ms > evidence.LATE_MS
        flags |= evidence.adoption(started_utc_ms, source) | ({"reported-late"} if is_offline else set())
        flags |= self._authorization.flags_of(event.token, started_utc_ms, is_offline=is_offline)
        session = Session(
            id=self._ids.session_id(now),
            charger=charger,
            evse_number=event.evse_number,
            connector_number=event.connector_number,
            transaction=event.transaction or self._next_transaction(charger),
            status=SessionStatus.ACTIVE,
            id_token=event.token,
            authorisation=self._authorization.account_of(event.token, started_utc_ms, is_offline=is_offline),
            started_utc_ms=started_utc_ms,
            started_reported_utc_ms=event.reported_utc_ms,
            meter_start_wh=event.meter_start_wh,
            meter_last_wh=event.meter_start_wh,
            last_utc_ms=started_utc_ms,
            signed_values=evidence.signed(event.samples),
            flags=tuple(sorted(flags)),
            start_key=key,
            tariff=self._prices.tariff_of(event.token),
        )
        self._sequences.note(session.id, event.sequence_number)
        session, used = self.reservations.use(session, event.reservation_number)
        self._keep(session, now)
        return [
            *decisions,
            *used,
            Keep(SessionKept(session)),
            evidence.message(event.call, session.id, now),
            Reply(event.call, StartAnswer(session.transaction, verdict)),
        ]

    def _same_start(self, event: TransactionStarted, key: str, started_utc_ms: int) -> Session | None:
        if event.transaction is not None:
            return self._book.find(event.call.charger, event.transaction)
        known = self._book.by_start(event.call.charger, key) or self._book.retried(event)
        known = known or self._book.began_unseen(event, started_utc_ms, evidence.LATE_MS)
        # It named its transaction itself when it still spoke OCPP 2: that name cannot be told it in 1.6.
        return known if known is not None and can_be_told(known.transaction) else None

    def _next_transaction(self, charger: ChargerId) -> TransactionRef:
        # Two thousand million of them outlast any charger. One that a charger has made up for itself is passed over.
        while True:
            self._last_number = self._last_number % MAX_TRANSACTION_NUMBER + 1
            transaction = TransactionRef(str(self._last_number))
            if self._book.find(charger, transaction) is None:
                return transaction

    def _provisional(self, event: MeterValuesReported, transaction: TransactionRef, source: Source, now: Instant) -> Session:
        """Values of a transaction whose start we never saw: energy flows, so there is a session."""
        reported_utc_ms = event.samples[0].reported_utc_ms if event.samples else None
        started_utc_ms, flags = evidence.credible(reported_utc_ms, source.clock_offset_ms, now)
        flags |= self._authorization.flags_of(event.token, started_utc_ms, is_offline=True)
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
            flags=tuple(sorted(flags | evidence.adoption(started_utc_ms, source) | {"start-missing"})),
            tariff=self._prices.tariff_of(event.token),
        )

    # --- progress -----------------------------------------------------------------------------------------------------

    def progress(
        self, event: MeterValuesReported, source: Source, state: PeriodState, cause: Cause, now: Instant
    ) -> list[Decision]:
        """Take in meter values. They never reopen a session; what comes soon after the end may still complete it."""
        charger = event.call.charger
        session = self._book.find(charger, event.transaction)
        if session is None and event.evse_number > 0:
            session = self._book.at(EvseId(charger, event.evse_number))
        token = event.token
        reply = Reply(event.call, Acknowledge() if token is None else TokenAnswer(self._authorization.of(token, now.utc_ms)))
        is_new = session is None and event.transaction is not None and evidence.is_issued(event.transaction)
        if is_new and event.transaction is not None:
            session = self._provisional(event, event.transaction, source, now)
            self._keep(session, now)
        if session is None or session.id not in self._book.open:
            return [*self._endings.late_values(event, session, source, now), reply]
        self._sequences.note(session.id, event.sequence_number)
        if event.evse_number and not session.evse_number:
            session = replace(session, evse_number=event.evse_number, connector_number=1)
        if token is not None and session.id_token is None:
            account = self._authorization.account_of(token, now.utc_ms, is_offline=event.is_offline)
            flags = self._authorization.flags_of(token, now.utc_ms, is_offline=event.is_offline)
            session = replace(
                session,
                id_token=token,
                authorisation=account,
                tariff=self._prices.tariff_of(token),
                flags=evidence.merged(session.flags, flags),
            )
            is_new = True
        used: list[Decision] = []
        if is_new or event.reservation_number is not None:
            session, used = self.reservations.use(session, event.reservation_number)
            is_new = is_new or bool(used)
        session = self._measured(session, event, source, state, cause, now)
        self._book.put(session)
        if is_new or (event.samples and evidence.signed(event.samples)):
            session, news = self._signed.judged(session, now)
            self._keep(session, now)
            return [*used, Keep(SessionKept(session)), *news, evidence.message(event.call, session.id, now), reply]
        if self._is_progress_due(session, now):
            self._keep(session, now)
            return [Keep(SessionKept(session, Durability.PROGRESS)), reply]
        return [reply]

    def _measured(
        self, session: Session, event: MeterValuesReported, source: Source, state: PeriodState, cause: Cause, now: Instant
    ) -> Session:
        flags: set[str] = set()
        start_wh, register_wh = session.meter_start_wh, session.meter_last_wh
        lasts_ms = now.utc_ms - session.started_utc_ms
        for sample in event.samples:
            found_wh = sample.energy_wh
            if found_wh is None:
                continue
            elapsed_ms = max(lasts_ms, evidence.told_ms(session, sample.reported_utc_ms))
            if start_wh == register_wh == 0:
                derived_wh = registers.baseline(start_wh, found_wh, source.register_wh, source.rated_w, elapsed_ms)
                if derived_wh is not None:
                    start_wh, register_wh = derived_wh, derived_wh
                    flags.add("meter-start-derived")
            if register_wh is None:
                register_wh = found_wh
                if start_wh is None:
                    start_wh = found_wh
                    flags.add("meter-start-derived")
            elif found_wh < register_wh:
                flags.add("register-backwards")
            elif registers.is_plausible(start_wh, found_wh, source.rated_w, elapsed_ms):
                register_wh = found_wh
            else:
                flags.add("register-jump")
        signed = evidence.signed(event.samples)
        is_same = register_wh == session.meter_last_wh and start_wh == session.meter_start_wh
        if is_same and not flags and not signed and now.utc_ms - session.last_utc_ms < SAME_MS and session.periods:
            return session  # a queue that is emptied, or a charger that talks a lot: nothing to remember
        energy_wh = evidence.energy_so_far(start_wh, register_wh)
        return replace(
            session,
            meter_start_wh=start_wh,
            meter_last_wh=register_wh,
            energy_wh=energy_wh,
            last_utc_ms=max(session.last_utc_ms, now.utc_ms),
            signed_values=session.signed_values + signed,
            flags=evidence.merged(session.flags, flags),
            periods=periods.advance(session, now.utc_ms, energy_wh, state, cause),
        )

    def mark(self, evse: EvseId, state: PeriodState, cause: Cause, now: Instant) -> list[Decision]:
        """The state or the cause of the limit has changed between two meter values."""
        session = self._book.at(evse)
        if session is None:
            return []
        advanced = periods.advance(session, now.utc_ms, session.energy_wh, state, cause)
        if len(advanced) == len(session.periods):
            return []
        session = replace(session, periods=advanced)
        self._keep(session, now)
        return [Keep(SessionKept(session, Durability.PROGRESS))]

    def _is_progress_due(self, session: Session, now: Instant) -> bool:
        kept = self._kept.get(session.id)
        return kept is None or now.mono_ms - kept[0] >= PROGRESS_MS or session.energy_wh - kept[1] >= PROGRESS_WH

    def _keep(self, session: Session, now: Instant) -> None:
        self._book.put(session)
        self._kept[session.id] = (now.mono_ms, session.energy_wh)
        if len(self._kept) > 2 * len(self._book.open) + 100:
            self._kept = {id_: kept for id_, kept in self._kept.items() if id_ in self._book.open}

    # --- stop ---------------------------------------------------------------------------------------------------------

    def stop(self, event: TransactionEnded, source: Source, now: Instant) -> list[Decision]:
        """The end of a transaction, however it is told."""
        return self._endings.stop(event, source, now)

    # --- after the seal -----------------------------------------------------------------------------------------------

    def correct(self, event: CorrectionRequested, source: Source, now: Instant) -> list[Decision]:
        """Credit a sealed record and replace it."""
        return self._corrections.asked(event, source, now)
