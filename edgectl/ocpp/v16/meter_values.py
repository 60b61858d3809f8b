"""The sampled values of OCPP 1.6 (§7.33, §7.43)."""

from __future__ import annotations

from edgectl.domain.events import Sample
from edgectl.ocpp import meter_values
from edgectl.ocpp.samples import DEFAULT_MEASURAND, SampleBuilder


def read_samples(elements: object) -> tuple[Sample, ...]:
    """One sample per timestamp and context, in the order received. Nothing raises: what is bad is named in ``dropped``."""
    return meter_values.read_samples(elements, _add)


def _add(builder: SampleBuilder, sampled: object) -> None:
    if not isinstance(sampled, dict):
        builder.drop("a sampledValue is not an object")
        return
    value = sampled.get("value")
    if sampled.get("format") == "SignedData":
        if isinstance(value, str):
            builder.sign(value)
        else:
            builder.drop("signed value is not a text")
        return
    measurand, phase, unit = sampled.get("measurand"), sampled.get("phase"), sampled.get("unit")
    builder.add(
        measurand if isinstance(measurand, str) and measurand else DEFAULT_MEASURAND,
        phase if isinstance(phase, str) else None,
        unit if isinstance(unit, str) else None,
        value,
    )
