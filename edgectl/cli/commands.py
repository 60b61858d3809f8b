"""The commands. Heavy rooms are imported by the command that needs them, so that ``--help`` is quick on a small gateway."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from edgectl import __version__
from edgectl.cli import (
    actions,
    authority,
    commissioning,
    contract,
    corrections,
    exports,
    ledger,
    limits,
    meter_tools,
    prices,
    tables,
    uplink_table,
)
from edgectl.cli.client import Daemon, DaemonError
from edgectl.cli.showing import show
from edgectl.cli.suggesting import Suggesting

OK, FAILED, BAD_INPUT, UNSAFE = 0, 1, 2, 3
DEFAULT_FILE = Path("/etc/edgectl/site.yaml")
DEFAULT_DATA = Path("/var/lib/edgectl")
FILE = click.Path(dir_okay=False, path_type=Path)

as_json = click.option("--json", "is_json", is_flag=True, help="Machine-readable: the same fields as the HTTP API.")
watched = click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")


@click.group(cls=Suggesting, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--socket", type=click.Path(path_type=Path), default=None, help="The daemon's socket (or $EDGECTL_SOCKET).")
@click.version_option(__version__, message="edgectl %(version)s")
@click.pass_context
def cli(context: click.Context, socket: Path | None) -> None:
    """edgectl: the on-site controller for a cluster of EV chargers."""
    context.obj = Daemon(socket)


def main() -> None:
    """The entry point: exit codes and broken pipes as a shell expects them."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else OK)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except DaemonError as error:
        click.echo(f"edgectl: {error}", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        # The reader (head, less) has had enough.
        sys.stderr.close()
        sys.exit(OK)


# --- the daemon and its file ----------------------------------------------------------------------------------------------


@cli.command()
@click.option("-c", "--config", type=FILE, default=DEFAULT_FILE, show_default=True, help="The site's YAML file.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA, show_default=True)
@click.option("--socket", "own_socket", type=click.Path(path_type=Path), default=None, help="Where the CLI finds the daemon.")
@click.pass_obj
def run(daemon: Daemon, config: Path, data_dir: Path, own_socket: Path | None) -> int:
    """Run the daemon in the foreground (systemd's ExecStart)."""
    from edgectl import app

    return app.run(config, data_dir, own_socket or daemon.path)


@cli.command()
@click.argument("file", type=FILE, default=DEFAULT_FILE)
@as_json
def check(file: Path, is_json: bool) -> int:
    """Check a YAML file: every mistake at once, then what happens in the worst case."""
    from edgectl import app, config
    from edgectl.meters import model_names, read_plan
    from edgectl.status.encode import encode

    settings, problems = config.check(file, known_models=model_names(), planner=read_plan)
    errors = [problem for problem in problems if not problem.is_warning]
    report = app.prove(settings) if settings is not None and not errors else None
    is_allowed = settings is not None and report is not None and app.is_allowed(settings)
    if is_json:
        found = [{**encode(problem), "text": str(problem)} for problem in problems]
        proof = None if report is None else {"is_safe": report.is_safe, "is_allowed": is_allowed, **encode(report)}
        click.echo(json.dumps({"problems": found, "proof": proof}, indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(f"warning: {problem}" if problem.is_warning else str(problem), err=not problem.is_warning)
        if report is not None:
            _print_proof(report)
            for words in app.unsafe_words(report):
                click.echo(f"unsafe: {words}", err=True)
    if report is None:
        return BAD_INPUT
    return OK if is_allowed else UNSAFE


def _print_proof(report: Any) -> None:
    from edgectl.core.proof import case_words

    console = Console()
    modes = [(m.circuit, m.mode, "-" if m.on_meter_loss is None else m.on_meter_loss.value) for m in report.modes]
    console.print(tables.table(("circuit", "runs", "when its meter is silent"), modes, "No circuits."))
    console.print("\nWorst case: edgectl gone, every charger in use at its fallback")
    rows = [
        (
            r.circuit,
            r.phase.name,
            f"{r.evse_count} EVSEs {tables.amps(r.fallbacks_ma)}",
            tables.amps(r.other_loads_ma),
            tables.amps(r.worst_ma),
            tables.amps(r.limit_ma),
            "fits" if r.is_safe else "TOO MUCH",
        )
        for r in report.rows
    ]
    console.print(tables.table(("circuit", "phase", "fallbacks", "other loads", "together", "limit", ""), rows, ""))
    console.print("\nWhat binds each circuit, of everything that may fail")
    for case in report.binding:
        console.print(f"  {case_words(case)}", soft_wrap=True)
    if report.leases:
        console.print("\nUntil leases are over, when edgectl stops or restarts")
        for case in report.leases:
            console.print(f"  {case_words(case)}", soft_wrap=True)
    console.print(
        "\nThis rests on other loads staying below what the file says, on fallbacks that hold and on leases that end: "
        "`edgectl chargers show ID` tells which of it is proven. A charger that has never confirmed its fallback counts at its "
        "rating while it is away.",
        soft_wrap=True,
    )


@cli.command()
@click.argument("file", type=FILE)
@click.option("--against", type=FILE, default=DEFAULT_FILE, show_default=True, help="The file now in force.")
def plan(file: Path, against: Path) -> int:
    """What would change if FILE took the place of the file in force."""
    from edgectl import config

    found = [config.check(path) for path in (against, file)]
    for _, problems in found:
        for problem in problems:
            if not problem.is_warning:
                click.echo(str(problem), err=True)
    (old, _), (new, _) = found
    if old is None or new is None:
        return BAD_INPUT
    for line in config.describe_changes(old, new) or ("nothing changes",):
        click.echo(line)
    return OK


@cli.command()
@click.pass_obj
def reload(daemon: Daemon) -> int:
    """Let the daemon read its file again; all of it takes effect, or nothing."""
    answer = daemon.post("reload")
    for line in answer["lines"]:
        click.echo(line, err=not answer["applied"])
    return OK if answer["applied"] else FAILED


@cli.command()
def schema() -> None:
    """The JSON Schema of the YAML file, for editors."""
    from edgectl import config

    click.echo(json.dumps(config.json_schema(), indent=2))


@cli.command()
@click.option("--site", default="my-site", show_default=True, help="Id of the site.")
@click.option("--grid-limit", default="63 A", show_default=True, help="Limit of the grid connection per phase.")
@click.option("--chargers", "charger_count", default=2, show_default=True, help="How many chargers.")
def init(site: str, grid_limit: str, charger_count: int) -> int:
    """Print a commented starter file."""
    from edgectl import config

    try:
        click.echo(config.starter_file(site, grid_limit, charger_count), nl=False)
    except config.ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        return BAD_INPUT
    return OK


# --- live views -----------------------------------------------------------------------------------------------------------


@cli.command()
@as_json
@watched
@click.pass_obj
def status(daemon: Daemon, is_json: bool, watch: bool) -> None:
    """The whole site at a glance."""
    show(lambda: daemon.get("status"), tables.status, is_json=is_json, watch=watch)


@cli.group(cls=Suggesting, invoke_without_command=True)
@as_json
@watched
@click.pass_context
def chargers(context: click.Context, is_json: bool, watch: bool) -> None:
    """All chargers; `chargers show ID` for one."""
    if context.invoked_subcommand is None:
        ask = (lambda: context.obj.get("chargers")) if is_json else (lambda: context.obj.get("status"))
        show(ask, tables.chargers_and_strangers, is_json=is_json, watch=watch)


@chargers.command("show")
@click.argument("charger")
@as_json
@click.pass_obj
def chargers_show(daemon: Daemon, charger: str, is_json: bool) -> None:
    """One charger with its facts and reasons."""
    show(lambda: daemon.get("chargers", charger), tables.charger, is_json=is_json)


@cli.group(cls=Suggesting, invoke_without_command=True)
@as_json
@watched
@click.pass_context
def meters(context: click.Context, is_json: bool, watch: bool) -> None:
    """The last reading of each meter, from the daemon; the commands below need none."""
    if context.invoked_subcommand is None:
        show(lambda: context.obj.get("meters"), tables.meters, is_json=is_json, watch=watch)


meter_tools.register(meters)


@cli.command()
@as_json
@watched
@click.pass_obj
def circuits(daemon: Daemon, is_json: bool, watch: bool) -> None:
    """Limits, loads and headroom of each conductor."""
    show(lambda: daemon.get("circuits"), tables.circuits, is_json=is_json, watch=watch)


@cli.command()
@click.option("--since", default=None, help="Begun at or after this moment, 2026-03-01T00:00:00Z.")
@click.option("--until", default=None, help="Begun before this moment.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@as_json
@click.pass_obj
def excursions(daemon: Daemon, since: str | None, until: str | None, limit: int, is_json: bool) -> None:
    """When conductors were above their limits, by how much, and how near their breakers came to opening."""
    ask = lambda: daemon.get("excursions", since=since, until=until, limit=str(limit))  # noqa: E731
    show(ask, tables.excursions, is_json=is_json)


@cli.command()
@click.option("--since", default=None, help="From this day on, 2026-03-01.")
@click.option("--until", default=None, help="To this day.")
@as_json
@click.pass_obj
def curtailment(daemon: Daemon, since: str | None, until: str | None, is_json: bool) -> None:
    """How much vehicles were held back, by day, circuit and cause: which cable is too thin?"""
    show(lambda: daemon.get("curtailment", since=since, until=until), tables.curtailment, is_json=is_json)


@cli.command()
@as_json
@watched
@click.pass_obj
def alarms(daemon: Daemon, is_json: bool, watch: bool) -> None:
    """What is wrong now, and since when."""
    show(lambda: daemon.get("alarms"), tables.alarms, is_json=is_json, watch=watch)


@cli.command()
@click.argument("charger")
@click.option(
    "--at", default=None, help="02:14, '2026-03-01 02:14' on the site's clock, or 2026-03-01T02:14:00Z; without it, now."
)
@as_json
@click.pass_obj
def why(daemon: Daemon, charger: str, at: str | None, is_json: bool) -> None:
    """Why CHARGER (or CHARGER/EVSE) may draw what it may."""
    name, _, evse = charger.partition("/")
    found = daemon.get("why", name, *([evse] if evse else []), at=at)
    if is_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for limit in found:
        click.echo(limit["why"])
        if limit["reason"]["inputs"]:
            Console().print(tables.inputs(limit["reason"]["inputs"]))


# --- sessions ------------------------------------------------------------------------------------------------------------


@cli.group(cls=Suggesting)
def sessions() -> None:
    """What was charged."""


since_option = click.option("--since", default=None, help="From this moment on, e.g. 2026-03-01.")
until_option = click.option("--until", default=None, help="Before this moment.")


@sessions.command("list")
@since_option
@until_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@as_json
@click.pass_obj
def sessions_list(daemon: Daemon, since: str | None, until: str | None, limit: int, is_json: bool) -> None:
    """Sessions, the latest first."""
    show(lambda: daemon.get("sessions", since=since, until=until, limit=str(limit)), tables.sessions, is_json=is_json)


@sessions.command("show")
@click.argument("session")
@as_json
@click.pass_obj
def sessions_show(daemon: Daemon, session: str, is_json: bool) -> None:
    """One session with its periods."""
    show(lambda: daemon.get("sessions", session), tables.session, is_json=is_json)


@cli.group(cls=Suggesting)
def uplink() -> None:
    """The connection to the backend."""


@uplink.command("status")
@as_json
@click.pass_obj
def uplink_status(daemon: Daemon, is_json: bool) -> None:
    """Connected or not, what waits and since when."""

    show(lambda: daemon.get("uplink"), uplink_table.status, is_json=is_json)


@uplink.command("parked")
@as_json
@click.pass_obj
def uplink_parked(daemon: Daemon, is_json: bool) -> None:
    """Records that the broker or the backend would not take, and why."""
    show(lambda: daemon.get("uplink", "parked"), uplink_table.parked, is_json=is_json)


@uplink.command("requeue")
@click.argument("numbers", type=click.IntRange(1), nargs=-1, metavar="[NUMBER]...")
@click.option("--all", "is_all", is_flag=True, help="Everything that is set aside.")
@as_json
@click.pass_obj
def uplink_requeue(daemon: Daemon, numbers: tuple[int, ...], is_all: bool, is_json: bool) -> int:
    """Put records back into the line, by their numbers in `uplink parked`, when what kept them out is mended."""
    if bool(numbers) == is_all:
        raise click.UsageError("Name the numbers, or --all.")
    there = {one["seq"] for one in daemon.get("uplink", "parked")}
    missing = [number for number in numbers if number not in there]
    if missing:
        click.echo(f"edgectl: not set aside: {', '.join(map(str, missing))}", err=True)
        return FAILED
    daemon.post("uplink", "requeue", body={"seqs": list(numbers), "actor": actions.actor()})
    wanted = len(numbers) or len(there)
    click.echo(json.dumps({"requeued": wanted}) if is_json else f"{wanted} back in the line")
    return OK


@cli.group(cls=Suggesting)
def service() -> None:
    """edgectl as a systemd service."""


@service.command("install")
@click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
@click.option("--start/--no-start", default=True, show_default=True)
def service_install(dry_run: bool, start: bool) -> int:
    """Install or update the service on this gateway (needs root)."""
    from edgectl import config
    from edgectl.service import ServiceError, install

    try:
        for line in install(start=start, dry_run=dry_run, starter=config.starter_file()):
            click.echo(line)
    except ServiceError as error:
        click.echo(f"edgectl: {error}", err=True)
        return FAILED
    return OK


actions.register(cli)
cli.add_command(limits.limit)
cli.add_command(limits.limits)
cli.add_command(commissioning.commission)
cli.add_command(commissioning.adopt)
cli.add_command(authority.authority)
cli.add_command(prices.price_command)
cli.add_command(contract.contract)
cli.add_command(ledger.ledger)
sessions.add_command(exports.sessions_export)
sessions.add_command(corrections.sessions_correct)
