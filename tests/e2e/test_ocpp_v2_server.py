"""OCPP 2.0.1 and 2.1 over real sockets, with the ``ocpp`` package's own station as an independent peer."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, TypeVar

import ocpp.messages
import ocpp.v21
import ocpp.v21.call
import ocpp.v21.call_result
import ocpp.v201
import ocpp.v201.call
import ocpp.v201.call_result
import pytest
from ocpp.routing import on
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from edgectl.domain.decisions import (
    Acknowledge,
    Answer,
    Ask,
    BootAnswer,
    InstallFallback,
    Reply,
    SetLimit,
    StartAnswer,
    StopAnswer,
    TokenAnswer,
    TokenVerdict,
)
from edgectl.domain.events import (
    ChargerBooted,
    ChargerConnected,
    ChargerNotified,
    ConnectorStatus,
    Event,
    FallbackAnswered,
    LimitAnswered,
    MeterValuesReported,
    Outcome,
    RequestAnswered,
    StatusReported,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, EvseId, TransactionRef
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.settings import Listener, OcppSettings
from edgectl.domain.site import PowerKind, TokenStatus
from edgectl.domain.time import Instant
from edgectl.ocpp import link as link_module
from edgectl.ocpp.server import OcppServer

CP = ChargerId("CP-1")
AT = "2025-06-01T10:00:00Z"
TX = "2f6e8a0c-6a53-4f5e-9f0e-0d3c1b7a9e42"
TOKEN = {"id_token": "04AABB", "type": "ISO14443"}
ACCEPTED = TokenVerdict(TokenStatus.ACCEPTED)
T = TypeVar("T")

versions = pytest.mark.parametrize("version", [ocpp.v201, ocpp.v21], ids=["2.0.1", "2.1"])
SUBPROTOCOLS = {"ocpp.v201": Subprotocol("ocpp2.0.1"), "ocpp.v21": Subprotocol("ocpp2.1")}


class LoopClock:
    """Monotonic as the loop, calendar as the host."""

    def now(self) -> Instant:
        return Instant(int(asyncio.get_running_loop().time() * 1000), int(time.time() * 1000))


class Runtime:
    """The least of a runtime: keeps every event, and answers every call with yes."""

    server: OcppServer

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def put(self, event: Any) -> None:
        self.events.append(event)
        self._news.set()
        answer = self._answer(event)
        if answer is not None:
            reply = Reply(event.call, answer)
            asyncio.get_running_loop().call_soon(lambda: self.server.reply(reply, self.clock.now()))

    def _answer(self, event: Any) -> Answer | None:
        match event:
            case ChargerBooted():
                return BootAnswer(is_accepted=True, interval_s=300)
            case TokenPresented():
                return TokenAnswer(ACCEPTED)
            case TransactionStarted():
                return StartAnswer(event.transaction or TransactionRef("7"), ACCEPTED)
            case MeterValuesReported():
                return Acknowledge() if event.token is None else TokenAnswer(ACCEPTED)
            case TransactionEnded():
                return StopAnswer(ACCEPTED if event.token is not None else None)
        return Acknowledge() if hasattr(event, "call") else None

    async def first(self, kind: type[T], is_it: Callable[[T], bool] = lambda event: True) -> T:
        async with asyncio.timeout(5):
            while True:
                found = next((event for event in self.events if isinstance(event, kind) and is_it(event)), None)
                if found is not None:
                    return found
                self._news.clear()
                await self._news.wait()


class Station:
    """The package's station: it validates everything it sends and receives against its own schemas."""

    def __init__(self, version: Any, socket: ClientConnection) -> None:
        self.call: Any = version.call
        self.received: list[dict[str, Any]] = []
        results: Any = version.call_result
        received = self.received

        class ChargePoint(version.ChargePoint):
            @on("SetChargingProfile")
            def set_charging_profile(self, evse_id: int, charging_profile: dict[str, Any], **_: Any) -> Any:
                received.append({"evse_id": evse_id, **charging_profile})
                return results.SetChargingProfile(status="Accepted")

            @on("GetVariables")
            def get_variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
                answers = [data | {"attribute_status": "Accepted", "attribute_value": "300"} for data in get_variable_data]
                return results.GetVariables(get_variable_result=answers)

            @on("RequestStopTransaction")
            def request_stop_transaction(self, transaction_id: str, **_: Any) -> Any:
                received.append({"stop": transaction_id})
                return results.RequestStopTransaction(status="Accepted")

        self._charge_point = ChargePoint(CP, socket, response_timeout=5)

    async def ask(self, request: Any) -> Any:
        return await self._charge_point.call(request, suppress=False)

    async def serve(self) -> None:
        await self._charge_point.start()

    async def boot(self) -> None:
        answer = await self.ask(self.call.BootNotification(charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp"))
        assert (answer.status, answer.interval) == ("Accepted", 300)

    async def transaction(self, event_type: str, seq_no: int, **fields: Any) -> Any:
        info = {"transaction_id": TX} | fields.pop("info", {})
        return await self.ask(
            self.call.TransactionEvent(
                event_type=event_type,
                timestamp=AT,
                trigger_reason=fields.pop("trigger_reason", "Trigger"),
                seq_no=seq_no,
                transaction_info=info,
                **fields,
            )
        )


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Runtime, str]]:
    """A running server and the address of its one station."""
    runtime = Runtime()
    settings = OcppSettings(listeners=(Listener("127.0.0.1", 0, 0),))
    runtime.server = OcppServer(settings, {CP}, runtime, runtime.clock, {}.__getitem__, random.Random(1))
    await runtime.server.start()
    try:
        yield runtime, f"ws://127.0.0.1:{runtime.server.bound_ports[0]}/ocpp/{CP}"
    finally:
        await runtime.server.stop()


