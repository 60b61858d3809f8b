"""``edgectl sessions export``: from the running daemon, or with ``--data-dir`` from the ledger on the disk."""

from __future__ import annotations

from pathlib import Path

import click

from edgectl.cli.client import Daemon

BAD_INPUT = 2


@click.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "ocpi", "statement", "statement-html"]),
    default="csv",
    show_default=True,
    help="csv: one session a line. ocpi: CDRs of OCPI 2.2.1. statement: what accounts owe, as CSV or as a page to print.",
)
@click.option("--since", default=None, help="From this moment on, e.g. 2026-03-01.")
@click.option("--until", default=None, help="Before this moment.")
@click.option("--month", default=None, help="Instead of both: a month at the site, e.g. 2026-11.")
@click.option("--by", type=click.Choice(["account", "token", "cost-centre"]), default=None, help="Whose statement.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=None, help="Ask the ledger there instead.")
@click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("/etc/edgectl/site.yaml"),
    show_default=True,
    help="The site's file, with --data-dir.",
)
@click.pass_obj
def sessions_export(
    daemon: Daemon,
    form: str,
    since: str | None,
    until: str | None,
    month: str | None,
    by: str | None,
    data_dir: Path | None,
    config: Path,
) -> int:
    """Sessions on standard output. csv has those that began in the span, the others those that ended in it."""
    given = {"format": form, "since": since, "until": until, "month": month, "by": by}
    wanted = {name: value for name, value in given.items() if value is not None}
    if data_dir is None:
        click.echo(daemon.text("sessions", "export", **wanted), nl=False)
        return 0
    from edgectl import config as site_file
    from edgectl.core.exports.render import BadRequestError, render
    from edgectl.domain.errors import StoreError
    from edgectl.store import LedgerFile

    settings, problems = site_file.check(config)
    if settings is None:
        for problem in problems:
            click.echo(str(problem), err=True)
        return BAD_INPUT
    try:
        with LedgerFile(data_dir / "ledger.db") as file:
            click.echo(render(file.sessions, settings.site, wanted).text, nl=False)
    except BadRequestError as error:
        click.echo(f"edgectl: {error}", err=True)
        return BAD_INPUT
    except StoreError as error:
        raise click.ClickException(f"{data_dir / 'ledger.db'}: {error}") from error
    return 0
