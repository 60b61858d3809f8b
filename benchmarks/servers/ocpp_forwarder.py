"""What a central system on the `ocpp` package does to lower everybody: one SetChargingProfile after the other, each awaited.

It decides nothing: whoever connects as ``control`` sends the amperes, and all others are told them in the order they came in.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

from ocpp.v16 import call as call16
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks.servers.ocpp_package import Plain16

CONTROL = "control"


def profile(limit_a: float) -> dict[str, Any]:
    return {
        "chargingProfileId": 1,
        "transactionId": 1,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "duration": 180,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
        },
    }


class Forwarder:
    def __init__(self) -> None:
        self._points: list[Plain16] = []

    async def serve_one(self, connection: ServerConnection) -> None:
        name = connection.request.path.strip("/") if connection.request else ""
        with contextlib.suppress(ConnectionClosed):
            if name == CONTROL:
                async for text in connection:
                    await self._tell_all(float(text))
            else:
                point = Plain16(name, connection)
                self._points.append(point)
                await point.start()

    async def _tell_all(self, limit_a: float) -> None:
        for point in self._points:
            await point.call(call16.SetChargingProfile(connector_id=1, cs_charging_profiles=profile(limit_a)))


async def main(port: int) -> None:
    async with serve(Forwarder().serve_one, "127.0.0.1", port, subprotocols=[Subprotocol("ocpp1.6")]):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
