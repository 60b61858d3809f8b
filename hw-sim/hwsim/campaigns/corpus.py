"""Valid messages of every version to begin with: made from the standard's own schemas, and transactions that hang together."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from edgectl.domain.time import iso
from edgectl.domain.units import UtcMillis
from edgectl.ocpp.codec import Codec
from edgectl.ocpp.v16 import V16
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v201 import V201
from hwsim.campaigns.charger import Note, Transaction, speak_16, speak_201

Message: TypeAlias = tuple[str, dict[str, Any]]

_ACTIONS_16 = (
    "Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat",
    "LogStatusNotification", "MeterValues", "SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification",
    "StartTransaction", "StatusNotification", "StopTransaction", "Reset",
)  # fmt: skip
_ACTIONS_201 = (
    "Authorize", "BootNotification", "ClearedChargingLimit", "DataTransfer", "FirmwareStatusNotification",
    "Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues", "NotifyChargingLimit",
    "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule", "NotifyEvent",
    "NotifyMonitoringReport", "NotifyReport", "PublishFirmwareStatusNotification", "ReportChargingProfiles",
    "ReservationStatusUpdate", "SecurityEventNotification", "SignCertificate", "StatusNotification", "TransactionEvent", "Reset",
)  # fmt: skip
_ACTIONS_21 = (
    "BatterySwap", "ClosePeriodicEventStream", "NotifyDERAlarm", "NotifyDERStartStop", "NotifyPeriodicEventStream",
    "NotifyPriorityCharging", "NotifySettlement", "NotifyWebPaymentStarted", "OpenPeriodicEventStream",
    "PullDynamicScheduleUpdate", "ReportDERControl", "VatNumberValidation",
)  # fmt: skip
_TOKENS = ("04AABBCC", "04aabbcc", "stranger", "")
_AGES_MS = (0, 0, 0, 5_000, 600_000, 86_400_000, -3_600_000)


@dataclass(frozen=True)
class Speech:
    """How one version is spoken."""

    version: str
    codec: Codec
    messages: tuple[Message, ...]
    is_16: bool


@cache
def speeches() -> tuple[Speech, ...]:
    """All three versions."""
    messages_201 = _messages("ocpp.v201.schemas", "Request", _ACTIONS_201)
    messages_21 = _messages("ocpp.v21.schemas", "Request", _ACTIONS_201 + _ACTIONS_21)
    return (
        Speech("1.6", V16(), _messages("ocpp.v16.schemas", "", _ACTIONS_16), is_16=True),
        Speech("2.0.1", V201(), messages_201, is_16=False),
        Speech("2.1", V21(), messages_21, is_16=False),
    )


def transaction_message(rng: random.Random, speech: Speech, utc_ms: UtcMillis, issued: int) -> Message:
    """A start, value or stop of one of a few transactions that follow each other; ``issued`` is the last id of the server's."""
    number = rng.choice((issued, issued, max(1, issued - 1), issued + 1)) if speech.is_16 else rng.randint(1, 4)
    one = Transaction(number, rng.choice((1, 1, 2)), rng.choice(_TOKENS), rng.randrange(8) * 1_000, is_clock_true=True)
    if speech.is_16:
        one.issued.add(str(number))
    what = rng.choice(("start", "values", "values", "stop"))
    stamp = iso(utc_ms - rng.choice(_AGES_MS))
    note = Note(what, one, rng.randrange(10), stamp, one.start_wh + rng.randrange(3_000), is_offline=rng.random() < 0.1)
    return (speak_16 if speech.is_16 else speak_201)(note)


def _messages(package: str, suffix: str, actions: tuple[str, ...]) -> tuple[Message, ...]:
    found = []
    for action in actions:
        name = action if action == "NotifyPeriodicEventStream" else action + suffix  # one that is sent and not answered
        schema = json.loads((resources.files(package) / f"{name}.json").read_text(encoding="utf-8-sig"))
        definitions = schema.get("definitions", {})
        found += [(action, _example(schema, definitions, is_full=is_full)) for is_full in (True, False)]
    return tuple(found)


def _example(part: dict[str, Any], definitions: dict[str, Any], *, is_full: bool) -> Any:
    """What the schema allows: with every field, or with the required ones only."""
    if "$ref" in part:
        return _example(definitions[part["$ref"].rsplit("/", 1)[1]], definitions, is_full=is_full)
    if "enum" in part:
        return part["enum"][0]
    match part.get("type"):
        case "object":
            wanted = set(part.get("required", ())) | (set(part.get("properties", {})) - {"customData"} if is_full else set())
            return {key: _example(part["properties"][key], definitions, is_full=is_full) for key in sorted(wanted)}
        case "array":
            return [_example(part["items"], definitions, is_full=is_full) for _ in range(max(1, part.get("minItems", 1)))]
        case "integer":
            return max(1, part.get("minimum", 1))
        case "number":
            return 1.5
        case "boolean":
            return True
        case "string":
            return "2027-01-15T08:00:00Z" if part.get("format") == "date-time" else "x1"
    return {"any": "thing"}
