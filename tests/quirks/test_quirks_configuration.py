"""Chargers that are particular about their configuration, their lists and their switches, against the whole daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from edgectl.domain.decisions import Ask
from edgectl.domain.quirks import QuirkProfile
from edgectl.domain.records import SessionStatus
from hwsim.world.yard import Yard, play, station16

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
