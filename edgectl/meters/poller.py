"""One scheduler per bus: every meter in its turn, guards first, and a dead one costs its neighbours little."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

import structlog

from edgectl.domain.events import InputRead, MeterRead, MeterReading, Quality
from edgectl.domain.ids import InputId, MeterId
from edgectl.domain.settings import Connection, InputConnection, MeterConnection
from edgectl.domain.units import Millis
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.catalogue import CatalogueError, MeterModel, load_model_file, model
from edgectl.meters.contacts import ContactUnit
from edgectl.meters.decode import no_value
from edgectl.meters.unit import UnitReader
from edgectl.ports import Clock, Inbox

log = structlog.get_logger(__name__)

LINK_PAUSE_MIN_MS, LINK_PAUSE_MAX_MS = 250, 3_000
"""Between attempts to reach a line or gateway, doubled each time: back within five seconds, and no hammering."""
START_SPREAD_MS = 200
"""Buses do not all begin in the same instant."""


Unit: TypeAlias = UnitReader | ContactUnit


class Turns:
    """Whose request is next on one bus. Guards go first, yet never twice in a row while another meter waits. Pure."""

    def __init__(self, units: list[Unit]) -> None:
        self._units = units
        self._last: Unit | None = None

    def next(self, now_mono_ms: Millis) -> tuple[Unit, Millis]:
        """The unit to serve, and how long until then."""
        ready = [unit for unit in self._units if unit.ready_mono_ms() <= now_mono_ms]
        if not ready:
            unit = min(self._units, key=_ready_mono_ms)
            return unit, unit.ready_mono_ms() - now_mono_ms
        last = self._last
        if last is not None and last.is_in_cycle and last in ready:
            return last, 0  # the blocks of one reading stay together
        guards = [unit for unit in ready if unit.is_guard and not unit.is_silent]
        others = [unit for unit in ready if not unit.is_guard or unit.is_silent]
        is_guards_turn = not others or (guards and not (last is not None and last.is_guard and not last.is_silent))
        unit = min(guards if guards and is_guards_turn else others, key=_ready_mono_ms)
        self._last = unit
        return unit, 0


def _ready_mono_ms(unit: Unit) -> Millis:
    return unit.ready_mono_ms()


class MetersAdapter:
    """Polls every configured meter and input until cancelled; each attempt puts a ``MeterRead`` or ``InputRead`` into the inbox.

    Raises:
        CatalogueError: from the constructor, for a model that cannot be used.
    """

    def __init__(
        self,
        connections: tuple[MeterConnection | InputConnection, ...],
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
        self._lost: set[MeterId | InputId] = set()
        self._lines: dict[Connection, list[Unit]] = {}
        for connection in connections:
            units = self._lines.setdefault(connection.connection, [])
            if isinstance(connection, InputConnection):
                units.append(ContactUnit(connection))
                continue
            units.append(UnitReader(connection, model_of(connection, folder), connection.meter in guards, turn=len(units)))

    def counters(self) -> dict[str, int]:
        """Counts since start: ``reads``, ``no_value`` and one for each reason, and what happened to counters and devices."""
        found = self._counters.copy()
        for units in self._lines.values():
            for unit in units:
                found.update(unit.events)
        return dict(found)

    async def run(self) -> None:
        if not self._lines:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as tasks:
            for number, (connection, units) in enumerate(self._lines.items()):
                tasks.create_task(self._poll(connection, units), name=f"bus-{number}")

    async def _poll(self, connection: Connection, units: list[Unit]) -> None:
        bus = self._open_bus(connection)
        turns = Turns(units)
        link_failures = 0
        try:
            start_ms = self._clock.now().mono_ms + self._random.randrange(START_SPREAD_MS)
            for number, unit in enumerate(units):
                unit.due_mono_ms = start_ms + number * unit.connection.interval_ms // len(units)
            while True:
                now_ms = self._clock.now().mono_ms
                unit, wait_ms = turns.next(now_ms)
                if wait_ms > 0:
                    await asyncio.sleep(wait_ms / 1000)
                    continue
                ask = unit.ask(now_ms)
                if ask.not_before_mono_ms > now_ms:
                    continue
                answer = await bus.read(ask.request, ask.timeout_ms)
                self._take(unit.answered(answer, self._clock.now().mono_ms))
                link_failures = link_failures + 1 if answer.is_link_trouble else 0
                if link_failures:
                    self._lose_link(units, unit, answer.reason)
                    await asyncio.sleep(self._link_pause_ms(link_failures) / 1000)
        finally:
            await bus.close()

    def _link_pause_ms(self, failure_count: int) -> float:
        longest_ms = min(LINK_PAUSE_MAX_MS, LINK_PAUSE_MIN_MS << min(failure_count, 8))
        return longest_ms * (0.5 + self._random.random() / 2)

    def _lose_link(self, units: list[Unit], tried: Unit, reason: str) -> None:
        """No meter on a line can be read while the line itself is away."""
        now_ms = self._clock.now().mono_ms
        for unit in units:
            if unit is not tried and isinstance(unit, ContactUnit):
                self._take(unit.lost(now_ms, reason))
            elif unit is not tried and isinstance(unit, UnitReader):
                self._take(no_value(unit.connection.meter, now_ms, reason))

    def _take(self, reading: MeterReading | InputRead | None) -> None:
        if reading is None:
            return
        if isinstance(reading, InputRead):
            self._note_input(reading)
            self._inbox.put(reading)
            return
        self._note(reading)
        self._inbox.put(MeterRead(reading))

    def _note(self, reading: MeterReading) -> None:
        self._counters["reads"] += 1
        meter = reading.meter
        if reading.energy_note:
            log.warning("meter_counter", meter=meter, event_kind=reading.energy_note)
        if reading.quality is Quality.GOOD:
            if meter in self._lost:
                self._lost.discard(meter)
                log.info("meter_back", meter=meter)
            return
        self._counters["no_value"] += 1
        self._counters[reading.reason.replace("-", "_")] += 1
        if meter not in self._lost:
            self._lost.add(meter)
            log.warning("meter_lost", meter=meter, reason=reading.reason)

    def _note_input(self, reading: InputRead) -> None:
        self._counters["input_reads"] += 1
        if reading.value_number is not None:
            if reading.input in self._lost:
                self._lost.discard(reading.input)
                log.info("input_back", input=reading.input)
            return
        self._counters["input_no_value"] += 1
        if reading.input not in self._lost:
            self._lost.add(reading.input)
            log.warning("input_lost", input=reading.input, reason=reading.reason)


def model_of(connection: MeterConnection, folder: Path = Path()) -> MeterModel:
    """The model a meter is configured with.

    Raises:
        CatalogueError: it cannot be had.
    """
    if connection.file is not None:
        return load_model_file(folder / connection.file)
    if connection.model is None:
        raise CatalogueError(f"meter {connection.meter}: neither model nor file")
    return model(connection.model)
