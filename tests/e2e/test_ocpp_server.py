"""The OCPP server over real sockets, with the ``websockets`` client as charger and the test as the runtime behind it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.ocpp_site import ACCEPTED, CP1, CP2, LoopClock, Recorder, Site, basic, call, closed, limit, receive, site
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from edgectl.domain.decisions import (
    Acknowledge,
    Ask,
    BootAnswer,
    InstallFallback,
    StartAnswer,
    StopAnswer,
)
from edgectl.domain.events import (
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    ChargerRefused,
    Event,
    FallbackAnswered,
    HeartbeatReceived,
    InputRefused,
    LimitAnswered,
    MeterValuesReported,
    Outcome,
    RequestAnswered,
    StatusReported,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import TransactionRef
from edgectl.domain.settings import Listener, OcppSettings, UnknownChargers
from edgectl.domain.site import PowerKind
from edgectl.ocpp import link as link_module
from edgectl.ocpp import listeners as listeners_module
from edgectl.ocpp import server as server_module
from edgectl.ocpp.server import OcppServer


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chargers are ready for calls at once, so that a test about calls need not wait twelve seconds."""
    monkeypatch.setattr(link_module, "BOOT_WAIT_MS", 0)
    monkeypatch.setattr(link_module, "SETTLE_MS", 0)


# --- connecting -------------------------------------------------------------------------------------------------------


async def test_a_known_charger_is_connected_under_its_configured_spelling() -> None:
    async with site() as depot, depot.connect("cp-a-01") as charger:
        connected = await depot.inbox.first(ChargerConnected)
        assert (connected.charger, connected.protocol, connected.peer) == (CP1, "ocpp1.6", "127.0.0.1")
        assert charger.subprotocol == "ocpp1.6"
        assert not charger.protocol.extensions  # no permessage-deflate


async def test_disconnecting_is_reported_with_its_reason() -> None:
    async with site() as depot:
        async with depot.connect():
            connected = await depot.inbox.first(ChargerConnected)
        gone = await depot.inbox.first(ChargerDisconnected)
        assert (gone.charger, gone.link_number, gone.reason) == (CP1, connected.link_number, "closed with 1000")


async def test_q1_without_a_common_subprotocol_the_upgrade_completes_bare_and_closes_with_a_diagnostic() -> None:
    async with site() as depot, depot.connect(subprotocols=[Subprotocol("ocpp1.5")]) as charger:
        assert charger.subprotocol is None
        assert await closed(charger) == 1002
        refused = await depot.inbox.first(ChargerRefused)
        assert (refused.charger, refused.peer) == (CP1, "127.0.0.1")
        assert refused.reason == "no common subprotocol: offered ocpp1.5, served ocpp1.6, ocpp2.0.1, ocpp2.1"
        assert not depot.inbox.of(ChargerConnected)


async def test_q1_no_subprotocol_at_all_is_not_assumed_to_be_one() -> None:
    async with site() as depot, depot.connect(subprotocols=None) as charger:
        assert await closed(charger) == 1002
        assert "offered none" in (await depot.inbox.first(ChargerRefused)).reason


async def test_q2_the_chargers_order_decides_among_what_we_speak() -> None:
    async with site() as depot, depot.connect(subprotocols=[Subprotocol("ocpp9"), Subprotocol("ocpp1.6")]) as charger:
        assert charger.subprotocol == "ocpp1.6"
        await depot.inbox.first(ChargerConnected)


async def test_a_charger_that_a_drill_keeps_away_is_turned_away_in_the_handshake_until_the_time_is_over() -> None:
    """A link that opened and closed would count as one, so there must be none; and nobody else is meant."""
    async with site() as depot, depot.connect():
        await depot.inbox.first(ChargerConnected)
        depot.server.close(CP1, "the drill", refuse_ms=3_000)
        assert (await depot.inbox.first(ChargerDisconnected)).reason == "the drill"
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect()
        assert refusal.value.response.status_code == 503
        async with depot.connect(CP2):
            assert depot.inbox.of(ChargerConnected)[-1].charger == CP2
        assert not depot.inbox.of(ChargerRefused), "nobody is told: it is no mistake of the charger's"
        async with asyncio.timeout(30):
            while True:
                with suppress(InvalidStatus):
                    async with depot.connect():
                        break
                await asyncio.sleep(0.1)


