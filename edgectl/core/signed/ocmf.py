"""One OCMF record (SAFE-eV, Open Charge Metering Format 1.4): ``OCMF|payload|signature``, both JSON.

What is signed is the payload's bytes as they stand. The parsed copy is for looking at; numbers in it are text or ``Decimal``,
and nothing is ever written back.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

HEADER = "OCMF|"
READINGS_MAX = 1_000


class NotOcmfError(ValueError):
    """The text says why it is none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of the record. What a reading does not say is what the one before said."""

    time: str | None
    """``TM``: local time with offset, and as its last letter how far the clock can be believed: S, R, I or U."""
    transaction: str | None
    """``TX``."""
    state: str | None
    """``ST`` of the meter: G is good."""
    errors: str
    """``EF``: ``E`` energy, ``t`` time; empty is none."""
    value: str | None
    unit: str | None
    register: str | None


@dataclass(frozen=True, slots=True)
class Record:
    payload: bytes
    """Exactly what was signed."""
    meter: str | None
    pagination: str | None
    readings: tuple[Reading, ...]
    algorithm: str
    """``SA``, with its default."""
    encoding: str
    """``SE``: hex or base64."""
    signature: str


def parse(text: str) -> Record:
    """A record.

    Raises:
        NotOcmfError: whatever the text is.
    """
    if not text.startswith(HEADER):
        raise NotOcmfError("does not begin with OCMF|")
    payload, end = _json_at(text, len(HEADER), "payload")
    if text[end : end + 1] != "|":
        raise NotOcmfError("has no signature part")
    signature, last = _json_at(text, end + 1, "signature part")
    if text[last:].strip():
        raise NotOcmfError("goes on after its signature")
    data = signature.get("SD")
    if not isinstance(data, str) or not data.strip():
        raise NotOcmfError("has no signature data (SD)")
    try:
        signed = text[len(HEADER) : end].encode()
    except UnicodeEncodeError:
        raise NotOcmfError("its payload is no text that could be signed") from None
    meter = next((str(payload[key]) for key in ("MS", "GS") if payload.get(key)), None)
    page = payload.get("PG")
    return Record(
        payload=signed,
        meter=meter,
        pagination=page if isinstance(page, str) else None,
        readings=_readings(payload.get("RD")),
        algorithm=str(signature.get("SA") or "ECDSA-secp256r1-SHA256"),
        encoding=str(signature.get("SE") or "hex"),
        signature=data.strip(),
    )


def _json_at(text: str, place: int, what: str) -> tuple[dict[str, Any], int]:
    try:
        found, end = json.JSONDecoder(parse_float=Decimal).raw_decode(text, place)
    except (ValueError, RecursionError) as error:
        raise NotOcmfError(f"its {what} is not JSON") from error
    if not isinstance(found, dict):
        raise NotOcmfError(f"its {what} is no object")
    return found, end


def _readings(found: object) -> tuple[Reading, ...]:
    readings = []
    before: dict[str, Any] = {}
    for one in found[:READINGS_MAX] if isinstance(found, list) else ():
        if not isinstance(one, dict):
            raise NotOcmfError("a reading (RD) is no object")
        before = {**before, **one}
        known = {key: None if before.get(key) is None else str(before[key]) for key in ("TM", "TX", "ST", "RV", "RU", "RI")}
        readings.append(
            Reading(known["TM"], known["TX"], known["ST"], str(before.get("EF") or ""), known["RV"], known["RU"], known["RI"])
        )
    return tuple(readings)


def page_of(pagination: str | None) -> tuple[str, int] | None:
    """``T17`` as kind and counter."""
    found = re.fullmatch(r"([A-Za-z])(\d{1,18})", pagination or "", re.ASCII)
    return None if found is None else (found[1], int(found[2]))
