"""What OCPP 2.1 adds to 2.0.1.

Left out on purpose, and answered NotSupported: GetCertificateChainStatus and VatNumberValidation, which ask for what only an
office can know, and the calls that a server sends.
"""

from __future__ import annotations

from edgectl.ocpp.frames import DIALECT_21
from edgectl.ocpp.v201.edition import FIXED_ANSWERS, READERS, Edition, Reader
from edgectl.ocpp.v201.notifications import listed, noted

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
    "PullDynamicScheduleUpdate": noted("schedule-pull", profile="chargingProfileId"),
    "ReportDERControl": noted("der-report", request="requestId", more="tbc", curve="curve"),
}

EDITION_21 = Edition(
    name="2.1",
    dialect=DIALECT_21,
    schema_package="ocpp.v21.schemas",
    id_token_max_chars=255,
    has_offline_duration=True,
    readers=READERS | _NEW_READERS,
    fixed_answers=FIXED_ANSWERS
    | {
        # We set no monitor that streams and no dynamic profile, so there is nothing to open and nothing to pull.
        "OpenPeriodicEventStream": {"status": "Rejected"},
        "PullDynamicScheduleUpdate": {"status": "Rejected"},
    },
)
