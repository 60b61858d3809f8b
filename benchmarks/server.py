"""Messages per CPU second of the server's process: the real daemon beside other servers, rounds interleaved.

- ``edgectl``     ``edgectl.app.run`` with a site file: checked, a session updated, committed to a ledger on disk; no broker
- ``ocpp``        the plain ``ocpp`` package on `websockets`, checking as it does by default; its handlers only answer
- ``ocpp-rpc``    npm's strict server on Node.js; its handlers only answer
- ``websockets``, ``aiohttp``   transports alone: they send the text back

The chargers are in this process, the server in its own; only the server's CPU is counted. Each charger has one unanswered
message, and sends at most 40 a second because edgectl answers no more than 50 from one charger.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.daemon import daemon, names
from benchmarks.process import ROOT, Server, free_port
from benchmarks.report import CheckFailedError, Results, middle, spread, verdict
from benchmarks.wire import Station, quantile, utc_text

PACE_S = 1 / 40
GOAL = 10.0
"""Times as many messages per CPU second as the plain package."""
NODE_FOLDER = ROOT / ".cache" / "benchmarks-node"
NPM_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 20.0
SETTLE_S = 4.0
"""After the boots: edgectl begins to set chargers up two seconds later, which is not what is measured here."""

_SAMPLED = [
    (measurand, phase, unit, value)
    for measurand, unit, value in (
        ("Voltage", "V", "230.4"),
        ("Current.Import", "A", "15.9"),
        ("Power.Active.Import", "W", "3663.4"),
    )
    for phase in ("L1", "L2", "L3")
]


def energy_wh(number: int) -> int:
    """A register that rises as 11 kW let it at the pace of a message in 25 ms; one that jumps would be doubted, not believed."""
    return number // 13


def meter_values(transaction: int) -> Callable[[int, str], str]:
    """Texts of 1.6 MeterValues with 12 samples, by number and time."""
    samples = "".join(
        f'{{"value":"{value}","measurand":"{measurand}","phase":"{phase}","unit":"{unit}","context":"Sample.Periodic"}},'
        for measurand, phase, unit, value in _SAMPLED
    )
    samples += '{"value":"16.0","measurand":"Current.Offered","unit":"A"},{"value":"55","measurand":"SoC","unit":"Percent"},'
    samples += '{"measurand":"Energy.Active.Import.Register","unit":"Wh","value":"'
    head = f'","MeterValues",{{"connectorId":1,"transactionId":{transaction},"meterValue":[{{"timestamp":"'
    return lambda number, at: f'[2,"m{number}{head}{at}","sampledValue":[{samples}{energy_wh(number)}"}}]}}]}}]'


def transaction_updated(transaction: str) -> Callable[[int, str], str]:
    """Texts of 2.0.1 TransactionEvent Updated with 12 samples, by number and time."""
    samples = "".join(
        f'{{"value":{value},"measurand":"{measurand}","phase":"{phase}","unitOfMeasure":{{"unit":"{unit}"}},"context":"Sample.Periodic"}},'
        for measurand, phase, unit, value in _SAMPLED
    )
    samples += '{"value":16.0,"measurand":"Current.Offered"},{"value":55,"measurand":"SoC"},'
    samples += '{"measurand":"Energy.Active.Import.Register","unitOfMeasure":{"unit":"Wh"},"value":'
    place = f',"transactionInfo":{{"transactionId":"{transaction}","chargingState":"Charging"}},"evse":{{"id":1,"connectorId":1}}'
    head = '","TransactionEvent",{"eventType":"Updated","triggerReason":"MeterValuePeriodic","timestamp":"'
    return lambda number, at: (
        f'[2,"m{number}{head}{at}","seqNo":{number}{place},"meterValue":[{{"timestamp":"{at}",'
        f'"sampledValue":[{samples}{energy_wh(number)}}}]}}]}}]'
    )


async def begin_16(station: Station) -> Callable[[int, str], str]:
    """Boot, one connector, a transaction."""
    await station.call("BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"One"}')
    await station.call("StatusNotification", '{"connectorId":1,"errorCode":"NoError","status":"Charging"}')
    started = f'{{"connectorId":1,"idTag":"T-1","meterStart":0,"timestamp":"{utc_text()}"}}'
    answer = json.loads(await station.call("StartTransaction", started))[-1]
    return meter_values(answer.get("transactionId", 1))  # a bare transport names none


async def begin_201(station: Station) -> Callable[[int, str], str]:
    await station.call("BootNotification", '{"reason":"PowerUp","chargingStation":{"vendorName":"Bench","model":"One"}}')
    name = f"tx-{station.identity}"
    await station.call(
        "TransactionEvent",
        f'{{"eventType":"Started","triggerReason":"Authorized","timestamp":"{utc_text()}","seqNo":0,"transactionInfo":{{"transactionId":"{name}"'
        ',"chargingState":"Charging"},"evse":{"id":1,"connectorId":1},"idToken":{"idToken":"T-1","type":"Central"}}',
    )
    return transaction_updated(name)


KINDS = {"MeterValues (1.6, 12 samples)": ("ocpp1.6", begin_16), "TransactionEvent (2.0.1, 12 samples)": ("ocpp2.0.1", begin_201)}


class Load:
    """All chargers of one server, each sending its next message when the last is answered and its pace allows."""

    def __init__(self, stations: list[Station], texts: list[Callable[[int, str], str]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stations = stations
        self._texts = texts
        self._numbers = [0] * len(stations)
        self._sent_s = [0.0] * len(stations)
        self._waits = [False] * len(stations)
        self._until_s = 0.0
        self._at = utc_text()
        self._idle = asyncio.Event()
        self.answered = 0
        self.latencies_s: list[float] = []
        for index, station in enumerate(stations):
            station.on_answer = lambda _text, index=index: self._answered(index)

    async def run(self, seconds: float) -> int:
        """How many were answered; all that were sent are, when it returns."""
        self.answered, self._until_s, self.latencies_s = 0, self._loop.time() + seconds, []
        self._idle.clear()
        for index in range(len(self._stations)):
            self._waits[index] = True
            self._loop.call_later(PACE_S * index / len(self._stations), self._send, index)
        try:
            async with asyncio.timeout(seconds + ANSWER_TIMEOUT_S):
                while any(self._waits):
                    self._at = utc_text()
                    self._idle.clear()
                    try:
                        async with asyncio.timeout(0.5):
                            await self._idle.wait()
                    except TimeoutError:
                        self.check()
        except TimeoutError:
            raise CheckFailedError(f"{sum(self._waits)} messages were never answered") from None
        self.check()
        return self.answered

    def check(self) -> None:
        """Raises CheckFailedError when a message was refused or a connection lost."""
        refused = sum(station.refused_count for station in self._stations)
        lost = sum(station.is_lost for station in self._stations)
        if refused or lost:
            raise CheckFailedError(f"{refused} messages were refused, {lost} connections were lost")

    def _send(self, index: int) -> None:
        station = self._stations[index]
        if station.is_lost:
            return
        self._numbers[index] += 1
        self._sent_s[index] = self._loop.time()
        station.send(self._texts[index](self._numbers[index], self._at))

    def _answered(self, index: int) -> None:
        now = self._loop.time()
        self.answered += 1
        self.latencies_s.append(now - self._sent_s[index])
        if now >= self._until_s:
            self._waits[index] = False
            if not any(self._waits):
                self._idle.set()
            return
        due = self._sent_s[index] + PACE_S
        if due <= now:
            self._send(index)
        else:
            self._loop.call_at(due, self._send, index)


@dataclass
class Candidate:
    """One server under load, and its rounds."""

    server: Server
    load: Load
    per_cpu_s: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    async def measure(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        cpu_s, began_s = self.server.cpu_s(), loop.time()
        count = await self.load.run(seconds)
        spent_s = max(0.01, self.server.cpu_s() - cpu_s)  # the kernel counts in hundredths
        self.per_cpu_s.append(count / spent_s)
        self.per_s.append(count / (loop.time() - began_s))
        self.p99_ms.append(quantile(self.load.latencies_s, 0.99) * 1000)


def fetch_node() -> str | None:
    """Why Node's server cannot take part; None when it is ready."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "there is no node or no npm here"
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "benchmarks" / "node" / name, NODE_FOLDER / name)
    if (NODE_FOLDER / "node_modules" / "ocpp-rpc").is_dir():
        return None
    try:
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=NODE_FOLDER, check=True, capture_output=True, timeout=NPM_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        return f"npm could not fetch ocpp-rpc ({type(error).__name__})"
    return None


