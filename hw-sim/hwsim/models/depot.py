"""The electrical site: which charger hangs on which circuit, what flows where, and whether a breaker would mind."""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import pi

from hwsim.models.breaker import Breaker
from hwsim.models.building import Building
from hwsim.models.stations import Station

Amps = tuple[float, float, float]
AHEAD, BEHIND = cmath.rect(1.0, pi / 6), cmath.rect(1.0, -pi / 6)
"""How a load between two lines lies to the voltage of its first line, and of its second."""


def phasors(drawn_a: Amps, *, is_delta: bool) -> Sequence[complex]:
    """What one load draws from each line, beside that line's own voltage: in step with it, unless it is between two lines."""
    used = [line for line in range(3) if drawn_a[line] > 0]
    if not is_delta or len(used) != 2:
        return drawn_a
    first = used[0] if (used[0] + 1) % 3 == used[1] else used[1]
    found = [0j, 0j, 0j]
    found[first] = drawn_a[first] * AHEAD
    found[(first + 1) % 3] = drawn_a[(first + 1) % 3] * BEHIND
    return found


def together_a(loads_a: Sequence[Amps], *, is_delta: bool) -> Amps:
    """What flows in each line when all of these draw."""
    totals: list[complex] = [0.0, 0.0, 0.0]
    for load_a in loads_a:
        for line, value in enumerate(phasors(load_a, is_delta=is_delta)):
            totals[line] += value
    return abs(totals[0]), abs(totals[1]), abs(totals[2])


@dataclass
class CircuitModel:
    """A conductor set: the load beside the chargers, and its breaker."""

    name: str
    limit_a: Amps
    fed_by: str | None = None
    building: Building | None = None
    stations: list[Station] = field(default_factory=list)
    energy_wh: float = 0.0
    current_a: Amps = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.limit_a)


class Depot:
    """All circuits; ``advance`` sums the currents up the tree and lets every breaker carry them."""

    def __init__(self, circuits: list[CircuitModel], *, is_delta: bool = False) -> None:
        self.is_delta = is_delta
        """A charger on two lines is between them."""
        self.circuits = {circuit.name: circuit for circuit in circuits}
        self._advanced_s: float | None = None

    def advance(self, now_s: float) -> None:
        passed_s = 0.0 if self._advanced_s is None else now_s - self._advanced_s
        self._advanced_s = now_s
        totals: dict[str, list[complex]] = {name: [0.0, 0.0, 0.0] for name in self.circuits}
        for circuit in self.circuits.values():
            own: list[complex] = [0.0, 0.0, 0.0]
            if circuit.building is not None:
                own = list(circuit.building.current_a(now_s))
            for station in circuit.stations:
                for evse in station.evses.values():
                    for phase, value in enumerate(phasors(evse.drawn_a, is_delta=self.is_delta)):
                        own[phase] += value
            name: str | None = circuit.name
            while name is not None:
                for phase in range(3):
                    totals[name][phase] += own[phase]
                name = self.circuits[name].fed_by
        for name, total in totals.items():
            circuit = self.circuits[name]
            circuit.current_a = (abs(total[0]), abs(total[1]), abs(total[2]))
            circuit.energy_wh += sum(circuit.current_a) * 230 * passed_s / 3600
            circuit.breaker.carry(circuit.current_a, passed_s)

    def current_a(self, name: str) -> Amps:
        return self.circuits[name].current_a
