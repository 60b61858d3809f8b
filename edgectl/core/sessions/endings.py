"""Ends: a session is closed once and stays closed. What comes late enriches it, what matches nothing is kept as an orphan.

Every stop is acknowledged, because a charger whose stop is refused may never start again.
"""

from __future__ import annotations

from dataclasses import replace

from edgectl.core.authorization import Authorization
from edgectl.core.sessions import evidence, periods, registers
from edgectl.core.sessions.book import PROVISIONAL, RECENT_COUNT, SessionBook
from edgectl.core.sessions.evidence import Sequences, Source
from edgectl.core.sessions.reservations import Reservations
from edgectl.core.signed.book import SignedBook
from edgectl.core.tariffs.book import PriceBook
from edgectl.domain.bill import session_body
from edgectl.domain.decisions import Decision, Keep, Reply, StopAnswer, WakeUplink
from edgectl.domain.events import MeterValuesReported, TransactionEnded, TransactionStarted
from edgectl.domain.ids import SessionId, TransactionRef
from edgectl.domain.reasons import Cause
from edgectl.domain.records import BillKept, EventKept, PeriodState, Session, SessionKept, SessionStatus
from edgectl.domain.time import Instant
from edgectl.domain.units import UtcMillis, WattHours
from edgectl.ports import IdSource

_DERIVED = {"meter-start-derived"}
_DOUBTS = frozenset({"energy-unknown", "energy-estimated", "meter-stop-missing"})
"""What a session is flagged with that was closed without a register that could be billed."""
_GUESSED = frozenset({"stop-missing", "register-backwards", "clock-backwards"})
"""What came of guessing an end."""


