"""What is kept, held once more against every hash, the chain, and the gateway's signatures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from edgectl.store.signing import PublicKey
from edgectl_backend.judging.bills import canonical, digest
from edgectl_backend.judging.chain import FIRST_PREV_HASH

PROBLEMS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class KeptLink:
    seq: int
    prev_hash: str
    hash: str
    record_id: str
    rev: int
    body: bytes | None
    """None where the record is kept as another ledger sent it first."""


@dataclass(slots=True)
class Recheck:
    """Of one ledger, as far as it has been walked."""

    count: int = 0
    signed_count: int = 0
    problems: list[str] = field(default_factory=list)
    """The first of them, in words."""
    last_seq: int = 0
    last_hash: str = FIRST_PREV_HASH

    @property
    def is_whole(self) -> bool:
        return not self.problems

    def go_on(self, links: Sequence[KeptLink], keys: Sequence[PublicKey]) -> None:
        """The next links, in the order of ``seq``. With ``keys`` each record must be signed by one of them once one was."""
        by_id = {key.id: key for key in keys}
        for link in links:
            if link.seq > self.last_seq + 1:
                self._note(f"records {self.last_seq + 1} to {link.seq - 1} are missing")
            elif link.prev_hash != self.last_hash:
                self._note(f"record {link.seq} does not follow the one before it")
            if link.body is not None:
                why = self._fault(link, link.body, by_id)
                if why:
                    self._note(f"record {link.seq}: {why}")
            self.count, self.last_seq, self.last_hash = self.count + 1, link.seq, link.hash

    def _fault(self, link: KeptLink, body: bytes, keys: dict[str, PublicKey]) -> str:
        try:
            envelope = msgspec.json.decode(body)
            found = digest(body)
            shown = (envelope["seq"], envelope["record_id"], envelope["rev"], envelope["prev_hash"], envelope["hash"])
        except (ValueError, KeyError, TypeError) as error:
            return f"it cannot be read: {error}"
        if found != envelope["hash"]:
            return "the hash does not fit the content"
        if shown != (link.seq, link.record_id, link.rev, link.prev_hash, link.hash):
            return "the row and the record it holds differ"
        signature = envelope.get("signature")
        if signature is None:
            return "it is not signed, and records before it are" if keys and self.signed_count else ""
        self.signed_count += 1
        if not keys:
            return ""
        key = keys.get(str(envelope.get("signed_by")))
        if key is None:
            return f"it is signed by {str(envelope.get('signed_by'))[:16]}, a key that was not given"
        return "" if key.has_signed(canonical(body, "hash", "signature"), signature) else "the signature does not fit"

    def _note(self, words: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(words)
