"""The seam between the uplink and an MQTT client: ``paho`` implements it on a network, the simulator in memory.

A transport holds at most one connection and keeps trying to have one, from ``start`` to ``close``, with a random pause between
the attempts. What every implementation keeps to, and the uplink relies on:

- The listener is called on the event loop, and never from inside ``publish`` or ``subscribe``.
- ``on_connected`` and ``on_disconnected`` alternate, except that attempts that fail say ``on_disconnected`` again.
- Between the two, and only there, come ``on_puback`` and ``on_message``; nothing of an older connection arrives later.
- Nothing is kept over a connection: what the broker has not answered when it ends is forgotten here. The disk is the only truth
  about what is owed, and a queue of the client's own would send it twice.
- QoS 1 only: a refused QoS 2 publish is reported as a success by paho, and QoS 0 reports nothing at all.
- Every connection has clean start off, a session that outlives it, and the will set.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

RECEIVE_MAXIMUM_DEFAULT: Final = 65_535
"""What the broker takes unanswered when it does not say (MQTT 5.0 §3.2.2.3.3)."""

SUCCESS: Final = 0x00
NO_SUBSCRIBERS: Final = 0x10
"""Taken by the broker, and thrown away: nobody listens."""
FIRST_FAILURE: Final = 0x80
"""Reason codes from here on mean that it was not done."""
NOT_AUTHORISED: Final = 0x87
PACKET_ID_IN_USE: Final = 0x91
QUOTA_EXCEEDED: Final = 0x97

OVERHEAD_BYTES: Final = 10
"""Of a PUBLISH beside topic and payload: type, length (4), topic length (2), packet id (2), no properties (1)."""


def packet_size(topic_bytes: int, payload_bytes: int, content_type: str | None = None) -> int:
    """The most that a QoS 1 PUBLISH takes on the wire, with no other property than a content type."""
    property_bytes = 0 if content_type is None else 3 + len(content_type)
    return OVERHEAD_BYTES + topic_bytes + payload_bytes + property_bytes


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes in our place when the connection ends without a good-bye. Retained, QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """Something published to us."""

    topic: str
    payload: bytes
    is_retained: bool = False
    """The publisher asked the broker to keep it. Subscriptions are made with *retain as published*, so that this is also true of
    a retained message on its first delivery, not only of its later echoes."""
    response_topic: str | None = None
    correlation_data: bytes | None = None
    content_type: str | None = None
    acknowledge: Callable[[], None] = field(default=lambda: None, compare=False)
    """For a client that acknowledges by hand: the broker need not deliver it again."""


class Listener(Protocol):
    """The uplink as its transport sees it."""

    def on_connected(self, receive_maximum: int, maximum_packet_size: int | None, is_session_present: bool = False) -> None:
        """The broker has let us in.

        ``receive_maximum``: QoS 1 publishes it takes unanswered; more is a protocol error. ``maximum_packet_size``: bytes of a
        whole packet; a larger one makes it close the connection; None when it does not say. ``is_session_present``: it remembers
        us, our subscriptions, and the commands and receipts that waited.
        """

    def on_disconnected(self, reason: str, is_by_broker: bool = True) -> None:
        """A connection has ended, or could not be made; ``reason`` in plain words for a person, without secrets.

        ``is_by_broker``: the other side ended it, in words or by closing the socket. False when we gave up waiting.
        """

    def on_puback(self, token: int, reason_code: int) -> None:
        """The broker has answered the publish ``token``. Only below ``FIRST_FAILURE`` does it mean that it was taken."""

    def on_message(self, message: Message) -> None: ...
    def on_suback(self, topic_filter: str, reason_code: int) -> None:
        """The broker has answered a subscription. Only below ``FIRST_FAILURE`` are messages delivered from now on."""

    def on_credentials(self, problem: str) -> None:
        """Why those on the disk cannot be used, so that the last good ones are; empty when they can. Told when it changes."""


class MqttTransport(Protocol):
    """An MQTT 5 client. See the module for what every implementation keeps to."""

    @property
    def broker(self) -> str:
        """The address that is tried, or held."""

    def start(self, listener: Listener, will: Will, random: random.Random) -> None:
        """Begin to connect, now and after every loss. May be called again after ``close``."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        is_retained: bool = False,
        correlation_data: bytes | None = None,
        content_type: str | None = None,
    ) -> int | None:
        """Send at QoS 1. Returns a token unlike any other still unanswered on this connection.

        Never blocks and never fails: None when the connection is already lost, and ``on_disconnected`` is on its way. The caller
        stays below ``receive_maximum`` and ``maximum_packet_size``, with a valid topic.
        """

    def subscribe(self, topic_filter: str) -> None:
        """At QoS 1, retain as published, retained messages sent. To be repeated on every connection; only a refusal is told."""

    def drop(self, reason: str) -> None:
        """End the connection without a good-bye, so that the will is published. ``on_disconnected`` follows, or has been called
        when this returns; then it connects again. Nothing happens when there is no connection."""

    def look_again(self) -> None:
        """Something may have been mended: look for other credentials, and connect now if that was to wait."""

    async def close(self) -> None:
        """Say good-bye (the will is not published) and let go of everything, within half a second. No callback follows."""
