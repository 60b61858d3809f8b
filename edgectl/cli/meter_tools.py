"""``edgectl meters ...``: tools that need no daemon. They read, and never write: see ``edgectl.meters.tools.questions``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edgectl.cli.meter_targets import (
    BAD_INPUT,
    Target,
    address_of,
    connection_of,
    is_every_setting,
    line_of,
    settings_of,
    targets_of,
)

if TYPE_CHECKING:
    from edgectl.domain.events import MeterReading
    from edgectl.domain.settings import Connection
    from edgectl.meters.tools.identify import Identity
    from edgectl.meters.tools.scan import ScanReport

T = TypeVar("T")
OK, FAILED = 0, 1
DEFAULT_FILE = Path("/etc/edgectl/site.yaml")
REFRESH_S = 0.5

as_json = click.option("--json", "is_json", is_flag=True, help="Machine-readable.")
_FILE = click.Path(dir_okay=False, path_type=Path)
in_file = click.option(
    "-c", "--config", "file", type=_FILE, default=DEFAULT_FILE, show_default=True, help="The file with the names."
)
unit_option = click.option(
    "--unit", type=click.IntRange(0, 255), default=1, show_default=True, help="Modbus unit number, with an address."
)
model_option = click.option("--model", default=None, help="Catalogue name, with an address.")


class UnitRange(click.ParamType[tuple[int, ...]]):
    """``1-247``, ``3`` or ``1-10,33``."""

    name = "units"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for part in str(value).split(","):
            first, _, last = part.strip().partition("-")
            if not first.isdigit() or (last and not last.isdigit()):
                self.fail(f"{value!r} is no list of units; write `1-247` or `1-10,33`", param, ctx)
            found.update(dict.fromkeys(range(int(first), int(last or first) + 1)))
        if not found or min(found) < 0 or max(found) > 255:
            self.fail(f"{value!r} is out of range; 0 to 255", param, ctx)
        return tuple(found)


@click.command("models")
@click.option("--show", "wanted", default=None, metavar="NAME", help="One model with its registers and sources.")
@click.option("--search", default=None, metavar="TEXT", help="Only models with these words in a name.")
@as_json
def models(wanted: str | None, search: str | None, is_json: bool) -> int:
    """Meters edgectl can read, with where the knowledge of each comes from."""
    from edgectl.cli import meter_tables
    from edgectl.config.problems import one_of
    from edgectl.meters import model_names
    from edgectl.meters.catalogue import sheets

    if wanted is None:
        found = sheets.search(search or "")
        if is_json:
            _print_json([_sheet(one) for one in found])
        else:
            Console().print(meter_tables.models(found))
        return OK if found else FAILED
    try:
        one = sheets.sheet(wanted)
    except KeyError:
        raise click.BadParameter(f"no model is called {wanted!r}; {one_of(wanted, sorted(model_names()), 'models')}") from None
    if is_json:
        _print_json({**_sheet(one), "registers": one.raw})
    else:
        Console().print(meter_tables.model(one))
    return OK


def _sheet(one: Any) -> dict[str, Any]:
    names = ("name", "brand", "models", "also_sold_as", "aliases", "phases", "confidence", "conflicts", "sources", "note", "bus")
    return {name: getattr(one, name) for name in names}


@click.command("scan")
@click.argument("target")
@click.option("--units", type=UnitRange(), default="1-247", show_default=True, help="Which units to ask.")
@click.option("--all", "is_all", is_flag=True, help="Go on with other speeds after units were found.")
@as_json
def scan(target: str, units: tuple[int, ...], is_all: bool, is_json: bool) -> int:
    """Who answers on a line. Only reads are sent.

    TARGET is tcp://HOST, rtu+tcp://HOST:PORT or serial:///dev/ttyUSB0 (every speed and parity) or
    serial:///dev/ttyUSB0?baud=9600&parity=none (one).
    """
    from edgectl.cli import meter_tables
    from edgectl.meters.tools.scan import bound_ms
    from edgectl.meters.tools.scan import settings_of as every_setting

    first = connection_of(target)
    settings = every_setting(first) if is_every_setting(target) else (first,)
    console = Console(stderr=True)
    if len(settings) > 1 and not is_json:
        longest_s = max(bound_ms(one, len(units)) for one in settings) / 1000
        console.print(f"{len(settings)} speeds and parities, up to {longest_s:.0f} s each; Ctrl-C stops", style="dim")
    reports: list[ScanReport] = []
    for connection in settings:
        report = _run(_scanned(connection, units, console, is_shown=not is_json and console.is_terminal))
        reports.append(report)
        if not is_json and (report.found or report.talks_by_itself or len(settings) == 1):
            Console().print(meter_tables.scan(report))
        if (report.found or report.talks_by_itself) and not is_all:
            break
    is_found = any(report.found for report in reports)
    if is_json:
        _print_json([{**_encoded(report), "address": address_of(report.connection)} for report in reports])
    elif is_found:
        last = next(report for report in reversed(reports) if report.found)
        click.echo(f"next: edgectl meters identify '{address_of(last.connection)}' --unit {last.found[0].unit}")
    elif len(settings) > 1:
        click.echo("nobody at any speed: is A on A and B on B, and does the line have power and termination?")
    return OK if is_found else FAILED


async def _scanned(connection: Connection, units: tuple[int, ...], console: Console, *, is_shown: bool) -> ScanReport:
    from edgectl.meters.tools.scan import scan as scan_line

    with _bar(console, line_of(connection), is_shown=is_shown) as bar:
        task = bar.add_task("", total=len(units))
        return await scan_line(connection, units, lambda done: bar.update(task, completed=done))


@click.command("identify")
@click.argument("target")
@click.option("--unit", type=click.IntRange(0, 255), default=1, show_default=True, help="Modbus unit number.")
@as_json
def identify(target: str, unit: int, is_json: bool) -> int:
    """Which model a unit is, how sure that is, and what else it might be. Only reads are sent."""
    from edgectl.cli import meter_tables

    connection = connection_of(target)
    console = Console(stderr=True)
    found = _run(_identified(connection, unit, console, is_shown=not is_json and console.is_terminal))
    block = _block(connection, unit, found)
    if is_json:
        _print_json({**_encoded(found), "yaml": block})
    else:
        Console().print(meter_tables.identity(found))
        if block:
            click.echo(f"\nFor the site's file:\n{block}")  # unwrapped, to be copied
    return OK if found.best is not None else FAILED


async def _identified(connection: Connection, unit: int, console: Console, *, is_shown: bool) -> Identity:
    from edgectl.meters.tools.identify import identify as identify_unit
    from edgectl.runtime.clock import SystemClock

    with _bar(console, f"unit {unit}", is_shown=is_shown) as bar:
        task = bar.add_task("", total=None)
        return await identify_unit(
            connection, unit, SystemClock(), random.SystemRandom(), lambda done, of: bar.update(task, completed=done, total=of)
        )


def _block(connection: Connection, unit: int, found: Identity) -> str:
    """What goes into the site's file."""
    if found.best is None:
        return ""
    from edgectl.meters.catalogue.sheets import sheet

    phases = "" if sheet(found.best.model).phases > 1 else "\n    phases: [L1]                     # the site phase it sits on"
    return f"meters:\n  main:\n    model: {found.best.model}\n    connect: {address_of(connection)}\n    unit: {unit}{phases}"


