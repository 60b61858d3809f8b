"""The asyncio shell: one pump that moves rows from the outbox to the broker and what comes back into the inbox.

``window`` says what to send, ``live`` holds what need not last, ``desk`` asks the outbox, ``codec`` and ``commands`` read what
arrives. Here is only the connection's life, and who is told of what.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import structlog

from edgectl.domain.decisions import PublishState
from edgectl.domain.events import AccessChecked, CredentialsChecked, InputRefused, PublishRefused, UplinkChanged
from edgectl.domain.ids import SiteId
from edgectl.domain.settings import ClockNeed, MqttSettings
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis
from edgectl.ports import Actions, Clock, CommandBook, Inbox, Outbox, OutboxRow
from edgectl.uplink.acl import AccessTest
from edgectl.uplink.clock import CommandClock
from edgectl.uplink.codec import encode, parse_receipt, refused, shown, status_payload
from edgectl.uplink.commands import Answer, CommandDoor
from edgectl.uplink.desk import OutboxDesk
from edgectl.uplink.execution import Execution
from edgectl.uplink.live import LiveMessage, LiveMessages
from edgectl.uplink.packing import Packing, content_type_of
from edgectl.uplink.signatures import Authority
from edgectl.uplink.topics import Door, Topics
from edgectl.uplink.transport import FIRST_FAILURE, Message, MqttTransport, Will
from edgectl.uplink.window import Park, Send, SendWindow, line_count, reason_words

log = structlog.get_logger(__name__)

STATUS_INTERVAL_MS: Final[Millis] = 60_000
"""The retained status is told again when its backlog has changed, at most this often."""
GOODBYE_MS: Final[Millis] = 1_000
"""How long a stop waits for the broker's answer to ``offline``. The whole stop takes less than two seconds."""

REASONS_LOGGED: Final = 10
"""Of one outage, each once: why it was lost is often not what keeps it from coming back."""

REFUSALS_PER_SECOND: Final = 20
"""``InputRefused`` events: enough for a person to see what is wrong, too few for a flood to reach the control loop. Every
refusal is counted."""
RECEIPTS_PER_SECOND: Final = 1_000
"""Beside one for each row that was sent, however fast: a dropped receipt costs its record a repeat after the timeout, and the
line behind it waits. More than that is a backend that repeats itself."""
RECEIPTS_EARNED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """How the uplink is doing, for the CLI and the page. Ages are None while the thing has not happened."""

    is_configured: bool
    is_connected: bool
    since_utc_ms: UtcMillis
    """Connected, or not, since then."""
    detail: str
    """Why it is not connected, in words; empty while it is."""
    broker: str
    """All that the site's file names, in order."""
    broker_in_use: str
    """The one we are connected to; empty while there is none."""
    in_flight_count: int
    last_puback_age_ms: Millis | None
    last_receipt_age_ms: Millis | None
    undelivered_streams: tuple[str, ...]
    """Those that wait because the broker hands them to nobody: no one is subscribed, or it is full."""
    credential_problem: str
    """Why the last good credentials are used instead of those on the disk; empty while they are the same."""
    access: str
    """What the broker lets us do: ``enough``, ``open`` (it also lets us write where only the backend may), ``denied: ...``, or
    ``unknown`` before it was asked."""
    last_refusal: str
    """The last thing that was refused on either side, in words; empty when nothing was."""
    backlog_count: int | None
    parked_count: int | None
    telemetry_count: int | None
    """Blocks that wait, beside the backlog."""
    telemetry_bytes: int | None
    oldest_unacked_ms: Millis | None
    """How long the oldest row has been owed; None when nothing is owed, or when that is not known yet."""


