"""The kinds of values a key may hold: each reads one node and describes itself as JSON Schema, so the two cannot disagree.

A kind reports what is wrong at the place it is given and returns None; it never raises.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

from edgectl.config.problems import Place, Refused, excerpt, listed, one_of
from edgectl.config.quantities import DURATION, Dimension, parse, show
from edgectl.config.tree import Broken, Mapping, Node, Scalar, Sequence, unique_entries

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Schema: TypeAlias = dict[str, Any]

UNIT_NUMBER = r"\d{1,9}(\.\d{1,9})?"


class Kind(ABC, Generic[T]):
    @abstractmethod
    def read(self, node: Node, place: Place) -> T | None:
        """The value, or None after reporting at ``place`` what is wrong."""

    @abstractmethod
    def schema(self) -> Schema: ...

    def expected(self) -> str:
        """What is allowed, in words."""
        return ""

    def absent(self, place: Place) -> T | None:  # noqa: ARG002 -- sections need the place, values do not
        """What stands for a key that is not written and has no default."""
        return None


class ScalarKind(Kind[T]):
    """A kind written as one piece of text."""

    one_only = "one value is needed"
    """Said when a list or a mapping stands there."""

    @abstractmethod
    def parse(self, text: str) -> T:
        """The value of the text.

        Raises:
            Refused: the text is not of this kind.
        """

    def read(self, node: Node, place: Place) -> T | None:
        if isinstance(node, Broken):
            return None
        if not isinstance(node, Scalar):
            place.wrong(self.one_only, self.expected(), found=name_of(node))
            return None
        if node.is_null:
            place.wrong("the value is missing", self.expected())
            return None
        try:
            return self.parse(node.text)
        except Refused as refused:
            place.wrong(refused.message, refused.allowed, found=excerpt(node.text) if refused.found is None else refused.found)
            return None


def name_of(node: Node) -> str:
    """What a node is, for ``found``."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return excerpt(node.text) if isinstance(node, Scalar) else ""


@dataclass(frozen=True)
class Text(ScalarKind[str]):
    """Free text of a line, or with ``pattern`` a name; ``allowed`` says in words what the pattern means."""

    allowed: str = "text"
    pattern: str = r"[^\x00-\x1f\x7f]+"
    longest: int = 100
    one_only: str = "one value is needed"

    def expected(self) -> str:
        return self.allowed

    def parse(self, text: str) -> str:
        if len(text) > self.longest:
            raise Refused(f"is {len(text)} characters long", f"at most {self.longest}")
        if re.fullmatch(self.pattern, text) is None:
            raise Refused("is not possible here", self.allowed)
        return text

    def schema(self) -> Schema:
        # A name of digits only is a number to the editor and text to us.
        return {"type": ["string", "number"], "pattern": f"^{self.pattern}$", "maxLength": self.longest}


@dataclass(frozen=True)
class Choice(ScalarKind[E]):
    """One word of a list; ``only`` narrows it to some members of the enum."""

    enum: type[E]
    only: tuple[E, ...] = ()

    @property
    def words(self) -> list[str]:
        return [member.value for member in self.only or self.enum]

    def expected(self) -> str:
        return listed(self.words)

    def parse(self, text: str) -> E:
        if text not in self.words:
            raise Refused("is not known here", self.expected())
        return self.enum(text)

    def schema(self) -> Schema:
        return {"enum": self.words}


@dataclass(frozen=True)
class Integer(ScalarKind[int]):
    low: int
    high: int

    def expected(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str) -> int:
        if re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII) is None:
            raise Refused("is not a whole number", self.expected())
        if not self.low <= int(text) <= self.high:
            raise Refused("is out of range", self.expected())
        return int(text)

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Version(ScalarKind[str]):
    """An OCPP version, as its WebSocket subprotocol."""

    VERSIONS = ("1.6", "2.0.1", "2.1")

    def expected(self) -> str:
        return listed(self.VERSIONS)

    def parse(self, text: str) -> str:
        if text not in self.VERSIONS:
            raise Refused("is no OCPP version of ours", self.expected())
        return f"ocpp{text}"

    def schema(self) -> Schema:
        return {"enum": [*self.VERSIONS, 1.6, 2.1]}  # two of them are numbers to an editor


