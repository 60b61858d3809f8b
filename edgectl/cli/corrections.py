"""``edgectl sessions correct``: a sealed record that was wrong is credited and replaced, by the running daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgectl.cli.actions import ANSWER_TIMEOUT_S, actor
from edgectl.cli.client import Daemon
from edgectl.cli.prices import pick_tariff

OK, FAILED, BAD_INPUT = 0, 1, 2
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("correct")
@click.argument("session")
@click.option("--energy-wh", type=click.IntRange(0), default=None, help="What was charged in truth.")
@click.option(
    "--tariff", "tariff_file", type=_FILE, default=None, help="The tariff it should have had: an OCPI object, or a file."
)
@click.option("--tariff-id", default=None, help="Which tariff of the file; needed when there are several.")
@click.option("--reason", required=True, help="Why; it stands in both records.")
@click.option("--json", "is_json", is_flag=True, help="Machine-readable.")
@click.pass_obj
def sessions_correct(
    daemon: Daemon,
    session: str,
    energy_wh: int | None,
    tariff_file: Path | None,
    tariff_id: str | None,
    reason: str,
    is_json: bool,
) -> int:
    """Correct a record that was wrong: a credit takes it back, a replacement stands for it; both are sent to the backend.

    The record itself stays as it is. Given again, the same correction is made once.
    """
    from edgectl import config as site_file
    from edgectl.domain.tariff_objects import tariff_text

    if energy_wh is None and tariff_file is None:
        raise click.UsageError("say what should stand there: --energy-wh, --tariff or both")
    body: dict[str, Any] = {"reason": reason, "actor": actor()}
    if energy_wh is not None:
        body["energy_wh"] = energy_wh
    if tariff_file is not None:
        try:
            found = site_file.load_tariffs(tariff_file).tariffs
        except site_file.ConfigError as error:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            return BAD_INPUT
        body["tariff"] = tariff_text(pick_tariff(found, tariff_id, tariff_file))
    answer: dict[str, Any] = daemon.post("sessions", session, "correct", body=body, timeout_s=ANSWER_TIMEOUT_S)
    is_done = answer["outcome"] == "accepted"
    if is_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return OK if is_done else FAILED
    if not is_done:
        click.echo(f"edgectl: {answer['problem']}", err=True)
        return FAILED
    click.echo(f"{answer['session']}: {answer['status']}")
    for name, value in answer["detail"]:
        click.echo(f"  {name}: {value}")
    return OK
