"""The billing record as the backend sees it: an envelope, its hash, and the chain through all of them. Pure.

``hash`` is SHA-256 (hex) over the RFC 8785 canonical form of the envelope without ``hash``; ``prev_hash`` is the ``hash`` of
the record with the previous ``seq``. So a backend, or ``edgectl ledger verify``, can show that none is missing and none was
changed after it was written.

With a key of the gateway (see ``signing``) the envelope also has ``signed_by``, which names the key, and ``signature``, over the
canonical form without ``hash`` and ``signature``. Both stand under the hash like everything else, so who knows nothing of
signatures checks the chain as before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from edgectl.store import canonical as canonical_form
from edgectl.store.signing import PublicKey, Signer

SCHEMA: Final = "edgectl/billing-session/1"
TOPIC_SUFFIX: Final = "billing/session"
FIRST_PREV_HASH: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Bill:
    """One row of the chain."""

    seq: int
    record_id: str
    rev: int
    prev_hash: str
    hash: str
    body: bytes
    """The complete envelope, canonical."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    count: int
    """Records found intact, from the first that is kept on."""
    first_broken_seq: int | None = None
    why: str = ""
    """Empty while the chain is intact."""
    after_seq: int = 0
    """The last number that retention has let go of; 0: none."""
    signed_count: int = 0
    """Of ``count``, those with a signature; whether it is right was only looked at when keys were given."""

    @property
    def is_intact(self) -> bool:
        return self.first_broken_seq is None


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785.

    Raises:
        ValueError: for what JSON cannot carry safely: NaN, integers of 2**53 and above, lone surrogates, foreign types.
    """
    return canonical_form.dumps(dict(value))


def seal(
    *,
    site: str,
    epoch: str,
    seq: int,
    record_id: str,
    rev: int,
    prev_hash: str,
    session: Mapping[str, Any],
    signer: Signer | None = None,
) -> Bill:
    """Make the next record of the chain.

    It is checked as a stranger would check it before it is given out, so nothing enters the chain that will not verify: a
    float such as 2.0**53, for one, is canonically written as an integer too large to be read back.

    Raises:
        ValueError: as ``canonical`` does, and for content that does not survive the check.
    """
    envelope: dict[str, Any] = {
        "schema": SCHEMA,
        "site": site,
        "epoch": epoch,
        "seq": seq,
        "record_id": record_id,
        "rev": rev,
        "prev_hash": prev_hash,
        "session": dict(session),
    }
    if signer is not None:
        envelope["signed_by"] = signer.public.id
    members = _members(envelope)
    if signer is not None:
        members["signature"] = canonical_form.dumps(signer.sign(_joined(members)))
    digest = hashlib.sha256(_joined(members)).hexdigest()
    members["hash"] = canonical_form.dumps(digest)
    bill = Bill(seq, record_id, rev, prev_hash, digest, _joined(members))
    why = _fault_of(bill, seq, prev_hash, epoch)
    if why:
        raise ValueError(why)
    return bill


def session_of(body: bytes) -> bytes:
    """The canonical ``session`` of a sealed record, to compare a repeat with."""
    return canonical(json.loads(body)["session"])


def unsealed(body: bytes) -> Bill | None:
    """The record in these bytes, if they are canonical and its hash fits; of its place in the chain nothing is said."""
    try:
        envelope = json.loads(body)
        bill = Bill(envelope["seq"], envelope["record_id"], envelope["rev"], envelope["prev_hash"], envelope["hash"], bytes(body))
        return None if _fault_of(bill, bill.seq, bill.prev_hash, envelope["epoch"]) else bill
    except (ValueError, TypeError, KeyError):
        return None


def check_chain(
    bills: Iterable[Bill],
    epoch: str,
    after_seq: int = 0,
    prev_hash: str = FIRST_PREV_HASH,
    keys: Sequence[PublicKey] = (),
) -> ChainReport:
    """Walk the rows in ``seq`` order and stop at the first that does not hold. ``after_seq`` and ``prev_hash`` are of the record
    before the first that is kept.

    With ``keys`` each signature must be of one of them, and after the first signed record there is none without.
    """
    count = signed_count = 0
    by_id = {key.id: key for key in keys}
    for bill in bills:
        expected_seq = after_seq + count + 1
        why = _fault_of(bill, expected_seq, prev_hash, epoch)
        envelope = {} if why else json.loads(bill.body)
        is_signed = "signature" in envelope
        if not why and by_id:
            why = _signature_fault(envelope, by_id, is_needed=signed_count > 0)
        if why:
            return ChainReport(count, expected_seq, why, after_seq, signed_count)
        count, prev_hash, signed_count = count + 1, bill.hash, signed_count + is_signed
    return ChainReport(count, after_seq=after_seq, signed_count=signed_count)


def _signature_fault(envelope: dict[str, Any], keys: Mapping[str, PublicKey], *, is_needed: bool) -> str:
    del envelope["hash"]
    signature = envelope.pop("signature", None)
    if signature is None:
        return "it is not signed, and records before it are" if is_needed else ""
    key = keys.get(str(envelope.get("signed_by")))
    if key is None:
        return f"it is signed by {str(envelope.get('signed_by'))[:16]}, a key that was not given"
    return "" if key.has_signed(canonical(envelope), signature) else "the signature does not fit the content"


def _fault_of(bill: Bill, expected_seq: int, prev_hash: str, epoch: str) -> str:
    if bill.seq != expected_seq:
        return f"record {expected_seq} is missing"
    try:
        envelope = json.loads(bill.body)
        members = _members(envelope) if isinstance(envelope, dict) else {}
        is_canonical = _joined(members) == bill.body
    except ValueError as error:
        return f"the record is not JSON: {error}"
    if not is_canonical:
        return "the record is not in its canonical form"
    claimed = envelope.pop("hash", None)
    members.pop("hash", None)
    if claimed != hashlib.sha256(_joined(members)).hexdigest():
        return "the hash does not fit the content"
    if bill.prev_hash != prev_hash:
        return "prev_hash is not the hash of the record before"
    shown = (envelope.get("epoch"), envelope.get("seq"), envelope.get("record_id"), envelope.get("rev"))
    if (*shown, envelope.get("prev_hash"), claimed) != (epoch, bill.seq, bill.record_id, bill.rev, prev_hash, bill.hash):
        return "the row and the record it holds differ"
    return ""


def _members(envelope: Mapping[str, Any]) -> dict[str, bytes]:
    """Each member's value in canonical form: the session is most of it, and stands in three forms that differ in a hash."""
    return {name: canonical_form.dumps(value) for name, value in envelope.items()}


def _joined(members: Mapping[str, bytes]) -> bytes:
    """The canonical form of the whole; RFC 8785 orders names by their UTF-16 code units (3.2.3)."""
    names = sorted((_name(name), name) for name in members)
    return b"{" + b",".join(written + members[name] for (_, written), name in names) + b"}"


@lru_cache(maxsize=64)
def _name(name: str) -> tuple[bytes, bytes]:
    """What a member's name is sorted by, and how it is written: a record has a dozen, always the same."""
    return name.encode("utf-16-be"), canonical_form.dumps(name) + b":"
