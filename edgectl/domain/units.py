"""Integer units. Inside edgectl a number has one unit and its name ends in it.

The aliases document intent for the reader; the suffix (``_ma``, ``_mv``, ``_w``, ``_wh``, ``_ms``) is what a test enforces on
every dataclass of the domain. Plain ``int`` is used instead of ``NewType`` because arithmetic on limits is the hot path and
re-wrapping each sum costs four times the addition itself. Conversion to and from amps, kilowatts and seconds
happens once, in a codec: limits round down, energy is never rounded up.
"""

from typing import TypeAlias

MilliAmps: TypeAlias = int
MilliVolts: TypeAlias = int
Watts: TypeAlias = int
WattHours: TypeAlias = int
Millis: TypeAlias = int
"""A duration, or a moment on the monotonic clock."""
UtcMillis: TypeAlias = int
"""Milliseconds since 1970-01-01T00:00:00Z; only for records and the wire, never for a deadline."""

SUFFIXES = ("_ma", "_mv", "_w", "_wh", "_ms", "_percent", "_count", "_number", "_permille", "_mas", "_bytes", "_days")


def current_from_power_ma(power_w: Watts, load_mv: MilliVolts) -> MilliAmps:
    """The current per phase of a balanced load, rounded down. ``load_mv``: of all its phases, see ``lines.Wiring``."""
    return power_w * 1_000_000 // load_mv


def power_from_current_w(current_ma: MilliAmps, load_mv: MilliVolts) -> Watts:
    """The power of a balanced load that draws ``current_ma`` on each of its phases, rounded down."""
    return current_ma * load_mv // 1_000_000
