"""``commission``: a charger's configuration brought to what it should be, and the drill that shows what it does."""

from __future__ import annotations

import json
import time
from typing import Any

import click
from rich.console import Console

from edgectl.cli import tables
from edgectl.cli.actions import FAILED, OK, as_json, request, say
from edgectl.cli.client import Daemon

LONGEST_S = 25 * 60
"""Longer than any drill."""
_ENDED = frozenset({"done", "stopped", "never", "idle"})


@click.command()
@click.argument("charger")
@click.option(
    "--drill", "wanted", flag_value="drill", default=None, help="Find out what it does with limits; a vehicle must charge."
)
@click.option("--restore", "wanted", flag_value="restore", help="Write back what edgectl has changed.")
@click.option("--show", "wanted", flag_value="show", help="Only show how it stands.")
@click.option("--all", "is_all", is_flag=True, help="Also the keys that were right already.")
@as_json
@click.pass_obj
def commission(daemon: Daemon, charger: str, wanted: str | None, is_all: bool, is_json: bool) -> int:
    """Bring CHARGER's configuration to what it should be, and show what was changed."""
    action = wanted or "commission"
    if action != "show":
        answer = request(daemon, charger, action, ())
        if answer["outcome"] != "accepted":
            return say(answer, is_json=is_json)
    part = "drill" if action == "drill" else "commissioning"
    found = _follow(daemon, charger, part, is_silent=is_json)
    if is_json:
        click.echo(json.dumps(found[part], indent=2, ensure_ascii=False))
    else:
        Console().print(
            tables.drill(found["drill"]) if part == "drill" else tables.commissioning(found["commissioning"], is_all=is_all)
        )
    return FAILED if found[part]["state"] == "stopped" else OK


def _follow(daemon: Daemon, charger: str, part: str, *, is_silent: bool) -> dict[str, Any]:
    """Until it has ended; Ctrl-C leaves it running."""
    told = ""
    until_s = time.monotonic() + LONGEST_S  # noqa: TID251 - a person waits here
    while True:
        found: dict[str, Any] = daemon.get("chargers", charger)
        state = found[part]
        words = f"{state['state']}: {state['detail']}" if state["detail"] else state["state"]
        if not is_silent and words != told:
            click.echo(words, err=True)
            told = words
        if state["state"] in _ENDED or time.monotonic() > until_s:  # noqa: TID251
            return found
        time.sleep(0.5)


@click.command()
@click.argument("charger")
@click.pass_obj
def adopt(daemon: Daemon, charger: str) -> int:
    """Print the lines that take a charger into the site's file, for one that has knocked."""
    found = daemon.get("status")
    if any(known["id"].casefold() == charger.casefold() for known in found["chargers"]):
        click.echo(f"{charger} is in the site's file already.", err=True)
        return OK
    knocked = [one for one in found["refused"] if one["charger"].casefold() == charger.casefold()]
    if not knocked:
        click.echo(f"Nobody called {charger} has knocked. `edgectl chargers` lists who has.", err=True)
        return FAILED
    click.echo(f"# {knocked[-1]['peer']}: {knocked[-1]['reason']}")
    click.echo("# Below `chargers:` in the site's file; then `edgectl reload`.")
    circuits = ", ".join(circuit["id"] for circuit in found["circuits"])
    click.echo(f"  {knocked[-1]['charger']}: {{circuit: {found['circuits'][0]['id']}}}    # which circuit feeds it? {circuits}")
    return OK
