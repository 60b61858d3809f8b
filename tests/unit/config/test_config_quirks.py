"""The table of quirks, and what the site's file says of one charger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl import config as site_file
from edgectl.config.problems import Report
from edgectl.config.quirk_keys import FIELDS, QuirkKeys
from edgectl.config.quirk_table import builtin_quirks, read_quirks
from edgectl.config.sections import keys_of
from edgectl.domain.quirks import FIELD_NAMES, ProfilePurpose, QuirkProfile, Quirks, RateUnit, apply_quirks

SITE = """
site: {id: s, timezone: Europe/Berlin}
circuits: {grid: {limit: 100 A}}
ocpp: {listeners: [{address: 127.0.0.1:8887, security_profile: 1}]%s}
charger_defaults: {quirks: {settle: 1 s, unit: A}}
chargers:
  CP-1: {circuit: grid%s}
"""


def problems(tmp_path: Path, charger: str = "", ocpp: str = "") -> list[str]:
    path = tmp_path / "site.yaml"
    path.write_text(SITE % (ocpp, charger), encoding="utf-8")
    _, found = site_file.check(path, environ={})
    return [str(problem) for problem in found if not problem.is_warning]


def settings(tmp_path: Path, charger: str = "", ocpp: str = "") -> site_file.Settings:
    path = tmp_path / "site.yaml"
    path.write_text(SITE % (ocpp, charger), encoding="utf-8")
    return site_file.load(path, environ={})


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_word_of_the_file_is_a_field_and_every_field_has_a_word() -> None:
    assert {key.name for key in keys_of(QuirkKeys)} == set(FIELDS)
    assert set(FIELDS.values()) == FIELD_NAMES


def test_every_entry_says_why_and_where_it_was_seen_and_differs_in_something() -> None:
    table = builtin_quirks()
    assert len(table) >= 20
    for profile in table:
        assert profile.why.endswith(".")
        assert profile.source
        assert (profile.vendor, profile.model) != ("*", "*"), "an entry for everybody is a default"
        for name, value in profile.values:
            if name != "checklist":
                assert value != getattr(Quirks(), name) or name == "stack_level", f"{profile.name}: {name} is the default"


@pytest.mark.parametrize(
    ("vendor", "model", "field", "value"),
    [
        ("go-e", "HOMEfix 22kW", "keeps_profiles", False),
        ("Huawei Digital Power", "x", "unit", RateUnit.WATTS),
        ("GRIZZL-E?", "grizzl-e smart", "purpose", ProfilePurpose.STATION_MAX),
        ("abb", "TAC-W22", "stack_level", 0),
        ("Nobody", "at all", "stack_level", 1),
    ],
)
def test_a_charger_gets_the_quirks_of_what_it_calls_itself(vendor: str, model: str, field: str, value: object) -> None:
    applied = apply_quirks(builtin_quirks(), (vendor, model, None), {})
    assert getattr(applied.quirks, field) == value
    assert bool(applied.because) == (vendor != "Nobody")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_whatever_a_charger_calls_itself_it_gets_some_quirks(vendor: str, model: str, firmware: str) -> None:
    apply_quirks(builtin_quirks(), (vendor, model, firmware), {})


def test_all_that_match_apply_the_last_wins_and_lists_add_up() -> None:
    table = (
        QuirkProfile("a", "V*", "*", "*", "a", "x", (("stack_level", 0), ("skip_keys", ("One",)), ("checklist", ("first",)))),
        QuirkProfile("b", "*", "M", "1.*", "b", "x", (("stack_level", 3), ("skip_keys", ("One", "Two")))),
        QuirkProfile("c", "*", "M", "2.*", "c", "x", (("stack_level", 9),)),
    )
    applied = apply_quirks(table, ("vend", "m", "1.7"), {"checklist": ("second",)}, {"unit": RateUnit.WATTS})
    assert applied.quirks == Quirks(stack_level=3, skip_keys=("One", "Two"), checklist=("first", "second"), unit=RateUnit.WATTS)
    assert [name for name, _ in applied.because] == ["a", "b", "measured", "site file"]


# --- mistakes in a table ----------------------------------------------------------------------------------------------

ENTRY = "- {name: a, match: {vendor: V}, why: w, source: s, set: {%s}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENTRY % "stack: 0", "q.yaml:1:58: 1.set.stack: is not a known key here; did you mean stack_level"),
        (ENTRY % "settle: 5", "1.set.settle: the unit is missing"),
        (ENTRY % "unit: VA", "1.set.unit: is not known here; A or W"),
        (ENTRY % "energy_scale: 0", "1.set.energy_scale: is out of range"),
        (ENTRY % "set_keys: [Vendor]", "1.set.set_keys[1]: is not possible here; `Key=Value`"),
        (ENTRY % "can_pause: no", "1.set.can_pause: is neither true nor false"),
        (ENTRY % "unit: A" + ENTRY % "unit: W", "q.yaml:2:10: 2.name: is the name of an earlier entry, too"),
        ("- {name: a, match: {vendor: V}, set: {}}\n", "1.why: is missing"),
        ("a: b\n", "a list is needed"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_place(text: str, expected: str) -> None:
    report = Report()
    read_quirks(text.encode(), report.place("q.yaml"))
    lines = [str(problem) for problem in report.sorted()]
    assert any(_loosely(expected) in _loosely(line) for line in lines), lines


def _loosely(text: str) -> str:
    """Without what was found, and with numbers instead of brackets."""
    return re.sub(r" \(found [^)]*\)", "", text).replace("[1].", "1.").replace("[2].", "2.")


# --- the site's file --------------------------------------------------------------------------------------------------


def test_the_charger_s_own_quirks_go_over_the_defaults(tmp_path: Path) -> None:
    found = settings(tmp_path, ", version: 1.6, missing_upgrade: true, quirks: {unit: W, can_pause: false, steps: [16 A, 8 A]}")
    (charger,) = found.site.chargers
    assert dict(charger.own_quirks) == {
        "settle_ms": 1_000,
        "unit": RateUnit.WATTS,
        "can_pause": False,
        "steps_ma": (8_000, 16_000),
    }
    (access,) = found.ocpp.access
    assert (access.pin_version, access.assume_version, access.tolerates_missing_upgrade) == ("ocpp1.6", None, True)


def test_the_site_s_own_table_comes_after_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(ENTRY % "stack_level: 7", encoding="utf-8")
    found = settings(tmp_path, ocpp=", quirks: more.yaml")
    assert found.quirks[:-1] == builtin_quirks()
    assert found.quirks[-1].values == (("stack_level", 7),)


@pytest.mark.parametrize(
    ("charger", "ocpp", "expected"),
    [
        (", quirks: {minimum: 40 A}", "", "chargers.CP-1.quirks.minimum: is above the charger's maximum; at most 32 A"),
        (", quirks: {steps: [40 A]}", "", "chargers.CP-1.quirks.steps: holds no current the charger can give; 6 A to 32 A"),
        (", version: 1.5", "", "chargers.CP-1.version: is no OCPP version of ours; 1.6, 2.0.1 or 2.1"),
        ("", ", quirks: absent.yaml", "ocpp.quirks: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_in_the_site_s_file_is_named(tmp_path: Path, charger: str, ocpp: str, expected: str) -> None:
    found = problems(tmp_path, charger, ocpp)
    assert any(expected in _loosely(line) for line in found), found


def test_a_mistake_in_the_site_s_own_table_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(ENTRY % "unit: X", encoding="utf-8")
    (line,) = problems(tmp_path, ocpp=", quirks: more.yaml")
    assert line.startswith(str(tmp_path / "more.yaml") + ":1:")
