"""Chargers that do with their limits as they like, against the whole daemon: the conductor holds, and the charger is named."""

from __future__ import annotations

from typing import Any

import pytest

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import LimitAnswered, Outcome
from edgectl.domain.phases import Phases
from edgectl.domain.quirks import ProfileKind, ProfilePurpose, RateUnit
from hwsim.world.yard import GRID, Yard, play, station16


async def charging(yard: Yard, station: int = 0, **car: Any) -> None:
    yard.plug(station=station, **car)
    await yard.until(lambda: yard.chargers[station].evses[0].session is not None, "a session")
    await yard.seconds(60)


def drawn_a(yard: Yard, station: int = 0) -> float:
    return float(yard.stations[station].evses[1].car.drawn_a)


@pytest.mark.parametrize("fault", ["ignore-profiles", "reject-profiles", "callerror-profiles"])
def test_q37_q38_one_that_ignores_or_refuses_is_named_tried_in_other_ways_and_counted_for_what_it_draws(fault: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await charging(yard, 1)
        await charging(yard, 0)
        await yard.seconds(180)
        assert yard.alarms & {"limits-ignored", "limit-refused", "fallback-refused", "fallback-differs"}
        purposes = {order.style.purpose for order in yard.decided(SetLimit) if order.evse.charger == "CP-1"}
        assert {ProfilePurpose.TX_DEFAULT, ProfilePurpose.STATION_MAX} <= purposes
        assert drawn_a(yard, 0) > 30  # it does as it likes
        assert drawn_a(yard, 1) <= 70 - 20 - 30  # and the other one leaves it the room
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 30

    play(script, station16(fault), station16(name="CP-2"), limit_a=70, building_a=20)


def test_q37_q38_where_there_is_no_room_for_what_it_draws_its_transaction_is_stopped() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        yard.plug()
        await yard.until(lambda: yard.station.started_transactions == 1, "a session")
        await yard.until(lambda: yard.station.closed_transactions == 1, "the transaction stopped", 300)
        (session,) = yard.sessions
        assert session.stop_reason == "Remote"

    play(script, station16("ignore-profiles"), limit_a=40, building_a=20)


def test_q41_watts_where_it_takes_no_amps() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(120)
        assert {order.style.unit for order in yard.decided(SetLimit)} == {RateUnit.WATTS}
        assert yard.charger.evses[0].confirmed_ma == yard.charger.evses[0].commanded_ma
        assert 14 <= drawn_a(yard) <= 25
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15

    play(script, station16("reject-amps"), limit_a=40, building_a=20, quirks={"unit": RateUnit.WATTS})


def test_q41_without_being_told_so_it_is_found_to_refuse() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(60)
        assert "fallback-refused" in yard.alarms

    play(script, station16("reject-amps"))


def test_q40_limits_are_told_again_before_anything_else_when_a_forgetful_charger_is_back() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        limit_ma = yard.charger.evses[0].commanded_ma
        await yard.clients[0].cut()
        await yard.until(lambda: not yard.charger.is_connected, "the link lost")
        known = len(yard.events)
        (circuit,) = yard.daemon.view().circuits if yard.daemon else ()
        assert circuit.silent_ma == Phases.uniform(32_000)  # bound by nothing while it is away
        await yard.until(lambda: yard.charger.is_connected, "the link back")
        told = [d for _, decisions in yard.events[known:] for d in decisions if isinstance(d, SetLimit | InstallFallback)]
        assert isinstance(told[0], SetLimit)
        assert told[0].limit_ma == limit_ma
        await yard.seconds(30)
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15
        assert yard.charger.fallback in {"installed", "verified"}

    play(script, station16("forget-on-disconnect"), limit_a=40, building_a=20, quirks={"keeps_profiles": False})


def test_q45_what_a_reboot_has_forgotten_is_written_again_and_read_back() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        assert yard.charger.fallback == "verified"
        yard.power_off()
        await yard.seconds(30)
        yard.power_on()
        await yard.until(lambda: yard.charger.is_connected, "the charger back")
        assert not yard.station.profiles.installed
        await yard.until(lambda: yard.charger.fallback == "verified", "its fallback written and read back", 60)

    play(script, station16("forget-on-reboot"))


def test_q42_one_that_cannot_pause_is_floored_and_never_told_nothing() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard, 0)
        await charging(yard, 1)
        await yard.seconds(2400)  # room for one minimum: turns would change twice
        told = [order.limit_ma for order in yard.decided(SetLimit) if order.evse.charger == "CP-1"]
        assert all(limit_ma >= 6_000 for limit_ma in told)
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15

    play(script, station16("zero-is-six"), station16(name="CP-2"), limit_a=27, building_a=20, quirks={"can_pause": False})


def test_q35_without_currents_every_phase_counts_for_the_worst() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard, phases=1)
        await yard.seconds(120)
        view = yard.charger.evses[0]
        assert view.power_w
        assert view.measured_ma is not None
        assert view.measured_ma == Phases.uniform(view.measured_ma.l1)
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15

    play(script, station16("no-currents"), limit_a=40, building_a=20)


