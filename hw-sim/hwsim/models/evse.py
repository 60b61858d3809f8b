"""One EVSE: its plug, its register, what flows through it and how it tells so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hwsim.models.car import MIN_A, VOLTAGE_V, Car

OBEYS_LATE_S = 30.0
"""The dead time of a unit with the fault ``obey-late``."""


@dataclass
class Transaction:
    token: str
    began_s: float
    began_wall_s: float
    meter_start_wh: int
    id: Any = None
    """What the server calls it (1.6), or what the station calls it itself."""
    sequence: int = 0
    """Of its next event (OCPP 2)."""
    remote_start: int | None = None


@dataclass
class Evse:
    number: int
    wiring: tuple[int, ...] = (0, 1, 2)
    """The site phase on which its L1, L2, L3 are, in that order."""
    faults: frozenset[str] = frozenset()
    car: Car | None = None
    status: str = "Available"
    told_status: str = ""
    """As last sent on this connection."""
    is_operative: bool = True
    transaction: Transaction | None = None
    register_wh: float = 0.0
    is_authorising: bool = False
    is_refused: bool = False
    """The token of this visit was not accepted; the driver has to come back."""
    offered_a: float = 0.0
    drawn_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """On the site's phases."""
    _coming_a: float | None = field(default=None, repr=False)
    _coming_since_s: float = field(default=0.0, repr=False)

    def flow(self, limit_a: float, passed_s: float, now_s: float) -> None:
        """Offer the car this much, and let it draw for the time that has passed."""
        car = self.car
        if car is None:
            return
        self.offered_a = self._obeyed_a(limit_a, now_s)
        self.register_wh += car.charge(passed_s, len(self.wiring))
        car.follow(self.offered_a, now_s)
        values = [0.0, 0.0, 0.0]
        for own in range(min(car.phase_count, len(self.wiring))):
            values[self.wiring[own]] = car.drawn_a
        self.drawn_a = (values[0], values[1], values[2])

    def open_contactor(self, now_s: float) -> None:
        self.offered_a = 0.0
        self.drawn_a = (0.0, 0.0, 0.0)
        if self.car is not None:
            self.car.cut_off(now_s)

    def _obeyed_a(self, limit_a: float, now_s: float) -> float:
        if "obey-late" not in self.faults or limit_a == self.offered_a:
            self._coming_a = None
            return limit_a
        if self._coming_a != limit_a:
            self._coming_a, self._coming_since_s = limit_a, now_s
        return limit_a if now_s - self._coming_since_s >= OBEYS_LATE_S else self.offered_a

    def rounded_a(self, limit_a: float) -> float:
        """What a unit makes of a limit that does not suit it."""
        if "whole-amps" in self.faults:
            limit_a = float(int(limit_a))
        if "zero-is-six" in self.faults:
            limit_a = max(MIN_A, limit_a)
        return limit_a * 1.1 if "overdraw" in self.faults else limit_a

    def charging_status(self) -> str | None:
        """What a running transaction is called now; None while it is unclear and the last word stands."""
        car = self.car
        if car is None or self.transaction is None:
            return None
        if car.drawn_a > 0 or "charging-at-zero" in self.faults:
            return "Charging"
        if self.offered_a < MIN_A:
            return "SuspendedEVSE"
        return "SuspendedEV" if car.is_full else None

    def samples(self) -> list[dict[str, Any]]:
        """``sampledValue`` of a MeterValues: energy, power, state of charge, what is offered, and the current of each phase."""
        car = self.car
        if car is None:
            return []
        if "kwh-floats" in self.faults:
            energy = {"value": repr(self.register_wh / 1000), "measurand": "Energy.Active.Import.Register", "unit": "kWh"}
        else:
            energy = {"value": str(int(self.register_wh)), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        if "odd-values" in self.faults:
            return self._odd(car)
        power_w = car.drawn_a * VOLTAGE_V * min(car.phase_count, len(self.wiring))
        found = [energy, {"value": f"{power_w:.0f}", "measurand": "Power.Active.Import", "unit": "W"}]
        if "no-currents" in self.faults:
            return found
        found.append({"value": str(car.soc_percent), "measurand": "SoC", "unit": "Percent"})
        found.append({"value": f"{self.offered_a:.1f}", "measurand": "Current.Offered", "unit": "A"})
        for own in range(1 if "one-phase-values" in self.faults else len(self.wiring)):
            current_a = car.drawn_a if own < car.phase_count else 0.0
            found.append({"value": f"{current_a:.2f}", "measurand": "Current.Import", "unit": "A", "phase": f"L{own + 1}"})
        return found

    def _odd(self, car: Car) -> list[dict[str, Any]]:
        """What some firmware takes for sampled values."""
        return [
            {"value": int(self.register_wh), "measurand": "Energy.Active.Import.Register", "context": "Sample.Periodical"},
            {"value": "", "measurand": "Voltage", "unit": "V"},
            {"value": f"{car.drawn_a:.1f}", "measurand": "Current.Import", "unit": "A", "phase": "L1", "location": "Plug"},
            {"value": "21", "measurand": "Mood", "unit": "Celsius"},
        ]
