"""Measurements of the past in blocks: evictable, and never needed for a bill."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from edgectl.contract.fields import Count, Id, Moment, Word


class Telemetry(Struct, kw_only=True):
    """A block of rows of one kind of thing, by column: value `n` of every column, of `thing` and of `offset_ms` is row `n`.

    Blocks come newest first after a time without connection, live data does not wait for them, and the oldest that nobody has
    fetched make room for new ones. With the content type `application/json+zstd` the payload is one zstd frame.
    """

    schema: Literal["edgectl/tele/1"] = "edgectl/tele/1"
    site: Id
    epoch: Id
    seq: Count
    record_id: Id
    rev: Count
    kind: Literal["evse", "meter", "circuit"]
    from_: Moment = field(name="from")
    """Of the first row."""
    to: Moment
    things: list[Id]
    """The EVSEs (`CP-1/1`), meters or circuits in this block."""
    thing: list[Count]
    """For each row its place in `things`, from 0."""
    offset_ms: list[Count]
    """For each row its time after `from`, by the monotonic clock."""
    columns: dict[Word, list[int | None]]
    """By a name that ends in its unit, such as `current_l1_ma`. Null: not known at that moment."""
