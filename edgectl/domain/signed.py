"""What was found out about a signed meter value. It stands beside the value, never instead of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    VALID = "valid"
    """The signature is that of the key, over the bytes as they are. No word on what they say: see ``doubts``."""
    INVALID = "invalid"
    """It is not; or the key is of another curve than the record declares."""
    KEY_DIFFERS = "key-differs"
    """The charger sent another key than the one known of this meter; the known one counts, and it did not sign this."""
    NO_KEY = "no-key"
    UNVERIFIABLE = "unverifiable"
    """A format or a curve we cannot check."""
    UNREADABLE = "unreadable"
    NOT_CHECKED = "not-checked"
    """Too many at once."""


@dataclass(frozen=True, slots=True)
class SignedVerdict:
    verdict: Verdict
    why: str = ""
    meter: str = ""
    """Serial number of the meter (OCMF ``MS``, else ``GS``); the charger's id where it names none."""
    pagination: str | None = None
    """OCMF ``PG``: ``T`` for transactions or ``F`` for fiscal reads, and a counter."""
    doubts: tuple[str, ...] = ()
    """What the record says against itself, and what its pagination says: ``state-E``, ``error-t``, ``time-U``, ``page-gap``,
    ``page-reset``, ``page-repeated``, ``key-unregistered``."""
    reads: tuple[str, ...] = ()
    """OCMF ``TX`` of its readings: ``B`` begin, ``C`` charging, ``E`` end, ..."""
