"""From a conductor over its limit to the first lowering SetChargingProfile on the wire, at 100 charging chargers.

And the plain `ocpp` package in the same run, with the same chargers: it reads no meter and decides nothing, so its time runs from
a word that tells it what to send, until its first and its last SetChargingProfile is on the wire, one after the other.

Nothing is put in by hand: a simulated Eastron SDM630 answers edgectl's own Modbus TCP poll, every 500 ms. The building's load
steps up until the sum is too much. Counted are the time since the load stepped (the wait for the next poll included), and since
the first answer of the meter that said so, which is edgectl's own part, until the first and until the last charger is told less.
The chargers draw what they are told, and report it every two seconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.daemon import daemon, names
from benchmarks.process import Server, free_port
from benchmarks.report import CheckFailedError, Results, middle, verdict
from benchmarks.servers.ocpp_forwarder import CONTROL
from benchmarks.wire import Station, quantile, utc_text
from edgectl.meters import model
from hwsim.meters.device import Device
from hwsim.meters.registers import Truth, registers_of
from hwsim.meters.tcp_server import MeterTcpServer

GOAL_MS = 1_000.0
MODEL = "eastron-sdm630"
OVER_A = 40.0
"""By how much each step exceeds the limit: small beside the chargers' own share, so that there is room for all steps."""
LOWERED_TIMEOUT_S = 5.0
REPORT_S = 2.0
SETTLE_TIMEOUT_S = 40.0
FLOOR_A = 6.0
APART_S = (7.5, 8.0)
"""Between two steps: for 7 s after a reduction an excess may still be that of vehicles which have yet to follow it."""
MEASURE_S = 110.0
"""No further step begins after that: raising limits again takes edgectl ten seconds and more, by design."""


@dataclass
class Plant:
    """The conductor: what the building draws and what each charger is allowed, and therefore draws."""

    limit_a: float
    building_a: float = 20.0
    drawn_a: dict[str, float] = field(default_factory=dict)
    stepped_s: float | None = None
    seen_s: float | None = None
    """When the meter first told of the step that is measured."""
    lowered_s: float | None = None
    all_lowered_s: float | None = None
    lowered: set[str] = field(default_factory=set)
    """Who has been told less since the step."""

    def total_a(self) -> float:
        return self.building_a + sum(self.drawn_a.values())

    def registers(self) -> dict[int, int]:
        if self.stepped_s is not None and self.seen_s is None:
            self.seen_s = asyncio.get_running_loop().time()
        total = self.total_a()
        return registers_of(model(MODEL), Truth((total, total, total)))

    def told(self, name: str, text: bytes) -> None:
        """A SetChargingProfile for a transaction or for the whole connector arrived."""
        profile = json.loads(text)[3]["csChargingProfiles"]
        if profile["chargingProfilePurpose"] != "TxProfile":
            return
        limit_a = float(profile["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"])
        before_a, self.drawn_a[name] = self.drawn_a[name], min(32.0, limit_a)
        if limit_a < before_a and self.stepped_s is not None:
            now_s = asyncio.get_running_loop().time()
            self.lowered.add(name)
            if self.lowered_s is None:
                self.lowered_s = now_s
            if len(self.lowered) == len(self.drawn_a) and self.all_lowered_s is None:
                self.all_lowered_s = now_s

    def begin(self) -> None:
        """A step, now."""
        self.seen_s = self.lowered_s = self.all_lowered_s = None
        self.lowered.clear()
        self.stepped_s = asyncio.get_running_loop().time()

    async def all_told(self) -> float:
        """When the last charger has been told less; a `CheckFailedError` when that does not happen."""
        try:
            async with asyncio.timeout(LOWERED_TIMEOUT_S):
                while self.all_lowered_s is None:  # noqa: ASYNC110 - it comes from a callback
                    await asyncio.sleep(0.001)
        except TimeoutError:
            words = f"{len(self.lowered)} of {len(self.drawn_a)} limits were lowered in {LOWERED_TIMEOUT_S:g} s"
            raise CheckFailedError(f"{words} at {self.total_a():.0f} A") from None
        return self.all_lowered_s


