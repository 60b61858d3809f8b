"""Virtual time: order, jumps, dead ends; connections in memory; the models by which edgectl is judged."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hwsim.models.breaker import Breaker
from hwsim.models.car import Car
from hwsim.models.profiles import ProfileStore
from hwsim.world.loop import DeadEndError, LivelockError, VirtualLoop
from hwsim.world.network import Network


def virtual(main: object) -> VirtualLoop:
    loop = VirtualLoop(Network(random.Random(1)))
    try:
        loop.run_until_complete(main(loop))  # type: ignore[operator]
    finally:
        loop.close()
    assert loop.errors == []
    return loop


def test_a_day_of_sleep_takes_no_time() -> None:
    async def main(loop: VirtualLoop) -> None:
        await asyncio.sleep(86_400)
        assert loop.time() == 86_400

    virtual(main)


def test_timers_of_one_moment_fire_in_the_order_they_were_set() -> None:
    fired: list[int] = []

    async def main(loop: VirtualLoop) -> None:
        for number in range(50):
            loop.call_at(5.0, fired.append, number)
        await asyncio.sleep(6)

    virtual(main)
    assert fired == list(range(50))


def test_a_cancelled_timer_never_fires() -> None:
    fired: list[str] = []

    async def main(loop: VirtualLoop) -> None:
        loop.call_later(1, fired.append, "kept")
        loop.call_later(1, fired.append, "cancelled").cancel()
        await asyncio.sleep(2)

    virtual(main)
    assert fired == ["kept"]


def test_a_run_with_nothing_left_to_do_names_who_waits() -> None:
    async def main(loop: VirtualLoop) -> None:
        await asyncio.create_task(asyncio.Event().wait(), name="the-one-who-waits")

    with pytest.raises(DeadEndError, match="the-one-who-waits"):
        virtual(main)


def test_spinning_without_time_passing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwsim.world.loop.TURNS_PER_INSTANT_MAX", 100)

    async def main(loop: VirtualLoop) -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(LivelockError):
        virtual(main)


def test_threads_are_refused() -> None:
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(RuntimeError, match="threads"):
            await asyncio.to_thread(print)

    virtual(main)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def test_websockets_runs_unmodified_in_memory() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with serve(echo, "127.0.0.1", 8887), connect("ws://127.0.0.1:8887/x", compression=None) as client:
            for number in range(100):
                await client.send(str(number))
                assert await client.recv() == str(number)
                await asyncio.sleep(10)

    assert virtual(main).time() > 1000


def test_a_byte_at_a_time_is_still_a_message() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with serve(echo, "127.0.0.1", 8887), connect("ws://127.0.0.1:8887/x", compression=None) as client:
            loop.network.link(8887).is_dribbling = True
            await client.send("dribble")
            assert await client.recv() == "dribble"

    virtual(main)


def test_a_reset_reaches_both_ends() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with serve(echo, "127.0.0.1", 8887), connect("ws://127.0.0.1:8887/x", compression=None) as client:
            assert loop.network.reset(8887) == 1
            with pytest.raises(ConnectionClosed):
                await client.recv()

    virtual(main)


def test_a_half_open_link_is_found_only_by_ping() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with serve(echo, "127.0.0.1", 8887, ping_interval=None) as server:
            client = connect("ws://127.0.0.1:8887/x", compression=None, ping_interval=20, ping_timeout=20, close_timeout=1)
            async with client as connection:
                loop.network.link(8887).is_silent = True
                with pytest.raises(ConnectionClosed):
                    await connection.recv()
                assert 20 < loop.time() < 60
            loop.network.link(8887).is_silent = False
            for one in list(server.connections):
                one.transport.abort()
            await asyncio.sleep(1)

    virtual(main)


def test_nobody_listens_where_nobody_listens() -> None:
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", 1)

    virtual(main)


def test_a_killed_process_does_nothing_more() -> None:
    async def main(loop: VirtualLoop) -> None:
        beats: list[float] = []

        async def beat() -> None:
            while True:
                beats.append(loop.time())
                await asyncio.sleep(1)

        async def start() -> None:
            loop.beating = asyncio.create_task(beat())  # type: ignore[attr-defined]

        await loop.run_as("victim", start())
        await asyncio.sleep(3.5)
        await loop.kill("victim")
        await asyncio.sleep(10)
        assert len(beats) == 4

    virtual(main)


# --- models -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "seconds"), [(1.13, 3600.0), (1.45, 293.0), (1.52, 182.0), (2.0, 11.5)])
def test_the_breaker_trips_where_the_curve_says(ratio: float, seconds: float) -> None:
    breaker = Breaker((100.0, 100.0, 100.0))
    step = seconds / 1000
    for _ in range(1000):
        breaker.carry((100.0 * ratio * 1.0000001, 0.0, 0.0), step)
    assert breaker.worst_damage == pytest.approx(1.0, rel=0.02)


def test_a_car_follows_after_its_reaction_time_and_never_below_six_amps() -> None:
    car = Car(battery_wh=50_000, energy_wh=10_000, max_a=32, reaction_s=3)
    car.follow(20, 0.0)
    assert car.drawn_a == 0
    car.follow(20, 3.0)
    assert car.drawn_a == 20
    car.follow(5.9, 4.0)
    car.follow(5.9, 7.0)
    assert car.drawn_a == 0


def profile(number: int, purpose: str, level: int, limit: float, **more: object) -> dict[str, object]:
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        "startSchedule": "1970-01-01T00:00:00Z",
    }
    schedule |= {name: more.pop(name) for name in ("duration", "startSchedule") if name in more}
    return {
        "chargingProfileId": number,
        "chargingProfilePurpose": purpose,
        "stackLevel": level,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


def test_profiles_stack_as_the_standard_says() -> None:
    store = ProfileStore()
    assert store.limit_a(1, 100, 50, 3) == float("inf")
    store.install(0, profile(1, "TxDefaultProfile", 0, 6), None)
    store.install(0, profile(2, "ChargePointMaxProfile", 0, 32), None)
    assert store.limit_a(1, 100, 50, 3) == 6
    assert store.install(1, profile(3, "TxProfile", 1, 20, validTo="1970-01-01T00:03:00Z", transactionId=7), 7) == "Accepted"
    assert store.limit_a(1, 100, 50, 3) == 20
    assert store.limit_a(2, 100, 50, 3) == 6
    assert store.limit_a(1, 180, 50, 3) == 6, "the lease has ended"
    store.install(1, profile(3, "TxProfile", 1, 60, transactionId=7), 7)
    assert store.limit_a(1, 200, 50, 3) == 32, "never above the station's maximum"
    store.end_transaction(1)
    assert store.limit_a(1, 200, None, 3) == 6
    assert store.install(1, profile(4, "TxProfile", 1, 10, transactionId=7), None) == "Rejected"


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 40)), min_size=1, max_size=8))
def test_the_highest_stack_level_wins(entries: list[tuple[int, float]]) -> None:
    store = ProfileStore()
    for number, (level, limit) in enumerate(entries):
        store.install(1, profile(number, "TxDefaultProfile", level, limit), None)
    top = max(level for level, _ in entries)
    assert store.limit_a(1, 10, None, 3) == [limit for level, limit in entries if level == top][-1]
