"""Commands that ask something of a charger: one table row each, and one way to say what the charger answered.

Who asked is recorded with every action: the login name of whoever runs the command.
"""

# ruff: noqa: E501 - the commands are a table, a row for each
from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edgectl.cli.client import Daemon

OK, FAILED, BAD_INPUT = 0, 1, 2
ANSWER_TIMEOUT_S = 60.0
"""Longer than the daemon waits for a charger."""
_PLACE = "CHARGER[/EVSE]"
_OUTCOMES = {
    "accepted": "accepted",
    "rejected": "refused",
    "not-supported": "does not know how",
    "error": "answered with an error",
    "timeout": "did not answer",
    "disconnected": "is not connected",
}

as_json = click.option("--json", "is_json", is_flag=True, help="Machine-readable.")
place = click.argument("charger", metavar=_PLACE)
only_charger = click.argument("charger", metavar="CHARGER")
Pairs = Sequence[tuple[str, str | None]]


def actor() -> str:
    """Who runs this command."""
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):
        return "local"


def request(daemon: Daemon, where: str, action: str, pairs: Pairs) -> dict[str, Any]:
    """What became of an action; ``where`` may name an EVSE."""
    charger, _, evse = where.partition("/")
    given = [[name, value] for name, value in (*pairs, ("evse", evse or None)) if value is not None]
    body = {"arguments": given, "actor": actor()}
    answer: dict[str, Any] = daemon.post("chargers", charger, "actions", action, body=body, timeout_s=ANSWER_TIMEOUT_S)
    return answer


def say(answer: dict[str, Any], *, is_json: bool, with_detail: bool = True) -> int:
    """Print an answer; the exit code."""
    is_accepted = answer["outcome"] == "accepted"
    if is_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return OK if is_accepted else FAILED
    words = f"{answer['charger']} {_OUTCOMES.get(answer['outcome'], answer['outcome'])}"
    if answer["status"] and answer["status"].casefold() != "accepted":
        words += f": {answer['status']}"
    if answer["problem"]:
        words += f" ({answer['problem']})" if answer["status"] else f": {answer['problem']}"
    click.echo(words, err=not is_accepted)
    for name, value in answer["detail"] if with_detail else ():
        click.echo(f"  {name}: {value}")
    return OK if is_accepted else FAILED


def simple(name: str, words: str, *parameters: Any, action: str | None = None, fixed: Pairs = ()) -> click.Command:
    """A command whose options are the arguments of its action, under the same names."""

    @click.pass_obj
    def run(daemon: Daemon, /, charger: str, is_json: bool, **options: Any) -> int:
        pairs = [(key.replace("_", "-"), _text(value)) for key, value in options.items()]
        return say(request(daemon, charger, action or name, (*fixed, *pairs)), is_json=is_json)

    command: Any = run
    for parameter in reversed((*parameters, as_json)):
        command = parameter(command)
    return click.command(name, help=words)(command)


