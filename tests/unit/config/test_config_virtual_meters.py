"""Meters made of others: what may be written, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl import config
from edgectl.config.problems import Problem
from edgectl.domain.settings import Settings, VirtualKind

REAL = "a: {model: m, connect: tcp://h:502, unit: 1}, b: {model: m, connect: tcp://h:502, unit: 2}"


def checked(folder: Path, virtual: str) -> tuple[Settings | None, list[Problem]]:
    file = folder / "site.yaml"
    file.write_text(
        f"site: {{id: n}}\nmeters: {{{REAL}, v: {virtual}}}\ncircuits: {{grid: {{limit: 63 A, meter: v}}}}\nchargers: {{}}\n"
        "ocpp: {listeners: [{address: '127.0.0.1:8887', security_profile: 1}]}\n"
    )
    settings, problems = config.check(file, known_models=frozenset({"m"}))
    return settings, [problem for problem in problems if problem.key.startswith("meters")]


@pytest.mark.parametrize("kind", list(VirtualKind))
def test_a_virtual_meter_may_guard(tmp_path: Path, kind: VirtualKind) -> None:
    settings, problems = checked(tmp_path, f"{{virtual: {{{kind.value}: [a, b]}}, max_age: 4 s}}")
    assert problems == []
    assert settings is not None
    (made,) = settings.virtual_meters
    assert (made.meter, made.kind, made.parts) == ("v", kind, ("a", "b"))
    assert [(meter.id, meter.max_age_ms) for meter in settings.site.meters] == [("a", 3_000), ("b", 3_000), ("v", 4_000)]


@pytest.mark.parametrize(
    ("virtual", "words"),
    [
        ("{virtual: {}}", "is no meter yet"),
        ("{virtual: {sum: [a, b], difference: [a, b]}}", "is two meters"),
        ("{virtual: {sum: [a]}}", "two different meters"),
        ("{virtual: {sum: [a, a]}}", "two different meters"),
        ("{virtual: {sum: [a, nobody]}}", "is called nobody"),
        ("{virtual: {sum: [a, v]}}", "is called v"),
        ("{virtual: {sum: [a, b]}, connect: 'tcp://h:502'}", "is not read itself"),
        ("{virtual: {sum: [a, b]}, phases: [L1, L2, L3]}", "is not read itself"),
    ],
)
def test_what_cannot_be_made_is_named(tmp_path: Path, virtual: str, words: str) -> None:
    settings, problems = checked(tmp_path, virtual)
    assert settings is None
    assert [problem for problem in problems if words in problem.message]


def test_a_meter_without_an_address_is_told_of_one(tmp_path: Path) -> None:
    _, problems = checked(tmp_path, "{model: m}")
    assert [(problem.key, problem.message) for problem in problems if not problem.is_warning] == [
        ("meters.v.connect", "is missing")
    ]
