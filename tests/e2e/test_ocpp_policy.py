"""What the site's file allows a charger, over real sockets."""

from __future__ import annotations

import asyncio

import pytest
from support.ocpp_site import CP1, CP2, Site, call, closed, receive, site
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from edgectl.domain.decisions import Ask, BootAnswer
from edgectl.domain.events import ChargerBooted, ChargerConnected, ChargerRefused, Outcome, RequestAnswered
from edgectl.domain.settings import ChargerAccess
from edgectl.ocpp import link as link_module


async def test_q1_a_charger_that_offers_nothing_speaks_what_its_file_says() -> None:
    access = ChargerAccess(CP1, assume_version="ocpp1.6")
    async with site(access=access) as depot, depot.connect(subprotocols=None) as charger:
        connected = await depot.inbox.first(ChargerConnected)
        assert connected.protocol == "ocpp1.6"
        await depot.boot(charger)


async def test_q1_nothing_is_assumed_of_another_charger_nor_of_one_that_offers_something_else() -> None:
    access = ChargerAccess(CP1, assume_version="ocpp1.6")
    async with site(access=access) as depot:
        async with depot.connect(CP2, subprotocols=None) as charger:
            assert await closed(charger) == 1002
        async with depot.connect(subprotocols=[Subprotocol("ocpp1.5")]) as charger:
            assert await closed(charger) == 1002
        assert {refused.charger for refused in depot.inbox.of(ChargerRefused)} == {CP1, CP2}


async def held_pending(depot: Site, charger: ClientConnection, *, is_configuring: bool) -> None:
    await charger.send(call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}, "boot"))
    booted = await depot.inbox.first(ChargerBooted)
    depot.reply(booted, BootAnswer(False, 5, is_configuring=is_configuring, settle_ms=0))
    assert (await receive(charger))[2]["status"] == "Pending"
    depot.server.ask(Ask(CP1, "ask", "get-configuration", (("key", "HeartbeatInterval"),)), depot.now())


async def test_while_it_is_configured_a_pending_charger_is_asked() -> None:
    async with site() as depot, depot.connect() as charger:
        await held_pending(depot, charger, is_configuring=True)
        assert (await receive(charger))[2:] == ["GetConfiguration", {"key": ["HeartbeatInterval"]}]


async def test_a_pending_charger_that_nobody_configures_is_left_alone() -> None:
    async with site() as depot, depot.connect() as charger:
        await held_pending(depot, charger, is_configuring=False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await charger.recv()


async def test_how_long_we_keep_quiet_after_a_boot_is_said_with_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SETTLE_MS", 60_000)
    async with site() as depot, depot.connect() as charger:
        await charger.send(call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}, "boot"))
        depot.reply(await depot.inbox.first(ChargerBooted), BootAnswer(True, 300, settle_ms=0))
        await receive(charger)
        depot.server.ask(Ask(CP1, "ask", "clear-cache"), depot.now())
        assert (await receive(charger))[2] == "ClearCache"


@pytest.mark.usefixtures("quick_start")
class TestSecretsByName:
    """A password goes from the credential to the charger; who asks for it only knows its name."""

    @pytest.fixture
    def quick_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(link_module, "SETTLE_MS", 0)

    @pytest.mark.parametrize(("key", "sent"), [("AuthorizationKey", b"\x01\xfe0123456789abcd".hex()), ("VendorPin", "1234")])
    async def test_it_is_sent_as_the_key_wants_it(self, key: str, sent: str) -> None:
        secrets = {"new-key": b"\x01\xfe0123456789abcd\n", "pin": b"1234\n"}
        name = "new-key" if key == "AuthorizationKey" else "pin"
        async with site(more_secrets=secrets) as depot, depot.connect() as charger:
            await depot.boot(charger)
            pairs = (("key", key), ("value", f"credential:{name}"))
            depot.server.ask(Ask(CP1, "ask", "change-configuration", pairs), depot.now())
            assert (await receive(charger))[3] == {"key": key, "value": sent}

    async def test_one_that_is_not_there_is_named(self) -> None:
        async with site() as depot, depot.connect() as charger:
            await depot.boot(charger)
            pairs = (("key", "AuthorizationKey"), ("value", "credential:absent"))
            depot.server.ask(Ask(CP1, "ask", "change-configuration", pairs), depot.now())
            answered = await depot.inbox.first(RequestAnswered)
            assert (answered.outcome, answered.detail) == (Outcome.ERROR, (("problem", "there is no credential 'absent'"),))


async def test_q2_a_charger_is_spoken_to_in_the_version_its_file_pins() -> None:
    access = ChargerAccess(CP1, pin_version="ocpp1.6")
    offered = [Subprotocol("ocpp2.0.1"), Subprotocol("ocpp1.6")]
    async with site(access=access) as depot:
        async with depot.connect(subprotocols=offered) as charger:
            assert charger.subprotocol == "ocpp1.6"
        async with depot.connect(CP2, subprotocols=offered) as charger:
            assert charger.subprotocol == "ocpp2.0.1"
        async with depot.connect(subprotocols=offered[:1]) as charger:
            assert charger.subprotocol is None
            assert await closed(charger) == 1002


async def test_q2_another_version_after_a_reconnect_is_taken_as_it_comes() -> None:
    async with site() as depot:
        for version in ("ocpp1.6", "ocpp2.0.1", "ocpp1.6"):
            async with depot.connect(subprotocols=[Subprotocol(version)]):
                await depot.inbox.first(ChargerConnected, lambda event, version=version: event.protocol == version)
        assert [event.protocol for event in depot.inbox.of(ChargerConnected)] == ["ocpp1.6", "ocpp2.0.1", "ocpp1.6"]


@pytest.mark.parametrize(("is_tolerated", "answer"), [(True, b"HTTP/1.1 101 "), (False, b"HTTP/1.1 426 ")])
async def test_q3_a_handshake_without_connection_upgrade_is_taken_where_the_file_says_so(
    is_tolerated: bool, answer: bytes
) -> None:
    access = ChargerAccess(CP1, tolerates_missing_upgrade=is_tolerated)
    async with site(access=access) as depot:
        reader, writer = await asyncio.open_connection("127.0.0.1", depot.server.bound_ports[0])
        writer.write(
            b"GET /ocpp/CP-A-01 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        )
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(answer)
        writer.close()
        await writer.wait_closed()
