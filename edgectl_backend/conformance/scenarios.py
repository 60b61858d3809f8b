"""What is sent, and what must become of it. Pure.

A scenario is a site of its own. Its parts follow each other: the next begins when everything in this one has its answer, or no
answer has come for too long.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from edgectl.store.billing import FIRST_PREV_HASH, Bill, canonical, seal

BURST_COUNT: Final = 1_000
LARGE_CHARS: Final = 300_000


class Due(Enum):
    """What a message must be answered with."""

    TAKEN = auto()
    REFUSED = auto()
    NOTHING = auto()
    """Nobody can say which record it is: only that the consumer survives it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message."""

    suffix: str
    body: bytes
    due: Due
    epoch: str = ""
    record_id: str = ""
    rev: int = 0
    seq: int = 0
    what: str = "a sound record"
    """In words, for the report."""


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    words: str
    """What a consumer must do."""
    parts: tuple[tuple[Sent, ...], ...]
    stream: str = "billing"


@dataclass(slots=True)
class Ledger:
    """One epoch of one site."""

    site: str
    epoch: str
    bills: list[Bill] = field(default_factory=list)

    def write(self, record_id: str, rev: int = 1, *, what: str = "a sound record", **members: Any) -> Sent:
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
        return Sent("billing/session", bill.body, Due.TAKEN, self.epoch, record_id, rev, bill.seq, what)

    def fill(self, count: int) -> list[Sent]:
        first = len(self.bills) + 1
        return [self.write(f"{self.site}-{self.epoch}-{number}") for number in range(first, first + count)]


def session(record_id: str, **members: Any) -> dict[str, Any]:
    """The ``session`` of a record, complete."""
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


def _plain(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    return [Ledger(site, "e1").fill(20)]


def _repeats(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    records = Ledger(site, "e1").fill(20)
    return [[record for record in records for _ in range(3)], records, records[::-1]]


def _reorder(site: str, rng: random.Random) -> Sequence[Sequence[Sent]]:
    records = Ledger(site, "e1").fill(50)
    rng.shuffle(records)
    return [records[:25], records[25:]]


def _gap(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    records = Ledger(site, "e1").fill(10)
    return [records[:4] + records[6:], records[4:6]]


def _epochs(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    first, second = Ledger(site, "e1"), Ledger(site, "e2")
    return [
        first.fill(5),
        second.fill(8),
        first.fill(2),
        [sent for pair in zip(first.fill(3), second.fill(3), strict=True) for sent in pair],
    ]


def _salvage(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    first, second = Ledger(site, "e1"), Ledger(site, "e2")
    again = "a record that a salvaged ledger names again"
    return [[first.write(f"{site}-{n}") for n in range(5)], [second.write(f"{site}-{n}", what=again) for n in range(5)]]


def _revisions(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    one, two, three = (ledger.write(f"{site}-a", rev, what=f"revision {rev}", energy_wh=rev * 1_000) for rev in (1, 2, 3))
    return [[three], [one], [two]]


def _corrections(site: str, rng: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    told = {"session": f"{site}-a", "of": f"{site}-a", "at": "2026-03-02T09:00:00.000Z", "by": "ops", "reason": "wrong tariff"}
    records = [
        ledger.write(f"{site}-a"),
        ledger.write(f"{site}-b", what="a credit", correction={"kind": "credit", **told}),
        ledger.write(f"{site}-c", what="a replacement", energy_wh=9_000, correction={"kind": "replacement", **told}),
    ]
    rng.shuffle(records)
    return [records, records]


def _reservations(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    kept = {"id": 5, "from": "2026-03-01T09:30:00.000Z", "until": "2026-03-01T10:30:00.000Z"}
    used = {**kept, "ended_at": "2026-03-01T10:00:00.000Z", "outcome": "used"}
    nobody: dict[str, Any] = {
        "energy_wh": 0,
        "transaction": "",
        "meter_start_wh": None,
        "meter_stop_wh": None,
        "started_at": kept["from"],
    }
    records = [ledger.write(f"{site}-used", what="a session whose place was reserved", reservation=used)]
    for outcome in ("expired", "cancelled", "removed"):
        told: dict[str, Any] = {
            "stop_reason": f"reservation-{outcome}",
            "reservation": {**kept, "ended_at": kept["until"], "outcome": outcome},
        }
        words = f"a reservation that was {outcome}" if outcome != "expired" else "a reservation that ran out"
        records.append(ledger.write(f"{site}-{outcome}", what=words, **nobody, **told))
    return [records]


def _conflict(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger, other = Ledger(site, "e1"), Ledger(site, "e1")
    first, after = ledger.write(f"{site}-a"), ledger.write(f"{site}-b")
    changed = other.write(f"{site}-a", what="another content under a record and revision that is taken", energy_wh=1)
    return [[first], [_refused(changed)], [after]]


def _poison(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    sound = ledger.fill(3)
    bad = [
        _changed(ledger.write(f"{site}-hash"), "a record whose hash does not fit its content", seq=1_000),
        _changed(ledger.write(f"{site}-site"), "a record of another site", site="another"),
        _changed(ledger.write(f"{site}-missing"), "a record without its session", session=None),
        _changed(
            ledger.write(f"{site}-type"), "a record whose energy is a text", session=session(f"{site}-type", energy_wh="10 kWh")
        ),
    ]
    return [sound[:1], bad, sound[1:2], _garbage(), sound[2:]]


def _garbage() -> list[Sent]:
    bodies = (b"", b"null", b"{", b"\xff\xfe", b"[" * 10_000, b'{"rev": 1e999}', bytes(range(256)))
    return [Sent("billing/session", body, Due.NOTHING, what="bytes that are no record") for body in bodies]


def _members(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    words = "a record with a member of a later version"
    return [[ledger.write(f"{site}-a", what=words, added_later={"x": [1, None, "y"]}), ledger.write(f"{site}-b")]]


def _texts(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    texts = ("\x00", "'; --", "\U0001f50c é 漢", "\u202e", "%s{}\\", "")
    records = [
        ledger.write(f"{site}-{n}", what=f"a record with the text {text!r}", id_token=text, stop_reason=text)
        for n, text in enumerate(texts)
    ]
    return [[*records, ledger.write(f"{site}-last")]]


def _large(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    ledger = Ledger(site, "e1")
    words = f"a record with {LARGE_CHARS // 1000} kB of signed values"
    return [
        [ledger.write(f"{site}-a", what=words, signed_values=["A" * 3_000] * (LARGE_CHARS // 3_000)), ledger.write(f"{site}-b")]
    ]


def _burst(site: str, rng: random.Random) -> Sequence[Sequence[Sent]]:
    records = Ledger(site, "e1").fill(BURST_COUNT)
    many = [*records, *rng.sample(records, BURST_COUNT // 4)]
    rng.shuffle(many)
    return [many]


def _events(site: str, _: random.Random) -> Sequence[Sequence[Sent]]:
    found = []
    for seq in range(1, 6):
        body = {
            "schema": "edgectl/event/1",
            "site": site,
            "epoch": "e1",
            "seq": seq,
            "record_id": f"e1-{seq}",
            "rev": 1,
            "kind": "meter-lost",
            "subject": "main",
            "at": f"2026-03-01T10:00:0{seq}.000Z",
            "state": "raised" if seq % 2 else "cleared",
            "detail": "no answer",
        }
        found.append(Sent("event/meter-lost", canonical(body), Due.TAKEN, "e1", f"e1-{seq}", 1, seq, "an event"))
    return [found, found]


def _refused(sent: Sent) -> Sent:
    return Sent(sent.suffix, sent.body, Due.REFUSED, sent.epoch, sent.record_id, sent.rev, sent.seq, sent.what)


def _changed(sent: Sent, what: str, **members: Any) -> Sent:
    """With other members and the old hash; its place in the chain stays a gap."""
    body = json.dumps({**json.loads(sent.body), **members}).encode()
    return Sent(sent.suffix, body, Due.REFUSED, sent.epoch, sent.record_id, sent.rev, sent.seq, what)


_ALL: Final[tuple[tuple[str, str, str, Callable[[str, random.Random], Sequence[Sequence[Sent]]]], ...]] = (
    ("plain", "billing", "answers every record", _plain),
    ("repeats", "billing", "answers a record that comes again with its receipt again", _repeats),
    ("reorder", "billing", "takes records in any order", _reorder),
    ("gap", "billing", "takes what comes after a gap, and never says that it has what is missing", _gap),
    ("epochs", "billing", "keeps the numbers of two ledgers apart", _epochs),
    ("salvage", "billing", "takes a session that a salvaged ledger names again", _salvage),
    ("revisions", "billing", "takes a lower revision after a higher one", _revisions),
    ("corrections", "billing", "takes a record, its credit and its replacement in any order", _corrections),
    ("reservations", "billing", "takes a reservation that nobody came for, without energy and transaction", _reservations),
    ("conflict", "billing", "refuses another content under a revision that is taken", _conflict),
    ("poison", "billing", "refuses what is no sound record, with a code, and goes on", _poison),
    ("members", "billing", "passes over members it does not know", _members),
    ("texts", "billing", "takes any text", _texts),
    ("large", "billing", "takes a large record", _large),
    ("burst", "billing", f"keeps up with {BURST_COUNT:,} records at once", _burst),
    ("events", "events", "answers events on their own receipt topic", _events),
)  # fmt: skip

NAMES: Final = tuple(name for name, *_ in _ALL)


def make(prefix: str, rng: random.Random, names: Sequence[str] = NAMES) -> list[tuple[str, Scenario]]:
    """Site and scenario of each. Sites begin with ``prefix``, which must be new for each run."""
    return [
        (f"{prefix}-{name}", Scenario(name, words, tuple(map(tuple, parts(f"{prefix}-{name}", rng))), stream))
        for name, stream, words, parts in _ALL
        if name in names
    ]
