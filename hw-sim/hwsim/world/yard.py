"""A small yard in virtual time: a charger or two, the real daemon, and a script of what happens. For the tests of quirks.

    async def script(yard): ...      # plugs cars, waits, looks
    play(script, Station16("CP-1", random.Random(1), wall_offset_s=WALL_OFFSET_S, faults=frozenset({"repeat-start"})))

Nothing is random but what the stations make of their own seeds, so a yard plays the same every time.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edgectl.app import Daemon, Parts
from edgectl.domain.decisions import ActionAnswered, Decision
from edgectl.domain.events import Event
from edgectl.domain.ids import ChargerId, CircuitId, IdToken, MeterId, SiteId
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.quirks import QuirkProfile, QuirkValue
from edgectl.domain.records import Session
from edgectl.domain.settings import ChargerAccess, Listener, MqttSettings, OcppSettings, Settings
from edgectl.domain.site import Charger, Circuit, Meter, Site, Token
from edgectl.domain.time import Instant
from edgectl.domain.views import ChargerView
from edgectl.ocpp.server import compile_schemas
from edgectl.solver import SolverInPlace
from hwsim.models.building import Building
from hwsim.models.car import TOKENS, Car
from hwsim.models.depot import CircuitModel, Depot
from hwsim.models.station16 import Station16
from hwsim.station.client import StationClient
from hwsim.world.broker import Backend, SimBroker, SimTransport
from hwsim.world.clock import START_UTC_MS, SeededIds, VirtualClock
from hwsim.world.disk import Disk, SimMemory, SimStore
from hwsim.world.faults import OCPP_PORT
from hwsim.world.loop import VirtualLoop
from hwsim.world.meters import SimMeter, SimMeters
from hwsim.world.network import Network

WALL_OFFSET_S = START_UTC_MS / 1000
"""A station's right clock."""
GRID = "grid"
STEP_S = 0.5
TOKEN = TOKENS[0]
T = TypeVar("T")


