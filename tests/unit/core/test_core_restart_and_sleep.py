"""What a charger is believed to do without us, vehicles that sleep through the end of a pause, the minutes after a blackout."""

from __future__ import annotations

from dataclasses import replace

from support.plant import GRID, Bench, of, plant, records

from edgectl.core.controller import Controller
from edgectl.domain.decisions import Remember, SetLimit
from edgectl.domain.events import ChargerBooted, ChargerConnected, FallbackAnswered, Outcome, RequestAnswered
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.records import EventKept, Restored
from edgectl.domain.remembered import FALLBACKS
from edgectl.domain.site import Charger, Site

A = ChargerId("A")


def silent_ma(bench: Bench) -> int:
    bench.tick()
    return bench.controller.picture(bench.now).circuits[0].silent_ma.l1


# --- what is believed of a fallback -------------------------------------------------------------------------------------------


def test_a_charger_that_never_confirmed_its_fallback_counts_at_its_rating() -> None:
    assert silent_ma(Bench(plant("A", "B"))) == 64_000


def test_one_that_a_person_answers_for_counts_at_its_fallback() -> None:
    vouched = Charger(A, GRID, is_fallback_vouched=True)
    assert silent_ma(Bench(plant(vouched, "B"))) == 6_000 + 32_000


def test_one_that_said_yes_counts_at_its_fallback_and_after_a_restart_of_ours_still() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.drop("A")
    bench.wait(300)
    assert silent_ma(bench) == 6_000
    kept = {one.key: one.document for one in of(Remember, bench.log) if one.kind == FALLBACKS}
    again = Bench(plant("A"))
    again.controller = Controller(again.site, Restored(), again.ids, again.now, remembered={FALLBACKS: kept})
    assert silent_ma(again) == 6_000


def test_what_was_read_back_is_remembered_as_proven_until_it_reads_otherwise() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")

    def read(amps: str) -> bool:
        told = (("last-limit", amps), ("rate-unit", "A"))
        decisions = bench.put(RequestAnswered(A, "fallback/A", Outcome.ACCEPTED, "", told))
        (news,) = [one for one in of(Remember, decisions) if one.kind == FALLBACKS]
        return news.document["verified"] is True

    assert read("6")
    bench.boot("A")
    assert not read("32")
    assert "fallback-differs" in {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}


def test_a_proof_that_the_chargers_do_not_keep_is_an_alarm_with_an_end() -> None:
    bench = Bench(plant("A", "B", limit_a=55, other_loads_ma=Phases.uniform(20_000)))
    bench.boot("A")
    bench.run(200, 10)
    (alarm,) = [one for one in bench.controller.picture(bench.now).alarms if one.kind == "proof-violated"]
    assert (alarm.subject, alarm.detail[-12:]) == (GRID, "58 A of 55 A")
    bench.boot("B")
    bench.run(3, 10)
    assert "proof-violated" not in {one.kind for one in bench.controller.picture(bench.now).alarms}


# --- vehicles that sleep ------------------------------------------------------------------------------------------------------


class Sleeper:
    """A vehicle that falls asleep when it is paused and wakes only as its test says."""

    def __init__(self, **quirks: object) -> None:
        charger = Charger(A, GRID, own_quirks=tuple(quirks.items()))  # type: ignore[arg-type]
        self.bench = Bench(plant(charger, limit_a=40))
        self.bench.boot("A")
        self.is_asleep = False
        self.told: list[float] = []
        self.bench.start("A")
        self.run(60, 5)

    def wakes(self, offered_a: float) -> bool:
        return False

    def run(self, seconds: int, building_a: float) -> None:
        for second in range(seconds):
            offered_a = self.bench.limit_a("A")
            if not self.told or self.told[-1] != offered_a:
                self.told.append(offered_a)
            self.is_asleep = (self.is_asleep or offered_a == 0) and not self.wakes(offered_a)
            drawn_a = 0 if self.is_asleep else offered_a
            self.bench.wait(1)
            self.bench.meter(building_a + drawn_a)
            if second % 10 == 9:
                self.bench.values("A", amps=(drawn_a,) * 3)
            self.bench.tick()

    def pause(self) -> None:
        self.run(30, 38)
        assert self.bench.limit_a("A") == 0
        self.told.clear()

    @property
    def is_alarmed(self) -> bool:
        return "vehicle-asleep" in {alarm.kind for alarm in self.bench.controller.picture(self.bench.now).alarms}


class NeedsMore(Sleeper):
    def wakes(self, offered_a: float) -> bool:
        return offered_a >= 10


class NeedsAToggle(Sleeper):
    awake_after: int = 0

    def wakes(self, offered_a: float) -> bool:
        return offered_a > 0 and self.told.count(0) >= 2


