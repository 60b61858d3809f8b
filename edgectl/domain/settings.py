"""How the edges are to be reached: the other half of the YAML file, for the adapters. Secrets appear only as names.

``config`` builds ``Settings`` from the file; ``app`` hands each adapter its part, and a function that reads credentials by
name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from edgectl.domain.ids import ChargerId, InputId, MeterId
from edgectl.domain.phases import ALL_PHASES, Phase
from edgectl.domain.quirks import QuirkProfile
from edgectl.domain.roles import Role
from edgectl.domain.site import Site
from edgectl.domain.units import Millis

CredentialReader: TypeAlias = Callable[[str], bytes]
"""Reads a secret by its name; raises ``KeyError`` when there is none."""


class UnknownChargers(StrEnum):
    QUARANTINE = "quarantine"
    """Let it connect, answer boot with *pending*, list it for adoption."""
    REFUSE = "refuse"
    """HTTP 404."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address where chargers connect."""

    host: str
    port: int
    security_profile: int
    """OCPP security profile: 0 none, 1 password, 2 TLS and password, 3 TLS with client certificates."""
    certificates: tuple[str, ...] = ()
    """Credential names of PEM files with certificate chain and key (profiles 2 and 3): one, or one RSA and one ECDSA."""
    client_authorities: tuple[str, ...] = ()
    """Credential names of PEM files with the roots a client certificate may come from (profile 3), beside the site's own."""
    has_legacy_tls: bool = False
    """TLS 1.0 and 1.1 too, for old firmware on a separate network; never the default."""


@dataclass(frozen=True, slots=True)
class ChargerAccess:
    """What a charger must show, and how it deviates from the standard in public."""

    charger: ChargerId
    password: str | None = None
    """Credential name."""
    assume_version: str | None = None
    """The subprotocol to speak when it offers none."""
    pin_version: str | None = None
    """The only subprotocol to speak with it, whatever it offers first."""
    tolerates_missing_upgrade: bool = False
    """Its opening handshake lacks ``Connection: Upgrade``."""


@dataclass(frozen=True, slots=True)
class OcppSettings:
    listeners: tuple[Listener, ...]
    unknown_chargers: UnknownChargers = UnknownChargers.QUARANTINE
    access: tuple[ChargerAccess, ...] = ()
    heartbeat_s: int = 300
    ping_ms: Millis = 20_000
    """A half-open socket is found within two of these and a bit (goal: 60 s)."""
    call_timeout_ms: Millis = 15_000


class Transport(StrEnum):
    TCP = "tcp"
    RTU_OVER_TCP = "rtu+tcp"
    SERIAL = "serial"


P1_MODEL = "dsmr-p1"
"""The model of every DSMR P1 port: the telegram says the rest."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A Modbus bus: one TCP gateway or one serial line. Meters with an equal connection share it."""

    transport: Transport
    host: str = ""
    port: int = 0
    device: str = ""
    baud: int = 9600
    parity: str = "N"
    """``N``, ``E`` or ``O``."""
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class MeterConnection:
    """How one meter is read."""

    meter: MeterId
    connection: Connection
    unit_number: int
    model: str | None
    """A catalogue name; None when ``file`` is given."""
    file: str | None = None
    phases: tuple[Phase, ...] = ALL_PHASES
    """The site phase each meter phase sits on, in the order of the meter's L1, L2, L3."""
    is_reversed: bool = False
    """Current transformers installed the wrong way round: import and export change places."""
    ct_ratio_permille: int = 1000
    """Factor on currents, power and energy where the meter itself does not know its transformers."""
    interval_ms: Millis = 1_000
    timeout_ms: Millis = 500


class VirtualKind(StrEnum):
    SUM = "sum"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class VirtualMeter:
    """A meter that is not there: what others measure together, or the first less the rest."""

    meter: MeterId
    kind: VirtualKind
    parts: tuple[MeterId, ...]


class Table(StrEnum):
    """Which of a Modbus device's four tables a value stands in."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"

    @property
    def function_number(self) -> int:
        """The function code that reads it (Modbus application protocol V1.1b3, 6.1 to 6.4)."""
        return tuple(Table).index(self) + 1


@dataclass(frozen=True, slots=True)
class InputConnection:
    """How one contact or register is read."""

    input: InputId
    connection: Connection
    unit_number: int
    table: Table
    address_number: int
    """As it travels on the bus, from 0."""
    interval_ms: Millis = 1_000
    timeout_ms: Millis = 500


class ClockNeed(StrEnum):
    """What it takes for the wall clock to be trusted with the expiry of commands."""

    SYNCHRONISED = "synchronised"
    """The kernel says that something keeps it right."""
    PLAUSIBLE = "plausible"
    """It is not before this release, nor before the last command."""


@dataclass(frozen=True, slots=True)
class CommandKey:
    """A key that may sign commands."""

    name: str
    public_key: bytes
    """Ed25519, 32 bytes."""
    actors: tuple[str, ...] = ()
    """For whom it may sign; empty: for everybody."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    host: str
    port: int
    is_tls: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.is_tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MqttSettings:
    host: str
    port: int
    is_tls: bool
    client_certificate: str | None = None
    """Credential name of a PEM file with client certificate and key."""
    ca_certificate: str | None = None
    username: str | None = None
    password: str | None = None
    """Credential name."""
    keepalive_s: int = 30
    receipt_timeout_ms: Millis = 60_000
    actors: tuple[tuple[str, Role], ...] = ()
    """Who may command, and what; empty: everybody the broker lets, everything."""
    command_keys: tuple[CommandKey, ...] = ()
    clock: ClockNeed = ClockNeed.SYNCHRONISED
    fallbacks: tuple[BrokerAddress, ...] = ()
    """Tried in turn while the first broker cannot be reached; after a loss the first is tried first."""
    packs_telemetry: bool = False
    """Blocks of telemetry travel as zstd, with the content type that says so."""
    packs_billing: bool = False
    """So do sessions."""

    @property
    def brokers(self) -> tuple[BrokerAddress, ...]:
        """All of them, the first choice first."""
        return (BrokerAddress(self.host, self.port, self.is_tls), *self.fallbacks)


@dataclass(frozen=True, slots=True)
class WebSettings:
    host: str
    port: int
    token: str | None = None
    """Credential name of the bearer token for actions; None: the port takes none."""


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    retention_ms: Millis = 400 * 86_400_000
    """After its receipt a billing record is kept for so long, with its session."""
    budget_bytes: int = 4_000_000_000
    """The file never grows beyond; a quarter of it is for billing alone."""
    signing_key: str | None = None
    """Credential name of the Ed25519 key that signs billing records; None: they are not signed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One YAML file, understood."""

    site: Site
    ocpp: OcppSettings
    meters: tuple[MeterConnection, ...] = ()
    virtual_meters: tuple[VirtualMeter, ...] = ()
    inputs: tuple[InputConnection, ...] = ()
    mqtt: MqttSettings | None = None
    """None: no broker configured; the site runs, records and waits."""
    web: WebSettings | None = None
    ledger: LedgerSettings = LedgerSettings()
    quirks: tuple[QuirkProfile, ...] = ()
    """The table of quirks: the package's own and the site's."""
    accept_risk: tuple[str, ...] = ()
    """Named unsafe cases the owner has accepted in the file."""
    source: str = ""
    """Path of the file, for messages."""
    warnings: tuple[str, ...] = field(default=())
