"""What became of a simulated run, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Report:
    """``broken`` lists promises that did not hold, with the moment; empty when all is well."""

    seed: int
    digest: str = ""
    broken: list[str] = field(default_factory=list)
    decision_count: int = 0
    limit_count: int = 0
    sessions_started: int = 0
    sessions_closed: int = 0
    records_received: int = 0
    blocks_received: int = 0
    """Of telemetry."""
    record_duplicates: int = 0
    longest_over_s: float = 0.0
    """The longest time that any conductor was above its limit without a break."""
    worst_ratio: float = 0.0
    worst_damage: float = 0.0
    """How near any breaker came to tripping; 1 may trip."""
    damage: dict[str, float] = field(default_factory=dict)
    """The same for each circuit and phase."""
    obeyed_damage: float = 0.0
    """The same while every charger did what it was told."""
    worst_delay_ms: int = 0
    """The longest a healthy charger took to answer what it was told while others were in trouble."""
    restarts: int = 0
    fault_counts: dict[str, int] = field(default_factory=dict)

    def lines(self, *, is_long: bool = False) -> Iterator[str]:
        """For people: one line, and one more for each promise that was broken."""
        yield (
            f"seed {self.seed}: {'BROKEN' if self.broken else 'kept'}  sessions {self.sessions_started} "
            f"billed {self.records_received}  restarts {self.restarts}  faults {sum(self.fault_counts.values())}  "
            f"longest over a limit {self.longest_over_s:g} s  worst {self.worst_ratio:.3f} x  "
            f"damage {self.worst_damage:.4f}, while obeyed {self.obeyed_damage:.4f}  "
            f"answers within {self.worst_delay_ms} ms  digest {self.digest[:16]}"
        )
        if is_long or self.broken:
            faults = ", ".join(f"{name} {count}" for name, count in self.fault_counts.items())
            damage = ", ".join(f"{place} {value:.4f}" for place, value in self.damage.items() if value > 0)
            yield f"  faults: {faults or 'none'}"
            yield f"  damage: {damage or 'none'}"
        for broken in self.broken:
            yield f"  {broken}"
