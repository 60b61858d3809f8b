"""The topic tree under ``edgectl/v1/{site}/``. Pure.

The version stands in the topic, so a message that reaches us is of this version; the site stands in it too, so that a broker
can tie each gateway to its own branch by the name in its client certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgectl.contract.channels import ROOT

MAX_TOPIC_BYTES = 65_535
"""MQTT 5.0 §1.5.4: a length of two bytes."""
MAX_RESPONSE_TOPIC_BYTES = 256
"""Ours are 60; a peer that wants its answers at a longer address gets them at ``cmd-ack``."""
MAX_CLIENT_CHARS = 64

_ESCAPED = {ord(char): f"%{ord(char):02X}" for char in "%/+#\0"}


class Door(StrEnum):
    """What kinds of message come down to us."""

    RECEIPT = "receipt"
    COMMAND = "cmd"


@dataclass(frozen=True, slots=True)
class Inbound:
    """A topic of ours, understood."""

    door: Door
    name: str
    """The stream of a receipt, the name of a command."""


class Topics:
    """The topics of one site."""

    def __init__(self, site: str) -> None:
        self.base = f"{ROOT}/{site}/"
        self.status = f"{self.base}status"
        self.subscriptions = (f"{self.base}{Door.RECEIPT}/+", f"{self.base}{Door.COMMAND}/+")

    def row(self, suffix: str) -> str:
        """Where a row of the outbox goes."""
        return self.base + suffix

    def state(self, kind: str, thing: str) -> str:
        """Where the last known state of a thing is kept. Names from a site file may hold what MQTT gives a meaning."""
        return f"{self.base}state/{level(kind)}/{level(thing)}"

    def answer(self, response_topic: str | None, actor: str) -> str:
        """Where the answer to a command goes: the response topic if we may write there, else ``cmd-ack/{actor}``."""
        if response_topic is not None and self._may_answer_at(response_topic):
            return response_topic
        return f"{self.base}cmd-ack/{level(actor[:MAX_CLIENT_CHARS]) or 'anonymous'}"

    def _may_answer_at(self, topic: str) -> bool:
        # Otherwise whoever may send commands could make us write a forged bill, or a command to ourselves or to another site.
        is_in_tree = topic.startswith(f"{ROOT.partition('/')[0]}/")
        is_ack = topic.startswith(f"{self.base}cmd-ack/")
        return not topic.startswith("$") and (is_ack or not is_in_tree) and why_unusable(topic, MAX_RESPONSE_TOPIC_BYTES) is None

    def read(self, topic: str) -> Inbound | None:
        """What came on ``topic``; None if that is none of our doors."""
        if not topic.startswith(self.base):
            return None
        door, _, name = topic.removeprefix(self.base).partition("/")
        if not name or "/" in name or door not in (Door.RECEIPT, Door.COMMAND):
            return None
        return Inbound(Door(door), name)


def level(text: str) -> str:
    """``text`` as one level of a topic: ``/``, ``+``, ``#``, ``%`` and NUL percent-encoded, all else as it is."""
    return text.translate(_ESCAPED)


def why_unusable(topic: str, max_bytes: int = MAX_TOPIC_BYTES) -> str | None:
    """Why nothing can be published on ``topic``, or None if it can (MQTT 5.0 §4.7)."""
    if not topic:
        return "the topic is empty"
    if any(char in topic for char in "+#\0"):
        return "the topic contains a wildcard or a null"
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        return "the topic is not valid text"
    return f"the topic has {size} bytes, at most {max_bytes} are possible" if size > max_bytes else None
