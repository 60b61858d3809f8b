"""What arrives and what it means, without a socket or a database."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.contract import faults
from support.ledger import Book, altered, session

from edgectl.domain.events import ReceiptReceived
from edgectl.uplink.codec import MAX_PAYLOAD_BYTES, parse_receipt
from edgectl_backend.judging.bills import MAX_BODY_BYTES, Bill, Poison, canonical, read_bill
from edgectl_backend.judging.chain import FIRST_PREV_HASH, Break, ChainLink, walk
from edgectl_backend.judging.receipts import Word, receipts
from edgectl_backend.judging.records import Kept, Meaning, judge, newest, sort
from edgectl_backend.judging.topics import Kind, Place, read_topic

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def bill(body: bytes, site: str = "s1") -> Bill:
    found = read_bill(site, body)
    assert isinstance(found, Bill), found
    return found


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.booleans())
def test_the_quick_canonical_form_is_the_one_of_rfc_8785(members: dict[str, Any], is_ascii: bool) -> None:
    try:
        body = json.dumps(members, ensure_ascii=is_ascii).encode()
        expected = rfc8785.dumps({name: value for name, value in members.items() if name != "hash"})
    except (UnicodeEncodeError, rfc8785.CanonicalizationError):
        return  # lone surrogates: no JSON text can carry them
    assert canonical(body, "hash") == expected


def test_a_sealed_record_is_read_whatever_its_spelling() -> None:
    sealed = Book().write("a", note="é \U0001f600 \x01", share=1.5)
    for body in (sealed.body, json.dumps(json.loads(sealed.body), indent=2).encode()):
        found = bill(body)
        assert (found.record_id, found.rev, found.seq, found.hash) == ("a", 1, 1, sealed.hash)
        assert found.body == body


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"session": session("a", energy_wh=1)}, "hash-mismatch"),
        ({"seq": 2}, "hash-mismatch"),
        ({"site": "s2"}, "wrong-site"),
        ({"schema": "edgectl/billing-session/9"}, "malformed"),
        ({"session": session("a", started_at="2026-02-31T10:00:00.000Z")}, "malformed"),
        ({"record_id": "b"}, "wrong-session"),
        ({"rev": "1"}, "malformed"),
        ({"rev": 0}, "malformed"),
        ({"session": {"id": "a"}}, "malformed"),
        ({"epoch": "x\0"}, "malformed"),
        ({"note": 2**60}, "not-canonical"),
    ],
)
def test_a_record_that_is_not_what_it_claims_is_refused_with_its_name(change: dict[str, Any], code: str) -> None:
    found = read_bill("s1", altered(Book().write("a").body, **change))
    assert isinstance(found, Poison)
    assert found.code == code
    assert found.reason
    assert found.record_id == change.get("record_id", "a")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", b"[" * 100_000, b"{", b'{"rev": 1e999}'])
def test_what_is_no_record_at_all_is_refused_without_a_name(body: bytes) -> None:
    found = read_bill("s1", body)
    assert isinstance(found, Poison)
    assert (found.code, found.record_id) == ("malformed", None)


def test_a_packed_record_is_the_record_that_is_inside() -> None:
    sealed = Book().write("a").body
    packed = zstandard.ZstdCompressor().compress(sealed)
    assert len(packed) < len(sealed)
    assert bill(packed) == bill(sealed)
    assert judge(bill(packed), Kept(bill(sealed).hash, sealed)) is Meaning.REPEATED


@pytest.mark.parametrize(
    "packed",
    [
        zstandard.ZstdCompressor().compress(Book().write("a").body)[:-20],
        zstandard.ZstdCompressor().compress(b"[" * (MAX_BODY_BYTES + 1)),
        zstandard.FRAME_HEADER,
    ],
)
def test_a_damaged_frame_or_one_that_bursts_is_refused(packed: bytes) -> None:
    found = read_bill("s1", packed)
    assert isinstance(found, Poison)
    assert found.code == "malformed"


def test_the_same_content_is_a_repeat_and_another_is_a_conflict() -> None:
    first = bill(Book().write("a").body)
    kept = Kept(first.hash, first.body)
    assert judge(first, None) is Meaning.NEW
    assert judge(first, kept) is Meaning.REPEATED
    assert judge(bill(Book().write("a", energy_wh=1).body), kept) is Meaning.CONFLICT


def test_a_session_in_a_salvaged_ledger_is_a_repeat_though_its_hash_is_another() -> None:
    first = bill(Book().write("a").body)
    salvaged = bill(Book(epoch="e2").write("a").body)
    assert first.hash != salvaged.hash
    assert judge(salvaged, Kept(first.hash, first.body)) is Meaning.REPEATED


def test_a_batch_keeps_the_first_of_each_revision_and_the_newest_of_each_record() -> None:
    book = Book()
    one, two, other = (bill(book.write("a", rev).body) for rev in (2, 1, 2))
    found = sort([one, two, other])
    assert found.first == {("s1", "a", 1): two, ("s1", "a", 2): one}
    assert found.others == [other]
    assert newest([two, one]) == [one]


def links(*numbers: int) -> list[ChainLink]:
    return [ChainLink(n, FIRST_PREV_HASH if n == 1 else f"h{n - 1}", f"h{n}") for n in numbers]


def test_a_walk_reaches_as_far_as_no_number_is_missing() -> None:
    found = walk(0, FIRST_PREV_HASH, links(1, 2, 3, 6, 7, 9))
    assert (found.through_seq, found.through_hash) == (3, "h3")
    assert found.gaps == ((4, 5), (8, 8))
    assert found.breaks == ()
    assert walk(3, "h3", links(4, 5, 6, 7, 8, 9)).through_seq == 9


def test_a_walk_finds_every_record_that_does_not_follow_also_behind_a_gap() -> None:
    chain = [*links(1), ChainLink(2, "x", "h2"), *links(3, 5), ChainLink(6, "y", "h6")]
    found = walk(0, FIRST_PREV_HASH, chain)
    assert found.breaks == (Break(2, "h1", "x"), Break(6, "h5", "y"))
    assert found.through_seq == 3


@given(st.lists(st.integers(1, 30), unique=True), st.randoms())
def test_walking_in_steps_as_records_arrive_ends_where_one_walk_ends(numbers: list[int], random: Any) -> None:
    arrived: set[int] = set()
    through, at = 0, FIRST_PREV_HASH
    order = list(numbers)
    random.shuffle(order)
    for number in order:
        arrived.add(number)
        found = walk(through, at, links(*sorted(n for n in arrived if n > through)))
        assert found.through_seq >= through
        through, at = found.through_seq, found.through_hash
    assert through == walk(0, FIRST_PREV_HASH, links(*sorted(numbers))).through_seq


def test_a_receipt_names_each_record_once_and_never_a_number() -> None:
    words = [
        Word("s1", "billing", "e1", "a", 1),
        Word("s1", "billing", "e1", "a", 1),
        Word("s1", "billing", "e1", "b", 2, "conflict", "no"),
    ]
    ((topic, payload),) = receipts(words)
    assert topic == "edgectl/v1/s1/receipt/billing"
    found = parse_receipt("billing", payload)
    assert isinstance(found, ReceiptReceived)
    assert faults("receipt/billing", payload) == []
    assert found.acked == (("a", 1),)
    assert [(item.record_id, item.rev, item.code) for item in found.rejected] == [("b", 2, "conflict")]
    assert found.acked_through is None


def test_receipts_go_to_each_ledger_by_itself_and_fit_what_gateways_read() -> None:
    words = [
        Word(site, "billing", epoch, "\x01" * 128 + str(n), n, "code", "\U0001f600" * 300)
        for site, epoch in (("s1", "e1"), ("s1", "e2"), ("s2", "e1"))
        for n in range(150)
    ]
    found = receipts(words)
    assert all(len(payload) <= MAX_PAYLOAD_BYTES for _, payload in found)
    assert sum(len(json.loads(payload)["rejected"]) for _, payload in found) == 450
    assert {json.loads(payload)["epoch"] for topic, payload in found if "/s2/" in topic} == {"e1"}


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        ("edgectl/v1/s1/billing/session", Place("s1", Kind.BILL, ("session",))),
        ("edgectl/v1/s1/state/evse/CP%2F1-1", Place("s1", Kind.STATE, ("evse", "CP/1-1"))),
        ("edgectl/v1/s1/event/alarm", Place("s1", Kind.EVENT, ("alarm",))),
        ("edgectl/v1/s1/status", Place("s1", Kind.STATUS)),
        ("edgectl/v1/s1/billing/other", None),
        ("edgectl/v1/s1/receipt/billing", None),
        ("edgectl/v1/s1", None),
        ("other/v1/s1/status", None),
    ],
)
def test_a_topic_says_whose_and_what(topic: str, place: Place | None) -> None:
    assert read_topic(topic) == place
