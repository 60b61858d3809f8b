"""Requests beside limits: names and text arguments to calls of OCPP 2, in the words of ``v16.requests`` where they exist there.

| request | arguments |
|---|---|
| ``trigger`` | ``message``, optional ``evse``, ``connector`` |
| ``start-transaction`` (``remote-start``) | ``token``, optional ``type`` (default ``Central``), ``evse`` |
| ``stop-transaction`` (``remote-stop``) | ``transaction`` |
| ``reset`` | optional ``kind``: ``on-idle`` (default, or ``soft``), ``immediate`` (``hard``), in 2.1 ``resume``; ``evse`` |
| ``unlock`` | ``evse``, optional ``connector`` (default 1) |
| ``availability`` | ``state``: ``operative`` or ``inoperative``, optional ``evse`` (default 0, the whole station) |
| ``get-configuration`` | one or more ``key`` (see ``variables``), optional ``attribute`` |
| ``change-configuration`` | ``key``, ``value``, optional ``attribute`` |
| ``get-report`` | optional ``kind``: ``full`` (default), ``configuration`` or ``summary`` |
| ``clear-cache`` | |
| ``data-transfer`` | ``vendor``, optional ``message``, ``data`` |
| ``get-log`` (``get-diagnostics``) | ``location``, optional ``kind``: ``diagnostics`` or ``security``, ``oldest``, ``latest`` |
| ``update-firmware`` | ``location``, ``at``, optional ``install-at``, ``certificate``, ``signature`` |
| ``send-local-list`` | ``version``, ``list`` (JSON, see ``asks``), optional ``kind``: ``full`` (default) or ``differential`` |
| ``get-local-list-version`` | |
| ``reserve`` | ``reservation``, ``token``, ``expires``, optional ``type``, ``evse``, ``group`` |
| ``cancel-reservation`` | ``reservation`` |
| ``clear-profile`` | ``profile`` |
| ``clear-lease`` | ``purpose``: ``tx``, ``tx-default`` or ``station-max``; ``evse`` |
| ``get-profiles`` | optional ``evse``, ``purpose`` as above, ``profile``; the profiles follow as notifications |
| ``get-composite-schedule`` | ``evse``, ``duration`` in seconds, optional ``unit``: ``a`` or ``w`` |
| ``get-transaction-status`` | optional ``transaction`` |
| ``install-certificate`` | ``kind``: ``csms-root``, ``manufacturer-root``, ``v2g-root`` or ``mo-root``; ``certificate`` |
| ``delete-certificate`` | ``hash``: CertificateHashData as JSON |
| ``get-certificates`` | optional ``kind`` |
| ``certificate-signed`` | ``chain``, optional ``kind``: ``station`` or ``v2g`` |
| ``set-network-profile`` | ``slot``, ``data``: NetworkConnectionProfile as JSON |
| ``customer-information`` | optional ``report`` (default true), ``clear`` (default false), ``token``, ``customer``, ``hash`` |
| ``set-monitoring`` | ``key``, ``kind``, ``value``, optional ``severity`` (default 5), ``monitor`` (to change one) |
| ``clear-monitoring`` | ``monitor`` |
| ``get-monitoring`` | optional ``key``; the monitors follow as a notification |

``get-log`` and ``update-firmware`` take ``retries`` and ``retry-interval`` in seconds, a ``token`` may have a ``type``, and
requests with a later outcome an optional ``request`` number.
"""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.decisions import Ask, TokenVerdict
from edgectl.domain.events import Outcome
from edgectl.ocpp.asks import Arguments, ListEntry
from edgectl.ocpp.codec import BadRequestError
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import OwnCall
from edgectl.ocpp.v201 import variables
from edgectl.ocpp.v201.answers import id_token_info
from edgectl.ocpp.v201.edition import Edition

