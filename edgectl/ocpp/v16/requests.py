"""Requests beside limits: names and text arguments to 1.6 calls. The last five are of the security extension.

| request | arguments |
|---|---|
| ``trigger`` | ``message``, optional ``evse`` |
| ``start-transaction`` (``remote-start``) | ``token``, optional ``evse`` |
| ``stop-transaction`` (``remote-stop``) | ``transaction`` |
| ``reset`` | optional ``kind``: ``soft`` (default) or ``hard`` |
| ``unlock`` | ``evse`` |
| ``availability`` | ``state``: ``operative`` or ``inoperative``, optional ``evse`` (default 0, the whole charger) |
| ``get-configuration`` | any number of ``key`` |
| ``change-configuration`` | ``key``, ``value`` |
| ``clear-cache`` | |
| ``data-transfer`` | ``vendor``, optional ``message``, ``data`` |
| ``get-diagnostics`` | ``location``, optional ``oldest``, ``latest``, and the retries |
| ``update-firmware`` | ``location``, ``at``, optional ``certificate`` with ``signature``, ``install-at``, and the retries |
| ``send-local-list`` | ``version``, ``list`` (JSON, see ``asks``), optional ``kind``: ``full`` (default) or ``differential`` |
| ``get-local-list-version`` | |
| ``reserve`` | ``reservation``, ``token``, ``expires``, optional ``evse`` (default 0), ``group`` |
| ``cancel-reservation`` | ``reservation`` |
| ``clear-profile`` | ``profile`` |
| ``clear-lease`` | ``purpose``: ``tx``, ``tx-default`` or ``station-max``; ``evse`` |
| ``get-composite-schedule`` | ``evse``, ``duration`` in seconds, optional ``unit``: ``a`` or ``w`` |
| ``get-log`` | as ``get-diagnostics``, and optional ``kind``: ``diagnostics`` (default) or ``security`` |
| ``install-certificate`` | ``kind``: ``csms-root`` or ``manufacturer-root``, ``certificate`` |
| ``delete-certificate`` | ``hash``: CertificateHashData as JSON |
| ``get-certificates`` | ``kind`` |
| ``certificate-signed`` | ``chain`` |

The retries are ``retries`` and ``retry-interval`` in seconds. Requests with a later outcome take an optional ``request`` number.
"""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.decisions import Ask, TokenVerdict
from edgectl.domain.events import Outcome
from edgectl.ocpp.asks import Arguments, ListEntry
from edgectl.ocpp.codec import BadRequestError
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import OwnCall
from edgectl.ocpp.v16.answers import id_tag_info

_CERTIFICATES = {"csms-root": "CentralSystemRootCertificate", "manufacturer-root": "ManufacturerRootCertificate"}
# The two that only the extended request can trigger.
_EXTENDED_TRIGGERS = frozenset({"LogStatusNotification", "SignChargePointCertificate"})


def request_call(ask: Ask) -> OwnCall:
    """The call for ``ask``.

    Raises:
        BadRequestError: not a request of 1.6, or an argument is missing or not understood.
    """
    build = _BUILDERS.get(ask.request)
    if build is None:
        raise BadRequestError(Outcome.NOT_SUPPORTED, f"OCPP 1.6 has no request {ask.request!r}")
    return build(Arguments(ask))


def _trigger(arguments: Arguments) -> OwnCall:
    message = arguments.text("message")
    action = "ExtendedTriggerMessage" if message in _EXTENDED_TRIGGERS else "TriggerMessage"
    return OwnCall(action, {"requestedMessage": message} | _connector(arguments))


def _start(arguments: Arguments) -> OwnCall:
    # Without a profile: some chargers reject the whole request when one is in it; the limit follows on its own.
    return OwnCall("RemoteStartTransaction", {"idTag": arguments.text("token")} | _connector(arguments))


def _stop(arguments: Arguments) -> OwnCall:
    return OwnCall("RemoteStopTransaction", {"transactionId": arguments.number("transaction")}, is_urgent=True)


def _reset(arguments: Arguments) -> OwnCall:
    return OwnCall("Reset", {"type": arguments.word("kind", {"soft": "Soft", "hard": "Hard"}, default="soft")})


def _unlock(arguments: Arguments) -> OwnCall:
    return OwnCall("UnlockConnector", {"connectorId": arguments.number("evse")})


def _availability(arguments: Arguments) -> OwnCall:
    state = arguments.word("state", {"operative": "Operative", "inoperative": "Inoperative"})
    return OwnCall("ChangeAvailability", {"connectorId": arguments.number("evse", default="0"), "type": state})


def _get_configuration(arguments: Arguments) -> OwnCall:
    keys = arguments.all("key")
    return OwnCall("GetConfiguration", {"key": keys} if keys else {})


def _change_configuration(arguments: Arguments) -> OwnCall:
    return OwnCall("ChangeConfiguration", {"key": arguments.text("key"), "value": arguments.optional("value") or ""})


def _clear_cache(_arguments: Arguments) -> OwnCall:
    return OwnCall("ClearCache", {})


def _data_transfer(arguments: Arguments) -> OwnCall:
    payload: Payload = {"vendorId": arguments.text("vendor")}
    for name, key in (("message", "messageId"), ("data", "data")):
        value = arguments.optional(name)
        if value is not None:
            payload[key] = value
    return OwnCall("DataTransfer", payload)


