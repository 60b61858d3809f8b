"""The sampled values of OCPP 2 (2.0.1 Part 2, SampledValueType)."""

from __future__ import annotations

import json
from typing import Any

from edgectl.domain.events import Sample
from edgectl.domain.units import WattHours
from edgectl.ocpp import meter_values
from edgectl.ocpp.fields import whole_of
from edgectl.ocpp.samples import DEFAULT_MEASURAND, SampleBuilder

_MULTIPLIER_MAX = 12
"""Decimal exponents beyond tera and pico are a fault of the station, and ten to the power of anything is work."""
_UPSTREAM = "Upstream"
"""OCPP 2.1: another meter altogether, on the way to the station."""
_INLET = "Inlet"
"""Before the station's own consumption; what the vehicle got is measured at the outlet (the default)."""


def read_samples(elements: object) -> tuple[Sample, ...]:
    """One sample per timestamp and context, in the order received. Nothing raises: what is bad is named in ``dropped``."""
    return meter_values.read_samples(elements, _add)


def register_at_start(samples: tuple[Sample, ...]) -> WattHours | None:
    """The import register as the transaction began: what is marked so, otherwise the first value."""
    return _register(samples, "begin")


def register_at_end(samples: tuple[Sample, ...]) -> WattHours | None:
    """The import register as the transaction ended: what is marked so, otherwise the last value."""
    return _register(tuple(reversed(samples)), "end")


def _register(samples: tuple[Sample, ...], context: str) -> WattHours | None:
    known = [sample for sample in samples if sample.energy_wh is not None]
    marked = [sample for sample in known if sample.context == context]
    return next((sample.energy_wh for sample in marked + known), None)


def _add(builder: SampleBuilder, sampled: object) -> None:
    if not isinstance(sampled, dict):
        builder.drop("a sampledValue is not an object")
        return
    if sampled.get("signedMeterValue") is not None:
        _sign(builder, sampled["signedMeterValue"])
    measurand, phase = sampled.get("measurand"), sampled.get("phase")
    measurand = measurand if isinstance(measurand, str) and measurand else DEFAULT_MEASURAND
    location = sampled.get("location")
    if location == _UPSTREAM:
        return
    if location == _INLET:
        builder = builder.elsewhere()
    unit, multiplier = _unit(sampled)
    if multiplier is None:
        builder.drop(f"multiplier of {measurand[:50]}")
        return
    builder.add(measurand, phase if isinstance(phase, str) else None, unit, sampled.get("value"), multiplier)


def _sign(builder: SampleBuilder, signed: object) -> None:
    """Keep a signed value whole: the data means nothing without its method, encoding and key.

    It is written as JSON again, key for key in the order received, so the texts in it come back byte for byte.
    """
    if isinstance(signed, dict) and isinstance(signed.get("signedMeterData"), str):
        builder.sign(json.dumps(signed, separators=(",", ":"), ensure_ascii=False))
    elif isinstance(signed, str) and signed:
        builder.sign(signed)
    else:
        builder.drop("signedMeterValue has no data")


def _unit(sampled: dict[str, Any]) -> tuple[str | None, int | None]:
    """The unit and its decimal exponent, which is None when it cannot be used.

    Some stations write the unit beside the value, as in OCPP 1.6.
    """
    described = sampled.get("unitOfMeasure", sampled.get("unit"))
    if not isinstance(described, dict):
        return (described if isinstance(described, str) else None), 0
    unit, raw = described.get("unit"), described.get("multiplier", 0)
    if raw == 0 and type(raw) is int:  # as nearly all are
        return (unit if isinstance(unit, str) else None), 0
    multiplier = whole_of(raw)
    is_usable = multiplier is not None and abs(multiplier) <= _MULTIPLIER_MAX
    return (unit if isinstance(unit, str) else None), (multiplier if is_usable else None)
