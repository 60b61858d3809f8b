"""The drills under way: scripts fed with what is seen, and their steps handed to the balancing and the links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.core.balancing import Balancing
from edgectl.core.chargers import Chargers, ChargerState
from edgectl.core.drill.findings import Findings, Fingerprint, read_document
from edgectl.core.drill.script import Clear, Hang, Heard, Scene, Script, Step, Tell, Wait, script
from edgectl.core.vehicles import Vehicle
from edgectl.domain.decisions import Ask, CloseLink, Decision, ProfileStyle, Remember
from edgectl.domain.events import LimitAnswered, MeterValuesReported, Outcome
from edgectl.domain.ids import ChargerId, EvseId, SessionId
from edgectl.domain.quirks import ProfilePurpose
from edgectl.domain.remembered import FINGERPRINTS
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis
from edgectl.domain.views import DrillView

DRILL = "drill/"
"""How the asks of a drill are named."""
LONGEST_MS: Millis = 20 * 60_000
"""Twice what all questions take when every wait runs out is a drill that hangs."""
HEARD_COUNT_MAX = 200
"""Reports of one time without a link; a charger that kept more has told enough."""
CROWDED_MS: Millis = 5_000
"""Its conductor is needed by others for this long: the drill gives way."""


@dataclass(slots=True)
class _Drill:
    """One drill."""

    evse: EvseId
    session: SessionId
    script: Script
    findings: Findings
    began: Instant
    wait: Wait
    wait_ends_mono_ms: Millis
    told_mono_ms: Millis = 0
    order_number: int = 0
    outcome: Outcome | None = None
    crowded_since_mono_ms: Millis | None = None
    has_had_room: bool = False
    clear_count: int = 0
    ahead_ms: Millis = 0
    """Of the charger's clock, by its last report while the link was there."""
    is_apart: bool = False
    """The link has been ended since the last limit: what comes may come from the charger's queue."""
    heard: list[Heard] = field(default_factory=list)


