"""Reads by the million on a fault-injecting bus: ``python -m hwsim meters --transactions 1000000 --seed 1``.

The real poller, the real RTU master and the real Modbus TCP client read simulated meters in virtual time, through everything a
line can do wrong. Every meter changes all its values with each request it hears, so that whatever is taken for the answer and is
not shows: register by register in each transaction, and again in the readings. The bare client of pymodbus then reads the same
meters under the same faults, for comparison.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from edgectl.domain.events import Event, MeterRead, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.catalogue import MeterModel, model
from edgectl.meters.plan import control_blocks, pairs
from edgectl.meters.poller import MetersAdapter
from edgectl.meters.rtu import Answer, Request
from hwsim.campaigns.promises import quiet_logs
from hwsim.meters.device import Strictness
from hwsim.meters.faulty import FaultyBus
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth
from hwsim.world.clock import VirtualClock
from hwsim.world.loop import VirtualLoop
from hwsim.world.network import Network

SERIAL_MODELS = ("eastron-sdm630", "cg-em24-rs485", "abb-b2x-a4x", "eastron-sdm120", "finder-7m24", "sunspec-21x")
TCP_MODELS = ("janitza-umg604", "shelly-pro-3em", "cg-em24-e1", "sunspec-20x", "siemens-pac2200")
"""One of each kind: floats and integers, one block and several, pairs, eleven registers at most, nothing but single values."""
INTERVAL_MS: Millis = 100
STATES = 251
"""Different contents of a meter; prime, so that neither blocks nor units fall into step with it."""
CAUGHT_MAX = 5


@dataclass
class Telltale:
    """A meter whose every value is another after each request, and which knows what it said."""

    model: MeterModel
    number: int
    freezes: random.Random | None = None
    """Draws when its values stand still, for a meter with a heartbeat."""
    heard_count: int = 0
    frozen_since_s: float | None = None

    def __post_init__(self) -> None:
        devices = [device_of(self.model, lambda state=state: self.truth(state)) for state in range(STATES)]  # type: ignore[misc]
        self._contents = [device.source() for device in devices]
        self._strictness: Strictness = devices[0].strictness or Strictness()
        self._amps = [self.truth(state).current_a for state in range(STATES)]
        here = next(iter(self.model.chain.layouts.values())) if self.model.chain is not None else self.model
        blocks = control_blocks(here)
        self.is_paired = all(
            any(all(block.address <= start and end <= block.end for start, end in pair) for block in blocks)
            for pair in pairs(here)
        )
        self._beat = self.model.heartbeat
        self._frozen_count = 0

    def truth(self, state: int) -> Truth:
        turn = (state * 7 + self.number * 83) % STATES
        sign = -1 if turn % 2 else 1
        return Truth(
            (sign * (5 + 0.11 * turn), sign * (7 + 0.13 * turn), -sign * (9 + 0.17 * turn)),
            (220 + turn % 19, 221 + turn % 17, 222 + turn % 13),
            0.95,
            120_000.0 + turn,
            60_000.0 + turn,
        )

    def amps(self, count: int) -> tuple[float, float, float]:
        """What it measured then; magnitudes where amps and watts cannot be had in one read, as directions change with each."""
        found = self._amps[count % STATES]
        return found if self.is_paired else (abs(found[0]), abs(found[1]), abs(found[2]))

    def contents(self, count: int) -> dict[int, int]:
        """What it held when it heard its ``count``-th request."""
        return self._contents[count % STATES]

    def answer(self, function: int, address: int, count: int) -> bytes:
        now_s = asyncio.get_running_loop().time()
        if self.freezes is not None:
            self._freeze(now_s)
        if self.frozen_since_s is None:
            self.heard_count += 1
        contents = self.contents(self.heard_count)
        refusal = self._strictness.refuses(function, address, count, contents)
        if refusal is not None:
            return bytes([function | 0x80, refusal])
        words = [contents.get(one, 0) for one in range(address, address + count)]
        if self._beat is not None:
            self._stamp(words, address, now_s if self.frozen_since_s is None else self.frozen_since_s)
        return bytes([function, 2 * count]) + b"".join(word.to_bytes(2) for word in words)

    def _freeze(self, now_s: float) -> None:
        draw = self.freezes
        if draw is None:
            return
        if self.frozen_since_s is None and draw.random() < 0.001:
            self.frozen_since_s = now_s
            self._thaw_s = now_s + draw.uniform(5, 40)
        elif self.frozen_since_s is not None and now_s > self._thaw_s:
            self.frozen_since_s = None

    def _stamp(self, words: list[int], address: int, now_s: float) -> None:
        place = self._beat.point.addresses[0] - address if self._beat is not None else -1
        if 0 <= place < len(words) - 1:
            words[place : place + 2] = [int(now_s) & 0xFFFF, int(now_s) >> 16]

    def said(self, request: Request, words: tuple[int, ...], counts: range) -> bool:
        """Whether it said this to one of those requests."""
        return any(self._is_said(request, words, count) for count in counts)

    def _is_said(self, request: Request, words: tuple[int, ...], count: int) -> bool:
        contents = self.contents(count)
        beat = range(0) if self._beat is None else range(self._beat.point.addresses[0], self._beat.point.addresses[0] + 2)
        return all(
            word == contents.get(request.address + offset, 0) or request.address + offset in beat
            for offset, word in enumerate(words)
        )


@dataclass
class Findings:
    """What became of a run."""

    transactions: int = 0
    answers: int = 0
    wrong_answers: int = 0
    samples: int = 0
    wrong_samples: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    caught: list[str] = field(default_factory=list)
    """The first wrong ones, in words."""
    virtual_s: float = 0.0
    real_s: float = 0.0

    def catch(self, words: str) -> None:
        if len(self.caught) < CAUGHT_MAX:
            self.caught.append(words)


class _CheckedBus:
    """The real bus; each answer is held against what the meter said to this very request."""

    def __init__(self, bus: Bus, meters: dict[int, Telltale], findings: Findings, is_enough: asyncio.Event, count: int) -> None:
        self._bus, self._meters, self._findings = bus, meters, findings
        self._is_enough, self._count = is_enough, count

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        meter, findings = self._meters[request.unit], self._findings
        before = meter.heard_count - (meter.freezes is not None)  # one that may stand still is judged by its readings
        answer = await self._bus.read(request, timeout_ms)
        findings.transactions += 1
        if findings.transactions >= self._count:
            self._is_enough.set()
        if answer.words is not None and not request.is_probe:
            findings.answers += 1
            if not meter.said(request, answer.words, range(before + 1, meter.heard_count + 1)):
                findings.wrong_answers += 1
                findings.catch(f"{meter.model.name} never said {answer.words[:8]} to {request}")
        return answer

    async def close(self) -> None:
        await self._bus.close()


class _Inbox:
    """Readings, held against what the meters measured since the reading before."""

    def __init__(self, meters: dict[MeterId, Telltale], findings: Findings) -> None:
        self._meters, self._findings = meters, findings
        self._since: Counter[MeterId] = Counter()

    def put(self, event: Event) -> None:
        if not isinstance(event, MeterRead):
            return
        reading, findings = event.reading, self._findings
        meter = self._meters[reading.meter]
        counts = range(max(self._since[reading.meter], meter.heard_count - 40), meter.heard_count + 1)
        self._since[reading.meter] = meter.heard_count
        if reading.quality is not Quality.GOOD or reading.current_ma is None:
            findings.reasons[reading.reason] += 1
            return
        findings.samples += 1
        measured = [meter.amps(count) for count in counts]
        said_ma = reading.current_ma if meter.is_paired else reading.current_ma.map(abs)
        for phase in range(meter.model.phase_count):
            if not any(abs(said_ma[phase] - 1000 * amps[phase]) <= 12 for amps in measured):
                findings.wrong_samples += 1
                findings.catch(f"{reading.meter} never measured {reading.current_ma} at {reading.completed_mono_ms} ms")
                return
        frozen_s = meter.frozen_since_s
        beat = meter.model.heartbeat
        if frozen_s is not None and beat is not None and reading.completed_mono_ms > 1000 * frozen_s + beat.within_ms + 2_000:
            findings.wrong_samples += 1
            findings.catch(
                f"{reading.meter} has stood still since {frozen_s:.1f} s and was believed at {reading.completed_mono_ms} ms"
            )


def run_campaign(count: int, seed: int, fault_share: float = 0.1) -> Findings:
    """Ours, until so many transactions are done."""
    findings = Findings()
    _in_virtual_time(_read_with_edgectl(count, seed, fault_share, findings), seed, findings)
    return findings


def run_comparison(count: int, seed: int, fault_share: float = 0.1) -> Findings:
    """The client of pymodbus alone, with its own retries, on the RTU line."""
    findings = Findings()
    _in_virtual_time(_read_with_pymodbus(count, seed, fault_share, findings), seed, findings)
    return findings


def _in_virtual_time(work: Coroutine[Any, Any, None], seed: int, findings: Findings) -> None:
    loop = VirtualLoop(Network(random.Random(seed)))  # type: ignore[abstract]
    began_s = time.perf_counter()
    with quiet_logs():
        try:
            loop.run_until_complete(work)
        finally:
            findings.virtual_s, findings.real_s = loop.time(), time.perf_counter() - began_s
            loop.close()


async def _read_with_edgectl(count: int, seed: int, fault_share: float, findings: Findings) -> None:
    draw = random.Random(seed)
    meters: dict[MeterId, Telltale] = {}
    lines: dict[Connection, dict[int, Telltale]] = {}
    buses: list[FaultyBus] = []
    connections: list[MeterConnection] = []
    for transport, names in ((Transport.RTU_OVER_TCP, SERIAL_MODELS), (Transport.TCP, TCP_MODELS)):
        units = {number: _telltale(name, number, draw) for number, name in enumerate(names, start=1)}
        bus = FaultyBus(dict(units), draw, fault_share, is_rtu=transport is Transport.RTU_OVER_TCP)
        connection = Connection(transport, "127.0.0.1", await bus.start())
        buses.append(bus)
        lines[connection] = units
        for number, name in enumerate(names, start=1):
            meter = MeterId(f"{transport.value}-{name}")
            meters[meter] = units[number]
            connections.append(MeterConnection(meter, connection, number, name, interval_ms=INTERVAL_MS))
    is_enough = asyncio.Event()
    adapter = MetersAdapter(
        tuple(connections),
        frozenset({connections[0].meter}),
        _Inbox(meters, findings),
        VirtualClock(asyncio.get_running_loop()),
        random.Random(seed),
        buses=lambda connection: _CheckedBus(open_bus(connection), lines[connection], findings, is_enough, count),
    )
    task = asyncio.get_running_loop().create_task(adapter.run())
    waiter = asyncio.get_running_loop().create_task(is_enough.wait())
    await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    for one in (task, waiter):
        one.cancel()
    results = await asyncio.gather(task, waiter, return_exceptions=True)
    for bus in buses:
        findings.faults.update(bus.counts)
        await bus.stop()
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _read_with_pymodbus(count: int, seed: int, fault_share: float, findings: Findings) -> None:
    draw = random.Random(seed)
    units = {number: _telltale(name, number, draw) for number, name in enumerate(SERIAL_MODELS[:4], start=1)}
    bus = FaultyBus(dict(units), draw, fault_share)
    port = await bus.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=FramerType.RTU, timeout=0.3)
    plans = [(number, block) for number, unit in units.items() for block in control_blocks(unit.model)]
    while findings.transactions < count:
        number, block = plans[findings.transactions % len(plans)]
        unit = units[number]
        findings.transactions += 1
        request = Request(number, unit.model.function, block.address, block.count)
        before = unit.heard_count
        try:
            if not client.connected and not await client.connect():
                continue
            call = client.read_holding_registers if request.function == 3 else client.read_input_registers
            answer = await call(block.address, count=block.count, device_id=number)
        except ModbusException as error:
            findings.reasons[type(error).__name__] += 1
            continue
        if answer.isError():
            findings.reasons["exception"] += 1
            continue
        findings.answers += 1
        words = tuple(answer.registers)
        is_whole = len(words) == block.count
        if not is_whole or not unit.said(request, words, range(before + 1, unit.heard_count + 1)):
            findings.wrong_answers += 1
            findings.catch(f"{unit.model.name} never said {words[:8]} to {request}")
        await asyncio.sleep(0.005)
    client.close()
    findings.faults.update(bus.counts)
    await bus.stop()


def _telltale(name: str, number: int, draw: random.Random) -> Telltale:
    one = model(name)
    return Telltale(one, number, random.Random(draw.random()) if one.heartbeat is not None else None)


def play_meters(count: int, seed: int, fault_share: float, comparison: int) -> int:
    """Run both and print what became of them; 1 when anything wrong was believed."""
    ours = run_campaign(count, seed, fault_share)
    print(f"edgectl, seed {seed}: {_words(ours)}")
    print(f"  readings {ours.samples}, wrong ones believed {ours.wrong_samples}; without a value {sum(ours.reasons.values())}:")
    print(f"  {', '.join(f'{reason} {number}' for reason, number in ours.reasons.most_common())}")
    print(f"  faults: {', '.join(f'{kind} {number}' for kind, number in sorted(ours.faults.items()))}")
    for words in ours.caught:
        print(f"  {words}")
    if comparison:
        bare = run_comparison(comparison, seed, fault_share)
        print(f"pymodbus alone, same faults: {_words(bare)}")
    return 1 if ours.wrong_answers or ours.wrong_samples else 0


def _words(found: Findings) -> str:
    return (
        f"{found.transactions} transactions, {found.answers} answers taken, {found.wrong_answers} of them wrong; "
        f"{found.virtual_s / 3600:.1f} simulated hours in {found.real_s:.0f} s"
    )
