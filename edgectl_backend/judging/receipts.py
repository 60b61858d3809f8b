"""What the gateway is told after the commit. Pure.

Every record is named. ``acked_through`` stays null: a ledger restored from an older copy of itself uses numbers again, and a
number from us would make it drop records we never saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from edgectl.contract.receipts import Acked, Receipt, Rejected
from edgectl_backend.judging.topics import receipt_topic

PAYLOAD_MAX_BYTES: Final = 60_000
"""Gateways read 64 kB; a thousand records fit."""
SHOWN_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class Word:
    """One record of one ledger: taken, or refused with ``code``."""

    site: str
    stream: str
    epoch: str
    record_id: str
    rev: int
    code: str = ""
    reason: str = ""


def receipts(words: Iterable[Word]) -> list[tuple[str, bytes]]:
    """Topics and payloads; each record once, a refusal before an acknowledgement."""
    ledgers: dict[tuple[str, str, str], dict[tuple[str, int], Word]] = {}
    for word in words:
        named = ledgers.setdefault((word.site, word.stream, word.epoch), {})
        kept = named.get((word.record_id, word.rev))
        if kept is None or word.code:
            named[word.record_id, word.rev] = word
    found = []
    for (site, stream, epoch), named in ledgers.items():
        found += [(receipt_topic(site, stream), payload) for payload in _payloads(epoch, list(named.values()))]
    return found


def _payloads(epoch: str, words: list[Word]) -> list[bytes]:
    whole = _payload(epoch, words)
    if len(whole) <= PAYLOAD_MAX_BYTES or len(words) == 1:
        return [whole]
    half = len(words) // 2
    return _payloads(epoch, words[:half]) + _payloads(epoch, words[half:])


def _payload(epoch: str, words: list[Word]) -> bytes:
    receipt = Receipt(
        epoch=epoch,
        acked=[Acked(record_id=word.record_id, rev=word.rev) for word in words if not word.code],
        rejected=[
            Rejected(record_id=word.record_id, rev=word.rev, code=word.code, reason=word.reason[:SHOWN_CHARS])
            for word in words
            if word.code
        ],
    )
    return msgspec.json.encode(receipt)
