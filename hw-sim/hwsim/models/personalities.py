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
    "worn-flash": "rejects every profile beyond forty within ten minutes",
    "odd-schedule": "tells of its schedule a duration of 8638204580137 s without periods, or a limit of -1",
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
    "lose-start": "never sends StartTransaction, and makes up an id of its own",
    "lose-stop": "never sends StopTransaction",
    "newest-first": "tells a new value before those it has kept",
    "wrong-stop-id": "stops with the id of somebody else's transaction",
    "values-after-stop": "tells the closing register after StopTransaction",
    "stuck-finishing": "stays Finishing after the car has left",
    "small-queue": "has room for 12 messages; values are dropped",
    "dumps-history": "after its first boot tells twenty sessions of last year",
    "upper-case-tokens": "changes the case of the token between messages",
    "reversed-tokens": "reads the bytes of a card in reverse",
    "long-fields": "tells a serial number of 60 characters and a token of 40",
    # what it measures
    "odd-values": "numbers instead of texts, empty texts, measurands and contexts that do not exist",
    "register-resets": "its energy register restarts at 0 with each session",
    "register-backwards": "loses its last 65 Wh or so in a power cut",
    "kwh-floats": "energy in kWh with all the digits of a float",
    "no-currents": "tells energy and power only",
    "one-phase-values": "tells the current of its first phase only",
    "charging-at-zero": "keeps the status Charging while paused",
    # its configuration
    "restart-on-write": "restarts, without an answer, when ConnectionTimeOut is written",
    "mute-configuration": "answers nothing about its configuration",
    "no-read-all": "does not answer GetConfiguration without keys",
    "four-keys": "closes the link when more than four keys are asked for at once",
    "long-values": "a configuration value of 900 characters",
    "own-spelling": "spells its keys in its own way, and knows no other",
    "rejects-writes": "Rejected for every key",
    "one-bad-measurand": "rejects a list of measurands with Voltage in it",
    "no-availability": "rejects ChangeAvailability",
    "differential-fails": "Failed for a local list that is not whole",
    "list-of-five": "takes five tokens in one message",
    "vendor-switch": "refuses every profile until a switch on the device is set",
    "level-zero-only": "rejects profiles above stack level 0",
    "relative-only": "rejects profiles that are not relative",
    "crashes-on-null": "restarts when a message has a null in it",
    "no-start-profile": "rejects RemoteStartTransaction with a profile in it",
    # its link and clock
    "no-subprotocol": "offers no subprotocol",
    "offers-201-first": "offers ocpp2.0.1 before ocpp1.6, which is all it can",
    "no-upgrade-header": "leaves out Connection: Upgrade",
    "odd-path": "its identity in lower case, encoded, with a slash at the end",
    "hex-password": "sends its password as hexadecimal digits",
    "no-server-name": "names no server in its TLS handshake",
    "never-pongs": "does not answer pings",
    "no-boot": "sends no BootNotification after a power cut",
    "never-beats": "sends no Heartbeat",
    "drops-every-40-s": "closes its link after 40 s, and comes back",
    "endless-boots": "boots every five seconds for its first ten minutes",
    "boot-on-trigger": "really restarts when it is asked for BootNotification",
    "restart-on-early-call": "restarts when it is asked something less than a second after its boot",
    "silent-after-reconnect": "tells no status when it is back",
    "connector-zero-only": "tells the status of connector 0 only",
    "trigger-needs-no-connector": "rejects a trigger that names a connector",
    "flapping-fault": "a fault of a second, every three",
    "phantom-plugs": "Available for a second in the middle of a session",
    "two-at-once": "sends StatusNotification while BootNotification is unanswered",
    "broken-frames": "a frame in ten is cut in the middle, then sent whole",
    "clock-1970": "its clock starts in 1970 and is never set",
}

LINK_FAULTS = frozenset(
    {
        "no-subprotocol", "offers-201-first", "no-upgrade-header", "odd-path", "hex-password", "no-server-name", "never-pongs",
    }
)  # fmt: skip
"""What whoever carries the station does to the link; its frames are as healthy as any."""
OFF_SCHEMA = frozenset({"odd-values", "long-fields"})
"""What breaks the standard's own schemas."""

QUIRKS: dict[str, tuple[str, ...]] = {
    "Q1": ("no-subprotocol",), "Q2": ("offers-201-first",), "Q3": ("no-upgrade-header",), "Q4": ("odd-path",),
    "Q5": ("hex-password",), "Q6": ("never-pongs",), "Q7": ("drops-every-40-s",), "Q8": ("never-beats",),
    "Q9": ("broken-frames",), "Q10": ("no-server-name",), "Q11": ("no-boot",), "Q12": ("restart-on-early-call",),
    "Q13": ("boot-on-trigger",), "Q14": ("restart-on-write",), "Q15": ("endless-boots",), "Q16": ("no-read-all", "four-keys"),
    "Q17": ("long-fields", "long-values"), "Q18": ("own-spelling",), "Q19": ("rejects-writes",), "Q20": ("lose-start-answer",),
    "Q21": ("wrong-stop-id",), "Q22": ("repeat-start",), "Q23": ("lose-start",), "Q24": ("same-id-retry",),
    "Q25": ("orphan-stop",), "Q26": ("register-resets", "register-backwards"), "Q27": ("repeat-stop",), "Q28": ("small-queue",),
    "Q29": ("dumps-history",), "Q30": ("values-after-stop", "stuck-finishing"), "Q31": ("clock-1970",), "Q32": ("kwh-floats",),
    "Q33": ("odd-values",), "Q34": ("no-transaction-id",), "Q35": ("no-currents",), "Q36": ("one-bad-measurand",),
    "Q37": ("ignore-profiles",), "Q38": ("reject-profiles",), "Q39": ("level-zero-only", "relative-only"),
    "Q40": ("forget-on-disconnect",), "Q41": ("reject-amps",), "Q42": ("zero-is-six",),
    "Q43": ("crashes-on-null", "no-start-profile"), "Q44": ("worn-flash",), "Q45": ("forget-on-reboot",),
    "Q46": ("forget-on-disconnect",), "Q47": ("flapping-fault", "phantom-plugs"),
    "Q48": ("silent-after-reconnect", "connector-zero-only", "trigger-needs-no-connector"),
    "Q49": ("upper-case-tokens", "reversed-tokens"), "Q50": ("differential-fails", "list-of-five"), "Q51": ("no-availability",),
    "Q52": ("two-at-once",), "Q53": ("vendor-switch",), "Q54": ("slow",),
}  # fmt: skip
"""Which of them stand for a quirk of the research (research/ocpp.md §4)."""


def check(faults: frozenset[str]) -> frozenset[str]:
    """The same set, the id of a quirk replaced by what stands for it. Raises ValueError for a name that does not exist."""
    faults = frozenset(name for fault in faults for name in QUIRKS.get(fault, (fault,)))
    unknown = sorted(faults - FAULTS.keys())
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    return faults