@asynccontextmanager
async def depot(version: ModuleType, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Runtime, Station]]:
    """A server and a station connected to it, ready for calls at once."""
    monkeypatch.setattr(link_module, "BOOT_WAIT_MS", 0)
    monkeypatch.setattr(link_module, "SETTLE_MS", 0)
    monkeypatch.setattr(ocpp.messages, "ASYNC_VALIDATION", False)
    async with served() as (runtime, url), connect(url, subprotocols=[SUBPROTOCOLS[version.__name__]], proxy=None) as socket:
        station = Station(version, socket)
        serving = asyncio.create_task(station.serve())
        try:
            yield runtime, station
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


def value(energy: float, context: str = "Sample.Periodic") -> list[dict[str, Any]]:
    sampled = {"value": energy, "context": context, "unit_of_measure": {"unit": "kWh"}}
    return [{"timestamp": AT, "sampled_value": [sampled]}]


@versions
async def test_a_day_in_the_life_of_a_station(version: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    async with depot(version, monkeypatch) as (runtime, station):
        assert (await runtime.first(ChargerConnected)).protocol == SUBPROTOCOLS[version.__name__]
        await station.boot()
        assert (await runtime.first(ChargerBooted)).vendor == "V"

        await station.ask(station.call.StatusNotification(timestamp=AT, connector_status="Occupied", evse_id=1, connector_id=1))
        assert (await runtime.first(StatusReported)).status is ConnectorStatus.OCCUPIED
        assert (await station.ask(station.call.Heartbeat())).current_time.endswith("Z")

        answer = await station.ask(station.call.Authorize(id_token=TOKEN))
        assert answer.id_token_info == {"status": "Accepted"}

        answer = await station.transaction(
            "Started", 0, id_token=TOKEN, evse={"id": 1, "connector_id": 1}, meter_value=value(1.2, "Transaction.Begin")
        )
        assert answer.id_token_info == {"status": "Accepted"}
        started = await runtime.first(TransactionStarted)
        assert (started.transaction, started.evse_number, started.token, started.meter_start_wh) == (TX, 1, "04AABB", 1_200)

        answer = await station.transaction("Updated", 1, info={"charging_state": "Charging"}, meter_value=value(5.5))
        assert answer.id_token_info is None
        updated = await runtime.first(MeterValuesReported)
        assert (updated.charging_state, updated.samples[0].energy_wh) == (ConnectorStatus.CHARGING, 5_500)

        answer = await station.transaction(
            "Ended", 2, id_token=TOKEN, info={"stopped_reason": "EVDisconnected"}, meter_value=value(12.4, "Transaction.End")
        )
        assert answer.id_token_info == {"status": "Accepted"}
        ended = await runtime.first(TransactionEnded)
        assert (ended.transaction, ended.reason, ended.meter_stop_wh) == (TX, "EVDisconnected", 12_400)


@versions
async def test_the_fallback_and_a_limit_reach_the_station_and_are_confirmed(
    version: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with depot(version, monkeypatch) as (runtime, station):
        await station.boot()
        install = InstallFallback(CP, 6_000, 4_140, 32_000, 22_080, PowerKind.AC)
        runtime.server.install_fallback(install, runtime.clock.now())
        assert (await runtime.first(FallbackAnswered)).outcome is Outcome.ACCEPTED

        await station.transaction("Started", 0, evse={"id": 1})
        reason = Reason(Cause.FULL, Authority.CHARGER)
        order = SetLimit(EvseId(CP, 1), 5, 16_100, 11_109, PowerKind.AC, 3, 180_000, TransactionRef(TX), reason)
        runtime.server.set_limit(order, runtime.clock.now())
        answered = await runtime.first(LimitAnswered)
        assert (answered.order_number, answered.outcome) == (5, Outcome.ACCEPTED)

        rating, default, lease = station.received
        assert [profile["charging_profile_purpose"] for profile in (rating, default, lease)] == [
            "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"
        ]  # fmt: skip
        assert (lease["evse_id"], lease["transaction_id"]) == (1, TX)
        assert lease["charging_schedule"][0]["charging_schedule_period"] == [{"start_period": 0, "limit": 16.1}]
        assert lease.get("max_offline_duration") == (180 if version is ocpp.v21 else None)


@versions
async def test_requests_are_answered_by_the_station(version: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    async with depot(version, monkeypatch) as (runtime, station):
        await station.boot()
        now = runtime.clock.now()
        runtime.server.ask(Ask(CP, "read", "get-configuration", (("key", "OCPPCommCtrlr.HeartbeatInterval"),)), now)
        read = await runtime.first(RequestAnswered, lambda event: event.ask_id == "read")
        assert (read.outcome, read.detail) == (Outcome.ACCEPTED, (("OCPPCommCtrlr.HeartbeatInterval", "300"),))

        runtime.server.ask(Ask(CP, "stop", "stop-transaction", (("transaction", TX),)), now)
        stop = await runtime.first(RequestAnswered, lambda event: event.ask_id == "stop")
        assert (stop.outcome, station.received) == (Outcome.ACCEPTED, [{"stop": TX}])

        runtime.server.ask(Ask(CP, "wrong", "trigger", (("message", "Coffee"),)), now)
        wrong = await runtime.first(RequestAnswered, lambda event: event.ask_id == "wrong")
        assert wrong.outcome is Outcome.ERROR
        assert "requestedMessage must be one of" in dict(wrong.detail)["problem"]

        runtime.server.ask(Ask(CP, "unheard", "clear-cache"), now)
        if version is ocpp.v201:  # on 2.1 this peer leaves a request it has no handler for unanswered
            unheard = await runtime.first(RequestAnswered, lambda event: event.ask_id == "unheard")
            assert unheard.outcome is Outcome.NOT_SUPPORTED


async def test_2_1_a_message_that_is_sent_is_noted_and_not_answered() -> None:
    async with served() as (runtime, url), connect(url, subprotocols=[Subprotocol("ocpp2.1")], proxy=None) as socket:
        stream = {"id": 1, "pending": 0, "basetime": AT, "data": [{"t": 0, "v": "16"}]}
        await socket.send(json.dumps([6, "m1", "NotifyPeriodicEventStream", stream]))
        await socket.send(json.dumps([5, "m0", "FormatViolation", "", {}]))
        await socket.send(json.dumps([6, "m2", "MakeCoffee", {}]))
        answer = await answer_to(socket, 2, "m3", "Heartbeat", {})
        assert answer[:2] == [3, "m3"]
        assert (await runtime.first(ChargerNotified)).kind == "event-stream"


async def test_a_transaction_event_is_never_refused_and_other_errors_use_the_words_of_the_version() -> None:
    async with served() as (_, url), connect(url, subprotocols=[Subprotocol("ocpp2.0.1")], proxy=None) as socket:
        assert await answer_to(socket, 2, "1", "TransactionEvent", ["not an object"]) == [3, "1", {}]
        assert await answer_to(socket, 2, "2", "MeterValues", {}, "too many") == [3, "2", {}]
        assert (await answer_to(socket, 2, "3", "Authorize", ["not an object"]))[:3] == [4, "3", "FormatViolation"]
        assert (await answer_to(socket, 2, "4", "Authorize", {}))[:3] == [4, "4", "OccurrenceConstraintViolation"]
        assert (await answer_to(socket, 2, "5", "MakeCoffee", {}))[:3] == [4, "5", "NotImplemented"]
        assert (await answer_to(socket, 2, "6", "Reset", {}))[:3] == [4, "6", "NotSupported"]
        assert (await answer_to(socket, 2, [], "Heartbeat", {}))[:3] == [4, "-1", "RpcFrameworkError"]


async def answer_to(socket: ClientConnection, *frame: object) -> Any:
    await socket.send(json.dumps(frame))
    async with asyncio.timeout(5):
        return json.loads(await socket.recv())
