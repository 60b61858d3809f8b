"""What is kept. The ledger stores these; after a restart the core is rebuilt from them.

Three durability classes: *billing* is committed and synced before anybody is told, *progress*
may lose ten seconds, *telemetry* may lose its last batch and is the only one that is ever evicted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from edgectl.domain.ids import ChargerId, CircuitId, EvseId, IdToken, SessionId, TransactionRef
from edgectl.domain.phases import Phase
from edgectl.domain.reasons import Cause, Reason
from edgectl.domain.reservations import Reservation, ReservationEnd, Reserved
from edgectl.domain.signed import SignedVerdict
from edgectl.domain.tariff import Cost
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, WattHours


class Durability(StrEnum):
    BILLING = "billing"
    PROGRESS = "progress"
    TELEMETRY = "telemetry"


class PeriodState(StrEnum):
    """What the energy did, and at zero whose doing it was."""

    CHARGING = "charging"
    SUSPENDED_EV = "suspended_ev"
    """The vehicle wanted nothing."""
    SUSPENDED_EVSE = "suspended_evse"
    """We, or the charger, gave nothing: never billed as parking."""


@dataclass(frozen=True, slots=True)
class Period:
    """A span of a session in one state under one cause of limit."""

    from_utc_ms: UtcMillis
    to_utc_ms: UtcMillis
    state: PeriodState
    energy_wh: WattHours
    limit_cause: Cause


class SessionStatus(StrEnum):
    ACTIVE = "active"
    COMPLETED = "completed"
    ORPHAN = "orphan"
    """A stop that matches no session we know: kept, acknowledged, for a person to look at."""


@dataclass(frozen=True, slots=True)
class Authorisation:
    how: str
    """``local-list``, ``free-vend``, ``charger-offline``, ``unknown``."""
    by: str
    status: str
    is_offline: bool


class CorrectionKind(StrEnum):
    CREDIT = "credit"
    """Takes back all of a sealed record: the same figures, its cost negated."""
    REPLACEMENT = "replacement"
    """What should have stood there."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What makes a record one of the two that follow a sealed record which was wrong."""

    kind: CorrectionKind
    of: SessionId
    """The sealed record that is credited or replaced."""
    session: SessionId
    """The session as it was charged; the same as ``of``, unless that was a replacement itself."""
    at_utc_ms: UtcMillis
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Session:
    """One session with everything known of it. A new revision replaces the whole value."""

    id: SessionId
    charger: ChargerId
    evse_number: int
    connector_number: int
    transaction: TransactionRef
    status: SessionStatus
    id_token: IdToken | None
    authorisation: Authorisation
    started_utc_ms: UtcMillis
    started_reported_utc_ms: UtcMillis | None
    meter_start_wh: WattHours | None
    meter_last_wh: WattHours | None
    last_utc_ms: UtcMillis
    ended_utc_ms: UtcMillis | None = None
    ended_reported_utc_ms: UtcMillis | None = None
    meter_stop_wh: WattHours | None = None
    energy_wh: WattHours = 0
    stop_reason: str | None = None
    periods: tuple[Period, ...] = ()
    signed_values: tuple[str, ...] = ()
    signed_verdicts: tuple[SignedVerdict, ...] = ()
    """One for each of the first of ``signed_values``; those still without one came later and are judged at the end."""
    flags: tuple[str, ...] = ()
    """Named doubts and derivations, sorted: ``energy-estimated``, ``register-backwards``, ``clock-1970`` ..."""
    rev: int = 0
    """Of the billing record; 0 while none was written."""
    start_key: str = ""
    """Content identity of the start message; a retry with a new message id has the same."""
    stop_key: str = ""
    account: str | None = None
    """That the token belonged to when the session ended."""
    tariff: str | None = None
    """The OCPI object as JSON text, as it was when the session began; None: the site names none."""
    cost: Cost | None = None
    """By that tariff, once the session has ended."""
    stopped_by: IdToken | None = None
    """The token that ended it, where that was another than it began with."""
    correction: Correction | None = None
    credited_by: SessionId | None = None
    """Of a sealed record that was wrong: the records that followed. Beside the record, not in it: that stays as it was sealed."""
    replaced_by: SessionId | None = None
    reservation: Reserved | None = None
    """That it used; or all there is to it (``is_reservation``)."""

    @property
    def evse(self) -> EvseId:
        return EvseId(self.charger, self.evse_number)

    @property
    def is_reservation(self) -> bool:
        """Nobody came: it records a reservation that ended without a session."""
        return self.reservation is not None and self.reservation.end is not ReservationEnd.USED

    @property
    def is_credit(self) -> bool:
        return self.correction is not None and self.correction.kind is CorrectionKind.CREDIT

    @property
    def net_energy_wh(self) -> int:
        """What it adds to a sum of records: a credit takes away."""
        return -self.energy_wh if self.is_credit else self.energy_wh

    @property
    def entered_utc_ms(self) -> UtcMillis:
        """Where it stands in the ledger's order: by its start, a correction by when it was made."""
        return self.started_utc_ms if self.correction is None else self.correction.at_utc_ms

    @property
    def booked_utc_ms(self) -> UtcMillis | None:
        """In which month it is paid: that of its end, a correction that in which it was made. A month that was settled stays."""
        return self.ended_utc_ms if self.correction is None else self.correction.at_utc_ms


