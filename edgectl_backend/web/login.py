"""Who may look at the fleet: names and scrypt hashes in a file, asked for by HTTP Basic (RFC 7617)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

COST, BLOCK, LANES = 2**15, 8, 3
"""Of new hashes: OWASP's least for scrypt at 32 MB (Password Storage Cheat Sheet); some 0.2 s of one core."""
SALT_BYTES: Final = 16
MAX_MEMORY_BYTES: Final = 256 * 1_048_576
"""A line that asks for more is refused when the file is read."""
SHORTEST_PASSWORD: Final = 10
WAITING_MAX: Final = 8
"""Strangers whose password is being looked at. One is worked on at a time, so guessing takes one core's share and no more."""
KNOWN_MAX: Final = 1_000
LINE_ALLOWED: Final = "NAME:scrypt:N:R:P:SALT:HASH, as `edgectl-backend hash-password NAME` prints it"


class UsersFileError(ValueError):
    """The file cannot be used; in words for a person, with its line."""


class TooBusyError(Exception):
    """So many wait to be looked at that one more is sent away unheard."""


@dataclass(frozen=True, slots=True)
class Hash:
    """One password, as far as anybody has to know it."""

    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes

    def fits(self, password: str) -> bool:
        return hmac.compare_digest(self.digest, _scrypt(password, self.cost, self.block, self.lanes, self.salt))


def _scrypt(password: str, cost: int, block: int, lanes: int, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=MAX_MEMORY_BYTES, dklen=32)


def make_line(name: str, password: str, *, cost: int = COST) -> str:
    """A line for the file. Raises ``ValueError``, in words for a person."""
    if not name or not name.isprintable() or ":" in name:
        raise ValueError(f"{name!r}; allowed is any printable name without a colon")
    if len(password) < SHORTEST_PASSWORD:
        raise ValueError(f"a password of {len(password)} characters; allowed are {SHORTEST_PASSWORD} or more")
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(password, cost, BLOCK, LANES, salt)
    return ":".join((name, "scrypt", str(cost), str(BLOCK), str(LANES), _text(salt), _text(digest)))


def read_users(text: str, source: str) -> dict[str, Hash]:
    """The file's lines; empty ones and those that begin with ``#`` say nothing.

    Raises:
        UsersFileError: a line cannot be used, or nobody is named.
    """
    users: dict[str, Hash] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        try:
            kind, cost, block, lanes, salt, digest = rest.split(":")
            found = Hash(int(cost), int(block), int(lanes), _bytes(salt), _bytes(digest))
            if kind != "scrypt" or len(found.digest) != 32 or not name:
                raise ValueError
            found.fits("")  # what this machine cannot reckon is found now, and not when somebody wants in
        except ValueError:
            raise UsersFileError(f"{source}:{number}: no user with a hash; allowed is {LINE_ALLOWED}") from None
        if name in users:
            raise UsersFileError(f"{source}:{number}: {name!r} is there twice")
        users[name] = found
    if not users:
        raise UsersFileError(f"{source}: nobody is named in it; allowed is {LINE_ALLOWED}")
    return users


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class Login:
    """Judges the ``Authorization`` header. One for a process."""

    def __init__(self, users: Mapping[str, Hash]) -> None:
        self._users = users
        self._stranger = next(iter(users.values()))
        """A name that is not there takes as long as one that is."""
        self._secret = secrets.token_bytes(32)
        self._known: set[bytes] = set()
        """Headers that were found right, under a key of this process: a page that asks every few seconds costs no scrypt."""
        self._turn = asyncio.Lock()
        self._waiting_count = 0
        self.refused_count = 0

    async def lets_in(self, header: str | None) -> bool:
        """Raises ``TooBusyError``."""
        pair = _pair(header)
        if pair is None or header is None:
            return False
        key = hashlib.blake2b(header.encode(), key=self._secret).digest()
        if key in self._known:
            return True
        if self._waiting_count >= WAITING_MAX:
            raise TooBusyError
        name, password = pair
        self._waiting_count += 1
        try:
            async with self._turn:
                is_right = await asyncio.to_thread(self._users.get(name, self._stranger).fits, password) and name in self._users
        finally:
            self._waiting_count -= 1
        if not is_right:
            self.refused_count += 1
            return False
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known.add(key)
        return True


def _pair(header: str | None) -> tuple[str, str] | None:
    scheme, _, rest = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (name, password) if colon else None
