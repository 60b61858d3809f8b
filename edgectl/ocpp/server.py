"""All chargers' connections: ``ports.ChargerLinks`` on WebSockets.

One link per charger identity. When a charger connects again, the newer connection takes over, unless it could be somebody else
while the older one is demonstrably alive.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import structlog
from websockets.frames import CloseCode

from edgectl.domain.decisions import Ask, InstallFallback, Reply, SetLimit
from edgectl.domain.events import ChargerRefused, FallbackAnswered, LimitAnswered, Outcome, RequestAnswered
from edgectl.domain.ids import ChargerId
from edgectl.domain.settings import CredentialReader, Listener, OcppSettings
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ocpp.codec import Codec
from edgectl.ocpp.credentials import Roster
from edgectl.ocpp.link import Link, Peer, WatchedConnection
from edgectl.ocpp.listeners import AccessPolicy, Door, offered_subprotocols
from edgectl.ocpp.v16 import V16
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v201 import V201
from edgectl.ports import Clock, Inbox

log = structlog.get_logger(__name__)

SECRET = "credential:"  # noqa: S105 - the prefix of a name
"""How a value names a secret instead of being one."""
PROBE_MS = 2_000
"""How long an older connection may take to show that it is alive when a newer one wants its place."""
WAITING_PER_CHARGER_MAX = 2
"""Newer connections of one id that may wait for that answer; a charger has one."""
UNKNOWN_LINKS_MAX = 32
"""Unconfigured chargers connected at once. A depot is extended by a few at a time; more is a mistake or an attack."""
STOP_TIMEOUT_S = 1.5
"""``stop`` returns within two seconds: systemd and the chargers both want to get on."""
REFUSALS_REMEMBERED_MAX = 256
"""Refused identities whose last reason is remembered, so that each is logged once per change."""


def compile_schemas() -> None:
    """Those of every version, now: for a simulation, where no thread may do it meanwhile."""
    for codec in (V16(), V201(), V21()):
        codec.warm()


class OcppServer:
    """The OCPP edge.

    Args:
        settings: listeners, policy for unknown chargers, passwords by name, timings.
        known: ids of the configured chargers, in the spelling used everywhere else.
        inbox: where events go.
        clock: the one clock.
        credentials: reads passwords and certificates by name.
        random: for message ids; seeded in simulation.
        codecs: the protocol versions served.
        site_root: gives the root certificate of the site's own authority, PEM, when a listener on profile 3 opens.
        serial_of: the serial number a charger is known by; its certificate may be in that name.
    """

    def __init__(
        self,
        settings: OcppSettings,
        known: Iterable[ChargerId],
        inbox: Inbox,
        clock: Clock,
        credentials: CredentialReader,
        random: random.Random,
        codecs: Sequence[Codec] | None = None,
        *,
        site_root: Callable[[], bytes | None] = lambda: None,
        serial_of: Callable[[ChargerId], str | None] = lambda _: None,
    ) -> None:
        self._site_root = site_root
        self._serial_of = serial_of
        self._proven_passwords: dict[str, bytes] = {}
        self._settings = settings
        self._inbox = inbox
        self._clock = clock
        self._credentials = credentials
        self._random = random
        self._codecs = {codec.subprotocol: codec for codec in codecs or (V16(), V201(), V21())}
        self._policy = self._policy_of(settings, known)
        self._counters: Counter[str] = Counter()
        self._doors: list[Door] = []
        self._links: dict[str, Link] = {}
        self._link_count = 0
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._refusals: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._warming: dict[str, asyncio.Task[None]] = {}
        self._barred: dict[ChargerId, Millis] = {}
        self._is_stopping = False

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on every configured address.

        Raises:
            OSError: an address is taken or not ours.
            ValueError: a listener cannot be served as configured.
        """
        self._doors = await self._opened(self._settings.listeners)

    async def stop(self) -> None:
        """Close every connection with 1001 (going away), within two seconds."""
        self._is_stopping = True
        for link in list(self._links.values()):
            link.end("edgectl stops", CloseCode.GOING_AWAY)
        doors, self._doors = self._doors, []
        await _close_all(doors)

    async def reconfigure(self, settings: OcppSettings, known: Iterable[ChargerId]) -> None:
        """Apply new settings: listeners that stay the same keep their connections.

        Chargers that were adopted or removed are disconnected, so that they come back as what they now are.

        Raises:
            OSError, ValueError: as ``start``; everything is as it was.
        """
        staying = [door for door in self._doors if door.listener in settings.listeners]
        unchanged = [door.listener for door in staying]
        opened = await self._opened([listener for listener in settings.listeners if listener not in unchanged])
        leaving = [door for door in self._doors if door not in staying]
        self._settings = settings
        self._policy = self._policy_of(settings, known)
        self._doors = staying + opened
        for link in list(self._links.values()):
            is_known = self._policy.roster.find(link.peer.charger) is not None
            if is_known != link.peer.is_known or not (is_known or self._policy.admits_unknown()):
                link.end("the configuration changed", CloseCode.SERVICE_RESTART)
        await _close_all(leaving)

    @property
    def bound_ports(self) -> tuple[int, ...]:
        """The ports in fact listened on, in the order of the settings."""
        by_listener = {door.listener: door.port for door in self._doors}
        return tuple(by_listener[listener] for listener in self._settings.listeners if listener in by_listener)

    def counters(self) -> dict[str, int]:
        """Counts since start, by stable name."""
        return {"links": len(self._links), **self._counters}

    # --- ports.ChargerLinks ------------------------------------------------------------------------------------------

    def reply(self, reply: Reply, now: Instant) -> None:
        link = self._link(reply.call.charger)
        if link is None or link.number != reply.call.link_number:
            # The connection the call came on is gone. The charger will ask again, and be answered from what is recorded.
            self._counters["reply_to_gone_link"] += 1
            return
        link.reply(reply, now)

    def set_limit(self, order: SetLimit, now: Instant) -> None:
        link = self._link(order.evse.charger)
        if link is None:
            evse = order.evse
            self._inbox.put(LimitAnswered(evse.charger, evse.number, order.order_number, Outcome.DISCONNECTED))
            return
        link.set_limit(order, now)

    def install_fallback(self, order: InstallFallback, now: Instant) -> None:
        link = self._link(order.charger)
        if link is None:
            self._inbox.put(FallbackAnswered(order.charger, Outcome.DISCONNECTED))
            return
        link.install_fallback(order, now)

    def ask(self, ask: Ask, now: Instant) -> None:
        link = self._link(ask.charger)
        if link is None:
            self._inbox.put(RequestAnswered(ask.charger, ask.ask_id, Outcome.DISCONNECTED))
            return
        try:
            link.ask(self._with_secrets(ask), now)
        except KeyError as missing:
            problem = (("problem", f"there is no credential {missing}"),)
            self._inbox.put(RequestAnswered(ask.charger, ask.ask_id, Outcome.ERROR, detail=problem))

    def _with_secrets(self, ask: Ask) -> Ask:
        """Values written as ``credential:NAME`` by the secrets they name: passwords go to a charger and nowhere else.

        Raises:
            KeyError: there is no such credential.
        """
        if not any(value.startswith(SECRET) for _, value in ask.arguments):
            return ask
        key = dict(ask.arguments).get("key", "")
        arguments = []
        for name, value in ask.arguments:
            if value.startswith(SECRET):
                secret = self._credentials(value.removeprefix(SECRET)).rstrip(b"\r\n")
                # A 1.6 key is binary, and set as hexadecimal digits (security whitepaper §4.2).
                value = secret.hex() if key.casefold() == "authorizationkey" else secret.decode()
            arguments.append((name, value))
        return replace(ask, arguments=tuple(arguments))

    def close(self, charger: ChargerId, reason: str, refuse_ms: Millis = 0) -> None:
        if refuse_ms:
            self._barred[charger] = self._clock.now().mono_ms + refuse_ms
        link = self._link(charger)
        if link is not None:
            link.end(reason)

    def _is_barred(self, charger: ChargerId) -> bool:
        """It is kept away for a while, to show what it does alone."""
        until_ms = self._barred.get(charger)
        if until_ms is not None and self._clock.now().mono_ms >= until_ms:
            del self._barred[charger]
            return False
        return until_ms is not None

    def _link(self, charger: ChargerId) -> Link | None:
        link = self._links.get(charger.casefold())
        return link if link is not None and not link.is_over() else None

    # --- admission ---------------------------------------------------------------------------------------------------

    async def _admit(self, connection: WatchedConnection, peer: Peer) -> None:
        """Serve one connection that passed the handshake, until it ends."""
        codec = self._codecs.get(connection.subprotocol or self._assumed_version(connection, peer))
        if codec is None:
            # Guessing a version would mean misreading energy; which one it is, is for the charger's settings to say.
            words = f"no common subprotocol: offered {offered_subprotocols(connection)}, served {', '.join(self._codecs)}"
            await self._turn_away(connection, peer, words, CloseCode.PROTOCOL_ERROR)
            return
        if not codec.is_warm:
            await self._warm(codec)
        key = peer.charger.casefold()
        if self._waiting[key] >= WAITING_PER_CHARGER_MAX:
            await self._turn_away(connection, peer, "too many connections with this id", CloseCode.TRY_AGAIN_LATER)
            return
        self._waiting[key] += 1
        try:
            async with self._turns.setdefault(key, asyncio.Lock()):
                refusal = await self._make_way(key, peer)
                link = (
                    None if refusal or connection.is_lost or self._is_stopping else self._open_link(key, peer, connection, codec)
                )
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._turns[key]
        if refusal is not None:
            await self._turn_away(connection, peer, refusal, CloseCode.POLICY_VIOLATION)
        elif link is not None:
            await self._run(key, link)

    async def _warm(self, codec: Codec) -> None:
        """Only what is spoken here is compiled, when the first charger speaks it; all of it takes seconds on a small gateway."""
        if codec.subprotocol not in self._warming:
            self._warming[codec.subprotocol] = asyncio.create_task(
                asyncio.to_thread(codec.warm), name=f"warm-{codec.subprotocol}"
            )
        await asyncio.shield(self._warming[codec.subprotocol])

    def _assumed_version(self, connection: WatchedConnection, peer: Peer) -> str:
        """For a charger that offers nothing, what the site's file says it speaks; never for one that offers something else."""
        if offered_subprotocols(connection) != "none":
            return ""
        access = next((access for access in self._settings.access if access.charger == peer.charger), None)
        return (access.assume_version or "") if access is not None else ""

    async def _make_way(self, key: str, peer: Peer) -> str | None:
        """End an older connection of this id; or say why the newer one has to go.

        Half-open sockets are the usual case: the charger is back and its old socket has not noticed. Refusing would lock it out
        for as long as that takes. Taking over blindly would let anybody displace a charger where no password is asked for.
        """
        if not peer.is_known and sum(not link.peer.is_known for link in self._links.values()) >= UNKNOWN_LINKS_MAX:
            return "too many unknown chargers"
        old = self._links.get(key)
        if old is None or old.is_over():
            return None
        is_alive = await old.is_alive(PROBE_MS)
        if old.is_over():
            return None
        if is_alive:
            self._counters["identity_used_twice"] += 1
            log.warning("identity_used_twice", charger=peer.charger, old_peer=old.peer.address, new_peer=peer.address)
            is_same_place = peer.address == old.peer.address and peer.is_authenticated == old.peer.is_authenticated
            if not peer.is_authenticated and not is_same_place:
                return f"another connection with this id is alive, from {old.peer.address}"
        self._counters["link_taken_over"] += 1
        old.end("replaced by a newer connection", CloseCode.POLICY_VIOLATION)
        if not is_alive:
            old.abort()
        return None

    def _open_link(self, key: str, peer: Peer, connection: WatchedConnection, codec: Codec) -> Link:
        self._link_count += 1
        link = Link(
            self._link_count,
            peer,
            connection,
            codec,
            self._inbox,
            self._clock,
            f"{self._random.getrandbits(32):08x}",
            self._settings.ping_ms,
            self._settings.call_timeout_ms,
            self._counters,
        )
        self._links[key] = link
        self._refusals.pop((key, peer.address), None)
        return link

    async def _run(self, key: str, link: Link) -> None:
        try:
            await link.run()
        except Exception:  # the boundary of one link: it is closed, logged and counted, and the others go on
            self._counters["link_failed"] += 1
            log.exception("link_failed", charger=link.peer.charger, link=link.number)
            link.abort()
        finally:
            if self._links.get(key) is link:
                del self._links[key]

    async def _turn_away(self, connection: WatchedConnection, peer: Peer, words: str, code: CloseCode) -> None:
        self._refuse(peer.charger, peer.address, words)
        await connection.close(code, words[:120])

    def _refuse(self, who: str, address: str, words: str) -> None:
        """Report somebody who was not let in; logged when it is new or for a new reason."""
        self._counters["connection_refused"] += 1
        self._inbox.put(ChargerRefused(ChargerId(who), address, words))
        key = (who.casefold(), address)
        if self._refusals.get(key) != words:
            log.warning("charger_refused", charger=who, peer=address, reason=words)
        self._refusals[key] = words
        self._refusals.move_to_end(key)
        if len(self._refusals) > REFUSALS_REMEMBERED_MAX:
            self._refusals.popitem(last=False)

    # --- listeners ---------------------------------------------------------------------------------------------------

    def _policy_of(self, settings: OcppSettings, known: Iterable[ChargerId]) -> AccessPolicy:
        passwords = {access.charger: access.password for access in settings.access if access.password is not None}
        return AccessPolicy(
            Roster(known),
            settings.unknown_chargers,
            passwords,
            self._credentials,
            self._serial_of,
            self._proven_passwords,
            settings.access,
        )

    async def _opened(self, listeners: Iterable[Listener]) -> list[Door]:
        """All of them, or none and the reason."""
        opened: list[Door] = []
        try:
            for listener in listeners:
                door = Door(
                    listener,
                    lambda: self._policy,
                    frozenset(self._codecs),
                    self._credentials,
                    self._admit,
                    self._refuse,
                    self._site_root,
                    self._is_barred,
                )
                await door.open()
                opened.append(door)
        except (OSError, ValueError):
            await _close_all(opened)
            raise
        return opened


async def _close_all(doors: Sequence[Door]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for door in doors:
            tasks.create_task(door.close(STOP_TIMEOUT_S))
