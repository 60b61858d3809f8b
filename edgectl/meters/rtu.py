"""Modbus RTU frames: build a request, find its answer in what comes, judge it. Pure.

An RTU master of our own, because the client of pymodbus cannot be trusted with a guard meter (seen with 3.16.1): it serves a late
answer as the answer to the next request, so that amps pass for watts; it loses a whole frame after one byte of noise; it accepts
an answer with fewer registers than asked and one of another function. An RTU frame carries no transaction number, so the only
cure is to keep the bus quiet after every doubt, which the bus shell does, and to accept nothing that does not fit exactly.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

EXCEPTIONS = {
    1: "illegal-function",
    2: "illegal-address",
    3: "illegal-value",
    4: "device-failure",
    5: "acknowledge",
    6: "device-busy",
    8: "memory-parity",
    10: "gateway-path",
    11: "gateway-no-answer",
}
BUFFER_MAX = 512
"""Twice the longest frame (256 bytes, Modbus over serial line 1.02, 2.5.1): more is noise."""


@dataclass(frozen=True, slots=True)
class Request:
    """Read ``count`` registers from ``address``."""

    unit: int
    function: int
    address: int
    count: int

    def frame(self) -> bytes:
        body = struct.pack(">BBHH", self.unit, self.function, self.address, self.count)
        return body + crc(body)

    @property
    def answer_size(self) -> int:
        """Bytes of a good answer."""
        return 5 + 2 * self.count


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: register contents, or a reason."""

    words: tuple[int, ...] | None
    reason: str = ""


def crc(body: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first (Modbus over serial line 1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in body:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


class Receiver:
    """Collects bytes after one request until its answer is complete. Made anew for each request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Answer | None:
        """The answer once it is there. Bytes before it (noise) are passed over; what does not fit the request is never taken."""
        self._buffer += data
        del self._buffer[:-BUFFER_MAX]
        request = self._request
        for start in range(len(self._buffer)):
            if self._buffer[start] != request.unit or start + 1 >= len(self._buffer):
                continue
            function = self._buffer[start + 1]
            if function == request.function:
                size = request.answer_size
                if start + 2 < len(self._buffer) and self._buffer[start + 2] != 2 * request.count:
                    continue
            elif function == request.function | 0x80:
                size = 5
            else:
                continue
            frame = bytes(self._buffer[start : start + size])
            if len(frame) < size or crc(frame[:-2]) != frame[-2:]:
                continue
            if function & 0x80:
                return Answer(None, EXCEPTIONS.get(frame[2], f"exception-{frame[2]}"))
            return Answer(struct.unpack(f">{request.count}H", frame[3:-2]))
        return None

    def doubt(self) -> str:
        """Why there was no answer, when the time is up: silence, or something that did not fit."""
        if not self._buffer:
            return "timeout"
        frame = bytes(self._buffer)
        if len(frame) >= 5 and crc(frame[:-2]) == frame[-2:]:
            if frame[0] != self._request.unit:
                return "wrong-unit"
            if frame[1] & 0x7F != self._request.function:
                return "wrong-function"
            return "wrong-length"
        return "damaged-answer"
