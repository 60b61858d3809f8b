"""Everything the core may order. The runtime carries decisions out; it never adds one of its own.

In one list: limits go out at once; records are committed together; replies and publications are released only when those
records are durable. A list without records releases its replies at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from edgectl.domain.events import Call, Outcome
from edgectl.domain.ids import ChargerId, EvseId, IdToken, TransactionRef
from edgectl.domain.programme import Programme
from edgectl.domain.quirks import ProfileKind, ProfilePurpose, RateUnit
from edgectl.domain.reasons import Reason
from edgectl.domain.records import Record
from edgectl.domain.site import PowerKind, TokenStatus
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, Watts


@dataclass(frozen=True, slots=True)
class ProfileStyle:
    """In which of the standard's ways a charger is told its limits; see the fields of the same names in ``quirks.Quirks``."""

    purpose: ProfilePurpose | None = None
    kind: ProfileKind = ProfileKind.ABSOLUTE
    stack_level: int = 1
    unit: RateUnit | None = None


STANDARD_STYLE = ProfileStyle()


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Ask an EVSE to draw no more than this on any phase, for no longer than the lease. 0 means stop drawing."""

    evse: EvseId
    order_number: int
    """Rises with every order to any EVSE; the answer names it."""
    limit_ma: MilliAmps
    limit_w: Watts
    """The same limit as power, for chargers that take watts (``kind`` DC)."""
    kind: PowerKind
    phase_count: int
    lease_ms: Millis
    transaction: TransactionRef | None
    """The running transaction, if any; without one the limit is a temporary default of the EVSE."""
    reason: Reason
    style: ProfileStyle = STANDARD_STYLE
    offline_ms: Millis | None = None
    """How long it holds without a link (OCPP 2.1); None: as long as the lease."""


@dataclass(frozen=True, slots=True)
class InstallFallback:
    """Write the persistent safe default of every EVSE of this charger, under everything we send later.

    ``fallback_*`` is for each EVSE, ``max_*`` for the whole charger: all its EVSEs at their rating.
    """

    charger: ChargerId
    fallback_ma: MilliAmps
    fallback_w: Watts
    max_ma: MilliAmps
    max_w: Watts
    kind: PowerKind
    style: ProfileStyle = STANDARD_STYLE


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    status: TokenStatus
    expires_utc_ms: UtcMillis | None = None
    group: IdToken | None = None


@dataclass(frozen=True, slots=True)
class BootAnswer:
    is_accepted: bool
    """False means pending: the charger stays connected and asks again."""
    interval_s: int
    is_configuring: bool = False
    """Pending because we configure it: our calls may go meanwhile (2.0.1 B02)."""
    settle_ms: Millis = 2_000
    """Between this answer on the wire and our first call."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    verdict: TokenVerdict


@dataclass(frozen=True, slots=True)
class StartAnswer:
    transaction: TransactionRef
    verdict: TokenVerdict


@dataclass(frozen=True, slots=True)
class StopAnswer:
    verdict: TokenVerdict | None = None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Yes, received. Codecs add the current time where the message has it."""


@dataclass(frozen=True, slots=True)
class CertificateAnswer:
    """Whether a certificate will follow; it does so as a request of our own, after this answer is on the wire."""

    is_accepted: bool


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """The present limit, or that there is none to be pulled."""

    limit_ma: MilliAmps | None
    limit_w: Watts = 0
    is_power: bool = False
    """The station counts in watts."""


Answer: TypeAlias = BootAnswer | TokenAnswer | StartAnswer | StopAnswer | CertificateAnswer | ScheduleAnswer | Acknowledge


@dataclass(frozen=True, slots=True)
class Reply:
    call: Call
    answer: Answer


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to a charger beside limits, by its OCPP-neutral name (``stop-transaction``, ``trigger``, ``reset`` ...)."""

    charger: ChargerId
    ask_id: str
    request: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SignCertificate:
    """Let the site's own authority sign a station's request. Answered by ``CertificateSigned``."""

    charger: ChargerId
    request_id: str
    csr: str
    """PEM."""
    serial: str | None
    """What the charger called itself when it booted; the subject's common name must be this or the charger's id."""


@dataclass(frozen=True, slots=True)
class Solve:
    """Work out a programme, off the loop. Answered by ``Solved``."""

    number: int
    programme: Programme


@dataclass(frozen=True, slots=True)
class CloseLink:
    """End the charger's connection; it comes back by itself."""

    charger: ChargerId
    reason: str
    refuse_ms: Millis = 0
    """For so long it is turned away, as if we were gone."""


@dataclass(frozen=True, slots=True)
class ActionAnswered:
    """What became of an ``ActionRequested``; exactly one for each."""

    action_id: str
    outcome: Outcome
    status: str = ""
    """The charger's own word, where there is one."""
    problem: str = ""
    """Why not, in words for a person."""
    detail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Commit this record. All ``Keep`` of one decision list share one transaction."""

    record: Record


@dataclass(frozen=True, slots=True)
class PublishState:
    """The last known state of a thing, retained on the broker; the newest replaces any older one not yet sent."""

    kind: str
    """``charger``, ``evse``, ``meter`` or ``circuit``."""
    id: str
    body: dict[str, object] = field(hash=False)


@dataclass(frozen=True, slots=True)
class WakeUplink:
    """Something new is owed to the backend."""


@dataclass(frozen=True, slots=True)
class Remember:
    """Something small about a thing that should still be known after a restart; replaces what was remembered of it before.

    Not for anything billable: it may lose its last second."""

    kind: str
    key: str
    document: dict[str, object] = field(hash=False)


Decision: TypeAlias = (
    SetLimit
    | InstallFallback
    | Reply
    | Ask
    | SignCertificate
    | Solve
    | CloseLink
    | ActionAnswered
    | Keep
    | PublishState
    | WakeUplink
    | Remember
)
