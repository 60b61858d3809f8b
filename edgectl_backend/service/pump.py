"""The pump. What came while one transaction ran is the next one's batch, so a batch is as large as the load makes it.

The order is the promise: the commit, then the receipts, then the acknowledgement to the broker. Whoever dies in between has told
nobody anything that is not so; the broker or the gateway sends again, and what comes twice is found by its name.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from edgectl.ports import Clock
from edgectl.uplink.transport import FIRST_FAILURE, Message, MqttTransport
from edgectl_backend.judging.bills import Bill, Poison, poison, read_bill
from edgectl_backend.judging.receipts import Word, receipts
from edgectl_backend.judging.records import Meaning
from edgectl_backend.judging.telling import Event, State, Status, Telemetry, Told, Unread, read
from edgectl_backend.judging.topics import Kind, filters, read_topic
from edgectl_backend.postgres.chains import Ledger
from edgectl_backend.postgres.database import DatabaseError, UnstorableError
from edgectl_backend.postgres.keeping import Batch, Judged, Keeper
from edgectl_backend.service.outgoing import Outgoing

log = structlog.get_logger(__name__)

BATCH_MAX: Final = 500
"""Messages in one transaction; more would only keep the first of them waiting."""
ARRIVED_MAX: Final = 4 * BATCH_MAX
"""Messages waiting. What is published at QoS 1 stays below it by the receive maximum; what came at QoS 0 is worth no more."""
WORKERS_COUNT: Final = 2
"""Batches at once: one is read while the other's commit is on its way to the disk."""
RETRY_S: Final = 0.5
"""Between attempts while the database is away. Nothing is acknowledged meanwhile, so the broker soon stops sending."""
RECEIPTS_MAX: Final = 10_000
"""Receipts waiting for the broker. Beyond it the oldest are let go: their records come again."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Pump:
    """Implements ``transport.Listener``. ``run`` is its task."""

    def __init__(self, transport: MqttTransport, keeper: Keeper, clock: Clock, group: str) -> None:
        self._transport = transport
        self._keeper = keeper
        self._clock = clock
        self._group = group
        self.counters: Counter[str] = Counter()
        """Since the start; names are stable."""
        self.is_connected = False
        self.detail = "not connected yet"
        """Why nothing is heard; empty while ``is_subscribed``."""
        self.is_storing = True
        """False while the database is away."""
        self.touched: set[Ledger] = set()
        """Ledgers with something new since the last walk; whoever walks takes them out."""
        self._arrived: deque[tuple[datetime, Message]] = deque()
        self._news = asyncio.Event()
        self._outgoing = Outgoing(transport, keep=RECEIPTS_MAX)
        self._granted: set[str] = set()
        """Subscriptions, since this connection was made."""

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS_COUNT):
                group.create_task(self._work())

    @property
    def is_subscribed(self) -> bool:
        """The broker has granted everything: what is published from now on is heard."""
        return self.is_connected and self._granted >= set(filters(self._group))

    @property
    def waiting_count(self) -> int:
        return len(self._arrived)

    # --- the broker ---------------------------------------------------------------------------------------------------

    def on_connected(self, receive_maximum: int, _maximum_packet_size: int | None, _is_session_present: bool = False) -> None:
        self.is_connected, self.detail = True, "connected, and the broker has not granted the subscriptions yet"
        self._granted.clear()
        for topic_filter in filters(self._group):
            self._transport.subscribe(topic_filter)
        self.counters["connects"] += 1
        log.info("broker_connected")
        self._outgoing.connected(receive_maximum)

    def on_disconnected(self, reason: str, _is_by_broker: bool = True) -> None:
        if self.is_connected or self.detail != reason:
            log.warning("broker_lost", reason=reason)
        self.is_connected, self.detail = False, reason
        self._outgoing.disconnected()

    def on_puback(self, token: int, reason_code: int) -> None:
        if reason_code >= FIRST_FAILURE:
            self.counters["receipts_refused"] += 1
            log.warning("receipt_refused", reason_code=reason_code)
        self._outgoing.answered(token)

    def on_message(self, message: Message) -> None:
        if len(self._arrived) >= ARRIVED_MAX:
            self.counters["messages_dropped"] += 1
            return
        self._arrived.append((_EPOCH + timedelta(milliseconds=self._clock.now().utc_ms), message))
        self._news.set()

    def on_suback(self, topic_filter: str, reason_code: int) -> None:
        if reason_code < FIRST_FAILURE:
            self._granted.add(topic_filter)
            if self.is_subscribed:
                self.detail = ""
                log.info("broker_subscribed")
            return
        self.counters["subscriptions_refused"] += 1
        self.detail = f"the broker does not let us read {topic_filter} (0x{reason_code:02X})"
        log.error("subscription_refused", topic_filter=topic_filter, reason_code=reason_code)

    def on_credentials(self, problem: str) -> None:
        if problem:
            self.counters["credentials_unusable"] += 1

    # --- batches ------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            while not self._arrived:
                self._news.clear()
                await self._news.wait()
            taken = [self._arrived.popleft() for _ in range(min(BATCH_MAX, len(self._arrived)))]
            batch = self._read(taken)
            for judged in await self._keep(batch):
                self._answer(judged)
            for _, message in taken:
                message.acknowledge()

    def _read(self, taken: Sequence[tuple[datetime, Message]]) -> Batch:
        batch = Batch()
        for received_at, message in taken:
            place = read_topic(message.topic)
            self.counters["messages"] += 1
            if place is None:
                self.counters["unread"] += 1
            elif place.kind is Kind.BILL:
                bill = read_bill(place.site, message.payload)
                if isinstance(bill, Bill):
                    batch.bills.append(bill)
                else:
                    batch.poisons.append(bill)
            elif message.payload:  # an empty one takes a retained message away
                self._sort_in(batch, read(place, message.payload, received_at))
        return batch

    def _sort_in(self, batch: Batch, told: Told) -> None:
        match told:
            case Poison():
                batch.poisons.append(told)
            case Event():
                batch.events.append(told)
            case State():
                batch.states.append(told)
            case Status():
                batch.statuses.append(told)
            case Telemetry():
                batch.telemetry.append(told)
            case Unread():
                self.counters["unread"] += 1
                log.warning("message_unread", site=told.site, reason=told.reason)

    async def _keep(self, batch: Batch) -> list[Judged]:
        """Until it is kept. What cannot be stored is found by halving, and set aside as poison."""
        while True:
            try:
                judged = await self._keeper.keep(batch)
            except DatabaseError as error:
                if self.is_storing:
                    log.warning("database_lost", reason=str(error))
                self.is_storing = False
                self.counters["database_failures"] += 1
                await asyncio.sleep(RETRY_S)
            except UnstorableError as error:
                parts = _halves(batch)
                if not parts:
                    parts = [self._set_aside(batch, str(error))]
                return [judged for part in parts for judged in await self._keep(part)]
            else:
                if not self.is_storing:
                    log.info("database_back")
                self.is_storing = True
                self.counters["commits"] += 1
                return [judged]

    def _set_aside(self, batch: Batch, reason: str) -> Batch:
        self.counters["unstorable"] += 1
        log.error("message_unstorable", reason=reason)
        return Batch(
            poisons=[
                *(poison(bill.site, bill.body, "unstorable", reason) for bill in batch.bills),
                *(poison(event.site, event.body, "unstorable", reason, "events") for event in batch.events),
                *(poison(block.site, block.body, "unstorable", reason, "telemetry") for block in batch.telemetry),
            ]
        )

    def _answer(self, judged: Judged) -> None:
        words = []
        for bill, meaning in judged.meanings:
            self.counters[f"records_{meaning.name.lower()}"] += 1
            self.touched.add((bill.site, bill.epoch))
            if meaning is not Meaning.CONFLICT:
                words.append(Word(bill.site, "billing", bill.epoch, bill.record_id, bill.rev))
        for one in judged.rejected:
            self.counters["records_rejected"] += 1
            log.warning("record_rejected", site=one.site, record_id=one.record_id, code=one.code, reason=one.reason)
            if one.epoch is not None and one.record_id is not None and one.rev is not None:
                words.append(Word(one.site, one.stream, one.epoch, one.record_id, one.rev, one.code, one.reason))
        self.counters["records_forked"] += len(judged.forked)
        self.counters["events"] += len(judged.events)
        words += [Word(e.site, "events", e.epoch, e.record_id, e.rev) for e in judged.events]
        words += [Word(t.site, "telemetry", t.epoch, t.record_id, t.rev) for t in judged.telemetry]
        for topic, payload in receipts(words):
            self.counters["receipts"] += 1
            self._outgoing.put(topic, payload)


def _halves(batch: Batch) -> list[Batch]:
    """Two batches that hold what this one held; none when it holds a single thing."""
    parts = [
        *(Batch(bills=[one]) for one in batch.bills),
        *(Batch(poisons=[one]) for one in batch.poisons),
        *(Batch(events=[one]) for one in batch.events),
        *(Batch(states=[one]) for one in batch.states),
        *(Batch(statuses=[one]) for one in batch.statuses),
        *(Batch(telemetry=[one]) for one in batch.telemetry),
    ]
    if len(parts) < 2:
        return []
    middle = len(parts) // 2
    return [_joined(parts[:middle]), _joined(parts[middle:])]


def _joined(parts: Sequence[Batch]) -> Batch:
    whole = Batch()
    for part in parts:
        whole.bills += part.bills
        whole.poisons += part.poisons
        whole.events += part.events
        whole.states += part.states
        whole.statuses += part.statuses
        whole.telemetry += part.telemetry
    return whole
