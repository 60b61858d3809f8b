"""The transport over a network: paho-mqtt, driven by the event loop.

Only the making of a connection (names, TCP, TLS, all of them blocking in paho) happens in a thread; from then on it is a
``Connection`` of the event loop.

Every connection is a new ``Client``. So paho's queue of unanswered publishes, which it would send again by itself after a
reconnect and before ours, is always empty, and nothing of an old connection can be mistaken for the new one's.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgectl.domain.ids import SiteId
from edgectl.domain.settings import BrokerAddress, CredentialReader, MqttSettings
from edgectl.uplink.access import ClientContext, client_context, failure_words, read_password
from edgectl.uplink.connection import NORMAL, WITH_WILL, Connection, nothing
from edgectl.uplink.keyring import Keyring
from edgectl.uplink.transport import Listener, Will

log = structlog.get_logger(__name__)

SESSION_EXPIRY_S: Final = 24 * 3_600
"""How long the broker keeps commands and receipts for us. No command lives longer, and a lost receipt costs one repeat."""
MAX_INBOUND_BYTES: Final = 128 * 1024
"""Told to the broker as our Maximum Packet Size: twice the largest payload that is read, so that those just above are refused
with a reason, and larger ones never reach the gateway."""
CONNECT_STEP_S: Final = 10.0
"""For TCP and again for TLS; a mobile modem that wakes up takes 3 s."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""Between attempts: doubled from the first to the longest, times 0.5 to 1.5 by chance, so that a fleet does not come back in step
after the broker was away."""
STEADY_S: Final = 10.0
"""A connection that lasted this long was a good one: the next pause is the first again."""
LOOK_INTERVAL_S: Final = 60.0
"""How often it is looked whether the credentials of the connection are still those on the disk."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Who connects, and what it asks of the broker."""

    client_id: str
    """A second client of that name takes the first one's place. Empty: the broker gives one, which needs a clean start."""
    is_clean: bool = False
    """Begin without what the broker kept, and let it keep nothing."""
    max_inbound_bytes: int = MAX_INBOUND_BYTES
    receive_maximum: int | None = None
    """Messages the broker may send before the first is acknowledged; None leaves it to the broker."""
    longest_pause_s: float | None = None
    """Between attempts to connect; None for a gateway's ``LONGEST_PAUSE_S``."""
    acknowledges_itself: bool = True
    """False: a message counts as taken only once its ``acknowledge`` was called."""


