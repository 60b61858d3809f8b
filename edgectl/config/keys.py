"""The table of keys of ``site.yaml`` and ``tokens.yaml``: name, kind, whether required, default, and what it is for.

This is the one place where a key is declared. Reading, messages and ``edgectl schema`` follow from it; checks across keys
are in ``circuits``, ``chargers``, ``buses`` and ``edges``.
"""

# The helpers of ``sections`` return ``dataclasses.field()``, which the linter cannot see.
# ruff: noqa: RUF009

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from edgectl.config.addresses import (
    BROKER_ALLOWED,
    BROKER_PATTERN,
    CONNECT_ALLOWED,
    CONNECT_PATTERN,
    LISTEN_ALLOWED,
    LISTEN_PATTERN,
    Address,
    Broker,
    parse_broker,
    parse_connect,
    parse_listen,
)
from edgectl.config.certificates import Certificates
from edgectl.config.command_keys import ED25519_ALLOWED, parse_ed25519
from edgectl.config.electrical import (
    AMPS,
    MOST_CURRENT_MA,
    PROTECTION_ALLOWED,
    PROTECTION_PATTERN,
    WATTS,
    CurrentRange,
    Fallback,
    Limit,
    LimitKind,
    PerPhase,
    PhaseList,
    PowerRange,
    Span,
    parse_protection,
)
from edgectl.config.kinds import Choice, Credential, Flag, Integer, ListOf, Parsed, Quantity, Text, Version, duration
from edgectl.config.levels import LevelKind, LevelMap, Register, RegisterKind
from edgectl.config.problems import Refused, nearest
from edgectl.config.quantities import CURRENT, DAYS, SIZE, VOLTAGE, Amount, parse, show
from edgectl.config.quirk_keys import QuirkKeys
from edgectl.config.sections import Entries, EntriesOf, Section, SectionOf, defaulting, optional, required, section
from edgectl.config.tariff_keys import TARIFF_ID, LocationKeys, TariffsKeys
from edgectl.domain.external import Level
from edgectl.domain.lines import Wiring, to_neutral_mv
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.protection import Protection
from edgectl.domain.roles import Role
from edgectl.domain.settings import ClockNeed, Connection, UnknownChargers
from edgectl.domain.site import MeterLoss, MeterRole, OfflinePolicy, Plug, Priorities, Strategy, TokenStatus
from edgectl.domain.units import MilliAmps, Millis, MilliVolts, Watts

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

