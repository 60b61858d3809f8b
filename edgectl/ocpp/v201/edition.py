"""What differs between the editions of OCPP 2, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from edgectl.domain.events import Call, Event
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.frames import DIALECT_20, Dialect, Payload
from edgectl.ocpp.v201 import inbound, notifications

Reader: TypeAlias = Callable[[Call, Payload], Event | DecodeProblem]


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of OCPP 2."""

    name: str
    dialect: Dialect
    schema_package: str
    id_token_max_chars: int
    has_offline_duration: bool
    """Charging profiles know ``maxOfflineDuration``."""
    has_dynamic_profiles: bool
    """Charging profiles may be of kind *Dynamic*."""
    readers: Mapping[str, Reader] = field(hash=False)
    """What a station may send, by action."""
    fixed_answers: Mapping[str, Payload] = field(hash=False)
    """Answers that are always the same; actions in neither table are acknowledged with an empty object."""


READERS: dict[str, Reader] = inbound.READERS | notifications.READERS

FIXED_ANSWERS: dict[str, Payload] = {
    # The authority of the site signs for stations only: contracts for Plug & Charge are not passed on.
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    # What the vehicle would like is noted. Limits come as SetChargingProfile when they come, not within the minute that
    # "Accepted" promises; and what the vehicle then plans fits, because those limits bind the station.
    "NotifyEVChargingNeeds": {"status": "Processing"},
    "NotifyEVChargingSchedule": {"status": "Accepted"},
}

EDITION_201 = Edition(
    name="2.0.1",
    dialect=DIALECT_20,
    schema_package="ocpp.v201.schemas",
    id_token_max_chars=36,
    has_offline_duration=False,
    has_dynamic_profiles=False,
    readers=READERS,
    fixed_answers=FIXED_ANSWERS,
)
