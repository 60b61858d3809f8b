"""An answer over TCP with another one in its middle: it fits in every respect but one."""

from __future__ import annotations

import pytest

from edgectl.meters.buses import RECENT_COUNT, is_spliced

NUMBER = 19_500
OWN = NUMBER.to_bytes(2) + b"\x00\x00\x00\x3f\x05\x03\x3c"
"""The head of an answer of 30 registers of unit 5."""


def other(number: int, registers: int = 24) -> bytes:
    """A whole answer of unit 3 to an earlier request."""
    size = 2 * registers
    return (number % 65_536).to_bytes(2) + (size + 3).to_bytes(4) + bytes([3, 3, size]) + b"\x43\x65" * registers


def frame(inside: bytes, at: int) -> bytes:
    own = b"\x43\x66\x00\x00" * 15
    return OWN + (own[:at] + inside + own[at:])[: len(own)]


@pytest.mark.parametrize("at", [0, 1, 2, 3])
@pytest.mark.parametrize("back", [1, 63, 92, 125, RECENT_COUNT])
def test_one_with_an_earlier_answer_in_its_middle_is_known(at: int, back: int) -> None:
    assert is_spliced(frame(other(NUMBER - back), at), NUMBER)


def test_one_that_was_asked_before_the_numbers_began_anew_is_known() -> None:
    assert is_spliced(frame(other(3 - 90), 2), 3)


def test_a_refusal_in_its_middle_is_known() -> None:
    assert is_spliced(frame((NUMBER - 7).to_bytes(2) + b"\x00\x00\x00\x03\x03\x83\x02", 3), NUMBER)


NEVER_ASKED = other(NUMBER + 1)
NO_REGISTERS = (NUMBER - 5).to_bytes(2) + b"\x00\x00\x00\x03\x05\x03\x00"


@pytest.mark.parametrize("inside", [b"", b"\x00" * 60, NEVER_ASKED, NO_REGISTERS])
def test_one_of_its_own_registers_is_taken(inside: bytes) -> None:
    assert not is_spliced(frame(inside, 4), NUMBER)