_DEFAULT_TOKEN_TYPE = "Central"  # noqa: S105 - the type of an id token made by a server
_CERTIFICATES = {
    "csms-root": "CSMSRootCertificate",
    "manufacturer-root": "ManufacturerRootCertificate",
    "mo-root": "MORootCertificate",
    "v2g-root": "V2GRootCertificate",
}
_RESETS = {
    "on-idle": "OnIdle",
    "soft": "OnIdle",
    "immediate": "Immediate",
    "hard": "Immediate",
    "resume": "ImmediateAndResume",
}
_PURPOSES = {"tx": "TxProfile", "tx-default": "TxDefaultProfile", "station-max": "ChargingStationMaxProfile"}
_ATTRIBUTES = {"actual": "Actual", "target": "Target", "minset": "MinSet", "maxset": "MaxSet"}
_MONITORS = {
    "upper-threshold": "UpperThreshold",
    "lower-threshold": "LowerThreshold",
    "delta": "Delta",
    "periodic": "Periodic",
    "periodic-clock-aligned": "PeriodicClockAligned",
}


def request_call(ask: Ask, edition: Edition) -> OwnCall:
    """The call for ``ask``.

    Raises:
        BadRequestError: not a request of this edition, or an argument is missing or not understood.
    """
    build = _BUILDERS.get(ask.request)
    if build is None:
        raise BadRequestError(Outcome.NOT_SUPPORTED, f"OCPP {edition.name} has no request {ask.request!r}")
    return build(Arguments(ask), edition)


def _trigger(arguments: Arguments, _edition: Edition) -> OwnCall:
    message = arguments.text("message")
    payload: Payload = {"requestedMessage": message}
    if arguments.optional("evse") is not None:
        payload["evse"] = {"id": arguments.number("evse")}
        # A status belongs to a connector, so it is triggered for one (F06).
        if arguments.optional("connector") is not None or message == "StatusNotification":
            payload["evse"]["connectorId"] = arguments.number("connector", default="1")
    return OwnCall("TriggerMessage", payload)


def _start(arguments: Arguments, _edition: Edition) -> OwnCall:
    # Without a profile: some chargers reject the whole request when one is in it; the limit follows on its own.
    payload: Payload = {"idToken": _token(arguments), "remoteStartId": arguments.request_id()}
    return OwnCall("RequestStartTransaction", payload | arguments.numbers_in(evse="evseId"))


