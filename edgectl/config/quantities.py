"""``16.5 A``, ``15 min``, ``6 A .. 32 A``: text with a unit to integers in the domain's units, and back for messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from edgectl.config.problems import Refused, listed

_QUANTITY = re.compile(r"(?P<number>[+-]?\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>[A-Za-z%]*)", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d{1,9},\d{1,9}\s*[A-Za-z]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dimension:
    """What is measured, and the units it may be written in: symbol to factor into the domain's unit, smallest first."""

    name: str
    usual: str
    """The unit to suggest."""
    factors: Mapping[str, int]

    def __hash__(self) -> int:
        return hash(self.name)


CURRENT = Dimension("current", "A", {"mA": 1, "A": 1_000})
VOLTAGE = Dimension("voltage", "V", {"mV": 1, "V": 1_000})
POWER = Dimension("power", "kW", {"W": 1, "kW": 1_000, "MW": 1_000_000})
ENERGY = Dimension("energy", "kWh", {"Wh": 1, "kWh": 1_000, "MWh": 1_000_000})
PERCENT = Dimension("share", "%", {"%": 1})
DAYS = Dimension("number of days", "days", {"days": 86_400_000})
SIZE = Dimension("size", "GB", {"MB": 1_000_000, "GB": 1_000_000_000})
DURATION = Dimension("duration", "s", {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000})


@dataclass(frozen=True, slots=True)
class Amount:
    """A value of one of several dimensions, in the domain's unit of its dimension."""

    dimension: Dimension
    value: int

    def __str__(self) -> str:
        return show(self.value, self.dimension)


def parse(text: str, *dimensions: Dimension) -> Amount:
    """A number with one of the units of ``dimensions``.

    Raises:
        Refused: no number, no unit, a unit of something else, or finer than the domain can say.
    """
    names = listed(dimension.name for dimension in dimensions)
    example = dimensions[0].usual
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        if _DECIMAL_COMMA.fullmatch(text.strip()):
            raise Refused("a decimal comma", f"write `{text.strip().replace(',', '.')}`")
        raise Refused(f"is not a {names}", f"write a number and its unit, for example `16 {example}`")
    number, symbol = match["number"], match["unit"]
    if not symbol:
        raise Refused("the unit is missing", "write " + listed(f"`{number} {dimension.usual}`" for dimension in dimensions))
    for dimension in dimensions:
        factor = dimension.factors.get(symbol)
        if factor is None:
            continue
        value = Decimal(number) * factor
        if value != value.to_integral_value():
            finest = next(iter(dimension.factors))
            raise Refused("is written too finely", f"whole {finest}")
        return Amount(dimension, int(value))
    raise Refused(f"{symbol} is not a unit of {names}", f"write `{number} {_meant(symbol, dimensions)}`")


def _meant(symbol: str, dimensions: tuple[Dimension, ...]) -> str:
    """The unit of the same letters, else the usual one. ``mw`` could be two things a million apart, so it is not guessed."""
    known = [unit for dimension in dimensions for unit in dimension.factors if unit.casefold() == symbol.casefold()]
    return known[0] if len(known) == 1 and symbol.casefold() != "mw" else dimensions[0].usual


def parse_range(text: str, dimension: Dimension) -> tuple[int, int]:
    """``6 A .. 32 A`` as its two ends.

    Raises:
        Refused: not two quantities, or the first is the larger.
    """
    low_text, dots, high_text = text.partition("..")
    if not dots:
        raise Refused("is not a range", f"write `6 {dimension.usual} .. 32 {dimension.usual}`")
    if low_text.strip().isdecimal() and not high_text.strip().isdecimal():
        raise Refused("the first number has no unit", f"write `{low_text.strip()} {dimension.usual} .. {high_text.strip()}`")
    low, high = parse(low_text, dimension).value, parse(high_text, dimension).value
    if low > high:
        raise Refused("the minimum is above the maximum", f"write `{show(high, dimension)} .. {show(low, dimension)}`")
    return low, high


def show(value: int, dimension: Dimension) -> str:
    """The value as a person would write it: the largest unit that needs no long fraction."""
    if dimension is DURATION:
        fitting = [unit for unit, factor in dimension.factors.items() if value % factor == 0]
        unit = fitting[-1] if value else "s"
        return f"{value // dimension.factors[unit]} {unit}"
    symbol = dimension.usual if dimension is not POWER or value >= 1_000 or value == 0 else "W"
    number = Decimal(value) / dimension.factors[symbol]
    return f"{number.normalize():f} {symbol}"
