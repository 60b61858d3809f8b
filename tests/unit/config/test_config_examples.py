"""The example files, the starter file and the JSON Schema say the same as the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from edgectl.config import ConfigError, check, json_schema, starter_file, tokens_json_schema
from edgectl.config.keys import (
    MINUTE,
    SECOND,
    AuthorizationKeys,
    BalancingKeys,
    CircuitKeys,
    MeterKeys,
    MqttKeys,
    OcppKeys,
    SiteFile,
    TokenKeys,
)
from edgectl.config.kinds import ListOf, ScalarKind
from edgectl.config.loading import check_text
from edgectl.config.sections import EntriesOf, Section, SectionOf, keys_of
from edgectl.core.proof import prove
from edgectl.domain.site import PowerKind

FOLDER = Path(__file__).parents[3] / "config"
EXAMPLES = ["small-site.yaml", "workplace.yaml", "depot.yaml", "bus-depot.yaml"]


def plain(path_or_text: Path | str) -> Any:
    """The file as an editor's schema checker sees it."""
    text = path_or_text.read_text(encoding="utf-8") if isinstance(path_or_text, Path) else path_or_text
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads_and_lacks_only_its_credentials(name: str) -> None:
    settings, problems = check(FOLDER / name, environ={})

    assert settings is not None, [str(problem) for problem in problems]
    assert [str(problem) for problem in problems if not problem.message.startswith("there is no credential")] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_safe_without_its_controller(name: str) -> None:
    settings, _ = check(FOLDER / name, environ={})

    assert settings is not None
    assert {case.name for case in prove(settings.site).unsafe} <= set(settings.accept_risk)


def test_the_examples_show_both_kinds_of_charger_and_some_tokens() -> None:
    settings = check(FOLDER / "bus-depot.yaml", environ={})[0]

    assert settings is not None
    assert {charger.kind for charger in settings.site.chargers} == {PowerKind.AC, PowerKind.DC}
    assert "08154711" in [token.uid for token in settings.site.tokens]


# --- the schema ---


def test_the_schema_is_one() -> None:
    for schema in (json_schema(), tokens_json_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)
        json.dumps(schema)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_schema_accepts_an_example(name: str) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(plain(FOLDER / name))


def test_the_schema_accepts_the_example_tokens() -> None:
    tokens = plain(FOLDER / "tokens.yaml")

    validator = jsonschema.Draft202012Validator(tokens_json_schema())
    validator.validate(tokens)
    validator.validate({"tokens": [{"uid": "A1", "status": "blocked"}]})
    assert not validator.is_valid({"A1": {"status": "lost"}})


