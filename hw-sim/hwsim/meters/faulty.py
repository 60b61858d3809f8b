"""A fault-injecting bus: RTU (behind a TCP tunnel) or Modbus TCP, on any event loop, every fault drawn from one seed.

Each fault is what a real line, adapter or gateway does now and then: an answer that comes late, early (the one before, again),
cut off, twice, after noise, from another unit, for another function, of another length, with a checksum that does not fit, in
place of a neighbour's, byte by byte, or not at all; and units that fall silent for a while.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hwsim.meters.rtu_server import _checksum

KINDS = (
    "late",
    "early",
    "truncated",
    "doubled",
    "noise",
    "wrong-unit",
    "wrong-function",
    "wrong-length",
    "damaged",
    "swapped",
    "silent",
    "slow",
)
LATE_MAX_S = 2.5
"""How late an answer may come; more than any maker's longest answer time, and gateways that queue for longer give up."""
OUTAGE_SHARE = 0.02
"""Of the faults; the unit then says nothing for some seconds."""


class Unit(Protocol):
    """Whatever answers reads."""

    def answer(self, function: int, address: int, count: int) -> bytes: ...


@dataclass
class FaultyBus:
    """All units of one line or gateway, and the seed of what goes wrong."""

    units: dict[int, Unit]
    random: random.Random
    fault_share: float = 0.1
    is_rtu: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    _last: dict[int, bytes] = field(default_factory=dict)
    _held: bytes | None = None
    _silent_until_s: dict[int, float] = field(default_factory=dict)

    async def start(self, port: int = 0) -> int:
        """Serve on loopback; the port."""
        self._loop = asyncio.get_running_loop()
        end = _RtuEnd if self.is_rtu else _TcpEnd
        server = await self._loop.create_server(lambda: end(self), "127.0.0.1", port)
        self._server = server
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def request(self, number: int, pdu: bytes, header: bytes, write: Callable[[bytes], None]) -> None:
        """One request of the master. ``header`` leads a TCP answer; on RTU it is empty."""
        unit = self.units.get(number)
        draw = self.random
        self.counts["requests"] += 1
        if unit is None or self._silent_until_s.get(number, 0.0) > self._loop.time():
            return
        function, address, count = pdu[0], int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
        answer = unit.answer(function, address, count)
        frame = self._frame(number, answer, header)
        delay_s = draw.uniform(0.003, 0.03)
        last, self._last[number] = self._last.get(number), frame
        if self._held is not None:  # a neighbour's answer comes in place of this one, which follows
            self._after(delay_s, write, self._held)
            self._held = None
            self._after(delay_s + 0.01, write, frame)
            return
        kind = draw.choice(KINDS) if draw.random() < self.fault_share else ""
        if kind == "damaged" and not self.is_rtu:
            kind = "silent"  # a gateway checks the sum, and TCP has its own
        if kind:
            self.counts[kind] += 1
        match kind:
            case "late":
                self._after(draw.uniform(0.03, LATE_MAX_S), write, frame)
            case "early":
                if last is not None:
                    self._after(0.0, write, last)
                self._after(delay_s, write, frame)
            case "truncated":
                self._after(delay_s, write, frame[: draw.randrange(1, len(frame))])
            case "doubled":
                self._after(delay_s, write, frame)
                self._after(delay_s + draw.choice((0.0, draw.uniform(0.0, 0.08))), write, frame)
            case "noise":
                self._after(delay_s, write, draw.randbytes(draw.randrange(1, 7)) + frame)
            case "wrong-unit":
                self._after(delay_s, write, self._frame(draw.choice([*self.units, number ^ 1]), answer, header))
            case "wrong-function":
                self._after(delay_s, write, self._frame(number, bytes([answer[0] ^ 7]) + answer[1:], header))
            case "wrong-length":
                size = 2 * draw.randrange(0, 60)
                body = (answer[2:] * 60)[:size]
                self._after(delay_s, write, self._frame(number, bytes([answer[0], size]) + body, header))
            case "damaged":
                self._after(delay_s, write, self._burst(frame))
            case "swapped":
                self._held = frame
            case "silent":
                if draw.random() < OUTAGE_SHARE * len(KINDS):
                    self._silent_until_s[number] = self._loop.time() + draw.uniform(2.0, 15.0)
            case "slow":
                pause_s = draw.uniform(0.0005, 0.008)
                for index in range(len(frame)):
                    self._after(delay_s + index * pause_s, write, frame[index : index + 1])
            case _:
                self._after(delay_s, write, frame)

    def _after(self, delay_s: float, write: Callable[[bytes], None], data: bytes) -> None:
        self._loop.call_later(delay_s, write, data)

    def _frame(self, number: int, pdu: bytes, header: bytes) -> bytes:
        if self.is_rtu:
            body = bytes([number]) + pdu
            return body + _checksum(body).to_bytes(2, "little")
        return header + (len(pdu) + 1).to_bytes(2) + bytes([number]) + pdu

    def _burst(self, frame: bytes) -> bytes:
        """An error of up to 16 bits in a row as the line sends them, the lowest of each byte first. A CRC of 16 bits always shows
        it; in the other order it would not."""
        size = len(frame) * 8
        width = self.random.randrange(1, 17)
        pattern = self.random.getrandbits(width) | 1
        shift = self.random.randrange(0, size - width + 1)
        return (int.from_bytes(frame, "little") ^ pattern << shift).to_bytes(len(frame), "little")


class _End(asyncio.Protocol):
    def __init__(self, bus: FaultyBus) -> None:
        self._bus = bus
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class _RtuEnd(_End):
    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 8:
            if _checksum(bytes(buffer[:6])) != int.from_bytes(buffer[6:8], "little"):
                del buffer[0]
                continue
            frame = bytes(buffer[:8])
            del buffer[:8]
            self._bus.request(frame[0], frame[1:6], b"", self._write)


class _TcpEnd(_End):
    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 12:
            frame = bytes(buffer[:12])
            del buffer[:12]
            self._bus.request(frame[6], frame[7:12], frame[:4], self._write)