def test_q54_answers_that_come_late_are_matched_by_id_and_confirm_what_they_answer() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(120)
        answers = yard.of(LimitAnswered)
        assert answers
        assert {answer.outcome for answer in answers} <= {Outcome.ACCEPTED, Outcome.SUPERSEDED}
        assert yard.charger.evses[0].confirmed_ma == yard.charger.evses[0].commanded_ma

    play(script, station16("slow"), limit_a=40, building_a=20)


def test_q54_an_answer_that_never_comes_leaves_the_limit_unconfirmed() -> None:
    async def script(yard: Yard) -> None:
        await charging(yard)
        await yard.seconds(30)
        assert yard.charger.evses[0].confirmed_ma is None
        assert Outcome.TIMEOUT in {answer.outcome for answer in yard.of(LimitAnswered)}

    play(script, station16("mute-profiles"))


@pytest.mark.parametrize(
    ("fault", "quirks"),
    [("level-zero-only", {"stack_level": 0}), ("relative-only", {"kind": ProfileKind.RELATIVE})],
)
def test_q39_profiles_are_written_the_way_the_charger_takes_them(fault: str, quirks: dict[str, Any]) -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        await charging(yard)
        await yard.seconds(60)
        assert not yard.alarms & {"limits-ignored", "limit-refused", "fallback-refused"}
        assert 6 <= drawn_a(yard) <= 25
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 5

    play(script, station16(fault), limit_a=40, building_a=20, quirks=quirks)


def test_q43_nothing_we_send_has_a_null_in_it() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(120)
        await charging(yard)
        for name, arguments in (
            ("clear-cache", {}), ("get-configuration", {}), ("trigger", {"message": "Heartbeat"}), ("unlock", {"evse": "1"}),
            ("availability", {"state": "operative"}), ("get-composite-schedule", {"evse": "1", "duration": "60"}),
        ):  # fmt: skip
            await yard.act(name, **arguments)
        await yard.seconds(60)
        assert yard.station.restart_count == 0

    play(script, station16("crashes-on-null"))


def test_q43_a_remote_start_brings_its_limit_in_a_message_of_its_own() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug(token="04UNKNOWN")  # refused; the driver waits, and is started by a person
        await yard.seconds(20)
        answer = await yard.act("start", token="04A1", evse="1")
        assert answer.outcome is Outcome.ACCEPTED
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        await yard.seconds(60)
        assert 6 <= drawn_a(yard) <= 25

    play(script, station16("no-start-profile"), limit_a=40, building_a=20)


def test_q44_raises_wait_where_each_wears_the_flash_and_the_fallback_is_written_once() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        await charging(yard)
        yard.depot.circuits[GRID].building.machine_a = 0
        count, orders = yard.station.limits_received, len(yard.decided(SetLimit))
        building = yard.depot.circuits[GRID].building
        for minute in range(30):  # it asks for another limit every ten seconds
            for step in range(6):
                building.base_a = 20 + (minute * 6 + step) % 7
                await yard.seconds(10)
        raised = sum(
            later.limit_ma > earlier.limit_ma
            for earlier, later in zip(yard.decided(SetLimit)[orders:], yard.decided(SetLimit)[orders + 1 :], strict=False)
        )
        assert raised <= 30 * 60 // 120 + 1
        assert yard.station.limits_received - count <= 100
        assert len(yard.decided(InstallFallback)) == 1
        assert "limit-refused" not in yard.alarms, "its flash has borne it"
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 5

    play(script, station16("Q44"), limit_a=40, building_a=20, quirks={"write_interval_ms": 120_000})


def test_q46_one_that_takes_everything_when_its_link_is_lost_has_been_left_the_room() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        await charging(yard, 0)
        await charging(yard, 1)
        yard.clients[0].is_powered = False  # the link stays away; the station has power
        await yard.clients[0].cut()
        await yard.seconds(120)
        assert drawn_a(yard, 0) > 30
        assert drawn_a(yard, 1) <= 70 - 20 - 30
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15

    quirks = {"keeps_profiles": False}
    play(script, station16("Q46"), station16(name="CP-2"), limit_a=70, building_a=20, quirks=quirks)


def test_q46_when_we_are_gone_every_charger_falls_to_its_fallback_and_the_breaker_holds() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        for number in range(3):
            await charging(yard, number)
        await yard.seconds(60)
        assert sum(drawn_a(yard, number) for number in range(3)) > 30
        await yard.kill_daemon()
        await yard.seconds(15 * 60)
        assert all(drawn_a(yard, number) <= 6.1 for number in range(3))
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 5

    play(script, *(station16(name=f"CP-{number}") for number in (1, 2, 3)), limit_a=63, building_a=20)


def test_q37_one_that_answers_no_limit_is_stopped_where_there_is_no_room() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug()
        await yard.seconds(600)
        assert yard.depot.circuits[GRID].breaker.longest_over_s <= 200
        assert yard.sessions[0].stop_reason == "Remote"

    play(script, station16("mute-profiles"), limit_a=40, building_a=20)
