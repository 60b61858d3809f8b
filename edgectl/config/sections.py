"""Sections: a section is a dataclass, and its fields are the table of keys that drives reading and the JSON Schema alike.

    class WebKeys(Section):
        listen: Address | None = required(Parsed(...), "Where the page is served.")

``required`` and ``optional`` give None for what is missing or wrong (and then it is reported); ``defaulting`` gives its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar, cast

from edgectl.config.kinds import Kind, ScalarKind, Schema, Text, name_of
from edgectl.config.problems import Mark, Place, excerpt, one_of
from edgectl.config.tree import Broken, Mapping, Node, Scalar, unique_entries

T = TypeVar("T")
S = TypeVar("S", bound="Section")


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table."""

    name: str
    kind: Kind[Any]
    doc: str
    is_required: bool
    default: str | None
    """As it would be written in the file."""


def required(kind: Kind[T], doc: str) -> T | None:
    return cast("T | None", field(default=None, metadata={"kind": kind, "doc": doc, "required": True}))


def optional(kind: Kind[T], doc: str) -> T | None:
    return cast("T | None", field(default=None, metadata={"kind": kind, "doc": doc}))


def defaulting(kind: ScalarKind[T], default: str, doc: str) -> T:
    return field(default=kind.parse(default), metadata={"kind": kind, "doc": doc, "default": default})


def section(kind: Kind[T], doc: str, *, is_required: bool = False) -> T:
    """A key that holds further keys. Where it is not written an empty one stands, so the composer needs no case for it."""
    return cast("T", field(default=None, metadata={"kind": kind, "doc": doc, "required": is_required}))


@dataclass(frozen=True, kw_only=True)
class Section:
    """What was read of one mapping."""

    place: Place
    """Of the key that names the section."""
    written: Map[str, Place] = field(default_factory=dict)
    """Every known key that stands in the file, with the place of its value."""
    broken: frozenset[str] = frozenset()
    """Keys whose value was refused, or that are required and missing."""
    is_readable: bool = True
    """False where something else stands than keys; that is reported, and nothing is known of the section."""

    def at(self, key: str) -> Place:
        """Where to complain about a key: at its value, else at the section."""
        return self.written.get(key) or self.place.inside(key, found="")

    def is_sound(self, *keys: str) -> bool:
        """True when none of the keys is broken: then a check across them makes sense."""
        return self.broken.isdisjoint(keys)


def keys_of(cls: type[Section]) -> tuple[Key, ...]:
    return tuple(
        Key(
            item.name,
            item.metadata["kind"],
            item.metadata["doc"],
            item.metadata.get("required", False),
            item.metadata.get("default"),
        )
        for item in fields(cls)
        if "kind" in item.metadata
    )


