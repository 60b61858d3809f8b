"""The fewest reads within a model's rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edgectl.meters.catalogue import Block, MeterModel

CONTROL = ("u", "i", "p")
"""What load management needs, together and each time."""
SLOW = ("p_tot", "f", "e_imp", "e_exp")
"""What people and bills need, less often."""


def control_blocks(model: MeterModel) -> tuple[Block, ...]:
    """Reads that bring volts, amps and watts of all phases."""
    return _blocks(model, CONTROL)


def slow_blocks(model: MeterModel) -> tuple[Block, ...]:
    """Reads for totals, frequency and energy."""
    return _blocks(model, SLOW)


def _blocks(model: MeterModel, quantities: Iterable[str]) -> tuple[Block, ...]:
    spans = sorted(
        (address, address + point.width)
        for quantity in quantities
        if (point := model.points.get(quantity)) is not None
        for address in point.addresses
    )
    if not spans:
        return ()
    rules = model.rules
    for block in model.proven_blocks:
        # A block known to work in the field may cross registers nobody documents.
        if block.count <= rules.max_registers and block.address <= spans[0][0] and spans[-1][1] <= block.address + block.count:
            return (block,)
    merged: list[list[int]] = []
    for start, end in spans:
        last = merged[-1] if merged else None
        is_single = start in rules.singles or (last is not None and last[0] in rules.singles)
        if last is not None and start <= last[1] and end - last[0] <= rules.max_registers and not is_single:
            last[1] = max(last[1], end)
        else:
            merged.append([start, end])
    return tuple(_even(start, end) if rules.has_pairs else Block(start, end - start) for start, end in merged)


def _even(start: int, end: int) -> Block:
    start -= start % 2
    return Block(start, (end - start + 1) // 2 * 2)
