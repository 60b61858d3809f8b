"""Kinds for the electrician: limits per phase, ranges of current and power, phases in wiring order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgectl.config.kinds import UNIT_NUMBER, Kind, Quantity, ScalarKind, Schema, name_of, quantity_schema
from edgectl.config.problems import Place, Refused, excerpt, listed
from edgectl.config.quantities import CURRENT, POWER, Amount, Dimension, parse, parse_range, show
from edgectl.config.tree import Broken, Mapping, Node, Scalar, Sequence, unique_entries
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.protection import Curve, Protection
from edgectl.domain.units import MilliAmps, Watts

PHASE_NAMES = [phase.name for phase in Phase]
LEAST_AC_MA = 6_000
"""IEC 61851-1 has no pilot between 0 and 6 A."""
MOST_AC_MA = 80_000
"""The most an IEC 61851-1 pilot can say."""
MOST_CURRENT_MA = 10_000_000
"""No low-voltage connection carries more than 10 kA; more is a slip of the unit."""
MOST_POWER_W = 10_000_000

AMPS = Quantity(CURRENT, 0, MOST_CURRENT_MA)
WATTS = Quantity(POWER, 1, MOST_POWER_W)


@dataclass(frozen=True)
class PerPhase(Kind[Phases]):
    """``10 A`` for all phases, or ``{L1: 10 A, L2: 10 A, L3: 0 A}``. All three are named: a missing phase is not 0."""

    is_zero_allowed: bool

    ALLOWED = "`250 A`, or `{L1: 250 A, L2: 250 A, L3: 200 A}`"

    def expected(self) -> str:
        return self.ALLOWED

    def read(self, node: Node, place: Place) -> Phases | None:
        if isinstance(node, Sequence):
            place.wrong("one value or one mapping of phases is needed", self.ALLOWED, found="a list")
            return None
        value_ma = self._by_phase(node, place) if isinstance(node, Mapping) else self._uniform(node, place)
        if value_ma is not None and value_ma.largest == 0 and not self.is_zero_allowed:
            place.wrong("leaves no current at all", "more than 0 A")
            return None
        return value_ma

    def _uniform(self, node: Node, place: Place) -> Phases | None:
        if isinstance(node, Scalar) and node.is_null:
            place.wrong("the value is missing", self.ALLOWED)
            return None
        value_ma = AMPS.read(node, place)
        return None if value_ma is None else Phases.uniform(value_ma)

    def _by_phase(self, node: Mapping, place: Place) -> Phases | None:
        found: dict[str, int | None] = {}
        for name, key, value in unique_entries(node, place):
            if name in PHASE_NAMES:
                found[name] = AMPS.read(value, place.inside(name, value.mark))
            else:
                place.inside(excerpt(name), key.mark).wrong("is no phase", listed(PHASE_NAMES))
                found["?"] = None
        missing = [name for name in PHASE_NAMES if name not in found]
        if missing and "?" not in found:
            place.wrong(f"{listed(missing)} is missing", "name all three; `0 A` where a phase is not connected", found="")
        values = [found.get(name) for name in PHASE_NAMES]
        numbers = [value for value in values if value is not None]
        return Phases(*numbers) if len(numbers) == len(PHASE_NAMES) else None

    def schema(self) -> Schema:
        phases = {name: AMPS.schema() for name in PHASE_NAMES}
        by_phase = {"type": "object", "properties": phases, "required": PHASE_NAMES, "additionalProperties": False}
        return {"anyOf": [AMPS.schema(), by_phase]}


@dataclass(frozen=True, slots=True)
class Limit:
    """What a circuit may carry: a current per phase, and perhaps a power over all of them."""

    current_ma: Phases
    power_w: Watts | None = None


class LimitKind(Kind[Limit]):
    """A current per phase, or a list of that and a power: ``[250 A, 150 kW]``."""

    _current = PerPhase(is_zero_allowed=False)
    _ALLOWED = f"{PerPhase.ALLOWED}, or with a power beside it `[250 A, 150 kW]`"

    def expected(self) -> str:
        return self._ALLOWED

    def read(self, node: Node, place: Place) -> Limit | None:
        if not isinstance(node, Sequence):
            current_ma = self._current.read(node, place)
            return None if current_ma is None else Limit(current_ma)
        powers = [item for item in node.items if _is_power(item)]
        currents = [item for item in node.items if not _is_power(item)]
        if len(currents) != 1 or len(powers) > 1:
            place.wrong("the list needs one current and at most one power", self._ALLOWED, found="a list")
            return None
        current_ma = self._current.read(currents[0], place.at(currents[0].mark, name_of(currents[0])))
        if not powers:
            return None if current_ma is None else Limit(current_ma)
        power_w = WATTS.read(powers[0], place.at(powers[0].mark))
        return None if current_ma is None or power_w is None else Limit(current_ma, power_w)

    def schema(self) -> Schema:
        item = {"anyOf": [self._current.schema(), WATTS.schema()]}
        return {"anyOf": [self._current.schema(), {"type": "array", "items": item, "minItems": 1, "maxItems": 2}]}


def _is_power(node: Node) -> bool:
    if not isinstance(node, Scalar):
        return False
    try:
        return parse(node.text, CURRENT, POWER).dimension is POWER
    except Refused:
        return False


@dataclass(frozen=True, slots=True)
class Span:
    """From the least a charger can be told, short of nothing, to the most it can give; mA or W."""

    low: int
    high: int


@dataclass(frozen=True)
class CurrentRange(ScalarKind[Span]):
    """``6 A .. 32 A``, or ``16 A`` for 6 A .. 16 A."""

    def expected(self) -> str:
        return "`6 A .. 32 A`, or only the maximum: `32 A`"

    def parse(self, text: str) -> Span:
        low_ma, high_ma = parse_range(text, CURRENT) if ".." in text else (LEAST_AC_MA, _one(text, CURRENT))
        if low_ma < LEAST_AC_MA or high_ma < LEAST_AC_MA:
            raise Refused("is below 6 A, which no AC charger can signal (IEC 61851-1)", "6 A .. 80 A")
        if high_ma > MOST_AC_MA:
            raise Refused("is above 80 A, the most an AC charger can signal (IEC 61851-1)", "6 A .. 80 A; for DC write `power`")
        return Span(low_ma, high_ma)

    def schema(self) -> Schema:
        return _range_schema(CURRENT, is_single_allowed=True)


@dataclass(frozen=True)
class PowerRange(ScalarKind[Span]):
    """``10 kW .. 150 kW``."""

    def expected(self) -> str:
        return "`10 kW .. 150 kW`"

    def parse(self, text: str) -> Span:
        if ".." not in text:
            high_w = _one(text, POWER)
            raise Refused("only the maximum is written", f"write the range, for example `5 kW .. {show(high_w, POWER)}`")
        low_w, high_w = parse_range(text, POWER)
        if low_w < 0 or high_w == 0 or high_w > MOST_POWER_W:
            raise Refused("is out of range", f"0 kW to {show(MOST_POWER_W, POWER)}, the maximum above 0 kW")
        return Span(low_w, high_w)

    def schema(self) -> Schema:
        return _range_schema(POWER, is_single_allowed=False)


def _one(text: str, dimension: Dimension) -> int:
    return parse(text, dimension).value


def _range_schema(dimension: Dimension, *, is_single_allowed: bool) -> Schema:
    quantity = rf"{UNIT_NUMBER}\s*({'|'.join(dimension.factors)})"
    second = rf"(\s*\.\.\s*{quantity}){'?' if is_single_allowed else ''}"
    return {"type": "string", "pattern": rf"^\s*{quantity}{second}\s*$"}


@dataclass(frozen=True)
class Fallback(ScalarKind[Amount]):
    """A current for AC or a power for DC; what fits the charger is checked beside its range."""

    def expected(self) -> str:
        return "a current such as `6 A` for AC, a power such as `0 kW` for DC"

    def parse(self, text: str) -> Amount:
        amount = parse(text, CURRENT, POWER)
        if amount.value < 0:
            raise Refused("is out of range", "0 or more")
        return amount

    def schema(self) -> Schema:
        return quantity_schema(CURRENT, POWER)


class PhaseList(Kind[tuple[Phase, ...]]):
    """Site phases in wiring order, one to three, none twice."""

    ALLOWED = "a list of different phases, for example `[L1, L2, L3]` or `[L2]`"

    def expected(self) -> str:
        return self.ALLOWED

    def read(self, node: Node, place: Place) -> tuple[Phase, ...] | None:
        if isinstance(node, Broken):
            return None
        if not isinstance(node, Sequence) or not node.items:
            place.wrong(
                "a list of phases is needed", self.ALLOWED, found=name_of(node) if not isinstance(node, Sequence) else "[]"
            )
            return None
        phases: list[Phase] = []
        for number, item in enumerate(node.items, start=1):
            here = place.item(number, item.mark)
            name = item.text if isinstance(item, Scalar) else ""
            if name not in PHASE_NAMES:
                here.wrong("is no phase", listed(PHASE_NAMES), found=name_of(item))
            elif Phase[name] in phases:
                here.wrong("is named twice", self.ALLOWED, found=name)
            else:
                phases.append(Phase[name])
        return tuple(phases) if len(phases) == len(node.items) else None

    def schema(self) -> Schema:
        return {"type": "array", "items": {"enum": PHASE_NAMES}, "uniqueItems": True, "minItems": 1, "maxItems": 3}


def milliamps(value: MilliAmps) -> str:
    """A current for a message."""
    return show(value, CURRENT)


PROTECTION_ALLOWED = "a breaker or fuse as printed on it: `B16`, `C63`, `D32`, `gG100`"
PROTECTION_PATTERN = r"(B|C|D|gG) ?[1-9]\d{0,3}( ?A)?"


def parse_protection(text: str) -> Protection:
    match = re.fullmatch(r"(B|C|D|gG) ?([1-9]\d{0,3})( ?A)?", text, re.ASCII)
    if match is None:
        raise Refused("is no breaker or fuse", PROTECTION_ALLOWED)
    return Protection(Curve(match[1]), int(match[2]) * 1_000)
