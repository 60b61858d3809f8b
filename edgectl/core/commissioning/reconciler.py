"""The set-ups of one charger: when one begins, what it waits for, and when it is better left alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from edgectl.core.commissioning import script
from edgectl.core.commissioning.book import NEVER_AGAIN, read_document
from edgectl.core.commissioning.desired import Policy
from edgectl.core.commissioning.script import AskFor, AwaitReport, Script, Step, Told
from edgectl.domain.decisions import Ask, Decision, Remember
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.domain.ids import ChargerId
from edgectl.domain.quirks import Quirks
from edgectl.domain.remembered import COMMISSIONING
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.domain.views import CommissioningView, KeyView

COMMISSION = "commission/"
"""How the asks of a set-up are named."""
ANSWER_MS: Millis = 80_000
"""Our own bound on an answer: the link gives up on a call earlier, so this only matters when the link itself is stuck."""
BLAMED_MS: Millis = 60_000
"""A restart or a lost link this soon after a write is taken to be its doing."""
SETUPS_COUNT, SETUPS_MS = 3, 10 * 60_000
"""More set-ups than this in that time are a charger that restarts and restarts: it is left alone."""
LINK_LOST = "the link was lost; it goes on when the charger is back"
PENDING_MS: Millis = 20_000
"""The longest a 2.x station is held pending: its transactions wait meanwhile."""


@dataclass(slots=True)
class _Run:
    """A set-up under way."""

    steps: Script
    state: str
    step: Step
    since: Instant
    asked_id: str
    deadline_mono_ms: Millis


class Reconciler:
    """One charger. Idempotent: a second set-up of a charger that is as it should be writes nothing."""

    def __init__(self, charger: ChargerId, evse_count: int, policy: Policy, remembered: Mapping[str, object] | None) -> None:
        self._charger = charger
        self._evse_count = evse_count
        self.policy = policy
        self._book = read_document(remembered)
        self._run: _Run | None = None
        self._begun: deque[Millis] = deque(maxlen=SETUPS_COUNT)
        self._number = 0
        self._last_write: tuple[str, Millis] | None = None
        self._ended: tuple[str, str, Instant] | None = None
        self._pending_since: Millis | None = None
        self._protocol = ""

    @property
    def facts(self) -> dict[str, str]:
        return self._book.facts

    @property
    def is_busy(self) -> bool:
        return self._run is not None

    @property
    def awaits_report(self) -> bool:
        return self._run is not None and isinstance(self._run.step, AwaitReport)

    @property
    def needs_reset(self) -> bool:
        return any(view.outcome == "reboot-required" for view in self._book.keys.values())

    def is_ready(self, firmware: str | None, now: Instant) -> bool:
        """Whether a booting 2.x station may be accepted: it has been set up before, is now, or has waited long enough."""
        if self._book.is_done and self._book.firmware == (firmware or "") and self._run is None:
            return True
        if self._pending_since is None:
            self._pending_since = now.mono_ms
            return False
        return now.mono_ms - self._pending_since >= PENDING_MS or (self._run is None and self._ended is not None)

    def view(self) -> CommissioningView:
        at = None if self._ended is None else self._ended[2].utc_ms
        if self._run is not None:
            return CommissioningView(self._run.state, "", self._run.since.utc_ms, self._book.views())
        if self._ended is not None:
            return CommissioningView(self._ended[0], self._ended[1], at, self._book.views())
        return CommissioningView("done" if self._book.is_done else "idle", self._words(), at, self._book.views())

    def _words(self) -> str:
        waiting = [view.key for view in self._book.keys.values() if view.outcome == "reboot-required"]
        return f"takes effect after a restart: {', '.join(waiting)}" if waiting else ""

    # --- what happens -------------------------------------------------------------------------------------------------

    def came(self, protocol: str, firmware: str | None, quirks: Quirks, now: Instant, *, has_booted: bool) -> list[Decision]:
        """It has booted, or reconnected without. A set-up begins unless all is known and done, or it restarts too often."""
        self._protocol = protocol
        self._blame(now, has_booted=has_booted)
        if self._book.firmware != (firmware or ""):
            self._book.firmware, self._book.is_done, self._book.has_reset = firmware or "", False, False
            self._book.keys = {k: v for k, v in self._book.keys.items() if v.outcome == NEVER_AGAIN or v.before is not None}
        if not has_booted and self._book.is_done:
            return []
        if self._run is not None:
            return []  # it boots again while it is held pending, or because someone has asked for it
        return self._start(quirks, now, is_on_demand=False)

    def begin(self, quirks: Quirks, now: Instant) -> tuple[str, list[Decision]]:
        """A person asks for it. Why not, or nothing, and the first step."""
        if self._run is not None:
            return "a set-up is under way", []
        self._begun.clear()
        return "", self._start(quirks, now, is_on_demand=True)

    def restore(self, now: Instant) -> tuple[str, list[Decision]]:
        """A person wants everything back as it was."""
        if self._run is not None:
            return "a set-up is under way", []
        if not self._book.changed():
            return "nothing was changed", []
        return "", self._go(script.restore(self._book), "restoring", now)

    def disconnected(self, now: Instant) -> list[Decision]:
        """The link is gone; what it was asked stays unanswered."""
        self._pending_since = None
        if self._run is None:
            return []
        return self._end("stopped", LINK_LOST, now)

    def answered(self, event: RequestAnswered, now: Instant) -> list[Decision]:
        run = self._run
        if run is None or event.ask_id != run.asked_id or not isinstance(run.step, AskFor):
            return []
        if event.outcome is Outcome.DISCONNECTED:
            return self._end("stopped", LINK_LOST, now)
        return self._next(Told(event.outcome, event.status, event.detail, now.utc_ms), now)

    def reported(self, pairs: tuple[tuple[str, str], ...], now: Instant) -> list[Decision]:
        run = self._run
        if run is None or not isinstance(run.step, AwaitReport):
            return []
        return self._next(Told(Outcome.ACCEPTED, "", pairs, now.utc_ms), now)

    def tick(self, now: Instant, *, is_idle: bool) -> list[Decision]:
        """Time passes. A charger that needs a restart gets one, once, when nobody charges."""
        run = self._run
        if run is not None:
            return self._next(Told(Outcome.TIMEOUT, at_utc_ms=now.utc_ms), now) if now.mono_ms >= run.deadline_mono_ms else []
        if self.needs_reset and is_idle and self._book.is_done and not self._book.has_reset:
            self._book.has_reset = True
            self._last_write = None  # the restart is ours
            return [Ask(self._charger, f"{COMMISSION}{self._charger}/reset", "reset"), self._remember()]
        return []

    # --- steps --------------------------------------------------------------------------------------------------------

    def _start(self, quirks: Quirks, now: Instant, *, is_on_demand: bool) -> list[Decision]:
        is_restless = len(self._begun) == SETUPS_COUNT and now.mono_ms - self._begun[0] < SETUPS_MS
        if is_restless:
            self._run = None
            return self._end("stopped", f"it was set up {SETUPS_COUNT} times within ten minutes and restarts again", now)
        self._begun.append(now.mono_ms)
        steps = script.setup(self._book, self.policy, self._protocol, quirks, self._evse_count, is_on_demand=is_on_demand)
        return self._go(steps, "reading", now)

    def _go(self, steps: Script, state: str, now: Instant) -> list[Decision]:
        self._ended = None
        self._run = _Run(steps, state, AwaitReport(), now, "", 0)
        try:
            return self._take(next(steps), now)
        except StopIteration:
            return self._finish(now)

    def _next(self, told: Told, now: Instant) -> list[Decision]:
        if self._run is None:
            return []
        try:
            return self._take(self._run.steps.send(told), now)
        except StopIteration:
            return self._finish(now)

    def _take(self, step: Step, now: Instant) -> list[Decision]:
        run = self._run
        if run is None:
            return []
        run.step = step
        if isinstance(step, AwaitReport):
            run.deadline_mono_ms = now.mono_ms + step.at_most_ms
            return []
        self._number += 1
        run.asked_id = f"{COMMISSION}{self._charger}/{self._number}"
        run.deadline_mono_ms = now.mono_ms + ANSWER_MS
        if step.key:
            run.state = "restoring" if run.state == "restoring" else "writing"
            self._last_write = (step.key, now.mono_ms)
        elif run.state == "writing":
            run.state = "verifying"
        return [Ask(self._charger, run.asked_id, step.request, step.arguments)]

    def _finish(self, now: Instant) -> list[Decision]:
        self._last_write = None  # it has answered since
        return self._end("done", self._words(), now)

    def _end(self, state: str, words: str, now: Instant) -> list[Decision]:
        if self._run is not None:
            self._run.steps.close()
        self._run = None
        self._ended = (state, words, now)
        return [self._remember()]

    def _remember(self) -> Remember:
        return Remember(COMMISSIONING, self._charger, self._book.document())

    def _blame(self, now: Instant, *, has_booted: bool) -> None:
        """It restarted right after a write, in the middle of a set-up: that key is not written again by itself."""
        if self._last_write is None or self._run is not None:
            return  # a boot on the same link is no restart: someone has asked for it
        key, at_mono_ms = self._last_write
        self._last_write = None
        if not has_booted or now.mono_ms - at_mono_ms > BLAMED_MS:
            return
        known = self._book.keys.get(key.casefold())
        before, wanted = (known.before, known.wanted) if known is not None else (None, "")
        self._book.keys[key.casefold()] = KeyView(key, before, wanted, None, NEVER_AGAIN, now.utc_ms)
