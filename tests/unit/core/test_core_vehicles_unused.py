"""What a vehicle does not use is released; what it takes after all, because it follows late, is not taken away for ever."""

from __future__ import annotations

import pytest

from edgectl.core.vehicles import LATE_MS, UNUSED_AFTER_MS, Vehicle
from edgectl.domain.events import Sample
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant

OFFERED_MA, LOW_MA = 22_000, 6_000


class Drive:
    """A vehicle that is offered something and follows after a while, reported every second."""

    def __init__(self) -> None:
        charger = Charger(ChargerId("CP"), CircuitId("grid"))
        self.vehicle = Vehicle(EvseId(charger.id, 1), charger)
        self.at_ms = 0

    def draw(self, current_ma: int, commanded_ma: int, changed_ms: int, lasts_s: int) -> None:
        for _ in range(lasts_s):
            self.at_ms += 1_000
            now = Instant(self.at_ms, self.at_ms)
            self.vehicle.report(Sample(current_ma=Phases.uniform(current_ma)), 230_000, now)
            self.vehicle.watch(commanded_ma, changed_ms, now)

    def late_raise(self, after_s: int) -> bool:
        """Offered more, it follows ``after_s`` later. Whether it was lowered before it did."""
        began_ms = self.at_ms
        self.draw(LOW_MA, OFFERED_MA, began_ms, after_s)
        is_released = self.vehicle.wanted_ma is not None
        self.draw(OFFERED_MA, OFFERED_MA, began_ms, 5)
        return is_released


def test_who_follows_late_is_waited_for_from_then_on() -> None:
    drive = Drive()
    assert [drive.late_raise(30) for _ in range(3)] == [True, False, False]
    assert drive.vehicle.wanted_ma is None


def test_the_wait_has_an_end() -> None:
    drive = Drive()
    assert [drive.late_raise(after_s) for after_s in (40, 40, 40, 75, 75)] == [True, True, False, True, True]
    assert drive.vehicle.unused_after_ms == LATE_MS


@pytest.mark.parametrize("pause_s", [61, 600])
def test_who_leaves_it_for_longer_has_left_it(pause_s: int) -> None:
    drive = Drive()
    drive.late_raise(9 + UNUSED_AFTER_MS // 1_000 + pause_s)
    assert drive.vehicle.unused_after_ms == UNUSED_AFTER_MS
