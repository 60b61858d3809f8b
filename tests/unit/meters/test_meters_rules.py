"""Frames, values, plans: every catalogue entry there and back; what is no value never becomes 0."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.domain.events import Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import model, model_names
from edgectl.meters.catalogue import CatalogueError, MeterModel, entry_names, load_model_file
from edgectl.meters.decode import reading_of
from edgectl.meters.plan import control_blocks, slow_blocks
from edgectl.meters.rtu import Receiver, Request, crc
from hwsim.meters.registers import Truth, registers_of

BUS = Connection(Transport.TCP, "127.0.0.1", 502)


def at(name: str, **more: object) -> MeterConnection:
    return MeterConnection(MeterId("m"), BUS, 1, name, **more)  # type: ignore[arg-type]


def readable() -> list[MeterModel]:
    """Every entry with volts, amps and watts at addresses of its own, once."""
    found = [model(name) for name in sorted(entry_names())]
    return [one for one in found if {"i", "p", "u"} <= set(one.points) and one.chain is None]


READABLE = readable()


def resolution_ma(one: MeterModel) -> float:
    """What one step of the meter's own register is worth."""
    point = one.points["i"]
    return max(1.5, 1000 * point.scale)


def test_the_catalogue_covers_many_models() -> None:
    assert len(READABLE) >= 25
    assert len(model_names()) >= 150
    assert {"janitza-umg604", "eastron-sdm630"} <= model_names()


@pytest.mark.parametrize("one", READABLE, ids=lambda one: one.name)
def test_what_a_meter_holds_is_what_is_read(one: MeterModel) -> None:
    truth = Truth((12.5, -7.25, 31.0), (229.0, 231.5, 230.0), import_wh=123_400.0, export_wh=56_700.0)
    reading = reading_of(one, at(one.name), registers_of(one, truth), 5)
    assert reading.quality is Quality.GOOD, reading.reason
    assert reading.current_ma is not None
    count = min(3, len(one.points["i"].addresses))
    expected = [12_500, -7_250, 31_000][:count] + [0] * (3 - count)
    assert list(reading.current_ma) == pytest.approx(expected, abs=resolution_ma(one))
    if reading.energy_import_wh is not None:
        assert reading.energy_import_wh == pytest.approx(123_400, abs=1_000)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(READABLE), st.tuples(*[st.floats(-40, 40)] * 3), st.permutations(ALL_PHASES), st.booleans())
def test_phases_and_direction_land_where_the_electrician_says(
    one: MeterModel, amps: tuple[float, float, float], phases: list[Phase], is_reversed: bool
) -> None:
    if len(one.points["i"].addresses) < 3:
        return
    reading = reading_of(one, at(one.name, phases=tuple(phases), is_reversed=is_reversed), registers_of(one, Truth(amps)), 5)
    assert reading.current_ma is not None
    for own, site_phase in enumerate(phases):
        expected = round(1000 * amps[own]) * (-1 if is_reversed else 1)
        assert reading.current_ma[site_phase] == pytest.approx(expected, abs=resolution_ma(one))


def spoiled(one: MeterModel, quantity: str, words: list[int]) -> dict[int, int]:
    registers = registers_of(one, Truth((10.0, 10.0, 10.0)))
    for offset, word in enumerate(words):
        registers[one.points[quantity].addresses[0] + offset] = word
    return registers


@pytest.mark.parametrize(
    ("name", "quantity", "words", "reason"),
    [
        ("eastron-sdm630", "i", [0x7FC0, 0], "nan"),
        ("eastron-sdm630", "i", [0x7F80, 0], "infinite"),
        ("eastron-sdm630", "u", [0, 0], "no-voltage"),
        ("eastron-sdm630", "i", list(struct.unpack(">2H", struct.pack(">f", 20_000.0))), "implausible-current"),
        ("eastron-sdm630", "u", list(struct.unpack(">2H", struct.pack(">f", 399.0))), "implausible-voltage"),
        ("cg-em3x0", "i", [0xFFFF, 0x7FFF], "sentinel"),
        ("abb-b2x-a4x", "i", [0xFFFF, 0xFFFF], "sentinel"),
    ],
)
def test_what_is_no_value_has_a_reason_and_is_never_zero(name: str, quantity: str, words: list[int], reason: str) -> None:
    reading = reading_of(model(name), at(name), spoiled(model(name), quantity, words), 5)
    assert (reading.quality, reading.reason, reading.current_ma) == (Quality.NO_VALUE, reason, None)


def test_a_short_answer_is_no_value() -> None:
    registers = registers_of(model("eastron-sdm630"), Truth((1.0, 2.0, 3.0)))
    del registers[6]
    assert reading_of(model("eastron-sdm630"), at("eastron-sdm630"), registers, 5).reason == "missing-register"


def test_a_single_phase_meter_measures_its_own_phase_only() -> None:
    registers = registers_of(model("eastron-sdm120"), Truth((9.0, 0.0, 0.0)))
    reading = reading_of(model("eastron-sdm120"), at("eastron-sdm120", phases=(Phase.L2,)), registers, 5)
    assert reading.current_ma == Phases(0, 9_000, 0)


