"""A whole site in virtual time: simulated chargers, cars, meters and building around the real daemon, checked all the while.

    report = run_site(SiteOptions(seed=7, hours=1.0))

Everything random comes from the seed, so a report that fails is replayed by its seed. ``report.digest`` covers every event and
every decision: the same seed gives the same digest in any process.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgectl.app import Daemon, Parts
from edgectl.domain.decisions import Decision, Reply, SetLimit
from edgectl.domain.events import Event, TransactionEnded, TransactionStarted
from edgectl.domain.ids import ChargerId, CircuitId, IdToken, MeterId, SiteId
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.settings import Listener, MqttSettings, OcppSettings, Settings
from edgectl.domain.site import Charger, Circuit, Meter, Site, Token
from edgectl.domain.time import Instant
from edgectl.ocpp.server import compile_schemas
from hwsim.models.building import Building
from hwsim.models.car import TOKENS, random_car
from hwsim.models.depot import CircuitModel, Depot
from hwsim.models.stations import Station, make_station, version_at
from hwsim.station.client import StationClient
from hwsim.world.broker import Backend, SimBroker, SimTransport
from hwsim.world.clock import SeededIds, VirtualClock
from hwsim.world.disk import Disk, SimMemory, SimStore
from hwsim.world.faults import OCPP_PORT, FaultPlan
from hwsim.world.loop import VirtualLoop
from hwsim.world.meters import SimMeter, SimMeters
from hwsim.world.network import Network

GRID, HALL = "grid", "hall"
STEP_S = 0.5


@dataclass(frozen=True)
class SiteOptions:
    seed: int
    hours: float = 1.0
    charger_count: int = 20
    grid_a: float = 160.0
    hall_a: float = 100.0
    fallback_a: float = 6.0
    faults: bool = False
    """Links, meter, broker, disk and the daemon itself fail now and then; towards the end everything heals."""
    heal_s: float = 600.0
    """How long before the end everything is healthy again."""


@dataclass
class Report:
    """What became of a run. ``broken`` lists promises that did not hold, with the moment; empty when all is well."""

    seed: int
    digest: str = ""
    broken: list[str] = field(default_factory=list)
    decision_count: int = 0
    limit_count: int = 0
    sessions_started: int = 0
    sessions_closed: int = 0
    records_received: int = 0
    record_duplicates: int = 0
    longest_over_s: float = 0.0
    worst_ratio: float = 0.0
    worst_damage: float = 0.0
    restarts: int = 0
    fault_counts: dict[str, int] = field(default_factory=dict)


def run_site(options: SiteOptions) -> Report:
    """Simulate, check, report. Never touches the network, the clock or the loop of the caller."""
    with tempfile.TemporaryDirectory() as folder:
        loop = VirtualLoop()  # type: ignore[abstract]
        world = World(options, loop, Path(folder))
        loop.network = world.network
        try:
            loop.run_until_complete(world.run())
        finally:
            loop.close()
        for error in loop.errors:
            world.report.broken.append(f"a task failed unseen: {error.get('message')} {error.get('exception')!r}")
        return world.finish()


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
        self._digest = hashlib.sha256()
        self._build_plant()
        self.settings = self._settings()
        self.daemon: Daemon | None = None
        self._store: SimStore | None = None
        self._told: dict[str, int] = {}

    # --- the plant ----------------------------------------------------------------------------------------------------

    def _build_plant(self) -> None:
        options, rng = self.options, self.rng
        grid = CircuitModel(GRID, (options.grid_a,) * 3, building=Building(rng, base_a=0.15 * options.grid_a, machine_a=40))
        hall = CircuitModel(HALL, (options.hall_a,) * 3, fed_by=GRID)
        self.depot = Depot([grid, hall])
        self.stations: list[Station] = []
        for number in range(options.charger_count):
            station = make_station(
                version_at(number),
                f"CP-{number + 1:02}",
                random.Random(rng.random()),
                wiring=rng.choice([(0, 1, 2), (1, 2, 0), (2, 0, 1)]),
                wall_offset_s=self.clock.offset_ms / 1000 + rng.uniform(-2, 2),
                known_tokens=frozenset(TOKENS),
            )
            self.stations.append(station)
            (hall if number % 2 else grid).stations.append(station)
        self.clients = [StationClient(s, "127.0.0.1", OCPP_PORT, random.Random(rng.random())) for s in self.stations]
        for client in self.clients:
            client.on_step = self._driver(client.station, random.Random(rng.random()))

    def _driver(self, station: Station, rng: random.Random) -> Callable[[float], None]:
        """Cars come and go at one charger."""
        end_s = self.options.hours * 3600

        def step(now_s: float) -> None:
            for evse in station.evses.values():
                if evse.car is None:
                    if now_s < end_s - 120 and rng.random() < 0.5 / 300:
                        station.plug(evse.number, random_car(rng, now_s, stay_s=(300, 2400)), now_s)
                elif now_s >= evse.car.leaves_at_s or now_s >= end_s - 90:
                    station.unplug(evse.number, now_s)

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
        site = Site(
            id=SiteId("sim"),
            circuits=(
                Circuit(CircuitId(GRID), Phases.uniform(round(options.grid_a * 1000)), meter=MeterId("main"), margin_ma=2_000),
                Circuit(CircuitId(HALL), Phases.uniform(round(options.hall_a * 1000)), fed_by=CircuitId(GRID)),
            ),
            chargers=chargers,
            meters=(Meter(MeterId("main")),),
            tokens=tuple(Token(IdToken(token)) for token in TOKENS),
        )
        return Settings(
            site=site,
            ocpp=OcppSettings((Listener("127.0.0.1", OCPP_PORT, 0),)),
            mqtt=MqttSettings("broker", 1883, is_tls=False),
        )

    # --- the run ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        self.meter = SimMeter(MeterId("main"), lambda: self.depot.current_a(GRID))
        await self.start_daemon()
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(client.run(), name=f"{client.station.identity}") for client in self.clients]
            if self.options.faults:
                background.append(tasks.create_task(FaultPlan(self).run(), name="faults"))
            end_s = self.options.hours * 3600
            while self.loop.time() < end_s:
                await asyncio.sleep(STEP_S)
                self.depot.advance(self.loop.time())
            for task in background:
                task.cancel()
        await self._settle()
        self._check_end()
        if self.daemon is not None:
            await self.daemon.stop()

    async def start_daemon(self) -> None:
        """The real daemon, on this world's clock, network, disk, meters and broker."""
        store = SimStore(self.disk, self.loop, self.settings.site.id, f"{self.options.seed:032x}", self.clock.now())
        parts = Parts(
            credentials=lambda name: name.encode(),
            store=store,
            memory=self.memory,
            epoch=store.epoch,
            clock=self.clock,
            ids=SeededIds(self.rng),
            random=random.Random(self.rng.random()),
            transport=lambda _settings: SimTransport(self.loop, self.broker),
            meters=lambda _connections, _guards, inbox, clock, *_rest: SimMeters([self.meter], inbox, clock),
            boot_id=f"boot-{self.report.restarts}",
            trace=self._trace,
        )
        self._store = store
        self._told.clear()
        compile_schemas()
        self.daemon = Daemon(self.settings, parts)
        await self.loop.run_as(f"edgectl-{self.report.restarts}", self.daemon.start())

    async def kill_daemon(self) -> None:
        """kill -9: nothing is said to anybody, what the disk has not acknowledged is gone."""
        daemon, self.daemon = self.daemon, None
        if daemon is None or self._store is None:
            return
        self._store.kill()
        self.network.abandon(OCPP_PORT)
        for transport in self.broker.clients:
            transport.vanish()
        await self.loop.kill(f"edgectl-{self.report.restarts}")
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

    # --- promises -----------------------------------------------------------------------------------------------------

    def _trace(self, event: Event, now: Instant, decisions: Sequence[Decision]) -> None:
        """Every event and every decision, in order: the run's fingerprint; and the promises that hold at each."""
        self._digest.update(f"{now.mono_ms} {type(event).__name__} {decisions!r}\n".encode())
        self.report.decision_count += len(decisions)
        call = getattr(event, "call", None)
        replies = [decision for decision in decisions if isinstance(decision, Reply)]
        if len(replies) != (1 if call is not None else 0):
            self._broken(f"{type(event).__name__} got {len(replies)} replies")
        if isinstance(event, TransactionStarted | TransactionEnded):
            self._told.pop(event.call.charger, None)  # what was told died with the transaction
        has_raised = False
        for order in decisions:
            if not isinstance(order, SetLimit):
                continue
            self.report.limit_count += 1
            if 0 < order.limit_ma < 6_000:
                self._broken(f"{order.evse} was told {order.limit_ma} mA")
            previous_ma = self._told.get(order.evse.charger)
            if previous_ma is not None and order.limit_ma < previous_ma and has_raised:
                self._broken(f"{order.evse} was lowered after a raise")
            has_raised = has_raised or (previous_ma is not None and order.limit_ma > previous_ma)
            self._told[order.evse.charger] = order.limit_ma
        if any(isinstance(decision, SetLimit) for decision in decisions):
            self._check_commanded(now)

    def _check_commanded(self, now: Instant) -> None:
        """What is commanded fits the limit left by other load, on every conductor, right after every decision that ordered."""
        if self.daemon is None:
            return
        for circuit in self.daemon.controller.circuits(now):
            if circuit.mode == "metered":
                room = (circuit.limit_ma - circuit.background_ma - circuit.silent_ma).at_least(Phases.uniform(0))
                if not circuit.commanded_ma.fits(room):
                    self._broken(f"{circuit.id}: commanded {circuit.commanded_ma} does not fit {room}")

    def _broken(self, words: str) -> None:
        if len(self.report.broken) < 50:
            self.report.broken.append(f"{self.loop.time():.3f} s: {words}")

    def _check_end(self) -> None:
        started = sum(station.started_transactions for station in self.stations)
        bills: dict[str, int] = {}
        for record_id, _rev in self.backend.records:
            bills[record_id] = bills.get(record_id, 0) + 1
        completed = [r for (_, rev), r in self.backend.records.items() if rev == 1 and r["session"]["status"] == "completed"]
        self.report.sessions_started = started
        self.report.sessions_closed = sum(station.closed_transactions for station in self.stations)
        self.report.records_received = len(bills)
        self.report.record_duplicates = self.backend.duplicates
        if self._owed():
            self._broken(f"{self._owed()} messages or sessions are still open at the end")
        if len(bills) != started:
            self._broken(f"{started} transactions became {len(bills)} billed sessions")
        for record in completed:
            session = record["session"]
            if session["energy_wh"] < 0:
                self._broken(f"negative energy: {session}")
            if sum(period["energy_wh"] for period in session["periods"]) != session["energy_wh"]:
                self._broken(f"periods do not add up: {session['id']}")
        self.report.broken += [f"backend: {fault}" for fault in self.backend.faults]
        self.report.broken += [f"backend: gap at {gap}" for gap in self.backend.gaps()]
        discarded = [action for station in self.stations for action in station.discarded]
        if discarded:
            self._broken(f"chargers gave up on {discarded}")

    def finish(self) -> Report:
        report = self.report
        report.digest = self._digest.hexdigest()
        for name, circuit in self.depot.circuits.items():
            breaker = circuit.breaker
            report.longest_over_s = max(report.longest_over_s, breaker.longest_over_s)
            report.worst_ratio = max(report.worst_ratio, breaker.worst_ratio)
            report.worst_damage = max(report.worst_damage, breaker.worst_damage)
            if breaker.longest_above_113_s > 60 or breaker.longest_above_145_s > 5:
                report.broken.append(
                    f"{name}: {breaker.longest_above_113_s} s above 1.13 x, {breaker.longest_above_145_s} above 1.45 x"
                )
            if breaker.worst_damage > 0.05:
                report.broken.append(f"{name}: the breaker came within {breaker.worst_damage:.3f} of tripping")
        return report
