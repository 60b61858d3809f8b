"""Composition: settings in, running daemon out. The only place that knows every room of the house.

``Daemon`` is built from ``Settings`` and ``Parts``; the simulator hands in its own clock, store, broker and serial lines and runs
the very same daemon in virtual time. ``run`` is the process: signals, logs, the service manager, exit codes.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from edgectl import __version__
from edgectl import config as site_file
from edgectl.authority import LocalAuthority
from edgectl.core.controller import REMEMBERED, Controller
from edgectl.core.exports.render import render
from edgectl.core.proof import ProofReport, case_words
from edgectl.core.proof import prove as prove_site
from edgectl.domain.decisions import SignCertificate
from edgectl.domain.errors import InvariantError, StoreError
from edgectl.domain.events import CertificateSigned, LedgerReplaced, SiteReloaded
from edgectl.domain.settings import CredentialReader, MqttSettings, Settings
from edgectl.domain.site import MeterRole
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.domain.views import SiteView
from edgectl.meters import SiteMeters, model_names, read_plan
from edgectl.ocpp import OcppServer
from edgectl.ports import Clock, FaultHook, IdSource, Memory, MeterReaders, SiteStore, Solver, no_fault
from edgectl.runtime.actions import ActionDesk
from edgectl.runtime.clock import RandomIds, SystemClock, is_clock_synchronised
from edgectl.runtime.engine import Engine, Trace
from edgectl.runtime.health import HealthWatch
from edgectl.runtime.housekeeping import Housekeeping
from edgectl.runtime.inbox import Inbox
from edgectl.runtime.logs import configure_logs
from edgectl.runtime.notify import SystemdNotifier
from edgectl.runtime.supervisor import Supervisor
from edgectl.solver import SolverThread
from edgectl.status import StatusServer
from edgectl.store import Ledger, Signer, StateMemory, TakenIn, unsalvaged
from edgectl.uplink import MqttTransport, PahoTransport, Uplink, UplinkStatus

log = structlog.get_logger(__name__)

STOP_MS: Millis = 4_000
"""A stop takes less than 5 s; what is not closed by then is left to the operating system."""

LEDGER = "ledger.db"
"""In the data directory."""

OK, FAILED, BAD_INPUT, UNSAFE = 0, 1, 2, 3
"""Exit codes of every command."""


@dataclass
class Parts:
    """What differs between a gateway, a test and a simulated world."""

    credentials: CredentialReader
    store: SiteStore
    memory: Memory
    epoch: str
    unsalvaged: Callable[[], Path | None] = lambda: None
    """Where a damaged ledger was set aside, now or earlier, that nobody has salvaged."""
    take_in: Callable[[str], TakenIn] | None = None
    """Keeps what a backup or a salvaged file in the data directory holds; None where there is no such directory."""
    clock: Clock = field(default_factory=SystemClock)
    ids: IdSource = field(default_factory=RandomIds)
    random: random.Random = field(default_factory=random.SystemRandom)
    transport: Callable[[MqttSettings], MqttTransport] | None = None
    """How the broker is reached; None for paho."""
    meters: Callable[..., MeterReaders] = SiteMeters
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    is_clock_synchronised: Callable[[], bool] = is_clock_synchronised
    solver: Callable[[Inbox], Solver] = SolverThread
    machine_boot: str = ""
    """Names the start of the machine, whose monotonic clock goes on through a restart of the daemon; empty: not known."""
    socket_path: Path | None = None
    authority_folder: Path | None = None
    """Where the site's own certificate authority keeps its key; None for a site without."""
    on_period: Callable[[], None] | None = None
    trace: Trace | None = None
    fault: FaultHook = no_fault


