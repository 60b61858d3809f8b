"""The limit of edgectl's transport: `websockets` alone, which answers each call with its own text."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


async def echo(connection: ServerConnection) -> None:
    try:
        async for text in connection:
            await connection.send("[3" + str(text)[2:])
    except ConnectionClosed:
        pass


async def main(port: int) -> None:
    subprotocols = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
    async with serve(echo, "127.0.0.1", port, subprotocols=subprotocols, compression=None):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