class Uplink:
    """Implements ``ports.StatePublisher`` and ``transport.Listener``.

    ``run`` is its task; ``stop`` says good-bye and lets it return. Without ``settings`` nothing is connected: rows wait on the
    disk, states are not kept.
    """

    def __init__(
        self,
        settings: MqttSettings | None,
        site_id: SiteId,
        *,
        epoch: str,
        boot_id: str,
        version: str,
        outbox: Outbox,
        inbox: Inbox,
        clock: Clock,
        transport: MqttTransport | None,
        random: random.Random,
        actions: Actions | None = None,
        book: CommandBook | None = None,
        is_clock_synchronised: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._transport = transport if settings is not None else None
        self._identity = {"epoch": epoch, "boot_id": boot_id, "version": version}
        self._inbox = inbox
        self._clock = clock
        self._random = random
        self._counters: Counter[str] = Counter()
        self._topics = Topics(site_id)
        recalled = book.commands() if book is not None else ()
        need = settings.clock if settings is not None else ClockNeed.SYNCHRONISED
        latest_utc_ms = max((kept.received_utc_ms for kept in recalled), default=0)
        self._command_clock = CommandClock(need, is_clock_synchronised, random, latest_utc_ms)
        self._door = CommandDoor(self._topics, site_id, Authority(settings), self._command_clock, recalled)
        self._execution = Execution(self._door, actions, book, self._tell, self._counters)
        self._live = LiveMessages()
        timeout_ms = settings.receipt_timeout_ms if settings is not None else 0
        self._window = SendWindow(timeout_ms, len(self._topics.base.encode()))
        self._packing = Packing(
            packs_telemetry=settings is not None and settings.packs_telemetry,
            packs_billing=settings is not None and settings.packs_billing,
        )
        self._news = asyncio.Event()
        self._desk = OutboxDesk(
            outbox, clock, limit_of=line_count, on_rows=self._on_rows, on_change=self._news.set, counters=self._counters
        )
        self._tickets: dict[int, int] = {}
        """The window's ticket for each unanswered token of the transport."""
        self._live_in_flight: dict[int, LiveMessage] = {}
        """By ticket."""

        now = clock.now()
        self._is_connected = False
        self._maximum_packet_size: int | None = None
        self._has_dropped = False
        """We ended the connection, whatever the transport says."""
        self._changed = now
        self._detail = "not connected yet" if self._transport is not None else "no broker is configured"
        self._reported: UplinkChanged | None = None
        self._reasons: set[str] = set()
        """Why there was no connection, since the last one."""
        self._is_closing = False
        self._is_closed = False
        self._told_backlog: int | None = None
        self._told_nonce: str | None = None
        self._status_due_ms: Millis = now.mono_ms

        self._puback_ms: Millis | None = None
        self._receipt_ms: Millis | None = None
        self._credential_problem = ""
        self._access = AccessTest(self._topics)
        self._last_refusal = ""
        self._has_logged_refusal = False
        self._refusals = _Allowance(REFUSALS_PER_SECOND)
        self._receipts = _Allowance(RECEIPTS_PER_SECOND)

    # --- for the runtime ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and keep connected, until ``stop``. Returns at once when no broker is configured."""
        transport = self._transport
        if transport is None:
            self._report(False, self._detail, has_broker=False)
            return
        transport.start(self, Will(self._topics.status, self._status_payload("will")), self._random)
        try:
            while not self._is_closed:
                self._news.clear()
                pause_ms = self._step(transport)
                try:
                    async with asyncio.timeout(pause_ms / 1000):
                        await self._news.wait()
                except TimeoutError:
                    continue
        finally:
            if not self._is_closed:  # cancelled, or a bug of ours: the will tells what happened
                self._drop(transport, "the uplink's task has ended")
                await transport.close()

    def publish_state(self, state: PublishState, now: Instant) -> None:
        if self._transport is None or self._is_closing:
            return
        try:
            payload = encode(state.body)
        except (TypeError, ValueError):
            self._counters["states_unencodable"] += 1
            log.exception("state_unencodable", kind=state.kind, id=state.id)
            return
        if not self._live.state(LiveMessage(self._topics.state(state.kind, state.id), payload), now.mono_ms):
            self._counters["states_dropped"] += 1
        self._news.set()

    def wake(self) -> None:
        """The outbox has changed: more is owed, or a receipt was committed."""
        self._desk.wake()

    async def stop(self) -> None:
        """Publish ``offline`` and disconnect, within two seconds."""
        transport = self._transport
        if transport is None or self._is_closed:
            return
        self._is_closing = True
        self._window.retire()
        if self._is_connected and not await self._say_goodbye():
            self._drop(transport, "stopping, and the broker did not answer")  # so that the will says it
        self._desk.write_marks(self._clock.now(), at_once=True)
        self._is_closed = True
        self._news.set()
        await transport.close()
        self.on_disconnected("stopped")

    async def _say_goodbye(self) -> bool:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def on_answered(reason_code: int) -> None:
            if not answered.done():
                answered.set_result(reason_code)

        payload = self._status_payload("offline")
        self._live.note(LiveMessage(self._topics.status, payload, is_state=False, on_answered=on_answered))
        self._news.set()
        try:
            async with asyncio.timeout(GOODBYE_MS / 1000):
                return await answered < FIRST_FAILURE
        except TimeoutError:
            return False

    def status(self) -> UplinkStatus:
        now = self._clock.now()
        summary, settings = self._desk.summary, self._settings
        oldest_utc_ms = summary.oldest_utc_ms if summary is not None else None
        return UplinkStatus(
            is_configured=settings is not None,
            is_connected=self._is_connected,
            since_utc_ms=self._changed.utc_ms,
            detail="" if self._is_connected else self._detail,
            broker="" if settings is None else ", ".join(str(broker) for broker in settings.brokers),
            broker_in_use=self._transport.broker if self._transport is not None and self._is_connected else "",
            in_flight_count=self._window.in_flight_count,
            last_puback_age_ms=None if self._puback_ms is None else now.mono_ms - self._puback_ms,
            last_receipt_age_ms=None if self._receipt_ms is None else now.mono_ms - self._receipt_ms,
            undelivered_streams=self._window.undelivered_streams,
            credential_problem=self._credential_problem,
            access=self._access.words,
            last_refusal=self._last_refusal,
            backlog_count=None if summary is None else summary.backlog_count,
            parked_count=None if summary is None else summary.parked_count,
            telemetry_count=None if summary is None else summary.telemetry_count,
            telemetry_bytes=None if summary is None else summary.telemetry_bytes,
            oldest_unacked_ms=None if oldest_utc_ms is None else max(0, now.utc_ms - oldest_utc_ms),
        )

    def look_again(self) -> None:
        """A person asks: what kept it from connecting may have been mended."""
        if self._transport is not None:
            self._transport.look_again()

    def counters(self) -> Mapping[str, int]:
        """Since the start; names are stable."""
        return dict(self._counters)

    # --- the pump -----------------------------------------------------------------------------------------------------

    def _step(self, transport: MqttTransport) -> Millis:
        """Do what is due; how long until something is due by itself."""
        self._desk.raise_bug()
        now = self._clock.now()
        dues = [self._desk.look_around(now)]
        if self._is_connected and self._window.is_stalled(now.mono_ms):
            self._counters["stalls"] += 1
            self._drop(transport, "the broker no longer answers")
        elif self._is_connected:
            self._tell_backlog(now)
            self._send(transport, now)
            more = [self._desk.read(now), self._desk.write_marks(now), self._window.due_ms(), self._live.due_ms()]
            dues += [due_ms for due_ms in more if due_ms is not None]
        return max(1, min(dues) - now.mono_ms)

    def _drop(self, transport: MqttTransport, reason: str) -> None:
        self._has_dropped = True
        transport.drop(reason)

    def _send(self, transport: MqttTransport, now: Instant) -> None:
        while (order := self._window.next(now.mono_ms, self._live.waiting_since_ms(now.mono_ms))) is not None:
            match order:
                case Park():
                    self._park(order)
                case Send(ticket, row):
                    self._counters["rows_sent"] += 1
                    self._receipts.earn()
                    topic = self._topics.row(row.topic_suffix)
                    self._note_token(transport.publish(topic, row.body, content_type=content_type_of(row)), ticket)
                case _:
                    self._send_live(transport, order.ticket, now)

    def _send_live(self, transport: MqttTransport, ticket: int, now: Instant) -> None:
        message = self._live.take(now.mono_ms)
        limit = self._maximum_packet_size
        if message is None or (limit is not None and message.size > limit):
            self._window.withdraw(ticket)
            if message is not None:
                self._counters["live_refused"] += 1
                self._note_refusal(f"{message.topic}: too large: {message.size} bytes, the broker takes {limit}")
            return
        self._counters["live_sent"] += 1
        self._live_in_flight[ticket] = message
        token = transport.publish(
            message.topic, message.payload, is_retained=message.is_retained, correlation_data=message.correlation_data
        )
        self._note_token(token, ticket)

    def _note_token(self, token: int | None, ticket: int) -> None:
        if token is not None:  # None: the connection is lost, and on_disconnected will say so
            self._tickets[token] = ticket

    def _park(self, order: Park) -> None:
        row = order.row
        self._counters["rows_parked"] += 1
        self._note_refusal(f"{row.stream} {row.record_id} rev {row.rev}: {order.reason}")
        self._inbox.put(PublishRefused(row.seq, order.reason))

    def _on_rows(self, stream: str, rows: Sequence[OutboxRow]) -> None:
        self._window.refreshed(stream, self._packing.for_the_wire(stream, rows), line_count(stream), self._clock.now().mono_ms)

    # --- status -------------------------------------------------------------------------------------------------------

    def _status_payload(self, state: Literal["online", "offline", "will"]) -> bytes:
        """A will is written before its moment, so what it cannot know is null."""
        now = self._clock.now()
        is_will = state == "will"
        since_utc_ms = self._changed.utc_ms if state == "online" else now.utc_ms
        return status_payload(
            is_online=state == "online",
            since_utc_ms=None if is_will else since_utc_ms,
            summary=None if is_will else self._desk.summary,
            now=now,
            nonce=self._command_clock.nonce(now) if state == "online" else None,
            **self._identity,
        )

    def _tell_status(self, now: Instant) -> None:
        summary = self._desk.summary
        self._told_backlog = summary.backlog_count if summary is not None else None
        self._told_nonce = self._command_clock.nonce(now)
        self._status_due_ms = now.mono_ms + STATUS_INTERVAL_MS
        self._live.note(LiveMessage(self._topics.status, self._status_payload("online"), is_state=False))

    def _tell_backlog(self, now: Instant) -> None:
        summary = self._desk.summary
        if self._is_closing:
            return
        if self._command_clock.nonce(now) != self._told_nonce:
            self._tell_status(now)  # whoever wants to command us waits for it
        if summary is None or summary.backlog_count == self._told_backlog:
            return
        if self._told_backlog is None or now.mono_ms >= self._status_due_ms:
            self._tell_status(now)

    def _report(self, is_connected: bool, detail: str, *, has_broker: bool = True) -> None:
        """Tell the core of a change once: a broker that is away for a week is one change, not one for each attempt."""
        report = UplinkChanged(is_connected, detail, has_broker)
        if report != self._reported:
            self._reported = report
            self._inbox.put(report)

    def _note_refusal(self, words: str) -> None:
        self._last_refusal = words
        if not self._has_logged_refusal:  # one line a connection; an access list that is wrong refuses everything
            self._has_logged_refusal = True
            log.warning("uplink_refused", reason=words)

    # --- what the transport says --------------------------------------------------------------------------------------

    def on_connected(self, receive_maximum: int, maximum_packet_size: int | None, is_session_present: bool = False) -> None:
        transport = self._transport
        if transport is None or self._is_closed:
            return
        now = self._clock.now()
        self._is_connected = True
        self._has_dropped = False
        self._has_logged_refusal = False
        self._reasons.clear()
        self._maximum_packet_size = maximum_packet_size
        self._changed = now
        self._counters["connects"] += 1
        self._window.connected(receive_maximum, maximum_packet_size, is_session_present, now.mono_ms)
        probes = self._access.probes(transport.broker)
        for topic_filter in self._topics.subscriptions:
            transport.subscribe(topic_filter)
        self._tell_status(now)
        for topic in probes:
            done = partial(self._probed, topic)
            self._live.note(LiveMessage(topic, b"", is_retained=False, is_state=False, on_answered=done))
        log.info("uplink_connected", session_present=is_session_present, receive_maximum=receive_maximum)
        self._report(True, "")
        self.wake()

    def _probed(self, topic: str, reason_code: int) -> None:
        if self._access.answered(topic, reason_code):
            self._inbox.put(AccessChecked(self._access.problem))

    def on_disconnected(self, reason: str, is_by_broker: bool = True) -> None:
        now = self._clock.now()
        was_connected, self._is_connected = self._is_connected, False
        self._detail = shown(reason)
        self._tickets.clear()
        for order in self._window.disconnected(is_by_broker and not self._has_dropped, now.mono_ms):
            self._park(order)
        for message in self._live_in_flight.values():
            self._live.put_back(message, now.mono_ms)
        self._live_in_flight.clear()
        self._live.clear_notes()
        if was_connected or self._reported is None:
            self._changed = now
            self._counters["disconnects"] += was_connected
            if not self._is_closing:
                log.warning("uplink_lost", reason=self._detail)
        elif not self._is_closing and self._detail not in self._reasons and len(self._reasons) < REASONS_LOGGED:
            log.info("uplink_still_lost", reason=self._detail)
        self._reasons.add(self._detail)
        self._report(False, self._detail)
        self._news.set()

    def on_puback(self, token: int, reason_code: int) -> None:
        now = self._clock.now()
        ticket = self._tickets.pop(token, None)
        if ticket is None:
            self._counters["pubacks_unexpected"] += 1
            return
        self._puback_ms = now.mono_ms
        live = self._live_in_flight.pop(ticket, None)
        taken = self._window.answered(ticket, reason_code, now.mono_ms)
        if isinstance(taken, Park):
            self._published(self._topics.row(taken.row.topic_suffix), reason_code)
            self._park(taken)
        elif taken is not None:
            self._published(self._topics.row(taken.topic_suffix), reason_code)
            self._desk.mark(taken.seq)
        if live is not None:
            if live.is_state:
                self._window.state_answered(reason_code)
            if live.topic not in self._access.topics:
                self._published(live.topic, reason_code)
            if reason_code >= FIRST_FAILURE and live.topic not in self._access.topics:
                self._counters["live_refused"] += 1
                self._note_refusal(f"{live.topic}: the broker refused it: {reason_words(reason_code)}")
            if live.on_answered is not None:
                live.on_answered(reason_code)
        self._news.set()

    def _published(self, topic: str, reason_code: int) -> None:
        if self._access.published(topic, reason_code):
            self._inbox.put(AccessChecked(self._access.problem))

    def on_message(self, message: Message) -> None:
        now = self._clock.now()
        inbound = self._topics.read(message.topic)
        if message.topic in self._access.topics:
            return  # a broker that lets us write there has sent our own question back
        if inbound is None:
            self._refuse(refused(f"a message on {shown(message.topic)!r}, where none is expected"), now)
        elif inbound.door is Door.RECEIPT:
            self._take_receipt(inbound.name, message, now)
        else:
            self._take_command(inbound.name, message, now)

    def on_suback(self, topic_filter: str, reason_code: int) -> None:
        if self._access.subscribed(topic_filter, reason_code):
            self._inbox.put(AccessChecked(self._access.problem))
        if reason_code < FIRST_FAILURE:
            return
        self._counters["subscriptions_refused"] += 1
        self._note_refusal(f"subscription to {topic_filter}: {reason_words(reason_code)}")

    def on_credentials(self, problem: str) -> None:
        self._credential_problem = problem
        self._inbox.put(CredentialsChecked(problem))

    def _take_receipt(self, stream: str, message: Message, now: Instant) -> None:
        receipt = parse_receipt(stream, message.payload)
        if isinstance(receipt, InputRefused):
            self._refuse(receipt, now)
            return
        if not self._receipts.take(now.mono_ms):
            self._counters["receipts_dropped"] += 1
            return
        self._counters["receipts"] += 1
        if receipt.epoch == self._identity["epoch"]:  # of another ledger it is the ledger's to judge
            self._receipt_ms = now.mono_ms
            self._window.receipt_heard(stream)
            self._news.set()
        self._inbox.put(receipt)

    def _take_command(self, name: str, message: Message, now: Instant) -> None:
        self._counters["commands"] += 1
        handled = self._door.receive(name, message, now)
        if handled.refusal:
            self._refuse(refused(handled.refusal), now)
        if handled.order is not None:
            self._execution.begin(handled.order, now)
        if handled.answer is not None:
            self._tell(handled.answer)

    def _tell(self, answer: Answer) -> None:
        if not self._is_closed:
            note = LiveMessage(
                answer.topic, answer.payload, is_retained=False, correlation_data=answer.correlation_data, is_state=False
            )
            self._live.note(note)
            self._news.set()

    def _refuse(self, refusal: InputRefused, now: Instant) -> None:
        self._counters["inputs_refused"] += 1
        self._last_refusal = refusal.reason
        if self._refusals.take(now.mono_ms):
            self._inbox.put(refusal)


class _Allowance:
    """So many a second, and those that were earned."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._left = count
        self._earned = 0
        self._since_ms: Millis | None = None

    def take(self, now_ms: Millis) -> bool:
        if self._since_ms is None or now_ms - self._since_ms >= 1_000:
            self._since_ms = now_ms
            self._left = self._count
        self._left -= 1
        if self._left < 0 and self._earned > 0:
            self._earned -= 1
            return True
        return self._left >= 0

    def earn(self) -> None:
        """One more, whenever it comes."""
        self._earned = min(self._earned + 1, RECEIPTS_EARNED_MAX)
