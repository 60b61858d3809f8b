"""One record and one key to a verdict."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from edgectl.core.signed.keys import BadKeyError, curve_name, read_key
from edgectl.core.signed.ocmf import Record
from edgectl.domain.signed import Verdict

_GOOD_STATES: Final = frozenset({None, "G"})
_SURE_TIMES: Final = frozenset({"S", "R"})
"""Synchronised, and relative: the length is right even where the date may not be."""


def check(record: Record, key: str | None) -> tuple[Verdict, str]:
    """Whether the key has signed these bytes, and if not, why that cannot be said."""
    if key is None:
        return Verdict.NO_KEY, "no key is known of this meter"
    declared = curve_name(record.algorithm)
    try:
        known = read_key(key, record.algorithm)
    except BadKeyError as error:
        return Verdict.NO_KEY, str(error)
    if known.curve != declared:
        return Verdict.INVALID, f"the key is on {known.curve}, the record declares {declared}"
    if known.key is None:
        return Verdict.UNVERIFIABLE, f"curve {declared} cannot be checked here"
    signature = _signature(record)
    if signature is None:
        return Verdict.INVALID, "the signature cannot be read"
    size = (known.key.curve.key_size + 7) // 8
    candidates = [signature]
    if len(signature) == 2 * size:  # the two numbers as they are, which OCMF does not provide for and meters do
        half = len(signature) // 2
        candidates.append(encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:])))
    try:
        if any(_is_signed(known.key, one, record.payload) for one in candidates):
            return Verdict.VALID, ""
    except UnsupportedAlgorithm:
        return Verdict.UNVERIFIABLE, f"curve {declared} cannot be checked here"
    return Verdict.INVALID, "the signature is not that of this key over these bytes"


def _is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.verify(signature, payload, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _signature(record: Record) -> bytes | None:
    try:
        if record.encoding.casefold() == "base64":
            return base64.b64decode(record.signature, validate=True)
        return bytes.fromhex(record.signature)
    except (ValueError, binascii.Error):
        return None


def doubts(record: Record) -> tuple[str, ...]:
    """What the record says against itself: a meter that is not well, errors of energy or time, a clock nobody has set."""
    found: set[str] = set()
    for reading in record.readings:
        if reading.state not in _GOOD_STATES:
            found.add(f"state-{str(reading.state)[:1]}")
        found |= {f"error-{letter}" for letter in reading.errors[:4] if letter.isalpha()}
        quality = (reading.time or "")[-1:]
        if quality.isalpha() and quality not in _SURE_TIMES:
            found.add(f"time-{quality}")
    return tuple(sorted(found))
