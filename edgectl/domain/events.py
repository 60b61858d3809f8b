"""Everything that can happen, in our own words. Adapters make these; only the core interprets them.

The runtime adds the moment (``Instant``) when it hands an event to the core. Fields named ``reported_utc_ms`` are the charger's
own clock and are kept beside ours, never used as a deadline. ``None`` always means "not said", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from edgectl.domain.external import LimitSource, LimitWish
from edgectl.domain.ids import ChargerId, IdToken, InputId, MeterId, TransactionRef
from edgectl.domain.phases import Phases
from edgectl.domain.records import Session
from edgectl.domain.site import Site, Token
from edgectl.domain.tariff import Tariff
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, WattHours, Watts

# --- chargers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A charger's request that must be answered exactly once, with ``Reply``."""

    charger: ChargerId
    link_number: int
    """Which connection of this charger it came on; an answer never goes to another."""
    message_id: str
    action: str
    frame: str = ""
    """The text as received, kept beside billable records."""


@dataclass(frozen=True, slots=True)
class ChargerConnected:
    charger: ChargerId
    link_number: int
    protocol: str
    """WebSocket subprotocol: ``ocpp1.6``, ``ocpp2.0.1``, ``ocpp2.1``."""
    peer: str
    security_profile: int


@dataclass(frozen=True, slots=True)
class ChargerDisconnected:
    charger: ChargerId
    link_number: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChargerRefused:
    """Somebody knocked and was not let in: unknown id, wrong password, no common subprotocol."""

    charger: ChargerId
    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChargerBooted:
    call: Call
    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    call: Call


class ConnectorStatus(StrEnum):
    """The finer OCPP 1.6 list; 2.x ``Occupied`` is refined by the transaction's charging state."""

    AVAILABLE = "available"
    PREPARING = "preparing"
    CHARGING = "charging"
    SUSPENDED_EVSE = "suspended_evse"
    SUSPENDED_EV = "suspended_ev"
    FINISHING = "finishing"
    RESERVED = "reserved"
    OCCUPIED = "occupied"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StatusReported:
    call: Call
    evse_number: int
    """0 is the charger as a whole."""
    connector_number: int
    status: ConnectorStatus
    error_code: str | None = None
    info: str | None = None
    reported_utc_ms: UtcMillis | None = None


@dataclass(frozen=True, slots=True)
class TokenPresented:
    call: Call
    token: IdToken


@dataclass(frozen=True, slots=True)
class Sample:
    """One timestamped set of values from a charger. Currents are on the *charger's* L1, L2, L3."""

    reported_utc_ms: UtcMillis | None = None
    context: str = "periodic"
    energy_wh: WattHours | None = None
    """The import register."""
    power_w: Watts | None = None
    current_ma: Phases | None = None
    current_single_ma: MilliAmps | None = None
    """A current without a phase: the charger does not say where it flows."""
    voltage_mv: Phases | None = None
    offered_ma: MilliAmps | None = None
    soc_percent: int | None = None
    signed_values: tuple[str, ...] = ()
    """Signed meter values, byte for byte as received."""
    dropped: tuple[str, ...] = ()
    """What could not be understood, in words; counted, never fatal."""


@dataclass(frozen=True, slots=True)
class TransactionStarted:
    call: Call
    evse_number: int
    connector_number: int
    token: IdToken | None
    meter_start_wh: WattHours | None
    reported_utc_ms: UtcMillis | None
    transaction: TransactionRef | None = None
    """The station's own id (2.x). None on 1.6, where we issue one."""
    samples: tuple[Sample, ...] = ()
    charging_state: ConnectorStatus | None = None
    is_offline: bool = False
    sequence_number: int | None = None
    reservation_number: int | None = None
    """The reservation that it uses up, by the charger's word."""


@dataclass(frozen=True, slots=True)
class MeterValuesReported:
    """Values during (1.6 MeterValues, 2.x TransactionEvent Updated) or outside a transaction."""

    call: Call
    evse_number: int
    transaction: TransactionRef | None
    samples: tuple[Sample, ...]
    charging_state: ConnectorStatus | None = None
    token: IdToken | None = None
    is_offline: bool = False
    sequence_number: int | None = None
    is_resumed: bool = False
    """The transaction goes on after the station restarted (2.1); its profile may be gone."""
    reservation_number: int | None = None
    """As in ``TransactionStarted``: 2.x tells it when the driver is known, which may be later."""


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    call: Call
    transaction: TransactionRef | None
    token: IdToken | None
    meter_stop_wh: WattHours | None
    reported_utc_ms: UtcMillis | None
    reason: str
    evse_number: int | None = None
    samples: tuple[Sample, ...] = ()
    is_offline: bool = False
    sequence_number: int | None = None