async def charge(station: Station, plant: Plant) -> str:
    """Boot and begin a transaction at the least current; the transaction's id."""
    name = station.identity
    plant.drawn_a[name] = FLOOR_A
    station.on_call = lambda action, text: plant.told(name, text) if action == "SetChargingProfile" else None
    await station.call("BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"One"}')
    await station.call("StatusNotification", '{"connectorId":1,"errorCode":"NoError","status":"Charging"}')
    started = f'{{"connectorId":1,"idTag":"T-1","meterStart":0,"timestamp":"{utc_text()}"}}'
    _, _, answer = json.loads(await station.call("StartTransaction", started))
    return str(answer["transactionId"])


async def report(station: Station, plant: Plant, transaction: str, offset_s: float) -> None:
    """Meter values every two seconds until cancelled."""
    await asyncio.sleep(offset_s)
    while True:
        current_a = plant.drawn_a[station.identity]
        sampled = ",".join(
            f'{{"value":"{current_a:.1f}","measurand":"Current.Import","phase":"{phase}","unit":"A"}}'
            for phase in ("L1", "L2", "L3")
        )
        value = f'{{"timestamp":"{utc_text()}","sampledValue":[{sampled}]}}'
        await station.call("MeterValues", f'{{"connectorId":1,"transactionId":{transaction},"meterValue":[{value}]}}')
        await asyncio.sleep(REPORT_S)


async def step(plant: Plant) -> tuple[float, float, float]:
    """One step over the limit: milliseconds since it, and since the meter first said so, until a limit was lowered; and since the
    meter said so until all were."""
    plant.begin()
    plant.building_a += max(0.0, plant.limit_a - plant.total_a()) + OVER_A
    all_s = await plant.all_told()
    if plant.stepped_s is None or plant.seen_s is None or plant.lowered_s is None:
        raise CheckFailedError("limits were lowered before the meter said anything")
    found = plant.lowered_s - plant.stepped_s, plant.lowered_s - plant.seen_s, all_s - plant.seen_s
    plant.stepped_s = None
    return found[0] * 1000, found[1] * 1000, found[2] * 1000


async def forward(control: Station, plant: Plant, limit_a: float) -> tuple[float, float]:
    """The same through the plain package: milliseconds from the word that says so to the first and to the last lowered limit."""
    plant.begin()
    control.send(f"{limit_a:.1f}")
    all_s = await plant.all_told()
    if plant.stepped_s is None or plant.lowered_s is None:
        raise CheckFailedError("nothing was lowered")
    found = (plant.lowered_s - plant.stepped_s) * 1000, (all_s - plant.stepped_s) * 1000
    plant.stepped_s = None
    return found


async def has_room(plant: Plant) -> bool:
    """Something is left to lower; where nothing is, the building's load falls until limits have risen again."""
    stations = len(plant.drawn_a)
    if sum(plant.drawn_a.values()) >= (FLOOR_A + 2) * stations:
        return True
    plant.building_a = 20.0
    for _ in range(round(SETTLE_TIMEOUT_S * 10)):
        await asyncio.sleep(0.1)
        if sum(plant.drawn_a.values()) >= 2 * FLOOR_A * stations:
            return True
    return False


async def measure(stations: int, steps: int, folder: Path) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    limit_a = 34 * stations
    plant = Plant(limit_a)
    rng = random.Random(stations)
    meter = MeterTcpServer({1: Device(plant.registers, max_registers=80)})
    port = await meter.start()
    tasks: list[asyncio.Task[None]] = []
    connected: list[Station] = []
    try:
        async with daemon(folder, names(stations), meter_port=port, limit_a=limit_a) as server:
            for name in names(stations):
                connected.append(await Station.connect(server.port, name, "ocpp1.6"))  # noqa: PERF401 - closed even if one fails
            transactions = await asyncio.gather(*(charge(station, plant) for station in connected))
            for number, (station, transaction) in enumerate(zip(connected, transactions, strict=True)):
                offset_s = REPORT_S * number / stations
                tasks.append(asyncio.create_task(report(station, plant, transaction, offset_s)))
            deadline = loop.time() + SETTLE_TIMEOUT_S
            while min(plant.drawn_a.values()) < 20 and loop.time() < deadline:  # noqa: ASYNC110 - bounded
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)
            settled_a = sum(plant.drawn_a.values()) / stations
            if settled_a < 10:
                raise CheckFailedError(f"the chargers were allowed only {settled_a:.1f} A on average, nothing is left to lower")
            found: list[tuple[float, float, float]] = []
            cpu_s, began_s = server.cpu_s(), loop.time()
            while len(found) < steps and loop.time() - began_s < MEASURE_S:
                if not await has_room(plant):
                    raise CheckFailedError("limits were not raised again after the load had fallen")
                found.append(await step(plant))
                await asyncio.sleep(rng.uniform(*APART_S))  # out of step with the poll
            share = (server.cpu_s() - cpu_s) / (loop.time() - began_s)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for station in connected:
            station.abort()
        await meter.stop()
    broken = [one for one in ended if isinstance(one, Exception) and not isinstance(one, ConnectionError)]
    if broken:
        raise CheckFailedError(f"a charger failed: {broken[0]}")
    return {
        "since_step_ms": [a for a, _, _ in found],
        "since_meter_ms": [b for _, b, _ in found],
        "all_since_meter_ms": [c for _, _, c in found],
        "cpu_share": share,
        "settled_a": settled_a,
    }


