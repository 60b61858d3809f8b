"""What people are shown: one picture of the site at one moment, made by the core, rendered by the page, the API and the CLI."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.events import Quality
from edgectl.domain.ids import ChargerId, CircuitId, MeterId, SessionId
from edgectl.domain.phases import Phases
from edgectl.domain.reasons import Cause, Reason
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, WattHours, Watts


@dataclass(frozen=True, slots=True)
class MeterView:
    id: MeterId
    role: str
    quality: Quality
    reason: str
    age_ms: Millis | None
    current_ma: Phases | None
    power_total_w: Watts | None
    energy_import_wh: WattHours | None
    energy_age_ms: Millis | None = None
    """Energy is read less often than currents."""


@dataclass(frozen=True, slots=True)
class CircuitView:
    id: CircuitId
    fed_by: CircuitId | None
    limit_ma: Phases
    allowed_ma: Phases
    """The limit, or less where somebody outside allows less."""
    allowed_w: Watts | None
    limited_by: str
    """Who outside allows less; empty when nobody does."""
    margin_ma: MilliAmps
    measured_ma: Phases | None
    background_ma: Phases
    """What everything but the chargers draws, or is assumed to."""
    headroom_ma: Phases
    """What the chargers below may share."""
    reserved_ma: Phases
    """The worst the chargers below may draw with what they were last told."""
    silent_ma: Phases
    """The part of it that is left free for chargers which cannot be told anything."""
    commanded_ma: Phases
    """What those were told that can be told."""
    mode: str
    """``metered``, ``static``, ``hold``, ``safe`` or ``stop``."""
    over_limit_ms: Millis
    """How long the measured current has been above the limit; 0 while it is not."""


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit from outside the site's file."""

    id: str
    kind: str
    """``circuit`` or ``charger``."""
    target: str
    by: str
    """``backend``, ``local-api``, ``local-cli`` or ``input``."""
    actor: str
    """Who, or which input."""
    current_ma: Phases | None
    power_w: Watts | None
    """What it allows now; both None: nothing is limited at present."""
    issued_utc_ms: UtcMillis | None
    until_utc_ms: UtcMillis | None
    """Its end by the present clock; None when it has none."""
    then_current_ma: Phases | None
    then_power_w: Watts | None
    """What holds after its end; both None: what the file allows."""
    state: str
    """``in-force``, ``then`` (its end has passed, what was to hold then holds), ``uncertain`` (its end lies in the time the
    gateway was off), ``lost`` (the input cannot be read) or ``no-target`` (the file no longer has its circuit or charger)."""
    detail: str


@dataclass(frozen=True, slots=True)
class TargetView:
    """Who is here must leave with so much by then."""

    energy_wh: WattHours | None
    depart_utc_ms: UtcMillis | None
    priority: int | None
    actor: str
    remaining_wh: WattHours | None
    """None when it is no longer planned for: the energy is there, the departure past, or the site shares in another way."""
    laxity_ms: Millis | None
    """Time that could still be lost; negative when it will be missed."""


@dataclass(frozen=True, slots=True)
class EvseView:
    number: int
    status: str
    """Without flicker: a fault counts when it has lasted for some seconds."""
    reported_status: str
    """As the charger said last."""
    fault_count: int
    """Times it has gone into a fault since the start."""
    error_code: str | None
    session: SessionId | None
    id_token: str | None
    energy_wh: WattHours | None
    session_started_utc_ms: UtcMillis | None
    commanded_ma: MilliAmps | None
    confirmed_ma: MilliAmps | None
    measured_ma: Phases | None
    """On site phases."""
    measured_age_ms: Millis | None
    power_w: Watts | None
    soc_percent: int | None
    lease_left_ms: Millis | None
    limit_since_ms: Millis | None
    rung: str
    """In which of the standard's ways it is told: ``tx``, ``tx-default``, ``station-max``; ``stop`` where none has worked."""
    rung_since_utc_ms: UtcMillis | None
    """When it was entered because the one before had not worked; None where it is the first."""
    rung_detail: str
    """Why."""
    queue_number: int | None
    """Place in the queue while it waits for its turn, from 1."""
    pause_count: int
    """Times it was stopped for others in this session."""
    owed_wh: WattHours
    """What it went without while it waited for its turn, and has not had since."""
    turn_since_utc_ms: UtcMillis | None
    """When its present run began, or its pause, or its first wait; None without a vehicle."""
    target: TargetView | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class KeyView:
    """One configuration key or variable of a charger: what it was, what it should be, what became of it."""

    key: str
    before: str | None
    """None: the charger did not tell."""
    wanted: str
    after: str | None
    outcome: str
    """``unchanged``, ``accepted``, ``reboot-required``, ``rejected``, ``not-supported``, ``read-only``, ``timeout``,
    ``caused-reboot``, ``skipped``, ``waiting`` or ``differs`` (accepted, but reads back otherwise)."""
    at_utc_ms: UtcMillis


