"""Connections in memory, with latency and faults: what ``websockets`` and ``pymodbus`` see as sockets.

Bytes written at one end arrive at the other after the link's latency, in order. Faults are aimed at a listening port: connect
refused, reset, half-open (bytes vanish, nobody is told), stalled (bytes wait), one byte at a time. ``Network.own_link`` takes one
connection out of its port's link, to aim at one charger alone.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

HIGH_WATER = 64 * 1024
"""Bytes on their way before the writer is told to pause; asyncio's own default."""
SEGMENT_BYTES = 64 * 1024
"""The most that arrives at once, as from a real socket; so a reader that pauses is not given a megabyte all the same."""


@dataclass
class Link:
    """How the way to one listening port behaves now. Change it at any time."""

    latency_us: int = 500
    jitter_us: int = 500
    is_refusing: bool = False
    is_silent: bool = False
    """Half-open: what is written is lost, and nobody is told."""
    is_server_unheard: bool = False
    """Half-open in one direction: only what the listening side writes is lost."""
    is_stalled: bool = False
    """Nothing arrives until this ends."""
    is_dribbling: bool = False
    """One byte at a time."""


class Pipe(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self,
        network: Network,
        loop: Any,
        protocol: asyncio.BaseProtocol,
        link: Link,
        addresses: tuple[Any, Any],
        context: contextvars.Context,
        *,
        is_server: bool,
    ) -> None:
        super().__init__({"sockname": addresses[0], "peername": addresses[1]})
        self.is_server = is_server
        self._context = context
        self._network = network
        self._loop = loop
        self._protocol = protocol
        self._link = link
        self.peer: Pipe | None = None
        self._last_us = 0
        self._unread = 0
        self._is_closing = False
        self._is_lost = False
        self._is_paused = False
        self._is_reading = True
        self._held: deque[bytes | None] = deque()
        """Arrived while the reader was paused; None is the end of the stream."""

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing or self._is_lost or not data:
            return
        content = bytes(data)
        if self._is_unheard:
            return
        size = 1 if self._link.is_dribbling else SEGMENT_BYTES
        for start in range(0, len(content), size):
            self._send(content[start : start + size])

    @property
    def _is_unheard(self) -> bool:
        return self._link.is_silent or (self.is_server and self._link.is_server_unheard)

    def _send(self, content: bytes) -> None:
        peer = self.peer
        if peer is None:
            return
        peer._unread += len(content)
        if peer._unread > HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()
        self._after(lambda: peer._receive(content))

    def _after(self, action: Callable[[], None]) -> None:
        delay_us = self._link.latency_us + self._network.random.randrange(self._link.jitter_us + 1)
        if self._link.is_stalled:
            self._network.stalled.append((self._link, lambda: self._after(action)))
            return
        self._last_us = max(self._last_us, self._loop.now_us + delay_us)
        peer = self.peer
        self._loop.call_at(self._last_us / 1_000_000, action, context=peer._context if peer is not None else None)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self.peer is not None and not self._is_unheard:
            self._after(self.peer._receive_eof)

    def get_write_buffer_size(self) -> int:
        return 0 if self.peer is None else self.peer._unread

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """One limit for all; see ``HIGH_WATER``."""

    # --- reading ------------------------------------------------------------------------------------------------------

    def _receive(self, content: bytes) -> None:
        self._arrive(content)

    def _receive_eof(self) -> None:
        self._arrive(None)

    def _arrive(self, content: bytes | None) -> None:
        if self._is_lost:
            return
        if not self._is_reading or self._held:  # what came earlier is handed over first
            self._held.append(content)
        else:
            self._hand_over(content)

    def _hand_over(self, content: bytes | None) -> None:
        if content is None:
            keep_open = self._protocol.eof_received()  # type: ignore[attr-defined]
            if not keep_open:
                self.close()
            return
        self._unread -= len(content)
        writer = self.peer
        if writer is not None and writer._is_paused and self._unread < HIGH_WATER // 2 and not writer._is_lost:
            writer._is_paused = False
            writer._context.run(writer._protocol.resume_writing)
        self._protocol.data_received(content)  # type: ignore[attr-defined]

    def _hand_over_held(self) -> None:
        while self._held and self._is_reading and not self._is_lost:
            self._hand_over(self._held.popleft())

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        if self._held:
            self._loop.call_soon(self._hand_over_held, context=self._context)

    def is_reading(self) -> bool:
        return self._is_reading

    # --- ending -------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        peer = self.peer
        if peer is not None and not self._is_unheard:
            self._after(peer._receive_eof)
        self._loop.call_soon(self._lose, None, context=self._context)

    def abort(self) -> None:
        self._is_closing = True
        peer = self.peer
        if peer is not None and not self._is_unheard:
            self._after(lambda: peer._lose(ConnectionResetError("reset by peer")))
        self._loop.call_soon(self._lose, None, context=self._context)

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._network.pipes.pop(id(self), None)
        self._protocol.connection_lost(error)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol


