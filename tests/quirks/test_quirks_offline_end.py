"""``maxOfflineDuration`` (OCPP 2.1) is measured: the drill keeps a station away and reads in its queue what it did meanwhile."""

from __future__ import annotations

import random

import pytest

from edgectl.core.chargers import Evidence
from edgectl.domain.events import Outcome
from edgectl.domain.views import MechanismView
from hwsim.models.ocpp2 import Station20
from hwsim.world.yard import GRID, WALL_OFFSET_S, Yard, play


def station(*faults: str, version: str = "2.1") -> Station20:
    return Station20("CP-1", random.Random(1), version=version, wall_offset_s=WALL_OFFSET_S, faults=frozenset(faults))


async def drill(yard: Yard) -> dict[str, tuple[str, str]]:
    await yard.seconds(30)
    yard.plug()
    await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
    await yard.seconds(60)
    answer = await yard.act("drill")
    assert answer.outcome is Outcome.ACCEPTED, answer.problem
    await yard.until(lambda: yard.charger.drill.state != "running", "the drill to end", 1_500)
    assert yard.charger.drill.state == "done", yard.charger.drill
    assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15
    return {probe.name: (probe.value, probe.evidence) for probe in yard.charger.drill.probes}


def mechanism(yard: Yard, name: str) -> MechanismView:
    return next(one for one in yard.charger.mechanisms if one.name == name)


@pytest.mark.parametrize("ahead_s", [0.0, 40.0, -40.0])
def test_a_station_that_falls_by_itself_while_it_is_kept_away_is_proven_whatever_its_clock_says(ahead_s: float) -> None:
    one = station()

    async def script(yard: Yard) -> None:
        one.set_clock(ahead_s)
        found = await drill(yard)
        assert found["offline end"][0] == "ends by itself"
        assert "told 10 A for 30 s without a link, 6.0 A after" in found["offline end"][1]
        assert mechanism(yard, "maxOfflineDuration").state == Evidence.PROVEN.value
        assert mechanism(yard, "fallback").state == Evidence.PROVEN.value
        assert yard.charger.evses[0].session is not None, "and the session goes on"
        assert "measured" not in dict(yard.charger.quirks)
        await yard.kill_daemon()
        await yard.start_daemon()
        await yard.seconds(60)
        assert mechanism(yard, "maxOfflineDuration").state == Evidence.PROVEN.value, "known again after a restart"

    play(script, one)


def test_one_that_ignores_it_is_found_and_said_to_have_none() -> None:
    async def script(yard: Yard) -> None:
        found = await drill(yard)
        assert found["offline end"][0] == "does not end"
        assert found["offline end"][1].startswith("told 10 A for 30 s without a link, 10.0 A after")
        assert mechanism(yard, "maxOfflineDuration").state == Evidence.NONE.value
        assert mechanism(yard, "lease").state == Evidence.PROVEN.value, "the one says nothing of the other"

    play(script, station("ignore-offline-duration"))


def test_nothing_of_it_is_tried_where_the_version_does_not_know_it() -> None:
    async def script(yard: Yard) -> None:
        found = await drill(yard)
        assert "offline end" not in found
        assert "maxOfflineDuration" not in {one.name for one in yard.charger.mechanisms}

    play(script, station(version="2.0.1"))


def test_without_a_drill_it_is_assumed_and_says_how_to_measure_it() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        view = mechanism(yard, "maxOfflineDuration")
        assert (view.state, "commission --drill" in view.evidence) == (Evidence.ASSUMED.value, True)

    play(script, station())