async def test_an_unknown_charger_gets_404_when_unknown_ones_are_refused() -> None:
    async with site(unknown=UnknownChargers.REFUSE) as depot:
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect("STRANGER")
        assert refusal.value.response.status_code == 404
        assert (await depot.inbox.first(ChargerRefused)).charger == "STRANGER"
        assert depot.server.counters()["connection_refused"] == 1


async def test_an_unknown_charger_in_quarantine_connects_and_its_boot_is_the_cores_to_answer() -> None:
    async with site() as depot, depot.connect("STRANGER") as charger:
        await charger.send(call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}))
        booted = await depot.inbox.first(ChargerBooted)
        depot.reply(booted, BootAnswer(False, 60))
        answer = await receive(charger)
        assert answer[:2] == [3, "1"]
        assert (answer[2]["status"], answer[2]["interval"]) == ("Pending", 60)


async def test_q4_a_path_without_a_usable_id_gets_404() -> None:
    async with site() as depot:
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect("A%3AB")
        assert refusal.value.response.status_code == 404
        assert (await depot.inbox.first(ChargerRefused)).reason == "the id contains ':'"


async def test_profile_1_lets_in_the_right_password_only() -> None:
    async with site(profile=1, passwords={CP1: b"correct horse"}) as depot:
        for headers, reason in [
            ({}, "no credentials"),
            (basic(b"CP-A-01", b"wrong"), "wrong password"),
            (basic(b"CP-A-02", b"correct horse"), "the user name is not the charger's id"),
        ]:
            with pytest.raises(InvalidStatus) as refusal:
                await depot.connect(additional_headers=headers)
            assert refusal.value.response.status_code == 401
            assert depot.inbox.of(ChargerRefused)[-1].reason == reason
        with pytest.raises(InvalidStatus):
            await depot.connect(CP2)  # configured without a password: stays out of a listener that asks for one
        async with depot.connect(additional_headers=basic(b"cp-a-01", b"correct horse")):
            assert (await depot.inbox.first(ChargerConnected)).security_profile == 1


async def test_q5_a_binary_key_passes_raw_and_as_hex_digits() -> None:
    key = bytes([0xFF, 0x00, 0x80, 0xC3, 0x28, *range(11)])
    async with site(profile=1, passwords={CP1: key.hex().encode()}) as depot:
        for shown in (key, key.hex().encode()):
            async with depot.connect(additional_headers=basic(b"CP-A-01", shown)):
                pass
        assert len(depot.inbox.of(ChargerConnected)) == 2


async def test_a_password_is_asked_for_even_where_the_listener_asks_for_none() -> None:
    async with site(profile=0, passwords={CP1: b"secret"}) as depot:
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect()
        assert refusal.value.response.status_code == 401


