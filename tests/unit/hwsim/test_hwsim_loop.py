"""What makes a run in virtual time the same twice, and what ends one that would hang."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hwsim.world.loop import LivelockError, VirtualLoop
from hwsim.world.network import Network

ROOT = Path(__file__).resolve().parents[3]
Main = Callable[[VirtualLoop], Awaitable[Any]]


def virtual(main: Main, *, shuffle: int | None = None) -> Any:
    loop = VirtualLoop(Network(random.Random(1)), shuffle=None if shuffle is None else random.Random(shuffle))
    try:
        result = loop.run_until_complete(main(loop))
    finally:
        loop.close()
    assert loop.errors == []
    return result


@pytest.mark.parametrize("delay_s", [0, 1e-9, -1])
def test_timers_that_let_no_time_pass_are_spinning_too(monkeypatch: pytest.MonkeyPatch, delay_s: float) -> None:
    monkeypatch.setattr("hwsim.world.loop.TURNS_PER_INSTANT_MAX", 100)

    async def main(loop: VirtualLoop) -> None:
        while True:
            waiting = loop.create_future()
            loop.call_later(delay_s, waiting.set_result, None)
            await waiting

    with pytest.raises(LivelockError, match="no time has passed"):
        virtual(main)


def test_many_short_sleeps_are_no_livelock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwsim.world.loop.TURNS_PER_INSTANT_MAX", 10)

    async def main(loop: VirtualLoop) -> float:
        for _ in range(1_000):
            await asyncio.sleep(1e-6)
        return loop.time()

    assert virtual(main) == pytest.approx(0.001)


# --- order --------------------------------------------------------------------------------------------------------------


async def who_ran(loop: VirtualLoop) -> list[int]:
    ran: list[int] = []

    async def step(number: int) -> None:
        for _ in range(3):
            ran.append(number)
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(step(number))
    return ran


def test_ready_tasks_run_in_the_order_they_became_ready() -> None:
    assert virtual(who_ran) == list(range(8)) * 3


def test_a_shuffle_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first = virtual(who_ran, shuffle=1)
    assert first == virtual(who_ran, shuffle=1)
    assert first != virtual(who_ran, shuffle=2)
    assert [sorted(first[start : start + 8]) for start in (0, 8, 16)] == [list(range(8))] * 3


def test_a_shuffle_leaves_callbacks_in_their_order() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        called: list[int] = []

        async def busy() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        tasks = []
        for number in range(20):
            loop.call_soon(called.append, number)
            tasks.append(asyncio.create_task(busy()))
        await asyncio.gather(*tasks)
        return called

    assert virtual(main, shuffle=3) == list(range(20))


CANCELLED = """
import asyncio, random
from hwsim.world.loop import NumberedTask, VirtualLoop
from hwsim.world.network import Network
async def nothing():
    pass
def move_memory(number):
    "Takes a varying number of the places where the next task could have been, so that addresses say nothing about order."
    ballast.extend(NumberedTask(nothing(), 0, loop=loop) for _ in range(number * {ballast} % 7))
async def main():
    order = []
    async def wait(name):
        try:
            await asyncio.Event().wait()
        finally:
            order.append(name)
    async def fail():
        await asyncio.sleep(1)
        raise ValueError
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                move_memory(number)
                tasks.create_task(wait(f"g{{number}}"))
            tasks.create_task(fail())
    except* ValueError:
        pass
    done, _ = await asyncio.wait([asyncio.create_task(asyncio.sleep(1, number)) for number in range(40)])
    return order + [task.result() for task in done]
