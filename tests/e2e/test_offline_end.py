"""The drill's question about ``maxOfflineDuration`` on the real daemon, over real sockets and in real time: a simulated 2.1
station is turned away in the handshake, tries again, and tells from its queue what it did alone. Times are a tenth of what they
are on a site, and it is the only question asked; ``tests/quirks`` plays the whole drill in virtual time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.small_site import TAG, SmallSite, small_site

from edgectl.core.drill import drills
from edgectl.core.drill import script as questions
from edgectl.core.drill.findings import Findings
from edgectl.core.drill.script import Script, Wait
from edgectl.domain.decisions import ProfileStyle
from edgectl.domain.site import Charger
from edgectl.domain.views import ChargerView
from hwsim.models.car import Car
from hwsim.models.ocpp2 import Station20
from hwsim.station.client import StationClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _only_this_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "OFFLINE_MS", 4_000)
    monkeypatch.setattr(questions, "FALL_MS", 3_000)
    monkeypatch.setattr(questions, "BARRED_MS", 14_000)

    def script(charger: Charger, findings: Findings, *, ends_offline: bool) -> Script:
        assert ends_offline
        yield Wait(lambda scene: scene.has_room, questions.ROOM_MS, "room for its full rating")
        yield from questions._offline_end(charger, findings, ProfileStyle(), 16_000)

    monkeypatch.setattr(drills, "script", script)


def view(site: SmallSite) -> ChargerView:
    return site.daemon.view().chargers[0]


async def until(condition: Callable[[], bool], words: str, seconds: float = 60) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, f"not within {seconds:g} s: {words}"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("faults", "value", "state"),
    [(frozenset(), "ends by itself", "proven"), (frozenset({"ignore-offline-duration"}), "does not end", "none")],
    ids=["obeys", "ignores"],
)
async def test_what_a_station_does_while_it_is_kept_away(tmp_path: Path, faults: frozenset[str], value: str, state: str) -> None:
    station = Station20(
        "CP-1",
        random.Random(1),
        version="2.1",
        meter_interval_s=1.0,
        known_tokens=frozenset({TAG}),
        wall_offset_s=time.time() - asyncio.get_running_loop().time(),
        faults=faults,
    )
    async with small_site(tmp_path) as site:
        port = site.daemon.ocpp.bound_ports[0]
        client = StationClient(station, "127.0.0.1", port, random.Random(2), reconnect_s=0.5, reconnect_max_s=1.0)
        running = asyncio.create_task(client.run())
        try:
            await until(lambda: view(site).is_accepted, "the station is there")
            loop = asyncio.get_running_loop()
            station.plug(1, Car(60_000, 10_000, token=TAG, max_a=16.0, reaction_s=0.5), loop.time())
            evse = station.evses[1]
            await until(lambda: max(evse.drawn_a) > 6, "the vehicle charges above the fallback")
            async with asyncio.timeout(60):
                while (await site.act("drill"))[0] != "accepted":  # it has not reported yet that it draws
                    await asyncio.sleep(0.5)
            await until(lambda: not station.is_connected, "it is sent away")
            gone_s, links = time.monotonic(), client.connect_count
            await until(lambda: "503" in client.last_error, "it is turned away when it comes again")
            lowest_a = max(evse.drawn_a)
            while not station.is_connected:
                lowest_a = min(lowest_a, max(evse.drawn_a))
                assert time.monotonic() - gone_s < 60
                await asyncio.sleep(0.1)
            assert time.monotonic() - gone_s > 13
            assert client.connect_count == links + 1, "there was no link in between"
            assert lowest_a == (6 if value == "ends by itself" else 10)
            await until(lambda: view(site).drill.state != "running", "the drill to end", 120)
            drill = view(site).drill
            assert drill.state == "done", drill
            assert [(probe.name, probe.value) for probe in drill.probes] == [("offline end", value)]
            mechanism = next(one for one in view(site).mechanisms if one.name == "maxOfflineDuration")
            assert mechanism.state == state, mechanism
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