class Drills:
    """At most one drill for each charger; a person starts it, and a vehicle has to charge."""

    def __init__(self, chargers: Chargers, balancing: Balancing, remembered: Mapping[str, Mapping[str, object]]) -> None:
        self._chargers = chargers
        self._balancing = balancing
        self._drills: dict[ChargerId, _Drill] = {}
        self._stopped: dict[ChargerId, DrillView] = {}
        self._fingerprints: dict[ChargerId, Fingerprint] = {}
        for name, document in remembered.items():
            fingerprint = read_document(document)
            if fingerprint is not None:
                self._fingerprints[ChargerId(name)] = fingerprint

    def measured(self, charger: ChargerId, firmware: str | None) -> Fingerprint | None:
        """What holds from an earlier drill; new firmware is a new charger."""
        fingerprint = self._fingerprints.get(charger)
        return fingerprint if fingerprint is not None and fingerprint.firmware == (firmware or "") else None

    def is_running(self, charger: ChargerId) -> bool:
        return charger in self._drills

    def view(self, charger: ChargerId) -> DrillView:
        drill = self._drills.get(charger)
        if drill is not None:
            return DrillView("running", f"waiting for {drill.wait.words}", drill.began.utc_ms, tuple(drill.findings.probes))
        if charger in self._stopped:
            return self._stopped[charger]
        fingerprint = self._fingerprints.get(charger)
        if fingerprint is None:
            return DrillView("never", "", None, ())
        return DrillView("done", f"with firmware {fingerprint.firmware or 'unknown'}", fingerprint.at_utc_ms, fingerprint.probes)

    # --- beginning and ending -----------------------------------------------------------------------------------------

    def begin(self, state: ChargerState, now: Instant) -> tuple[str, list[Decision]]:
        """Start a drill. Returns why not, or nothing, and the first steps."""
        charger = state.charger
        if charger.id in self._drills:
            return "a drill is under way", []
        sessions = [(evse, self._balancing.book.sessions.at(evse)) for evse in charger.evses]
        running = [(evse, session) for evse, session in sessions if session is not None]
        drawing = [(e, s) for e, s in running if e in self._balancing.vehicles and self._balancing.vehicles[e].is_drawing]
        if len(running) != 1 or not drawing:
            return "exactly one vehicle must be charging on it, and drawing current", []
        evse, session = drawing[0]
        findings = Findings()
        steps = script(charger, findings, ends_offline=state.protocol == "ocpp2.1")
        first = next(steps)
        if not isinstance(first, Wait):
            raise TypeError("a script begins with a wait")
        self._balancing.limits[evse].is_drilled = True
        self._stopped.pop(charger.id, None)
        self._drills[charger.id] = _Drill(evse, session.id, steps, findings, now, first, now.mono_ms + first.at_most_ms)
        return "", []

    def _end(self, drill: _Drill, why: str, now: Instant) -> list[Decision]:
        charger = drill.evse.charger
        del self._drills[charger]
        limit = self._balancing.limits.get(drill.evse)
        if limit is not None:
            limit.is_drilled = False
        decisions = self._balancing.orders.take_back(drill.evse, now)
        if why:
            probes = tuple(drill.findings.probes)
            self._stopped[charger] = DrillView("stopped", why, now.utc_ms, probes)
            return decisions
        state = self._chargers.by_id[charger]
        document = drill.findings.document(state.firmware, now)
        fingerprint = read_document(document)
        if fingerprint is not None:
            self._fingerprints[charger] = fingerprint
        return [*decisions, Remember(FINGERPRINTS, charger, document)]

    # --- as time passes -----------------------------------------------------------------------------------------------

    def limit_answered(self, event: LimitAnswered) -> None:
        drill = self._drills.get(event.charger)
        if drill is not None and event.order_number == drill.order_number and event.outcome is not Outcome.SUPERSEDED:
            drill.outcome = event.outcome

    def reported(self, event: MeterValuesReported, now: Instant) -> None:
        """Values of a charger, perhaps from its queue: what counts is when it made them."""
        drill = self._drills.get(event.call.charger)
        if drill is None or event.evse_number not in {0, drill.evse.number} or len(drill.heard) >= HEARD_COUNT_MAX:
            return
        limit = self._balancing.limits[drill.evse]
        for sample in event.samples:
            vehicle = Vehicle(drill.evse, limit.charger)
            vehicle.report(sample, self._balancing.site.voltage_mv, now, self._balancing.site.wiring)
            if sample.reported_utc_ms is None or vehicle.current_ma is None:
                continue
            if not event.is_offline and not drill.is_apart:
                drill.ahead_ms = sample.reported_utc_ms - now.utc_ms
            age_ms = now.utc_ms + drill.ahead_ms - sample.reported_utc_ms
            drill.heard.append(Heard(now.mono_ms - age_ms, vehicle.current_ma.largest))

    def tick(self, now: Instant) -> list[Decision]:
        decisions: list[Decision] = []
        for drill in list(self._drills.values()):
            decisions += self._advance(drill, now)
        return decisions

    def _advance(self, drill: _Drill, now: Instant) -> list[Decision]:
        state = self._chargers.by_id.get(drill.evse.charger)
        if state is None or drill.evse not in self._balancing.limits:
            self._drills.pop(drill.evse.charger, None)
            return []
        scene = self._scene(drill, state, now)
        problem = self._problem(drill, scene, now)
        if problem:
            return self._end(drill, problem, now)
        if not drill.wait.until(scene) and now.mono_ms < drill.wait_ends_mono_ms:
            return []
        if not drill.has_had_room:
            if not scene.has_room:
                return self._end(drill, "there is no room for its full rating now; free the circuit and try again", now)
            drill.has_had_room = True
        decisions: list[Decision] = []
        try:
            step: Step = drill.script.send(scene)
            while not isinstance(step, Wait):
                decisions += self._carry_out(drill, step, now)
                step = drill.script.send(self._scene(drill, state, now))
        except StopIteration:
            return [*decisions, *self._end(drill, "", now)]
        drill.wait, drill.wait_ends_mono_ms = step, now.mono_ms + step.at_most_ms
        return decisions

    def _carry_out(self, drill: _Drill, step: Tell | Clear | Hang, now: Instant) -> list[Decision]:
        match step:
            case Tell():
                order = self._balancing.orders.order_for_drill(
                    drill.evse, step.limit_ma, step.style, step.lease_ms, step.offline_ms, now
                )
                drill.is_apart = False
                drill.order_number, drill.told_mono_ms, drill.outcome = order.order_number, now.mono_ms, None
                return [order]
            case Clear():
                drill.clear_count += 1
                name = f"{DRILL}{drill.evse.charger}/{drill.clear_count}"
                return [Ask(drill.evse.charger, name, "clear-lease", self._lease_name(drill, step.style))]
            case Hang():
                drill.heard.clear()
                drill.is_apart = True
                return [CloseLink(drill.evse.charger, "the drill looks what is kept when the link goes", step.refuse_ms)]

    def _lease_name(self, drill: _Drill, style: ProfileStyle) -> tuple[tuple[str, str], ...]:
        purpose = style.purpose or ProfilePurpose.TX
        return (("purpose", purpose.value), ("evse", str(drill.evse.number)))

    def _scene(self, drill: _Drill, state: ChargerState, now: Instant) -> Scene:
        vehicle = self._balancing.vehicles.get(drill.evse)
        session = self._balancing.book.sessions.at(drill.evse)
        drawn_ma = vehicle.drawn_ma(now) if vehicle is not None else None
        return Scene(
            mono_ms=now.mono_ms,
            told_mono_ms=drill.told_mono_ms,
            outcome=drill.outcome,
            drawn_ma=None if drawn_ma is None else drawn_ma.largest,
            reported_mono_ms=(vehicle.reported_mono_ms or 0) if vehicle is not None else 0,
            is_connected=state.is_connected and state.is_accepted,
            is_charging=session is not None and session.id == drill.session,
            heard=tuple(drill.heard) if drill.is_apart else (),
            has_room=self._balancing.has_room_for_rating(drill.evse),
        )

    def _problem(self, drill: _Drill, scene: Scene, now: Instant) -> str:
        """Why the drill cannot go on; empty when it can."""
        if now.mono_ms - drill.began.mono_ms > LONGEST_MS:
            return "it took too long"
        if drill.has_had_room and not scene.has_room:
            drill.crowded_since_mono_ms = drill.crowded_since_mono_ms or now.mono_ms
            if now.mono_ms - drill.crowded_since_mono_ms >= CROWDED_MS:
                return "its conductor is needed by others"
        else:
            drill.crowded_since_mono_ms = None
        if not scene.is_charging and not drill.wait.may_end:
            return "the transaction has ended"
        return ""
