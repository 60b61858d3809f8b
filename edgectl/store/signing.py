"""The gateway's own signature on billing records: Ed25519 (RFC 8032), with a key that never leaves it.

The chain shows that nothing was changed or left out since it was written; only a signature shows who wrote it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

KEY_ALLOWED = "an Ed25519 key in PEM form, as `openssl genpkey -algorithm ed25519` makes it"


class Signer:
    """The private key.

    Raises:
        ValueError: ``pem`` is something else; the words never hold any of it.
    """

    def __init__(self, pem: bytes) -> None:
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"is not {KEY_ALLOWED}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"is not {KEY_ALLOWED}")  # noqa: TRY004 - the file is wrong, not the call
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, content: bytes) -> str:
        """Base64 of the 64 bytes."""
        return base64.b64encode(self._key.sign(content)).decode()


@dataclass(frozen=True)
class PublicKey:
    key: Ed25519PublicKey

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the 32 bytes of the key."""
        return hashlib.sha256(self.key.public_bytes_raw()).hexdigest()[:16]

    def has_signed(self, content: bytes, signature: object) -> bool:
        try:
            self.key.verify(base64.b64decode(str(signature), validate=True), content)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def read_public_key(pem: bytes) -> PublicKey:
    """From the public key, or from the private one.

    Raises:
        ValueError: it is neither.
    """
    if b"PRIVATE KEY" in pem:
        return Signer(pem).public
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"is not {KEY_ALLOWED}, nor its public half") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"is not {KEY_ALLOWED}, nor its public half")  # noqa: TRY004 - the same
    return PublicKey(key)
