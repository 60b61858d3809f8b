"""What a line of meters can carry, and what a P1 port can do: told where it stands in the file, with the number."""

# One case a line: the tables are read by their columns.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.config import Problem, check
from edgectl.domain.bus_plan import LineLoad, ReadPlan, line_loads, read_ms
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import model_names, read_plan

SERIAL = "serial:///dev/ttyUSB0?baud=9600&parity=none"
P1 = "serial:///dev/ttyUSB0?baud=115200"
OLD_P1 = "serial:///dev/ttyUSB0?baud=9600"


def line(baud: int = 9_600, parity: str = "N", stop_bits: int = 1) -> Connection:
    return Connection(Transport.SERIAL, device="/dev/ttyUSB0", baud=baud, parity=parity, stop_bits=stop_bits)


def on(connection: Connection, unit: int = 1, interval_ms: int = 1_000, model: str = "eastron-sdm630") -> MeterConnection:
    return MeterConnection(MeterId(f"m{unit}"), connection, unit, model, interval_ms=interval_ms)


def one_line(meters: list[MeterConnection], plan: ReadPlan) -> LineLoad:
    (found,) = line_loads([(meter, plan) for meter in meters])
    return found


# 9600 8N1: a character is 10 bits, 1.0417 ms. 18 registers: 8 + 41 = 49 characters 51.04 ms, twice 3.5 characters 7.29 ms.
@pytest.mark.parametrize(
    ("connection", "registers", "reply_ms", "expected_ms"),
    [
        (line(), 18, 20, 79),  # 51.04 + 7.29 + 20 = 78.33
        (line(), 6, 5, 39),  # (8 + 17) x 1.0417 = 26.04; + 7.29 + 5 = 38.33
        (line(parity="E"), 18, 20, 85),  # 11 bits: 56.15 + 8.02 + 20 = 84.17
        (line(19_200), 18, 20, 50),  # 25.52 + 3.65 + 20 = 49.17
        (line(38_400), 18, 20, 37),  # 12.76 + 3.5 (twice 1.75) + 20 = 36.26
        (line(2_400), 18, 20, 254),  # 204.17 + 29.17 + 20 = 253.33
        (Connection(Transport.TCP, "10.0.0.9", 502), 60, 20, 25),
        (Connection(Transport.RTU_OVER_TCP, "10.0.0.9", 502), 18, 20, 84),  # as 9600, and 5 ms of network
    ],
)
def test_a_read_costs_what_is_reckoned_by_hand(connection: Connection, registers: int, reply_ms: int, expected_ms: int) -> None:
    assert read_ms(connection, registers, reply_ms) == expected_ms


def test_a_line_is_the_sum_of_its_meters_with_the_slow_reads_shared_out() -> None:
    plan = ReadPlan(control_count=(18,), slow_count=(6,), slow_every_count=10, gap_ms=60, reply_ms=20)
    found = one_line([on(line(), unit) for unit in range(1, 11)], plan)
    (unit, *_) = found.units
    assert (unit.control_ms, unit.slow_ms, unit.busy_ms) == (79, 54, 79 + 54 + 120)
    assert unit.load_permille == 85  # 79 + 5.4 of 1000 ms
    assert (found.load_permille, found.headroom_permille) == (850, 150)


def test_half_the_readings_are_half_the_load() -> None:
    plan = ReadPlan(control_count=(18,))
    assert one_line([on(line(), interval_ms=2_000)], plan).load_permille == 40


def site(meters: str, circuit: str = "limit: 63 A") -> str:
    return (
        f"site: {{id: north}}\nmeters:\n{meters}circuits:\n  grid: {{{circuit}}}\n"
        "ocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}\n"
    )


def many(count: int, model: str, connect: str, keys: str = "") -> str:
    return "".join(
        f"  m{unit}: {{connect: {'‸' if unit == 1 else ''}'{connect}', unit: {unit}, model: {model}{keys}}}\n"
        for unit in range(1, count + 1)
    )


