"""What a change of the contract breaks, found by comparing two AsyncAPI documents of ours.

Going up, a reader that was written for the old contract must understand what the new one sends: nothing is missing, and no
value is outside what it was told to expect. Coming down, the new gateway must take what the old contract allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Node = Mapping[str, Any]

_LOWER: Final = ("minimum", "minLength", "minItems")
_UPPER: Final = ("maximum", "maxLength", "maxItems")


def breaking(old: Node, new: Node) -> list[str]:
    """Everything in ``new`` that breaks who relies on ``old``, in words; empty when nothing does."""
    found: list[str] = []
    for name, before in old["channels"].items():
        after = new["channels"].get(name)
        if after is None:
            found.append(f"{before['address']}: the channel is gone")
            continue
        if after["address"] != before["address"]:
            found.append(f"{before['address']}: it is now {after['address']}")
        was, now = old["operations"][name], new["operations"][name]
        if (was["action"], was["bindings"]) != (now["action"], now["bindings"]):
            found.append(f"{before['address']}: its direction or its rules have changed")
        pair = _Pair(old, new, is_up=was["action"] == "send")
        for message in before["messages"]:
            if message not in after["messages"]:
                found.append(f"{before['address']}: {message} is gone")
            else:
                was, now = (document["components"]["messages"][message]["payload"] for document in (old, new))
                found += pair.compare(was, now, message)
    return list(dict.fromkeys(found))


@dataclass
class _Pair:
    old: Node
    new: Node
    is_up: bool

    def compare(self, old: Node, new: Node, place: str) -> Iterator[str]:
        """What has become of one schema."""
        before, after = _alternatives(self.old, old), _alternatives(self.new, new)
        inner, outer = (after, before) if self.is_up else (before, after)
        for kind in inner.keys() - outer.keys():
            yield f"{place}: {'may now be' if self.is_up else 'may no longer be'} {kind}"
        for kind in before.keys() & after.keys():
            yield from self._bounds(before[kind], after[kind], place)
            if kind == "object":
                yield from self._members(before[kind], after[kind], place)
            if kind == "array" and "items" in before[kind] and "items" in after[kind]:
                yield from self.compare(before[kind]["items"], after[kind]["items"], f"{place}[]")

    def _members(self, old: Node, new: Node, place: str) -> Iterator[str]:
        before, after = _properties(self.old, old), _properties(self.new, new)
        for name, schema in before.items():
            if name not in after:
                yield f"{place}.{name}: is gone"
            else:
                yield from self.compare(schema, after[name], f"{place}.{name}")
        was, now = _required(self.old, old), _required(self.new, new)
        for name in sorted(was - now if self.is_up else now - was):
            yield f"{place}.{name}: {'may now be missing' if self.is_up else 'is now required'}"
        more = old.get("additionalProperties"), new.get("additionalProperties")
        if more[1] is False and more[0] is not False and not self.is_up:
            yield f"{place}: no longer takes further members"
        if isinstance(more[0], Mapping) and isinstance(more[1], Mapping):
            yield from self.compare(more[0], more[1], f"{place}.*")

    def _bounds(self, old: Node, new: Node, place: str) -> Iterator[str]:
        inner, outer = (new, old) if self.is_up else (old, new)
        change = "is wider" if self.is_up else "is narrower"
        if "enum" in outer and not set(inner.get("enum", ("?",))) <= set(outer["enum"]):
            yield f"{place}: the list of its words {change}"
        if "pattern" in outer and inner.get("pattern") != outer["pattern"]:
            yield f"{place}: its form {change}"
        for key in _LOWER:
            if key in outer and inner.get(key, float("-inf")) < outer[key]:
                yield f"{place}: {key} {change}"
        for key in _UPPER:
            if key in outer and inner.get(key, float("inf")) > outer[key]:
                yield f"{place}: {key} {change}"


def _resolved(document: Node, schema: Node) -> Node:
    while "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _alternatives(document: Node, schema: Node) -> dict[str, Node]:
    """By JSON type; no type of ours is a choice between two of one type."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        return {kind: one for part in schema["anyOf"] for kind, one in _alternatives(document, part).items()}
    if "allOf" in schema:
        return {"object": schema}
    if "type" in schema:
        return {schema["type"]: schema}
    return {"string" if all(isinstance(word, str) for word in schema["enum"]) else "constant": schema} if "enum" in schema else {}


def _properties(document: Node, schema: Node) -> dict[str, Node]:
    inherited = [_properties(document, _resolved(document, part)) for part in schema.get("allOf", ())]
    return {name: one for found in (*inherited, schema.get("properties", {})) for name, one in found.items()}


def _required(document: Node, schema: Node) -> set[str]:
    inherited = [_required(document, _resolved(document, part)) for part in schema.get("allOf", ())]
    return set(schema.get("required", ())).union(*inherited)