class _NoAuthority:
    """Where no folder was given: signs nothing, and says so."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def sign(self, request: SignCertificate, _now: Instant) -> None:
        self._inbox.put(CertificateSigned(request.charger, request.request_id, None, "there is no authority here"))


class Daemon:
    """One site, running. ``start``, then ``run`` until it is told to stop, then ``stop``."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self._parts = parts
        clock = parts.clock
        self.inbox = Inbox()
        self.actions = ActionDesk(self.inbox)
        self.health = HealthWatch(clock, parts.on_period)
        self.controller = Controller(
            settings.site,
            parts.store.restore(),
            parts.ids,
            clock.now(),
            heartbeat_s=settings.ocpp.heartbeat_s,
            quirk_table=settings.quirks,
            chance=parts.random.random,
            remembered={kind: parts.memory.recall(kind) for kind in REMEMBERED},
            machine_boot=parts.machine_boot,
        )
        self._authority = (
            LocalAuthority(parts.authority_folder, settings.site.id, self.inbox, parts.random) if parts.authority_folder else None
        )
        self.ocpp = OcppServer(
            settings.ocpp,
            [charger.id for charger in settings.site.chargers],
            self.inbox,
            clock,
            parts.credentials,
            parts.random,
            site_root=self._site_root,
            serial_of=self.controller.serial_of,
        )
        self._solver = parts.solver(self.inbox)
        self.uplink = self._make_uplink(settings)
        self.meters = self._make_meters(settings)
        self.engine = Engine(
            self.controller,
            self.inbox,
            clock=clock,
            store=parts.store,
            links=self.ocpp,
            publisher=self.uplink,
            memory=parts.memory,
            authority=self._authority or _NoAuthority(self.inbox),
            solver=self._solver,
            actions=self.actions,
            health=self.health,
            trace=parts.trace,
            fault=parts.fault,
        )
        self.status = StatusServer(
            view=self.view,
            ledger=parts.store,
            outbox=parts.store,
            health=self.health.health,
            uplink=self._uplink_status,
            reload=self.reload_from_file,
            export=self._export,
            take_in=self._take_in,
            actions=self.actions,
            web=settings.web,
            credentials=parts.credentials,
            socket_path=parts.socket_path,
        )
        self._housekeeping = Housekeeping(parts.store, self.inbox, clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._supervisor: Supervisor | None = None
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_failed = False

    def _export(self, wanted: Mapping[str, str]) -> tuple[str, str]:
        found = render(self._parts.store.sessions, self.settings.site, wanted)
        return found.media_type, found.text

    def _take_in(self, name: str) -> object:
        """Called in a thread."""
        take_in = self._parts.take_in
        if take_in is None:
            raise StoreError("cannot-open", "there is no data directory here", is_permanent=True)
        taken = take_in(name)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._taken_in)
        return taken

    def _taken_in(self) -> None:
        self._tell_of_damage()
        self.uplink.wake()

    def _tell_of_damage(self) -> None:
        self.inbox.put(LedgerReplaced(str(self._parts.unsalvaged() or "")))

    def _site_root(self) -> bytes | None:
        return self._authority.root_pem(self._parts.clock.now()) if self._authority is not None else None

    def _make_uplink(self, settings: Settings) -> Uplink:
        parts = self._parts
        make = parts.transport or self._paho
        return Uplink(
            settings.mqtt,
            settings.site.id,
            epoch=parts.epoch,
            boot_id=parts.boot_id,
            version=__version__,
            outbox=parts.store,
            inbox=self.inbox,
            clock=parts.clock,
            transport=make(settings.mqtt) if settings.mqtt is not None else None,
            random=parts.random,
            actions=self.actions,
            book=parts.store,
            is_clock_synchronised=parts.is_clock_synchronised,
        )

    def _uplink_status(self) -> UplinkStatus:
        """Of the present one: a reload may put another in its place."""
        return self.uplink.status()

    def _paho(self, settings: MqttSettings) -> MqttTransport:
        return PahoTransport(settings, self.settings.site.id, self._parts.credentials)

    def _make_meters(self, settings: Settings) -> MeterReaders:
        guards = frozenset(meter.id for meter in settings.site.meters if meter.role is MeterRole.GUARD)
        folder = Path(settings.source).parent
        parts = self._parts
        readers = (*settings.meters, *settings.inputs)
        return parts.meters(readers, guards, self.inbox, parts.clock, parts.random, folder, settings.virtual_meters)

    def view(self) -> SiteView:
        """The picture of the site with the edges' own counters."""
        picture = self.controller.picture(self._parts.clock.now())
        edges = {"ocpp": self.ocpp.counters(), "meters": self.meters.counters(), "mqtt": self.uplink.counters()}
        more = [(f"{edge}_{name}", count) for edge, counters in edges.items() for name, count in counters.items()]
        more += [("engine_events_failed", self.engine.failed_count), ("inbox_peak", self.inbox.peak_count)]
        return replace(picture, counters=tuple(sorted([*picture.counters, *more])))

    async def start(self) -> None:
        """Open every door. Raises OSError when an address cannot be had; what was opened is closed again."""
        self._loop = asyncio.get_running_loop()
        self._supervisor = Supervisor()
        self._tasks = [
            asyncio.create_task(self._run_engine(), name="engine"),
            asyncio.create_task(self.engine.tick(), name="tick"),
        ]
        try:
            await self.status.start()
            await self.ocpp.start()
        except BaseException:
            await self.stop()
            raise
        self._supervisor.start("meters", self.meters.run)
        self._supervisor.start("uplink", self.uplink.run)
        self._supervisor.start("housekeeping", self._housekeeping.run)
        self._tell_of_damage()
        self.health.is_ready = True

    async def _run_engine(self) -> None:
        # A failure here is our bug in the one place that must not guess: the process ends and starts again into safe limits.
        try:
            await self.engine.run()
        except InvariantError as error:
            log.critical("invariant_broken", task="engine", reason=str(error))
            self._has_failed = True
            self._stopping.set()

    async def run(self) -> int:
        """Until ``request_stop`` or a broken invariant; the exit code."""
        supervisor = self._supervisor
        if supervisor is None:
            raise RuntimeError("start the daemon first")
        supervisor.failure.add_done_callback(lambda _: self._stopping.set())
        await self._stopping.wait()
        return FAILED if self._has_failed or supervisor.failure.done() else OK

    def request_stop(self) -> None:
        self._stopping.set()

    async def stop(self) -> None:
        """Sessions stay open and durable; sockets close; the ledger is left in order."""
        self.health.is_ready = False
        await self.engine.drain(1_000)
        await self.ocpp.stop()
        await self.uplink.stop()
        self._solver.close()
        if self._supervisor is not None:
            await self._supervisor.stop_all()
        await self.status.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.engine.end()
        self._parts.store.close()
        self._parts.memory.close()

    # --- reload -------------------------------------------------------------------------------------------------------

    async def reload_from_file(self) -> tuple[bool, Sequence[str]]:
        """Read the YAML again. Either all of it takes effect, or nothing, and the lines say why."""
        settings, problems = site_file.check(Path(self.settings.source), known_models=model_names(), planner=read_plan)
        errors = tuple(str(problem) for problem in problems if not problem.is_warning)
        if settings is None or errors:
            return False, errors
        refusal = self._why_not(settings)
        if refusal is not None:
            return False, (refusal,)
        changes = site_file.describe_changes(self.settings, settings)
        try:
            await self._apply(settings)
        except (OSError, ValueError) as error:
            return False, (f"not applied: {error}",)
        log.info("reloaded", change_count=len(changes))
        return True, changes or ("nothing changed",)

    def _why_not(self, settings: Settings) -> str | None:
        if settings.site.id != self.settings.site.id:
            return "site.id cannot change while running: it names the ledger and the topics; restart with a new data directory"
        if settings.web != self.settings.web:
            return "changes of `web` need a restart"
        if settings.ledger != self.settings.ledger:
            return "changes of `ledger` need a restart"
        return None if is_allowed(settings) else "unsafe: " + "; ".join(unsafe_words(prove(settings)))

    async def _apply(self, settings: Settings) -> None:
        supervisor = self._supervisor
        if supervisor is None:
            raise RuntimeError("start the daemon first")
        # The listeners first: they are what can fail, and then nothing has changed.
        await self.ocpp.reconfigure(settings.ocpp, [charger.id for charger in settings.site.chargers])
        old, self.settings = self.settings, settings
        self.inbox.put(SiteReloaded(settings.site))
        if _meters_of(settings) != _meters_of(old):
            await supervisor.stop("meters")
            self.meters = self._make_meters(settings)
            supervisor.start("meters", self.meters.run)
        if settings.mqtt != old.mqtt:
            await self.uplink.stop()
            await supervisor.stop("uplink")
            self.uplink = self._make_uplink(settings)
            self.engine.publisher = self.uplink
            supervisor.start("uplink", self.uplink.run)
        else:
            self.uplink.look_again()


