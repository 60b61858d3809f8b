"""Signed values: from every wrapping the same bytes, on every curve a verdict, and a word on what is missing."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.ocmf import OwnMeter
from support.plant import Bench, of, plant
from support.store_records import NOW, session

from edgectl.core.alarms import Alarms
from edgectl.core.signed.book import AT_ONCE, KEY_CHANGED, SignedBook
from edgectl.core.signed.check import check
from edgectl.core.signed.envelope import opened
from edgectl.core.signed.keys import curve_name, same_key
from edgectl.core.signed.ocmf import parse
from edgectl.domain.decisions import Keep, Remember
from edgectl.domain.events import MeterValuesReported, Sample
from edgectl.domain.ids import TransactionRef
from edgectl.domain.records import BillKept, Session, SessionStatus
from edgectl.domain.signed import Verdict

CURVES: dict[str, ec.EllipticCurve] = {
    "ECDSA-secp192r1-SHA256": ec.SECP192R1(),
    "ECDSA-secp256k1-SHA256": ec.SECP256K1(),
    "ECDSA-secp256r1-SHA256": ec.SECP256R1(),
    "ECDSA-secp384r1-SHA256": ec.SECP384R1(),
    "ECDSA-brainpool256r1-SHA256": ec.BrainpoolP256R1(),
    "ECDSA-brainpoolP256r1-SHA256": ec.BrainpoolP256R1(),
    "ECDSA-brainpool384r1-SHA256": ec.BrainpoolP384R1(),
}
METER = OwnMeter()
RECORD = METER.record("B", "E", page=1)


def book(alarms: Alarms | None = None, remembered: dict[str, dict[str, object]] | None = None, **known: object) -> SignedBook:
    site = replace(plant("A"), signature_keys=tuple(known.items()))  # type: ignore[arg-type]
    return SignedBook(site, alarms or Alarms(), remembered or {})


def of_values(*values: str, status: SessionStatus = SessionStatus.COMPLETED) -> Session:
    return replace(session(status=status), signed_values=values, flags=())


def judged(own: SignedBook, *values: str) -> Session:
    return own.judged(of_values(*values), NOW)[0]


def enclosed(value: str, key: str | None = METER.public_key) -> str:
    """As OCPP 2 has it, written as the reader of its messages keeps it."""
    body = {"signedMeterData": base64.b64encode(value.encode()).decode(), "signingMethod": "", "encodingMethod": "OCMF"}
    return json.dumps(body | ({} if key is None else {"publicKey": base64.b64encode(key.encode()).decode()}))


@pytest.mark.parametrize(
    "text",
    [
        RECORD,
        f"  {RECORD}\n",
        RECORD.encode().hex(),
        RECORD.encode().hex().upper(),
        base64.b64encode(RECORD.encode()).decode(),
        json.dumps({"signedMeterValue": RECORD, "encodingMethod": "OCMF", "publicKey": METER.public_key}),
        json.dumps({"signedMeterValue": RECORD.encode().hex(), "encodingMethod": "OCMF", "publicKey": METER.public_key}),
        enclosed(RECORD),
        enclosed(RECORD, f"oca:base16:asn1:{METER.public_key}"),
        enclosed(RECORD, " ".join(METER.public_key[i : i + 2] for i in range(0, len(METER.public_key), 2))),
    ],
)
def test_every_wrapping_holds_the_same_record(text: str) -> None:
    envelope = opened(text)
    assert envelope.record == RECORD
    assert check(parse(envelope.record), envelope.key or METER.public_key) == (Verdict.VALID, "")


@pytest.mark.parametrize("declared", CURVES)
def test_each_curve_has_its_verdict(declared: str) -> None:
    meter = OwnMeter(CURVES[declared], declared)
    text = meter.record("B", "E")
    assert check(parse(text), meter.public_key) == (Verdict.VALID, "")
    tampered = text.replace("0.10", "0.11")
    assert check(parse(tampered), meter.public_key)[0] is Verdict.INVALID


def test_a_key_on_another_curve_than_declared_is_refused() -> None:
    text = OwnMeter(ec.SECP256K1(), "ECDSA-secp256r1-SHA256").record("B")
    key = OwnMeter(ec.SECP256K1()).public_key
    assert check(parse(text), key) == (Verdict.INVALID, "the key is on secp256k1, the record declares secp256r1")


def test_a_curve_that_cannot_be_calculated_is_unverifiable_not_invalid() -> None:
    key = "3046301006072A8648CE3D020106052B8104001F033200" + "04" + "11" * 48
    verdict, why = check(parse(OwnMeter(declared="ECDSA-secp192k1-SHA256").record("B")), key)
    assert (verdict, why) == (Verdict.UNVERIFIABLE, "curve secp192k1 cannot be checked here")


def test_bare_coordinates_and_bare_numbers_are_understood_too() -> None:
    record = parse(RECORD)
    numbers = decode_dss_signature(bytes.fromhex(record.signature))
    bare = replace(record, signature="".join(f"{number:064x}" for number in numbers))
    point = METER.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()
    assert check(bare, point[2:]) == (Verdict.VALID, "")
    assert check(replace(bare, encoding="base64", signature=base64.b64encode(bytes.fromhex(bare.signature)).decode()), point)[
        0
    ] is (Verdict.VALID)
    assert same_key(point[2:], METER.public_key)


@pytest.mark.parametrize("name", ["brainpoolP256r1", "ECDSA-brainpool256r1-SHA256", "ecdsa-BRAINPOOLP256R1-sha256"])
def test_a_curve_has_one_name_however_spelled(name: str) -> None:
    assert curve_name(name) == "brainpool256r1"


@pytest.mark.parametrize(
    ("text", "verdict", "flag"),
    [
        ("OCMF|{}|{}", Verdict.UNREADABLE, "signed-unreadable"),
        ("OCMF|{", Verdict.UNREADABLE, "signed-unreadable"),
        ('{"encodingMethod": "EDL", "signedMeterData": "AAAA"}', Verdict.UNVERIFIABLE, "signed-unverifiable"),
        ("AP;0;3;...", Verdict.UNVERIFIABLE, "signed-unverifiable"),
        (RECORD, Verdict.NO_KEY, "signed-no-key"),
    ],
)
def test_what_cannot_be_checked_says_why(text: str, verdict: Verdict, flag: str) -> None:
    found = judged(book(), text)
    assert found.signed_verdicts[0].verdict is verdict
    assert found.signed_verdicts[0].why
    assert flag in found.flags
    assert found.signed_values == (text,)


@given(
    st.text(max_size=200) | st.text(max_size=80).map(lambda text: f"OCMF|{text}") | st.text(alphabet='OCMF|{}":[]SD', max_size=60)
)
def test_no_text_breaks_it(text: str) -> None:
    assert len(judged(book(), text).signed_verdicts) == 1


# --- keys -----------------------------------------------------------------------------------------------------------------


def test_a_registered_key_counts_whatever_the_charger_sends() -> None:
    alarms, other = Alarms(), OwnMeter(ec.SECP256R1())
    other.key = ec.derive_private_key(987, ec.SECP256R1())
    own = book(alarms, **{"M-1": METER.public_key})
    forged = other.record("B", "E")
    found, decisions = own.judged(of_values(enclosed(forged, other.public_key)), NOW)
    assert found.signed_verdicts[0].verdict is Verdict.KEY_DIFFERS
    assert "signed-key-differs" in found.flags
    assert alarms.is_active(KEY_CHANGED, "M-1")
    assert len(of(Keep, decisions)) == 1
    good, decisions = own.judged(of_values(enclosed(RECORD)), NOW)
    assert good.signed_verdicts[0].verdict is Verdict.VALID
    assert not alarms.is_active(KEY_CHANGED, "M-1")


def test_the_first_key_of_an_unregistered_meter_is_remembered_and_said_to_be_unregistered() -> None:
    own = book()
    first, decisions = own.judged(of_values(enclosed(RECORD)), NOW)
    assert first.signed_verdicts[0].doubts == ("key-unregistered",)
    (kept,) = of(Remember, decisions)
    assert (kept.kind, kept.key, kept.document["key"]) == ("signature-keys", "M-1", METER.public_key)
    again = book(remembered={"M-1": kept.document})
    assert judged(again, RECORD).signed_verdicts[0].verdict is Verdict.VALID  # this one brought no key of its own


# --- pages and states -----------------------------------------------------------------------------------------------------


def flags_after(*pages: int) -> list[tuple[str, ...]]:
    own = book(**{"M-1": METER.public_key})
    return [judged(own, METER.record("B", "E", page=page)).flags for page in pages]


def test_a_missing_page_is_found_across_sessions() -> None:
    assert flags_after(1, 2, 3) == [(), (), ()]
    assert flags_after(1, 3) == [(), ("signed-gap",)]
    assert flags_after(5, 2, 3) == [(), ("signed-reset",), ()]


def test_the_same_record_twice_is_a_repeat_and_another_under_its_number_is_not() -> None:
    own = book(**{"M-1": METER.public_key})
    assert judged(own, RECORD, RECORD).flags == ()
    assert judged(own, METER.record("B", "E", page=1, quality="R")).flags == ("signed-repeated",)


def test_what_the_meter_did_not_sign_moves_no_page() -> None:
    own = book(**{"M-1": METER.public_key})
    forged = METER.record("B", "E", page=9).replace("0.10", "9.99")
    assert judged(own, METER.record("B", "E", page=1), forged).flags == ("signed-invalid",)
    assert judged(own, METER.record("B", "E", page=2)).flags == ()


def test_pages_are_known_again_after_a_restart() -> None:
    before = judged(book(**{"M-1": METER.public_key}), METER.record("B", "E", page=7))
    site = replace(plant("A"), signature_keys=(("M-1", METER.public_key),))
    after = SignedBook(site, Alarms(), {}, [before])
    assert judged(after, METER.record("B", "E", page=9)).flags == ("signed-gap",)


@pytest.mark.parametrize(
    ("known", "doubt", "flags"),
    [
        ({"state": "E"}, "state-E", ("signed-meter-state",)),
        ({"errors": "t"}, "error-t", ("signed-meter-state",)),
        ({"quality": "U"}, "time-U", ()),
    ],
)
def test_a_meter_that_doubts_itself_is_heard(known: dict[str, str], doubt: str, flags: tuple[str, ...]) -> None:
    found = judged(book(**{"M-1": METER.public_key}), METER.record("B", "E", page=1, **known))  # type: ignore[arg-type]
    assert found.signed_verdicts[0].verdict is Verdict.VALID
    assert doubt in found.signed_verdicts[0].doubts
    assert found.flags == flags


def test_a_session_without_the_meters_word_for_its_end_is_incomplete_until_it_comes() -> None:
    own = book(**{"M-1": METER.public_key})
    begin, end = METER.record("B", page=1), METER.record("E", page=2)
    half = judged(own, begin)
    assert half.flags == ("signed-incomplete",)
    whole = own.judged(replace(half, signed_values=(begin, end)), NOW)[0]
    assert (whole.flags, len(whole.signed_verdicts)) == ((), 2)


def test_a_flood_of_values_does_not_hold_up_the_loop() -> None:
    found = judged(book(**{"M-1": METER.public_key}), *[RECORD] * (AT_ONCE + 5))
    assert [one.verdict for one in found.signed_verdicts[AT_ONCE:]] == [Verdict.NOT_CHECKED] * 5
    assert "signed-not-checked" in found.flags


# --- in the daemon's core -------------------------------------------------------------------------------------------------


def test_the_record_has_the_values_as_they_came_and_their_verdicts() -> None:
    meter = OwnMeter()
    bench = Bench(replace(plant("A"), signature_keys=(("M-1", meter.public_key),)))
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    (open_session,) = bench.controller._sessions.open.values()
    first, second = enclosed(meter.record("B")), meter.record("E").replace("0.10", "0.11")
    for text in (first, second):
        bench.wait(60)
        sample = Sample(reported_utc_ms=bench.utc_ms, context="", signed_values=(text,))
        bench.put(MeterValuesReported(bench.call("A"), 1, TransactionRef(open_session.transaction), (sample,)))
    bench.wait(60)
    records = [keep.record for keep in of(Keep, bench.stop("A", open_session.transaction))]
    body = next(record.body for record in records if isinstance(record, BillKept))
    assert body["signed_values"] == [first, second]
    assert [one["verdict"] for one in body["signed_verdicts"]] == ["valid", "invalid"]  # type: ignore[attr-defined]
    assert "signed-invalid" in body["flags"]  # type: ignore[operator]
