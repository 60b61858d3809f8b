"""The electrical site: which charger hangs on which circuit, what flows where, and whether a breaker would mind."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwsim.models.breaker import Breaker
from hwsim.models.building import Building
from hwsim.models.stations import Station

Amps = tuple[float, float, float]


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

    def __init__(self, circuits: list[CircuitModel]) -> None:
        self.circuits = {circuit.name: circuit for circuit in circuits}
        self._advanced_s: float | None = None

    def advance(self, now_s: float) -> None:
        passed_s = 0.0 if self._advanced_s is None else now_s - self._advanced_s
        self._advanced_s = now_s
        totals = {name: [0.0, 0.0, 0.0] for name in self.circuits}
        for circuit in self.circuits.values():
            own = list(circuit.building.current_a(now_s)) if circuit.building is not None else [0.0, 0.0, 0.0]
            for station in circuit.stations:
                for evse in station.evses.values():
                    for phase in range(3):
                        own[phase] += evse.drawn_a[phase]
            name: str | None = circuit.name
            while name is not None:
                for phase in range(3):
                    totals[name][phase] += own[phase]
                name = self.circuits[name].fed_by
        for name, total in totals.items():
            circuit = self.circuits[name]
            circuit.current_a = (total[0], total[1], total[2])
            circuit.energy_wh += sum(total) * 230 * passed_s / 3600
            circuit.breaker.carry(circuit.current_a, passed_s)

    def current_a(self, name: str) -> Amps:
        return self.circuits[name].current_a
