"""What real charge points do that they should not. A station takes any of these by name; each has been seen in the field."""

from __future__ import annotations

FAULTS = {
    # charging profiles
    "ignore-profiles": "answers Accepted, but nothing changes",
    "reject-profiles": "Rejected",
    "reject-amps": "Rejected unless the profile is in watts",
    "callerror-profiles": "answers SetChargingProfile with CALLERROR NotImplemented",
    "mute-profiles": "never answers SetChargingProfile",
    "mute": "never answers any call",
    "slow": "answers after 8 s",
    "profile-table-full": "has room for two profiles",
    "obey-late": "follows a new limit after 30 s",
    "overdraw": "draws 10 % more than allowed",
    "whole-amps": "rounds limits down to whole amps",
    "zero-is-six": "cannot pause: a limit of 0 A leaves 6 A",
    "forget-on-disconnect": "loses all profiles with the socket, then full power",
    "forget-on-reboot": "loses the persistent profiles too when its power is cut",
    # transactions
    "repeat-start": "sends StartTransaction again with a new message id",
    "repeat-stop": "sends StopTransaction again with a new message id",
    "same-id-retry": "tries again with the message id of the first attempt",
    "lose-start-answer": "forgets the transaction id it was given, and stops with -1",
    "orphan-stop": "after its first boot stops a transaction that nobody knows",
    "no-transaction-id": "MeterValues without transactionId",
    # what it measures
    "register-resets": "its energy register restarts at 0 with each session",
    "register-backwards": "loses its last 65 Wh or so in a power cut",
    "kwh-floats": "energy in kWh with all the digits of a float",
    "no-currents": "tells energy and power only",
    "charging-at-zero": "keeps the status Charging while paused",
    # its link and clock
    "no-boot": "sends no BootNotification after a power cut",
    "two-at-once": "sends StatusNotification while BootNotification is unanswered",
    "broken-frames": "a frame in ten is cut in the middle, then sent whole",
    "clock-1970": "its clock starts in 1970 and is never set",
}


def check(faults: frozenset[str]) -> frozenset[str]:
    """The same set. Raises ValueError for a name that does not exist."""
    unknown = sorted(faults - FAULTS.keys())
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    return faults
