"""Every meter of the site, whatever it speaks: Modbus buses are polled, P1 ports are listened to."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from edgectl.domain.events import MeterRead
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import P1_MODEL, MeterConnection
from edgectl.meters.p1 import P1Reader
from edgectl.meters.poller import MetersAdapter
from edgectl.ports import Clock, Inbox


class SiteMeters:
    """Puts a ``MeterRead`` into the inbox for every reading and every failed attempt, until cancelled.

    Raises:
        CatalogueError: from the constructor, for a model that cannot be used.
    """

    def __init__(
        self,
        connections: tuple[MeterConnection, ...],
        guards: frozenset[MeterId],
        inbox: Inbox,
        clock: Clock,
        *more: Any,
        **named: Any,
    ) -> None:
        """As ``MetersAdapter``; what comes after the clock is its own."""
        polled = tuple(one for one in connections if one.model != P1_MODEL)
        self._buses = MetersAdapter(polled, guards, inbox, clock, *more, **named)
        self._ports = [
            P1Reader(one, lambda reading: inbox.put(MeterRead(reading)), clock) for one in connections if one.model == P1_MODEL
        ]

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
