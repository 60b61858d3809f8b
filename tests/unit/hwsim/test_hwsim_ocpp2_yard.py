"""The OCPP 2 station by the book in a yard: with the real daemon, in virtual time, from its boot to the bill."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from support.station_bench import schema_problems

from edgectl.domain.events import ConnectorStatus, Outcome
from edgectl.domain.quirks import ProfileKind
from edgectl.domain.records import Session, SessionStatus
from hwsim.models.car import TOKENS
from hwsim.models.ocpp2 import FAULTS_20, Station20
from hwsim.models.ocpp2.faults import OFF_SCHEMA
from hwsim.world.yard import GRID, WALL_OFFSET_S, Yard, play

VERSIONS = ("2.0.1", "2.1")
TIGHT: dict[str, Any] = {"limit_a": 40, "building_a": 20}
"""About 22 A are left for the only charger."""
NOT_BILLED_HERE = {"lose-started", "lose-ended"}
"""One never says at which EVSE it charges, so nobody can tell it how much; the other's session ends where the next begins
(``tests/quirks/test_quirks_wire.py``)."""


class Watched(Station20):
    """Remembers what it has sent and heard."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent: list[Any] = []
        self.heard: list[Any] = []

    def take_frames(self) -> list[str]:
        frames = super().take_frames()
        self.sent += [json.loads(frame) for frame in frames]
        return frames

    def received(self, text: str, now_s: float) -> None:
        self.heard.append(json.loads(text))
        super().received(text, now_s)

    def problems(self) -> list[str]:
        """What the standard's schemas say of all it has sent."""
        asked = {frame[1]: frame[2] for frame in self.heard if frame[0] == 2}
        calls = [(frame[2], frame[3], False) for frame in self.sent if frame[0] == 2]
        answers = [(asked[frame[1]], frame[2], True) for frame in self.sent if frame[0] == 3]
        return [
            problem
            for action, payload, is_answer in calls + answers
            for problem in schema_problems(action, payload, self.version, is_answer=is_answer)
        ]

    def transaction_events(self) -> list[dict[str, Any]]:
        return [frame[3] for frame in self.sent if frame[0] == 2 and frame[2] == "TransactionEvent"]


def station(*faults: str, version: str = "2.0.1", **options: Any) -> Watched:
    return Watched("CP-1", random.Random(1), version=version, wall_offset_s=WALL_OFFSET_S, faults=frozenset(faults), **options)


def completed(yard: Yard) -> list[Session]:
    return [session for session in yard.sessions if session.status is SessionStatus.COMPLETED]


async def charging(yard: Yard, **car: Any) -> None:
    await yard.seconds(30)
    yard.plug(**car)
    await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")