@dataclass(frozen=True, slots=True)
class SessionKept:
    """The present state of a session."""

    session: Session
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class ReservationKept:
    """A reservation that a charger holds, or that is over and need not be known after a restart."""

    reservation: Reservation
    is_over: bool = False
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class MessageKept:
    """A transaction message as it came, for the day somebody asks."""

    charger: ChargerId
    session: SessionId | None
    action: str
    frame: str
    received_utc_ms: UtcMillis
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class BillKept:
    """A revision owed to the backend: numbered, chained and put in the outbox in the same commit."""

    session: SessionId
    rev: int
    body: dict[str, object] = field(hash=False)
    """The ``session`` object of the billing record (INTERFACES 4), JSON-ready."""
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class EventKept:
    """An alarm, its end, or an audit entry; also owed to the backend on stream ``events``."""

    kind: str
    subject: str
    at_utc_ms: UtcMillis
    body: dict[str, object] = field(hash=False)
    durability: Durability = Durability.PROGRESS


@dataclass(frozen=True, slots=True)
class LimitKept:
    """A limit and its reason, for ``edgectl why --at``."""

    evse: EvseId
    limit_ma: MilliAmps
    reason: Reason
    at_utc_ms: UtcMillis
    durability: Durability = Durability.TELEMETRY


@dataclass(frozen=True, slots=True)
class RequeueKept:
    """Parked outbox rows go back into the line."""

    outbox_seqs: tuple[int, ...]
    """Empty: all of them."""
    at_utc_ms: UtcMillis
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class TelemetryKept:
    """A block of measurements, owed to the backend for as long as there is room."""

    kind: str
    """``evse``, ``meter`` or ``circuit``."""
    from_utc_ms: UtcMillis
    to_utc_ms: UtcMillis
    body: dict[str, object] = field(hash=False)
    """``things``, ``thing``, ``offset_ms`` and ``columns`` of the contract."""
    durability: Durability = Durability.TELEMETRY


@dataclass(frozen=True, slots=True)
class ReceiptKept:
    """The backend has these; their outbox rows may go."""

    stream: str
    epoch: str
    acked_through: int | None
    acked: tuple[tuple[str, int], ...]
    rejected: tuple[tuple[str, int, str], ...]
    """``(record_id, rev, why)``; parked, never deleted."""
    at_utc_ms: UtcMillis
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class ParkKept:
    """An outbox row that cannot be sent is set aside with its reason."""

    outbox_seq: int
    reason: str
    at_utc_ms: UtcMillis
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class ReplayKept:
    """Records the backend wants again: owed anew, as they were, also those with a receipt."""

    stream: str
    from_seq: int
    to_seq: int
    at_utc_ms: UtcMillis
    durability: Durability = Durability.BILLING


@dataclass(frozen=True, slots=True)
class Excursion:
    """A span in which one conductor was measured above its limit; short dips below do not end it."""

    circuit: CircuitId
    phase: Phase
    from_utc_ms: UtcMillis
    to_utc_ms: UtcMillis
    limit_ma: MilliAmps
    protection: str
    """The breaker or fuse whose curve the damage is reckoned with."""
    peak_ma: MilliAmps
    over_ms: Millis
    """Time above the limit, dips not counted."""
    excess_mas: int
    """Milliampere-seconds above the limit."""
    damage_permille: int
    """Of what the fastest lawful device of this kind takes before it may open (see ``protection``)."""


@dataclass(frozen=True, slots=True)
class ExcursionKept:
    """An excursion as far as it has gone."""

    excursion: Excursion
    durability: Durability = Durability.PROGRESS


@dataclass(frozen=True, slots=True)
class Curtailment:
    """What vehicles would have taken on one day, and were not allowed. An estimate (see ``core.curtailment``)."""

    day: str
    """Of the site's own time zone, ``2026-03-01``."""
    circuit: CircuitId
    cause: Cause
    energy_wh: WattHours
    held_ms: Millis
    """Time that vehicles were held back, added up over EVSEs."""


@dataclass(frozen=True, slots=True)
class CurtailmentKept:
    """The sum so far of one run of the daemon, named by its start."""

    run_utc_ms: UtcMillis
    curtailment: Curtailment
    durability: Durability = Durability.PROGRESS


Record: TypeAlias = (
    SessionKept
    | ReservationKept
    | MessageKept
    | BillKept
    | EventKept
    | LimitKept
    | ExcursionKept
    | CurtailmentKept
    | ReceiptKept
    | ParkKept
    | ReplayKept
    | TelemetryKept
    | RequeueKept
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What the ledger remembers of before: enough to go on without a second session."""

    open_sessions: tuple[Session, ...] = ()
    recent_sessions: tuple[Session, ...] = ()
    """Closed ones whose messages may still be repeated by a charger (the last days)."""
    last_transaction_number: int = 0
    epoch: str = ""
    reservations: tuple[Reservation, ...] = ()
    """That chargers hold, the oldest first."""
