"""How long a card waits for its answer, and whether that tells who is on the list: known, blocked and unknown tokens in turn.

Every answer is asked of the real daemon over a socket. While it answers, a hundred other chargers send meter values once a
second each, which is what a depot does. Somebody who tries numbers at a reader must learn nothing from the time an answer takes,
and nobody may wait longer because the list is long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.daemon import RUN, names, site_text
from benchmarks.ocpp import message
from benchmarks.process import TICK_S, Server, free_port
from benchmarks.report import CheckFailedError, Results, middle, verdict
from benchmarks.wire import Station, quantile

KINDS = {"known": "Accepted", "blocked": "Blocked", "unknown": "Invalid"}
"""What is asked about, and what OCPP 1.6 calls the answer."""
FEW, MANY = 10, 10_000
CHARGERS = 100
ASKED_COUNT = 1_200
EVERY_S = 0.025
"""A charger that asks more often than 50 times a second is refused, which bounds whoever tries numbers at its reader."""
RATIO_GOAL = 1.1


@dataclass(frozen=True, slots=True)
class Case:
    tokens: int
    chargers: int


@dataclass(frozen=True, slots=True)
class Outcome:
    quick_ms: dict[str, float]
    """The first quartile: what an answer takes when nothing stands before it. By this the kinds are compared, because who waits
    behind a hundred others is a matter of luck."""
    median_ms: dict[str, float]
    late_ms: dict[str, float]
    """The 99th percentile."""
    cpu_share: float = 0.0
    """CPU of the daemon, seconds in a second, while it was asked: what a longer list costs, also on a machine that is busy."""

    @property
    def ratio(self) -> float:
        """The slowest kind to the quickest."""
        return max(self.quick_ms.values()) / min(self.quick_ms.values())


def uid(kind: str, number: int) -> str:
    """Alike in length, so that only the list tells them apart."""
    return f"{kind[0].upper()}{number:013}"


def token_lines(count: int) -> str:
    """Half of them blocked."""
    lines = [f"{uid('known', n)}: {{}}" for n in range(count // 2)]
    return "\n".join([*lines, *(f"{uid('blocked', n)}: {{status: blocked}}" for n in range(count // 2)), ""])


def daemon(folder: Path, case: Case) -> Server:
    port = free_port()
    text = site_text(names(case.chargers + 1), port)
    text = text.replace("{offline: anyone}", "{offline: known-tokens, tokens: tokens.yaml}")
    (folder / "site.yaml").write_text(text)
    (folder / "tokens.yaml").write_text(token_lines(case.tokens))
    arguments = (str(folder / part) for part in ("site.yaml", "data", "api.sock"))
    return Server("edgectl", [sys.executable, "-c", RUN, *arguments], port, folder / "daemon.log")


async def arrive(server: Server, name: str) -> Station:
    station = await Station.connect(server.port, name, "ocpp1.6")
    await station.call("BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"One"}')
    return station


async def talk(station: Station, rng: random.Random) -> None:
    """Twelve values once a second, as long as it is let."""
    body = json.dumps(json.loads(message())[3])
    await asyncio.sleep(rng.random())
    while True:
        began_s = time.perf_counter()
        await station.call("MeterValues", body)
        await asyncio.sleep(max(0.0, 1.0 - (time.perf_counter() - began_s)))


async def ask(station: Station, case: Case, count: int, rng: random.Random) -> Outcome:
    """In random order, so that whatever else happens on the machine meets all kinds alike."""
    order = [kind for kind in KINDS for _ in range(count // len(KINDS))]
    rng.shuffle(order)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind in order:
        name = uid(kind, rng.randrange(case.tokens // 2))
        began_s = time.perf_counter()
        answer = json.loads(await station.call("Authorize", f'{{"idTag":"{name}"}}'))
        took_s = time.perf_counter() - began_s
        found[kind].append(1_000 * took_s)
        if answer[0] != 3:
            raise CheckFailedError(f"{name} was refused an answer: {answer[2:4]}")
        said = answer[2]["idTagInfo"]["status"]
        if said != KINDS[kind]:
            raise CheckFailedError(f"{name} was answered {said}, and it is {kind}")
        await asyncio.sleep(max(0.0, EVERY_S - took_s))
    quick, late = ({kind: quantile(took, share) for kind, took in found.items()} for share in (0.25, 0.99))
    return Outcome(quick, {kind: middle(took) for kind, took in found.items()}, late)


async def measure(case: Case, count: int, settle_s: float) -> Outcome:
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        async with daemon(Path(folder), case) as server, contextlib.AsyncExitStack() as stack:
            stations = [await arrive(server, name) for name in names(case.chargers + 1)]
            for station in stations:
                stack.callback(station.abort)
            talking = [asyncio.create_task(talk(station, rng)) for station in stations[1:]]
            await asyncio.sleep(settle_s)  # set-up calls after the boot are over by then
            cpu_s, began_s = server.cpu_s(), time.perf_counter()
            try:
                outcome = await ask(stations[0], case, count, rng)
                # The kernel counts in ticks: a run too short for one has used less than that.
                share = max(TICK_S, server.cpu_s() - cpu_s) / (time.perf_counter() - began_s)
            finally:
                for task in talking:
                    task.cancel()
            ended = await asyncio.gather(*talking, return_exceptions=True)
            if lost := [one for one in ended if not isinstance(one, asyncio.CancelledError)]:
                raise CheckFailedError(f"{len(lost)} of {case.chargers} chargers fell silent: {lost[0]}")
    return replace(outcome, cpu_share=share)


def run(few: int = FEW, many: int = MANY, chargers: int = CHARGERS, count: int = ASKED_COUNT, settle_s: float = 10.0) -> Results:
    print(f"tokens: Authorize asked {count} times of the daemon, all kinds in random order; ms: quartile, median, p99")
    print(f"  {'tokens':>7} {'others':>7}  " + "  ".join(f"{kind:<20}" for kind in KINDS) + "  slowest/quickest  CPU s/s")
    found: dict[Case, Outcome] = {}
    for case in (Case(few, 0), Case(many, 0), Case(few, chargers), Case(many, chargers)):
        one = found[case] = asyncio.run(measure(case, count, settle_s))
        cells = "  ".join(f"{one.quick_ms[kind]:6.2f}{one.median_ms[kind]:6.2f}{one.late_ms[kind]:8.2f}" for kind in KINDS)
        print(f"  {case.tokens:>7} {case.chargers:>7}  {cells}  {one.ratio:>16.2f}  {one.cpu_share:>7.2f}")
    ratio = max(one.ratio for one in found.values())
    print(f"    goal: known, blocked and unknown differ by at most {RATIO_GOAL:g}: {verdict(ratio, RATIO_GOAL)} ({ratio:.2f})")
    longer = found[Case(many, chargers)].cpu_share / found[Case(few, chargers)].cpu_share
    words = f"goal: {many:,} tokens cost at most {RATIO_GOAL:g} times the CPU of {few}, with {chargers} chargers"
    print(f"    {words}: {verdict(longer, RATIO_GOAL)} ({longer:.2f})")
    return {f"{case.tokens} tokens, {case.chargers} others": {**asdict(one), "ratio": one.ratio} for case, one in found.items()}