def others(folder: Path, *, with_node: bool) -> list[Server]:
    found = []
    for name, module in (("ocpp", "ocpp_package"), ("websockets", "websockets_echo"), ("aiohttp", "aiohttp_echo")):
        port = free_port()
        found.append(
            Server(name, [sys.executable, "-m", f"benchmarks.servers.{module}", str(port)], port, folder / f"{name}.log")
        )
    if with_node:
        port = free_port()
        script = str(ROOT / "benchmarks" / "node" / "server.js")
        found.append(Server("ocpp-rpc", ["node", script, str(port), str(NODE_FOLDER)], port, folder / "ocpp-rpc.log"))
    return found


async def measure(kind: str, stations: int, seconds: float, rounds: int, folder: Path, *, with_node: bool) -> list[Candidate]:
    """All servers at one kind of message: a round each to warm up, then the rounds in turn."""
    subprotocol, begin = KINDS[kind]
    candidates = []
    async with AsyncExitStack() as stack:
        for server in [daemon(folder / subprotocol, names(stations)), *others(folder, with_node=with_node)]:
            await stack.enter_async_context(server)
            chargers = [await Station.connect(server.port, name, subprotocol) for name in names(stations)]
            for charger in chargers:
                stack.callback(charger.abort)
            texts = await asyncio.gather(*(begin(charger) for charger in chargers))
            candidates.append(Candidate(server, Load(chargers, list(texts))))
        await asyncio.sleep(SETTLE_S)
        for candidate in candidates:
            await candidate.load.run(min(1.0, seconds))
        for _ in range(rounds):
            for candidate in candidates:
                await candidate.measure(seconds)
    check_ledger(folder / subprotocol / "data" / "ledger.db", stations)
    return candidates


