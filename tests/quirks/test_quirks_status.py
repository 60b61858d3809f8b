"""Chargers whose states flicker, are missing or come from the wrong place, against the whole daemon."""

from __future__ import annotations

import pytest

from edgectl.domain.decisions import Ask
from edgectl.domain.events import ConnectorStatus, StatusReported
from edgectl.domain.quirks import StatusTrigger
from edgectl.domain.records import SessionStatus
from hwsim.world.yard import Yard, play, station16


def test_q47_a_fault_that_comes_and_goes_is_counted_and_not_shown_and_ends_nothing() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        for _ in range(60):
            await yard.seconds(1)
            assert yard.charger.evses[0].status is not ConnectorStatus.FAULTED
        assert yard.charger.evses[0].fault_count > 10
        assert "connector-faulted" not in yard.alarms
        yard.unplug()
        await yard.seconds(30)
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED

    play(script, station16("flapping-fault"))


def test_q47_a_plug_that_seems_to_leave_for_a_second_does_not_end_the_session() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit(minutes=10)
        assert sum(event.status is ConnectorStatus.AVAILABLE for event in yard.of(StatusReported)) > 50
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert session.energy_wh > 1_000

    play(script, station16("phantom-plugs"))


@pytest.mark.parametrize("fault", ["silent-after-reconnect", "connector-zero-only"])
def test_q48_where_no_status_is_told_transactions_and_values_tell_enough(fault: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        await yard.clients[0].cut()
        await yard.seconds(90)
        evse = yard.charger.evses[0]
        assert evse.commanded_ma is not None
        assert evse.commanded_ma > 6_000
        assert yard.station.evses[1].car.drawn_a > 6
        yard.unplug()
        await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
        await yard.seconds(10)
        assert yard.sessions[-1].status is SessionStatus.COMPLETED

    play(script, station16(fault))


def test_q48_states_are_asked_for_connector_by_connector() -> None:
    async def script(yard: Yard) -> None:
        await yard.until(lambda: yard.charger.commissioning.state == "done", "set up", 120)
        asked = [dict(ask.arguments) for ask in yard.decided(Ask) if ask.request == "trigger"]
        assert [arguments["evse"] for arguments in asked if arguments["message"] == "StatusNotification"] == ["1", "2"]

    play(script, station16(evse_count=2))


def test_q48_a_trigger_with_a_connector_that_is_refused_stops_nothing() -> None:
    async def script(yard: Yard) -> None:
        await yard.until(lambda: yard.charger.commissioning.state == "done", "set up", 120)
        await yard.visit()
        assert yard.sessions[-1].status is SessionStatus.COMPLETED

    play(script, station16("trigger-needs-no-connector"))


def test_q48_where_it_is_known_the_states_are_asked_for_all_at_once() -> None:
    async def script(yard: Yard) -> None:
        await yard.until(lambda: yard.charger.commissioning.state == "done", "set up", 120)
        asked = [dict(ask.arguments) for ask in yard.decided(Ask) if ask.request == "trigger"]
        assert {"message": "StatusNotification"} in asked

    play(script, station16("trigger-needs-no-connector"), quirks={"status_trigger": StatusTrigger.STATION})
