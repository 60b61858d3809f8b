"""The documents of the MQTT contract: made from the types, whole, and never broken for who relies on an older one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, SchemaError

from edgectl.contract import CHANNELS, Direction
from edgectl.contract.asyncapi import document, schema_document
from edgectl.contract.commands import COMMANDS, Command
from edgectl.contract.differences import breaking
from edgectl.contract.page import render
from edgectl.contract.schemas import command_name, descriptions

ROOT = Path(__file__).resolve().parents[3]
RELEASED = sorted((Path(__file__).parent / "released").glob("*.json"))


def test_the_files_in_docs_are_what_the_types_say() -> None:
    """After a change of the contract: edgectl contract > docs/asyncapi.json; edgectl contract --schemas > docs/schemas.json."""
    assert json.loads((ROOT / "docs" / "asyncapi.json").read_text()) == document()
    assert json.loads((ROOT / "docs" / "schemas.json").read_text()) == schema_document()


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_nobody_who_relies_on_a_released_contract_is_broken(released: Path) -> None:
    broken = breaking(json.loads(released.read_text()), document())
    assert not broken, f"this breaks who relies on {released.stem}:\n" + "\n".join(broken)


def test_there_is_a_released_contract_to_compare_with() -> None:
    assert RELEASED


def test_every_schema_is_a_schema_of_2020_12() -> None:
    made = schema_document()
    assert len(made["$defs"]) > 50
    Draft202012Validator.check_schema(made)  # down into each of them
    with pytest.raises(SchemaError):
        Draft202012Validator.check_schema({**made, "$defs": {**made["$defs"], "Receipt": {"type": "record"}}})


def test_every_reference_leads_somewhere() -> None:
    made = document()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: Any = made
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(made)


def test_every_topic_and_command_is_in_the_document() -> None:
    made = document()
    wanted = {channel.name for channel in CHANNELS} | {command_name(name) for name in COMMANDS}
    assert made["channels"].keys() == made["operations"].keys() == wanted
    sends = {name for name, operation in made["operations"].items() if operation["action"] == "send"}
    assert sends == {channel.name for channel in CHANNELS if channel.direction is Direction.UP}


def test_docstrings_below_fields_are_their_descriptions() -> None:
    assert descriptions(Command)["nonce"] == "From the retained status, while the gateway cannot trust its clock."
    schema = document()["components"]["schemas"]["Command"]["properties"]["key"]
    assert schema["description"].startswith("Name of the key at the gateway")


def test_the_page_names_every_topic_and_every_member_and_needs_nothing_from_elsewhere() -> None:
    made = document()
    page = render(made)
    for channel in made["channels"].values():
        base, suffix = channel["address"].split("{site}/")
        assert f">{suffix}</code>" in page
        assert f"<code>{base}{{site}}/</code>" in page
    for schema in made["components"]["schemas"].values():
        for member in schema.get("properties", {}):
            assert f"<code>{member}</code>" in page
    assert "src=" not in page
    assert 'href="http' not in page


def change(path: str, value: object = ...) -> Callable[[dict[str, Any]], None]:
    """Set or, without a value, take away what is at ``path`` of the schemas."""

    def apply(made: dict[str, Any]) -> None:
        *way, last = path.split("/")
        node: Any = made["components"]["schemas"]
        for part in way:
            node = node[int(part)] if isinstance(node, list) else node[part]
        if value is ...:
            del node[last]
        else:
            node[last] = value

    return apply


def renamed(made: dict[str, Any]) -> None:
    members = made["components"]["schemas"]["Session"]["properties"]
    members["energy"] = members.pop("energy_wh")


def channel_gone(made: dict[str, Any]) -> None:
    del made["channels"]["events"]


def moved(made: dict[str, Any]) -> None:
    made["channels"]["status"]["address"] = "edgectl/v1/{site}/state"


def not_retained(made: dict[str, Any]) -> None:
    made["operations"]["status"]["bindings"]["mqtt"]["retain"] = False


def message_gone(made: dict[str, Any]) -> None:
    del made["channels"]["events"]["messages"]["Notice"]


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        (channel_gone, "event/{kind}: the channel is gone"),
        (moved, "it is now edgectl/v1/{site}/state"),
        (not_retained, "its direction or its rules have changed"),
        (message_gone, "Notice is gone"),
        (renamed, "BillingRecord.session.energy_wh: is gone"),
        (change("Session/properties/energy_wh", {"type": "string"}), "session.energy_wh: may now be string"),
        (change("Session/properties/energy_wh/minimum", -5), "session.energy_wh: minimum is wider"),
        (change("Session/required", []), "session.energy_wh: may now be missing"),
        (change("Period/properties/state/enum", ["charging", "parked"]), "periods[].state: the list of its words is wider"),
        (change("Status/properties/epoch", {"anyOf": [{"type": "string"}, {"type": "null"}]}), "Status.epoch: may now be null"),
        (change("BillingRecord/properties/hash/pattern"), "BillingRecord.hash: its form is wider"),
        (change("Receipt/required", ["epoch", "acked"]), "Receipt.acked: is now required"),
        (change("Receipt/properties/acked_through", {"type": "integer"}), "Receipt.acked_through: may no longer be null"),
        (change("StartArgs/properties/token"), "StartCommand.args.token: is gone"),
        (change("StopArgs/required", ["charger", "evse"]), "StopCommand.args.evse: is now required"),
        (change("ResetArgs/properties/kind/anyOf/0/enum", ["soft"]), "args.kind: the list of its words is narrower"),
        (change("Command/properties/actor/maxLength", 10), "StartCommand.actor: maxLength is narrower"),
        (change("Acked/properties/rev/maximum", 5), "Receipt.acked[].rev: maximum is narrower"),
    ],
)
def test_a_change_that_breaks_somebody_is_found(mutate: Callable[[dict[str, Any]], None], words: str) -> None:
    changed = deepcopy(document())
    mutate(changed)
    found = breaking(document(), changed)
    assert any(words in line for line in found), found


@pytest.mark.parametrize(
    "mutate",
    [
        change("Session/properties/new", {"type": "string"}),
        change("StartArgs/properties/new", {"type": "string"}),
        change("Receipt/properties/acked_through/anyOf/0/maximum", 2**60),
        change("Session/properties/energy_wh/minimum", 5),
        change("Period/properties/state/enum", ["charging"]),
        change("Status/description", "Other words."),
    ],
)
def test_a_change_that_only_adds_breaks_nobody(mutate: Callable[[dict[str, Any]], None]) -> None:
    changed = deepcopy(document())
    mutate(changed)
    assert breaking(document(), changed) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_reference_parser_of_asyncapi_has_nothing_against_it() -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node or no npm")
    own, folder = ROOT / "tests" / "support" / "asyncapi", ROOT / ".cache" / "asyncapi"
    folder.mkdir(parents=True, exist_ok=True)
    lock = (own / "package-lock.json").read_bytes()
    if not (folder / "fetched").is_file() or (folder / "fetched").read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(own / name, folder / name)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        fetched = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if fetched.returncode != 0:
            pytest.skip(f"npm could not fetch the parser: {fetched.stderr[-300:]}")
        (folder / "fetched").write_bytes(lock)
    shutil.copy(own / "judge.mjs", folder / "judge.mjs")
    judged = subprocess.run(
        [node, "judge.mjs", str(ROOT / "docs" / "asyncapi.json")], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stdout) == (0, "read\n"), judged.stdout + judged.stderr
