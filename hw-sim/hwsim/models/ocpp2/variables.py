"""The variables of a simulated OCPP 2 station (2.0.1 Part 2, appendix 3): name, first value, kind of value, who may write it."""

from __future__ import annotations

from dataclasses import dataclass

READ_ONLY, READ_WRITE, WRITE_ONLY = "ReadOnly", "ReadWrite", "WriteOnly"

MEASURANDS = {
    "2.0.1": (
        "Current.Import", "Current.Offered", "Energy.Active.Import.Register", "Power.Active.Import", "SoC", "Voltage",
    ),
    "2.1": (
        "Current.Import", "Current.Import.Offered", "Current.Offered", "Energy.Active.Import.Register", "Power.Active.Import",
        "SoC", "Voltage",
    ),
}  # fmt: skip
"""What it can measure; ``Current.Offered`` is kept in 2.1 beside its new name."""
_ENERGY = "Energy.Active.Import.Register"
_ALL = f"{_ENERGY},Power.Active.Import,SoC,Current.Offered,Current.Import"


@dataclass
class Variable:
    """One variable. ``name`` is written ``Component[instance]@evse:connector.Variable[instance]``."""

    name: str
    value: str
    kind: str = "string"
    mutability: str = READ_ONLY
    unit: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    """For lists: what their members may be."""
    needs_reboot: bool = False


def _flags(*names: str) -> list[Variable]:
    return [Variable(name, value, "boolean", READ_WRITE) for name, _, value in (one.partition("=") for one in names)]


def _seconds(*names: str) -> list[Variable]:
    return [
        Variable(name, value, "integer", READ_WRITE, "s", 0, 86_400) for name, _, value in (one.partition("=") for one in names)
    ]


def _numbers(*names: str) -> list[Variable]:
    return [
        Variable(name, value, "integer", READ_WRITE, "", 0, 1_000) for name, _, value in (one.partition("=") for one in names)
    ]


def _facts(*names: str) -> list[Variable]:
    """Numbers and flags that nobody writes."""
    found = []
    for name, _, value in (one.partition("=") for one in names):
        found.append(Variable(name, value, "boolean" if value in {"true", "false"} else "integer"))
    return found


def _measurands(version: str, *names: str) -> list[Variable]:
    choices = MEASURANDS[version]
    pairs = [one.partition("=") for one in names]
    return [Variable(name, value, "MemberList", READ_WRITE, choices=choices) for name, _, value in pairs]


def controllers(version: str, sample_s: int) -> list[Variable]:
    """Those of the controllers, which every station has in the same way."""
    return [
        *_communication(),
        *_transactions(),
        *_meter_values(version, sample_s),
        *_authorisation(),
        *_charging(),
        *_flags("SecurityCtrlr.AdditionalRootCertificateCheck=false"),
        *_facts("SecurityCtrlr.CertificateEntries=10", "SecurityCtrlr.SecurityProfile=0"),
        Variable("SecurityCtrlr.BasicAuthPassword", "", mutability=WRITE_ONLY),
        Variable("SecurityCtrlr.OrganizationName", "Simulated", mutability=READ_WRITE),
        *_flags("MonitoringCtrlr.Enabled=true", "ReservationCtrlr.Enabled=true"),
        *_facts("MonitoringCtrlr.Available=true", "ReservationCtrlr.Available=true", "ReservationCtrlr.NonEvseSpecific=true"),
        *_facts(
            "DeviceDataCtrlr.ItemsPerMessage[GetReport]=50", "DeviceDataCtrlr.ItemsPerMessage[GetVariables]=20",
            "DeviceDataCtrlr.ItemsPerMessage[SetVariables]=20", "DeviceDataCtrlr.BytesPerMessage[GetReport]=65000",
            "DeviceDataCtrlr.BytesPerMessage[GetVariables]=65000", "DeviceDataCtrlr.BytesPerMessage[SetVariables]=65000",
        ),
        Variable("ClockCtrlr.DateTime", "", "dateTime"),
        Variable("ClockCtrlr.TimeSource", "Heartbeat", "SequenceList", READ_WRITE, choices=("Heartbeat", "NTP", "RealTimeClock")),
    ]  # fmt: skip


def _communication() -> list[Variable]:
    return [
        *_seconds(
            "OCPPCommCtrlr.HeartbeatInterval=300", "OCPPCommCtrlr.WebSocketPingInterval=60",
            "OCPPCommCtrlr.OfflineThreshold=60", "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]=60",
            "OCPPCommCtrlr.RetryBackOffWaitMinimum=10", "OCPPCommCtrlr.RetryBackOffRandomRange=10",
        ),
        *_numbers(
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]=3", "OCPPCommCtrlr.RetryBackOffRepeatTimes=5",
            "OCPPCommCtrlr.NetworkProfileConnectionAttempts=3", "OCPPCommCtrlr.ResetRetries=1",
        ),
        *_flags("OCPPCommCtrlr.QueueAllMessages=false", "OCPPCommCtrlr.UnlockOnEVSideDisconnect=true"),
        *_facts("OCPPCommCtrlr.ActiveNetworkProfile=1", "OCPPCommCtrlr.MessageTimeout[Default]=30"),
        Variable("OCPPCommCtrlr.FileTransferProtocols", "HTTP,HTTPS", "MemberList"),
        Variable(
            "OCPPCommCtrlr.NetworkConfigurationPriority", "1", "SequenceList", READ_WRITE, choices=("1", "2"), needs_reboot=True
        ),
    ]  # fmt: skip


