"""What a charger says, read as it means it: the quirks that concern values, applied once, before anybody else looks.

The frame as received is kept beside billable records, so nothing is lost by this.
"""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from edgectl.domain.events import (
    Event,
    MeterValuesReported,
    Sample,
    StatusReported,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import IdToken
from edgectl.domain.quirks import Quirks
from edgectl.domain.units import UtcMillis, WattHours

_EventT = TypeVar("_EventT", bound=Event)
_PERMILLE = 1_000
_FIRST_MS, _LAST_MS = 0, 4_102_444_800_000  # 1970 to 2100


def corrected(event: _EventT, quirks: Quirks, timezone: str) -> _EventT:
    """The same event with registers in watt-hours, without currents that do not flow, with the uid as printed on the card.

    ``timezone`` is the site's, for a charger that tells local time as if it were UTC.
    """
    if quirks.has_local_time:
        event = _in_utc(event, ZoneInfo(timezone))
    match event:
        case TransactionStarted():
            changed: Event = replace(
                event,
                meter_start_wh=_scaled(event.meter_start_wh, quirks),
                token=_token(event.token, quirks),
                samples=_samples(event.samples, quirks),
            )
        case TransactionEnded():
            changed = replace(
                event,
                meter_stop_wh=_scaled(event.meter_stop_wh, quirks),
                token=_token(event.token, quirks),
                samples=_samples(event.samples, quirks),
            )
        case MeterValuesReported():
            changed = replace(event, token=_token(event.token, quirks), samples=_samples(event.samples, quirks))
        case TokenPresented():
            changed = replace(event, token=_token(event.token, quirks) or event.token)
        case _:
            return event
    return changed  # type: ignore[return-value]  # each branch replaces fields of the event it was given


def needs_correction(quirks: Quirks) -> bool:
    """False for nearly every charger; then events are left alone."""
    is_other = quirks.energy_scale_permille != _PERMILLE or not quirks.has_currents
    return is_other or quirks.has_reversed_uid or quirks.has_local_time


def reversed_uid(token: IdToken) -> IdToken:
    """The uid with its bytes in the opposite order; a token that is no row of hexadecimal bytes stays as it is."""
    text = token.strip()
    if len(text) % 2 or not text or not set(text) <= set(string.hexdigits):
        return token
    return IdToken("".join(text[place : place + 2] for place in range(len(text) - 2, -1, -2)))


def _in_utc(event: _EventT, zone: ZoneInfo) -> _EventT:
    match event:
        case TransactionStarted() | TransactionEnded():
            reported_utc_ms = _utc(event.reported_utc_ms, zone)
            changed: Event = replace(event, reported_utc_ms=reported_utc_ms, samples=_dated(event.samples, zone))
        case MeterValuesReported():
            changed = replace(event, samples=_dated(event.samples, zone))
        case StatusReported():
            changed = replace(event, reported_utc_ms=_utc(event.reported_utc_ms, zone))
        case _:
            return event
    return changed  # type: ignore[return-value]  # each branch replaces fields of the event it was given


def _dated(samples: tuple[Sample, ...], zone: ZoneInfo) -> tuple[Sample, ...]:
    return tuple(replace(sample, reported_utc_ms=_utc(sample.reported_utc_ms, zone)) for sample in samples)


def _utc(local_ms: UtcMillis | None, zone: ZoneInfo) -> UtcMillis | None:
    """The moment whose local time was written down as UTC. Dates that no calendar has stay as they are."""
    if local_ms is None or not _FIRST_MS <= local_ms <= _LAST_MS:
        return local_ms
    local = datetime.fromtimestamp(local_ms // 1000, UTC).replace(tzinfo=zone)
    return local_ms - round((local.utcoffset() or timedelta()).total_seconds()) * 1000


def _token(token: IdToken | None, quirks: Quirks) -> IdToken | None:
    return reversed_uid(token) if token is not None and quirks.has_reversed_uid else token


def _scaled(energy_wh: WattHours | None, quirks: Quirks) -> WattHours | None:
    return None if energy_wh is None else energy_wh * quirks.energy_scale_permille // _PERMILLE


def _samples(samples: tuple[Sample, ...], quirks: Quirks) -> tuple[Sample, ...]:
    return tuple(
        replace(
            sample,
            energy_wh=_scaled(sample.energy_wh, quirks),
            current_ma=sample.current_ma if quirks.has_currents else None,
            current_single_ma=sample.current_single_ma if quirks.has_currents else None,
        )
        for sample in samples
    )
