"""The table of quirks: what chargers of a vendor, model or firmware do differently, with where that was seen."""

# Sections are tables: their fields are made by the functions of ``sections`` (RUF009 knows only dataclasses.field).
# ruff: noqa: RUF009
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from edgectl.config.kinds import Choice, ListOf, Text
from edgectl.config.problems import ConfigError, Place, Report
from edgectl.config.quirk_keys import QuirkKeys, quirk_values
from edgectl.config.sections import Section, SectionOf, defaulting, required, section
from edgectl.config.tree import Scalar, parse
from edgectl.domain.quirks import Confidence, QuirkProfile

_PATTERN = Text("letters, digits and `*` for anything", r"[^\x00-\x1f\x7f]+", longest=60)


@dataclass(frozen=True, kw_only=True)
class MatchKeys(Section):
    vendor: str = defaulting(_PATTERN, "*", "The vendor as the charger says it when it boots; `*` stands for anything.")
    model: str = defaulting(_PATTERN, "*", "The model.")
    firmware: str = defaulting(_PATTERN, "*", "The firmware.")


@dataclass(frozen=True, kw_only=True)
class ProfileKeys(Section):
    name: str | None = required(Text("a short name, such as `abb-terra`", r"[a-z0-9][a-z0-9.-]*", longest=60), "Its name.")
    match: MatchKeys | None = section(SectionOf(MatchKeys), "The chargers it is for.", is_required=True)
    why: str | None = required(Text("a sentence", longest=300), "What was seen.")
    source: str | None = required(Text("owner/name#number, a manual, a trace", longest=200), "Where it was seen.")
    confidence: Confidence = defaulting(Choice(Confidence), "reported", "How sure that is.")
    set: QuirkKeys | None = section(SectionOf(QuirkKeys), "What differs.", is_required=True)


PROFILES = ListOf(SectionOf(ProfileKeys))


@cache
def builtin_quirks() -> tuple[QuirkProfile, ...]:
    """The table in this package.

    Raises:
        ConfigError: it is damaged.
    """
    report = Report()
    file = resources.files("edgectl.config").joinpath("quirks.yaml")
    profiles = read_quirks(file.read_bytes(), report.place(str(file)))
    if report.has_errors:
        raise ConfigError(report.sorted())
    return profiles


def read_quirks(data: bytes, place: Place) -> tuple[QuirkProfile, ...]:
    """The profiles of a file, in its order. Reports all that is wrong."""
    root = parse(data, place)
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return ()
    found: dict[str, QuirkProfile] = {}
    for keys in PROFILES.read(root, place) or ():
        if keys.name is None or keys.match is None or not keys.is_sound("name", "match", "why", "source", "set"):
            continue
        if keys.name in found:
            keys.at("name").wrong("is the name of an earlier entry, too", "each entry has its own name")
            continue
        found[keys.name] = QuirkProfile(
            name=keys.name,
            vendor=keys.match.vendor,
            model=keys.match.model,
            firmware=keys.match.firmware,
            why=keys.why or "",
            source=keys.source or "",
            confidence=keys.confidence,
            values=quirk_values(keys.set),
        )
    return tuple(found.values())


def site_quirks(name: str | None, directory: Path, place: Place) -> tuple[QuirkProfile, ...]:
    """The package's table, and after it the site's own file where it names one: the later entry wins."""
    if name is None:
        return builtin_quirks()
    path = directory / name
    try:
        data = path.read_bytes()
    except OSError as error:
        place.wrong(f"cannot be read: {error.strerror}", f"a readable file {path}")
        return builtin_quirks()
    return (*builtin_quirks(), *read_quirks(data, place.report.place(str(path))))
