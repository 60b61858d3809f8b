"""Charging profiles of a station of OCPP 2: which it takes, and which of them hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.station20_bench import Station20Bench, profile_20
from support.station_bench import TAG

CARD = {"idToken": TAG, "type": "ISO14443"}
of = Station20Bench.of


def charging(*faults: str, **options: Any) -> Station20Bench:
    bench = of(*faults, **options).connect()
    bench.plug()
    return bench.run(20)


def own(bench: Station20Bench, limit: float, number: int = 30, **more: Any) -> str:
    return str(bench.limit(limit, "TxProfile", number=number, transactionId=bench.transaction, **more))


def test_limits_stack_and_end_as_the_standard_says() -> None:
    bench = charging()
    assert bench.limit(16, evse=0, number=2) == "Accepted"
    assert bench.run(10).drawn_a == 16
    assert bench.limit(12, evse=1, number=3, level=1) == "Accepted"
    assert bench.run(10).drawn_a == 12
    assert own(bench, 25) == "Accepted"
    assert bench.run(10).drawn_a == 25, "its own goes before any default"
    assert bench.limit(20, "ChargingStationMaxProfile", evse=0, number=1) == "Accepted"
    assert bench.run(10).drawn_a == 20
    bench.station.constrain(8, bench.now_s)
    assert bench.run(10).drawn_a == 8, "whoever else has a word, has it"
    bench.station.constrain(None, bench.now_s)
    assert bench.ask("ClearChargingProfile", chargingProfileId=30)["status"] == "Accepted"
    assert bench.run(10).drawn_a == 12
    criteria = {"chargingProfilePurpose": "TxDefaultProfile", "evseId": 1}
    assert bench.ask("ClearChargingProfile", chargingProfileCriteria=criteria)["status"] == "Accepted"
    assert bench.ask("ClearChargingProfile", chargingProfileCriteria=criteria)["status"] == "Unknown"
    assert bench.run(10).drawn_a == 16


def test_a_lease_ends_by_itself() -> None:
    bench = charging()
    bench.limit(10, number=2, evse=0)
    begin, end = "2027-01-15T07:59:00Z", "2027-01-15T08:01:00Z"
    assert own(bench, 20, level=1, startSchedule=begin, duration=120, validTo=end) == "Accepted"
    assert bench.run(20).drawn_a == 20
    assert bench.run(30).drawn_a == 10


def test_its_own_profile_ends_with_the_transaction_and_the_others_do_not() -> None:
    bench = charging()
    own(bench, 9)
    bench.limit(14, number=2)
    bench.station.unplug(1, bench.now_s)
    assert sorted(bench.station.profiles.records) == [2]
    bench.station.power_cut(bench.now_s)
    assert sorted(bench.station.profiles.records) == [2]


REFUSED: list[tuple[str, Callable[[Station20Bench], str]]] = [
    ("no such EVSE", lambda bench: bench.limit(10, evse=9)),
    ("somebody else's word", lambda bench: bench.limit(10, "ChargingStationExternalConstraints", evse=0)),
    ("the station's maximum is not for one EVSE", lambda bench: bench.limit(10, "ChargingStationMaxProfile")),
    (
        "the station's maximum is not relative",
        lambda bench: bench.limit(10, "ChargingStationMaxProfile", evse=0, chargingProfileKind="Relative"),
    ),
    ("no transaction named", lambda bench: bench.limit(10, "TxProfile")),
    ("another transaction", lambda bench: bench.limit(10, "TxProfile", transactionId="x")),
    ("too high a level", lambda bench: bench.limit(10, level=9)),
    (
        "an absolute one without a start",
        lambda bench: bench.ask("SetChargingProfile", evseId=1, chargingProfile=startless())["status"],
    ),
    (
        "a relative one with a start",
        lambda bench: bench.limit(10, chargingProfileKind="Relative", startSchedule="2027-01-15T08:00:00Z"),
    ),
    ("a first period that is not first", lambda bench: bench.limit(10, chargingSchedulePeriod=[{"startPeriod": 5, "limit": 6}])),
    (
        "a phase to use of three",
        lambda bench: bench.limit(10, chargingSchedulePeriod=[{"startPeriod": 0, "limit": 6, "phaseToUse": 1}]),
    ),
    ("the place of another default", lambda bench: bench.limit(10, number=4, level=0)),
    ("the place of a default of all", lambda bench: bench.limit(10, number=4, level=3)),
]


def startless() -> dict[str, Any]:
    profile = profile_20(4, "TxDefaultProfile", 10)
    del profile["chargingSchedule"][0]["startSchedule"]
    return profile


@pytest.mark.parametrize(("why", "attempt"), REFUSED, ids=[why for why, _ in REFUSED])
def test_a_profile_is_refused(why: str, attempt: Callable[[Station20Bench], str]) -> None:
    bench = charging()
    assert bench.limit(16, number=2, level=0) == "Accepted"
    assert bench.limit(18, evse=0, number=3, level=3) == "Accepted"
    assert attempt(bench) == "Rejected"
    assert sorted(bench.station.profiles.records) == [2, 3]
    assert bench.problems == []


def test_profiles_are_reported_by_evse_as_they_came() -> None:
    bench = charging()
    bench.limit(32, "ChargingStationMaxProfile", evse=0, number=1)
    bench.limit(16, evse=0, number=2, validTo="2028-01-01T00:00:00Z")
    bench.limit(12, evse=1, number=3, level=1)
    assert bench.ask("GetChargingProfiles", requestId=9, chargingProfile={})["status"] == "Accepted"
    bench.run(2)
    reports = [said.payload for said in bench.said("ReportChargingProfiles")]
    assert [(report["evseId"], [p["id"] for p in report["chargingProfile"]], report["tbc"]) for report in reports] == [
        (0, [1, 2], True), (1, [3], False)
    ]  # fmt: skip
    assert reports[0]["chargingProfile"][1]["validTo"] == "2028-01-01T00:00:00Z"
    assert bench.ask("GetChargingProfiles", requestId=9, chargingProfile={"chargingProfileId": [77]})["status"] == "NoProfiles"


def test_the_composite_schedule_says_what_it_will_do() -> None:
    bench = charging()
    bench.limit(10, evse=0, number=2)
    own(bench, 20, startSchedule="2027-01-15T08:00:00Z", duration=81)
    answer = bench.ask("GetCompositeSchedule", evseId=1, duration=600)
    assert answer["schedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 20.0}, {"startPeriod": 60, "limit": 10.0}
    ]  # fmt: skip
    in_watts = bench.ask("GetCompositeSchedule", evseId=1, duration=600, chargingRateUnit="W")["schedule"]
    assert in_watts["chargingSchedulePeriod"][0]["limit"] == 13_800
    assert bench.ask("GetCompositeSchedule", evseId=4, duration=600)["status"] == "Rejected"


def test_a_start_from_afar_may_bring_its_limit() -> None:
    bench = of().connect()
    bench.put("AuthCtrlr.AuthorizeRemoteStart", "false")
    bench.token_status = "Blocked"
    bench.plug()
    bench.run(5)
    bench.token_status = "Accepted"
    wrong = profile_20(8, "TxDefaultProfile", 8)
    assert bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=1, chargingProfile=wrong)["status"] == "Rejected"
    profile = profile_20(8, "TxProfile", 8)
    assert bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=1, chargingProfile=profile)["status"] == "Accepted"
    assert bench.run(10).drawn_a == 8


def test_a_dynamic_limit_is_changed_and_asked_for_again() -> None:
    bench = charging(version="2.1")
    assert bench.limit(20, number=5, chargingProfileKind="Dynamic", dynUpdateInterval=60) == "Accepted"
    assert bench.run(10).drawn_a == 20
    assert bench.ask("UpdateDynamicSchedule", chargingProfileId=5, scheduleUpdate={"limit": 11})["status"] == "Accepted"
    assert bench.run(10).drawn_a == 11
    assert bench.ask("UpdateDynamicSchedule", chargingProfileId=6, scheduleUpdate={"limit": 11})["status"] == "Rejected"
    assert bench.run(60).drawn_a == 9, "what the server answered to PullDynamicScheduleUpdate"
    assert bench.problems == []


@pytest.mark.parametrize(("is_for_good", "afterwards_a"), [(False, 20), (True, 10)])
def test_a_profile_may_end_while_there_is_no_link(is_for_good: bool, afterwards_a: float) -> None:
    bench = charging(version="2.1")
    bench.limit(10, evse=0, number=2)
    more = {"invalidAfterOfflineDuration": True} if is_for_good else {}
    assert own(bench, 20, level=1, maxOfflineDuration=60, **more) == "Accepted"
    bench.disconnect()
    assert bench.run(50).drawn_a == 20
    assert bench.run(20).drawn_a == 10
    bench.connect()
    assert bench.run(10).drawn_a == afterwards_a


def test_two_evses_share_the_stations_maximum() -> None:
    bench = charging(evse_count=2)
    bench.limit(20, "ChargingStationMaxProfile", evse=0, number=1)
    assert bench.run(10).drawn_a == 20
    bench.plug(2)
    assert bench.run(20).drawn_a == 10


def test_what_the_faults_do_to_limits() -> None:
    assert charging("reject-profiles").limit(10) == "Rejected"
    ignoring = charging("ignore-profiles")
    assert (ignoring.limit(10), ignoring.run(10).drawn_a) == ("Accepted", 32)
    mute = charging("mute-profiles")
    assert mute.ask("SetChargingProfile", evseId=1, chargingProfile=profile_20(1, "TxDefaultProfile", 10)) is None
    assert charging("no-base-report").ask("GetBaseReport", requestId=1, reportBase="FullInventory") == {"status": "NotSupported"}
