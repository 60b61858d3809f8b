"""What each charger is known to be: its link, its boot, its connectors. Facts only; limits live in ``limits``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edgectl.core.clocks import ClockWatch
from edgectl.core.scales import ScaleWatch
from edgectl.core.sessions import RegisterWatch
from edgectl.domain.events import ChargerBooted, ChargerConnected, ConnectorStatus, StatusReported
from edgectl.domain.ids import ChargerId
from edgectl.domain.quirks import STANDARD, AppliedQuirks, QuirkProfile, Quirks, QuirkValue, RegisterBehaviour, apply_quirks
from edgectl.domain.site import Charger, Site
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis, UtcMillis

BOOT_GRACE_MS: Millis = 10_000
"""A charger that reconnects need not send BootNotification (OCPP 1.6 allows it); after this long it is taken as usable."""
PENDING_GRACE_MS: Millis = 60_000
"""One that was told to wait and never boots again is taken as usable after this long."""


IDENTITY = ("vendor", "model", "serial", "firmware")
"""What a charger says of itself when it boots."""


class Fallback(StrEnum):
    """The persistent safe default of a charger."""

    UNKNOWN = "unknown"
    ASKED = "asked"
    INSTALLED = "installed"
    """Accepted; it could not be read back, or has not been yet."""
    VERIFIED = "verified"
    """Accepted, and the charger's own schedule ends in it."""
    DIFFERS = "differs"
    """Accepted, and the charger's own schedule ends in something else."""
    REFUSED = "refused"

    @property
    def is_void(self) -> bool:
        """Known not to hold: without us the charger counts at its rating."""
        return self in {Fallback.DIFFERS, Fallback.REFUSED}


class Evidence(StrEnum):
    """How sure it is that a charger lowers itself without us."""

    NONE = "none"
    """Known not to hold, or never confirmed: it counts at its rating when it cannot be told anything."""
    ASSUMED = "assumed"
    """The charger has said yes, and cannot be asked what it made of it."""
    PROVEN = "proven"
    """Read back, measured in a drill, or vouched for in the site's file."""


FAULT_LASTS_MS: Millis = 5_000
"""A fault shorter than this flickers: it is counted, and not shown as the state."""


@dataclass(slots=True)
class Connector:
    status: ConnectorStatus = ConnectorStatus.UNKNOWN
    """As last reported."""
    error_code: str | None = None
    before: ConnectorStatus = ConnectorStatus.UNKNOWN
    """What it was before its fault."""
    fault_since_mono_ms: Millis | None = None
    fault_count: int = 0
    """Times it has gone into a fault since our start."""

    def note(self, status: ConnectorStatus, error_code: str | None, now: Instant) -> None:
        is_fault = status is ConnectorStatus.FAULTED
        if is_fault and self.fault_since_mono_ms is None:
            self.before = self.status
            self.fault_since_mono_ms = now.mono_ms
            self.fault_count += 1
        elif not is_fault:
            self.fault_since_mono_ms = None
        self.status, self.error_code = status, error_code

    def is_faulted(self, now: Instant) -> bool:
        """For long enough to be believed."""
        return self.fault_since_mono_ms is not None and now.mono_ms - self.fault_since_mono_ms >= FAULT_LASTS_MS

    def shown(self, now: Instant) -> ConnectorStatus:
        """The state without flicker."""
        is_flicker = self.fault_since_mono_ms is not None and not self.is_faulted(now)
        return self.before if is_flicker and self.before is not ConnectorStatus.UNKNOWN else self.status

    @property
    def is_occupied(self) -> bool:
        return self.status not in {ConnectorStatus.AVAILABLE, ConnectorStatus.UNAVAILABLE, ConnectorStatus.UNKNOWN}


