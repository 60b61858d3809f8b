"""Whether values can be true: against each other, against what was before, against the meter's own heartbeat. Pure.

Every check is about one meter and names its reason. A value that fails is no value; nothing is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.units import Millis
from edgectl.meters.catalogue import Block, MeterModel
from edgectl.meters.decode import Measured, NoValueError, Registers, value_of

POWER_TOLERANCE = 1.10
"""Active power is at most volts times amps; both are of class 1 or worse, and harmonics are counted differently."""
POWER_TOLERANCE_W = 60.0
"""Near zero a meter's starting current hides amps that its watts still show: 0.25 A at 230 V."""
SUM_TOLERANCE = 0.05
SUM_TOLERANCE_W = 60.0
JUMP_A = 500.0
JUMP_RATIO = 10.0
"""A change of more than 500 A to more than ten times the largest current of late; nothing on a depot starts like that."""


def check_power(model: MeterModel, found: Measured, blocks: tuple[Block, ...]) -> None:
    """Watts against volts times amps, phase by phase, where watts and amps are of one read.

    Raises:
        NoValueError: ``power-against-current``.
    """
    if found.volts is None or found.watts is None or not _is_one_read(model, ("i", "p", "p_imp", "p_exp"), blocks):
        return
    step_a = _step(model, "i", found)
    step_w = max(_step(model, "p", found), _step(model, "p_imp", found))
    for volt, amp, watt in zip(found.volts, found.amps, found.watts, strict=False):
        if abs(watt) > POWER_TOLERANCE * volt * (abs(amp) + step_a) + POWER_TOLERANCE_W + step_w:
            raise NoValueError("power-against-current")


def check_sum(model: MeterModel, found: Measured, blocks: tuple[Block, ...]) -> None:
    """The watts of the phases against the meter's own total, where both are of one read.

    Raises:
        NoValueError: ``sum-against-total``.
    """
    quantities = ("p", "p_imp", "p_exp", "p_tot", "p_tot_imp", "p_tot_exp")
    if found.watts is None or found.total_w is None or len(found.watts) < model.phase_count:
        return
    if not _is_one_read(model, quantities, blocks):
        return
    step_w = max(_step(model, quantity, found) for quantity in quantities)
    allowed_w = SUM_TOLERANCE * sum(abs(watt) for watt in found.watts) + SUM_TOLERANCE_W + 4 * step_w
    if abs(sum(found.watts) - found.total_w) > allowed_w:
        raise NoValueError("sum-against-total")


def _is_one_read(model: MeterModel, quantities: tuple[str, ...], blocks: tuple[Block, ...]) -> bool:
    addresses = [
        (address, address + point.width)
        for quantity in quantities
        if (point := model.points.get(quantity)) is not None
        for address in point.addresses
    ]
    return any(all(block.address <= start and end <= block.end for start, end in addresses) for block in blocks)


def _step(model: MeterModel, quantity: str, found: Measured) -> float:
    """The least a register can tell apart; with a scale factor, as coarse as a two-digit reading may be."""
    point = model.points.get(quantity)
    if point is None:
        return 0.0
    if point.factor_address is not None:
        values = found.amps if quantity == "i" else found.watts or ()
        return 0.05 * max((abs(value) for value in values), default=0.0) + 1.0
    return point.scale if not point.kind.startswith("f") else 0.0


@dataclass
class Watch:
    """What only shows from one reading to the next."""

    _largest_a: float | None = None
    _doubted: tuple[float, ...] | None = None
    _beat: float | None = None
    _beat_mono_ms: Millis = 0

    def check_jump(self, found: Measured) -> None:
        """A jump nothing can make is doubted once; when the next reading says the same, it is true.

        Raises:
            NoValueError: ``implausible-jump``.
        """
        now_a = max(abs(amp) for amp in found.amps)
        before_a = self._largest_a
        is_jump = before_a is not None and now_a - before_a > JUMP_A and now_a > JUMP_RATIO * before_a
        if is_jump and not self._is_confirmed(found.amps):
            self._doubted = found.amps
            raise NoValueError("implausible-jump")
        self._doubted = None
        # What was large fades within minutes, so that the check stays of use after a peak.
        self._largest_a = max(now_a, 0.98 * (before_a or 0.0))

    def _is_confirmed(self, amps: tuple[float, ...]) -> bool:
        doubted = self._doubted
        return doubted is not None and all(
            abs(now - before) <= 0.2 * max(abs(now), abs(before)) + 1 for now, before in zip(amps, doubted, strict=False)
        )

    def check_heartbeat(self, model: MeterModel, registers: Registers, now_mono_ms: Millis) -> None:
        """The meter's own time must go on.

        Raises:
            NoValueError: ``frozen``.
        """
        beat = model.heartbeat
        if beat is None:
            return
        value = value_of(beat.point, 0, registers, frozenset())
        if value != self._beat:
            self._beat, self._beat_mono_ms = value, now_mono_ms
        elif now_mono_ms - self._beat_mono_ms > beat.within_ms:
            raise NoValueError("frozen")
