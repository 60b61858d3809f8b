"""The JSON schemas of the standard as compiled functions.

Our own messages must satisfy them. What chargers send is only compared with them: a deviation is counted and named, and the
codecs read on. They are the schemas shipped with the ``ocpp`` package, compiled by ``fastjsonschema`` on first use: 1 to 11 ms
each for 1.6 and up to 105 ms for the largest of 2.1 on a desktop core, so ``warm`` compiles the usual ones of a version before
a charger speaks it.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import fastjsonschema

_NAME_MAX_CHARS = 64
"""No action's name is longer; a file name of any length would not even be looked for."""


class Schemas:
    """Validators of one version. ``package`` holds its schema files, ``request_suffix`` is between action and ``.json``."""

    def __init__(self, package: str, request_suffix: str = "") -> None:
        self._package = package
        self._request_suffix = request_suffix
        self._validators: dict[str, Callable[[object], object] | None] = {}

    def warm(self, actions: Iterable[str]) -> None:
        """Compile these requests now; it blocks, so call it before serving, or in a thread."""
        for action in actions:
            self._validator(action + self._request_suffix)
        _give_back_memory()

    def is_warm(self, actions: Iterable[str]) -> bool:
        """They are compiled already, by whomever."""
        return all((self._package, action + self._request_suffix) in _compiled for action in actions)

    def has_request(self, action: str) -> bool:
        """Whether the standard has this action, in either direction."""
        return self._file(action + self._request_suffix) is not None

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
        return None if self._file(name) is None else _compile(self._package, name)

    def _file(self, name: str) -> Traversable | None:
        file = resources.files(self._package) / f"{name}.json"
        is_name = name.isascii() and name.isalnum() and len(name) <= _NAME_MAX_CHARS
        return file if is_name and file.is_file() else None


_compiled: dict[tuple[str, str], Callable[[object], object]] = {}
"""Once per process: the validators are pure, and a simulation starts many servers."""


def _compile(package: str, name: str) -> Callable[[object], object]:
    found = _compiled.get((package, name))
    if found is None:
        schema = json.loads((resources.files(package) / f"{name}.json").read_text(encoding="utf-8-sig"))
        found = _compiled[package, name] = fastjsonschema.compile(_without_multiples(schema))
    return found


def _give_back_memory() -> None:
    """Compiling leaves pages that the C library would keep for itself: 20 MB after all versions."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)


def _without_multiples(schema: Any) -> Any:
    """Without ``multipleOf: 0.1``: tested on binary floats it refuses 16.1. Our own limits have one decimal by construction."""
    if isinstance(schema, dict):
        return {key: _without_multiples(value) for key, value in schema.items() if key != "multipleOf"}
    if isinstance(schema, list):
        return [_without_multiples(item) for item in schema]
    return schema
