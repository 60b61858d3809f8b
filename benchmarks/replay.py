"""The backlog of a long night: 200 chargers come back at once, each with 50 queued messages of one whole charging transaction.

StartTransaction, 48 MeterValues of hours ago and StopTransaction, one unanswered at a time, after connecting and booting. Beside
the real daemon, which stores what it acknowledges: the plain ``ocpp`` package's server, which checks and answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.daemon import daemon, names
from benchmarks.process import Server, free_port
from benchmarks.report import CheckFailedError, Results, middle, spread, verdict
from benchmarks.storm import allow_sockets
from benchmarks.wire import Station, quantile, utc_text

GOAL_S = 30.0
REPLAY_TIMEOUT_S = 60.0
AGO_S = 8 * 3_600
EVERY_S = 300
WH_PER_SAMPLE = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    wall_s: float
    """From the first SYN until the last message is answered."""
    cpu_s: float
    p99_ms: float
    reconnects: int
    """How often a charger was thrown out and came back with what was not answered."""


class Queue:
    """One charger with its backlog. When its connection goes it comes back and repeats what was not answered, as chargers do."""

    def __init__(self, server: Server, name: str, latencies_ms: list[float]) -> None:
        self._server = server
        self._name = name
        self._latencies_ms = latencies_ms
        self._random = random.Random(name)
        self._station: Station | None = None
        self.reconnects = -1

    async def call(self, action: str, payload: str) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                if self._station is None:
                    self.reconnects += 1
                    self._station = await Station.connect(self._server.port, self._name, "ocpp1.6")
                    await self._station.call("BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"One"}')
                began_s = loop.time()
                answer = await self._station.call(action, payload)
            except (OSError, TimeoutError):
                self.close()
                await asyncio.sleep(self._random.uniform(1.0, 2.0))
                continue
            self._latencies_ms.append((loop.time() - began_s) * 1000)
            if answer.startswith(b"[4"):
                raise CheckFailedError(f"{self._server.name}: {action} of {self._name} was refused: {answer[:200]!r}")
            return answer

    def close(self) -> None:
        if self._station is not None:
            self._station.abort()
        self._station = None

    async def deliver(self, messages: int) -> None:
        """Raises CheckFailedError when something in it is refused."""
        started = f'{{"connectorId":1,"idTag":"T-1","meterStart":0,"timestamp":"{utc_text(-AGO_S)}"}}'
        _, _, answer = json.loads(await self.call("StartTransaction", started))
        transaction = answer["transactionId"]
        for number in range(1, messages - 1):
            sampled = f'{{"value":"{number * WH_PER_SAMPLE}","measurand":"Energy.Active.Import.Register","unit":"Wh"}}'
            value = f'{{"timestamp":"{utc_text(number * EVERY_S - AGO_S)}","sampledValue":[{sampled}]}}'
            await self.call("MeterValues", f'{{"connectorId":1,"transactionId":{transaction},"meterValue":[{value}]}}')
        stopped = utc_text((messages - 1) * EVERY_S - AGO_S)
        stop_wh = (messages - 1) * WH_PER_SAMPLE
        stop = f'{{"transactionId":{transaction},"meterStop":{stop_wh},"timestamp":"{stopped}","reason":"Local"}}'
        await self.call("StopTransaction", stop)


async def replay(server: Server, stations: int, messages: int) -> Outcome:
    loop = asyncio.get_running_loop()
    latencies_ms: list[float] = []
    queues = [Queue(server, name, latencies_ms) for name in names(stations)]
    cpu_s, began_s = server.cpu_s(), loop.time()
    try:
        async with asyncio.timeout(REPLAY_TIMEOUT_S):
            await asyncio.gather(*(queue.deliver(messages) for queue in queues))
    except TimeoutError:
        words = f"{len(latencies_ms)} of {stations * messages} messages were answered within {REPLAY_TIMEOUT_S:g} s"
        raise CheckFailedError(f"{server.name}: {words}, {sum(queue.reconnects for queue in queues)} reconnections") from None
    finally:
        for queue in queues:
            queue.close()
    reconnects = sum(queue.reconnects for queue in queues)
    return Outcome(loop.time() - began_s, server.cpu_s() - cpu_s, quantile(latencies_ms, 0.99), reconnects)


def check_ledger(ledger: Path, stations: int, energy_wh: int) -> None:
    """Every session is closed with exactly its energy, and billed once; otherwise the answers were a lie."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM session WHERE ended_utc_ms IS NOT NULL")]
        (bills,) = connection.execute("SELECT count(*) FROM bill").fetchone()
    exact = sum(body["energy_wh"] == energy_wh for body in bodies)
    if not len(bodies) == bills == exact == stations:
        raise CheckFailedError(f"of {stations} sessions {len(bodies)} are closed, {exact} with their energy, {bills} are billed")


async def measure(stations: int, messages: int, rounds: int) -> dict[str, list[Outcome]]:
    """Fresh processes and an empty ledger each time, the two servers in turn."""
    found: dict[str, list[Outcome]] = {"edgectl": [], "ocpp": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            async with daemon(Path(folder), names(stations)) as server:
                found["edgectl"].append(await replay(server, stations, messages))
                check_ledger(Path(folder) / "data" / "ledger.db", stations, (messages - 1) * WH_PER_SAMPLE)
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.servers.ocpp_package", str(port)]
            async with Server("ocpp", command, port, Path(folder) / "ocpp.log") as server:
                found["ocpp"].append(await replay(server, stations, messages))
    return found


def run(stations: int = 200, messages: int = 50, rounds: int = 2) -> Results:
    print(f"replay: {stations} chargers come back with {messages} queued messages each (edgectl also stores and bills)")
    allow_sockets(stations)
    found = asyncio.run(measure(stations, messages, rounds))
    print(f"  {'server':<8} {'all answered s':<22} {'CPU s':<22} {'p99 ms':>8} {'thrown out':>11}")
    for name, outcomes in found.items():
        wall, cpu = spread([o.wall_s for o in outcomes]), spread([o.cpu_s for o in outcomes])
        p99_ms, thrown_out = middle([o.p99_ms for o in outcomes]), sum(o.reconnects for o in outcomes)
        print(f"  {name:<8} {wall:<22} {cpu:<22} {p99_ms:>8.0f} {thrown_out:>11}")
    ours, plain = (middle([o.cpu_s for o in found[name]]) for name in ("edgectl", "ocpp"))
    value = middle([o.wall_s for o in found["edgectl"]])
    print(f"    {plain / max(0.01, ours):.1f} times less CPU than the plain ocpp package")
    print(f"    goal: all answered within {GOAL_S:g} s: {verdict(value, GOAL_S)} ({value:.1f} s)")
    return {name: [asdict(outcome) for outcome in outcomes] for name, outcomes in found.items()}
