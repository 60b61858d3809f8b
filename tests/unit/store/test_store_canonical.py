"""The quick way to RFC 8785 writes the bytes of the long one, and refuses what that refuses."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from edgectl.store import canonical

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_LEAF = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
)
_VALUE = st.recursive(_LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=5), max_leaves=20)


class _Word(StrEnum):
    ONE = "one"


class _Number(IntEnum):
    ONE = 1


@given(_VALUE)
def test_it_writes_what_the_library_writes(value: Any) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=3), _TEXT, min_size=2))
def test_ascii_names_and_every_character_of_values(value: dict[str, str]) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [(1, (2, "x")), {"a": _Word.ONE, "b": _Number.ONE}, "".join(map(chr, range(256))), "\u2028\U0001f50b"]
)
def test_tuples_names_of_choices_and_control_characters(value: Any) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {"\ud800": 1}, {1: 2}, {"a": object()}, b""]
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.dumps({"here": [value]})