class Yard:
    """The yard while a script plays."""

    def __init__(self, loop: VirtualLoop, folder: Path, stations: Sequence[Any], limit_a: float, building_a: float) -> None:
        self.loop = loop
        self.network = Network(random.Random(1))
        self.clock = VirtualClock(loop)
        self.disk = Disk(folder / "ledger.db")
        self.memory = SimMemory()
        self.backend = Backend()
        self.broker = SimBroker(loop, random.Random(2), self.backend)
        self.stations = list(stations)
        self.limit_a = limit_a
        self.quirks: dict[str, dict[str, QuirkValue]] = {}
        self.table: tuple[QuirkProfile, ...] = ()
        self.access: dict[str, Any] = {}
        self.security_profile = 0
        self.tokens: tuple[str, ...] = TOKENS
        self.events: list[tuple[Event, list[Decision]]] = []
        building = Building(random.Random(3), base_a=building_a, machine_a=0)
        self.depot = Depot([CircuitModel(GRID, (limit_a,) * 3, building=building)])
        self.meter = SimMeter(MeterId("main"), lambda: self.depot.current_a(GRID))
        """The guard meter; it can be late, frozen, dead or the wrong way round."""
        self.depot.circuits[GRID].stations.extend(self.stations)
        self.clients = [StationClient(s, "127.0.0.1", OCPP_PORT, random.Random(4)) for s in self.stations]
        self.daemon: Daemon | None = None
        self._store: SimStore | None = None
        self._starts = 0

    @property
    def station(self) -> Any:
        """The only charger, or the first."""
        return self.stations[0]

    # --- what happens -------------------------------------------------------------------------------------------------

    async def seconds(self, count: float) -> None:
        """Let time pass."""
        end_s = self.loop.time() + count
        while self.loop.time() < end_s:
            await asyncio.sleep(STEP_S)
            self.depot.advance(self.loop.time())

    async def until(self, is_so: Callable[[], bool], words: str, at_most_s: float = 300) -> None:
        """Let time pass until something holds; an ``AssertionError`` with the words when it does not come to that."""
        end_s = self.loop.time() + at_most_s
        while not is_so():
            assert self.loop.time() < end_s, f"not within {at_most_s:g} s: {words}"
            await self.seconds(STEP_S)

    def plug(self, number: int = 1, station: int = 0, *, token: str = TOKEN, max_a: float = 32.0, phases: int = 3) -> Car:
        """A car comes, and its driver presents a token."""
        now_s = self.loop.time()
        car = Car(60_000, 5_000, phase_count=phases, max_a=max_a, leaves_at_s=now_s + 86_400, token=token)
        self.stations[station].plug(number, car, now_s)
        return car

    def unplug(self, number: int = 1, station: int = 0) -> None:
        self.stations[station].unplug(number, self.loop.time())

    async def visit(self, minutes: float = 10) -> None:
        """A car comes, charges, and leaves; all that is owed is delivered."""
        self.plug()
        await self.until(lambda: self.charger.evses[0].session is not None, "a session")
        await self.seconds(minutes * 60)
        self.unplug()
        await self.until(lambda: self.station.queued_count == 0, "everything delivered")
        await self.seconds(30)

    def power_off(self, station: int = 0) -> None:
        self.clients[station].power_off()

    def power_on(self, station: int = 0) -> None:
        self.clients[station].power_on()

    async def act(self, name: str, station: int = 0, **arguments: str) -> ActionAnswered:
        """What a person asks for with the command of this name."""
        assert self.daemon is not None
        pairs = tuple((key.replace("_", "-"), value) for key, value in arguments.items())
        return await self.daemon.actions.request(ChargerId(self.stations[station].identity), name, pairs, "local:test")

    # --- what there is to see -----------------------------------------------------------------------------------------

    @property
    def charger(self) -> ChargerView:
        return self.chargers[0]

    @property
    def chargers(self) -> tuple[ChargerView, ...]:
        assert self.daemon is not None
        return self.daemon.view().chargers

    @property
    def alarms(self) -> set[str]:
        assert self.daemon is not None
        return {alarm.kind for alarm in self.daemon.view().alarms}

    @property
    def counters(self) -> dict[str, int]:
        assert self.daemon is not None
        return dict(self.daemon.view().counters)

    @property
    def sessions(self) -> list[Session]:
        """As the ledger has them, oldest first."""
        assert self._store is not None
        return sorted(self._store.sessions(None, None, 1_000), key=lambda session: session.started_utc_ms)

    def of(self, kind: type[T]) -> list[T]:
        """Every event of a kind, in order."""
        return [event for event, _ in self.events if isinstance(event, kind)]

    def decided(self, kind: type[T]) -> list[T]:
        """Every decision of a kind, in order."""
        return [decision for _, decisions in self.events for decision in decisions if isinstance(decision, kind)]

    # --- the daemon ---------------------------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        chargers = tuple(
            Charger(
                ChargerId(station.identity),
                CircuitId(GRID),
                evse_count=len(station.evses),
                phases=tuple(Phase(phase) for phase in station.wiring),
                own_quirks=tuple(self.quirks.get(station.identity, {}).items()),
            )
            for station in self.stations
        )
        site = Site(
            id=SiteId("yard"),
            circuits=(Circuit(CircuitId(GRID), Phases.uniform(round(self.limit_a * 1000)), meter=MeterId("main")),),
            chargers=chargers,
            meters=(Meter(MeterId("main")),),
            tokens=tuple(Token(IdToken(token)) for token in self.tokens),
        )
        access = tuple(ChargerAccess(charger.id, **self.access) for charger in chargers)
        ocpp = OcppSettings((Listener("127.0.0.1", OCPP_PORT, self.security_profile),), access=access)
        return Settings(site=site, ocpp=ocpp, mqtt=MqttSettings("broker", 1883, is_tls=False), quirks=self.table)

    async def start_daemon(self) -> None:
        settings = self._settings()
        store = SimStore(self.disk, self.loop, settings.site.id, f"{7:032x}", self.clock.now())
        parts = Parts(
            credentials=lambda name: name.encode(),
            store=store,
            memory=self.memory,
            epoch=store.epoch,
            clock=self.clock,
            is_clock_synchronised=lambda: True,
            ids=SeededIds(random.Random(5 + self._starts)),
            random=random.Random(6),
            solver=SolverInPlace,
            transport=lambda _settings: SimTransport(self.loop, self.broker),
            meters=lambda _connections, _guards, inbox, clock, *_rest: SimMeters([self.meter], inbox, clock),
            boot_id=f"boot-{self._starts}",
            trace=self._trace,
        )
        self._store = store
        compile_schemas()
        self.daemon = Daemon(settings, parts)
        await self.loop.run_as(f"edgectl-{self._starts}", self.daemon.start())

    async def kill_daemon(self) -> None:
        """kill -9: what the disk has not acknowledged is gone."""
        assert self._store is not None
        self.daemon = None
        self._store.kill()
        self.network.abandon(OCPP_PORT)
        for transport in self.broker.clients:
            transport.vanish()
        await self.loop.kill(f"edgectl-{self._starts}")
        self._starts += 1

    def lose_ledger(self) -> None:
        """Another gateway in the place of the old one: nothing is known of what was. While the daemon is down."""
        assert self.daemon is None
        self.disk = Disk(self.disk.path.with_name(f"ledger-{self._starts}.db"))
        self.memory = SimMemory()

    def _trace(self, event: Event, _now: Instant, decisions: Sequence[Decision]) -> None:
        self.events.append((event, list(decisions)))


