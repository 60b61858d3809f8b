"""What a station sends and the core acts on, as events.

Rule: a message that carries billing data always becomes an event, whatever is wrong inside; the bad part is named in a sample's
``dropped``. Other messages are refused only when they make no sense without the missing field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgectl.domain.events import (
    Call,
    ChargerBooted,
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
from edgectl.domain.units import UtcMillis
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.fields import id_of, text_of, whole_of
from edgectl.ocpp.frames import Fault, Payload
from edgectl.ocpp.meter_values import quarantine
from edgectl.ocpp.timestamps import read_timestamp
from edgectl.ocpp.v201.meter_values import read_samples, register_at_end, register_at_start

NO_AUTHORIZATION = "NoAuthorization"
"""The type of the empty token of a station that asks nobody, e.g. one with a start button (C02)."""

_STATUSES = {
    "available": ConnectorStatus.AVAILABLE,
    "occupied": ConnectorStatus.OCCUPIED,
    "reserved": ConnectorStatus.RESERVED,
    "unavailable": ConnectorStatus.UNAVAILABLE,
    "faulted": ConnectorStatus.FAULTED,
}
_CHARGING_STATES = {
    "charging": ConnectorStatus.CHARGING,
    "evconnected": ConnectorStatus.PREPARING,
    "suspendedev": ConnectorStatus.SUSPENDED_EV,
    "suspendedevse": ConnectorStatus.SUSPENDED_EVSE,
    "idle": ConnectorStatus.FINISHING,  # no vehicle on the cable: it wants nothing, now or any more
}


def authorize(call: Call, payload: Payload) -> Event | DecodeProblem:
    token = _token(payload)
    if token is None:
        return DecodeProblem(Fault.MISSING, "idToken is missing")
    return TokenPresented(call, token)


def boot_notification(call: Call, payload: Payload) -> Event | DecodeProblem:
    # Refusing a boot locks the station out, so a missing vendor or model is an empty one. Some stations boot in words of 1.6.
    station = _object(payload, "chargingStation", [])
    return ChargerBooted(
        call,
        vendor=text_of(station.get("vendorName"), 50) or text_of(payload.get("chargePointVendor"), 50) or "",
        model=text_of(station.get("model"), 50) or text_of(payload.get("chargePointModel"), 50) or "",
        serial=text_of(station.get("serialNumber"), 50) or text_of(payload.get("chargePointSerialNumber"), 50),
        firmware=text_of(station.get("firmwareVersion"), 50) or text_of(payload.get("firmwareVersion"), 50),
    )


def heartbeat(call: Call, _payload: Payload) -> Event | DecodeProblem:
    return HeartbeatReceived(call)


def status_notification(call: Call, payload: Payload) -> Event | DecodeProblem:
    evse_number = whole_of(payload.get("evseId"))
    if evse_number is None or evse_number < 0:
        return DecodeProblem(Fault.MISSING, "evseId is missing")
    status = text_of(payload.get("connectorStatus"), 50)
    if status is None:
        return DecodeProblem(Fault.MISSING, "connectorStatus is missing")
    connector_number = whole_of(payload.get("connectorId"))
    return StatusReported(
        call,
        evse_number=evse_number,
        connector_number=min(evse_number, 1) if connector_number is None or connector_number < 0 else connector_number,
        status=_STATUSES.get(status.casefold(), ConnectorStatus.UNKNOWN),
        reported_utc_ms=read_timestamp(payload.get("timestamp")),
    )


def meter_values(call: Call, payload: Payload) -> Event | DecodeProblem:
    """Values outside a transaction. EVSE 0 is the station's own main meter."""
    complaints: list[str] = []
    number = _number(payload, "evseId", complaints)
    samples = read_samples(payload.get("meterValue"))
    return MeterValuesReported(call, number or 0, None, samples + quarantine(complaints))


