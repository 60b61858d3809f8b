"""The OCPP 2 station by which edgectl is judged: is it one? Its frames, its queue, its variables, its limits."""

from __future__ import annotations

from typing import Any

import pytest
from support.station20_bench import Station20Bench
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
    ("GetMonitoringReport", {"requestId": 7}),
    ("ClearVariableMonitoring", {"id": [1]}),
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


TOLD_ELSEWHERE = {"ignores-pending", "ignore-offline-duration"}
"""The latter takes a station of 2.1 that is kept away: ``tests/quirks/test_quirks_offline_end.py``."""


@pytest.mark.parametrize("fault", sorted(FAULTS_20.keys() - TOLD_ELSEWHERE))
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


@pytest.mark.parametrize(("action", "payload"), REQUESTS)
def test_the_requests_of_these_tests_are_valid(action: str, payload: dict[str, Any]) -> None:
    assert schema_problems(action, payload, "2.1" if action == "UpdateDynamicSchedule" else "2.0.1") == []
