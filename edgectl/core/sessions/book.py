"""Which session is meant: found by the charger's reference, by the EVSE, or by the content of the message."""

from __future__ import annotations

from edgectl.domain.events import TransactionEnded, TransactionStarted
from edgectl.domain.ids import ChargerId, EvseId, SessionId, TransactionRef, same_token
from edgectl.domain.records import Restored, Session, SessionStatus
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis

MAX_TRANSACTION_NUMBER = 2**31 - 1
"""An OCPP 1.6 id is a positive 32-bit integer."""
RECENT_COUNT = 2_000
"""Closed sessions remembered for repeats: more than a charger's queue (100 entries is common) times a site's chargers."""

LATE_VALUES_MS: Millis = 600_000
"""Values this soon after an end may still belong to it: some chargers tell the closing register after the stop."""
SEALED_MS: Millis = 7 * 86_400_000
"""How long a record that waits for its charger's own word may still be revised by it: as long as chargers repeat messages."""
PROVISIONAL = frozenset({"start-missing", "orphan-stop"})
"""What a session is flagged with until its start arrives."""


def can_be_told(transaction: TransactionRef) -> bool:
    """Whether it can be a transaction id of OCPP 1.6."""
    return transaction.isascii() and transaction.isdecimal() and 0 < int(transaction) <= MAX_TRANSACTION_NUMBER


class SessionBook:
    """All open sessions and the recently closed ones. ``open`` and ``recent`` are for reading; ``put`` and ``close`` write."""

    def __init__(self, restored: Restored) -> None:
        self.open: dict[SessionId, Session] = {}
        self.recent: dict[SessionId, Session] = {}
        self.closed_mono_ms: dict[SessionId, Millis] = {}
        """When a session ended on our own watch, for what may still come after its end."""
        self._at: dict[EvseId, SessionId] = {}
        self._by_reference: dict[tuple[ChargerId, TransactionRef], SessionId] = {}
        self._by_start: dict[tuple[ChargerId, str], SessionId] = {}
        self._by_stop: dict[tuple[ChargerId, str], SessionId] = {}
        for session in restored.recent_sessions[-RECENT_COUNT:]:
            if session.correction is None:  # what chargers repeat is about the session itself
                self.close(session)
        for session in restored.open_sessions:
            self.put(session)

    # --- questions ----------------------------------------------------------------------------------------------------

    def at(self, evse: EvseId) -> Session | None:
        """The open session of an EVSE."""
        id_ = self._at.get(evse)
        return None if id_ is None else self.open.get(id_)

    def all_at(self, evse: EvseId) -> list[Session]:
        """All open sessions of an EVSE: one, unless messages come out of order."""
        return [session for session in self.open.values() if session.evse == evse]

    def find(self, charger: ChargerId, transaction: TransactionRef | None) -> Session | None:
        """An open or recent session by the charger's own reference."""
        return None if transaction is None else self._known(self._by_reference.get((charger, transaction)))

    def by_start(self, charger: ChargerId, key: str) -> Session | None:
        return self._known(self._by_start.get((charger, key)))

    def by_stop(self, charger: ChargerId, key: str) -> Session | None:
        """A closed session that was ended by exactly this."""
        return self._known(self._by_stop.get((charger, key)))

    def retried(self, event: TransactionStarted) -> Session | None:
        """The open session of which this start is a retry: the charger set its clock meanwhile, all else is the same."""
        here = self.at(EvseId(event.call.charger, event.evse_number))
        is_same = (
            here is not None
            and event.meter_start_wh is not None
            and here.meter_start_wh == event.meter_start_wh
            and here.energy_wh == 0
            and here.id_token is not None
            and event.token is not None
            and same_token(here.id_token, event.token)
        )
        return here if is_same else None

    def began_unseen(self, event: TransactionStarted, started_utc_ms: int, slack_ms: Millis) -> Session | None:
        """The open session that we know by its values alone, and whose start this can be."""
        here = self.at(EvseId(event.call.charger, event.evse_number))
        if here is None or here.start_key or "start-missing" not in here.flags:
            return None
        is_same_driver = event.token is None or here.id_token is None or same_token(event.token, here.id_token)
        is_before = started_utc_ms <= here.started_utc_ms + slack_ms
        start_wh, first_wh = event.meter_start_wh, here.meter_start_wh
        is_below = start_wh is None or first_wh is None or start_wh <= first_wh
        return here if is_same_driver and is_before and is_below else None

    def matching(self, event: TransactionEnded) -> Session | None:
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

    def _known(self, id_: SessionId | None) -> Session | None:
        return None if id_ is None else self.open.get(id_) or self.recent.get(id_)

    def is_settling(self, session: Session, now: Instant) -> bool:
        """It has just ended, and what comes may still belong to its end."""
        closed_mono_ms = self.closed_mono_ms.get(session.id)
        return closed_mono_ms is not None and now.mono_ms - closed_mono_ms <= LATE_VALUES_MS

    def is_sealed(self, session: Session, now: Instant) -> bool:
        """Nothing that a charger tells from now on changes its record: only a credit and a replacement can follow.

        A session is sealed ten minutes after its end; one whose end was guessed or whose start was never told, after seven days.
        An orphan never is: it was not billed. One that was corrected always is.
        """
        if session.status is not SessionStatus.COMPLETED or session.ended_utc_ms is None:
            return False
        if session.replaced_by is not None:
            return True
        lacks_end = "stop-missing" in session.flags and not session.stop_key
        lacks_start = not session.start_key and not PROVISIONAL.isdisjoint(session.flags)
        if lacks_end or lacks_start:
            return now.utc_ms - session.ended_utc_ms > SEALED_MS
        return not self.is_settling(session, now)

    # --- changes ------------------------------------------------------------------------------------------------------

    def put(self, session: Session) -> None:
        """An open session, new or changed."""
        known = self.open.get(session.id)
        self.open[session.id] = session
        if known is None or known.evse_number != session.evse_number or known.start_key != session.start_key:
            here = self.at(session.evse)
            if here is None or here.started_utc_ms <= session.started_utc_ms:
                self._at[session.evse] = session.id
            self._index(session)

    def close(self, session: Session, mono_ms: Millis | None = None) -> None:
        """A closed session, new or changed. The oldest is forgotten when there are too many."""
        gone = self.open.pop(session.id, None)
        if gone is not None and self._at.get(gone.evse) == session.id:
            del self._at[gone.evse]
            for other in self.all_at(gone.evse):
                self._at[other.evse] = other.id
        self.recent[session.id] = session
        if mono_ms is not None:
            self.closed_mono_ms[session.id] = mono_ms
        self._index(session)
        if session.stop_key:
            self._by_stop[session.charger, session.stop_key] = session.id
        while len(self.recent) > RECENT_COUNT:
            self._forget(next(iter(self.recent)))

    def _index(self, session: Session) -> None:
        if session.transaction:
            self._by_reference[session.charger, session.transaction] = session.id
        if session.start_key:
            self._by_start[session.charger, session.start_key] = session.id

    def _forget(self, id_: SessionId) -> None:
        session = self.recent.pop(id_)
        self.closed_mono_ms.pop(id_, None)
        if self._by_reference.get((session.charger, session.transaction)) == id_:
            del self._by_reference[session.charger, session.transaction]
        if self._by_start.get((session.charger, session.start_key)) == id_:
            del self._by_start[session.charger, session.start_key]
        if self._by_stop.get((session.charger, session.stop_key)) == id_:
            del self._by_stop[session.charger, session.stop_key]