class Listener(asyncio.AbstractServer):
    """A listening port; enough of ``asyncio.Server`` for the servers that run on it."""

    def __init__(self, network: Network, loop: Any, factory: Callable[[], Any], address: tuple[str, int]) -> None:
        self._network = network
        self._loop = loop
        self.factory = factory
        self.address = address
        self.context = contextvars.copy_context()
        self._is_open = True

    @property
    def sockets(self) -> tuple[Any, ...]:
        return (_Address(self.address),) if self._is_open else ()

    def get_loop(self) -> Any:
        return self._loop

    def is_serving(self) -> bool:
        return self._is_open

    async def start_serving(self) -> None:
        pass

    async def serve_forever(self) -> None:
        await self._loop.create_future()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._network.listeners.pop(self.address[1], None)

    async def wait_closed(self) -> None:
        pass

    def close_clients(self) -> None:
        pass

    def abort_clients(self) -> None:
        pass


@dataclass(frozen=True)
class _Address:
    """What a server's ``sockets`` are asked for."""

    address: tuple[str, int]
    family: int = socket.AF_INET
    type: int = socket.SOCK_STREAM

    def getsockname(self) -> tuple[str, int]:
        return self.address


@dataclass
class Network:
    """All listeners and connections of one world."""

    random: random.Random
    listeners: dict[int, Listener] = field(default_factory=dict)
    links: dict[int, Link] = field(default_factory=dict)
    pipes: dict[int, Pipe] = field(default_factory=dict)
    stalled: list[tuple[Link, Callable[[], None]]] = field(default_factory=list)
    _next_port: int = 40_000

    def link(self, port: int) -> Link:
        """The way to a port, for setting faults."""
        return self.links.setdefault(port, Link())

    def own_link(self, end: Any) -> Link:
        """From now on the connection of this transport has a link to itself, at first like the one it had."""
        link: Link = replace(end._link)
        for pipe in (end, end.peer):
            if pipe is not None:
                pipe._link = link
        return link

    def listen(self, loop: Any, factory: Callable[[], Any], host: str, port: int, **options: Any) -> Listener:
        _refuse_tls(options)
        if port == 0:
            self._next_port += 1
            port = self._next_port
        if port in self.listeners:
            raise OSError(98, f"address in use: {host}:{port}")
        listener = Listener(self, loop, factory, (host, port))
        self.listeners[port] = listener
        return listener

    async def connect(self, loop: Any, factory: Callable[[], Any], host: str, port: int, **options: Any) -> tuple[Pipe, Any]:
        _refuse_tls(options)
        link = self.link(port)
        await asyncio.sleep(link.latency_us / 1_000_000)
        listener = self.listeners.get(port)
        if listener is None or link.is_refusing:
            raise ConnectionRefusedError(111, f"connection refused: {host}:{port}")
        if link.is_silent or link.is_server_unheard or link.is_stalled:
            await asyncio.sleep(30)
            raise TimeoutError(f"no answer from {host}:{port}")
        self._next_port += 1
        client_address = ("127.0.0.1", self._next_port)
        client_protocol, server_protocol = factory(), listener.context.copy().run(listener.factory)
        client = Pipe(
            self, loop, client_protocol, link, (client_address, listener.address), contextvars.copy_context(), is_server=False
        )
        server = Pipe(
            self, loop, server_protocol, link, (listener.address, client_address), listener.context.copy(), is_server=True
        )
        client.peer, server.peer = server, client
        self.pipes[id(client)] = client
        self.pipes[id(server)] = server
        server._context.run(server_protocol.connection_made, server)
        client_protocol.connection_made(client)
        return client, client_protocol

    def reset(self, port: int, chance: float = 1.0) -> int:
        """Cut the connections to a port, each by ``chance``. Returns how many were cut."""
        ends = [pipe for pipe in self.pipes.values() if pipe.is_server and pipe.get_extra_info("sockname")[1] == port]
        cut = [pipe for pipe in ends if self.random.random() < chance]
        for pipe in cut:
            for end in (pipe, pipe.peer):
                if end is not None:
                    end._loop.call_soon(end._lose, ConnectionResetError("reset"), context=end._context)
        return len(cut)

    def abandon(self, port: int) -> None:
        """The process that listened there is gone: no listener, and every connection to it is cut."""
        listener = self.listeners.pop(port, None)
        if listener is not None:
            listener.close()
        self.reset(port)

    def release(self, link: Link) -> None:
        """End a stall: what waited goes on its way."""
        link.is_stalled = False
        waiting, self.stalled = self.stalled, []
        for stalled_link, action in waiting:
            if stalled_link is link:
                action()
            else:
                self.stalled.append((stalled_link, action))


def _refuse_tls(options: dict[str, Any]) -> None:
    """A test that asks for TLS must not be told that it has it; an existing socket cannot be had at all."""
    for option in ("ssl", "sock"):
        if options.get(option):
            raise RuntimeError(f"there is no {option}= in virtual time: use a real socket")
