"""How many billing records a second the reference backend takes, with 1, 2 and 4 processes: from publish to the last receipt.

Real mosquitto, real PostgreSQL that syncs to its disk, sealed records of 20 sites with ten periods each (2 kB). The baseline is
the shortest consumer that keeps the promise: a commit and a receipt for each record, no check of hash or chain. All of it shares
this machine's cores with the broker, the database and the sender, so more processes than cores bring nothing here.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchmarks.process import Server, free_port
from benchmarks.report import CheckFailedError, Results, middle, spread, verdict
from edgectl.contract.receipts import Receipt
from edgectl.domain.ids import SiteId
from edgectl.domain.settings import MqttSettings
from edgectl.uplink.paho import ClientOptions, PahoTransport
from edgectl.uplink.transport import FIRST_FAILURE, Message
from edgectl_backend.conformance.scenarios import Ledger
from edgectl_backend.postgres.database import Database
from edgectl_backend.postgres.migrating import migrate
from edgectl_backend.service.outgoing import Outgoing
from hwsim.tools.mosquitto import find_or_fetch_mosquitto
from hwsim.tools.postgres import PostgresServer, find_or_fetch_postgres

SITES = 20
GOAL_PER_S = 1_000.0
"""Ten times what one gateway must catch up with; a fleet of 1,000 sites with 120 sessions a day makes 3 records a second."""
PATIENCE_S = 120.0
REPEAT_S = 10.0
PERIOD = {
    "from": "2026-03-01T10:00:00.000Z",
    "to": "2026-03-01T10:06:00.000Z",
    "state": "charging",
    "energy_wh": 1_000,
    "limit_reason": "circuit",
}


class Sender:
    """All sites over one connection. Implements ``transport.Listener``."""

    def __init__(self, port: int) -> None:
        options = ClientOptions("", is_clean=True)
        self._transport = PahoTransport(MqttSettings("127.0.0.1", port, is_tls=False), SiteId(""), lambda _: b"", options)
        self._outgoing = Outgoing(self._transport)
        self._missing: set[tuple[str, str]] = set()
        self._connected = asyncio.Event()
        self._done = asyncio.Event()

    async def __aenter__(self) -> Sender:
        self._transport.start(self, None, random.SystemRandom())
        await asyncio.wait_for(self._connected.wait(), 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def send(self, records: Sequence[tuple[str, str, bytes]]) -> float:
        """Site, record id, body; the seconds until the last has its receipt."""
        loop = asyncio.get_running_loop()
        self._missing = {(site, record_id) for site, record_id, _ in records}
        self._done.clear()
        began_s = loop.time()
        while self._missing:
            if loop.time() - began_s > PATIENCE_S:
                raise CheckFailedError(f"{len(self._missing)} of {len(records)} records have no receipt after {PATIENCE_S:.0f} s")
            for site, record_id, body in records:
                if (site, record_id) in self._missing:
                    self._outgoing.put(f"edgectl/v1/{site}/billing/session", body)
            try:
                await asyncio.wait_for(self._done.wait(), REPEAT_S + len(records) / 200)
            except TimeoutError:
                continue
        return loop.time() - began_s

    def on_connected(self, receive_maximum: int, _maximum_packet_size: int | None, _is_session_present: bool = False) -> None:
        self._transport.subscribe("edgectl/v1/+/receipt/billing")
        self._outgoing.connected(receive_maximum)
        self._connected.set()

    def on_disconnected(self, _reason: str, _is_by_broker: bool = True) -> None:
        self._outgoing.disconnected()

    def on_puback(self, token: int, _reason_code: int) -> None:
        self._outgoing.answered(token)

    def on_message(self, message: Message) -> None:
        site = message.topic.split("/")[2]
        for item in msgspec.json.decode(message.payload, type=Receipt).acked:
            self._missing.discard((site, item.record_id))
        if not self._missing:
            self._done.set()

    def on_credentials(self, problem: str) -> None: ...

    def on_suback(self, topic_filter: str, reason_code: int) -> None:
        if reason_code >= FIRST_FAILURE:
            raise CheckFailedError(f"{topic_filter}: 0x{reason_code:02X}")


def records_of(run: str, count: int) -> list[tuple[str, str, bytes]]:
    """``count`` records of all sites, as if each site sent its own in order."""
    ledgers = [Ledger(f"site-{number}", f"run-{run}") for number in range(SITES)]
    found = []
    for number in range(count):
        ledger = ledgers[number % SITES]
        sent = ledger.write(f"{run}-{number}", periods=[PERIOD] * 10)
        found.append((ledger.site, sent.record_id, sent.body))
    return found


async def measure(count: int, processes: Sequence[int], rounds: int, folder: Path) -> Results:
    mosquitto, postgres = find_or_fetch_mosquitto(), find_or_fetch_postgres()
    if mosquitto is None or postgres is None:
        raise CheckFailedError("mosquitto and PostgreSQL are needed")
    server = PostgresServer(postgres, folder, free_port(), is_durable=True)
    await asyncio.to_thread(server.create)
    await asyncio.to_thread(server.start)
    try:
        async with Database(server.url, connections=1) as database:
            await migrate(database)
            return {
                name: await _measure_one(name, number, count, rounds, folder, mosquitto, server.url, database)
                for name, number in [("plain", 1), *((f"{number} processes", number) for number in processes)]
            }
    finally:
        server.stop()


async def _measure_one(
    name: str, number: int, count: int, rounds: int, folder: Path, mosquitto: Path, url: str, database: Database
) -> Results:
    port = free_port()
    conf = folder / "mosquitto.conf"
    lines = (f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "user root")
    conf.write_text("\n".join([*lines, "max_inflight_messages 500", "max_queued_messages 0"]) + "\n")
    rates, cpu_ms = [], []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Server("mosquitto", [str(mosquitto), "-c", str(conf)], port, folder / "mosquitto.log"))
        consumers = []
        for index in range(number):
            listen = free_port()
            command = _command(name, port, url, listen)
            consumers.append(await stack.enter_async_context(Server(name, command, listen, folder / f"consumer-{index}.log")))
        await _subscribed(consumers, is_plain=name == "plain")
        sender = await stack.enter_async_context(Sender(port))
        for turn in range(rounds):
            records = records_of(f"{number}-{turn}", count)
            before_s = sum(consumer.cpu_s() for consumer in consumers)
            rates.append(count / await sender.send(records))
            cpu_ms.append(1_000 * (sum(consumer.cpu_s() for consumer in consumers) - before_s) / count)
            await check(database, records, is_plain=name == "plain")
    return {"processes": number, "records_per_s": rates, "cpu_ms_per_record": cpu_ms}


def _command(name: str, port: int, url: str, listen: int) -> list[str]:
    if name == "plain":
        return [sys.executable, "-m", "benchmarks.servers.plain_consumer", str(port), url, str(listen)]
    broker = ("--broker", f"mqtt://127.0.0.1:{port}", "--database", url, "--listen", f"127.0.0.1:{listen}")
    return [sys.executable, "-m", "edgectl_backend", "run", *broker]


async def _subscribed(consumers: Sequence[Server], *, is_plain: bool) -> None:
    """The page of a backend is there before its subscription is."""
    deadline_s = asyncio.get_running_loop().time() + 20
    while not is_plain and not all("broker_subscribed" in consumer.log_text() for consumer in consumers):
        if asyncio.get_running_loop().time() > deadline_s:
            raise CheckFailedError("a backend does not reach the broker")
        await asyncio.sleep(0.05)


async def check(database: Database, records: Sequence[tuple[str, str, bytes]], *, is_plain: bool) -> None:
    """What was receipted is there, to the byte."""
    table = "plain" if is_plain else "record"
    sites, ids, bodies = (list(column) for column in zip(*records, strict=True))
    rows = await database.rows(
        f"SELECT count(*) AS n FROM {table} JOIN unnest($1::text[], $2::text[], $3::bytea[]) AS sent (site, record_id, body)"
        " USING (site, record_id, body)",
        *(sites, ids, bodies),
    )
    if rows[0]["n"] != len(records):
        raise CheckFailedError(f"{rows[0]['n']} of {len(records)} receipted records are in the database")


def run(count: int = 3_000, processes: Sequence[int] = (1, 2, 4), rounds: int = 2) -> Results:
    print(f"backend: {count} records of {SITES} sites at once, from the first publish to the last receipt")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        results = asyncio.run(measure(count, processes, rounds, Path(folder)))
    print(f"  {'consumer':<14} {'records a second':<28} {'CPU of the consumers, ms a record'}")
    for name, one in results.items():
        print(f"  {name:<14} {spread(one['records_per_s']):<28} {spread(one['cpu_ms_per_record'])}")
    best = max(middle(one["records_per_s"]) for name, one in results.items() if name != "plain")
    print(f"    goal: {GOAL_PER_S:g} records a second: {verdict(best, GOAL_PER_S, is_least=True)} ({best:.0f})")
    return results
