"""Days of vehicles, from distributions.

*Workplace*: arrivals with a morning peak and a smaller one at noon, stays of most of a working day, lognormal energies: the
shapes that Lee, Li and Low report of the Caltech and JPL sites (ACN-Data, ACM e-Energy 2019); the numbers are round ones of ours.
*Depot*: vans that come back in the afternoon and leave early, energies of a day's tour; round numbers of ours.
Moments are slots of five minutes, so that arrivals and departures fall between two decisions.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from edgectl.domain.phases import ALL_PHASES, Phase

SLOT_MIN = 5
SLOTS = 36 * 60 // SLOT_MIN
"""A day and the night after it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One vehicle at one EVSE."""

    number: int
    evse: str
    phases: tuple[Phase, ...]
    arrives: int
    leaves: int
    """Slots."""
    asked_wh: int
    max_ma: int
    battery_wh: int
    """So that its charge is full when it has what it asked for."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """How EVSEs are connected, and what one milliamp gives."""

    name: str
    volts: float
    """Per phase that an EVSE uses: its power is this times its current times its phases."""
    is_delta: bool


STAR = Wiring("star", 230.0, is_delta=False)
"""European: phase to neutral, one or three phases, L1 rotated from charger to charger."""
DELTA = Wiring("delta", 104.0, is_delta=True)
"""American: 208 V between two lines, so 104 V for each of the two."""
PAIRS = ((Phase.L1, Phase.L2), (Phase.L2, Phase.L3), (Phase.L3, Phase.L1))


def workplace(seed: int, evses: int, wiring: Wiring) -> list[Visit]:
    rng = random.Random(f"workplace {seed}")
    visits: list[Visit] = []
    for number in range(evses):
        free_h = 0.0
        for arrival_h, stay_h in ((rng.gauss(8.3, 0.9), rng.gauss(7.5, 1.8)), (rng.gauss(13.2, 1.2), rng.gauss(4.0, 1.2))):
            is_second = free_h > 0
            if is_second and rng.random() < 0.6:
                continue
            arrives_h = max(5.0, arrival_h, free_h + 0.25)
            leaves_h = arrives_h + max(0.75, stay_h)
            free_h = leaves_h
            energy_wh = min(60_000.0, rng.lognormvariate(math.log(11_000), 0.6))
            visits.append(_visit(len(visits), number, rng, wiring, arrives_h, leaves_h, energy_wh))
    return visits


def depot(seed: int, evses: int, wiring: Wiring) -> list[Visit]:
    rng = random.Random(f"depot {seed}")
    return [
        _visit(
            number,
            number,
            rng,
            wiring,
            rng.gauss(17.0, 1.3),
            24 + rng.gauss(6.3, 0.8),
            min(75_000.0, max(8_000.0, rng.gauss(32_000, 11_000))),
            share_single=0.1,
        )
        for number in range(evses)
    ]


def _visit(
    number: int,
    place: int,
    rng: random.Random,
    wiring: Wiring,
    arrives_h: float,
    leaves_h: float,
    energy_wh: float,
    share_single: float = 0.45,
) -> Visit:
    turned = tuple(Phase((phase + place) % 3) for phase in ALL_PHASES)
    if wiring.is_delta:
        phases: tuple[Phase, ...] = PAIRS[place % 3]
        max_ma = 32_000
    elif rng.random() < share_single:
        phases, max_ma = turned[:1], rng.choice([16_000, 32_000])
    else:
        phases, max_ma = turned, rng.choice([16_000, 16_000, 32_000])
    arrives, leaves = round(arrives_h * 60 / SLOT_MIN), round(leaves_h * 60 / SLOT_MIN)
    leaves = min(leaves, SLOTS)
    # Nobody asks for what not even a free yard could give in his stay, at nine tenths of his rate.
    possible_wh = 0.9 * max_ma / 1000 * wiring.volts * len(phases) * (leaves - arrives) * SLOT_MIN / 60
    asked_wh = round(min(energy_wh, possible_wh))
    return Visit(number, f"CP-{place:02}", phases, arrives, leaves, asked_wh, max_ma, round(asked_wh / 0.6))
