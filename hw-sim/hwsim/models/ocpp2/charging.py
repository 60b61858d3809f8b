"""Charging profiles of a station (2.0.1 Part 2, block K): which are taken, and which of them hold.

The stack itself is ``ProfileStore``; profiles are translated to the words it knows. What is new in OCPP 2 is here: ids decide
what replaces what, two profiles may not contend for one place, limits of others (ChargingStationExternalConstraints), and in
2.1 profiles that are changed from afar or end while there is no link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hwsim.models.profiles import UNLIMITED_A, Installed, ProfileStore, parse_time

Profile = dict[str, Any]

EXTERNAL = "ChargingStationExternalConstraints"
_STATION_MAX = "ChargingStationMaxProfile"
_DEFAULT, _OWN = "TxDefaultProfile", "TxProfile"
_ALWAYS = "1970-01-01T00:00:00Z"
_STORED = {_STATION_MAX: "ChargePointMaxProfile", EXTERNAL: "ChargePointMaxProfile"}


@dataclass
class Record:
    """One profile as it came, and for which EVSE; 0 is the whole station."""

    evse: int
    profile: Profile
    source: str = "CSO"
    is_asleep: bool = False
    """Offline for longer than its ``maxOfflineDuration``."""
    pulled_s: float = 0.0

    @property
    def id(self) -> int:
        return int(self.profile["id"])

    @property
    def purpose(self) -> str:
        return str(self.profile["chargingProfilePurpose"])

    @property
    def level(self) -> int:
        return int(self.profile["stackLevel"])

    @property
    def is_dynamic(self) -> bool:
        return bool(self.profile["chargingProfileKind"] == "Dynamic")


@dataclass
class ProfileBook:
    """Everything installed. Transaction profiles end with their transaction."""

    capacity: int = 32
    level_max: int = 8
    records: dict[int, Record] = field(default_factory=dict)
    store: ProfileStore = field(default_factory=ProfileStore)
    _others: ProfileStore = field(default_factory=ProfileStore)
    """What others demand."""

    # --- taking and dropping

    def refusal(self, evse: int, profile: Profile, transaction: str | None, *, is_new_transaction: bool = False) -> str:
        """Why a profile cannot be taken, as a reason code of the standard; empty when it can.

        ``transaction`` is what runs at the EVSE. A profile that comes with a start cannot name one yet.
        """
        purpose, kind = profile["chargingProfilePurpose"], profile["chargingProfileKind"]
        if purpose == EXTERNAL or (purpose == _STATION_MAX and (evse != 0 or kind == "Relative")):
            return "InvalidProfile"
        if profile["stackLevel"] > self.level_max:
            return "InvalidStackLevel"
        if purpose == _OWN and not is_new_transaction:
            if evse == 0 or "transactionId" not in profile:
                return "InvalidProfile"
            if transaction is None or profile["transactionId"] != transaction:
                return "TxNotFound"
        reason = _schedule_refusal(kind, profile["chargingSchedule"][0])
        if reason:
            return reason
        if any(self._contends(evse, profile, other) for other in self.records.values()):
            return "DuplicateProfile"
        is_full = profile["id"] not in self.records and len(self.records) >= self.capacity
        return "OutOfMemory" if is_full else ""

    def _contends(self, evse: int, profile: Profile, other: Record) -> bool:
        """Two profiles of one purpose and level whose validity overlaps, in one place (K01.FR.06, .39, .52, .53)."""
        if other.id == profile["id"] or (other.purpose, other.level) != (
            profile["chargingProfilePurpose"],
            profile["stackLevel"],
        ):
            return False
        is_default_of_all = other.purpose == _DEFAULT and 0 in {evse, other.evse}
        if other.evse != evse and not is_default_of_all:
            return False
        begin, end = _validity(profile)
        other_begin, other_end = _validity(other.profile)
        return begin < other_end and other_begin < end

    def take(self, evse: int, profile: Profile, now_s: float, source: str = "CSO") -> None:
        """Install it; the same id is replaced (K01.FR.05)."""
        self.records[profile["id"]] = Record(evse, profile, source, pulled_s=now_s)
        self._rebuild()

    def clear(self, profile_id: int | None, criteria: Profile) -> bool:
        """ClearChargingProfile: by id, or whatever matches all criteria. What others demand is not ours to clear (K10.FR.06)."""
        found = [record for record in self.find(criteria, profile_id) if record.purpose != EXTERNAL]
        self._drop(found)
        return bool(found)

    def find(self, criteria: Profile, *ids: int | None) -> list[Record]:
        wanted = {id_ for id_ in ids if id_ is not None}
        return [
            record
            for record in self.records.values()
            if (not wanted or record.id in wanted)
            and criteria.get("evseId", record.evse) == record.evse
            and criteria.get("stackLevel", record.level) == record.level
            and criteria.get("chargingProfilePurpose", record.purpose) == record.purpose
            and record.source in criteria.get("chargingLimitSource", [record.source])
        ]

    def drop(self, profile_id: int) -> None:
        if profile_id in self.records:
            self._drop([self.records[profile_id]])

    def end_transaction(self, evse: int) -> None:
        self._drop([record for record in self.records.values() if record.evse == evse and record.purpose == _OWN])

    def forget(self, *, keep_persistent: bool) -> None:
        """A reboot: persistent ones stay."""
        self._drop([record for record in self.records.values() if not keep_persistent or record.purpose == _OWN])

    def _drop(self, records: Iterable[Record]) -> None:
        for record in records:
            del self.records[record.id]
        self._rebuild()

    def _rebuild(self) -> None:
        awake = [record for record in self.records.values() if not record.is_asleep]
        self.store.installed = [_installed(record) for record in awake if record.purpose != EXTERNAL]
        self._others.installed = [_installed(record) for record in awake if record.purpose == EXTERNAL]

    # --- what 2.1 adds

    def change(self, profile_id: int, update: Profile, now_s: float) -> bool:
        """A new rate for a dynamic profile (K28)."""
        record = self.records.get(profile_id)
        if record is None or not record.is_dynamic:
            return False
        schedule = record.profile["chargingSchedule"][0]
        period = {**schedule["chargingSchedulePeriod"][0], **update}
        record.profile = {**record.profile, "chargingSchedule": [{**schedule, "chargingSchedulePeriod": [period]}]}
        record.pulled_s = now_s
        self._rebuild()
        return True

    def due_pulls(self, now_s: float) -> list[int]:
        """Dynamic profiles about which the server is to be asked again."""
        due = [
            record
            for record in self.records.values()
            if record.is_dynamic and 0 < record.profile.get("dynUpdateInterval", 0) <= now_s - record.pulled_s
        ]
        for record in due:
            record.pulled_s = now_s
        return [record.id for record in due]

    def offline(self, offline_s: float) -> None:
        """So long without a link; 0 when there is one again."""
        late = [r for r in self.records.values() if offline_s > r.profile.get("maxOfflineDuration", UNLIMITED_A)]
        gone = [record for record in late if record.profile.get("invalidAfterOfflineDuration")]
        asleep = {record.id for record in late}
        if not gone and asleep == {record.id for record in self.records.values() if record.is_asleep}:
            return
        for record in self.records.values():
            record.is_asleep = record.id in asleep
        self._drop(gone)

    # --- what holds

    def limit_a(self, evse: int, wall_s: float, began_s: float | None, phase_count: int) -> float:
        """The effective limit of an EVSE per phase."""
        limit_a = self.store.limit_a(evse, wall_s, began_s, phase_count)
        return min(limit_a, self._others.station_limit_a(wall_s, phase_count))

    def station_limit_a(self, wall_s: float, phase_count: int) -> float:
        """The most that all EVSEs together may draw per phase."""
        return min(store.station_limit_a(wall_s, phase_count) for store in (self.store, self._others))

    def schedule_a(
        self, evse: int, wall_s: float, duration_s: float, began_s: float | None, phase_count: int
    ) -> list[tuple[float, float]]:
        """The composite schedule: ``(seconds from now, limit per phase)`` wherever the limit changes."""
        moments = {wall_s}
        for profile in (*self.store.installed, *self._others.installed):
            moments |= profile.changes_s(wall_s, wall_s + duration_s, began_s)
        found: list[tuple[float, float]] = []
        for moment_s in sorted(moments):
            limit_a = self.limit_a(evse, moment_s, began_s, phase_count)
            if not found or found[-1][1] != limit_a:
                found.append((moment_s - wall_s, limit_a))
        return found


def _installed(record: Record) -> Installed:
    """The profile in the words of ``ProfileStore``. Of several schedules, which are for ISO 15118, the first is used."""
    profile: Profile = {
        key: record.profile[key] for key in ("stackLevel", "validFrom", "validTo", "recurrencyKind") if key in record.profile
    }
    schedule = record.profile["chargingSchedule"][0]
    kind = record.profile["chargingProfileKind"]
    if kind == "Dynamic":  # it has no start: it holds from the moment it came
        kind, schedule = "Absolute", {**schedule, "startSchedule": _ALWAYS}
    return Installed.read(
        record.evse,
        {
            **profile,
            "chargingProfileId": record.id,
            "chargingProfilePurpose": _STORED.get(record.purpose, record.purpose),
            "chargingProfileKind": kind,
            "chargingSchedule": schedule,
        },
    )


def _schedule_refusal(kind: str, schedule: Profile) -> str:
    periods = schedule["chargingSchedulePeriod"]
    has_start = "startSchedule" in schedule
    if kind == "Dynamic":
        return "InvalidSchedule" if has_start or "duration" in schedule or len(periods) > 1 else ""
    if has_start != (kind != "Relative"):  # K01.FR.40, .41
        return "InvalidSchedule"
    if periods[0]["startPeriod"] != 0 or any("limit" not in period for period in periods):
        return "InvalidSchedule"
    is_phase_odd = any("phaseToUse" in period and period.get("numberPhases") != 1 for period in periods)
    return "InvalidSchedule" if is_phase_odd else ""


def _validity(profile: Profile) -> tuple[float, float]:
    begin = parse_time(profile["validFrom"]) if "validFrom" in profile else -UNLIMITED_A
    end = parse_time(profile["validTo"]) if "validTo" in profile else UNLIMITED_A
    return begin, end
