"""Limits from outside: backend, local API, command line, contacts. The lowest wins, and none widens the file.

Each authority has one limit on one thing and may change or lift its own, no other's. An end is a duration on the clock that
never steps, fixed when the limit is accepted: a wall clock that jumps ends nothing early. The machine's own uptime goes on
through a restart of the daemon. Only when the machine was off nobody knows for how long: from the end by the wall clock to
the end by what was left when last written, the lower of the limit and what follows it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgectl.core.arbiter import Allowed, Held, arbitrate
from edgectl.core.inputs import Inputs
from edgectl.core.standing import NOTHING, Standing, from_document, raises, to_document
from edgectl.domain.decisions import ActionAnswered, Decision, Keep, Remember, WakeUplink
from edgectl.domain.events import InputRead, LimitRequested, Outcome
from edgectl.domain.external import (
    LONGEST_MS,
    Amount,
    LimitSource,
    LimitWish,
    Target,
    TargetKind,
)
from edgectl.domain.ids import CircuitId
from edgectl.domain.phases import Phases
from edgectl.domain.records import EventKept
from edgectl.domain.remembered import REMOTE_LIMITS
from edgectl.domain.site import Site
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import Millis, UtcMillis
from edgectl.domain.views import LimitView

LIMITS_COUNT = 256
"""Limits at once, some 100 kB of the state file: three authorities on each of 80 things."""
CHECKPOINT_MS: Millis = 10 * 60_000
"""What is left of each is written down this often: a machine that was off holds a limit at most this much too long."""
LIFTED_MS: Millis = 25 * 3_600_000
"""A lifted limit is remembered for longer than a command may live, so that an old command cannot bring it back."""
STATE_KEY = "all"


class ExternalLimits:
    """All limits from outside, of one site. ``machine_boot`` names the machine's own start; empty where it is not known."""

    def __init__(self, site: Site, remembered: Mapping[str, Mapping[str, Any]], now: Instant, machine_boot: str = "") -> None:
        self._machine_boot = machine_boot
        self._standing: dict[str, Standing] = {}
        self._lifted: dict[str, tuple[UtcMillis, str]] = {}
        """When each lifted or ended limit was issued, and by which request."""
        self._input_words: dict[str, str] = {}
        self.unreadable_count = 0
        """Remembered limits that could not be understood; worth an alarm, for something does not hold that should."""
        document = remembered.get(STATE_KEY, {})
        self.inputs = Inputs(site, _mapping(document.get("inputs")), now)
        self._recall(document, now)
        self._written_mono_ms = now.mono_ms
        self.reload(site)

    def reload(self, site: Site) -> None:
        self.site = site
        self.inputs.reload(site)
        self._configured = {Target(TargetKind.CIRCUIT, c.id): Amount(c.limit_ma, c.limit_w) for c in site.circuits}
        for charger in site.chargers:
            rating_ma = Phases.uniform(charger.max_ma * charger.evse_count)
            self._configured[Target(TargetKind.CHARGER, charger.id)] = Amount(rating_ma)

    # --- what holds -----------------------------------------------------------------------------------------------------

    def allowed(self, now: Instant) -> dict[CircuitId, Allowed]:
        """Each place somebody outside narrows."""
        spoken: dict[Target, list[Held]] = {}
        for target, held in self._held(now):
            if target in self._configured and not held.amount.is_none:
                spoken.setdefault(target, []).append(held)
        return {target.place: arbitrate(self._configured[target], limits) for target, limits in spoken.items()}

    def _held(self, now: Instant) -> Iterable[tuple[Target, Held]]:
        for one in self._standing.values():
            age_ms = max(0, now.utc_ms - one.issued_utc_ms)
            yield one.target, Held(one.id, one.words, one.holds(now), one.until_utc_ms(now), age_ms)
        for state in self.inputs.by_id.values():
            target = state.input.target
            if target in self._configured:
                amount = state.level(now).of(self._configured[target])
                lost = " (not readable)" if state.is_lost(now) else ""
                yield target, Held(f"input:{state.input.id}", f"input {state.input.id}{lost}", amount, None, state.age_ms(now))

    # --- what is asked --------------------------------------------------------------------------------------------------

    def request(self, event: LimitRequested, now: Instant) -> list[Decision]:
        """Accept or refuse, and say which. An accepted one is remembered and told to the backend."""
        target = self._known(event.wish.target)
        if target is None:
            return [_refused(event, "no-such-target", f"there is no {event.wish.target}")]
        wish = replace(event.wish, target=target)
        limit_id = f"{event.source.value}:{target.kind.value}:{target.name}"
        before = self._standing.get(limit_id)
        if before is not None and before.is_over(now):
            before = None
        last = (before.issued_utc_ms, before.request_id) if before is not None else self._lifted.get(limit_id)
        if last is not None and event.request_id and event.request_id == last[1]:
            return [ActionAnswered(event.action_id, Outcome.ACCEPTED, "repeated", "", (("id", limit_id),))]
        if last is not None and event.issued_utc_ms is not None and event.issued_utc_ms < last[0]:
            words = f"it was issued {iso(event.issued_utc_ms)}, and one of {iso(last[0])} has been heard already"
            return [_refused(event, "older", words)]
        issued_utc_ms = now.utc_ms if event.issued_utc_ms is None else event.issued_utc_ms
        if wish.amount is None:
            return self._lift(event, limit_id, before, issued_utc_ms, now)
        return self._set(event, wish, limit_id, before, issued_utc_ms, now)

    def _lift(
        self, event: LimitRequested, limit_id: str, before: Standing | None, issued_utc_ms: UtcMillis, now: Instant
    ) -> list[Decision]:
        if before is None:
            return [_refused(event, "no-such-limit", f"{event.source.value} has no limit on {event.wish.target}")]
        if not event.may_raise:
            return [_refused(event, "raises", "this door may lower limits, not lift them")]
        del self._standing[limit_id]
        self._lifted[limit_id] = (issued_utc_ms, event.request_id)
        answer = ActionAnswered(event.action_id, Outcome.ACCEPTED, "lifted", "", (("id", limit_id),))
        return [self._remember(now), answer, *_told("lifted", before, event.actor, now)]

    def _set(
        self,
        event: LimitRequested,
        wish: LimitWish,
        limit_id: str,
        before: Standing | None,
        issued_utc_ms: UtcMillis,
        now: Instant,
    ) -> list[Decision]:
        length_ms = wish.for_ms if wish.for_ms is not None else (wish.until_utc_ms or 0) - now.utc_ms
        if length_ms <= 0:
            return [_refused(event, "past", f"its end is past; it is {iso(now.utc_ms)} here")]
        if length_ms > LONGEST_MS:
            return [_refused(event, "too-long", f"at most {LONGEST_MS // 86_400_000} days; what holds longer is for the file")]
        if before is None and len(self._standing) >= LIMITS_COUNT:
            return [_refused(event, "too-many", f"{LIMITS_COUNT} limits stand already; lift one first")]
        ends_mono_ms = now.mono_ms + length_ms
        after = Standing(
            limit_id,
            wish.target,
            event.source,
            event.actor,
            wish.amount or NOTHING,
            issued_utc_ms,
            ends_mono_ms,
            ends_mono_ms,
            now.utc_ms + length_ms,
            wish.then,
            event.request_id,
        )
        if before is not None and not event.may_raise and raises(before, after, now):
            held = before.holds(now)
            more = "is more" if not after.amount.narrows(held) else "would end sooner, or leave more after its end"
            return [_refused(event, "raises", f"this door may lower limits; {held} stands and this {more}")]
        self._standing[limit_id] = after
        self._lifted.pop(limit_id, None)
        detail = [("id", limit_id), ("amount", str(after.amount)), ("until", iso(now.utc_ms + length_ms))]
        if self._configured[wish.target].narrows(after.amount):
            detail.append(("note", f"the site's file allows no more than {self._configured[wish.target]} anyway"))
        answer = ActionAnswered(event.action_id, Outcome.ACCEPTED, "set", "", tuple(detail))
        return [self._remember(now), answer, *_told("set", after, event.actor, now)]

    def _known(self, wanted: Target) -> Target | None:
        """The target as the file spells it; chargers' ids are the same in any letter case."""
        if wanted in self._configured:
            return wanted
        same = [t for t in self._configured if t.kind is wanted.kind and t.name.casefold() == wanted.name.casefold()]
        return same[0] if len(same) == 1 and wanted.kind is TargetKind.CHARGER else None

    # --- what passes ----------------------------------------------------------------------------------------------------

    def read(self, event: InputRead, now: Instant) -> list[Decision]:
        return [self._remember(now)] if self.inputs.read(event, now) else []

    def tick(self, now: Instant) -> list[Decision]:
        """Limits that have ended, inputs that say something new, and what is left of each, now and then."""
        found: list[Decision] = []
        for one in [one for one in self._standing.values() if one.is_over(now)]:
            del self._standing[one.id]
            self._lifted[one.id] = (one.issued_utc_ms, one.request_id)
            found += _told("ended", one, one.actor, now)
        found += self._input_news(now)
        is_due = bool(self._standing) and now.mono_ms - self._written_mono_ms >= CHECKPOINT_MS
        if is_due or any(isinstance(decision, Keep) for decision in found):
            found.append(self._remember(now))
        return found

    def _input_news(self, now: Instant) -> list[Decision]:
        found: list[Decision] = []
        for state in self.inputs.by_id.values():
            configured = self._configured.get(state.input.target)
            # A register that counts changes all the time; only whether it can be read is news then.
            level = "" if state.input.per_count is not None or configured is None else str(state.level(now).of(configured))
            words = f"not readable: {level}" if state.is_lost(now) else level
            before = self._input_words.get(state.input.id)
            self._input_words[state.input.id] = words
            if before is not None and before != words:
                body: dict[str, object] = {
                    "action": "input",
                    "by": LimitSource.INPUT.value,
                    "actor": str(state.input.id),
                    "amount": words,
                    "detail": state.words(now),
                }
                found += [Keep(EventKept("limit", str(state.input.target), now.utc_ms, body)), WakeUplink()]
        return found

    # --- views ----------------------------------------------------------------------------------------------------------

    def views(self, now: Instant) -> tuple[LimitView, ...]:
        """All of them, those of inputs last."""
        found = [self._view(one, now) for one in sorted(self._standing.values(), key=lambda one: one.id) if not one.is_over(now)]
        for state in self.inputs.by_id.values():
            target = state.input.target
            configured = self._configured.get(target)
            amount = NOTHING if configured is None else state.level(now).of(configured)
            age_ms = state.age_ms(now)
            found.append(
                LimitView(
                    id=f"input:{state.input.id}",
                    kind=target.kind.value,
                    target=target.name,
                    by=LimitSource.INPUT.value,
                    actor=str(state.input.id),
                    current_ma=amount.current_ma,
                    power_w=amount.power_w,
                    issued_utc_ms=None if age_ms is None else now.utc_ms - age_ms,
                    until_utc_ms=None,
                    then_current_ma=None,
                    then_power_w=None,
                    state="no-target" if configured is None else "lost" if state.is_lost(now) else "in-force",
                    detail=state.words(now),
                )
            )
        return tuple(found)

    def _view(self, one: Standing, now: Instant) -> LimitView:
        amount, then = one.holds(now), one.then or NOTHING
        is_known = one.target in self._configured
        return LimitView(
            id=one.id,
            kind=one.target.kind.value,
            target=one.target.name,
            by=one.source.value,
            actor=one.actor,
            current_ma=amount.current_ma,
            power_w=amount.power_w,
            issued_utc_ms=one.issued_utc_ms,
            until_utc_ms=one.until_utc_ms(now),
            then_current_ma=then.current_ma,
            then_power_w=then.power_w,
            state=one.state(now) if is_known else "no-target",
            detail="" if is_known else f"the site's file no longer has {one.target}",
        )

    # --- over a restart -------------------------------------------------------------------------------------------------

    def _remember(self, now: Instant) -> Remember:
        self._written_mono_ms = now.mono_ms
        # By the wall clock, which may be wrong: then an old command is refused for longer, or needs its own expiry.
        self._lifted = {name: one for name, one in self._lifted.items() if now.utc_ms - one[0] < LIFTED_MS}
        document: dict[str, object] = {
            "machine_boot": self._machine_boot,
            "mono_ms": now.mono_ms,
            "utc_ms": now.utc_ms,
            "limits": [to_document(one, now) for one in self._standing.values()],
            "lifted": {name: list(one) for name, one in self._lifted.items()},
            "inputs": self.inputs.document(),
        }
        return Remember(REMOTE_LIMITS, STATE_KEY, document)

    def _recall(self, document: Mapping[str, Any], now: Instant) -> None:
        for name, one in _mapping(document.get("lifted")).items():
            if isinstance(one, Sequence) and len(one) == 2 and isinstance(one[0], int):
                self._lifted[str(name)] = (one[0], str(one[1]))
        written_mono_ms, written_utc_ms = document.get("mono_ms", 0), document.get("utc_ms", 0)
        is_same_boot = self._machine_boot and document.get("machine_boot") == self._machine_boot
        if is_same_boot and now.mono_ms >= written_mono_ms:
            sure_ms = credible_ms = now.mono_ms - written_mono_ms
        else:
            sure_ms, credible_ms = 0, max(0, now.utc_ms - written_utc_ms)
        for row in document.get("limits", ()):
            try:
                one = from_document(row, now, sure_ms, credible_ms)
            except (KeyError, TypeError, ValueError):
                self.unreadable_count += 1
            else:
                self._standing[one.id] = one


def _refused(event: LimitRequested, code: str, words: str) -> ActionAnswered:
    return ActionAnswered(event.action_id, Outcome.REJECTED, code, words)


def _told(action: str, one: Standing, actor: str, now: Instant) -> list[Decision]:
    """For the site's history and the backend."""
    until_utc_ms = one.until_utc_ms(now)
    body: dict[str, object] = {
        "action": action,
        "id": one.id,
        "by": one.source.value,
        "actor": actor,
        "amount": str(one.amount),
        "until": None if until_utc_ms is None else iso(until_utc_ms),
        "then": None if one.then is None else str(one.then),
        "request": one.request_id,
    }
    return [Keep(EventKept("limit", str(one.target), now.utc_ms, body)), WakeUplink()]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
