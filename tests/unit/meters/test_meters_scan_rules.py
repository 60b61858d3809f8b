"""The scan before it touches a line: what it may send, what it hears, how long it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.settings import Connection, Transport
from edgectl.meters.rtu import Request, crc
from edgectl.meters.tools.hearing import Heard, heard
from edgectl.meters.tools.questions import Question, Table
from edgectl.meters.tools.remarks import remarks
from edgectl.meters.tools.scan import ALL_UNITS, SETTINGS, WINDOW_MIN_MS, bound_ms, settings_of, window_ms

SERIAL = Connection(Transport.SERIAL, device="/dev/ttyUSB0")


def frame(unit: int, body: bytes) -> bytes:
    whole = bytes([unit]) + body
    return whole + crc(whole)


ANSWER = b"\x04\x04\x00\x01\x00\x02"
REFUSAL = b"\x84\x02"


def test_only_reads_can_be_asked() -> None:
    assert {table.value for table in Table} == {3, 4}
    with pytest.raises(TypeError):
        Question(1, 6, 0, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [0, 5, 6, 8, 15, 16, 22, 23, 43, 0x83])
def test_no_request_of_edgectl_can_write(function: int) -> None:
    with pytest.raises(ValueError, match="does not read"):
        Request(1, function, 0, 1)


@given(st.integers(1, 247), st.sampled_from(Table), st.integers(0, 0xFFFF), st.integers(1, 125))
def test_a_question_on_the_wire_is_a_read(unit: int, table: Table, address: int, count: int) -> None:
    assert Question(unit, table, address, count).request().frame()[1] in {3, 4}


@pytest.mark.parametrize(
    "connection", [*settings_of(SERIAL), Connection(Transport.TCP, "h", 502), Connection(Transport.RTU_OVER_TCP, "h", 5)]
)
def test_all_units_at_one_setting_take_less_than_a_minute(connection: Connection) -> None:
    assert bound_ms(connection, len(ALL_UNITS)) < 60_000
    assert window_ms(connection) >= WINDOW_MIN_MS


def test_every_baud_and_parity_is_tried_once_the_usual_first() -> None:
    assert len(set(SETTINGS)) == len(SETTINGS) == 24
    assert SETTINGS[0] == (9_600, "N")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Heard()),
        (frame(5, ANSWER), Heard((5,))),
        (frame(5, REFUSAL), Heard((5,))),
        (frame(4, ANSWER) + frame(5, REFUSAL), Heard((4, 5))),
        (b"\x00\xff" + frame(5, ANSWER), Heard((5,), 2)),
        (frame(5, ANSWER)[:-1], Heard((), 8)),
        (frame(5, ANSWER) * 2, Heard((5, 5))),
    ],
)
def test_everything_on_the_line_is_heard(data: bytes, expected: Heard) -> None:
    assert heard(data) == expected


def test_an_adapter_that_plays_back_what_was_sent_is_no_answer() -> None:
    question = Question(5, Table.INPUT, 0, 2).request().frame()
    assert heard(question, echo=question).is_silence
    assert heard(question + frame(5, ANSWER), echo=question).is_clean(5)


@given(st.binary(max_size=300))
def test_noise_is_counted_and_names_nobody_without_a_checksum(data: bytes) -> None:
    found = heard(data)
    assert found.stray_count <= len(data)
    assert found.is_silence == (not data)


def reading(**more: object) -> MeterReading:
    values = {
        "current_ma": Phases(10_000, 10_000, 10_000),
        "voltage_mv": Phases.uniform(230_000),
        "power_w": Phases.uniform(2_300),
        "power_total_w": 6_900,
        "frequency_mhz": 50_000,
        **more,
    }
    return MeterReading(MeterId("m"), 0, Quality.GOOD, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"voltage_mv": Phases(230_000, 198_000, 230_000)}, "L2 has 198 V"),
        ({"power_w": Phases(2_300, 4_600, 2_300), "power_total_w": 9_200}, "L2: 4600 W is more than volts times amps (2300 VA)"),
        ({"power_w": Phases(2_300, 500, 2_300), "power_total_w": 5_100}, "L2: power factor 0.22"),
        ({"current_ma": Phases(10_000, -10_000, 10_000)}, "L2 out, L1, L3 in: is a transformer reversed?"),
        ({"frequency_mhz": 60_000}, "60.00 Hz"),
    ],
)
def test_what_looks_odd_is_said(odd: dict[str, object], words: str) -> None:
    assert any(remark.startswith(words) for remark in remarks(reading(**odd), 0, 3_000))


def test_what_agrees_is_not_remarked_and_what_is_old_is() -> None:
    assert remarks(reading(), 0, 3_000) == ()
    assert remarks(reading(), 3_001, 3_000) == ("older than 3 s",)
    assert remarks(MeterReading(MeterId("m"), 0, Quality.NO_VALUE, "nan"), 0, 3_000) == ("no value: nan",)
