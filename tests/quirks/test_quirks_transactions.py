"""Transactions as chargers really tell them: each quirk is played by a simulated charger against the whole daemon.

A test's name begins with the quirk's number; what is asserted is what a person will find in the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from edgectl.domain.events import TransactionEnded, TransactionStarted
from edgectl.domain.records import Session, SessionStatus
from hwsim.world.yard import Yard, play, station16

Script = Callable[[Yard], Awaitable[None]]


def completed(yard: Yard) -> list[Session]:
    return [session for session in yard.sessions if session.status is SessionStatus.COMPLETED]


def test_q20_a_stop_with_minus_one_ends_the_session_that_runs_there() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert "stop-matched" in session.flags
        assert session.energy_wh > 1_000
        assert yard.station.closed_transactions == 1  # it was acknowledged

    play(script, station16("lose-start-answer"))


def test_q20_q25_a_stop_that_nobody_knows_is_acknowledged_and_kept_for_a_person() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(60)
        (orphan,) = yard.sessions
        assert (orphan.status, orphan.energy_wh, orphan.meter_stop_wh) == (SessionStatus.ORPHAN, 0, 4_200)
        assert yard.station.queued_count == 0
        await yard.visit()  # and it has not kept the next one from starting
        assert len(completed(yard)) == 1

    play(script, station16("orphan-stop"))


@pytest.mark.parametrize("fault", ["repeat-start", "repeat-stop", "same-id-retry"])
def test_q22_q24_what_is_told_twice_is_one_session_with_one_id(fault: str) -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert session.rev == 1
        started = {event.meter_start_wh for event in yard.of(TransactionStarted)}
        assert started == {session.meter_start_wh}

    play(script, station16(fault))


def test_q23_values_of_a_transaction_whose_start_was_never_heard_open_a_session() -> None:
    async def script(yard: Yard) -> None:
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        await yard.seconds(120)
        await yard.kill_daemon()
        yard.lose_ledger()
        await yard.start_daemon()
        await yard.seconds(180)
        (session,) = yard.sessions
        assert "start-missing" in session.flags
        yard.unplug()
        await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert session.energy_wh > 0

    play(script, station16())


@pytest.mark.parametrize("fault", ["register-resets", "register-backwards"])
def test_q26_a_register_that_begins_again_never_makes_negative_or_invented_energy(fault: str) -> None:
    async def script(yard: Yard) -> None:
        for _ in range(2):
            yard.plug()
            await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
            await yard.seconds(300)
            yard.power_off()
            await yard.seconds(60)
            yard.unplug()
            yard.power_on()
            await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
            await yard.seconds(60)
        assert len(completed(yard)) == 2
        for session in completed(yard):
            assert 0 <= session.energy_wh <= 22_080 // 6

    play(script, station16(fault))


def test_q34_values_without_a_transaction_id_belong_to_the_session_of_their_connector() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = yard.sessions
        assert session.energy_wh > 1_000
        assert len(session.periods) >= 1

    play(script, station16("no-transaction-id"))


def test_q31_a_clock_that_was_never_set_does_not_date_a_session_in_1970() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = yard.sessions
        assert "clock-lost" in session.flags
        assert session.started_reported_utc_ms is not None
        assert session.started_reported_utc_ms < 86_400_000
        now_ms = yard.clock.now().utc_ms
        assert now_ms - 3_600_000 < session.started_utc_ms < now_ms
        assert session.ended_utc_ms is not None
        assert session.started_utc_ms < session.ended_utc_ms <= now_ms

    play(script, station16("clock-1970"))


def test_q22_hours_of_a_queue_are_taken_at_full_speed_and_with_their_own_times() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit(minutes=1)
        await yard.kill_daemon()
        await yard.seconds(30)
        for _ in range(3):
            yard.plug()
            await yard.seconds(1200)
            yard.unplug()
            await yard.seconds(60)
        before_s = yard.loop.time()
        await yard.start_daemon()
        await yard.until(lambda: yard.station.queued_count == 0 and yard.station.is_connected, "the queue delivered", 300)
        delivered_s = yard.loop.time() - before_s
        await yard.seconds(5)
        assert len(completed(yard)) == 4
        assert delivered_s < 200  # most of it is the charger's own wait before it connects again
        starts = [session.started_utc_ms for session in completed(yard)]
        assert starts[3] - starts[2] > 1_000_000

    play(script, station16(known_tokens=frozenset({"04A1", "04A2", "04A3", "04A4"})))


def test_q27_the_end_is_the_end() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = yard.sessions
        ended = yard.of(TransactionEnded)[0]
        await yard.kill_daemon()
        await yard.start_daemon()
        await yard.visit(minutes=2)
        again = next(one for one in yard.sessions if one.id == session.id)
        assert (again.status, again.rev, again.energy_wh) == (session.status, session.rev, session.energy_wh)
        assert ended.call.charger == "CP-1"
        assert len(completed(yard)) == 2

    play(script, station16("repeat-stop"))


def test_q21_a_stop_with_anothers_id_ends_only_what_it_can_mean_and_says_that_it_was_a_guess() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = completed(yard)
        assert "stop-matched" in session.flags
        assert session.energy_wh > 1_000

    play(script, station16("Q21"))


def test_q21_where_it_can_mean_two_neither_is_ended() -> None:
    async def script(yard: Yard) -> None:
        yard.plug(1)
        yard.plug(2)
        await yard.until(lambda: all(evse.session is not None for evse in yard.charger.evses), "two sessions")
        await yard.seconds(300)
        # no register yet that would tell the two apart: both began at the same place and have the same driver
        yard.station.evses[2].register_wh = yard.station.evses[1].register_wh = 2_000_000
        yard.unplug(1)
        await yard.until(lambda: yard.station.queued_count == 0, "everything delivered")
        assert {session.status for session in yard.sessions} == {SessionStatus.ACTIVE, SessionStatus.ORPHAN}
        assert len(yard.sessions) == 3

    play(script, station16("Q21", evse_count=2))


def test_q23_a_start_that_is_never_told_is_a_session_by_its_values_alone() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = completed(yard)
        assert {"start-missing", "meter-start-derived"} <= set(session.flags)
        assert session.energy_wh > 1_000

    play(script, station16("Q23"))


def test_q28_a_queue_that_overflows_loses_values_and_no_energy() -> None:
    async def script(yard: Yard) -> None:
        yard.plug()
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        yard.clients[0].is_powered = False  # the link stays away; the station has power
        await yard.clients[0].cut()
        register_wh = yard.station.evses[1].register_wh
        await yard.seconds(1_800)
        yard.unplug()
        drawn_wh = yard.station.evses[1].register_wh - register_wh
        yard.clients[0].is_powered = True
        await yard.until(lambda: yard.station.is_connected and yard.station.queued_count == 0, "everything delivered")
        await yard.seconds(30)
        (session,) = completed(yard)
        assert drawn_wh > 1_500
        assert session.energy_wh >= drawn_wh - 1
        assert "energy-estimated" not in session.flags

    play(script, station16("Q28", known_tokens=frozenset({"04A1"})))


def test_q29_the_history_of_before_is_taken_at_full_speed_and_marked() -> None:
    async def script(yard: Yard) -> None:
        await yard.until(lambda: yard.station.is_booted and yard.station.queued_count == 0, "it has told everything", 60)
        await yard.seconds(5)
        old = completed(yard)
        assert len(old) == 20
        assert all("pre-adoption" in session.flags for session in old)
        assert {session.energy_wh for session in old} == {900}
        assert len({session.started_utc_ms for session in old}) == 20
        await yard.visit()
        assert "pre-adoption" not in completed(yard)[-1].flags

    play(script, station16("Q29"))


def test_q30_values_after_the_stop_change_no_energy_and_reopen_nothing() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = yard.sessions
        assert session.status is SessionStatus.COMPLETED
        assert session.meter_stop_wh is not None
        assert session.meter_start_wh is not None
        assert session.energy_wh == session.meter_stop_wh - session.meter_start_wh

    play(script, station16("values-after-stop"))


def test_q30_one_that_stays_finishing_takes_the_next_driver_all_the_same() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        await yard.visit()
        assert len(completed(yard)) == 2

    play(script, station16("stuck-finishing"))


def test_q33_odd_values_cost_only_themselves() -> None:
    async def script(yard: Yard) -> None:
        await yard.visit()
        (session,) = completed(yard)
        assert session.energy_wh > 1_000
        assert yard.counters["samples_dropped"] > 0

    play(script, station16("Q33"))


def test_q49_a_card_is_the_same_card_in_capitals_and_small_letters() -> None:
    async def script(yard: Yard) -> None:
        for _ in range(4):
            await yard.visit(minutes=2)
        assert len(completed(yard)) == 4
        assert yard.station.rejected_tokens == 0

    play(script, station16("upper-case-tokens"))


def test_q49_a_card_whose_bytes_are_read_in_reverse_is_known_once_the_file_says_so() -> None:
    async def refused(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug(token="04A1B2C3")
        await yard.seconds(30)
        assert yard.station.rejected_tokens == 1
        assert yard.sessions == []

    async def known(yard: Yard) -> None:
        await yard.seconds(30)
        yard.plug(token="04A1B2C3")
        await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
        (session,) = yard.sessions
        assert session.id_token == "04A1B2C3"

    play(refused, station16("reversed-tokens"), tokens=["04A1B2C3"])
    play(known, station16("reversed-tokens"), tokens=["04A1B2C3"], quirks={"has_reversed_uid": True})