ballast = []
loop = VirtualLoop(Network(random.Random(1)))
print(loop.run_until_complete(main()))
loop.close()
"""


def run_python(program: str, hash_seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'hw-sim'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_sets_of_tasks_have_one_order_in_every_process() -> None:
    first = run_python(CANCELLED.format(ballast=0), hash_seed=0)
    assert first == run_python(CANCELLED.format(ballast=3), hash_seed=77)


TALK = """
import asyncio, hashlib, random, sys
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from hwsim.world.loop import VirtualLoop
from hwsim.world.network import Network
rng = random.Random({seed})
trace = hashlib.sha256()
async def echo(connection):
    try:
        async for message in connection:
            trace.update(f"{{loop.now_us}} {{message}}".encode())
            await connection.send(message)
    except ConnectionClosed:
        pass
async def talk(name):
    for number in range(20):
        try:
            async with connect("ws://127.0.0.1:80/", compression=None) as client:
                for word in range(20):
                    await client.send(f"{{name}} {{number}} {{word}}")
                    await client.recv()
                    await asyncio.sleep(rng.expovariate(1))
        except (ConnectionClosed, OSError, EOFError) as error:
            trace.update(type(error).__name__.encode())
            await asyncio.sleep(1)
async def cut():
    while True:
        await asyncio.sleep(rng.expovariate(1 / 5))
        loop.network.reset(80, chance=0.3)
async def main():
    async with serve(echo, "127.0.0.1", 80):
        cutting = asyncio.create_task(cut())
        await asyncio.gather(*(talk(f"t{{n}}") for n in range(10)))
        cutting.cancel()
loop = VirtualLoop(Network(random.Random(rng.random())), shuffle=random.Random(rng.random()))
loop.run_until_complete(main())
loop.close()
print(trace.hexdigest(), loop.now_us, loop.errors)
"""


def test_websockets_with_resets_and_shuffling_is_the_same_in_every_process() -> None:
    first = run_python(TALK.format(seed=5), hash_seed=0)
    assert first.rstrip().endswith("[]")
    assert first == run_python(TALK.format(seed=5), hash_seed=9)
    assert first != run_python(TALK.format(seed=6), hash_seed=0)


def test_a_killed_process_ends_in_the_order_its_tasks_began() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        ended: list[int] = []
        tasks = []

        async def live(number: int) -> None:
            try:
                await asyncio.sleep(1_000)
            finally:
                ended.append(number)

        async def begin() -> None:
            tasks.extend(asyncio.create_task(live(number), name=f"{100 - number}") for number in range(30))
            await asyncio.sleep(0)

        await loop.run_as("victim", begin())
        await loop.kill("victim")
        return ended

    assert virtual(main) == list(range(30))


# --- refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "attempt"),
    [
        ("threads", lambda loop: loop.run_in_executor(None, print)),
        ("signals", lambda loop: loop.add_signal_handler(signal.SIGTERM, print)),
        ("processes", lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true")),
        ("file descriptors", lambda loop: loop.add_reader(0, print)),
        ("datagrams", lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol)),
        ("Unix sockets", lambda loop: loop.create_unix_server(asyncio.Protocol, "/nowhere")),
        ("TLS", lambda loop: loop.start_tls(None, None, None)),
        ("ssl", lambda loop: loop.network.listen(loop, asyncio.Protocol, "127.0.0.1", 1, ssl=True)),
        ("sock", lambda loop: loop.network.listen(loop, asyncio.Protocol, "127.0.0.1", 1, sock=object())),
    ],
)
def test_what_would_touch_the_machine_is_refused_by_its_name(thing: str, attempt: Callable[[Any], Any]) -> None:
    async def main(loop: VirtualLoop) -> None:
        with pytest.raises(RuntimeError, match=thing):
            attempt(loop)

    virtual(main)


def test_addresses_are_resolved_and_names_are_not() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        with pytest.raises(OSError, match="no name service"):
            await loop.getaddrinfo("broker.example.com", 1883)
        found = [await loop.getaddrinfo(host, 80) for host in ("10.0.0.1", "localhost", "::1")]
        return [one[0][4][0] for one in found]

    assert virtual(main) == ["10.0.0.1", "127.0.0.1", "::1"]