def as_it_behaves(charger: Charger, quirks: Quirks) -> Charger:
    """The charger as configured, with the least it really takes.

    A fallback that would be a value it cannot hold counts as nothing: that is what such a charger is told instead.
    """
    min_ma = min(charger.max_ma, max(charger.min_ma, quirks.min_ma or 0, min(quirks.steps_ma, default=0)))
    return replace(charger, min_ma=min_ma, fallback_ma=charger.fallback_ma if charger.fallback_ma >= min_ma else 0)


@dataclass(slots=True)
class ChargerState:
    """One charger as it is now."""

    configured: Charger
    """As the site's file has it."""
    charger: Charger
    """As it behaves: with what its quirks change."""
    is_connected: bool = False
    link_number: int = 0
    protocol: str | None = None
    peer: str | None = None
    security_profile: int | None = None
    since_mono_ms: Millis | None = None
    is_accepted: bool = False
    is_pending: bool = False
    """It has booted and was told to wait until its configuration is what it should be."""
    is_greeted: bool = False
    """Its configuration has been looked at on this link."""
    is_status_asked: bool = False
    """The states of its connectors were asked for, if need be, on this link."""
    is_list_told: bool = False
    """It has been asked, on this link, for its list of tokens."""
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    is_known: bool = False
    """It has been here before."""
    is_identity_asked: bool = False
    """On this link."""
    fallback: Fallback = Fallback.UNKNOWN
    fallback_asked_mono_ms: Millis | None = None
    written_fallback_ma: MilliAmps | None = None
    """What the charger has confirmed last, also before a restart of ours."""
    is_fallback_verified: bool = False
    """What was written last has been read back, also before a restart of ours."""
    detail: str = ""
    applied: AppliedQuirks = STANDARD
    adopted_utc_ms: UtcMillis | None = None
    """When we first saw it; None when that was before we noted it."""
    registers: dict[int, RegisterWatch] = field(default_factory=dict)
    """By EVSE number."""
    clock: ClockWatch = field(default_factory=ClockWatch)
    scales: dict[int, ScaleWatch] = field(default_factory=dict)
    """By EVSE number."""
    link_count: int = 0
    """Connections since our start: how restless its link is."""
    connectors: dict[int, Connector] = field(default_factory=dict)
    """By EVSE number; 0 is the charger as a whole."""

    def apply(self, table: Sequence[QuirkProfile], measured: Mapping[str, QuirkValue] | None = None) -> bool:
        """Work out which quirks hold for what it says it is. Returns whether that is news."""
        identity = (self.vendor, self.model, self.firmware)
        applied = apply_quirks(table, identity, dict(self.configured.own_quirks), measured)
        charger = as_it_behaves(self.configured, applied.quirks)
        is_news = applied != self.applied or charger != self.charger
        self.applied, self.charger = applied, charger
        return is_news

    def identity(self) -> dict[str, object]:
        """Who it said it was when it booted last, and since when we know it."""
        known: dict[str, object] = {name: getattr(self, name) for name in IDENTITY}
        return known if self.adopted_utc_ms is None else known | {"adopted_utc_ms": self.adopted_utc_ms}

    @property
    def register(self) -> RegisterBehaviour:
        """As the table or the site's file says, else as it was seen to behave."""
        if self.quirks.register is not RegisterBehaviour.UNKNOWN:
            return self.quirks.register
        seen = {watch.behaviour for watch in self.registers.values()} - {RegisterBehaviour.UNKNOWN}
        return seen.pop() if len(seen) == 1 else RegisterBehaviour.UNKNOWN

    @property
    def fallback_evidence(self) -> Evidence:
        if self.configured.is_fallback_vouched:
            return Evidence.PROVEN
        if self.fallback.is_void or self.written_fallback_ma != self.charger.fallback_ma:
            return Evidence.NONE
        is_proven = self.fallback is Fallback.VERIFIED or self.is_fallback_verified
        return Evidence.PROVEN if is_proven else Evidence.ASSUMED

    @property
    def unbound_ma(self) -> MilliAmps:
        """What each of its EVSEs may draw when nothing of ours binds it."""
        return self.charger.max_ma if self.fallback_evidence is Evidence.NONE else self.charger.fallback_ma

    @property
    def quirks(self) -> Quirks:
        return self.applied.quirks

    def connector(self, evse_number: int) -> Connector:
        return self.connectors.setdefault(evse_number, Connector())

    def connect(self, event: ChargerConnected, now: Instant) -> None:
        self.is_connected = True
        self.is_accepted = False
        self.is_pending = False
        self.is_greeted = False
        self.is_status_asked = False
        self.is_list_told = False
        self.is_identity_asked = False
        self.link_count += 1
        self.link_number = event.link_number
        self.protocol = event.protocol
        self.peer = event.peer
        self.security_profile = event.security_profile
        self.since_mono_ms = now.mono_ms
        # A profile may not survive what happened meanwhile (some units forget on socket loss), so it is written again.
        self.fallback = Fallback.UNKNOWN
        self.fallback_asked_mono_ms = None

    def disconnect(self, reason: str, now: Instant) -> None:
        self.is_connected = False
        self.is_accepted = False
        self.since_mono_ms = now.mono_ms
        self.detail = f"disconnected: {reason}"

    def boot(self, event: ChargerBooted) -> None:
        self.is_accepted = True
        self.is_pending = False
        self.clock.reset()
        for watch in self.registers.values():
            watch.booted()
        self.vendor = event.vendor
        self.model = event.model
        self.serial = event.serial or self.serial
        self.firmware = event.firmware or self.firmware
        self.fallback = Fallback.UNKNOWN
        self.detail = ""

    def report(self, event: StatusReported, now: Instant) -> None:
        connector = self.connector(event.evse_number)
        if event.connector_number > 1 and event.status is ConnectorStatus.AVAILABLE and connector.is_occupied:
            return  # the other plug of an EVSE that serves one at a time
        connector.note(event.status, None if event.error_code in {None, "NoError"} else event.error_code, now)


