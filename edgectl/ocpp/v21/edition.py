"""What OCPP 2.1 adds to 2.0.1.

Left out on purpose, and answered NotSupported: GetCertificateChainStatus and VatNumberValidation, which ask for what only an
office can know, and the calls that a server sends.
"""

from __future__ import annotations

from edgectl.domain.events import Call, Event, SchedulePulled
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.fields import whole_of
from edgectl.ocpp.frames import DIALECT_21, Fault, Payload
from edgectl.ocpp.profiles import evse_of
from edgectl.ocpp.v201.edition import FIXED_ANSWERS, READERS, Edition, Reader
from edgectl.ocpp.v201.notifications import listed, noted


def _schedule_pulled(call: Call, payload: Payload) -> Event | DecodeProblem:
    number = whole_of(payload.get("chargingProfileId"))
    if number is None:
        return DecodeProblem(Fault.MISSING, "chargingProfileId is missing")
    return SchedulePulled(call, evse_of(number))


_NEW_READERS: dict[str, Reader] = {
    "BatterySwap": listed("battery-swap", "battery", "batteryData", type="eventType", request="requestId"),
    "ClosePeriodicEventStream": noted("event-stream-closed", stream="id"),
    "NotifyDERAlarm": noted(
        "der-alarm", control="controlType", fault="gridEventFault", ended="alarmEnded", at="timestamp", info="extraInfo"
    ),
    "NotifyDERStartStop": noted(
        "der-control", control="controlId", started="started", at="timestamp", superseded="supersededIds"
    ),
    "NotifyPeriodicEventStream": noted("event-stream", stream="id", pending="pending", base="basetime", data="data"),
    "NotifyPriorityCharging": noted("priority-charging", transaction="transactionId", activated="activated"),
    "NotifySettlement": noted(
        "settlement",
        transaction="transactionId",
        reference="pspRef",
        status="status",
        amount="settlementAmount",
        at="settlementTime",
        receipt="receiptId",
    ),
    "NotifyWebPaymentStarted": noted("web-payment-started", evse="evseId", timeout="timeout"),
    "OpenPeriodicEventStream": noted("event-stream-opened", stream="constantStreamData"),
    "PullDynamicScheduleUpdate": _schedule_pulled,
    "ReportDERControl": noted("der-report", request="requestId", more="tbc", curve="curve"),
}

EDITION_21 = Edition(
    name="2.1",
    dialect=DIALECT_21,
    schema_package="ocpp.v21.schemas",
    id_token_max_chars=255,
    has_offline_duration=True,
    has_dynamic_profiles=True,
    readers=READERS | _NEW_READERS,
    fixed_answers=FIXED_ANSWERS
    | {
        # We set no monitor that streams, so there is nothing to open.
        "OpenPeriodicEventStream": {"status": "Rejected"},
    },
)
