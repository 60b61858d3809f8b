"""How long room lasts: an end is named only where a week says so."""

from __future__ import annotations

import pytest

from edgectl.core.forecast import DAY_MS, STEP_MS, Trend

MB = 1_000_000


def trend(days: float, per_day: int, left: int = 1_000 * MB) -> Trend:
    found = Trend()
    for hour in range(int(days * 24) + 1):
        found.note(hour * STEP_MS, left - per_day * hour // 24)
    return found


@pytest.mark.parametrize(
    ("days", "per_day", "expected"),
    [
        (2.9, 50 * MB, None),
        (3, 50 * MB, 17),
        (7, 100 * MB, 3),
        (9, 100 * MB, 1),
        (12, 100 * MB, 0),
        (30, 0, None),
        (30, -MB, None),
    ],
)
def test_days_left_at_the_rate_of_the_last_days(days: float, per_day: int, expected: int | None) -> None:
    assert trend(days, per_day).left_days == expected


def test_nothing_seen_says_nothing() -> None:
    assert (Trend().left_days, Trend().used_per_day) == (None, 0)


def test_what_was_used_at_once_is_forgotten_after_a_week() -> None:
    found = trend(4, 0)
    found.note(4 * DAY_MS + STEP_MS, 700 * MB)
    assert found.left_days == 9, "300 MB in four days, 700 left"
    for hour in range(4 * 24 + 2, 12 * 24):
        found.note(hour * STEP_MS, 700 * MB)
    assert found.left_days is None


def test_the_rate_is_that_of_the_last_week_and_looks_between_the_hours_count() -> None:
    found = trend(14, 10 * MB)
    found.note(14 * DAY_MS + 60_000, 1_000 * MB - 140 * MB - 70 * MB)
    assert found.used_per_day == pytest.approx(20 * MB, rel=0.01)
