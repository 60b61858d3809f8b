"""Chargers that are particular about their configuration, their lists and their switches, against the whole daemon."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from edgectl.domain.decisions import Ask
from edgectl.domain.events import SiteReloaded
from edgectl.domain.ids import IdToken
from edgectl.domain.quirks import QuirkProfile
from edgectl.domain.records import SessionStatus
from edgectl.domain.site import Token, TokenStatus
from hwsim.models.ocpp2 import Station20
from hwsim.world.yard import WALL_OFFSET_S, Yard, play, station16

TAGS = tuple(f"04{number:06X}" for number in range(1, 13))


async def set_up(yard: Yard, at_most_s: float = 300) -> dict[str, str]:
    """Until the set-up has ended; the outcome of each key."""
    ended = {"done", "stopped"}
    await yard.until(lambda: yard.charger.commissioning.state in ended, "the set-up has ended", at_most_s)
    return {key.key: key.outcome for key in yard.charger.commissioning.keys}


def writes(yard: Yard) -> list[tuple[str, str]]:
    """Keys and values that were asked to be written."""
    asks = [ask for ask in yard.decided(Ask) if ask.request == "change-configuration"]
    return [(dict(ask.arguments)["key"], dict(ask.arguments)["value"]) for ask in asks]


async def charge(yard: Yard) -> None:
    yard.plug()
    await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
    await yard.seconds(300)
    yard.unplug()
    await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
    await yard.seconds(30)
    assert yard.sessions[-1].status is SessionStatus.COMPLETED


def test_a_charger_by_the_book_is_set_up_once_and_left_alone_afterwards() -> None:
    async def script(yard: Yard) -> None:
        outcomes = await set_up(yard)
        assert outcomes["ConnectionTimeOut"] == "accepted"
        assert yard.station.configuration.values["ConnectionTimeOut"] == "90"
        written = writes(yard)
        assert len(written) == len(dict(written)), "each key once"
        yard.power_off()
        await yard.seconds(30)
        yard.power_on()
        await yard.seconds(120)
        assert writes(yard) == written, "the second set-up writes nothing"
        assert yard.charger.commissioning.state == "done"

    play(script, station16())


def test_q14_a_key_after_which_it_restarts_is_never_written_again_and_the_others_are() -> None:
    async def script(yard: Yard) -> None:
        await set_up(yard)
        await yard.seconds(300)
        outcomes = await set_up(yard)
        assert outcomes["ConnectionTimeOut"] == "caused-reboot"
        assert [key for key, _ in writes(yard)].count("ConnectionTimeOut") == 1
        assert yard.station.configuration.values["LocalPreAuthorize"] == "true"
        assert yard.station.restart_count == 1
        await charge(yard)

    play(script, station16("Q14"))


def test_q14_one_that_restarts_again_and_again_is_left_alone() -> None:
    async def script(yard: Yard) -> None:
        for _ in range(5):
            await yard.until(lambda: yard.charger.commissioning.state in {"reading", "writing"}, "a set-up", 90)
            yard.power_off()
            await yard.seconds(5)
            yard.power_on()
            await yard.until(lambda: yard.charger.is_accepted, "it is back", 60)
            if yard.charger.commissioning.state == "stopped":
                break
            await yard.seconds(3)
        assert yard.charger.commissioning.state == "stopped"
        assert "restarts again" in yard.charger.commissioning.detail
        await charge(yard)

    play(script, station16("mute-configuration"))


def test_q15_endless_boots_are_answered_and_make_one_set_up() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(900)
        written = writes(yard)
        assert len(written) == len(dict(written))
        assert yard.charger.commissioning.state == "done"
        await charge(yard)

    play(script, station16("Q15"))


@pytest.mark.parametrize("fault", ["no-read-all", "four-keys"])
def test_q16_where_all_keys_cannot_be_read_at_once_they_are_read_in_pieces(fault: str) -> None:
    async def script(yard: Yard) -> None:
        outcomes = await set_up(yard, 900)
        await yard.seconds(120)
        outcomes = await set_up(yard, 900)
        assert yard.charger.commissioning.state == "done"
        assert outcomes["ConnectionTimeOut"] in {"accepted", "unchanged"}
        assert yard.station.configuration.values["ConnectionTimeOut"] == "90"
        await charge(yard)

    play(script, station16(fault), quirks={"reads_all_keys": fault != "four-keys"})


def test_q17_overlong_fields_and_values_are_taken_and_hurt_nobody() -> None:
    async def script(yard: Yard) -> None:
        await set_up(yard)
        assert yard.charger.commissioning.state == "done"
        await charge(yard)
        assert yard.counters["ocpp_message_deviates"] > 0

    play(script, station16("Q17"), tokens=("04A1".ljust(40, "0"), *TAGS))


def test_q18_keys_are_found_in_any_case_and_written_as_the_charger_spells_them() -> None:
    async def script(yard: Yard) -> None:
        await set_up(yard)
        assert ("ConnectionTimeout", "90") in writes(yard)
        assert yard.station.configuration.values["ConnectionTimeout"] == "90"

    play(script, station16("Q18"))


def test_q19_a_refused_key_is_no_success_and_is_tried_again_on_demand() -> None:
    async def script(yard: Yard) -> None:
        outcomes = await set_up(yard)
        assert outcomes["ConnectionTimeOut"] == "rejected"
        yard.station.configuration.faults = frozenset()
        before = len(writes(yard))
        yard.power_off()
        await yard.seconds(10)
        yard.power_on()
        await yard.seconds(90)
        assert len(writes(yard)) == before, "not by itself"
        await yard.act("commission")
        outcomes = await set_up(yard)
        assert outcomes["ConnectionTimeOut"] == "accepted"

    play(script, station16("Q19"))


def test_q36_of_the_measurands_those_are_sampled_that_it_can() -> None:
    async def script(yard: Yard) -> None:
        await set_up(yard)
        sampled = yard.station.configuration.values["MeterValuesSampledData"].split(",")
        assert "Voltage" not in sampled
        assert {"Energy.Active.Import.Register", "Current.Import", "SoC"} <= set(sampled)

    play(script, station16("Q36"))


def list_is_right(yard: Yard) -> None:
    assert yard.station.known_tokens == frozenset(TAGS)
    assert yard.charger.local_list.startswith(f"{len(TAGS)} tokens, version ")


async def lists(yard: Yard) -> None:
    await set_up(yard)
    await yard.until(lambda: "tokens, version" in yard.charger.local_list, "it has the list", 120)
    list_is_right(yard)


def test_q50_a_list_goes_whole_in_pieces_and_only_when_it_is_another() -> None:
    async def script(yard: Yard) -> None:
        await lists(yard)
        assert yard.station.list_messages == ["Full", "Differential", "Differential"]
        yard.power_off()
        await yard.seconds(10)
        yard.power_on()
        await yard.seconds(90)
        assert len(yard.station.list_messages) == 3, "it has it already"
        list_is_right(yard)

    play(script, station16("list-of-five"), tokens=TAGS)


def test_q50_one_that_fails_at_differences_gets_it_whole() -> None:
    play(lists, station16("differential-fails"), tokens=TAGS)


def now_allowed(yard: Yard, *tokens: Token) -> None:
    """The site's file names other tokens from now on."""
    assert yard.daemon is not None
    yard.daemon.inbox.put(SiteReloaded(replace(yard.daemon.settings.site, tokens=tokens)))


