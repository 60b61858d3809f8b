"""What the daemon answers, once as JSON or as a table, or again every second."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.live import Live


def show(ask: Callable[[], Any], draw: Callable[[Any], RenderableType], *, is_json: bool, watch: bool = False) -> None:
    """Print what ``ask`` finds, once or every second."""
    if is_json:
        click.echo(json.dumps(ask(), indent=2, ensure_ascii=False))
        return
    console = Console()
    if not watch:
        console.print(draw(ask()))
        return
    with Live(draw(ask()), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(draw(ask()), refresh=True)
