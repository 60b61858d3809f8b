"""The real daemon in this process: real sockets, real ledger, real clock; no broker and no meter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edgectl.app import Daemon, Parts, open_ledger
from edgectl.domain.ids import ChargerId, CircuitId, IdToken, SiteId
from edgectl.domain.phases import Phases
from edgectl.domain.quirks import QuirkValue
from edgectl.domain.records import Session
from edgectl.domain.settings import ChargerAccess, Listener, OcppSettings, Settings
from edgectl.domain.site import Charger, Circuit, Site, Token
from edgectl.store import StateMemory

TAG = "04AABBCC"
CHARGER = ChargerId("CP-1")


class SmallSite:
    """One charger, ``CP-1``, on one circuit without a meter."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def url(self, scheme: str = "ws", listener: int = 0) -> str:
        return f"{scheme}://127.0.0.1:{self.daemon.ocpp.bound_ports[listener]}/ocpp"

    async def act(self, name: str, *pairs: tuple[str, str], **arguments: str) -> tuple[str, str, dict[str, str]]:
        """What a person asks for: the outcome, the charger's own word, and what it told."""
        given = (*pairs, *((key.replace("_", "-"), value) for key, value in arguments.items()))
        answer = await self.daemon.actions.request(CHARGER, name, given, "local:test")
        return answer.outcome.value, answer.status or answer.problem, dict(answer.detail)

    @property
    def sessions(self) -> list[Session]:
        return list(self.daemon._parts.store.sessions(None, None, 100))


@asynccontextmanager
async def small_site(
    folder: Path,
    *,
    listeners: tuple[Listener, ...] = (Listener("127.0.0.1", 0, 0),),
    secrets: dict[str, bytes] | None = None,
    password: str | None = None,
    socket_path: Path | None = None,
    **quirks: QuirkValue,
) -> AsyncIterator[SmallSite]:
    """Start it on free ports; calls follow a boot at once, and nobody configures the charger unless the test says so."""
    own = {"settle_ms": 0, "is_configured": False} | quirks
    site = Site(
        id=SiteId("small"),
        circuits=(Circuit(CircuitId("grid"), Phases.uniform(32_000)),),
        chargers=(Charger(CHARGER, CircuitId("grid"), own_quirks=tuple(own.items())),),
        tokens=(Token(IdToken(TAG)),),
    )
    access = (ChargerAccess(CHARGER, password),) if password is not None else ()
    settings = Settings(site=site, ocpp=OcppSettings(listeners, access=access), source=str(folder / "site.yaml"))
    ledger = open_ledger(settings, folder, (secrets or {}).__getitem__)
    parts = Parts(
        credentials=(secrets or {}).__getitem__,
        store=ledger,
        memory=StateMemory(folder / "state.json"),
        epoch=ledger.opened.epoch,
        socket_path=socket_path,
    )
    daemon = Daemon(settings, parts)
    await daemon.start()
    try:
        yield SmallSite(daemon)
    finally:
        await daemon.stop()
