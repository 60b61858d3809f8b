"""The sockets chargers connect to, and the opening handshake: who gets in, who gets which HTTP status.

A charger that is let in arrives at ``admit`` with its ``Peer``. Everybody else is reported through ``refuse``.
"""

from __future__ import annotations

import asyncio
import http
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from edgectl.domain.ids import ChargerId
from edgectl.domain.settings import ChargerAccess, CredentialReader, Listener, UnknownChargers
from edgectl.ocpp.credentials import (
    AccessDeniedError,
    BadIdentityError,
    PasswordForm,
    Roster,
    check_basic_auth,
    identity_from_path,
)
from edgectl.ocpp.frames import MAX_FRAME_CHARS
from edgectl.ocpp.link import CLOSE_TIMEOUT_S, Peer, WatchedConnection
from edgectl.ocpp.tls import CERTIFICATE_PROFILE, Handover, common_name, failure_words, is_client_hello, tls_context

BACKLOG = 1_024
"""After a power cut all chargers knock at once; with the default of 100 the rest is dropped and retries a second later."""
HANDSHAKE_TIMEOUT_S = 10.0
QUEUED_FRAMES_MAX = 16
"""Frames read ahead per connection; more wait in the charger."""

log = structlog.get_logger(__name__)

_quiet = logging.getLogger("edgectl.ocpp.websockets")
_quiet.setLevel(logging.ERROR)  # the library would log each connection; we log what it means


class AccessPolicy:
    """Who may come in. Immutable; a reload makes a new one."""

    def __init__(
        self,
        roster: Roster,
        unknown_chargers: UnknownChargers,
        passwords: dict[ChargerId, str],
        credentials: CredentialReader,
        serial_of: Callable[[ChargerId], str | None] = lambda _: None,
        proven: dict[str, bytes] | None = None,
        access: Iterable[ChargerAccess] = (),
    ) -> None:
        self.roster = roster
        self._serial_of = serial_of
        self._unknown_chargers = unknown_chargers
        self._passwords = passwords
        self._credentials = credentials
        self._proven = {} if proven is None else proven
        self._access = {one.charger: one for one in access}

    def pinned_version(self, charger: ChargerId) -> str | None:
        """The only subprotocol to speak with this charger; None for whatever it likes best."""
        access = self._access.get(charger)
        return access.pin_version if access is not None else None

    def tolerates_missing_upgrade(self, charger: ChargerId) -> bool:
        access = self._access.get(charger)
        return access is not None and access.tolerates_missing_upgrade

    def admits_unknown(self) -> bool:
        return self._unknown_chargers is UnknownChargers.QUARANTINE

    def check(
        self, identity: str, authorization: str | None, security_profile: int, address: str, subject: str | None = None
    ) -> Peer:
        """Who this is. ``subject`` is the common name of a client certificate that the handshake has verified.

        Where certificates are asked for (profile 3) one in the charger's own name, or with its serial number, is all it needs.

        A configured password is asked for on every listener, so that nobody gets around it through one without; and on a
        listener with passwords a known charger without one stays out.

        Raises:
            UnknownIdentityError: not configured, and unknown chargers are refused.
            AccessDeniedError: configured, but the credentials do not show it.
            ForeignCertificateError: the certificate is somebody else's.
        """
        charger = self.roster.find(identity)
        if charger is None:
            if self.roster.is_ambiguous(identity):
                raise UnknownIdentityError("only the case tells two configured chargers apart, and this is neither")
            if not self.admits_unknown():
                raise UnknownIdentityError("not configured")
            if security_profile == CERTIFICATE_PROFILE:
                _check_subject(subject, identity, None)
            return Peer(ChargerId(identity), False, None, address, security_profile)
        if security_profile == CERTIFICATE_PROFILE:
            _check_subject(subject, charger, self._serial_of(charger))
            return Peer(charger, True, None, address, security_profile, has_certificate=True)
        name = self._passwords.get(charger)
        if name is None:
            if security_profile > 0:
                raise AccessDeniedError("no password is configured for this charger")
            return Peer(charger, True, None, address, security_profile)
        try:
            password = self._credentials(name)
        except (KeyError, OSError):
            raise AccessDeniedError(f"the credential {name!r} of this charger cannot be read") from None
        form = self._check_password(authorization, identity, name, password)
        return Peer(charger, True, form, address, security_profile)

    def _check_password(self, authorization: str | None, identity: str, name: str, password: bytes) -> PasswordForm:
        """The present password, or the one before it until the present one has been seen once (2.0.1 A01)."""
        try:
            form = check_basic_auth(authorization, identity, password)
        except AccessDeniedError:
            if self._proven.get(name) == password:
                raise
            try:
                previous = self._credentials(f"{name}.previous")
            except (KeyError, OSError):
                previous = b""
            if not previous.rstrip(b"\r\n"):
                raise
            form = check_basic_auth(authorization, identity, previous)
            log.warning("previous_password_used", charger=identity, credential=name)
            return form
        self._proven[name] = password
        return form


