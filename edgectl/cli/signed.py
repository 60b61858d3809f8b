"""``edgectl ledger verify-signed``: every signed value in the ledger, checked anew."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from edgectl.cli import tables

OK, FAILED, BAD_INPUT = 0, 1, 2
_BAD = frozenset({"invalid", "key-differs", "unreadable"})
_BAD_DOUBTS = frozenset({"page-gap", "page-reset", "page-repeated"})


@click.command("verify-signed")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path("/var/lib/edgectl"), show_default=True)
@click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("/etc/edgectl/site.yaml"),
    show_default=True,
    help="Where the meters' keys are registered.",
)
@click.option("--json", "is_json", is_flag=True, help="Machine-readable.")
def verify_signed(data_dir: Path, config: Path, is_json: bool) -> int:
    """Check every signed value by the registered keys, and its meter's pages for gaps. Works beside a running daemon."""
    from edgectl import config as site_file
    from edgectl.core.alarms import Alarms
    from edgectl.core.exports.select import oldest_first
    from edgectl.core.signed.book import SignedBook
    from edgectl.domain.errors import StoreError
    from edgectl.domain.time import Instant
    from edgectl.store import LedgerFile

    settings, problems = site_file.check(config)
    if settings is None:
        for problem in problems:
            click.echo(str(problem), err=True)
        return BAD_INPUT
    book = SignedBook(settings.site, Alarms(), {})
    counts: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    try:
        with LedgerFile(data_dir / "ledger.db") as file:
            for session in oldest_first(file.sessions):
                # A few at a time, as the book takes them: nobody waits for this loop.
                judged = replace(session, signed_verdicts=(), signed_values=())
                for value in session.signed_values:
                    judged, _ = book.judged(replace(judged, signed_values=(*judged.signed_values, value)), Instant(0, 0))
                for verdict in judged.signed_verdicts:
                    counts[verdict.verdict.value] += 1
                    if verdict.verdict.value in _BAD or _BAD_DOUBTS & set(verdict.doubts):
                        row = {"session": session.id, "verdict": verdict.verdict.value, "doubts": list(verdict.doubts)}
                        wrong.append({**row, "meter": verdict.meter, "pagination": verdict.pagination, "why": verdict.why})
    except StoreError as error:
        click.echo(f"edgectl: {data_dir / 'ledger.db'}: {error}", err=True)
        return FAILED
    if is_json:
        click.echo(json.dumps({"counts": dict(counts), "wrong": wrong}, indent=2, ensure_ascii=False))
    else:
        words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
        click.echo(f"{sum(counts.values())} signed values: {words}")
        if wrong:
            rows = [
                (r["session"], r["meter"], r["pagination"] or "-", r["verdict"], ", ".join(r["doubts"]) or "-", r["why"] or "-")
                for r in wrong
            ]
            Console().print(tables.table(("session", "meter", "page", "signature", "doubts", "why"), rows, ""))
    return FAILED if wrong else OK