class Chargers:
    """All chargers of the site, by id."""

    def __init__(self, site: Site, quirk_table: Sequence[QuirkProfile] = ()) -> None:
        self.by_id: dict[ChargerId, ChargerState] = {}
        self.quirk_table = quirk_table
        self.reload(site)

    def reload(self, site: Site) -> None:
        """Keep what is known of chargers that stay; forget those that left."""
        known = self.by_id
        self.by_id = {}
        for charger in site.chargers:
            state = known.get(charger.id) or ChargerState(charger, charger)
            before = state.charger
            state.configured = charger
            state.apply(self.quirk_table)
            if before.fallback_ma != state.charger.fallback_ma or before.max_ma != state.charger.max_ma:
                state.fallback = Fallback.UNKNOWN
                state.fallback_asked_mono_ms = None
            self.by_id[charger.id] = state

    def recall(self, known: Mapping[str, Mapping[str, object]]) -> None:
        """What was remembered of chargers that may reconnect without telling again who they are."""
        for state in self.by_id.values():
            for name, value in known.get(state.charger.id, {}).items():
                if name in IDENTITY and isinstance(value, str):
                    setattr(state, name, value)
                elif name == "adopted_utc_ms" and isinstance(value, int):
                    state.adopted_utc_ms = value
            state.is_known = state.charger.id in known
            state.apply(self.quirk_table)

    def recall_fallbacks(self, known: Mapping[str, Mapping[str, object]]) -> None:
        """What chargers have confirmed before our own start."""
        for state in self.by_id.values():
            document = known.get(state.charger.id, {})
            written_ma = document.get("fallback_ma")
            if isinstance(written_ma, int):
                state.written_fallback_ma = written_ma
                state.is_fallback_verified = document.get("verified") is True

    def get(self, charger_id: ChargerId) -> ChargerState | None:
        return self.by_id.get(charger_id)
