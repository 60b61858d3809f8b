"""``edgectl price``: what a session costs by a tariff, line by line. Without the daemon where a file or the ledger is given."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from edgectl.cli.client import Daemon

BAD_INPUT = 2
DEFAULT_FILE = Path("/etc/edgectl/site.yaml")
FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("price")
@click.option("--tariff", "tariff_file", type=FILE, default=None, help="An OCPI tariff object, or a file of tariffs.")
@click.option("--tariff-id", default=None, help="Which tariff of the file; needed when there are several.")
@click.option("--session", "session_id", default=None, help="A session of this site by its id.")
@click.option("--session-file", type=FILE, default=None, help="A session as `sessions show --json` has it, or an OCPI CDR.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=None, help="Ask the ledger there instead.")
@click.option("-c", "--config", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_FILE, show_default=True)
@click.option("--timezone", default=None, help="Of the tariff's hours; the site's by default, else UTC.")
@click.option("--json", "is_json", is_flag=True, help="Machine-readable.")
@click.pass_obj
def price_command(
    daemon: Daemon,
    tariff_file: Path | None,
    tariff_id: str | None,
    session_id: str | None,
    session_file: Path | None,
    data_dir: Path | None,
    config: Path,
    timezone: str | None,
    is_json: bool,
) -> int:
    """What a session costs, and why: each line with its quantity, rounding, price and tax.

    Without --tariff the session's own tariff is used, as it was when the session began.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from edgectl import config as site_file
    from edgectl.core.tariffs import explain, price, usage
    from edgectl.domain.bill import cost_body
    from edgectl.domain.site import Site
    from edgectl.domain.tariff_objects import TariffError, tariff_of_text

    if (session_id is None) == (session_file is None):
        raise click.UsageError("give one of --session and --session-file")
    site: Site | None = None
    if config.is_file():
        settings, problems = site_file.check(config)
        if settings is None:
            for problem in problems:
                click.echo(str(problem), err=True)
            return BAD_INPUT
        site = settings.site
    try:
        body = _from_file(session_file) if session_file is not None else _from_site(daemon, str(session_id), data_dir)
        zone = ZoneInfo(timezone or (site.timezone if site else "UTC"))
        if tariff_file is not None:
            tariff = pick_tariff(site_file.load_tariffs(tariff_file).tariffs, tariff_id, tariff_file)
        elif body.get("tariff"):
            tariff = tariff_of_text(str(body["tariff"]))
        else:
            raise click.UsageError("the session has no tariff of its own: give --tariff FILE")
        cost = price.price(
            tariff,
            usage.of_body(body, site.voltage_mv if site else None),
            zone,
            reservation=usage.reservation_of(body),
            grace_ms=site.pricing.grace_ms if site else 0,
            plan=_plan(site, body.get("id_token")),
            is_indicative=not (site and site.pricing.is_authority),
        )
    except site_file.ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        return BAD_INPUT
    except (ZoneInfoNotFoundError, TariffError, ValueError) as error:
        click.echo(f"edgectl: {error}", err=True)
        return BAD_INPUT
    if is_json:
        click.echo(json.dumps({"tariff": tariff.id, "timezone": str(zone), **cost_body(cost)}, indent=2, ensure_ascii=False))
        return 0
    click.echo(f"tariff {tariff.id}, hours in {zone}")
    for sentence in explain.explain(cost):
        click.echo(sentence)
    return 0


def pick_tariff(tariffs: tuple[Any, ...], tariff_id: str | None, path: Path) -> Any:
    """The one that is meant.

    Raises:
        click.UsageError: with the tariffs that the file has.
    """
    chosen = [tariff for tariff in tariffs if tariff_id in {None, tariff.id}]
    if len(chosen) != 1:
        known = ", ".join(tariff.id for tariff in tariffs) or "none"
        raise click.UsageError(f"{path} has these tariffs: {known}; name one with --tariff-id")
    return chosen[0]


def _plan(site: Any, token: object) -> Any:
    from edgectl.core.tariffs.book import PriceBook
    from edgectl.domain.ids import IdToken

    return PriceBook(site).plan_of(IdToken(token)) if site is not None and isinstance(token, str) else None


def _from_file(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    if isinstance(found, dict) and isinstance(found.get("session"), dict):
        found = found["session"]  # a whole billing record
    if not isinstance(found, dict):
        raise click.ClickException(f"{path} holds no object")
    return found


def _from_site(daemon: Daemon, session_id: str, data_dir: Path | None) -> dict[str, Any]:
    if data_dir is None:
        found: dict[str, Any] = daemon.get("sessions", session_id)
        return found
    from edgectl.domain.bill import session_body
    from edgectl.domain.errors import StoreError
    from edgectl.store import LedgerFile

    try:
        with LedgerFile(data_dir / "ledger.db") as file:
            session = file.session(session_id)
    except StoreError as error:
        raise click.ClickException(f"{data_dir / 'ledger.db'}: {error}") from error
    if session is None:
        raise click.ClickException(f"no session is called {session_id[:60]!r}")
    return session_body(session)