# --- is it safe? ----------------------------------------------------------------------------------------------------------


def prove(settings: Settings) -> ProofReport:
    """The worst-case table of the site as configured."""
    return prove_site(settings.site)


def is_allowed(settings: Settings) -> bool:
    """Safe, or every case that is not is named under ``accept_risk`` in the file."""
    return all(case.name in settings.accept_risk for case in prove(settings).unsafe)


def unsafe_words(report: ProofReport) -> tuple[str, ...]:
    """One sentence for each case on each conductor that does not hold, and what would."""
    words = [f"{case_words(case)}; accept it with `accept_risk: [{case.name}]`" for case in report.unsafe]
    if report.proposals:
        fitting = ", ".join(f"{charger} {current_ma / 1000:g} A" for charger, current_ma in report.proposals)
        words.append(f"fallbacks that would fit: {fitting}")
    return tuple(words)


# --- the process ----------------------------------------------------------------------------------------------------------


def _meters_of(settings: Settings) -> tuple[object, ...]:
    return settings.meters, settings.inputs, settings.virtual_meters, settings.site.meters


def run(config: Path, data_dir: Path, socket_path: Path | None = None, *, fault: FaultHook = no_fault) -> int:
    """The daemon in the foreground until SIGTERM or SIGINT; SIGHUP reloads. Returns the exit code."""
    configure_logs()
    settings, problems = site_file.check(config, known_models=model_names(), planner=read_plan)
    for problem in problems:
        log.warning("config_problem" if not problem.is_warning else "config_warning", problem=str(problem))
    if settings is None or any(not problem.is_warning for problem in problems):
        return BAD_INPUT
    if not is_allowed(settings):
        for words in unsafe_words(prove(settings)):
            log.error("config_unsafe", problem=words)
        return UNSAFE
    credentials = site_file.credential_reader(config.parent, os.environ)
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        ledger = open_ledger(settings, data_dir, credentials, fault)
    except (OSError, StoreError) as error:
        log.critical("data_directory_unusable", path=str(data_dir), reason=str(error))
        return FAILED
    except ValueError as error:
        log.critical("signing_key_unusable", reason=str(error))
        return BAD_INPUT
    parts = Parts(
        credentials=credentials,
        store=ledger,
        memory=StateMemory(data_dir / "state.json"),
        epoch=ledger.opened.epoch,
        unsalvaged=lambda: unsalvaged(data_dir / LEDGER),
        take_in=lambda name: ledger.take_in(data_dir / name, SystemClock().now()),
        socket_path=socket_path,
        authority_folder=data_dir / "authority",
        machine_boot=machine_boot(),
        fault=fault,
    )
    return asyncio.run(_serve(settings, parts))


