"""The configuration keys of a simulated OCPP 1.6 charge point (chapter 9 of the standard)."""

from __future__ import annotations

from typing import Any

READ_ONLY = frozenset(
    {
        "ChargeProfileMaxStackLevel",
        "ChargingScheduleAllowedChargingRateUnit",
        "ChargingScheduleMaxPeriods",
        "GetConfigurationMaxKeys",
        "LocalAuthListMaxLength",
        "MaxChargingProfilesInstalled",
        "NumberOfConnectors",
        "ReserveConnectorZeroSupported",
        "SendLocalListMaxLength",
        "SupportedFeatureProfiles",
    }
)
WHOLE_NUMBERS = frozenset(
    {
        "ClockAlignedDataInterval",
        "ConnectionTimeOut",
        "HeartbeatInterval",
        "MeterValueSampleInterval",
        "ResetRetries",
        "TransactionMessageAttempts",
        "TransactionMessageRetryInterval",
        "WebSocketPingInterval",
    }
)


class Configuration:
    """Key and value, as text. ``get`` answers GetConfiguration, ``change`` ChangeConfiguration."""

    def __init__(self, faults: frozenset[str] = frozenset(), **differences: str) -> None:
        self.faults = faults
        self.values = {
            "AuthorizeRemoteTxRequests": "false",
            "ChargeProfileMaxStackLevel": "8",
            "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
            "ChargingScheduleMaxPeriods": "24",
            "ClockAlignedDataInterval": "0",
            "ConnectionTimeOut": "60",
            "GetConfigurationMaxKeys": "50",
            "HeartbeatInterval": "300",
            "LocalAuthListEnabled": "true",
            "LocalAuthListMaxLength": "1000",
            "LocalAuthorizeOffline": "true",
            "LocalPreAuthorize": "false",
            "MaxChargingProfilesInstalled": "32",
            "MeterValueSampleInterval": "10",
            "MeterValuesAlignedData": "",
            "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,SoC,Current.Offered,Current.Import",
            "NumberOfConnectors": "1",
            "ReserveConnectorZeroSupported": "false",
            "ResetRetries": "1",
            "SendLocalListMaxLength": "100",
            "StopTransactionOnEVSideDisconnect": "true",
            "StopTransactionOnInvalidId": "true",
            "SupportedFeatureProfiles": "Core,LocalAuthListManagement,RemoteTrigger,Reservation,SmartCharging",
            "TransactionMessageAttempts": "10",
            "TransactionMessageRetryInterval": "20",
            "UnlockConnectorOnEVSideDisconnect": "true",
            "WebSocketPingInterval": "30",
            **differences,
        }
        if "own-spelling" in faults:
            self.values["ConnectionTimeout"] = self.values.pop("ConnectionTimeOut")
        if "four-keys" in faults:
            self.values["GetConfigurationMaxKeys"] = "4"
        if "long-values" in faults:
            self.values["VendorPages"] = "/".join(["https://simulated.example"] * 36)
        if "list-of-five" in faults:
            self.values["SendLocalListMaxLength"] = "5"

    def number(self, key: str) -> int:
        return int(self.values[key])

    def get(self, wanted: list[str]) -> dict[str, Any]:
        names = {name.lower(): name for name in self.values}
        known = sorted(self.values) if not wanted else [names[key.lower()] for key in wanted if key.lower() in names]
        answer: dict[str, Any] = {
            "configurationKey": [{"key": key, "readonly": key in READ_ONLY, "value": self.values[key]} for key in known]
        }
        unknown = [key for key in wanted if key.lower() not in names]
        if unknown:
            answer["unknownKey"] = unknown
        return answer

    def change(self, key: str, value: str) -> str:
        """``Accepted``, ``Rejected`` or ``NotSupported``."""
        if key not in self.values:
            return "NotSupported"
        if "rejects-writes" in self.faults or ("one-bad-measurand" in self.faults and "Voltage" in value):
            return "Rejected"
        if key in READ_ONLY or (key in WHOLE_NUMBERS and not (value.isascii() and value.isdecimal())):
            return "Rejected"
        self.values[key] = value
        return "Accepted"
