"""A linear programme with some yes-or-no columns, as plain numbers: what is asked of a solver, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One unknown."""

    gain: float
    """What one of it adds to the sum that is to be as large as possible."""
    top: float
    """It is from 0 to this."""
    is_choice: bool = False
    """Only 0 or 1."""


@dataclass(frozen=True, slots=True)
class Row:
    """The sum of factor times column, over its entries, is at most ``bound``."""

    bound: float
    entries: tuple[tuple[int, float], ...]
    """Place of the column, and its factor."""


@dataclass(frozen=True, slots=True)
class Programme:
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