@dataclass(frozen=True, slots=True)
class ChargerNotified:
    """Anything that needs an answer and a note, but no decision: firmware and log progress, security events, data transfer."""

    call: Call
    kind: str
    detail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SchedulePulled:
    """A station asks for the present limit under a dynamic profile (2.1 K28)."""

    call: Call
    evse_number: int | None
    """None: the profile is none of ours."""


@dataclass(frozen=True, slots=True)
class CertificateRequested:
    """A station asks for a certificate of its own (1.6 security extension, 2.x A02)."""

    call: Call
    csr: str
    """PEM, as received."""
    kind: str = "station"
    """``station`` or ``v2g``."""


@dataclass(frozen=True, slots=True)
class CertificateSigned:
    """The authority's answer to ``SignCertificate``: a chain, or why not."""

    charger: ChargerId
    request_id: str
    chain: str | None
    """PEM, the station's certificate first; None when it was refused."""
    problem: str = ""


class Outcome(StrEnum):
    """What became of something we asked of a charger."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SUPPORTED = "not-supported"
    ERROR = "error"
    TIMEOUT = "timeout"
    SUPERSEDED = "superseded"
    """Never sent: a newer limit for the same EVSE took its place in the queue."""
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class LimitAnswered:
    charger: ChargerId
    evse_number: int
    order_number: int
    """``SetLimit.order_number`` of the order this answers."""
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FallbackAnswered:
    charger: ChargerId
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """The answer to ``Ask``."""

    charger: ChargerId
    ask_id: str
    outcome: Outcome
    status: str = ""
    """The charger's own word, e.g. ``UnlockFailed``."""
    detail: tuple[tuple[str, str], ...] = ()


# --- meters -----------------------------------------------------------------------------------------------------------


class Quality(StrEnum):
    GOOD = "good"
    NO_VALUE = "no-value"


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One complete reading, on *site* phases, import positive. Completed at ``completed_mono_ms`` on our clock."""

    meter: MeterId
    completed_mono_ms: Millis
    quality: Quality
    reason: str = ""
    """Why there is no value, e.g. ``timeout``, ``nan``, ``short-answer``; empty when good."""
    current_ma: Phases | None = None
    power_w: Phases | None = None
    power_total_w: Watts | None = None
    voltage_mv: Phases | None = None
    frequency_mhz: int | None = None
    energy_import_wh: WattHours | None = None
    energy_export_wh: WattHours | None = None
    energy_mono_ms: Millis | None = None
    """When frequency and energy were read, which is less often than the currents."""
    energy_note: str = ""
    """What happened to a counter just now: ``rollover``, ``reset``, ``energy-jump`` or ``meter-replaced``."""


@dataclass(frozen=True, slots=True)
class MeterRead:
    reading: MeterReading


@dataclass(frozen=True, slots=True)
class InputRead:
    """One attempt to read a contact or register. Without a ``value_number`` the reason says why."""

    input: InputId
    completed_mono_ms: Millis
    value_number: int | None
    reason: str = ""


# --- uplink -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UplinkChanged:
    is_connected: bool
    detail: str = ""
    has_broker: bool = True
    """False where the site's file names none."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The backend will not have this record as it is."""

    record_id: str
    rev: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """The backend has committed these records itself. Only this removes a billing record from the outbox."""

    stream: str
    epoch: str
    acked_through: int | None = None
    acked: tuple[tuple[str, int], ...] = ()
    """``(record_id, rev)``."""
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishRefused:
    """The broker refused a row, or it can never be sent. It is parked so that the line moves on."""

    outbox_seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class InputRefused:
    """Something unreadable came to a door (MQTT, OCPP, HTTP). Counted and shown; nothing else happens."""

    door: str
    reason: str


# --- host -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """A control period has passed."""


@dataclass(frozen=True, slots=True)
class Solved:
    """The answer to ``Solve``."""

    number: int
    values: tuple[float, ...] | None
    """Of each column; None where there is no answer."""
    problem: str = ""
    """Why not."""