async def test_profile_2_serves_tls_with_the_certificate_of_the_credential(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=edgectl", "-addext", "subjectAltName=IP:127.0.0.1"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, complaints = await process.communicate()
    assert process.returncode == 0, complaints
    pem = certificate.read_bytes() + key.read_bytes()
    trust = ssl.create_default_context(cafile=certificate)
    async with site(profile=2, passwords={CP1: b"secret"}, certificate=pem) as depot:
        async with depot.connect(ssl=trust, additional_headers=basic(b"CP-A-01", b"secret")) as charger:
            await depot.boot(charger)
            assert (await depot.inbox.first(ChargerConnected)).security_profile == 2
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect(ssl=trust)
        assert refusal.value.response.status_code == 401


@pytest.mark.parametrize(
    ("listener", "complaint"),
    [
        (Listener("127.0.0.1", 0, 2), "needs a certificate"),
        (Listener("127.0.0.1", 0, 2, certificates=("absent",)), "there is no credential 'absent'"),
        (Listener("127.0.0.1", 0, 2, certificates=("rubbish",)), "not a PEM certificate"),
        (Listener("127.0.0.1", 0, 3), "security profile 3 needs a certificate"),
    ],
)
async def test_a_listener_that_cannot_be_served_is_named(listener: Listener, complaint: str) -> None:
    secrets = {"rubbish": b"rubbish"}
    server = OcppServer(OcppSettings((listener,)), {CP1}, Recorder(), LoopClock(), secrets.__getitem__, random.Random(1))
    with pytest.raises(ValueError, match=complaint):
        await server.start()


async def test_who_never_finishes_the_handshake_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners_module, "HANDSHAKE_TIMEOUT_S", 0.2)
    async with site() as depot:
        reader, writer = await asyncio.open_connection("127.0.0.1", depot.server.bound_ports[0])
        writer.write(b"GET /ocpp/CP-A-01 HTTP/1.1\r\nHost:")
        async with asyncio.timeout(3):
            with suppress(ConnectionResetError):  # a reset is as good as an orderly end
                assert await reader.read() == b""
        writer.close()


async def test_unknown_chargers_in_quarantine_are_bounded_and_leave_room_for_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "UNKNOWN_LINKS_MAX", 1)
    async with site() as depot, depot.connect("STRANGER-1"):
        await depot.inbox.first(ChargerConnected)
        async with depot.connect("STRANGER-2") as surplus:
            assert await closed(surplus) == 1008
        async with depot.connect(CP1) as known:
            await charger_is_served(depot, known)


async def test_a_refusal_is_an_event_each_time_and_a_log_line_once() -> None:
    async with site(unknown=UnknownChargers.REFUSE) as depot:
        with capture_logs() as lines:
            for _ in range(3):
                with pytest.raises(InvalidStatus):
                    await depot.connect("STRANGER")
        assert len(depot.inbox.of(ChargerRefused)) == 3
        assert [line["event"] for line in lines] == ["charger_refused"]


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_a_reply_is_held_until_told() -> None:
    async with site() as depot, depot.connect() as charger:
        stop = {"transactionId": 7, "meterStop": 12_400, "timestamp": "2025-06-01T10:00:00Z", "idTag": "AB"}
        await charger.send(call("StopTransaction", stop, "s"))
        await charger.send(call("Heartbeat", {}, "h"))
        ended = await depot.inbox.first(TransactionEnded)
        heartbeat = await depot.inbox.first(HeartbeatReceived)
        depot.reply(heartbeat, Acknowledge())
        assert (await receive(charger))[1] == "h"
        depot.reply(ended, StopAnswer(ACCEPTED))
        assert await receive(charger) == [3, "s", {"idTagInfo": {"status": "Accepted"}}]
        assert json.loads(ended.call.frame)[3] == stop


async def test_a_whole_transaction_with_the_issued_id() -> None:
    async with site() as depot, depot.connect() as charger:
        start = {"connectorId": 1, "idTag": "AB", "meterStart": 100, "timestamp": "2025-06-01T10:00:00Z"}
        await charger.send(call("StartTransaction", start, "a"))
        depot.reply(await depot.inbox.first(TransactionStarted), StartAnswer(TransactionRef("7"), ACCEPTED))
        assert (await receive(charger))[2]["transactionId"] == 7
        values = {"connectorId": 1, "transactionId": 7, "meterValue": [{"timestamp": "x", "sampledValue": [{"value": "150"}]}]}
        await charger.send(call("MeterValues", values, "b"))
        reported = await depot.inbox.first(MeterValuesReported)
        depot.reply(reported, Acknowledge())
        assert await receive(charger) == [3, "b", {}]
        assert (reported.transaction, reported.samples[0].energy_wh) == ("7", 150)


