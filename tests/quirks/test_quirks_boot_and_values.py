"""How chargers boot, speak and measure when they do it in their own way, against the whole daemon."""

from __future__ import annotations

from edgectl.domain.decisions import Ask, BootAnswer, Reply, SetLimit
from edgectl.domain.events import ChargerBooted, StatusReported
from edgectl.domain.records import PeriodState, SessionStatus
from hwsim.world.yard import Yard, play, station16


def test_q9_frames_that_are_no_frames_are_counted_and_nothing_is_lost() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit(minutes=20)
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert yard.counters["ocpp_frame_malformed"] > 5
        assert yard.counters["input_refused_ocpp"] >= 1

    play(script, station16("broken-frames"))


def test_q11_one_that_does_not_boot_again_is_usable_and_still_known() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        vendor = yard.charger.vendor
        yard.power_off()
        await yard.seconds(20)
        boots = len(yard.of(ChargerBooted))
        yard.power_on()
        await yard.until(lambda: yard.charger.is_accepted, "it is usable", 60)
        assert len(yard.of(ChargerBooted)) == boots
        assert yard.charger.vendor == vendor == "Simulated"
        await yard.visit()
        assert yard.sessions[0].status is SessionStatus.COMPLETED

    play(script, station16("no-boot"))


def test_q12_nothing_is_asked_before_the_boot_is_answered_and_time_to_settle_has_passed() -> None:
    async def script(yard: Yard) -> None:
        await yard.until(lambda: yard.charger.commissioning.state == "done", "set up", 120)
        assert yard.station.limits_received >= 2
        yard.power_off()
        await yard.seconds(20)
        yard.power_on()
        await yard.until(lambda: yard.charger.is_accepted, "it is back", 60)
        await yard.visit()
        assert yard.station.restart_count == 1, "the power cut; one that is asked too early restarts once more"

    play(script, station16("Q12"))


def test_q12_a_station_that_speaks_before_it_is_let_in_is_not_asked_before() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        booted_at = next(at for at, (event, _) in enumerate(yard.events) if isinstance(event, ChargerBooted))
        statuses = [at for at, (event, _) in enumerate(yard.events) if isinstance(event, StatusReported)]
        assert statuses[0] - booted_at <= 2  # it does not wait for its own boot to be answered
        assert yard.station.limits_received >= 2
        assert yard.charger.is_accepted

    play(script, station16("two-at-once"))


def test_q13_a_charger_that_is_known_is_never_asked_to_boot() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        await yard.clients[0].cut()
        await yard.until(lambda: not yard.charger.is_connected, "the link lost")
        await yard.until(lambda: yard.charger.is_connected, "the link back")
        await yard.seconds(60)
        await yard.act("commission")
        await yard.seconds(120)
        asked = [dict(ask.arguments).get("message") for ask in yard.decided(Ask) if ask.request == "trigger"]
        assert "BootNotification" not in asked
        assert yard.station.restart_count == 0, "it really restarts when it is asked to boot"

    play(script, station16("Q13"))


def test_q15_boots_one_after_another_are_each_answered_and_do_no_harm() -> None:
    async def script(yard: Yard) -> None:
        for _ in range(6):
            await yard.seconds(10)
            yard.station.boot(yard.loop.time())
        await yard.seconds(30)
        answers = [reply.answer for reply in yard.decided(Reply) if isinstance(reply.answer, BootAnswer)]
        assert len(answers) == len(yard.of(ChargerBooted)) >= 6
        assert all(answer.is_accepted for answer in answers)
        await yard.visit()
        assert yard.sessions[0].status is SessionStatus.COMPLETED

    play(script, station16())


def test_q32_kilowatt_hours_with_all_the_digits_of_a_float_are_whole_watt_hours() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit(minutes=20)
        (session,) = yard.sessions
        register_wh = yard.station.evses[1].register_wh
        assert session.meter_start_wh is not None
        assert abs(session.meter_start_wh + session.energy_wh - register_wh) <= 1
        assert "register-scale" not in yard.alarms

    play(script, station16("kwh-floats"))


def test_q42_a_status_that_stays_charging_at_zero_is_still_our_pause() -> None:
    async def script(yard: Yard) -> None:
        yard.plug(station=0)
        yard.plug(station=1)
        await yard.seconds(3600)  # room for one minimum: they take turns
        paused = [
            period
            for session in yard.sessions
            if session.charger == "CP-1"
            for period in session.periods
            if period.state is PeriodState.SUSPENDED_EVSE
        ]
        assert sum(period.to_utc_ms - period.from_utc_ms for period in paused) > 10 * 60_000
        assert 0 in {order.limit_ma for order in yard.decided(SetLimit)}

    play(script, station16("charging-at-zero"), station16(name="CP-2"), limit_a=27, building_a=20)


def test_q52_after_a_power_cut_all_come_back_at_once_and_their_heartbeats_do_not() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(30)
        for number in range(len(yard.stations)):
            yard.power_off(number)
        await yard.seconds(30)
        for number in range(len(yard.stations)):
            yard.power_on(number)
        await yard.until(lambda: all(charger.is_accepted for charger in yard.chargers), "all are back", 120)
        intervals = {
            reply.call.charger: reply.answer.interval_s for reply in yard.decided(Reply) if isinstance(reply.answer, BootAnswer)
        }
        assert len(intervals) == 12
        assert len(set(intervals.values())) >= 6

    play(script, *(station16(name=f"CP-{number}") for number in range(1, 13)), limit_a=400)
