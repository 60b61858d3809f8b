"""One Modbus bus: one transaction at a time, never cut off half-way, and deaf while nobody asks.

The serial transport is pyserial-asyncio; RTU over TCP uses the same code on a socket; Modbus TCP is pymodbus, whose transaction
numbers tell answers apart. Trouble is a value with a reason (``Answer``), never an exception.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

import serial_asyncio
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse
from serial import SerialException

from edgectl.domain.settings import Connection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.rtu import CONTACT_FUNCTIONS, EXCEPTIONS, READ_FUNCTIONS, Answer, Receiver, Request
from edgectl.meters.streams import line_reason

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it would write a line for each silence; we count them

CONNECT_MS: Millis = 3_000
ECHO_MS: Millis = 100
"""An answer may be repeated within this time: by a gateway, or by a reflection that an adapter takes for data."""
NOISE_MAX_MS: Millis = 300
"""Longer than the longest frame at 9600 baud: a line that never falls silent for so long carries no conversation."""
SILENT_LINK_MAX = 8
"""Transactions in a row without any answer before a TCP connection is made anew: it may be half-open. One silent unit among
others never gets there, and where it is the only one, a new connection every minute or so costs nothing."""


RECENT_COUNT = 1_024
"""Answers to requests this many back may still come: at a hundred a second that is ten seconds, three the longest known."""


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


def character_s(connection: Connection) -> float:
    """How long one byte takes on the wire; 0 where that is not known."""
    if connection.transport is not Transport.SERIAL:
        return 0.0
    return (1 + 8 + (connection.parity != "N") + connection.stop_bits) / connection.baud


def silence_s(connection: Connection) -> float:
    """The silence between two frames: 3.5 characters; above 19200 baud the standard fixes 1.75 ms (serial line 1.02, 2.5.1.1)."""
    is_slow = connection.transport is Transport.SERIAL and connection.baud <= 19_200
    return 3.5 * character_s(connection) if is_slow else 0.00175


class _Wire(asyncio.Protocol):
    """The line itself. Bytes reach whoever waits for an answer; what comes while nobody does is gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: Any = None
        self._receiver: Receiver | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self.last_s = loop.time()
        """When something was last heard or said."""
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.last_s = self._loop.time()
        if self._receiver is None or self._waiter is None or self._waiter.done():
            return
        answer = self._receiver.feed(data)
        if answer is not None:
            self._waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionError("closed"))
        if not self.closed.done():
            self.closed.set_result(None)

    async def exchange(self, request: Request, timeout_s: float) -> Answer:
        began_s = self._loop.time()
        receiver = self._receiver = Receiver(request)
        self._waiter = self._loop.create_future()
        try:
            self._transport.write(request.frame())
            self.last_s = began_s
            async with asyncio.timeout(timeout_s):
                answer = await self._waiter
        except TimeoutError:
            answer = Answer(None, receiver.doubt())
        finally:
            self._receiver = self._waiter = None
        if request.is_mistakable and answer.words is not None:
            answer = await self._lone(answer)
        return Answer(answer.words, answer.reason, elapsed_ms=round(1000 * (self._loop.time() - began_s)))

    async def _lone(self, answer: Answer) -> Answer:
        """An answer that could be the one before, repeated: then its own follows, and neither is taken."""
        heard_s = self.last_s
        await asyncio.sleep(ECHO_MS / 1000)
        return answer if self.last_s == heard_s else Answer(None, "doubled-answer")

    async def hush(self, silence: float) -> bool:
        """Wait until the line has been silent for so long; False when it does not fall silent. All that comes is thrown away."""
        for _ in range(2):  # what the kernel already holds comes first
            await asyncio.sleep(0)
        until_s = self._loop.time() + NOISE_MAX_MS / 1000
        while (rest_s := self.last_s + silence - self._loop.time()) > 0.0001:  # no timer is as fine as that
            if self._loop.time() > until_s:
                return False
            await asyncio.sleep(rest_s)
        return True

    async def close(self) -> None:
        if self._transport is None:
            return
        self._transport.abort()
        try:
            async with asyncio.timeout(1.0):
                await self.closed
        except TimeoutError:
            return  # it is gone either way


