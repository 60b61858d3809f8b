"""The loop settles: no hunting with slow meters and slow vehicles, and a ramp after a blackout."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.settling import AMPLITUDE_MAX_A, REVERSALS_MAX, fill, reversals, watch

from hwsim.world.single import SITE
from hwsim.world.site import GRID, SiteOptions, World, run_site

STEP_A = 20.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delay_s", "follows_s", "period_s"),
    [(0.0, 0.5, 1.0), (0.3, 6.0, 1.0), (1.0, 2.0, 2.0), (3.0, 6.0, 1.0), (2.0, 4.0, 3.0), (5.0, 0.5, 1.0)],
)
def test_the_loop_does_not_hunt(delay_s: float, follows_s: float, period_s: float) -> None:
    seen: list[dict[str, list[float]]] = []

    async def story(world: World) -> None:
        await fill(world, follows_s=follows_s)
        for step_a in (STEP_A, 0.0):
            world.building.step_a = step_a
            await asyncio.sleep(75)
            seen.append(await watch(world, 120))

    options: SiteOptions = replace(SITE, meter_delay_s=delay_s, meter_period_s=period_s)
    report = run_site(options, story)
    assert report.broken == []
    assert report.longest_over_s <= 15 + delay_s + period_s
    for told in seen:
        for name, values in told.items():
            assert reversals(values) <= REVERSALS_MAX, f"{name}: {values}"
            assert max(values) - min(values) <= AMPLITUDE_MAX_A, f"{name}: {values}"


@pytest.mark.slow
def test_after_a_blackout_the_site_begins_at_its_fallbacks_and_ramps() -> None:
    carried: list[float] = []

    async def story(world: World) -> None:
        cars = await fill(world)
        for client in world.clients:
            client.power_off()
        await asyncio.sleep(20)
        for client, car in zip(world.clients, cars, strict=True):
            client.power_on()
            client.station.unplug(1, world.loop.time())
            client.station.plug(1, car, world.loop.time())
        for _ in range(90):
            await asyncio.sleep(1)
            carried.append(max(world.depot.current_a(GRID)))

    report = run_site(SITE, story)
    assert report.broken == []
    fallbacks_a = SITE.fallback_a * SITE.charger_count
    assert max(carried[:2]) <= SITE.base_a + fallbacks_a + 1
    assert max(carried) <= 1.05 * SITE.grid_a
    assert carried[-1] >= 0.9 * (SITE.grid_a - 2), "and all of it is in use in the end"
