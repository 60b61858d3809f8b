"""From the catalogue's files, or a user's own, to a ``MeterModel``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import fastjsonschema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edgectl.meters.catalogue.model import (
    MAX_REGISTERS,
    REPLY_MAX_MS,
    WIDTHS,
    Area,
    Block,
    CatalogueError,
    Chain,
    Heartbeat,
    MeterModel,
    Point,
    Probe,
    Rules,
)

Entry = dict[str, Any]
AREAS = ("fast_block", "second_block", "full_block")
SUNSPEC_BASES = (40_000, 50_000, 0)


def model_names() -> frozenset[str]:
    """Every name ``meters.*.model`` may have."""
    return entry_names() | frozenset(_aliases())


@cache
def entry_names() -> frozenset[str]:
    """The entries themselves, without the other names their meters go by."""
    return frozenset(f.name.removesuffix(".yaml") for f in (_folder() / "models").iterdir() if f.name.endswith(".yaml"))


def entry_of(name: str) -> str:
    """The entry behind a name.

    Raises:
        CatalogueError: there is none.
    """
    entry = _aliases().get(name, name)
    if entry not in entry_names():
        raise CatalogueError(f"no meter model is called {name!r}")
    return entry


@cache
def model(name: str) -> MeterModel:
    """The model of that name.

    Raises:
        CatalogueError: there is none.
    """
    entry = entry_of(name)
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
def _aliases() -> dict[str, str]:
    return {str(name): str(entry) for name, entry in _load(_folder() / "names.yaml").items()}


@cache
def _validator() -> Callable[[Entry], Entry]:
    schema = json.loads((_folder() / "entry.schema.json").read_text(encoding="utf-8"))
    compiled: Callable[[Entry], Entry] = fastjsonschema.compile(schema, use_default=False)
    return compiled


def _load(file: Any) -> Entry:
    return _parse(file.read_text(encoding="utf-8"), file.name)


def _parse(text: str, where: str) -> Entry:
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise CatalogueError(f"{where}: not YAML: {error}") from error
    if not isinstance(found, dict):
        raise CatalogueError(f"{where}: a mapping of keys is needed")
    return found


def _validate(entry: Entry, where: str) -> None:
    try:
        _validator()(entry)
    except fastjsonschema.JsonSchemaValueException as error:
        raise CatalogueError(f"{where}: {error.message.replace('data.', '', 1)}") from error


def _build(name: str, entry: Entry, where: str) -> MeterModel:
    _validate(entry, where)
    layout_names = entry.get("layout", [])
    layouts = [_layout(str(one), where) for one in (layout_names if isinstance(layout_names, list) else [layout_names])]
    if any("ids" in layout for layout in layouts):
        return _build_chain(name, entry, layouts, where)
    if len(layouts) > 1:
        raise CatalogueError(f"{where}: only SunSpec layouts can stand beside each other")
    return _build_one(name, entry, layouts[0] if layouts else {}, where)


def _layout(name: str, where: str) -> Entry:
    file = _folder() / "layouts" / f"{name}.yaml"
    if not name.replace("_", "").isalnum() or not file.is_file():
        known = sorted(f.name.removesuffix(".yaml") for f in (_folder() / "layouts").iterdir())
        raise CatalogueError(f"{where}: layout {name!r} does not exist; there are: {', '.join(known)}")
    layout = _load(file)
    _validate(layout, f"layout {name}")
    return layout


def _build_chain(name: str, entry: Entry, layouts: list[Entry], where: str) -> MeterModel:
    sunspec = entry.get("sunspec", {})
    by_id: dict[int, MeterModel] = {}
    for layout in layouts:
        built = _build_one(name, entry, layout, where)
        for model_id in layout.get("ids", ()):
            by_id[model_id] = _sunspec_variant(built, model_id)
    main = by_id[next(one for one in by_id if one % 10 == 3)]
    chain = Chain(tuple(sunspec.get("bases", SUNSPEC_BASES)), sunspec.get("at"), by_id)
    return replace(main, chain=chain)


def _sunspec_variant(built: MeterModel, model_id: int) -> MeterModel:
    """201 and 211 are single-phase; the delta meters 204 and 214 have no neutral, so neither volts nor watts of a phase."""
    last = model_id % 10
    if last == 4:
        return built.without("u", "p")
    count = {1: 1, 2: 2}.get(last, 3)
    points = {quantity: replace(point, addresses=point.addresses[:count]) for quantity, point in built.points.items()}
    return replace(built, points=points, phase_count=count)


def _build_one(name: str, entry: Entry, layout: Entry, where: str) -> MeterModel:
    merged = {**layout, **entry}
    try:
        points = {
            quantity: _point(value, merged) for quantity, value in {**layout.get("points", {}), **entry.get("points", {})}.items()
        }
        if not points:
            raise CatalogueError(f"{where}: no points; a `layout`, `points` or both are needed")
        areas = tuple(_area(merged[key]) for key in AREAS if key in merged)
        beat = merged.get("heartbeat")
        doubtful = merged.get("doubtful", ())
        return MeterModel(
            name=name,
            function=(merged.get("fc") or [3])[0],
            points=points,
            has_signed_current=merged.get("sign", {}).get("i") == "signed",
            no_value=frozenset(merged.get("invalid", ["nan"])),
            rules=_rules({**layout.get("limits", {}), **entry.get("limits", {})}, areas),
            areas=areas,
            phase_count=merged.get("phases", 3),
            confidence=entry.get("confidence", "user"),
            conflicts=tuple(entry.get("conflicts", ())),
            sources=tuple(entry.get("sources", ())),
            detect=tuple(_probe(probe) for probe in entry.get("detect", ())),
            heartbeat=None if beat is None else Heartbeat(_point(beat, merged), beat["within_ms"]),
            has_doubtful_word_order="word-order" in doubtful,
            has_doubtful_kilo="kilo" in doubtful,
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CatalogueError):
            raise
        raise CatalogueError(f"{where}: {error}") from error


def _point(value: Entry, defaults: Entry) -> Point:
    at = value["at"]
    kind = value.get("type", defaults.get("type"))
    if kind not in WIDTHS:
        raise ValueError(f"a point at {at} has no type; one of {', '.join(WIDTHS)}")
    return Point(
        addresses=tuple(at) if isinstance(at, list) else (at,),
        kind=kind,
        is_low_word_first=value.get("words", defaults.get("words", "be")) == "le",
        scale=float(value.get("scale", 1)),
        factor_address=value.get("factor_at"),
        is_accumulator=value.get("accumulator", False),
        is_optional=value.get("optional", False),
    )


def _area(value: Entry) -> Area:
    return Area(Block(value["at"], value["regs"]), is_proven="proven" in value or not value.get("holes", False))


def _rules(limits: Entry, areas: tuple[Area, ...]) -> Rules:
    return Rules(
        max_registers=limits.get("max_regs", max([MAX_REGISTERS, *(area.block.count for area in areas)])),
        fallback_registers=limits.get("max_regs_fallback"),
        has_pairs=limits.get("pairs", False),
        is_whole=limits.get("no_split", False),
        singles=frozenset(limits.get("single", ())),
        gap_ms=limits.get("gap_ms", 0),
        reply_max_ms=limits.get("reply_ms", [0, REPLY_MAX_MS])[1],
    )


def _probe(value: Entry) -> Probe:
    kind = value.get("type", "")
    found = value.get("is", ())
    return Probe(
        function=value.get("fc", 3),
        address=value["at"],
        count=value.get("regs", WIDTHS.get(kind, 1)),
        kind=kind,
        name=str(value.get("name", value.get("unique", ""))),
        values=tuple(found) if isinstance(found, list) else (found,) if isinstance(found, int) else (),
        is_range=value.get("range", False),
        is_serial="unique" in value,
    )
