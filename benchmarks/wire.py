"""The cheapest charger there can be: OCPP-J over a WebSocket of our own, so that the server under load is what is slow.

Frames are masked with a key of zeros, which RFC 6455 allows and which costs nothing. Calls of the server are answered at once.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable

CONNECT_TIMEOUT_S = 20.0
ZERO_MASK = bytes(4)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RefusedError(Exception):
    """The server did not let the station in; the text says what it answered."""


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final client frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8)
    return head + ZERO_MASK + payload


def answer_own_call(action: str) -> str | None:
    """The payload a plain charger answers to a server's call; None for what it does not know."""
    return '{"status":"Accepted"}' if action in {"SetChargingProfile", "ClearChargingProfile", "TriggerMessage"} else None


class Station(asyncio.Protocol):
    """One connection. ``on_answer`` gets every answer's text; ``on_call`` hears of every call of the server."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.on_answer: Callable[[bytes], None] = self._resolve
        self.on_call: Callable[[str, bytes], None] = lambda _action, _text: None
        self.is_lost = False
        self.count = 0
        self.refused_count = 0
        """Answers that were a CALLERROR."""
        self._buffer = bytearray()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_open = False
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(
        cls,
        port: int,
        identity: str,
        subprotocol: str,
        *,
        tls: ssl.SSLContext | None = None,
        password: str | None = None,
    ) -> Station:
        """Raises OSError or RefusedError when the server does not let it in, TimeoutError when it does not answer."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, station = await loop.create_connection(
                lambda: cls(identity), "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
            )
            basic = base64.b64encode(f"{identity}:{password}".encode()).decode()
            lines = [
                f"GET /{identity} HTTP/1.1",
                f"Host: 127.0.0.1:{port}",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
                "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Protocol: {subprotocol}",
                *([f"Authorization: Basic {basic}"] if password else []),
            ]
            try:
                station.write("\r\n".join([*lines, "", ""]).encode())
                await station._opened
            except BaseException:
                station.abort()
                raise
        return station

    async def call(self, action: str, payload: str) -> bytes:
        """One call and its answer's text; one at a time. Raises ConnectionError when the connection goes first."""
        self.count += 1
        return await self.call_text(f'[2,"{self.count}","{action}",{payload}]')

    async def call_text(self, text: str) -> bytes:
        self._waiting = asyncio.get_running_loop().create_future()
        self.send(text)
        return await self._waiting

    def send(self, text: str) -> None:
        self.write(frame(text.encode()))

    def write(self, data: bytes) -> None:
        """Raw bytes, whole frames or not."""
        if self._transport is None or self.is_lost:
            raise ConnectionResetError("the connection is gone")
        self._transport.write(data)

    @property
    def unwritten_bytes(self) -> int:
        """What waits in this process because the server does not read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        for future in (self._opened, self._waiting):
            if future is not None and not future.done():
                future.set_exception(ConnectionResetError("the server closed the connection"))
                future.exception()  # whoever waits sees it; nobody has to

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open and not self._take_handshake():
            return
        while self._take_frame():
            pass

    def _take_handshake(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        status = bytes(self._buffer).split(b"\r\n", 1)[0].decode("latin-1")
        del self._buffer[: end + 4]
        if " 101 " not in status:
            if not self._opened.done():
                self._opened.set_exception(RefusedError(status))
            return False
        self._is_open = True
        if not self._opened.done():
            self._opened.set_result(None)
        return True

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        size, begin = buffer[1] & 0x7F, 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            if len(buffer) < begin:
                return False
            size = int.from_bytes(buffer[2:begin])
        if len(buffer) < begin + size:
            return False
        opcode, payload = buffer[0] & 0x0F, bytes(buffer[begin : begin + size])
        del buffer[: begin + size]
        if opcode == TEXT:
            self._on_text(payload)
        elif opcode == PING and not self.is_lost:
            self.write(frame(payload, PONG))
        return True

    def _on_text(self, text: bytes) -> None:
        if text.startswith((b"[3", b"[4")):
            if text.startswith(b"[4"):
                self.refused_count += 1
            self.on_answer(text)
            return
        if text.startswith(b"[2"):
            _, message_id, action, *_ = json.loads(text)
            answer = answer_own_call(action)
            known = f'[3,"{message_id}",{answer}]' if answer else f'[4,"{message_id}","NotSupported","",{{}}]'
            self.on_call(action, text)
            if not self.is_lost:
                self.send(known)

    def _resolve(self, text: bytes) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(text)


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of them lie; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def utc_text(offset_s: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))
