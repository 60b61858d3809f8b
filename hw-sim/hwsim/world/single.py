"""One fault alone, on a busy site near its limit: six vehicles that want everything, and a building that takes more meanwhile.

    outcome = run_single("one_half_open")

The building's step is made while the fault lasts, unless nobody can be told anything then: no controller can make room with words
that do not arrive, and the proof of the site speaks of that case.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace

from hwsim.models.car import Car
from hwsim.world.faults import CATALOGUE, Excuse, Fault, inflict
from hwsim.world.report import Report
from hwsim.world.site import GRID, MARGIN_A, SiteOptions, World, run_site

SITE = SiteOptions(
    seed=1, step_s=0.5, charger_count=6, grid_a=80.0, hall_a=40.0, base_a=6.0, machine_a=0.0, machine_count=0, step_a=34.0
)
"""Fallbacks and the building at its most just fit. The vehicles have all that is left; with the step it is 1.4 x the limit."""
SET_UP_S = 30.0
"""Before the first car comes: a charger that has never met edgectl has no fallback yet."""
SETTLE_S = 120.0
STEP_AFTER_S, STEP_LASTS_S = 5.0, 40.0
LASTS_S = 60.0
NOTICED_AFTER_S = 45.0
"""From a vehicle that takes less until a meter that does not show it is no longer believed: two of its reports, and a while."""
LASTS_OTHERWISE_S = {
    "meter_frozen": 100.0,
    "one_cut_off": 300.0,
    "daemon_killed": 15.0,
    "charger_ignores": 240.0,
    "charger_mute": 240.0,
}
"""Where a minute shows too little, or is more than it is meant to be."""
COME_BACK_S = 30.0
RECOVER_S = 300.0
USED = 0.85
"""Of what the conductor could give: so much in use again is recovered. The rest is whole steps and one vehicle fewer."""
DAMAGE_MAX, OVER_MAX_S = 0.10, 15.0


@dataclass
class Outcome:
    """What a fault did, with everything the judge had to say."""

    name: str
    report: Report
    recovered_s: float | None = None
    """How long after the end of the fault the site gave again what it can; None: not within ``RECOVER_S``."""
    broken: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        recovered = "never" if self.recovered_s is None else f"{self.recovered_s:.0f} s"
        report = self.report
        return (
            f"{self.name:<28} over {report.longest_over_s:>5.1f} s  worst {report.worst_ratio:.2f} x  "
            f"damage {report.worst_damage:.4f}  recovered after {recovered:>6}"
        )


def run_single(name: str, *, lasts_s: float | None = None, seed: int = 1, site: SiteOptions = SITE) -> Outcome:
    """Play one fault of the catalogue alone, and hold it to the bounds of a single fault."""
    kind = CATALOGUE[name]
    outcome = Outcome(name, Report(seed))
    seconds = lasts_s if lasts_s is not None else LASTS_OTHERWISE_S.get(name, LASTS_S if kind.lasts_s[1] else 0.0)

    async def story(world: World) -> None:
        await asyncio.sleep(SET_UP_S)
        now_s = world.loop.time()
        for number, station in enumerate(world.stations):
            car = Car(10_000_000, 0, max_a=32.0, reaction_s=1.0 + 0.7 * number)
            station.plug(1, car, now_s)
        await asyncio.sleep(SETTLE_S)
        if not _is_full(world):
            world.judge.broken("the site was not busy before the fault")
        drivers = asyncio.ensure_future(_come_back(world))
        step = asyncio.ensure_future(_step(world, kind))
        await inflict(world, kind, random.Random(seed), seconds)
        await step
        ended_s = world.loop.time()
        while world.loop.time() - ended_s < RECOVER_S and outcome.recovered_s is None:
            await asyncio.sleep(1)
            if _is_full(world) and world.judge.is_calm_for(0):
                outcome.recovered_s = world.loop.time() - ended_s
        await asyncio.sleep(20)
        drivers.cancel()

    outcome.report = run_site(replace(site, seed=seed), story)
    _hold(outcome)
    return outcome


def _hold(outcome: Outcome) -> None:
    report = outcome.report
    outcome.broken = list(report.broken)
    if report.worst_damage > DAMAGE_MAX:
        outcome.broken.append(f"damage {report.worst_damage:.3f}, at most {DAMAGE_MAX:g}")
    if report.longest_over_s > OVER_MAX_S:
        outcome.broken.append(f"above a limit for {report.longest_over_s:g} s, at most {OVER_MAX_S:g} s")
    if outcome.recovered_s is None:
        outcome.broken.append(f"the vehicles did not get back what there is within {RECOVER_S:g} s")


async def _step(world: World, kind: Fault) -> None:
    if kind.excuse is Excuse.UNTOLD:
        return
    await asyncio.sleep(STEP_AFTER_S)
    if kind.name == "meter_frozen":  # where nothing moves nobody can tell a frozen meter from a calm site
        for car in [evse.car for evse in world.stations[0].evses.values() if evse.car is not None]:
            car.max_a = 6.0
        await asyncio.sleep(NOTICED_AFTER_S)
    world.building.step_a = world.options.step_a
    await asyncio.sleep(STEP_LASTS_S)
    world.building.step_a = 0.0


async def _come_back(world: World) -> None:
    """Whoever finds his car waiting without a transaction presents his card once more."""
    while True:
        await asyncio.sleep(COME_BACK_S)
        for station in world.stations:
            evse = station.evses[1]
            if station.is_powered and evse.transaction is None and not evse.is_authorising:
                car = station.unplug(1, world.loop.time())
                if car is not None:
                    station.plug(1, car, world.loop.time())


def _is_full(world: World) -> bool:
    """The fullest conductor of the grid connection carries nearly what it may."""
    building_a = max(world.building.current_a(world.loop.time()))
    given_a = max(world.depot.current_a(GRID)) - building_a
    return given_a >= USED * (world.options.grid_a - MARGIN_A - building_a)