def check_ledger(ledger: Path, stations: int) -> None:
    """Every charger's session is on disk with the energy it last reported; otherwise edgectl was fast at nothing."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT charger, rev, body FROM session").fetchall()
    if len(rows) != stations:
        raise CheckFailedError(f"{len(rows)} sessions in the ledger for {stations} chargers")


async def compare(stations: int, seconds: float, rounds: int) -> Results:
    why_not = await asyncio.to_thread(fetch_node)
    results: Results = {"stations": stations, "without_node": why_not, "kinds": {}}
    if why_not:
        print(f"  without ocpp-rpc: {why_not}")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            candidates = await measure(kind, stations, seconds, rounds, Path(folder), with_node=why_not is None)
        by_name = {candidate.server.name: candidate for candidate in candidates}
        plain, limit = middle(by_name["ocpp"].per_cpu_s), middle(by_name["websockets"].per_cpu_s)
        print(f"  {kind}: {stations} chargers, {rounds} rounds of {seconds:g} s")
        print(f"    {'server':<11} {'messages per CPU-s':<26} {'of ocpp':>8} {'of limit':>9} {'per s':>8} {'p99 ms':>8}")
        for name, one in by_name.items():
            value = middle(one.per_cpu_s)
            print(
                f"    {name:<11} {spread(one.per_cpu_s):<26} {value / plain:>7.1f}x {value / limit:>8.2f}x"
                f" {middle(one.per_s):>8.0f} {middle(one.p99_ms):>8.1f}"
            )
        ratio = middle(by_name["edgectl"].per_cpu_s) / plain
        print(f"    goal: at least {GOAL:g} times the plain ocpp package: {verdict(ratio, GOAL, is_least=True)} ({ratio:.1f})")
        results["kinds"][kind] = {
            name: {"per_cpu_s": one.per_cpu_s, "per_s": one.per_s, "p99_ms": one.p99_ms} for name, one in by_name.items()
        }
    return results


def run(stations: int = 100, seconds: float = 2.5, rounds: int = 3) -> Results:
    print("server: messages per CPU second of the server's process, chargers in another")
    return asyncio.run(compare(stations, seconds, rounds))
