"""What goes wrong in a simulated run: drawn from the seed, one after the other and on top of each other, then healed.

Each fault begins, lasts a while and ends. Some minutes before the end of the run everything is healthy again, and then the
promises about recovery must hold.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from hwsim.world.network import Link

if TYPE_CHECKING:
    from hwsim.world.site import World

OCPP_PORT = 8887
MEAN_PAUSE_S = 45.0
"""Between the beginnings of two faults."""


class FaultPlan:
    """All faults of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(world.rng.random())
        self.counts: Counter[str] = Counter()
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.links_reset,
            self.links_half_open,
            self.links_stalled,
            self.links_slow,
            self.charger_power_cut,
            self.meter_dead,
            self.broker_down,
            self.receipts_missing,
            self.acknowledged_lost,
            self.disk_slow,
            self.disk_full,
            self.clock_stepped,
            self.daemon_killed,
        ]
        # Each run has its own mix: half of the kinds, some of them often.
        chosen = self._rng.sample(kinds, k=max(3, len(kinds) // 2))
        self._kinds = [(kind, self._rng.choice([1, 1, 2, 4])) for kind in chosen]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        end_s = self._world.options.hours * 3600 - self._world.options.heal_s
        under_way: set[asyncio.Task[None]] = set()
        while loop.time() < end_s:
            await asyncio.sleep(self._rng.expovariate(1 / MEAN_PAUSE_S))
            kind = self._rng.choices([k for k, _ in self._kinds], [w for _, w in self._kinds])[0]
            self.counts[kind.__name__] += 1
            task = asyncio.ensure_future(kind())
            task.set_name(f"fault-{kind.__name__}-{self.counts.total()}")
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)
        self._world.report.fault_counts = dict(sorted(self.counts.items()))

    # --- the way to the chargers --------------------------------------------------------------------------------------

    def _link(self) -> Link:
        return self._world.network.link(OCPP_PORT)

    async def links_reset(self) -> None:
        self._world.network.reset(OCPP_PORT, chance=self._rng.choice([0.1, 0.5, 1.0]))

    async def links_half_open(self) -> None:
        link = self._link()
        link.is_silent = True
        await asyncio.sleep(self._rng.uniform(2, 90))
        link.is_silent = False

    async def links_stalled(self) -> None:
        link = self._link()
        link.is_stalled = True
        await asyncio.sleep(self._rng.uniform(1, 20))
        self._world.network.release(link)

    async def links_slow(self) -> None:
        link = self._link()
        link.latency_us, link.jitter_us = 400_000, 600_000
        await asyncio.sleep(self._rng.uniform(5, 60))
        link.latency_us, link.jitter_us = 500, 500

    async def charger_power_cut(self) -> None:
        client = self._rng.choice(self._world.clients)
        client.power_off()
        await asyncio.sleep(self._rng.uniform(5, 120))
        client.power_on()

    # --- meter, uplink, host ------------------------------------------------------------------------------------------

    async def meter_dead(self) -> None:
        self._world.meter.is_dead = True
        await asyncio.sleep(self._rng.uniform(1, 40))
        self._world.meter.is_dead = False

    async def broker_down(self) -> None:
        self._world.broker.go_down()
        await asyncio.sleep(self._rng.uniform(5, 300))
        self._world.broker.come_up()

    async def receipts_missing(self) -> None:
        self._world.backend.sends_receipts = False
        await asyncio.sleep(self._rng.uniform(10, 200))
        self._world.backend.sends_receipts = True

    async def acknowledged_lost(self) -> None:
        self._world.broker.loses_acknowledged = 0.5
        await asyncio.sleep(self._rng.uniform(10, 200))
        self._world.broker.loses_acknowledged = 0.0

    async def disk_slow(self) -> None:
        self._world.disk.sync_ms = self._rng.choice([50, 400, 3000])
        await asyncio.sleep(self._rng.uniform(5, 60))
        self._world.disk.sync_ms = 3

    async def disk_full(self) -> None:
        self._world.disk.is_full = True
        await asyncio.sleep(self._rng.uniform(5, 60))
        self._world.disk.is_full = False

    async def clock_stepped(self) -> None:
        by_ms = self._rng.choice([-3_600_000, 3_600_000, 1_500, -1_500])
        self._world.clock.step_wall(by_ms)
        await asyncio.sleep(self._rng.uniform(10, 120))
        self._world.clock.step_wall(-by_ms)

    async def daemon_killed(self) -> None:
        if self._world.daemon is None:
            return
        await self._world.kill_daemon()
        await asyncio.sleep(self._rng.uniform(1, 15))
        await self._world.start_daemon()
