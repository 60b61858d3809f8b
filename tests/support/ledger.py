"""A gateway's ledger in memory: records sealed as the real one seals them, with what can go wrong with them."""

from __future__ import annotations

import json
from typing import Any

from edgectl.store.billing import FIRST_PREV_HASH, Bill, seal


def session(record_id: str, **members: Any) -> dict[str, Any]:
    """A completed session with 10 kWh."""
    return {
        "id": record_id,
        "charger": "CP-1",
        "evse": 1,
        "connector": 1,
        "transaction": "7",
        "id_token": "04A1",
        "auth": {"how": "local-list", "by": "van-1", "status": "accepted", "offline": False},
        "started_at": "2026-03-01T10:00:00.000Z",
        "ended_at": "2026-03-01T11:00:00.000Z",
        "started_reported_at": None,
        "ended_reported_at": None,
        "meter_start_wh": 1_000,
        "meter_stop_wh": 11_000,
        "energy_wh": 10_000,
        "status": "completed",
        "stop_reason": "EVDisconnected",
        "periods": [],
        "signed_values": [],
        "signed_verdicts": [],
        "account": None,
        "tariff": None,
        "cost": None,
        "clock_quality": "synchronised",
        "flags": [],
        **members,
    }


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