def _check_subject(subject: str | None, identity: str, serial: str | None) -> None:
    if subject is None:
        raise ForeignCertificateError("the client certificate names nobody")
    if subject.casefold() != identity.casefold() and (not serial or subject.casefold() != serial.casefold()):
        known = f"its id or its serial number {serial}" if serial else "its id"
        raise ForeignCertificateError(f"the client certificate is for {_shown(subject)!r}, which is not {known}")


class ForeignCertificateError(Exception):
    """A valid certificate, but not this charger's; the text says whose."""


class UnknownIdentityError(Exception):
    """Nobody by this name is expected; the text says why."""


class Door:
    """One listener."""

    def __init__(
        self,
        listener: Listener,
        policy: Callable[[], AccessPolicy],
        subprotocols: frozenset[str],
        credentials: CredentialReader,
        admit: Callable[[WatchedConnection, Peer], Awaitable[None]],
        refuse: Callable[[str, str, str], None],
        site_root: Callable[[], bytes | None] = lambda: None,
        is_barred: Callable[[ChargerId], bool] = lambda _: False,
    ) -> None:
        self.listener = listener
        self._policy = policy
        self._subprotocols = subprotocols
        self._credentials = credentials
        self._admit = admit
        self._refuse = refuse
        self._site_root = site_root
        self._is_barred = is_barred
        self._context: ssl.SSLContext | None = None
        self._server: Server | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._connections: set[WatchedConnection] = set()

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
            ValueError: the security profile cannot be served as configured.
        """
        listener = self.listener
        self._context = tls_context(listener, self._credentials, self._site_root)
        self._server = await serve(
            self._serve_connection,
            listener.host,
            listener.port,
            select_subprotocol=self._select_subprotocol,
            process_request=self._process_request,
            process_response=self._process_response,
            create_connection=self._make_connection,  # type: ignore[arg-type]  # a factory is all it takes
            compression=None,
            server_header=None,
            open_timeout=HANDSHAKE_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_FRAME_CHARS,
            max_queue=QUEUED_FRAMES_MAX,
            logger=_quiet,
            backlog=BACKLOG,
        )

    @property
    def port(self) -> int:
        """Where it listens in fact, when the configured port is 0."""
        for socket in self._server.sockets if self._server else ():
            return int(socket.getsockname()[1])
        return self.listener.port

    async def close(self, timeout_s: float) -> None:
        """Stop listening, close every connection with 1001, and drop what has not closed in time."""
        if self._server is None:
            return
        self._server.close()
        for handshake in list(self._handshakes):
            handshake.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        try:
            async with asyncio.timeout(timeout_s):
                await self._server.wait_closed()
        except TimeoutError:
            pass
        # Those that do not answer, and those accepted in the very moment of closing, of which the library does not know.
        while self._connections:
            leftover = list(self._connections)
            for connection in leftover:
                connection.transport.abort()
            await asyncio.gather(*(connection.wait_closed() for connection in leftover))
        await self._server.wait_closed()

    # --- the opening handshake ---------------------------------------------------------------------------------------

    def _make_connection(self, *arguments: object, **options: object) -> WatchedConnection:
        kind = _PlainConnection if self._context is None else _TlsConnection
        return kind(*arguments, door=self, siblings=self._connections, **options)

    def shake_hands(self, transport: asyncio.Transport, connection: _TlsConnection) -> None:
        """Begin the TLS handshake of a socket just accepted; all of them go on side by side."""
        task = asyncio.get_running_loop().create_task(self._shake_hands(transport, connection))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, transport: asyncio.Transport, connection: _TlsConnection) -> None:
        assert self._context is not None  # set before the first socket was accepted
        address = _host(transport.get_extra_info("peername"))
        handover = Handover(transport.abort)
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                secured = await asyncio.get_running_loop().start_tls(
                    transport, handover, self._context, server_side=True, ssl_handshake_timeout=2 * HANDSHAKE_TIMEOUT_S
                )
        except OSError as problem:  # TLS, network and timeout alike
            transport.abort()
            self._refuse(address, address, failure_words(problem))
            return
        except asyncio.CancelledError:
            transport.abort()
            raise
        if secured is None or handover.has_ended:
            transport.abort()
            self._refuse(address, address, failure_words(ConnectionResetError()))
            return
        handover.hand_over(secured, connection)

    def report_tls_to_plain(self, connection: WatchedConnection) -> None:
        address = _address(connection)
        self._refuse(address, address, "spoke TLS to a port without TLS")

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        address = _address(connection)
        try:
            identity = identity_from_path(request.path)
        except BadIdentityError as problem:
            return self._refused(connection, http.HTTPStatus.NOT_FOUND, _shown(request.path), address, str(problem))
        try:
            subject = common_name(connection.transport)
            authorization = _header(request, "Authorization")
            peer = self._policy().check(identity, authorization, self.listener.security_profile, address, subject)
        except UnknownIdentityError as problem:
            return self._refused(connection, http.HTTPStatus.NOT_FOUND, identity, address, str(problem))
        except ForeignCertificateError as problem:
            return self._refused(connection, http.HTTPStatus.FORBIDDEN, identity, address, str(problem))
        except AccessDeniedError as problem:
            response = self._refused(connection, http.HTTPStatus.UNAUTHORIZED, identity, address, str(problem))
            response.headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
            return response
        if self._is_barred(peer.charger):
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "a drill keeps this charger away for a while\n")
        offered = request.headers.get_all("Sec-WebSocket-Protocol")
        if offered and not "".join(offered).strip():
            # An empty header is as good as none; the library would call it a bad request.
            del request.headers["Sec-WebSocket-Protocol"]
        if self._policy().tolerates_missing_upgrade(peer.charger) and "Connection" not in request.headers:
            request.headers["Connection"] = "Upgrade"
        _watched(connection).peer = peer
        return None

    def _process_response(self, connection: ServerConnection, _request: Request, response: Response) -> None:
        peer = _watched(connection).peer
        if peer is not None and response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
            words = f"not a WebSocket handshake (HTTP {response.status_code})"
            self._refuse(peer.charger, peer.address, words)

    def _refused(self, connection: ServerConnection, status: http.HTTPStatus, who: str, address: str, words: str) -> Response:
        self._refuse(who, address, words)
        return connection.respond(status, f"{words}\n")

    def _select_subprotocol(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The charger's first choice that we speak with it. None completes the upgrade bare, and closes (OCPP-J §3.3)."""
        peer = _watched(connection).peer
        pinned = self._policy().pinned_version(peer.charger) if peer is not None else None
        return next((name for name in offered if name in self._subprotocols and pinned in {None, name}), None)

    async def _serve_connection(self, connection: ServerConnection) -> None:
        watched = _watched(connection)
        if watched.peer is not None:  # set by the handshake that led here
            await self._admit(watched, watched.peer)