@dataclass(frozen=True, slots=True)
class CommissioningView:
    """How far a charger's configuration is what it should be."""

    state: str
    """``idle``, ``reading``, ``writing``, ``verifying``, ``done``, ``restoring`` or ``stopped``."""
    detail: str
    at_utc_ms: UtcMillis | None
    keys: tuple[KeyView, ...]


@dataclass(frozen=True, slots=True)
class ProbeView:
    """One finding of the drill."""

    name: str
    value: str
    evidence: str
    """What was measured, in words."""


@dataclass(frozen=True, slots=True)
class DrillView:
    """The measured fingerprint of a charger."""

    state: str
    """``never``, ``running``, ``done`` or ``stopped``."""
    detail: str
    at_utc_ms: UtcMillis | None
    probes: tuple[ProbeView, ...]


@dataclass(frozen=True, slots=True)
class MechanismView:
    """One thing that lowers a charger, or keeps it low, without us."""

    name: str
    state: str
    """``proven``, ``assumed`` or ``none``."""
    evidence: str


@dataclass(frozen=True, slots=True)
class ReservationView:
    """A place that is kept for somebody; for whom is not shown to everybody."""

    reservation_number: int
    evse_number: int
    """0: any."""
    until_utc_ms: UtcMillis


@dataclass(frozen=True, slots=True)
class ChargerView:
    id: ChargerId
    circuit: CircuitId
    is_connected: bool
    is_accepted: bool
    protocol: str | None
    peer: str | None
    security_profile: int | None
    vendor: str | None
    model: str | None
    firmware: str | None
    serial: str | None
    fallback: str
    """``installed``, ``asked``, ``refused`` or ``unknown``."""
    mechanisms: tuple[MechanismView, ...]
    """What lowers it without us, and how sure that is."""
    writes_per_hour_count: int
    """Limits sent to it within the last hour, renewals included: where its firmware keeps them in flash, this wears it."""
    link_count: int
    """Connections since the start."""
    clock_offset_ms: Millis
    """Its clock minus ours, where it is off by more than delay explains; 0 when it is right or not known."""
    since_ms: Millis | None
    """How long in the present connection state."""
    detail: str
    """The last trouble in plain words; empty when none."""
    quirks: tuple[tuple[str, str], ...]
    """The quirk profiles that apply, and why."""
    checklist: tuple[str, ...]
    """What a person should set on the device itself."""
    register: str
    """How its energy register was seen to behave: ``unknown``, ``lifetime``, ``boot`` or ``session``."""
    commissioning: CommissioningView
    drill: DrillView
    limited_by: str
    """Who outside limits it; empty when nobody does."""
    local_list: str
    """How its own list of tokens stands, in words."""
    reservations: tuple[ReservationView, ...]
    """That it holds."""
    evses: tuple[EvseView, ...]


@dataclass(frozen=True, slots=True)
class AlarmView:
    kind: str
    subject: str
    since_utc_ms: UtcMillis
    detail: str


@dataclass(frozen=True, slots=True)
class RefusedView:
    """Somebody who knocked and was not let in."""

    charger: ChargerId
    peer: str
    reason: str
    at_utc_ms: UtcMillis
    attempt_count: int


@dataclass(frozen=True, slots=True)
class CurtailedView:
    """What vehicles were not allowed to take since the start, at one circuit for one cause; an estimate."""

    circuit: CircuitId
    cause: Cause
    energy_wh: WattHours
    held_ms: Millis


@dataclass(frozen=True, slots=True)
class RoomView:
    """Room that records take up, and how long it lasts."""

    name: str
    """``ledger``: up to its budget; ``disk``: up to where only billing is written."""
    left_bytes: int
    used_per_day_bytes: int
    """At the rate of the last week; 0 while that is not known, or nothing is used up."""
    left_days: int | None
    """At that rate; None: no end in sight."""


@dataclass(frozen=True, slots=True)
class SiteView:
    site: str
    name: str
    timezone: str
    at_utc_ms: UtcMillis
    uptime_ms: Millis
    uplink_connected: bool
    uplink_detail: str
    store_healthy: bool
    circuits: tuple[CircuitView, ...]
    meters: tuple[MeterView, ...]
    chargers: tuple[ChargerView, ...]
    limits: tuple[LimitView, ...]
    """Limits from outside the site's file."""
    alarms: tuple[AlarmView, ...]
    refused: tuple[RefusedView, ...]
    open_session_count: int
    curtailed: tuple[CurtailedView, ...]
    counters: tuple[tuple[str, int], ...]
    """Named counts since start, e.g. ``input_refused_mqtt``; names are stable."""
    room: tuple[RoomView, ...] = ()
    """Empty until it was looked at for the first time, a minute after the start."""


@dataclass(frozen=True, slots=True)
class Health:
    """``is_live``: control periods complete. ``is_ready``: every adapter has started."""

    last_period_age_ms: Millis | None
    is_live: bool
    is_ready: bool
    detail: str
