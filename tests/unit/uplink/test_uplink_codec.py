"""Topics, receipts, status: what goes over the wire, and what bytes from anywhere become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.domain.events import InputRefused, ReceiptReceived, Rejected
from edgectl.domain.time import Instant
from edgectl.ports import OutboxSummary
from edgectl.uplink.codec import MAX_PAYLOAD_BYTES, parse_receipt, status_payload
from edgectl.uplink.topics import Door, Inbound, Topics, why_unusable

TOPICS = Topics("depot-north")
RECEIPT: dict[str, Any] = {
    "schema": "edgectl/receipt/1",
    "epoch": "e1",
    "acked_through": 7,
    "acked": [{"record_id": "s1", "rev": 2}],
    "rejected": [{"record_id": "s2", "rev": 1, "code": "schema", "reason": "no meter"}],
}


def receipt(**changes: object) -> bytes:
    return json.dumps({**RECEIPT, **changes}).encode()


# --- topics ---------------------------------------------------------------------------------------------------------------


def test_topics_are_those_of_the_contract() -> None:
    assert TOPICS.status == "edgectl/v1/depot-north/status"
    assert TOPICS.row("billing/session") == "edgectl/v1/depot-north/billing/session"
    assert TOPICS.state("meter", "main") == "edgectl/v1/depot-north/state/meter/main"
    assert TOPICS.answer(None, "ops") == "edgectl/v1/depot-north/cmd-ack/ops"
    assert TOPICS.subscriptions == ("edgectl/v1/depot-north/receipt/+", "edgectl/v1/depot-north/cmd/+")


def test_names_cannot_add_levels_or_wildcards() -> None:
    assert TOPICS.state("evse", "CP/1+#%") == "edgectl/v1/depot-north/state/evse/CP%2F1%2B%23%25"


@given(st.text(min_size=1))
def test_every_name_makes_one_usable_level(name: str) -> None:
    topic = TOPICS.state("evse", name.encode("utf-8", "replace").decode())
    assert topic.count("/") == 5
    assert why_unusable(topic) is None


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("edgectl/v1/depot-north/receipt/billing", Inbound(Door.RECEIPT, "billing")),
        ("edgectl/v1/depot-north/cmd/ping", Inbound(Door.COMMAND, "ping")),
        ("edgectl/v1/depot-north/cmd/", None),
        ("edgectl/v1/depot-north/cmd/a/b", None),
        ("edgectl/v1/depot-north/billing/session", None),
        ("edgectl/v1/depot-south/cmd/ping", None),
        ("", None),
    ],
)
def test_only_our_own_doors_are_doors(topic: str, expected: Inbound | None) -> None:
    assert TOPICS.read(topic) == expected


@pytest.mark.parametrize(
    "forged",
    [
        "edgectl/v1/depot-north/billing/session",
        "edgectl/v1/depot-north/cmd/ping",
        "edgectl/v1/depot-south/status",
        "edgectl/v2/x",
        "$SYS/x",
        "a/+",
        "a/#",
        "",
        "x" * 300,
        "\ud800",
    ],
)
def test_an_answer_is_never_written_where_a_sender_has_no_business(forged: str) -> None:
    assert TOPICS.answer(forged, "ops") == "edgectl/v1/depot-north/cmd-ack/ops"


@pytest.mark.parametrize("own", ["replies/backend-7", "edgectl/v1/depot-north/cmd-ack/me"])
def test_an_answer_goes_where_the_sender_listens(own: str) -> None:
    assert TOPICS.answer(own, "ops") == own


# --- receipts -------------------------------------------------------------------------------------------------------------


def test_a_receipt_is_understood() -> None:
    assert parse_receipt("billing", receipt()) == ReceiptReceived(
        "billing", "e1", 7, (("s1", 2),), (Rejected("s2", 1, "schema", "no meter"),)
    )


def test_what_a_receipt_does_not_say_is_nothing() -> None:
    assert parse_receipt("events", b'{"epoch": "e1", "news": [1]}') == ReceiptReceived("events", "e1", None)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff\xfe", "malformed"),
        (b'{"epoch": "\xed\xa0\x80"}', "utf-8"),
        (b"{}", "epoch"),
        (receipt(epoch=1), "$.epoch"),
        (receipt(epoch=""), "$.epoch"),
        (receipt(acked_through=-1), "$.acked_through"),
        (receipt(acked_through=2**53), "$.acked_through"),
        (receipt(acked_through=True), "$.acked_through"),
        (receipt(acked_through=1.5), "$.acked_through"),
        (receipt(acked={"s1": 1}), "$.acked"),
        (receipt(acked=[{"record_id": "s1"}]), "rev"),
        (receipt(acked=[{"record_id": "s1", "rev": 1}, {"record_id": None, "rev": 1}]), "record_id"),
        (receipt(rejected=[{"record_id": "x" * 129, "rev": 1}]), "record_id"),
        (b'{"x": ' + b"[" * 60_000, "deeply"),
        (b" " * (MAX_PAYLOAD_BYTES + 1), "bytes"),
    ],
)
def test_a_receipt_that_cannot_be_read_is_refused_with_the_reason(payload: bytes, words: str) -> None:
    refused = parse_receipt("billing", payload)
    assert isinstance(refused, InputRefused)
    assert refused.door == "mqtt"
    assert words in refused.reason


def test_a_receipt_for_an_unknown_stream_is_refused() -> None:
    refused = parse_receipt("bi\nlling", receipt())
    assert isinstance(refused, InputRefused)
    assert refused.reason == "receipt/bi?lling: there is no such stream"


def test_a_long_reason_is_cut_and_made_printable() -> None:
    parsed = parse_receipt("billing", receipt(rejected=[{"record_id": "s", "rev": 1, "reason": "a\x00" * 1_000}]))
    assert isinstance(parsed, ReceiptReceived)
    assert parsed.rejected[0].reason == "a?" * 100


@given(st.binary(max_size=300))
def test_any_bytes_are_a_receipt_or_a_refusal(payload: bytes) -> None:
    assert isinstance(parse_receipt("billing", payload), ReceiptReceived | InputRefused)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(RECEIPT, JSON_VALUE | st.just("e1"))))
def test_any_json_is_a_receipt_that_can_be_kept_or_a_refusal(body: dict[str, object]) -> None:
    parsed = parse_receipt("billing", json.dumps(body).encode())
    if isinstance(parsed, ReceiptReceived):
        parsed.epoch.encode()  # as the ledger will
        assert parsed.acked_through is None or 0 <= parsed.acked_through < 2**53


# --- status ---------------------------------------------------------------------------------------------------------------


def status(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "is_online": True,
        "epoch": "e1",
        "boot_id": "b1",
        "version": "1.2.3",
        "since_utc_ms": 1_700_000_000_000,
        "summary": OutboxSummary(3, 1, 1_700_000_000_000 - 90_500),
        "now": Instant(0, 1_700_000_000_000),
    }
    body: dict[str, Any] = json.loads(status_payload(**{**values, **changes}))
    return body


def test_the_birth_says_who_since_when_and_what_is_owed() -> None:
    assert status() == {
        "schema": "edgectl/status/1",
        "state": "online",
        "epoch": "e1",
        "boot_id": "b1",
        "version": "1.2.3",
        "since": "2023-11-14T22:13:20.000Z",
        "backlog": 3,
        "oldest_unacked_s": 90,
        "nonce": None,
    }


def test_the_will_does_not_pretend_to_know_its_moment() -> None:
    will = status(is_online=False, since_utc_ms=None, summary=None)
    assert (will["state"], will["since"], will["backlog"], will["oldest_unacked_s"]) == ("offline", None, None, None)


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    assert status(now=Instant(0, 0))["oldest_unacked_s"] == 0


def test_nothing_owed_has_no_age() -> None:
    assert status(summary=OutboxSummary(0, 0, None))["oldest_unacked_s"] is None
