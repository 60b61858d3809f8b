"""Odd but real behaviour on the wire (research/ocpp.md §9), each with what becomes of it against the whole daemon."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from edgectl.domain.events import ChargerBooted, ConnectorStatus, MeterValuesReported, StatusReported, TransactionEnded
from edgectl.domain.records import Session, SessionStatus
from hwsim.models.ocpp2 import Station20
from hwsim.world.yard import WALL_OFFSET_S, Yard, play, station16

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    1: "test_q12_a_station_that_speaks_before_it_is_let_in_is_not_asked_before",
    3: "test_q27_a_gap_in_its_numbers_is_flagged_and_asked_about",
    7: "test_q26_a_register_that_begins_again_never_makes_negative_or_invented_energy",
    8: "test_q31_a_clock_that_was_never_set_does_not_date_a_session_in_1970",
    9: "test_q32_kilowatt_hours_with_all_the_digits_of_a_float_are_whole_watt_hours",
    10: "test_q37_q38_one_that_ignores_or_refuses_is_named_tried_in_other_ways_and_counted_for_what_it_draws",
    11: "test_q42_a_status_that_stays_charging_at_zero_is_still_our_pause",
    14: "test_a_numeric_message_id_is_answered_with_the_number",
    15: "test_a_boot_in_words_of_1_6_or_none_is_still_a_boot",
}
"""Where the others of the list are tried."""


def station20(*faults: str, **options: Any) -> Station20:
    return Station20("CP-1", random.Random(1), version="2.0.1", wall_offset_s=WALL_OFFSET_S, faults=frozenset(faults), **options)


def completed(yard: Yard) -> list[Session]:
    return [session for session in yard.sessions if session.status is SessionStatus.COMPLETED]


def test_every_behaviour_of_the_list_is_tried() -> None:
    names = {
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    here = {int(number) for name in names for number in re.findall(r"_w(\d+)(?=_)", name)}
    assert here | ELSEWHERE.keys() == set(range(1, 16))
    assert set(ELSEWHERE.values()) - names == set()


def test_w2_an_end_with_the_number_of_the_value_before_it_is_no_repeat_of_it() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await yard.visit()
        (session,) = completed(yard)
        assert session.energy_wh > 1_000
        assert "messages-missing" not in session.flags

    play(script, station20("same-last-number"))


def test_w4_a_new_value_before_those_that_waited_costs_no_energy() -> None:
    async def script(yard: Yard) -> None:
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        yard.clients[0].is_powered = False  # the link stays away; the station has power
        await yard.clients[0].cut()
        await yard.seconds(60)
        before = len(yard.of(MeterValuesReported))
        yard.clients[0].is_powered = True
        await yard.until(lambda: yard.station.is_connected and yard.station.queued_count == 0, "everything delivered")
        told = [event.samples[0].reported_utc_ms or 0 for event in yard.of(MeterValuesReported)[before:]]
        assert told[0] == max(told[:4])
        await yard.seconds(30)
        yard.unplug()
        await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
        await yard.seconds(5)
        (session,) = completed(yard)
        assert session.meter_start_wh is not None
        assert session.energy_wh == int(yard.station.evses[1].register_wh) - session.meter_start_wh

    play(script, station16("newest-first"))


def test_w5_free_again_after_a_power_cut_before_its_transaction_is_ended() -> None:
    async def script(yard: Yard) -> None:
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        await yard.seconds(300)
        yard.power_off()
        await yard.seconds(20)
        yard.unplug()
        known = len(yard.events)
        yard.power_on()
        await yard.until(lambda: yard.station.is_connected and yard.station.queued_count == 0, "everything delivered")
        await yard.seconds(5)
        told = [event for event, _ in yard.events[known:]]
        boot = next(at for at, event in enumerate(told) if isinstance(event, ChargerBooted))
        free = next(
            at for at, event in enumerate(told) if isinstance(event, StatusReported) and event.status is ConnectorStatus.AVAILABLE
        )
        end = next(at for at, event in enumerate(told) if isinstance(event, TransactionEnded))
        assert boot < free < end
        (session,) = completed(yard)
        assert (session.stop_reason, session.energy_wh > 500) == ("PowerLoss", True)

    play(script, station16())


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_w6_a_session_whose_end_is_never_told_ends_where_the_next_begins(version: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await yard.visit()
        assert completed(yard) == []
        await yard.visit()
        (session,) = completed(yard)
        assert session.stop_reason == "superseded"
        assert "stop-missing" in session.flags
        assert 1_000 < session.energy_wh < 22_080 // 4

    play(script, station16("lose-stop") if version == "1.6" else station20("lose-ended"))


def test_w6_one_that_vanishes_keeps_its_session_and_its_share() -> None:
    async def script(yard: Yard) -> None:
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        yard.power_off()
        await yard.seconds(1_200)
        assert "charger-offline" in yard.alarms
        (session,) = yard.sessions
        assert session.status is SessionStatus.ACTIVE

    play(script, station16())


def test_w12_a_schedule_that_says_nothing_proves_nothing_and_accuses_nobody() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        assert yard.charger.fallback == "installed"
        await yard.visit()
        assert yard.charger.fallback == "installed"
        assert yard.alarms & {"fallback-differs", "fallback-refused"} == set()
        assert len(completed(yard)) == 1

    play(script, station16("odd-schedule"))


def test_w13_the_transaction_is_called_what_its_events_call_it() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug(token="04NOBODY")
        await yard.seconds(10)
        await yard.act("start", token="04A1", evse="1")
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        await yard.seconds(120)
        await yard.act("stop", evse="1")
        await yard.until(lambda: len(completed(yard)) == 1, "stopped by the name it has")
        (session,) = yard.sessions
        assert session.transaction != "1"

    play(script, station20("other-remote-name"))