def _stop(arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("RequestStopTransaction", {"transactionId": arguments.text("transaction")}, is_urgent=True)


def _reset(arguments: Arguments, _edition: Edition) -> OwnCall:
    kind: Payload = {"type": arguments.word("kind", _RESETS, default="on-idle")}
    return OwnCall("Reset", kind | arguments.numbers_in(evse="evseId"))


def _unlock(arguments: Arguments, _edition: Edition) -> OwnCall:
    connector = arguments.number("connector", default="1")
    return OwnCall("UnlockConnector", {"evseId": arguments.number("evse"), "connectorId": connector})


def _availability(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {"operationalStatus": arguments.word("state", {"operative": "Operative", "inoperative": "Inoperative"})}
    number = arguments.number("evse", default="0")
    if number:
        payload["evse"] = {"id": number}
    return OwnCall("ChangeAvailability", payload)


def _get_configuration(arguments: Arguments, _edition: Edition) -> OwnCall:
    arguments.text("key")  # there is no "all of them" here; that is get-report
    return OwnCall("GetVariables", {"getVariableData": [_variable(arguments, key) for key in arguments.all("key")]})


def _change_configuration(arguments: Arguments, _edition: Edition) -> OwnCall:
    data = {"attributeValue": arguments.optional("value") or "", **_variable(arguments, arguments.text("key"))}
    return OwnCall("SetVariables", {"setVariableData": [data]})


def _get_report(arguments: Arguments, _edition: Edition) -> OwnCall:
    kinds = {"full": "FullInventory", "configuration": "ConfigurationInventory", "summary": "SummaryInventory"}
    kind = arguments.word("kind", kinds, default="full")
    return OwnCall("GetBaseReport", {"requestId": arguments.request_id(), "reportBase": kind})


def _clear_cache(_arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("ClearCache", {})


def _data_transfer(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {"vendorId": arguments.text("vendor")}
    return OwnCall("DataTransfer", payload | arguments.texts_in(message="messageId", data="data"))


def _get_log(arguments: Arguments, _edition: Edition) -> OwnCall:
    log: Payload = {"remoteLocation": arguments.text("location")}
    log |= arguments.moments_in(oldest="oldestTimestamp", latest="latestTimestamp")
    kind = arguments.word("kind", {"diagnostics": "DiagnosticsLog", "security": "SecurityLog"}, default="diagnostics")
    return OwnCall("GetLog", {"log": log, "logType": kind, "requestId": arguments.request_id()} | _retries(arguments))


def _update_firmware(arguments: Arguments, _edition: Edition) -> OwnCall:
    firmware: Payload = {"location": arguments.text("location"), "retrieveDateTime": arguments.moment("at")}
    firmware |= arguments.moments_in(install_at="installDateTime")
    firmware |= arguments.texts_in(certificate="signingCertificate", signature="signature")
    return OwnCall("UpdateFirmware", {"requestId": arguments.request_id(), "firmware": firmware} | _retries(arguments))


def _send_local_list(arguments: Arguments, edition: Edition) -> OwnCall:
    payload: Payload = {
        "versionNumber": arguments.number("version"),
        "updateType": arguments.word("kind", {"full": "Full", "differential": "Differential"}, default="full"),
    }
    entries = arguments.local_list()
    if entries:
        payload["localAuthorizationList"] = [_list_entry(entry, edition) for entry in entries]
    return OwnCall("SendLocalList", payload)


def _list_entry(entry: ListEntry, edition: Edition) -> Payload:
    # Cards are what local lists are for; ISO 14443 is what nearly all of them speak.
    data: Payload = {"idToken": {"idToken": entry.token, "type": entry.type or "ISO14443"}}
    if entry.status is None:
        return data
    info = id_token_info(TokenVerdict(entry.status), edition)
    if entry.expires is not None:
        info["cacheExpiryDateTime"] = entry.expires
    if entry.group is not None:
        info["groupIdToken"] = {"idToken": entry.group, "type": _DEFAULT_TOKEN_TYPE}
    return data | {"idTokenInfo": info}


def _get_local_list_version(_arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("GetLocalListVersion", {})


def _reserve(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {
        "id": arguments.number("reservation"),
        "expiryDateTime": arguments.moment("expires"),
        "idToken": _token(arguments),
        **arguments.numbers_in(evse="evseId"),
    }
    group = arguments.optional("group")
    if group is not None:
        payload["groupIdToken"] = {"idToken": group, "type": _DEFAULT_TOKEN_TYPE}
    return OwnCall("ReserveNow", payload)


def _cancel_reservation(arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("CancelReservation", {"reservationId": arguments.number("reservation")})


def _clear_profile(arguments: Arguments, _edition: Edition) -> OwnCall:
    # By id only: clearing by criteria takes the fallback with it on some chargers.
    return OwnCall("ClearChargingProfile", {"chargingProfileId": arguments.profile_id()})


def _clear_lease(arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("ClearChargingProfile", {"chargingProfileId": arguments.lease_id()})


def _get_profiles(arguments: Arguments, _edition: Edition) -> OwnCall:
    criterion: Payload = {}
    if arguments.optional("purpose") is not None:
        criterion["chargingProfilePurpose"] = arguments.word("purpose", _PURPOSES)
    if arguments.optional("profile") is not None:
        criterion = {"chargingProfileId": [arguments.number("profile")]}  # an id excludes every other criterion (K09)
    payload: Payload = {"requestId": arguments.request_id(), "chargingProfile": criterion}
    return OwnCall("GetChargingProfiles", payload | arguments.numbers_in(evse="evseId"))


def _get_composite_schedule(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {"evseId": arguments.number("evse"), "duration": arguments.number("duration")}
    if arguments.optional("unit") is not None:
        payload["chargingRateUnit"] = arguments.word("unit", {"a": "A", "w": "W"})
    return OwnCall("GetCompositeSchedule", payload)


def _get_transaction_status(arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("GetTransactionStatus", {**arguments.texts_in(transaction="transactionId")})


def _install_certificate(arguments: Arguments, _edition: Edition) -> OwnCall:
    kind, certificate = arguments.word("kind", _CERTIFICATES), arguments.text("certificate")
    return OwnCall("InstallCertificate", {"certificateType": kind, "certificate": certificate})


def _delete_certificate(arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("DeleteCertificate", {"certificateHashData": arguments.json("hash", dict)})


def _get_certificates(arguments: Arguments, _edition: Edition) -> OwnCall:
    if arguments.optional("kind") is None:
        return OwnCall("GetInstalledCertificateIds", {})
    kinds = _CERTIFICATES | {"v2g-chain": "V2GCertificateChain"}
    return OwnCall("GetInstalledCertificateIds", {"certificateType": [arguments.word("kind", kinds)]})


def _certificate_signed(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {"certificateChain": arguments.text("chain")}
    if arguments.optional("kind") is not None:
        kinds = {"station": "ChargingStationCertificate", "v2g": "V2GCertificate"}
        payload["certificateType"] = arguments.word("kind", kinds)
    return OwnCall("CertificateSigned", payload)


def _set_network_profile(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload = {"configurationSlot": arguments.number("slot"), "connectionData": arguments.json("data", dict)}
    return OwnCall("SetNetworkProfile", payload)


def _customer_information(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {
        "requestId": arguments.request_id(),
        "report": arguments.flag("report", default="true"),
        "clear": arguments.flag("clear", default="false"),
        **arguments.texts_in(customer="customerIdentifier"),
    }
    if arguments.optional("token") is not None:
        payload["idToken"] = _token(arguments)
    if arguments.optional("hash") is not None:
        payload["customerCertificate"] = arguments.json("hash", dict)
    return OwnCall("CustomerInformation", payload)


def _set_monitoring(arguments: Arguments, _edition: Edition) -> OwnCall:
    data: Payload = {
        **_name(arguments, arguments.text("key")),
        "type": arguments.word("kind", _MONITORS),
        "value": arguments.amount("value"),
        "severity": arguments.number("severity", default="5"),
        **arguments.numbers_in(monitor="id"),
    }
    return OwnCall("SetVariableMonitoring", {"setMonitoringData": [data]})


def _clear_monitoring(arguments: Arguments, _edition: Edition) -> OwnCall:
    return OwnCall("ClearVariableMonitoring", {"id": [arguments.number("monitor")]})


def _get_monitoring(arguments: Arguments, _edition: Edition) -> OwnCall:
    payload: Payload = {"requestId": arguments.request_id()}
    if arguments.optional("key") is not None:
        payload["componentVariable"] = [_name(arguments, arguments.text("key"))]
    return OwnCall("GetMonitoringReport", payload)


def _token(arguments: Arguments) -> Payload:
    return {"idToken": arguments.text("token"), "type": arguments.optional("type") or _DEFAULT_TOKEN_TYPE}


def _variable(arguments: Arguments, key: str) -> Payload:
    name = _name(arguments, key)
    if arguments.optional("attribute") is not None:
        name["attributeType"] = arguments.word("attribute", _ATTRIBUTES)
    return name


def _name(arguments: Arguments, key: str) -> Payload:
    name = variables.read_name(key)
    if name is None:
        raise arguments.unfit("key", key, f"it must be {variables.FORM}")
    return name


def _retries(arguments: Arguments) -> Payload:
    return {**arguments.numbers_in(retries="retries", retry_interval="retryInterval")}


_BUILDERS: dict[str, Callable[[Arguments, Edition], OwnCall]] = {
    "trigger": _trigger,
    "start-transaction": _start,
    "remote-start": _start,
    "stop-transaction": _stop,
    "remote-stop": _stop,
    "reset": _reset,
    "unlock": _unlock,
    "availability": _availability,
    "get-configuration": _get_configuration,
    "change-configuration": _change_configuration,
    "get-report": _get_report,
    "clear-cache": _clear_cache,
    "data-transfer": _data_transfer,
    "get-log": _get_log,
    "get-diagnostics": _get_log,
    "update-firmware": _update_firmware,
    "send-local-list": _send_local_list,
    "get-local-list-version": _get_local_list_version,
    "reserve": _reserve,
    "cancel-reservation": _cancel_reservation,
    "clear-profile": _clear_profile,
    "clear-lease": _clear_lease,
    "get-profiles": _get_profiles,
    "get-composite-schedule": _get_composite_schedule,
    "get-transaction-status": _get_transaction_status,
    "install-certificate": _install_certificate,
    "delete-certificate": _delete_certificate,
    "get-certificates": _get_certificates,
    "certificate-signed": _certificate_signed,
    "set-network-profile": _set_network_profile,
    "customer-information": _customer_information,
    "set-monitoring": _set_monitoring,
    "clear-monitoring": _clear_monitoring,
    "get-monitoring": _get_monitoring,
}
