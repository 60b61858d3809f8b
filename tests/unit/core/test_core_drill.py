"""The drill finds out what a charger really does, whatever it says, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from support.plant import MAIN, Bench, of, plant

from edgectl.core.drill.findings import Findings, read_document
from edgectl.core.drill.script import BARRED_MS, COME_BACK_MS, OFFLINE_MS, Hang, Heard, Scene, Tell, Wait, _offline_end
from edgectl.core.limits import OFFLINE_GRACE_MS, EvseLimit, Order
from edgectl.domain.decisions import ActionAnswered, Ask, CloseLink, Decision, ProfileStyle, Remember, SetLimit
from edgectl.domain.events import (
    ActionRequested,
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    LimitAnswered,
    MeterRead,
    MeterReading,
    Outcome,
    Quality,
    Tick,
)
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.quirks import ProfilePurpose, Quirks, RateUnit
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.remembered import FINGERPRINTS
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant
from edgectl.domain.views import DrillView

A = ChargerId("A")
NOT_TX = frozenset({ProfilePurpose.STATION_MAX, ProfilePurpose.TX_DEFAULT})


@dataclass
class Box:
    """A charger with a car on it: what it does with the profiles it is sent, by the book unless told otherwise."""

    obeys: frozenset[ProfilePurpose] = frozenset(ProfilePurpose)
    rejects: frozenset[ProfilePurpose] = frozenset()
    takes_watts: bool = True
    keeps_over_link: bool = True
    ends_leases: bool = True
    wakes_at_ma: int = 6_000
    pauses: bool = True
    ends_at_zero: bool = False
    lag_s: int = 3
    car_ma: int = 32_000
    profiles: dict[ProfilePurpose, tuple[int, int]] = field(default_factory=dict)
    """Limit and end, by purpose."""
    changed_ms: int = 0
    drawn_ma: int = 6_000
    is_asleep: bool = False
    has_ended: bool = False

    def set(self, order: SetLimit, mono_ms: int) -> Outcome:
        purpose = order.style.purpose or ProfilePurpose.TX
        if purpose in self.rejects or (order.style.unit is RateUnit.WATTS and not self.takes_watts):
            return Outcome.REJECTED
        if purpose in self.obeys:
            limit_ma = order.limit_w * 1000 // 690 if order.style.unit is RateUnit.WATTS else order.limit_ma
            self.profiles[purpose] = (limit_ma, mono_ms + order.lease_ms)
            self.changed_ms = mono_ms
        return Outcome.ACCEPTED

    def draw_ma(self, mono_ms: int) -> int:
        if self.ends_leases:
            self.profiles = {p: (limit, end) for p, (limit, end) in self.profiles.items() if end > mono_ms}
        live = {purpose: limit for purpose, (limit, _) in self.profiles.items()}
        bound = live.get(ProfilePurpose.TX, live.get(ProfilePurpose.TX_DEFAULT, 6_000 if self.obeys else 32_000))
        bound = min(bound, live.get(ProfilePurpose.STATION_MAX, 32_000), self.car_ma)
        if bound < 6_000:
            bound = 0 if self.pauses else 6_000
            self.is_asleep = self.pauses
        elif self.is_asleep:
            self.is_asleep = bound < self.wakes_at_ma
        if mono_ms - self.changed_ms >= self.lag_s * 1000:
            self.drawn_ma = 0 if self.is_asleep else bound
        return self.drawn_ma


@dataclass
class Range:
    """A bench on which one charger is drilled, second by second."""

    box: Box
    limit_a: int = 100
    building_a: int = 10
    bench: Bench = field(init=False)
    back_at_ms: int = 0

    def __post_init__(self) -> None:
        self.bench = Bench(plant("A", limit_a=self.limit_a), answers_limits=False)
        self.bench.boot("A")
        self.carry(self.bench.start("A"))
        self.seconds(40)

    def carry(self, decisions: list[Decision]) -> None:
        queue = list(decisions)
        while queue:
            decision = queue.pop(0)
            match decision:
                case SetLimit():
                    outcome = self.box.set(decision, self.bench.mono_ms)
                    told = LimitAnswered(A, decision.evse.number, decision.order_number, outcome)
                    queue += self.bench.put(told)
                case Ask(request="clear-lease"):
                    self.box.profiles.pop(ProfilePurpose(dict(decision.arguments)["purpose"]), None)
                case CloseLink():
                    if not self.box.keeps_over_link:
                        self.box.profiles.clear()
                        self.box.profiles[ProfilePurpose.TX] = (32_000, 10**12)
                    queue += self.bench.put(ChargerDisconnected(A, self.bench._link, "closed"))
                    self.back_at_ms = self.bench.mono_ms + 8_000

    def seconds(self, count: int) -> None:
        bench = self.bench
        for _ in range(count):
            bench.wait(1)
            if self.back_at_ms and bench.mono_ms >= self.back_at_ms:
                self.back_at_ms = 0
                bench._link += 1
                self.carry(bench.put(ChargerConnected(A, bench._link, "ocpp1.6", "127.0.0.1", 1)))
                self.carry(bench.put(ChargerBooted(bench.call("A"), "Vendor", "Model")))
            drawn_ma = self.box.draw_ma(bench.mono_ms)
            if self.box.ends_at_zero and drawn_ma == 0 and bench.controller._sessions.open:
                (session,) = bench.controller._sessions.open.values()
                self.carry(bench.stop("A", session.transaction))
            total = Phases.uniform(self.building_a * 1000 + drawn_ma)
            self.carry(bench.put(MeterRead(MeterReading(MAIN, bench.mono_ms, Quality.GOOD, current_ma=total))))
            if not self.back_at_ms and bench.mono_ms // 1000 % 5 == 0 and bench.controller._sessions.open:
                self.carry(bench.values("A", amps=(drawn_ma / 1000,) * 3))
            self.carry(bench.put(Tick()))

    def drill(self) -> DrillView:
        decisions = self.bench.put(ActionRequested("1", A, "drill"))
        (answer,) = of(ActionAnswered, decisions)
        assert answer.outcome is Outcome.ACCEPTED, answer.problem
        self.carry(decisions)
        for _ in range(1500):
            self.seconds(1)
            view = self.view
            if view.state != "running":
                return view
        raise AssertionError(f"the drill does not end: {self.view}")

    @property
    def view(self) -> DrillView:
        return self.bench.controller.picture(self.bench.now).chargers[0].drill

    def quirks(self) -> dict[str, object]:
        (remembered,) = [one for one in of(Remember, self.bench.log) if one.kind == FINGERPRINTS]
        fingerprint = read_document(remembered.document)
        assert fingerprint is not None
        return dict(fingerprint.quirks)


def found(view: DrillView) -> dict[str, str]:
    return {probe.name: probe.value for probe in view.probes}


def test_a_charger_by_the_book_has_no_quirks_and_the_drill_takes_about_ten_minutes() -> None:
    range_ = Range(Box())
    began_ms = range_.bench.mono_ms
    view = range_.drill()
    assert view.state == "done"
    assert found(view) == {
        "full current": "32.0 A",
        "TxProfile": "obeyed",
        "TxDefaultProfile": "obeyed",
        "station maximum": "obeyed",
        "watts": "obeyed",
        "rounding": "to tenths",
        "pause": "wakes at 6 A",
        "reconnect": "keeps its limit",
        "lease": "ends by itself",
    }
    assert range_.quirks() == {}
    assert range_.bench.mono_ms - began_ms < 10 * 60_000


@pytest.mark.parametrize(
    ("box", "name", "value", "quirks"),
    [
        (Box(obeys=NOT_TX), "TxProfile", "accepted and ignored", {"purpose": ProfilePurpose.TX_DEFAULT}),
        (Box(rejects=frozenset({ProfilePurpose.TX})), "TxProfile", "rejected", {"purpose": ProfilePurpose.TX_DEFAULT}),
        (Box(takes_watts=False), "watts", "rejected", {}),
        (Box(keeps_over_link=False), "reconnect", "forgets its limit", {"keeps_profiles": False}),
        (Box(ends_leases=False), "lease", "does not end", {"has_lease": False}),
        (Box(wakes_at_ma=9_000), "pause", "wakes at 10 A", {"wakes_at_ma": 10_000}),
        (Box(wakes_at_ma=60_000), "pause", "does not wake", {"can_pause": False}),
        (Box(pauses=False), "pause", "not possible", {"can_pause": False}),
        (Box(ends_at_zero=True), "pause", "ends the transaction", {"can_pause": False}),
        (Box(car_ma=16_000), "full current", "16.0 A", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_charger_does_is_found_and_becomes_a_quirk(box: Box, name: str, value: str, quirks: dict[str, object]) -> None:
    range_ = Range(box)
    view = range_.drill()
    assert (view.state, found(view)[name]) == ("done", value)
    assert range_.quirks() == quirks
    if quirks:
        (charger,) = range_.bench.controller.picture(range_.bench.now).chargers
        assert dict(charger.quirks)["measured"].startswith("found by the drill")


def test_a_charger_that_obeys_nothing_is_named() -> None:
    view = Range(Box(obeys=frozenset())).drill()
    assert found(view)["limits"] == "ignored"


def test_everybody_else_leaves_room_for_the_rating_while_it_is_drilled() -> None:
    range_ = Range(Box(), limit_a=45)
    range_.carry(range_.bench.put(ActionRequested("1", A, "drill")))
    range_.seconds(3)
    (circuit,) = range_.bench.controller.picture(range_.bench.now).circuits
    assert circuit.reserved_ma == Phases.uniform(32_000)


def test_without_room_for_the_rating_the_drill_gives_way() -> None:
    range_ = Range(Box(), limit_a=30)
    view = range_.drill()
    assert (view.state, "no room" in view.detail) == ("stopped", True)
    crowded = Range(Box(), limit_a=60)
    crowded.carry(crowded.bench.put(ActionRequested("1", A, "drill")))
    crowded.seconds(30)
    crowded.building_a = 50
    crowded.seconds(10)
    assert (crowded.view.state, crowded.view.detail) == ("stopped", "its conductor is needed by others")
    assert crowded.bench.limit_a("A") <= 10


def test_nothing_charges_nothing_to_see() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    (answer,) = of(ActionAnswered, bench.put(ActionRequested("1", A, "drill")))
    assert (answer.outcome, "must be charging" in answer.problem) == (Outcome.REJECTED, True)


def test_new_firmware_is_a_new_charger() -> None:
    range_ = Range(Box(ends_leases=False))
    range_.drill()
    bench = range_.bench
    assert bench.controller._chargers.by_id[A].quirks.has_lease is False
    bench._link += 1
    bench.put(ChargerConnected(A, bench._link, "ocpp1.6", "127.0.0.1", 1))
    bench.put(ChargerBooted(bench.call("A"), "Vendor", "Model", firmware="2.0"))
    assert bench.controller._chargers.by_id[A].quirks.has_lease is True


def test_a_fingerprint_edited_by_hand_is_not_half_believed() -> None:
    good = {"firmware": "1", "at_utc_ms": 1, "probes": [["a", "b", "c"]], "quirks": {"has_lease": False}}
    assert read_document(good) is not None
    for broken in ({"quirks": {"has_lease": "no"}}, {"quirks": {"explode": True}}, {"probes": 3}, {"firmware": None}):
        assert read_document(good | broken) is None


# --- a limit that ends without a link (2.1) -------------------------------------------------------------------------------


def offline_end(heard: list[tuple[int, int]], *, back_s: int | None = 100) -> tuple[Findings, bool]:
    """What the script makes of reports: seconds after the link has gone, and milliamps."""
    findings = Findings()
    charger = Charger(A, CircuitId("grid"))
    steps = _offline_end(charger, findings, ProfileStyle(), 16_000)
    told = next(steps)
    assert isinstance(told, Tell)
    assert (told.limit_ma, told.offline_ms) == (10_000, OFFLINE_MS)
    assert told.lease_ms > BARRED_MS + COME_BACK_MS, "or it would be the end of the lease that is seen"
    seen = Scene(1_000, 0, Outcome.ACCEPTED, 10_000, 900, is_connected=True, is_charging=True, has_room=True)
    assert isinstance(next(steps), Wait)
    assert steps.send(seen) == Hang(BARRED_MS)
    assert isinstance(next(steps), Wait)
    assert isinstance(steps.send(replace(seen, mono_ms=100_000, is_connected=False)), Wait)
    try:
        if back_s is None:
            steps.send(replace(seen, mono_ms=500_000, is_connected=False))
        back = replace(seen, mono_ms=100_000 + 1000 * (back_s or 0))
        assert isinstance(steps.send(back), Wait)
        kept = tuple(Heard(100_000 + 1000 * second, drawn_ma) for second, drawn_ma in heard)
        steps.send(replace(back, mono_ms=back.mono_ms + 10_000, heard=kept))
    except StopIteration as end:
        return findings, bool(end.value)
    raise AssertionError("the script goes on")


@pytest.mark.parametrize(
    ("heard", "value", "is_proven"),
    [
        ([(10, 10_000), (20, 10_000), (50, 6_000), (60, 6_000), (110, 10_000)], "ends by itself", True),
        ([(50, 6_000)], "ends by itself", True),
        ([(10, 10_000), (50, 6_000), (60, 10_000)], "does not end", False),
        ([(20, 6_000), (25, 6_100), (50, 6_000)], "ends with its link", False),
        ([(20, 10_000), (32, 10_000), (40, 10_000), (110, 10_000)], "not seen", False),
        ([], "not seen", False),
    ],
)  # fmt: skip
def test_what_it_kept_of_the_time_alone_decides(heard: list[tuple[int, int]], value: str, is_proven: bool) -> None:
    findings, has_ended = offline_end(heard)
    assert ([(probe.name, probe.value) for probe in findings.probes], has_ended) == ([("offline end", value)], is_proven)


def test_one_that_does_not_come_back_has_shown_nothing() -> None:
    findings, has_ended = offline_end([], back_s=None)
    assert (findings.probes[0].value, has_ended) == ("not seen", False)
    assert "did not come back" in findings.probes[0].evidence


def lost(*, ends_offline: bool) -> EvseLimit:
    """One whose leases do not end, told 16 A, and then its link went at 10 s."""
    limit = EvseLimit(EvseId(A, 1), Charger(A, CircuitId("grid")), Quirks(has_lease=False, ends_offline=ends_offline))
    limit.open(Instant(0, 0))
    limit.note_order(Order(1, 16_000, 0, 180_000, Reason(Cause.CIRCUIT, Authority.POLICY)), 6_000)
    limit.answer(LimitAnswered(A, 1, 1, Outcome.ACCEPTED))
    limit.lose(Instant(10_000, 0))
    return limit


def test_a_limit_without_an_end_is_believed_to_be_over_only_where_it_was_measured_to_end_without_a_link() -> None:
    end_ms = 10_000 + 180_000 + OFFLINE_GRACE_MS
    limit = lost(ends_offline=True)
    assert limit.worst_ma(Instant(end_ms - 1, 0), None) == 16_000
    assert limit.worst_ma(Instant(end_ms, 0), None) == 6_000
    limit.find()
    assert limit.worst_ma(Instant(end_ms + 1, 0), None) == 16_000, "with the link the limit holds again"
    assert lost(ends_offline=False).worst_ma(Instant(10 * end_ms, 0), None) == 16_000


def test_what_a_drill_has_measured_of_it_is_read_again() -> None:
    findings = Findings()
    findings.follows("ends_offline", True)
    findings.follows("has_lease", False)
    fingerprint = read_document(findings.document("1.0", Instant(0, 0)))
    assert fingerprint is not None
    assert dict(fingerprint.quirks) == {"ends_offline": True, "has_lease": False}
