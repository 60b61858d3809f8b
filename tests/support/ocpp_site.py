"""An OCPP server on a loopback socket with the test as the runtime behind it, and chargers that connect to it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from edgectl.domain.decisions import BootAnswer, Reply, SetLimit, TokenVerdict
from edgectl.domain.events import ChargerBooted, Event
from edgectl.domain.ids import ChargerId, EvseId, TransactionRef
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.settings import ChargerAccess, Listener, OcppSettings, UnknownChargers
from edgectl.domain.site import PowerKind, TokenStatus
from edgectl.domain.time import Instant
from edgectl.ocpp import link as link_module
from edgectl.ocpp.server import OcppServer, compile_schemas

CP1 = ChargerId("CP-A-01")
CP2 = ChargerId("CP-A-02")
OCPP16 = [Subprotocol("ocpp1.6")]
ACCEPTED = TokenVerdict(TokenStatus.ACCEPTED)
T = TypeVar("T")

compile_schemas()  # now, so that no test's bound has to have room for it


class LoopClock:
    """Monotonic as the loop, calendar as the host."""

    def now(self) -> Instant:
        return Instant(int(asyncio.get_running_loop().time() * 1000), int(time.time() * 1000))


class Recorder:
    """An inbox that keeps everything and lets a test wait for what it needs."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = lambda event: None
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)
        self._news.set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    async def first(self, kind: type[T], is_it: Callable[[T], bool] = lambda event: True, timeout_s: float = 5) -> T:
        async with asyncio.timeout(timeout_s):
            while True:
                found = next((event for event in self.of(kind) if is_it(event)), None)
                if found is not None:
                    return found
                self._news.clear()
                await self._news.wait()


class Site:
    """A running server, its inbox, and chargers that connect to it."""

    def __init__(self, server: OcppServer, inbox: Recorder, clock: LoopClock) -> None:
        self.server, self.inbox, self.clock = server, inbox, clock

    def url(self, charger: str, scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.server.bound_ports[0]}/ocpp/{charger}"

    def connect(self, charger: str = CP1, **options: Any) -> connect:
        options.setdefault("subprotocols", OCPP16)
        return connect(self.url(charger, "wss" if "ssl" in options else "ws"), proxy=None, **options)

    def now(self) -> Instant:
        return self.clock.now()

    def reply(self, event: Any, answer: Any) -> None:
        self.server.reply(Reply(event.call, answer), self.now())

    async def boot(self, charger: ClientConnection, message_id: str = "boot") -> None:
        """Go through the boot until our Accepted has arrived."""
        await charger.send(call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}, message_id))
        booted = await self.inbox.first(ChargerBooted, lambda event: event.call.message_id == message_id)
        self.reply(booted, BootAnswer(True, 300, settle_ms=link_module.SETTLE_MS))
        assert (await receive(charger))[2]["status"] == "Accepted"


@asynccontextmanager
async def site(
    *,
    profile: int = 0,
    passwords: dict[str, bytes] | None = None,
    unknown: UnknownChargers = UnknownChargers.QUARANTINE,
    certificate: bytes | None = None,
    ping_ms: int = 20_000,
    call_timeout_ms: int = 15_000,
    access: ChargerAccess | None = None,
    more_secrets: dict[str, bytes] | None = None,
) -> AsyncIterator[Site]:
    secrets = {f"password-{charger}": password for charger, password in (passwords or {}).items()} | (more_secrets or {})
    if certificate is not None:
        secrets["tls"] = certificate
    settings = OcppSettings(
        listeners=(Listener("127.0.0.1", 0, profile, certificates=("tls",) if certificate else ()),),
        unknown_chargers=unknown,
        access=(
            *(ChargerAccess(ChargerId(charger), f"password-{charger}") for charger in passwords or {}),
            *((access,) if access is not None else ()),
        ),
        ping_ms=ping_ms,
        call_timeout_ms=call_timeout_ms,
    )
    inbox, clock = Recorder(), LoopClock()
    server = OcppServer(settings, {CP1, CP2}, inbox, clock, secrets.__getitem__, random.Random(1))
    await server.start()
    try:
        yield Site(server, inbox, clock)
    finally:
        await server.stop()


def call(action: str, payload: object, message_id: str = "1") -> str:
    return json.dumps([2, message_id, action, payload])


async def receive(charger: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await charger.recv())


async def closed(charger: ClientConnection, timeout_s: float = 5) -> int | None:
    async with asyncio.timeout(timeout_s):
        await charger.wait_closed()
    return charger.close_code


def basic(user: bytes, password: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(user + b":" + password).decode()}


def limit(charger: ChargerId = CP1, limit_ma: int = 16_000, order_number: int = 1) -> SetLimit:
    reason = Reason(Cause.FULL, Authority.CHARGER)
    return SetLimit(EvseId(charger, 1), order_number, limit_ma, 11_040, PowerKind.AC, 3, 180_000, TransactionRef("7"), reason)