@click.command("read")
@click.argument("target")
@unit_option
@model_option
@in_file
@click.option("--raw", "is_raw", is_flag=True, help="Also the registers as they came, or the telegram.")
@as_json
def read(target: str, unit: int, model: str | None, file: Path, is_raw: bool, is_json: bool) -> int:
    """One reading of a meter: TARGET is an address (with --model and --unit) or a name in the site's file."""
    from edgectl.cli import meter_tables
    from edgectl.domain.events import Quality
    from edgectl.meters.tools.sampling import sample
    from edgectl.runtime.clock import SystemClock

    clock = SystemClock()
    (wanted,) = targets_of((target,), file, unit, model)
    found = _run(sample(wanted.meter, clock, random.SystemRandom()))
    if is_json:
        raw = {"exchanges": _exchanges(found), "telegram": found.lines} if is_raw else {}
        _print_json({"reading": None if found.reading is None else _encoded(found.reading), **raw})
    else:
        console = Console()
        console.print(meter_tables.reading(wanted, found.reading, clock.now().mono_ms))
        if is_raw and found.lines:
            console.print("\n" + "\n".join(found.lines), markup=False, highlight=False)
        elif is_raw:
            console.print("")
            console.print(meter_tables.exchanges(found.exchanges))
    return OK if found.reading is not None and found.reading.quality is Quality.GOOD else FAILED


