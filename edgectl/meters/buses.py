"""One Modbus bus: one transaction at a time, never cut off half-way, and quiet after every doubt.

The serial transport is pyserial-asyncio; RTU over TCP uses the same code on a stream; Modbus TCP is pymodbus, whose transaction
numbers tell answers apart. Trouble is a value with a reason (``Answer``), never an exception.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import serial_asyncio
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse
from serial import SerialException

from edgectl.domain.settings import Connection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.rtu import EXCEPTIONS, Answer, Receiver, Request

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it would write a line for each silence; we count them

DRAIN_MS: Millis = 500
"""How long the bus stays quiet after a doubt: the longest answer time makers state, so that no late answer meets a new
request."""
CONNECT_MS: Millis = 3_000
CHARACTER_BITS = 11
"""Start, eight data, parity or second stop, stop."""


class Bus(Protocol):
    """What the poller needs of a line or gateway."""

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        """One transaction, to its end: a caller that is cancelled meanwhile does not cut it off."""

    async def close(self) -> None: ...


def open_bus(connection: Connection) -> Bus:
    """The bus for a connection. Nothing is opened before the first read."""
    if connection.transport is Transport.TCP:
        return TcpBus(connection.host, connection.port)
    return RtuBus(connection)


class RtuBus:
    """RTU on a serial line, or tunnelled through TCP."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._lock = asyncio.Lock()
        # 3.5 characters of silence end a frame; above 19200 baud the standard fixes 1.75 ms.
        is_slow = connection.transport is Transport.SERIAL and connection.baud <= 19_200
        self._silence_s = 3.5 * CHARACTER_BITS / connection.baud if is_slow else 0.00175
        self._character_s = CHARACTER_BITS / connection.baud if connection.transport is Transport.SERIAL else 0.0

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(self._transact(request, timeout_ms)))

    async def _transact(self, request: Request, timeout_ms: Millis) -> Answer:
        async with self._lock:
            try:
                if self._writer is None:
                    await self._open()
                answer = await self._exchange(request, timeout_ms)
            except (OSError, SerialException, TimeoutError) as error:
                await self._drop()
                return Answer(None, _line_words(error))
            if answer.words is None:
                await self._drain()
            await asyncio.sleep(self._silence_s)
            return answer

    async def _open(self) -> None:
        connection = self._connection
        async with asyncio.timeout(CONNECT_MS / 1000):
            if connection.transport is Transport.SERIAL:
                self._reader, self._writer = await serial_asyncio.open_serial_connection(
                    url=connection.device,
                    baudrate=connection.baud,
                    parity=connection.parity,
                    stopbits=connection.stop_bits,
                )
            else:
                self._reader, self._writer = await asyncio.open_connection(connection.host, connection.port)

    async def _exchange(self, request: Request, timeout_ms: Millis) -> Answer:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise ConnectionError("not open")
        frame = request.frame()
        writer.write(frame)
        receiver = Receiver(request)
        wire_s = (len(frame) + request.answer_size) * self._character_s
        try:
            async with asyncio.timeout(timeout_ms / 1000 + wire_s):
                while True:
                    data = await reader.read(256)
                    if not data:
                        raise ConnectionError("closed")
                    answer = receiver.feed(data)
                    if answer is not None:
                        return answer
        except TimeoutError:
            return Answer(None, receiver.doubt())

    async def _drain(self) -> None:
        """Until the line has been quiet for long enough."""
        reader = self._reader
        if reader is None:
            return
        try:
            while True:
                async with asyncio.timeout(DRAIN_MS / 1000):
                    if not await reader.read(256):
                        await self._drop()
                        return
        except TimeoutError:
            return
        except (OSError, SerialException):
            await self._drop()

    async def _drop(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is None:
            return
        writer.close()
        try:
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
        except (OSError, SerialException, TimeoutError):
            return  # it is gone either way

    async def close(self) -> None:
        async with self._lock:
            await self._drop()


class TcpBus:
    """Modbus TCP. After any doubt the connection is dropped, so that no stale answer can follow."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._client: AsyncModbusTcpClient | None = None
        self._lock = asyncio.Lock()

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(self._transact(request, timeout_ms)))

    async def _transact(self, request: Request, timeout_ms: Millis) -> Answer:
        async with self._lock:
            try:
                client = await self._connected()
                call = client.read_holding_registers if request.function == 3 else client.read_input_registers
                async with asyncio.timeout(timeout_ms / 1000):
                    answer = await call(request.address, count=request.count, device_id=request.unit)
            except (ModbusException, OSError, TimeoutError) as error:
                was_connected = self._client is not None and self._client.connected
                self._drop()
                is_silence = was_connected and isinstance(error, TimeoutError | ModbusException)
                return Answer(None, "timeout" if is_silence else _line_words(error))
            if isinstance(answer, ExceptionResponse):
                return Answer(None, EXCEPTIONS.get(answer.exception_code, f"exception-{answer.exception_code}"))
            if answer.function_code != request.function or answer.dev_id != request.unit:
                self._drop()
                return Answer(None, "wrong-function" if answer.dev_id == request.unit else "wrong-unit")
            if len(answer.registers) != request.count:
                self._drop()
                return Answer(None, "wrong-length")
            return Answer(tuple(answer.registers))

    async def _connected(self) -> AsyncModbusTcpClient:
        client = self._client
        if client is None or not client.connected:
            self._drop()
            # Neither retries nor reconnecting of its own: the poller decides what the bus time is spent on.
            client = AsyncModbusTcpClient(
                self._host, port=self._port, retries=0, timeout=CONNECT_MS / 1000, reconnect_delay=0, reconnect_delay_max=0
            )
            self._client = client
            async with asyncio.timeout(CONNECT_MS / 1000):
                if not await client.connect():
                    raise ConnectionError("cannot connect")
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def close(self) -> None:
        async with self._lock:
            self._drop()


def _line_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "cannot-connect"
    if isinstance(error, SerialException | FileNotFoundError | PermissionError):
        return "serial-line-gone"
    return "connection-lost" if not isinstance(error, ConnectionRefusedError) else "connection-refused"
