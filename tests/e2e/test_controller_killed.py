"""kill -9 on the real daemon, real sockets, chargers of two versions with profiles stacked by the book: with nobody acting each
is at its fallback when its lease has ended."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest
from support.daemon import Depot

from hwsim.models.stations import make_station

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LEASE_S = 30
MARGIN_S = 15.0
"""What the clocks of one machine and the reaction of a car may add."""
FALLBACK_A = 6.0


async def test_with_the_controller_killed_every_charger_falls_to_its_fallback(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    offset_s = time.time() - time.monotonic()
    depot.stations[1] = make_station("2.1", "CP-2", random.Random(2), meter_interval_s=1.0, wall_offset_s=offset_s)
    async with depot:
        depot.write_site(extra=f"balancing: {{lease: {LEASE_S} s}}\n")
        await depot.start()
        await depot.connected()
        for number in (1, 2):
            depot.plug(number)
            await depot.charging(number)
        evses = [station.evses[1] for station in depot.stations]
        await depot.until(lambda: all(max(evse.drawn_a) > 2 * FALLBACK_A for evse in evses), "both charge above their fallback")
        depot.kill()
        killed_s = time.monotonic()
        assert all(max(evse.drawn_a) > FALLBACK_A for evse in evses)
        while any(max(evse.drawn_a) > FALLBACK_A for evse in evses):
            assert time.monotonic() - killed_s <= LEASE_S + MARGIN_S, [evse.offered_a for evse in evses]
            await asyncio.sleep(0.2)
        assert all(evse.transaction is not None and evse.offered_a == FALLBACK_A for evse in evses), "and they go on charging"
