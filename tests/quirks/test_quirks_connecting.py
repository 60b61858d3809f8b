"""How chargers come to the door when they do it in their own way, against the whole daemon."""

from __future__ import annotations

import pytest

from edgectl.domain.events import ChargerBooted, ChargerConnected, HeartbeatReceived
from edgectl.domain.records import SessionStatus
from hwsim.world.faults import OCPP_PORT
from hwsim.world.yard import Yard, play, station16

RAW_KEY = "0123456789abcdef"


async def served(yard: Yard) -> None:
    """It charges as any other."""
    await yard.until(lambda: yard.charger.is_accepted, "it is let in", 60)
    await yard.visit()
    assert yard.sessions[-1].status is SessionStatus.COMPLETED
    assert yard.sessions[-1].energy_wh > 500


def test_q1_without_a_subprotocol_it_is_turned_away_with_a_reason_until_the_file_says_what_it_speaks() -> None:
    async def refused(yard: Yard) -> None:
        await yard.seconds(40)
        assert not yard.charger.is_connected
        assert yard.daemon is not None
        (knocked,) = yard.daemon.view().refused
        assert knocked.charger == "CP-1"
        assert "subprotocol" in knocked.reason

    play(refused, station16("Q1"))
    play(served, station16("Q1"), access={"assume_version": "ocpp1.6"})


def test_q2_one_whose_first_offer_is_broken_is_pinned_to_what_it_can() -> None:
    async def pinned(yard: Yard) -> None:
        await served(yard)
        assert yard.charger.protocol == "ocpp1.6"

    play(pinned, station16("Q2"), access={"pin_version": "ocpp1.6"})


def test_q3_a_handshake_without_upgrade_is_taken_only_where_the_file_says_so() -> None:
    async def refused(yard: Yard) -> None:
        await yard.seconds(40)
        assert not yard.charger.is_connected

    play(refused, station16("Q3"))
    play(served, station16("Q3"), access={"tolerates_missing_upgrade": True})


def test_q4_an_identity_in_other_letters_encoded_and_with_a_slash_is_the_charger_of_the_file() -> None:
    async def script(yard: Yard) -> None:
        await served(yard)
        assert yard.of(ChargerConnected)[0].charger == "CP-1"

    play(script, station16("Q4"))


@pytest.mark.parametrize("faults", [(), ("Q5",)], ids=["raw", "hex"])
def test_q5_a_key_is_the_same_key_raw_and_in_hexadecimal_digits(faults: tuple[str, ...]) -> None:
    async def script(yard: Yard) -> None:
        await served(yard)
        assert yard.charger.security_profile == 1

    play(script, station16(*faults), access={"password": RAW_KEY})


def test_q6_behind_a_half_open_socket_it_comes_back_at_once_and_its_session_goes_on() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        yard.network.own_link(yard.clients[0].transport).is_silent = True  # neither end is told
        await yard.clients[0].cut()
        connects = len(yard.of(ChargerConnected))
        await yard.until(lambda: len(yard.of(ChargerConnected)) > connects, "it is back", 15)
        await yard.until(lambda: yard.charger.is_accepted, "and usable", 15)
        await yard.seconds(60)
        yard.unplug()
        await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
        await yard.seconds(10)
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED

    play(script, station16())


def test_q7_a_link_that_drops_every_forty_seconds_is_counted_raises_no_alarm_and_costs_no_session() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit(minutes=15)
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert session.energy_wh > 2_000
        assert yard.charger.link_count > 10
        assert "charger-offline" not in yard.alarms

    play(script, station16("Q7"))


def test_q8_one_that_never_beats_is_alive_as_long_as_it_says_anything() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(3_600)
        assert yard.of(HeartbeatReceived) == []
        assert yard.charger.is_connected
        assert yard.charger.link_count == 1
        await served(yard)

    play(script, station16("Q8"))


def test_q6_q8_one_that_answers_no_pings_and_says_nothing_is_given_up_and_taken_back() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(600)
        assert yard.charger.link_count > 2
        assert len(yard.of(ChargerBooted)) == 1
        await served(yard)

    play(script, station16("Q6", "Q8"))


def test_q52_all_come_back_at_once_and_all_are_let_in() -> None:
    async def script(yard: Yard) -> None:
        yard.network.link(OCPP_PORT).is_refusing = True
        for client in yard.clients:
            await client.cut()
        await yard.seconds(60)
        yard.network.link(OCPP_PORT).is_refusing = False
        await yard.until(lambda: all(charger.is_accepted for charger in yard.chargers), "all are in", 60)

    play(script, *(station16("Q52", name=f"CP-{number}") for number in range(1, 13)))
