"""The table of topics: where each is, who writes it, by which rules, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from edgectl.contract.billing import BillingRecord
from edgectl.contract.commands import COMMANDS, Answer
from edgectl.contract.events import EVENTS, Alarm, Event, Notice
from edgectl.contract.receipts import Receipt
from edgectl.contract.states import ChargerState, CircuitState, EvseState, MeterState
from edgectl.contract.status import Status
from edgectl.contract.telemetry import Telemetry

ROOT: Final = "edgectl/v1"
BILLING: Final = "billing"
TELEMETRY: Final = "telemetry"
STREAMS: Final = (BILLING, "events", TELEMETRY)
"""What is owed to the backend, in the order in which it is drained. Each has a receipt topic of its name."""


class Direction(StrEnum):
    UP = "up"
    """The gateway publishes."""
    DOWN = "down"
    """The gateway subscribes."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of topic below ``edgectl/v1/{site}/``. QoS is 1 everywhere."""

    name: str
    """Of the channel in the AsyncAPI document."""
    suffix: str
    """With ``{parameters}``."""
    direction: Direction
    words: str
    payloads: tuple[type[Struct], ...]
    """One of these."""
    is_retained: bool = False
    is_owed: bool = False
    """Sent again until the receipt comes."""
    parameters: Mapping[str, str] | None = None
    """Each parameter in words."""


_UP, _DOWN = Direction.UP, Direction.DOWN
_EVENTS: Final[tuple[type[Event], ...]] = (Alarm, *dict.fromkeys(EVENTS.values()), Notice)

CHANNELS: Final = (
    Channel("status", "status", _UP, "Birth, death and will of the gateway, and what waits.", (Status,), is_retained=True),
    Channel(
        "chargerState", "state/charger/{id}", _UP, "A charging station as last known.", (ChargerState,),
        is_retained=True, parameters={"id": "The charger's identity."},
    ),
    Channel(
        "evseState", "state/evse/{id}", _UP, "An EVSE as last known.", (EvseState,),
        is_retained=True, parameters={"id": "Charger and number, `CP-1-2`."},
    ),
    Channel(
        "circuitState", "state/circuit/{id}", _UP, "A conductor as last known.", (CircuitState,),
        is_retained=True, parameters={"id": "The circuit's name in the site's file."},
    ),
    Channel(
        "meterState", "state/meter/{id}", _UP, "A meter as last known.", (MeterState,),
        is_retained=True, parameters={"id": "The meter's name in the site's file."},
    ),
    Channel(
        "telemetry", "tele/{kind}", _UP, "Measurements in blocks; the oldest may be missing.", (Telemetry,),
        is_owed=True, parameters={"kind": "`evse`, `meter` or `circuit`."},
    ),
    Channel(
        "events", "event/{kind}", _UP, "Alarms and their ends, the audit trail, what chargers tell.", _EVENTS,
        is_owed=True, parameters={"kind": "The event's `kind`."},
    ),
    Channel(
        "billing", "billing/session", _UP,
        "What was charged, one revision in each message; as zstd with `application/json+zstd` where the site's file says so.",
        (BillingRecord,), is_owed=True,
    ),
    Channel(
        "receipts", "receipt/{stream}", _DOWN, "What the backend has stored; only this lets records go.", (Receipt,),
        parameters={"stream": f"`{'`, `'.join(STREAMS)}`."},
    ),
    Channel(
        "answers", "cmd-ack/{client}", _UP, "What became of a command, unless it named a response topic outside this tree.",
        (Answer,), parameters={"client": "The command's `actor`."},
    ),
)  # fmt: skip
"""Every topic but those of commands, which are ``cmd/{name}`` for each name in ``COMMANDS``."""


def message_of(suffix: str, body: object) -> type[Struct] | None:
    """What kind of payload ``body``, decoded, is on the topic with this suffix; None for a topic that is not in the contract."""
    level, *more = suffix.split("/")
    if level == "event" and len(more) == 1:
        return _event(more[0], body)
    if level == "cmd":
        return None if len(more) != 1 or more[0] not in COMMANDS else COMMANDS[more[0]].args
    for channel in CHANNELS:
        wanted = channel.suffix.split("/")
        if len(wanted) == len(more) + 1 and all(
            w in (got, "") or w[0] == "{" for w, got in zip(wanted, (level, *more), strict=True)
        ):
            return channel.payloads[0]
    return None


def _event(kind: str, body: Any) -> type[Event]:
    if kind in EVENTS:
        return EVENTS[kind]
    is_alarm = isinstance(body, Mapping) and body.get("state") in ("raised", "cleared") and "detail" in body
    return Alarm if is_alarm else Notice
