"""The JSON schemas of the standard as compiled functions.

Our own messages must satisfy them. What chargers send is only compared with them: a deviation is counted and named, and the
codecs read on. They are the schemas shipped with the ``ocpp`` package, compiled by ``fastjsonschema`` on first use: 1 to 11 ms
each for 1.6 and up to 80 ms for the largest of 2.1 on a desktop core, so ``warm`` compiles the usual ones before any charger
is connected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

import fastjsonschema


class Schemas:
    """Validators of one version. ``package`` holds its schema files, ``request_suffix`` is between action and ``.json``."""

    def __init__(self, package: str, request_suffix: str = "") -> None:
        self._files = resources.files(package)
        self._request_suffix = request_suffix
        self._validators: dict[str, Callable[[object], object] | None] = {}

    def warm(self, actions: Iterable[str]) -> None:
        """Compile these requests now; it blocks, so call it before serving."""
        for action in actions:
            self._validator(action + self._request_suffix)

    def request_problem(self, action: str, payload: object) -> str | None:
        """What is wrong with a request, in words; None when nothing is, or when the standard has no such action."""
        return self._problem(action + self._request_suffix, payload)

    def response_problem(self, action: str, payload: object) -> str | None:
        """The same for an answer."""
        return self._problem(action + "Response", payload)

    def _problem(self, name: str, payload: object) -> str | None:
        validate = self._validator(name)
        if validate is None:
            return None
        try:
            validate(payload)
        except fastjsonschema.JsonSchemaValueException as problem:
            return str(problem.message)[:200]
        return None

    def _validator(self, name: str) -> Callable[[object], object] | None:
        if name not in self._validators:
            self._validators[name] = self._compiled(name)
        return self._validators[name]

    def _compiled(self, name: str) -> Callable[[object], object] | None:
        file = self._files / f"{name}.json"
        if not name.isalnum() or not file.is_file():
            return None
        schema = json.loads(file.read_text(encoding="utf-8-sig"))
        compiled: Callable[[object], object] = fastjsonschema.compile(_without_multiples(schema))
        return compiled


def _without_multiples(schema: Any) -> Any:
    """Without ``multipleOf: 0.1``: tested on binary floats it refuses 16.1. Our own limits have one decimal by construction."""
    if isinstance(schema, dict):
        return {key: _without_multiples(value) for key, value in schema.items() if key != "multipleOf"}
    if isinstance(schema, list):
        return [_without_multiples(item) for item in schema]
    return schema
