"""One connected charger: a task that reads, a task that writes, and the engine between them.

The reader never waits for an answer and the writer never waits for a message, so a handler may call the charger at any time and
one slow charger holds up nobody else. All deadlines of the link live in the writer, the only one that sleeps.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from edgectl.domain.decisions import Ask, BootAnswer, InstallFallback, Reply, SetLimit
from edgectl.domain.events import (
    Call,
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    Event,
    InputRefused,
    LimitAnswered,
    Outcome,
    RequestAnswered,
)
from edgectl.domain.ids import ChargerId
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.ocpp.codec import BadRequestError, Codec, DecodeProblem
from edgectl.ocpp.credentials import PasswordForm
from edgectl.ocpp.rpc import CallEnded, CallReceived, Ending, FrameRefused, Happening, OutgoingFrame, OwnCall, Rpc
from edgectl.ports import Clock, Inbox

log = structlog.get_logger(__name__)

BOOT_WAIT_MS = 10_000
"""A known charger that has sent no BootNotification by then will not send one: it only reconnected, or never does."""
SETTLE_MS = 2_000
"""Before our first call to a charger that goes on without booting; after a boot its answer says how long."""
WRITE_TIMEOUT_S = 10.0
"""A peer that takes no byte for so long is gone or broken; its socket is dropped."""
CLOSE_TIMEOUT_S = 1.2
"""For the closing handshake; the whole server stops within two seconds."""
SILENCE_GRACE_MS = 10_000
"""A link is dead after two ping intervals and this without a single byte; one lost ping proves nothing."""
UNWRITTEN_FRAMES_MAX = 1_024
"""Frames waiting to be written. Reading is bounded too, so only a peer that does not read gets here."""
_DEVIATIONS_LOGGED_MAX = 20
"""Per link: one line per action, and there are not more actions than this in 1.6."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as established by the opening handshake."""

    charger: ChargerId
    is_known: bool
    password_form: PasswordForm | None
    """How the password was shown; None when none was asked for."""
    address: str
    security_profile: int
    has_certificate: bool = False
    """A client certificate in this charger's name was verified."""

    @property
    def is_authenticated(self) -> bool:
        return self.has_certificate or self.password_form is not None


