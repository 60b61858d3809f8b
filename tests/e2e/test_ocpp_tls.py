"""Security profiles 2 and 3 over real sockets and real TLS, and every way a handshake fails, in words."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority, rsa_key
from support.ocpp_site import CP1, LoopClock, Recorder, Site, basic, call, receive
from websockets.exceptions import InvalidStatus

from edgectl.domain.decisions import Acknowledge
from edgectl.domain.events import ChargerConnected, ChargerNotified, ChargerRefused
from edgectl.domain.ids import ChargerId
from edgectl.domain.settings import ChargerAccess, Listener, OcppSettings
from edgectl.ocpp import listeners as listeners_module
from edgectl.ocpp.server import OcppServer

OURS = Authority("server root")
STATIONS = Authority("station root")
EC_SERVER = OURS.server()
RSA_SERVER = OURS.server(rsa_key())
LOCAL = "127.0.0.1"


@asynccontextmanager
async def tls_site(
    profile: int = 3, *, servers: tuple[bytes, ...] = (EC_SERVER,), serial: str | None = None, **secrets: bytes
) -> AsyncIterator[Site]:
    known = {f"server-{number}": server for number, server in enumerate(servers)} | {"stations": STATIONS.root_pem} | secrets
    listener = Listener(LOCAL, 0, profile, tuple(f"server-{number}" for number in range(len(servers))), ("stations",))
    access = (ChargerAccess(CP1, "password"),) if "password" in secrets else ()
    inbox, clock = Recorder(), LoopClock()

    def serial_of(_charger: ChargerId) -> str | None:
        return serial

    server = OcppServer(
        OcppSettings((listener,), access=access), {CP1}, inbox, clock, known.__getitem__, random.Random(1), serial_of=serial_of
    )
    await server.start()
    try:
        yield Site(server, inbox, clock)
    finally:
        await server.stop()


def client(folder: Path, certificate: bytes | None = None, *, root: bytes = OURS.root_pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=root.decode())
    if certificate is not None:
        path = folder / "client.pem"
        path.write_bytes(certificate)
        context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("subject", ["cp-a-01", "SN-77"])
async def test_a_certificate_in_its_id_or_serial_number_is_all_a_charger_needs(tmp_path: Path, subject: str) -> None:
    async with tls_site(serial="sn-77") as depot, depot.connect(ssl=client(tmp_path, STATIONS.client(subject))) as charger:
        connected = await depot.inbox.first(ChargerConnected)
        assert connected.charger == CP1
        await depot.boot(charger)


async def test_somebody_elses_certificate_is_refused_with_its_name(tmp_path: Path) -> None:
    async with tls_site() as depot:
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect(ssl=client(tmp_path, STATIONS.client("CP-Z")))
        assert refusal.value.response.status_code == 403
        refused = await depot.inbox.first(ChargerRefused)
        assert (refused.charger, refused.reason) == (CP1, "the client certificate is for 'CP-Z', which is not its id")


async def test_an_unknown_charger_with_a_certificate_is_quarantined(tmp_path: Path) -> None:
    async with tls_site() as depot, depot.connect("NEW", ssl=client(tmp_path, STATIONS.client("NEW"))):
        assert (await depot.inbox.first(ChargerConnected)).charger == "NEW"


async def test_profile_2_boots_with_tls_and_a_password(tmp_path: Path) -> None:
    headers = basic(CP1.encode(), b"secret")
    async with (
        tls_site(2, password=b"secret") as depot,
        depot.connect(ssl=client(tmp_path), additional_headers=headers) as charger,
    ):
        await depot.boot(charger)


async def test_a_connection_keeps_little_memory_and_takes_long_messages_all_the_same(tmp_path: Path) -> None:
    async with (
        tls_site(2, password=b"secret") as depot,
        depot.connect(ssl=client(tmp_path), additional_headers=basic(CP1.encode(), b"secret")) as charger,
    ):
        await depot.boot(charger)
        await charger.send(call("DataTransfer", {"vendorId": "V", "data": "x" * 200_000}, "long"))
        told = await depot.inbox.first(ChargerNotified)
        assert len(told.call.frame) > 200_000
        depot.reply(told, Acknowledge())
        assert (await receive(charger))[1] == "long"
        transport: Any = depot.server._links[CP1.casefold()]._connection.transport
        assert len(transport._ssl_protocol._ssl_buffer) <= 64 * 1024


async def test_the_previous_password_serves_until_the_present_one_was_seen(tmp_path: Path) -> None:
    secrets = {"password": b"new", "password.previous": b"old"}
    async with tls_site(2, **secrets) as depot:
        for password in (b"old", b"old", b"new"):
            async with depot.connect(ssl=client(tmp_path), additional_headers=basic(CP1.encode(), password)):
                pass
        with pytest.raises(InvalidStatus) as refusal:
            await depot.connect(ssl=client(tmp_path), additional_headers=basic(CP1.encode(), b"old"))
        assert refusal.value.response.status_code == 401


@pytest.mark.parametrize(("ciphers", "kind"), [("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "EC")])
async def test_q10_each_client_gets_the_certificate_its_ciphers_can_use(tmp_path: Path, ciphers: str, kind: str) -> None:
    context = client(tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    async with tls_site(2, servers=(RSA_SERVER, EC_SERVER)) as depot:
        reader, writer = await asyncio.open_connection(LOCAL, depot.server.bound_ports[0], ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        assert reader.at_eof()
    expected = {"RSA": RSA_SERVER, "EC": EC_SERVER}[kind]
    assert shown == ssl.PEM_cert_to_DER_cert(expected.decode().partition("-----BEGIN PRIVATE")[0])


async def test_two_certificates_of_one_kind_are_named() -> None:
    with pytest.raises(ValueError, match="'server-0' and 'server-1' are both ECDSA"):
        async with tls_site(2, servers=(EC_SERVER, OURS.server())):
            pass


def _old_version(context: ssl.SSLContext) -> None:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")


def _rsa_only(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")


@pytest.mark.parametrize(
    ("certificate", "root", "change", "words"),
    [
        (STATIONS.client(CP1), STATIONS.root_pem, None, "the charger does not trust our certificate (unknown ca)"),
        (STATIONS.client(CP1), OURS.root_pem, _old_version, "the charger offers only TLS 1.1 or older"),
        (STATIONS.client(CP1), OURS.root_pem, _rsa_only, "no cipher in common"),
        (None, OURS.root_pem, None, "no client certificate"),
        (STATIONS.client(CP1, days=-2), OURS.root_pem, None, "the client certificate has expired"),
        (OURS.client(CP1), OURS.root_pem, None, "the client certificate is of no authority known here"),
    ],
)
async def test_q10_a_failed_handshake_is_told_in_words(
    tmp_path: Path, certificate: bytes | None, root: bytes, change: Callable[[ssl.SSLContext], None] | None, words: str
) -> None:
    context = client(tmp_path, certificate, root=root)
    if change is not None:
        change(context)
    async with tls_site() as depot:
        await asyncio.to_thread(_knock, context, depot.server.bound_ports[0])
        refused = await depot.inbox.first(ChargerRefused)
        assert refused.charger == refused.peer == LOCAL
        assert refused.reason.startswith(f"TLS: {words}")


def _knock(context: ssl.SSLContext, port: int) -> None:
    """A client that sends its alert before it hangs up, as OpenSSL's own do; asyncio's does not."""
    with suppress(OSError), socket.create_connection((LOCAL, port), timeout=5) as plain, context.wrap_socket(plain) as secured:
        secured.recv(1)  # in TLS 1.3 a client learns of a refusal only here


async def _say(depot: Site, said: bytes) -> None:
    _, writer = await asyncio.open_connection(LOCAL, depot.server.bound_ports[0])
    writer.write(said)
    await writer.drain()
    await depot.inbox.first(ChargerRefused)
    writer.close()
    await writer.wait_closed()


async def test_plain_http_to_a_tls_port_is_told() -> None:
    async with tls_site() as depot:
        await _say(depot, b"GET /CP HTTP/1.1\r\nHost: x\r\n\r\n")
        assert depot.inbox.of(ChargerRefused)[0].reason == "TLS: spoke plain HTTP to a TLS port"


async def test_a_handshake_that_does_not_go_on_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners_module, "HANDSHAKE_TIMEOUT_S", 0.1)
    async with tls_site() as depot:
        await _say(depot, b"\x16\x03\x01")
        assert depot.inbox.of(ChargerRefused)[0].reason == "TLS: handshake timed out"


async def test_tls_to_a_plain_port_is_told(tmp_path: Path) -> None:
    async with tls_site(0, servers=()) as depot:
        with pytest.raises(OSError):  # noqa: PT011 - what the client sees differs by version
            await asyncio.open_connection(LOCAL, depot.server.bound_ports[0], ssl=client(tmp_path))
        assert (await depot.inbox.first(ChargerRefused)).reason == "spoke TLS to a port without TLS"


async def test_two_hundred_chargers_shake_hands_side_by_side(tmp_path: Path) -> None:
    context = client(tmp_path, STATIONS.client(CP1))
    async with tls_site() as depot:
        port = depot.server.bound_ports[0]
        opened = await asyncio.gather(*(asyncio.open_connection(LOCAL, port, ssl=context) for _ in range(200)))
        assert not depot.inbox.of(ChargerRefused)
        for _, writer in opened:
            writer.transport.abort()


async def test_stopping_drops_a_socket_in_the_middle_of_its_handshake() -> None:
    async with tls_site() as depot:
        reader, writer = await asyncio.open_connection(LOCAL, depot.server.bound_ports[0])
        writer.write(b"\x16\x03\x01")
        await writer.drain()
        async with asyncio.timeout(4):
            await depot.server.stop()
            with suppress(ConnectionResetError):  # dropped either way
                assert await reader.read() == b""
        writer.transport.abort()