def test_a_vehicle_that_does_not_wake_is_offered_more_and_then_kept_awake() -> None:
    car = NeedsMore()
    car.pause()
    car.run(60, 33)  # room for 7 A: not enough for this one
    assert car.is_asleep
    car.run(120, 20)
    assert not car.is_asleep
    assert car.bench.limit_a("A") >= 10


def test_where_more_does_not_help_the_current_is_taken_away_once_more() -> None:
    car = NeedsAToggle()
    car.pause()
    car.told = [0]
    car.run(400, 5)
    assert car.told.count(0) == 2
    assert not car.is_asleep
    assert not car.is_alarmed
    ends = [one for one in records(EventKept, car.bench.log) if one.kind == "vehicle-asleep"]
    assert [one.body["state"] for one in ends] == ["raised", "cleared"]


def test_a_vehicle_that_is_simply_full_is_left_alone_after_a_few_tries() -> None:
    car = Sleeper()
    car.pause()
    car.run(1_200, 5)
    assert car.told.count(0) <= 2
    before = len(of(SetLimit, car.bench.log))
    car.run(600, 5)
    assert len(of(SetLimit, car.bench.log)) - before <= 600 // 90 + 2, "only leases are renewed"


def test_a_charger_that_cannot_pause_is_never_toggled() -> None:
    car = Sleeper(can_pause=False)
    car.run(30, 38)
    car.told.clear()
    car.run(900, 5)
    assert 0 not in car.told[1:]


# --- after a blackout ---------------------------------------------------------------------------------------------------------


def depot(*names: str) -> Site:
    site = plant(*names, limit_a=200)
    return replace(site, balancing=replace(site.balancing, restart_spread_ms=60_000))


def blackout(names: str, seconds_after_start: int) -> Bench:
    """All chargers boot together with their vehicles still plugged in."""
    bench = Bench(depot(*names))
    draws = iter([0.0, 0.25, 0.5, 0.75] * 10)
    bench.controller = Controller(bench.site, Restored(), bench.ids, bench.now, chance=lambda: next(draws))
    bench.boot(*names)
    bench.run(seconds_after_start, 10)
    for name in names:
        bench.drop(name)
    bench.wait(60)
    bench.boot(*names)
    bench.meter(10)
    for name in names:
        bench.start(name)
    return bench


def test_after_a_blackout_everyone_begins_at_the_minimum_and_rises_one_after_another() -> None:
    bench = blackout("ABCD", seconds_after_start=300)
    assert [bench.limit_a(c) for c in "ABCD"] == [6, 6, 6, 6]
    raised_at: dict[str, int] = {}
    for second in range(120):
        bench.run(1, 10)
        for name in "ABCD":
            if bench.limit_a(name) > 6:
                raised_at.setdefault(name, second)
    assert set(raised_at) == set("ABCD")
    assert max(raised_at.values()) - min(raised_at.values()) >= 30
    bench.run(60, 10)
    assert [bench.limit_a(c) for c in "ABCD"] == [32, 32, 32, 32]


def test_one_charger_that_boots_by_itself_gets_its_current_at_once() -> None:
    bench = Bench(depot(*"ABCD"))
    bench.boot(*"ABCD")
    bench.run(300, 10)
    bench.boot("A")
    bench.start("A")
    assert bench.limit_a("A") == 32


def test_chargers_that_boot_into_sessions_from_before_our_start_had_a_blackout_too() -> None:
    before = Bench(depot("A"))
    before.boot("A")
    before.meter(10)
    before.start("A")
    (session,) = before.controller._sessions.open.values()
    bench = Bench(depot("A"), Restored(open_sessions=(session,)))
    bench.put(ChargerConnected(A, 1, "ocpp1.6", "127.0.0.1", 1))
    bench.put(ChargerBooted(bench.call("A"), "Vendor", "Model"))
    bench.put(FallbackAnswered(A, Outcome.ACCEPTED))
    bench.wait(1)
    bench.meter(10)
    assert bench.orders[EvseId(A, 1)].limit_ma == 6_000


def test_sessions_that_outlived_the_blackout_begin_again_too() -> None:
    bench = Bench(depot(*"ABC"))
    bench.boot(*"ABC")
    for name in "ABC":
        bench.start(name)
    bench.run(300, 10)
    assert [bench.limit_a(c) for c in "ABC"] == [32, 32, 32]
    for name in "ABC":
        bench.drop(name)
    bench.wait(60)
    bench.boot(*"ABC")
    assert [bench.limit_a(c) for c in "ABC"] == [6, 6, 6]
