"""The sockets chargers connect to, and the opening handshake: who gets in, who gets which HTTP status.

A charger that is let in arrives at ``admit`` with its ``Peer``. Everybody else is reported through ``refuse``.
"""

from __future__ import annotations

import asyncio
import http
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from edgectl.domain.ids import ChargerId
from edgectl.domain.settings import CredentialReader, Listener, UnknownChargers
from edgectl.ocpp.credentials import AccessDeniedError, BadIdentityError, Roster, check_basic_auth, identity_from_path
from edgectl.ocpp.frames import MAX_FRAME_CHARS
from edgectl.ocpp.link import CLOSE_TIMEOUT_S, Peer, WatchedConnection

BACKLOG = 1_024
"""After a power cut all chargers knock at once; with the default of 100 the rest is dropped and retries a second later."""
HANDSHAKE_TIMEOUT_S = 10.0
QUEUED_FRAMES_MAX = 16
"""Frames read ahead per connection; more wait in the charger."""

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
    ) -> None:
        self.roster = roster
        self._unknown_chargers = unknown_chargers
        self._passwords = passwords
        self._credentials = credentials

    def admits_unknown(self) -> bool:
        return self._unknown_chargers is UnknownChargers.QUARANTINE

    def check(self, identity: str, authorization: str | None, security_profile: int, address: str) -> Peer:
        """Who this is.

        A configured password is asked for on every listener, so that nobody gets around it through one without; and on a
        listener with passwords a known charger without one stays out.

        Raises:
            UnknownIdentityError: not configured, and unknown chargers are refused.
            AccessDeniedError: configured, but the credentials do not show it.
        """
        charger = self.roster.find(identity)
        if charger is None:
            if self.roster.is_ambiguous(identity):
                raise UnknownIdentityError("only the case tells two configured chargers apart, and this is neither")
            if not self.admits_unknown():
                raise UnknownIdentityError("not configured")
            return Peer(ChargerId(identity), False, None, address, security_profile)
        name = self._passwords.get(charger)
        if name is None:
            if security_profile > 0:
                raise AccessDeniedError("no password is configured for this charger")
            return Peer(charger, True, None, address, security_profile)
        try:
            password = self._credentials(name)
        except (KeyError, OSError):
            raise AccessDeniedError(f"the credential {name!r} of this charger cannot be read") from None
        form = check_basic_auth(authorization, identity, password)
        return Peer(charger, True, form, address, security_profile)


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
    ) -> None:
        self.listener = listener
        self._policy = policy
        self._subprotocols = subprotocols
        self._credentials = credentials
        self._admit = admit
        self._refuse = refuse
        self._server: Server | None = None
        self._connections: set[WatchedConnection] = set()

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
            ValueError: the security profile cannot be served as configured.
        """
        listener = self.listener
        self._server = await serve(
            self._serve_connection,
            listener.host,
            listener.port,
            ssl=_tls_context(listener, self._credentials),
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
        return WatchedConnection(*arguments, siblings=self._connections, **options)

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        address = _address(connection)
        try:
            identity = identity_from_path(request.path)
        except BadIdentityError as problem:
            return self._refused(connection, http.HTTPStatus.NOT_FOUND, _shown(request.path), address, str(problem))
        try:
            peer = self._policy().check(identity, _header(request, "Authorization"), self.listener.security_profile, address)
        except UnknownIdentityError as problem:
            return self._refused(connection, http.HTTPStatus.NOT_FOUND, identity, address, str(problem))
        except AccessDeniedError as problem:
            response = self._refused(connection, http.HTTPStatus.UNAUTHORIZED, identity, address, str(problem))
            response.headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
            return response
        offered = request.headers.get_all("Sec-WebSocket-Protocol")
        if offered and not "".join(offered).strip():
            # An empty header is as good as none; the library would call it a bad request.
            del request.headers["Sec-WebSocket-Protocol"]
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

    def _select_subprotocol(self, _connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The charger's first choice that we speak. None completes the upgrade without the header, and closes (OCPP-J §3.3)."""
        return next((name for name in offered if name in self._subprotocols), None)

    async def _serve_connection(self, connection: ServerConnection) -> None:
        watched = _watched(connection)
        if watched.peer is not None:  # set by the handshake that led here
            await self._admit(watched, watched.peer)


def offered_subprotocols(connection: ServerConnection) -> str:
    """What the charger asked for, for people."""
    headers: Headers = connection.request.headers if connection.request else Headers()
    return ", ".join(headers.get_all("Sec-WebSocket-Protocol"))[:100] or "none"


def _watched(connection: ServerConnection) -> WatchedConnection:
    assert isinstance(connection, WatchedConnection)
    return connection


def _address(connection: ServerConnection) -> str:
    """The peer's IP address; without the port, which differs at each attempt and would make each look new."""
    peername = connection.remote_address
    return str(peername[0]) if isinstance(peername, tuple) and peername else str(peername or "")


def _header(request: Request, name: str) -> str | None:
    try:
        return request.headers.get(name)
    except MultipleValuesError:
        return None


def _shown(path: str) -> str:
    """A path as a name for people: printable and short."""
    return "".join(char if char.isprintable() else "?" for char in path)[:48]


def _tls_context(listener: Listener, credentials: CredentialReader) -> ssl.SSLContext | None:
    if listener.security_profile in {0, 1}:
        return None
    where = f"listener {listener.host}:{listener.port}"
    if listener.security_profile != 2:
        raise ValueError(f"{where}: security profile {listener.security_profile} is not supported; allowed are 0, 1 and 2")
    if not listener.certificates:
        raise ValueError(f"{where}: security profile 2 needs a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        pem = credentials(listener.certificates[0])
    except KeyError:
        raise ValueError(f"{where}: there is no credential {listener.certificates[0]!r}") from None
    # The ssl module reads keys from files only. This one has no name and never reaches a disk.
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as problem:
        raise ValueError(
            f"{where}: credential {listener.certificates[0]!r} is not a PEM certificate with its key: {problem}"
        ) from None
    finally:
        os.close(descriptor)
    return context
