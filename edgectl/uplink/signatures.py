"""Who may command what, and whether a command comes from who it says: roles, and the keys pinned in the site's file. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgectl.contract.commands import Command, CommandKind
from edgectl.contract.signing import signed_bytes
from edgectl.domain.roles import Role
from edgectl.domain.settings import MqttSettings

Refusal: TypeAlias = tuple[str, str]
"""A code for a program, words for a person."""


class Authority:
    """The roles and keys of one site's file."""

    def __init__(self, settings: MqttSettings | None) -> None:
        self._roles: dict[str, Role] = dict(settings.actors) if settings is not None else {}
        self._keys = {key.name: key for key in settings.command_keys} if settings is not None else {}

    def why_not_allowed(self, actor: str, name: str, kind: CommandKind) -> Refusal | None:
        """Whether this actor may ask for this command at all."""
        role = self._roles.get(actor) if self._roles else Role.MANAGER
        if role is None:
            return "unknown-actor", f"{actor!r} is no actor of this site's file"
        if not role.includes(kind.role):
            return "not-allowed", f"{actor!r} is {role.value} here, and {name} is for {kind.role.value}"
        return None

    def why_not_signed(self, command: Command, raw: Mapping[str, Any], site: str, name: str) -> Refusal | None:
        """What is wrong with the signature of a command that has one."""
        if (command.site, command.name) != (site, name):
            return "bad-signature", "a signed command names its `site` and its `name`, as in the topic"
        key = self._keys.get(command.key or "")
        if key is None:
            return "unknown-key", f"no key {command.key!r} is pinned in this site's file"
        if key.actors and command.actor not in key.actors:
            return "unknown-key", f"the key {key.name!r} is not for {command.actor!r}"
        try:
            signature = base64.b64decode(command.signature or "", validate=True)
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, signed_bytes(raw))
        except (InvalidSignature, binascii.Error, ValueError):
            return "bad-signature", "the signature is not of this key over this command"
        return None
