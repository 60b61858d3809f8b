"""A place kept for somebody: while it is kept, and what stands of it in a record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgectl.domain.ids import ChargerId, IdToken
from edgectl.domain.units import UtcMillis


class ReservationEnd(StrEnum):
    """How a reservation ended."""

    USED = "used"
    """Its driver came: a session has it in its record."""
    EXPIRED = "expired"
    """Its time ran out, or the charger says that nobody came."""
    CANCELLED = "cancelled"
    """Whoever could has taken it back before its time ran out, or gave its number to somebody else."""
    REMOVED = "removed"
    """The charger no longer kept it."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """One that a charger has accepted and that has not ended."""

    charger: ChargerId
    reservation_number: int
    """As whoever asked for it named it; of its charger."""
    evse_number: int
    """0: any EVSE of the charger."""
    token: IdToken
    group: IdToken | None
    """Whose tokens may use it, too."""
    from_utc_ms: UtcMillis
    """When the charger accepted it: OCPI lets a reservation start when it is made."""
    until_utc_ms: UtcMillis
    """When it runs out."""
    tariff: str | None
    """Of the token, as it was when it was made: OCPI object as text. It prices a reservation that nobody uses."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation that has ended, in the record of the session that used it or in one of its own."""

    reservation_number: int
    from_utc_ms: UtcMillis
    until_utc_ms: UtcMillis
    """As agreed."""
    ended_utc_ms: UtcMillis
    """At the start of the session, else when it ran out or was taken back."""
    end: ReservationEnd

    @property
    def is_expired(self) -> bool:
        return self.end is ReservationEnd.EXPIRED