@dataclass(frozen=True)
class SectionOf(Kind[S]):
    """A mapping with the keys of one section class."""

    cls: type[S]
    may_be_empty: bool = False
    """Nothing written below the key is legal, though some of its keys are required."""

    def read(self, node: Node, place: Place) -> S:
        if isinstance(node, Scalar) and node.is_null:
            node = Mapping(node.mark)
        if not isinstance(node, Mapping):
            if not isinstance(node, Broken):
                place.at(node.mark).wrong("keys are needed here", f"keys: {', '.join(self._names)}", found=name_of(node))
            return self._silent(place)
        return self._read(node, place)

    def _read(self, node: Mapping, place: Place) -> S:
        table = {key.name: key for key in keys_of(self.cls)}
        values: dict[str, Any] = {}
        written: dict[str, Place] = {}
        broken = set()
        for name, written_name, value in unique_entries(node, place):
            key = table.get(name)
            if key is None:
                _unknown(name, place.inside(excerpt(name), written_name.mark), list(table))
                continue
            # An empty value has no text of its own to point at, and a mapping is best shown by its name.
            is_named = isinstance(value, Mapping) or (isinstance(value, Scalar) and value.is_null)
            here = place.inside(name, written_name.mark) if is_named else place.inside(name, value.mark, name_of(value))
            written[name] = here
            values[name] = key.kind.read(value, here)
            if values[name] is None:
                broken.add(name)
        is_excused = self.may_be_empty and not written
        for key in table.values():
            if key.name in written:
                continue
            if key.is_required and not is_excused:
                place.inside(key.name).wrong("is missing", _example(key))
                broken.add(key.name)
            values[key.name] = key.kind.absent(place.inside(key.name))
        for key in table.values():
            if values.get(key.name) is None:
                values.pop(key.name, None)  # the dataclass knows the default
        return self.cls(place=place, written=written, broken=frozenset(broken), **values)

    @property
    def _names(self) -> list[str]:
        return [key.name for key in keys_of(self.cls)]

    def _silent(self, place: Place) -> S:
        """Stands in for a section that is not there or not a section; nothing more is said about it."""
        inner = {key.name: key.kind.absent(place.inside(key.name)) for key in keys_of(self.cls)}
        known = {name: value for name, value in inner.items() if value is not None}
        broken = frozenset(key.name for key in keys_of(self.cls) if key.is_required)
        return self.cls(place=place, broken=broken, is_readable=False, **known)

    def absent(self, place: Place) -> S:
        return self._silent(place)

    def schema(self) -> Schema:
        properties = {}
        for key in keys_of(self.cls):
            shown = {**key.kind.schema(), "description": key.doc}
            if key.default is not None:
                shown["default"] = key.default
            properties[key.name] = shown
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        needed = [key.name for key in keys_of(self.cls) if key.is_required]
        if needed and not self.may_be_empty:
            schema["required"] = needed
        if not needed or self.may_be_empty:
            schema["type"] = ["object", "null"]
        return schema


def _example(key: Key) -> str:
    return key.kind.expected() or f"write `{key.name}:` with its keys below"


def _unknown(name: str, place: Place, known: list[str]) -> None:
    if name == "<<":
        place.wrong("merge keys are not used in this file", "what all chargers share goes into charger_defaults")
        return
    place.wrong("is not a known key here", one_of(name, known, "keys"))


@dataclass(frozen=True)
class Entries(Generic[S]):
    """Named sections, in the order of the file."""

    place: Place
    sections: Map[str, S] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, S]]:
        return iter(self.sections.items())


@dataclass(frozen=True)
class EntriesOf(Kind[Entries[S]]):
    """A mapping from names the author chooses to sections."""

    name: Text
    entry: SectionOf[S]
    what: str
    """What one entry is, for messages."""
    ignores_case: bool = False
    """Names that differ only in letter case are the same thing to the outside."""
    is_empty_allowed: bool = True

    def read(self, node: Node, place: Place) -> Entries[S]:
        if isinstance(node, Scalar) and node.is_null:
            node = Mapping(node.mark)
        if not isinstance(node, Mapping):
            if not isinstance(node, Broken):
                place.at(node.mark).wrong(
                    "a mapping of names is needed", f"one {self.what} a line: `name: {{...}}`", found=name_of(node)
                )
            return Entries(place)
        if not node.entries and not self.is_empty_allowed:
            place.wrong("is empty", f"at least one {self.what}")
        sections: dict[str, S] = {}
        folded: dict[str, Mark] = {}
        for name, key, value in unique_entries(node, place):
            here = place.inside(excerpt(name), key.mark)
            self.name.read(Scalar(key.mark, name, is_quoted=True), here)
            first = folded.setdefault(name.strip().casefold(), key.mark)
            if self.ignores_case and first != key.mark:
                here.wrong(
                    f"differs only in letter case from the {self.what} in line {first.line}",
                    "upper and lower case are the same to it: remove or rename one",
                )
            sections[name] = self.entry.read(value, here)
        return Entries(place, sections)

    def absent(self, place: Place) -> Entries[S]:
        return Entries(place)

    def schema(self) -> Schema:
        names = {"pattern": f"^{self.name.pattern}$", "maxLength": self.name.longest}
        schema: Schema = {"type": "object", "propertyNames": names, "additionalProperties": self.entry.schema()}
        if self.is_empty_allowed:
            schema["type"] = ["object", "null"]
        else:
            schema["minProperties"] = 1
        return schema