def _get_diagnostics(arguments: Arguments) -> OwnCall:
    payload: Payload = {"location": arguments.text("location")}
    span = arguments.moments_in(oldest="startTime", latest="stopTime")
    return OwnCall("GetDiagnostics", payload | span | _retries(arguments))


def _get_log(arguments: Arguments) -> OwnCall:
    log: Payload = {"remoteLocation": arguments.text("location")}
    log |= arguments.moments_in(oldest="oldestTimestamp", latest="latestTimestamp")
    kind = arguments.word("kind", {"diagnostics": "DiagnosticsLog", "security": "SecurityLog"}, default="diagnostics")
    return OwnCall("GetLog", {"log": log, "logType": kind, "requestId": arguments.request_id()} | _retries(arguments))


def _update_firmware(arguments: Arguments) -> OwnCall:
    location, at = arguments.text("location"), arguments.moment("at")
    if arguments.optional("certificate") is None and arguments.optional("signature") is None:
        return OwnCall("UpdateFirmware", {"location": location, "retrieveDate": at} | _retries(arguments))
    firmware: Payload = {
        "location": location,
        "retrieveDateTime": at,
        **arguments.moments_in(install_at="installDateTime"),
        "signingCertificate": arguments.text("certificate"),
        "signature": arguments.text("signature"),
    }
    return OwnCall("SignedUpdateFirmware", {"requestId": arguments.request_id(), "firmware": firmware} | _retries(arguments))


def _send_local_list(arguments: Arguments) -> OwnCall:
    payload: Payload = {
        "listVersion": arguments.number("version"),
        "updateType": arguments.word("kind", {"full": "Full", "differential": "Differential"}, default="full"),
    }
    entries = arguments.local_list()
    if entries:
        payload["localAuthorizationList"] = [_list_entry(entry) for entry in entries]
    return OwnCall("SendLocalList", payload)


def _list_entry(entry: ListEntry) -> Payload:
    data: Payload = {"idTag": entry.token}
    if entry.status is None:
        return data
    info = id_tag_info(TokenVerdict(entry.status))
    if entry.expires is not None:
        info["expiryDate"] = entry.expires
    if entry.group is not None:
        info["parentIdTag"] = entry.group
    return data | {"idTagInfo": info}


def _get_local_list_version(_arguments: Arguments) -> OwnCall:
    return OwnCall("GetLocalListVersion", {})


def _reserve(arguments: Arguments) -> OwnCall:
    payload: Payload = {
        "connectorId": arguments.number("evse", default="0"),
        "expiryDate": arguments.moment("expires"),
        "idTag": arguments.text("token"),
        "reservationId": arguments.number("reservation"),
    }
    return OwnCall("ReserveNow", payload | arguments.texts_in(group="parentIdTag"))


def _cancel_reservation(arguments: Arguments) -> OwnCall:
    return OwnCall("CancelReservation", {"reservationId": arguments.number("reservation")})


def _clear_profile(arguments: Arguments) -> OwnCall:
    # By id only: clearing by criteria, or everything, takes the fallback with it on some chargers.
    return OwnCall("ClearChargingProfile", {"id": arguments.profile_id()})


def _clear_lease(arguments: Arguments) -> OwnCall:
    return OwnCall("ClearChargingProfile", {"id": arguments.lease_id()})


def _get_composite_schedule(arguments: Arguments) -> OwnCall:
    payload: Payload = {"connectorId": arguments.number("evse"), "duration": arguments.number("duration")}
    if arguments.optional("unit") is not None:
        payload["chargingRateUnit"] = arguments.word("unit", {"a": "A", "w": "W"})
    return OwnCall("GetCompositeSchedule", payload)


def _install_certificate(arguments: Arguments) -> OwnCall:
    kind, certificate = arguments.word("kind", _CERTIFICATES), arguments.text("certificate")
    return OwnCall("InstallCertificate", {"certificateType": kind, "certificate": certificate})


def _delete_certificate(arguments: Arguments) -> OwnCall:
    return OwnCall("DeleteCertificate", {"certificateHashData": arguments.json("hash", dict)})


def _get_certificates(arguments: Arguments) -> OwnCall:
    return OwnCall("GetInstalledCertificateIds", {"certificateType": arguments.word("kind", _CERTIFICATES)})


def _certificate_signed(arguments: Arguments) -> OwnCall:
    return OwnCall("CertificateSigned", {"certificateChain": arguments.text("chain")})


def _connector(arguments: Arguments) -> Payload:
    return {**arguments.numbers_in(evse="connectorId")}


def _retries(arguments: Arguments) -> Payload:
    return {**arguments.numbers_in(retries="retries", retry_interval="retryInterval")}


_BUILDERS: dict[str, Callable[[Arguments], OwnCall]] = {
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
    "clear-cache": _clear_cache,
    "data-transfer": _data_transfer,
    "get-diagnostics": _get_diagnostics,
    "update-firmware": _update_firmware,
    "send-local-list": _send_local_list,
    "get-local-list-version": _get_local_list_version,
    "reserve": _reserve,
    "cancel-reservation": _cancel_reservation,
    "clear-profile": _clear_profile,
    "clear-lease": _clear_lease,
    "get-composite-schedule": _get_composite_schedule,
    "get-log": _get_log,
    "install-certificate": _install_certificate,
    "delete-certificate": _delete_certificate,
    "get-certificates": _get_certificates,
    "certificate-signed": _certificate_signed,
}
