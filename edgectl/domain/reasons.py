"""Why a limit is what it is. Every set point carries one, so "why 9 A at 02:14 on CP-07?" always has an answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgectl.domain.ids import CircuitId
from edgectl.domain.phases import Phase
from edgectl.domain.units import Millis, UtcMillis


class Cause(StrEnum):
    """What decided the limit. One word each, stable: the page, the CLI and the uplink show them."""

    IDLE = "idle"
    """Nothing is plugged in; only the persistent fallback stands."""
    FULL = "full"
    """The vehicle may draw all the charger can give."""
    VEHICLE = "vehicle"
    """The vehicle takes less than offered; the rest was released."""
    CIRCUIT = "circuit"
    """A conductor is fully used: see ``circuit`` and ``phase``."""
    EXTERNAL = "external"
    """A limit from outside the site's file binds: see ``by`` and ``until_utc_ms``."""
    SOFT_LIMIT = "soft-limit"
    """A limit that only a departure may break is reached."""
    IMBALANCE = "imbalance"
    """One phase would be loaded too much more than another."""
    TURN = "turn"
    """Not everyone's minimum fits; it waits for its turn."""
    METER_LOST = "meter-lost"
    """A guard meter is quiet, so only fallbacks are safe."""
    CHARGER_SILENT = "charger-silent"
    """The charger is not connected; its worst credible draw is reserved."""
    UNCONFIRMED = "unconfirmed"
    """A lower limit of some charger is not confirmed yet, so nobody is raised."""
    DRILL = "drill"
    """A drill finds out what the charger does with a limit."""
    SETTLING = "settling"
    """Headroom is there but has not lasted long enough, or the charger was commanded moments ago."""


class Authority(StrEnum):
    """Whose limit binds, strongest first."""

    CONDUCTOR = "conductor"
    EXTERNAL = "external"
    POLICY = "policy"
    CHARGER = "charger"
    VEHICLE = "vehicle"


@dataclass(frozen=True, slots=True)
class Input:
    """One number that went into the decision. ``value`` is in ``unit``; ``age_ms`` is None for configured values."""

    name: str
    value: int
    unit: str
    age_ms: Millis | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    cause: Cause
    authority: Authority
    circuit: CircuitId | None = None
    phase: Phase | None = None
    inputs: tuple[Input, ...] = ()
    by: str = ""
    """Whose limit it is, for ``Authority.EXTERNAL``: ``backend (ops)``, ``input dso-relay``."""
    until_utc_ms: UtcMillis | None = None
    """When that limit ends; None while it has no end."""


IDLE_REASON = Reason(Cause.IDLE, Authority.CHARGER)
