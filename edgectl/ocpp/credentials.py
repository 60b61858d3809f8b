"""Who is knocking: the identity in the path and the password in the ``Authorization`` header."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from edgectl.domain.ids import ChargerId

ID_MAX_CHARS = 48
"""OCPP 2.0.1 Part 4 §3.1.1; 1.6 stations keep to it."""
_HEX_KEY = re.compile(rb"[0-9A-Fa-f]{32,40}")
"""OCPP 1.6 security: a key of 16 to 20 bytes is written as 32 to 40 hexadecimal digits."""


class BadIdentityError(ValueError):
    """The path names no charger; the text says why."""


def identity_from_path(path: str) -> str:
    """The charger's id: percent-decoded once, outer slashes stripped, the last segment.

    Everything before the last segment is configuration of the charger's own (some put a whole URL into the id).

    Raises:
        BadIdentityError: empty, longer than 48 characters, not UTF-8, or with characters OCPP does not allow.
    """
    try:
        decoded = unquote_to_bytes(path.split("?", 1)[0]).decode()
    except UnicodeError:
        raise BadIdentityError("the id is not UTF-8") from None
    identity = decoded.strip("/").rpartition("/")[2].strip()
    if not identity:
        raise BadIdentityError("the path ends in no charger id")
    if len(identity) > ID_MAX_CHARS:
        raise BadIdentityError("the id is longer than 48 characters")
    if ":" in identity:
        raise BadIdentityError("the id contains ':'")
    if not identity.isprintable():
        raise BadIdentityError("the id contains control characters")
    return identity


class Roster:
    """The configured ids. Chargers change the case of theirs; inside the house there is the configuration's spelling only."""

    def __init__(self, known: Iterable[ChargerId]) -> None:
        self._exact = frozenset(known)
        self._by_folded: dict[str, list[ChargerId]] = {}
        for charger in sorted(self._exact):
            self._by_folded.setdefault(charger.casefold(), []).append(charger)

    def find(self, identity: str) -> ChargerId | None:
        """The configured spelling; None when unknown, or when only the case tells two chargers apart and neither is exact."""
        if identity in self._exact:
            return ChargerId(identity)
        candidates = self._by_folded.get(identity.casefold(), [])
        return candidates[0] if len(candidates) == 1 else None

    def is_ambiguous(self, identity: str) -> bool:
        return identity not in self._exact and len(self._by_folded.get(identity.casefold(), [])) > 1


class PasswordForm(StrEnum):
    """In which form a charger sends its key; firmwares disagree."""

    AS_STORED = "as-stored"
    HEX = "hex"
    """The hexadecimal digits of the stored bytes."""
    RAW = "raw"
    """The bytes of which the stored text is the hexadecimal digits."""


class AccessDeniedError(Exception):
    """The text says what was wrong, without the password."""


def check_basic_auth(header: str | None, identity: str, password: bytes) -> PasswordForm:
    """Compare HTTP basic credentials with the stored password; every form is compared, in constant time each.

    The header is handled as bytes throughout: keys are binary, and decoding them loses some of them.

    Raises:
        AccessDeniedError: no or unreadable credentials, another charger's user name, or a wrong password.
    """
    if header is None:
        raise AccessDeniedError("no credentials")
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        raise AccessDeniedError("credentials are not HTTP basic")
    try:
        credentials = base64.b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeError):
        raise AccessDeniedError("credentials are not base64") from None
    user, separator, shown = credentials.partition(b":")
    if not separator:
        raise AccessDeniedError("credentials have no ':'")
    stored = password.rstrip(b"\r\n")
    is_user = hmac.compare_digest(user.lower(), identity.encode().lower())
    forms = {
        PasswordForm.AS_STORED: hmac.compare_digest(shown, stored),
        PasswordForm.HEX: hmac.compare_digest(shown.lower(), stored.hex().encode()),
    }
    if _HEX_KEY.fullmatch(stored) and len(stored) % 2 == 0:
        forms[PasswordForm.RAW] = hmac.compare_digest(shown, bytes.fromhex(stored.decode()))
    if not stored:
        raise AccessDeniedError("the stored password is empty")
    if not is_user:
        raise AccessDeniedError("the user name is not the charger's id")
    for form, is_equal in forms.items():
        if is_equal:
            return form
    raise AccessDeniedError("wrong password")
