"""Every number of the domain has a unit in its name; arithmetic on three phases stays on its phase."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgectl.domain
from edgectl.domain.phases import Phases
from edgectl.domain.time import iso
from edgectl.domain.units import SUFFIXES, current_from_power_ma, power_from_current_w

WITHOUT_UNIT = {
    "l1", "l2", "l3",              # of Phases: the unit is in the name that holds it
    "number",                      # of an EVSE
    "value",                       # of Input: the unit is beside it
    "gain", "top", "bound",        # of a linear programme: whatever its columns stand for
    "priority", "security_profile", "rev", "port", "baud", "stop_bits",  # counts and codes of the field
    "stack_level",                 # an ordinal of the standard
    "outbox_seq", "outbox_seqs", "acked_through", "last_transaction_number", "seq", "from_seq", "to_seq",
    "interval_s", "heartbeat_s", "keepalive_s",                          # seconds, as the protocols carry them
    "frequency_mhz",               # millihertz
}  # fmt: skip


def numeric_fields() -> list[tuple[str, str]]:
    found = []
    for module in pkgutil.iter_modules(edgectl.domain.__path__, "edgectl.domain."):
        loaded = importlib.import_module(module.name)
        for owner in vars(loaded).values():
            if not (isinstance(owner, type) and dataclasses.is_dataclass(owner) and owner.__module__ == module.name):
                continue
            hints = typing.get_type_hints(owner)
            for field in dataclasses.fields(owner):
                kinds = typing.get_args(hints[field.name]) or (hints[field.name],)
                if {int, float, Phases} & set(kinds) and bool not in kinds:
                    found.append((owner.__name__, field.name))
    return found


@pytest.mark.parametrize(("owner", "field"), numeric_fields())
def test_a_number_says_its_unit(owner: str, field: str) -> None:
    assert field in WITHOUT_UNIT or field.endswith(SUFFIXES), f"{owner}.{field} needs one of {SUFFIXES}"


def test_there_are_numbers_to_look_at() -> None:
    assert len(numeric_fields()) > 60


numbers = st.integers(-(10**7), 10**7)


@given(numbers, numbers, numbers, numbers, numbers, numbers)
def test_sums_stay_on_their_phase(a: int, b: int, c: int, d: int, e: int, f: int) -> None:
    assert Phases(a, b, c) + Phases(d, e, f) == Phases(a + d, b + e, c + f)
    assert Phases(a, b, c) - Phases(a, b, c) == Phases(0, 0, 0)


@given(st.integers(0, 1_000_000), st.integers(100_000, 300_000), st.integers(1, 3))
def test_a_limit_in_watts_never_allows_more_than_the_same_limit_in_amps(current_ma: int, voltage_mv: int, phases: int) -> None:
    power_w = power_from_current_w(current_ma, voltage_mv * phases)
    assert current_from_power_ma(power_w, voltage_mv * phases) <= current_ma


def test_moments_are_written_with_milliseconds_and_z() -> None:
    assert iso(1_800_000_000_007) == "2027-01-15T08:00:00.007Z"
