"""Whether what is published is what the contract says: every payload, every member, nothing that is not named."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import fastjsonschema

from edgectl.contract import message_of
from edgectl.contract.schemas import schemas


def faults(suffix: str, payload: bytes) -> list[str]:
    """What is wrong with a payload on ``edgectl/v1/{site}/{suffix}``; empty when nothing is."""
    try:
        body = json.loads(payload)
    except ValueError as error:
        return [f"{suffix}: {error}"]
    kind = message_of(suffix, body)
    if kind is None:
        return [f"{suffix}: no such topic"]
    try:
        _validator(kind.__name__)(body)
    except fastjsonschema.JsonSchemaValueException as error:
        return [f"{suffix}: {kind.__name__}: {error.message}: {payload[:300]!r}"]
    return []


def own_faults(suffix: str, payload: bytes) -> list[str]:
    """The same where a test makes up the records and states: only what the uplink itself writes is judged."""
    return faults(suffix, payload) if suffix == "status" or suffix.startswith("cmd-ack/") else []


@cache
def _validator(name: str) -> Callable[[Any], Any]:
    # The words of our schemas mean the same in draft 7, which is the newest this fast validator knows.
    definitions = {key: closed(schema) for key, schema in schemas().items()}
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": f"#/$defs/{name}", "$defs": definitions}
    made: Callable[[Any], Any] = fastjsonschema.compile(whole)
    return made


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for members it does not name: readers pass over those, but we write none."""
    return schema if "additionalProperties" in schema or "properties" not in schema else {**schema, "additionalProperties": False}
