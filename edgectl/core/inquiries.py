"""Reports asked for out of turn.

A meter shows that a conductor carries too much, and not who draws it. Chargers say so by themselves every ten seconds or more
seldom; asked, they say so at once. So one that does not obey is counted for what it draws before its next report is due.
"""

from __future__ import annotations

from edgectl.core.chargers import ChargerState
from edgectl.core.circuits import Circuits, Mode
from edgectl.core.demand import DemandBook, is_commandable
from edgectl.core.vehicles import SETTLE_MS
from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.quirks import StatusTrigger
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis

INQUIRY = "inquiry/"
"""How these asks are named."""
AGAIN_MS: Millis = SETTLE_MS
"""While too much flows nobody is asked more often than this: a vehicle shows what it makes of a new limit no sooner."""


class Inquiries:
    """Who has been asked, and who is not asked again because it does not answer such requests."""

    def __init__(self, book: DemandBook) -> None:
        self._book = book
        self._asked_mono_ms: dict[EvseId, Millis] = {}
        self._deaf: set[ChargerId] = set()
        """Until they come back: an unanswered request holds up the next limit."""

    def connected(self, charger: ChargerId) -> None:
        """It is back, perhaps with other firmware."""
        self._deaf.discard(charger)

    def answered(self, event: RequestAnswered) -> None:
        if event.outcome not in {Outcome.ACCEPTED, Outcome.DISCONNECTED}:
            self._deaf.add(event.charger)

    def due(self, circuits: Circuits, now: Instant) -> list[Ask]:
        """To every vehicle behind a conductor over its limit that has told nothing since that began."""
        over_since = {
            circuit: state.over_since_mono_ms
            for circuit, state in circuits.by_id.items()
            if state.mode is Mode.METERED and state.over_since_mono_ms is not None
        }
        if not over_since:
            return []
        asks = []
        for evse, vehicle in self._book.vehicles.items():
            began = [over_since[circuit] for circuit in self._book.paths[vehicle.charger.circuit] if circuit in over_since]
            if began and self._is_due(evse, max(began), now):
                self._asked_mono_ms[evse] = now.mono_ms
                name = f"{INQUIRY}{evse.charger}/{evse.number}/{now.mono_ms}"
                asks.append(Ask(evse.charger, name, "trigger", _words(self._book.chargers.by_id[evse.charger], evse)))
        return asks

    def _is_due(self, evse: EvseId, over_since_mono_ms: Millis, now: Instant) -> bool:
        charger, vehicle = self._book.chargers.by_id[evse.charger], self._book.vehicles[evse]
        heard_ms = max(self._asked_mono_ms.get(evse, 0), vehicle.reported_mono_ms or 0)
        can_tell = charger.quirks.status_trigger is not StatusTrigger.NONE and evse.charger not in self._deaf
        is_news = heard_ms < max(over_since_mono_ms, now.mono_ms - AGAIN_MS)
        return is_news and can_tell and not self._book.limits[evse].is_drilled and is_commandable(charger, now)


def _words(charger: ChargerState, evse: EvseId) -> tuple[tuple[str, str], ...]:
    message = "MeterValues" if charger.protocol == "ocpp1.6" else "TransactionEvent"
    place = () if charger.quirks.status_trigger is StatusTrigger.STATION else (("evse", str(evse.number)),)
    return (("message", message), *place)
