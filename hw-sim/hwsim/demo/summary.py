"""The live view in the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

OVER_ALLOWED_S = 15.0
"""The promise the demo is judged by: no circuit above its limit for longer than this."""


@dataclass
class Progress:
    """What the demo is judged by, as it stands."""

    address: str
    broker: str
    seconds: float = 0.0
    plugged: int = 0
    closed: int = 0
    receipted: int = 0
    waiting: int | None = None
    longest_over_s: float = 0.0
    currents: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = field(default_factory=dict)
    """Per circuit: true current and limit."""
    chargers: list[tuple[str, str, str, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """What was bound and must be free again in the end."""

    @property
    def is_good(self) -> bool:
        return self.receipted > 0 and self.longest_over_s <= OVER_ALLOWED_S and not self.troubles

    def line(self) -> str:
        """For a log: one line."""
        waiting = "?" if self.waiting is None else self.waiting
        return (
            f"{self.seconds:5.0f} s  plugged in {self.plugged}  sessions closed {self.closed}  receipted {self.receipted}  "
            f"waiting for a receipt {waiting}  longest over a limit {self.longest_over_s:.1f} s"
        )

    def screen(self) -> Group:
        circuits = Table(title="Circuits", title_justify="left", expand=True)
        for heading in ("circuit", "L1", "L2", "L3", "limit"):
            circuits.add_column(heading, justify="left" if heading == "circuit" else "right")
        for name, (current_a, limit_a) in self.currents.items():
            cells = [
                Text(f"{current:.1f} A", style="bold red" if current > limit else "green")
                for current, limit in zip(current_a, limit_a, strict=True)
            ]
            circuits.add_row(name, *cells, f"{limit_a[0]:.0f} A")
        chargers = Table(title="Chargers", title_justify="left", expand=True)
        for heading in ("charger", "status", "limit", "why"):
            chargers.add_column(heading)
        for row in self.chargers:
            chargers.add_row(*row)
        head = Text.assemble(("Status page  ", "dim"), (self.address, "bold"), ("    broker  ", "dim"), self.broker)
        foot = Text(self.line() + "    Ctrl-C ends everything", style="dim")
        troubles = [Text(trouble, style="bold red") for trouble in self.troubles]
        return Group(head, circuits, chargers, *troubles, foot)


def charger_rows(status: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """From the daemon's own API: what it says of each charger."""
    rows = []
    for charger in status.get("chargers", []):
        for evse in charger.get("evses", []):
            limit_ma = evse.get("commanded_ma")
            limit = "" if limit_ma is None else f"{limit_ma / 1000:.1f} A"
            reason = evse.get("why") or (evse.get("reason") or {}).get("cause", "")
            rows.append((str(charger.get("id")), str(evse.get("status")), limit, reason if evse.get("session") else ""))
    return rows
