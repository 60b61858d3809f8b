"""The variables of a simulated OCPP 2 station, by names as ``OCPPCommCtrlr.MessageAttempts[TransactionEvent]``."""

from __future__ import annotations

from typing import Any

READ_ONLY = frozenset(
    {"SmartChargingCtrlr.RateUnit", "SmartChargingCtrlr.ProfileStackLevel", "LocalAuthListCtrlr.ItemsPerMessage"}
)
# What the station itself asks for, by its name in OCPP 1.6.
_NUMBERS = {
    "HeartbeatInterval": "OCPPCommCtrlr.HeartbeatInterval",
    "MeterValueSampleInterval": "SampledDataCtrlr.TxUpdatedInterval",
    "SendLocalListMaxLength": "LocalAuthListCtrlr.ItemsPerMessage",
    "TransactionMessageAttempts": "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
}


class DeviceModel:
    """``values`` by name. A station takes the place of a 1.6 configuration with it."""

    def __init__(self, faults: frozenset[str] = frozenset(), *, sample_s: int = 10) -> None:
        self.faults = faults
        self.values = {
            "AlignedDataCtrlr.Interval": "0",
            "AuthCtrlr.AuthorizeRemoteStart": "false",
            "AuthCtrlr.LocalAuthorizeOffline": "true",
            "AuthCtrlr.LocalPreAuthorize": "false",
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": "false",
            "ClockCtrlr.TimeSource": "Heartbeat",
            "LocalAuthListCtrlr.Enabled": "true",
            "LocalAuthListCtrlr.ItemsPerMessage": "50",
            "OCPPCommCtrlr.HeartbeatInterval": "300",
            "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "60",
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
            "OCPPCommCtrlr.OfflineThreshold": "60",
            "OCPPCommCtrlr.WebSocketPingInterval": "30",
            "SampledDataCtrlr.TxEndedMeasurands": "Energy.Active.Import.Register",
            "SampledDataCtrlr.TxStartedMeasurands": "Energy.Active.Import.Register",
            "SampledDataCtrlr.TxUpdatedInterval": str(sample_s),
            "SampledDataCtrlr.TxUpdatedMeasurands": "Energy.Active.Import.Register,Power.Active.Import,Current.Import",
            "SmartChargingCtrlr.Enabled": "true",
            "SmartChargingCtrlr.ProfileStackLevel": "8",
            "SmartChargingCtrlr.RateUnit": "A,W",
            "TxCtrlr.EVConnectionTimeOut": "60",
            "TxCtrlr.StopTxOnEVSideDisconnect": "true",
            "TxCtrlr.StopTxOnInvalidId": "true",
        }

    def number(self, key: str) -> int:
        return int(self.values[_NUMBERS.get(key, key)])

    def set_heartbeat(self, seconds: int) -> None:
        self.values["OCPPCommCtrlr.HeartbeatInterval"] = str(seconds)

    def get(self, entry: dict[str, Any]) -> dict[str, Any]:
        """One result of GetVariables."""
        name = name_of(entry)
        asked = {"component": entry["component"], "variable": entry["variable"]}
        if name not in self.values:
            return {"attributeStatus": "UnknownVariable", **asked}
        return {"attributeStatus": "Accepted", "attributeValue": self.values[name], **asked}

    def set(self, entry: dict[str, Any]) -> dict[str, Any]:
        """One result of SetVariables."""
        name = name_of(entry)
        status = "UnknownVariable"
        if name in self.values:
            status = "Rejected" if name in READ_ONLY or "rejects-writes" in self.faults else "Accepted"
        if status == "Accepted":
            self.values[name] = entry["attributeValue"]
        return {"attributeStatus": status, "component": entry["component"], "variable": entry["variable"]}

    def report(self) -> list[dict[str, Any]]:
        """Everything, as NotifyReport tells it."""
        return [entry_of(name, value) for name, value in sorted(self.values.items())]


def name_of(entry: dict[str, Any]) -> str:
    """What an entry with ``component`` and ``variable`` is about."""
    variable = entry["variable"]
    instance = f"[{variable['instance']}]" if "instance" in variable else ""
    return f"{entry['component']['name']}.{variable['name']}{instance}"


def entry_of(name: str, value: str) -> dict[str, Any]:
    """A variable as NotifyReport tells it."""
    component, _, variable = name.partition(".")
    variable, _, instance = variable.partition("[")
    named = {"name": variable} | ({"instance": instance.rstrip("]")} if instance else {})
    mutability = "ReadOnly" if name in READ_ONLY else "ReadWrite"
    return {
        "component": {"name": component},
        "variable": named,
        "variableAttribute": [{"type": "Actual", "value": value, "mutability": mutability}],
        "variableCharacteristics": {"dataType": "string", "supportsMonitoring": False},
    }