def problems_of(tmp_path: Path, text: str) -> tuple[Problem, ...]:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    found = check(path, known_models=model_names(), planner=read_plan, environ={})[1]
    return tuple(problem for problem in found if "named by no circuit" not in problem.message)


def only(tmp_path: Path, marked: str) -> Problem:
    before, _, after = marked.partition("‸")
    (problem,) = problems_of(tmp_path, before + after)
    assert (problem.line, problem.column) == (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    return problem


def test_a_line_with_too_much_to_do_is_an_error_with_the_sum_and_what_helps(tmp_path: Path) -> None:
    problem = only(tmp_path, site(many(16, "eastron-sdm630", SERIAL)))
    assert not problem.is_warning
    assert problem.key == "meters.m1.connect"
    assert problem.message.startswith("16 devices need 1")
    assert "at 9600 baud" in problem.message
    assert problem.allowed.startswith("baud=19200 (")
    assert " or `every: 1" in problem.allowed


def test_what_the_message_advises_is_enough(tmp_path: Path) -> None:
    problem = only(tmp_path, site(many(16, "eastron-sdm630", SERIAL)))
    every = problem.allowed.split("`every: ")[1].split("`")[0]
    assert (
        problems_of(tmp_path, site(many(16, "eastron-sdm630", SERIAL, f", every: {every}, max_age: 9 s").replace("‸", ""))) == ()
    )
    assert problems_of(tmp_path, site(many(16, "eastron-sdm630", SERIAL.replace("9600", "38400")).replace("‸", ""))) == ()


def test_ten_common_meters_fit_a_common_line(tmp_path: Path) -> None:
    found = problems_of(tmp_path, site(many(10, "eastron-sdm630", SERIAL).replace("‸", "")))
    assert not [problem for problem in found if not problem.is_warning]


def test_a_line_that_is_nearly_full_is_a_warning(tmp_path: Path) -> None:
    plan_permille = one_line([on(line())], read_plan(on(line())) or ReadPlan(())).load_permille
    count = 1_000 // plan_permille
    problem = only(tmp_path, site(many(count, "eastron-sdm630", SERIAL)))
    assert problem.is_warning
    assert "little is left for retries" in problem.message


def test_a_meter_that_needs_longer_than_its_turn_is_told_apart_from_the_line(tmp_path: Path) -> None:
    problem = only(tmp_path, site(f"  m: {{connect: '{SERIAL}', model: eastron-sdm630, every: ‸100 ms}}\n"))
    assert problem.key == "meters.m.every"
    assert "busy" in problem.message


@pytest.mark.parametrize(
    ("marked", "key", "message", "is_warning"),
    [
        (site("  m: {connect: tcp://10.0.0.9, model: ‸eastron-sdm72dm}\n"), "meters.m.model", "has no phase currents, so it cannot guard", False),
        (site("  m: {connect: tcp://10.0.0.9, role: consumer, model: ‸eastron-sdm72dm}\n"), "meters.m.model", "has no phase currents, so there is nothing", False),
        (site("  m: {connect: tcp://10.0.0.9, model: eastron-sdm630, max_age: ‸11 s}\n"), "meters.m.max_age", "is out of range", False),
        (site(f"  m: {{connect: '{P1}', model: dsmr-p1, unit: ‸2}}\n"), "meters.m.unit", "a P1 port has no unit number", False),
        (site("  m: {connect: ‸rtu+tcp://10.0.0.9:2001, model: dsmr-p1}\n"), "meters.m.connect", "a P1 port does not speak Modbus", False),
        (site("  m: {connect: ‸tcp://10.0.0.9, model: dsmr-p1}\n"), "meters.m.connect", "names Modbus's port or none", False),
        (site("  m: {connect: ‸'serial:///dev/ttyUSB0?baud=19200', model: dsmr-p1}\n"), "meters.m.connect", "no P1 port speaks 19200 baud", False),
        (site(f"  m: {{connect: '{P1}', model: dsmr-p1, every: ‸10 s}}\n"), "meters.m.every", "the meter sends every 10 s, so each reading", False),
        (site(f"  m: {{connect: ‸'{OLD_P1}', model: dsmr-p1, max_age: 13 s}}\n"), "meters.m.connect", "at 9600 baud a P1 port", True),
        (site(f"  m: {{connect: '{P1}', model: dsmr-p1, every: ‸10 s, max_age: 13 s}}\n", "limit: 25 A, meter: m, margin: 2 A"), "meters.m.every", "the meter sends every 10 s, so a rise on grid", True),
    ],
)  # fmt: skip
def test_a_meter_that_cannot_do_its_part_is_told_where_it_stands(
    tmp_path: Path, marked: str, key: str, message: str, is_warning: bool
) -> None:
    problem = only(tmp_path, marked)
    assert (problem.key, problem.is_warning) == (key, is_warning)
    assert problem.message.startswith(message)


def test_a_slow_port_with_a_tight_limit_is_shown_the_number_and_a_wide_one_is_not(tmp_path: Path) -> None:
    slow = f"  m: {{connect: '{P1}', model: dsmr-p1, every: 10 s, max_age: 13 s}}\n"
    (problem,) = problems_of(tmp_path, site(slow, "limit: 25 A, meter: m, margin: 2 A"))
    assert "the margin is 2 A of 25 A" in problem.message
    assert "`margin: 3 A`" in problem.allowed
    assert problems_of(tmp_path, site(slow, "limit: 25 A, meter: m, margin: 3 A")) == ()


def test_a_port_has_its_line_to_itself(tmp_path: Path) -> None:
    shared = f"  p: {{connect: ‸'{P1}', model: dsmr-p1}}\n  m: {{connect: '{P1}', model: eastron-sdm120, unit: 2}}\n"
    problem = only(tmp_path, site(shared))
    assert (problem.key, problem.message) == ("meters.p.connect", "is also the line of meter m")


def test_an_input_on_the_line_takes_its_share(tmp_path: Path) -> None:
    meters = site(many(9, "eastron-sdm630", SERIAL))
    before, _, after = meters.partition("‸")
    assert problems_of(tmp_path, before + after) == ()
    contact = (
        f"inputs:\n  dim: {{connect: '{SERIAL}', unit: 40, read: discrete 0, every: 200 ms, circuit: grid, "
        "closed: 10 A, when_lost: 10 A}\n"
    )
    found = problems_of(tmp_path, before + after + contact)
    assert [problem.message.startswith("10 devices need") for problem in found] == [True], found


def test_a_port_of_a_second_needs_nothing_more(tmp_path: Path) -> None:
    assert problems_of(tmp_path, site(f"  m: {{connect: '{P1}', model: dsmr-p1}}\n", "limit: 25 A, meter: m")) == ()
    assert problems_of(tmp_path, site("  m: {connect: tcp://10.0.0.9:2001, model: dsmr-p1}\n", "limit: 25 A, meter: m")) == ()


def test_an_old_port_without_a_larger_age_says_which_version_it_must_be(tmp_path: Path) -> None:
    found = problems_of(tmp_path, site(f"  m: {{connect: '{OLD_P1}', model: dsmr-p1, phases: [L1]}}\n"))
    assert ["DSMR 2.2 or 3" in problem.message for problem in found] == [True]
    assert "`?baud=115200`" in found[0].allowed


def test_a_register_map_of_ones_own_that_cannot_be_read_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("points: {i: {at: x}}\ntype: f32\n", encoding="utf-8")
    problem = only(tmp_path, site("  m: {connect: tcp://10.0.0.9, file: ‸mine.yaml}\n"))
    assert problem.key == "meters.m.file"
    assert "mine.yaml" in problem.allowed
