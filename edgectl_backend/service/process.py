"""One process of the backend, from its settings."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edgectl.domain.ids import SiteId
from edgectl.domain.settings import MqttSettings
from edgectl.runtime.clock import SystemClock
from edgectl.uplink.paho import ClientOptions, PahoTransport
from edgectl_backend.judging.bills import MAX_BODY_BYTES
from edgectl_backend.postgres.database import Database, DatabaseError
from edgectl_backend.postgres.keeping import Keeper
from edgectl_backend.postgres.migrating import migrate, missing
from edgectl_backend.service.pump import BATCH_MAX, Pump
from edgectl_backend.service.upkeep import tend_partitions, walk_chains
from edgectl_backend.web.login import Hash, Login
from edgectl_backend.web.server import FleetServer, Pulse

log = structlog.get_logger(__name__)

RECEIVE_MAXIMUM: Final = 2 * BATCH_MAX
"""Messages the broker hands over before the first is acknowledged: a batch in hand, one more behind it."""
DATABASE_RETRY_S: Final = 1.0
LONGEST_PAUSE_S: Final = 5.0
"""Between attempts to reach the broker: a few processes beside it, not a fleet."""


@dataclass(frozen=True, slots=True)
class BackendSettings:
    broker: MqttSettings
    database_url: str
    group: str = "backend"
    """Processes of one group share the load; another group gets everything again."""
    listen: tuple[str, int] | None = None
    """Where the fleet's page and ``/metrics`` are; None opens nothing."""
    users: Mapping[str, Hash] | None = None
    """Who may look at them; None lets everybody who reaches them."""
    tls: ssl.SSLContext | None = None
    """They are HTTPS with it."""
    migrates: bool = False
    """Bring the schema up to date at the start."""
    telemetry_days: int = 30
    """Older telemetry is dropped. Nothing else ever is."""


def read_file(name: str) -> bytes:
    """Credentials of the backend are files.

    Raises:
        KeyError: there is no such file, in words for a person.
    """
    try:
        return Path(name).read_bytes().rstrip(b"\n")
    except OSError as error:
        raise KeyError(f"{name}: {error.strerror}") from None


def make_transport(broker: MqttSettings, *, client_id: str = "") -> PahoTransport:
    """A client that acknowledges by hand. The broker forgets it when it goes: gateways send again what it had not taken, while a
    broker that kept its place would go on handing it a share of everything."""
    options = ClientOptions(
        client_id,
        is_clean=True,
        max_inbound_bytes=MAX_BODY_BYTES + 65_536,
        receive_maximum=RECEIVE_MAXIMUM,
        longest_pause_s=LONGEST_PAUSE_S,
        acknowledges_itself=False,
    )
    return PahoTransport(broker, SiteId(""), read_file, options)


class SchemaError(Exception):
    """The database has not the schema this program needs; in words for a person."""


async def run_backend(settings: BackendSettings, *, on_ready: Callable[[Pump], None] = lambda _: None) -> None:
    """Run until cancelled.

    Raises:
        SchemaError: steps of the schema are missing, and ``migrates`` is not set.
    """
    database = await _open(settings)
    transport = make_transport(settings.broker)
    pump = Pump(transport, Keeper(database), SystemClock(), settings.group)
    server = FleetServer(database, lambda: _pulse(pump), None if settings.users is None else Login(settings.users))
    try:
        if settings.listen is not None:
            await server.start(*settings.listen, settings.tls)
        transport.start(pump, None, random.SystemRandom())
        async with asyncio.TaskGroup() as group:
            group.create_task(pump.run())
            group.create_task(walk_chains(database, pump))
            group.create_task(tend_partitions(database, settings.telemetry_days))
            on_ready(pump)
    finally:
        await transport.close()
        await server.close()
        database.close()


def _pulse(pump: Pump) -> Pulse:
    return Pulse(pump.is_connected, pump.is_subscribed, pump.is_storing, pump.detail, pump.waiting_count, pump.counters)


async def _open(settings: BackendSettings) -> Database:
    """Wait for the database, and see to its schema."""
    database = Database(settings.database_url)
    is_told = False
    while True:
        try:
            await database.open()
            applied = await migrate(database) if settings.migrates else []
            lacks = await missing(database)
        except DatabaseError as error:
            if not is_told:
                log.warning("database_away", reason=str(error))
            is_told = True
            await asyncio.sleep(DATABASE_RETRY_S)
            continue
        for name in applied:
            log.info("migrated", step=name)
        if lacks:
            database.close()
            raise SchemaError(f"the database lacks {', '.join(lacks)}: run `edgectl-backend migrate` first")
        return database
