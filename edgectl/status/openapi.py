"""The description of the API, made from one table."""

from __future__ import annotations

from typing import Any

from edgectl import __version__

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
    "/api/v1/sessions/{session}": ("One session by its id.", ()),
    "/api/v1/why/{charger}": ("Why each EVSE of a charger may draw what it may.", ("at",)),
    "/api/v1/why/{charger}/{evse}": ("The same for one EVSE.", ("at",)),
    "/api/v1/uplink": ("The connection to the backend and what is owed to it.", ()),
    "/metrics": ("Prometheus text exposition.", ()),
    "/healthz": ("200 while control periods complete, else 503.", ()),
    "/readyz": ("200 once everything has started, else 503.", ()),
}
"""Path to what it answers and its query parameters. A test holds this against the routes."""


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edgectl",
            "version": __version__,
            "description": "Read-only view of one site. Currents in milliamps, energy in watt-hours, moments in RFC 3339.",
        },
        "paths": {path: {"get": _operation(path, summary, query)} for path, (summary, query) in PATHS.items()},
        "components": {
            "responses": {"refused": {"description": "Refused; error.message says why.", "content": _content(_ERROR)}}
        },
    }


def _operation(path: str, summary: str, query: tuple[str, ...]) -> dict[str, Any]:
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query]
    kind = "text/plain" if path == "/metrics" else "application/json"
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, "content": {kind: {}}},
            "default": {"$ref": "#/components/responses/refused"},
        },
    }


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


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
