"""The shared OCMF vectors: each record gets the verdict stated for it, from every way a charger may wrap it."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from support.vectors import vectors

from edgectl.core.signed.check import check
from edgectl.core.signed.envelope import opened
from edgectl.core.signed.keys import read_key
from edgectl.core.signed.ocmf import parse
from edgectl.domain.signed import Verdict

FOUND = vectors("ocmf")
pytestmark = pytest.mark.skipif(FOUND is None, reason="the shared OCMF vectors are not beside this checkout; own records stand")
FOLDER = FOUND or Path("absent")


def loaded(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8")) if FOUND else []
    return found


RECORDS = loaded("expected.json")
CASES = loaded("ocmf-js/verify_cases.json")


def named(record: dict[str, Any]) -> str:
    return f"{record['file']}[{record['index']}]"


def of_xml(record: dict[str, Any]) -> tuple[str, str]:
    values = ET.parse(FOLDER / record["file"]).getroot().findall("value")
    value = values[record["index"]]
    return (value.findtext("signedData") or "").strip(), (value.findtext("publicKey") or "").strip()


@pytest.mark.parametrize("record", RECORDS, ids=named)
def test_a_record_gets_the_stated_verdict_however_wrapped(record: dict[str, Any]) -> None:
    text, key = of_xml(record)
    assert len(text.encode()) == record["bytes"]
    stated = record["expected_signature"]
    wanted = {"valid": Verdict.VALID, "invalid": Verdict.INVALID}.get(stated, Verdict.UNVERIFIABLE)
    wrapped = [
        text,
        text.encode().hex(),
        json.dumps({"signedMeterValue": text, "encodingMethod": "OCMF", "publicKey": key}),
        json.dumps({"signedMeterData": base64.b64encode(text.encode()).decode(), "publicKey": key}),
    ]
    for one in wrapped:
        envelope = opened(one)
        assert envelope.record == text
        found = parse(envelope.record)
        assert check(found, envelope.key or key)[0] is wanted
    assert (found.pagination, len(found.readings)) == (record["PG"], record["readings"])
    assert text.encode().startswith(b"OCMF|" + found.payload + b"|")
    assert read_key(key, found.algorithm).curve == record["key_curve"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_case_verifies_as_stated(case: dict[str, Any]) -> None:
    signature = json.dumps({"SA": f"ECDSA-{case['curve']}-SHA256", "SD": case["signature_hex"]})
    verdict, _ = check(parse(f"OCMF|{case['payload']}|{signature}"), case["spki_hex"])
    if case["curve"] == "secp192k1":
        assert verdict is Verdict.UNVERIFIABLE
    else:
        assert verdict is (Verdict.VALID if str(case["expected"]).lower() == "true" else Verdict.INVALID)


def test_nothing_is_missed() -> None:
    assert (len(RECORDS), len(CASES)) == (23, 32)
