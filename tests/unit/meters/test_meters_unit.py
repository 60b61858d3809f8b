"""One meter and its neighbours on a bus, without the bus: lengths, turns, silence, refusals, ages."""

from __future__ import annotations

from collections import Counter

import pytest
from support.meter_bench import TRANSACTION_MS, ask_device, carry, read_until

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters.buses import ECHO_MS
from edgectl.meters.catalogue import entry_names, model
from edgectl.meters.poller import Turns
from edgectl.meters.rtu import Answer, Request
from edgectl.meters.unit import UnitReader
from edgectl.meters.waiting import LATE_MS
from hwsim.meters.device import Device
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth, registers_of, words_of

LINE = Connection(Transport.SERIAL, device="/dev/ttyS0")
TRUTH = Truth((10.0, 20.0, 30.0), import_wh=5_000)
SDM = "eastron-sdm630"


def unit_of(
    name: str = SDM, number: int = 1, *, is_guard: bool = False, interval_ms: int = 1_000, line: Connection = LINE
) -> UnitReader:
    return UnitReader(MeterConnection(MeterId(f"m{number}"), line, number, name, interval_ms=interval_ms), model(name), is_guard)


def is_good(reading: MeterReading) -> bool:
    return reading.quality is Quality.GOOD


# --- lengths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(name for name in entry_names() if model(name).has_phase_currents))
def test_an_answer_to_come_is_never_of_the_length_being_waited_for(name: str) -> None:
    """Whatever fails, in whatever order: no request goes out while an answer of its length may still be on its way."""
    unit, device = unit_of(name), device_of(model(name), lambda: TRUTH)
    open_until: dict[tuple[int, int], int] = {}
    last: tuple[int, int] | None = None
    last_ms = now_ms = 0
    for number in range(120):
        ask = unit.ask(unit.ready_mono_ms())
        now_ms = max(now_ms, ask.not_before_mono_ms)
        shape = (ask.request.function, ask.request.count)
        is_probe = unit.is_silent and ask.request.count <= 2
        if not is_probe:
            assert open_until.get(shape, 0) <= now_ms
            assert shape != last or now_ms >= last_ms + ECHO_MS
        is_lost = number % 7 in {2, 5} or 40 < number < 50
        answer = Answer(None, "timeout", elapsed_ms=ask.timeout_ms) if is_lost else carry(device, ask.request)
        now_ms += answer.elapsed_ms
        if answer.words is None:
            open_until[shape] = now_ms + LATE_MS
        else:
            last, last_ms = shape, now_ms
        unit.answered(answer, now_ms)


def test_after_a_timeout_the_next_read_comes_at_once_and_is_of_another_length() -> None:
    unit, device = unit_of(), device_of(model(SDM), lambda: TRUTH)
    first = unit.ask(0)
    unit.answered(Answer(None, "timeout", elapsed_ms=500), 500)
    again = unit.ask(500)
    assert again.not_before_mono_ms <= 500 + 60  # the silence this meter wants
    assert again.request.count != first.request.count
    assert unit.answered(carry(device, again.request), 600) is not None


def test_another_unit_need_not_wait_for_a_late_answer() -> None:
    slow, other = unit_of(number=1), unit_of(number=2)
    turns = Turns([slow, other])
    slow.ask(0)
    slow.answered(Answer(None, "timeout", elapsed_ms=200), 200)
    unit, wait_ms = turns.next(200)
    assert (unit, wait_ms) == (other, 0)


def test_reads_over_tcp_need_no_other_lengths() -> None:
    unit = unit_of(line=Connection(Transport.TCP, "127.0.0.1", 502))
    device = device_of(model(SDM), lambda: TRUTH)
    counts = set()
    for _ in range(30):
        ask = unit.ask(unit.ready_mono_ms())
        if ask.request.address == 0:
            counts.add(ask.request.count)
        unit.answered(carry(device, ask.request), ask.not_before_mono_ms + TRANSACTION_MS)
    assert counts == {18}


# --- one read, one age --------------------------------------------------------------------------------------------------