class Endings:
    """Closes sessions, and completes what was closed on little evidence."""

    def __init__(
        self,
        book: SessionBook,
        authorization: Authorization,
        ids: IdSource,
        sequences: Sequences,
        prices: PriceBook,
        signed: SignedBook,
        reservations: Reservations,
    ) -> None:
        self._book = book
        self._prices = prices
        self._signed = signed
        self._reservations = reservations
        self._authorization = authorization
        self._ids = ids
        self._sequences = sequences
        self._told_after_seal: dict[SessionId, None] = {}

    def stop(self, event: TransactionEnded, source: Source, now: Instant) -> list[Decision]:
        charger = event.call.charger
        verdict = self._authorization.of(event.token, now.utc_ms) if event.token is not None else None
        reply = Reply(event.call, StopAnswer(verdict))
        key = evidence.stop_key(event)
        session = self._book.find(charger, event.transaction)
        flags: set[str] = set()
        if session is None:
            if self._book.by_stop(charger, key) is not None:
                return [reply]
            session = self._book.matching(event)
            flags.add("stop-matched")
        if session is None:
            return [*self._orphan(event, key, source, now), reply]
        if session.id not in self._book.open:
            # A repeat, or a second opinion after the end: the end is sticky.
            if session.stop_key == key:
                return [reply]
            return [*self._own_end(session, event, key, source, now), evidence.message(event.call, session.id, now), reply]
        meter_stop_wh = event.meter_stop_wh
        if meter_stop_wh is None:
            meter_stop_wh = next((s.energy_wh for s in reversed(event.samples) if s.energy_wh is not None), None)
        self._sequences.note(session.id, event.sequence_number)
        if self._sequences.closed(session.id):
            flags.add("messages-missing")
        used: list[Decision] = []
        if session.id_token is None and event.token is not None:
            # Told by nobody before: whoever ended it is the best we know.
            account = self._authorization.account_of(event.token, session.started_utc_ms, is_offline=event.is_offline)
            tariff = self._prices.tariff_of(event.token)
            session = replace(session, id_token=event.token, authorisation=account, tariff=tariff)
            flags |= {"token-from-stop"} | self._authorization.flags_of(
                event.token, session.started_utc_ms, is_offline=event.is_offline
            )
            session, used = self._reservations.use(session, None)
        if stopped_by := self._authorization.stopped_by(event.token, session.id_token):
            session = replace(session, stopped_by=event.token)
            flags |= stopped_by
        if signed := evidence.signed(event.samples):
            session = replace(session, signed_values=session.signed_values + signed)
        closed = self.close(
            session,
            meter_stop_wh=meter_stop_wh,
            reported_utc_ms=event.reported_utc_ms,
            reason=event.reason,
            flags=flags,
            source=source,
            now=now,
            key=key,
        )
        return [*used, *closed, evidence.message(event.call, session.id, now), reply]

    def _own_end(self, session: Session, event: TransactionEnded, key: str, source: Source, now: Instant) -> list[Decision]:
        """What a charger says of an end that we had guessed when the next start came before it: better than the guess, once."""
        register_wh = event.meter_stop_wh
        if register_wh is None:
            register_wh = next((s.energy_wh for s in reversed(event.samples) if s.energy_wh is not None), None)
        if "stop-missing" not in session.flags or session.stop_key or register_wh is None:
            return []
        if self._book.is_sealed(session, now):
            return self._after_seal(session, f"an end at {register_wh} Wh", now)
        ended_utc_ms, clock_flags = evidence.credible(event.reported_utc_ms, source.clock_offset_ms, now)
        if ended_utc_ms < session.started_utc_ms:
            ended_utc_ms = max(now.utc_ms, session.started_utc_ms)
            clock_flags = clock_flags | {"clock-backwards"}
        ended = replace(
            session,
            ended_utc_ms=ended_utc_ms,
            ended_reported_utc_ms=event.reported_utc_ms,
            meter_stop_wh=register_wh,
            last_utc_ms=max(session.last_utc_ms, ended_utc_ms),
            stop_reason=event.reason,
            flags=evidence.merged(tuple(flag for flag in session.flags if flag not in _GUESSED), clock_flags | {"closed-late"}),
            stop_key=key,
        )
        return self._settle(ended, ended.meter_last_wh, source, now)

    def close(
        self,
        session: Session,
        *,
        meter_stop_wh: WattHours | None,
        reported_utc_ms: UtcMillis | None,
        reason: str,
        flags: set[str],
        source: Source,
        now: Instant,
        key: str = "",
    ) -> list[Decision]:
        """End an open session, with the bill."""
        ended_utc_ms, clock_flags = evidence.credible(reported_utc_ms, source.clock_offset_ms, now)
        if ended_utc_ms < session.started_utc_ms:
            ended_utc_ms = max(now.utc_ms, session.started_utc_ms)
            clock_flags = clock_flags | {"clock-backwards"}
        elapsed_ms = max(ended_utc_ms, now.utc_ms) - session.started_utc_ms
        elapsed_ms = max(elapsed_ms, evidence.told_ms(session, reported_utc_ms))
        start_wh, last_wh = session.meter_start_wh, session.meter_last_wh
        if meter_stop_wh is not None and start_wh == last_wh == 0:
            derived_wh = registers.baseline(start_wh, meter_stop_wh, source.register_wh, source.rated_w, elapsed_ms)
            if derived_wh is not None:
                start_wh = last_wh = derived_wh
                flags = flags | {"meter-start-derived"}
        energy = registers.session_energy(start_wh, last_wh, meter_stop_wh, source.rated_w, elapsed_ms)
        last_state = session.periods[-1].state if session.periods else PeriodState.CHARGING
        last_cause = session.periods[-1].limit_cause if session.periods else Cause.IDLE
        closed = replace(
            session,
            status=SessionStatus.COMPLETED,
            ended_utc_ms=ended_utc_ms,
            ended_reported_utc_ms=reported_utc_ms,
            meter_start_wh=start_wh,
            meter_last_wh=last_wh,
            meter_stop_wh=meter_stop_wh,
            energy_wh=energy.energy_wh,
            last_utc_ms=max(session.last_utc_ms, ended_utc_ms),
            stop_reason=reason,
            periods=periods.advance(session, ended_utc_ms, energy.energy_wh, last_state, last_cause),
            flags=evidence.merged(session.flags, flags | clock_flags | energy.flags),
            rev=session.rev + 1,
            stop_key=key,
        )
        return self._bill(closed, now)

    def complete_start(self, known: Session, event: TransactionStarted, key: str, source: Source, now: Instant) -> list[Decision]:
        """The start of a session that was opened or even ended on other evidence: fill in what was missing, once."""
        if known.start_key or not PROVISIONAL & set(known.flags):
            return []
        if self._book.is_sealed(known, now):
            return [
                evidence.message(event.call, known.id, now),
                *self._after_seal(known, f"a start at {event.meter_start_wh} Wh", now),
            ]
        started_utc_ms, clock_flags = evidence.credible(event.reported_utc_ms, source.clock_offset_ms, now)
        settled = PROVISIONAL if event.meter_start_wh is None else PROVISIONAL | _DERIVED
        flags = (set(known.flags) - settled) | clock_flags | evidence.adoption(started_utc_ms, source) | {"start-late"}
        if event.token is not None:
            flags -= {"token-stale", "rate-again"}  # reckoned anew, now that the start is known
            flags |= self._authorization.flags_of(event.token, started_utc_ms, is_offline=event.is_offline)
        completed = replace(
            known,
            id_token=known.id_token or event.token,
            tariff=known.tariff if known.id_token else self._prices.tariff_of(event.token),
            evse_number=known.evse_number or event.evse_number,
            connector_number=known.connector_number or event.connector_number,
            authorisation=self._authorization.account_of(event.token, started_utc_ms, is_offline=event.is_offline),
            started_utc_ms=min(started_utc_ms, known.started_utc_ms),
            started_reported_utc_ms=event.reported_utc_ms,
            meter_start_wh=event.meter_start_wh if event.meter_start_wh is not None else known.meter_start_wh,
            flags=tuple(sorted(flags)),
            start_key=key,
        )
        completed, used = self._reservations.use(completed, event.reservation_number)
        if known.id in self._book.open:
            energy_wh = evidence.energy_so_far(completed.meter_start_wh, completed.meter_last_wh)
            completed = replace(completed, energy_wh=energy_wh)
            self._book.put(completed)
            return [*used, Keep(SessionKept(completed)), evidence.message(event.call, known.id, now)]
        completed = replace(completed, status=SessionStatus.COMPLETED, periods=())
        return [*used, *self._settle(completed, None, source, now), evidence.message(event.call, known.id, now)]

    def late_values(self, event: MeterValuesReported, session: Session | None, source: Source, now: Instant) -> list[Decision]:
        """Values that belong to no open session. Soon after an end they add what was missing; they change nothing else."""
        signed = evidence.signed(event.samples)
        kept: list[Decision] = [evidence.message(event.call, session.id if session else None, now)] if signed else []
        if session is None:
            return kept
        new = tuple(value for value in signed if value not in session.signed_values)
        register_wh = next((s.energy_wh for s in reversed(event.samples) if s.energy_wh is not None), None)
        last_wh = session.meter_last_wh if session.meter_last_wh is not None else session.meter_start_wh
        is_wanted = session.meter_stop_wh is None and register_wh is not None and (last_wh is None or register_wh >= last_wh)
        if not new and not is_wanted:
            return kept
        if session.replaced_by is not None or not self._book.is_settling(session, now):
            said = f"a register of {register_wh} Wh" if is_wanted else f"{len(new)} signed values"
            return [*kept, *self._after_seal(session, said, now)]
        enriched = replace(
            session, signed_values=session.signed_values + new, flags=evidence.merged(session.flags, {"closed-late"})
        )
        if not is_wanted:
            return [*self._bill(replace(enriched, rev=enriched.rev + 1), now), *kept]
        enriched = replace(enriched, meter_stop_wh=register_wh)
        return [
            *self._settle(enriched, enriched.meter_last_wh, source, now),
            *(kept or [evidence.message(event.call, session.id, now)]),
        ]

    def _after_seal(self, session: Session, said: str, now: Instant) -> list[Decision]:
        """A sealed record stays as it is, and a person decides whether to correct it: told once for each session."""
        if session.id in self._told_after_seal or session.status is not SessionStatus.COMPLETED:
            return []
        self._told_after_seal[session.id] = None
        while len(self._told_after_seal) > RECENT_COUNT:
            del self._told_after_seal[next(iter(self._told_after_seal))]
        body: dict[str, object] = {"charger": session.charger, "billed_wh": str(session.energy_wh), "said": said}
        return [Keep(EventKept("evidence-after-seal", session.id, now.utc_ms, body)), WakeUplink()]

    def _settle(self, session: Session, last_good_wh: WattHours | None, source: Source, now: Instant) -> list[Decision]:
        """The energy of a closed session, worked out anew from better evidence."""
        ended_utc_ms = session.ended_utc_ms or now.utc_ms
        elapsed_ms = ended_utc_ms - session.started_utc_ms
        energy = registers.session_energy(session.meter_start_wh, last_good_wh, session.meter_stop_wh, source.rated_w, elapsed_ms)
        last = session.periods[-1] if session.periods else None
        state, cause = (last.state, last.limit_cause) if last is not None else (PeriodState.CHARGING, Cause.IDLE)
        flags = evidence.merged(tuple(flag for flag in session.flags if flag not in _DOUBTS), energy.flags)
        settled = replace(session, energy_wh=energy.energy_wh, flags=flags, rev=session.rev + 1)
        spans = periods.advance(settled, ended_utc_ms, energy.energy_wh, state, cause)
        return self._bill(replace(settled, periods=spans), now)

    def _orphan(self, event: TransactionEnded, key: str, source: Source, now: Instant) -> list[Decision]:
        ended_utc_ms, flags = evidence.credible(event.reported_utc_ms, source.clock_offset_ms, now)
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
            flags=tuple(sorted(flags | evidence.adoption(ended_utc_ms, source) | {"orphan-stop", "energy-unknown"})),
            rev=1,
            stop_key=key,
        )
        session, used = self._reservations.use(session, None)
        return [*used, *self._bill(session, now), evidence.message(event.call, session.id, now)]

    def _bill(self, session: Session, now: Instant) -> list[Decision]:
        if session.status is not SessionStatus.ORPHAN:
            session = self._prices.priced(session)
        session, news = self._signed.judged(session, now)
        self._book.close(session, now.mono_ms if session.id in self._book.open else None)
        return [
            Keep(SessionKept(session)),
            Keep(BillKept(session.id, session.rev, session_body(session))),
            *news,
            WakeUplink(),
        ]
