"""How chargers deviate from the standard, as data.

A *quirk profile* says, for a vendor, model and firmware, which fields of ``Quirks`` differ from their default, and why. All
profiles that match apply, in the order of the table; what the site's file says of one charger comes last and wins. Nothing in the
house asks for a vendor's name: code reads these fields only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeAlias

from edgectl.domain.units import MilliAmps, Millis


class ProfilePurpose(StrEnum):
    """Which kind of charging profile a charger obeys; OCPP 1.6 §3.13.1, 2.0.1 K01."""

    TX = "tx"
    TX_DEFAULT = "tx-default"
    STATION_MAX = "station-max"


class ProfileKind(StrEnum):
    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    DYNAMIC = "dynamic"
    """OCPP 2.1: one rate without a schedule, which the station also asks for again by itself."""


class RateUnit(StrEnum):
    AMPS = "A"
    WATTS = "W"


class RegisterBehaviour(StrEnum):
    """When a charger's energy register begins again at zero."""

    UNKNOWN = "unknown"
    LIFETIME = "lifetime"
    BOOT = "boot"
    SESSION = "session"


class StatusTrigger(StrEnum):
    """How a charger can be asked for the status of its connectors."""

    CONNECTOR = "connector"
    STATION = "station"
    NONE = "none"


QuirkValue: TypeAlias = "bool | int | str | tuple[str, ...] | tuple[int, ...] | None"


@dataclass(frozen=True, slots=True)
class Quirks:
    """Every field's default is what the standard says, or what suits a charger of which nothing is known."""

    # --- connecting
    settle_ms: Millis = 2_000
    """Between our Accepted on the wire and our first call; commands on its heels are refused or restart some chargers."""
    offline_grace_ms: Millis = 60_000
    """A link gone for less than this is not worth an alarm; some chargers drop theirs for minutes as a matter of course."""

    # --- commissioning
    is_configured: bool = True
    """False: its configuration is left alone, neither read nor written."""
    reads_all_keys: bool = True
    """False: GetConfiguration without keys is not answered, or ends the connection; keys are asked for by name."""
    keys_per_read_count: int = 0
    """The most keys of one GetConfiguration; 0: as many as the charger says itself, else as many as we want."""
    skip_keys: tuple[str, ...] = ()
    """Never written: they restart it, or their answer means nothing."""
    set_keys: tuple[str, ...] = ()
    """Written beside our own, as ``Key=Value``: vendor keys without which it does not do what the standard says."""
    boot_trigger_restarts: bool = True
    """TriggerMessage(BootNotification) may really restart it, so it is asked only while we do not know who it is."""
    status_trigger: StatusTrigger = StatusTrigger.CONNECTOR
    takes_availability: bool = True
    """False: ChangeAvailability is refused and nothing rests on it."""

    # --- values and time
    energy_scale_permille: int = 1_000
    """Factor on its registers: 1 000 000 where kilowatt-hours are labelled watt-hours."""
    has_local_time: bool = False
    """Its timestamps say Z and mean the site's local time."""
    register: RegisterBehaviour = RegisterBehaviour.UNKNOWN
    has_currents: bool = True
    """False: the currents it reports are not those that flow; they are ignored."""

    # --- limits
    purpose: ProfilePurpose | None = None
    """The purpose of the lease; None: TxProfile while a transaction runs, otherwise TxDefaultProfile."""
    kind: ProfileKind = ProfileKind.ABSOLUTE
    stack_level: int = 1
    """Of the lease; 0 where the charger has no other."""
    unit: RateUnit | None = None
    """None: amps for AC, watts for DC."""
    min_ma: MilliAmps | None = None
    """The least it can be told where that is more than its configured minimum."""
    steps_ma: tuple[int, ...] = ()
    """The only currents it follows; limits are lowered to the next of them."""
    can_pause: bool = True
    """False: 0 A ends the transaction, or the vehicle does not wake again; it is never told less than its minimum."""
    wakes_at_ma: MilliAmps | None = None
    """A vehicle paused on it needs this much to wake; None: its minimum is enough."""
    has_lease: bool = True
    """False: it ignores the end of a profile, so its last limit stays when we are gone."""
    ends_offline: bool = False
    """True: it was seen to end a limit that its link has left alone for the time it was told (2.1 ``maxOfflineDuration``); so one
    that ignores the end of a profile falls to its fallback all the same, once its link is gone."""
    keeps_profiles: bool = True
    """False: it forgets profiles with its socket or its power; while unreachable it counts at its rating."""
    write_interval_ms: Millis = 0
    """The least time between two limits, where each wears its flash; lowering never waits."""

    # --- tokens
    token_char_count: int = 20
    """Longer tokens overflow its buffer; 1.6 allows 20."""
    has_reversed_uid: bool = False
    """It reads the bytes of a card's UID in reverse."""

    # --- people
    checklist: tuple[str, ...] = ()
    """What to set on the device itself, for the person who commissions it."""


