"""A Modbus TCP server for one or several units, on the running loop, real or virtual."""

from __future__ import annotations

import asyncio

from hwsim.meters.device import Device


class MeterTcpServer:
    def __init__(self, units: dict[int, Device]) -> None:
        self.units = units
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                header = await reader.readexactly(7)
                body = await reader.readexactly(int.from_bytes(header[4:6]) - 1)
                await self._answer(header, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, header: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        device = self.units.get(header[6])
        if device is None or "silent" in device.faults:
            return
        unit = header[6] ^ 1 if "wrong-unit" in device.faults else header[6]
        answer = device.answer(body[0], int.from_bytes(body[1:3]), int.from_bytes(body[3:5]))
        if "late" in device.faults:
            await asyncio.sleep(device.late_s)
        frame = header[:4] + (len(answer) + 1).to_bytes(2) + bytes([unit]) + answer
        writer.write(frame[: len(frame) // 2] if "truncated" in device.faults else frame)
        await writer.drain()
