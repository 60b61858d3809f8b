"""What a charger's configuration should be, as two tables, and when a value it has is as good."""

from __future__ import annotations

from dataclasses import dataclass

MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "Current.Offered",
    "SoC",
)
"""What is sampled while charging, most important first: a charger may take a shorter list only."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One key and its value."""

    key: str
    value: str
    why: str
    is_at_least: bool = False
    """A larger number is as good."""
    is_probed: bool = False
    """A list of which each member may be refused: if the whole is, its members are tried one by one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the tables take from the site."""

    heartbeat_s: int = 300
    sample_s: int = 10
    lets_unknown_charge_offline: bool = False
    lets_known_charge_offline: bool = True
    master_group: str | None = None
    """Whose tokens end anybody's transaction."""


def wanted_16(policy: Policy) -> tuple[Wanted, ...]:
    """OCPP 1.6 configuration keys (§9; 1.6 J §6 for the ping)."""
    known, unknown = _flag(policy.lets_known_charge_offline), _flag(policy.lets_unknown_charge_offline)
    return (
        Wanted("HeartbeatInterval", str(policy.heartbeat_s), "sets its clock"),
        Wanted("WebSocketPingInterval", "30", "it finds a dead link by itself"),
        Wanted("MeterValueSampleInterval", str(policy.sample_s), "what the control loop sees"),
        Wanted("MeterValuesSampledData", ",".join(MEASURANDS), "what the control loop sees", is_probed=True),
        Wanted("ClockAlignedDataInterval", "900", "reconstructs an outage"),
        Wanted("MeterValuesAlignedData", MEASURANDS[0], "reconstructs an outage"),
        Wanted("StopTxnSampledData", "", "long stop messages are dropped by some chargers"),
        Wanted("StopTxnAlignedData", "", "long stop messages are dropped by some chargers"),
        Wanted("ConnectionTimeOut", "90", "time to plug in after a card"),
        Wanted("LocalAuthorizeOffline", known, "the site's offline policy"),
        Wanted("LocalPreAuthorize", known, "known drivers need not wait, where the list alone may let them in"),
        Wanted("AllowOfflineTxForUnknownId", unknown, "the site's offline policy"),
        Wanted("LocalAuthListEnabled", "true", "known drivers charge without us"),
        Wanted("StopTransactionOnInvalidId", "true", "a refused driver does not charge on"),
        Wanted("StopTransactionOnEVSideDisconnect", "true", "a session ends with its cable"),
        Wanted("UnlockConnectorOnEVSideDisconnect", "true", "nobody's cable stays locked"),
        Wanted("AuthorizeRemoteTxRequests", "false", "we have asked already"),
        Wanted("TransactionMessageAttempts", "10", "billing data is not given up after one try", is_at_least=True),
        Wanted("TransactionMessageRetryInterval", "20", "billing data is tried again in time"),
        Wanted("MinimumStatusDuration", "2", "states that flicker are not sent"),
    )


