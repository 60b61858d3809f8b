"""The rules of the OCPI 2.2.1 CDR object: what must be there, how long it may be, which words are known. A table, not code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from edgectl.domain.tariff_objects import TariffError, tariff_of

Rule: TypeAlias = Callable[[Any, str], Iterator[str]]


def _text(most: int, pattern: str = r"[^\x00-\x1f]*") -> Rule:
    def check(found: Any, path: str) -> Iterator[str]:
        if not isinstance(found, str) or len(found) > most or re.fullmatch(pattern, found, re.DOTALL) is None:
            yield f"{path}: text of at most {most} characters like {pattern}"

    return check


def _word(*words: str) -> Rule:
    def check(found: Any, path: str) -> Iterator[str]:
        if found not in words:
            yield f"{path}: one of {', '.join(words)}"

    return check


def _number(found: Any, path: str) -> Iterator[str]:
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        yield f"{path}: a number"


def _volume(found: Any, path: str) -> Iterator[str]:
    yield from _number(found, path)
    if isinstance(found, int | Decimal) and found < 0:
        yield f"{path}: not negative"


def _flag(found: Any, path: str) -> Iterator[str]:
    if not isinstance(found, bool):
        yield f"{path}: true or false"


def _moment(found: Any, path: str) -> Iterator[str]:
    try:
        datetime.fromisoformat(found)
    except (TypeError, ValueError):
        yield f"{path}: a moment"


def _listed(inner: Rule, least: int = 0) -> Rule:
    def check(found: Any, path: str) -> Iterator[str]:
        if not isinstance(found, list) or len(found) < least:
            yield f"{path}: a list of at least {least}"
            return
        for index, one in enumerate(found):
            yield from inner(one, f"{path}[{index}]")

    return check


def _object(required: dict[str, Rule], optional: dict[str, Rule] | None = None) -> Rule:
    known = required | (optional or {})

    def check(found: Any, path: str) -> Iterator[str]:
        if not isinstance(found, dict):
            yield f"{path}: an object"
            return
        yield from (f"{path}.{key}: is missing" for key in required if key not in found)
        yield from (f"{path}.{key}: is not a field of it" for key in found if key not in known)
        for key, value in found.items():
            if key in known:
                yield from known[key](value, f"{path}.{key}")

    return check


def _tariff(found: Any, path: str) -> Iterator[str]:
    try:
        tariff_of(found)
    except TariffError as error:
        yield f"{path}: {error}"


_COUNTRY, _PARTY, _ID = _text(2, r"[A-Z]{2}"), _text(3, r"[A-Za-z0-9]{3}"), _text(36, r"[\x20-\x7e]+")
_PRICE = _object({"excl_vat": _number}, {"incl_vat": _number})
_STANDARDS: Final = (
    "CHADEMO", "CHAOJI", "DOMESTIC_F", "GBT_AC", "GBT_DC", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2",
    "IEC_62196_T2_COMBO", "IEC_62196_T3A", "IEC_62196_T3C", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN", "TESLA_R", "TESLA_S",
)  # fmt: skip
_DIMENSIONS: Final = (
    "ENERGY", "MAX_CURRENT", "MIN_CURRENT", "MAX_POWER", "MIN_POWER", "PARKING_TIME", "RESERVATION_TIME", "TIME",
)  # fmt: skip

_CDR = _object(
    {
        "country_code": _COUNTRY,
        "party_id": _PARTY,
        "id": _text(39, r"[\x20-\x7e]+"),
        "start_date_time": _moment,
        "end_date_time": _moment,
        "cdr_token": _object(
            {
                "country_code": _COUNTRY,
                "party_id": _PARTY,
                "uid": _ID,
                "type": _word("AD_HOC_USER", "APP_USER", "OTHER", "RFID"),
                "contract_id": _ID,
            }
        ),
        "auth_method": _word("AUTH_REQUEST", "COMMAND", "WHITELIST"),
        "cdr_location": _object(
            {
                "id": _ID,
                "address": _text(45),
                "city": _text(45),
                "country": _text(3, r"[A-Z]{3}"),
                "coordinates": _object(
                    {"latitude": _text(10, r"-?\d{1,2}\.\d{1,7}"), "longitude": _text(11, r"-?\d{1,3}\.\d{1,7}")}
                ),
                "evse_uid": _ID,
                "evse_id": _text(48, r"[\x20-\x7e]+"),
                "connector_id": _ID,
                "connector_standard": _word(*_STANDARDS),
                "connector_format": _word("SOCKET", "CABLE"),
                "connector_power_type": _word("AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"),
            },
            {"name": _text(255), "postal_code": _text(10), "state": _text(20)},
        ),
        "currency": _text(3, r"[A-Z]{3}"),
        "charging_periods": _listed(
            _object(
                {
                    "start_date_time": _moment,
                    "dimensions": _listed(_object({"type": _word(*_DIMENSIONS), "volume": _volume}), 1),
                },
                {"tariff_id": _ID},
            ),
            1,
        ),
        "total_cost": _PRICE,
        "total_energy": _volume,
        "total_time": _volume,
        "last_updated": _moment,
    },
    {
        "session_id": _ID,
        "authorization_reference": _ID,
        "meter_id": _text(255),
        "tariffs": _listed(_tariff),
        "signed_data": _object(
            {
                "encoding_method": _text(36),
                "signed_values": _listed(
                    _object({"nature": _text(32), "plain_data": _text(5_000, r".*"), "signed_data": _text(5_000)}), 1
                ),
            },
            {"encoding_method_version": _number, "public_key": _text(512), "url": _text(512)},
        ),
        "total_fixed_cost": _PRICE,
        "total_energy_cost": _PRICE,
        "total_time_cost": _PRICE,
        "total_parking_time": _volume,
        "total_parking_cost": _PRICE,
        "total_reservation_cost": _PRICE,
        "remark": _text(255),
        "invoice_reference_id": _text(39),
        "credit": _flag,
        "credit_reference_id": _text(39),
        "home_charging_compensation": _flag,
    },
)


def problems(cdr: Any) -> tuple[str, ...]:
    """What is wrong with a CDR, by its path; nothing when it follows the rules."""
    found = list(_CDR(cdr, "cdr"))
    if found:
        return tuple(found)
    if cdr["end_date_time"] < cdr["start_date_time"]:
        found.append("cdr.end_date_time: before its start")
    starts = [period["start_date_time"] for period in cdr["charging_periods"]]
    if starts != sorted(starts):
        found.append("cdr.charging_periods: not in order")
    if cdr.get("credit") and "credit_reference_id" not in cdr:
        found.append("cdr.credit_reference_id: a credit names what it credits")
    return tuple(found)
