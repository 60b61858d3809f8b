"""What `edgectl uplink status` and `parked` say to a person."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from edgectl.cli import uplink_table

TRANSPORT = {
    "is_configured": True,
    "is_connected": True,
    "since_at": "2026-11-27T10:00:00.000Z",
    "detail": "",
    "broker": "mqtts://one:8883, mqtts://two:8883",
    "broker_in_use": "mqtts://two:8883",
    "in_flight_count": 4,
    "last_puback_age_ms": 1_500,
    "last_receipt_age_ms": None,
    "access": "enough",
    "undelivered_streams": [],
    "credential_problem": "",
    "last_refusal": "",
    "backlog_count": 0,  # some seconds old, and not what is shown
}
OUTBOX = {
    "backlog_count": 7,
    "parked_count": 1,
    "oldest_at": "2026-11-27T09:00:00.000Z",
    "telemetry_count": 2,
    "telemetry_bytes": 51_200,
}
NAMES = (
    "connection",
    "brokers",
    "owed",
    "set aside",
    "telemetry",
    "in flight",
    "broker answered",
    "backend's receipt",
    "access",
    "not delivered",
    "credentials",
    "last refused",
)


def shown(transport: dict[str, Any], outbox: dict[str, Any] | None = OUTBOX, detail: str = "") -> dict[str, str]:
    console = Console(width=200)
    with console.capture() as capture:
        found = {"connected": False, "detail": detail, "outbox": outbox, "transport": transport}
        console.print(uplink_table.status(found))
    lines = [line for line in capture.get().splitlines() if line.strip()]
    parts = {name: line.removeprefix(name).strip() for line in lines for name in NAMES if line.startswith(f"{name} ")}
    assert len(parts) == len(lines), lines
    return parts


def test_it_says_which_broker_what_is_owed_and_who_spoke_last() -> None:
    assert shown(TRANSPORT) == {
        "connection": "to mqtts://two:8883 since 2026-11-27 10:00:00Z",
        "brokers": "mqtts://one:8883, mqtts://two:8883",
        "owed": "7 records without a receipt, the oldest of 2026-11-27 09:00:00Z",
        "set aside": "1 record, see `edgectl uplink parked`",
        "telemetry": "2 blocks to send, 51 kB",
        "in flight": "4",
        "broker answered": "1.5 s ago",
        "backend's receipt": "not since the start",
        "access": "enough",
    }


def test_a_lost_connection_has_its_reason_and_a_refusal_its_words() -> None:
    found = shown({**TRANSPORT, "is_connected": False, "broker_in_use": "", "last_refusal": "denied"}, detail="refused")
    assert found["connection"] == "lost since 2026-11-27 10:00:00Z: refused"
    assert found["last refused"] == "denied"


def test_what_nobody_takes_and_credentials_that_cannot_be_used_are_said() -> None:
    found = shown({**TRANSPORT, "undelivered_streams": ["billing", "events"], "credential_problem": "no PEM"})
    assert found["not delivered"] == "billing, events: nobody is subscribed, or the broker is full"
    assert found["credentials"] == "no PEM; the last good ones are used"


def test_nothing_owed_a_ledger_that_cannot_be_read_and_no_uplink_are_said() -> None:
    empty = dict.fromkeys(("backlog_count", "parked_count", "telemetry_count", "telemetry_bytes"), 0)
    found = shown(TRANSPORT, {**empty, "oldest_at": None})
    assert (found["owed"], found["set aside"], found["telemetry"]) == ("nothing", "nothing", "nothing to send")
    assert shown(TRANSPORT, None)["owed"] == "the ledger cannot be read"
    assert shown({"is_configured": False}, None)["connection"] == "none: the site's file has no `mqtt`"


def test_what_is_set_aside_is_read_in_80_columns_with_its_names_in_one_piece() -> None:
    console = Console(width=80)
    one = {
        "seq": 104_711,
        "parked_at": "2026-11-27T10:00:00.000Z",
        "topic": "billing/session",
        "record_id": "0197f3aa-0b1c-7d2e-8f00-1234567890ab",
        "rev": 12,
        "bytes": 2_210,
        "reason": "the broker refused it: not authorised (the broker's access list) (0x87)",
    }
    with console.capture() as capture:
        console.print(uplink_table.parked([one]))
    assert [line.rstrip() for line in capture.get().splitlines()] == [
        "number  since                 record and why",
        "104711  2026-11-27 10:00:00Z  billing/session, 2210 bytes",
        "                              0197f3aa-0b1c-7d2e-8f00-1234567890ab rev 12",
        "                              the broker refused it: not authorised (the",
        "                              broker's access list) (0x87)",
    ]
