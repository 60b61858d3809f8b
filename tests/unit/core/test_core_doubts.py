"""Guard meters that answer and do not tell the truth, and truthful ones that must never be taken for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import GRID, HALL, MAIN, Bench, of, plant

from edgectl.domain.events import MeterRead, MeterReading, Quality
from edgectl.domain.ids import ChargerId, MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.records import EventKept
from edgectl.domain.site import Charger, Meter, MeterLoss, Site

Shows = Callable[[float, int], float]
"""What a meter makes of the true current, and of the second."""


class Yard:
    """A building, vehicles that draw what they are told, at most what they want, and a meter."""

    def __init__(self, *chargers: str, building_a: float = 10, **site: object) -> None:
        self.bench = Bench(plant(*chargers, **site))  # type: ignore[arg-type]
        self.bench.boot(*chargers)
        self.building_a = building_a
        self.wants_a = dict.fromkeys(chargers, 0.0)
        self.second = 0

    def true_a(self) -> float:
        return self.building_a + sum(self.draws_a(charger) for charger in self.wants_a)

    def draws_a(self, charger: str) -> float:
        return min(self.wants_a[charger], self.bench.limit_a(charger)) if self.wants_a[charger] else 0.0

    def comes(self, charger: str, wants_a: float = 32) -> None:
        self.wants_a[charger] = wants_a
        self.bench.start(charger)

    def run(self, seconds: int, shows: Shows = lambda true_a, _second: true_a) -> None:
        for _ in range(seconds):
            self.second += 1
            self.bench.wait(1)
            self.bench.meter(shows(self.true_a(), self.second))
            if self.second % 10 == 0:
                for charger, wants_a in self.wants_a.items():
                    if wants_a:
                        self.bench.values(charger, amps=(self.draws_a(charger),) * 3)
            self.bench.tick()

    @property
    def alarms(self) -> set[str]:
        return {alarm.kind for alarm in self.bench.controller.picture(self.bench.now).alarms}

    @property
    def reason(self) -> str:
        return self.bench.controller.picture(self.bench.now).meters[0].reason


def test_a_meter_that_stands_still_while_a_vehicle_leaves_off_is_lost() -> None:
    yard = Yard("A", "B")
    yard.comes("A")
    yard.comes("B")
    yard.run(60)
    frozen_a = yard.true_a()
    yard.run(30, lambda _true, _second: frozen_a)
    assert not yard.alarms, "nothing has changed, so nothing is known"
    yard.wants_a["B"] = 10
    yard.run(30, lambda _true, _second: frozen_a)
    assert {"meter-frozen", "meter-lost"} <= yard.alarms
    assert yard.reason.startswith("frozen: no current of it has moved")
    assert yard.bench.limit_a("A") == 6
    assert yard.bench.view("A").reason.cause is Cause.METER_LOST


def test_a_meter_frozen_before_vehicles_came_is_lost_when_they_draw_more_than_it_shows() -> None:
    yard = Yard("A", limit_a=60)
    yard.run(30, lambda _true, _second: 10)
    yard.comes("A")
    yard.run(50, lambda _true, _second: 10)
    assert "meter-frozen" in yard.alarms
    assert yard.bench.limit_a("A") == 6


def test_a_meter_that_moves_again_is_believed_a_minute_later_and_not_at_once() -> None:
    yard = Yard("A", "B")
    yard.comes("A")
    yard.comes("B")
    yard.run(60)
    frozen_a = yard.true_a()
    yard.wants_a["B"] = 10
    yard.run(40, lambda _true, _second: frozen_a)
    assert "meter-frozen" in yard.alarms
    yard.run(30)
    assert "meter-frozen" in yard.alarms
    yard.run(60)
    assert not yard.alarms & {"meter-frozen", "meter-lost"}
    ends = [r for r in of(EventKept, [getattr(d, "record", None) for d in yard.bench.log]) if r.kind == "meter-frozen"]
    assert [one.body["state"] for one in ends] == ["raised", "cleared"]


def test_a_night_without_vehicles_may_stand_still_to_the_last_digit() -> None:
    yard = Yard("A")
    yard.run(3_600, lambda _true, _second: 4.2)
    assert not yard.alarms
    yard.comes("A")
    yard.run(60)
    assert not yard.alarms


def test_export_without_a_generator_is_a_meter_the_wrong_way_round() -> None:
    yard = Yard("A")
    yard.run(5, lambda true_a, _second: -true_a)
    assert not yard.alarms, "a motor that brakes does that for a moment"
    yard.run(10, lambda true_a, _second: -true_a)
    assert "meter-flipped" in yard.alarms
    assert "no generation is declared" in yard.reason


def test_export_that_is_declared_is_believed() -> None:
    yard = Yard("A", generation_ma=Phases.uniform(30_000))
    yard.run(60, lambda _true, _second: -25)
    assert not yard.alarms


def test_a_flipped_meter_is_found_beside_declared_generation_when_vehicles_start() -> None:
    yard = Yard("A", "B", building_a=0, generation_ma=Phases.uniform(20_000))
    yard.comes("A")
    yard.comes("B")
    yard.run(60, lambda true_a, _second: -true_a)
    assert "meter-flipped" in yard.alarms


def test_a_meter_with_half_the_ratio_is_implausible_when_its_vehicles_draw_more() -> None:
    yard = Yard("A", "B", building_a=0)
    yard.comes("A")
    yard.comes("B")
    yard.run(60, lambda true_a, second: true_a / 2 + second % 2 * 0.01)
    assert "meter-implausible" in yard.alarms
    yard.run(300, lambda true_a, second: true_a / 2 + second % 2 * 0.01)
    assert "meter-implausible" in yard.alarms, "it still falls short of what it should show"


def test_one_absurd_reading_is_none_and_changes_nothing() -> None:
    yard = Yard("A")
    yard.comes("A")
    yard.run(60)
    yard.run(1, lambda _true, _second: 6_553.5)
    assert yard.bench.limit_a("A") == 32
    yard.run(5, lambda _true, _second: 6_553.5)
    assert "meter-lost" in yard.alarms
    assert "breaker" in yard.reason


def test_what_a_doubted_meter_said_last_is_not_held() -> None:
    yard = Yard("A", on_meter_loss=MeterLoss.HOLD, hold_ms=600_000)
    yard.comes("A")
    yard.run(60)
    yard.run(20, lambda true_a, _second: -true_a)
    assert yard.bench.controller.picture(yard.bench.now).circuits[0].mode == "safe"


def test_a_meter_without_a_vehicle_is_frozen_when_not_even_its_voltage_moves() -> None:
    bench = Bench(plant("A"))
    for second in range(400):
        bench.wait(1)
        volts = Phases.uniform(230_000 + (second % 3) * 100 if second < 60 else 230_000)
        reading = MeterReading(MAIN, bench.mono_ms, Quality.GOOD, current_ma=Phases.uniform(5_000), voltage_mv=volts)
        bench.put(MeterRead(reading))
        bench.tick()
        has_alarm = any(alarm.kind == "meter-frozen" for alarm in bench.controller.picture(bench.now).alarms)
        assert has_alarm == (second >= 360), second


def two_meters() -> Site:
    site = plant("A", hall_a=63)
    grid, hall = site.circuits
    return replace(site, circuits=(grid, replace(hall, meter=MeterId("hall"))), meters=(Meter(MAIN), Meter(MeterId("hall"))))


def test_a_meter_that_shows_less_than_one_behind_it_is_implausible() -> None:
    bench = Bench(two_meters())
    for second in range(60):
        bench.wait(1)
        for meter, amps in ((MAIN, 12 + second % 2 * 0.1), (MeterId("hall"), 30 if second > 10 else 10)):
            reading = MeterReading(meter, bench.mono_ms, Quality.GOOD, current_ma=Phases.uniform(round(amps * 1000)))
            bench.put(MeterRead(reading))
        bench.tick()
    found = bench.controller.picture(bench.now).meters
    assert {meter.id: meter.reason.split(":")[0] for meter in found} == {MAIN: "implausible", MeterId("hall"): ""}
    assert [circuit.mode for circuit in bench.controller.picture(bench.now).circuits] == ["safe", "metered"]
    assert {circuit.id for circuit in bench.controller.picture(bench.now).circuits} == {GRID, HALL}


def test_a_vehicle_that_takes_over_what_another_leaves_is_no_frozen_meter() -> None:
    """Its phases have never been seen before, but that it drew nothing is known."""
    bench = Bench(plant("A", "B", limit_a=40))
    bench.boot("A", "B")
    bench.start("B")
    amps = {"A": 0.0, "B": 16.0}
    for second in range(90):
        if second == 5:
            bench.start("A")
        if second == 45:
            amps = {"A": 6.0, "B": 10.0}
        bench.wait(1)
        bench.meter(20 + sum(amps.values()))
        for offset, (name, drawn_a) in enumerate(amps.items()):
            if second % 10 == 3 * offset and (name == "B" or second > 5):
                bench.values(name, amps=(drawn_a,) * 3)
        bench.tick()
        assert "meter-frozen" not in {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}, second


def test_a_meter_that_stands_still_while_one_of_two_vehicles_moves_is_frozen() -> None:
    bench = Bench(plant("A", "B", limit_a=40))
    bench.boot("A", "B")
    bench.start("A")
    bench.start("B")
    for second in range(90):
        bench.wait(1)
        bench.meter(36)
        for offset, drawn_a in enumerate((6.0, 16.0 if second < 45 else 10.0)):
            if second % 10 == 3 * offset:
                bench.values("AB"[offset], amps=(drawn_a,) * 3)
        bench.tick()
    assert "meter-frozen" in {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_truthful_meter_is_never_doubted(seed: int) -> None:
    """Buildings that step, vehicles that come, want, pause and go, a meter up to 3 s late with coarse digits: no false alarm."""
    rng = random.Random(seed)
    names = ["A", "B", "C"][: rng.randint(1, 3)]
    bench = Bench(plant(*(Charger(ChargerId(name), GRID) for name in names), limit_a=rng.choice([40, 63, 100])))
    bench.boot(*names)
    late_s, reaction_s = rng.randint(0, 3), rng.randint(1, 5)
    digit_a, period_s = rng.choice([0.001, 0.1, 1.0]), rng.choice([5, 10, 30, 60])
    wants_a: dict[str, float] = dict.fromkeys(names, 0.0)
    told: dict[str, list[float]] = {name: [0.0] * (reaction_s + 1) for name in names}
    shown = [0.0] * (late_s + 1)
    started: set[str] = set()
    building_a, is_step_due, drawn = 5.0, False, dict.fromkeys(names, 0.0)
    for second in range(240):
        if second % 20 == 0:
            is_step_due = True
        elif second % 20 == 9:
            name = rng.choice(names)
            wants_a[name] = rng.choice([0.0, 8.0, 16.0, 32.0])
            if wants_a[name] and name not in started:
                started.add(name)
                bench.start(name)
        bench.wait(1)
        draws = {}
        for name in names:
            told[name] = [*told[name][1:], bench.limit_a(name) if name in started else 0.0]
            draws[name] = min(wants_a[name], told[name][0])
        if is_step_due and draws == drawn:  # a step that vehicles make up for to the digit, in the same second, shows nothing
            building_a, is_step_due = rng.choice([0.0, 5.0, 20.0, 35.0]), False
        drawn = draws
        shown = [*shown[1:], building_a + sum(draws.values())]
        bench.meter(round(shown[0] / digit_a) * digit_a)
        for offset, name in enumerate(names):
            if (second + 3 * offset) % period_s == 0 and name in started:
                bench.values(name, amps=(draws[name],) * 3)
        bench.tick()
        raised = [alarm for alarm in bench.controller.picture(bench.now).alarms if alarm.kind.startswith("meter-")]
        assert not raised, (second, raised)


def test_reports_between_two_readings_find_a_frozen_meter_too() -> None:
    """All report half a second before a reading, so the newest never counts yet when it should have been heard."""
    bench = Bench(plant("A", "B"))
    bench.boot("A", "B")
    bench.meter(10)
    bench.start("A")
    bench.start("B")
    for second in range(80):
        bench.wait(0.5)
        bench.meter(50)
        bench.wait(0.5)
        if second % 10 == 0:
            bench.values("A", amps=(20.0,) * 3)
            bench.values("B", amps=(20.0 if second < 50 else 10.0,) * 3)
        bench.tick()
    assert "meter-frozen" in {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}
