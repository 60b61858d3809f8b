"""Lines for the scan: ask, listen for a window, and hand over everything that came, whoever it was from.

A bus for readings waits long and then keeps quiet, because a late answer must never pass for another. A scan asks each unit once,
so a late answer names its own unit and cannot mislead: no pause is needed, and 247 units fit into a minute.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from edgectl.domain.settings import Connection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.streams import LINE_ERRORS, close_stream, line_reason, open_stream
from edgectl.meters.tools.hearing import Heard, heard
from edgectl.meters.tools.questions import Question

QUIET_MS: Millis = 40
"""No further byte for this long: the answer is complete. USB adapters hold bytes back for 16 ms."""
ANSWER_MAX_BYTES = 1_024
NOBODY = frozenset({0x0A, 0x0B})
"""Modbus exceptions of a gateway that has asked and heard nothing."""


class LineError(Exception):
    """The line cannot be used; the text says why, for people."""


class ScanLine(Protocol):
    async def open(self) -> None:
        """Raises LineError: it is not there, or somebody else has it."""

    async def listen(self, window_ms: Millis) -> Heard:
        """Without asking anything."""

    async def ask(self, question: Question, window_ms: Millis) -> Heard:
        """What is heard within the window, and while bytes keep coming. Raises LineError."""

    async def close(self) -> None: ...


def open_line(connection: Connection) -> ScanLine:
    return TcpLine(connection) if connection.transport is Transport.TCP else RtuLine(connection)


class _Line:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        try:
            self._reader, self._writer = await open_stream(self._connection)
        except LINE_ERRORS as error:
            raise LineError(line_words(line_reason(error), self._connection)) from error

    async def close(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            await close_stream(writer)

    async def _write(self, data: bytes) -> None:
        if self._writer is None:
            raise LineError("the line is not open")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except LINE_ERRORS as error:
            raise LineError(line_words(line_reason(error), self._connection)) from error

    async def _some(self, window_ms: Millis) -> bytes:
        """Whatever comes next; empty when nothing does."""
        if self._reader is None:
            raise LineError("the line is not open")
        try:
            async with asyncio.timeout(window_ms / 1000):
                data = await self._reader.read(ANSWER_MAX_BYTES)
        except TimeoutError:
            return b""
        except LINE_ERRORS as error:
            raise LineError(line_words(line_reason(error), self._connection)) from error
        if not data:
            raise LineError(line_words("connection-lost", self._connection))
        return data


class RtuLine(_Line):
    """RTU on a serial line or through a TCP gateway."""

    async def listen(self, window_ms: Millis) -> Heard:
        return heard(await self._until_quiet(window_ms))

    async def ask(self, question: Question, window_ms: Millis) -> Heard:
        frame = question.request().frame()
        await self._write(frame)
        return heard(await self._until_quiet(window_ms), echo=frame)

    async def _until_quiet(self, window_ms: Millis) -> bytes:
        found = b""
        while len(found) < ANSWER_MAX_BYTES and (more := await self._some(QUIET_MS if found else window_ms)):
            found += more
        return found


class TcpLine(_Line):
    """Modbus TCP: a transaction number tells whose answer it is, however late it comes."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._buffer = b""
        self._asked: dict[int, int] = {}
        self._number = 0

    async def listen(self, window_ms: Millis) -> Heard:
        return await self._collect(window_ms, until=None)

    async def ask(self, question: Question, window_ms: Millis) -> Heard:
        self._number = self._number % 0xFFFF + 1
        self._asked[self._number] = question.unit
        pdu = question.request().frame()[1:-2]
        header = self._number.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([question.unit])
        try:
            await self._write(header + pdu)
            return await self._collect(window_ms, until=self._number)
        except LineError:
            # Some devices hang up on a unit they are not. The next question goes over a new connection.
            await self.close()
            self._buffer = b""
            await self.open()
            return Heard()

    async def _collect(self, window_ms: Millis, until: int | None) -> Heard:
        units: list[int] = []
        loop = asyncio.get_running_loop()
        end_s = loop.time() + window_ms / 1000
        while (left_s := end_s - loop.time()) > 0:
            self._buffer += await self._some(round(left_s * 1000))
            done = self._take(units)
            if until in done:
                break
        return Heard(tuple(units))

    def _take(self, units: list[int]) -> set[int]:
        """Whole answers out of the buffer; their numbers."""
        done: set[int] = set()
        while len(self._buffer) >= 6 and len(self._buffer) >= (size := 6 + int.from_bytes(self._buffer[4:6])):
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            number = int.from_bytes(frame[:2])
            unit = self._asked.pop(number, None)
            done.add(number)
            is_nobody = len(frame) >= 9 and frame[7] & 0x80 and frame[8] in NOBODY
            if unit is not None and not is_nobody:
                units.append(unit)
        return done


def line_words(reason: str, connection: Connection) -> str:
    """What is the matter with a line, and what helps."""
    place = connection.device or f"{connection.host}:{connection.port}"
    return {
        "serial-line-in-use": f"{place} is in use: the daemon reads it (`edgectl meters` shows what), or another program",
        "serial-line-gone": f"{place} cannot be opened: is it plugged in, and may you read it (group dialout)?",
        "connection-refused": f"{place} refuses the connection: is this the right port?",
        "cannot-connect": f"{place} does not answer: is this the right address?",
    }.get(reason, f"{place}: the connection was lost")
