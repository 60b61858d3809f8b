"""Examples of OCPP 2 messages, made from the JSON schemas of the ``ocpp`` package, which is nobody of ours."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

AT = "2025-06-01T10:00:00Z"


@cache
def schema(package: str, name: str) -> dict[str, Any]:
    text = (resources.files(package) / f"{name}.json").read_text(encoding="utf-8-sig")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def example(package: str, name: str, *, is_full: bool) -> Any:
    """A valid message: with every field, or with the required ones only."""
    root = schema(package, name)
    return _value(root, root.get("definitions", {}), is_full)


def _value(part: dict[str, Any], definitions: dict[str, Any], is_full: bool) -> Any:
    if "$ref" in part:
        return _value(definitions[part["$ref"].rsplit("/", 1)[1]], definitions, is_full)
    if "enum" in part:
        return part["enum"][0]
    match part.get("type"):
        case "object":
            wanted = set(part.get("required", ())) | (set(part.get("properties", {})) - {"customData"} if is_full else set())
            return {key: _value(part["properties"][key], definitions, is_full) for key in sorted(wanted)}
        case "array":
            return [_value(part["items"], definitions, is_full) for _ in range(max(1, part.get("minItems", 1)))]
        case "integer":
            return max(1, part.get("minimum", 1))
        case "number":
            return min(max(1.5, part.get("minimum", 1.5)), part.get("maximum", 1.5))
        case "boolean":
            return True
        case "string":
            return AT if part.get("format") == "date-time" else "x1"
    return {"any": "thing"}
