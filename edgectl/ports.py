"""What the inside needs from the outside. Adapters implement these; ``app`` and the simulator choose which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from edgectl.domain.decisions import ActionAnswered, Ask, InstallFallback, PublishState, Reply, SetLimit, SignCertificate, Solve
from edgectl.domain.events import Event
from edgectl.domain.ids import ChargerId, EvseId, SessionId
from edgectl.domain.records import Curtailment, Excursion, LimitKept, Record, Restored, Session
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis


class Clock(Protocol):
    def now(self) -> Instant: ...


class IdSource(Protocol):
    """Fresh identities. Seeded in simulation."""

    def session_id(self, now: Instant) -> SessionId: ...


class Inbox(Protocol):
    """Where adapters put events. Never blocks; bounded by coalescing, see ``runtime.inbox``."""

    def put(self, event: Event) -> None: ...


class ChargerLinks(Protocol):
    """The connected chargers. Every method returns at once; answers come back as events."""

    def reply(self, reply: Reply, now: Instant) -> None: ...
    def set_limit(self, order: SetLimit, now: Instant) -> None:
        """Queue behind the one call in flight, replacing any older limit for that EVSE. Answered by ``LimitAnswered``."""

    def install_fallback(self, order: InstallFallback, now: Instant) -> None: ...
    def ask(self, ask: Ask, now: Instant) -> None: ...
    def close(self, charger: ChargerId, reason: str, refuse_ms: Millis = 0) -> None:
        """Close the charger's socket; it then queues as offline and falls to its safe default. It is let in again after
        ``refuse_ms``."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message owed to the backend, exactly as it will be published."""

    seq: int
    """Order within the outbox; rows of one stream are sent in this order."""
    stream: str
    """``billing``, ``events`` or ``telemetry``."""
    record_id: str
    rev: int
    topic_suffix: str
    """Below ``edgectl/v1/{site}/``, e.g. ``billing/session``."""
    body: bytes
    sent_count: int


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A row set aside, and why."""

    row: OutboxRow
    reason: str
    parked_utc_ms: int


@dataclass(frozen=True, slots=True)
class OutboxSummary:
    backlog_count: int
    """Of billing and events."""
    parked_count: int
    oldest_utc_ms: int | None
    telemetry_count: int = 0
    """Blocks that wait, apart from the backlog: they may be late, and the oldest may be missing."""
    telemetry_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """How much room the ledger takes and has, after one step of tidying."""

    used_bytes: int
    budget_bytes: int
    disk_free_bytes: int
    disk_least_bytes: int
    """Below this much free on the file system, the rest is for billing."""
    is_billing_only: bool
    """No room is left for telemetry: none is written until there is."""
    removed: int = 0
    """Rows that were let go of by age."""
    evicted: int = 0
    """Rows of telemetry that were given up for room."""


class Store(Protocol):
    """The ledger. ``commit`` never blocks; the future resolves when the records are durable, or fails with the reason."""

    def restore(self) -> Restored:
        """All open sessions; closed ones of the last week and the last thousand heard of, in the order they were heard of."""

    def commit(self, records: Sequence[Record], now: Instant) -> Future[None]:
        """Everything in one transaction; commits that wait while the disk syncs share the next sync."""

    def tidy(self, now: Instant) -> Future[Room]:
        """Let go of a little that is too old or in the way; again at once while there is more to do."""

    def close(self) -> None:
        """Commit what waits, checkpoint, release the file."""


class Outbox(Protocol):
    """The uplink's view of the ledger. Reads come from disk; callable from the loop, answered in the writer's own time."""

    def rows(self, stream: str, after_seq: int, limit: int) -> Future[Sequence[OutboxRow]]: ...
    def mark_sent(self, seqs: Sequence[int], now: Instant) -> Future[None]: ...
    def summary(self) -> Future[OutboxSummary]: ...
    def parked(self, limit: int) -> Future[Sequence[ParkedRow]]:
        """What was set aside and why, oldest first."""


@dataclass(frozen=True, slots=True)
class KeptCommand:
    """A command that was let in."""

    id: str
    digest: bytes
    """SHA-256 of its payload: another one under the same id is not a repeat."""
    received_utc_ms: int
    expires_utc_ms: int
    answer: bytes | None = None
    """What was answered; None while it is under way, or when the daemon ended in the middle."""


class CommandBook(Protocol):
    """Which commands were let in, and what became of them; durable."""

    def commands(self) -> Sequence[KeptCommand]:
        """All that are kept, the latest first. Waits for the disk."""

    def begin_command(self, command: KeptCommand, now: Instant) -> Future[None]: ...
    def finish_command(self, command_id: str, answer: bytes) -> Future[None]: ...


class LedgerReader(Protocol):
    """Read-only questions for the CLI and the API."""

    def sessions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Session]: ...
    def session(self, session_id: str) -> Session | None: ...
    def limits(self, evse: EvseId, until_utc_ms: int, limit: int) -> Sequence[LimitKept]: ...
    def excursions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Excursion]: ...
    def curtailment(self, first_day: str | None, last_day: str | None) -> Sequence[Curtailment]: ...


class SiteStore(Store, Outbox, CommandBook, LedgerReader, Protocol):
    """Everything one ledger is to the daemon."""


class Memory(Protocol):
    """The small state file: what a person may read, and a restart wants to know."""

    def remember(self, kind: str, key: str, document: dict[str, object]) -> Future[bool]:
        """Returns at once; written within about a second. Resolves to whether it is on the disk; never fails."""

    def recall(self, kind: str) -> dict[str, dict[str, object]]:
        """Everything remembered of a kind, by key."""

    def close(self) -> None: ...


class Solver(Protocol):
    """Works out what the look-ahead asks."""

    def solve(self, request: Solve) -> None:
        """Returns at once; the answer comes as ``Solved``, also when there is none."""

    def close(self) -> None: ...


class Authority(Protocol):
    """The site's own certificate authority for stations."""

    def sign(self, request: SignCertificate, now: Instant) -> None:
        """Returns at once; the answer comes as ``CertificateSigned``."""


class Actions(Protocol):
    """Where people and the backend ask for something to be done with a charger."""

    async def request(self, charger: ChargerId, name: str, arguments: Sequence[tuple[str, str]], actor: str) -> ActionAnswered:
        """Waits for what became of it, within a bound; never raises for what a charger does."""

    async def ask(self, make: Callable[[str], Event]) -> ActionAnswered:
        """The same for any event that is answered by ``ActionAnswered``; ``make`` is given its id."""

    def begin(self, make: Callable[[str], Event], on_answered: Callable[[ActionAnswered], None]) -> None:
        """The same for who cannot wait: ``on_answered`` is called once, later, on the loop."""


class MeterReaders(Protocol):
    """All meters and inputs of the site: puts ``MeterRead`` and ``InputRead`` into the inbox until cancelled."""

    async def run(self) -> None: ...
    def counters(self) -> dict[str, int]: ...


class StatePublisher(Protocol):
    """The uplink as the runtime sees it."""

    def publish_state(self, state: PublishState, now: Instant) -> None: ...
    def wake(self) -> None: ...


FaultHook = Callable[[str], None]
"""``fault("reply-after-commit")``: idle in production, armed by tests at named narrow windows."""


def no_fault(name: str) -> None:
    """The production hook: nothing happens."""
