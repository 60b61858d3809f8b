"""The simulated depot on the real event loop: twelve chargers with cars that come and go, a building, two meters."""

from __future__ import annotations

import asyncio
import random
import time

from edgectl.domain.settings import Settings
from hwsim.models.building import Building
from hwsim.models.car import TOKENS, Car
from hwsim.models.depot import CircuitModel, Depot
from hwsim.models.stations import Station, make_station, version_at
from hwsim.station.client import StationClient

STEP_S = 0.2


class Plant:
    """Built from the same YAML file the daemon runs on."""

    def __init__(self, settings: Settings, port: int, seed: int) -> None:
        rng = random.Random(seed)
        self.depot = Depot(
            [
                CircuitModel(
                    circuit.id,
                    (circuit.limit_ma.l1 / 1000, circuit.limit_ma.l2 / 1000, circuit.limit_ma.l3 / 1000),
                    fed_by=circuit.fed_by,
                    building=Building(rng, base_a=25, machine_a=40, machine_count=4, pace_s=25)
                    if circuit.fed_by is None
                    else None,
                )
                for circuit in settings.site.circuits
            ]
        )
        self.stations: list[Station] = []
        self.clients: list[StationClient] = []
        for number, charger in enumerate(settings.site.chargers):
            station = make_station(
                version_at(number),
                charger.id,
                random.Random(rng.random()),
                wiring=tuple(int(phase) for phase in charger.phases),
                max_a=charger.max_ma / 1000,
                wall_offset_s=time.time() - time.monotonic(),
                meter_interval_s=5.0,
                known_tokens=frozenset(TOKENS),
            )
            self.stations.append(station)
            self.depot.circuits[charger.circuit].stations.append(station)
            client = StationClient(station, "127.0.0.1", port, random.Random(rng.random()), reconnect_s=2.0)
            client.on_step = _Driver(station, random.Random(rng.random()), first_s=3 + 1.5 * number)
            self.clients.append(client)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for client in self.clients:
                tasks.create_task(client.run(), name=client.station.identity)
            tasks.create_task(self._flow(), name="currents")

    async def _flow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.depot.advance(loop.time())
            await asyncio.sleep(STEP_S)


class _Driver:
    """Cars at one charger in time lapse: a van with a battery for a minute or two, then the next one."""

    def __init__(self, station: Station, rng: random.Random, first_s: float) -> None:
        self._station = station
        self._rng = rng
        self._began_s: float | None = None
        self._next_s = first_s

    def __call__(self, now_s: float) -> None:
        if self._began_s is None:
            self._began_s = now_s
        evse = self._station.evses[1]
        if evse.car is None:
            if now_s - self._began_s >= self._next_s:
                self._station.plug(1, self._car(now_s), now_s)
        elif now_s >= evse.car.leaves_at_s:
            self._station.unplug(1, now_s)
            self._next_s = now_s - self._began_s + self._rng.uniform(4, 15)

    def _car(self, now_s: float) -> Car:
        rng = self._rng
        return Car(
            battery_wh=rng.uniform(400, 900),
            energy_wh=rng.uniform(50, 150),
            phase_count=rng.choice([3, 3, 3, 2, 1]),
            max_a=rng.choice([16.0, 20.0, 32.0]),
            leaves_at_s=now_s + rng.uniform(20, 90),
            token=rng.choice(TOKENS),
            reaction_s=rng.uniform(1, 3),
        )
