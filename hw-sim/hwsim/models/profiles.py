"""Charging profiles of one charge point, stacked by the rules of OCPP 1.6 (3.13): the judge of what edgectl sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

VOLTAGE_V = 230.0
UNLIMITED_A = float("inf")


def parse_time(text: str) -> float:
    """Seconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass
class ProfileStore:
    """What is installed. Transaction profiles die with their transaction and with a reboot; the others persist."""

    stack_level_max: int = 8
    installed: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """``(connector, profile)``; connector 0 is the whole charge point."""

    def install(self, connector: int, profile: dict[str, Any], transaction: int | None) -> str:
        """``Accepted`` or ``Rejected``. Replaces the same id, and the same purpose and level on the same connector."""
        purpose, level = profile["chargingProfilePurpose"], profile["stackLevel"]
        if level > self.stack_level_max:
            return "Rejected"
        if purpose == "TxProfile" and (
            connector == 0 or transaction is None or profile.get("transactionId") not in {None, transaction}
        ):
            return "Rejected"
        if purpose == "ChargePointMaxProfile" and connector != 0:
            return "Rejected"
        self.installed = [
            (other_connector, other)
            for other_connector, other in self.installed
            if other["chargingProfileId"] != profile["chargingProfileId"]
            and (other_connector, other["chargingProfilePurpose"], other["stackLevel"]) != (connector, purpose, level)
        ]
        self.installed.append((connector, profile))
        return "Accepted"

    def clear(self, **criteria: Any) -> bool:
        """Remove what matches all given criteria (id, connector, purpose, level)."""
        kept = [(c, p) for c, p in self.installed if not _matches(c, p, criteria)]
        has_removed = len(kept) < len(self.installed)
        self.installed = kept
        return has_removed

    def end_transaction(self, connector: int) -> None:
        self.installed = [
            (c, p) for c, p in self.installed if not (c == connector and p["chargingProfilePurpose"] == "TxProfile")
        ]

    def forget(self, *, keep_persistent: bool) -> None:
        """A reboot (persistent ones stay), or a unit that loses everything."""
        self.installed = [(c, p) for c, p in self.installed if keep_persistent and p["chargingProfilePurpose"] != "TxProfile"]

    def limit_a(self, connector: int, now_s: float, transaction_began_s: float | None, phase_count: int) -> float:
        """The effective limit per phase: the lower of the station's maximum and the transaction's own or default profile."""
        default = self._best({connector, 0}, "TxDefaultProfile", now_s, transaction_began_s, phase_count)
        own = self._best({connector}, "TxProfile", now_s, transaction_began_s, phase_count)
        station = self._best({0}, "ChargePointMaxProfile", now_s, transaction_began_s, phase_count)
        running = own if own is not None else default
        return min(UNLIMITED_A if station is None else station, UNLIMITED_A if running is None else running)

    def _best(self, connectors: set[int], purpose: str, now_s: float, began_s: float | None, phase_count: int) -> float | None:
        """The limit of the highest stack level that applies now; a connector's own default goes before the station's."""
        found = []
        for connector, profile in self.installed:
            if connector in connectors and profile["chargingProfilePurpose"] == purpose:
                limit_a = _limit_now(profile, now_s, began_s, phase_count)
                if limit_a is not None:
                    found.append((profile["stackLevel"], connector, limit_a))
        return max(found)[2] if found else None


def _matches(connector: int, profile: dict[str, Any], criteria: dict[str, Any]) -> bool:
    actual = {
        "id": profile["chargingProfileId"],
        "connectorId": connector,
        "chargingProfilePurpose": profile["chargingProfilePurpose"],
        "stackLevel": profile["stackLevel"],
    }
    return all(actual[name] == value for name, value in criteria.items())


def _limit_now(profile: dict[str, Any], now_s: float, began_s: float | None, phase_count: int) -> float | None:
    if "validFrom" in profile and now_s < parse_time(profile["validFrom"]):
        return None
    if "validTo" in profile and now_s >= parse_time(profile["validTo"]):
        return None
    schedule = profile["chargingSchedule"]
    if profile["chargingProfileKind"] == "Relative":
        start_s = began_s
    else:
        start_s = parse_time(schedule["startSchedule"]) if "startSchedule" in schedule else began_s
    if start_s is None or now_s < start_s:
        return None
    elapsed_s = now_s - start_s
    if "duration" in schedule and elapsed_s >= schedule["duration"]:
        return None
    current = None
    for period in schedule["chargingSchedulePeriod"]:
        if period["startPeriod"] <= elapsed_s:
            current = period
    if current is None:
        return None
    limit = float(current["limit"])
    if schedule["chargingRateUnit"] == "W":
        return limit / (VOLTAGE_V * float(current.get("numberPhases", phase_count)))
    return float(limit)
