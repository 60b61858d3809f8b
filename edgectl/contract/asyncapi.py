"""The AsyncAPI 3.0 document of the contract, from the gateway's side: it sends what goes up."""

from __future__ import annotations

from typing import Any, Final

from edgectl.contract.channels import CHANNELS, ROOT, Channel, Direction
from edgectl.contract.commands import COMMANDS, CommandKind, Signed
from edgectl.contract.schemas import DIALECT, command_name, schemas

MAY_BE_PACKED: Final = frozenset({"billing", "telemetry"})
"""Channels whose content type a message says itself: JSON, or one zstd frame of it."""
VERSION: Final = "1.1.0"
"""Of the contract. The first number stands in every topic; the second rises when something is added."""

_WORDS: Final = """\
What an edgectl gateway says and hears over MQTT 5. Everything is QoS 1.

- Each gateway has its own branch, `edgectl/v1/{site}/`. A broker lets it write and read there and nowhere else.
- A PUBACK says that the broker has a message, a receipt that the backend has stored it. Records are sent again until the receipt.
- Numbers have one unit, which ends the name: `_ma` milliamps, `_w` watts, `_wh` watt-hours, `_ms` and `_s`. Money is text.
- Members may be added; readers pass over those they do not know. Within a version nothing is removed, renamed or widened.
"""
_SIGNED: Final = {
    Signed.NEVER: "",
    Signed.WHEN_RAISING: " Needs a signature to raise or lift a limit.",
    Signed.WITHOUT_TOKEN: " Needs a signature without a token.",
    Signed.ALWAYS: " Needs a signature.",
}


def document() -> dict[str, Any]:
    """The whole contract as one AsyncAPI document, ready for JSON."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for channel in CHANNELS:
        channels[channel.name] = _channel(channel)
        operations[channel.name] = _operation(channel)
        for payload in channel.payloads:
            zipped = {"contentType": "application/json"} if channel.name not in MAY_BE_PACKED else {}
            messages[payload.__name__] = _message(payload.__name__, zipped)
    for name, row in COMMANDS.items():
        key = command_name(name)
        channels[key] = _command_channel(name)
        operations[key] = _command_operation(name, row)
        messages[key] = _message(key, {"contentType": "application/json", "correlationId": {"$ref": _CORRELATION}})
    messages["Answer"]["correlationId"] = {"$ref": _CORRELATION}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edgectl",
            "version": VERSION,
            "description": _WORDS,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "broker.example.com:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5.0",
                "description": "MQTT 5 over TLS; the CN of a gateway's client certificate is its site id.",
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas("#/components/schemas/{name}"),
            "correlationIds": {
                "correlationData": {
                    "description": "The MQTT correlation data of a command comes back with its answer.",
                    "location": "$message.header#/correlationData",
                }
            },
        },
    }


def schema_document() -> dict[str, Any]:
    """All payloads as one JSON Schema document: `schemas.json#/$defs/NAME`."""
    return {"$schema": DIALECT, "title": f"edgectl MQTT contract {VERSION}", "$defs": schemas()}


_CORRELATION: Final = "#/components/correlationIds/correlationData"
_SITE: Final = {"site": {"description": "The site's id: a-z, 0-9 and hyphens."}}


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "address": f"{ROOT}/{{site}}/{channel.suffix}",
        "description": channel.words,
        "parameters": {**_SITE, **{name: {"description": words} for name, words in (channel.parameters or {}).items()}},
        "messages": {payload.__name__: {"$ref": f"#/components/messages/{payload.__name__}"} for payload in channel.payloads},
    }


def _operation(channel: Channel) -> dict[str, Any]:
    is_up = channel.direction is Direction.UP
    owed = " Sent again until its receipt comes." if channel.is_owed else ""
    return {
        "action": "send" if is_up else "receive",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.words + owed,
        "bindings": {"mqtt": {"qos": 1, "retain": channel.is_retained, "bindingVersion": "0.2.0"}},
    }


def _message(name: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, **more, "payload": {"$ref": f"#/components/schemas/{name}"}}


def _command_channel(name: str) -> dict[str, Any]:
    key = command_name(name)
    return {
        "address": f"{ROOT}/{{site}}/cmd/{name}",
        "description": (COMMANDS[name].args.__doc__ or "").strip().splitlines()[0],
        "parameters": dict(_SITE),
        "messages": {key: {"$ref": f"#/components/messages/{key}"}},
    }


def _command_operation(name: str, row: CommandKind) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{command_name(name)}"},
        "summary": f"For the role {row.role.value}.{_SIGNED[row.signed]}",
        "bindings": {"mqtt": {"qos": 1, "retain": False, "bindingVersion": "0.2.0"}},
        "reply": {"channel": {"$ref": "#/channels/answers"}},
    }
