"""The plant as configured: circuits, meters, chargers and how they are to be run. Frozen; a reload makes a new one.

Numbers are already in internal units. ``config`` builds these from the YAML file and has checked every reference, so the
rest of the house may rely on: one root circuit, no cycle, every ``fed_by``/``meter``/``circuit`` resolves, fallback <= maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from edgectl.domain.external import ExternalInput
from edgectl.domain.ids import ChargerId, CircuitId, EvseId, IdToken, MeterId, SiteId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.protection import Curve, Protection
from edgectl.domain.quirks import QuirkValue
from edgectl.domain.tariff import Pricing
from edgectl.domain.units import MilliAmps, Millis, MilliVolts, UtcMillis, Watts, power_from_current_w


class MeterLoss(StrEnum):
    """What a circuit does when its guard meter has gone quiet."""

    SAFE = "safe"
    """Its chargers get their fallback and no more."""
    HOLD = "hold"
    """Keep the last good background for ``hold_ms``, then safe."""
    STOP = "stop"
    """Its chargers get nothing."""


class MeterRole(StrEnum):
    GUARD = "guard"
    """Measures the conductor we protect: chargers and everything else on it."""
    CONSUMER = "consumer"
    """Measures a load beside the chargers; it is subtracted from the circuit's limit."""


class PowerKind(StrEnum):
    AC = "ac"
    DC = "dc"


@dataclass(frozen=True, slots=True)
class Circuit:
    """A protected conductor set with one limit per phase."""

    id: CircuitId
    limit_ma: Phases
    fed_by: CircuitId | None = None
    limit_w: Watts | None = None
    """A power limit over all phases beside the current limit, e.g. the connection contract."""
    soft_limit_ma: Phases | None = None
    """Kept as long as no departure is lost by it, e.g. for the peak of a tariff."""
    soft_limit_w: Watts | None = None
    """The same as a power over all phases."""
    imbalance_ma: MilliAmps | None = None
    """The most by which vehicles may load one phase more than another (VDE-AR-N 4100: 20 A)."""
    meter: MeterId | None = None
    protection: Protection | None = None
    """The breaker or fuse of the conductor; None: not told, and then taken to be a C breaker of its limit."""
    margin_ma: MilliAmps = 0
    other_loads_ma: Phases = ZERO
    """The most that unmetered other loads may draw; also what is assumed of a metered circuit in the worst case."""
    generation_ma: Phases = ZERO
    """The most that generators here may feed in: what a meter may show less than the loads behind it, and export."""
    on_meter_loss: MeterLoss = MeterLoss.SAFE
    hold_ms: Millis = 60_000

    @property
    def protected_by(self) -> Protection:
        return self.protection or Protection(Curve.C, self.limit_ma.largest)


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter's part in control. How it is reached is the business of the meters adapter (``config.MeterConnection``)."""

    id: MeterId
    role: MeterRole = MeterRole.GUARD
    max_age_ms: Millis = 3_000
    """Older than this a reading is no reading. 1 to 10 s (PRODUCT: guard meters)."""


class Plug(StrEnum):
    """What a vehicle is plugged into."""

    TYPE2_SOCKET = "type2-socket"
    TYPE2_CABLE = "type2-cable"
    TYPE1_CABLE = "type1-cable"
    CCS2 = "ccs2"
    CCS1 = "ccs1"
    CHADEMO = "chademo"
    NACS = "nacs"


@dataclass(frozen=True, slots=True)
class Location:
    """Where the site is, as OCPI records name it."""

    address: str
    city: str
    country: str
    """ISO 3166-1 alpha-3."""
    latitude: str
    """Decimal degrees, as text: digits matter, arithmetic does not."""
    longitude: str
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class Charger:
    """A charging station and its electrical facts. All currents are per phase and per EVSE."""

    id: ChargerId
    circuit: CircuitId
    kind: PowerKind = PowerKind.AC
    evse_count: int = 1
    min_ma: MilliAmps = 6_000
    """The least it can be told short of nothing; IEC 61851-1 has no pilot between 0 and 6 A."""
    max_ma: MilliAmps = 32_000
    fallback_ma: MilliAmps = 6_000
    """What each EVSE falls to by itself when it does not hear from us."""
    phases: tuple[Phase, ...] = ALL_PHASES
    """The site phase on which the charger's L1, L2, L3 are wired, in that order; one entry for a single-phase charger."""
    unbalanced_ma: MilliAmps | None = None
    """The most that it lets a vehicle draw which takes fewer phases than it has; 0 where none does. None: all it has."""
    plug: Plug | None = None
    """None: not said; AC is taken for a type 2 socket, DC for CCS 2."""
    is_fallback_vouched: bool = False
    """A person answers for it: set on the device itself, or seen to hold; also where its power is off."""
    own_quirks: tuple[tuple[str, QuirkValue], ...] = ()
    """Fields of ``quirks.Quirks`` that the site's file sets for this charger."""

    @property
    def evses(self) -> tuple[EvseId, ...]:
        return _evses(self.id, self.evse_count)


