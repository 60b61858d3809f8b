"""What flows at the EVSEs of a station, and by whose word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwsim.models.evse import Evse
from hwsim.models.ocpp2.charging import EXTERNAL
from hwsim.models.ocpp2.transactions import running_at

if TYPE_CHECKING:
    from hwsim.models.ocpp2.station import Station20

EXTERNAL_ID = 900_001
"""The profile of whoever else has a word on the connection (K12)."""


class Current:
    """``advance`` lets current flow."""

    def __init__(self, station: Station20) -> None:
        self._station = station

    def advance(self, passed_s: float, now_s: float) -> None:
        for evse in self._station.evses.values():
            self._charge(evse, passed_s, now_s)

    def _charge(self, evse: Evse, passed_s: float, now_s: float) -> None:
        running = running_at(evse)
        if running is None:
            return
        self._station.service.measure(evse, running, now_s)
        if not running.is_authorised:
            return
        evse.flow(self.limit_a(evse.number, now_s), passed_s, now_s)
        running.charged_s += passed_s if running.state == "Charging" else 0.0
        state = evse.charging_status()
        if state is not None and state != running.state:
            running.state = state
            self._station.events.updated(evse, running, "ChargingStateChanged", now_s)

    def limit_a(self, number: int, now_s: float) -> float:
        """The effective limit of an EVSE per phase. The station's maximum is shared by those that charge."""
        station = self._station
        evse = station.evses.get(number)
        transaction = evse.transaction if evse is not None else None
        wall_s, phase_count = station.wall_s(now_s), len(station.wiring)
        began_s = transaction.began_wall_s if transaction is not None else None
        limit_a = min(station.max_a, station.profiles.limit_a(number, wall_s, began_s, phase_count))
        charging_count = sum(1 for other in station.evses.values() if other.transaction is not None)
        limit_a = min(limit_a, station.profiles.station_limit_a(wall_s, phase_count) / max(1, charging_count))
        return limit_a if evse is None else evse.rounded_a(limit_a)

    def pull(self, now_s: float) -> None:
        """Ask again about dynamic limits that have not been renewed for a while (K28)."""
        for profile_id in self._station.profiles.due_pulls(now_s):
            self._pull(profile_id)

    def _pull(self, profile_id: int) -> None:
        def pulled(answer: dict[str, Any] | None, now_s: float) -> None:
            if answer is not None and answer["status"] == "Accepted":
                self._station.profiles.change(profile_id, answer.get("scheduleUpdate", {}), now_s)

        self._station.wire.ask("PullDynamicScheduleUpdate", {"chargingProfileId": profile_id}, pulled)

    def constrain(self, limit_a: float | None, now_s: float) -> None:
        """What somebody else demands: told, and in every transaction as a reason (K12, K13)."""
        station = self._station
        if limit_a is None:
            station.profiles.drop(EXTERNAL_ID)
            station.wire.ask("ClearedChargingLimit", {"chargingLimitSource": "SO"})
        else:
            station.profiles.take(0, _constraint(limit_a), now_s, "SO")
            station.wire.ask("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "SO"}})
        for evse in station.evses.values():
            running = running_at(evse)
            if running is not None:
                station.events.updated(evse, running, "ChargingRateChanged", now_s)


def _constraint(limit_a: float) -> dict[str, Any]:
    schedule = {
        "id": EXTERNAL_ID,
        "startSchedule": "1970-01-01T00:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
    }
    return {
        "id": EXTERNAL_ID,
        "stackLevel": 0,
        "chargingProfilePurpose": EXTERNAL,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
    }
