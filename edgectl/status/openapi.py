"""The description of the API, made from one table."""

from __future__ import annotations

from typing import Any

from edgectl import __version__
from edgectl.domain.external import LARGEST_MA, LARGEST_W, LONGEST_MS

PATHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/api/v1/status": ("Everything the page shows, at one moment.", ()),
    "/api/v1/chargers": ("All chargers with their EVSEs and the reason of each limit.", ()),
    "/api/v1/chargers/{charger}": ("One charger.", ()),
    "/api/v1/meters": ("The last reading of each meter.", ()),
    "/api/v1/circuits": ("Limits, measured current and headroom of each conductor.", ()),
    "/api/v1/alarms": ("Active alarms.", ()),
    "/api/v1/excursions": ("When conductors were above their limits, the latest first.", ("since", "until", "limit")),
    "/api/v1/curtailment": (
        "What vehicles were not allowed to take, by day, circuit and cause: an estimate. `since` and `until` are days.",
        ("since", "until"),
    ),
    "/api/v1/sessions": ("Sessions, the latest first.", ("since", "until", "limit")),
    "/api/v1/sessions/export": (
        "Sessions as CSV, as OCPI 2.2.1 CDRs or as a statement by account, token or cost centre (format, by).",
        ("format", "since", "until", "month", "by"),
    ),
    "/api/v1/sessions/{session}": ("One session by its id.", ()),
    "/api/v1/why/{charger}": ("Why each EVSE of a charger may draw what it may.", ("at",)),
    "/api/v1/why/{charger}/{evse}": ("The same for one EVSE.", ("at",)),
    "/api/v1/limits": ("Limits from outside: who set them, how much, until when, what holds then.", ()),
    "/api/v1/uplink": ("The connection to the backend and what is owed to it.", ()),
    "/api/v1/uplink/parked": ("Records that could not be sent and were set aside, with the reason; the oldest first.", ()),
    "/metrics": ("Prometheus text exposition.", ()),
    "/healthz": ("200 while control periods complete, else 503.", ()),
    "/readyz": ("200 once everything has started, else 503.", ()),
}
"""Path to what it answers and its query parameters. A test holds this against the routes."""


ACTIONS: dict[tuple[str, str], str] = {
    ("post", "/api/v1/limits"): "Set a limit on a circuit or charger, in place of an earlier one of this door.",
    ("delete", "/api/v1/limits/{limit}"): "Lift a limit of this door.",
}
"""What needs the token: method and path to what it does."""

_KINDS = {"/metrics": ("text/plain",), "/api/v1/sessions/export": ("text/csv", "application/json", "text/html")}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edgectl",
            "version": __version__,
            "description": "One site: open to read, actions with a bearer token. Milliamps, watt-hours, moments in RFC 3339.",
        },
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"refused": {"description": "Refused; error.message says why.", "content": _content(_ERROR)}},
        },
    }


def _paths() -> dict[str, Any]:
    found: dict[str, Any] = {path: {"get": _operation(path, summary, query)} for path, (summary, query) in PATHS.items()}
    for (method, path), summary in ACTIONS.items():
        operation = {**_operation(path, summary, ()), "security": [{"token": []}]}
        if method == "post":
            operation["requestBody"] = {"required": True, "content": _content(_LIMIT)}
        found.setdefault(path, {})[method] = operation
    return found


def _operation(path: str, summary: str, query: tuple[str, ...]) -> dict[str, Any]:
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query]
    kinds = _KINDS.get(path, ("application/json",))
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, "content": {kind: {} for kind in kinds}},
            "default": {"$ref": "#/components/responses/refused"},
        },
    }


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_AMOUNT: dict[str, Any] = {
    "current_ma": {
        "description": "Per phase: one number, or L1, L2 and L3.",
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": LARGEST_MA},
            {
                "type": "object",
                "properties": {name: {"type": "integer", "minimum": 0, "maximum": LARGEST_MA} for name in ("L1", "L2", "L3")},
                "required": ["L1", "L2", "L3"],
                "additionalProperties": False,
            },
        ],
    },
    "power_w": {"description": "Over all phases.", "type": "integer", "minimum": 0, "maximum": LARGEST_W},
}
_LIMIT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "circuit": {"type": "string"},
        "charger": {"type": "string"},
        **_AMOUNT,
        "until": {"type": "string", "format": "date-time"},
        "for_s": {"type": "integer", "minimum": 1, "maximum": LONGEST_MS // 1_000},
        "then": {"description": "What holds after its end.", "type": "object", "properties": _AMOUNT},
        "actor": {"description": "Who wants this.", "type": "string"},
    },
    "additionalProperties": False,
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
