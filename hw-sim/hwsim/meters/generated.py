"""A simulated meter from a catalogue entry alone: its registers, its rules, its identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgectl.meters.catalogue import MeterModel
from hwsim.meters.device import Device, Strictness, strict
from hwsim.meters.registers import Truth, in_words, registers_of

SERIAL_NUMBER = 12_345_678
COMMON_MODEL_LENGTH = 66
"""SunSpec's model 1, which every device begins with."""


def device_of(
    model: MeterModel,
    truth: Callable[[], Truth],
    *,
    seconds: Callable[[], float] = lambda: 0.0,
    sunspec_id: int | None = None,
    base: int = 40_000,
    has_trial_areas: bool = True,
    spoil: Callable[[dict[int, int]], None] | None = None,
) -> Device:
    """A unit of that model. ``spoil`` may change what its registers hold; ``sunspec_id`` and ``base`` are for SunSpec devices."""
    chain = model.chain
    laid_out, around = model, identity_of(model)
    if chain is not None:
        model_id = sunspec_id or next(one for one in chain.layouts if one % 10 == 3)
        layout = chain.layouts[model_id]
        length = layout.areas[0].block.count - 2
        start = chain.at if chain.at is not None else base + 4 + COMMON_MODEL_LENGTH
        laid_out = layout.moved(start, model_id, length)
        if chain.at is None:
            around = {**around, **_around(base, start, length)}

    def source() -> dict[int, int]:
        contents = {**around, **registers_of(laid_out, truth(), seconds())}
        if spoil is not None:
            spoil(contents)
        return contents

    return Device(source, strictness=_with(strict(laid_out, has_trial_areas=has_trial_areas), around))


def _with(strictness: Strictness, around: dict[int, int]) -> Strictness:
    return replace(strictness, holes=(strictness.holes or frozenset()) | frozenset(around), loose=frozenset(around))


def _around(base: int, start: int, length: int) -> dict[int, int]:
    """Marker, common model, end of the chain."""
    contents = {base: 0x5375, base + 1: 0x6E53, base + 2: 1, base + 3: COMMON_MODEL_LENGTH}
    contents.update(dict.fromkeys(range(base + 4, base + 4 + COMMON_MODEL_LENGTH), 0x4142))
    contents.update({start + length + 2: 0xFFFF, start + length + 3: 0})
    return contents


def identity_of(model: MeterModel) -> dict[int, int]:
    """What the identifying reads of the entry find."""
    contents: dict[int, int] = {}
    for probe in model.detect:
        if probe.is_serial:
            words = in_words(SERIAL_NUMBER.to_bytes(2 * probe.count))
        elif probe.values:
            words = in_words(probe.values[0].to_bytes(2 * probe.count))
        else:
            words = in_words((model.name.encode() + b" " * 250)[: 2 * probe.count])
        contents.update({probe.address + offset: word for offset, word in enumerate(words)})
    return contents
