"""A gateway's ledger in memory: records sealed as the real one seals them, with what can go wrong with them."""

from __future__ import annotations

import json
from typing import Any

from edgectl.store.billing import FIRST_PREV_HASH, Bill, seal
from edgectl_backend.conformance.scenarios import session

__all__ = ["Book", "altered", "session"]


class Book:
    """One epoch of one site."""

    def __init__(self, site: str = "s1", epoch: str = "e1") -> None:
        self.site = site
        self.epoch = epoch
        self.bills: list[Bill] = []

    def write(self, record_id: str, rev: int = 1, **members: Any) -> Bill:
        """The next record."""
        bill = seal(
            site=self.site,
            epoch=self.epoch,
            seq=len(self.bills) + 1,
            record_id=record_id,
            rev=rev,
            prev_hash=self.bills[-1].hash if self.bills else FIRST_PREV_HASH,
            session=session(record_id, **members),
        )
        self.bills.append(bill)
        return bill

    def fill(self, count: int) -> list[bytes]:
        """So many sessions of one revision each."""
        first = len(self.bills) + 1
        return [self.write(f"{self.site}-{self.epoch}-r{number}").body for number in range(first, first + count)]


def altered(body: bytes, **members: Any) -> bytes:
    """The same message with other members, and the hash it had."""
    return json.dumps({**json.loads(body), **members}).encode()
