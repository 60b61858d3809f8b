"""Bytes in and out: a serial line or a socket, opened in bounded time. Who reads Modbus or P1 over it is another matter."""

from __future__ import annotations

import asyncio

import serial_asyncio
from serial import SerialException

from edgectl.domain.settings import Connection, Transport
from edgectl.domain.units import Millis

OPEN_MS: Millis = 3_000
CLOSE_S = 1.0
LINE_ERRORS = (OSError, SerialException, TimeoutError)
"""What a line or socket in trouble raises."""


async def open_stream(connection: Connection) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The stream of a connection. A serial line is locked, so that no second process of ours can talk into it.

    Raises:
        OSError, SerialException, TimeoutError: it cannot be opened, or somebody else has it.
    """
    async with asyncio.timeout(OPEN_MS / 1000):
        if connection.transport is not Transport.SERIAL:
            return await asyncio.open_connection(connection.host, connection.port)
        opened: tuple[asyncio.StreamReader, asyncio.StreamWriter] = await serial_asyncio.open_serial_connection(
            url=connection.device,
            baudrate=connection.baud,
            parity=connection.parity,
            stopbits=connection.stop_bits,
            exclusive=True,
        )
        return opened


async def close_stream(writer: asyncio.StreamWriter) -> None:
    """Closed, or given up after a second; it is gone either way."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_S):
            await writer.wait_closed()
    except LINE_ERRORS:
        return


def line_reason(error: Exception) -> str:
    """The reason a reading carries when the line itself is in trouble."""
    if isinstance(error, TimeoutError):
        return "cannot-connect"
    if isinstance(error, ConnectionRefusedError):
        return "connection-refused"
    if isinstance(error, ConnectionError):
        return "connection-lost"
    if isinstance(error, SerialException | FileNotFoundError | PermissionError):
        return "serial-line-in-use" if "exclusively lock" in str(error) else "serial-line-gone"
    return "connection-lost"
