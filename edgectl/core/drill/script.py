"""The questions of a drill, one after another.

A script is a generator. It yields a ``Step`` (something to do, or something to wait for) and is sent the ``Scene`` as it is when
the step is done: for a wait, when its condition has come true or its time is over. So the order of the questions reads from top
to bottom, and nothing here knows of events, links or the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TypeAlias

from edgectl.core.drill.findings import Findings
from edgectl.domain.decisions import ProfileStyle
from edgectl.domain.events import Outcome
from edgectl.domain.quirks import ProfilePurpose, RateUnit
from edgectl.domain.site import Charger, PowerKind
from edgectl.domain.units import MilliAmps, Millis

ROOM_MS: Millis = 60_000
"""Others are lowered at once, and confirm."""
RAMP_MS: Millis = 12_000
ANSWER_MS: Millis = 20_000
"""An answer of a charger takes 15 s at most, and its place in the queue a little."""
FOLLOW_MS: Millis = 40_000
"""IEC 61851-1 gives a vehicle 5 s; chargers report every 10 to 30 s."""
WAKE_MS: Millis = 90_000
LEASE_MS: Millis = 30_000
LEASE_GRACE_MS: Millis = 75_000
"""Within its lease and a minute, and a report more: the product's promise when we are gone."""
BACK_MS: Millis = 120_000
LONG_LEASE_MS: Millis = 180_000
OFFLINE_MS: Millis = 30_000
"""What a limit is given without a link ..."""
BARRED_MS: Millis = OFFLINE_MS + 60_000
"""... and how long the charger is kept away: long enough for a report or two after it has fallen."""
FALL_MS: Millis = 15_000
"""A charger looks at its limits every few seconds, its vehicle follows within 5 s, its stamps are whole seconds."""
COME_BACK_MS: Millis = 300_000
"""Who was turned away tries again more and more seldom."""
APART_LEASE_MS: Millis = BARRED_MS + COME_BACK_MS + LEASE_GRACE_MS
"""So that it is not the end of the lease that is seen."""
NEAR_MA: MilliAmps = 700
"""A vehicle stays below its limit by up to half an ampere, and meters of chargers are of class 1 or worse."""
DRAWING_MA: MilliAmps = 1_000


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a limit in this style, with this lease."""

    limit_ma: MilliAmps
    style: ProfileStyle
    lease_ms: Millis = LONG_LEASE_MS
    offline_ms: Millis | None = None
    """How long it shall hold without a link, where that is another time."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Take back the lease told in this style."""

    style: ProfileStyle


