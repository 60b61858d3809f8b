"""Modbus RTU frames: build a request, find its answer in what comes, judge it. Pure.

An RTU master of our own, because the client of pymodbus cannot be trusted with a guard meter (seen with 3.16.1): it serves a late
answer as the answer to the next request, so that amps pass for watts; it loses a whole frame after one byte of noise; it accepts
an answer with fewer registers than asked and one of another function. ``python -m hwsim meters`` counts, under the same faults.

An RTU frame carries no transaction number. What tells an answer from another is the unit, the function and the length, so
``waiting.Shapes`` never lets a request wait while an answer of the same unit and length may still be on its way; where a meter
leaves no other length, the bus (``buses``) listens on after the answer and takes neither of two. Whatever comes while nobody asks
is thrown away. Modbus TCP has transaction numbers and stays with pymodbus.
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
REFUSALS = frozenset({"illegal-function", "illegal-address", "illegal-value"})
"""The device is well and does not have what was asked for."""
CONTACT_FUNCTIONS = (1, 2)
"""Read coils, read discrete inputs."""
READ_FUNCTIONS = (*CONTACT_FUNCTIONS, 3, 4)
"""All that edgectl ever sends to a meter: no function here writes."""
BUFFER_MAX = 512
"""Twice the longest frame (256 bytes, Modbus over serial line 1.02, 2.5.1): more is noise."""


@dataclass(frozen=True, slots=True)
class Request:
    """Read ``count`` registers from ``address``; functions 1 and 2 read contacts, eight to a byte."""

    unit: int
    function: int
    address: int
    count: int
    is_mistakable: bool = False
    """The answer before was of the same unit, function and length, and cannot be told from this one's."""

    is_probe: bool = False
    """Whether anybody answers is all that matters; what it says is not used."""

    def __post_init__(self) -> None:
        if self.function not in READ_FUNCTIONS:
            raise ValueError(f"function {self.function} does not read")

    def frame(self) -> bytes:
        body = struct.pack(">BBHH", self.unit, self.function, self.address, self.count)
        return body + crc(body)

    @property
    def answer_size(self) -> int:
        """Bytes of a good answer."""
        return 5 + self.data_size

    @property
    def data_size(self) -> int:
        """Bytes of what was asked for (Modbus application protocol V1.1b3, 6.1 to 6.4)."""
        return (self.count + 7) // 8 if self.function in CONTACT_FUNCTIONS else 2 * self.count

    def words(self, data: bytes) -> tuple[int, ...]:
        """Register contents, or 0 and 1 for contacts."""
        if self.function in CONTACT_FUNCTIONS:
            return tuple(data[place // 8] >> place % 8 & 1 for place in range(self.count))
        return struct.unpack(f">{self.count}H", data)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: register contents (or 0 and 1 for contacts), or a reason."""

    words: tuple[int, ...] | None
    reason: str = ""
    is_link_trouble: bool = False
    """The line or gateway could not be reached, so that the reason says nothing about the unit."""
    elapsed_ms: int = 0
    """From the request to the answer."""


def crc(body: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first (Modbus over serial line 1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in body:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC = tuple(_crc_of(byte) for byte in range(256))


class Receiver:
    """Collects bytes after one request until its answer is complete. Made anew for each request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Answer | None:
        """The answer once it is there. Bytes before it (noise) are passed over; what does not fit the request is never taken."""
        self._buffer += data
        del self._buffer[:-BUFFER_MAX]
        request, buffer = self._request, self._buffer
        start = buffer.find(request.unit)
        while 0 <= start < len(buffer) - 4:
            answer = self._answer_at(start)
            if answer is not None:
                return answer
            start = buffer.find(request.unit, start + 1)
        return None

    def _answer_at(self, start: int) -> Answer | None:
        request, buffer = self._request, self._buffer
        function = buffer[start + 1]
        if function == request.function and buffer[start + 2] == request.data_size:
            frame = bytes(buffer[start : start + request.answer_size])
            if len(frame) == request.answer_size and crc(frame[:-2]) == frame[-2:]:
                return Answer(request.words(frame[3:-2]))
        elif function == request.function | 0x80:
            frame = bytes(buffer[start : start + 5])
            if crc(frame[:-2]) == frame[-2:]:
                return Answer(None, EXCEPTIONS.get(frame[2], f"exception-{frame[2]}"))
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