def wanted_2(policy: Policy) -> tuple[Wanted, ...]:
    """Variables of the OCPP 2 device model (2.0.1 Part 2, appendix)."""
    known, unknown = _flag(policy.lets_known_charge_offline), _flag(policy.lets_unknown_charge_offline)
    master = (
        () if policy.master_group is None else (Wanted("AuthCtrlr.MasterPassGroupId", policy.master_group, "ends any session"),)
    )
    return (
        Wanted("OCPPCommCtrlr.HeartbeatInterval", str(policy.heartbeat_s), "sets its clock"),
        Wanted("OCPPCommCtrlr.WebSocketPingInterval", "30", "it finds a dead link by itself"),
        Wanted("OCPPCommCtrlr.OfflineThreshold", "120", "after a longer outage it tells the state of every connector"),
        Wanted("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "10", "billing data is not given up", is_at_least=True),
        Wanted("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]", "20", "billing data is tried again in time"),
        Wanted("OCPPCommCtrlr.RetryBackOffWaitMinimum", "5", "it is back soon"),
        Wanted("OCPPCommCtrlr.RetryBackOffRandomRange", "10", "they do not all come back at once"),
        Wanted("OCPPCommCtrlr.RetryBackOffRepeatTimes", "3", "it is back soon"),
        Wanted("OCPPCommCtrlr.QueueAllMessages", "false", "old states are not worth a queue"),
        Wanted("TxCtrlr.EVConnectionTimeOut", "90", "time to plug in after a card"),
        Wanted("TxCtrlr.StopTxOnInvalidId", "true", "a refused driver does not charge on"),
        Wanted("TxCtrlr.StopTxOnEVSideDisconnect", "true", "a session ends with its cable"),
        Wanted("SampledDataCtrlr.TxUpdatedInterval", str(policy.sample_s), "what the control loop sees"),
        Wanted("SampledDataCtrlr.TxUpdatedMeasurands", ",".join(MEASURANDS), "what the control loop sees", is_probed=True),
        Wanted("SampledDataCtrlr.TxStartedMeasurands", MEASURANDS[0], "what is billed"),
        Wanted("SampledDataCtrlr.TxEndedMeasurands", MEASURANDS[0], "what is billed"),
        Wanted("AlignedDataCtrlr.Interval", "900", "reconstructs an outage"),
        Wanted("AuthCtrlr.LocalAuthorizeOffline", known, "the site's offline policy"),
        Wanted("AuthCtrlr.LocalPreAuthorize", known, "known drivers need not wait, where the list alone may let them in"),
        Wanted("AuthCtrlr.OfflineTxForUnknownIdEnabled", unknown, "the site's offline policy"),
        Wanted("AuthCtrlr.AuthorizeRemoteStart", "false", "we have asked already"),
        *master,
        Wanted("LocalAuthListCtrlr.Enabled", "true", "known drivers charge without us"),
        Wanted("SmartChargingCtrlr.Enabled", "true", "without it there are no limits"),
    )


FACTS = frozenset(
    {
        "chargeprofilemaxstacklevel", "chargingscheduleallowedchargingrateunit", "chargingschedulemaxperiods",
        "connectorphaserotation", "connectorswitch3to1phasesupported", "cponame", "getconfigurationmaxkeys",
        "localauthlistmaxlength", "maxchargingprofilesinstalled", "metervaluessampleddatamaxlength", "numberofconnectors",
        "securityprofile", "sendlocallistmaxlength", "supportedfeatureprofiles", "reserveconnectorzerosupported",
        "smartchargingctrlr.rateunit", "smartchargingctrlr.profilestacklevel", "smartchargingctrlr.periodsperschedule",
        "smartchargingctrlr.entries[chargingprofiles]", "smartchargingctrlr.phases3to1",
        "smartchargingctrlr.acphaseswitchingsupported", "smartchargingctrlr.limitchangesignificance",
        "localauthlistctrlr.entries", "localauthlistctrlr.itemspermessage", "localauthlistctrlr.bytespermessage",
        "devicedatactrlr.itemspermessage[getvariables]",
        "devicedatactrlr.itemspermessage[setvariables]", "securityctrlr.securityprofile", "clockctrlr.timesource",
    }
)  # fmt: skip
"""What is worth knowing of a charger and is never written, folded."""


def is_as_good(wanted: Wanted, found: str | None) -> bool:
    """Whether a value the charger has needs no change: numbers as numbers, flags as flags, lists as sets."""
    if found is None:
        return False
    if wanted.is_probed:
        # A charger that took a part of the list last time has what it can.
        return set(_members(found)) == set(_members(wanted.value))
    number, other = _number(wanted.value), _number(found)
    if number is not None and other is not None:
        return other >= number if wanted.is_at_least else other == number
    if wanted.value in {"true", "false"}:
        return _as_flag(found) == wanted.value
    return _members(found) == _members(wanted.value)


def _members(text: str) -> list[str]:
    return sorted(member.strip().casefold() for member in text.split(",") if member.strip())


def _number(text: str) -> float | None:
    try:
        return float(text.strip())
    except ValueError:
        return None


def _as_flag(text: str) -> str:
    return {"1": "true", "0": "false", "on": "true", "off": "false"}.get(text.strip().casefold(), text.strip().casefold())


def _flag(is_on: bool) -> str:
    return "true" if is_on else "false"