def _transactions() -> list[Variable]:
    points = ("EVConnected", "PowerPathClosed")
    return [
        *_seconds("TxCtrlr.EVConnectionTimeOut=60"),
        *_flags("TxCtrlr.StopTxOnEVSideDisconnect=true", "TxCtrlr.StopTxOnInvalidId=true"),
        *_facts("TxCtrlr.TxBeforeAcceptedEnabled=false"),
        Variable("TxCtrlr.TxStartPoint", "PowerPathClosed", "MemberList", READ_WRITE, choices=points),
        Variable("TxCtrlr.TxStopPoint", "Authorized,EVConnected", "MemberList"),
    ]


def _meter_values(version: str, sample_s: int) -> list[Variable]:
    return [
        *_seconds(f"SampledDataCtrlr.TxUpdatedInterval={sample_s}", "SampledDataCtrlr.TxEndedInterval=0"),
        *_measurands(
            version, f"SampledDataCtrlr.TxUpdatedMeasurands={_ALL}", f"SampledDataCtrlr.TxStartedMeasurands={_ENERGY}",
            f"SampledDataCtrlr.TxEndedMeasurands={_ENERGY}",
        ),
        *_flags("SampledDataCtrlr.Enabled=true", "AlignedDataCtrlr.Enabled=true", "AlignedDataCtrlr.SendDuringIdle=false"),
        *_facts("SampledDataCtrlr.Available=true", "AlignedDataCtrlr.Available=true"),
        *_seconds("AlignedDataCtrlr.Interval=0", "AlignedDataCtrlr.TxEndedInterval=0"),
        *_measurands(version, f"AlignedDataCtrlr.Measurands={_ENERGY}", "AlignedDataCtrlr.TxEndedMeasurands="),
    ]  # fmt: skip


def _authorisation() -> list[Variable]:
    return [
        *_flags(
            "AuthCtrlr.Enabled=true", "AuthCtrlr.AuthorizeRemoteStart=true", "AuthCtrlr.LocalAuthorizeOffline=true",
            "AuthCtrlr.LocalPreAuthorize=false", "AuthCtrlr.OfflineTxForUnknownIdEnabled=false",
            "AuthCacheCtrlr.Enabled=false", "LocalAuthListCtrlr.Enabled=true",
        ),
        *_facts(
            "AuthCacheCtrlr.Available=true", "LocalAuthListCtrlr.Available=true", "LocalAuthListCtrlr.Entries=0",
            "LocalAuthListCtrlr.ItemsPerMessage=100", "LocalAuthListCtrlr.BytesPerMessage=65000",
        ),
    ]  # fmt: skip


def _charging() -> list[Variable]:
    return [
        *_flags("SmartChargingCtrlr.Enabled=true"),
        *_facts(
            "SmartChargingCtrlr.Available=true", "SmartChargingCtrlr.ProfileStackLevel=8",
            "SmartChargingCtrlr.PeriodsPerSchedule=24", "SmartChargingCtrlr.Entries[ChargingProfiles]=32",
            "SmartChargingCtrlr.Phases3to1=false",
        ),
        Variable("SmartChargingCtrlr.LimitChangeSignificance", "1", "decimal", READ_WRITE, "Percent", 0, 100),
        Variable("SmartChargingCtrlr.RateUnit", "A,W", "MemberList"),
    ]  # fmt: skip


def equipment(identity: str, vendor: str, model: str, firmware: str, evse_count: int, rating_w: int) -> list[Variable]:
    """Those of the station itself, its EVSEs and connectors."""
    found = [
        Variable("ChargingStation.VendorName", vendor),
        Variable("ChargingStation.Model", model),
        Variable("ChargingStation.SerialNumber", identity[:25]),
        Variable("ChargingStation.FirmwareVersion", firmware),
        *_facts("ChargingStation.Available=true", "ChargingStation.Problem=false", "ChargingStation.SupplyPhases=3"),
        Variable("ChargingStation.AvailabilityState", "Available", "OptionList"),
    ]
    for number in range(1, evse_count + 1):
        found += [
            *_facts(f"EVSE@{number}.Available=true", f"EVSE@{number}.SupplyPhases=3"),
            Variable(f"EVSE@{number}.AvailabilityState", "Available", "OptionList"),
            Variable(f"EVSE@{number}.Power", "0", "decimal", unit="W", most=rating_w),
            *_facts(f"Connector@{number}:1.Available=true"),
            Variable(f"Connector@{number}:1.AvailabilityState", "Available", "OptionList"),
            Variable(f"Connector@{number}:1.ConnectorType", "cType2"),
        ]
    return found
