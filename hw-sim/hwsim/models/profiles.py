"""Charging profiles of one charge point, stacked by the rules of OCPP 1.6 (3.13): the judge of what edgectl sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

VOLTAGE_V = 230.0
UNLIMITED_A = float("inf")
RECURS_S = {"Daily": 86_400.0, "Weekly": 604_800.0}


def parse_time(text: str) -> float:
    """Seconds since the epoch."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class Installed:
    """One profile, read once: its limit is asked for twice a second."""

    connector: int
    """0 is the whole charge point."""
    id: int
    purpose: str
    level: int
    valid_from_s: float
    valid_to_s: float
    start_s: float | None
    """None: it begins with the transaction."""
    duration_s: float
    recurs_s: float | None
    unit: str
    periods: tuple[tuple[float, float, float | None], ...]
    """``(start, limit, phase count)``, in order."""

    @classmethod
    def read(cls, connector: int, profile: dict[str, Any]) -> Installed:
        schedule = profile["chargingSchedule"]
        is_relative = profile["chargingProfileKind"] == "Relative" or "startSchedule" not in schedule
        is_recurring = profile["chargingProfileKind"] == "Recurring"
        return cls(
            connector=connector,
            id=profile["chargingProfileId"],
            purpose=profile["chargingProfilePurpose"],
            level=profile["stackLevel"],
            valid_from_s=parse_time(profile["validFrom"]) if "validFrom" in profile else -UNLIMITED_A,
            valid_to_s=parse_time(profile["validTo"]) if "validTo" in profile else UNLIMITED_A,
            start_s=None if is_relative else parse_time(schedule["startSchedule"]),
            duration_s=float(schedule.get("duration", UNLIMITED_A)),
            recurs_s=RECURS_S[profile.get("recurrencyKind", "Daily")] if is_recurring else None,
            unit=schedule["chargingRateUnit"],
            periods=tuple(
                (float(period["startPeriod"]), float(period["limit"]), period.get("numberPhases"))
                for period in schedule["chargingSchedulePeriod"]
            ),
        )

    def limit_a(self, now_s: float, began_s: float | None, phase_count: int) -> float | None:
        """Its limit per phase at this moment; None when it says nothing now, and a lower level is asked."""
        if not self.valid_from_s <= now_s < self.valid_to_s:
            return None
        start_s = began_s if self.start_s is None else self.start_s
        if start_s is None or now_s < start_s:
            return None
        elapsed_s = now_s - start_s
        if self.recurs_s is not None:
            elapsed_s %= self.recurs_s
        if elapsed_s >= self.duration_s:
            return None
        current = None
        for period in self.periods:
            if period[0] <= elapsed_s:
                current = period
        if current is None:
            return None
        if self.unit == "W":
            return current[1] / (VOLTAGE_V * (current[2] or phase_count))
        return current[1]

    def changes_s(self, from_s: float, to_s: float, began_s: float | None) -> set[float]:
        """Moments in between at which it may begin to say something else."""
        moments = {self.valid_from_s, self.valid_to_s}
        start_s = began_s if self.start_s is None else self.start_s
        if start_s is not None:
            offsets = [0.0, self.duration_s, *(period[0] for period in self.periods)]
            if self.recurs_s is not None:  # one round before the window to the last that begins in it
                start_s += max(0.0, (from_s - start_s) // self.recurs_s) * self.recurs_s
                while start_s < to_s:
                    moments.update(start_s + offset for offset in offsets)
                    start_s += self.recurs_s
            else:
                moments.update(start_s + offset for offset in offsets)
        return {moment for moment in moments if from_s < moment < to_s}


@dataclass
class ProfileStore:
    """What is installed. Transaction profiles die with their transaction and with a reboot; the others persist."""

    stack_level_max: int = 8
    capacity: int = 32
    """MaxChargingProfilesInstalled; one more is rejected."""
    installed: list[Installed] = field(default_factory=list)

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
        kept = [
            other
            for other in self.installed
            if other.id != profile["chargingProfileId"]
            and (other.connector, other.purpose, other.level) != (connector, purpose, level)
        ]
        if len(kept) >= self.capacity:
            return "Rejected"
        self.installed = [*kept, Installed.read(connector, profile)]
        return "Accepted"

    def clear(self, **criteria: Any) -> bool:
        """Remove what matches all given criteria, by their names in ClearChargingProfile."""
        kept = [profile for profile in self.installed if not _matches(profile, criteria)]
        has_removed = len(kept) < len(self.installed)
        self.installed = kept
        return has_removed

    def end_transaction(self, connector: int) -> None:
        self.installed = [p for p in self.installed if not (p.connector == connector and p.purpose == "TxProfile")]

    def forget(self, *, keep_persistent: bool) -> None:
        """A reboot (persistent ones stay), or a unit that loses everything."""
        self.installed = [p for p in self.installed if keep_persistent and p.purpose != "TxProfile"]

    def limit_a(self, connector: int, now_s: float, transaction_began_s: float | None, phase_count: int) -> float:
        """The effective limit per phase: the lower of the station's maximum and the transaction's own or default profile."""
        default = self._best({connector, 0}, "TxDefaultProfile", now_s, transaction_began_s, phase_count)
        own = self._best({connector}, "TxProfile", now_s, transaction_began_s, phase_count)
        running = own if own is not None else default
        return min(self.station_limit_a(now_s, phase_count), UNLIMITED_A if running is None else running)

    def station_limit_a(self, now_s: float, phase_count: int) -> float:
        """The most that all connectors together may draw per phase (ChargePointMaxProfile)."""
        station = self._best({0}, "ChargePointMaxProfile", now_s, None, phase_count)
        return UNLIMITED_A if station is None else station

    def schedule_a(
        self, connector: int, now_s: float, duration_s: float, transaction_began_s: float | None, phase_count: int
    ) -> list[tuple[float, float]]:
        """The composite schedule: ``(seconds from now, limit per phase)`` wherever the limit changes."""
        moments = {now_s}
        for profile in self.installed:
            moments |= profile.changes_s(now_s, now_s + duration_s, transaction_began_s)
        found: list[tuple[float, float]] = []
        for moment_s in sorted(moments):
            limit_a = self.limit_a(connector, moment_s, transaction_began_s, phase_count)
            if not found or found[-1][1] != limit_a:
                found.append((moment_s - now_s, limit_a))
        return found

    def _best(self, connectors: set[int], purpose: str, now_s: float, began_s: float | None, phase_count: int) -> float | None:
        """The limit of the highest stack level that applies now; a connector's own default goes before the station's."""
        best: tuple[int, int] | None = None
        best_a = None
        for profile in self.installed:
            if profile.purpose != purpose or profile.connector not in connectors:
                continue
            rank = (profile.level, profile.connector)
            if best is not None and rank < best:
                continue
            limit_a = profile.limit_a(now_s, began_s, phase_count)
            if limit_a is not None:
                best, best_a = rank, limit_a
        return best_a


def _matches(profile: Installed, criteria: dict[str, Any]) -> bool:
    actual = {
        "id": profile.id,
        "connectorId": profile.connector,
        "chargingProfilePurpose": profile.purpose,
        "stackLevel": profile.level,
    }
    return all(actual[name] == value for name, value in criteria.items())
