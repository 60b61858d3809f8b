"""What is in the database, as tables or with ``--json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from edgectl_backend.cli.options import database_option

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]


def _show(rows: Sequence[dict[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(rows).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(_word(row[column]) for column in columns))
    Console().print(table if rows else "none")


def _word(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list():
            return " ".join(map(str, value))
        case _:
            # Names come from outside: no control characters to the terminal, and no markup.
            from rich.markup import escape

            return escape("".join(char if char.isprintable() else "?" for char in str(value)))


def _listing(name: str, words: str, question: str, columns: Sequence[str]) -> click.Command:
    """A command that asks one of ``questions`` about all sites or one."""

    @click.command(name, help=words)
    @database_option
    @click.option("--site", help="only this one")
    @click.option("--json", "as_json", is_flag=True)
    def command(database: str, site: str | None, as_json: bool) -> None:
        from edgectl_backend.cli.asking import with_database
        from edgectl_backend.postgres import questions

        ask: Callable[..., Any] = getattr(questions, question)
        _show(with_database(database, lambda opened: ask(opened, site)), as_json, columns)

    return command


@click.command()
@database_option
@click.option("--json", "as_json", is_flag=True)
def sites(database: str, as_json: bool) -> None:
    """Every site: gateway, backlog, alarms, sessions, energy, ledger."""
    from edgectl_backend.cli.asking import with_database
    from edgectl_backend.postgres import questions

    columns = [
        "site",
        "state",
        "version",
        "backlog",
        "oldest_unacked_s",
        "alarms",
        "open_sessions",
        "sessions_24h",
        "energy_24h_wh",
    ]
    _show(with_database(database, questions.sites), as_json, [*columns, "records", "missing_records", "chain_faults"])


@click.command()
@database_option
@click.option("--site", help="only this one")
@click.option("--since", type=click.DateTime(MOMENTS), help="began then or later; without an offset it is UTC")
@click.option("--until", type=click.DateTime(MOMENTS), help="began before")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="of the newest")
@click.option("--json", "as_json", is_flag=True)
@click.option("--record", metavar="ID", help="every revision of one record, as it came")
def sessions(
    database: str, site: str | None, since: datetime | None, until: datetime | None, limit: int, as_json: bool, record: str | None
) -> None:
    """Sessions by their highest revision, the newest first."""
    from datetime import UTC

    from edgectl_backend.cli.asking import with_database
    from edgectl_backend.postgres import questions

    if record is not None:
        for body in with_database(database, lambda opened: questions.record(opened, record)):
            click.echo(body)
        return
    since, until = (moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (since, until))
    rows = with_database(database, lambda opened: questions.sessions(opened, site, since, until, limit))
    columns = ["site", "record_id", "rev", "charger", "evse", "id_token", "status", "started_at", "ended_at", "energy_wh"]
    _show(rows, as_json, [*columns, "amount", "currency", "flags", "correction", "corrects", "reservation"])


@click.command("clear-alarms")
@database_option
@click.option("--kind", help="only of this kind")
@click.option("--subject", help="only about this")
@click.argument("site")
def clear_alarms(database: str, kind: str | None, subject: str | None, site: str) -> None:
    """Say that alarms of the backend about SITE were seen to. Those of its gateway end by themselves."""
    from edgectl_backend.cli.asking import with_database
    from edgectl_backend.postgres import questions

    count = with_database(database, lambda opened: questions.clear_alarms(opened, site, kind, subject))
    click.echo(f"{count} cleared")


LISTINGS = (
    sites,
    sessions,
    clear_alarms,
    _listing(
        "gaps",
        "Numbers of ledgers that have not arrived, and whether one of them was refused.",
        "gaps",
        ["site", "epoch", "first_seq", "last_seq", "gap_since", "rejected"],
    ),
    _listing(
        "chain-faults",
        "Records that do not follow the one before them (broken), and numbers that two records have (fork).",
        "chain_faults",
        ["site", "epoch", "seq", "kind", "expected", "found", "at"],
    ),
    _listing(
        "alarms",
        "Alarms that stand, of gateways and of the backend.",
        "alarms",
        ["site", "source", "kind", "subject", "detail", "at"],
    ),
    _listing(
        "telemetry-gaps",
        "Blocks of telemetry that gateways let go of for want of room, before they were here.",
        "telemetry_gaps",
        ["site", "epoch", "from_seq", "through_seq", "count", "first_at", "last_at", "reason"],
    ),
    _listing(
        "rejects",
        "What was refused, once for each content.",
        "rejects",
        ["site", "code", "record_id", "rev", "seq", "times", "reason", "last_at"],
    ),
)