class Confidence(StrEnum):
    """How sure an entry of the table is; a drill decides for the charger at hand."""

    SEEN = "seen"
    REPORTED = "reported"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class QuirkProfile:
    """One entry of the table."""

    name: str
    vendor: str
    """Shell pattern, case-insensitive; ``*`` is anybody."""
    model: str
    firmware: str
    why: str
    """What was seen, in one sentence."""
    source: str
    """Where it was seen: an issue as owner/name#number, a manual, a trace."""
    values: tuple[tuple[str, QuirkValue], ...]
    """Fields of ``Quirks`` that differ."""
    confidence: Confidence = Confidence.REPORTED

    def matches(self, vendor: str, model: str, firmware: str) -> bool:
        pairs = ((self.vendor, vendor), (self.model, model), (self.firmware, firmware))
        return all(fnmatchcase(found.casefold(), pattern.casefold()) for pattern, found in pairs)


@dataclass(frozen=True, slots=True)
class AppliedQuirks:
    """What holds for one charger, and which profiles made it so."""

    quirks: Quirks
    because: tuple[tuple[str, str], ...] = ()
    """Profile name and why, in the order applied; ``site file`` for the site's own."""


STANDARD = AppliedQuirks(Quirks())
"""A charger of which nothing is known."""
FIELD_NAMES = frozenset(field.name for field in fields(Quirks))


def apply_quirks(
    table: Sequence[QuirkProfile],
    identity: tuple[str | None, str | None, str | None],
    own: Mapping[str, QuirkValue],
    measured: Mapping[str, QuirkValue] | None = None,
) -> AppliedQuirks:
    """What holds for a charger that calls itself vendor, model, firmware.

    ``measured`` is what a drill has found with this very firmware, and weighs more than the table; ``own`` is what the site's
    file says of it, and has the last word.

    ``skip_keys``, ``set_keys`` and ``checklist`` add up over the profiles; of every other field the last one wins.
    """
    vendor, model, firmware = (part or "" for part in identity)
    applied = Quirks()
    because: list[tuple[str, str]] = []
    for profile in table:
        if profile.matches(vendor, model, firmware):
            applied = _with(applied, dict(profile.values))
            because.append((profile.name, profile.why))
    if measured:
        applied = _with(applied, measured)
        because.append(("measured", "found by the drill: " + ", ".join(sorted(measured))))
    if own:
        applied = _with(applied, own)
        because.append(("site file", ", ".join(sorted(own))))
    return AppliedQuirks(applied, tuple(because))


_ADDED_UP = ("skip_keys", "set_keys", "checklist")


def _with(quirks: Quirks, values: Mapping[str, QuirkValue]) -> Quirks:
    merged: dict[str, QuirkValue] = dict(values)
    for name in _ADDED_UP:
        more = merged.get(name)
        if isinstance(more, tuple):
            merged[name] = (*getattr(quirks, name), *(item for item in more if item not in getattr(quirks, name)))
    return replace(quirks, **merged)  # type: ignore[arg-type]  # the loader has checked each value against its field
