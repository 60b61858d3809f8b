"""The control loop of the whole daemon in virtual time: slow meters and slow cars, meters that lie, a blackout."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgectl.domain.decisions import SetLimit
from edgectl.domain.records import Excursion
from hwsim.models.depot import Amps
from hwsim.world.yard import GRID, Yard, play, station16


class Steps:
    """A building that draws what it is set to."""

    def __init__(self, amps: float) -> None:
        self.amps = amps

    def current_a(self, now_s: float) -> Amps:
        ripple = 0.01 * (int(now_s) % 7)  # no real load stands still to the last digit
        return (self.amps + ripple, self.amps + ripple, self.amps + ripple)


def stations(count: int) -> list[object]:
    return [station16(name=f"CP-{number}") for number in range(1, count + 1)]


def reversals(orders: list[SetLimit]) -> int:
    """How often limits of one EVSE went up after they had gone down, or down after up."""
    levels = [order.limit_ma for order in orders]
    signs = [1 if after > before else -1 for before, after in pairwise(levels) if before != after]
    return sum(one != other for one, other in pairwise(signs))


async def charging(yard: Yard, building: Steps, reaction_s: float, count: int) -> None:
    yard.depot.circuits[GRID].building = building  # type: ignore[assignment]
    for number in range(count):
        yard.plug(station=number).reaction_s = reaction_s
    await yard.until(lambda: all(c.evses[0].session for c in yard.chargers), "sessions")
    await yard.seconds(120)


@pytest.mark.parametrize(("meter_delay_s", "reaction_s"), [(0.3, 2.0), (3.0, 6.0), (2.0, 4.5), (3.0, 1.0)])
def test_a_step_of_the_building_settles_without_hunting(meter_delay_s: float, reaction_s: float) -> None:
    async def script(yard: Yard) -> None:
        building = Steps(10)
        yard.meter.delay_s = meter_delay_s
        await charging(yard, building, reaction_s, 3)
        yard.events.clear()
        building.amps = 40
        await yard.seconds(15)
        breaker = yard.depot.circuits[GRID].breaker
        assert yard.depot.current_a(GRID)[0] <= 80 * 1.01, "back under within 15 s"
        await yard.seconds(240)
        for station in yard.stations:
            orders = [order for order in yard.decided(SetLimit) if order.evse.charger == station.identity]
            assert reversals(orders) <= 1, [order.limit_ma for order in orders]
        assert breaker.longest_above_113_s < 15
        assert breaker.worst_damage <= 0.05
        assert yard.depot.current_a(GRID)[0] >= 80 * 0.93, "and what there is, is used"
        assert not {alarm for alarm in yard.alarms if alarm.startswith("meter-")}

    play(script, *stations(3), limit_a=80, building_a=10)


@pytest.mark.parametrize("trouble", ["frozen", "sign-flipped"])
def test_a_meter_that_lies_ends_in_fallbacks_and_comes_back(trouble: str) -> None:
    async def script(yard: Yard) -> None:
        building = Steps(30)
        if trouble == "frozen":
            yard.meter.measure()
            yard.meter.faults.add(trouble)  # from before the vehicles came: the dangerous way round
        await charging(yard, building, 2.0, 3)
        yard.meter.faults.add(trouble)
        await yard.until(lambda: "meter-lost" in yard.alarms, "the meter to be doubted", 150)
        await yard.seconds(20)
        assert [charger.evses[0].commanded_ma for charger in yard.chargers] == [6_000] * 3
        breaker = yard.depot.circuits[GRID].breaker
        assert breaker.worst_damage <= 0.10
        yard.meter.faults.discard(trouble)
        await yard.until(lambda: "meter-lost" not in yard.alarms, "the meter to be believed again", 200)
        await yard.seconds(120)
        assert min(charger.evses[0].commanded_ma or 0 for charger in yard.chargers) > 12_000

    play(script, *stations(3), limit_a=80, building_a=30)


def test_an_overload_is_in_the_ledger_with_what_it_came_to() -> None:
    async def script(yard: Yard) -> None:
        building = Steps(10)
        await charging(yard, building, 2.0, 3)
        building.amps = 45
        await yard.seconds(60)
        assert yard._store is not None
        found: list[Excursion] = list(yard._store.excursions(None, None, 100))
        assert {over.circuit for over in found} == {GRID}
        worst = max(found, key=lambda over: over.peak_ma)
        true = yard.depot.circuits[GRID].breaker
        assert worst.peak_ma == pytest.approx(true.worst_ratio * 80_000, rel=0.05)
        assert sum(over.excess_mas for over in found) / 1000 == pytest.approx(true.over_amp_seconds, rel=0.5)
        assert 0 < worst.over_ms <= 15_000

    play(script, *stations(3), limit_a=80, building_a=10)


def test_after_a_blackout_the_yard_begins_low_and_fills_up_again() -> None:
    async def script(yard: Yard) -> None:
        building = Steps(5)
        await charging(yard, building, 2.0, 3)
        await yard.seconds(120)
        full_a = yard.depot.current_a(GRID)[0]
        for number in range(3):
            yard.power_off(number)
        await yard.seconds(90)
        for number in range(3):
            yard.power_on(number)
        await yard.until(lambda: all(charger.is_accepted for charger in yard.chargers), "every charger back", 180)
        for number in range(3):
            yard.unplug(station=number)
            yard.plug(station=number)
        await yard.until(lambda: all(charger.evses[0].session for charger in yard.chargers), "sessions", 180)
        await yard.seconds(5)
        assert [charger.evses[0].commanded_ma for charger in yard.chargers] == [6_000] * 3
        await yard.until(lambda: yard.depot.current_a(GRID)[0] >= 0.9 * full_a, "as much as before", 400)
        assert yard.depot.circuits[GRID].breaker.worst_damage <= 0.05

    play(script, *stations(3), limit_a=120, building_a=5)
