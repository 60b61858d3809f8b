"""What a station of OCPP 2 answers: reservations, variables, monitors, lists, logs, firmware, certificates."""

from __future__ import annotations

from typing import Any

import pytest
from support.station20_bench import Station20Bench
from support.station_bench import TAG

PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----"
CARD = {"idToken": TAG, "type": "ISO14443"}
of = Station20Bench.of


def named(component: str, variable: str, **more: Any) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}, **more}


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


def test_a_car_that_is_plugged_in_takes_nobodys_place_before_its_driver_is_known() -> None:
    bench = of().connect()
    assert bench.put("TxCtrlr.TxStartPoint", "EVConnected") == "Accepted"
    bench.ask("ReserveNow", id=5, expiryDateTime="2027-01-15T08:10:00Z", idToken=CARD, evseId=1)
    bench.plug(token="04FF")
    bench.run(5)
    assert [event.get("reservationId") for event in bench.events] == [None]
    bench.station.unplug(1, bench.now_s)
    bench.run(1)
    bench.plug()
    bench.run(5)
    assert [(event["eventType"], event["reservationId"]) for event in bench.events if "reservationId" in event] == [
        ("Updated", 5)
    ]


@pytest.mark.parametrize(("told", "is_let_in"), [("G", True), ("H", False), (None, False)])
def test_the_server_says_whether_another_card_is_of_the_group(
    monkeypatch: pytest.MonkeyPatch, told: str | None, *, is_let_in: bool
) -> None:
    bench = of().connect()
    info = {"status": "Accepted", **({} if told is None else {"groupIdToken": {"idToken": told, "type": "Central"}})}
    plain = bench._answer
    monkeypatch.setattr(bench, "_answer", lambda action: {"idTokenInfo": info} if action == "Authorize" else plain(action))
    group = {"idToken": "G", "type": "Central"}
    bench.ask("ReserveNow", id=5, expiryDateTime="2027-01-15T08:10:00Z", idToken=CARD, groupIdToken=group, evseId=1)
    bench.plug(token="04FF")
    bench.run(5)
    assert [event["reservationId"] for event in bench.events if "reservationId" in event] == ([5] if is_let_in else [])


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


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_monitors_are_reported_and_cleared(version: str) -> None:
    bench = of(version=version).connect()
    power = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "Power"}}
    assert bench.ask("GetMonitoringReport", requestId=3) == {"status": "EmptyResultSet"}
    bench.ask("SetVariableMonitoring", setMonitoringData=[{**power, "type": "Delta", "value": 5, "severity": 4}])
    assert bench.ask("GetMonitoringReport", requestId=3, componentVariable=[power]) == {"status": "Accepted"}
    bench.run(1)
    (report,) = (said.payload for said in bench.said("NotifyMonitoringReport"))
    assert (report["requestId"], report["monitor"][0]["component"]["name"]) == (3, "EVSE")
    assert bench.problems == []
    cleared = bench.ask("ClearVariableMonitoring", id=[1, 2])["clearMonitoringResult"]
    assert [one["status"] for one in cleared] == ["Accepted", "NotFound"]


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
