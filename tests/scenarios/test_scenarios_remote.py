"""Everything a person may ask of a charger, feature by feature and version by version, over a real WebSocket.

The station is the ``ocpp`` package's, which checks each request by the standard's schema before it answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.peer import VERSIONS, peer
from support.small_site import CHARGER, small_site

V16, V2 = ("1.6",), ("2.0.1", "2.1")
ALL = V16 + V2
AT = "2027-06-01T10:00:00.000Z"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "cc"}
NETWORK = {
    "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://edge/ocpp", "messageTimeout": 30,
    "securityProfile": 2, "ocppInterface": "Wired0",
}  # fmt: skip
TOKENS = json.dumps([{"token": "04AABBCC", "status": "accepted"}])


@dataclass(frozen=True)
class Feature:
    """One thing to ask for, and what must arrive at the station."""

    name: str
    action: str
    versions: tuple[str, ...]
    wire: str
    expected: dict[str, Any] = field(default_factory=dict)
    """Keys and values that must be in the request."""
    arguments: tuple[tuple[str, str], ...] = ()


def given(**arguments: str) -> tuple[tuple[str, str], ...]:
    return tuple((key.replace("_", "-"), value) for key, value in arguments.items())


FEATURES = [
    Feature("remote-start", "start", V16, "RemoteStartTransaction", {"idTag": "04AA", "connectorId": 1}, given(token="04AA", evse="1")),
    Feature("remote-start", "start", V2, "RequestStartTransaction", {"evseId": 1}, given(token="04AA", evse="1")),
    Feature("remote-stop", "stop", V16, "RemoteStopTransaction", {"transactionId": 12}, given(transaction="12")),
    Feature("remote-stop", "stop", V2, "RequestStopTransaction", {"transactionId": "tx-12"}, given(transaction="tx-12")),
    Feature("reset-soft", "reset", V16, "Reset", {"type": "Soft"}),
    Feature("reset-hard", "reset", V16, "Reset", {"type": "Hard"}, given(kind="hard")),
    Feature("reset-when-idle", "reset", V2, "Reset", {"type": "OnIdle"}),
    Feature("reset-one-evse", "reset", V2, "Reset", {"type": "Immediate", "evseId": 1}, given(kind="hard", evse="1")),
    Feature("reset-and-resume", "reset", ("2.1",), "Reset", {"type": "ImmediateAndResume"}, given(kind="resume")),
    Feature("unlock", "unlock", V16, "UnlockConnector", {"connectorId": 1}, given(evse="1")),
    Feature("unlock", "unlock", V2, "UnlockConnector", {"evseId": 1, "connectorId": 1}, given(evse="1")),
    Feature("availability", "availability", V16, "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, given(state="inoperative")),
    Feature("availability", "availability", V2, "ChangeAvailability", {"operationalStatus": "Operative"}, given(state="operative")),
    Feature("trigger", "trigger", V16, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}, given(message="StatusNotification", evse="1")),
    Feature("trigger-extended", "trigger", V16, "ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"}, given(message="LogStatusNotification")),
    Feature("trigger", "trigger", V2, "TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}, given(message="StatusNotification", evse="1")),
    Feature("get-configuration", "get-configuration", V16, "GetConfiguration", {"key": ["HeartbeatInterval"]}, given(key="HeartbeatInterval")),
    Feature("get-variables", "get-configuration", V2, "GetVariables", {}, given(key="OCPPCommCtrlr.HeartbeatInterval")),
    Feature("change-configuration", "configure", V16, "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, given(key="HeartbeatInterval", value="60")),
    Feature("set-variables", "configure", V2, "SetVariables", {}, given(key="OCPPCommCtrlr.HeartbeatInterval", value="60")),
    Feature("base-report", "get-report", V2, "GetBaseReport", {"reportBase": "FullInventory"}),
    Feature("clear-cache", "clear-cache", ALL, "ClearCache"),
    Feature("local-list-version", "get-local-list-version", ALL, "GetLocalListVersion"),
    Feature("local-list-full", "send-local-list", V16, "SendLocalList", {"listVersion": 8, "updateType": "Full"}, given(version="8", list=TOKENS)),
    Feature("local-list-full", "send-local-list", V2, "SendLocalList", {"versionNumber": 8, "updateType": "Full"}, given(version="8", list=TOKENS)),
    Feature("local-list-differential", "send-local-list", V16, "SendLocalList", {"updateType": "Differential"}, given(version="9", list=TOKENS, kind="differential")),
    Feature("reserve", "reserve", V16, "ReserveNow", {"connectorId": 1, "reservationId": 5, "idTag": "04AA", "expiryDate": AT}, given(reservation="5", token="04AA", expires=AT, evse="1")),
    Feature("reserve", "reserve", V2, "ReserveNow", {"id": 5, "evseId": 1, "expiryDateTime": AT}, given(reservation="5", token="04AA", expires=AT, evse="1")),
    Feature("cancel-reservation", "cancel-reservation", ALL, "CancelReservation", {"reservationId": 5}, given(reservation="5")),
    Feature("clear-profile", "clear-profile", V16, "ClearChargingProfile", {"id": 2001}, given(profile="2001")),
    Feature("clear-profile", "clear-profile", V2, "ClearChargingProfile", {"chargingProfileId": 2001}, given(profile="2001")),
    Feature("get-profiles", "get-profiles", V2, "GetChargingProfiles", {"evseId": 1, "requestId": 3}, given(evse="1", request="3", purpose="tx")),
    Feature("composite-schedule", "get-composite-schedule", V16, "GetCompositeSchedule", {"connectorId": 1, "duration": 601}, given(evse="1", duration="601")),
    Feature("composite-schedule", "get-composite-schedule", V2, "GetCompositeSchedule", {"evseId": 1, "duration": 601}, given(evse="1", duration="601")),
    Feature("firmware", "update-firmware", V16, "UpdateFirmware", {"location": "https://edge/f", "retrieveDate": AT}, given(location="https://edge/f", at=AT)),
    Feature("firmware-signed", "update-firmware", V16, "SignedUpdateFirmware", {"requestId": 4}, given(location="https://edge/f", at=AT, certificate=PEM, signature="abcd", request="4")),
    Feature("firmware", "update-firmware", V2, "UpdateFirmware", {"requestId": 4, "retries": 2}, given(location="https://edge/f", at=AT, request="4", retries="2")),
    Feature("firmware-signed", "update-firmware", V2, "UpdateFirmware", {}, given(location="https://edge/f", at=AT, certificate=PEM, signature="abcd")),
    Feature("diagnostics", "get-diagnostics", V16, "GetDiagnostics", {"location": "ftp://edge/d"}, given(location="ftp://edge/d")),
    Feature("log", "get-log", ALL, "GetLog", {"logType": "SecurityLog", "requestId": 6}, given(location="https://edge/l", kind="security", request="6")),
    Feature("data-transfer", "data-transfer", ALL, "DataTransfer", {"vendorId": "Acme", "messageId": "ping", "data": "1"}, given(vendor="Acme", message="ping", data="1")),
    Feature("install-certificate", "install-certificate", V16, "InstallCertificate", {"certificateType": "CentralSystemRootCertificate"}, given(kind="csms-root", certificate=PEM)),
    Feature("install-certificate", "install-certificate", V2, "InstallCertificate", {"certificateType": "CSMSRootCertificate"}, given(kind="csms-root", certificate=PEM)),
    Feature("delete-certificate", "delete-certificate", ALL, "DeleteCertificate", {"certificateHashData": HASH}, given(hash=json.dumps(HASH))),
    Feature("list-certificates", "get-certificates", ALL, "GetInstalledCertificateIds", {}, given(kind="csms-root")),
    Feature("certificate-signed", "certificate-signed", ALL, "CertificateSigned", {"certificateChain": PEM}, given(chain=PEM)),
    Feature("network-profile", "set-network-profile", V2, "SetNetworkProfile", {"configurationSlot": 1}, given(slot="1", data=json.dumps(NETWORK))),
    Feature("transaction-status", "get-transaction-status", V2, "GetTransactionStatus", {"transactionId": "tx"}, given(transaction="tx")),
    Feature("customer-information", "customer-information", V2, "CustomerInformation", {"report": True, "clear": False}, given(customer="c-1")),
    Feature("monitoring", "set-monitoring", V2, "SetVariableMonitoring", {}, given(key="EVSE@1.Power", kind="upper-threshold", value="7000")),
    Feature("monitoring-cleared", "clear-monitoring", V2, "ClearVariableMonitoring", {"id": [4]}, given(monitor="4")),
    Feature("monitoring-reported", "get-monitoring", V2, "GetMonitoringReport", {"requestId": 3}, given(request="3")),
]  # fmt: skip
CASES = [(feature, version) for feature in FEATURES for version in feature.versions]


@pytest.mark.parametrize(("feature", "version"), CASES, ids=[f"{version}-{feature.name}" for feature, version in CASES])
async def test_a_feature_reaches_the_station_and_its_answer_comes_back(feature: Feature, version: str, tmp_path: Path) -> None:
    async with small_site(tmp_path) as site, peer(site.url(), version, CHARGER) as station:
        assert (await station.boot()).status == "Accepted"
        outcome, word, _ = await site.act(feature.action, *feature.arguments)
        request = await station.asked(feature.wire)
    assert outcome == "accepted", word
    assert {key: request.get(key) for key in feature.expected} == feature.expected


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_the_station_says_instead_is_told_in_its_own_word(version: str, tmp_path: Path) -> None:
    async with small_site(tmp_path) as site, peer(site.url(), version, CHARGER) as station:
        station.answers["UnlockConnector"] = {"status": "UnlockFailed"}
        station.answers["ClearCache"] = {"status": "Rejected"}
        await station.boot()
        assert (await site.act("unlock", evse="1"))[:2] == ("rejected", "UnlockFailed")
        assert (await site.act("clear-cache"))[:2] == ("rejected", "Rejected")


async def test_what_a_version_does_not_have_is_said_and_not_sent(tmp_path: Path) -> None:
    async with small_site(tmp_path) as site, peer(site.url(), "1.6", CHARGER) as station:
        await station.boot()
        outcome, problem, _ = await site.act("set-network-profile", slot="1", data="{}")
        assert (outcome, problem) == ("not-supported", "OCPP 1.6 has no request 'set-network-profile'")
