"""A catalogue entry for people and tools: everything that is known of a model, as it is written, with where it comes from.

``catalogue.model`` holds what the daemon needs to read a meter; this is the rest: brands, probes that tell one model from
another, settings worth reading at commissioning, conflicts between sources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from ruamel.yaml import YAML

from edgectl.domain.settings import P1_MODEL


@dataclass(frozen=True)
class Sheet:
    """One entry. ``raw`` is the entry as written, its layout merged in."""

    name: str
    brand: str
    models: tuple[str, ...]
    also_sold_as: tuple[str, ...]
    aliases: tuple[str, ...]
    phases: int
    confidence: str
    conflicts: tuple[str, ...]
    sources: tuple[str, ...]
    note: str
    bus: dict[str, Any]
    reply_ms: int | None
    """Typical time to an answer, where the maker says."""
    raw: dict[str, Any] = field(repr=False)

    @property
    def layout(self) -> str:
        found = self.raw.get("layout", "")
        return ", ".join(found) if isinstance(found, list) else str(found)


@cache
def sheet_names() -> tuple[str, ...]:
    """All entries, by name; the P1 port is one."""
    folder = _folder() / "models"
    found = [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
    return tuple(sorted({*found, P1_MODEL}))


@cache
def sheet(name: str) -> Sheet:
    """The entry of that name, or the one a meter of that name belongs to.

    Raises:
        KeyError: there is none.
    """
    if name == P1_MODEL:
        return _P1
    entry = _aliases().get(name, name)
    if entry not in sheet_names():
        raise KeyError(name)
    raw = _load("models", entry)
    layout = _layout(raw.get("layout", []))
    merged = {**layout, **raw, "points": {**layout.get("points", {}), **raw.get("points", {})}}
    limits = {**layout.get("limits", {}), **raw.get("limits", {})}
    reply = limits.get("reply_ms")
    return Sheet(
        name=entry,
        brand=str(raw.get("brand", "")),
        models=_texts(raw, "models"),
        also_sold_as=_texts(raw, "also_sold_as"),
        aliases=tuple(sorted(alias for alias, target in _aliases().items() if target == entry)),
        phases=int(raw.get("phases", 3)),
        confidence=str(raw.get("confidence", "")),
        conflicts=_texts(raw, "conflicts"),
        sources=_texts(raw, "sources"),
        note=str(raw.get("note", "")),
        bus=dict(raw.get("bus", {})),
        reply_ms=int(reply[0] if isinstance(reply, list) else reply) if reply is not None else None,
        raw={**merged, "limits": limits},
    )


def search(text: str) -> tuple[Sheet, ...]:
    """Entries in whose names, brand or labels every word of the text occurs."""
    words = text.casefold().split()

    def haystack(one: Sheet) -> str:
        return " ".join((one.name, one.brand, *one.models, *one.also_sold_as, *one.aliases)).casefold()

    return tuple(one for one in map(sheet, sheet_names()) if all(word in haystack(one) for word in words))


_P1 = Sheet(
    name=P1_MODEL,
    brand="DSMR",
    models=("DSMR 2.2", "DSMR 3", "DSMR 4", "DSMR 5", "Fluvius e-MUCS (Belgium)", "Smarty (Luxembourg, unencrypted)"),
    also_sold_as=(),
    aliases=(),
    phases=3,
    confidence="cross-checked",
    conflicts=("amps are printed whole and without sign: derived from watts and volts, never taken below what is printed",),
    sources=(
        "Netbeheer Nederland: DSMR P1 companion standards 2.2, 3.0, 4.2.2, 5.0.2",
        "Fluvius: e-MUCS-P1 1.7.1",
        "ndokter/dsmr_parser: test/example_telegrams.py",
    ),
    note="DSMR 2.2, 3 (9600 baud) know no phases; these and DSMR 4 send each 10 s. Encrypted Luxembourg ports cannot be read.",
    bus={"kinds": ["serial", "tcp"], "baud": 115_200},
    reply_ms=None,
    raw={},
)


def _folder() -> Any:
    return resources.files("edgectl.meters.catalogue")


def _load(folder: str, name: str) -> dict[str, Any]:
    text = (_folder() / folder / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe", pure=True).load(text))


@cache
def _aliases() -> dict[str, str]:
    text = (_folder() / "names.yaml").read_text(encoding="utf-8")
    return {str(name): str(entry) for name, entry in YAML(typ="safe", pure=True).load(text).items()}


def _layout(names: str | list[str]) -> dict[str, Any]:
    """The layout, or all of them where a device has one of several."""
    found: dict[str, Any] = {}
    for name in [names] if isinstance(names, str) else names:
        found = {**_load("layouts", name), **found}
    return found


def _texts(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(item) for item in raw.get(key, ()))
