"""``python -m hwsim station``: one simulated charger against any OCPP server, with any of the faults, until Ctrl-C."""

from __future__ import annotations

import asyncio
import random
import time
from urllib.parse import urlsplit

from hwsim.models.car import Car
from hwsim.models.stations import Station, make_station
from hwsim.station.client import StationClient

SAY_S = 5.0


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
    station = make_station(version, identity, rng, wall_offset_s=offset_s, faults=faults)
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


def _state(station: Station, client: StationClient) -> str:
    evse = station.evses[1]
    link = "connected" if station.is_connected else f"no link ({client.last_error})" if client.last_error else "no link"
    drawn_a = evse.car.drawn_a if evse.car is not None else 0.0
    transaction = "-" if evse.transaction is None else evse.transaction.id
    return (
        f"{link}  {'booted' if station.is_booted else 'not booted'}  {evse.status}  transaction {transaction}"
        f"  offered {evse.offered_a:.1f} A  drawn {drawn_a:.1f} A  queued {station.queued_count}"
    )