@dataclass(frozen=True, slots=True)
class Hang:
    """End the link; the charger comes back by itself, and is let in after ``refuse_ms``."""

    refuse_ms: Millis = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the condition holds, or the time is over."""

    until: Callable[[Scene], bool]
    at_most_ms: Millis
    words: str
    """What is being waited for, for whoever watches."""
    may_end: bool = False
    """The end of the transaction is an answer too."""


Step: TypeAlias = Tell | Clear | Hang | Wait


@dataclass(frozen=True, slots=True)
class Heard:
    """One report of a charger, at the moment at which it was made by the charger's own clock."""

    at_mono_ms: Millis
    drawn_ma: MilliAmps


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to see at one moment."""

    mono_ms: Millis
    told_mono_ms: Millis
    """When the last limit was told."""
    outcome: Outcome | None
    """Of the last limit; None while unanswered."""
    drawn_ma: MilliAmps | None
    """The largest phase of the last report."""
    reported_mono_ms: Millis
    is_connected: bool
    is_charging: bool
    """The session the drill began in is open."""

    has_room: bool
    """Its full rating fits beside everybody else."""
    heard: tuple[Heard, ...] = ()
    """Reports since the link was last ended, with those that came later from its queue."""

    @property
    def is_fresh(self) -> bool:
        """The report was made after the last limit was told."""
        return self.drawn_ma is not None and self.reported_mono_ms > self.told_mono_ms

    @property
    def drawn(self) -> str:
        return "nothing" if self.drawn_ma is None else f"{self.drawn_ma / 1000:.1f} A"

    def draws_more(self, than_ma: MilliAmps) -> bool:
        return self.is_fresh and self.drawn_ma is not None and self.drawn_ma > than_ma + NEAR_MA

    def draws_at_most(self, limit_ma: MilliAmps) -> bool:
        return self.is_fresh and self.drawn_ma is not None and self.drawn_ma <= limit_ma + NEAR_MA


Script: TypeAlias = Generator[Step, Scene, None]
_PURPOSE_WORDS = {
    ProfilePurpose.TX: "TxProfile",
    ProfilePurpose.TX_DEFAULT: "TxDefaultProfile",
    ProfilePurpose.STATION_MAX: "station maximum",
}


def script(charger: Charger, findings: Findings, *, ends_offline: bool = False) -> Script:
    """All questions. ``ends_offline``: it speaks a version in which a limit can be told to end without a link."""
    yield Wait(lambda scene: scene.has_room, ROOM_MS, "room for its full rating")
    low_ma = charger.min_ma + 2_000
    scene = yield from _full_current(charger, low_ma)
    if scene.drawn_ma is None:
        findings.note("unfinished", "no current is reported", "neither currents nor power came in meter values")
        return
    high_ma = min(charger.max_ma, scene.drawn_ma)
    if high_ma < low_ma + 2 * NEAR_MA:
        findings.note("unfinished", "the vehicle draws too little", f"{scene.drawn} at {charger.max_ma / 1000:g} A")
        return
    findings.note("full current", scene.drawn, f"told {charger.max_ma / 1000:g} A")
    style = yield from _purposes(charger, findings, low_ma, high_ma)
    if style is None:
        findings.note("limits", "ignored", "no purpose of charging profile changed the current")
        return
    yield from _watts(charger, findings, style, low_ma, high_ma)
    yield from _rounding(findings, style, low_ma, high_ma)
    has_ended = yield from _pause(charger, findings, style, high_ma)
    if has_ended:
        findings.note("unfinished", "the transaction has ended", "start another and run the drill again for the rest")
        return
    yield from _reconnect(findings, style, low_ma)
    has_ended_offline = False
    if ends_offline:
        has_ended_offline = yield from _offline_end(charger, findings, style, high_ma)
    yield from _lease_end(charger, findings, style, high_ma)
    if has_ended_offline and findings.quirks.get("has_lease") is False:
        findings.follows("ends_offline", True)


def _full_current(charger: Charger, low_ma: MilliAmps) -> Generator[Step, Scene, Scene]:
    """What the vehicle takes when it may take everything, in whichever way it can be told so."""
    for purpose in _PURPOSE_WORDS:
        yield Tell(charger.max_ma, ProfileStyle(purpose=purpose))
        scene = yield Wait(lambda scene: scene.draws_more(low_ma + NEAR_MA), FOLLOW_MS, "the current to rise")
        if scene.draws_more(low_ma + NEAR_MA):
            break
    # Vehicles ramp: a moment later it has reached what it takes.
    return (yield Wait(lambda later: later.reported_mono_ms > scene.reported_mono_ms + RAMP_MS, FOLLOW_MS, "the full current"))


def _purposes(
    charger: Charger, findings: Findings, low_ma: MilliAmps, high_ma: MilliAmps
) -> Generator[Step, Scene, ProfileStyle | None]:
    """Which purposes it obeys; the first of them in the order of the ladder is used from here on."""
    best: ProfileStyle | None = None
    purposes = [ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT]
    if charger.evse_count == 1:
        purposes.append(ProfilePurpose.STATION_MAX)
    for purpose in purposes:
        style = ProfileStyle(purpose=purpose)
        if purpose is ProfilePurpose.STATION_MAX and best is not None:
            yield Tell(high_ma, best)  # the maximum is one bound of two: the other must not be what is seen
        verdict, evidence, is_obeyed = yield from _obeys(style, low_ma, high_ma)
        findings.note(_PURPOSE_WORDS[purpose], verdict, evidence)
        if is_obeyed:
            best = best or style
        yield Clear(style)
    if best is not None and best.purpose is not ProfilePurpose.TX:
        findings.follows("purpose", best.purpose)
    return best


def _obeys(style: ProfileStyle, low_ma: MilliAmps, high_ma: MilliAmps) -> Generator[Step, Scene, tuple[str, str, bool]]:
    """Told high, then low: does the current follow? The verdict, what was seen, and whether that is obeying."""
    yield Tell(high_ma, style)
    scene = yield Wait(lambda scene: scene.outcome is not None, ANSWER_MS, "an answer to a limit")
    if scene.outcome is not Outcome.ACCEPTED:
        return (scene.outcome.value if scene.outcome else "no answer"), "", False
    scene = yield Wait(lambda scene: scene.draws_more(low_ma), FOLLOW_MS, "the current to rise")
    if not scene.draws_more(low_ma):
        return "not seen", f"told {high_ma / 1000:g} A, measured {scene.drawn}", False
    yield Tell(low_ma, style)
    scene = yield Wait(lambda scene: scene.outcome is not None, ANSWER_MS, "an answer to a lower limit")
    if scene.outcome is not Outcome.ACCEPTED:
        return (scene.outcome.value if scene.outcome else "no answer"), "a lower limit was not accepted", False
    scene = yield Wait(lambda scene: scene.draws_at_most(low_ma), FOLLOW_MS, "the current to fall")
    if not scene.draws_at_most(low_ma):
        return "accepted and ignored", f"told {low_ma / 1000:g} A, measured {scene.drawn}", False
    took_s = (scene.reported_mono_ms - scene.told_mono_ms) / 1000
    return "obeyed", f"told {low_ma / 1000:g} A, measured {scene.drawn} after {took_s:.0f} s", True


def _watts(
    charger: Charger, findings: Findings, style: ProfileStyle, low_ma: MilliAmps, high_ma: MilliAmps
) -> Generator[Step, Scene, None]:
    """Whether it takes the other unit too; amps stay where they work."""
    if charger.kind is PowerKind.DC:
        return
    verdict, evidence, _ = yield from _obeys(replace(style, unit=RateUnit.WATTS), low_ma, high_ma)
    findings.note("watts", verdict, evidence)


def _rounding(findings: Findings, style: ProfileStyle, low_ma: MilliAmps, high_ma: MilliAmps) -> Generator[Step, Scene, None]:
    """A limit between two whole amps, watched long enough to tell half an ampere."""
    odd_ma = low_ma + 1_600
    yield Tell(high_ma, style)
    yield Wait(lambda scene: scene.draws_more(odd_ma), FOLLOW_MS, "the current to rise")
    yield Tell(odd_ma, style)
    scene = yield Wait(lambda scene: scene.draws_at_most(odd_ma), FOLLOW_MS, "the current to fall")
    if scene.drawn_ma is None:
        return
    gap_ma = odd_ma - scene.drawn_ma
    word = "to tenths" if abs(gap_ma) < 350 else "down to whole amps" if gap_ma > 0 else "up"
    findings.note("rounding", word, f"told {odd_ma / 1000:g} A, measured {scene.drawn}")


def _pause(charger: Charger, findings: Findings, style: ProfileStyle, high_ma: MilliAmps) -> Generator[Step, Scene, bool]:
    """0 A and back. Returns whether that has ended the transaction."""
    yield Tell(0, style)
    scene = yield Wait(
        lambda scene: not scene.is_charging or (scene.is_fresh and (scene.drawn_ma or 0) < DRAWING_MA),
        FOLLOW_MS,
        "the vehicle to pause",
        may_end=True,
    )
    if not scene.is_charging:
        findings.note("pause", "ends the transaction", "told 0 A")
        findings.follows("can_pause", False)
        return True
    if scene.drawn_ma is None or scene.drawn_ma >= DRAWING_MA:
        findings.note("pause", "not possible", f"told 0 A, measured {scene.drawn}")
        findings.follows("can_pause", False)
        return False
    for current_ma in (charger.min_ma, min(high_ma, charger.min_ma + 4_000), high_ma):
        yield Tell(current_ma, style)
        scene = yield Wait(
            lambda scene: not scene.is_charging or (scene.is_fresh and (scene.drawn_ma or 0) >= DRAWING_MA),
            WAKE_MS,
            "the vehicle to wake",
            may_end=True,
        )
        if not scene.is_charging:
            findings.note("pause", "ends the transaction", "paused, then raised")
            findings.follows("can_pause", False)
            return True
        if scene.is_fresh and (scene.drawn_ma or 0) >= DRAWING_MA:
            waited_s = (scene.reported_mono_ms - scene.told_mono_ms) / 1000
            findings.note("pause", f"wakes at {current_ma / 1000:g} A", f"after {waited_s:.0f} s")
            if current_ma > charger.min_ma:
                findings.follows("wakes_at_ma", current_ma)
            return False
    findings.note("pause", "does not wake", f"not at {high_ma / 1000:g} A either")
    findings.follows("can_pause", False)
    return False


def _reconnect(findings: Findings, style: ProfileStyle, low_ma: MilliAmps) -> Generator[Step, Scene, None]:
    """What is left of a limit when the link has gone and come back, before anything is told again."""
    yield Tell(low_ma, style)
    yield Wait(lambda scene: scene.draws_at_most(low_ma), FOLLOW_MS, "the current to fall")
    yield Hang()
    yield Wait(lambda scene: not scene.is_connected, ANSWER_MS, "the link to go")
    scene = yield Wait(lambda scene: scene.is_connected, BACK_MS, "the charger to come back")
    if not scene.is_connected:
        findings.note("reconnect", "did not come back", f"within {BACK_MS // 1000} s")
        return
    back_mono_ms = scene.mono_ms
    scene = yield Wait(lambda scene: scene.reported_mono_ms > back_mono_ms + 5_000, FOLLOW_MS, "a report after the reconnect")
    if scene.drawn_ma is None or scene.reported_mono_ms <= back_mono_ms:
        findings.note("reconnect", "not seen", "no report after the reconnect")
    elif scene.drawn_ma <= low_ma + NEAR_MA:
        findings.note("reconnect", "keeps its limit", f"told {low_ma / 1000:g} A before, measured {scene.drawn}")
    else:
        findings.note("reconnect", "forgets its limit", f"told {low_ma / 1000:g} A before, measured {scene.drawn}")
        findings.follows("keeps_profiles", False)


def _offline_end(charger: Charger, findings: Findings, style: ProfileStyle, high_ma: MilliAmps) -> Generator[Step, Scene, bool]:
    """A limit that is to end 30 s after the link has gone, long before its lease: what the charger did all alone is told by the
    values it kept for us. Returns whether it fell to its fallback by itself, and when it should."""
    above_ma = min(high_ma, charger.fallback_ma + 4_000) if charger.fallback_ma else high_ma
    yield Tell(above_ma, style, APART_LEASE_MS, OFFLINE_MS)
    scene = yield Wait(lambda scene: scene.draws_more(charger.fallback_ma), FOLLOW_MS, "the current to rise")
    if not scene.draws_more(charger.fallback_ma):
        findings.note("offline end", "not seen", "the vehicle did not draw more than the fallback")
        return False
    yield Hang(BARRED_MS)
    scene = yield Wait(lambda scene: not scene.is_connected, ANSWER_MS, "the link to go")
    gone_mono_ms = scene.mono_ms
    scene = yield Wait(lambda scene: scene.is_connected, BARRED_MS + COME_BACK_MS, "the charger to come back after a while alone")
    if not scene.is_connected:
        findings.note("offline end", "not seen", f"it did not come back within {COME_BACK_MS // 1000} s")
        return False
    back_mono_ms = scene.mono_ms
    live_ms = back_mono_ms + 2_000
    scene = yield Wait(
        lambda scene: any(one.at_mono_ms > live_ms for one in scene.heard), 2 * FOLLOW_MS, "the values it kept while it was alone"
    )
    most_ma, end_mono_ms = charger.fallback_ma + NEAR_MA, gone_mono_ms + OFFLINE_MS
    before = [one for one in scene.heard if gone_mono_ms + FALL_MS <= one.at_mono_ms < end_mono_ms]
    after = [one for one in scene.heard if end_mono_ms + FALL_MS <= one.at_mono_ms < back_mono_ms - 1_000]
    if not after:
        findings.note("offline end", "not seen", "it kept no values of the time without a link")
        return False
    last = max(after, key=lambda one: one.drawn_ma)
    alone_s = (last.at_mono_ms - gone_mono_ms) // 1000
    words = (
        f"told {above_ma / 1000:g} A for {OFFLINE_MS // 1000} s without a link, {last.drawn_ma / 1000:.1f} A after {alone_s} s"
    )
    if last.drawn_ma > most_ma:
        findings.note("offline end", "does not end", words)
    elif before and all(one.drawn_ma <= most_ma for one in before):
        findings.note("offline end", "ends with its link", f"{before[0].drawn_ma / 1000:.1f} A before the time was over")
    else:
        findings.note("offline end", "ends by itself", words)
        return True
    return False


def _lease_end(charger: Charger, findings: Findings, style: ProfileStyle, high_ma: MilliAmps) -> Generator[Step, Scene, None]:
    """A lease that is not renewed: does the charger lower itself, as it must when we are gone?"""
    above_ma = min(high_ma, charger.fallback_ma + 4_000) if charger.fallback_ma else high_ma
    yield Tell(above_ma, style, LEASE_MS)
    scene = yield Wait(lambda scene: scene.draws_more(charger.fallback_ma), FOLLOW_MS, "the current to rise")
    if scene.drawn_ma is None or scene.drawn_ma <= charger.fallback_ma + NEAR_MA:
        findings.note("lease", "not seen", "the vehicle did not draw more than the fallback")
        return
    end_mono_ms = scene.told_mono_ms + LEASE_MS
    scene = yield Wait(
        lambda scene: scene.reported_mono_ms > end_mono_ms and (scene.drawn_ma or 0) <= charger.fallback_ma + NEAR_MA,
        LEASE_MS + LEASE_GRACE_MS,
        "the lease to end",
    )
    if scene.drawn_ma is not None and scene.drawn_ma <= charger.fallback_ma + NEAR_MA:
        took_s = (scene.reported_mono_ms - scene.told_mono_ms) / 1000
        findings.note("lease", "ends by itself", f"{scene.drawn} {took_s:.0f} s after a lease of {LEASE_MS // 1000} s")
        return
    findings.note(
        "lease", "does not end", f"{scene.drawn} a minute after a lease of {LEASE_MS // 1000} s at {above_ma / 1000:g} A"
    )
    findings.follows("has_lease", False)
