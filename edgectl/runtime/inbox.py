"""Where adapters put events. ``put`` never blocks and the queue never grows without bound."""

from __future__ import annotations

import asyncio
from collections import deque

from edgectl.domain.events import Event, InputRead, MeterRead, Tick


class Inbox:
    """A queue in order of arrival, in which a newer reading of a meter or input takes the place of an older one still waiting,
    and a tick is never queued twice.

    Everything else in it is bounded by its source: a charger has one unanswered call per direction, so the queue holds at most a
    few events per charger, meter and uplink window.
    """

    def __init__(self) -> None:
        self._queue: deque[Event | str] = deque()
        self._readings: dict[str, MeterRead | InputRead] = {}
        self._has_tick = False
        self._ready = asyncio.Event()
        self.peak_count = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, event: Event) -> None:
        if isinstance(event, MeterRead | InputRead):
            thing = event.reading.meter if isinstance(event, MeterRead) else f"input:{event.input}"  # no meter has a colon
            is_waiting = thing in self._readings
            self._readings[thing] = event
            if is_waiting:
                return
            self._queue.append(thing)
        elif isinstance(event, Tick):
            if self._has_tick:
                return
            self._has_tick = True
            self._queue.append(event)
        else:
            self._queue.append(event)
        self.peak_count = max(self.peak_count, len(self._queue))
        self._ready.set()

    async def get(self) -> Event:
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        item = self._queue.popleft()
        if isinstance(item, str):
            return self._readings.pop(item)
        if isinstance(item, Tick):
            self._has_tick = False
        return item
