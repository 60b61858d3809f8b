"""What a charger shows of itself without being asked: a wrong clock, a register in other units, a fault that flickers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.plant import Bench, of, plant

from edgectl.core.clocks import OFF_MS, ClockWatch
from edgectl.core.scales import ScaleWatch
from edgectl.domain.decisions import SetLimit
from edgectl.domain.events import ConnectorStatus, MeterValuesReported, Sample
from edgectl.domain.time import Instant

NOON = 1_790_000_000_000


def at(second: int) -> Instant:
    return Instant(1_000_000 + second * 1000, NOON + second * 1000)


def test_a_date_in_the_future_is_a_wrong_clock_at_once() -> None:
    watch = ClockWatch()
    watch.note(NOON + 7_200_000, at(0))
    assert watch.offset_ms == 7_200_000


def test_one_late_message_proves_nothing_and_a_row_of_equal_lateness_does() -> None:
    watch = ClockWatch()
    watch.note(NOON - 3_600_000, at(0))
    assert watch.offset_ms == 0
    watch.note(NOON + 40_000 - 3_600_000, at(40))
    watch.note(NOON + 75_000 - 3_600_000 - 1_000, at(75))
    assert watch.offset_ms == -3_600_000


@given(st.lists(st.integers(0, 3_000_000), min_size=3, max_size=12))
def test_a_queue_that_empties_is_no_wrong_clock(ages_ms: list[int]) -> None:
    """Old messages come at once, not a row of them over a minute."""
    watch = ClockWatch()
    for number, age_ms in enumerate(sorted(ages_ms, reverse=True)):
        watch.note(at(0).utc_ms - age_ms, Instant(1_000_000 + number * 50, NOON + number * 50))
    assert watch.offset_ms == 0


@given(st.integers(-OFF_MS, OFF_MS))
def test_a_clock_within_two_minutes_is_right(ahead_ms: int) -> None:
    watch = ClockWatch()
    for second in range(0, 300, 30):
        watch.note(at(second).utc_ms + ahead_ms, at(second))
    assert watch.offset_ms == 0


def test_a_clock_that_was_never_set_measures_nothing_and_a_boot_forgets() -> None:
    watch = ClockWatch()
    watch.note(1_000, at(0))
    assert watch.offset_ms == 0
    watch.note(NOON + 7_200_000, at(0))
    watch.reset()
    assert watch.offset_ms == 0


def charge(watch: ScaleWatch, wh_per_minute: float, minutes: int = 60, power_w: int = 11_000) -> None:
    for minute in range(minutes):
        watch.note(Sample(power_w=power_w, energy_wh=round(1_000 + minute * wh_per_minute)), at(minute * 60))


def test_kilowatt_hours_labelled_watt_hours_are_named() -> None:
    watch = ScaleWatch()
    charge(watch, 11_000 / 60 / 1000)
    assert "energy_scale: 1000" in watch.verdict


def test_watt_hours_labelled_kilowatt_hours_are_named() -> None:
    watch = ScaleWatch()
    charge(watch, 11_000 / 60 * 1000)
    assert "energy_scale: 0.001" in watch.verdict


@given(st.floats(0.5, 2.0), st.integers(1_000, 150_000))
def test_a_register_that_is_merely_inexact_is_left_alone(factor: float, power_w: int) -> None:
    watch = ScaleWatch()
    charge(watch, power_w / 60 * factor, minutes=300, power_w=power_w)
    assert not watch.verdict


def test_gaps_and_restarts_of_the_register_judge_nothing() -> None:
    watch = ScaleWatch()
    for hour in range(10):
        watch.note(Sample(power_w=11_000, energy_wh=1_000 + hour), at(hour * 3600))
    for minute in range(60):
        watch.note(Sample(power_w=11_000, energy_wh=1_000 - minute), at(40_000 + minute * 60))
    assert not watch.verdict


def alarms(bench: Bench) -> list[tuple[str, str]]:
    return [(alarm.kind, alarm.subject) for alarm in bench.controller.picture(bench.now).alarms]


def test_a_fault_that_flickers_is_counted_and_shown_to_nobody() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.status("A", ConnectorStatus.AVAILABLE)
    for _ in range(5):
        bench.status("A", ConnectorStatus.FAULTED)
        bench.run(2, building_a=10)
        assert bench.view("A").status == "available"
        assert bench.view("A").reported_status == "faulted"
        bench.status("A", ConnectorStatus.AVAILABLE)
        bench.run(10, building_a=10)
    assert bench.view("A").fault_count == 5
    assert not alarms(bench)


def test_a_fault_that_lasts_is_an_alarm_until_it_is_over() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.status("A", ConnectorStatus.FAULTED)
    bench.run(8, building_a=10)
    assert (bench.view("A").status, alarms(bench)) == ("faulted", [("connector-faulted", "A/1")])
    bench.status("A", ConnectorStatus.AVAILABLE)
    bench.run(1, building_a=10)
    assert not alarms(bench)


def test_a_resumed_transaction_is_told_its_limit_again_at_once() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.start("A")
    bench.run(60, building_a=10)
    told = bench.orders[next(iter(bench.orders))]
    event = MeterValuesReported(bench.call("A", "TransactionEvent"), 1, told.transaction, (), is_resumed=True)
    (again,) = of(SetLimit, bench.put(event))
    assert (again.limit_ma, again.order_number > told.order_number) == (told.limit_ma, True)
