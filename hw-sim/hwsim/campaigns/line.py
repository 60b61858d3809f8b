"""A charger's link without the socket: the real engine and codec, a clock moved by hand, frames in and frames out as text."""

from __future__ import annotations

from collections import Counter
from typing import cast

from edgectl.domain.events import ChargerConnected
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ocpp.codec import Codec
from edgectl.ocpp.link import Link, Peer, WatchedConnection
from edgectl.ports import Inbox
from hwsim.world.clock import START_UTC_MS

CALL_TIMEOUT_MS: Millis = 15_000
PING_MS: Millis = 30_000


class HandClock:
    """``ports.Clock`` that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = Instant(0, START_UTC_MS)

    def now(self) -> Instant:
        return self._now

    def move(self, by_ms: Millis) -> None:
        self._now = Instant(self._now.mono_ms + by_ms, self._now.utc_ms + by_ms)


class _NoSocket:
    """In place of the connection: keeps what is written to it."""

    close_code = None
    close_reason = None

    def __init__(self) -> None:
        self.written: list[str] = []

    def send_at_once(self, text: str) -> bool:
        self.written.append(text)
        return True


class Line(Link):
    """The life of one connection as ``Link`` lives it, told by hand what its two tasks would notice."""

    def __init__(
        self, number: int, charger: ChargerId, codec: Codec, inbox: Inbox, clock: HandClock, counters: Counter[str]
    ) -> None:
        peer = Peer(charger, is_known=True, password_form=None, address="192.0.2.1", security_profile=0)
        self._socket = _NoSocket()
        connection = cast("WatchedConnection", self._socket)
        super().__init__(number, peer, connection, codec, inbox, clock, f"{number:08x}", PING_MS, CALL_TIMEOUT_MS, counters)
        inbox.put(ChargerConnected(charger, number, codec.subprotocol, peer.address, peer.security_profile))

    @property
    def is_reading(self) -> bool:
        """False while the link would leave the charger's messages where they are."""
        return not self.is_over() and not self._rpc.is_full and self.read_pause_ms() == 0

    def read_pause_ms(self) -> Millis:
        return self._rpc.read_pause_ms(self._clock.now().mono_ms)

    def hear(self, text: str) -> None:
        """One text frame from the charger."""
        self._deliver(self._rpc.receive(text, self._clock.now().mono_ms))
        self._wake_writer()

    def pass_time(self) -> None:
        """The clock was moved: what has waited too long ends, what may go now goes."""
        if not self.is_over():
            self._deliver(self._rpc.on_time(self._clock.now().mono_ms))

    def said(self) -> list[str]:
        """Everything for the charger, in order; each frame once."""
        texts, self._socket.written = self._socket.written, []
        for frame in self._rpc.take_frames():
            texts.append(frame.text)
            settle_ms = self._boot_answers.pop(frame.answers, None) if frame.answers is not None else None
            if settle_ms is not None:
                self._rpc.open_calls_at(self._clock.now().mono_ms + settle_ms)
        return texts

    @property
    def pending_count(self) -> int:
        """Everything that waits in this link: the charger's calls, our own, and what could not be written yet."""
        return len(self._calls) + len(self._errands) + len(self._held_limits) + self._rpc.outgoing_count
