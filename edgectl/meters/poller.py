"""One scheduler per bus: every meter in its turn, guards first, and a dead one costs its neighbours little."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import structlog

from edgectl.domain.events import MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection
from edgectl.domain.units import Millis
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.catalogue import Block, CatalogueError, MeterModel, load_model_file, model
from edgectl.meters.decode import no_value, reading_of
from edgectl.meters.plan import control_blocks, slow_blocks
from edgectl.meters.rtu import Request
from edgectl.ports import Clock, Inbox

log = structlog.get_logger(__name__)

SLOW_EVERY = 10
"""Totals, frequency and energy come with each tenth reading."""
DEAD_AFTER = 3
"""Failures in a row before a meter is probed instead of polled."""
PROBE_PAUSE_MIN_MS, PROBE_PAUSE_MAX_MS = 1_000, 4_000
"""A repaired meter is back within five seconds ..."""
PROBE_SHARE = 20
"""... and a dead one takes no more than a twentieth of the bus: it waits this many times what its last probe took."""


@dataclass
class _Unit:
    """One meter on its bus."""

    connection: MeterConnection
    model: MeterModel
    is_guard: bool
    due_mono_ms: Millis = 0
    read_count: int = 0
    failure_count: int = 0
    is_lost: bool = False
    registers: dict[int, int] = field(default_factory=dict)
    """The latest contents of everything it was asked for; the slow blocks stay between their turns."""


class MetersAdapter:
    """Polls every configured meter until cancelled and puts a ``MeterRead`` into the inbox for each attempt.

    Raises:
        CatalogueError: from the constructor, for a model that cannot be used.
    """

    def __init__(
        self,
        connections: tuple[MeterConnection, ...],
        guards: frozenset[MeterId],
        inbox: Inbox,
        clock: Clock,
        random: Random,
        folder: Path = Path(),
        buses: Callable[[Connection], Bus] = open_bus,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._random = random
        self._open_bus = buses
        self._counters: Counter[str] = Counter()
        self._lines: dict[Connection, list[_Unit]] = {}
        for connection in connections:
            unit = _Unit(connection, _model_of(connection, folder), connection.meter in guards)
            self._lines.setdefault(connection.connection, []).append(unit)

    def counters(self) -> dict[str, int]:
        """Counts since start: ``reads``, ``no_value`` and one for each reason."""
        return dict(self._counters)

    async def run(self) -> None:
        if not self._lines:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as tasks:
            for number, (connection, units) in enumerate(self._lines.items()):
                tasks.create_task(self._poll(connection, units), name=f"bus-{number}")

    async def _poll(self, connection: Connection, units: list[_Unit]) -> None:
        bus = self._open_bus(connection)
        try:
            start_ms = self._clock.now().mono_ms
            for unit in units:
                unit.due_mono_ms = start_ms + self._random.randrange(200)
            while True:
                unit = min(units, key=lambda one: (one.due_mono_ms, not one.is_guard, one.connection.unit_number))
                now_ms = self._clock.now().mono_ms
                waiting = [one for one in units if one.due_mono_ms <= now_ms]
                if waiting:
                    unit = min(waiting, key=lambda one: (one.is_lost, not one.is_guard, one.due_mono_ms))
                else:
                    await asyncio.sleep((unit.due_mono_ms - now_ms) / 1000)
                    continue
                await self._read(bus, unit)
        finally:
            await bus.close()

    async def _read(self, bus: Bus, unit: _Unit) -> None:
        began_ms = self._clock.now().mono_ms
        blocks = control_blocks(unit.model)
        if unit.read_count % SLOW_EVERY == 0 and not unit.is_lost:
            blocks = (*blocks, *(block for block in slow_blocks(unit.model) if block not in blocks))
        reason = await self._read_blocks(bus, unit, blocks)
        ended_ms = self._clock.now().mono_ms
        connection = unit.connection
        if reason:
            reading = no_value(connection.meter, ended_ms, reason)
        else:
            unit.read_count += 1
            reading = reading_of(unit.model, connection, unit.registers, ended_ms)
        self._note(unit, reading, is_answer=not reason)
        self._inbox.put(MeterRead(reading))
        interval_ms = connection.interval_ms
        if unit.failure_count >= DEAD_AFTER:
            pause_ms = min(PROBE_PAUSE_MAX_MS, max(PROBE_PAUSE_MIN_MS, (ended_ms - began_ms) * PROBE_SHARE))
            unit.due_mono_ms = ended_ms + pause_ms
        else:
            unit.due_mono_ms = max(unit.due_mono_ms + interval_ms, ended_ms)

    async def _read_blocks(self, bus: Bus, unit: _Unit, blocks: Iterable[Block]) -> str:
        """Empty when all went well, otherwise the first reason."""
        for block in blocks:
            request = Request(unit.connection.unit_number, unit.model.function, block.address, block.count)
            answer = await bus.read(request, unit.connection.timeout_ms)
            if answer.words is None:
                return answer.reason
            unit.registers.update(zip(range(block.address, block.address + block.count), answer.words, strict=True))
            if unit.model.rules.gap_ms:
                await asyncio.sleep(unit.model.rules.gap_ms / 1000)
        return ""

    def _note(self, unit: _Unit, reading: MeterReading, *, is_answer: bool) -> None:
        self._counters["reads"] += 1
        is_good = reading.quality is Quality.GOOD
        if not is_good:
            self._counters["no_value"] += 1
            self._counters[reading.reason.replace("-", "_")] += 1
        unit.failure_count = 0 if is_answer else unit.failure_count + 1
        is_lost = unit.failure_count >= DEAD_AFTER or (is_answer and not is_good)
        if is_lost and not unit.is_lost:
            log.warning("meter_lost", meter=reading.meter, reason=reading.reason)
        elif unit.is_lost and is_good:
            log.info("meter_back", meter=reading.meter)
        unit.is_lost = is_lost if is_lost or is_good else unit.is_lost


def _model_of(connection: MeterConnection, folder: Path) -> MeterModel:
    if connection.file is not None:
        return load_model_file(folder / connection.file)
    if connection.model is None:
        raise CatalogueError(f"meter {connection.meter}: neither model nor file")
    return model(connection.model)
