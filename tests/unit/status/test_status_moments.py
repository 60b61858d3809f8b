"""Moments as people write them mean what a person at the site would mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.domain.time import utc_ms
from edgectl.status.moments import local, read_moment

BERLIN = "Europe/Berlin"
NOW = utc_ms(datetime(2026, 11, 26, 9, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("02:14", "2026-11-26T01:14:00+00:00"),
        ("10:29", "2026-11-26T09:29:00+00:00"),
        ("10:31", "2026-11-25T09:31:00+00:00"),
        ("2:14:05", "2026-11-26T01:14:05+00:00"),
        ("2026-11-25 02:14", "2026-11-25T01:14:00+00:00"),
        ("2026-07-25 02:14", "2026-07-25T00:14:00+00:00"),
        ("2026-11-25", "2026-11-24T23:00:00+00:00"),
        ("2026-11-25T02:14:00Z", "2026-11-25T02:14:00+00:00"),
        ("2026-11-25T02:14:00+05:00", "2026-11-24T21:14:00+00:00"),
        ("2026-11-25T02:14:00 05:00", "2026-11-24T21:14:00+00:00"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_a_moment_is_on_the_clock_of_the_site(text: str, meant: str) -> None:
    assert read_moment(text, BERLIN, NOW) == utc_ms(datetime.fromisoformat(meant))


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "12:61", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_moment(text, BERLIN, NOW)


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_time_alone_is_less_than_a_day_ago_and_not_ahead(hour: int, minute: int) -> None:
    assert 0 <= NOW - read_moment(f"{hour:02}:{minute:02}", BERLIN, NOW) < 86_400_000


def test_a_moment_is_shown_with_its_offset() -> None:
    assert local(NOW, BERLIN) == "2026-11-26 10:30:00+01:00"