def _text(value: Any) -> str | None:
    if isinstance(value, Path):
        return value.read_text(encoding="utf-8")
    return None if value is None else str(value)


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A moment, or ``now``."""
    return datetime.now(UTC).isoformat(timespec="seconds") if value == "now" else value  # noqa: TID251 - a person's now


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_RETRIES = (
    click.option("--retries", type=click.IntRange(0, 99), default=None, help="How often it tries."),
    click.option("--retry-interval", type=click.IntRange(1), default=None, help="Seconds between two tries."),
)

COMMANDS = [
    simple("start", "Start charging with a token.", place, click.option("--token", required=True, help="The token to charge for.")),
    simple("stop", "Stop charging.", place, click.option("--transaction", default=None, help="Its transaction id, if several run.")),
    simple(
        "reset",
        "Restart it: when idle, or --hard at once.",
        place,
        click.option("--hard", "kind", flag_value="hard", default=None, help="At once, ending what runs."),
    ),
    simple("unlock", "Unlock a connector.", place),
    simple("availability", "Take it into or out of service.", place, click.argument("state", type=click.Choice(["operative", "inoperative"]))),
    simple("trigger", "Ask it to send a message now, e.g. StatusNotification.", place, click.argument("message")),
    simple(
        "update-firmware",
        "Let it fetch and install firmware.",
        only_charger,
        click.argument("location", metavar="URL"),
        click.option("--at", default="now", callback=_moment, show_default=True, help="When it fetches it."),
        click.option("--install-at", default=None, help="When it installs it."),
        click.option("--certificate", type=FILE, default=None, help="PEM of the certificate that signed it."),
        click.option("--signature", default=None, help="Its signature."),
        *_RETRIES,
    ),
    simple(
        "get-log",
        "Let it upload its log.",
        only_charger,
        click.argument("location", metavar="URL"),
        click.option("--kind", type=click.Choice(["diagnostics", "security"]), default=None),
        click.option("--since", "oldest", default=None, help="From this moment on."),
        click.option("--until", "latest", default=None, help="Before this moment."),
        *_RETRIES,
    ),
    simple(
        "get-diagnostics",
        "Let it upload its diagnostics (OCPP 1.6).",
        only_charger,
        click.argument("location", metavar="URL"),
        click.option("--since", "oldest", default=None),
        click.option("--until", "latest", default=None),
        *_RETRIES,
    ),
    simple(
        "reserve",
        "Reserve it for a token.",
        place,
        click.option("--reservation", type=click.IntRange(1), required=True, help="A number of yours, to cancel it by."),
        click.option("--token", required=True),
        click.option("--expires", required=True, help="A moment like 2026-03-01T18:00:00Z."),
        click.option("--group", default=None),
    ),
    simple("cancel-reservation", "Cancel a reservation.", only_charger, click.argument("reservation", type=click.IntRange(1))),
    simple("clear-cache", "Let it forget the tokens it has learned.", only_charger),
    simple(
        "data-transfer",
        "Send something of its maker's own.",
        only_charger,
        click.argument("vendor"),
        click.option("--message", default=None),
        click.option("--data", default=None),
    ),
    simple(
        "schedule",
        "What it means to allow over time, as it tells itself.",
        place,
        click.option("--duration", type=click.IntRange(1), default=600, show_default=True, help="Seconds ahead."),
        action="get-composite-schedule",
    ),
    simple("transaction-status", "Whether it still holds messages of a transaction (OCPP 2).", only_charger, click.argument("transaction", required=False), action="get-transaction-status"),
    simple("network-profile", "Write a network profile (OCPP 2).", only_charger, click.argument("slot"), click.argument("data", type=FILE, metavar="FILE"), action="set-network-profile"),
    simple(
        "customer-information",
        "What it knows of a customer, and --clear to delete it (OCPP 2).",
        only_charger,
        click.option("--token", default=None),
        click.option("--customer", default=None),
        click.option("--clear", "clear", flag_value="true", default=None),
    ),
    simple(
        "monitor",
        "Let it watch one of its variables (OCPP 2).",
        only_charger,
        click.argument("key"),
        click.option("--kind", type=click.Choice(["upper-threshold", "lower-threshold", "delta", "periodic", "periodic-clock-aligned"]), required=True),
        click.option("--value", required=True),
        click.option("--severity", type=click.IntRange(0, 9), default=None),
        action="set-monitoring",
    ),
    simple("unmonitor", "Let it watch no longer (OCPP 2).", only_charger, click.argument("monitor", type=click.IntRange(0)), action="clear-monitoring"),
    simple("monitors", "Let it report what it watches (OCPP 2).", only_charger, click.argument("key", required=False), action="get-monitoring"),
    simple("report", "Let it report all its variables (OCPP 2).", only_charger, click.option("--kind", type=click.Choice(["full", "configuration", "summary"]), default=None), action="get-report"),
]  # fmt: skip


@click.command()
@only_charger
@click.argument("items", nargs=-1, metavar="[KEY[=VALUE]]...")
@as_json
@click.pass_obj
def configure(daemon: Daemon, charger: str, items: tuple[str, ...], is_json: bool) -> int:
    """Show keys of a charger, or write them: KEY shows one, KEY=VALUE writes it, nothing shows all.

    A value `credential:NAME` is the secret of that name.
    """
    answers = []
    code = OK
    shown = [item for item in items if "=" not in item]
    if shown or not items:
        answers.append(request(daemon, charger, "get-configuration", [("key", key) for key in shown]))
    for item in items:
        key, is_written, value = item.partition("=")
        if is_written:
            answers.append(request(daemon, charger, "change-configuration", [("key", key), ("value", value)]))
            if not is_json:
                click.echo(f"{key} = {value}: ", nl=False)
                code = max(code, say(answers.pop(), is_json=False))
    if is_json:
        click.echo(json.dumps(answers, indent=2, ensure_ascii=False))
        return max([OK, *(OK if answer["outcome"] == "accepted" else FAILED for answer in answers)])
    for answer in answers:
        code = max(code, say(answer, is_json=False))
    return code


@click.command()
@place
@click.option("--energy", default=None, help="What this session must have, e.g. 30kWh.")
@click.option("--by", default=None, help="When it leaves: 06:30, or a moment like 2027-03-01T06:30:00+01:00.")
@click.option("--priority", type=click.IntRange(0, 100), default=None, help="Instead of the token's.")
@click.option("--clear", "is_cleared", is_flag=True, help="Forget what was said.")
@as_json
@click.pass_obj
def target(
    daemon: Daemon, charger: str, energy: str | None, by: str | None, priority: int | None, is_cleared: bool, is_json: bool
) -> int:
    """Say how much a vehicle must have, and by when. It counts with `strategy: departure`."""
    pairs = (("energy", energy), ("by", by), ("priority", None if priority is None else str(priority)))
    name = "clear-target" if is_cleared else "set-target" if energy or by else "set-priority"
    return say(request(daemon, charger, name, () if is_cleared else pairs), is_json=is_json)


@click.group("local-list")
def local_list() -> None:
    """The list of tokens a charger keeps for the time without us."""


local_list.add_command(simple("version", "Which version it has.", only_charger, action="get-local-list-version"))
local_list.add_command(
    simple("sync", "Give it the tokens of the site's file, if it has others.", only_charger, action="sync-local-list")
)
local_list.add_command(
    simple(
        "send",
        "Send a list: a JSON array of {token, status, expires, group}.",
        only_charger,
        click.argument("list", type=FILE, metavar="FILE"),
        click.option("--version", type=click.IntRange(1), required=True),
        click.option("--kind", type=click.Choice(["full", "differential"]), default=None),
        action="send-local-list",
    )
)


@click.group()
def certificates() -> None:
    """The certificates a charger holds."""


_KIND = click.option("--kind", type=click.Choice(["csms-root", "manufacturer-root", "v2g-root", "mo-root"]), default="csms-root", show_default=True)  # fmt: skip
certificates.add_command(simple("list", "Which it has.", only_charger, _KIND, action="get-certificates"))
certificates.add_command(
    simple("install", "Give it one.", only_charger, click.argument("certificate", type=FILE, metavar="FILE"), _KIND, action="install-certificate")
)  # fmt: skip
certificates.add_command(
    simple("delete", "Take one away, by its hash data as `list` shows it.", only_charger, click.argument("hash", metavar="JSON"), action="delete-certificate")
)  # fmt: skip


def register(cli: click.Group) -> None:
    """Add every command of this module."""
    for command in (*COMMANDS, configure, target, local_list, certificates):
        cli.add_command(command)
