"""One simulated charge point on a WebSocket: connects, reconnects, lets time pass for its model."""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.typing import Subprotocol

from hwsim.models.stations import Station

STEP_S = 0.5
"""How often the model's physics and timers are advanced, unless somebody wants it otherwise."""
RECONNECT_MAX_S = 30.0


class StationClient:
    """Runs a charger against a server until cancelled. ``is_powered`` off keeps it away.

    The pause between two attempts to connect begins with ``reconnect_s`` and doubles with each that fails, up to
    ``reconnect_max_s``.
    """

    def __init__(
        self,
        station: Station,
        host: str,
        port: int,
        rng: random.Random,
        *,
        password: bytes | None = None,
        tls: ssl.SSLContext | None = None,
        reconnect_s: float = 5.0,
        reconnect_max_s: float = RECONNECT_MAX_S,
    ) -> None:
        self.station = station
        self.host = host
        self.port = port
        self.is_powered = True
        self.connect_count = 0
        self.last_error = ""
        self._rng = rng
        self.password = password
        self._tls = tls
        self._reconnect_s = reconnect_s
        self._reconnect_max_s = reconnect_max_s
        self._connection: ClientConnection | None = None
        self.on_step: Callable[[float], None] | None = None
        self.step_s = self.idle_step_s = STEP_S
        """How often the model is advanced while a car is there, and while none is; more seldom costs less."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._live(), name=f"{self.station.identity}-model")
            tasks.create_task(self._keep_connected(), name=f"{self.station.identity}-link")

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rng.uniform(0, STEP_S))
        while True:
            now_s = loop.time()
            if self.on_step is not None:
                self.on_step(now_s)
            self.station.advance(now_s)
            await self._send()
            is_idle = all(evse.car is None for evse in self.station.evses.values())
            await asyncio.sleep(self.idle_step_s if is_idle else self.step_s)

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rng.uniform(0, 1))
        pause_s = self._reconnect_s
        while True:
            if self.is_powered:
                connect_count = self.connect_count
                try:
                    await self._serve(loop)
                    self.last_error = "closed by edgectl"
                except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake) as error:
                    self.last_error = f"{type(error).__name__}: {error}"
                has_failed = self.connect_count == connect_count
                pause_s = min(self._reconnect_max_s, 2 * pause_s) if has_failed else self._reconnect_s
            await asyncio.sleep(pause_s * self._rng.uniform(0.8, 1.2))

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        faults = self.station.faults
        headers = {}
        if self.password is not None:
            password = self.password.hex().encode() if "hex-password" in faults else self.password
            pair = self.station.identity.encode() + b":" + password
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        identity = self.station.identity
        path = f"{identity.lower().replace('-', '%2D')}/" if "odd-path" in faults else identity
        unnamed: dict[str, Any] = {"server_hostname": ""} if "no-server-name" in faults else {}
        offered = ["ocpp2.0.1", "ocpp1.6"] if "offers-201-first" in faults else [getattr(self.station, "subprotocol", "ocpp1.6")]
        async with connect(
            f"{'ws' if self._tls is None else 'wss'}://{self.host}:{self.port}/ocpp/{path}",
            ssl=self._tls,
            **unnamed,
            subprotocols=None if "no-subprotocol" in faults else [Subprotocol(name) for name in offered],
            create_connection=_connection_of(faults),
            additional_headers=headers,
            compression=None,
            open_timeout=20,
            ping_interval=None if "never-pongs" in faults else 30,
            ping_timeout=20,
            close_timeout=2,
        ) as connection:
            self._connection = connection
            self.connect_count += 1
            self.station.connected(loop.time())
            try:
                await self._send()
                async for message in connection:
                    if isinstance(message, str):
                        self.station.received(message, loop.time())
                        await self._send()
            finally:
                self._connection = None
                if self.station.is_powered:  # else it has noticed by itself
                    self.station.disconnected(loop.time())

    async def _send(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            for frame in self.station.take_frames():
                await connection.send(frame)
            if self.station.take_close():
                await connection.close()
        except ConnectionClosed:
            pass  # the reader notices as well, and reconnects

    async def say(self, frames: Iterable[str]) -> None:
        """Send what the station itself would never say."""
        connection = self._connection
        try:
            for frame in frames:
                if connection is not None:
                    await connection.send(frame)
        except ConnectionClosed:
            pass  # it was too much

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection it has now, to aim a fault at."""
        return self._connection.transport if self._connection is not None else None

    async def cut(self) -> None:
        """Drop the link without a word."""
        if self._connection is not None:
            self._connection.transport.abort()

    def power_off(self) -> None:
        self.is_powered = False
        self.station.power_cut(asyncio.get_running_loop().time())
        if self._connection is not None:
            self._connection.transport.abort()

    def power_on(self) -> None:
        self.is_powered = True
        self.station.power_restored(asyncio.get_running_loop().time())


def _connection_of(faults: frozenset[str]) -> type[ClientConnection]:
    """A connection that leaves out ``Connection: Upgrade``, or answers no pings; otherwise a usual one."""
    if not faults & {"no-upgrade-header", "never-pongs"}:
        return ClientConnection

    class OddConnection(ClientConnection):
        async def handshake(self, *args: Any, **options: Any) -> None:
            ask, send = self.protocol.connect, self.protocol.send_frame

            def ask_without_upgrade() -> Request:
                request = ask()
                del request.headers["Connection"]
                return request

            def send_but_pongs(frame: Frame) -> None:
                if frame.opcode is not Opcode.PONG:
                    send(frame)

            if "no-upgrade-header" in faults:
                self.protocol.connect = ask_without_upgrade  # type: ignore[method-assign]
            if "never-pongs" in faults:
                self.protocol.send_frame = send_but_pongs  # type: ignore[method-assign]
            await super().handshake(*args, **options)

    return OddConnection
