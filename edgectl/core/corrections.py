"""What a charger says, read as it means it: the quirks that concern values, applied once, before anybody else looks.

The frame as received is kept beside billable records, so nothing is lost by this.
"""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TypeVar

from edgectl.domain.events import (
    Event,
    MeterValuesReported,
    Sample,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import IdToken
from edgectl.domain.quirks import Quirks
from edgectl.domain.units import WattHours

_EventT = TypeVar("_EventT", bound=Event)
_PERMILLE = 1_000


def corrected(event: _EventT, quirks: Quirks) -> _EventT:
    """The same event with registers in watt-hours, without currents that do not flow, with the uid as printed on the card."""
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
    return quirks.energy_scale_permille != _PERMILLE or not quirks.has_currents or quirks.has_reversed_uid


def reversed_uid(token: IdToken) -> IdToken:
    """The uid with its bytes in the opposite order; a token that is no row of hexadecimal bytes stays as it is."""
    text = token.strip()
    if len(text) % 2 or not text or not set(text) <= set(string.hexdigits):
        return token
    return IdToken("".join(text[place : place + 2] for place in range(len(text) - 2, -1, -2)))


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
