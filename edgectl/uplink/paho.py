"""The transport over a network: paho-mqtt, driven by the event loop.

Only the making of a connection (names, TCP, TLS, all of them blocking in paho) happens in a thread. From then on the event loop
watches the socket and calls paho's ``loop_read``, ``loop_write`` and ``loop_misc``, which do not block. paho's own network thread
is not used, for three reasons found in its 2.2.0 source: it waits with ``select``, which cannot take a file descriptor above
1,023, and a site with 1,000 chargers has more; an error in a callback ends it while ``is_connected`` stays true; and it does not
say why a connection could not be made.

Every connection is a new ``Client``. So paho's queue of unanswered publishes, which it would send again by itself after a
reconnect and before ours, is always empty, and nothing of an old connection can be mistaken for the new one's.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgectl.domain.ids import SiteId
from edgectl.domain.settings import BrokerAddress, CredentialReader, MqttSettings
from edgectl.uplink.access import ClientContext, client_context, failure_words, read_password
from edgectl.uplink.transport import (
    FIRST_FAILURE,
    RECEIVE_MAXIMUM_DEFAULT,
    Listener,
    Message,
    Will,
)

log = structlog.get_logger(__name__)

SESSION_EXPIRY_S: Final = 24 * 3_600
"""How long the broker keeps commands and receipts for us. No command lives longer, and a lost receipt costs one repeat."""
MAX_INBOUND_BYTES: Final = 128 * 1024
"""Told to the broker as our Maximum Packet Size: twice the largest payload that is read, so that those just above are refused
with a reason, and larger ones never reach the gateway."""
CONNECT_STEP_S: Final = 10.0
"""For TCP and again for TLS; a mobile modem that wakes up takes 3 s."""
CONNECT_TIMEOUT_S: Final = 25.0
"""For all of it, up to the CONNACK."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""Between attempts: doubled from the first to the longest, times 0.5 to 1.5 by chance, so that a fleet does not come back in step
after the broker was away."""
STEADY_S: Final = 10.0
"""A connection that lasted this long was a good one: the next pause is the first again."""
LOOK_INTERVAL_S: Final = 60.0
"""How often it is looked whether the credentials of the connection are still those on the disk."""
MISC_INTERVAL_S: Final = 1.0
"""How often paho looks at its keep-alive."""
NORMAL: Final = 0x00
WITH_WILL: Final = 0x04
"""DISCONNECT reasons: my will is not needed, or is to be published (MQTT 5.0 §3.14.2.1)."""


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
    """Implements ``transport.MqttTransport``. Credentials are read anew for each connection, so a renewed certificate is used
    without a restart. A gateway's client id is ``edgectl-{site}``."""

    def __init__(
        self, settings: MqttSettings, site_id: SiteId, credentials: CredentialReader, options: ClientOptions | None = None
    ) -> None:
        self._settings = settings
        self._options = options or ClientOptions(f"edgectl-{site_id}")
        self._credentials = credentials
        self._listener: Listener | None = None
        self._will: Will | None = None
        self._random: random.Random | None = None
        self._connection: _Connection | None = None
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure_count = 0
        self._place = 0
        """In ``settings.brokers``: which one is tried, or held."""
        self._made_with: tuple[bytes, ...] = ()
        """The credentials of this connection."""
        self._look: asyncio.TimerHandle | None = None
        self._began_s = 0.0

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
        connection = _Connection(self._say, self._on_ended)
        self._connection = connection
        self._made_with = self._read_credentials()
        brokers = self._settings.brokers
        broker = brokers[self._place % len(brokers)]
        self._thread = threading.Thread(target=self._make, args=(connection, broker), name="mqtt-connect", daemon=True)
        self._thread.start()
        if self._look is not None:
            self._look.cancel()
        self._look = loop.call_later(LOOK_INTERVAL_S, self._look_at_credentials)

    def _look_at_credentials(self) -> None:
        """A renewed certificate is used before the old one ends, without a restart."""
        self._look = asyncio.get_running_loop().call_later(LOOK_INTERVAL_S, self._look_at_credentials)
        if self._connection is not None and self._read_credentials() != self._made_with:
            log.info("uplink_credentials_renewed")
            self.drop("its credentials were renewed")

    def _read_credentials(self) -> tuple[bytes, ...]:
        names = (self._settings.client_certificate, self._settings.ca_certificate, self._settings.password)
        try:
            return tuple(self._credentials(name) for name in names if name is not None)
        except KeyError:
            return ()  # the attempt says which is missing

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

    def _make(self, connection: _Connection, broker: BrokerAddress) -> None:
        context: ClientContext | None = None
        try:
            client = self._make_client()
            if broker.is_tls:
                context = client_context(self._settings, self._credentials)
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
        client.on_socket_register_write = _nothing  # without one, paho would write from within ``publish``
        if settings.username is not None or settings.password is not None:
            client.username_pw_set(settings.username, read_password(settings, self._credentials))
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        return client


