"""``meterValue`` arrays of any version to samples: their shape is shared, the meaning of one sampled value is the version's."""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.events import Sample
from edgectl.ocpp.samples import SampleBuilder
from edgectl.ocpp.timestamps import read_timestamp

_CONTEXTS = {
    "Sample.Periodic": "periodic",
    "Sample.Clock": "clock",
    "Transaction.Begin": "begin",
    "Transaction.End": "end",
    "Interruption.Begin": "interruption-begin",
    "Interruption.End": "interruption-end",
    "Trigger": "trigger",
    "Other": "other",
}
_ELEMENTS_MAX = 2_000
"""Meter values read from one message. A night of 30 s samples at the end of a transaction is 1,440."""
_VALUES_MAX = 4_000
"""Single values read from one message, so that one message cannot hold the loop; the rest is counted as dropped."""


def read_samples(meter_values: object, add: Callable[[SampleBuilder, object], None]) -> tuple[Sample, ...]:
    """One sample per timestamp and context, in the order received. Nothing raises: what is bad is named in ``dropped``.

    ``add`` reads one sampled value, whatever it is, into the builder.
    """
    if meter_values is None:
        return ()
    if isinstance(meter_values, dict):
        meter_values = [meter_values]  # some firmware sends the one element without its array
    if not isinstance(meter_values, list):
        return (Sample(dropped=("meterValue is not an array",)),)
    samples: list[Sample] = []
    values_left = _VALUES_MAX
    for element in meter_values[:_ELEMENTS_MAX]:
        if not isinstance(element, dict):
            samples.append(Sample(dropped=("a meterValue is not an object",)))
            continue
        sampled = element.get("sampledValue", [])
        if isinstance(sampled, dict):
            sampled = [sampled]
        samples += _read_element(element.get("timestamp"), sampled, values_left, add)
        values_left -= len(sampled) if isinstance(sampled, list) else 0
        if values_left <= 0:
            break
    if len(meter_values) > _ELEMENTS_MAX or values_left < 0:
        samples.append(Sample(dropped=(f"more values than {_VALUES_MAX} in one message",)))
    return tuple(samples)


def _read_element(
    timestamp: object, sampled: object, values_left: int, add: Callable[[SampleBuilder, object], None]
) -> list[Sample]:
    reported_utc_ms = read_timestamp(timestamp)
    builders: dict[str, SampleBuilder] = {}
    first_complaint = None
    if timestamp is not None and reported_utc_ms is None:
        first_complaint = "timestamp"
    if not isinstance(sampled, list):
        first_complaint, sampled = "sampledValue is not an array", []
    builder: SampleBuilder | None = None
    last_context: object = None
    for value in sampled[:values_left]:
        raw_context = value.get("context") if isinstance(value, dict) else None
        if builder is not None and raw_context == last_context:
            add(builder, value)
            continue
        last_context = raw_context
        context = _CONTEXTS.get(raw_context, raw_context[:30]) if isinstance(raw_context, str) else "periodic"
        # One element may carry the first and the last value of a transaction; they are two samples.
        builder = builders.get(context)
        if builder is None:
            builder = builders[context] = SampleBuilder(reported_utc_ms, context)
        add(builder, value)
    if first_complaint:
        builders.setdefault("periodic", SampleBuilder(reported_utc_ms, "periodic")).drop(first_complaint)
    return [builder.build() for builder in builders.values()]


def quarantine(complaints: list[str]) -> tuple[Sample, ...]:
    """Bad fields of the message itself ride as a sample without values."""
    return (Sample(context="message", dropped=tuple(complaints)),) if complaints else ()
