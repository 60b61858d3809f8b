"""Contacts on a bus: eight to a byte, asked for as a guard meter is, and quiet after a doubt on a serial line."""

from __future__ import annotations

import pytest

from edgectl.domain.ids import InputId
from edgectl.domain.settings import Connection, InputConnection, Table, Transport
from edgectl.meters.contacts import ContactUnit
from edgectl.meters.rtu import Answer, Receiver, Request, crc
from edgectl.meters.unit import DEAD_AFTER
from edgectl.meters.waiting import LATE_MS


def unit(transport: Transport = Transport.SERIAL, table: Table = Table.DISCRETE) -> ContactUnit:
    return ContactUnit(InputConnection(InputId("relay"), Connection(transport), 5, table, 3))


@pytest.mark.parametrize(("table", "function"), [(Table.COIL, 1), (Table.DISCRETE, 2), (Table.HOLDING, 3), (Table.INPUT, 4)])
def test_each_table_has_its_function(table: Table, function: int) -> None:
    assert unit(Transport.TCP, table).ask(0).request == Request(5, function, 3, 1)


def test_on_a_line_every_answer_of_a_contact_looks_like_the_one_before() -> None:
    assert unit(Transport.SERIAL).ask(0).request.is_mistakable


@pytest.mark.parametrize(("data", "value"), [(b"\x01", 1), (b"\x00", 0), (b"\xfe", 0)])
def test_a_contact_is_the_lowest_bit_of_its_byte(data: bytes, value: int) -> None:
    frame = bytes([5, 2, 1]) + data
    assert Receiver(Request(5, 2, 3, 1)).feed(frame + crc(frame)) == Answer((value,))


def test_nine_contacts_take_two_bytes() -> None:
    frame = bytes([5, 1, 2, 0b1000_0001, 0b1])
    assert Receiver(Request(5, 1, 0, 9)).feed(frame + crc(frame)) == Answer((1, 0, 0, 0, 0, 0, 0, 1, 1))


def test_an_answer_with_registers_is_never_taken_for_contacts() -> None:
    frame = bytes([5, 2, 2, 0, 1])
    assert Receiver(Request(5, 2, 3, 1)).feed(frame + crc(frame)) is None


def test_after_silence_on_a_serial_line_a_late_answer_cannot_meet_the_next_request() -> None:
    one = unit()
    reading = one.answered(Answer(None, "timeout"), 10_000)
    assert (reading.value_number, reading.reason) == (None, "timeout")
    assert one.ready_mono_ms() == 10_000 + LATE_MS
    network = unit(Transport.TCP)
    network.answered(Answer(None, "timeout"), 10_000)
    assert network.ready_mono_ms() == 10_000


def test_a_dead_one_is_asked_seldom_and_one_that_is_back_at_its_own_pace() -> None:
    one = unit(Transport.TCP)
    now_ms = 0
    for _ in range(DEAD_AFTER):
        one.answered(Answer(None, "timeout"), now_ms)
        now_ms = one.ready_mono_ms() + 500
    assert one.is_silent
    assert one.ready_mono_ms() - (now_ms - 500) <= 5_000
    assert one.answered(Answer((1,)), now_ms).value_number == 1
    assert not one.is_silent
    assert one.ready_mono_ms() - now_ms <= 1_000
