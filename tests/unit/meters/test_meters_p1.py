"""P1 telegrams of every version: found however they are cut, checked, and never half believed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.settings import P1_MODEL, Connection, MeterConnection, Transport
from edgectl.meters.p1.telegram import BUFFER_MAX, GAP_MS, Damage, Telegram, TelegramReader, checksum
from edgectl.meters.p1.values import P1Values, reading_of, values_of
from hwsim.meters.p1 import DIALECTS, P1Meter
from hwsim.meters.registers import Truth

TRUTH = Truth((12.4, -7.6, 30.9), (229.1, 231.5, 230.0), import_wh=1_234_567, export_wh=89_012)
CONNECTION = MeterConnection(MeterId("main"), Connection(Transport.SERIAL, device="/dev/ttyUSB0"), 1, P1_MODEL)
WITH_PHASES = ["dsmr-4", "dsmr-5", "belgium", "luxembourg"]


def sent(name: str, truth: Truth = TRUTH) -> bytes:
    return P1Meter(lambda: truth, DIALECTS[name]).telegram()


def read(data: bytes) -> list[Telegram | Damage]:
    return TelegramReader().feed(data, 0)


def only(data: bytes) -> Telegram:
    """The telegram; twice, because one without checksum is believed when the next has the same form."""
    found = read(data * 2)[-1]
    assert isinstance(found, Telegram), found
    return found


def values(name: str, truth: Truth = TRUTH) -> P1Values:
    return values_of(only(sent(name, truth)))


def reading(data: bytes, **more: object) -> MeterReading:
    connection = MeterConnection(CONNECTION.meter, CONNECTION.connection, 1, P1_MODEL, **more)  # type: ignore[arg-type]
    return reading_of(values_of(only(data)), connection, 5)


# A telegram as DSMR 5 writes it, put down by hand: what the simulator makes cannot be its own proof.
BY_HAND = (
    b"/ISK5\\2M550T-1012\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(260301101530W)\r\n0-0:96.1.1(4530303434303037)\r\n"
    b"1-0:1.8.1(000004.426*kWh)\r\n1-0:1.8.2(000002.399*kWh)\r\n1-0:2.8.1(000002.444*kWh)\r\n1-0:2.8.2(000000.000*kWh)\r\n"
    b"0-0:96.14.0(0002)\r\n1-0:1.7.0(00.244*kW)\r\n1-0:2.7.0(00.000*kW)\r\n0-0:96.7.21(00013)\r\n0-0:96.7.9(00000)\r\n"
    b"1-0:99.97.0(0)(0-0:96.7.19)\r\n1-0:32.32.0(00000)\r\n0-0:96.13.0()\r\n1-0:32.7.0(230.0*V)\r\n1-0:52.7.0(230.0*V)\r\n"
    b"1-0:72.7.0(229.0*V)\r\n1-0:31.7.0(000*A)\r\n1-0:51.7.0(000*A)\r\n1-0:71.7.0(001*A)\r\n1-0:21.7.0(00.059*kW)\r\n"
    b"1-0:41.7.0(00.000*kW)\r\n1-0:61.7.0(00.230*kW)\r\n1-0:22.7.0(00.000*kW)\r\n1-0:42.7.0(00.045*kW)\r\n"
    b"1-0:62.7.0(00.000*kW)\r\n0-1:24.1.0(003)\r\n0-1:24.2.1(260301101500W)(00000.107*m3)\r\n!"
)


def with_checksum(body: bytes) -> bytes:
    return body + b"%04X\r\n" % checksum(body)


def test_the_checksum_is_the_published_one() -> None:
    # CRC-16/ARC of the usual check text; the DSMR 5 companion standard names the same polynomial.
    assert checksum(b"123456789") == 0xBB3D


def test_a_telegram_written_by_hand_is_read() -> None:
    found = reading(with_checksum(BY_HAND))
    assert found.quality is Quality.GOOD
    assert found.power_w == Phases(59, -45, 230)
    # 59 W at 230 V is 257 mA, 45 W out is -196 mA; 230 W at 229 V is 1005 mA.
    assert found.current_ma == Phases(257, -196, 1_005)
    assert found.voltage_mv == Phases(230_000, 230_000, 229_000)
    assert (found.power_total_w, found.energy_import_wh, found.energy_export_wh) == (244, 6_825, 2_444)


def test_a_checksum_without_its_leading_zero_is_the_same_number() -> None:
    second = next(n for n in range(10_000) if checksum(_at(n)) < 0x1000)
    body = _at(second)
    assert isinstance(read(body + b"%X\r\n" % checksum(body))[0], Telegram)


def _at(number: int) -> bytes:
    return BY_HAND.replace(b"(00013)", b"(%05d)" % number)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_version_is_read_byte_by_byte(name: str) -> None:
    reader = TelegramReader()
    data = sent(name) * 2
    found = [more for at in range(len(data)) for more in reader.feed(data[at : at + 1], at)]
    first = only(sent(name)) if DIALECTS[name].has_checksum else Damage("unconfirmed-telegram")
    assert found == [first, only(sent(name))]


@pytest.mark.parametrize("name", DIALECTS)
def test_energy_is_the_sum_over_tariffs_and_the_serial_is_text(name: str) -> None:
    found = values(name)
    assert (found.energy_import_wh, found.energy_export_wh) == (1_234_567, 89_012)
    assert found.serial == "E0044007206517818"
    assert found.power_total_w == sum(round(power) for power in TRUTH.power_w)


@pytest.mark.parametrize("name", WITH_PHASES)
def test_amps_have_the_sign_of_the_watts_and_are_never_below_what_flows(name: str) -> None:
    found = reading(sent(name))
    assert found.quality is Quality.GOOD, found.reason
    assert found.current_ma is not None
    for phase, amps in zip(ALL_PHASES, TRUTH.current_a, strict=True):
        shown = found.current_ma[phase] / 1000
        assert shown * amps > 0
        # Whole amps are rounded: the reading may be half an amp too high. Without volts 230 V are assumed.
        assert abs(amps) - 0.1 <= abs(shown) <= abs(amps) + 0.51


def test_a_poor_power_factor_does_not_hide_amps() -> None:
    found = reading(sent("dsmr-5", Truth((20.0, 20.0, 20.0), power_factor=0.6)))
    assert found.current_ma == Phases.uniform(20_000)


def test_belgian_amps_are_taken_to_the_hundredth() -> None:
    found = reading(sent("belgium", Truth((10.26, 0.0, -3.5), power_factor=0.9)))
    assert found.current_ma == Phases(10_260, 0, -3_500)


@pytest.mark.parametrize("name", ["dsmr-2.2", "dsmr-3"])
def test_a_total_is_no_phase_current_unless_there_is_one_phase(name: str) -> None:
    assert reading(sent(name)).reason == "no-phase-currents"
    one = Truth((10.0, 0.0, 0.0))
    assert reading(sent(name, one), phases=(Phase.L2,)).current_ma == Phases(0, 10_000, 0)


def test_phases_direction_and_transformers_are_those_of_the_file() -> None:
    found = reading(
        sent("belgium", Truth((10.0, 5.0, -2.0), import_wh=100, export_wh=7)),
        phases=(Phase.L3, Phase.L1, Phase.L2),
        is_reversed=True,
        ct_ratio_permille=2_000,
    )
    assert found.current_ma == Phases(-10_000, 4_000, -20_000)
    assert (found.energy_import_wh, found.energy_export_wh) == (14, 200)


def test_a_phase_without_volts_is_no_value_never_zero() -> None:
    found = reading(sent("dsmr-5", Truth((1.0, 1.0, 0.0), (230.0, 230.0, 0.0))))
    assert (found.quality, found.reason, found.current_ma) == (Quality.NO_VALUE, "no-voltage", None)


def test_a_missing_phase_is_no_value() -> None:
    body = b"\r\n".join(line for line in BY_HAND.split(b"\r\n") if b"-0:61." not in line and b"-0:62." not in line)
    assert reading(with_checksum(body)).reason == "missing-phase"


def test_phases_that_do_not_add_up_are_no_value() -> None:
    body = BY_HAND.replace(b"1-0:1.7.0(00.244*kW)", b"1-0:1.7.0(03.244*kW)")
    assert reading(with_checksum(body)).reason == "sum-against-total"


@pytest.mark.parametrize("name", WITH_PHASES)
def test_any_changed_byte_is_found_by_the_checksum(name: str) -> None:
    data = sent(name)
    for at in range(1, len(data) - 8, 7):
        spoiled = data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]
        assert not any(isinstance(found, Telegram) for found in read(spoiled)), at


@pytest.mark.parametrize("name", ["dsmr-2.2", "dsmr-3"])
def test_any_single_flipped_bit_is_found_by_parity(name: str) -> None:
    data = sent(name)
    for at in range(1, len(data) - 5, 3):
        spoiled = data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1 :]
        assert not any(isinstance(found, Telegram) for found in read(data + spoiled)), at


def test_a_checksum_that_is_due_may_not_be_left_out() -> None:
    assert read(BY_HAND + b"\r\n") == [Damage("missing-checksum")]


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_cut_cable_costs_one_telegram_at_most(name: str, data: st.DataObject) -> None:
    whole = sent(name)
    reader = TelegramReader()
    reader.feed(whole, 0)
    cut = data.draw(st.integers(0, len(whole)))
    joined = whole[:cut] + whole[data.draw(st.integers(0, len(whole))) :] + whole * 3
    telegrams = [one for one in reader.feed(joined, 0) if isinstance(one, Telegram)]
    assert telegrams[-1:] == [only(whole)]
    assert all(one == only(whole) for one in telegrams)


def test_a_telegram_without_checksum_needs_one_of_the_same_form_before_it() -> None:
    whole = sent("dsmr-3")
    short = whole.replace(b"0001", b"001", 1) if b"0001" in whole else whole.replace(b"00", b"0", 1)
    reader = TelegramReader()
    assert reader.feed(whole, 0) == [Damage("unconfirmed-telegram")]
    assert reader.feed(whole, 0) == [only(whole)]
    assert reader.feed(short, 0) == [Damage("unconfirmed-telegram")]


def test_two_halves_of_a_telegram_without_checksum_are_not_one() -> None:
    first = sent("dsmr-3", Truth((10.0, 0.0, 0.0)))
    second = sent("dsmr-3", Truth((1.0, 0.0, 0.0)))
    reader = TelegramReader()
    half = len(first) // 2
    assert reader.feed(first[:half], 0) == []
    assert reader.feed(second[half:], GAP_MS + 1) == [Damage("cut-telegram")]
    assert reader.feed(second * 2, GAP_MS + 2)[-1] == only(second)
    # Without the pause between them, a code that comes twice gives it away.
    assert not [one for one in read(first + first[:-20] + second[30:]) if isinstance(one, Telegram)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=3_000), max_size=20))
def test_noise_is_never_a_telegram_and_memory_is_bounded(pieces: list[bytes]) -> None:
    reader = TelegramReader()
    for piece in pieces:
        assert not any(isinstance(found, Telegram) for found in reader.feed(piece, 0))
        assert len(reader._raw) <= BUFFER_MAX + 3_000
    reader.feed(b"\r\n", 0)
    found = reader.feed(sent("dsmr-5") * 3, GAP_MS + 1)
    assert any(isinstance(one, Telegram) for one in found)


def test_an_endless_telegram_is_given_up() -> None:
    reader = TelegramReader()
    assert reader.feed(b"/" + b"x" * BUFFER_MAX, 0) == [Damage("endless-telegram")]
    assert reader.feed(sent("dsmr-5"), 1) == [only(sent("dsmr-5"))]


def test_an_encrypted_telegram_is_named_in_whatever_pieces_it_comes() -> None:
    frame = b"\xdb\x08SAGgp\x00\x01\x02\x82\x01\x00\x30" + bytes(range(255))
    reader = TelegramReader()
    found = [more for at in range(len(frame)) for more in reader.feed(frame[at : at + 1], 0)]
    assert found == [Damage("encrypted-telegram")]
    assert reader.feed(sent("luxembourg"), 1) == [only(sent("luxembourg"))]