def transaction_event(call: Call, payload: Payload) -> Event | DecodeProblem:
    complaints: list[str] = []
    info = _object(payload, "transactionInfo", complaints)
    transaction = _transaction(info, complaints)
    evse_number, connector_number = _evse(payload, complaints)
    token = _token(payload, complaints)
    sequence_number = _number(payload, "seqNo", complaints)
    is_offline = payload.get("offline") is True or text_of(payload.get("offline"), 4) == "true"
    samples = read_samples(payload.get("meterValue"))
    reservation_number = whole_of(payload.get("reservationId"))
    match text_of(payload.get("eventType"), 10):
        case "Started":
            return TransactionStarted(
                call,
                evse_number=evse_number or 0,
                connector_number=connector_number,
                token=token,
                meter_start_wh=register_at_start(samples),
                reported_utc_ms=_moment(payload, complaints),
                transaction=transaction,
                charging_state=_charging_state(info, complaints),
                samples=samples + quarantine(complaints),
                is_offline=is_offline,
                sequence_number=sequence_number,
                reservation_number=reservation_number,
            )
        case "Ended":
            return TransactionEnded(
                call,
                transaction=transaction,
                token=token,
                meter_stop_wh=register_at_end(samples),
                reported_utc_ms=_moment(payload, complaints),
                reason=text_of(info.get("stoppedReason"), 50) or "Local",  # TransactionType: absent only when Local
                evse_number=evse_number,
                samples=samples + quarantine(complaints),
                is_offline=is_offline,
                sequence_number=sequence_number,
            )
        case "Updated":
            pass
        case _:
            complaints.append("eventType")  # read as Updated: that opens what is open anyway, and ends nothing
    charging_state = _charging_state(info, complaints)
    return MeterValuesReported(
        call,
        evse_number=evse_number or 0,
        transaction=transaction,
        samples=samples + quarantine(complaints),
        charging_state=charging_state,
        token=token,
        is_offline=is_offline,
        sequence_number=sequence_number,
        is_resumed=text_of(payload.get("triggerReason"), 20) == "TxResumed",
        reservation_number=reservation_number,
    )


READERS: dict[str, Callable[[Call, Payload], Event | DecodeProblem]] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "Heartbeat": heartbeat,
    "MeterValues": meter_values,
    "StatusNotification": status_notification,
    "TransactionEvent": transaction_event,
}


def _token(payload: Payload, complaints: list[str] | None = None) -> IdToken | None:
    """The token presented, or None when there is none, or the empty one of a station that asks nobody."""
    raw = payload.get("idToken")
    if raw is None:
        return None
    fields = raw if isinstance(raw, dict) else {"idToken": raw}  # some stations write the bare text
    if fields.get("type") == NO_AUTHORIZATION:
        return None
    token = text_of(fields.get("idToken"), 255)
    if token is None and complaints is not None:
        complaints.append("idToken")
    return None if token is None else IdToken(token)


def _transaction(info: Payload, complaints: list[str]) -> TransactionRef | None:
    transaction = id_of(info.get("transactionId"))
    if transaction is None:
        complaints.append("transactionId")
        return None
    return TransactionRef(transaction)


def _evse(payload: Payload, complaints: list[str]) -> tuple[int | None, int]:
    """EVSE and connector number. Stations name the EVSE once, when it is known; the core knows it from then on."""
    raw = payload.get("evse")
    if raw is None:
        return None, 0
    fields = raw if isinstance(raw, dict) else {"id": raw}
    number = _number(fields, "id", complaints, "evse")
    connector_number = _number(fields, "connectorId", complaints) if "connectorId" in fields else min(number or 0, 1)
    return number, connector_number or 0


def _charging_state(info: Payload, complaints: list[str]) -> ConnectorStatus | None:
    raw = info.get("chargingState")
    if raw is None:
        return None
    state = _CHARGING_STATES.get(raw.casefold()) if isinstance(raw, str) else None
    if state is None:
        complaints.append("chargingState")
    return state


def _number(payload: Payload, key: str, complaints: list[str], name: str | None = None) -> int | None:
    number = whole_of(payload.get(key))
    if number is None or number < 0:
        complaints.append(name or key)
        return None
    return number


def _moment(payload: Payload, complaints: list[str]) -> UtcMillis | None:
    moment = read_timestamp(payload.get("timestamp"))
    if moment is None:
        complaints.append("timestamp")
    return moment


def _object(payload: Payload, key: str, complaints: list[str]) -> dict[str, Any]:
    value = payload.get(key)
    if isinstance(value, dict):
        return value
    complaints.append(key)
    return {}
