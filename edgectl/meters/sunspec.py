"""Where a SunSpec device keeps its meter: from the marker along the chain of models. Sans-IO; yields reads, takes words."""

from __future__ import annotations

from collections.abc import Generator

from edgectl.meters.catalogue import Block, Chain, MeterModel
from edgectl.meters.decode import NoValueError

MARKER = (0x5375, 0x6E53)
"""``SunS``."""
END = 0xFFFF
WALK_MAX = 60
"""Models on one device; an inverter has about a dozen."""

Words = tuple[int, ...]
Walk = Generator[Block, Words | None, MeterModel]
"""Yields the registers it needs, takes their contents, or None when the device refuses them."""


def locate(chain: Chain) -> Walk:
    """The device's meter block, where it lies.

    Raises:
        NoValueError: ``no-sunspec`` without a marker, ``no-sunspec-meter`` when the chain holds no meter we know.
    """
    if chain.at is not None:
        header = yield Block(chain.at, 2)
        if header is None or header[0] not in chain.layouts:
            raise NoValueError("no-sunspec-meter")
        return chain.layouts[header[0]].moved(chain.at, header[0], header[1])
    for base in chain.bases:
        marker = yield Block(base, 2)
        if marker == MARKER:
            return (yield from _walk(chain, base + 2))
    raise NoValueError("no-sunspec")


def _walk(chain: Chain, address: int) -> Walk:
    for _ in range(WALK_MAX):
        header = yield Block(address, 2)
        if header is None or header[0] == END:
            break
        model_id, length = header
        if model_id in chain.layouts:
            return chain.layouts[model_id].moved(address, model_id, length)
        address += 2 + length
        if address > 65_000:
            break
    raise NoValueError("no-sunspec-meter")