class _Connection:
    """One attempt and, if it succeeds, one connection; all on the event loop but ``call_from_thread``.

    ``say`` and ``on_ended`` are called through ``call_soon``, in order: paho's callbacks come from within its own bookkeeping.
    """

    def __init__(self, say: Callable[[Callable[[Listener], None]], None], on_ended: Callable[[str, bool], None]) -> None:
        self._say = say
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._socket_fd = -1
        self._misc: asyncio.TimerHandle | None = None
        self._timeout = self._loop.call_later(CONNECT_TIMEOUT_S, self._on_connect_timeout)
        self._is_connected = False
        self._has_ended = False
        self._refusal = ""
        self._filters: dict[int, str] = {}

    def call_from_thread(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed; nobody is there to be told
            return

    def begin(self, client: Client) -> None:
        """The socket is open and the CONNECT packet is in paho's queue."""
        sock = client.socket()
        if sock is None or self._has_ended:  # given up meanwhile; the client closes its socket when it is let go
            self.end("the connection was lost at once", is_by_broker=False)
            return
        self._client, self._socket_fd = client, sock.fileno()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_nothing_to_write
        self._loop.add_reader(self._socket_fd, self._on_readable)
        self._loop.add_writer(self._socket_fd, self._on_writable)
        self._misc = self._loop.call_later(MISC_INTERVAL_S, self._on_time)

    def publish(self, topic: str, payload: bytes, is_retained: bool, properties: Mapping[str, bytes | str | None]) -> int | None:
        if self._client is None or not self._is_connected:
            return None
        given = {name: value for name, value in properties.items() if value is not None}
        sent: Properties | None = None
        if given:
            sent = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own
            for name, value in given.items():
                setattr(sent, name, value)
        return self._client.publish(topic, payload, qos=1, retain=is_retained, properties=sent).mid

    def subscribe(self, topic_filter: str) -> None:
        options = SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE)
        if self._client is not None:
            _, mid = self._client.subscribe(topic_filter, options=options)
            if mid is not None:
                self._filters[mid] = topic_filter

    def acknowledge(self, client: Client, packet_id: int) -> None:
        """The message is taken. One of an ended connection is not the broker's to hear of: it sends it again."""
        if client is self._client:
            client.ack(packet_id, qos=1)

    def leave(self, reason_code: int) -> None:
        """Put a DISCONNECT on the wire if the socket takes it now; a dead one that does not is not waited for."""
        client = self._client
        if client is not None and self._is_connected:
            client.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, identifier=reason_code))
            self._drive(client.loop_write)

    def end(self, reason: str, is_by_broker: bool) -> None:
        """Close the socket and say so, once."""
        if self._has_ended:
            return
        self._has_ended = True
        self._timeout.cancel()
        if self._misc is not None:
            self._misc.cancel()
        client, self._client = self._client, None
        sock = client.socket() if client is not None else None
        if sock is not None:
            self._unwatch()
            sock.close()
        self._loop.call_soon(self._on_ended, reason, is_by_broker)

    def _on_connect_timeout(self) -> None:
        self.end("the broker does not answer", is_by_broker=False)

    # --- the event loop drives paho -----------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        client = self._client
        if client is None:
            return
        self._drive(client.loop_read)
        sock = client.socket()
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            # What TLS has decrypted already makes no socket readable.
            self._loop.call_soon(self._on_readable)

    def _on_writable(self) -> None:
        if self._client is not None:
            self._drive(self._client.loop_write)

    def _on_time(self) -> None:
        if self._client is not None:
            self._misc = self._loop.call_later(MISC_INTERVAL_S, self._on_time)
            self._drive(self._client.loop_misc)

    def _drive(self, step: Callable[[], object]) -> None:
        """One step of paho. What it makes of bytes that are no MQTT ends the connection, not the daemon."""
        try:
            step()
        except Exception:
            log.exception("uplink_protocol_error")
            self.end("the broker sent something that is not MQTT", is_by_broker=True)

    def _on_want_write(self, _client: Client, _userdata: object, _socket: object) -> None:
        if self._socket_fd >= 0:
            self._loop.add_writer(self._socket_fd, self._on_writable)

    def _on_nothing_to_write(self, _client: Client, _userdata: object, _socket: object) -> None:
        if self._socket_fd >= 0:
            self._loop.remove_writer(self._socket_fd)

    def _on_socket_close(self, _client: Client, _userdata: object, _socket: object) -> None:
        self._unwatch()

    def _unwatch(self) -> None:
        """Before the socket is closed, and only then: the number is soon another socket's."""
        if self._socket_fd >= 0:
            self._loop.remove_reader(self._socket_fd)
            self._loop.remove_writer(self._socket_fd)
            self._socket_fd = -1

    # --- what paho says -----------------------------------------------------------------------------------------------

    def _tell(self, say: Callable[[Listener], None]) -> None:
        self._loop.call_soon(self._say_if_alive, say)

    def _say_if_alive(self, say: Callable[[Listener], None]) -> None:
        if not self._has_ended:
            self._say(say)

    def _on_connect(
        self, _client: Client, _userdata: object, flags: ConnectFlags, reason_code: ReasonCode, properties: Properties | None
    ) -> None:
        if reason_code.value >= FIRST_FAILURE:
            self._refusal = f"the broker refused the connection: {reason_code}"
            return
        self._is_connected = True
        self._timeout.cancel()
        receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT)
        maximum_packet_size = getattr(properties, "MaximumPacketSize", None)
        is_session_present = flags.session_present
        self._tell(lambda listener: listener.on_connected(receive_maximum, maximum_packet_size, is_session_present))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        is_timeout = reason_code.getName() == "Keep alive timeout" and not flags.is_disconnect_packet_from_server
        if flags.is_disconnect_packet_from_server:
            words = f"the broker disconnected us: {reason_code}"
        elif is_timeout:
            words = "the broker no longer answers"
        else:
            words = self._refusal or "the connection was closed"
        self._loop.call_soon(self.end, words, self._is_connected and not is_timeout)

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, reason_code: ReasonCode, _properties: Properties | None
    ) -> None:
        code = reason_code.value
        self._tell(lambda listener: listener.on_puback(mid, code))

    def _on_message(self, client: Client, _userdata: object, received: MQTTMessage) -> None:
        try:
            topic = received.topic
        except UnicodeDecodeError:
            topic = ""
        message = Message(
            topic=topic,
            payload=bytes(received.payload),
            is_retained=received.retain,
            response_topic=getattr(received.properties, "ResponseTopic", None),
            correlation_data=getattr(received.properties, "CorrelationData", None),
            content_type=getattr(received.properties, "ContentType", None),
            acknowledge=partial(self.acknowledge, client, received.mid) if received.qos else _nothing,
        )
        self._tell(lambda listener: listener.on_message(message))

    def _on_subscribe(
        self, _client: Client, _userdata: object, mid: int, reason_codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        topic_filter = self._filters.pop(mid, "")
        for reason_code in reason_codes:
            if reason_code.value >= FIRST_FAILURE:
                code = reason_code.value
                self._tell(lambda listener, code=code: listener.on_subscribe_refused(topic_filter, code))  # type: ignore[misc]


def _nothing(*_: object) -> None:
    """The CONNECT packet waits until the loop has taken over; a message at QoS 0 asks for no answer."""
