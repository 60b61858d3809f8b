"""Kinds of values that many payloads share."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

# --- up: only what we can promise, so no longest text: names and words may come from chargers

Id: TypeAlias = Annotated[str, Meta(min_length=1)]
Word: TypeAlias = str
"""A word of a list that may grow; readers pass over those they do not know."""
Words: TypeAlias = str
"""For a person."""
Moment: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", extra_json_schema={"format": "date-time"})
]
"""RFC 3339 in UTC with milliseconds."""
Hash: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, hexadecimal."""
Decimal: TypeAlias = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$")]
"""A decimal number as text, so that nobody reads it as a float."""
Quality: TypeAlias = Literal["good", "stale", "no-value"]

# --- both ways

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""Exact in every JSON reader, and it fits the ledger's 64 bits."""

# --- down: with bounds

RecordId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Note: TypeAlias = Annotated[str, Meta(max_length=4_096)]


class Phases(Struct, kw_only=True, frozen=True):
    """One value for each phase of the site, in milliamps."""

    l1: int
    l2: int
    l3: int