@lru_cache(maxsize=4096)
def _evses(charger: ChargerId, count: int) -> tuple[EvseId, ...]:
    """Asked for at every step of every charger."""
    return tuple(EvseId(charger, number) for number in range(1, count + 1))


class TokenStatus(StrEnum):
    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    CONCURRENT = "concurrent"
    """Already charging elsewhere, and allowed only one session at a time."""


@dataclass(frozen=True, slots=True)
class Token:
    """A known id token."""

    uid: IdToken
    status: TokenStatus = TokenStatus.ACCEPTED
    expires_utc_ms: UtcMillis | None = None
    group: IdToken | None = None
    """Parent token: members of a group may stop each other's sessions."""
    priority: int = 0
    """Larger is served first."""
    account: str | None = None
    tariff: str | None = None
    """Of its sessions; None for the account's or the site's."""
    is_never_paused: bool = False
    """Not stopped for somebody else's turn."""
    is_managed: bool = False
    """From the backend's list, which grows old; those of the site's file do not."""


class OfflinePolicy(StrEnum):
    """Who may charge when nobody upstream can be asked: at a charger without us, and while the backend's list is too old."""

    KNOWN_TOKENS = "known-tokens"
    ANYONE = "anyone"
    NOBODY = "nobody"
    """Chargers without us begin nothing; here the tokens of the site's file count, and a list that is too old does not."""


class Strategy(StrEnum):
    FAIR = "fair"
    """Everybody the same, as far as he can take it."""
    PRIORITY = "priority"
    """By the priority of the token."""
    DEPARTURE = "departure"
    """Who must leave with so much by then comes first, as late as that will do."""


class Priorities(StrEnum):
    """What a larger priority means."""

    STRICT = "strict"
    """It is served before all smaller ones."""
    WEIGHTED = "weighted"
    """It gets a larger part: one of 2 has three parts where one of 0 has one."""


@dataclass(frozen=True, slots=True)
class Balancing:
    """How the control loop behaves."""

    strategy: Strategy = Strategy.FAIR
    priorities: Priorities = Priorities.STRICT
    rotate_ms: Millis = 15 * 60_000
    dead_time_ms: Millis = 5_000
    """The least time between two limits to one EVSE, except to lower it further (IEC 61851-1: PWM change every 5 s)."""
    raise_after_ms: Millis = 10_000
    """Headroom must have lasted this long before a running vehicle is raised."""
    lease_ms: Millis = 180_000
    """Every limit we send ends by itself after this long; renewed at half life."""
    restart_spread_ms: Millis = 30_000
    """After a blackout each vehicle is raised above its minimum after its own random part of this."""
    answer_timeout_ms: Millis = 15_000
    """A limit not answered by then counts as not confirmed."""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything the core needs to know about one site."""

    id: SiteId
    circuits: tuple[Circuit, ...]
    """Parents before children; the first is the root, the grid connection."""
    chargers: tuple[Charger, ...]
    meters: tuple[Meter, ...] = ()
    inputs: tuple[ExternalInput, ...] = ()
    tokens: tuple[Token, ...] = ()
    name: str = ""
    location: Location | None = None
    timezone: str = "UTC"
    voltage_mv: MilliVolts = 230_000
    """Nominal, phase to neutral; also where there is no neutral."""
    wiring: Wiring = Wiring.STAR
    currency: str = "EUR"
    pricing: Pricing = field(default_factory=Pricing)
    signature_keys: tuple[tuple[str, str], ...] = ()
    """Serial number of a meter, and the public key its signed values are checked with, as text."""
    offline_policy: OfflinePolicy = OfflinePolicy.KNOWN_TOKENS
    tokens_max_age_ms: Millis | None = None
    """The backend's list is too old this long after it was last told; None: never."""
    is_reversed_known: bool = False
    """A card is also known by its bytes the other way round."""
    master_group: IdToken | None = None
    """Whose tokens end anybody's session, and begin none (OCPP 2.0.1 C16); None: there is none."""
    balancing: Balancing = field(default_factory=Balancing)

    def circuit(self, circuit_id: CircuitId) -> Circuit:
        return next(circuit for circuit in self.circuits if circuit.id == circuit_id)

    def charger(self, charger_id: ChargerId) -> Charger | None:
        return next((charger for charger in self.chargers if charger.id == charger_id), None)

    def path(self, circuit_id: CircuitId) -> tuple[Circuit, ...]:
        """The circuit and all that feed it, up to the root."""
        found = []
        current: CircuitId | None = circuit_id
        while current is not None:
            circuit = self.circuit(current)
            found.append(circuit)
            current = circuit.fed_by
        return tuple(found)

    def power_w(self, charger: Charger, current_ma: MilliAmps) -> Watts:
        """What ``current_ma`` per phase means for this charger, at the site's nominal voltage, rounded down."""
        return power_from_current_w(current_ma, self.load_mv(len(charger.phases)))

    def load_mv(self, phase_count: int) -> MilliVolts:
        """What makes the power of a load on so many phases of its current, nominally."""
        return self.wiring.load_mv(self.voltage_mv, phase_count)
