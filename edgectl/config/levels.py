"""Kinds for contacts and registers: where a value stands, and what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgectl.config.kinds import Kind, ScalarKind, Schema, name_of, quantity_schema
from edgectl.config.problems import Place, Refused, excerpt
from edgectl.config.quantities import CURRENT, PERCENT, POWER, parse
from edgectl.config.tree import Broken, Mapping, Node, unique_entries
from edgectl.domain.external import LARGEST_MA, LARGEST_W, Level
from edgectl.domain.settings import Table

NONE = "none"
REGISTER_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class Register:
    """A place in a Modbus device."""

    table: Table
    address_number: int


class RegisterKind(ScalarKind[Register]):
    """``discrete 0``, ``holding 100``: the table and the address as it travels on the bus."""

    def expected(self) -> str:
        return "`coil N`, `discrete N`, `holding N` or `input N`, the address from 0 to 65535"

    def parse(self, text: str) -> Register:
        match = re.fullmatch(r"(coil|discrete|holding|input) +(\d{1,5})", text.strip(), re.ASCII)
        if match is None:
            raise Refused("is no place in a Modbus device", self.expected())
        if int(match[2]) > REGISTER_MAX:
            raise Refused("is out of range", self.expected())
        return Register(Table(match[1]), int(match[2]))

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^\s*(coil|discrete|holding|input) +\d{1,5}\s*$"}


@dataclass(frozen=True)
class LevelKind(ScalarKind[Level]):
    """``60 %`` of what the file allows there, ``32 A`` per phase, ``11 kW`` over all phases, or ``none``: no limit."""

    is_none_allowed: bool = True

    def expected(self) -> str:
        words = "a share such as `60 %`, a current such as `32 A`, a power such as `11 kW`"
        return f"{words}, or `none` for no limit" if self.is_none_allowed else words

    def parse(self, text: str) -> Level:
        if self.is_none_allowed and text.strip() == NONE:
            return Level()
        amount = parse(text, CURRENT, POWER, PERCENT)
        largest = {CURRENT: LARGEST_MA, POWER: LARGEST_W, PERCENT: 100}[amount.dimension]
        if not 0 <= amount.value <= largest:
            raise Refused("is out of range", self.expected())
        if amount.dimension is PERCENT:
            return Level(share_percent=amount.value)
        return Level(current_ma=amount.value) if amount.dimension is CURRENT else Level(power_w=amount.value)

    def schema(self) -> Schema:
        written = quantity_schema(CURRENT, POWER, PERCENT)
        return {"anyOf": [written, {"const": NONE}]} if self.is_none_allowed else written


class LevelMap(Kind[tuple[tuple[int, Level], ...]]):
    """``{0: none, 1: 60 %, 2: 30 %, 3: 0 %}``: what each value of a register means."""

    _level = LevelKind()

    def expected(self) -> str:
        return "`{0: none, 1: 60 %, 2: 0 %}`, a meaning for each value of the register"

    def read(self, node: Node, place: Place) -> tuple[tuple[int, Level], ...] | None:
        if not isinstance(node, Mapping) or not node.entries:
            if not isinstance(node, Broken):
                place.wrong("a mapping of values is needed", self.expected(), found=name_of(node))
            return None
        found: dict[int, Level] = {}
        for name, key, value in unique_entries(node, place):
            here = place.inside(excerpt(name), key.mark)
            if re.fullmatch(r"\d{1,5}", name, re.ASCII) is None or int(name) > REGISTER_MAX:
                here.wrong("is no value of a register", f"0 to {REGISTER_MAX}")
                continue
            level = self._level.read(value, here.at(value.mark, name_of(value)))
            if level is not None:
                found[int(name)] = level
        return tuple(found.items()) if len(found) == len(node.entries) else None

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self._level.schema(), "propertyNames": {"pattern": r"^\d{1,5}$"}}