def open_ledger(settings: Settings, data_dir: Path, credentials: CredentialReader, fault: FaultHook = no_fault) -> Ledger:
    """Raises StoreError, and ValueError where there is no key to sign with, or it is none: nothing goes unsigned by itself."""
    return Ledger(
        data_dir / LEDGER,
        site=settings.site.id,
        max_bytes=settings.ledger.budget_bytes,
        retention_ms=settings.ledger.retention_ms,
        signer=_signer(settings.ledger.signing_key, credentials),
        new_epoch=lambda: secrets.token_hex(16),
        now=SystemClock().now(),
        fault=fault,
    )


def _signer(name: str | None, credentials: CredentialReader) -> Signer | None:
    if name is None:
        return None
    try:
        return Signer(credentials(name))
    except KeyError as error:
        raise ValueError(f"ledger.signing_key: {error.args[0]}") from error
    except ValueError as error:
        raise ValueError(f"ledger.signing_key: the credential {name} {error}") from error


def machine_boot() -> str:
    """The kernel's name for this start of the machine; empty where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


async def _serve(settings: Settings, parts: Parts) -> int:
    notifier = SystemdNotifier()
    daemon = Daemon(settings, replace(parts, on_period=notifier.watchdog))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.request_stop)
    reloads: set[asyncio.Task[None]] = set()

    def on_hangup() -> None:
        task = asyncio.create_task(_reload(daemon, notifier))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    try:
        await daemon.start()
    except (OSError, ValueError) as error:
        log.critical("cannot_listen", reason=str(error))
        return FAILED
    log.info("started", site=settings.site.id, version=__version__, ports=list(daemon.ocpp.bound_ports))
    notifier.ready()
    try:
        return await daemon.run()
    finally:
        notifier.stopping()
        try:
            async with asyncio.timeout(STOP_MS / 1000):
                await daemon.stop()
        except TimeoutError:
            log.critical("stop_took_too_long", after_ms=STOP_MS)
        log.info("stopped", site=settings.site.id)


async def _reload(daemon: Daemon, notifier: SystemdNotifier) -> None:
    notifier.reloading(SystemClock().now().mono_ms * 1000)
    is_done, lines = await daemon.reload_from_file()
    for line in lines:
        if is_done:
            log.info("reload_change", change=line)
        else:
            log.error("reload_refused", problem=line)
    notifier.ready()
