"""A line with the time a real one takes: a request is heard when its last bit would have been, and so is the answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable

from hwsim.meters.device import Device
from hwsim.meters.rtu_server import _checksum

REQUEST_BYTES = 8


class TimedLine:
    """Units on one line of ``baud``, 8N1 unless said otherwise; each takes ``reply_s`` before it answers."""

    def __init__(
        self,
        units: dict[int, Device],
        write: Callable[[bytes], None],
        baud: int,
        *,
        reply_s: float = 0.02,
        character_bits: int = 10,
    ) -> None:
        self.units = units
        self.silent: set[int] = set()
        self.reply_s = reply_s
        self.character_s = character_bits / baud
        self.silence_s = 3.5 * self.character_s if baud <= 19_200 else 0.00175
        self._write = write
        self._buffer = bytearray()

    def bound_s(self, registers: int) -> float:
        """The least a read of so many registers takes: silence, request, silence, the unit's own time, answer."""
        return (REQUEST_BYTES + 5 + 2 * registers) * self.character_s + 2 * self.silence_s + self.reply_s

    def receive(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= REQUEST_BYTES:
            frame = bytes(buffer[:REQUEST_BYTES])
            if _checksum(frame[:6]) != int.from_bytes(frame[6:], "little"):
                del buffer[0]
                continue
            del buffer[:REQUEST_BYTES]
            device = self.units.get(frame[0])
            if device is not None and frame[0] not in self.silent:
                body = frame[:1] + device.answer(frame[1], int.from_bytes(frame[2:4]), int.from_bytes(frame[4:6]))
                answer = body + _checksum(body).to_bytes(2, "little")
                after_s = (REQUEST_BYTES + len(answer)) * self.character_s + self.silence_s + self.reply_s
                asyncio.get_running_loop().call_later(after_s, self._write, answer)


class TimedPty:
    """The same on a pseudo terminal: ``device`` is what goes into the YAML file."""

    def __init__(self, units: dict[int, Device], baud: int, *, reply_s: float = 0.02) -> None:
        self._own, self._other = os.openpty()
        tty.setraw(self._own)
        tty.setraw(self._other)
        os.set_blocking(self._own, False)
        self.device = os.ttyname(self._other)
        self.line = TimedLine(units, self._write, baud, reply_s=reply_s)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._own, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.line.receive(os.read(self._own, 4096))

    def _write(self, answer: bytes) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._own, answer)

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._own)
            self._loop = None
            os.close(self._own)
            os.close(self._other)
