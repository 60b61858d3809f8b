"""Public keys that sign commands."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from edgectl.config.problems import Refused

ED25519_ALLOWED: Final = "an Ed25519 public key in base64: its 32 bytes, or the middle line of its PEM file"
_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes in a PEM file (RFC 8410)."""


def parse_ed25519(text: str) -> bytes:
    """The 32 bytes.

    Raises:
        Refused: not base64, or not a key of this kind.
    """
    try:
        found = base64.b64decode(text.strip(), validate=True).removeprefix(_SPKI)
    except (binascii.Error, ValueError):
        raise Refused("is not base64", ED25519_ALLOWED) from None
    if len(found) != 32:
        raise Refused("is not an Ed25519 public key", ED25519_ALLOWED)
    return found
