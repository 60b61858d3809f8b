"""After a power cut all chargers knock at once: time until every one is Accepted, the server's CPU, its memory per connection.

Each charger connects, boots and sends three StatusNotifications; one that is refused comes back after a second or two, as
chargers do. Beside the real daemon: the plain ``ocpp`` package's server, which checks and answers but knows nobody.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.daemon import PASSWORD, Certificates, daemon, make_certificates, names
from benchmarks.process import Server, free_port
from benchmarks.report import CheckFailedError, Results, middle, spread, verdict
from benchmarks.wire import RefusedError, Station

STORM_TIMEOUT_S = 40.0
REST_S = 3.0
"""After the storm, until memory is read: handshakes are over by then, set-up calls too."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One scenario and its goals; None where there is none."""

    name: str
    stations: int
    is_tls: bool
    goal_s: float | None
    goal_mb: float | None


STORMS = (
    Storm("200 TLS", 200, True, 10.0, 150.0),
    Storm("500 plain", 500, False, None, 100.0),
    Storm("1000 plain", 1_000, False, 15.0, None),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    accepted_s: float
    """From the first SYN until the last BootNotification is accepted."""
    done_s: float
    """Until the last StatusNotification is answered."""
    cpu_s: float
    retries: int
    before_mb: float
    after_mb: float
    peak_mb: float

    def per_connection_kb(self, stations: int) -> float:
        return (self.after_mb - self.before_mb) * 1024 / stations


def allow_sockets(count: int) -> None:
    """Raise the bound on open files for us and for the servers we start. Raises CheckFailedError when that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 200
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise CheckFailedError(f"{wanted} open files are needed, {hard} are allowed (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def arrive(server: Server, name: str, tls: Certificates | None, rng: random.Random) -> tuple[Station, float, int]:
    """One charger until it is Accepted and has reported its connectors: when that was, and how often it had to come back."""
    loop = asyncio.get_running_loop()
    for retries in range(50):
        try:
            station = await Station.connect(
                server.port, name, "ocpp1.6", tls=tls.trust if tls else None, password=PASSWORD if tls else None
            )
            _, _, answer = json.loads(
                await station.call("BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"One"}')
            )
        except (OSError, RefusedError, TimeoutError):
            await asyncio.sleep(rng.uniform(1.0, 2.0))
            continue
        if answer["status"] != "Accepted":
            station.abort()
            await asyncio.sleep(rng.uniform(1.0, 2.0))
            continue
        accepted_s = loop.time()
        for connector in (0, 1, 1):
            await station.call("StatusNotification", f'{{"connectorId":{connector},"errorCode":"NoError","status":"Available"}}')
        return station, accepted_s, retries
    raise CheckFailedError(f"{name} was refused fifty times")


async def storm(server: Server, count: int, tls: Certificates | None, rest_s: float) -> Outcome:
    loop = asyncio.get_running_loop()
    before_mb, cpu_s, began_s = server.rss_mb(), server.cpu_s(), loop.time()
    try:
        async with asyncio.timeout(STORM_TIMEOUT_S):
            arrived = await asyncio.gather(*(arrive(server, name, tls, random.Random(name)) for name in names(count)))
    except (TimeoutError, ConnectionError) as error:
        raise CheckFailedError(
            f"{server.name}: not all of {count} chargers got in: {error}\n{server.log_text()[-500:]}"
        ) from None
    done_s, spent_s = loop.time() - began_s, server.cpu_s() - cpu_s
    await asyncio.sleep(rest_s)
    lost = sum(station.is_lost for station, _, _ in arrived)
    after_mb, peak_mb = server.rss_mb(), server.rss_mb("VmHWM")
    for station, _, _ in arrived:
        station.abort()
    if lost:
        raise CheckFailedError(f"{server.name}: {lost} of {count} connections did not last")
    return Outcome(
        max(accepted_s for _, accepted_s, _ in arrived) - began_s,
        done_s,
        spent_s,
        sum(retries for _, _, retries in arrived),
        before_mb,
        after_mb,
        peak_mb,
    )


async def measure(one: Storm, rounds: int, certificates: Certificates | None, rest_s: float) -> dict[str, list[Outcome]]:
    """Fresh processes for every storm, the two servers in turn."""
    found: dict[str, list[Outcome]] = {"edgectl": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            async with daemon(Path(folder), names(one.stations), certificates=certificates) as server:
                found["edgectl"].append(await storm(server, one.stations, certificates, rest_s))
            if certificates is None:
                port = free_port()
                command = [sys.executable, "-m", "benchmarks.servers.ocpp_package", str(port)]
                async with Server("ocpp", command, port, Path(folder) / "ocpp.log") as server:
                    found.setdefault("ocpp", []).append(await storm(server, one.stations, None, rest_s))
    return found


def show(one: Storm, found: dict[str, list[Outcome]]) -> None:
    for name, outcomes in found.items():
        per_connection = [outcome.per_connection_kb(one.stations) for outcome in outcomes]
        print(
            f"  {one.name:<11} {name:<8} {spread([o.accepted_s for o in outcomes]):<22} {spread([o.cpu_s for o in outcomes]):<22}"
            f" {sum(o.retries for o in outcomes):>7} {middle([o.before_mb for o in outcomes]):>7.0f}"
            f" {middle([o.after_mb for o in outcomes]):>7.0f} {middle(per_connection):>8.0f}"
        )
    ours = found["edgectl"]
    if one.goal_s is not None:
        value = middle([o.accepted_s for o in ours])
        print(f"    goal: all accepted within {one.goal_s:g} s: {verdict(value, one.goal_s)} ({value:.2f} s)")
    if one.goal_mb is not None:
        value = middle([o.after_mb for o in ours])
        print(f"    goal: at most {one.goal_mb:g} MB resident: {verdict(value, one.goal_mb)} ({value:.0f} MB)")


def run(storms: Sequence[Storm] = STORMS, rounds: int = 2, rest_s: float = REST_S) -> Results:
    print("storm: everybody connects at once, boots and reports three connectors")
    print(
        f"  {'storm':<11} {'server':<8} {'all accepted s':<22} {'CPU s':<22}"
        f" {'retries':>7} {'MB idle':>7} {'MB full':>7} {'kB each':>8}"
    )
    allow_sockets(max(one.stations for one in storms))
    results: Results = {}
    for one in storms:
        certificates = None
        if one.is_tls:
            try:
                certificates = make_certificates()
            except ImportError:
                print(f"  {one.name:<11} left out: certificates are made with `cryptography`, which is not installed")
                continue
        found = asyncio.run(measure(one, rounds, certificates, rest_s))
        show(one, found)
        results[one.name] = {name: [asdict(outcome) for outcome in outcomes] for name, outcomes in found.items()}
    return results