@pytest.mark.parametrize(
    "text",
    [
        "site: {id: n}\ncircuits: {grid: {limit: 32}}\nocpp: {listeners: [{address: 'h:1', security_profile: 1}]}",
        "site: {id: n}\ncircuits: {grid: {limit: 32 V}}\nocpp: {listeners: [{address: 'h:1', security_profile: 1}]}",
        "site: {id: n}\ncircuits: {grid: {limt: 32 A}}\nocpp: {listeners: [{address: 'h:1', security_profile: 1}]}",
        "site: {id: N}\ncircuits: {grid: {limit: 32 A}}\nocpp: {listeners: [{address: 'h:1', security_profile: 1}]}",
        "site: {id: n}\ncircuits: {}\nocpp: {listeners: [{address: 'h:1', security_profile: 1}]}",
        "site: {id: n}\ncircuits: {grid: {limit: 32 A}}",
        "site: {id: n}\ncircuits: {grid: {limit: 32 A}}\nocpp: {listeners: []}",
    ],
    ids=["no unit", "wrong unit", "unknown key", "site id", "no circuit", "no ocpp", "no listener"],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(plain(text))
    assert check_text(text, Path("site.yaml"))[0] is None


def sections(cls: type[Section], schema: dict[str, Any]) -> Iterator[tuple[type[Section], dict[str, Any]]]:
    yield cls, schema
    for key in keys_of(cls):
        inner = schema["properties"][key.name]
        kind = key.kind
        if isinstance(kind, SectionOf):
            yield from sections(kind.cls, inner)
        elif isinstance(kind, EntriesOf):
            yield from sections(kind.entry.cls, inner["additionalProperties"])
        elif isinstance(kind, ListOf) and isinstance(kind.item, SectionOf):
            yield from sections(kind.item.cls, inner["items"])


def test_the_schema_names_and_explains_every_key() -> None:
    found = list(sections(SiteFile, json_schema()))

    assert len(found) >= 18  # the walk reached the sections
    for cls, schema in found:
        names = {key.name for key in keys_of(cls)}
        assert names == {item.name for item in fields(cls)} - {item.name for item in fields(Section)}
        assert set(schema["properties"]) == names
        assert schema["additionalProperties"] is False
        for shown in schema["properties"].values():
            assert shown["description"].endswith((".", "; none when empty."))


def test_every_default_is_what_its_kind_reads() -> None:
    for cls, schema in sections(SiteFile, json_schema()):
        for key in keys_of(cls):
            if key.default is None:
                continue
            assert isinstance(key.kind, ScalarKind)
            assert schema["properties"][key.name]["default"] == key.default
            default = next(item.default for item in fields(cls) if item.name == key.name)
            assert key.kind.parse(key.default) == default


def test_the_defaults_of_the_table_are_those_of_the_domain(tmp_path: Path) -> None:
    """Checked through a file that writes every default out: it means the same as one that leaves them out."""
    text = "site: {id: n}\nmeters: {m: {model: x, connect: tcp://h}}\ncircuits: {grid: {limit: 9 A, meter: m}}\n"
    text += "ocpp: {listeners: [{address: 'h:1', security_profile: 1}]}\nmqtt: {broker: mqtts://b}\n"
    written = text
    for where, cls in (
        ("id: n", type_of("site")),
        ("model: x", MeterKeys),
        ("limit: 9 A", CircuitKeys),
        ("broker: mqtts://b", MqttKeys),
    ):
        written = written.replace(where, f"{where}, {defaults_of(cls)}")
    written = written.replace("ocpp: {", f"ocpp: {{{defaults_of(OcppKeys)}, ")
    written += f"balancing: {{{defaults_of(BalancingKeys)}}}\nauthorization: {{{defaults_of(AuthorizationKeys)}}}\n"

    left_out = check_text(text, tmp_path / "site.yaml")[0]

    assert left_out is not None
    assert check_text(written, tmp_path / "site.yaml")[0] == left_out


def type_of(name: str) -> type[Section]:
    kind = next(key.kind for key in keys_of(SiteFile) if key.name == name)
    assert isinstance(kind, SectionOf)
    return kind.cls  # type: ignore[no-any-return]


def defaults_of(cls: type[Section]) -> str:
    # hold_for beside `on_meter_loss: safe` would rightly be a warning.
    return ", ".join(f"{key.name}: {key.default}" for key in keys_of(cls) if key.default is not None and key.name != "hold_for")


def test_token_defaults_are_shown() -> None:
    defaults = {key.name: key.default for key in keys_of(TokenKeys) if key.default}
    assert defaults == {"status": "accepted", "priority": "0", "never_paused": "false"}
    assert MINUTE == 60 * SECOND


# --- the starter file ---


@pytest.mark.parametrize("count", [0, 1, 12, 150])
def test_the_starter_file_loads_without_any_remark(tmp_path: Path, count: int) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(starter_file("depot-7", "250 A", count, name='The "North": depot', timezone="Europe/Oslo"), encoding="utf-8")

    settings, problems = check(path, environ={})

    assert problems == ()
    assert settings is not None
    assert settings.site.id == "depot-7"
    assert settings.site.name == 'The "North": depot'
    assert settings.site.circuits[0].limit_ma.l1 == 250_000
    assert len(settings.site.chargers) == count


def test_the_starter_file_suits_the_schema() -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(plain(starter_file()))


@pytest.mark.parametrize(
    ("flags", "key"),
    [({"site_id": "Depot 7"}, "site.id"), ({"grid_limit": "250"}, "circuits.grid.limit"), ({"charger_count": -1}, "chargers"),
     ({"timezone": "Oslo"}, "site.timezone"), ({"site_id": "a: b"}, "")],
)  # fmt: skip
def test_flags_that_make_no_valid_file_are_refused(flags: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        starter_file(**flags)

    assert [problem.key for problem in error.value.problems] == [key]
