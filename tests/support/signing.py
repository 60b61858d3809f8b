"""A key that the test sites pin, and commands signed with it."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgectl.contract.signing import signed_bytes

SECRET = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = base64.b64encode(SECRET.public_key().public_bytes_raw()).decode()
"""For ``mqtt: command_keys:``, under the name ``k1``."""


def signed(command: dict[str, Any], site: str, name: str) -> dict[str, Any]:
    """The command with what the contract wants of a signed one."""
    whole = {**command, "site": site, "name": name, "key": "k1"}
    return {**whole, "signature": base64.b64encode(SECRET.sign(signed_bytes(whole))).decode()}
