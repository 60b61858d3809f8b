"""One charger misbehaves as hard as it can; what the others notice: their answers' latency with the flood and without, in turn.

Fifty chargers send a Heartbeat and a MeterValues a second each. The bad one, on the real daemon, in turn:

- ``unbounded``    MeterValues as fast as its socket takes them, waiting for no answer
- ``big frames``   frames of 256 KB, the largest that are read at all, waiting for no answer
- ``half frames``  twenty connections that send half an opening handshake or half a frame, then a byte now and then

Whenever it is thrown out it comes back.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.daemon import daemon, names
from benchmarks.process import Server
from benchmarks.report import CheckFailedError, Results, middle, spread, verdict
from benchmarks.server import begin_16
from benchmarks.wire import RefusedError, Station, frame, quantile, utc_text

GOAL_MS = 200.0
BAD = "CP-BAD"
BIG_BYTES = 256 * 1024
HALF_OPEN = 20
UNREAD_MAX = 1 << 20
"""Bytes the flood keeps waiting in its own socket: full enough never to pause, small enough not to fill this machine."""
PERIOD_S = 1.0

Texts = Callable[[int, str], str]
Flood = Callable[[Server, list[int]], Awaitable[None]]


async def _come_in(server: Server) -> tuple[Station, Texts] | None:
    try:
        station = await Station.connect(server.port, BAD, "ocpp1.6")
        return station, await begin_16(station)
    except (OSError, RefusedError, TimeoutError, KeyError):
        await asyncio.sleep(0.2)
        return None


async def _pour(server: Server, sent: list[int], chunk_of: Callable[[Texts, int], bytes]) -> None:
    """Frames until the connection is gone, again and again until cancelled."""
    while True:
        come = await _come_in(server)
        if come is None:
            continue
        station, texts = come
        station.on_answer = lambda _text: None
        number = 0
        try:
            while not station.is_lost:
                while station.unwritten_bytes < UNREAD_MAX and not station.is_lost:
                    number += 1
                    station.write(chunk_of(texts, number))
                    sent[0] += 1
                    if number % 20 == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(0.002)
        except ConnectionError:
            pass
        finally:
            station.abort()


async def unbounded(server: Server, sent: list[int]) -> None:
    await _pour(server, sent, lambda texts, number: frame(texts(number, utc_text()).encode()))


async def big_frames(server: Server, sent: list[int]) -> None:
    filler = "x" * (BIG_BYTES - 200)

    def big(_texts: Texts, number: int) -> bytes:
        data = f'{{"vendorId":"Bench","data":"{filler}"}}'
        return frame(f'[2,"b{number}","DataTransfer",{data}]'.encode())

    await _pour(server, sent, big)


async def half_frames(server: Server, sent: list[int]) -> None:
    """Half of them never finish the opening handshake, half never finish a frame."""

    async def one(number: int) -> None:
        while True:
            writer = None
            try:
                if number % 2:
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.write(f"GET /{BAD} HTTP/1.1\r\nHost: local".encode())
                    write = writer.write
                else:
                    station = await Station.connect(server.port, BAD, "ocpp1.6")
                    station.write(frame(b"x" * 10_000)[:5_000])
                    write = station.write
                while True:
                    await asyncio.sleep(0.1)
                    write(b"x")
                    sent[0] += 1
                    if writer is not None:
                        await writer.drain()
            except (OSError, RefusedError, TimeoutError):
                await asyncio.sleep(0.1)
            finally:
                if writer is not None:
                    writer.transport.abort()

    await asyncio.gather(*(one(number) for number in range(HALF_OPEN)))


FLOODS: dict[str, Flood] = {"unbounded": unbounded, "big frames": big_frames, "half frames": half_frames}


class Others:
    """The well-behaved chargers: a Heartbeat and a MeterValues a second each, spread over the second."""

    def __init__(self, stations: list[Station], texts: list[Texts]) -> None:
        self._stations = stations
        self._texts = texts
        self._number = 0

    async def listen(self, seconds: float) -> list[float]:
        """Latencies in milliseconds. Raises CheckFailedError when one of them is refused or thrown out."""
        found: list[float] = []
        until_s = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout(seconds + 30):
                await asyncio.gather(*(self._one(index, until_s, found) for index in range(len(self._stations))))
        except (ConnectionError, TimeoutError) as error:
            raise CheckFailedError(f"a well-behaved charger suffered: {error or 'no answer in 30 s'}") from None
        refused = sum(station.refused_count for station in self._stations)
        if refused:
            raise CheckFailedError(f"{refused} messages of well-behaved chargers were refused")
        return found

    async def _one(self, index: int, until_s: float, found: list[float]) -> None:
        loop, station = asyncio.get_running_loop(), self._stations[index]
        due_s = loop.time() + PERIOD_S * index / len(self._stations)
        while due_s < until_s:
            await asyncio.sleep(due_s - loop.time())
            self._number += 1
            for text in (f'[2,"h{self._number}","Heartbeat",{{}}]', self._texts[index](self._number, utc_text())):
                began_s = loop.time()
                await station.call_text(text)
                found.append((loop.time() - began_s) * 1000)
            due_s += PERIOD_S


async def measure(others: int, seconds: float, rounds: int, folder: Path) -> Results:
    results: Results = {}
    async with daemon(folder, [*names(others), BAD]) as server:
        stations = [await Station.connect(server.port, name, "ocpp1.6") for name in names(others)]
        texts = list(await asyncio.gather(*(begin_16(station) for station in stations)))
        good = Others(stations, texts)
        await good.listen(seconds)
        for name, flood in FLOODS.items():
            without, with_flood, cpu, sent = [], [], [], [0]
            for _ in range(rounds):
                without.append(await good.listen(seconds))
                cpu_s = server.cpu_s()
                task = asyncio.create_task(flood(server, sent))
                with_flood.append(await good.listen(seconds))
                cpu.append((server.cpu_s() - cpu_s) / seconds)
                if task.done():
                    raise CheckFailedError(f"the flood ended by itself: {task.exception()}")
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await asyncio.sleep(min(1.0, seconds))
            if sent[0] == 0:
                raise CheckFailedError(f"{name}: nothing was sent, so nothing was suffered")
            results[name] = {
                "sent": sent[0],
                "cpu_share": cpu,
                **{
                    f"{which}_{label}_ms": [quantile(one, share) for one in rounds_ms]
                    for which, rounds_ms in (("without", without), ("with", with_flood))
                    for label, share in (("p50", 0.5), ("p99", 0.99))
                },
            }
        for station in stations:
            station.abort()
    return results


def run(others: int = 50, seconds: float = 5.0, rounds: int = 3) -> Results:
    print(f"flood: answers to {others} chargers (Heartbeat and MeterValues each second) while one more misbehaves, ms")
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(measure(others, seconds, rounds, Path(folder)))
    print(f"  {'flood':<12} {'p50 without':<20} {'p50 with':<20} {'p99 without':<20} {'p99 with':<22} {'sent':>7} {'core':>5}")
    for name, one in results.items():
        columns = " ".join(
            f"{spread(one[key]):<20}" for key in ("without_p50_ms", "with_p50_ms", "without_p99_ms", "with_p99_ms")
        )
        print(f"  {name:<12} {columns}   {one['sent']:>7} {middle(one['cpu_share']):>5.0%}")
        value = middle(one["with_p99_ms"])
        print(f"    goal: p99 below {GOAL_MS:g} ms: {verdict(value, GOAL_MS)} ({value:.1f} ms)")
    return results
