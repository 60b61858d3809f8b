"""The arguments of each command. What is not named here is refused, so that a misspelt word never passes for an omitted one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from edgectl.contract.fields import Count, RecordId

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Evse: TypeAlias = Annotated[int, Meta(ge=0, le=1_000)]
Uid: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2_500)]
Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
Pem: TypeAlias = Annotated[str, Meta(min_length=1, max_length=20_000)]
Seconds: TypeAlias = Annotated[int, Meta(ge=1, le=31 * 86_400)]
Milliamps: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000)]
WattsPart: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000)]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
Priority: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Retries: TypeAlias = Annotated[int, Meta(ge=0, le=99)]


class Args(Struct, kw_only=True, forbid_unknown_fields=True):
    """No arguments."""


class PingArgs(Args, kw_only=True):
    """Answer, so that the sender knows the way there and back is open."""


class ChargerArgs(Args, kw_only=True):
    """One charging station."""

    charger: Name


class PlaceArgs(ChargerArgs, kw_only=True):
    """A charging station, or one EVSE of it."""

    evse: Evse | None = None


class StartArgs(PlaceArgs, kw_only=True):
    """Start charging."""

    token: Uid | None = None
    """Who pays; judged like a card at the charger. Without one nobody is judged, and the command must be signed."""


class StopArgs(PlaceArgs, kw_only=True):
    """Stop what runs there."""

    transaction: Uid | None = None
    """As the charger names it; without one, what runs there."""


class ResetArgs(PlaceArgs, kw_only=True):
    """Restart a charging station, or with OCPP 2 one EVSE."""

    kind: Literal["soft", "hard", "on-idle", "resume"] | None = None
    """Without one: gently, in the way its version of OCPP has."""


class UnlockArgs(ChargerArgs, kw_only=True):
    """Unlock a connector. Must be signed."""

    evse: Evse
    connector: Evse | None = None


class AvailabilityArgs(PlaceArgs, kw_only=True):
    """Take into or out of service."""

    state: Literal["operative", "inoperative"]


class TriggerArgs(PlaceArgs, kw_only=True):
    """Have a message sent now."""

    message: Name
    """As OCPP names it, e.g. `StatusNotification`."""


class PhaseAmounts(Struct, kw_only=True, forbid_unknown_fields=True):
    """A current for each phase, in milliamps."""

    L1: Milliamps
    L2: Milliamps
    L3: Milliamps


class Amount(Struct, kw_only=True, forbid_unknown_fields=True):
    """A current per phase, a power over all phases, or both."""

    current_ma: Milliamps | PhaseAmounts | None = None
    power_w: WattsPart | None = None


class SetLimitArgs(Args, kw_only=True):
    """Limit a circuit or a charger: one of the two, with `current_ma`, `power_w` or both, and `until` or `for_s`; or `lift`.

    A command that is not signed may lower what the backend allows, or set a first limit; to raise or lift it must be signed.
    """

    circuit: Name | None = None
    charger: Name | None = None
    current_ma: Milliamps | PhaseAmounts | None = None
    power_w: WattsPart | None = None
    until: Instant | None = None
    for_s: Seconds | None = None
    then: Amount | None = None
    """What holds after its end, until lifted; without it, what the site's file allows."""
    lift: Literal[True] | None = None
    """The backend's limit there ends now."""


class TargetPlace(Args, kw_only=True):
    """An EVSE, or a token wherever it charges: `charger` or `token`."""

    charger: Name | None = None
    evse: Evse | None = None
    token: Uid | None = None


class SetPriorityArgs(TargetPlace, kw_only=True):
    """Who is served first."""

    priority: Priority
    """Larger is served first; instead of the token's own."""


class SetTargetArgs(TargetPlace, kw_only=True):
    """How much a vehicle must have, and by when."""

    energy_wh: Annotated[int, Meta(ge=1, le=2_000_000)]
    """In this session, from its start."""
    depart_at: Instant
    """At most a week ahead."""


class ClearTargetArgs(TargetPlace, kw_only=True):
    """Forget a target and a priority."""


