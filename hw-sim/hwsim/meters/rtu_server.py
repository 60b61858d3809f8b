"""Modbus RTU units on a pseudo terminal (edgectl opens the other end as its serial device) or behind a TCP tunnel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable

from hwsim.meters.crc import MODBUS_START, crc16
from hwsim.meters.device import Device


class RtuLine:
    """All units of one line: takes bytes, gives answers, wherever they come from."""

    def __init__(self, units: dict[int, Device], write: Callable[[bytes], None]) -> None:
        self.units = units
        self._write = write
        self._buffer = bytearray()
        self._answering: set[asyncio.Task[None]] = set()

    def receive(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            frame = bytes(self._buffer[:8])
            if _checksum(frame[:6]) != int.from_bytes(frame[6:], "little"):
                del self._buffer[0]
                continue
            del self._buffer[:8]
            device = self.units.get(frame[0])
            if device is not None:
                task = asyncio.ensure_future(self._answer(device, frame))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _answer(self, device: Device, frame: bytes) -> None:
        faults = frozenset(device.faults)
        if "silent" in faults:
            return
        unit = frame[0] ^ 1 if "wrong-unit" in faults else frame[0]
        body = bytes([unit]) + device.answer(frame[1], int.from_bytes(frame[2:4]), int.from_bytes(frame[4:6]))
        answer = body + _checksum(body).to_bytes(2, "little")
        if "damaged" in faults:
            answer = answer[:4] + bytes([answer[4] ^ 0x10]) + answer[5:]
        if "truncated" in faults:
            answer = answer[: len(answer) // 2]
        if "noise" in faults:
            answer = b"\x00\xff" + answer
        if "late" in faults:
            await asyncio.sleep(device.late_s)
        self._write(answer * 2 if "doubled" in faults else answer)

    async def close(self) -> None:
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)


class MeterPty:
    """A serial line made of a pseudo terminal: ``device`` is what goes into the YAML file."""

    def __init__(self, units: dict[int, Device]) -> None:
        self._own, self._other = os.openpty()
        tty.setraw(self._own)
        tty.setraw(self._other)
        os.set_blocking(self._own, False)
        self.device = os.ttyname(self._other)
        self.line = RtuLine(units, self._write)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._own, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.line.receive(os.read(self._own, 4096))

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._own, data)

    async def stop(self) -> None:
        await self.line.close()
        if self._loop is not None:
            self._loop.remove_reader(self._own)
            self._loop = None
            os.close(self._own)
            os.close(self._other)


class MeterTunnel:
    """The same line behind a serial-to-TCP gateway."""

    def __init__(self, units: dict[int, Device]) -> None:
        self._units = units
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        line = RtuLine(self._units, writer.write)
        try:
            while data := await reader.read(256):
                line.receive(data)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            await line.close()
            self._writers.discard(writer)
            writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()


def _checksum(body: bytes) -> int:
    return crc16(body, MODBUS_START)
