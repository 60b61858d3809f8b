"""What it costs a line to read its meters: the arithmetic of ``edgectl check`` and ``edgectl meters budget``.

One read is a request of 8 bytes, the device's own delay, an answer of 5 bytes and 2 for each register, and a silence of 3.5
characters before each of the two (Modbus over Serial Line V1.02, 2.5.1.1; 1.75 ms above 19200 baud). A gap that a device asks for
after its answer binds that device; the line may talk to others meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, InputConnection, MeterConnection, Transport
from edgectl.domain.units import Millis

REQUEST_BYTES = 8
ANSWER_BYTES = 5
"""Of an answer beside its registers."""
TYPICAL_REPLY_MS: Millis = 20
"""Of a meter whose maker does not say: most answer after 5 to 60 ms."""
NETWORK_MS: Millis = 5
"""There and back on a site's own network."""
ASSUMED_BAUD = 9_600
"""Behind an RTU gateway, whose own speed is not in the file."""
FULL_PERMILLE, TIGHT_PERMILLE = 1_000, 900
"""More than all of the time cannot be; above nine tenths a retry already makes readings late."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How one model is read."""

    control_count: tuple[int, ...]
    """Registers of each read that is made every time."""
    slow_count: tuple[int, ...] = ()
    """Registers of each read that is made once in ``slow_every_count`` times: energy and the like."""
    slow_every_count: int = 10
    gap_ms: Millis = 0
    """Silence the device needs after an answer."""
    reply_ms: Millis = TYPICAL_REPLY_MS
    has_phase_currents: bool = True


@dataclass(frozen=True, slots=True)
class UnitLoad:
    """One meter's part of its line."""

    meter: MeterId
    unit_number: int
    interval_ms: Millis
    control_ms: Millis
    """Of the line, each time it is read."""
    slow_ms: Millis
    """Of the line, once in ``slow_every_count`` times."""
    busy_ms: Millis
    """Of the device itself, gaps included, when everything is read: it must be less than ``interval_ms``."""
    load_permille: int
    """Of the line's time."""


@dataclass(frozen=True, slots=True)
class LineLoad:
    """A line or gateway with its meters."""

    connection: Connection
    units: tuple[UnitLoad, ...]
    is_assumed: bool
    """The speed of the line behind a gateway is not known: 9600 baud are assumed."""

    @property
    def load_permille(self) -> int:
        return sum(unit.load_permille for unit in self.units)

    @property
    def headroom_permille(self) -> int:
        """What is left for retries and for more meters; below 0 the plan cannot be kept."""
        return FULL_PERMILLE - self.load_permille


def as_meter(one: InputConnection) -> tuple[MeterConnection, ReadPlan]:
    """A contact or register costs a line what a meter with one register would."""
    meter = MeterConnection(MeterId(one.input), one.connection, one.unit_number, None, interval_ms=one.interval_ms)
    return meter, ReadPlan(control_count=(1,))


def read_ms(connection: Connection, registers: int, reply_ms: Millis) -> Millis:
    """One read, from the end of the one before to the end of its answer; rounded up."""
    if connection.transport is Transport.TCP:
        return NETWORK_MS + reply_ms
    is_serial = connection.transport is Transport.SERIAL
    baud = connection.baud if is_serial else ASSUMED_BAUD
    bits = 9 + connection.stop_bits + (connection.parity != "N") if is_serial else 10
    character_ms = Fraction(bits * 1000, baud)
    silence_ms = Fraction(7, 2) * character_ms if baud <= 19_200 else Fraction(7, 4)
    wire_ms = (REQUEST_BYTES + ANSWER_BYTES + 2 * registers) * character_ms + 2 * silence_ms
    return -int(-(wire_ms + reply_ms + (0 if is_serial else NETWORK_MS)) // 1)


def line_loads(meters: Sequence[tuple[MeterConnection, ReadPlan]]) -> tuple[LineLoad, ...]:
    """The load of every line these meters hang on, in the order of the file."""
    lines: dict[Connection, list[UnitLoad]] = {}
    for meter, plan in meters:
        lines.setdefault(meter.connection, []).append(_unit_load(meter, plan))
    return tuple(
        LineLoad(connection, tuple(units), is_assumed=connection.transport is Transport.RTU_OVER_TCP)
        for connection, units in lines.items()
    )


def _unit_load(meter: MeterConnection, plan: ReadPlan) -> UnitLoad:
    control_ms = sum(read_ms(meter.connection, registers, plan.reply_ms) for registers in plan.control_count)
    slow_ms = sum(read_ms(meter.connection, registers, plan.reply_ms) for registers in plan.slow_count)
    gaps_ms = plan.gap_ms * (len(plan.control_count) + len(plan.slow_count))
    average_ms = control_ms + Fraction(slow_ms, plan.slow_every_count)
    return UnitLoad(
        meter.meter,
        meter.unit_number,
        meter.interval_ms,
        control_ms,
        slow_ms,
        busy_ms=control_ms + slow_ms + gaps_ms,
        load_permille=-int(-(1000 * average_ms / meter.interval_ms) // 1),
    )
