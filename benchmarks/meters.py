"""How much of a serial line's time is put to use: the real poller on a pseudo terminal with modelled baud timing.

The bound is what the reads must take: of volts, amps and watts (18 registers of an SDM630: 13 + 36 bytes, two silences of 3.5
characters, and the meter's own 20 ms), and with each tenth of them totals and energy (24 registers). Ours reads a little more, so
that no late answer can be mistaken, and pays for timers; what is left of the bound is the efficiency.
"""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

from benchmarks.report import CheckFailedError, Results, middle, verdict
from edgectl.domain.events import Event, MeterRead, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.settings import Connection, MeterConnection, Transport
from edgectl.meters import MetersAdapter, model
from edgectl.meters.unit import SLOW_EVERY
from edgectl.runtime.clock import SystemClock
from hwsim.campaigns.promises import quiet_logs
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth
from hwsim.meters.timed_line import TimedPty

MODEL = "eastron-sdm630"
REGISTERS, SLOW_REGISTERS = 18, 24
SECONDS = 20.0
SETTLE_SECONDS = 12.0
"""The meters are staggered, and a dead one is found to be dead."""


class _Readings:
    """When each meter was read."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self.times_ms: dict[MeterId, list[int]] = {}
        self.failures = 0

    def put(self, event: Event) -> None:
        if isinstance(event, MeterRead):
            if event.reading.quality is Quality.GOOD:
                self.times_ms.setdefault(event.reading.meter, []).append(self._clock.now().mono_ms)
            else:
                self.failures += 1

    def ages_ms(self) -> list[int]:
        """How old each reading became before the next."""
        return [after - before for times in self.times_ms.values() for before, after in pairwise(times)]


async def _run(count: int, baud: int, interval_ms: int, seconds: float, dead: frozenset[int] = frozenset()) -> Results:
    one = model(MODEL)
    pty = TimedPty({n: device_of(one, lambda: Truth((10.0, 11.0, 12.0))) for n in range(1, count + 1)}, baud)
    pty.start()
    connection = Connection(Transport.SERIAL, device=pty.device, baud=baud)
    connections = tuple(MeterConnection(MeterId(f"m{n}"), connection, n, MODEL, interval_ms=interval_ms) for n in pty.line.units)
    clock = SystemClock()
    readings = _Readings(clock)
    adapter = MetersAdapter(connections, frozenset({connections[0].meter}), readings, clock, random.Random(1))
    pty.line.silent = set(dead)
    task = asyncio.create_task(adapter.run())
    try:
        await asyncio.sleep(SETTLE_SECONDS if seconds >= SECONDS else 2.0)
        readings.times_ms.clear()
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        span_s = asyncio.get_running_loop().time() - began_s
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pty.stop()
    bound_s = pty.line.bound_s(REGISTERS) + pty.line.bound_s(SLOW_REGISTERS) / SLOW_EVERY
    done = sum(len(times) for times in readings.times_ms.values())
    ages_ms = sorted(readings.ages_ms())
    if not ages_ms:
        raise CheckFailedError("no meter was read twice")
    return {
        "meters": count,
        "baud": baud,
        "interval_ms": interval_ms,
        "dead": len(dead),
        "readings_per_s": round(done / span_s, 2),
        "bound_per_s": round(1 / bound_s, 2),
        "efficiency": round(done / span_s * bound_s, 3),
        "age_ms_median": middle(ages_ms),
        "age_ms_p99": ages_ms[min(len(ages_ms) - 1, int(0.99 * len(ages_ms)))],
    }


def run(seconds: float = SECONDS) -> Results:
    """The table."""
    cases = (
        ("10 at 9600, as fast as they go", 10, 9_600, 100, frozenset[int]()),
        ("20 at 19200, as fast as they go", 20, 19_200, 100, frozenset[int]()),
        ("10 at 9600, each second", 10, 9_600, 1_000, frozenset[int]()),
        ("20 at 19200, each second", 20, 19_200, 1_000, frozenset[int]()),
        ("9 at 9600 as fast as they go, and a dead one", 10, 9_600, 100, frozenset({7})),
    )
    results: Results = {}
    print(f"meters: {MODEL}, volts, amps and watts in one read of {REGISTERS} registers, 20 ms to an answer, 8N1")
    print("  case                                            readings/s   bound  efficiency   age ms (median, p99)")
    with quiet_logs():
        for name, count, baud, interval_ms, dead in cases:
            found = results[name] = asyncio.run(_run(count, baud, interval_ms, seconds, dead))
            is_judged = interval_ms < 1_000 and not dead
            goal = f"  >= 90 %: {verdict(found['efficiency'], 0.90, is_least=True)}" if is_judged else ""
            print(
                f"  {name:46} {found['readings_per_s']:10.1f} {found['bound_per_s']:8.1f} {100 * found['efficiency']:9.1f} %"
                f"   {found['age_ms_median']:.0f}, {found['age_ms_p99']:.0f}{goal}"
            )
    fast, with_dead = results[cases[0][0]], results[cases[4][0]]
    cost = 1 - with_dead["readings_per_s"] / fast["readings_per_s"]
    results["dead_unit_cost"] = round(cost, 3)
    print(f"  a dead unit costs {100 * cost:.1f} % of the line; at most 5 %: {verdict(cost, 0.05)}")
    return results