async def test_q24_a_repeated_call_gets_the_same_answer_without_a_second_event() -> None:
    async with site() as depot, depot.connect() as charger:
        text = call("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": "2025-06-01T10:00:00Z"})
        await charger.send(text)
        depot.reply(await depot.inbox.first(TransactionStarted), StartAnswer(TransactionRef("9"), ACCEPTED))
        first = await receive(charger)
        await charger.send(text)
        assert await receive(charger) == first
        assert len(depot.inbox.of(TransactionStarted)) == 1


async def test_a_reply_for_a_former_link_is_never_sent_on_the_new_one() -> None:
    async with site() as depot:
        async with depot.connect() as charger:
            await charger.send(call("Heartbeat", {}, "old"))
            old = await depot.inbox.first(HeartbeatReceived)
        await depot.inbox.first(ChargerDisconnected)
        async with depot.connect() as charger:
            await charger.send(call("Heartbeat", {}, "new"))
            new = await depot.inbox.first(HeartbeatReceived, lambda event: event.call.message_id == "new")
            depot.reply(old, Acknowledge())
            depot.reply(new, Acknowledge())
            assert (await receive(charger))[1] == "new"
            assert depot.server.counters()["reply_to_gone_link"] == 1


async def test_q9_empty_text_and_null_payload_are_harmless_and_binary_closes() -> None:
    async with site() as depot, depot.connect() as charger:
        await charger.send("")
        await charger.send(json.dumps([2, "h", "Heartbeat", None]))
        depot.reply(await depot.inbox.first(HeartbeatReceived), Acknowledge())
        assert (await receive(charger))[:2] == [3, "h"]
        assert depot.server.counters()["frame_ignored_empty"] == 1
        await charger.send(b"\x00")
        assert await closed(charger) == 1003


async def test_unreadable_and_unknown_calls_get_their_error() -> None:
    async with site() as depot, depot.connect() as charger:
        await charger.send("{nonsense")
        assert (await receive(charger))[:3] == [4, "-1", "FormationViolation"]
        await charger.send(call("MakeCoffee", {}, "c"))
        assert (await receive(charger))[:3] == [4, "c", "NotImplemented"]
        refused = await depot.inbox.first(InputRefused)
        assert (refused.door, refused.reason) == ("ocpp", "CP-A-01: not JSON")


async def test_a_frame_beyond_256_kb_closes_only_that_socket() -> None:
    async with site() as depot, depot.connect(CP1) as large, depot.connect(CP2) as other:
        await large.send(call("DataTransfer", {"vendorId": "V", "data": "x" * 300_000}))
        assert await closed(large) == 1009
        await depot.boot(other)


# --- our calls --------------------------------------------------------------------------------------------------------


async def test_q12_no_own_call_before_accepted_is_out_and_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SETTLE_MS", 300)
    async with site() as depot, depot.connect() as charger:
        await depot.inbox.first(ChargerConnected)
        depot.server.set_limit(limit(), depot.now())
        await charger.send(call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}))
        booted = await depot.inbox.first(ChargerBooted)
        answered_s = asyncio.get_running_loop().time()
        depot.reply(booted, BootAnswer(True, 300))
        assert (await receive(charger))[0] == 3
        request = await receive(charger)
        assert request[2] == "SetChargingProfile"
        assert asyncio.get_running_loop().time() - answered_s >= 0.3


async def test_q11_a_known_charger_that_never_boots_is_usable_after_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "BOOT_WAIT_MS", 200)
    async with site() as depot, depot.connect() as charger:
        await depot.inbox.first(ChargerConnected)
        depot.server.set_limit(limit(), depot.now())
        assert (await receive(charger))[2] == "SetChargingProfile"


@pytest.mark.usefixtures("quick_start")
async def test_a_pending_charger_is_not_commanded() -> None:
    async with site() as depot, depot.connect() as charger:
        await charger.send(call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}, "b"))
        depot.reply(await depot.inbox.first(ChargerBooted), BootAnswer(False, 60))
        await receive(charger)
        depot.server.set_limit(limit(), depot.now())
        await charger.send(call("Heartbeat", {}, "h"))
        depot.reply(await depot.inbox.first(HeartbeatReceived), Acknowledge())
        assert (await receive(charger))[:2] == [3, "h"]  # and no SetChargingProfile before it


