"""Two units with one number: on a two-wire line they answer on top of each other, and what is heard is neither."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from hwsim.meters.device import Device
from hwsim.meters.rtu_server import RtuLine, _checksum


class TwinLine(RtuLine):
    """A line on which some numbers are given twice."""

    def __init__(self, units: dict[int, Device], twins: dict[int, Device], write: Callable[[bytes], None]) -> None:
        super().__init__(units, write)
        self._twins = twins

    async def _answer(self, device: Device, frame: bytes) -> None:
        twin = self._twins.get(frame[0])
        if twin is None:
            await super()._answer(device, frame)
            return
        first, second = (self._of(one, frame) for one in (device, twin))
        # A driven 0 wins over an idle 1.
        self._write(bytes(a & b for a, b in zip_longest(first, second, fillvalue=0xFF)))

    def _of(self, device: Device, frame: bytes) -> bytes:
        body = bytes([frame[0]]) + device.answer(frame[1], int.from_bytes(frame[2:4]), int.from_bytes(frame[4:6]))
        return body + _checksum(body).to_bytes(2, "little")