@pytest.mark.parametrize("version", VERSIONS)
def test_from_the_boot_to_the_bill(version: str) -> None:
    one = station(version=version)

    async def script(yard: Yard) -> None:
        await charging(yard)
        assert (yard.charger.protocol, yard.charger.vendor) == (f"ocpp{version}", "Simulated")
        assert (yard.charger.commissioning.state, yard.charger.fallback) == ("done", "verified")
        await yard.seconds(300)
        assert yard.station.evses[1].drawn_a[0] == pytest.approx(22, abs=1)
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 8
        register_wh = yard.station.evses[1].register_wh
        yard.unplug()
        await yard.until(lambda: yard.charger.evses[0].status == ConnectorStatus.AVAILABLE, "the place is free")
        (session,) = completed(yard)
        assert (session.evse_number, session.id_token, session.stop_reason) == (1, "04A1", "EVDisconnected")
        assert session.meter_stop_wh == int(register_wh)
        assert (session.flags, session.authorisation.is_offline) == ((), False)

    play(script, one, **TIGHT)
    assert one.problems() == []
    assert any(frame[2] == "SetVariables" for frame in one.heard if frame[0] == 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_link_that_is_cut_leaves_the_fallback_and_its_story_is_told_afterwards(version: str) -> None:
    one = station(version=version)

    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(100)
        yard.clients[0].is_powered = False  # the link stays away; the station has power
        await yard.clients[0].cut()
        await yard.seconds(600)
        assert yard.station.evses[1].drawn_a[0] == 6
        yard.unplug()
        await yard.seconds(30)
        yard.plug(token=TOKENS[1])
        await yard.seconds(300)
        assert yard.station.queued_count > 50
        yard.clients[0].is_powered = True
        await yard.until(lambda: yard.station.queued_count == 0, "everything is told")
        await yard.seconds(60)
        assert yard.station.evses[1].drawn_a[0] == pytest.approx(22, abs=1)
        yard.unplug()
        await yard.seconds(60)
        first, second = completed(yard)
        assert [session.id_token for session in (first, second)] == [TOKENS[0], TOKENS[1]]
        assert [session.authorisation.is_offline for session in (first, second)] == [False, True]
        assert "messages-missing" not in first.flags + second.flags
        assert first.ended_utc_ms is not None
        assert second.started_utc_ms - first.ended_utc_ms == pytest.approx(30_000, abs=2_000)

    play(script, one, **TIGHT)
    assert one.problems() == []
    assert any(event.get("offline") for event in one.transaction_events())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_power_cut_ends_the_session_where_it_was(version: str) -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(120)
        register_wh = yard.station.evses[1].register_wh
        yard.power_off()
        await yard.seconds(60)
        yard.power_on()
        await yard.until(lambda: len(completed(yard)) == 1, "it is told")
        (session,) = completed(yard)
        assert (session.stop_reason, session.meter_stop_wh) == ("PowerLoss", int(register_wh))
        await yard.seconds(30)
        assert yard.charger.evses[0].status == ConnectorStatus.OCCUPIED

    play(script, station(version=version))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cable_starts_the_transaction_and_the_card_comes_later(version: str) -> None:
    one = station(version=version)
    one.device.put("TxCtrlr.TxStartPoint", "EVConnected")

    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(120)
        assert yard.station.evses[1].drawn_a[0] > 20
        yard.unplug()
        await yard.seconds(30)
        (session,) = completed(yard)
        assert (session.id_token, session.flags) == ("04A1", ())

    play(script, one, **TIGHT)
    assert "idToken" not in one.transaction_events()[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_two_evses_share_what_there_is(version: str) -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        yard.plug(2, token=TOKENS[1])
        await yard.seconds(200)
        drawn_a = [evse.drawn_a[0] for evse in yard.station.evses.values()]
        assert min(drawn_a) > 15
        assert sum(drawn_a) < 44
        yard.unplug(1)
        yard.unplug(2)
        await yard.seconds(60)
        assert {(session.evse_number, session.id_token) for session in completed(yard)} == {(1, TOKENS[0]), (2, TOKENS[1])}

    play(script, station(version=version, evse_count=2), limit_a=60, building_a=20)


@pytest.mark.parametrize("version", VERSIONS)
def test_without_us_it_falls_to_its_fallback_and_with_us_it_goes_on(version: str) -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(120)
        await yard.kill_daemon()
        await yard.seconds(600)
        assert yard.station.evses[1].drawn_a[0] == 6
        await yard.start_daemon()
        await yard.seconds(120)
        assert yard.station.evses[1].drawn_a[0] == pytest.approx(22, abs=1)
        yard.unplug()
        await yard.until(lambda: len(completed(yard)) == 1, "it is over")
        assert completed(yard)[0].flags == ()

    play(script, station(version=version), **TIGHT)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_does_what_a_person_asks(version: str) -> None:
    one = station(version=version)

    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        assert (await yard.act("reserve", evse="1", token="04A2", reservation="3", expires="2027-01-16T00:00:00Z")).problem == ""
        await yard.until(lambda: yard.charger.evses[0].status == ConnectorStatus.RESERVED, "it is kept for somebody")
        yard.plug(token="04A1")
        await yard.seconds(20)
        assert yard.charger.evses[0].session is None
        assert (await yard.act("cancel-reservation", reservation="3")).outcome is Outcome.ACCEPTED
        assert (await yard.act("start", token="04A1", evse="1")).outcome is Outcome.ACCEPTED
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        assert (await yard.act("unlock", evse="1")).status == "OngoingAuthorizedTransaction"
        assert (await yard.act("get-log", location="http://x")).outcome is Outcome.ACCEPTED
        assert (await yard.act("reset")).status == "Scheduled"
        assert (await yard.act("stop", evse="1")).outcome is Outcome.ACCEPTED
        await yard.until(lambda: yard.station.restart_count == 1 and yard.station.is_online, "it is back")
        assert [one.stop_reason for one in completed(yard)] == ["reservation-cancelled", "Remote"]

    play(script, one)
    assert one.problems() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_drill_finds_nothing(version: str) -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(60)
        assert (await yard.act("drill")).outcome is Outcome.ACCEPTED
        await yard.until(lambda: yard.charger.drill.state != "running", "the drill to end", 1_500)
        found = {probe.name: probe.value for probe in yard.charger.drill.probes}
        assert (found["TxProfile"], found["pause"], found["lease"]) == ("obeyed", "wakes at 6 A", "ends by itself")
        assert "measured" not in dict(yard.charger.quirks)

    play(script, station(version=version))


def test_a_dynamic_limit_is_followed_and_ends_without_a_link() -> None:
    one = station(version="2.1")

    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(200)
        assert any(record.is_dynamic for record in yard.station.profiles.records.values())
        assert yard.station.evses[1].drawn_a[0] == pytest.approx(22, abs=1)
        yard.clients[0].is_powered = False
        await yard.clients[0].cut()
        await yard.seconds(400)
        assert yard.station.evses[1].drawn_a[0] == 6

    play(script, one, quirks={"kind": ProfileKind.DYNAMIC}, **TIGHT)
    assert one.problems() == []
    assert any(frame[2] == "PullDynamicScheduleUpdate" for frame in one.sent if frame[0] == 2)


@pytest.mark.parametrize("fault", sorted(FAULTS_20.keys() - NOT_BILLED_HERE))
def test_whatever_it_does_the_session_is_billed_once(fault: str) -> None:
    one = station(fault)

    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(200)
        yard.unplug()
        await yard.until(lambda: yard.station.queued_count == 0, "everything is told")
        await yard.seconds(60)
        (session,) = completed(yard)
        assert (session.evse_number, session.id_token) == (1, "04A1")
        assert session.energy_wh > 200

    play(script, one)
    assert fault in OFF_SCHEMA or one.problems() == []
