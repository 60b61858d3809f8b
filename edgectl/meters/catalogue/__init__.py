"""What is known of each meter model: registers, block rules, no-value patterns, and where that knowledge comes from.

One file per entry in ``models/``; entries that share a register layout name one in ``layouts/``; ``names.yaml`` maps what is
printed on a meter to its entry. Addresses are those of the request on the wire, counted from 0; ``scale`` leads to volts, amps,
watts, hertz and watt-hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

MAX_REGISTERS = 60
"""Per read, for a device that says nothing; Modbus allows 125, and some firmware does not."""
WIDTHS = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4, "s64": 4, "f64": 4}
"""Registers of each value type."""


class CatalogueError(ValueError):
    """A model cannot be used; the words name the file, what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One quantity: one address, or three for L1, L2, L3."""

    addresses: tuple[int, ...]
    kind: str
    """A key of ``WIDTHS``."""
    is_low_word_first: bool
    scale: float

    @property
    def width(self) -> int:
        return WIDTHS[self.kind]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the device wants to be read."""

    max_registers: int = MAX_REGISTERS
    has_pairs: bool = False
    """Start and count must be even."""
    singles: frozenset[int] = frozenset()
    """Addresses that must be read alone."""
    gap_ms: int = 0
    """Silence it needs after an answer."""


@dataclass(frozen=True, slots=True)
class Block:
    """A read that is known to work, even across registers nobody documents."""

    address: int
    count: int


@dataclass(frozen=True, slots=True)
class MeterModel:
    name: str
    function: int
    """3 (holding registers) or 4 (input registers)."""
    points: dict[str, Point] = field(hash=False)
    """``u`` volts, ``i`` amps, ``p`` watts per phase; ``p_tot``, ``f``, ``e_imp``, ``e_exp``."""
    has_signed_current: bool
    no_value: frozenset[str]
    """``nan``, ``ones``, ``smax``, ``smin``: raw patterns that mean "no value"."""
    rules: Rules
    proven_blocks: tuple[Block, ...]
    phase_count: int
    confidence: str
    conflicts: tuple[str, ...]
    sources: tuple[str, ...]


def model_names() -> frozenset[str]:
    """Every name ``meters.*.model`` may have."""
    return frozenset(entry_names()) | frozenset(_aliases())


@cache
def model(name: str) -> MeterModel:
    """The model of that name.

    Raises:
        CatalogueError: there is none, or it cannot be read yet.
    """
    entry = _aliases().get(name, name)
    if entry not in entry_names():
        raise CatalogueError(f"no meter model is called {name!r}")
    return _build(name, _load(_folder() / "models" / f"{entry}.yaml"), f"catalogue entry {entry}")


def load_model_file(path: Path) -> MeterModel:
    """A model of the user's own (``file:``), in the format of the entries here.

    Raises:
        CatalogueError: it cannot be read or understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    return _build(path.stem, _parse(text, str(path)), str(path))


def _folder() -> Any:
    return resources.files("edgectl.meters.catalogue")


@cache
def entry_names() -> frozenset[str]:
    """The entries themselves, without the other names their meters go by."""
    return frozenset(f.name.removesuffix(".yaml") for f in (_folder() / "models").iterdir() if f.name.endswith(".yaml"))


@cache
def _aliases() -> dict[str, str]:
    return {str(name): str(entry) for name, entry in _load(_folder() / "names.yaml").items()}


def _load(file: Any) -> dict[str, Any]:
    return _parse(file.read_text(encoding="utf-8"), file.name)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise CatalogueError(f"{where}: not YAML: {error}") from error
    if not isinstance(found, dict):
        raise CatalogueError(f"{where}: a mapping of keys is needed")
    return found


def _build(name: str, entry: dict[str, Any], where: str) -> MeterModel:
    layout: dict[str, Any] = {}
    if "layout" in entry:
        file = _folder() / "layouts" / f"{entry['layout']}.yaml"
        if not file.is_file():
            raise CatalogueError(f"{where}: layout {entry['layout']!r} does not exist")
        layout = _load(file)
    merged = {**layout, **entry}
    if "sunspec" in entry or merged.get("split_direction"):
        raise CatalogueError(f"{where}: this meter needs a way of reading that edgectl does not have yet")
    try:
        points = {
            quantity: _point(value, merged)
            for quantity, value in {**layout.get("points", {}), **entry.get("points", {})}.items()
            if value.get("type", merged.get("type")) in WIDTHS
        }
        limits = {**layout.get("limits", {}), **entry.get("limits", {})}
        blocks = [merged[key] for key in ("fast_block", "second_block") if key in merged]
        return MeterModel(
            name=name,
            function=int((merged.get("fc") or [3])[0]),
            points=points,
            has_signed_current=merged.get("sign", {}).get("i") == "signed",
            no_value=frozenset(entry.get("invalid", layout.get("invalid", ["nan"]))),
            rules=Rules(
                max_registers=int(limits.get("max_regs", MAX_REGISTERS)),
                has_pairs=bool(limits.get("pairs", False)),
                singles=frozenset(int(address) for address in limits.get("single", ())),
                gap_ms=int(limits.get("gap_ms", 0)),
            ),
            proven_blocks=tuple(
                Block(int(b["at"]), int(b["regs"])) for b in blocks if "proven" in b or not b.get("holes", False)
            ),
            phase_count=int(entry.get("phases", 3)) if str(entry.get("phases", 3)).isdigit() else 3,
            confidence=str(entry.get("confidence", "user")),
            conflicts=tuple(map(str, entry.get("conflicts", ()))),
            sources=tuple(map(str, entry.get("sources", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogueError(f"{where}: {type(error).__name__}: {error}") from error


def _point(value: dict[str, Any], defaults: dict[str, Any]) -> Point:
    at = value["at"]
    words = value.get("words", defaults.get("words", "be"))
    if words not in {"be", "le"}:
        raise ValueError(f"words is {words!r}; be or le")
    return Point(
        addresses=tuple(int(address) for address in at) if isinstance(at, list) else (int(at),),
        kind=str(value.get("type", defaults.get("type"))),
        is_low_word_first=words == "le",
        scale=float(value.get("scale", 1)),
    )
