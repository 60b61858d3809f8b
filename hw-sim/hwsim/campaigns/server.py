"""The real core between real links and a ledger, in the order in which the runtime does things; it can be killed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgectl.core.controller import REMEMBERED, Controller
from edgectl.domain.decisions import (
    Ask,
    CloseLink,
    Decision,
    InstallFallback,
    Keep,
    Remember,
    Reply,
    SetLimit,
    SignCertificate,
    StartAnswer,
    StopAnswer,
)
from edgectl.domain.events import (
    Call,
    CertificateSigned,
    Event,
    FallbackAnswered,
    LimitAnswered,
    Outcome,
    RequestAnswered,
    Tick,
)
from edgectl.domain.ids import ChargerId
from edgectl.domain.records import Durability, Record
from edgectl.domain.site import Site
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import Codec
from edgectl.ports import IdSource
from edgectl.runtime.engine import HELD_MS
from hwsim.campaigns.ledger import Ledger
from hwsim.campaigns.line import HandClock, Line
from hwsim.campaigns.promises import promise
from hwsim.world.disk import SimMemory

_ROUNDS_MAX = 1_000


@dataclass(frozen=True, eq=False)
class _Commit:
    records: Sequence[Record]
    replies: Sequence[Reply]
    asked: Instant


class _Tray:
    """``ports.Inbox``: what has happened and was not looked at yet."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()

    def put(self, event: Event) -> None:
        self.events.append(event)


class Server:
    """A controller with its links. What is not committed when it is killed was never there; the ledger and memory stay."""

    def __init__(self, site: Site, ledger: Ledger, ids: IdSource, clock: HandClock) -> None:
        self._site = site
        self._ledger = ledger
        self._ids = ids
        self._clock = clock
        self._memory = SimMemory()
        self.counters: Counter[str] = Counter()
        self._link_count = 0
        self.start()

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Come up with what the ledger and the memory have."""
        now = self._clock.now()
        self._tray = _Tray()
        self._lines: dict[ChargerId, Line] = {}
        self._commits: deque[_Commit] = deque()
        remembered = {kind: self._memory.recall(kind) for kind in REMEMBERED}
        self.controller = Controller(self._site, self._ledger.restore(now), self._ids, now, remembered=remembered)

    def crash(self, synced_count: int = 0) -> None:
        """End in the middle of things: so many of the waiting commits still reach the ledger, their replies reach nobody."""
        for _ in range(min(synced_count, len(self._commits))):
            commit = self._commits.popleft()
            self._ledger.commit(commit.records, commit.asked)
        self.start()

    # --- links --------------------------------------------------------------------------------------------------------

    def connect(self, charger: ChargerId, codec: Codec) -> Line:
        """A charger connects; an older connection of it ends."""
        self.disconnect(charger, "replaced")
        self._link_count += 1
        line = Line(self._link_count, charger, codec, self._tray, self._clock, self.counters)
        self._lines[charger] = line
        self.work()
        return line

    def disconnect(self, charger: ChargerId, reason: str) -> None:
        line = self._lines.pop(charger, None)
        if line is not None:
            line.end(reason)
            self.work()

    def hear(self, line: Line, text: str) -> None:
        line.hear(text)
        self.work()

    def pass_time(self, *, with_tick: bool = False) -> None:
        """The clock was moved."""
        now = self._clock.now()
        for line in list(self._lines.values()):
            line.pass_time()
        if self._commits and now.mono_ms - self._commits[0].asked.mono_ms > HELD_MS:
            self._give_up(now)
        if with_tick:
            self._tray.put(Tick())
        self.work()

    @property
    def waiting_count(self) -> int:
        """Events not handled and commits not synced."""
        return len(self._tray.events) + len(self._commits)

    # --- what the runtime does ----------------------------------------------------------------------------------------

    def work(self) -> None:
        """Handle everything that has happened."""
        events = self._tray.events
        while events:
            event = events.popleft()
            now = self._clock.now()
            decisions = self.controller.handle(event, now)
            calls = [decision.call for decision in decisions if isinstance(decision, Reply)]
            call: Call | None = getattr(event, "call", None)
            promise(calls == ([] if call is None else [call]), f"{type(event).__name__} got {len(calls)} replies")
            self._carry_out(decisions, now)

    def sync(self) -> None:
        """The disk has everything; the replies that waited for it go out, and what comes of that is handled too."""
        for _ in range(_ROUNDS_MAX):
            if not self._commits:
                return
            commit = self._commits.popleft()
            self._ledger.commit(commit.records, commit.asked)
            self._release(commit.replies)
            self.work()
        promise(False, "the server writes without end")

    def _carry_out(self, decisions: Sequence[Decision], now: Instant) -> None:
        records: list[Record] = []
        replies: list[Reply] = []
        for decision in decisions:
            match decision:
                case Keep():
                    records.append(decision.record)
                case Reply():
                    replies.append(decision)
                case Remember():
                    self._memory.remember(decision.kind, decision.key, decision.document)
                case SetLimit() | InstallFallback() | Ask() | CloseLink() | SignCertificate():
                    self._order(decision, now)
        if _is_billing(records, replies) and (records or self._commits):
            self._commits.append(_Commit(records, replies, now))
            return
        self._release(replies)
        if records:
            self._commits.append(_Commit(records, [], now))

    def _order(self, order: SetLimit | InstallFallback | Ask | CloseLink | SignCertificate, now: Instant) -> None:
        if isinstance(order, SignCertificate):
            self._tray.put(CertificateSigned(order.charger, order.request_id, None, "nobody signs here"))
            return
        line = self._lines.get(order.evse.charger if isinstance(order, SetLimit) else order.charger)
        if line is None or line.is_over():
            self._answer_unsent(order)
            return
        match order:
            case SetLimit():
                line.set_limit(order, now)
            case InstallFallback():
                line.install_fallback(order, now)
            case Ask():
                line.ask(order, now)
            case CloseLink():
                line.end(order.reason)

    def _answer_unsent(self, order: SetLimit | InstallFallback | Ask | CloseLink) -> None:
        match order:
            case SetLimit():
                evse = order.evse
                self._tray.put(LimitAnswered(evse.charger, evse.number, order.order_number, Outcome.DISCONNECTED))
            case InstallFallback():
                self._tray.put(FallbackAnswered(order.charger, Outcome.DISCONNECTED))
            case Ask():
                self._tray.put(RequestAnswered(order.charger, order.ask_id, Outcome.DISCONNECTED))

    def _release(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            line = self._lines.get(reply.call.charger)
            if line is not None and line.number == reply.call.link_number and not line.is_over():
                line.reply(reply, self._clock.now())

    def _give_up(self, now: Instant) -> None:
        """The disk is too slow: links whose replies are held for it are closed, what is to be written stays to be written."""
        late = [commit for commit in self._commits if now.mono_ms - commit.asked.mono_ms > HELD_MS]
        chargers = {reply.call.charger: None for commit in late for reply in commit.replies}
        self._commits = deque(replace(commit, replies=()) if commit in late else commit for commit in self._commits)
        for charger in chargers:
            self.disconnect(charger, "cannot store now")


def _is_billing(records: Sequence[Record], replies: Sequence[Reply]) -> bool:
    """A start or a stop is answered, or something billable is kept: the answer waits for the disk."""
    if any(record.durability is Durability.BILLING for record in records):
        return True
    return any(isinstance(reply.answer, StartAnswer | StopAnswer) for reply in replies)