class Flag(ScalarKind[bool]):
    def expected(self) -> str:
        return "true or false"

    def parse(self, text: str) -> bool:
        if text not in {"true", "false"}:
            raise Refused("is neither true nor false", self.expected())
        return text == "true"

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Quantity(ScalarKind[int]):
    """A number with a unit, in the domain's unit, from ``low`` to ``high``."""

    dimension: Dimension
    low: int
    high: int
    in_whole: int = 1
    """The value must be a multiple of this, where the domain counts in a coarser unit."""

    def expected(self) -> str:
        return f"{show(self.low, self.dimension)} to {show(self.high, self.dimension)}"

    def parse(self, text: str) -> int:
        value = parse(text, self.dimension).value
        if not self.low <= value <= self.high:
            raise Refused("is out of range", self.expected())
        if value % self.in_whole:
            raise Refused("is written too finely", f"whole {show(self.in_whole, self.dimension).partition(' ')[2]}")
        return value

    def schema(self) -> Schema:
        return quantity_schema(self.dimension)


def quantity_schema(*dimensions: Dimension) -> Schema:
    units = "|".join(unit for dimension in dimensions for unit in dimension.factors)
    return {"type": "string", "pattern": rf"^\s*{UNIT_NUMBER}\s*({units})\s*$"}


def duration(low_ms: int, high_ms: int, in_whole: int = 1) -> Quantity:
    return Quantity(DURATION, low_ms, high_ms, in_whole)


@dataclass(frozen=True)
class Credential(Kind[str]):
    """``{credential: NAME}``: the name of a secret. The secret itself never stands in the file, nor in a message."""

    ALLOWED = "write `{credential: NAME}`; the secret itself is a file of that name outside"
    NAME = Text("letters, digits, - _ and .", r"[A-Za-z0-9][A-Za-z0-9_.-]*", longest=64)

    def expected(self) -> str:
        return self.ALLOWED

    def read(self, node: Node, place: Place) -> str | None:
        if isinstance(node, Broken):
            return None
        if not isinstance(node, Mapping):
            place.wrong("a secret is not written in this file", self.ALLOWED, found="")
            return None
        name: str | None = None
        for key, mark, value in unique_entries(node, place):
            if key == "credential":
                name = self.NAME.read(value, place.inside(key, value.mark))
            else:
                place.inside(excerpt(key), mark.mark).wrong("is not a known key here", "credential")
        if "credential" not in {key.text for key, _ in node.entries}:
            place.wrong("names no credential", self.ALLOWED, found="a mapping")
        return name

    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {"credential": self.NAME.schema()},
            "required": ["credential"],
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class ListOf(Kind[tuple[T, ...]]):
    item: Kind[T]
    is_empty_allowed: bool = True

    def read(self, node: Node, place: Place) -> tuple[T, ...] | None:
        if isinstance(node, Broken):
            return None
        if isinstance(node, Scalar) and node.is_null:
            node = Sequence(node.mark)
        if not isinstance(node, Sequence):
            place.wrong("a list is needed", "write `[one, two]`, or one a line after `- `", found=name_of(node))
            return None
        if not node.items and not self.is_empty_allowed:
            place.wrong("the list is empty", "at least one item", found="[]")
            return None
        read = [
            self.item.read(item, place.item(number, item.mark).at(item.mark, name_of(item)))
            for number, item in enumerate(node.items, start=1)
        ]
        return tuple(value for value in read if value is not None)

    def schema(self) -> Schema:
        if not self.is_empty_allowed:
            return {"type": "array", "items": self.item.schema(), "minItems": 1}
        return {"type": ["array", "null"], "items": self.item.schema()}


def known_name(name: str, known: Map[str, object], what: str, place: Place) -> bool:
    """Whether a reference resolves; reports when it does not."""
    if name in known:
        return True
    place.wrong("is defined nowhere", one_of(name, sorted(known), what), found=excerpt(name))
    return False


Parser: TypeAlias = Callable[[str], T]


@dataclass(frozen=True)
class Parsed(ScalarKind[T]):
    """Text with a grammar of its own, given by its parser; ``pattern`` tells the editor roughly the same."""

    parser: Parser[T]
    allowed: str
    pattern: str

    def expected(self) -> str:
        return self.allowed

    def parse(self, text: str) -> T:
        return self.parser(text)

    def schema(self) -> Schema:
        return {"type": ["string", "number"], "pattern": f"^{self.pattern}$"}
