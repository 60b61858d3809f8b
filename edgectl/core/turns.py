"""Who waits when not every minimum fits: a queue in which those served longest step back for those who wait."""

from __future__ import annotations

from edgectl.domain.ids import EvseId
from edgectl.domain.units import Millis


class Turns:
    """Order of admission. A vehicle keeps its place while it is served; after its turn, if somebody waits, it goes to the end."""

    def __init__(self, turn_ms: Millis) -> None:
        self.turn_ms = turn_ms
        self._queue: list[EvseId] = []
        self._served_since: dict[EvseId, Millis] = {}

    def join(self, evse: EvseId) -> None:
        if evse not in self._queue:
            self._queue.append(evse)

    def leave(self, evse: EvseId) -> None:
        if evse in self._queue:
            self._queue.remove(evse)
        self._served_since.pop(evse, None)

    def place(self, evse: EvseId) -> int:
        """0 is first. EVSEs that never joined come last."""
        return self._queue.index(evse) if evse in self._queue else len(self._queue)

    def note(self, served: set[EvseId], waiting: set[EvseId], mono_ms: Millis) -> None:
        """Record who is served and who waits now; rotate at most the one served longest beyond its turn."""
        for evse in list(self._served_since):
            if evse not in served:
                del self._served_since[evse]
        for evse in served:
            self._served_since.setdefault(evse, mono_ms)
        if not waiting:
            return
        overdue = [
            (since, self.place(evse), evse) for evse, since in self._served_since.items() if mono_ms - since >= self.turn_ms
        ]
        if overdue:
            _, _, evse = min(overdue)
            self._queue.remove(evse)
            self._queue.append(evse)
            del self._served_since[evse]

    def waiting_number(self, evse: EvseId, waiting: set[EvseId]) -> int | None:
        """Place among those who wait, from 1; None when it does not wait."""
        if evse not in waiting:
            return None
        return 1 + sum(1 for other in waiting if self.place(other) < self.place(evse))
