"""How the uplink is doing, for a person: what is connected, what is owed, who spoke last, what was set aside."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from edgectl.cli.tables import moment, seconds, table


def status(found: dict[str, Any]) -> RenderableType:
    """Of ``GET /api/v1/uplink``. What is owed is the ledger's count; the transport's own is some seconds old."""
    transport, outbox = found["transport"] or {}, found["outbox"] or {}
    if not transport.get("is_configured"):
        rows = [("connection", "none: the site's file has no `mqtt`")]
    elif transport["is_connected"]:
        rows = [("connection", f"to {transport['broker_in_use']} since {moment(transport['since_at'])}")]
    else:
        rows = [
            (
                "connection",
                f"lost since {moment(transport['since_at'])}: {found['detail'] or transport['detail'] or 'not made yet'}",
            )
        ]
    if ", " in transport.get("broker", ""):
        rows.append(("brokers", transport["broker"]))
    if outbox:
        rows.append(("owed", _owed(outbox)))
        rows.append(
            (
                "set aside",
                f"{_count(outbox['parked_count'], 'record')}, see `edgectl uplink parked`"
                if outbox["parked_count"]
                else "nothing",
            )
        )
        blocks = outbox["telemetry_count"]
        rows.append(
            (
                "telemetry",
                f"{_count(blocks, 'block')} to send, {outbox['telemetry_bytes'] / 1000:.0f} kB" if blocks else "nothing to send",
            )
        )
    else:
        rows.append(("owed", "the ledger cannot be read"))
    if transport.get("is_configured"):
        rows += [
            ("in flight", str(transport["in_flight_count"])),
            ("broker answered", _ago(transport["last_puback_age_ms"])),
            ("backend's receipt", _ago(transport["last_receipt_age_ms"])),
            ("access", transport["access"]),
        ]
        if transport["is_connected"] and transport["undelivered_streams"]:
            streams = ", ".join(transport["undelivered_streams"])
            rows.append(("not delivered", f"{streams}: nobody is subscribed, or the broker is full"))
        if transport["credential_problem"]:
            rows.append(("credentials", f"{transport['credential_problem']}; the last good ones are used"))
        if transport["last_refusal"]:
            rows.append(("last refused", transport["last_refusal"]))
    return table(("", ""), rows, "")


def parked(found: list[dict[str, Any]]) -> RenderableType:
    """Of ``GET /api/v1/uplink/parked``. A record's name and its reason are too long to stand side by side in 80 columns."""
    rows = [
        (
            one["seq"],
            moment(one["parked_at"]),
            f"{one['topic']}, {one['bytes']} bytes\n{one['record_id']} rev {one['rev']}\n{one['reason']}",
        )
        for one in found
    ]
    return table(("number", "since", "record and why"), rows, "Nothing is set aside.")


def _owed(outbox: dict[str, Any]) -> str:
    if not outbox["backlog_count"]:
        return "nothing"
    return f"{_count(outbox['backlog_count'], 'record')} without a receipt, the oldest of {moment(outbox['oldest_at'])}"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _ago(age_ms: int | None) -> str:
    return "not since the start" if age_ms is None else f"{seconds(age_ms)} ago"