@pytest.mark.usefixtures("quick_start")
async def test_a_limit_is_sent_and_its_answer_names_the_order() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.boot(charger)
        depot.server.set_limit(limit(order_number=41), depot.now())
        kind, message_id, action, payload = await receive(charger)
        assert (kind, action, payload["connectorId"]) == (2, "SetChargingProfile", 1)
        await charger.send(json.dumps([3, message_id, {"status": "Accepted"}]))
        assert await depot.inbox.first(LimitAnswered) == LimitAnswered(CP1, 1, 41, Outcome.ACCEPTED)


@pytest.mark.usefixtures("quick_start")
async def test_a_newer_limit_replaces_a_queued_one_and_overtakes_other_requests() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.boot(charger)
        depot.server.ask(Ask(CP1, "first", "clear-cache"), depot.now())
        first = await receive(charger)
        depot.server.ask(Ask(CP1, "later", "clear-cache"), depot.now())
        depot.server.set_limit(limit(order_number=1, limit_ma=10_000), depot.now())
        depot.server.set_limit(limit(order_number=2, limit_ma=8_000), depot.now())
        superseded = await depot.inbox.first(LimitAnswered)
        assert (superseded.order_number, superseded.outcome) == (1, Outcome.SUPERSEDED)
        await charger.send(json.dumps([3, first[1], {"status": "Accepted"}]))
        second = await receive(charger)
        assert second[3]["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8
        await charger.send(json.dumps([3, second[1], {"status": "Accepted"}]))
        assert (await receive(charger))[2] == "ClearCache"


@pytest.mark.usefixtures("quick_start")
async def test_q54_a_late_answer_is_not_matched_to_the_next_call() -> None:
    async with site(call_timeout_ms=100) as depot, depot.connect() as charger:
        await depot.boot(charger)
        depot.server.set_limit(limit(order_number=1), depot.now())
        first = await receive(charger)
        assert (await depot.inbox.first(LimitAnswered)).outcome is Outcome.TIMEOUT
        depot.server.set_limit(limit(order_number=2), depot.now())
        second = await receive(charger)
        await charger.send(json.dumps([3, first[1], {"status": "Rejected"}]))
        await charger.send(json.dumps([3, second[1], {"status": "Accepted"}]))
        answered = await depot.inbox.first(LimitAnswered, lambda event: event.order_number == 2)
        assert answered.outcome is Outcome.ACCEPTED
        assert depot.server.counters()["answer_late"] == 1


@pytest.mark.usefixtures("quick_start")
async def test_the_fallback_is_two_profiles_and_one_answer() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.boot(charger)
        depot.server.install_fallback(InstallFallback(CP1, 6_000, 4_140, 32_000, 22_080, PowerKind.AC), depot.now())
        statuses = {"ChargePointMaxProfile": "NotSupported", "TxDefaultProfile": "Accepted"}
        for _ in statuses:
            _, message_id, _, payload = await receive(charger)
            purpose = payload["csChargingProfiles"]["chargingProfilePurpose"]
            await charger.send(json.dumps([3, message_id, {"status": statuses[purpose]}]))
        answered = await depot.inbox.first(FallbackAnswered)
        assert answered == FallbackAnswered(CP1, Outcome.ACCEPTED, "ChargePointMaxProfile not-supported (NotSupported)")


@pytest.mark.usefixtures("quick_start")
async def test_an_event_handler_may_call_the_charger_without_a_deadlock() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.boot(charger)

        def on_event(event: Event) -> None:
            if isinstance(event, HeartbeatReceived):
                depot.server.ask(Ask(CP1, "t", "trigger", (("message", "StatusNotification"),)), depot.now())
            if isinstance(event, RequestAnswered):
                depot.reply(depot.inbox.of(HeartbeatReceived)[0], Acknowledge())

        depot.inbox.on_event = on_event
        await charger.send(call("Heartbeat", {}, "h"))
        request = await receive(charger)
        assert request[2] == "TriggerMessage"
        await charger.send(json.dumps([3, request[1], {"status": "Accepted"}]))
        assert (await receive(charger))[:2] == [3, "h"]


async def test_orders_for_a_charger_that_is_not_there_are_answered_at_once() -> None:
    async with site() as depot:
        depot.server.set_limit(limit(order_number=5), depot.now())
        depot.server.install_fallback(InstallFallback(CP1, 6_000, 4_140, 32_000, 22_080, PowerKind.AC), depot.now())
        depot.server.ask(Ask(CP1, "a", "reset"), depot.now())
        assert depot.inbox.events == [
            LimitAnswered(CP1, 1, 5, Outcome.DISCONNECTED),
            FallbackAnswered(CP1, Outcome.DISCONNECTED),
            RequestAnswered(CP1, "a", Outcome.DISCONNECTED),
        ]


@pytest.mark.usefixtures("quick_start")
async def test_everything_asked_ends_when_the_link_does_before_the_disconnection_is_told() -> None:
    async with site() as depot:
        async with depot.connect() as charger:
            await depot.boot(charger)
            depot.server.set_limit(limit(order_number=1), depot.now())
            await receive(charger)
            depot.server.ask(Ask(CP1, "q", "reset"), depot.now())
        await depot.inbox.first(ChargerDisconnected)
        assert [type(event) for event in depot.inbox.events[-3:]] == [LimitAnswered, RequestAnswered, ChargerDisconnected]
        assert depot.inbox.of(LimitAnswered)[0].outcome is Outcome.DISCONNECTED


async def test_a_request_that_cannot_be_expressed_is_refused_in_words() -> None:
    async with site() as depot, depot.connect():
        await depot.inbox.first(ChargerConnected)
        depot.server.ask(Ask(CP1, "a", "make-coffee"), depot.now())
        depot.server.ask(Ask(CP1, "b", "change-configuration", (("key", "x" * 51), ("value", "1"))), depot.now())
        first, second = depot.inbox.of(RequestAnswered)
        assert (first.outcome, first.ask_id) == (Outcome.NOT_SUPPORTED, "a")
        assert second.outcome is Outcome.ERROR
        assert "50 characters" in second.detail[0][1]


# --- takeover and liveness --------------------------------------------------------------------------------------------


class MuteCharger:
    """A socket that completes the handshake and then neither answers pings nor closes: what a power cut leaves behind."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @classmethod
    async def connect(cls, port: int, charger: str, extra: str = "") -> MuteCharger:
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        key = base64.b64encode(b"0123456789abcdef").decode()
        await loop.sock_sendall(
            sock,
            (
                f"GET /ocpp/{charger} HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n{extra}\r\n"
            ).encode(),
        )
        answer = await loop.sock_recv(sock, 4096)
        assert b"101 Switching" in answer
        return cls(sock)

    def close(self) -> None:
        self.sock.close()


async def test_q6_a_new_connection_takes_over_from_a_half_open_one_within_three_seconds() -> None:
    async with site() as depot:
        mute = await MuteCharger.connect(depot.server.bound_ports[0], CP1)
        try:
            await depot.inbox.first(ChargerConnected)
            began_s = asyncio.get_running_loop().time()
            async with depot.connect() as charger:
                await depot.boot(charger)
                assert asyncio.get_running_loop().time() - began_s < 3
            kinds = [event for event in depot.inbox.events if isinstance(event, ChargerConnected | ChargerDisconnected)]
            assert [type(event) for event in kinds[:3]] == [ChargerConnected, ChargerDisconnected, ChargerConnected]
            assert [event.link_number for event in kinds[:3]] == [1, 1, 2]
        finally:
            mute.close()


async def test_q6_the_newest_authenticated_connection_wins_even_over_a_live_one() -> None:
    async with site(profile=1, passwords={CP1: b"secret"}) as depot:
        headers = basic(b"CP-A-01", b"secret")
        async with depot.connect(additional_headers=headers) as old, depot.connect(additional_headers=headers) as new:
            assert await closed(old) == 1008
            await depot.boot(new)
            assert depot.inbox.of(ChargerDisconnected)[0].reason == "replaced by a newer connection"
            assert depot.server.counters()["identity_used_twice"] == 1


async def test_q6_without_a_password_a_live_charger_is_not_displaced_from_elsewhere() -> None:
    async with site() as depot, depot.connect() as real:
        await depot.boot(real)
        async with depot.connect(local_addr=("127.0.0.2", 0)) as intruder:
            assert await closed(intruder) == 1008
        refused = await depot.inbox.first(ChargerRefused)
        assert (refused.peer, refused.reason) == ("127.0.0.2", "another connection with this id is alive, from 127.0.0.1")
        await charger_is_served(depot, real)
        assert not depot.inbox.of(ChargerDisconnected)


async def test_q6_without_a_password_the_same_place_may_take_over() -> None:
    async with site() as depot, depot.connect() as old, depot.connect() as new:
        assert await closed(old) == 1008
        await depot.boot(new)


async def charger_is_served(depot: Site, charger: ClientConnection) -> None:
    await charger.send(call("Heartbeat", {}, "still"))
    heartbeat = await depot.inbox.first(HeartbeatReceived, lambda event: event.call.message_id == "still")
    depot.reply(heartbeat, Acknowledge())
    assert (await receive(charger))[1] == "still"


async def test_q8_a_half_open_socket_is_found_by_our_own_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SILENCE_GRACE_MS", 100)
    async with site(ping_ms=100) as depot:
        mute = await MuteCharger.connect(depot.server.bound_ports[0], CP1)
        try:
            gone = await depot.inbox.first(ChargerDisconnected)
            assert gone.reason == "silent for more than two pings"
        finally:
            mute.close()


async def test_q8_a_charger_that_only_answers_pings_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SILENCE_GRACE_MS", 100)
    async with site(ping_ms=100) as depot, depot.connect() as charger:
        await depot.inbox.first(ChargerConnected)
        with pytest.raises(TimeoutError):
            await closed(charger, timeout_s=1)  # more than three times the silence that is tolerated
        await charger_is_served(depot, charger)


@pytest.mark.usefixtures("quick_start")
async def test_a_charger_that_does_not_read_is_dropped_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "WRITE_TIMEOUT_S", 0.5)
    async with site() as depot, depot.connect(CP2) as other:
        await depot.boot(other)
        mute = await MuteCharger.connect(depot.server.bound_ports[0], CP1)
        try:
            await depot.inbox.first(ChargerConnected, lambda event: event.charger == CP1)
            large = (("vendor", "V"), ("data", "x" * 8_000_000))  # more than the socket buffers of both ends
            depot.server.ask(Ask(CP1, "a", "data-transfer", large), depot.now())
            began_s = asyncio.get_running_loop().time()
            await charger_is_served(depot, other)
            assert asyncio.get_running_loop().time() - began_s < 0.4
            gone = await depot.inbox.first(ChargerDisconnected)
            assert (gone.charger, gone.reason) == (CP1, "does not read")
        finally:
            mute.close()


async def test_a_charger_whose_answers_are_held_does_not_delay_another() -> None:
    async with site() as depot, depot.connect(CP1, max_queue=None) as slow, depot.connect(CP2) as other:
        for number in range(40):  # more than are held at once
            await slow.send(call("Heartbeat", {}, f"held-{number}"))
        await charger_is_served(depot, other)
        held = [event for event in depot.inbox.of(HeartbeatReceived) if event.call.charger == CP1]
        assert len(held) <= 32
        for event in held:
            depot.reply(event, Acknowledge())
        await depot.inbox.first(HeartbeatReceived, lambda event: event.call.message_id == "held-39")


async def test_a_flood_is_refused_but_its_transaction_messages_are_not() -> None:
    async with site() as depot, depot.connect() as charger:
        depot.inbox.on_event = lambda event: (
            depot.reply(event, Acknowledge()) if isinstance(event, StatusReported | MeterValuesReported) else None
        )
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        for number in range(230):
            await charger.send(call("StatusNotification", status, f"s{number}"))
        await charger.send(call("MeterValues", {"connectorId": 1, "meterValue": []}, "m"))
        answers = [await receive(charger) for _ in range(231)]
        assert {answer[2] for answer in answers if answer[0] == 4} == {"GenericError"}
        assert next(answer for answer in answers if answer[1] == "m") == [3, "m", {}]
        assert len({answer[1] for answer in answers}) == 231


# --- life -------------------------------------------------------------------------------------------------------------


async def test_close_ends_the_link_with_its_reason() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.inbox.first(ChargerConnected)
        depot.server.close(CP1, "the store is down")
        assert await closed(charger) == 1000
        assert (await depot.inbox.first(ChargerDisconnected)).reason == "the store is down"


async def test_stop_closes_with_going_away_within_two_seconds_even_in_the_middle_of_a_handshake() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.inbox.first(ChargerConnected)
        half = socket.create_connection(("127.0.0.1", depot.server.bound_ports[0]))  # says nothing
        mute = await MuteCharger.connect(depot.server.bound_ports[0], CP2)  # accepted after the other
        try:
            await depot.inbox.first(ChargerConnected, lambda event: event.charger == CP2)
            began_s = asyncio.get_running_loop().time()
            await depot.server.stop()
            assert asyncio.get_running_loop().time() - began_s < 2
            assert await closed(charger) == 1001
            assert len(depot.inbox.of(ChargerDisconnected)) == 2
        finally:
            mute.close()
            half.close()


async def test_an_error_of_ours_in_one_link_closes_just_this_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as depot, depot.connect(CP1) as unlucky, depot.connect(CP2) as other:

        def on_event(event: Event) -> None:
            if isinstance(event, HeartbeatReceived) and event.call.charger == CP1:
                raise RuntimeError("a bug behind the inbox")

        depot.inbox.on_event = on_event
        await unlucky.send(call("Heartbeat", {}))
        await closed(unlucky)
        assert (await depot.inbox.first(ChargerDisconnected)).charger == CP1
        await charger_is_served(depot, other)
        assert depot.server.counters()["link_failed"] == 1


async def test_a_reload_keeps_links_of_unchanged_listeners_and_drops_a_removed_charger() -> None:
    async with site() as depot, depot.connect(CP1) as kept, depot.connect(CP2) as removed:
        await depot.inbox.first(ChargerConnected, lambda event: event.charger == CP2)
        await depot.inbox.first(ChargerConnected, lambda event: event.charger == CP1)
        before = depot.server.bound_ports
        listeners = (Listener("127.0.0.1", 0, 0), Listener("127.0.0.2", 0, 0))
        await depot.server.reconfigure(OcppSettings(listeners, unknown_chargers=UnknownChargers.REFUSE), {CP1})
        assert await closed(removed) == 1012
        await charger_is_served(depot, kept)
        assert depot.server.bound_ports[:1] == before
        assert len(depot.server.bound_ports) == 2
        with pytest.raises(InvalidStatus):
            await depot.connect(CP2)


async def test_a_reload_that_cannot_listen_changes_nothing() -> None:
    async with site() as depot, depot.connect(CP1) as charger:
        await depot.inbox.first(ChargerConnected)
        taken = Listener("127.0.0.1", depot.server.bound_ports[0], 0)
        with pytest.raises(OSError, match="address already in use"):
            await depot.server.reconfigure(OcppSettings((Listener("127.0.0.1", 0, 0), taken)), {CP1})
        await charger_is_served(depot, charger)


async def test_a_charger_that_vanishes_is_noticed_without_a_closing_handshake() -> None:
    async with site() as depot, depot.connect() as charger:
        await depot.inbox.first(ChargerConnected)
        charger.transport.abort()
        assert (await depot.inbox.first(ChargerDisconnected)).reason == "connection lost"
        with pytest.raises(ConnectionClosed):
            await charger.recv()