class PahoTransport:
    """Implements ``transport.MqttTransport``. It is looked for renewed credentials before each connection and while one lasts, so
    they are used without a restart. A gateway's client id is ``edgectl-{site}``."""

    def __init__(
        self, settings: MqttSettings, site_id: SiteId, credentials: CredentialReader, options: ClientOptions | None = None
    ) -> None:
        self._settings = settings
        self._options = options or ClientOptions(f"edgectl-{site_id}")
        self._keyring = Keyring(settings, credentials)
        self._told_problem: str | None = None
        self._listener: Listener | None = None
        self._will: Will | None = None
        self._random: random.Random | None = None
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure_count = 0
        self._place = 0
        """In ``settings.brokers``: which one is tried, or held."""
        self._look: asyncio.TimerHandle | None = None
        self._began_s = 0.0

    @property
    def broker(self) -> str:
        return str(self._broker)

    @property
    def _broker(self) -> BrokerAddress:
        return self._settings.brokers[self._place % len(self._settings.brokers)]

    def start(self, listener: Listener, will: Will | None, random: random.Random) -> None:
        self._listener, self._will, self._random = listener, will, random
        self._failure_count = 0
        if self._connection is None and self._timer is None:
            self._connect()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        is_retained: bool = False,
        correlation_data: bytes | None = None,
        response_topic: str | None = None,
        content_type: str | None = None,
    ) -> int | None:
        if self._connection is None:
            return None
        properties = {"CorrelationData": correlation_data, "ResponseTopic": response_topic, "ContentType": content_type}
        return self._connection.publish(topic, payload, is_retained, properties)

    def subscribe(self, topic_filter: str) -> None:
        if self._connection is not None:
            self._connection.subscribe(topic_filter)

    def drop(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.leave(WITH_WILL)
            self._connection.end(reason, is_by_broker=False)

    def look_again(self) -> None:
        if self._listener is None:
            return
        self._look_at_credentials()
        if self._timer is not None:
            self._timer.cancel()
            self._connect()

    async def close(self) -> None:
        self._listener = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._look is not None:
            self._look.cancel()
        if self._connection is not None:
            self._connection.leave(NORMAL)
            self._connection.end("closed", is_by_broker=False)

    # --- attempts -----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._began_s = loop.time()
        self._timer = None
        if self._thread is not None and self._thread.is_alive():
            # A name server that does not answer holds a thread for a minute; a second one would only wait beside it.
            self._try_again()
            return
        connection = Connection(self._say, self._on_ended)
        self._connection = connection
        self._keyring.look()
        self._tell_problem()
        self._thread = threading.Thread(target=self._make, args=(connection, self._broker), name="mqtt-connect", daemon=True)
        self._thread.start()
        if self._look is not None:
            self._look.cancel()
        self._look = loop.call_later(LOOK_INTERVAL_S, self._look_at_credentials)

    def _look_at_credentials(self) -> None:
        """A renewed certificate is used before the old one ends, without a restart."""
        if self._look is not None:
            self._look.cancel()
        self._look = asyncio.get_running_loop().call_later(LOOK_INTERVAL_S, self._look_at_credentials)
        is_news = self._keyring.look()
        self._tell_problem()
        if self._connection is not None and is_news:
            log.info("uplink_credentials_renewed")
            self.drop("its credentials were renewed")

    def _tell_problem(self) -> None:
        """Where none are good, the attempt itself says why."""
        problem = self._keyring.problem if self._keyring.is_falling_back else ""
        if problem == self._told_problem or self._listener is None:
            return
        self._told_problem = problem
        if problem:
            log.warning("uplink_credentials_unusable", reason=problem)
        self._listener.on_credentials(problem)

    def _say(self, say: Callable[[Listener], None]) -> None:
        if self._listener is not None:
            say(self._listener)

    def _on_ended(self, reason: str, is_by_broker: bool) -> None:
        self._connection = None
        if self._listener is not None:
            self._try_again()
            self._listener.on_disconnected(reason, is_by_broker)

    def _try_again(self) -> None:
        if self._random is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() - self._began_s >= STEADY_S:
            self._failure_count = 0
            self._place = 0
        else:
            self._place += 1
        longest_s = self._options.longest_pause_s or LONGEST_PAUSE_S
        pause_s = min(longest_s, FIRST_PAUSE_S * 2 ** min(self._failure_count, 10)) * self._random.uniform(0.5, 1.5)
        self._failure_count += 1
        self._timer = loop.call_later(pause_s, self._connect)

    # --- in the connecting thread -------------------------------------------------------------------------------------

    def _make(self, connection: Connection, broker: BrokerAddress) -> None:
        context: ClientContext | None = None
        try:
            client = self._make_client()
            if broker.is_tls:
                context = client_context(self._settings, self._keyring.read)
                client.tls_set_context(context)
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
            properties.SessionExpiryInterval = 0 if self._options.is_clean else SESSION_EXPIRY_S
            properties.MaximumPacketSize = self._options.max_inbound_bytes
            if self._options.receive_maximum is not None:
                properties.ReceiveMaximum = self._options.receive_maximum
            client.connect(
                broker.host,
                broker.port,
                keepalive=self._settings.keepalive_s,
                clean_start=self._options.is_clean,
                properties=properties,
            )
        except (OSError, ValueError, KeyError) as error:
            if context is not None:
                context.close_wrapped()
            connection.call_from_thread(connection.end, failure_words(error), False)
        except Exception:  # the thread's own boundary: whatever it is, the loop has to hear that the attempt is over
            log.exception("uplink_connect_failed")
            connection.call_from_thread(connection.end, "an internal error, see the log", False)
        else:
            if context is not None:
                context.wrapped = None  # from here on it is the client's
            connection.call_from_thread(connection.begin, client)

    def _make_client(self) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=not self._options.acknowledges_itself,
        )
        client.connect_timeout = CONNECT_STEP_S
        client.max_inflight_messages = 0  # no bound of paho's: the window is ours
        client.on_socket_register_write = nothing  # without one, paho would write from within ``publish``
        if settings.username is not None or settings.password is not None:
            client.username_pw_set(settings.username, read_password(settings, self._keyring.read))
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        return client