class WatchedConnection(ServerConnection):
    """A connection that remembers when it last received anything; some chargers ignore pings but talk all the time."""

    heard_loop_s: float = 0.0
    is_lost: bool = False
    peer: Peer | None = None
    """Set once the handshake has established who this is."""

    def __init__(self, *arguments: Any, siblings: set[WatchedConnection], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.on_lost: list[Callable[[], None]] = []
        self._siblings = siblings  # the open connections of our listener, kept up to date here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard_loop_s = self.loop.time()
        self._siblings.add(self)
        super().connection_made(transport)

    def send_at_once(self, text: str) -> bool:
        """Hand a text to the socket without waiting. False: it has to wait its turn."""
        if self.paused or self.protocol.state is not State.OPEN:
            return False
        self.protocol.send_text(text.encode())
        self.send_data()
        return True

    def data_received(self, data: bytes) -> None:
        self.heard_loop_s = self.loop.time()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_lost = True
        self._siblings.discard(self)
        for callback in self.on_lost:
            callback()


@dataclass(slots=True)
class _Errand:
    """An order of the core and its calls; reported when the last of them has ended."""

    calls: Sequence[OwnCall]
    report: Callable[[list[CallEnded]], Event]
    ended: dict[OwnCall, CallEnded] = field(default_factory=dict)


class Link:
    """The life of one connection, from ``run`` to ``end``. All methods but ``run`` and ``is_alive`` return at once."""

    def __init__(
        self,
        number: int,
        peer: Peer,
        connection: WatchedConnection,
        codec: Codec,
        inbox: Inbox,
        clock: Clock,
        id_prefix: str,
        ping_ms: Millis,
        call_timeout_ms: Millis,
        counters: Counter[str],
    ) -> None:
        self.number = number
        self.peer = peer
        self._end_reason: str | None = None
        self._connection = connection
        self._codec = codec
        self._inbox = inbox
        self._clock = clock
        self._counters = counters
        self._ping_ms = ping_ms
        self._ping_count = 0
        self._close_code = CloseCode.NORMAL_CLOSURE
        self._connected_mono_ms = clock.now().mono_ms
        self._rpc = Rpc(codec.dialect, codec.never_refused, id_prefix, call_timeout_ms, self._connected_mono_ms, counters)
        self._calls: dict[Call, int] = {}
        self._boot_answers: dict[int, Millis] = {}
        """Answers to a boot that are not on the wire yet, and how long after them we keep quiet."""
        self._held_limits: dict[int, SetLimit] = {}
        self._errands: dict[OwnCall, _Errand] = {}
        self._deviations: set[str] = set()
        self._has_reported_refusal = False
        self._has_talked = False
        self._to_write = asyncio.Event()
        self._is_writing = False
        self._room = asyncio.Event()
        if peer.is_known:
            self._rpc.open_calls_at(self._connected_mono_ms + BOOT_WAIT_MS)

    # --- life --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until either side ends the connection. Raises what is our own mistake, after the link has ended."""
        peer = self.peer
        self._connection.on_lost.append(self._on_lost)
        self._inbox.put(ChargerConnected(peer.charger, self.number, self._codec.subprotocol, peer.address, peer.security_profile))
        log.info(
            "charger_connected",
            charger=peer.charger,
            link=self.number,
            peer=peer.address,
            protocol=self._codec.subprotocol,
            security_profile=peer.security_profile,
            password_form=peer.password_form,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write())
                await self._read()
                if not self.is_over():
                    self.end(self._closed_words())
                self._to_write.set()
                await writer
        except BaseException:
            self.end("an error of ours", CloseCode.INTERNAL_ERROR)
            raise

    def is_over(self) -> bool:
        """True from the moment the link has ended, even while its socket still closes."""
        return self._end_reason is not None

    def end(self, reason: str, code: CloseCode = CloseCode.NORMAL_CLOSURE) -> None:
        """The link is over from here on: everybody who waits is told now, the socket closes as soon as it can."""
        if self.is_over():
            return
        self._end_reason = reason
        self._close_code = code
        self._deliver(self._rpc.end())
        for order in self._held_limits.values():
            evse = order.evse
            self._inbox.put(LimitAnswered(evse.charger, evse.number, order.order_number, Outcome.DISCONNECTED))
        self._held_limits.clear()
        self._calls.clear()
        self._inbox.put(ChargerDisconnected(self.peer.charger, self.number, reason))
        log.info("charger_disconnected", charger=self.peer.charger, link=self.number, reason=reason)
        self._to_write.set()
        self._room.set()

    def abort(self) -> None:
        """Drop the socket without a closing handshake."""
        self._connection.transport.abort()

    async def is_alive(self, timeout_ms: Millis) -> bool:
        """Whether the other end shows any sign of life within the time: a pong, or anything else."""
        heard_before_s = self._connection.heard_loop_s
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                pong = await self._connection.ping(self._ping_payload())
                await pong
        except (TimeoutError, ConnectionClosed):
            return not self._connection.is_lost and self._connection.heard_loop_s > heard_before_s
        return True

    def _on_lost(self) -> None:
        if not self.is_over():
            self.end(self._closed_words())

    def _closed_words(self) -> str:
        code, reason = self._connection.close_code, self._connection.close_reason
        if code in {None, CloseCode.ABNORMAL_CLOSURE}:
            return "connection lost"
        return f"closed with {code}" + (f": {reason[:80]}" if reason else "")

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while not self.is_over():
            pause_ms = self._rpc.read_pause_ms(self._clock.now().mono_ms)
            if pause_ms > 0 or self._rpc.is_full:
                await self._wait_for_room(pause_ms)
                continue
            try:
                message = await self._connection.recv()
            except ConnectionClosed:
                return
            if self.is_over():
                return
            if isinstance(message, bytes):
                self._counters["frame_binary"] += 1
                self.end("sent a binary frame", CloseCode.UNSUPPORTED_DATA)
                return
            now = self._clock.now()
            happenings = self._rpc.receive(message, now.mono_ms)
            self._deliver(happenings)
            if self._rpc.outgoing_count or not (happenings and isinstance(happenings[0], CallReceived)):
                self._wake_writer()  # a call of theirs alone is no news for the writer; its answer will be

    async def _wait_for_room(self, pause_ms: Millis) -> None:
        """Until the pause is over or an answer has gone out; the charger's messages wait in its own queue meanwhile."""
        self._room.clear()
        try:
            async with asyncio.timeout((pause_ms + 1) / 1000 if pause_ms else None):
                await self._room.wait()
        except TimeoutError:
            pass

    def _deliver(self, happenings: Sequence[Happening]) -> None:
        for happening in happenings:
            match happening:
                case CallReceived():
                    self._on_call(happening)
                case CallEnded():
                    self._on_own_call_ended(happening)
                case FrameRefused():
                    self._on_frame_refused(happening)

    def _on_call(self, received: CallReceived) -> None:
        call = Call(self.peer.charger, self.number, received.message_id, received.action, received.text)
        event = self._codec.decode(call, received.payload)
        if isinstance(event, DecodeProblem):
            self._note_deviation(received.action, event.reason)
            if received.number is not None:
                self._rpc.refuse(received.number, event.fault, event.reason)
            return
        deviation = next(iter(received.repairs), None) or self._codec.deviation(received.action, received.payload)
        if deviation is not None:
            self._note_deviation(received.action, deviation)
        if received.number is not None:
            self._calls[call] = received.number
        if isinstance(event, ChargerBooted):
            self._rpc.open_calls_at(None)
            self._has_talked = True
        elif self.peer.is_known and not self._has_talked:
            # It goes on without booting: it has only reconnected, and need not be waited for.
            self._has_talked = True
            self._to_write.set()
            self._rpc.open_calls_at(min(self._connected_mono_ms + BOOT_WAIT_MS, self._clock.now().mono_ms + SETTLE_MS))
        self._inbox.put(event)

    def _on_frame_refused(self, refused: FrameRefused) -> None:
        if not self._has_reported_refusal:  # once per link: the counter tells how many
            self._has_reported_refusal = True
            self._inbox.put(InputRefused("ocpp", f"{self.peer.charger}: {refused.reason}"))

    def _note_deviation(self, action: str, words: str) -> None:
        self._counters["message_deviates"] += 1
        if action in self._deviations or len(self._deviations) >= _DEVIATIONS_LOGGED_MAX:
            return
        self._deviations.add(action)
        log.warning("charger_deviates", charger=self.peer.charger, action=action[:50], problem=words)

    # --- what the runtime wants --------------------------------------------------------------------------------------

    def reply(self, reply: Reply, now: Instant) -> None:
        """Answer a call of this link; answering twice is counted and goes nowhere."""
        number = self._calls.pop(reply.call, None)
        if number is None:
            self._counters["reply_without_call"] += 1
            return
        payload = self._codec.encode_answer(reply.answer, reply.call, now)
        if isinstance(reply.answer, BootAnswer) and (reply.answer.is_accepted or reply.answer.is_configuring):
            self._boot_answers[number] = reply.answer.settle_ms
        self._rpc.answer(number, payload)
        self._room.set()
        self._wake_writer()
        for order in [order for order in self._held_limits.values() if not self._awaits_its_name(order)]:
            del self._held_limits[order.evse.number]
            self.set_limit(order, now)

    def set_limit(self, order: SetLimit, now: Instant) -> None:
        if self._awaits_its_name(order):
            # The charger would refuse a limit for a transaction whose id is still in our unsent answer; it is at its fallback.
            older = self._held_limits.pop(order.evse.number, None)
            self._held_limits[order.evse.number] = order
            if older is not None:
                self._inbox.put(LimitAnswered(older.evse.charger, older.evse.number, older.order_number, Outcome.SUPERSEDED))
            return
        self._send(self._codec.limit_calls(order, now), lambda ended: self._codec.limit_answered(order, ended), now)

    def _awaits_its_name(self, order: SetLimit) -> bool:
        """The start of the transaction this limit is for is not answered yet, where it is we who name transactions."""
        action = self._codec.naming_action
        return order.transaction is not None and action is not None and any(call.action == action for call in self._calls)

    def install_fallback(self, order: InstallFallback, now: Instant) -> None:
        self._send(self._codec.fallback_calls(order, now), lambda ended: self._codec.fallback_answered(order, ended), now)

    def ask(self, ask: Ask, now: Instant) -> None:
        try:
            calls = self._codec.request_calls(ask, now)
        except BadRequestError as problem:
            self._inbox.put(RequestAnswered(ask.charger, ask.ask_id, problem.outcome, detail=(("problem", str(problem)),)))
            return
        self._send(calls, lambda ended: self._codec.request_answered(ask, ended), now)

    def _send(self, calls: Sequence[OwnCall], report: Callable[[list[CallEnded]], Event], now: Instant) -> None:
        errand = _Errand(calls, report)
        for call in calls:
            self._errands[call] = errand
        for call in calls:
            problem = self._codec.own_call_problem(call)
            if problem is not None:
                self._counters["own_call_invalid"] += 1
                log.error("own_call_invalid", charger=self.peer.charger, action=call.action, problem=problem)
                self._deliver([CallEnded(call, Ending.NOT_SENT, {}, description=problem)])
            elif self.is_over():
                self._deliver([CallEnded(call, Ending.DISCONNECTED, {})])
            else:
                self._deliver(self._rpc.request(call, now.mono_ms))
        self._wake_writer()

    def _on_own_call_ended(self, ended: CallEnded) -> None:
        errand = self._errands.pop(ended.call)
        errand.ended[ended.call] = ended
        if len(errand.ended) == len(errand.calls):
            self._inbox.put(errand.report([errand.ended[call] for call in errand.calls]))

    # --- writing -----------------------------------------------------------------------------------------------------

    def _wake_writer(self) -> None:
        if self._rpc.outgoing_count > UNWRITTEN_FRAMES_MAX:
            self.end("does not read", CloseCode.POLICY_VIOLATION)
        if self._is_writing or not self._has_answered_at_once():
            self._to_write.set()

    def _has_answered_at_once(self) -> bool:
        """One answer and nothing else to write, which is the rule: the writer need not wake for it."""
        frame = self._rpc.only_answer
        if frame is None or frame.answers in self._boot_answers or self.is_over():
            return False
        if not self._connection.send_at_once(frame.text):
            return False
        self._rpc.take_frames()
        return True

    async def _write(self) -> None:
        next_ping_mono_ms = self._connected_mono_ms + self._ping_ms
        while not self.is_over():
            self._to_write.clear()
            now_ms = self._clock.now().mono_ms
            self._deliver(self._rpc.on_time(now_ms))
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await self._write_frames()
                    if now_ms >= next_ping_mono_ms:
                        await self._connection.ping(self._ping_payload())
                        next_ping_mono_ms = now_ms + self._ping_ms
            except TimeoutError:
                self._counters["write_stalled"] += 1
                self.end("does not read", CloseCode.POLICY_VIOLATION)
                self.abort()
                return
            except ConnectionClosed:
                break
            if self._silence_ms() > 2 * self._ping_ms + SILENCE_GRACE_MS:
                self._counters["link_silent"] += 1
                self.end("silent for more than two pings")
                break
            await self._sleep_until(min(next_ping_mono_ms, self._rpc.next_deadline_ms() or next_ping_mono_ms))
        await self._close()

    async def _write_frames(self) -> None:
        self._is_writing = True
        try:
            await self._write_each(self._rpc.take_frames())
        finally:
            self._is_writing = False

    async def _write_each(self, frames: Sequence[OutgoingFrame]) -> None:
        for frame in frames:
            await self._connection.send(frame.text)
            settle_ms = self._boot_answers.pop(frame.answers, None) if frame.answers is not None else None
            if settle_ms is not None:
                self._rpc.open_calls_at(self._clock.now().mono_ms + settle_ms)

    async def _sleep_until(self, mono_ms: Millis) -> None:
        """Until there is something to write, or the moment has come."""
        if self._rpc.outgoing_count:
            return
        wait_ms = max(0, mono_ms - self._clock.now().mono_ms)
        try:
            # One more millisecond, because the clock's milliseconds are cut off and a timer may come that much too early.
            async with asyncio.timeout((wait_ms + 1) / 1000):
                await self._to_write.wait()
        except TimeoutError:
            pass

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connection.close(self._close_code, (self._end_reason or "")[:120])
        except TimeoutError:
            self.abort()

    def _silence_ms(self) -> Millis:
        return round((asyncio.get_running_loop().time() - self._connection.heard_loop_s) * 1000)

    def _ping_payload(self) -> bytes:
        # Counted, not random, so that a simulated run repeats exactly.
        self._ping_count += 1
        return self._ping_count.to_bytes(4)
