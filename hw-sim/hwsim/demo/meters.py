"""The demo's two meters: one on Modbus TCP, one on RTU over a pseudo terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgectl.meters import model
from hwsim.meters.device import Device
from hwsim.meters.registers import Truth, registers_of
from hwsim.meters.rtu_server import MeterPty
from hwsim.meters.tcp_server import MeterTcpServer

if TYPE_CHECKING:
    from hwsim.demo.plant import Plant

MAIN, HALL = "janitza-umg604", "eastron-sdm630"


class DemoMeters:
    """Runs while it is entered; measures ``plant`` once there is one."""

    def __init__(self) -> None:
        self.plant: Plant | None = None
        self.tcp_port = 0
        self.device = ""
        self._server = MeterTcpServer({1: Device(lambda: registers_of(model(MAIN), self._truth("grid")))})
        self._pty = MeterPty({3: Device(lambda: registers_of(model(HALL), self._truth("hall")))})

    def _truth(self, circuit: str) -> Truth:
        if self.plant is None:
            return Truth((0.0, 0.0, 0.0))
        found = self.plant.depot.circuits[circuit]
        return Truth(found.current_a, import_wh=found.energy_wh)

    async def __aenter__(self) -> DemoMeters:
        self.tcp_port = await self._server.start()
        self._pty.start()
        self.device = self._pty.device
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        await self._pty.stop()
