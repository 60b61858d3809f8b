"""Every catalogue entry there and back: encoded into a simulated device that enforces its rules, read by the real reader."""

from __future__ import annotations

import itertools

import pytest
from support.meter_bench import ask_device, read_until

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters.catalogue import MeterModel, entry_names, entry_of, model, model_names
from edgectl.meters.catalogue.sheets import sheet
from edgectl.meters.unit import UnitReader
from hwsim.meters.device import Device
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth, pattern_of

SERIAL = Connection(Transport.SERIAL, device="/dev/ttyS0")
TCP = Connection(Transport.TCP, "127.0.0.1", 502)
ENTRIES = sorted(entry_names())
WITH_CURRENTS = [name for name in ENTRIES if model(name).has_phase_currents]
IMPORT = Truth((12.5, 7.25, 31.0), (229.0, 231.5, 230.0), 0.97, 123_400.0, 56_700.0)
EXPORT = Truth((-12.5, -7.25, -31.0), (229.0, 231.5, 230.0), 0.97, 123_400.0, 56_700.0)


def reader(name: str, connection: Connection = SERIAL) -> UnitReader:
    return UnitReader(MeterConnection(MeterId("m"), connection, 1, name), model(name), is_guard=True)


def step_ma(one: MeterModel) -> float:
    """What one step of the meter's own register is worth; SunSpec's integers carry four digits."""
    point = one.points["i"]
    return 1.5 if point.kind.startswith("f") else max(1.5, 1000 * point.scale * (0.01 if point.factor_address is not None else 1))


def test_the_catalogue_holds_what_was_researched() -> None:
    assert len(ENTRIES) == 40
    assert sum(len(sheet(name).models) for name in ENTRIES) == 145
    assert len(model_names()) >= 180
    assert {"janitza-umg604", "eastron-sdm630", "kostal-ksem", "sunspec-model-213", "fronius-smart-meter"} <= model_names()


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_says_where_its_facts_come_from(name: str) -> None:
    one = model(name)
    assert one.sources
    assert one.confidence in {"cross-checked", "single-source"}
    assert sheet(name).brand


def test_every_name_leads_to_an_entry() -> None:
    assert {entry_of(name) for name in model_names()} == set(ENTRIES)


@pytest.mark.parametrize("has_trial_areas", [True, False], ids=["as tried", "refusing what is not listed"])
@pytest.mark.parametrize("connection", [SERIAL, TCP], ids=["serial", "tcp"])
@pytest.mark.parametrize("name", WITH_CURRENTS)
def test_what_a_meter_holds_is_what_is_read(name: str, connection: Connection, has_trial_areas: bool) -> None:
    one = model(name)
    now = {"truth": IMPORT}
    clock = itertools.count()
    device = device_of(one, lambda: now["truth"], seconds=lambda: next(clock), has_trial_areas=has_trial_areas)
    unit = reader(name, connection)
    for truth in (IMPORT, EXPORT, IMPORT):
        now["truth"] = truth
        reading = read_until(unit, device, lambda reading: reading.quality is Quality.GOOD and reading.energy_mono_ms is not None)
        check(one, truth, reading)
    if has_trial_areas:
        assert device.refusals == []


def check(one: MeterModel, truth: Truth, reading: MeterReading) -> None:
    count = one.phase_count
    has_direction = one.has_signed_current or any(quantity in one.points for quantity in ("p", "p_imp"))
    amps = [amp if has_direction else abs(amp) for amp in truth.current_a[:count]] + [0.0] * (3 - count)
    assert reading.current_ma is not None
    assert list(reading.current_ma) == pytest.approx([1000 * amp for amp in amps], abs=step_ma(one))
    if reading.power_total_w is not None:
        assert reading.power_total_w == pytest.approx(sum(truth.power_w[:count]), abs=40)
    if "e_imp" in one.points:
        assert reading.energy_import_wh == pytest.approx(123_400, abs=1_000)
    if "e_exp" in one.points:
        assert reading.energy_export_wh == pytest.approx(56_700, abs=1_000)
    if "f" in one.points:
        assert reading.frequency_mhz == pytest.approx(50_000, abs=100)


