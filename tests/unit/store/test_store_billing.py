"""The billing envelope and its chain, on bytes alone."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store_records import assert_chain

from edgectl.store.billing import FIRST_PREV_HASH, Bill, check_chain, seal, session_of

EPOCH = "epoch-1"
EXACT = 2**53 - 1
"""The largest integer every JSON reader agrees on."""
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: abs(value) <= EXACT or abs(value) >= 1e21)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-EXACT, EXACT) | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SESSIONS = st.lists(st.dictionaries(st.text(), JSON, max_size=4), min_size=1, max_size=5)


def chain(sessions: list[dict[str, object]]) -> list[Bill]:
    bills: list[Bill] = []
    for number, session in enumerate(sessions, start=1):
        prev_hash = bills[-1].hash if bills else FIRST_PREV_HASH
        bill = seal(site="depot", epoch=EPOCH, seq=number, record_id=f"s-{number}", rev=1, prev_hash=prev_hash, session=session)
        bills.append(bill)
    return bills


@given(SESSIONS)
def test_a_sealed_chain_holds_for_any_json(sessions: list[dict[str, object]]) -> None:
    bills = chain(sessions)
    report = check_chain(bills, EPOCH)
    assert (report.count, report.is_intact) == (len(bills), True)
    assert_chain([bill.body for bill in bills], EPOCH)


@given(SESSIONS)
def test_a_session_survives_sealing(sessions: list[dict[str, object]]) -> None:
    for session, bill in zip(sessions, chain(sessions), strict=True):
        assert json.loads(session_of(bill.body)) == session


def test_any_flipped_byte_is_found() -> None:
    first, second, third = chain([{"energy_wh": 1_000}, {"energy_wh": 12_400, "driver": "Jürgen"}, {}])
    for place in range(len(second.body)):
        for mask in (0x01, 0x20, 0x80):
            body = bytearray(second.body)
            body[place] ^= mask
            report = check_chain([first, dataclasses.replace(second, body=bytes(body)), third], EPOCH)
            assert (report.count, report.first_broken_seq) == (1, 2), (place, mask)


def test_a_rewritten_record_is_found_at_the_next_one() -> None:
    first, second, third = chain([{"energy_wh": 1}, {"energy_wh": 2}, {"energy_wh": 3}])
    forged = seal(site="depot", epoch=EPOCH, seq=2, record_id="s-2", rev=1, prev_hash=first.hash, session={"energy_wh": 0})
    report = check_chain([first, forged, third], EPOCH)
    assert (report.count, report.first_broken_seq) == (2, 3)
    assert "before" in report.why
    assert second.hash != forged.hash


def test_a_chain_of_another_epoch_is_not_ours() -> None:
    assert check_chain(chain([{}]), "epoch-2").first_broken_seq == 1


def test_an_empty_chain_is_intact() -> None:
    report = check_chain([], EPOCH)
    assert (report.count, report.is_intact) == (0, True)


def test_each_record_names_the_one_before() -> None:
    for before, after in pairwise(chain([{}, {}, {}])):
        assert after.prev_hash == before.hash


@pytest.mark.parametrize("value", [2.0**53, 1e20, 2**53, float("nan"), "\ud800", {1: 2}, object()])
def test_what_would_not_verify_is_not_sealed(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        chain([{"value": value}])
