"""A whole site in virtual time: simulated chargers, cars, meters and building around the real daemon, checked all the while.

    report = run_site(SiteOptions(seed=7, hours=1.0))

Everything random comes from the seed, so a report that fails is replayed by its seed. ``report.digest`` covers every event and
every decision: the same seed gives the same digest in any process.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from edgectl.app import Daemon, Parts, prove
from edgectl.core.proof import Failure
from edgectl.domain.ids import ChargerId, CircuitId, IdToken, MeterId, SiteId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.settings import Listener, MqttSettings, OcppSettings, Settings
from edgectl.domain.site import Charger, Circuit, Meter, Site, Token
from edgectl.ocpp.server import compile_schemas
from edgectl.solver import SolverInPlace
from hwsim.models.building import Building
from hwsim.models.car import TOKENS, random_car
from hwsim.models.depot import CircuitModel, Depot
from hwsim.models.stations import Station, make_station, version_at
from hwsim.station.client import StationClient
from hwsim.world import faults_chargers, faults_links, faults_site  # noqa: F401 - they fill the catalogue
from hwsim.world.broker import Backend, SimBroker, SimTransport
from hwsim.world.clock import SeededIds, VirtualClock
from hwsim.world.disk import Disk, SimMemory, SimStore
from hwsim.world.faults import OCPP_PORT, FaultPlan
from hwsim.world.judge import Judge
from hwsim.world.loop import VirtualLoop
from hwsim.world.meters import SimMeter, SimMeters
from hwsim.world.network import Network
from hwsim.world.report import Report

GRID, HALL = "grid", "hall"
IDLE_STEP_S = 2.0
HEALED_AFTER_S = 120.0
"""After the last fault has ended everybody has so long to be back: two attempts to connect, a boot, a lease."""
MARGIN_A = 2.0
BETWEEN: tuple[tuple[int, ...], ...] = ((0, 1), (1, 2), (2, 0), (0, 1, 2))
"""How chargers of a site between lines are wired, one after the other."""


@dataclass(frozen=True)
class SiteOptions:
    seed: int
    hours: float = 1.0
    step_s: float = 1.0
    """How often what flows is looked at."""
    charger_count: int = 6
    grid_a: float = 90.0
    hall_a: float = 45.0
    base_a: float = 10.0
    """What the building takes at any time, beside the chargers."""
    machine_a: float = 14.0
    machine_count: int = 4
    step_a: float = 0.0
    """How much more the building may be made to take by a script."""
    fallback_a: float = 6.0
    faults: bool = False
    """Links, chargers, meter, broker, disk, clock and the daemon itself fail now and then; towards the end everything heals."""
    heal_s: float = 600.0
    """How long before the end everything is healthy again."""
    meter_delay_s: float = 0.3
    meter_period_s: float = 1.0
    wiring: Wiring = Wiring.STAR
    """``DELTA``: most chargers are between two lines, and every meter shows what the lines carry."""

    @property
    def is_delta(self) -> bool:
        return self.wiring is Wiring.DELTA


Story = Callable[["World"], Awaitable[None]]


def run_site(options: SiteOptions, story: Story | None = None) -> Report:
    """Simulate, check, report. Never touches the network, the clock or the loop of the caller.

    With a ``story`` no cars come by themselves: it says what happens, and the run ends with it.
    """
    with tempfile.TemporaryDirectory() as folder:
        loop = VirtualLoop()  # type: ignore[abstract]
        world = World(options, loop, Path(folder))
        loop.network = world.network
        try:
            loop.run_until_complete(world.run(story))
        finally:
            loop.close()
        for error in loop.errors:
            world.report.broken.append(f"a task failed unseen: {error.get('message')} {error.get('exception')!r}")
        world.judge.finish()
        return world.report


class World:
    """One site and everything that happens to it."""

    def __init__(self, options: SiteOptions, loop: VirtualLoop, folder: Path) -> None:
        self.options = options
        self.loop = loop
        self.rng = random.Random(options.seed)
        self.network = Network(random.Random(self.rng.random()))
        self.clock = VirtualClock(loop)
        self.disk = Disk(folder / "ledger.db")
        self.memory = SimMemory()
        self.backend = Backend()
        self.broker = SimBroker(loop, random.Random(self.rng.random()), self.backend)
        self.report = Report(options.seed)
        self.folder = folder
        self._build_plant()
        self.settings = self._settings()
        # The building may rise while leases of a controller that has just gone still run: that case is accepted here, as a
        # site may accept it, and scripts do not play it. Every other one has to fit.
        unsafe = [case for case in prove(self.settings).unsafe if case.failure is not Failure.LEASES]
        if unsafe:
            raise ValueError(f"this site is not safe to begin with: {unsafe[0]}")
        self.meter = SimMeter(MeterId("main"), lambda: self.depot.current_a(GRID), options.meter_delay_s, options.meter_period_s)
        self.judge = Judge(self)
        self.daemon: Daemon | None = None
        self._store: SimStore | None = None

    # --- the plant ----------------------------------------------------------------------------------------------------

    def _build_plant(self) -> None:
        options, rng = self.options, self.rng
        self.building = Building(rng, base_a=options.base_a, machine_a=options.machine_a, machine_count=options.machine_count)
        grid = CircuitModel(GRID, (options.grid_a,) * 3, building=self.building)
        hall = CircuitModel(HALL, (options.hall_a,) * 3, fed_by=GRID)
        self.depot = Depot([grid, hall], is_delta=options.is_delta)
        self.stations: list[Station] = []
        for number in range(options.charger_count):
            station = make_station(
                version_at(number),
                f"CP-{number + 1:02}",
                random.Random(rng.random()),
                wiring=BETWEEN[number % len(BETWEEN)] if options.is_delta else rng.choice([(0, 1, 2), (1, 2, 0), (2, 0, 1)]),
                wall_offset_s=self.clock.offset_ms / 1000 + rng.uniform(-2, 2),
                known_tokens=frozenset(TOKENS),
            )
            self.stations.append(station)
            (hall if number % 2 else grid).stations.append(station)
        self.clients = [StationClient(s, "127.0.0.1", OCPP_PORT, random.Random(rng.random())) for s in self.stations]
        for client in self.clients:
            client.step_s = options.step_s
        self._by_name = {station.identity: station for station in self.stations}

    def station(self, name: str) -> Station:
        return self._by_name[name]

    @property
    def process(self) -> str:
        """The name of the daemon's process, for the loop."""
        return f"edgectl-{self.report.restarts}"

    def _come_and_go(self) -> None:
        for client in self.clients:
            client.idle_step_s = IDLE_STEP_S
            client.on_step = self._driver(client.station, random.Random(self.rng.random()))

    def _driver(self, station: Station, rng: random.Random) -> Callable[[float], None]:
        """Cars come and go at one charger."""
        end_s = self.options.hours * 3600
        comes_at_s = rng.expovariate(1 / 300)

        def step(now_s: float) -> None:
            nonlocal comes_at_s
            for evse in station.evses.values():
                if evse.car is None:
                    if comes_at_s <= now_s < end_s - 120:
                        comes_at_s = now_s + rng.expovariate(1 / 300)
                        car = random_car(rng, now_s, stay_s=(300, 2400))
                        if self.options.is_delta:
                            car.phase_count = max(2, car.phase_count)
                        station.plug(evse.number, car, now_s)
                elif now_s >= evse.car.leaves_at_s or now_s >= end_s - 90:
                    station.unplug(evse.number, now_s)
                    comes_at_s = now_s + rng.expovariate(1 / 300)

        return step

    def _settings(self) -> Settings:
        options = self.options
        chargers = tuple(
            Charger(
                ChargerId(station.identity),
                CircuitId(HALL if number % 2 else GRID),
                fallback_ma=round(options.fallback_a * 1000),
                phases=tuple(Phase(phase) for phase in station.wiring),
            )
            for number, station in enumerate(self.stations)
        )
        other_loads_ma = Phases(*(round(1000 * (peak_a + options.step_a)) for peak_a in self.building.peak_a()))
        site = Site(
            id=SiteId("sim"),
            circuits=(
                Circuit(
                    CircuitId(GRID),
                    Phases.uniform(round(options.grid_a * 1000)),
                    meter=MeterId("main"),
                    margin_ma=round(MARGIN_A * 1000),
                    other_loads_ma=other_loads_ma,
                ),
                Circuit(CircuitId(HALL), Phases.uniform(round(options.hall_a * 1000)), fed_by=CircuitId(GRID)),
            ),
            chargers=chargers,
            meters=(Meter(MeterId("main")),),
            tokens=tuple(Token(IdToken(token)) for token in TOKENS),
            wiring=options.wiring,
        )
        source = self.folder / "site.yaml"
        source.write_text("site: {id: Not A Valid Id}\nchargers: 7\n")  # what a reload finds
        return Settings(
            site=site,
            source=str(source),
            ocpp=OcppSettings((Listener("127.0.0.1", OCPP_PORT, 0),)),
            mqtt=MqttSettings("broker", 1883, is_tls=False),
        )

    # --- the run ------------------------------------------------------------------------------------------------------

    async def run(self, story: Story | None = None) -> None:
        await self.start_daemon()
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(client.run(), name=f"{client.station.identity}") for client in self.clients]
            background.append(tasks.create_task(self._carry(), name="plant"))
            if story is not None:
                await story(self)
            else:
                self._come_and_go()
                if self.options.faults:
                    background.append(tasks.create_task(FaultPlan(self).run(), name="faults"))
                    background.append(tasks.create_task(self._look_when_healed(), name="healed"))
                await asyncio.sleep(self.options.hours * 3600)
            for task in background:
                task.cancel()
        if story is None:
            await self._settle()
            self._check_end()
        if self.daemon is not None:
            await self.daemon.stop()

    async def _carry(self) -> None:
        """The conductors carry what flows."""
        while True:
            await asyncio.sleep(self.options.step_s)
            now_s = self.loop.time()
            self.depot.advance(now_s)
            self.judge.advance(now_s, self.options.step_s)

    async def _look_when_healed(self) -> None:
        """Faults that began late last into the healthy time."""
        await asyncio.sleep(self.options.hours * 3600 - self.options.heal_s)
        while not self.judge.is_calm_for(HEALED_AFTER_S):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(5)
        self.judge.check_healed()

    async def start_daemon(self) -> None:
        """The real daemon, on this world's clock, network, disk, meters and broker."""
        store = SimStore(self.disk, self.loop, self.settings.site.id, f"{self.options.seed:032x}", self.clock.now())
        parts = Parts(
            credentials=lambda name: name.encode(),
            store=store,
            memory=self.memory,
            epoch=store.epoch,
            clock=self.clock,
            is_clock_synchronised=lambda: True,
            ids=SeededIds(self.rng),
            random=random.Random(self.rng.random()),
            solver=SolverInPlace,
            transport=lambda _settings: SimTransport(self.loop, self.broker),
            meters=lambda _connections, _guards, inbox, clock, *_rest: SimMeters([self.meter], inbox, clock),
            boot_id=f"boot-{self.report.restarts}",
            trace=self.judge.trace,
        )
        self._store = store
        self.judge.restarted()
        compile_schemas()
        self.daemon = Daemon(self.settings, parts)
        await self.loop.run_as(self.process, self.daemon.start())

    async def kill_daemon(self) -> None:
        """kill -9: nothing is said to anybody, what the disk has not acknowledged is gone."""
        daemon, self.daemon = self.daemon, None
        if daemon is None or self._store is None:
            return
        self._store.kill()
        self.network.abandon(OCPP_PORT)
        for transport in self.broker.clients:
            transport.vanish()
        await self.loop.kill(self.process)
        self.report.restarts += 1

    async def _settle(self) -> None:
        """After the last car has left: queues drain, receipts come back."""
        for _ in range(240):
            await asyncio.sleep(1)
            if not self._owed():
                return

    def _owed(self) -> int:
        queued = sum(station.queued_count for station in self.stations)
        open_count = self.daemon.view().open_session_count if self.daemon is not None else 0
        return queued + open_count

    def _check_end(self) -> None:
        started = sum(station.started_transactions for station in self.stations)
        bills: dict[str, int] = {}
        for record_id, _rev in self.backend.records:
            bills[record_id] = bills.get(record_id, 0) + 1
        completed = [r for (_, rev), r in self.backend.records.items() if rev == 1 and r["session"]["status"] == "completed"]
        self.report.sessions_started = started
        self.report.sessions_closed = sum(station.closed_transactions for station in self.stations)
        self.report.records_received = len(bills)
        self.report.blocks_received = len(self.broker.backend.blocks)
        self.report.record_duplicates = self.backend.duplicates
        if self._owed():
            self.judge.broken(f"{self._owed()} messages or sessions are still open at the end")
        if len(bills) != started:
            self.judge.broken(f"{started} transactions became {len(bills)} billed sessions")
        for record in completed:
            session = record["session"]
            if session["energy_wh"] < 0:
                self.judge.broken(f"negative energy: {session}")
            if sum(period["energy_wh"] for period in session["periods"]) != session["energy_wh"]:
                self.judge.broken(f"periods do not add up: {session['id']}")
        self.report.broken += [f"backend: {fault}" for fault in self.backend.faults]
        self.report.broken += [f"backend: gap at {gap}" for gap in self.backend.gaps()]
        discarded = [action for station in self.stations for action in station.discarded]
        if discarded:
            self.judge.broken(f"chargers gave up on {discarded}")