async def measure_plain(stations: int, steps: int, folder: Path) -> dict[str, Any]:
    """The package's central system with as many chargers that report as often."""
    plant = Plant(34 * stations)
    tasks: list[asyncio.Task[None]] = []
    connected: list[Station] = []
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.servers.ocpp_forwarder", str(port)]
    try:
        async with Server("ocpp", command, port, folder / "ocpp.log"):
            for name in names(stations):
                connected.append(await Station.connect(port, name, "ocpp1.6"))  # noqa: PERF401 - closed even if one fails
            transactions = await asyncio.gather(*(charge(station, plant) for station in connected))
            for number, (station, transaction) in enumerate(zip(connected, transactions, strict=True)):
                plant.drawn_a[station.identity] = 32.0
                tasks.append(asyncio.create_task(report(station, plant, transaction, REPORT_S * number / stations)))
            control = await Station.connect(port, CONTROL, "ocpp1.6")
            connected.append(control)
            await asyncio.sleep(2)
            found: list[tuple[float, float]] = []
            for number in range(steps):
                found.append(await forward(control, plant, 31.0 - number))
                await asyncio.sleep(1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for station in connected:
            station.abort()
    return {"plain_first_ms": [a for a, _ in found], "plain_all_ms": [b for _, b in found]}


ROWS = (
    ("since_step_ms", "since the load stepped, the first"),
    ("since_meter_ms", "since the meter said so, the first"),
    ("all_since_meter_ms", "since the meter said so, the last"),
    ("plain_first_ms", "ocpp package, told what, the first"),
    ("plain_all_ms", "ocpp package, told what, the last"),
)


def run(stations: int = 100, steps: int = 14) -> Results:
    print(f"reaction: up to {steps} steps over the limit, {stations} charging chargers, a real Modbus TCP poll every 500 ms")
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(stations, steps, Path(folder)))
        found |= asyncio.run(measure_plain(stations, steps, Path(folder)))
    for key, words in ROWS:
        values = found[key]
        print(
            f"  {words:<34} p50 {middle(values):>6.0f} ms   p99 {quantile(values, 0.99):>6.0f} ms   most {max(values):>6.0f} ms"
        )
    for ours, plain, words in (
        ("since_meter_ms", "plain_first_ms", "first"),
        ("all_since_meter_ms", "plain_all_ms", "last"),
    ):
        p50 = middle(found[ours]) / middle(found[plain])
        p99 = quantile(found[ours], 0.99) / quantile(found[plain], 0.99)
        found[f"{words}_ratio"] = {"p50": p50, "p99": p99}
        print(f"  reading, deciding and telling over telling alone, to the {words} charger: p50 {p50:.2f} x, p99 {p99:.2f} x")
    print(
        f"  {len(found['since_step_ms'])} steps, {found['cpu_share']:.0%} of a core,"
        f" chargers at {found['settled_a']:.1f} A each before the first step"
    )
    value = quantile(found["since_step_ms"], 0.99)
    print(f"    goal: p99 below {GOAL_MS:g} ms since the load stepped: {verdict(value, GOAL_MS)} ({value:.0f} ms)")
    return found
