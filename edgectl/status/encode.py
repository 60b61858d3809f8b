"""Views and records as JSON-ready values: one rule for the API, the page and the command line's ``--json``.

Names stay as they are, with their unit. A moment ``x_utc_ms`` becomes ``x_at`` in RFC 3339 (``at_utc_ms`` just ``at``); currents
per phase become an object ``{"L1": ..., "L2": ..., "L3": ...}``; what is not known is null.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from edgectl.domain.bill import session_body
from edgectl.domain.ids import EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.records import Session
from edgectl.domain.time import iso

UTC_SUFFIX = "_utc_ms"


def encode(value: Any) -> Any:
    """Anything made of dataclasses, enums and plain values."""
    if isinstance(value, Session):
        followed = {"credited_by": value.credited_by, "replaced_by": value.replaced_by}
        return {**session_body(value), "rev": value.rev, **{name: id_ for name, id_ in followed.items() if id_ is not None}}
    if isinstance(value, Phases):
        return {"L1": value.l1, "L2": value.l2, "L3": value.l3}
    if isinstance(value, EvseId):
        return str(value)
    if isinstance(value, Enum):
        return value.name if isinstance(value.value, int) else value.value
    if is_dataclass(value) and not isinstance(value, type):
        return dict(_field(field.name, getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [encode(item) for item in value]
    return value


def _field(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith(UTC_SUFFIX):
        moment = name.removesuffix(UTC_SUFFIX)
        return moment if moment == "at" else f"{moment}_at", None if value is None else iso(value)
    return name, encode(value)
