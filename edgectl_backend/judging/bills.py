"""A billing message to a ``Bill``, or the reason why it is none. Pure.

Everything is checked that one message alone can show: its form, whose it is, and that its hash fits its content. What takes a
second record to see, a gap or a broken chain, is the chain's business and never a reason to refuse: it is no fault of the record.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
import rfc8785

from edgectl.contract.billing import BillingRecord, Session
from edgectl_backend.judging.unpacking import unpacked

MAX_BODY_BYTES: Final = 1_048_576
"""A session of a week with a signed value every quarter of an hour has some 500 kB."""
MAX_NAME_CHARS: Final = 128
"""Of what a receipt names; the contract's bound for what goes down."""
MAX_REASON_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Bill:
    """One record of one site's ledger, its hash found true."""

    site: str
    epoch: str
    seq: int
    record_id: str
    rev: int
    prev_hash: str
    hash: str
    body: bytes
    """As the gateway's ledger has it, to the byte."""
    session: Session
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that will never be stored as what it claims. Its gateway is told, if it is known which record it is."""

    site: str
    code: str
    reason: str
    body: bytes
    epoch: str | None = None
    record_id: str | None = None
    rev: int | None = None
    seq: int | None = None
    stream: str = "billing"


Reading: TypeAlias = Bill | Poison

_records = msgspec.json.Decoder(BillingRecord)


def read_bill(site: str, body: bytes) -> Reading:
    """``site`` is the one in the topic, which the broker's access list vouches for."""
    if len(body) > MAX_BODY_BYTES:
        return Poison(site, "too-large", f"{len(body)} bytes, at most {MAX_BODY_BYTES} are taken", body[:MAX_BODY_BYTES])
    try:
        body = unpacked(body, MAX_BODY_BYTES)
        record = _records.decode(body)
        started_at = datetime.fromisoformat(record.session.started_at)
        ended_at = None if record.session.ended_at is None else datetime.fromisoformat(record.session.ended_at)
    except (ValueError, RecursionError) as error:
        return poison(site, body, "malformed", str(error) or "nested too deeply")
    code, reason = _why_not(site, record, body)
    if code:
        return poison(site, body, code, reason)
    return Bill(
        site=site,
        epoch=record.epoch,
        seq=record.seq,
        record_id=record.record_id,
        rev=record.rev,
        prev_hash=record.prev_hash,
        hash=record.hash,
        body=body,
        session=record.session,
        started_at=started_at,
        ended_at=ended_at,
    )


def session_of(body: bytes) -> bytes:
    """The canonical ``session`` of a record whose hash was found true, to compare two ledgers' records of one session."""
    return rfc8785.dumps(msgspec.json.decode(body)["session"])


def _why_not(site: str, record: BillingRecord, body: bytes) -> tuple[str, str]:
    if record.site != site:
        return "wrong-site", f"it says site {record.site!r} and came on the topic of {site!r}"
    if record.session.id != record.record_id:
        return "wrong-session", f"session {record.session.id!r} in record {record.record_id!r}"
    if record.seq < 1 or record.rev < 1:
        return "malformed", f"seq {record.seq}, rev {record.rev}: both begin at 1"
    for name, text in (("epoch", record.epoch), ("record_id", record.record_id)):
        if len(text) > MAX_NAME_CHARS or "\0" in text:
            return "malformed", f"{name} {text[:80]!r}: at most {MAX_NAME_CHARS} characters, no NUL"
    try:
        found = digest(body)
    except (ValueError, RecursionError) as error:
        return "not-canonical", f"it has no canonical form: {error}"
    if found != record.hash:
        return "hash-mismatch", f"the content has hash {found}, the record says {record.hash}"
    return "", ""


def digest(body: bytes) -> str:
    """SHA-256, in hexadecimal digits, of the canonical form (RFC 8785) of an object without its ``hash``.

    Raises:
        ValueError: what JSON cannot carry safely (RFC 8785 §3.2.2), or no object.
    """
    return hashlib.sha256(canonical(body, "hash")).hexdigest()


def canonical(body: bytes, *without: str) -> bytes:
    """The canonical form of the JSON object ``body``, less some members. Raises ``ValueError``."""
    floats: list[str] = []

    def note(text: str) -> float:
        floats.append(text)
        return float(text)

    members = msgspec.json.Decoder(dict[str, Any], float_hook=note).decode(body)
    for name in without:
        members.pop(name, None)
    if not floats and body.isascii() and _HARD.search(body) is None:
        # Thirty times faster, and the same bytes: all that RFC 8785 does in its own way is numbers with a fraction or beyond
        # 2**53, escaped characters, and the order of names that are not ASCII.
        return msgspec.json.encode(members, order="sorted")
    return rfc8785.dumps(members)


_HARD: Final = re.compile(rb"[0-9]{16}|\\[^\"\\]")


def poison(site: str, body: bytes, code: str, reason: str, stream: str = "billing") -> Poison:
    """With whatever names it, so that its gateway can be told."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        found = None
    named = found if isinstance(found, dict) else {}

    def text(key: str) -> str | None:
        value = named.get(key)
        return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS and "\0" not in value else None

    def number(key: str) -> int | None:
        value = named.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None

    return Poison(
        site, code, reason[:MAX_REASON_CHARS], body, text("epoch"), text("record_id"), number("rev"), number("seq"), stream
    )