def test_amps_and_watts_of_a_phase_come_in_one_read_even_where_eleven_registers_are_the_most() -> None:
    device = device_of(model("cg-em24-rs485"), lambda: Truth((-5.0, 6.0, -7.0)))
    reading = read_until(unit_of("cg-em24-rs485"), device, is_good)
    assert reading.current_ma is not None
    assert list(reading.current_ma) == [-5_000, 6_000, -7_000]
    assert device.refusals == []


def test_energy_keeps_the_age_of_its_own_read() -> None:
    unit, device = unit_of(), device_of(model(SDM), lambda: TRUTH)
    first = read_until(unit, device, is_good)
    assert first.energy_mono_ms is None
    stamps = []
    for _ in range(8):
        reading = read_until(unit, device, is_good)
        stamps.append(reading.energy_mono_ms)
        assert reading.energy_mono_ms is not None
        assert reading.energy_mono_ms < reading.completed_mono_ms
    assert len(set(stamps)) == 1
    assert reading.completed_mono_ms - stamps[0] > 5_000  # type: ignore[operator]


def test_the_total_is_of_the_same_moment_as_its_phases() -> None:
    now = {"truth": TRUTH}
    unit, device = unit_of(), device_of(model(SDM), lambda: now["truth"])
    for _ in range(3):
        read_until(unit, device, is_good)
    now["truth"] = Truth((1.0, 1.0, 1.0))
    reading = read_until(unit, device, is_good)
    assert reading.power_w is not None
    assert reading.power_total_w == reading.power_w.total == 690


# --- refusals -----------------------------------------------------------------------------------------------------------


def test_a_refused_optional_register_costs_no_reading() -> None:
    whole = device_of(model("cg-em24-rs485"), lambda: TRUTH)
    own = Device(lambda: {a: w for a, w in whole.source().items() if a not in {0x5C, 0x5D}}, strictness=whole.strictness)
    unit = unit_of("cg-em24-rs485")
    readings = [reading for _ in range(200) if (reading := ask_device(unit, own)) is not None]
    assert all(is_good(reading) for reading in readings)
    assert readings[-1].energy_import_wh == 5_000
    assert readings[-1].energy_export_wh is None
    assert unit.events["reads_refused"] == 1


def test_firmware_that_takes_small_reads_only_is_found_out() -> None:
    device = device_of(model("eastron-sdm72dm-v2"), lambda: TRUTH)
    device.strictness = None
    device.max_registers = 10
    unit = unit_of("eastron-sdm72dm-v2")
    reading = read_until(unit, device, is_good)
    assert reading.current_ma is not None
    assert reading.current_ma.l3 == 30_000


# --- silence ------------------------------------------------------------------------------------------------------------


def play(units: list[UnitReader], devices: dict[int, Device], until_ms: int, silent: set[int], start_ms: int = 0) -> Counter[int]:
    """A bus in numbers: 40 ms for an answer, the timeout for none; who took how much of it."""
    turns, now_ms, spent = Turns(units), start_ms, Counter[int]()
    while now_ms < until_ms:
        unit, wait_ms = turns.next(now_ms)
        ask = unit.ask(now_ms) if wait_ms <= 0 else None
        if ask is None or ask.not_before_mono_ms > now_ms:
            now_ms += max(wait_ms, 1)
            continue
        number = unit.connection.unit_number
        is_lost = number in silent
        answer = Answer(None, "timeout", elapsed_ms=ask.timeout_ms) if is_lost else carry(devices[number], ask.request)
        now_ms += answer.elapsed_ms
        spent[number] += answer.elapsed_ms
        reading = unit.answered(answer, now_ms)
        if reading is not None and is_good(reading):
            devices[number].faults.add(f"read at {now_ms}")
    return spent


def test_a_dead_unit_among_ten_takes_a_twentieth_of_the_bus_at_most_and_is_back_in_five_seconds() -> None:
    units = [unit_of(number=number) for number in range(1, 11)]
    devices = {number: device_of(model(SDM), lambda: TRUTH) for number in range(1, 11)}
    play(units, devices, 10_000, silent=set())
    play(units, devices, 40_000, silent={4}, start_ms=10_000)
    spent = play(units, devices, 100_000, silent={4}, start_ms=40_000)
    assert 0 < spent[4] <= 0.05 * 60_000
    devices[4].faults.clear()
    play(units, devices, 105_000, silent=set(), start_ms=100_000)
    assert devices[4].faults


