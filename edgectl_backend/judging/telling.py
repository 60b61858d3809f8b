"""Events, states, statuses and telemetry to what is kept of them. Pure.

An event or a block of telemetry that cannot be understood is poison, because its gateway waits for a word; anything else of that
kind is ``Unread``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from edgectl.contract import events as contract_events
from edgectl.contract.fields import Moment
from edgectl.contract.status import Status as StatusPayload
from edgectl.contract.telemetry import Telemetry as TelemetryPayload
from edgectl_backend.judging.bills import MAX_NAME_CHARS, Poison, poison
from edgectl_backend.judging.topics import Kind, Place
from edgectl_backend.judging.unpacking import unpacked


@dataclass(frozen=True, slots=True)
class Event:
    site: str
    epoch: str
    record_id: str
    rev: int
    kind: str
    subject: str
    at: datetime
    is_raised: bool | None
    """Of an alarm: raised, or cleared; None for what is no alarm."""
    detail: str
    body: bytes


@dataclass(frozen=True, slots=True)
class State:
    site: str
    kind: str
    thing: str
    at: datetime
    quality: str
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Status:
    site: str
    state: str
    epoch: str
    version: str
    since: datetime | None
    backlog: int | None
    """None in a will: it was written before its moment."""
    oldest_unacked_s: int | None
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Telemetry:
    site: str
    kind: str
    record_id: str
    epoch: str
    rev: int
    at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    site: str
    reason: str


Told: TypeAlias = Event | State | Status | Telemetry | Poison | Unread


class _Event(contract_events.Event, kw_only=True):
    state: str = ""
    detail: str = ""


class _State(msgspec.Struct):
    """What the states of all kinds of things have."""

    at: Moment
    quality: str
    reason: str


_events = msgspec.json.Decoder(_Event)
_states = msgspec.json.Decoder(_State)
_statuses = msgspec.json.Decoder(StatusPayload)
_blocks = msgspec.json.Decoder(TelemetryPayload)


def read(place: Place, body: bytes, received_at: datetime) -> Told:
    """Any message that is no bill."""
    site = place.site
    try:
        match place.kind:
            case Kind.EVENT:
                event = _events.decode(body)
                is_raised = {"raised": True, "cleared": False}.get(event.state)
                at = datetime.fromisoformat(event.at)
                epoch, record_id = _name(event.epoch), _name(event.record_id)
                return Event(site, epoch, record_id, event.rev, event.kind, event.subject, at, is_raised, event.detail, body)
            case Kind.STATE:
                state = _states.decode(body)
                return State(
                    site, place.thing[0], place.thing[1], datetime.fromisoformat(state.at), state.quality, state.reason, body
                )
            case Kind.STATUS:
                status = _statuses.decode(body)
                return Status(
                    site,
                    status.state,
                    status.epoch,
                    status.version,
                    None if status.since is None else datetime.fromisoformat(status.since),
                    status.backlog,
                    status.oldest_unacked_s,
                    body,
                    received_at,
                )
            case _:
                block = _blocks.decode(unpacked(body, BLOCK_MAX_BYTES))
                at = datetime.fromisoformat(block.from_)
                return Telemetry(site, block.kind, _name(block.record_id), _name(block.epoch), block.rev, at, body)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "nested too deeply"
        if place.kind in _STREAMS:
            return poison(site, body, "malformed", reason, _STREAMS[place.kind])
        return Unread(site, f"{place.kind.value}: {reason}")


BLOCK_MAX_BYTES: Final = 16 * 1_048_576
"""Of a block of telemetry, unpacked: a hundred times what gateways send."""
_STREAMS = {Kind.EVENT: "events", Kind.TELEMETRY: "telemetry"}


def _name(text: str) -> str:
    """Of what a receipt names.

    Raises:
        ValueError: longer than a receipt may have it, or not to be stored.
    """
    if len(text) > MAX_NAME_CHARS or "\0" in text:
        raise ValueError(f"{text[:80]!r}: at most {MAX_NAME_CHARS} characters, no NUL")
    return text
