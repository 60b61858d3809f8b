"""The commands, one function each."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

import click
import structlog

from edgectl import __version__
from edgectl_backend.cli.listings import LISTINGS
from edgectl_backend.cli.options import broker_options, broker_settings, database_option, page_access, page_options

OK, FAILED = 0, 1


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """The reference backend of edgectl: takes what gateways send, keeps it in PostgreSQL, sends receipts."""


for listing in LISTINGS:
    cli.add_command(listing)


def main() -> None:
    """The entry point."""
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        print("edgectl-backend needs its extra: pip install 'edgectl[backend]'", file=sys.stderr)  # noqa: T201
        sys.exit(FAILED)
    from edgectl_backend.postgres.database import DatabaseError

    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except DatabaseError as error:
        click.echo(f"the database: {error}", err=True)
        sys.exit(FAILED)


@cli.command()
@broker_options
@database_option
@click.option("--group", default="backend", show_default=True, help="processes of one group share the load")
@page_options
@click.option("--migrate", is_flag=True, help="bring the schema up to date at the start")
@click.option("--telemetry-days", type=click.IntRange(1, 3_650), default=30, show_default=True, help="older telemetry is dropped")
def run(
    database: str,
    group: str,
    listen: tuple[str, int] | None,
    users_file: str | None,
    page_certificate: str | None,
    without_login: bool,
    without_tls: bool,
    migrate: bool,
    telemetry_days: int,
    **broker: Any,
) -> None:
    """Consume, in the foreground. Start more of it to scale out."""
    from edgectl.runtime.logs import configure_logs
    from edgectl_backend.service.process import BackendSettings, SchemaError, run_backend

    configure_logs()
    logging.getLogger("edgectl_backend").setLevel(logging.INFO)
    users, tls = page_access(listen, users_file, page_certificate, without_login, without_tls)
    settings = BackendSettings(broker_settings(**broker), database, group, listen, users, tls, migrate, telemetry_days)

    async def until_told() -> None:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: task is not None and task.cancel())
        log = structlog.get_logger("edgectl_backend")
        await run_backend(settings, on_ready=lambda _: log.info("backend_ready", version=__version__))

    try:
        asyncio.run(until_told())
    except asyncio.CancelledError:
        return
    except (SchemaError, OSError) as error:
        raise click.ClickException(str(error)) from error


@cli.command("hash-password")
@click.argument("name")
def hash_password(name: str) -> None:
    """Ask for the password of NAME and print a line for `run --users-file`. From a pipe, its first line is the password."""
    from edgectl_backend.web.login import make_line

    is_person = sys.stdin.isatty()
    try:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if is_person else ""
        click.echo(make_line(name, password or sys.stdin.readline().rstrip("\n")))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@cli.command("migrate")
@database_option
def migrate_command(database: str) -> None:
    """Bring the schema up to date."""
    from edgectl_backend.postgres.database import Database
    from edgectl_backend.postgres.migrating import migrate

    async def apply() -> list[str]:
        async with Database(database) as opened:
            return await migrate(opened)

    for name in asyncio.run(apply()) or ["nothing to do: the schema is up to date"]:
        click.echo(f"{name}")


@cli.command()
@database_option
@click.option("--site", help="only this one")
@click.option(
    "--public-key", "key_files", multiple=True, metavar="FILE", help="also check signatures, by this Ed25519 key; may be repeated"
)
def verify(database: str, site: str | None, key_files: tuple[str, ...]) -> None:
    """Hold every record in the database once more against its hash and the chain, and against its gateway's signature."""
    from edgectl.store import read_public_key
    from edgectl_backend.cli.asking import with_database
    from edgectl_backend.judging.rechecking import Recheck
    from edgectl_backend.postgres.rechecking import recheck_all
    from edgectl_backend.service.process import read_file

    keys = []
    for name in key_files:
        try:
            keys.append(read_public_key(read_file(name)))
        except (KeyError, ValueError) as error:
            raise click.BadParameter(f"{name} {error}", param_hint="--public-key") from error

    def tell(ledger: tuple[str, str], found: Recheck) -> None:
        signed = f", {found.signed_count} signed" if found.signed_count or keys else ""
        click.echo(f"{ledger[0]} {ledger[1]}: {found.count} records{signed}, {'whole' if found.is_whole else 'NOT whole'}")
        for words in found.problems:
            click.echo(f"  {words}")

    found = with_database(database, lambda opened: recheck_all(opened, site, keys, tell))
    if not found:
        sys.exit(FAILED)


