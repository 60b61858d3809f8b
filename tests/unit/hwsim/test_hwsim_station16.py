"""The charge point by which edgectl is judged: is it one? Its frames against the standard's schemas, its queue, its current."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from support.station_bench import TAG, StationBench, schema_problems

from hwsim.models.personalities import FAULTS, LINK_FAULTS, OFF_SCHEMA, QUIRKS


def day(*faults: str) -> StationBench:
    """Something of everything: two visits, limits, a pause, an hour-long gap in the link, a power cut, a repeat."""
    bench = StationBench.of(*faults).connect()
    bench.limit(32, "ChargePointMaxProfile", connector=0, number=1)
    bench.limit(16, connector=0, number=2)
    bench.plug()
    bench.run(60)
    bench.limit(20.6, number=3, level=2)
    bench.run(60)
    bench.limit(0, number=3, level=2)
    bench.run(60)
    bench.limit(4_600, number=3, level=2, chargingRateUnit="W")
    bench.run(30)
    bench.disconnect()
    bench.run(120)
    bench.connect()
    bench.refuses = frozenset({"MeterValues"})
    bench.run(30)
    bench.refuses = frozenset()
    bench.run(90)
    bench.station.unplug(1, bench.now_s)
    bench.run(30)
    bench.plug()
    bench.run(30)
    bench.station.power_cut(bench.now_s)
    bench.run(30)
    bench.station.power_restored(bench.now_s)
    bench.connect()
    bench.run(120)
    ask_everything(bench)
    bench.run(30)
    bench.station.unplug(1, bench.now_s)
    return bench.run(30)


def ask_everything(bench: StationBench) -> None:
    """Each with its answer in the frames."""
    bench.ask("GetConfiguration")
    bench.ask("GetConfiguration", key=["HeartbeatInterval", "ConnectionTimeOut", "A", "B", "C"])
    bench.ask("ChangeConfiguration", key="ConnectionTimeOut", value="90")
    bench.ask("ChangeConfiguration", key="MeterValuesSampledData", value="Voltage")
    bench.ask("ChangeAvailability", connectorId=0, type="Operative")
    tokens = [{"idTag": f"04{number:06}", "idTagInfo": {"status": "Accepted"}} for number in range(8)]
    bench.ask("SendLocalList", listVersion=5, updateType="Full", localAuthorizationList=tokens)
    bench.ask("SendLocalList", listVersion=6, updateType="Differential", localAuthorizationList=tokens[:1])
    bench.ask("TriggerMessage", requestedMessage="StatusNotification", connectorId=1)
    for limit_a in range(6, 47):
        bench.limit(limit_a, number=3, level=2)
    bench.ask("GetCompositeSchedule", connectorId=1, duration=600)
    bench.station.stop(bench.station.evses[1], "Local", bench.now_s)
    bench.run(5)
    bench.ask("RemoteStartTransaction", idTag=TAG, chargingProfile=None)
    bench.ask("TriggerMessage", requestedMessage="BootNotification")


def fingerprint(bench: StationBench) -> tuple[list[str], list[int], float]:
    """What an observer can tell one charge point from another by."""
    return bench.frames, [profile.id for profile in bench.station.profiles.installed], bench.drawn_a


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - OFF_SCHEMA))
def test_every_call_satisfies_the_schemas_of_the_standard(fault: str) -> None:
    problems = [problem for call in day(fault).calls for problem in schema_problems(call.action, call.payload)]
    assert problems == []


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - LINK_FAULTS))
def test_every_fault_can_be_told_from_health(fault: str) -> None:
    assert fingerprint(day(fault)) != fingerprint(day())


def test_every_quirk_of_the_research_can_be_switched_on_by_its_number() -> None:
    assert set(QUIRKS) == {f"Q{number}" for number in range(1, 55)}
    assert StationBench.of("Q16").station.faults == {"no-read-all", "four-keys"}
    assert {name for names in QUIRKS.values() for name in names} <= FAULTS.keys()


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: sulks"):
        StationBench.of("sulks")


def test_the_same_seed_says_the_same() -> None:
    assert day().frames == day().frames


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("CancelReservation", {"reservationId": 1}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}),
    ("ClearCache", {}),
    ("ClearChargingProfile", {}),
    ("DataTransfer", {"vendorId": "x"}),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 600}),
    ("GetConfiguration", {}),
    ("GetConfiguration", {"key": ["HeartbeatInterval", "NoSuchKey"]}),
    ("GetLocalListVersion", {}),
    ("RemoteStartTransaction", {"idTag": TAG}),
    ("RemoteStopTransaction", {"transactionId": 1}),
    ("Reset", {"type": "Soft"}),
    ("SendLocalList", {"listVersion": 1, "updateType": "Full"}),
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
    ("UnlockConnector", {"connectorId": 1}),
]


@pytest.mark.parametrize(("action", "payload"), REQUESTS)
def test_every_answer_satisfies_the_schemas_of_the_standard(action: str, payload: dict[str, Any]) -> None:
    assert schema_problems(action, payload) == []
    answer = StationBench.of().connect().ask(action, **payload)
    assert schema_problems(action, answer, is_answer=True) == []


def test_an_action_it_does_not_know_is_a_callerror() -> None:
    assert StationBench.of().connect().ask("UpdateFirmware", location="x") == "NotImplemented"


# --- the offline queue --------------------------------------------------------------------------------------------------


def test_what_happened_offline_is_sent_in_order_and_before_anything_newer() -> None:
    bench = StationBench.of().connect()
    bench.disconnect()
    for _ in range(2):
        bench.plug()
        bench.run(25)
        bench.station.unplug(1, bench.now_s)
        bench.run(5)
    bench.connect()
    bench.plug()
    bench.run(30)
    kept = [call for call in bench.calls if call.action in {"StartTransaction", "MeterValues", "StopTransaction"}]
    visit = ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]
    assert [call.action for call in kept][:9] == [*visit, *visit, "StartTransaction"]
    assert [call.payload["transactionId"] for call in kept[:8] if call.action != "StartTransaction"] == [101] * 3 + [102] * 3
    stamps = [call.payload.get("timestamp") or call.payload["meterValue"][0]["timestamp"] for call in kept]
    assert stamps == sorted(stamps)


def test_a_refused_message_holds_back_the_ones_behind_it_and_is_tried_again_later_each_time() -> None:
    bench = StationBench.of().connect()
    bench.refuses = frozenset({"StartTransaction"})
    bench.plug()
    bench.run(150)
    starts = bench.said("StartTransaction")
    pauses = [round(later.at_s - earlier.at_s) for earlier, later in pairwise(starts)]
    assert pauses == [20, 40, 60]
    assert bench.said("MeterValues") == []
    assert len({start.message_id for start in starts}) == len(starts)


def test_a_message_refused_too_often_is_given_up() -> None:
    bench = StationBench.of().connect()
    assert bench.ask("ChangeConfiguration", key="TransactionMessageAttempts", value="2") == {"status": "Accepted"}
    bench.refuses = frozenset({"StartTransaction"})
    bench.plug()
    bench.run(60)
    assert (len(bench.said("StartTransaction")), bench.station.discarded) == (2, ["StartTransaction"])


def test_a_stop_whose_start_was_never_answered_carries_minus_one() -> None:
    bench = StationBench.of("lose-start-answer").connect()
    bench.plug()
    bench.run(5)
    bench.station.unplug(1, bench.now_s)
    bench.run(5)
    assert [stop.payload["transactionId"] for stop in bench.said("StopTransaction")] == [-1]


def test_one_call_at_a_time_waits_for_its_answer() -> None:
    bench = StationBench.of()
    bench.is_answering = False
    bench.connect()
    bench.run(25)
    assert bench.actions == ["BootNotification"]


def test_a_power_cut_ends_the_transaction_and_keeps_its_stop() -> None:
    bench = StationBench.of().connect()
    bench.plug()
    bench.run(30)
    bench.station.power_cut(bench.now_s)
    bench.run(10)
    assert bench.drawn_a == 0
    bench.station.power_restored(bench.now_s)
    bench.connect()
    assert bench.actions[-3:] == ["BootNotification", "StatusNotification", "StopTransaction"]
    assert bench.said("StopTransaction")[0].payload["reason"] == "PowerLoss"


def test_without_power_nothing_is_drawn_and_nobody_is_let_charge() -> None:
    bench = StationBench.of().connect()
    bench.station.power_cut(bench.now_s)
    bench.plug()
    bench.run(60)
    assert (bench.drawn_a, bench.station.started_transactions) == (0, 0)
    bench.station.power_restored(bench.now_s)
    bench.connect()
    bench.run(10)
    assert bench.drawn_a > 0


def test_a_driver_whose_answer_was_cut_off_with_the_power_does_not_charge_in_the_dark() -> None:
    bench = StationBench.of().connect()
    bench.is_answering = False
    bench.plug()
    bench.run(2)
    bench.station.power_cut(bench.now_s)
    bench.run(30)
    assert (bench.drawn_a, bench.station.started_transactions) == (0, 0)


# --- people -------------------------------------------------------------------------------------------------------------


def test_a_refused_token_is_asked_about_once_for_each_visit() -> None:
    bench = StationBench.of().connect()
    bench.token_status = "Invalid"
    bench.plug()
    bench.run(60)
    assert (len(bench.said("Authorize")), bench.drawn_a) == (1, 0)
    bench.station.unplug(1, bench.now_s)
    bench.plug()
    bench.run(60)
    assert len(bench.said("Authorize")) == 2


def test_offline_only_known_tokens_charge() -> None:
    bench = StationBench.of().connect()
    bench.disconnect()
    bench.plug(token="stranger")
    bench.run(30)
    assert bench.drawn_a == 0
    bench.station.unplug(1, bench.now_s)
    bench.plug(token=TAG)
    bench.run(30)
    assert bench.drawn_a > 0


def test_a_local_list_decides_who_charges_offline() -> None:
    bench = StationBench.of().connect()
    entry = {"idTag": "new", "idTagInfo": {"status": "Accepted"}}
    assert bench.ask("SendLocalList", listVersion=3, updateType="Full", localAuthorizationList=[entry]) == {"status": "Accepted"}
    assert bench.ask("GetLocalListVersion") == {"listVersion": 3}
    assert bench.station.known_tokens == {"new"}
    bench.ask("SendLocalList", listVersion=4, updateType="Differential", localAuthorizationList=[{"idTag": "new"}])
    assert bench.station.known_tokens == frozenset()


# --- limits and current -------------------------------------------------------------------------------------------------


def test_the_current_follows_the_limit_and_the_registers_the_current() -> None:
    bench = StationBench.of().connect()
    car = bench.plug()
    bench.run(10)
    assert bench.drawn_a == 32
    bench.limit(10)
    bench.run(5)
    assert bench.drawn_a == 10
    evse = bench.station.evses[1]
    before_wh, car_before_wh = evse.register_wh, car.energy_wh
    bench.run(360)
    assert evse.register_wh - before_wh == pytest.approx(10 * 230 * 3 * 0.1)
    assert car.energy_wh - car_before_wh == pytest.approx(evse.register_wh - before_wh)


def test_below_six_amps_nothing_flows() -> None:
    bench = StationBench.of().connect()
    bench.limit(5.9)
    bench.plug()
    bench.run(20)
    assert (bench.drawn_a, bench.station.evses[1].status) == (0, "SuspendedEVSE")


def test_a_single_phase_car_loads_the_site_phase_its_station_is_wired_to() -> None:
    bench = StationBench.of(wiring=(1, 2, 0)).connect()
    bench.plug(phase_count=1)
    bench.run(10)
    assert bench.station.evses[1].drawn_a == (0, 32, 0)


def test_a_single_phase_station_bills_one_phase_of_a_three_phase_car() -> None:
    bench = StationBench.of(wiring=(2,)).connect()
    bench.plug()
    bench.run(10)
    evse = bench.station.evses[1]
    before_wh = evse.register_wh
    bench.run(360)
    assert evse.drawn_a == (0, 0, 32)
    assert evse.register_wh - before_wh == pytest.approx(32 * 230 * 0.1)


def test_the_stations_maximum_holds_for_all_its_connectors_together() -> None:
    bench = StationBench.of(evse_count=2).connect()
    bench.limit(20, "ChargePointMaxProfile", connector=0)
    bench.plug(1)
    bench.run(20)
    assert bench.station.evses[1].drawn_a[0] == 20
    bench.plug(2)
    bench.run(20)
    assert sum(evse.drawn_a[0] for evse in bench.station.evses.values()) == 20


def test_the_transactions_own_limit_dies_with_it() -> None:
    bench = StationBench.of().connect()
    bench.limit(6, connector=0, number=1)
    bench.plug()
    bench.run(5)
    assert bench.limit(16, "TxProfile", number=2, level=1) == {"status": "Accepted"}
    bench.run(10)
    assert bench.drawn_a == 16
    bench.station.unplug(1, bench.now_s)
    bench.plug()
    bench.run(10)
    assert bench.drawn_a == 6


def test_the_default_limit_survives_a_power_cut() -> None:
    bench = StationBench.of().connect()
    bench.limit(6, connector=0, number=1)
    bench.station.power_cut(bench.now_s)
    bench.station.power_restored(bench.now_s)
    bench.connect()
    assert [profile.id for profile in bench.station.profiles.installed] == [1]


def test_a_profile_for_a_connector_it_does_not_have_is_rejected() -> None:
    assert StationBench.of().connect().limit(6, connector=9) == {"status": "Rejected"}


def test_a_car_that_fell_asleep_takes_its_time_to_wake() -> None:
    bench = StationBench.of().connect()
    bench.plug(sleeps_after_s=60)
    bench.run(10)
    bench.limit(0)
    bench.run(120)
    bench.limit(16)
    bench.run(30)
    assert bench.drawn_a == 0
    bench.run(30)
    assert bench.drawn_a == 16


# --- what the server asks -----------------------------------------------------------------------------------------------


def test_a_composite_schedule_says_when_the_limit_will_change() -> None:
    bench = StationBench.of().connect()
    bench.limit(6, connector=0, number=1)
    start = bench.station.stamp(bench.now_s)
    bench.limit(20, number=2, level=1, startSchedule=start, duration=100)
    answer = bench.ask("GetCompositeSchedule", connectorId=1, duration=600)
    assert answer["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 20},
        {"startPeriod": 100, "limit": 6},
    ]
    in_watts = bench.ask("GetCompositeSchedule", connectorId=1, duration=600, chargingRateUnit="W")
    assert in_watts["chargingSchedule"]["chargingSchedulePeriod"][1] == {"startPeriod": 100, "limit": 6 * 230 * 3}


def test_an_inoperative_connector_charges_nobody() -> None:
    bench = StationBench.of().connect()
    assert bench.ask("ChangeAvailability", connectorId=1, type="Inoperative") == {"status": "Accepted"}
    bench.plug()
    bench.run(20)
    assert (bench.drawn_a, bench.said("StatusNotification")[-1].payload["status"]) == (0, "Unavailable")
    bench.ask("ChangeAvailability", connectorId=1, type="Operative")
    bench.run(20)
    assert bench.drawn_a > 0


def test_a_running_transaction_outlives_a_change_of_availability() -> None:
    bench = StationBench.of().connect()
    bench.plug()
    bench.run(10)
    assert bench.ask("ChangeAvailability", connectorId=1, type="Inoperative") == {"status": "Scheduled"}
    bench.run(10)
    assert bench.drawn_a > 0
    bench.station.unplug(1, bench.now_s)
    bench.run(5)
    assert bench.said("StatusNotification")[-1].payload["status"] == "Unavailable"


def test_a_reset_ends_transactions_closes_the_link_and_boots_again() -> None:
    bench = StationBench.of().connect()
    bench.plug()
    bench.run(10)
    assert bench.ask("Reset", type="Hard") == {"status": "Accepted"}
    bench.run(5)
    assert (bench.closes, bench.said("StopTransaction")[0].payload["reason"]) == (1, "HardReset")
    bench.connect()
    assert len(bench.said("BootNotification")) == 2


def test_a_trigger_makes_it_say_so() -> None:
    bench = StationBench.of().connect()
    bench.plug()
    bench.run(3)
    for requested, action in (("MeterValues", "MeterValues"), ("StatusNotification", "StatusNotification")):
        before = len(bench.said(action))
        assert bench.ask("TriggerMessage", requestedMessage=requested, connectorId=1) == {"status": "Accepted"}
        bench.run(1)
        assert len(bench.said(action)) == before + 1
    assert bench.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=5) == {"status": "Rejected"}
    assert bench.ask("TriggerMessage", requestedMessage="FirmwareStatusNotification") == {"status": "NotImplemented"}


def test_keys_that_may_not_be_changed_are_not() -> None:
    bench = StationBench.of().connect()
    change = [("NumberOfConnectors", "9"), ("HeartbeatInterval", "soon"), ("NoSuchKey", "1"), ("HeartbeatInterval", "45")]
    statuses = [bench.ask("ChangeConfiguration", key=key, value=value)["status"] for key, value in change]
    assert statuses == ["Rejected", "Rejected", "NotSupported", "Accepted"]
    shown = bench.ask("GetConfiguration", key=["HeartbeatInterval", "NoSuchKey"])
    assert shown == {
        "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "45"}],
        "unknownKey": ["NoSuchKey"],
    }


def test_a_frame_cut_in_the_middle_is_followed_by_the_whole_one() -> None:
    frames = day("broken-frames").frames
    broken = [index for index, text in enumerate(frames) if not _is_json(text)]
    assert broken
    assert all(frames[index + 1].startswith(frames[index]) for index in broken)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
