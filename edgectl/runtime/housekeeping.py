"""Keeps the ledger small: a step a minute, and step after step while there is something to let go of."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from edgectl.domain.errors import StoreError
from edgectl.domain.events import RoomMeasured
from edgectl.ports import Clock, Inbox, Store

log = structlog.get_logger(__name__)

PAUSE_S: Final = 60.0
STEP_S: Final = 0.5
"""Between two steps of much to do: a month of records goes in some minutes, and nobody waits for it."""


class Housekeeping:
    """``run`` is its task. What it finds of room goes to the core as ``RoomMeasured``."""

    def __init__(self, store: Store, inbox: Inbox, clock: Clock) -> None:
        self._store = store
        self._inbox = inbox
        self._clock = clock

    async def run(self) -> None:
        has_more = False
        while True:
            await asyncio.sleep(STEP_S if has_more else PAUSE_S)
            has_more = await self.step()

    async def step(self) -> bool:
        """Whether there is more to do."""
        try:
            room = await asyncio.wrap_future(self._store.tidy(self._clock.now()))
        except StoreError as error:
            log.warning("ledger_not_tidied", reason=str(error))  # that the disk fails is told by those who wait for it
            return False
        if room.removed or room.evicted:
            log.info("ledger_tidied", removed=room.removed, evicted=room.evicted, used_bytes=room.used_bytes)
        self._inbox.put(RoomMeasured(room.used_bytes, room.budget_bytes, room.disk_free_bytes, room.disk_least_bytes))
        return bool(room.removed or room.evicted)