@dataclass(frozen=True, slots=True)
class SiteReloaded:
    site: Site


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """The disk accepts records, or it does not."""

    is_healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LedgerReplaced:
    """The ledger was damaged and has been set aside; a new one with a new epoch has begun. Or what it held is taken in."""

    kept_as: str
    """Empty once it is taken in."""


@dataclass(frozen=True, slots=True)
class RoomMeasured:
    """How full the ledger and its file system are."""

    used_bytes: int
    budget_bytes: int
    disk_free_bytes: int
    disk_least_bytes: int
    """With less free, only billing is written."""


@dataclass(frozen=True, slots=True)
class ActionRequested:
    """A person or the backend wants something done with a charger; answered by ``ActionAnswered``."""

    action_id: str
    charger: ChargerId
    name: str
    """``start``, ``stop``, ``reset`` ...; see ``core.actions``."""
    arguments: tuple[tuple[str, str], ...] = ()
    actor: str = ""
    """Who, for the record: ``local:NAME`` or the backend's word."""


@dataclass(frozen=True, slots=True)
class LimitRequested:
    """Somebody outside wants a limit set, changed or lifted; answered by ``ActionAnswered``."""

    action_id: str
    source: LimitSource
    actor: str
    """Who, in the door's own words: the login name, the backend's word."""
    wish: LimitWish
    request_id: str = ""
    """The sender's id of the request, where it has one: the same one changes nothing."""
    issued_utc_ms: UtcMillis | None = None
    """When the sender says it decided so; an older wish never replaces a newer one of the same authority. None: now."""
    may_raise: bool = True
    """False: it may only lower what this authority has set before."""


@dataclass(frozen=True, slots=True)
class TokensGiven:
    """The backend's own tokens, beside those of the site's file; answered by ``ActionAnswered``."""

    action_id: str
    actor: str
    version_number: int
    mode: str
    """``replace`` all of them, ``merge`` these into them, ``remove`` these."""
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class TariffsGiven:
    """The backend's own tariffs, in place of those it gave before; answered by ``ActionAnswered``."""

    action_id: str
    actor: str
    version_number: int
    tariffs: tuple[Tariff, ...]
    default: str | None = None
    """Of sessions for whose token neither the file nor the backend names another."""


@dataclass(frozen=True, slots=True)
class RequeueRequested:
    """A person has mended what kept these outbox rows from being sent; answered by ``ActionAnswered``."""

    action_id: str
    actor: str
    outbox_seqs: tuple[int, ...]
    """Empty: all that are parked."""


@dataclass(frozen=True, slots=True)
class CorrectionRequested:
    """A person says what should stand in the place of a sealed record; answered by ``ActionAnswered``."""

    action_id: str
    actor: str
    session: Session
    """As the ledger has it."""
    replacement: Session | None
    """What has replaced it already."""
    energy_wh: WattHours | None
    tariff: str | None
    """The OCPI object as text."""
    reason: str


@dataclass(frozen=True, slots=True)
class AccessChecked:
    """What the broker lets us do, found out by asking it; empty when it is all we need."""

    problem: str


@dataclass(frozen=True, slots=True)
class CredentialsChecked:
    """Why the uplink's credentials on the disk cannot be used, so that the last good ones are; empty when they can."""

    problem: str


@dataclass(frozen=True, slots=True)
class ReplayRequested:
    """The backend wants records again; answered by ``ActionAnswered``."""

    action_id: str
    actor: str
    stream: str
    from_seq: int
    to_seq: int


Event: TypeAlias = (
    ChargerConnected
    | ChargerDisconnected
    | ChargerRefused
    | ChargerBooted
    | HeartbeatReceived
    | StatusReported
    | TokenPresented
    | TransactionStarted
    | MeterValuesReported
    | TransactionEnded
    | ChargerNotified
    | SchedulePulled
    | CertificateRequested
    | CertificateSigned
    | LimitAnswered
    | FallbackAnswered
    | RequestAnswered
    | MeterRead
    | InputRead
    | UplinkChanged
    | ReceiptReceived
    | PublishRefused
    | InputRefused
    | Tick
    | Solved
    | SiteReloaded
    | StoreChanged
    | LedgerReplaced
    | RoomMeasured
    | ActionRequested
    | LimitRequested
    | TokensGiven
    | TariffsGiven
    | ReplayRequested
    | RequeueRequested
    | AccessChecked
    | CredentialsChecked
    | CorrectionRequested
)
