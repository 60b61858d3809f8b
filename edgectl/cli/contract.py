"""The MQTT contract as documents: for a backend team, and for a check of what a change would break."""

from __future__ import annotations

import json
from pathlib import Path

import click

OK, FAILED, BAD_INPUT = 0, 1, 2


@click.command("contract")
@click.option("--asyncapi", "form", flag_value="asyncapi", default="asyncapi", help="AsyncAPI 3.0; this is the default.")
@click.option("--schemas", "form", flag_value="schemas", help="JSON Schema 2020-12 of every payload.")
@click.option("--html", "form", flag_value="html", help="One page for people.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Say what breaks for who relies on this older AsyncAPI file; exit 1 if anything does.",
)
def contract(form: str, against: Path | None) -> int:
    """Print what goes up and comes down over MQTT."""
    from edgectl.contract.asyncapi import document, schema_document
    from edgectl.contract.differences import breaking
    from edgectl.contract.page import render

    if against is not None:
        try:
            found = breaking(json.loads(against.read_text(encoding="utf-8")), document())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            click.echo(f"edgectl: {against} is not a contract of edgectl: {error!r}", err=True)
            return BAD_INPUT
        for line in found:
            click.echo(line)
        return FAILED if found else OK
    if form == "html":
        click.echo(render(document()), nl=False)
    else:
        made = document() if form == "asyncapi" else schema_document()
        click.echo(json.dumps(made, indent=1, ensure_ascii=False))
    return OK
