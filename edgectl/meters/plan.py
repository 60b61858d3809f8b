"""The fewest reads within a model's rules, and other ways to read the same. Pure.

Other ways matter on a line without transaction numbers: a late or repeated answer is told from the one waited for by its length
alone, so consecutive reads of a meter are made to differ in length (victronenergy/dbus-cgwacs does the same).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from edgectl.meters.catalogue import Block, MeterModel, Point

CONTROL = ("u", "i", "p", "p_imp", "p_exp")
"""What load management needs, together and each time."""
SLOW = ("p_tot", "p_tot_imp", "p_tot_exp", "f", "e_imp", "e_exp")
"""What people and bills need, less often."""
POWER = frozenset({"p", "p_imp", "p_exp"})
TOTAL = ("p_tot", "p_tot_imp", "p_tot_exp")
SLOW_HOLE_MAX = 20
"""Registers worth carrying along to save a read: 20 of them take as long at 9600 baud as the request and delay of another."""
WIDENED_MAX = 6
"""Other lengths offered for one block: more than are ever waited for at a time."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What a device has shown of itself so far."""

    refused_areas: frozenset[Block] = frozenset()
    refused_points: frozenset[str] = frozenset()
    max_registers: int | None = None


NOTHING_KNOWN = Known()


def control_blocks(model: MeterModel, known: Known = NOTHING_KNOWN) -> tuple[Block, ...]:
    """Reads that bring volts, amps and watts of all phases, amps and watts of a phase in one read wherever the rules allow it."""
    quantities = CONTROL if POWER & model.points.keys() else (*CONTROL, *TOTAL)
    spans = list(_spans(model, quantities, known))
    if model.heartbeat is not None:
        spans.append(_span(model.heartbeat.point, 0))
    spans += [(address, address + 1) for address in model.marks]
    layout = _Layout(model, known)
    return layout.rounded(layout.paired(layout.merged(spans, hole_max=None)))


def slow_blocks(model: MeterModel, known: Known = NOTHING_KNOWN) -> tuple[Block, ...]:
    """Reads for totals, frequency and energy."""
    layout = _Layout(model, known)
    return layout.rounded(layout.merged(list(_spans(model, SLOW, known)), hole_max=SLOW_HOLE_MAX))


def ways(block: Block, model: MeterModel, known: Known = NOTHING_KNOWN) -> tuple[tuple[Block, ...], ...]:
    """The block itself first, then reads of other lengths that bring the same registers, cheapest first."""
    layout = _Layout(model, known)
    return ((block,), *layout.widened(block), *layout.split(block))


def pairs(model: MeterModel) -> tuple[tuple[Span, ...], ...]:
    """The amps and watts of each phase: what must come of one read, for the current to have its direction."""
    amps = model.points.get("i")
    watts = [model.points[quantity] for quantity in sorted(POWER) if quantity in model.points]
    if amps is None or not watts:
        return ()
    count = min(len(point.addresses) for point in (amps, *watts))
    return tuple(tuple(_span(point, index) for point in (amps, *watts)) for index in range(count))


def areas_of(block: Block, model: MeterModel) -> Iterator[Block]:
    """Areas on trial that the block makes use of."""
    for area in model.areas:
        if not area.is_proven and area.block.address <= block.address and block.end <= area.block.end:
            yield area.block


class _Layout:
    """A model's rules, and what it has refused, in the form that planning needs."""

    def __init__(self, model: MeterModel, known: Known) -> None:
        self.model = model
        self.rules = model.rules
        self.max_registers = min(self.rules.max_registers, known.max_registers or self.rules.max_registers)
        self.values = sorted({_span(point, index) for point in model.points.values() for index in range(len(point.addresses))})
        self.readable = {address for start, end in self.values for address in range(start, end)}
        for area in model.areas:
            if area.block not in known.refused_areas:
                self.readable.update(range(area.block.address, area.block.end))

    def is_allowed(self, start: int, end: int) -> bool:
        if end - start > self.max_registers or start < 0:
            return False
        addresses = range(start, end)
        return self.readable.issuperset(addresses) and self.rules.singles.isdisjoint(addresses)

    def merged(self, spans: list[Span], hole_max: int | None) -> list[Span]:
        found: list[Span] = []
        for start, end in sorted(spans):
            if found:
                first, last = found[-1]
                is_near = hole_max is None or start - last <= hole_max
                if is_near and self.is_allowed(first, max(last, end)):
                    found[-1] = (first, max(last, end))
                    continue
            found.append((start, end))
        return found

    def pairs(self) -> list[Span]:
        """From the first to the last register of each pair."""
        return [(min(start for start, _ in pair), max(end for _, end in pair)) for pair in pairs(self.model)]

    def paired(self, spans: list[Span]) -> list[Span]:
        """Stretch blocks so that the direction of a current comes with the current."""
        for start, end in self.pairs():
            if any(first <= start and end <= last for first, last in spans):
                continue
            for number, (first, last) in enumerate(spans):
                if first <= end - 1 < last and self.is_allowed(min(first, start), max(last, end)):
                    spans[number] = (min(first, start), max(last, end))
                    break
        return spans

    def rounded(self, spans: list[Span]) -> tuple[Block, ...]:
        if not self.rules.has_pairs:
            return tuple(Block(start, end - start) for start, end in spans)
        even = [(start - start % 2, end + end % 2) for start, end in spans]
        return tuple(Block(start, end - start) for start, end in even)

    def widened(self, block: Block) -> Iterator[tuple[Block, ...]]:
        """A value more at the end, or at the beginning, and so on."""
        step = (
            2 if self.rules.has_pairs else next((p.width for p in self.model.points.values() if block.address in p.addresses), 1)
        )
        for number in range(1, WIDENED_MAX + 1):
            for start, end in ((block.address, block.end + number * step), (block.address - number * step, block.end)):
                if self.is_allowed(start, end) and not (self.rules.is_whole and self.cuts(start, end)):
                    yield (Block(start, end - start),)

    def cuts(self, start: int, end: int) -> bool:
        """Whether a read would begin or end inside a value."""
        return any(first < start < last or first < end < last for first, last in self.values)

    def split(self, block: Block) -> Iterator[tuple[Block, ...]]:
        """In two reads, where that tears neither a value nor a pair."""
        inside = [(start, end) for start, end in self.values if block.address <= start and end <= block.end]
        kept = [pair for pair in self.pairs() if block.address <= pair[0] and pair[1] <= block.end]
        for (_, first_end), (second_start, _) in pairwise(inside):
            if first_end > second_start or any(start < first_end and second_start < end for start, end in kept):
                continue
            parts = self.rounded([(block.address, first_end), (second_start, block.end)])
            if parts[0].count != parts[1].count:
                yield parts


def _spans(model: MeterModel, quantities: Iterable[str], known: Known) -> Iterator[Span]:
    for quantity in quantities:
        point = model.points.get(quantity)
        if point is not None and quantity not in known.refused_points:
            for index in range(len(point.addresses)):
                yield _span(point, index)


def _span(point: Point, index: int) -> Span:
    """The registers of one value, with its scale factor."""
    start = point.addresses[index]
    end = start + point.width
    if point.factor_address is None:
        return start, end
    return min(start, point.factor_address), max(end, point.factor_address + 1)