@cli.command("send-command")
@broker_options
@click.option("--database", metavar="URL", envvar="EDGECTL_BACKEND_DATABASE", show_envvar=True, help="to note the command there")
@click.option("--actor", default="backend", show_default=True, help="who asks; has a role at the gateway")
@click.option("--args", "args_text", default="{}", metavar="JSON", help="the command's arguments")
@click.option("--key", help="name of the key at the gateway; for commands that must be signed")
@click.option("--key-file", metavar="FILE", help="PEM with the key's private half (Ed25519)")
@click.option("--patience", type=click.IntRange(1, 86_400), default=60, show_default=True, help="seconds until it expires")
@click.argument("site")
@click.argument("name")
def send_command(
    database: str | None,
    actor: str,
    args_text: str,
    key: str | None,
    key_file: str | None,
    patience: int,
    site: str,
    name: str,
    **broker: Any,
) -> None:
    """Ask the gateway of SITE to do NAME, and wait for its answer."""
    import json
    from datetime import timedelta

    import msgspec

    from edgectl_backend.cli.asking import with_database
    from edgectl_backend.postgres import questions
    from edgectl_backend.service.sending import CommandError, make_order, nonce_of, send

    if (key is None) != (key_file is None):
        raise click.UsageError("--key and --key-file go together")
    try:
        args = json.loads(args_text)
    except ValueError as error:
        raise click.BadParameter(f"{args_text!r} is not JSON: {error}", param_hint="--args") from error
    if not isinstance(args, dict):
        raise click.BadParameter("must be a JSON object", param_hint="--args")
    nonce = nonce_of(with_database(database, lambda opened: questions.last_status(opened, site))) if database else None
    signer = (key, key_file) if key is not None and key_file is not None else None
    try:
        order = make_order(site, name, args, actor=actor, life=timedelta(seconds=patience), key=signer, nonce=nonce)
        if database:
            with_database(database, lambda opened: questions.note_command(opened, order.id, site, name, actor, args_text))
        answer = asyncio.run(send(broker_settings(**broker), order, timedelta(seconds=patience)))
    except CommandError as error:
        raise click.ClickException(str(error)) from error
    text = msgspec.json.encode(answer).decode()
    if database:
        with_database(database, lambda opened: questions.note_answer(opened, order.id, text))
    click.echo(text)
    if answer.status != "done":
        sys.exit(FAILED)


@cli.command()
@broker_options
@click.option("--prefix", help="of the sites it plays; must be new for each run; without, one is made up")
@click.option("--only", "names", multiple=True, help="one scenario; may be repeated")
@click.option(
    "--patience", type=click.FloatRange(1, 3_600), default=30.0, show_default=True, help="seconds to wait for an answer"
)
@click.option("--seed", type=int, default=1, show_default=True, help="of everything random")
@click.option("--json", "as_json", is_flag=True)
def conformance(prefix: str | None, names: tuple[str, ...], patience: float, seed: int, as_json: bool, **broker: Any) -> None:
    """Play a difficult site against whoever consumes on this broker, and report what it does wrong.

    Sites of its own appear at that consumer: never use it on one that writes bills.
    """
    import secrets

    from edgectl_backend.conformance.judging import Verdict
    from edgectl_backend.conformance.playing import UnreachableError, play
    from edgectl_backend.conformance.scenarios import NAMES

    for name in names:
        if name not in NAMES:
            raise click.BadParameter(f"{name!r}; there are: {', '.join(NAMES)}", param_hint="--only")

    def tell(verdict: Verdict) -> None:
        if as_json:
            return
        click.echo(
            f"{'wrong' if verdict.wrong else 'right':<6} {verdict.name:<12} {verdict.words} ({verdict.answered_count} answers)"
        )
        for words, count in verdict.wrong.items():
            click.echo(f"       {count:>5} x {words}")

    settings = broker_settings(**broker)
    made_up = prefix or f"conformance-{secrets.token_hex(4)}"
    try:
        verdicts = asyncio.run(play(settings, made_up, seed=seed, names=names or NAMES, patience_s=patience, on_verdict=tell))
    except UnreachableError as error:
        raise click.ClickException(str(error)) from error
    wrong = sum(1 for verdict in verdicts if verdict.wrong)
    if as_json:
        import json

        click.echo(
            json.dumps([{"name": v.name, "words": v.words, "wrong": v.wrong, "answers": v.answered_count} for v in verdicts])
        )
    else:
        click.echo(f"{len(verdicts) - wrong} of {len(verdicts)} scenarios right")
    if wrong:
        sys.exit(FAILED)
