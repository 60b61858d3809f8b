"""What a campaign stops for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


class BrokenPromiseError(Exception):
    """Something that must never be has happened; the text says what, in words for a person."""


def promise(is_kept: bool, words: str) -> None:
    """Go on when it is kept.

    Raises:
        BrokenPromiseError: it is not.
    """
    if not is_kept:
        raise BrokenPromiseError(words)


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Nothing is logged inside: what chargers do wrong here, they do on purpose and very often."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
