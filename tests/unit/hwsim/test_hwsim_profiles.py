"""The simulated charge point's profile stacking against a second reading of OCPP 1.6 (3.13), which paints a timeline instead."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.station_bench import charging_profile

from hwsim.models.profiles import UNLIMITED_A, ProfileStore

HOURS = 72
SLOT_S = 1_800
SLOTS = HOURS * 3_600 // SLOT_S
PURPOSES = ("ChargePointMaxProfile", "TxDefaultProfile", "TxProfile")
TRANSACTION = 7


def at_hour(hour: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


hours = st.integers(0, HOURS)


@st.composite
def installs(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    purpose = draw(st.sampled_from(PURPOSES))
    connector = (
        0 if purpose == "ChargePointMaxProfile" else draw(st.sampled_from([0, 1] if purpose == "TxDefaultProfile" else [1]))
    )
    kind = draw(
        st.sampled_from(["Absolute", "Absolute", "Recurring"] + (["Relative"] if purpose != "ChargePointMaxProfile" else []))
    )
    starts = sorted({0, *draw(st.lists(st.integers(1, 30), max_size=2))})
    more: dict[str, Any] = {
        "chargingProfileKind": kind,
        "chargingSchedulePeriod": [{"startPeriod": 3_600 * start, "limit": draw(st.integers(0, 40))} for start in starts],
        "startSchedule": at_hour(draw(hours)),
    }
    if kind == "Recurring":
        more["recurrencyKind"] = "Daily"
    if draw(st.booleans()):
        more["duration"] = 3_600 * draw(st.integers(1, 20 if kind == "Recurring" else 40))
    for name in ("validFrom", "validTo"):
        if draw(st.booleans()):
            more[name] = at_hour(draw(hours))
    if purpose == "TxProfile":
        more["transactionId"] = TRANSACTION
    number = draw(st.integers(1, 6))
    return connector, charging_profile(number, purpose, draw(st.integers(0, 2)), 0, **more)


def painted(profile: dict[str, Any], began_hour: int | None) -> list[float | None]:
    """What one profile says in each half hour of three days."""
    line: list[float | None] = [None] * SLOTS
    schedule = profile["chargingSchedule"]
    if profile["chargingProfileKind"] == "Relative":
        if began_hour is None:
            return line
        rounds = [3_600 * began_hour]
    else:
        start = int(datetime.fromisoformat(schedule["startSchedule"]).timestamp())
        rounds = [start + 86_400 * day for day in range(5)] if profile["chargingProfileKind"] == "Recurring" else [start]
    for number, start in enumerate(rounds):
        ends = start + schedule.get("duration", 10**9)
        if number + 1 < len(rounds):
            ends = min(ends, rounds[number + 1])
        for period in schedule["chargingSchedulePeriod"]:  # a later period paints over an earlier one
            for slot in range(SLOTS):
                if start + period["startPeriod"] <= slot * SLOT_S < ends:
                    line[slot] = float(period["limit"])
    for slot in range(SLOTS):
        if ("validFrom" in profile and slot * SLOT_S < datetime.fromisoformat(profile["validFrom"]).timestamp()) or (
            "validTo" in profile and slot * SLOT_S >= datetime.fromisoformat(profile["validTo"]).timestamp()
        ):
            line[slot] = None
    return line


def reference(kept: list[tuple[int, dict[str, Any]]], connector: int, began_hour: int | None) -> list[float]:
    lines: dict[str, list[float | None]] = {purpose: [None] * SLOTS for purpose in PURPOSES}
    # Painted from the weakest to the strongest; at one level a connector's own stands above the station's.
    for of_connector, profile in sorted(kept, key=lambda one: (one[1]["stackLevel"], one[0])):
        if of_connector not in {0, connector}:
            continue
        line = lines[profile["chargingProfilePurpose"]]
        for slot, value in enumerate(painted(profile, began_hour)):
            if value is not None:
                line[slot] = value
    found = []
    for station, default, own in zip(*(lines[purpose] for purpose in PURPOSES), strict=True):
        running = default if own is None else own
        found.append(min(UNLIMITED_A if value is None else value for value in (station, running)))
    return found


def keep(kept: list[tuple[int, dict[str, Any]]], connector: int, profile: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    def is_replaced(of: int, other: dict[str, Any]) -> bool:
        same_place = all(other[name] == profile[name] for name in ("chargingProfilePurpose", "stackLevel")) and of == connector
        return same_place or other["chargingProfileId"] == profile["chargingProfileId"]

    return [*((of, other) for of, other in kept if not is_replaced(of, other)), (connector, profile)]


@settings(max_examples=150)
@given(st.lists(installs(), max_size=7), st.none() | hours, st.sampled_from([1, 2]))
def test_profiles_stack_as_a_second_reading_of_the_standard_says(
    sent: list[tuple[int, dict[str, Any]]], began_hour: int | None, connector: int
) -> None:
    store = ProfileStore()
    kept: list[tuple[int, dict[str, Any]]] = []
    for of_connector, profile in sent:
        assert store.install(of_connector, profile, TRANSACTION) == "Accepted"
        kept = keep(kept, of_connector, profile)
    began_s = None if began_hour is None else 3_600.0 * began_hour
    found = [store.limit_a(connector, slot * SLOT_S, began_s, 3) for slot in range(SLOTS)]
    assert found == reference(kept, connector, began_hour)


@settings(max_examples=150)
@given(st.lists(installs(), max_size=7), st.none() | hours, hours)
def test_a_composite_schedule_tells_every_change(
    sent: list[tuple[int, dict[str, Any]]], began_hour: int | None, now_hour: int
) -> None:
    store = ProfileStore()
    for of_connector, profile in sent:
        store.install(of_connector, profile, TRANSACTION)
    began_s = None if began_hour is None else 3_600.0 * began_hour
    now_s, duration_s = 3_600.0 * now_hour, 86_400.0
    steps = store.schedule_a(1, now_s, duration_s, began_s, 3)
    assert steps[0][0] == 0
    for slot in range(48):
        offset_s = slot * SLOT_S
        told_a = [limit_a for start_s, limit_a in steps if start_s <= offset_s][-1]
        assert told_a == store.limit_a(1, now_s + offset_s, began_s, 3)
    limits = [limit_a for _, limit_a in steps]
    assert all(one != other for one, other in itertools.pairwise(limits)), "no step without a change"


def test_a_higher_level_goes_before_the_connectors_own() -> None:
    store = ProfileStore()
    store.install(0, charging_profile(1, "TxDefaultProfile", 1, 10), None)
    store.install(1, charging_profile(2, "TxDefaultProfile", 0, 20), None)
    assert store.limit_a(1, 0, None, 3) == 10
    store.install(1, charging_profile(2, "TxDefaultProfile", 1, 20), None)
    assert (store.limit_a(1, 0, None, 3), store.limit_a(2, 0, None, 3)) == (20, 10)


@given(st.lists(installs(), max_size=7))
def test_a_reboot_keeps_all_but_the_transactions_own(sent: list[tuple[int, dict[str, Any]]]) -> None:
    store = ProfileStore()
    kept: list[tuple[int, dict[str, Any]]] = []
    for of_connector, profile in sent:
        store.install(of_connector, profile, TRANSACTION)
        kept = keep(kept, of_connector, profile)
    store.forget(keep_persistent=True)
    expected = {p["chargingProfileId"] for _, p in kept if p["chargingProfilePurpose"] != "TxProfile"}
    assert {profile.id for profile in store.installed} == expected


def test_a_lease_of_edgectl_ends_by_itself_and_the_fallback_below_it_holds() -> None:
    store = ProfileStore()
    store.install(0, charging_profile(1, "TxDefaultProfile", 0, 6), None)
    lease = charging_profile(2, "TxProfile", 5, 25, startSchedule=at_hour(1), duration=180, transactionId=TRANSACTION)
    store.install(1, lease, TRANSACTION)
    assert [store.limit_a(1, 3_600 + second, 3_600, 3) for second in (0, 179.9, 180, 10**7)] == [25, 25, 6, 6]


def test_watts_become_amps_by_the_phases_they_are_meant_for() -> None:
    store = ProfileStore()
    store.install(0, charging_profile(1, "TxDefaultProfile", 0, 6_900, chargingRateUnit="W"), None)
    assert store.limit_a(1, 0, 0, 3) == 10
    single = [{"startPeriod": 0, "limit": 6_900, "numberPhases": 1}]
    store.install(0, charging_profile(1, "TxDefaultProfile", 0, 0, chargingRateUnit="W", chargingSchedulePeriod=single), None)
    assert store.limit_a(1, 0, 0, 3) == 30


def test_what_cannot_be_is_rejected() -> None:
    store = ProfileStore(stack_level_max=2, capacity=2)
    assert store.install(0, charging_profile(1, "TxDefaultProfile", 3, 6), None) == "Rejected"
    assert store.install(1, charging_profile(1, "ChargePointMaxProfile", 0, 6), None) == "Rejected"
    assert store.install(0, charging_profile(1, "TxProfile", 0, 6), TRANSACTION) == "Rejected"
    assert store.install(1, charging_profile(1, "TxProfile", 0, 6), None) == "Rejected"
    assert store.install(1, charging_profile(1, "TxProfile", 0, 6, transactionId=8), TRANSACTION) == "Rejected"
    assert store.install(0, charging_profile(1, "TxDefaultProfile", 0, 6), None) == "Accepted"
    assert store.install(0, charging_profile(2, "TxDefaultProfile", 1, 6), None) == "Accepted"
    assert store.install(0, charging_profile(3, "TxDefaultProfile", 2, 6), None) == "Rejected", "the table is full"
    assert store.install(0, charging_profile(3, "TxDefaultProfile", 1, 6), None) == "Accepted", "it takes another's place"


def test_clearing_removes_what_fits_every_criterion() -> None:
    store = ProfileStore()
    for number, (connector, purpose, level) in enumerate(
        [(0, "TxDefaultProfile", 0), (1, "TxDefaultProfile", 0), (1, "TxDefaultProfile", 1), (0, "ChargePointMaxProfile", 0)]
    ):
        store.install(connector, charging_profile(number, purpose, level, 6), None)
    assert store.clear(connectorId=1, stackLevel=0)
    assert not store.clear(connectorId=1, stackLevel=0)
    assert [profile.id for profile in store.installed] == [0, 2, 3]
    assert store.clear(id=3)
    assert store.clear()
    assert store.installed == []
