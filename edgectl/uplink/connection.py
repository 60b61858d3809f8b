"""One connection: the event loop drives paho, and what paho says is told in our words.

The event loop watches the socket and calls paho's ``loop_read``, ``loop_write`` and ``loop_misc``, which do not block. paho's own
network thread is not used, for three reasons found in its 2.2.0 source: it waits with ``select``, which cannot take a file
descriptor above 1,023, and a site with 1,000 chargers has more; an error in a callback ends it while ``is_connected`` stays true;
and it does not say why a connection could not be made.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgectl.uplink.transport import FIRST_FAILURE, RECEIVE_MAXIMUM_DEFAULT, Listener, Message

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S: Final = 25.0
"""For all of it, up to the CONNACK."""
MISC_INTERVAL_S: Final = 1.0
"""How often paho looks at its keep-alive."""
NORMAL: Final = 0x00
WITH_WILL: Final = 0x04
"""DISCONNECT reasons: my will is not needed, or is to be published (MQTT 5.0 §3.14.2.1)."""


class Connection:
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
        client.on_socket_unregister_write = self._onnothing_to_write
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

    def _onnothing_to_write(self, _client: Client, _userdata: object, _socket: object) -> None:
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
            acknowledge=partial(self.acknowledge, client, received.mid) if received.qos else nothing,
        )
        self._tell(lambda listener: listener.on_message(message))

    def _on_subscribe(
        self, _client: Client, _userdata: object, mid: int, reason_codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        topic_filter = self._filters.pop(mid, "")
        for reason_code in reason_codes:
            self._tell(lambda listener, code=reason_code.value: listener.on_suback(topic_filter, code))  # type: ignore[misc]


def nothing(*_: object) -> None:
    """The CONNECT packet waits until the loop has taken over; a message at QoS 0 asks for no answer."""
