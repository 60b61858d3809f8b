"""Another transport's limit: aiohttp's WebSocket server, which is installed anyway for the status page."""

from __future__ import annotations

import sys

from aiohttp import WSMsgType, web


async def echo(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse(protocols=("ocpp1.6", "ocpp2.0.1"), compress=False)
    await response.prepare(request)
    async for message in response:
        if message.type is WSMsgType.TEXT:
            await response.send_str("[3" + message.data[2:])
    return response


def main(port: int) -> None:
    application = web.Application()
    application.router.add_get("/{charger}", echo)
    web.run_app(application, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
