"""What the broker, the backend and the disk tell: receipts, refusals, a damaged ledger, room that runs out."""

from __future__ import annotations

from collections import Counter

from edgectl.core.actions import recorded
from edgectl.core.alarms import Alarms
from edgectl.core.forecast import Trend
from edgectl.core.picture import Uplink
from edgectl.domain.decisions import ActionAnswered, Decision, Keep, WakeUplink
from edgectl.domain.events import (
    AccessChecked,
    ActionRequested,
    CredentialsChecked,
    InputRefused,
    LedgerReplaced,
    Outcome,
    PublishRefused,
    ReceiptReceived,
    ReplayRequested,
    RequeueRequested,
    RoomMeasured,
    StoreChanged,
    UplinkChanged,
)
from edgectl.domain.ids import ChargerId
from edgectl.domain.records import ParkKept, ReceiptKept, ReplayKept, RequeueKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.domain.views import RoomView

REPLAY_COUNT = 10_000
"""Records the backend may ask for again at once: a year of a small site."""

BROKER_GRACE_MS: Millis = 120_000
"""A broker that starts anew, or a modem that dials again, is no alarm."""

SOON_DAYS = 30
"""Room that ends sooner is told of: time to order a card, or to come by."""


class Housekeeping:
    """``counters`` are those people see."""

    def __init__(self, alarms: Alarms, counters: Counter[str]) -> None:
        self._alarms = alarms
        self._counters = counters
        self.is_store_healthy = True
        self._budget, self._disk = Trend(), Trend()
        self.uplink = Uplink(is_connected=False, detail="not connected yet")
        self._access_problem = ""
        self._lost_mono_ms: Millis | None = None
        """Since when there has been no broker, although the site's file names one."""

    def receipt(self, event: ReceiptReceived, now: Instant) -> list[Decision]:
        self._counters["receipts"] += 1
        rejected = tuple((item.record_id, item.rev, f"{item.code}: {item.reason}") for item in event.rejected)
        kept = ReceiptKept(event.stream, event.epoch, event.acked_through, event.acked, rejected, now.utc_ms)
        alarms: list[Decision] = []
        if rejected:
            record_id, rev, why = rejected[-1]
            alarms = self._alarms.set("record-rejected", event.stream, True, f"{record_id} rev {rev}: {why}", now)
        return [Keep(kept), WakeUplink(), *alarms]

    def publish_refused(self, event: PublishRefused, now: Instant) -> list[Decision]:
        self._counters["publishes_refused"] += 1
        detail = f"outbox row {event.outbox_seq}: {event.reason}"
        alarm = self._alarms.set("record-parked", "outbox", True, detail, now)
        return [Keep(ParkKept(event.outbox_seq, event.reason, now.utc_ms)), *alarm, WakeUplink()]

    def input_refused(self, event: InputRefused, _now: Instant) -> list[Decision]:
        self._counters[f"input_refused_{event.door}"] += 1
        return []

    def store_changed(self, event: StoreChanged, now: Instant) -> list[Decision]:
        self.is_store_healthy = event.is_healthy
        return self._alarms.set("store-failed", "ledger", not event.is_healthy, event.detail, now)

    def ledger_replaced(self, event: LedgerReplaced, now: Instant) -> list[Decision]:
        if not event.kept_as:
            return self._alarms.set("ledger-replaced", "ledger", False, "what could be read of it is taken in", now)
        detail = f"the damaged ledger is kept as {event.kept_as}; bring its sessions back with: edgectl ledger salvage"
        return self._alarms.set("ledger-replaced", "ledger", True, detail, now)

    def room_measured(self, event: RoomMeasured, now: Instant) -> list[Decision]:
        """Told early: at four fifths of the budget, below twice the least on the disk, or a month before the end at the rate of
        the last week, so that somebody can still look."""
        self._budget.note(now.mono_ms, event.budget_bytes - event.used_bytes)
        self._disk.note(now.mono_ms, event.disk_free_bytes - event.disk_least_bytes)
        was_full, was_short = (self._alarms.is_active(kind, "ledger") for kind in ("ledger-filling", "disk-filling"))
        share = event.used_bytes * 100 // event.budget_bytes
        is_full = share >= (75 if was_full else 80) or _ends_soon(self._budget, was_full)
        words = f"{share} % of {event.budget_bytes / 1e9:g} GB are used; raise ledger.budget or shorten ledger.retention"
        free_mb, least_mb = event.disk_free_bytes // 1_000_000, event.disk_least_bytes // 1_000_000
        is_short = event.disk_free_bytes < event.disk_least_bytes * (3 if was_short else 2) or _ends_soon(self._disk, was_short)
        short = f"the file system of the ledger has {free_mb} MB free; below {least_mb} MB only billing is written"
        return [
            *self._alarms.set("ledger-filling", "ledger", is_full, words + _forecast(self._budget), now),
            *self._alarms.set("disk-filling", "ledger", is_short, short + _forecast(self._disk), now),
        ]

    def room(self) -> tuple[RoomView, ...]:
        return tuple(
            RoomView(name, trend.left_bytes, trend.used_per_day, trend.left_days)
            for name, trend in (("ledger", self._budget), ("disk", self._disk))
            if trend.left_bytes is not None
        )

    @staticmethod
    def replay(event: ReplayRequested, now: Instant) -> list[Decision]:
        words = "" if event.from_seq <= event.to_seq < event.from_seq + REPLAY_COUNT else f"ask for 1 to {REPLAY_COUNT} records"
        answer = ActionAnswered(event.action_id, Outcome.REJECTED if words else Outcome.ACCEPTED, "queued" * (not words), words)
        asked = ActionRequested(event.action_id, ChargerId(event.stream), "replay", (), event.actor)
        kept = [Keep(ReplayKept(event.stream, event.from_seq, event.to_seq, now.utc_ms))]
        return [answer, *([] if words else kept), *recorded(asked, answer, now)]

    def requeue(self, event: RequeueRequested, now: Instant) -> list[Decision]:
        answer = ActionAnswered(event.action_id, Outcome.ACCEPTED, "queued")
        asked = ActionRequested(event.action_id, ChargerId("outbox"), "requeue", (), event.actor)
        ended = [
            decision
            for kind, subject in (("record-parked", "outbox"), *(("record-rejected", stream) for stream in ("billing", "events")))
            for decision in self._alarms.set(kind, subject, False, "put back into the line", now)
        ]
        return [answer, Keep(RequeueKept(event.outbox_seqs, now.utc_ms)), *ended, *recorded(asked, answer, now)]

    def uplink_changed(self, event: UplinkChanged, now: Instant) -> list[Decision]:
        self.uplink = Uplink(event.is_connected, event.detail)
        if event.is_connected or not event.has_broker:
            self._lost_mono_ms = None
            words = "connected" if event.is_connected else event.detail
            return self._alarms.set("broker-lost", "uplink", False, words, now)
        if self._lost_mono_ms is None:
            self._lost_mono_ms = now.mono_ms
        return []

    def tick(self, now: Instant) -> list[Decision]:
        if self._lost_mono_ms is None or now.mono_ms - self._lost_mono_ms < BROKER_GRACE_MS:
            return []
        return self._alarms.set("broker-lost", "uplink", True, self.uplink.detail, now)

    def credentials_checked(self, event: CredentialsChecked, now: Instant) -> list[Decision]:
        words = f"{event.problem}; until the next start the last good ones are used" if event.problem else "they can be used"
        return self._alarms.set("broker-credentials", "uplink", bool(event.problem), words, now)

    def access_checked(self, event: AccessChecked, now: Instant) -> list[Decision]:
        """Of a finding that has grown the alarm begins anew: it names all there is."""
        was, self._access_problem = self._access_problem, event.problem
        words = event.problem or "the broker lets us do what we need"
        ended = self._alarms.set("broker-access", "uplink", False, words, now) if was != event.problem else []
        return [*ended, *self._alarms.set("broker-access", "uplink", bool(event.problem), words, now)]


def _ends_soon(trend: Trend, is_told: bool) -> bool:
    days = trend.left_days
    return days is not None and days < (SOON_DAYS + 10 if is_told else SOON_DAYS)


def _forecast(trend: Trend) -> str:
    days = trend.left_days
    return "" if days is None else f"; {trend.used_per_day // 1_000_000} MB a day, at that rate {days} days are left"
