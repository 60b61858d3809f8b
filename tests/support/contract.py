"""Whether what is published is what the contract says: every payload, every member, nothing that is not named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import fastjsonschema
import paho.mqtt.client as mqtt
import pytest

from edgectl.contract import message_of
from edgectl.contract.channels import ROOT
from edgectl.contract.commands import COMMANDS
from edgectl.contract.schemas import command_name, schemas
from edgectl.uplink.connection import Connection
from edgectl_backend.judging.unpacking import unpacked
from hwsim.world.broker import SimBroker

MOST_BYTES = 16 * 1_048_576


def faults(suffix: str, payload: bytes) -> list[str]:
    """What is wrong with a payload on ``edgectl/v1/{site}/{suffix}``; empty when nothing is."""
    try:
        body = json.loads(unpacked(payload, MOST_BYTES))
    except ValueError as error:
        return [f"{suffix}: {error}"]
    kind = message_of(suffix, body)
    if kind is None:
        return [f"{suffix}: no such topic"]
    level, _, name = suffix.partition("/")
    wanted = command_name(name) if level == "cmd" and name in COMMANDS else kind.__name__
    try:
        _validator(wanted, is_closed=level != "cmd")(body)
    except fastjsonschema.JsonSchemaValueException as error:
        return [f"{suffix}: {wanted}: {error.message}: {payload[:300]!r}"]
    return []


def own_faults(suffix: str, payload: bytes) -> list[str]:
    """The same where a test makes up the records and states: only what the uplink itself writes is judged."""
    return faults(suffix, payload) if suffix == "status" or suffix.startswith("cmd-ack/") else []


@cache
def _validator(name: str, *, is_closed: bool) -> Callable[[Any], Any]:
    # The words of our schemas mean the same in draft 7, which is the newest this fast validator knows.
    definitions = {key: closed(schema) if is_closed else schema for key, schema in _schemas().items()}
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": f"#/$defs/{name}", "$defs": definitions}
    made: Callable[[Any], Any] = fastjsonschema.compile(whole)
    return made


@cache
def _schemas() -> dict[str, Any]:
    """Made in one thread: Python 3.11 cannot parse source in two at once ("AST constructor recursion depth mismatch")."""
    return schemas()


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for members it does not name: readers pass over those, but we write none."""
    return schema if "additionalProperties" in schema or "properties" not in schema else {**schema, "additionalProperties": False}


class Watch:
    """Judges all that gateways and backends publish: to the broker in memory, from this process to a real one, and, as far as a
    client of the test hears it, from a process of its own. What a test's own client publishes may be as wrong as it likes.

    ``judge`` is ``faults``, or ``own_faults`` where a test makes up what a gateway has on its disk.
    """

    def __init__(self, judge: Callable[[str, bytes], list[str]] = faults) -> None:
        self._judge = judge
        self._made_up: set[tuple[str, bytes]] = set()
        """By clients of the test."""
        self._seen: set[tuple[str, bytes]] = set()
        self._is_under_test = False
        self.found: list[str] = []
        self.judged_count = 0

    def look(self, topic: str, payload: bytes) -> None:
        if not topic.startswith(f"{ROOT}/") or not payload or (topic, payload) in self._seen:
            return  # an empty one asks the broker what may be written there, or takes a retained one away
        self._seen.add((topic, payload))
        self.judged_count += 1
        _site, suffix = topic.removeprefix(f"{ROOT}/").split("/", 1)
        self.found.extend(self._judge(suffix, payload))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        _schemas()  # clients look at what they hear in threads of their own
        take, send, publish, hear = SimBroker.take, Connection.publish, mqtt.Client.publish, mqtt.Client._handle_on_message

        def taken(broker: SimBroker, client: Any, token: int, topic: str, payload: bytes, is_retained: bool) -> None:
            self.look(topic, payload)
            take(broker, client, token, topic, payload, is_retained)

        def sent(
            connection: Connection, topic: str, payload: bytes, is_retained: bool, properties: Mapping[str, bytes | str | None]
        ) -> int | None:
            self.look(topic, payload)
            self._is_under_test = True
            try:
                return send(connection, topic, payload, is_retained, properties)
            finally:
                self._is_under_test = False

        def published(client: mqtt.Client, topic: str, payload: Any = None, *args: Any, **options: Any) -> Any:
            if not self._is_under_test:
                self._made_up.add((topic, payload.encode() if isinstance(payload, str) else bytes(payload or b"")))
            return publish(client, topic, payload, *args, **options)

        def heard(client: mqtt.Client, message: mqtt.MQTTMessage) -> None:
            if (message.topic, message.payload) not in self._made_up:
                self.look(message.topic, message.payload)
            hear(client, message)

        patch.setattr(SimBroker, "take", taken)
        patch.setattr(Connection, "publish", sent)
        patch.setattr(mqtt.Client, "publish", published)
        patch.setattr(mqtt.Client, "_handle_on_message", heard)