def test_a_guard_polled_faster_than_it_answers_starves_nobody() -> None:
    units = [unit_of(number=1, is_guard=True, interval_ms=10), *(unit_of(number=number) for number in range(2, 8))]
    devices = {number: device_of(model(SDM), lambda: TRUTH) for number in range(1, 8)}
    spent = play(units, devices, 60_000, silent=set())
    assert all(spent[number] >= 0.7 * 60 * TRANSACTION_MS for number in range(2, 8))
    assert spent[1] >= 0.25 * 60_000


# --- values that cannot be ----------------------------------------------------------------------------------------------


def spoiled(name: str, quantity: str, index: int, value: float, truth: Truth = TRUTH) -> Device:
    one = model(name)

    def source() -> dict[int, int]:
        contents = registers_of(one, truth)
        point = one.points[quantity]
        contents.update({point.addresses[index] + offset: word for offset, word in enumerate(words_of(point, value))})
        return contents

    return Device(source, max_registers=80)


@pytest.mark.parametrize(
    ("name", "quantity", "value", "reason"),
    [
        (SDM, "p", 9_000.0, "power-against-current"),
        (SDM, "u", 0.0, "no-voltage"),
        (SDM, "u", 420.0, "implausible-voltage"),
        (SDM, "i", 20_000.0, "implausible-current"),
        ("abb-b2x-a4x", "p_tot", 4_000.0, "sum-against-total"),
    ],
)
def test_what_cannot_be_true_is_no_value(name: str, quantity: str, value: float, reason: str) -> None:
    reading = None
    unit, device = unit_of(name), spoiled(name, quantity, 0, value)
    while reading is None:
        reading = ask_device(unit, device)
    assert (reading.quality, reading.reason, reading.current_ma) == (Quality.NO_VALUE, reason, None)


def test_a_jump_nothing_can_make_is_believed_when_it_stays() -> None:
    now = {"truth": Truth((10.0, 10.0, 10.0))}
    unit, device = unit_of(), device_of(model(SDM), lambda: now["truth"])
    read_until(unit, device, is_good)
    now["truth"] = Truth((900.0, 10.0, 10.0))
    reading = read_until(unit, device, lambda _: True)
    assert reading.reason == "implausible-jump"
    reading = read_until(unit, device, lambda _: True)
    assert reading.current_ma is not None
    assert reading.current_ma.l1 == 900_000


def test_a_meter_whose_own_time_stands_still_is_frozen() -> None:
    time = {"s": 0.0}
    unit = unit_of("shelly-pro-3em", line=Connection(Transport.TCP, "127.0.0.1", 502))
    device = device_of(model("shelly-pro-3em"), lambda: TRUTH, seconds=lambda: time["s"])
    for _ in range(10):
        time["s"] += 1
        read_until(unit, device, is_good)
    reading = read_until(unit, device, lambda reading: not is_good(reading))
    assert reading.reason == "frozen"
    time["s"] += 1
    assert is_good(read_until(unit, device, lambda _: True))


# --- counters -----------------------------------------------------------------------------------------------------------


def test_a_meter_that_was_replaced_is_noticed() -> None:
    unit, device = unit_of(), device_of(model(SDM), lambda: TRUTH)
    read_until(unit, device, lambda reading: reading.energy_mono_ms is not None)
    for _ in range(3):
        unit.answered(Answer(None, "timeout", elapsed_ms=200), unit.ask(unit.ready_mono_ms()).not_before_mono_ms + 200)
    new = device_of(model(SDM), lambda: Truth((1.0, 1.0, 1.0), import_wh=1))
    holds = new.source
    new.source = lambda: {**holds(), 0xFC00: 77, 0xFC01: 78}
    reading = read_until(unit, new, lambda reading: bool(reading.energy_note))
    assert reading.energy_note == "meter-replaced"
    assert reading.energy_import_wh == 1
    assert unit.events["meter_replaced"] == 1


def test_an_ask_is_a_plain_read() -> None:
    assert unit_of().ask(0).request == Request(1, 4, 0, 18)
