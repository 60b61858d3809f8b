"""Public keys as people and chargers write them, and the curves of OCMF by name."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1(),
    "secp256r1": ec.SECP256R1(),
    "secp256k1": ec.SECP256K1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
    "brainpool256r1": ec.BrainpoolP256R1(),
    "brainpool384r1": ec.BrainpoolP384R1(),
    "brainpool512r1": ec.BrainpoolP512R1(),
}
_NAMES: Final = {curve.name.casefold(): name for name, curve in CURVES.items()} | {
    "prime192v1": "secp192r1",
    "prime256v1": "secp256r1",
}
_UNOFFERED: Final = {bytes.fromhex("06052b8104001f"): "secp192k1", bytes.fromhex("06052b81040020"): "secp224k1"}
"""Curves that are seen and that ``cryptography`` has not, by their DER object identifiers."""


class BadKeyError(ValueError):
    """The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    curve: str
    key: ec.EllipticCurvePublicKey | None
    """None: we know the curve, and cannot calculate on it."""


def curve_name(text: str) -> str:
    """``ECDSA-secp256r1-SHA256``, ``brainpoolP256r1`` and the like as the name of the curve."""
    found = re.fullmatch(r"(?:ECDSA-)?(.+?)(?:-SHA256)?", text.strip(), re.IGNORECASE)
    name = (found[1] if found else text).casefold().replace("brainpoolp", "brainpool")
    return _NAMES.get(name, name)


def key_bytes(text: str) -> bytes:
    """Hexadecimal digits, with or without spaces and colons, or base64, or PEM.

    Raises:
        BadKeyError: none of them.
    """
    text = re.sub(r"-----[A-Z ]+-----", "", text.strip())
    digits = re.sub(r"[\s:]", "", text)
    if len(digits) % 2 == 0 and re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return bytes.fromhex(digits)
    try:
        return base64.b64decode(digits, validate=True)
    except (ValueError, binascii.Error):
        raise BadKeyError("the key is neither hexadecimal nor base64") from None


@lru_cache(maxsize=256)
def read_key(text: str, declared: str) -> PublicKey:
    """A key, in a SubjectPublicKeyInfo or as its bare coordinates; then ``declared`` says the curve.

    Raises:
        BadKeyError: unreadable, or no key on an elliptic curve.
    """
    data = key_bytes(text)
    curve = CURVES.get(curve_name(declared))
    if curve is not None and data[:1] != b"\x30":
        size = (curve.key_size + 7) // 8
        point = b"\x04" + data if len(data) == 2 * size else data
        try:
            return PublicKey(curve_name(declared), ec.EllipticCurvePublicKey.from_encoded_point(curve, point))
        except ValueError:
            raise BadKeyError("the key is no point of its curve") from None
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        name = next((name for mark, name in _UNOFFERED.items() if mark in data[:40]), None)
        if name is None:
            raise BadKeyError("the key cannot be read") from None
        return PublicKey(name, None)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadKeyError("the key is not on an elliptic curve")
    return PublicKey(curve_name(key.curve.name), key)


def same_key(a: str, b: str) -> bool:
    """Equal however written."""
    try:
        return key_bytes(a)[-64:] == key_bytes(b)[-64:]
    except BadKeyError:
        return a.strip() == b.strip()
