"""An export that would be too large is refused before it is read: what is asked of the ledger and held stays bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from support.plant import plant
from support.store_records import ended, session

from edgectl.core.exports import select
from edgectl.core.exports.render import BadRequestError, render
from edgectl.domain.records import Session

COUNT = 100_000


@dataclass
class Book:
    """A ledger with ``count`` sessions, one a second, made as they are asked for."""

    count: int
    is_ended: bool = True
    given: list[int] = field(default_factory=list)

    def sessions(self, since: int | None, until: int | None, limit: int) -> Sequence[Session]:
        newest = self.count - 1 if until is None else min(self.count - 1, (until - 1) // 1_000)
        numbers = range(newest, max(-1, newest - limit, (since or 0) // 1_000 - 1), -1)
        self.given.append(len(numbers))
        make = ended if self.is_ended else lambda name, at_ms: session(name, started_utc_ms=at_ms - 3_600_000)
        return [make(f"s-{number}", number * 1_000 + 3_600_000) for number in numbers]


@pytest.mark.parametrize("form", ["csv", "statement", "statement-html"])
def test_of_a_hundred_thousand_sessions_no_more_is_read_than_an_export_takes(form: str) -> None:
    book = Book(COUNT)
    with pytest.raises(BadRequestError, match="more than 20000 sessions"):
        render(book.sessions, plant("CP-1"), {"format": form})
    assert sum(book.given) <= select.SESSIONS_MAX + 2 * select.STEP
    assert max(book.given, default=0) <= select.STEP


def test_sessions_that_are_not_exported_are_not_held() -> None:
    def peak(count: int) -> int:
        book = Book(count, is_ended=False)
        tracemalloc.start()
        assert select.ended_between(book.sessions, None, None) == []
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(book.given) >= count
        return held

    assert peak(8_000) < 2 * peak(2_000), "only their names: four times as many sessions take no four times the room"