NEW = ("04EEEEEE", "04FFFFFF")
OTHERS = (*(Token(IdToken(tag)) for tag in (*TAGS[2:], *NEW)), Token(IdToken(TAGS[0]), TokenStatus.BLOCKED))
"""One of twelve is blocked, one has gone, two are new."""


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_when_tokens_change_only_the_changes_are_sent_and_what_it_has_learned_is_forgotten(version: str) -> None:
    station = station16() if version == "1.6" else station20()

    async def script(yard: Yard) -> None:
        await yard.until(lambda: "tokens, version" in yard.charger.local_list, "it has the list", 120)
        yard.plug(token=TAGS[1])  # so that it has learned this one, where it has a cache
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        yard.unplug()
        now_allowed(yard, *OTHERS)
        before = list(messages_of(station))
        await yard.until(lambda: f"{len(OTHERS)} tokens, version" in yard.charger.local_list, "it has the other list", 60)
        await yard.seconds(5)
        assert messages_of(station)[len(before) :] == ["Differential"]
        assert allowed_by(station) == {*TAGS[2:], *NEW}
        asked = [ask.request for ask in yard.decided(Ask) if ask.ask_id.startswith("local-list/")]
        assert asked[-2:] == ["send-local-list", "clear-cache"]
        if version == "2.0.1":
            assert not station.tokens.is_known(TAGS[1])
        now_allowed(yard)
        await yard.until(lambda: "0 tokens, version" in yard.charger.local_list, "the list is empty", 60)
        assert allowed_by(station) == set()

    play(script, station, tokens=TAGS)


