"""What a bill means beside what is kept. Pure.

A record has two names. As a *revision* it is ``(site, record_id, rev)``: that is what is billed, so the first content under the
name stays for ever, the same content again is a repeat, and another content is a conflict. As a *link* it is ``(site, epoch,
seq)``: that is how the gateway's ledger is checked. A ledger that was salvaged into a new one sends a revision again under a new
link, which is no second session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from edgectl_backend.judging.bills import Bill, session_of

Revision: TypeAlias = tuple[str, str, int]
Link: TypeAlias = tuple[str, str, int]


class Meaning(Enum):
    NEW = auto()
    REPEATED = auto()
    CONFLICT = auto()
    """Another content under a name that is taken. Never stored as the record."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands under a revision's name."""

    hash: str
    body: bytes


def revision(bill: Bill) -> Revision:
    return bill.site, bill.record_id, bill.rev


def link(bill: Bill) -> Link:
    return bill.site, bill.epoch, bill.seq


def judge(bill: Bill, kept: Kept | None) -> Meaning:
    """``kept`` is what stood under the bill's revision before."""
    if kept is None:
        return Meaning.NEW
    # The hash covers the place in the chain; under another place the session itself decides.
    if kept.hash == bill.hash or session_of(kept.body) == session_of(bill.body):
        return Meaning.REPEATED
    return Meaning.CONFLICT


@dataclass(slots=True)
class Sorted:
    """The bills of one batch, in the order in which every process writes them, so that no two wait for each other."""

    first: dict[Revision, Bill] = field(default_factory=dict)
    """One for each revision: the first that came."""
    others: list[Bill] = field(default_factory=list)
    """Repeats, or conflicts, within the batch."""


def sort(bills: Iterable[Bill]) -> Sorted:
    found = Sorted()
    for bill in sorted(bills, key=revision):  # stable: of two alike, the one that came first
        if found.first.setdefault(revision(bill), bill) is not bill:
            found.others.append(bill)
    return found


def newest(bills: Iterable[Bill]) -> list[Bill]:
    """Of each record its highest revision, by name."""
    best: dict[tuple[str, str], Bill] = {}
    for bill in bills:
        kept = best.get((bill.site, bill.record_id))
        if kept is None or bill.rev > kept.rev:
            best[bill.site, bill.record_id] = bill
    return [best[key] for key in sorted(best)]


def forks(bills: Iterable[Bill], kept: Mapping[Link, str]) -> list[Bill]:
    """Bills whose number in their ledger belongs to another record: a ledger restored from a copy has written on from there.

    Each is a session of its own and is kept; the chain is what is broken.
    """
    return [bill for bill in bills if kept.get(link(bill), bill.hash) != bill.hash]