NAME = Text("letters, digits, - _ and . , at most 48", r"[A-Za-z0-9][A-Za-z0-9_.-]*", longest=48)
SITE_ID = Text("a-z, 0-9 and -, beginning and ending with a letter or digit", r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", longest=36)
# OCPP 2.0.1 gives an identity 48 characters; ':' would end the user name of HTTP basic authentication (OCPP 1.6 security,
# profile 1), and '+', '#' and '/' mean something else in the MQTT topics that carry the id.
CHARGER_ID = Text("letters, digits and * - _ = | @ . , without ':', at most 48", r"[A-Za-z0-9*_=|@.-]+", longest=48)
UID = Text("printable text, at most 255 characters", r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*", longest=255)
REFERENCE_TO_CIRCUIT = Text("the name of a circuit", NAME.pattern, 48, "one circuit is needed: a charger hangs on exactly one")
PATH = Text("a path, relative to this file", longest=255)
CREDENTIAL = Credential()
_ZONE_ALLOWED = "a name of the IANA database such as `Europe/Berlin`"


def _timezone(text: str) -> str:
    zones = zoneinfo.available_timezones()
    if text not in zones:
        guess = nearest(text, sorted(zones))
        raise Refused("is not a time zone", (f"did you mean {guess}? " if guess else "") + _ZONE_ALLOWED)
    return text


def _ratio(text: str) -> int:
    """``40``, ``0.5`` or ``200/5`` as thousandths."""
    if re.fullmatch(r"\d{1,6}(\.\d{1,3})?(\s*/\s*\d{1,6}(\.\d{1,3})?)?", text, re.ASCII) is None:
        raise Refused("is not a ratio", "a number or primary/secondary, for example `200/5`")
    top, _, bottom = text.partition("/")
    divisor = Fraction(Decimal(bottom.strip())) if bottom else Fraction(1)
    if divisor == 0:
        raise Refused("divides by zero", "primary/secondary, for example `200/5`")
    permille = Fraction(Decimal(top.strip())) / divisor * 1_000
    if permille.denominator != 1:
        raise Refused("is not exact", "a ratio of at most three decimals")
    if not 1 <= permille <= 10_000_000:
        raise Refused("is out of range", "0.001 to 10000")
    return int(permille)


_IMBALANCE_ALLOWED = "a current such as `20 A`, or `none`"


def _imbalance(text: str) -> MilliAmps:
    """0 is no limit."""
    if text.strip() == "none":
        return 0
    current_ma = parse(text, CURRENT).value
    if not 1_000 <= current_ma <= MOST_CURRENT_MA:
        raise Refused("is out of range", f"1 A to {show(MOST_CURRENT_MA, CURRENT)}, or `none`")
    return current_ma


@dataclass(frozen=True, kw_only=True)
class SiteKeys(Section):
    id: str | None = required(SITE_ID, "Short name of the site; part of MQTT topics and session numbers, so never change it.")
    name: str | None = optional(Text(), "Name for people, such as the place.")
    timezone: str = defaulting(
        Parsed(_timezone, _ZONE_ALLOWED, r"[A-Za-z0-9_+/-]+"),
        "UTC",
        "Time zone for tariffs and for dates in tokens.",
    )
    voltage: MilliVolts = defaulting(
        Quantity(VOLTAGE, 100_000, 300_000),
        "230 V",
        "Nominal voltage, phase to neutral; with `wiring: delta` between two lines, such as 208 V or 240 V.",
    )
    wiring: Wiring = defaulting(
        Choice(Wiring),
        "star",
        "star: chargers are between phases and neutral. delta: one on two phases is between these two lines and loads both, "
        "which together make less than their sum (US).",
    )
    country: str | None = optional(
        Text("two capital letters (ISO 3166)", r"[A-Z]{2}", 2),
        "Country of the site. DE: the grid connection has an imbalance limit of 20 A unless it says otherwise (VDE-AR-N 4100).",
    )
    currency: str = defaulting(Text("three capital letters (ISO 4217)", r"[A-Z]{3}", 3), "EUR", "Currency of the tariffs.")
    location: LocationKeys = section(SectionOf(LocationKeys, may_be_empty=True), "Where it is; needed for OCPI records only.")

    @property
    def phase_mv(self) -> MilliVolts:
        """Phase to neutral, or what that would be."""
        return self.voltage if self.wiring is Wiring.STAR else to_neutral_mv(self.voltage)

    def load_mv(self, phase_count: int) -> MilliVolts:
        """What makes the power of a load on so many phases of its current."""
        return self.wiring.load_mv(self.phase_mv, phase_count)


@dataclass(frozen=True, kw_only=True)
class VirtualKeys(Section):
    sum: tuple[str, ...] | None = optional(ListOf(NAME), "What these meters measure together.")
    difference: tuple[str, ...] | None = optional(ListOf(NAME), "What the first of these meters measures less the others.")


@dataclass(frozen=True, kw_only=True)
class MeterKeys(Section):
    model: str | None = optional(Text(), "Model by its name in the catalogue; `edgectl meters identify` finds it.")
    file: str | None = optional(PATH, "Own register map instead of a catalogue model: a path, relative to this file.")
    virtual: VirtualKeys = section(
        SectionOf(VirtualKeys, may_be_empty=True), "Instead of a model and an address: a meter made of others."
    )
    connect: Connection | None = optional(
        Parsed(parse_connect, CONNECT_ALLOWED, CONNECT_PATTERN),
        "How the meter is reached; meters with an equal address share a bus.",
    )
    unit: int = defaulting(Integer(0, 255), "1", "Modbus unit number (slave address).")
    role: MeterRole = defaulting(
        Choice(MeterRole),
        "guard",
        "guard: measures the protected conductor, chargers included. consumer: measures a load beside them, to be subtracted.",
    )
    phases: tuple[Phase, ...] | None = optional(
        PhaseList(), "Site phase each meter phase sits on, in order; all three by default."
    )
    reversed: bool = defaulting(Flag(), "false", "Current transformers are installed the wrong way round.")
    ct_ratio: int = defaulting(
        Parsed(_ratio, "a number or primary/secondary, for example `200/5`", r"\d+(\.\d+)?(\s*/\s*\d+(\.\d+)?)?"),
        "1",
        "Factor where the meter does not know its current transformers, such as 200/5.",
    )
    every: Millis = defaulting(duration(100, 60 * SECOND), "1 s", "Time between two readings; of a P1 port, how often it sends.")
    timeout: Millis = defaulting(duration(20, 10 * SECOND), "500 ms", "How long to wait for an answer.")
    max_age: Millis = defaulting(
        duration(1 * SECOND, 30 * SECOND), "3 s", "An older reading counts as none; at most 10 s, for a P1 port 30 s."
    )


@dataclass(frozen=True, kw_only=True)
class InputKeys(Section):
    connect: Connection | None = required(
        Parsed(parse_connect, CONNECT_ALLOWED, CONNECT_PATTERN),
        "How the device is reached; inputs and meters with an equal address share a bus.",
    )
    unit: int = defaulting(Integer(0, 255), "1", "Modbus unit number (slave address).")
    read: Register | None = required(RegisterKind(), "The contact or register, such as `discrete 0` or `holding 100`.")
    circuit: str | None = optional(
        Text("the name of a circuit", NAME.pattern, 48, "one circuit is needed"), "The circuit it limits; or `charger`."
    )
    charger: str | None = optional(
        Text("the name of a charger", CHARGER_ID.pattern, 48, "one charger is needed"), "The charger it limits; or `circuit`."
    )
    closed: Level | None = optional(LevelKind(), "A contact: what holds while it is closed.")
    open: Level = defaulting(LevelKind(), "none", "A contact: what holds while it is open.")
    levels: tuple[tuple[int, Level], ...] | None = optional(LevelMap(), "A register: what each of its values means.")
    counts_in: Level | None = optional(LevelKind(is_none_allowed=False), "A register: the unit it counts in, such as `0.1 A`.")
    when_lost: Level | None = required(LevelKind(), "What holds while it cannot be read.")
    every: Millis = defaulting(duration(100, 60 * SECOND), "1 s", "Time between two readings.")
    timeout: Millis = defaulting(duration(20, 10 * SECOND), "500 ms", "How long to wait for an answer.")
    max_age: Millis = defaulting(duration(1 * SECOND, 5 * MINUTE), "5 s", "An older value counts as none.")


@dataclass(frozen=True, kw_only=True)
class CircuitKeys(Section):
    fed_by: str | None = optional(
        Text("the name of a circuit", NAME.pattern, 48, "one circuit is needed: a circuit is fed by exactly one"),
        "The circuit this one hangs on; exactly one circuit, the grid connection, has none.",
    )
    limit: Limit | None = required(LimitKind(), "What the conductor may carry per phase; a power may stand beside it.")
    power: Watts | None = optional(WATTS, "A limit of power over all phases, such as the connection contract.")
    soft_limit: Phases | None = optional(
        PerPhase(is_zero_allowed=False), "Kept as long as no departure is lost by it; a current per phase, below `limit`."
    )
    soft_power: Watts | None = optional(WATTS, "The same as a power over all phases, such as the peak of a tariff.")
    imbalance_limit: MilliAmps | None = optional(
        Parsed(_imbalance, _IMBALANCE_ALLOWED, r"(none|\d+(\.\d+)?\s*m?A)"),
        "The most by which vehicles may load one phase more than another; none: no such limit.",
    )
    meter: str | None = optional(
        Text("the name of a meter", NAME.pattern, 48, "one meter is needed"), "The meter of this circuit."
    )
    protection: Protection | None = optional(
        Parsed(parse_protection, PROTECTION_ALLOWED, PROTECTION_PATTERN),
        "The breaker or fuse, as printed on it; a C breaker of the limit when not told.",
    )
    margin: MilliAmps = defaulting(AMPS, "0 A", "Kept free below the limit, for what is faster than the control.")
    other_loads: Phases | None = optional(
        PerPhase(is_zero_allowed=True),
        "The most that other loads here may draw; on a metered circuit, assumed in the worst case.",
    )
    generation: Phases | None = optional(
        PerPhase(is_zero_allowed=True),
        "The most that solar panels and other generators here feed in; a meter that shows more export than this is not believed.",
    )
    on_meter_loss: MeterLoss = defaulting(
        Choice(MeterLoss),
        "safe",
        "When the meter is quiet - safe: fallbacks only. hold: keep the last reading for hold_for, then safe. stop: nothing.",
    )
    hold_for: Millis = defaulting(duration(1 * SECOND, 15 * MINUTE), "60 s", "How long hold may last.")


@dataclass(frozen=True, kw_only=True)
class ChargerDefaultKeys(Section):
    evses: int | None = optional(Integer(1, 32), "Number of EVSEs, each able to charge one vehicle at a time; 1 by default.")
    current: Span | None = optional(CurrentRange(), "AC: the least and most current per phase and EVSE; 6 A .. 32 A by default.")
    power: Span | None = optional(PowerRange(), "DC: the least and most power per EVSE, as taken from the grid.")
    fallback: Amount | None = optional(
        Fallback(), "What each EVSE falls to when it does not hear from us; the minimum by default, and required for DC."
    )
    fallback_verified: bool | None = optional(
        Flag(),
        "true: a person answers for the fallback, set on the device itself, or with its power off; it then counts without proof.",
    )
    phases: tuple[Phase, ...] | None = optional(
        PhaseList(), "The site phases on which the charger's L1, L2, L3 are wired, in that order; one for single-phase."
    )
    unbalanced_limit: MilliAmps | None = optional(
        AMPS,
        "By its own setting, the most for a vehicle on fewer phases than it has; 0 A where none comes. "
        "With `country: DE` 20 A (VDE-AR-N 4100), else its maximum.",
    )
    version: str | None = optional(Version(), "The only OCPP version to speak with it, whatever it offers first.")
    assume_version: str | None = optional(Version(), "The OCPP version to speak when it offers none.")
    missing_upgrade: bool | None = optional(Flag(), "true: accept its opening handshake without `Connection: Upgrade`.")
    plug: Plug | None = optional(Choice(Plug), "What vehicles are plugged into; type2-socket by default, ccs2 for DC.")
    quirks: QuirkKeys | None = section(SectionOf(QuirkKeys), "What it does differently; weighs more than the table of quirks.")


@dataclass(frozen=True, kw_only=True)
class ChargerKeys(ChargerDefaultKeys):
    circuit: str | None = required(REFERENCE_TO_CIRCUIT, "The circuit that feeds the charger.")
    password: str | None = optional(CREDENTIAL, "Password of the charger on listeners with security profile 1 or 2.")


@dataclass(frozen=True, kw_only=True)
class ListenerKeys(Section):
    address: Address | None = required(Parsed(parse_listen, LISTEN_ALLOWED, LISTEN_PATTERN), "Where chargers connect.")
    security_profile: int = defaulting(
        Integer(0, 3), "2", "OCPP security profile - 0: none. 1: password. 2: TLS and password. 3: TLS and client certificates."
    )
    certificate: tuple[str, ...] | None = optional(
        Certificates(),
        "PEM file with certificate chain and key, or a list of two, one RSA and one ECDSA; required for profiles 2 and 3.",
    )
    client_authorities: tuple[str, ...] | None = optional(
        ListOf(CREDENTIAL), "PEM files with the roots a charger's certificate may come from, beside the site's own; profile 3."
    )
    legacy_tls: bool = defaulting(Flag(), "false", "Allow TLS 1.0 and 1.1, for old firmware on a network of its own.")


@dataclass(frozen=True, kw_only=True)
class OcppKeys(Section):
    listeners: tuple[ListenerKeys, ...] | None = required(
        ListOf(SectionOf(ListenerKeys), is_empty_allowed=False), "The addresses where chargers connect."
    )
    unknown_chargers: UnknownChargers = defaulting(
        Choice(UnknownChargers),
        "quarantine",
        "A charger not in this file - quarantine: list it for adoption. refuse: turn it away.",
    )
    heartbeat: Millis = defaulting(
        duration(10 * SECOND, 24 * HOUR, in_whole=SECOND), "5 min", "Heartbeat interval given to chargers."
    )
    ping: Millis = defaulting(duration(5 * SECOND, 5 * MINUTE), "20 s", "WebSocket ping interval; finds dead connections.")
    quirks: str | None = optional(PATH, "File of more quirks: a path, relative to this file.")


@dataclass(frozen=True, kw_only=True)
class AuthorizationKeys(Section):
    offline: OfflinePolicy = defaulting(
        Choice(OfflinePolicy),
        "known-tokens",
        "Who may charge at a charger that does not reach the gateway, and by a list of the backend older than `tokens_max_age`.",
    )
    tokens_max_age: Millis | None = optional(
        Quantity(DAYS, 24 * HOUR, 366 * 24 * HOUR),
        "The backend's tokens are too old this long after it last told them; never by default.",
    )
    reversed_uids: bool = defaulting(
        Flag(), "false", "Cards are also known by their bytes the other way round, as some readers tell them."
    )
    master_group: str | None = optional(UID, "Group whose tokens end anybody's session and begin none, at chargers of OCPP 2.")
    tokens: str | None = optional(PATH, "File of the known tokens: a path, relative to this file.")


@dataclass(frozen=True, kw_only=True)
class SignatureKeyKeys(Section):
    key: str | None = required(
        Text("hexadecimal digits or base64, as on the meter or in its register", r"[A-Za-z0-9+/=: ]{32,}", longest=2_000),
        "Public key of the meter.",
    )


@dataclass(frozen=True, kw_only=True)
class BalancingKeys(Section):
    strategy: Strategy = defaulting(Choice(Strategy), "fair", "How current is shared when there is not enough for all.")
    priorities: Priorities = defaulting(
        Choice(Priorities), "strict", "What a larger priority means - strict: served first. weighted: a larger part."
    )
    rotate_every: Millis = defaulting(
        duration(1 * MINUTE, 24 * HOUR), "15 min", "How often turns change when not every minimum fits."
    )
    # The shortest lease leaves room for one renewal at half life with the 15 s a charger may take to answer; the longest is
    # the product's promise for a site whose controller is dead.
    lease: Millis = defaulting(duration(30 * SECOND, 180 * SECOND), "180 s", "Every limit sent ends by itself after this long.")
    restart_spread: Millis = defaulting(
        duration(0, 30 * MINUTE),
        "30 s",
        "After a blackout vehicles begin at their minimum; each is raised after its own random part of this (UK rules: 10 min).",
    )
    raise_after: Millis = defaulting(
        duration(0, 10 * MINUTE), "10 s", "Headroom must have lasted this long before a running vehicle gets more."
    )


ACTOR = Text("printable text, at most 100 characters", r"[^\x00-\x1f\x7f]+", longest=100)


@dataclass(frozen=True, kw_only=True)
class ActorKeys(Section):
    role: Role | None = required(
        Choice(Role),
        "viewer: looks. operator: sessions, limits, targets. manager: tokens, tariffs, configuration, firmware too.",
    )


@dataclass(frozen=True, kw_only=True)
class CommandKeyKeys(Section):
    public_key: bytes | None = required(
        Parsed(parse_ed25519, ED25519_ALLOWED, r"[A-Za-z0-9+/=]{40,64}"), "Public key that signs commands."
    )
    actors: tuple[str, ...] | None = optional(ListOf(ACTOR), "For whom it may sign; everybody when not given.")


@dataclass(frozen=True, kw_only=True)
class MqttKeys(Section):
    broker: Broker | None = required(Parsed(parse_broker, BROKER_ALLOWED, BROKER_PATTERN), "Address of the MQTT 5 broker.")
    fallbacks: tuple[Broker, ...] | None = optional(
        ListOf(Parsed(parse_broker, BROKER_ALLOWED, BROKER_PATTERN)), "Brokers to try in turn while the first cannot be reached."
    )
    client_certificate: str | None = optional(CREDENTIAL, "PEM file with client certificate and key.")
    ca_certificate: str | None = optional(CREDENTIAL, "PEM file of the authority to trust instead of the system's.")
    username: str | None = optional(Text(), "User name at the broker.")
    password: str | None = optional(CREDENTIAL, "Password at the broker.")
    keepalive: Millis = defaulting(duration(5 * SECOND, 20 * MINUTE, in_whole=SECOND), "30 s", "MQTT keep-alive.")
    receipt_timeout: Millis = defaulting(
        duration(1 * SECOND, 1 * HOUR), "60 s", "A billing record without a receipt for this long is sent again."
    )
    actors: Entries[ActorKeys] = section(
        EntriesOf(ACTOR, SectionOf(ActorKeys), "actor"),
        "Who may command, and what; without it whoever the broker lets through may ask for everything.",
    )
    command_keys: Entries[CommandKeyKeys] = section(
        EntriesOf(NAME, SectionOf(CommandKeyKeys), "key"),
        "Keys whose signature commands about money and safety need; without one these are refused.",
    )
    pack_telemetry: bool = defaulting(
        Flag(),
        "false",
        "Telemetry travels as zstd, a fifth of its size; the backend must know `application/json+zstd`.",
    )
    pack_billing: bool = defaulting(
        Flag(), "false", "Sessions travel as zstd, a quarter of their size; the backend must know `application/json+zstd`."
    )
    clock: ClockNeed = defaulting(
        Choice(ClockNeed),
        "synchronised",
        "When commands are judged by their expiry - synchronised: while something keeps the clock right. plausible: always, "
        "for a site without a time server. At other times a command needs the nonce of the status.",
    )


@dataclass(frozen=True, kw_only=True)
class WebKeys(Section):
    listen: Address | None = required(
        Parsed(parse_listen, LISTEN_ALLOWED, LISTEN_PATTERN), "Where the status page and the API are served."
    )
    token: str | None = optional(CREDENTIAL, "Bearer token for actions through the API; without it the port takes none.")


@dataclass(frozen=True, kw_only=True)
class LedgerKeys(Section):
    retention: Millis = defaulting(
        Quantity(DAYS, 30 * 24 * HOUR, 4_000 * 24 * HOUR),
        "400 days",
        "Sessions and billing records are kept this long after the backend's receipt; without a receipt for ever.",
    )
    budget: int = defaulting(
        Quantity(SIZE, 100_000_000, 100_000_000_000),
        "4 GB",
        "The ledger never takes more of the disk. A quarter of it is for billing alone; telemetry is given up first.",
    )
    signing_key: str | None = optional(CREDENTIAL, "Ed25519 key of this gateway (PEM); with it every billing record is signed.")


@dataclass(frozen=True, kw_only=True)
class SiteFile(Section):
    site: SiteKeys = section(SectionOf(SiteKeys), "The site as a whole.", is_required=True)
    meters: Entries[MeterKeys] = section(EntriesOf(NAME, SectionOf(MeterKeys), "meter"), "The meters, by a name of your choice.")
    inputs: Entries[InputKeys] = section(
        EntriesOf(NAME, SectionOf(InputKeys), "input"), "Contacts and registers that limit the site from outside."
    )
    circuits: Entries[CircuitKeys] = section(
        EntriesOf(NAME, SectionOf(CircuitKeys), "circuit", is_empty_allowed=False),
        "The protected conductors, from the grid connection down.",
        is_required=True,
    )
    charger_defaults: ChargerDefaultKeys = section(
        SectionOf(ChargerDefaultKeys), "What holds for every charger that says no other."
    )
    chargers: Entries[ChargerKeys] = section(
        EntriesOf(CHARGER_ID, SectionOf(ChargerKeys), "charger", ignores_case=True),
        "The charging stations, by the identity they use in their OCPP address.",
    )
    ocpp: OcppKeys = section(SectionOf(OcppKeys), "How chargers reach edgectl.", is_required=True)
    authorization: AuthorizationKeys = section(SectionOf(AuthorizationKeys), "Who may charge.")
    tariffs: TariffsKeys = section(SectionOf(TariffsKeys, may_be_empty=True), "What it costs; nothing is priced when empty.")
    signature_keys: Entries[SignatureKeyKeys] = section(
        EntriesOf(Text(), SectionOf(SignatureKeyKeys), "meter"),
        "Public keys of the meters that sign their values, by serial number.",
    )
    balancing: BalancingKeys = section(SectionOf(BalancingKeys), "How current is shared.")
    mqtt: MqttKeys = section(
        SectionOf(MqttKeys, may_be_empty=True), "The way to the backend; empty: the site runs, records and waits."
    )
    web: WebKeys = section(SectionOf(WebKeys, may_be_empty=True), "The local status page; none when empty.")
    ledger: LedgerKeys = section(SectionOf(LedgerKeys), "How long records are kept, and how much of the disk they may take.")
    accept_risk: tuple[str, ...] | None = optional(
        ListOf(NAME), "Unsafe cases that `edgectl check` names and the owner accepts; the site then starts nevertheless."
    )


@dataclass(frozen=True, kw_only=True)
class TokenKeys(Section):
    status: TokenStatus = defaulting(
        # The other states are findings of the daemon, not properties an owner gives.
        Choice(TokenStatus, (TokenStatus.ACCEPTED, TokenStatus.BLOCKED, TokenStatus.EXPIRED)),
        "accepted",
        "What a driver with this token is told.",
    )
    expires: str | None = optional(
        Text("`2027-12-31` (to the end of that day) or `2027-12-31T18:00:00+01:00`", longest=40),
        "The token is not accepted after this.",
    )
    group: str | None = optional(UID, "Parent token: members of a group may stop each other's sessions.")
    priority: int = defaulting(Integer(0, 100), "0", "Larger is served first with `strategy: priority`.")
    account: str | None = optional(Text(), "Account the sessions are for.")
    tariff: str | None = optional(TARIFF_ID, "Id of the tariff of its sessions; the account's or the site's by default.")
    never_paused: bool = defaulting(Flag(), "false", "Never stopped for somebody else's turn.")


@dataclass(frozen=True, kw_only=True)
class ListedTokenKeys(TokenKeys):
    uid: str | None = required(UID, "The token as the charger reads it.")


TOKEN_MAP = EntriesOf(UID, SectionOf(TokenKeys), "token", ignores_case=True)
TOKEN_LIST = ListOf(SectionOf(ListedTokenKeys))