def test_q50_one_that_is_at_another_version_or_refuses_changes_gets_the_whole() -> None:
    one = station16("differential-fails")
    one.configuration.values["SendLocalListMaxLength"] = "50"

    async def script(yard: Yard) -> None:
        await lists(yard)
        now_allowed(yard, *OTHERS)
        await yard.until(lambda: f"{len(OTHERS)} tokens, version" in yard.charger.local_list, "it has the other list", 60)
        assert one.list_messages == ["Full", "Differential", "Full"]
        one.list_version, one.known_tokens = 7, frozenset({"somebody"})  # somebody else was here
        now_allowed(yard, *OTHERS[:-2])
        await yard.until(lambda: f"{len(OTHERS) - 2} tokens, version" in yard.charger.local_list, "it has the third", 60)
        assert one.list_messages[3:] == ["Full"]
        assert one.known_tokens == {*TAGS[2:], NEW[0]}

    play(script, one, tokens=TAGS)


def test_a_list_that_somebody_else_wrote_stays_where_the_site_names_no_tokens() -> None:
    one = station16()
    one.list_version, one.known_tokens = 7, frozenset({"somebody"})

    async def script(yard: Yard) -> None:
        await yard.until(lambda: yard.charger.local_list == "the site names no tokens", "it was asked", 120)
        assert (one.list_messages, one.known_tokens) == ([], {"somebody"})

    play(script, one, tokens=())


def test_a_list_goes_in_messages_of_the_length_that_the_station_takes() -> None:
    one = station20()
    one.device.put("LocalAuthListCtrlr.BytesPerMessage", "1000")

    async def script(yard: Yard) -> None:
        await yard.until(lambda: "tokens, version" in yard.charger.local_list, "it has the list", 120)
        assert allowed_by(one) == set(TAGS)
        assert one.tokens.list_messages == ["Full", "Differential", "Differential"]  # one that was too long is not among them

    play(script, one, tokens=TAGS)


def station20() -> Station20:
    return Station20("CP-1", random.Random(1), version="2.0.1", wall_offset_s=WALL_OFFSET_S)


def messages_of(station: Any) -> list[str]:
    """Which kinds of update it was sent."""
    found: list[str] = station.tokens.list_messages if isinstance(station, Station20) else station.list_messages
    return found


def allowed_by(station: Any) -> set[str]:
    return set(station.tokens.known if isinstance(station, Station20) else station.known_tokens)


def test_q50_one_that_can_do_neither_is_named_with_what_it_has() -> None:
    async def script(yard: Yard) -> None:
        await set_up(yard)
        await yard.until(lambda: "refused" in yard.charger.local_list, "it has given up", 300)
        assert "refused after 1 of 12 tokens" in yard.charger.local_list
        await charge(yard)

    play(script, station16("Q50"), tokens=("04A1", *TAGS[1:]))


def test_q51_a_refused_availability_is_said_in_its_own_word_and_stops_nothing() -> None:
    async def script(yard: Yard) -> None:
        await set_up(yard)
        assert yard.charger.commissioning.state == "done"
        answer = await yard.act("availability", state="operative")
        assert (answer.outcome.value, answer.status) == ("rejected", "Rejected")
        await charge(yard)

    play(script, station16("Q51"))


def test_q51_where_it_is_known_nobody_is_sent_in_vain() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        answer = await yard.act("availability", state="operative")
        assert "known to be a charger that refuses" in answer.problem

    play(script, station16("Q51"), quirks={"takes_availability": False})


def test_q53_what_must_be_set_on_the_device_is_shown_and_without_it_it_counts_at_its_rating() -> None:
    words = "Switch energy management on: Settings, Installer, EM."
    profile = QuirkProfile("simulated", "Simulated", "*", "*", "as seen", "test", (("checklist", (words,)),))

    async def script(yard: Yard) -> None:
        await yard.seconds(120)
        assert yard.charger.checklist == (words,)
        assert "fallback-refused" in yard.alarms
        assert yard.charger.fallback == "refused"

    play(script, station16("Q53"), table=[profile])


def played(script: Callable[[Yard], Awaitable[None]]) -> None:
    play(script, station16())


def test_tokens_of_the_site_let_drivers_charge_while_nobody_can_be_asked() -> None:
    async def script(yard: Yard) -> None:
        await yard.until(lambda: "tokens, version" in yard.charger.local_list, "it has the list", 120)
        yard.clients[0].is_powered = False  # the link stays away; the station has power
        await yard.clients[0].cut()
        await yard.seconds(5)
        yard.plug()
        await yard.seconds(300)
        yard.clients[0].is_powered = True
        await yard.until(lambda: yard.charger.evses[0].session is not None, "its session is told", 120)

    played(script)
