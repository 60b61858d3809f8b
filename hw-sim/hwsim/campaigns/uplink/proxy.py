"""A wire over loopback that can be cut, hang half-open, or be slow."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

CHUNK_BYTES = 65_536
CONNECT_S = 5.0


class FaultyWire:
    """Listens on a port of its own and forwards to ``port`` of this machine."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.delay_s = 0.0
        """Of every chunk, in both directions."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        self._flowing.set()
        if self._links:
            await asyncio.wait(self._links, timeout=CONNECT_S)
        for task in list(self._links):
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        count = len(self._writers)
        for writer in list(self._writers):
            _reset(writer)
        return count

    def freeze(self) -> None:
        """Every connection stays open and nothing passes, in either direction; new ones are accepted and lead nowhere."""
        self._flowing.clear()

    def thaw(self, *, lost: bool) -> None:
        """Go on; ``lost``: the connections of that time turn out to be dead."""
        if lost:
            self.cut()
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._links.add(task)
            task.add_done_callback(self._links.discard)
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            async with asyncio.timeout(CONNECT_S):
                far_reader, other = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(other)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, other))
                group.create_task(self._pass(far_reader, writer))
        except* (OSError, _EndError, TimeoutError):
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    self._writers.discard(end)
                    _reset(end)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
        raise _EndError


class _EndError(Exception):
    """One side has closed."""


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
