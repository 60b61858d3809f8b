"""YAML text as a tree that remembers where everything stood. YAML 1.2; every scalar keeps its text.

Built from the parser's events rather than by ``compose``: so depth is bounded before recursion could hurt, an alias bomb is
refused at its first alias, and duplicate keys reach the reader, who can say which key it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from edgectl.config.problems import START, Mark, Place, excerpt

MAX_BYTES = 1 << 20
"""1,000 chargers are 60 kB and 10,000 tokens 600 kB; the parser needs seconds for more than this on a small gateway."""
MAX_DEPTH = 12
"""The deepest legal value, a charger's credential name, is at level 4."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_PARSER_SLIPS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the YAML library has been seen to raise on hostile bytes, besides its own errors."""
_HINTS = (
    (re.compile(r"character '\\t'"), "a tab cannot indent or separate in YAML", "use spaces"),
    (re.compile(r"mapping values are not allowed"), "a colon stands where no key can be", "quote text that contains ': '"),
    (re.compile(r"could not find expected ':'"), "a key without a colon", "write `key: value`"),
    (re.compile(r"quoted scalar"), "a quote is opened and never closed", "close it, or leave both out"),
    (re.compile(r"flow (mapping|sequence|node)"), "a { or [ is not closed here", "separate with commas and close with } or ]"),
    (re.compile(r"block (mapping|collection|sequence)"), "the indentation does not fit", "indent keys of one section equally"),
    (re.compile(r"cannot start any token"), "a character that cannot begin a value", "quote the text"),
)


@dataclass(frozen=True, slots=True)
class Scalar:
    mark: Mark
    text: str
    is_quoted: bool = False

    @property
    def is_null(self) -> bool:
        return not self.is_quoted and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Mapping:
    mark: Mark
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    """As written: a key may be there twice."""


@dataclass(frozen=True, slots=True)
class Sequence:
    mark: Mark
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Broken:
    """Something already reported."""

    mark: Mark


Node: TypeAlias = "Scalar | Mapping | Sequence | Broken"


def parse(data: bytes, place: Place) -> Node | None:
    """The tree of one YAML document, a null where there is nothing but comments.

    None after reporting why the text is no YAML. Raises nothing, whatever the bytes.
    """
    text = _decode(data, place)
    if text is None:
        return None
    builder = _Builder(place)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            if not builder.take(event):
                return None
    except ReaderError as error:
        _report_character(error, text, place)
        return None
    except MarkedYAMLError as error:
        _report_syntax(error, place)
        return None
    except (YAMLError, *_PARSER_SLIPS) as error:
        place.at(builder.last).wrong(f"is not YAML: {excerpt(str(error))}", "the text near here cannot be understood")
        return None
    return builder.root or Scalar(START, "")


def _decode(data: bytes, place: Place) -> str | None:
    if len(data) > MAX_BYTES:
        place.wrong(f"the file has {len(data)} bytes", f"at most {MAX_BYTES}")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line_start = before.rfind(b"\n") + 1
        mark = Mark(before.count(b"\n") + 1, len(before[line_start:].decode("utf-8", "replace")) + 1)
        place.at(mark).wrong("is not UTF-8", "save the file in UTF-8", found=f"byte 0x{data[error.start]:02x}")
        return None


class _Builder:
    """Events to nodes, with an explicit stack: no recursion, whatever the nesting."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.root: Node | None = None
        self.last = START
        self._documents = 0
        self._stack: list[Mapping | Sequence] = []
        self._keys: list[Node | None] = []

    def take(self, event: Event) -> bool:
        """False when there is no sense in reading on; the reason is reported."""
        self.last = mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.place.at(mark).wrong("a second document begins here", "one document in a file: remove the line ---")
                return False
        elif isinstance(event, AliasEvent):
            self._refuse(mark, "an alias (*name) is not used in this file", "write the value out, or use charger_defaults")
            self._add(Broken(mark))
        elif isinstance(event, ScalarEvent):
            if event.tag is None:
                self._add(Scalar(mark, event.value, is_quoted=event.style is not None))
            else:
                self._refuse(mark, "a tag (!name) is not used in this file", "write the value only")
                self._add(Broken(mark))
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            if event.tag is not None:
                self._refuse(mark, "a tag (!name) is not used in this file", "write the value only")
            node: Mapping | Sequence = Mapping(mark) if isinstance(event, MappingStartEvent) else Sequence(mark)
            self._add(node)
            self._stack.append(node)
            self._keys.append(None)
            if len(self._stack) > MAX_DEPTH:
                self._refuse(mark, "is nested too deeply", f"at most {MAX_DEPTH} levels")
                return False
        elif isinstance(event, CollectionEndEvent):
            self._stack.pop()
            self._keys.pop()
        return True

    def _refuse(self, mark: Mark, message: str, allowed: str) -> None:
        self.place.at(mark).wrong(message, allowed)

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            if not isinstance(node, Scalar | Broken):
                self._refuse(node.mark, "a key must be plain text", "write `key: value`")
            self._keys[-1] = node
            return
        self._keys[-1] = None
        if isinstance(key, Scalar):
            parent.entries.append((key, node))


def _report_character(error: ReaderError, text: str, place: Place) -> None:
    before = text[: error.position]
    mark = Mark(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
    found = f"U+{ord(text[error.position]):04X}" if error.position < len(text) else ""
    place.at(mark).wrong("a control character is in the text", "remove it", found=found)


def _report_syntax(error: MarkedYAMLError, place: Place) -> None:
    told = " ".join(filter(None, (error.problem, error.context)))
    at = error.problem_mark or error.context_mark
    mark = Mark(at.line + 1, at.column + 1) if at is not None else START
    for pattern, message, allowed in _HINTS:
        if pattern.search(told):
            # A quote or bracket is closed too late or never: its beginning is what the author must look at.
            if error.context_mark is not None and ("quote" in message or "[" in message):
                mark = Mark(error.context_mark.line + 1, error.context_mark.column + 1)
            place.at(mark).wrong(message, allowed)
            return
    place.at(mark).wrong(f"is not YAML: {excerpt(told)}", "the rest of the file was not checked")


def unique_entries(mapping: Mapping, place: Place) -> Iterator[tuple[str, Scalar, Node]]:
    """The entries of a mapping; a key written again is reported there and left out."""
    first: dict[str, Mark] = {}
    for key, node in mapping.entries:
        seen = first.get(key.text)
        if seen is not None:
            place.inside(excerpt(key.text), key.mark).wrong(f"is written twice, first in line {seen.line}", "keep one of them")
            continue
        first[key.text] = key.mark
        yield key.text, key, node
