"""The shapes in which chargers hand over signed values. The text itself is kept elsewhere; this looks at a copy.

- OCPP 1.6, ``format: SignedData``: the record itself, its hexadecimal digits, or JSON ``{signedMeterValue, encodingMethod,
  publicKey}`` (both forms are seen; research uplink-billing 3.3).
- OCPP 2.x, SignedMeterValueType: ``{signedMeterData, signingMethod, encodingMethod, publicKey}``, data and key in base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST = 64 * 1024
"""Longer than any record seen, by far (the longest had 2,500 bytes)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    record: str
    """The signed record, unpacked."""
    key: str | None = None
    """The public key that came with it, as text."""
    encoding: str = ""
    """What the charger calls the format."""


def opened(text: str) -> Envelope:
    """What is inside. A text of no known shape is its own record."""
    stripped = text.strip()
    if len(stripped) > LONGEST:
        return Envelope(stripped)
    if stripped.startswith("{"):
        found = _object(stripped)
        if found is not None:
            return _of_object(found) or Envelope(stripped)
    return Envelope(_unpacked(stripped))


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _of_object(found: dict[str, Any]) -> Envelope | None:
    data = found.get("signedMeterData", found.get("signedMeterValue"))
    if not isinstance(data, str):
        return None
    key, encoding = found.get("publicKey"), found.get("encodingMethod")
    return Envelope(
        _unpacked(data.strip()),
        _key_text(key) if isinstance(key, str) and key.strip() else None,
        encoding if isinstance(encoding, str) else "",
    )


def _unpacked(text: str) -> str:
    """Hexadecimal digits or base64 of a record are opened; the record itself stays."""
    if text.startswith("OCMF|"):
        return text
    for opener in (_hex, _base64):
        found = opener(text)
        if found is not None and found.lstrip().startswith("OCMF|"):
            return found.strip()
    return text


def _hex(text: str) -> str | None:
    if len(text) % 2 or re.fullmatch(r"[0-9A-Fa-f]+", text) is None:
        return None
    return _decoded(bytes.fromhex(text))


def _base64(text: str) -> str | None:
    try:
        return _decoded(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, binascii.Error):
        return None


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _key_text(text: str) -> str:
    """The key without what is wrapped around it: base64 of text, and the ``oca:base16:asn1:`` of the OCA application note."""
    inner = _base64(text.strip())
    text = inner.strip() if inner is not None and (inner.startswith("oca:") or _hex_key(inner)) else text.strip()
    return text.rsplit(":", 1)[-1] if text.startswith("oca:") else text


def _hex_key(text: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f\s]{64,}", text.strip()) is not None
