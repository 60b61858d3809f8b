"""Timestamps as chargers write them, which is not always RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from edgectl.domain.time import utc_ms
from edgectl.domain.units import UtcMillis

_FORM = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[Tt ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,12}))?)?"
    r"\s*(?:([Zz])|([+-])(\d{2}):?(\d{2})?)?",
    re.ASCII,
)


def read_timestamp(value: object) -> UtcMillis | None:
    """Milliseconds since 1970, or None when it is no moment at all.

    Accepted beside RFC 3339: no offset (taken as UTC, as OCPP asks for), ``+02`` and ``+0200``, one-digit months, a space for
    the ``T``, any number of fraction digits (cut to milliseconds), and honest nonsense such as the years 1 and 1970: a charger
    before its first clock synchronisation. Judging a moment is the core's business.
    """
    if not isinstance(value, str):
        return None
    found = _FORM.fullmatch(value.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, offset_hours, offset_minutes = found.groups()
    try:
        # A leap second is counted as the second before: datetime has no 60.
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=UTC)
    except ValueError:
        return None
    offset_ms = (int(offset_hours or 0) * 60 + int(offset_minutes or 0)) * 60_000
    millis = int((fraction or "0")[:3].ljust(3, "0"))
    return utc_ms(moment) + millis - (-offset_ms if sign == "-" else offset_ms)