class RtuBus:
    """RTU on a serial line, or tunnelled through TCP."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wire: _Wire | None = None
        self._lock = asyncio.Lock()
        self._silence_s = silence_s(connection)
        self._character_s = character_s(connection)
        self._silent_count = 0

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(self._transact(request, timeout_ms)))

    async def _transact(self, request: Request, timeout_ms: Millis) -> Answer:
        async with self._lock:
            try:
                wire = self._wire
                if wire is None or wire.closed.done():
                    wire = await self._open()
                if not await wire.hush(self._silence_s):
                    return Answer(None, "noisy-line")
                # The request leaves the serial adapter at the speed of the wire, and so does the answer.
                on_wire_s = (8 + request.answer_size) * self._character_s
                answer = await wire.exchange(request, timeout_ms / 1000 + on_wire_s)
            except (OSError, SerialException, TimeoutError) as error:
                await self._drop()
                return Answer(None, line_reason(error), is_link_trouble=True)
            self._silent_count = self._silent_count + 1 if answer.reason == "timeout" else 0
            if self._silent_count >= SILENT_LINK_MAX and self._connection.transport is Transport.RTU_OVER_TCP:
                await self._drop()
            return answer

    async def _open(self) -> _Wire:
        connection = self._connection
        loop = asyncio.get_running_loop()
        wire = self._wire = _Wire(loop)
        async with asyncio.timeout(CONNECT_MS / 1000):
            if connection.transport is Transport.SERIAL:
                await serial_asyncio.create_serial_connection(
                    loop,
                    lambda: wire,
                    connection.device,
                    baudrate=connection.baud,
                    parity=connection.parity,
                    stopbits=connection.stop_bits,
                    exclusive=True,
                )
            else:
                await loop.create_connection(lambda: wire, connection.host, connection.port)
        self._silent_count = 0
        await asyncio.sleep(0)  # the serial transport introduces itself a turn later
        return wire

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    async def close(self) -> None:
        async with self._lock:
            await self._drop()


class TcpBus:
    """Modbus TCP. A late answer is known by its number and passed over; after one that does not fit, the link is made anew."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._client: AsyncModbusTcpClient | None = None
        self._lock = asyncio.Lock()
        self._number = 0
        self._silent_count = 0
        self._heard = b""
        """What has come since the last request, as far as it was not passed over."""

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        return await asyncio.shield(asyncio.ensure_future(self._transact(request, timeout_ms)))

    async def _transact(self, request: Request, timeout_ms: Millis) -> Answer:
        async with self._lock:
            try:
                client = await self._connected()
            except (ModbusException, OSError, TimeoutError) as error:
                self._drop()
                return Answer(None, line_reason(error), is_link_trouble=True)
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            answer = await self._ask(client, request, timeout_ms)
            return Answer(answer.words, answer.reason, answer.is_link_trouble, round(1000 * (loop.time() - began_s)))

    async def _ask(self, client: AsyncModbusTcpClient, request: Request, timeout_ms: Millis) -> Answer:
        calls = {
            1: client.read_coils,
            2: client.read_discrete_inputs,
            3: client.read_holding_registers,
            4: client.read_input_registers,
        }
        call = calls[request.function]
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                answer = await call(request.address, count=request.count, device_id=request.unit)
        except TimeoutError:
            self._silent_count += 1
            # Half an answer: its rest would be taken for the beginning of the next.
            is_torn = bool(client.ctx.recv_buffer)
            if is_torn or self._silent_count >= SILENT_LINK_MAX:
                self._drop()
            return Answer(None, "damaged-answer" if is_torn else "timeout")
        except (ModbusException, OSError) as error:
            is_lost = not client.connected
            self._drop()
            return Answer(None, line_reason(error) if is_lost else "damaged-answer", is_link_trouble=is_lost)
        self._silent_count = 0
        if client.ctx.recv_buffer:
            # More than was asked for: it may be a torn answer that the next one has completed.
            self._drop()
            return Answer(None, "damaged-answer")
        if isinstance(answer, ExceptionResponse):
            if answer.function_code != request.function | 0x80:
                self._drop()
                return Answer(None, "wrong-function")
            return Answer(None, EXCEPTIONS.get(answer.exception_code, f"exception-{answer.exception_code}"))
        if answer.function_code != request.function or answer.dev_id != request.unit:
            self._drop()
            return Answer(None, "wrong-function" if answer.dev_id == request.unit else "wrong-unit")
        if is_spliced(self._heard[-(9 + request.data_size) :], client.ctx.next_tid):
            self._drop()
            return Answer(None, "damaged-answer")
        # Contacts come in whole bytes; what was not asked for fills the last one.
        is_contact = request.function in CONTACT_FUNCTIONS
        words = tuple(map(int, answer.bits)) if is_contact else tuple(answer.registers)
        if len(words) != (8 * request.data_size if is_contact else request.count):
            self._drop()
            return Answer(None, "wrong-length")
        return Answer(words[: request.count])

    async def _connected(self) -> AsyncModbusTcpClient:
        client = self._client
        if client is None or not client.connected:
            self._drop()
            # Neither retries nor reconnecting of its own: the poller decides what the bus time is spent on.
            client = AsyncModbusTcpClient(
                self._host,
                port=self._port,
                retries=0,
                timeout=CONNECT_MS / 1000,
                reconnect_delay=0,
                reconnect_delay_max=0,
                trace_packet=self._listen,
            )
            self._client = client
            async with asyncio.timeout(CONNECT_MS / 1000):
                if not await client.connect():
                    raise ConnectionRefusedError("cannot connect")
            # Numbers go on across connections: a gateway may answer on the new one what was asked on the old one.
            client.ctx.next_tid = self._number
            self._silent_count = 0
        return client

    def _listen(self, is_sent: bool, data: bytes) -> bytes:
        self._heard = b"" if is_sent else data
        return data

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._number = client.ctx.next_tid
            client.close()

    async def close(self) -> None:
        async with self._lock:
            self._drop()


def is_spliced(frame: bytes, number: int) -> bool:
    """Whether inside a Modbus TCP frame another answer begins, to one of the requests before ``number``.

    A gateway that sends a late answer into the middle of another, or after a torn one, makes a frame that fits in every respect:
    unit, function, length and number are those of the first. Registers that look like such a beginning by chance cost a reading.
    """
    for start in range(1, len(frame) - 8):
        size, data_size = int.from_bytes(frame[start + 2 : start + 6]), frame[start + 8]
        is_whole = size == 3 + data_size > 3 and frame[start + 7] in READ_FUNCTIONS
        is_refusal = size == 3 and frame[start + 7] >= 0x80 and frame[start + 7] & 0x7F in READ_FUNCTIONS
        if (is_whole or is_refusal) and (number - int.from_bytes(frame[start : start + 2])) % 65_536 <= RECENT_COUNT:
            return True
    return False
