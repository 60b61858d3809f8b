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
from edgectl_backend.cli.options import ListenAddress, broker_options, broker_settings, database_option

OK, FAILED = 0, 1


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """The reference backend of edgectl: takes what gateways send, keeps it in PostgreSQL, sends receipts."""


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
@click.option("--listen", type=ListenAddress(), default=None, help="for the fleet's page and /metrics; nothing is open without")
@click.option("--migrate", is_flag=True, help="bring the schema up to date at the start")
def run(database: str, group: str, listen: tuple[str, int] | None, migrate: bool, **broker: Any) -> None:
    """Consume, in the foreground. Start more of it to scale out."""
    from edgectl.runtime.logs import configure_logs
    from edgectl_backend.service.process import BackendSettings, SchemaError, run_backend

    configure_logs()
    logging.getLogger("edgectl_backend").setLevel(logging.INFO)
    settings = BackendSettings(broker_settings(**broker), database, group, listen, migrate)

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
    except SchemaError as error:
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
