"""Places that an OCPP 1.6 charge point keeps for somebody (1.6 3.11, 5.1 and 5.13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hwsim.models.evse import Evse

_REFUSALS = {"Faulted": "Faulted", "Unavailable": "Unavailable"}


@dataclass(frozen=True)
class Reservation:
    id: int
    connector: int
    token: str
    group: str | None
    until_s: float
    """By the wall clock."""


class Reservations:
    """Those it holds. Connector 0 is not among them: its ``ReserveConnectorZeroSupported`` is false."""

    def __init__(self) -> None:
        self._held: dict[int, Reservation] = {}

    def at(self, connector: int) -> Reservation | None:
        """What keeps this connector for somebody."""
        return next((one for one in self._held.values() if one.connector == connector), None)

    def reserve(self, payload: dict[str, Any], evse: Evse | None, wall_s: float) -> str:
        """The status of ReserveNow; the same number replaces what it named before."""
        until_s = datetime.fromisoformat(payload["expiryDate"]).timestamp()
        if evse is None or until_s <= wall_s:
            return "Rejected"
        known = self._held.get(payload["reservationId"])
        is_its_own = known is not None and known.connector == evse.number
        if evse.status not in {"Available", "Reserved"} or (evse.status == "Reserved" and not is_its_own):
            return _REFUSALS.get(evse.status, "Occupied")
        id_ = payload["reservationId"]
        self._held[id_] = Reservation(id_, evse.number, payload["idTag"], payload.get("parentIdTag"), until_s)
        return "Accepted"

    def cancel(self, reservation_id: int) -> bool:
        """Whether there was one."""
        return self._held.pop(reservation_id, None) is not None

    def lose(self, connector: int) -> None:
        """The connector is faulted or unavailable: that ends it."""
        self._held = {id_: one for id_, one in self._held.items() if one.connector != connector}

    def expire(self, wall_s: float) -> bool:
        """Whether any has run out; a 1.6 charge point tells nobody but by the status."""
        kept = {id_: one for id_, one in self._held.items() if one.until_s > wall_s}
        has_expired = len(kept) < len(self._held)
        self._held = kept
        return has_expired

    def admits(self, connector: int, token: str, group: str | None = None) -> bool:
        """Whether this card may begin there; ``group`` is what the server says it belongs to."""
        one = self.at(connector)
        return one is None or one.token == token or (one.group is not None and one.group == group)

    def needs_group(self, connector: int, token: str) -> bool:
        """Only the server can say whether the card belongs to those it is kept for."""
        one = self.at(connector)
        return one is not None and one.token != token and one.group is not None

    def use(self, connector: int) -> int | None:
        """The number for StartTransaction; it ends with that."""
        one = self.at(connector)
        if one is not None:
            del self._held[one.id]
        return None if one is None else one.id
