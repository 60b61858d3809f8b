"""JSON Schema 2020-12 of the contract's types, with their docstrings as descriptions."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from edgectl.contract.channels import CHANNELS, Direction
from edgectl.contract.commands import COMMANDS, Command
from edgectl.contract.events import FREE

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schemas(reference: str = "#/$defs/{name}") -> dict[str, Any]:
    """Every type of the contract by its name. ``reference`` is how one names another."""
    types: list[type[Struct]] = list(
        dict.fromkeys([*(payload for channel in CHANNELS for payload in channel.payloads), Command, *_args()])
    )
    _, found = msgspec.json.schema_components(types, ref_template=reference)
    by_name = {one.__name__: one for one in _reachable(types)}
    upward = {one.__name__ for one in _reachable(p for c in CHANNELS if c.direction is Direction.UP for p in c.payloads)}
    for name, schema in found.items():
        kind = by_name[name]
        for field, words in descriptions(kind).items():
            if field in schema["properties"]:
                schema["properties"][field] = {"description": words, **schema["properties"][field]}
        if name in upward:
            # What we write is always written, also a word that is always the same.
            always = [key for key, value in schema["properties"].items() if "default" in value]
            schema["required"] = sorted({*schema.get("required", ()), *always})
        if kind in FREE:
            schema["additionalProperties"] = {"type": "string"}
    for name, row in COMMANDS.items():
        found[command_name(name)] = {
            "title": command_name(name),
            "description": inspect.cleandoc(row.args.__doc__ or ""),
            "allOf": [{"$ref": reference.format(name="Command")}],
            "properties": {"args": {"$ref": reference.format(name=row.args.__name__)}},
            **({} if _is_free_of_needs(row.args) else {"required": ["args"]}),
        }
    return dict(sorted(found.items()))


def command_name(name: str) -> str:
    """The schema of a command: ``SetLimitCommand`` for ``set-limit``."""
    return "".join(part.capitalize() for part in name.split("-")) + "Command"


def descriptions(kind: type[Struct]) -> dict[str, str]:
    """The docstring below each field, by the field's name on the wire."""
    found: dict[str, str] = {}
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith("edgectl."):
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
            lines = getattr(body, "body", [])
            for before, after in pairwise(lines):
                match before, after:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        found[names[name]] = " ".join(words.split())
    return found


def _args() -> list[type[Struct]]:
    return [row.args for row in COMMANDS.values()]


def _is_free_of_needs(kind: type[Struct]) -> bool:
    return not any(field.required for field in msgspec.structs.fields(kind))


def _reachable(types: Iterable[type[Struct]]) -> set[type[Struct]]:
    """These and the types of their fields, and so on."""
    found: set[type[Struct]] = set()
    waiting: list[Any] = list(types)
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, Struct):
            if one not in found:
                found.add(one)
                waiting += [field.type for field in msgspec.structs.fields(one)]
        else:
            waiting += get_args(one)
    return found
