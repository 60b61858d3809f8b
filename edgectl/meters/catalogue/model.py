"""What the code knows of a meter model, once its entry is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

MAX_REGISTERS = 60
"""Per read, for a device that says nothing; Modbus allows 125, and some firmware does not."""
REPLY_MAX_MS = 500
"""The longest answer time of a device that says nothing: what makers who say something allow themselves (meters.md, 1)."""
WIDTHS = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4, "s64": 4, "f64": 4}
"""Registers of each value type."""


class CatalogueError(ValueError):
    """A model cannot be used; the words name the file, what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One quantity: one address, or one for each phase of the meter."""

    addresses: tuple[int, ...]
    kind: str
    """A key of ``WIDTHS``."""
    is_low_word_first: bool
    scale: float
    factor_address: int | None = None
    """A register with a power of ten beside ``scale`` (SunSpec's scale factor, s16)."""
    is_accumulator: bool = False
    """A SunSpec accumulator: 0 means "not counted"."""
    is_optional: bool = False
    """Some variants of the meter refuse it."""

    @property
    def width(self) -> int:
        return WIDTHS[self.kind]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the device wants to be read."""

    max_registers: int = MAX_REGISTERS
    fallback_registers: int | None = None
    """Per read, on firmware that refuses more."""
    has_pairs: bool = False
    """Start and count must be even."""
    is_whole: bool = False
    """A read that begins or ends inside a value is refused."""
    singles: frozenset[int] = frozenset()
    """Addresses that must be read alone."""
    gap_ms: int = 0
    """Silence it needs between an answer and its next request."""
    reply_max_ms: int = REPLY_MAX_MS
    """The longest it may take for an answer."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of registers, read in one go."""

    address: int
    count: int

    @property
    def end(self) -> int:
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Area:
    """Registers that may be read across, although not all of them are listed."""

    block: Block
    is_proven: bool
    """Somebody reads it in the field; otherwise it is tried, and given up when refused."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One plain read that tells something about the device: which it is, its serial number, how it is set up."""

    function: int
    address: int
    count: int
    kind: str
    """A key of ``WIDTHS``, ``str``, or empty for bare registers."""
    name: str
    values: tuple[int, ...] = ()
    """What the model answers; empty when any value will do."""
    is_range: bool = False
    """``values`` are the first and the last of a range."""
    is_serial: bool = False

    def fits(self, words: tuple[int, ...]) -> bool:
        """Whether the answer is one this model gives."""
        value = 0
        for word in words:
            value = value << 16 | word
        if self.is_range:
            return self.values[0] <= value <= self.values[1]
        return not self.values or value in self.values


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A register that changes while the values are fresh."""

    point: Point
    within_ms: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A SunSpec device: its block is found by walking from a marker, or lies where the entry says."""

    bases: tuple[int, ...]
    at: int | None
    layouts: dict[int, MeterModel] = field(hash=False)
    """The layout of each SunSpec model id that is a meter, its addresses counted from the id word."""


@dataclass(frozen=True, slots=True)
class MeterModel:
    name: str
    function: int
    """3 (holding registers) or 4 (input registers)."""
    points: dict[str, Point] = field(hash=False)
    """``u`` volts, ``i`` amps, ``p`` watts per phase (``p_imp`` and ``p_exp`` where the meter keeps directions apart); ``p_tot``,
    ``f``, ``e_imp``, ``e_exp``."""
    has_signed_current: bool
    no_value: frozenset[str]
    """``nan``, ``ones``, ``smax``, ``smin``: raw patterns that mean "no value"."""
    rules: Rules
    areas: tuple[Area, ...]
    phase_count: int
    confidence: str
    conflicts: tuple[str, ...]
    sources: tuple[str, ...]
    detect: tuple[Probe, ...] = ()
    """Reads that tell this model from others, best first."""
    heartbeat: Heartbeat | None = None
    has_doubtful_word_order: bool = False
    """Firmware differs in word order; volts tell."""
    has_doubtful_kilo: bool = False
    """Watts or kilowatts, by firmware; volts and amps tell."""
    chain: Chain | None = field(default=None, hash=False)
    marks: dict[int, int] = field(default_factory=dict, hash=False)
    """Registers that must hold just this, or the layout is not where it was found."""

    @property
    def has_phase_currents(self) -> bool:
        """Without them a meter may inform, but never guard a conductor."""
        return "i" in self.points

    @property
    def serial_probe(self) -> Probe | None:
        return next((probe for probe in self.detect if probe.is_serial), None)

    def moved(self, base: int, model_id: int, length: int) -> MeterModel:
        """A SunSpec layout where it was found."""

        def shifted(point: Point) -> Point:
            factor = None if point.factor_address is None else point.factor_address + base
            return replace(point, addresses=tuple(a + base for a in point.addresses), factor_address=factor)

        return replace(
            self,
            points={quantity: shifted(point) for quantity, point in self.points.items()},
            areas=(Area(Block(base, length + 2), is_proven=True),),
            marks={base: model_id, base + 1: length},
        )

    def without(self, *quantities: str) -> MeterModel:
        return replace(self, points={name: point for name, point in self.points.items() if name not in quantities})
