"""What charging stations of OCPP 2 do that they should not. A station takes any of these by name."""

from __future__ import annotations

FAULTS_20 = {
    # charging profiles
    "ignore-profiles": "answers Accepted, but nothing changes",
    "reject-profiles": "Rejected",
    "mute-profiles": "never answers SetChargingProfile",
    "whole-amps": "rounds limits down to whole amps",
    "zero-is-six": "cannot pause: a limit of 0 A leaves 6 A",
    "one-phase-values": "tells the current of its first phase only",
    "forget-on-reboot": "loses the persistent profiles too when its power is cut",
    "ignore-offline-duration": "keeps a limit however long its link is gone (2.1)",
    "obey-late": "follows a new limit after 30 s",
    "overdraw": "draws 10 % more than allowed",
    # transactions
    "repeat-events": "sends each TransactionEvent twice, the second with a new message id",
    "same-sequence": "seqNo is always 0",
    "sequence-gap": "every fifth event of a transaction, if it is an Updated, is lost for ever",
    "lose-started": "never sends Started",
    "lose-ended": "never sends Ended",
    "same-last-number": "Ended has the seqNo of the Updated before it",
    "other-remote-name": "names another transaction in the answer to RequestStartTransaction",
    "ended-then-updated": "sends an Updated after Ended",
    "no-token-in-started": "tells the token only when the transaction has ended",
    "long-transaction-id": "names its transactions with 45 characters, of 36 that the standard allows",
    # its variables
    "no-base-report": "GetBaseReport NotSupported",
    "rejects-writes": "Rejected for every variable",
    # its link and clock
    "shaped-like-16": "boots with the message of OCPP 1.6",
    "ignores-pending": "goes on as if it had been accepted",
    "mute": "never answers any call",
    "slow": "answers after 8 s",
    "clock-1970": "its clock starts in 1970 and is never set",
}
OFF_SCHEMA = frozenset({"shaped-like-16", "long-transaction-id"})
"""What breaks the standard's own schemas."""


def check(faults: frozenset[str]) -> frozenset[str]:
    """The same set. Raises ValueError for a name that does not exist."""
    unknown = sorted(faults - FAULTS_20.keys())
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS_20)}")
    return faults