def station16(*faults: str, name: str = "CP-1", **options: Any) -> Station16:
    """A charger of OCPP 1.6 for the yard, with these faults."""
    return Station16(name, random.Random(1), wall_offset_s=WALL_OFFSET_S, faults=frozenset(faults), **options)


def play(
    script: Callable[[Yard], Awaitable[None]],
    *stations: Any,
    limit_a: float = 100.0,
    building_a: float = 10.0,
    quirks: dict[str, QuirkValue] | None = None,
    table: Sequence[QuirkProfile] = (),
    access: dict[str, Any] | None = None,
    tokens: Sequence[str] = TOKENS,
) -> None:
    """Play a script against the real daemon; a failed assertion in it, or in a task of the daemon, is raised here.

    Args:
        script: what happens.
        stations: the chargers; each runs in its own client.
        limit_a: of the site's only circuit.
        building_a: what flows there beside the chargers.
        quirks: those that the site's file names for every charger.
        table: the table of quirks.
        access: what the site's file says of every charger's access: fields of ``ChargerAccess``. With a password every
            station shows it.
        tokens: who may charge.
    """
    with tempfile.TemporaryDirectory() as folder:
        loop = VirtualLoop()  # type: ignore[abstract]
        yard = Yard(loop, Path(folder), stations, limit_a, building_a)
        yard.table, yard.access, yard.tokens = tuple(table), dict(access or {}), tuple(tokens)
        if "password" in yard.access:
            yard.security_profile = 1
            for client in yard.clients:
                client.password = str(yard.access["password"]).encode()  # the yard's secrets are their own names
        yard.quirks = {station.identity: dict(quirks or {}) for station in stations}
        loop.network = yard.network

        async def run() -> None:
            await yard.start_daemon()
            carried = [asyncio.create_task(client.run(), name=client.station.identity) for client in yard.clients]
            try:
                await script(yard)
            finally:
                for task in carried:
                    task.cancel()
                await asyncio.gather(*carried, return_exceptions=True)
                if yard.daemon is not None:
                    await yard.daemon.stop()

        try:
            loop.run_until_complete(run())
        finally:
            loop.close()
        assert not loop.errors, f"a task failed unseen: {loop.errors[0]}"
