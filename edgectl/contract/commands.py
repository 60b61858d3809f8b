"""Commands and their answers: the envelope, and the table of what may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from edgectl.contract import arguments as a
from edgectl.contract.fields import Word, Words
from edgectl.domain.roles import Role


class Command(Struct, kw_only=True):
    """What every command has. It is never retained, and best has the MQTT message expiry of its `expires_at`.

    It is judged in this order: readable; the actor's role; the signature, where one is needed; the gateway's clock can be
    trusted, or `nonce` is fresh; not expired; not retained; not answered before. A repeat (the same `id` and bytes) gets the
    stored answer again, also after a restart. Members that are not known are passed over, unless they are among the `args`.
    """

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    """Unlike any other, e.g. a UUIDv7."""
    issued_at: a.Instant
    expires_at: a.Instant
    """At most 24 hours ahead."""
    actor: Annotated[str, Meta(min_length=1, max_length=100)]
    """Who asks; has a role at the gateway, and is recorded."""
    args: dict[str, Any] = {}
    site: Annotated[str, Meta(max_length=128)] | None = None
    """The site of the topic. Required where signed, so that a signature is good for one site."""
    name: Annotated[str, Meta(max_length=64)] | None = None
    """The command of the topic. Required where signed, so that a signature is good for one command."""
    nonce: Annotated[str, Meta(max_length=128)] | None = None
    """From the retained status, while the gateway cannot trust its clock."""
    key: Annotated[str, Meta(max_length=64)] | None = None
    """Name of the key at the gateway (`mqtt: command_keys:`) that made the signature."""
    signature: Annotated[str, Meta(max_length=128)] | None = None
    """Ed25519 (RFC 8032) in base64, over the RFC 8785 form of this payload without its member `signature`."""


class Answer(Struct, kw_only=True):
    """What became of a command; with the correlation data of the command."""

    id: Annotated[str, Meta(max_length=64)] | None
    """Of the command; null where it could not be read."""
    status: Literal["accepted", "done", "refused", "failed"]
    """`done`; `refused`, by the gateway or by the charger, so nothing happened; `failed`: it was tried, and may have happened; or
    `accepted`: a repeat, while the first is still under way."""
    code: Word | None
    """One word for a program: why it was refused or failed, or the charger's own."""
    reason: Words
    """For a person."""
    result: dict[str, Any] | None
    """What the charger or the gateway told."""


class Signed(StrEnum):
    """Whether a command needs a signature."""

    NEVER = "never"
    WHEN_RAISING = "when it raises"
    """Only to raise or lift a limit."""
    WITHOUT_TOKEN = "without a token"  # noqa: S105 - a word
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class CommandKind:
    """One row of the table."""

    args: type[a.Args]
    role: Role
    signed: Signed = Signed.NEVER


_VIEWER, _OPERATOR, _MANAGER = Role.VIEWER, Role.OPERATOR, Role.MANAGER

COMMANDS: Final[dict[str, CommandKind]] = {
    "ping": CommandKind(a.PingArgs, _VIEWER),
    "start": CommandKind(a.StartArgs, _OPERATOR, Signed.WITHOUT_TOKEN),
    "stop": CommandKind(a.StopArgs, _OPERATOR),
    "reset": CommandKind(a.ResetArgs, _OPERATOR),
    "unlock": CommandKind(a.UnlockArgs, _OPERATOR, Signed.ALWAYS),
    "availability": CommandKind(a.AvailabilityArgs, _OPERATOR),
    "trigger": CommandKind(a.TriggerArgs, _OPERATOR),
    "set-limit": CommandKind(a.SetLimitArgs, _OPERATOR, Signed.WHEN_RAISING),
    "set-priority": CommandKind(a.SetPriorityArgs, _OPERATOR),
    "set-target": CommandKind(a.SetTargetArgs, _OPERATOR),
    "clear-target": CommandKind(a.ClearTargetArgs, _OPERATOR),
    "set-tokens": CommandKind(a.SetTokensArgs, _MANAGER, Signed.ALWAYS),
    "set-tariffs": CommandKind(a.SetTariffsArgs, _MANAGER, Signed.ALWAYS),
    "configure": CommandKind(a.ConfigureArgs, _MANAGER, Signed.ALWAYS),
    "get-configuration": CommandKind(a.GetConfigurationArgs, _VIEWER),
    "reserve": CommandKind(a.ReserveArgs, _OPERATOR),
    "cancel-reservation": CommandKind(a.CancelReservationArgs, _OPERATOR),
    "update-firmware": CommandKind(a.UpdateFirmwareArgs, _MANAGER, Signed.ALWAYS),
    "get-log": CommandKind(a.GetLogArgs, _OPERATOR),
    "data-transfer": CommandKind(a.DataTransferArgs, _MANAGER, Signed.ALWAYS),
    "clear-cache": CommandKind(a.ClearCacheArgs, _OPERATOR),
    "get-certificates": CommandKind(a.GetCertificatesArgs, _VIEWER),
    "install-certificate": CommandKind(a.InstallCertificateArgs, _MANAGER, Signed.ALWAYS),
    "delete-certificate": CommandKind(a.DeleteCertificateArgs, _MANAGER, Signed.ALWAYS),
    "certificate-signed": CommandKind(a.CertificateSignedArgs, _MANAGER, Signed.ALWAYS),
    "replay": CommandKind(a.ReplayArgs, _OPERATOR),
}
"""Every command by the last level of its topic."""
