"""Counters from one value to the next, and meters made of others."""

from __future__ import annotations

import pytest

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import Phases
from edgectl.domain.settings import VirtualKind, VirtualMeter
from edgectl.meters.energy import Counter
from edgectl.meters.virtual import VirtualReader

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("last_wh", "now_wh", "event"),
    [
        (1_000, 1_000, ""),
        (1_000, 90_000, ""),
        (1_000, 999, ""),
        ((1 << 32) - 500, 400, "rollover"),
        (99_999_900, 300, "rollover"),
        (5_000_000, 20, "reset"),
        (1_000, 9_000_000, "energy-jump"),
        (5_000_000, 3_000_000, "energy-jump"),
    ],
)
def test_a_counter_goes_on_starts_again_or_is_doubted(last_wh: int, now_wh: int, event: str) -> None:
    counter = Counter(1, 100_000.0, last_wh, 0)
    assert counter.note(now_wh, HOUR_MS) == event


def test_a_jump_that_stays_is_another_counter() -> None:
    counter = Counter(1, 100_000.0, 1_000, 0)
    assert counter.note(9_000_000, 1_000) == "energy-jump"
    assert counter.note(9_000_001, 2_000) == "reset"
    assert counter.note(9_000_002, 3_000) == ""


A, B, V = MeterId("a"), MeterId("b"), MeterId("v")


def reading(meter: MeterId, amps: int, mono_ms: int, energy_wh: int = 0) -> MeterReading:
    return MeterReading(
        meter,
        mono_ms,
        Quality.GOOD,
        current_ma=Phases.uniform(1_000 * amps),
        power_w=Phases.uniform(230 * amps),
        power_total_w=690 * amps,
        energy_import_wh=energy_wh,
        energy_export_wh=0,
        energy_mono_ms=mono_ms - 10,
    )


def test_a_sum_is_as_old_as_its_oldest_part() -> None:
    virtual = VirtualReader(VirtualMeter(V, VirtualKind.SUM, (A, B)))
    virtual.read(reading(A, 10, 1_000, 5))
    found = virtual.read(reading(B, 7, 1_900, 6))
    assert found is not None
    assert (found.meter, found.completed_mono_ms, found.current_ma) == (V, 1_000, Phases.uniform(17_000))
    assert (found.power_total_w, found.energy_import_wh, found.energy_mono_ms) == (11_730, 11, 990)


def test_a_difference_has_no_energy() -> None:
    virtual = VirtualReader(VirtualMeter(V, VirtualKind.DIFFERENCE, (A, B)))
    virtual.read(reading(A, 10, 1_000))
    found = virtual.read(reading(B, 7, 1_900))
    assert found is not None
    assert (found.current_ma, found.energy_import_wh) == (Phases.uniform(3_000), None)


def test_a_part_without_a_value_leaves_none_and_is_named() -> None:
    virtual = VirtualReader(VirtualMeter(V, VirtualKind.SUM, (A, B)))
    first = virtual.read(reading(A, 10, 1_000))
    assert first is not None
    assert (first.quality, first.reason) == (Quality.NO_VALUE, "b: not read yet")
    found = virtual.read(MeterReading(B, 2_000, Quality.NO_VALUE, reason="timeout"))
    assert found is not None
    assert (found.quality, found.reason, found.current_ma) == (Quality.NO_VALUE, "b: timeout", None)
    assert virtual.read(reading(MeterId("c"), 1, 1)) is None
