"""What a 1.6 charger sends, as events.

Rule: a message that carries billing data always becomes an event, whatever is wrong inside; the bad part is named in a sample's
``dropped``. Other messages are refused only when they make no sense without the missing field.
"""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.events import (
    Call,
    CertificateRequested,
    ChargerBooted,
    ChargerNotified,
    ConnectorStatus,
    Event,
    HeartbeatReceived,
    MeterValuesReported,
    StatusReported,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import IdToken, TransactionRef
from edgectl.domain.units import UtcMillis, WattHours
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.fields import id_of, pairs_of, text_of, whole_of
from edgectl.ocpp.frames import Fault, Payload
from edgectl.ocpp.meter_values import quarantine
from edgectl.ocpp.timestamps import read_timestamp
from edgectl.ocpp.v16.meter_values import read_samples

_STATUSES = {
    "available": ConnectorStatus.AVAILABLE,
    "preparing": ConnectorStatus.PREPARING,
    "charging": ConnectorStatus.CHARGING,
    "suspendedevse": ConnectorStatus.SUSPENDED_EVSE,
    "suspendedev": ConnectorStatus.SUSPENDED_EV,
    "finishing": ConnectorStatus.FINISHING,
    "reserved": ConnectorStatus.RESERVED,
    "unavailable": ConnectorStatus.UNAVAILABLE,
    "faulted": ConnectorStatus.FAULTED,
}


def authorize(call: Call, payload: Payload) -> Event | DecodeProblem:
    token = _token(payload)
    if token is None:
        return DecodeProblem(Fault.MISSING, "idTag is missing")
    return TokenPresented(call, token)


def boot_notification(call: Call, payload: Payload) -> Event | DecodeProblem:
    # Refusing a boot locks the charger out, so a missing vendor or model is an empty one.
    return ChargerBooted(
        call,
        vendor=text_of(payload.get("chargePointVendor"), 50) or "",
        model=text_of(payload.get("chargePointModel"), 50) or "",
        serial=text_of(payload.get("chargePointSerialNumber"), 50) or text_of(payload.get("chargeBoxSerialNumber"), 50),
        firmware=text_of(payload.get("firmwareVersion"), 50),
    )


def heartbeat(call: Call, _payload: Payload) -> Event | DecodeProblem:
    return HeartbeatReceived(call)


def status_notification(call: Call, payload: Payload) -> Event | DecodeProblem:
    evse_number = whole_of(payload.get("connectorId"))
    if evse_number is None or evse_number < 0:
        return DecodeProblem(Fault.MISSING, "connectorId is missing")
    status = text_of(payload.get("status"), 50)
    if status is None:
        return DecodeProblem(Fault.MISSING, "status is missing")
    error_code = text_of(payload.get("errorCode"), 50)
    return StatusReported(
        call,
        evse_number=evse_number,
        connector_number=1 if evse_number else 0,
        status=_STATUSES.get(status.replace("_", "").casefold(), ConnectorStatus.UNKNOWN),
        error_code=None if error_code is None or error_code.casefold() == "noerror" else error_code,
        info=text_of(payload.get("info"), 50) or text_of(payload.get("vendorErrorCode"), 50),
        reported_utc_ms=read_timestamp(payload.get("timestamp")),
    )


def meter_values(call: Call, payload: Payload) -> Event | DecodeProblem:
    complaints: list[str] = []
    evse_number = _evse_number(payload, complaints)
    return MeterValuesReported(
        call,
        evse_number=evse_number,
        transaction=_transaction(payload, complaints),
        samples=read_samples(payload.get("meterValue")) + quarantine(complaints),
    )


def start_transaction(call: Call, payload: Payload) -> Event | DecodeProblem:
    complaints: list[str] = []
    return TransactionStarted(
        call,
        evse_number=_evse_number(payload, complaints),
        connector_number=1,
        token=_token(payload),
        meter_start_wh=_register(payload, "meterStart", complaints),
        reported_utc_ms=_moment(payload, complaints),
        reservation_number=whole_of(payload.get("reservationId")),  # with a bad one the token says whose place it was
        samples=quarantine(complaints),
    )


def stop_transaction(call: Call, payload: Payload) -> Event | DecodeProblem:
    complaints: list[str] = []
    return TransactionEnded(
        call,
        transaction=_transaction(payload, complaints),
        token=_token(payload),
        meter_stop_wh=_register(payload, "meterStop", complaints),
        reported_utc_ms=_moment(payload, complaints),
        reason=text_of(payload.get("reason"), 50) or "Local",  # §6.49: absent means Local
        samples=read_samples(payload.get("transactionData")) + quarantine(complaints),
    )


def data_transfer(call: Call, payload: Payload) -> Event | DecodeProblem:
    vendor = text_of(payload.get("vendorId"), 255)
    if vendor is None:
        return DecodeProblem(Fault.MISSING, "vendorId is missing")
    return ChargerNotified(call, "data-transfer", pairs_of(payload, vendor="vendorId", message="messageId", data="data"))


def diagnostics_status(call: Call, payload: Payload) -> Event | DecodeProblem:
    return ChargerNotified(call, "diagnostics-status", pairs_of(payload, status="status"))


def firmware_status(call: Call, payload: Payload) -> Event | DecodeProblem:
    return ChargerNotified(call, "firmware-status", pairs_of(payload, status="status", request="requestId"))


def log_status(call: Call, payload: Payload) -> Event | DecodeProblem:
    return ChargerNotified(call, "log-status", pairs_of(payload, status="status", request="requestId"))


def security_event(call: Call, payload: Payload) -> Event | DecodeProblem:
    return ChargerNotified(call, "security-event", pairs_of(payload, type="type", at="timestamp", info="techInfo"))


def sign_certificate(call: Call, payload: Payload) -> Event | DecodeProblem:
    csr = payload.get("csr")
    if not isinstance(csr, str) or not csr:
        return DecodeProblem(Fault.MISSING, "csr is missing")
    return CertificateRequested(call, csr)  # whole: what is too long is for the authority to say


READERS: dict[str, Callable[[Call, Payload], Event | DecodeProblem]] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": diagnostics_status,
    "FirmwareStatusNotification": firmware_status,
    "Heartbeat": heartbeat,
    "LogStatusNotification": log_status,
    "MeterValues": meter_values,
    "SecurityEventNotification": security_event,
    "SignCertificate": sign_certificate,
    "SignedFirmwareStatusNotification": firmware_status,
    "StartTransaction": start_transaction,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}


def _token(payload: Payload) -> IdToken | None:
    token = text_of(payload.get("idTag"), 255)
    return None if token is None else IdToken(token)


def _transaction(payload: Payload, complaints: list[str]) -> TransactionRef | None:
    """The id as text, -1 and 0 included: chargers use them for transactions whose start we have not answered."""
    raw = payload.get("transactionId")
    transaction = id_of(raw)
    if raw is not None and transaction is None:
        complaints.append("transactionId")
    return None if transaction is None else TransactionRef(transaction)


def _evse_number(payload: Payload, complaints: list[str]) -> int:
    number = whole_of(payload.get("connectorId"))
    if number is None or number < 0:
        complaints.append("connectorId")
        return 0
    return number


def _register(payload: Payload, name: str, complaints: list[str]) -> WattHours | None:
    """A register as it is, negative ones included; judging it is the core's business."""
    value = whole_of(payload.get(name))
    if value is None:
        complaints.append(name)
    return value


def _moment(payload: Payload, complaints: list[str]) -> UtcMillis | None:
    moment = read_timestamp(payload.get("timestamp"))
    if moment is None:
        complaints.append("timestamp")
    return moment