class TokenEntry(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who may charge."""

    uid: Uid
    status: Literal["accepted", "blocked", "expired"] = "accepted"
    expires: Instant | None = None
    group: Uid | None = None
    priority: Priority = 0
    account: Name | None = None
    tariff: Name | None = None
    never_paused: bool = False


class SetTokensArgs(Args, kw_only=True):
    """The tokens the backend manages, beside those of the site's file; for the same uid the file counts. Must be signed."""

    version: Count
    """Of the list. An older one than the gateway has is refused."""
    mode: Literal["replace", "merge", "remove"] = "replace"
    """`replace` all the backend's tokens, `merge` these into them, or `remove` these. A long list comes in pieces."""
    tokens: Annotated[list[TokenEntry], Meta(max_length=500)]


class SetTariffsArgs(Args, kw_only=True):
    """The tariffs the backend manages, beside those of the site's file; for the same id the file counts. Must be signed."""

    version: Count
    tariffs: Annotated[list[dict[str, Any]], Meta(max_length=32)]
    """OCPI 2.2.1 or 2.3.0 tariff objects."""
    default: Name | None = None
    """Id of the tariff of sessions whose token names none."""


class ConfigureArgs(ChargerArgs, kw_only=True):
    """Write a configuration key or variable of a charger. Must be signed."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    value: Annotated[str, Meta(max_length=2_500)]


class GetConfigurationArgs(ChargerArgs, kw_only=True):
    """Read configuration keys or variables of a charger."""

    keys: Annotated[list[Name], Meta(max_length=64)] = []
    """None: all of them, where its version of OCPP can say that."""


class ReserveArgs(PlaceArgs, kw_only=True):
    """Reserve for a token."""

    reservation: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    """A number of the sender's, to cancel it by."""
    token: Uid
    expires: Instant
    group: Uid | None = None


class CancelReservationArgs(ChargerArgs, kw_only=True):
    """Cancel a reservation."""

    reservation: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class UpdateFirmwareArgs(ChargerArgs, kw_only=True):
    """Have firmware fetched and installed. Must be signed."""

    location: Url
    at: Instant
    install_at: Instant | None = None
    certificate: Pem | None = None
    """That signed the firmware."""
    signature: Text | None = None
    """Of the firmware."""
    retries: Retries | None = None
    retry_interval: Seconds | None = None


class GetLogArgs(ChargerArgs, kw_only=True):
    """Have a log uploaded."""

    location: Url
    kind: Literal["diagnostics", "security"] | None = None
    oldest: Instant | None = None
    latest: Instant | None = None
    retries: Retries | None = None
    retry_interval: Seconds | None = None


class DataTransferArgs(ChargerArgs, kw_only=True):
    """Send something of its maker's own. Must be signed: nobody here knows what it does."""

    vendor: Annotated[str, Meta(min_length=1, max_length=255)]
    message: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    data: Annotated[str, Meta(max_length=20_000)] | None = None


CertificateKind: TypeAlias = Literal["csms-root", "manufacturer-root", "v2g-root", "mo-root"]


class GetCertificatesArgs(ChargerArgs, kw_only=True):
    """Which certificates it has."""

    kind: CertificateKind = "csms-root"


class InstallCertificateArgs(ChargerArgs, kw_only=True):
    """Give it a certificate to trust. Must be signed."""

    kind: CertificateKind = "csms-root"
    certificate: Pem


class HashData(Struct, kw_only=True, forbid_unknown_fields=True):
    """CertificateHashData of OCPP, as `get-certificates` shows it."""

    hashAlgorithm: Literal["SHA256", "SHA384", "SHA512"]  # noqa: N815 - OCPP's own names
    issuerNameHash: RecordId  # noqa: N815
    issuerKeyHash: RecordId  # noqa: N815
    serialNumber: Name  # noqa: N815


class DeleteCertificateArgs(ChargerArgs, kw_only=True):
    """Take a certificate away. Must be signed."""

    hash: HashData


class ClearCacheArgs(ChargerArgs, kw_only=True):
    """Let it forget the tokens it has learned."""


class CertificateSignedArgs(ChargerArgs, kw_only=True):
    """Bring it the certificate it asked for. Must be signed."""

    chain: Pem


class ReplayArgs(Args, kw_only=True):
    """Send records again, also those with a receipt: they come on their own topic, and are owed again until the next one."""

    stream: Literal["billing", "events"]
    from_seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    to_seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    """Included; at most 10,000 at once."""