def _exchanges(found: Any) -> list[dict[str, Any]]:
    return [{**_encoded(request), "words": answer.words, "reason": answer.reason} for request, answer in found.exchanges]


@click.command("watch")
@click.argument("targets", nargs=-1, metavar="[TARGET|NAME]...")
@unit_option
@model_option
@in_file
@click.option(
    "--for", "for_s", type=click.FloatRange(0), default=None, metavar="SECONDS", help="Then stop; without it, Ctrl-C does."
)
@click.option("--json", "is_json", is_flag=True, help="A line of JSON for each reading.")
def watch(targets: tuple[str, ...], unit: int, model: str | None, file: Path, for_s: float | None, is_json: bool) -> int:
    """Live readings with phases, ages and everything that looks odd. All meters of the site's file when none is named."""
    wanted = targets_of(targets, file, unit, model)
    if not wanted:
        click.echo("no meters", err=True)
        return FAILED
    with contextlib.suppress(KeyboardInterrupt):
        _run(_watched(wanted, for_s, is_json=is_json))
    return OK


async def _watched(targets: list[Target], for_s: float | None, *, is_json: bool) -> None:
    from edgectl.cli import meter_tables
    from edgectl.domain.events import Quality
    from edgectl.meters.tools.sampling import follow
    from edgectl.runtime.clock import SystemClock

    clock = SystemClock()
    latest: dict[str, MeterReading] = {}
    good: dict[str, MeterReading] = {}

    def tell(reading: MeterReading) -> None:
        latest[reading.meter] = reading
        if reading.quality is Quality.GOOD:
            good[reading.meter] = reading
        if is_json:
            click.echo(json.dumps(_encoded(reading), ensure_ascii=False))

    async def draw() -> None:
        def picture() -> Any:
            return meter_tables.watch(targets, latest, good, clock.now().mono_ms)

        with Live(picture(), auto_refresh=False) as live:
            while True:
                await asyncio.sleep(REFRESH_S)
                live.update(picture(), refresh=True)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s), asyncio.TaskGroup() as tasks:
            tasks.create_task(follow([target.meter for target in targets], tell, clock, random.SystemRandom()))
            if not is_json:
                tasks.create_task(draw())


@click.command("budget")
@click.argument("file", type=_FILE, default=DEFAULT_FILE)
@as_json
def budget(file: Path, is_json: bool) -> int:
    """What reading the meters costs each line, from the site's file alone: milliseconds, sum, head-room."""
    from edgectl.cli import meter_tables
    from edgectl.domain.bus_plan import as_meter, line_loads
    from edgectl.meters import read_plan

    settings = settings_of(file, with_plan=False)
    try:
        plans = [(meter, read_plan(meter)) for meter in settings.meters]
    except ValueError as error:
        click.echo(f"edgectl: {error}", err=True)
        return BAD_INPUT
    reads = [(meter, plan) for meter, plan in plans if plan is not None]
    lines = line_loads([*reads, *(as_meter(one) for one in settings.inputs)])
    if is_json:
        _print_json(
            [{**_encoded(one), "load_permille": one.load_permille, "address": address_of(one.connection)} for one in lines]
        )
    else:
        Console().print(meter_tables.budget(lines, [str(meter.meter) for meter, plan in plans if plan is None]))
    return OK if all(one.headroom_permille >= 0 for one in lines) else BAD_INPUT


def register(meters: click.Group) -> None:
    """Add every tool to the group."""
    for command in (models, scan, identify, read, watch, budget):
        meters.add_command(command)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; a line that cannot be used is a sentence and exit code 1."""
    from edgectl.meters.tools.lines import LineError
    from edgectl.runtime.logs import configure_logs

    configure_logs(level=logging.CRITICAL)  # what a reading lacks is shown in its place
    try:
        return asyncio.run(work)
    except LineError as error:
        click.echo(f"edgectl: {error}", err=True)
        raise click.exceptions.Exit(FAILED) from error


def _bar(console: Console, words: str, *, is_shown: bool) -> Progress:
    columns = (TextColumn(words), BarColumn(bar_width=None), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not is_shown)


def _encoded(value: Any) -> dict[str, Any]:
    from edgectl.status.encode import encode

    found: dict[str, Any] = encode(value)
    return found


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
