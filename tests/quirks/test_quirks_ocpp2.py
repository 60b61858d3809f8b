"""Stations of OCPP 2.0.1 and 2.1, by the book and not, against the whole daemon in virtual time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from support.station_bench import schema_problems

from edgectl.domain.decisions import Ask
from edgectl.domain.events import ConnectorStatus, Outcome
from edgectl.domain.records import Session, SessionStatus
from hwsim.models.ocpp2 import FAULTS_20, Station20
from hwsim.models.ocpp2.faults import OFF_SCHEMA
from hwsim.world.yard import GRID, WALL_OFFSET_S, Yard, play

VERSIONS = ("2.0.1", "2.1")
# what is no charging by the book to begin with
APART = {"mute", "clock-1970", "lose-ended"}


class Watched(Station20):
    """Remembers every frame it sends."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent: list[Any] = []

    def take_frames(self) -> list[str]:
        frames = super().take_frames()
        self.sent += [json.loads(frame) for frame in frames]
        return frames


def station(*faults: str, version: str = "2.0.1", name: str = "CP-1", **options: Any) -> Watched:
    return Watched(name, random.Random(1), version=version, wall_offset_s=WALL_OFFSET_S, faults=frozenset(faults), **options)


def completed(yard: Yard) -> list[Session]:
    return [session for session in yard.sessions if session.status is SessionStatus.COMPLETED]


def problems(one: Watched) -> Iterator[str]:
    """What the standard's schemas say of the calls it sent."""
    for frame in one.sent:
        if frame[0] == 2:
            yield from schema_problems(frame[2], frame[3], one.version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fault", ["by-the-book", *sorted(FAULTS_20.keys() - APART)])
def test_every_frame_is_the_standards_and_the_session_is_billed_once(version: str, fault: str) -> None:
    one = station(*([] if fault == "by-the-book" else [fault]), version=version)

    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await yard.visit()
        (session,) = completed(yard)
        assert session.energy_wh > 1_000
        assert session.id_token == (None if fault == "lose-started" else "04A1")
        assert yard.charger.protocol == f"ocpp{version}"
        assert yard.charger.commissioning.state == "done"

    play(script, one)
    assert fault in OFF_SCHEMA or list(problems(one)) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_its_limits_hold_and_are_followed(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        await yard.seconds(120)
        drawn_a = yard.station.evses[1].car.drawn_a
        assert 10 <= drawn_a <= 25
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 8
        assert yard.charger.fallback == "verified"
        await yard.kill_daemon()
        await yard.seconds(15 * 60)
        assert yard.station.evses[1].car.drawn_a <= 6.1, "without us it falls to its fallback"

    play(script, station(version=version), limit_a=40, building_a=20)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_happened_without_a_link_is_told_afterwards(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        yard.clients[0].is_powered = False  # the link stays away; the station has power
        await yard.clients[0].cut()
        yard.plug()
        await yard.seconds(900)
        yard.unplug()
        yard.clients[0].is_powered = True
        await yard.until(lambda: len(completed(yard)) == 1, "it is told")
        (session,) = completed(yard)
        assert session.energy_wh > 500
        assert session.authorisation.is_offline
        assert session.ended_utc_ms is not None
        assert session.ended_utc_ms - session.started_utc_ms == pytest.approx(900_000, abs=5_000)

    play(script, station(version=version, known_tokens=frozenset({"04A1"})))


@pytest.mark.parametrize("version", VERSIONS)
def test_it_does_what_it_is_asked(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        yard.plug(token="04NOBODY")
        await yard.seconds(10)
        assert (await yard.act("start", token="04A1", evse="1")).outcome is Outcome.ACCEPTED
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        assert (await yard.act("get-profiles", evse="1")).outcome is Outcome.ACCEPTED
        assert (await yard.act("unlock", evse="1")).status == "OngoingAuthorizedTransaction"
        assert (await yard.act("reset")).status == "Scheduled"
        assert (await yard.act("stop", evse="1")).outcome is Outcome.ACCEPTED
        await yard.until(lambda: len(completed(yard)) == 1, "it is over")
        assert completed(yard)[0].stop_reason == "Remote"

    one = station(version=version)
    play(script, one)
    assert list(problems(one)) == []


def test_q27_a_gap_in_its_numbers_is_flagged_and_asked_about() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await yard.visit()
        (session,) = completed(yard)
        assert "messages-missing" in session.flags
        assert any(ask.request == "get-transaction-status" for ask in yard.decided(Ask))

    play(script, station("sequence-gap"))


def test_q27_numbers_that_are_always_zero_accuse_nobody() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await yard.visit()
        (session,) = completed(yard)
        assert "messages-missing" not in session.flags

    play(script, station("same-sequence"))


def test_q27_an_update_after_the_end_reopens_nothing() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await yard.visit()
        assert yard.charger.evses[0].session is None
        assert yard.charger.evses[0].status is not ConnectorStatus.CHARGING

    play(script, station("ended-then-updated"))


@pytest.mark.parametrize("version", VERSIONS)
def test_one_whose_start_was_lost_gets_its_limit_all_the_same(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug()
        await yard.seconds(300)
        assert yard.sessions[0].evse_number == 1
        assert yard.charger.evses[0].session is not None
        assert yard.station.evses[1].car.drawn_a > 20

    play(script, station("lose-started", version=version), limit_a=100, building_a=10)


@pytest.mark.parametrize("version", VERSIONS)
def test_one_that_only_reconnects_to_a_new_gateway_is_known_and_its_states_too(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        await yard.kill_daemon()
        yard.lose_ledger()
        await yard.seconds(20)
        await yard.start_daemon()
        await yard.seconds(120)
        assert (yard.charger.vendor, yard.charger.model) == ("Simulated", "Box 20")
        assert yard.charger.evses[0].status == "available"

    play(script, station(version=version))


@pytest.mark.parametrize("version", VERSIONS)
def test_after_a_restart_of_ours_the_states_are_asked_for(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        await yard.kill_daemon()
        await yard.seconds(20)
        await yard.start_daemon()
        await yard.seconds(120)
        assert yard.charger.evses[0].status == "available"

    play(script, station(version=version))


@pytest.mark.parametrize("version", VERSIONS)
def test_q37_one_that_answers_no_limit_is_stopped_where_there_is_no_room(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug()
        await yard.seconds(600)
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 200
        assert yard.sessions[0].stop_reason == "Remote"

    play(script, station("mute-profiles", version=version), limit_a=40, building_a=20)
