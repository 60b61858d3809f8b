"""What was heard on a line after a question. Pure.

A scan must not only find the answer it hopes for: an answer that comes late and belongs to the unit asked before, two answers on
top of each other, and noise all tell something about the line.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.meters.rtu import crc

EXCEPTION_SIZE = 5
FRAME_MIN = 5


@dataclass(frozen=True, slots=True)
class Heard:
    """Whole frames by their units, in the order they came, and bytes that belong to none."""

    units: tuple[int, ...] = ()
    stray_count: int = 0

    @property
    def is_silence(self) -> bool:
        return not self.units and not self.stray_count

    def is_clean(self, unit: int) -> bool:
        """One answer of this unit, and nothing else."""
        return self.units == (unit,) and not self.stray_count


def heard(data: bytes, echo: bytes = b"") -> Heard:
    """Every frame with a good checksum in what came. ``echo`` is our own request, which some adapters play back."""
    data = data.removeprefix(echo) if echo else data
    units: list[int] = []
    stray_count = 0
    at = 0
    while at < len(data):
        size = _frame_size(data, at)
        if size:
            units.append(data[at])
            at += size
        else:
            stray_count += 1
            at += 1
    return Heard(tuple(units), stray_count)


def _frame_size(data: bytes, at: int) -> int:
    """The length of the answer to a read that begins here; 0 when none does."""
    if len(data) - at < FRAME_MIN:
        return 0
    function = data[at + 1]
    if function in {0x83, 0x84}:
        size = EXCEPTION_SIZE
    elif function in {3, 4}:
        size = 5 + data[at + 2]
    else:
        return 0
    frame = data[at : at + size]
    return size if len(frame) == size and crc(frame[:-2]) == frame[-2:] else 0
