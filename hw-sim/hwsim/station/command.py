"""``python -m hwsim station``: one simulated charger against any OCPP server, with any of the faults, until Ctrl-C."""

from __future__ import annotations

import asyncio
import random
import time
from urllib.parse import urlsplit

from hwsim.models import personalities
from hwsim.models.car import Car
from hwsim.models.station16 import Station16
from hwsim.models.station20 import FAULTS_20, Station20
from hwsim.station.client import StationClient

SAY_S = 5.0


def fault_list() -> str:
    """Every fault with what it does, for people."""
    lines = [f"  {name:<28} {words}" for name, words in personalities.FAULTS.items()]
    lines += ["of OCPP 2 alone:", *(f"  {name:<28} {words}" for name, words in FAULTS_20.items())]
    lines += [
        "by the number of a quirk:",
        *(f"  {quirk:<28} {', '.join(names)}" for quirk, names in personalities.QUIRKS.items()),
    ]
    return "\n".join(lines)


async def run_station(
    url: str, identity: str, *, version: str, faults: frozenset[str], password: str | None, token: str, seconds: float | None
) -> None:
    """Connect to ``ws://HOST:PORT/...``, plug in a car, and say every few seconds how it stands.

    Raises:
        ValueError: no such fault, or no such URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "ws" or parts.hostname is None or parts.port is None:
        raise ValueError(f"{url} is not of the form ws://HOST:PORT")
    rng, offset_s = random.Random(identity), time.time() - time.monotonic()
    station: Station16
    if version == "1.6":
        station = Station16(identity, rng, wall_offset_s=offset_s, faults=faults)
    else:
        station = Station20(identity, rng, version=version, wall_offset_s=offset_s, faults=faults)
    secret = None if password is None else password.encode()
    client = StationClient(station, parts.hostname, parts.port, rng, password=secret)
    running = asyncio.create_task(client.run())
    began_s, is_plugged = time.monotonic(), False
    try:
        while seconds is None or time.monotonic() - began_s < seconds:
            await asyncio.sleep(SAY_S if is_plugged else 1.0)
            if running.done():
                running.result()
            if station.is_booted and not is_plugged:
                is_plugged = True
                station.plug(1, Car(60_000, 5_000, max_a=32.0, leaves_at_s=float("inf"), token=token), time.monotonic())
            print(_state(station, client), flush=True)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _state(station: Station16, client: StationClient) -> str:
    evse = station.evses[1]
    link = "connected" if station.is_connected else f"no link ({client.last_error})" if client.last_error else "no link"
    drawn_a = evse.car.drawn_a if evse.car is not None else 0.0
    transaction = "-" if evse.transaction is None else evse.transaction.id
    return (
        f"{link}  {'booted' if station.is_booted else 'not booted'}  {evse.status}  transaction {transaction}"
        f"  offered {evse.offered_a:.1f} A  drawn {drawn_a:.1f} A  queued {station.queued_count}"
    )
