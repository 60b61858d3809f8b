"""Every meter of the site, whatever it speaks: Modbus buses are polled, P1 ports are listened to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from edgectl.domain.events import Event, MeterRead
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import P1_MODEL, Connection, InputConnection, MeterConnection, VirtualMeter
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.p1 import P1Reader
from edgectl.meters.poller import MetersAdapter
from edgectl.meters.virtual import VirtualReader
from edgectl.ports import Clock, Inbox


class SiteMeters:
    """Puts a ``MeterRead`` or ``InputRead`` into the inbox for every reading and every failed attempt, until cancelled.

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
        virtual: tuple[VirtualMeter, ...] = (),
        buses: Callable[[Connection], Bus] = open_bus,
    ) -> None:
        ports = [one for one in connections if isinstance(one, MeterConnection) and one.model == P1_MODEL]
        polled = tuple(one for one in connections if one not in ports)
        # A virtual meter that guards makes guards of its parts.
        guards |= {part for one in virtual if one.meter in guards for part in one.parts}
        inbox = _Deriving(inbox, virtual)
        self._buses = MetersAdapter(polled, guards, inbox, clock, random, folder, buses)
        self._ports = [P1Reader(one, lambda reading: inbox.put(MeterRead(reading)), clock) for one in ports]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._buses.run())
            for port in self._ports:
                tasks.create_task(port.run())

    def counters(self) -> dict[str, int]:
        total = Counter(self._buses.counters())
        for port in self._ports:
            total.update(port.counters())
        return dict(total)


class _Deriving:
    """The inbox, with what follows for virtual meters behind each reading."""

    def __init__(self, inbox: Inbox, virtual: tuple[VirtualMeter, ...]) -> None:
        self._inbox = inbox
        self._virtual = [VirtualReader(one) for one in virtual]

    def put(self, event: Event) -> None:
        self._inbox.put(event)
        if isinstance(event, MeterRead):
            for one in self._virtual:
                derived = one.read(event.reading)
                if derived is not None:
                    self._inbox.put(MeterRead(derived))
