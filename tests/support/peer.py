"""An independent charging station: the ``ChargePoint`` of the ``ocpp`` package, over a real WebSocket, for all three versions.

It checks every message it sends and receives against the standard's schemas by itself, so what it accepts is valid.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from types import ModuleType
from typing import Any

from ocpp.charge_point import snake_to_camel_case
from ocpp.routing import on
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

VERSIONS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
_OWN = {
    "Authorize", "BootNotification", "Heartbeat", "MeterValues", "StartTransaction", "StopTransaction", "StatusNotification",
    "TransactionEvent", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "LogStatusNotification",
    "SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification",
}  # fmt: skip
_ANSWERS: dict[str, dict[str, Any]] = {
    "GetConfiguration": {"configuration_key": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]},
    "GetDiagnostics": {"file_name": "diagnostics.tgz"},
    "GetLocalListVersion": {"list_version": 7, "version_number": 7},
    "GetTransactionStatus": {"messages_in_queue": False},
    "UnlockConnector": {"status": "Unlocked"},
    "UpdateFirmware": {"status": "Accepted"},
}


class Peer:
    """One station. ``heard`` has every request of the server, in order, with the standard's own keys."""

    def __init__(self, version: str, identity: str, connection: Any) -> None:
        self.version = version
        package = f"ocpp.{VERSIONS[version]}"
        self.calls: ModuleType = import_module(f"{package}.call")
        self.results: ModuleType = import_module(f"{package}.call_result")
        base = import_module(package).ChargePoint
        actions = import_module(f"{package}.enums").Action
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        """What is answered instead of *Accepted*, by action."""
        handlers = {f"on_{action.name}": self._handler(action) for action in actions if str(action.value) not in _OWN}
        self.station = type("Station", (base,), handlers)(identity, connection)

    def _handler(self, action: Any) -> Any:
        name = str(action.value)

        async def handle(_station: Any, **request: Any) -> Any:
            self.heard.append((name, snake_to_camel_case(request)))
            result = getattr(self.results, name)
            fields = {field.name for field in dataclasses.fields(result)}
            answer = {"status": "Accepted"} | _ANSWERS.get(name, {}) | _listed(name, request) | self.answers.get(name, {})
            return result(**{key: value for key, value in answer.items() if key in fields})

        handle.__name__ = f"on_{action.name}"  # the package finds handlers by the name of the function
        return on(action)(handle)

    async def call(self, action: str, **fields: Any) -> Any:
        """Send a request; the answer, or an ``AssertionError`` when it was an error."""
        answer = await self.station.call(getattr(self.calls, action)(**fields))
        assert answer is not None, f"{action} was answered with an error"
        return answer

    async def asked(self, action: str, timeout_s: float = 10) -> dict[str, Any]:
        """The first request with this action."""
        async with asyncio.timeout(timeout_s):
            while True:
                for name, request in self.heard:
                    if name == action:
                        return request
                await asyncio.sleep(0.01)

    async def boot(self) -> Any:
        if self.version == "1.6":
            return await self.call("BootNotification", charge_point_vendor="Peer", charge_point_model="One")
        station = {"vendor_name": "Peer", "model": "One"}
        return await self.call("BootNotification", charging_station=station, reason="PowerUp")


def _listed(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Answers that repeat what was asked."""
    match name:
        case "GetVariables":
            found = [entry | {"attribute_status": "Accepted", "attribute_value": "300"} for entry in request["get_variable_data"]]
            return {"get_variable_result": found}
        case "SetVariables":
            names = ("component", "variable")
            found = [{n: entry[n] for n in names} | {"attribute_status": "Accepted"} for entry in request["set_variable_data"]]
            return {"set_variable_result": found}
        case "SetVariableMonitoring":
            names = ("component", "variable", "type", "severity")
            data = request["set_monitoring_data"]
            return {"set_monitoring_result": [{n: entry[n] for n in names} | {"status": "Accepted", "id": 1} for entry in data]}
        case "ClearVariableMonitoring":
            return {"clear_monitoring_result": [{"id": number, "status": "Accepted"} for number in request["id"]]}
    return {}


@asynccontextmanager
async def peer(
    url: str, version: str, identity: str, *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Peer]:
    """Connect, and serve until the end of the block."""
    subprotocols = [Subprotocol(f"ocpp{version}")]
    async with connect(f"{url}/{identity}", subprotocols=subprotocols, proxy=None, ssl=tls, **options) as connection:
        one = Peer(version, identity, connection)
        serving = asyncio.create_task(one.station.start())
        try:
            yield one
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await serving
