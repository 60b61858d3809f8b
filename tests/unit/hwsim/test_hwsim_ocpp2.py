"""The OCPP 2 station by which edgectl is judged: is it one? Its frames, its queue, its variables, its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.station20_bench import Station20Bench, profile_20
from support.station_bench import TAG, schema_problems

from hwsim.models.ocpp2 import FAULTS_20
from hwsim.models.ocpp2.faults import OFF_SCHEMA

VERSIONS = ("2.0.1", "2.1")
PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----"
CARD = {"idToken": TAG, "type": "ISO14443"}
of = Station20Bench.of


def day(*faults: str, version: str = "2.0.1") -> Station20Bench:
    """Something of everything: two visits, limits, a pause, an hour without a link, a power cut, every request."""
    bench = of(*faults, version=version).connect()
    bench.limit(32, "ChargingStationMaxProfile", evse=0, number=1)
    bench.limit(16, evse=0, number=2)
    bench.plug()
    bench.run(60)
    bench.limit(20.6, number=3, level=2)
    bench.run(40)
    bench.limit(0, number=3, level=2)
    bench.run(30)
    bench.limit(4_600, number=3, level=2, chargingRateUnit="W")
    bench.run(30)
    bench.disconnect()
    bench.run(120)
    bench.connect()
    bench.run(30)
    bench.station.constrain(10, bench.now_s)
    bench.run(20)
    bench.station.constrain(None, bench.now_s)
    bench.station.unplug(1, bench.now_s)
    bench.run(30)
    bench.plug()
    bench.run(30)
    bench.station.power_cut(bench.now_s)
    bench.run(30)
    bench.station.power_restored(bench.now_s)
    bench.connect()
    bench.run(30)
    for action, payload in REQUESTS:
        if action != "UpdateDynamicSchedule" or version == "2.1":
            bench.ask(action, **payload)
    bench.run(60)
    bench.station.unplug(1, bench.now_s)
    bench.run(30)
    bench.connect()
    return bench.run(60)


def named(component: str, variable: str, **more: Any) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}, **more}


NETWORK = {
    "messageTimeout": 30, "ocppCsmsUrl": "ws://x", "ocppInterface": "Wired0", "ocppTransport": "JSON", "ocppVersion": "OCPP20",
    "securityProfile": 1,
}  # fmt: skip
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("CancelReservation", {"reservationId": 1}),
    ("CertificateSigned", {"certificateChain": PEM}),
    ("CertificateSigned", {"certificateChain": "nonsense"}),
    ("ChangeAvailability", {"operationalStatus": "Operative"}),
    ("ClearCache", {}),
    ("ClearChargingProfile", {"chargingProfileId": 77}),
    ("CustomerInformation", {"requestId": 4, "report": True, "clear": False, "idToken": CARD}),
    ("DataTransfer", {"vendorId": "x"}),
    ("DeleteCertificate", {"certificateHashData": HASH}),
    ("GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"}),
    ("GetBaseReport", {"requestId": 6, "reportBase": "SummaryInventory"}),
    ("GetChargingProfiles", {"requestId": 7, "chargingProfile": {}}),
    ("GetCompositeSchedule", {"evseId": 1, "duration": 600}),
    ("GetCompositeSchedule", {"evseId": 0, "duration": 600, "chargingRateUnit": "W"}),
    ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": PEM}),
    ("GetInstalledCertificateIds", {}),
    ("GetLocalListVersion", {}),
    ("GetLog", {"requestId": 8, "logType": "DiagnosticsLog", "log": {"remoteLocation": "http://x"}}),
    ("GetTransactionStatus", {}),
    ("GetTransactionStatus", {"transactionId": "x"}),
    ("GetVariables", {"getVariableData": [named("OCPPCommCtrlr", "HeartbeatInterval"), named("No", "Such")]}),
    ("SetVariables", {"setVariableData": [named("ClockCtrlr", "DateTime", attributeValue="x")]}),
    ("SetVariables", {"setVariableData": [named("ClockCtrlr", "TimeSource", attributeValue="NTP")]}),
    ("RequestStartTransaction", {"idToken": CARD, "remoteStartId": 9}),
    ("RequestStopTransaction", {"transactionId": "x"}),
    ("ReserveNow", {"id": 1, "expiryDateTime": "2027-02-01T00:00:00Z", "idToken": CARD}),
    ("SendLocalList", {"versionNumber": 1, "updateType": "Full"}),
    ("SetNetworkProfile", {"configurationSlot": 1, "connectionData": NETWORK}),
    ("SetVariableMonitoring", {"setMonitoringData": [named("EVSE", "Power", type="Delta", value=5, severity=5)]}),
    ("TriggerMessage", {"requestedMessage": "MeterValues"}),
    ("TriggerMessage", {"requestedMessage": "TransactionEvent"}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}),
    ("TriggerMessage", {"requestedMessage": "LogStatusNotification"}),
    ("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}),
    ("UnlockConnector", {"evseId": 1, "connectorId": 1}),
    ("UpdateDynamicSchedule", {"chargingProfileId": 3, "scheduleUpdate": {"limit": 8}}),
    (
        "UpdateFirmware",
        {"requestId": 10, "firmware": {"location": "http://x", "retrieveDateTime": "2027-01-15T08:00:00Z"}},
    ),
    ("Reset", {"type": "OnIdle"}),
    ("SetDisplayMessage", {"message": {"id": 1, "priority": "InFront", "message": {"format": "UTF8", "content": "x"}}}),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fault", ["by-the-book", *sorted(FAULTS_20.keys() - OFF_SCHEMA)])
def test_every_frame_satisfies_the_schemas_of_the_standard(fault: str, version: str) -> None:
    bench = day(*([] if fault == "by-the-book" else [fault]), version=version)
    assert len(bench.calls) > 10
    assert bench.problems == []


@pytest.mark.parametrize("fault", sorted(FAULTS_20.keys() - {"ignores-pending"}))
def test_every_fault_can_be_told_from_health(fault: str) -> None:
    assert (day(fault).frames, day(fault).drawn_a) != (day().frames, day().drawn_a)


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: sulks"):
        of("sulks")


def test_the_same_seed_says_the_same() -> None:
    assert day().frames == day().frames


def test_what_it_does_not_know_is_not_implemented() -> None:
    bench = of().connect()
    assert bench.ask("GetDisplayMessages", requestId=1) == "NotImplemented"
    bench.station.received('[2, "x", "UpdateDynamicSchedule", {"chargingProfileId": 1, "scheduleUpdate": {}}]', 5)
    assert '[4,"x","NotImplemented","",{}]' in bench.station.take_frames()


# --- boot -------------------------------------------------------------------------------------------------------------


def test_until_it_is_accepted_it_only_answers() -> None:
    bench = of()
    bench.boot_status, bench.boot_interval_s = "Pending", 20
    bench.connect()
    bench.plug()
    bench.run(15)
    assert bench.actions == ["BootNotification"]
    assert bench.ask("GetBaseReport", requestId=1, reportBase="SummaryInventory") == {"status": "Accepted"}
    assert bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=1)["status"] == "Rejected"
    bench.run(2)
    assert bench.actions == ["BootNotification", "NotifyReport"]
    bench.boot_status = "Accepted"
    bench.run(5)
    first, second = bench.said("BootNotification")
    assert second.at_s - first.at_s == pytest.approx(20, abs=1)
    assert bench.told_statuses == ["Occupied"]
    assert bench.events, "its driver had not been forgotten"


def test_it_may_be_asked_to_boot_again_while_it_is_pending_and_not_afterwards() -> None:
    bench = of()
    bench.boot_status, bench.boot_interval_s = "Pending", 600
    bench.connect()
    bench.boot_status = "Accepted"
    assert bench.ask("TriggerMessage", requestedMessage="BootNotification")["status"] == "Accepted"
    bench.run(1)
    assert [said.payload["reason"] for said in bench.said("BootNotification")] == ["PowerUp", "Triggered"]
    assert bench.ask("TriggerMessage", requestedMessage="BootNotification")["status"] == "Rejected"


def test_while_rejected_it_answers_nothing() -> None:
    bench = of()
    bench.boot_status, bench.boot_interval_s = "Rejected", 60
    bench.connect()
    assert bench.ask("GetVariables", getVariableData=[named("ClockCtrlr", "DateTime")]) == "SecurityError"
    bench.run(120)
    assert len(bench.said("BootNotification")) == 3
    assert set(bench.actions) == {"BootNotification"}


def test_a_pending_that_it_ignores() -> None:
    bench = of("ignores-pending")
    bench.boot_status = "Pending"
    bench.connect()
    assert "StatusNotification" in bench.actions


def test_the_heartbeat_follows_the_boot_and_the_variable() -> None:
    bench = of()
    bench.boot_interval_s = 100
    bench.connect().run(210)
    assert len(bench.said("Heartbeat")) == 2
    assert bench.put("OCPPCommCtrlr.HeartbeatInterval", "10") == "Accepted"
    bench.run(140)
    assert len(bench.said("Heartbeat")) >= 4


def test_after_a_reconnection_it_tells_its_states_only_when_it_was_away_for_long() -> None:
    bench = of().connect()
    bench.disconnect()
    bench.run(30)
    bench.connect()
    assert bench.told_statuses == ["Available"]
    bench.disconnect()
    bench.run(90)
    bench.connect()
    assert bench.told_statuses == ["Available", "Available"]
    assert len(bench.said("BootNotification")) == 1


def test_a_reset_waits_for_the_transaction_or_ends_it() -> None:
    bench = of().connect()
    bench.plug()
    bench.run(20)
    assert bench.ask("Reset", type="OnIdle")["status"] == "Scheduled"
    bench.run(30)
    assert bench.closes == 0
    bench.station.unplug(1, bench.now_s)
    bench.run(3)
    assert bench.closes == 1
    bench.connect()
    bench.plug()
    bench.run(20)
    assert bench.ask("Reset", type="Immediate")["status"] == "Accepted"
    bench.run(3)
    assert bench.events[-1]["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    bench.connect()
    assert [said.payload["reason"] for said in bench.said("BootNotification")] == ["PowerUp", "ScheduledReset", "RemoteReset"]


# --- transactions -----------------------------------------------------------------------------------------------------


def kinds(bench: Station20Bench) -> list[tuple[str, str, str]]:
    return [
        (event["eventType"], event["triggerReason"], event["transactionInfo"]["chargingState"])
        for event in bench.events
        if event["triggerReason"] != "MeterValuePeriodic"
    ]


def test_a_visit_from_the_card_to_the_empty_place() -> None:
    bench = of().connect()
    bench.plug()
    bench.run(60)
    bench.station.unplug(1, bench.now_s)
    bench.run(5)
    assert kinds(bench) == [
        ("Started", "Authorized", "EVConnected"),
        ("Updated", "ChargingStateChanged", "Charging"),
        ("Ended", "EVDeparted", "Idle"),
    ]
    assert [event["seqNo"] for event in bench.events] == list(range(len(bench.events)))
    started, ended = bench.events[0], bench.events[-1]
    assert started["evse"] == {"id": 1, "connectorId": 1}
    assert started["idToken"] == CARD
    assert ended["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    assert ended["transactionInfo"]["timeSpentCharging"] == pytest.approx(57, abs=3)
    assert not any("offline" in event for event in bench.events)
    assert bench.told_statuses == ["Available", "Occupied", "Available"]
    assert bench.actions.index("Authorize") < bench.actions.index("TransactionEvent")


def test_the_cable_may_start_the_transaction_and_the_card_comes_later() -> None:
    bench = of()
    bench.connect()
    assert bench.put("TxCtrlr.TxStartPoint", "EVConnected") == "Accepted"
    bench.plug()
    bench.run(10)
    assert kinds(bench)[:2] == [("Started", "CablePluggedIn", "EVConnected"), ("Updated", "Authorized", "EVConnected")]
    assert "idToken" not in bench.events[0]
    assert bench.events[1]["idToken"] == CARD


def test_values_come_at_the_interval_and_have_the_measurands_asked_for() -> None:
    bench = of().connect()
    assert bench.put("SampledDataCtrlr.TxUpdatedInterval", "20") == "Accepted"
    assert bench.put("SampledDataCtrlr.TxUpdatedMeasurands", "SoC,Current.Import") == "Accepted"
    assert bench.put("SampledDataCtrlr.TxUpdatedMeasurands", "SoC,Mood") == "Rejected"
    bench.plug(phase_count=1)
    bench.run(70)
    periodic = [event for event in bench.events if event["triggerReason"] == "MeterValuePeriodic"]
    assert len(periodic) == 3
    values = [(s["measurand"], s.get("phase"), s["value"]) for s in periodic[-1]["meterValue"][0]["sampledValue"]]
    assert values == [
        ("SoC", None, 16), ("Current.Import", "L1", 32.0), ("Current.Import", "L2", 0.0), ("Current.Import", "L3", 0.0)
    ]  # fmt: skip


def test_clock_aligned_values_come_with_the_clock() -> None:
    bench = of().connect()
    bench.put("AlignedDataCtrlr.Interval", "60")
    bench.run(70)
    assert len(bench.said("MeterValues")) == 1
    bench.plug()
    bench.run(60)
    assert [e["triggerReason"] for e in bench.events].count("MeterValueClock") == 1
    assert len(bench.said("MeterValues")) == 1, "in a transaction its events tell them"


def test_what_happens_offline_is_kept_in_order_and_survives_a_power_cut() -> None:
    bench = of().connect()
    bench.disconnect()
    bench.plug()
    bench.run(40)
    bench.station.power_cut(bench.now_s)
    bench.run(20)
    bench.station.power_restored(bench.now_s)
    bench.connect()
    bench.run(10)
    assert [event["seqNo"] for event in bench.events] == list(range(len(bench.events)))
    assert kinds(bench)[0][0] == "Started"
    assert kinds(bench)[-1] == ("Ended", "AbnormalCondition", "EVConnected")
    assert all(event["offline"] for event in bench.events)
    assert bench.said("Authorize") == []
    assert bench.said("BootNotification")[-1].at_s < bench.said("TransactionEvent")[0].at_s + 1
    assert bench.station.queued_count == 0
    assert bench.station.closed_transactions == 1


def test_an_event_is_tried_again_with_its_own_id_and_then_given_up() -> None:
    bench = of().connect()
    bench.put("OCPPCommCtrlr.MessageAttempts", "2")
    bench.refuses = frozenset({"TransactionEvent"})
    bench.plug()
    bench.run(400)
    starts = [said for said in bench.said("TransactionEvent") if said.payload["eventType"] == "Started"]
    assert [round(said.at_s - starts[0].at_s) for said in starts] == [0, 60, 180]
    assert len({said.message_id for said in starts}) == 1
    assert bench.station.discarded[0] == "Started"


def test_whoever_is_not_known_does_not_charge_offline() -> None:
    bench = of(known_tokens=frozenset()).connect()
    bench.disconnect()
    bench.plug()
    bench.run(30)
    bench.connect()
    bench.run(1)
    assert [said.action for said in bench.calls if said.action in {"Authorize", "TransactionEvent"}][:2] == [
        "Authorize", "TransactionEvent"
    ]  # fmt: skip
    assert "offline" not in bench.events[0]


def test_a_refused_driver_does_not_charge() -> None:
    bench = of().connect()
    bench.token_status = "Blocked"
    bench.plug()
    bench.run(30)
    assert bench.events == []
    assert (len(bench.said("Authorize")), bench.station.rejected_tokens) == (1, 1)


def test_a_driver_who_is_refused_afterwards_does_not_charge_on() -> None:
    bench = of().connect()
    bench.disconnect()
    bench.plug()
    bench.run(30)
    bench.token_status = "Blocked"
    bench.connect()
    bench.run(5)
    assert kinds(bench)[-1][:2] == ("Ended", "Deauthorized")
    assert bench.drawn_a == 0


def test_a_refused_driver_may_keep_the_transaction_but_not_the_current() -> None:
    bench = of().connect()
    bench.put("TxCtrlr.StopTxOnInvalidId", "false")
    bench.disconnect()
    bench.plug()
    bench.run(30)
    bench.token_status = "Blocked"
    bench.connect()
    bench.run(15)
    assert ("Updated", "Deauthorized", "SuspendedEVSE") in kinds(bench)
    assert bench.drawn_a == 0


def test_who_is_on_the_list_need_not_wait_when_that_is_set() -> None:
    bench = of().connect()
    bench.put("AuthCtrlr.LocalPreAuthorize", "true")
    bench.plug()
    bench.run(5)
    assert bench.said("Authorize") == []
    assert bench.events[0]["idToken"] == CARD


def test_a_start_from_afar_and_a_stop() -> None:
    bench = of(evse_count=2).connect()
    bench.put("AuthCtrlr.AuthorizeRemoteStart", "false")
    bench.token_status = "Blocked"
    bench.plug(token="04NO")
    bench.run(5)
    bench.token_status = "Accepted"
    token = {"idToken": "app-7", "type": "Central"}
    assert bench.ask("RequestStartTransaction", idToken=token, remoteStartId=12, evseId=1) == {"status": "Accepted"}
    bench.run(10)
    assert kinds(bench)[0][:2] == ("Started", "RemoteStart")
    assert bench.events[0]["idToken"] == token
    assert bench.events[0]["transactionInfo"]["remoteStartId"] == 12
    assert bench.ask("UnlockConnector", evseId=1, connectorId=1)["status"] == "OngoingAuthorizedTransaction"
    assert bench.ask("GetTransactionStatus", transactionId=bench.transaction)["ongoingIndicator"] is True
    assert bench.ask("RequestStopTransaction", transactionId="nobody's")["status"] == "Rejected"
    assert bench.ask("RequestStopTransaction", transactionId=bench.transaction)["status"] == "Accepted"
    bench.run(2)
    assert kinds(bench)[-1] == ("Ended", "RemoteStop", "EVConnected")
    assert bench.told_statuses[-1] == "Occupied"


def test_a_start_from_afar_waits_for_the_cable_but_not_for_ever() -> None:
    bench = of().connect()
    bench.put("AuthCtrlr.AuthorizeRemoteStart", "false")
    assert bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=1)["status"] == "Accepted"
    bench.run(30)
    bench.plug(token="04NO")
    bench.run(5)
    assert bench.events[0]["triggerReason"] == "RemoteStart"
    bench.station.unplug(1, bench.now_s)
    bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=2)
    bench.run(90)
    bench.plug()
    bench.run(5)
    assert bench.events[-1]["triggerReason"] != "RemoteStart"


def test_what_the_faults_do_to_events() -> None:
    def visit(*faults: str) -> Station20Bench:
        bench = of(*faults).connect()
        bench.plug()
        bench.run(60)
        bench.station.unplug(1, bench.now_s)
        bench.run(10)
        return bench

    assert {event["seqNo"] for event in visit("same-sequence").events} == {0}
    assert 4 not in {event["seqNo"] for event in visit("sequence-gap").events}
    assert visit("lose-started").events[0]["eventType"] == "Updated"
    assert [event["eventType"] for event in visit("ended-then-updated").events[-2:]] == ["Ended", "Updated"]
    assert "idToken" not in visit("no-token-in-started").events[0]
    twice = visit("repeat-events").said("TransactionEvent")
    assert twice[0].payload == twice[1].payload
    assert twice[0].message_id != twice[1].message_id
    assert len(visit("long-transaction-id").transaction) > 36


# --- reservations and availability ------------------------------------------------------------------------------------


def test_a_reservation_keeps_the_place_for_one_driver() -> None:
    bench = of().connect()
    expires = "2027-01-15T08:10:00Z"
    other = {"idToken": "04FF", "type": "ISO14443"}
    assert bench.ask("ReserveNow", id=5, expiryDateTime=expires, idToken=CARD, evseId=1)["status"] == "Accepted"
    assert bench.ask("ReserveNow", id=6, expiryDateTime=expires, idToken=other, evseId=1)["status"] == "Occupied"
    bench.plug(token="04FF")
    bench.run(5)
    assert bench.events == []
    bench.station.unplug(1, bench.now_s)
    bench.plug()
    bench.run(5)
    assert bench.events[0]["reservationId"] == 5
    assert bench.told_statuses[:3] == ["Available", "Reserved", "Occupied"]


def test_a_reservation_ends_by_itself_or_is_cancelled() -> None:
    bench = of().connect()
    bench.ask("ReserveNow", id=5, expiryDateTime="2027-01-15T08:01:00Z", idToken=CARD)
    bench.run(70)
    assert bench.said("ReservationStatusUpdate")[0].payload == {"reservationId": 5, "reservationUpdateStatus": "Expired"}
    assert bench.told_statuses[-1] == "Available"
    bench.ask("ReserveNow", id=6, expiryDateTime="2027-01-15T09:00:00Z", idToken=CARD)
    assert bench.ask("CancelReservation", reservationId=6)["status"] == "Accepted"
    assert bench.ask("CancelReservation", reservationId=6)["status"] == "Rejected"


def test_out_of_order_means_after_this_transaction() -> None:
    bench = of(evse_count=2).connect()
    bench.plug()
    bench.run(10)
    assert bench.ask("ChangeAvailability", operationalStatus="Inoperative")["status"] == "Scheduled"
    bench.run(1)
    assert bench.told_statuses[-1] == "Unavailable"
    assert bench.drawn_a > 0
    bench.station.unplug(1, bench.now_s)
    bench.run(1)
    assert [said.payload["evseId"] for said in bench.said("StatusNotification")][-1] == 1
    assert bench.told_statuses[-1] == "Unavailable"
    assert bench.ask("ChangeAvailability", operationalStatus="Operative", evse={"id": 7})["status"] == "Rejected"


# --- variables --------------------------------------------------------------------------------------------------------


def test_its_variables_are_reported_in_parts() -> None:
    bench = of().connect()
    bench.ask("GetBaseReport", requestId=3, reportBase="FullInventory")
    bench.run(5)
    parts = [said.payload for said in bench.said("NotifyReport")]
    assert len(parts) >= 2
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    components = {entry["component"]["name"] for part in parts for entry in part["reportData"]}
    assert components >= {
        "OCPPCommCtrlr", "TxCtrlr", "SampledDataCtrlr", "AlignedDataCtrlr", "AuthCtrlr", "LocalAuthListCtrlr",
        "SmartChargingCtrlr", "SecurityCtrlr", "ClockCtrlr", "DeviceDataCtrlr", "EVSE", "Connector", "ChargingStation",
    }  # fmt: skip


VARIABLES = [
    ("OCPPCommCtrlr", "HeartbeatInterval", "60", "Accepted"),
    ("ocppcommctrlr", "heartbeatinterval", "60", "Accepted"),
    ("OCPPCommCtrlr", "HeartbeatInterval", "soon", "Rejected"),
    ("OCPPCommCtrlr", "HeartbeatInterval", "-5", "Rejected"),
    ("OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1", "RebootRequired"),
    ("TxCtrlr", "StopTxOnInvalidId", "perhaps", "Rejected"),
    ("SmartChargingCtrlr", "RateUnit", "W", "Rejected"),
    ("SecurityCtrlr", "BasicAuthPassword", "0123456789abcdef", "Accepted"),
    ("TxCtrlr", "NoSuch", "1", "UnknownVariable"),
    ("NoSuchCtrlr", "X", "1", "UnknownComponent"),
]


@pytest.mark.parametrize(("component", "variable", "value", "status"), VARIABLES)
def test_a_variable_is_written_by_its_rules(component: str, variable: str, value: str, status: str) -> None:
    assert of().connect().put(f"{component}.{variable}", value) == status


def test_what_cannot_be_read_is_said_so() -> None:
    bench = of().connect()
    data = [
        named("SecurityCtrlr", "BasicAuthPassword"),
        named("TxCtrlr", "TxStartPoint", attributeType="Target"),
        {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}},
    ]
    results = bench.ask("GetVariables", getVariableData=data)["getVariableResult"]
    assert [result["attributeStatus"] for result in results] == ["Rejected", "NotSupportedAttributeType", "Accepted"]
    assert results[2]["attributeValue"] == "Available"
    many = [named("TxCtrlr", "TxStartPoint")] * 21
    assert bench.ask("GetVariables", getVariableData=many) == "OccurrenceConstraintViolation"


def test_monitors_are_kept_apart() -> None:
    bench = of().connect()
    power = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}

    def watch(**more: Any) -> Any:
        data = {**power, "type": "UpperThreshold", "value": 5, "severity": 4, **more}
        (result,) = bench.ask("SetVariableMonitoring", setMonitoringData=[data])["setMonitoringResult"]
        return result["status"], result.get("id")

    assert watch() == ("Accepted", 1)
    assert watch() == ("Duplicate", None)
    assert watch(id=1, value=9) == ("Accepted", 1)
    assert watch(id=44) == ("Rejected", None)
    assert watch(variable={"name": "AvailabilityState"}) == ("UnsupportedMonitorType", None)
    assert watch(component={"name": "Nobody"}) == ("UnknownComponent", None)


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_the_local_list_is_versioned() -> None:
    bench = of().connect()

    def entry(token: str, status: str | None = "Accepted") -> dict[str, Any]:
        info = {} if status is None else {"idTokenInfo": {"status": status}}
        return {"idToken": {"idToken": token, "type": "ISO14443"}, **info}

    def send(kind: str, version: int, *entries: dict[str, Any]) -> str:
        more = {"localAuthorizationList": list(entries)} if entries else {}
        return str(bench.ask("SendLocalList", versionNumber=version, updateType=kind, **more)["status"])

    assert send("Full", 5, entry("A"), entry("B"), entry("C", "Blocked")) == "Accepted"
    assert bench.station.known_tokens == {"A", "B"}
    assert send("Differential", 5, entry("A", None)) == "VersionMismatch"
    assert send("Differential", 6, entry("A", None), entry("D")) == "Accepted"
    assert bench.station.known_tokens == {"B", "D"}
    assert bench.ask("GetLocalListVersion") == {"versionNumber": 6}
    assert send("Full", 7) == "Accepted"
    assert bench.station.known_tokens == frozenset()


def test_a_log_and_a_firmware_are_told_step_by_step() -> None:
    bench = of().connect()
    firmware = {"location": "http://x", "retrieveDateTime": "2027-01-15T08:00:30Z", "signature": "s", "signingCertificate": PEM}
    assert bench.ask("UpdateFirmware", requestId=1, firmware=firmware)["status"] == "Accepted"
    bench.ask("GetLog", requestId=2, logType="SecurityLog", log={"remoteLocation": "http://x"})
    bench.run(50)
    bench.connect()
    bench.run(30)
    assert [said.payload["status"] for said in bench.said("LogStatusNotification")] == ["Uploading", "Uploaded"]
    assert [said.payload["status"] for said in bench.said("FirmwareStatusNotification")] == [
        "DownloadScheduled", "Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"
    ]  # fmt: skip
    assert bench.said("BootNotification")[-1].payload["reason"] == "FirmwareUpdate"
    assert bench.said("BootNotification")[-1].payload["chargingStation"]["firmwareVersion"] == "1.1"


def test_certificates_come_and_go() -> None:
    bench = of().connect()
    kind = "CSMSRootCertificate"
    assert bench.ask("InstallCertificate", certificateType=kind, certificate="nonsense")["status"] == "Rejected"
    assert bench.ask("InstallCertificate", certificateType=kind, certificate=PEM)["status"] == "Accepted"
    (chain,) = bench.ask("GetInstalledCertificateIds", certificateType=[kind])["certificateHashDataChain"]
    assert bench.ask("GetInstalledCertificateIds", certificateType=["MORootCertificate"]) == {"status": "NotFound"}
    assert bench.ask("DeleteCertificate", certificateHashData=chain["certificateHashData"])["status"] == "Accepted"
    assert bench.ask("DeleteCertificate", certificateHashData=chain["certificateHashData"])["status"] == "NotFound"


@pytest.mark.parametrize(("action", "payload"), REQUESTS)
def test_the_requests_of_these_tests_are_valid(action: str, payload: dict[str, Any]) -> None:
    assert schema_problems(action, payload, "2.1" if action == "UpdateDynamicSchedule" else "2.0.1") == []


# --- charging profiles ------------------------------------------------------------------------------------------------


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