class _PlainConnection(WatchedConnection):
    """A connection without TLS, which tells when the other side believes there is."""

    _has_begun = False

    def __init__(self, *arguments: Any, door: Door, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._door = door

    def data_received(self, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            if is_client_hello(data):
                self._door.report_tls_to_plain(self)
        super().data_received(data)


class _TlsConnection(WatchedConnection):
    """A connection that begins once the TLS handshake is over."""

    _has_begun = False

    def __init__(self, *arguments: Any, door: Door, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._has_begun:
            super().connection_made(transport)
            return
        self._has_begun = True
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()  # nothing may arrive before the handshake listens
        self._door.shake_hands(transport, self)

    def connection_lost(self, exc: Exception | None) -> None:
        # A socket lost before the handshake took it over was no connection yet.
        if self in self._siblings:
            super().connection_lost(exc)


def offered_subprotocols(connection: ServerConnection) -> str:
    """What the charger asked for, for people."""
    headers: Headers = connection.request.headers if connection.request else Headers()
    return ", ".join(headers.get_all("Sec-WebSocket-Protocol"))[:100] or "none"


def _watched(connection: ServerConnection) -> WatchedConnection:
    assert isinstance(connection, WatchedConnection)
    return connection


def _address(connection: ServerConnection) -> str:
    """The peer's IP address; without the port, which differs at each attempt and would make each look new."""
    return _host(connection.remote_address)


def _host(peername: object) -> str:
    return str(peername[0]) if isinstance(peername, tuple) and peername else str(peername or "")


def _header(request: Request, name: str) -> str | None:
    try:
        return request.headers.get(name)
    except MultipleValuesError:
        return None


def _shown(path: str) -> str:
    """A path as a name for people: printable and short."""
    return "".join(char if char.isprintable() else "?" for char in path)[:48]
