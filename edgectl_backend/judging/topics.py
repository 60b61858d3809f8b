"""The topic tree as its reader sees it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from edgectl.contract.channels import ROOT

SHARED = ("billing/session", "event/+", "state/+/+", "tele/+")
"""Read by one process of the group each."""
OWN = ("status",)
"""Read by every process: retained messages are not given to a shared subscription (MQTT 5.0 §4.8.2), and a site's last word must
be known to a backend that starts later."""


class Kind(StrEnum):
    BILL = "billing"
    EVENT = "event"
    STATE = "state"
    TELEMETRY = "tele"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Place:
    """What a topic says of its message."""

    site: str
    kind: Kind
    thing: tuple[str, ...] = ()
    """The levels after the kind: ``("evse", "CP-1-1")`` of a state."""


_LEVELS = {Kind.BILL: 1, Kind.EVENT: 1, Kind.STATE: 2, Kind.TELEMETRY: 1, Kind.STATUS: 0}


def filters(group: str) -> tuple[str, ...]:
    """What to subscribe to, as a member of ``group``."""
    return (*(f"$share/{group}/{ROOT}/+/{suffix}" for suffix in SHARED), *(f"{ROOT}/+/{suffix}" for suffix in OWN))


def read_topic(topic: str) -> Place | None:
    """None for what is not a gateway's."""
    if not topic.startswith(f"{ROOT}/"):
        return None
    site, *levels = topic.removeprefix(f"{ROOT}/").split("/")
    if not site or not levels or levels[0] not in _KINDS:
        return None
    kind = Kind(levels[0])
    thing = tuple(unquote(level) for level in levels[1:])
    if len(thing) != _LEVELS[kind] or (kind is Kind.BILL and thing != ("session",)):
        return None
    return Place(site, kind, thing)


def receipt_topic(site: str, stream: str) -> str:
    return f"{ROOT}/{site}/receipt/{stream}"


_KINDS = frozenset(Kind)
