"""``limit`` and ``limits``: how much a circuit or charger may carry for a while, below what the site's file allows."""

from __future__ import annotations

import json
import re
from typing import Any

import click
from rich.console import RenderableType

from edgectl.cli import tables
from edgectl.cli.actions import BAD_INPUT, OK, actor, as_json
from edgectl.cli.client import Daemon
from edgectl.cli.showing import show


class _Quantity(click.ParamType[int]):
    """``32 A``, ``11 kW``, ``2 h``: a number and its unit, with or without a space, in the domain's unit."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from edgectl.config.problems import Refused
        from edgectl.config.quantities import CURRENT, DURATION, POWER, parse

        try:
            return parse(str(value), {"current": CURRENT, "power": POWER, "duration": DURATION}[self.name]).value
        except Refused as refused:
            self.fail(f"{value!r} {refused.message}; {refused.allowed}", param, ctx)


class _Amount(click.ParamType[dict[str, int]]):
    """A current or a power."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        is_power = re.search(r"[Ww]\s*$", str(value)) is not None
        quantity = _Quantity("power" if is_power else "current").convert(value, param, ctx)
        return {"power_w" if is_power else "current_ma": quantity}


@click.command()
@click.argument("target", metavar="CIRCUIT|CHARGER")
@click.option("--current", type=_Quantity("current"), default=None, help="Per phase, such as 32A; 0A stops charging there.")
@click.option("--power", type=_Quantity("power"), default=None, help="Over all phases, such as 11kW.")
@click.option("--for", "for_ms", type=_Quantity("duration"), default=None, help="How long, such as 30min or 2h.")
@click.option("--until", default=None, help="Or until a moment, such as 2026-03-01T18:00:00+01:00.")
@click.option("--then", type=_Amount(), default=None, help="What holds afterwards until lifted; else what the file allows.")
@click.option("--lift", is_flag=True, help="Lift the limit set here earlier.")
@click.option("--circuit", "kind", flag_value="circuit", default=None, help="TARGET is a circuit, where both have that name.")
@click.option("--charger", "kind", flag_value="charger", help="TARGET is a charger, where both have that name.")
@as_json
@click.pass_obj
def limit(
    daemon: Daemon,
    target: str,
    current: int | None,
    power: int | None,
    for_ms: int | None,
    until: str | None,
    then: dict[str, int] | None,
    lift: bool,
    kind: str | None,
    is_json: bool,
) -> int:
    """Let a circuit or charger carry less than the site's file allows, for a while."""
    kind = kind or _kind_of(daemon, target)
    if kind is None:
        click.echo(f"No circuit or charger is called {target}. `edgectl circuits` and `edgectl chargers` list them.", err=True)
        return BAD_INPUT
    if lift:
        if any(value is not None for value in (current, power, for_ms, until, then)):
            raise click.UsageError("--lift stands alone")
        answer = daemon.delete("limits", f"local-cli:{kind}:{target}", actor=actor())
    else:
        body: dict[str, Any] = {kind: target, "current_ma": current, "power_w": power, "until": until, "then": then}
        body["for_s"] = None if for_ms is None else max(1, for_ms // 1_000)
        answer = daemon.post("limits", body={**{k: v for k, v in body.items() if v is not None}, "actor": actor()})
    if is_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif answer["status"] == "lifted":
        click.echo(f"{kind} {target}: the limit set here is lifted")
    else:
        click.echo(f"{kind} {target}: at most {answer['amount']} until {tables.moment(answer['until'])}")
        for name in ("note", "problem"):
            if answer.get(name):
                click.echo(f"  {answer[name]}")
    return OK


def _kind_of(daemon: Daemon, target: str) -> str | None:
    is_circuit = any(one["id"] == target for one in daemon.get("circuits"))
    is_charger = any(one["id"].casefold() == target.casefold() for one in daemon.get("chargers"))
    if is_circuit and is_charger:
        raise click.UsageError(f"{target} is both a circuit and a charger: add --circuit or --charger")
    return "circuit" if is_circuit else "charger" if is_charger else None


@click.command()
@as_json
@click.pass_obj
def limits(daemon: Daemon, is_json: bool) -> None:
    """Limits from outside the site's file: who set them, until when, what holds then."""
    show(lambda: daemon.get("limits"), _table, is_json=is_json)


def _table(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            f"{one['kind']} {one['target']}",
            _much(one["current_ma"], one["power_w"]) or "no limit now",
            f"{one['by']} {one['actor']}".strip(),
            "-" if one["until_at"] is None else tables.moment(one["until_at"]),
            _much(one["then_current_ma"], one["then_power_w"]) or "-",
            f"{one['state']}: {one['detail']}" if one["detail"] else one["state"],
        )
        for one in found
    ]
    return tables.table(("limits", "to", "by", "until", "then", "state"), rows, "Nobody outside limits this site.")


def _much(current_ma: dict[str, int] | None, power_w: int | None) -> str:
    same = current_ma is not None and len(set(current_ma.values())) == 1
    current = None if current_ma is None else tables.amps(current_ma["L1"]) if same else tables.phases(current_ma)
    return " and ".join(part for part in (current, None if power_w is None else f"{power_w / 1000:g} kW") if part)
