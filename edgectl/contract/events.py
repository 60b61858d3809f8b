"""What has happened: alarms and their ends, who asked for what, what chargers tell. Sent again until their receipt comes."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from edgectl.contract.fields import Count, Id, Moment, Word, Words


class Event(Struct, kw_only=True):
    """What every event has."""

    schema: Literal["edgectl/event/1"] = "edgectl/event/1"
    site: Id
    epoch: Id
    seq: Count
    """Rises in each `epoch`."""
    record_id: Id
    rev: Count
    kind: Word
    """Also the last level of the topic."""
    subject: Word
    """The thing it is about: a charger, a circuit, a meter, a limit's target."""
    at: Moment


class Alarm(Event, kw_only=True):
    """A condition has begun or ended. `kind` is one of many; readers pass over those they do not know."""

    state: Literal["raised", "cleared"]
    detail: Words
    lasted_ms: Count | UnsetType = UNSET
    """Of one that has ended."""


class ActionEvent(Event, kw_only=True):
    """Somebody asked for something to be done, and this became of it. Arguments may be secrets and stay out."""

    action: Word
    actor: Words
    outcome: Word
    """`accepted`, `rejected`, `not-supported`, `error`, `timeout` or `disconnected`."""
    status: Words
    """The charger's own word."""
    problem: Words


class LimitEvent(Event, kw_only=True):
    """A limit from outside the site's file was set, lifted or ended, or an input says something else."""

    action: Literal["set", "lifted", "ended", "input"]
    by: Word
    """`backend`, `local-api`, `local-cli` or `input`."""
    actor: Words
    amount: Words
    id: Word | UnsetType = UNSET
    until: Moment | UnsetType | None = UNSET
    then: Words | UnsetType | None = UNSET
    request: Word | UnsetType = UNSET
    """The id of the command it came with."""
    detail: Words | UnsetType = UNSET
    """Of an input."""


class CertificateEvent(Event, kw_only=True):
    """A charger asked for a certificate, or one was made."""

    problem: Words
    """Why not; empty when all was well."""


class ExcursionEvent(Event, kw_only=True):
    """A conductor was measured above its limit; told when it is over."""

    phase: Literal["L1", "L2", "L3"]
    from_: Moment = field(name="from")
    to: Moment
    limit_ma: Count
    peak_ma: Count
    over_ms: Count
    excess_mas: Count
    """Milliampere-seconds above the limit."""
    protection: Word
    damage_permille: Count
    """Of what the fastest lawful device of this kind takes before it may open."""


class TelemetryGap(Event, kw_only=True):
    """Blocks of telemetry that made room before the backend had them."""

    from_seq: Count
    through_seq: Count
    """The last of them."""
    count: Count
    """Fewer than the numbers between them where the backend has some already: the newest are sent first."""
    first_at: Moment
    last_at: Moment
    """When the first and the last of them were written, which is when they end."""
    reason: Literal["telemetry-budget", "ledger-budget", "disk"]
    """What was used up: the room of telemetry, that of the whole ledger, or the card."""


class RequestAnswered(Event, kw_only=True):
    """What a charger answered to something edgectl asked of its own accord. Further members are the charger's, as text."""

    ask: Word
    outcome: Word
    status: Words


class Notice(Event, kw_only=True):
    """What a charger tells: progress of firmware and logs, security events, reports, transfers of its maker's own.

    Further members are the charger's, as text.
    """


EVENTS: dict[str, type[Event]] = {
    "action": ActionEvent,
    "limit": LimitEvent,
    "certificate-request": CertificateEvent,
    "certificate-signed": CertificateEvent,
    "circuit-excursion": ExcursionEvent,
    "request-answered": RequestAnswered,
    "telemetry-gap": TelemetryGap,
}
"""Kinds with a shape of their own. Every other kind is an alarm if it has the ``state`` of one, else a notice."""

FREE: tuple[type[Event], ...] = (RequestAnswered, Notice)
"""Those with further members."""
