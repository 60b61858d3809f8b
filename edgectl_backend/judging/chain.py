"""A walk along the numbers of one ledger. Pure.

Records come in any order and through any process, so a walk judges only what has arrived and is repeated when more has. How far
the numbers reach without a gap never falls back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

FIRST_PREV_HASH: Final = "0" * 64
WALK_LIMIT: Final = 10_000
"""Links in one walk. Behind a gap that stays, so many are checked again and again; the walk costs 10 ms."""


@dataclass(frozen=True, slots=True)
class ChainLink:
    seq: int
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """The record ``seq`` does not follow the one before it."""

    seq: int
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Walk:
    through_seq: int
    """Every number up to here has arrived."""
    through_hash: str
    breaks: tuple[Break, ...]
    gaps: tuple[tuple[int, int], ...]
    """First and last number of what is missing below the highest that has arrived."""


def walk(through_seq: int, through_hash: str, links: Iterable[ChainLink]) -> Walk:
    """Go on from where the last walk ended, along links in the order of ``seq``, all above ``through_seq``."""
    breaks: list[Break] = []
    gaps: list[tuple[int, int]] = []
    last_seq, last_hash = through_seq, through_hash
    for one in links:
        if one.seq > last_seq + 1:
            gaps.append((last_seq + 1, one.seq - 1))
        elif one.prev_hash != last_hash:
            breaks.append(Break(one.seq, last_hash, one.prev_hash))
        last_seq, last_hash = one.seq, one.hash
        if not gaps:
            through_seq, through_hash = last_seq, last_hash
    return Walk(through_seq, through_hash, tuple(breaks), tuple(gaps))
