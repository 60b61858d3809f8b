"""``edgectl ledger``: is it whole, a copy of it, and what can be had of a damaged one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgectl.cli.client import Daemon, DaemonError
from edgectl.cli.signed import verify_signed
from edgectl.cli.suggesting import Suggesting

if TYPE_CHECKING:
    from edgectl.store import SalvageReport

OK, FAILED, BAD_INPUT = 0, 1, 2
FOLDER = click.Path(file_okay=False, path_type=Path)
data_dir_option = click.option("--data-dir", type=FOLDER, default=Path("/var/lib/edgectl"), show_default=True)
as_json = click.option("--json", "is_json", is_flag=True, help="Machine-readable.")


@click.group(cls=Suggesting)
def ledger() -> None:
    """The billing ledger on this gateway."""


ledger.add_command(verify_signed)


@ledger.command("verify")
@data_dir_option
@click.option(
    "--public-key",
    "key_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check signatures, too, by this Ed25519 key (PEM, either half); may be repeated.",
)
@as_json
def verify(data_dir: Path, key_files: tuple[Path, ...], is_json: bool) -> int:
    """Check that no billing record is missing or changed. Works beside a running daemon."""
    from edgectl.domain.errors import StoreError
    from edgectl.status.encode import encode
    from edgectl.store import LedgerFile, read_public_key

    keys = []
    for key_file in key_files:
        try:
            keys.append(read_public_key(key_file.read_bytes()))
        except (OSError, ValueError) as error:
            click.echo(f"edgectl: {key_file} {error}", err=True)
            return BAD_INPUT
    try:
        with LedgerFile(data_dir / "ledger.db") as file:
            report = file.verify_chain(keys)
    except StoreError as error:
        return _failed(data_dir / "ledger.db", error)
    if is_json:
        click.echo(json.dumps({"is_intact": report.is_intact, **encode(report)}))
    elif report.is_intact:
        after = f" from number {report.after_seq + 1} on" if report.after_seq else ""
        click.echo(f"{report.count} billing records{after}, the chain is intact")
        if report.signed_count or keys:
            told = "each by a key given" if keys else "by whom was not checked: give --public-key"
            click.echo(f"{report.signed_count} are signed, {told}; {report.count - report.signed_count} are not")
    else:
        click.echo(f"broken at number {report.first_broken_seq}: {report.why}", err=True)
    return OK if report.is_intact else FAILED


@ledger.command("backup")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@data_dir_option
@as_json
def backup(target: Path, data_dir: Path, is_json: bool) -> int:
    """Copy the ledger into FILE (or into the folder FILE under a name of its own), checked. Works beside a running daemon.

    To bring it back: `edgectl ledger salvage FILE`.
    """
    from edgectl.domain.errors import StoreError
    from edgectl.domain.time import iso
    from edgectl.runtime.clock import SystemClock
    from edgectl.status.encode import encode
    from edgectl.store import backup

    now = SystemClock().now()
    if target.is_dir():
        stamp = iso(now.utc_ms).replace("-", "").replace(":", "")
        target /= f"ledger-{stamp}.db"
    try:
        report = backup(data_dir / "ledger.db", target, now)
    except StoreError as error:
        return _failed(data_dir / "ledger.db", error)
    if is_json:
        click.echo(json.dumps({**encode(report), "path": str(report.path)}))
    else:
        size = f"{report.size_bytes / 1e6:.1f} MB"
        click.echo(f"{report.path}: {report.bill_count} billing records, {report.session_count} sessions, {size}, checked")
    return OK


@ledger.command("salvage")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option(
    "--into", type=click.Path(dir_okay=False, path_type=Path), help="Only read it, into this file; nothing is taken in."
)
@data_dir_option
@as_json
@click.pass_obj
def salvage(daemon: Daemon, source: Path | None, into: Path | None, data_dir: Path, is_json: bool) -> int:
    """Bring back what a damaged ledger, or a backup, still holds.

    SOURCE is the file, or the folder it is in; without it, the last ledger that was set aside as damaged. All that can be read
    goes into a new file beside the ledger, with a list of what is lost. The running daemon then takes it in: sessions with their
    messages, and billing records that have no receipt, which are sent again. The damaged file stays as it is, and the command can
    be given again.
    """
    from edgectl.domain.errors import StoreError
    from edgectl.status.encode import encode
    from edgectl.store import SALVAGED
    from edgectl.store import salvage as read_all

    found = _source(source or data_dir)
    target = into or data_dir / f"{found.name.removesuffix(SALVAGED)}{SALVAGED}"
    if target.resolve() == found.resolve():
        raise click.ClickException(f"{found} is what was salvaged; name the damaged file, or --into another")
    if found.exists():  # page by page, some 3 MB a second on a PC
        click.echo(f"reading {found}, {found.stat().st_size / 1e6:.1f} MB ...", err=True)
    try:
        report = read_all(found, target)
    except StoreError as error:
        return _failed(found, error)
    taken: dict[str, Any] | None = None
    trouble = ""
    if into is None:
        try:
            taken = daemon.post("ledger", "take-in", body={"file": target.name}, timeout_s=3_600.0)
        except DaemonError as error:
            trouble = str(error)
    if is_json:
        shown = {**encode(report), "source": str(found), "target": str(target), "taken_in": taken, "trouble": trouble}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        for line in [*_report_lines(report), *_taken_lines(taken, report)]:
            click.echo(line)
    if trouble:
        target.unlink()  # while it is there, nobody is reminded
        click.echo(f"edgectl: not taken in: {trouble}", err=True)
        click.echo("edgectl: give this command again when the daemon runs, or keep what was read with --into FILE", err=True)
    return FAILED if trouble or (taken is not None and taken["refused"]) else OK


def _source(given: Path) -> Path:
    from edgectl.store import unsalvaged

    if not given.is_dir():
        return given
    found = unsalvaged(given / "ledger.db")
    if found is None:
        raise click.ClickException(f"no damaged ledger waits in {given}; name the file to read one again")
    return found


def _report_lines(report: SalvageReport) -> list[str]:
    from edgectl.domain.time import iso

    lines = [f"{report.source}: {report.lost_pages} of {report.page_count} pages make no sense"]
    for table in report.tables:
        if table.found or table.missing:
            lost = f", {table.missing} lost" if table.missing else ""
            lines.append(f"  {table.name.replace('_', ' '):<14} {table.found} found{lost}")
    missing = [f"{first}" if first == last else f"{first}..{last}" for first, last in report.missing_seqs]
    if missing:
        lines.append(f"billing records lost, by number: {', '.join(missing)}")
    else:
        lines.append(
            f"billing records {report.first_seq} to {report.last_seq}: all there" if report.last_seq else "no billing records"
        )
    lines.append(f"without a receipt: {report.owed_count}")
    if report.lost_records:
        lines.append(f"to be made again from their session: {len(report.lost_records)}")
    for one in report.open_sessions:
        told = f"from {one.meter_start_wh} Wh, last seen at {one.meter_last_wh} Wh"
        lines.append(f"was running at {one.charger}/{one.evse} since {iso(one.started_utc_ms)}, {told}: {one.session}")
    return lines


def _taken_lines(taken: dict[str, Any] | None, report: SalvageReport) -> list[str]:
    if taken is None:
        return [f"all of it is in {report.target}"]
    again = f" ({taken['rebuilt']} made again)" if taken["rebuilt"] else ""
    lines = [f"taken in: {taken['sessions']} sessions; to be sent: {taken['bills']} billing records{again}"]
    lines += [f"not taken in: {words}" for words in taken["refused"]]
    return [*lines, f"all of it is in {report.target}"]


def _failed(path: Path, error: Exception) -> int:
    click.echo(f"edgectl: {path}: {error}", err=True)
    return FAILED