def patterns() -> list[tuple[str, str, str]]:
    """Entry, quantity and pattern of every way an entry says "no value"."""
    found = []
    for name in WITH_CURRENTS:
        one = model(name)
        for quantity in ("u", "i", "p", "p_imp"):
            point = one.points.get(quantity)
            for pattern in sorted(one.no_value & {"nan", "ones", "smax", "smin"}) if point else ():
                is_float = point is not None and point.kind.startswith("f")
                is_signed = point is not None and point.kind.startswith("s")
                if (pattern == "nan") == is_float and not (pattern == "ones" and is_signed):
                    found.append((name, quantity, pattern))
    return found


@pytest.mark.parametrize(("name", "quantity", "pattern"), patterns())
def test_every_pattern_of_no_value_is_none_and_never_zero(name: str, quantity: str, pattern: str) -> None:
    one = model(name)

    def spoil(contents: dict[int, int]) -> None:
        unit_model = unit._here or one
        point = unit_model.points[quantity]
        for offset, word in enumerate(pattern_of(point, pattern)):
            contents[point.addresses[0] + offset] = word

    unit = reader(name)
    device = device_of(one, lambda: IMPORT)
    read_until(unit, device, lambda reading: reading.quality is Quality.GOOD)
    reading = ask_until_reading(unit, device_of(one, lambda: IMPORT, spoil=spoil))
    assert (reading.quality, reading.current_ma) == (Quality.NO_VALUE, None)
    assert reading.reason in {"nan", "sentinel"}


def ask_until_reading(unit: UnitReader, device: Device) -> MeterReading:
    while True:
        reading = ask_device(unit, device)
        if reading is not None:
            return reading


@pytest.mark.parametrize("model_id", [201, 202, 203, 204, 211, 212, 213, 214])
@pytest.mark.parametrize("base", [40_000, 50_000, 0])
def test_sunspec_meters_are_found_along_the_chain(model_id: int, base: int) -> None:
    name = "sunspec-20x" if model_id < 210 else "sunspec-21x"
    device = device_of(model(name), lambda: EXPORT, sunspec_id=model_id, base=base)
    reading = read_until(reader(name), device, lambda reading: reading.quality is Quality.GOOD)
    count = {1: 1, 2: 2}.get(model_id % 10, 3)
    direction = 1 if model_id % 10 == 4 else -1  # without a neutral there are no watts of a phase, so no direction either
    amps = [abs(amp) * direction for amp in EXPORT.current_a[:count]] + [0.0] * (3 - count)
    assert reading.current_ma is not None
    assert list(reading.current_ma) == pytest.approx([1000 * amp for amp in amps], abs=10)
    assert reading.power_total_w is not None
    assert reading.power_total_w < 0


def test_a_sunspec_device_without_a_meter_is_no_value() -> None:
    device = Device(lambda: {40_000: 0x5375, 40_001: 0x6E53, 40_002: 0xFFFF, 40_003: 0})
    assert ask_until_reading(reader("sunspec-20x"), device).reason == "no-sunspec-meter"
    assert ask_until_reading(reader("sunspec-20x"), Device(lambda: {1: 0})).reason == "no-sunspec"


def test_a_sunspec_block_that_moves_is_looked_for_again() -> None:
    unit = reader("sunspec-20x")
    read_until(unit, device_of(model("sunspec-20x"), lambda: IMPORT), lambda reading: reading.quality is Quality.GOOD)
    # The same addresses now hold a chain that ends, and the meter lies elsewhere.
    moved = device_of(model("sunspec-20x"), lambda: EXPORT, base=0)
    elsewhere = Device(lambda: {**dict.fromkeys(range(40_000, 40_200), 0), **moved.source()})
    assert ask_until_reading(unit, elsewhere).reason == "layout-moved"
    reading = read_until(unit, elsewhere, lambda reading: reading.quality is Quality.GOOD)
    assert reading.current_ma is not None
    assert reading.current_ma.l1 == pytest.approx(-12_500, abs=10)
