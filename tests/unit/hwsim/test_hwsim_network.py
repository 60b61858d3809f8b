"""Connections in memory behave as sockets do: bytes in order, back-pressure, half-close; faults hit what they are aimed at."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hwsim.world.loop import VirtualLoop
from hwsim.world.network import HIGH_WATER, Network

PORT = 8887
Main = Callable[[VirtualLoop], Awaitable[Any]]


def virtual(main: Main, *, seed: int = 1) -> Any:
    loop = VirtualLoop(Network(random.Random(seed)))
    try:
        result = loop.run_until_complete(main(loop))
    finally:
        loop.close()
    assert loop.errors == []
    return result


class Collector(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("seed", range(5))
def test_bytes_keep_their_order_while_the_reader_pauses_and_resumes(seed: int) -> None:
    """The narrow window: a segment that arrives in the very turn in which reading is resumed."""

    async def main(loop: VirtualLoop) -> bytes:
        ends: list[Collector] = []

        def accept() -> Collector:
            ends.append(Collector())
            return ends[-1]

        server = await loop.create_server(accept, "127.0.0.1", PORT)
        loop.network.link(PORT).latency_us, loop.network.link(PORT).jitter_us = 500, 0
        writer, _ = await loop.create_connection(Collector, "127.0.0.1", PORT)
        reader = ends[0].transport
        rng = random.Random(seed)
        for number in range(250):
            loop.call_later(0.0005 * number, writer.write, bytes([number]))
            flip = reader.pause_reading if rng.random() < 0.5 else reader.resume_reading
            loop.call_later(0.0005 * number, flip)
        loop.call_later(1, reader.resume_reading)
        await asyncio.sleep(2)
        writer.close()
        server.close()
        await asyncio.sleep(1)
        return ends[0].got

    assert virtual(main) == bytes(range(250))


def test_a_writer_waits_for_a_reader_that_does_not_read() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, int]:
        received: list[int] = []

        async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(100)
            while data := await reader.read(10_000):
                received.append(len(data))
            writer.close()

        async with await asyncio.start_server(read_late, "127.0.0.1", PORT):
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(bytes(20 * HIGH_WATER))
            await writer.drain()
            drained_s = loop.time()
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
        return drained_s, sum(received)

    drained_s, received = virtual(main)
    assert drained_s >= 100
    assert received == 20 * HIGH_WATER


def test_after_a_half_close_the_other_direction_still_works() -> None:
    async def main(loop: VirtualLoop) -> bytes:
        async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = await reader.read()
            await asyncio.sleep(5)
            writer.write(asked[::-1])
            writer.close()

        async with await asyncio.start_server(answer_at_the_end, "127.0.0.1", PORT):
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(b"abc")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
        return answer

    assert virtual(main) == b"cba"


def test_both_ends_know_each_others_address() -> None:
    async def main(loop: VirtualLoop) -> None:
        names: list[Any] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            names.extend([writer.get_extra_info("sockname"), writer.get_extra_info("peername")])
            writer.close()

        async with await asyncio.start_server(note, "127.0.0.1", PORT):
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            await reader.read()
            assert names == [writer.get_extra_info("peername"), writer.get_extra_info("sockname")]
            assert names[0] == ("127.0.0.1", PORT)
            writer.close()

    virtual(main)


def test_pymodbus_client_and_server_run_unmodified() -> None:
    async def main(loop: VirtualLoop) -> tuple[list[int], float]:
        device = SimDevice(1, simdata=[SimData(0, values=list(range(20)), datatype=DataType.REGISTERS)])
        server = ModbusTcpServer(device, address=("127.0.0.1", 502))
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.1)
        client = AsyncModbusTcpClient("127.0.0.1", port=502)
        assert await client.connect()
        for _ in range(600):
            answer = await client.read_holding_registers(2, count=3, device_id=1)
            await asyncio.sleep(1)
        client.close()
        await server.shutdown()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return answer.registers, loop.time()

    registers, took_s = virtual(main)
    assert registers == [2, 3, 4]
    assert took_s > 600


# --- faults -------------------------------------------------------------------------------------------------------------


def test_a_fault_can_be_aimed_at_one_connection() -> None:
    async def main(loop: VirtualLoop) -> None:
        address = f"ws://127.0.0.1:{PORT}/"
        async with serve(echo, "127.0.0.1", PORT, ping_interval=None), connect(address, compression=None) as healthy:
            async with connect(address, compression=None, ping_interval=20, ping_timeout=20, close_timeout=1) as victim:
                loop.network.own_link(victim.transport).is_silent = True
                with pytest.raises(ConnectionClosed):
                    await victim.recv()
            await healthy.send("still here")
            assert await healthy.recv() == "still here"
            async with connect(address, compression=None) as again:
                await again.send("back")
                assert await again.recv() == "back"
            loop.network.reset(PORT)
            await asyncio.sleep(1)

    virtual(main)


def test_one_direction_alone_can_be_silent() -> None:
    async def main(loop: VirtualLoop) -> None:
        heard: list[str] = []

        async def listen(connection: ServerConnection) -> None:
            async for message in connection:
                heard.append(str(message))
                await connection.send("answer")

        async with serve(listen, "127.0.0.1", PORT), connect(f"ws://127.0.0.1:{PORT}/", compression=None) as client:
            loop.network.link(PORT).is_server_unheard = True
            await client.send("question")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await client.recv()
            assert heard == ["question"]
            loop.network.link(PORT).is_server_unheard = False
            loop.network.reset(PORT)
            await asyncio.sleep(1)

    virtual(main)


def test_what_waits_in_a_stall_arrives_afterwards_in_order() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with serve(echo, "127.0.0.1", PORT), connect(f"ws://127.0.0.1:{PORT}/", compression=None) as client:
            link = loop.network.link(PORT)
            link.is_stalled = True
            for number in range(5):
                await client.send(str(number))
            await asyncio.sleep(10)
            loop.network.release(link)
            assert [await client.recv() for _ in range(5)] == ["0", "1", "2", "3", "4"]

    virtual(main)


def test_nobody_is_let_in_while_a_port_refuses_or_is_silent() -> None:
    async def main(loop: VirtualLoop) -> None:
        async with serve(echo, "127.0.0.1", PORT):
            link = loop.network.link(PORT)
            link.is_refusing = True
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(asyncio.Protocol, "127.0.0.1", PORT)
            link.is_refusing, link.is_server_unheard = False, True
            with pytest.raises(TimeoutError):
                await loop.create_connection(asyncio.Protocol, "127.0.0.1", PORT)

    virtual(main)


def test_a_port_is_listened_on_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", PORT)
        with pytest.raises(OSError, match="address in use"):
            await loop.create_server(asyncio.Protocol, "127.0.0.1", PORT)
        server.close()
        again = await loop.create_server(asyncio.Protocol, "127.0.0.1", PORT)
        again.close()

    virtual(main)