def test_a_transformer_ratio_scales_amps_watts_and_energy() -> None:
    registers = registers_of(model("eastron-sdm630"), Truth((1.0, 1.0, 1.0), import_wh=1_000))
    reading = reading_of(model("eastron-sdm630"), at("eastron-sdm630", ct_ratio_permille=40_000), registers, 5)
    assert (reading.current_ma, reading.power_total_w, reading.energy_import_wh) == (Phases.uniform(40_000), 27_600, 40_000)


def test_a_meter_without_phase_currents_never_guards() -> None:
    one = model("eastron-sdm72dm")
    assert reading_of(one, at("eastron-sdm72dm"), registers_of(one, Truth((1.0, 1.0, 1.0))), 5).reason == "no-phase-currents"


@pytest.mark.parametrize("one", READABLE, ids=lambda one: one.name)
def test_every_plan_keeps_the_model_s_rules_and_brings_every_register(one: MeterModel) -> None:
    blocks = [*control_blocks(one), *slow_blocks(one)]
    covered = {address for block in blocks for address in range(block.address, block.address + block.count)}
    for block in blocks:
        assert 0 < block.count <= max(one.rules.max_registers, 4)
        if one.rules.has_pairs:
            assert block.address % 2 == 0
            assert block.count % 2 == 0
    for quantity in ("i", "u", "p", "e_imp"):
        point = one.points.get(quantity)
        for address in point.addresses if point else ():
            assert set(range(address, address + point.width)) <= covered  # type: ignore[union-attr]


def test_volts_amps_and_watts_of_a_common_meter_are_one_read() -> None:
    assert [(b.address, b.count) for b in control_blocks(model("eastron-sdm630"))] == [(0, 18)]


# --- frames -------------------------------------------------------------------------------------------------------------

REQUEST = Request(unit=3, function=4, address=6, count=2)


def answer(unit: int = 3, function: int = 4, words: tuple[int, ...] = (0x1234, 0x5678)) -> bytes:
    body = bytes([unit, function, 2 * len(words)]) + b"".join(word.to_bytes(2) for word in words)
    return body + crc(body)


def test_checksums_are_those_of_the_standard() -> None:
    assert crc(bytes.fromhex("0207")) == bytes.fromhex("4112")  # Modbus over serial line 1.02, appendix B
    assert Request(1, 3, 0, 10).frame() == bytes.fromhex("01030000000ac5cd")


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_an_answer_is_found_however_it_arrives(chunk: int) -> None:
    receiver = Receiver(REQUEST)
    data = answer()
    found = [receiver.feed(data[start : start + chunk]) for start in range(0, len(data), chunk)]
    assert found[-1] is not None
    assert found[-1].words == (0x1234, 0x5678)


@pytest.mark.parametrize("noise", [b"\x00", b"\xff", b"\x01", b"\x03", b"\x03\x04", b"\x00\xff\x03"])
def test_noise_before_a_frame_loses_nothing(noise: bytes) -> None:
    found = Receiver(REQUEST).feed(noise + answer())
    assert found is not None
    assert found.words == (0x1234, 0x5678)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (answer(unit=4), "wrong-unit"),
        (answer(function=3), "wrong-function"),
        (answer(words=(1,)), "wrong-length"),
        (answer(words=(1, 2, 3)), "wrong-length"),
        (answer()[:-1], "damaged-answer"),
        (answer()[:3] + b"\x99" + answer()[4:], "damaged-answer"),
        (b"", "timeout"),
    ],
)
def test_what_does_not_fit_is_never_taken(data: bytes, reason: str) -> None:
    receiver = Receiver(REQUEST)
    assert receiver.feed(data) is None
    assert receiver.doubt() == reason


def test_an_exception_is_a_reason() -> None:
    body = bytes([3, 0x84, 2])
    found = Receiver(REQUEST).feed(body + crc(body))
    assert found is not None
    assert (found.words, found.reason) == (None, "illegal-address")


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_no_bytes_upset_the_receiver(data: bytes) -> None:
    found = Receiver(REQUEST).feed(data)
    assert found is None or found.words is None or len(found.words) == 2


# --- the user's own models ----------------------------------------------------------------------------------------------


def test_a_user_s_model_file_works_like_an_entry(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("layout: eastron3\nlimits: {max_regs: 40}\n")
    assert load_model_file(file).rules.max_registers == 40


def test_the_model_file_in_the_handbook_is_one(tmp_path: Path) -> None:
    handbook = Path(__file__).parents[3] / "docs" / "METERS.md"
    (text,) = [block for block in handbook.read_text().split("```yaml\n") if block.startswith("fc:")]
    file = tmp_path / "mine.yaml"
    file.write_text(text.split("```")[0])
    own = load_model_file(file)
    reading = reading_of(own, at("mine"), registers_of(own, Truth((-1.0, 2.0, 3.0), import_wh=4_000)), 5)
    assert (reading.current_ma, reading.energy_import_wh) == (Phases(-1_000, 2_000, 3_000), 4_000)
    assert [(block.address, block.count) for block in control_blocks(own)] == [(0, 18)]


@pytest.mark.parametrize(
    "text", ["layout: nobody", "[1, 2]", "points: {i: {at: x, type: f32}}", "a: [", "points: {i: {at: 1, type: f32, words: x}}"]
)
def test_a_bad_model_file_says_where_it_is_bad(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(CatalogueError, match="mine"):
        load_model_file(file)
