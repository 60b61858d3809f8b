"""A charger that does not do as told is found out, told in another way, counted for what it draws, and finally stopped."""

from __future__ import annotations

from support.plant import Bench, of, plant

from edgectl.core.ladder import Ladder, Rung
from edgectl.domain.decisions import Ask, Remember, SetLimit
from edgectl.domain.events import ChargerBooted, ChargerConnected, LimitAnswered, Outcome
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.quirks import ProfilePurpose
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant

A = ChargerId("A")
EVSE = EvseId(A, 1)


def told(bench: Bench) -> SetLimit:
    return bench.orders[EVSE]


def run_drawing(bench: Bench, amps: float, seconds: int, building_a: float = 10) -> list[object]:
    """The vehicle draws this whatever it is told, and reports it every ten seconds."""
    decisions: list[object] = []
    for second in range(seconds):
        bench.wait(1)
        decisions += bench.meter(building_a + amps)
        if second % 10 == 9:
            decisions += bench.values("A", amps=(amps, amps, amps))
        decisions += bench.tick()
    return decisions


def charging(limit_a: int = 40, building_a: float = 10, **site: object) -> Bench:
    bench = Bench(plant("A", limit_a=limit_a, **site))  # type: ignore[arg-type]
    bench.boot("A")
    bench.start("A")
    bench.run(60, building_a=building_a)
    return bench


def alarms(bench: Bench) -> set[str]:
    return {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}


def test_overdraw_is_found_within_two_reports_and_the_next_way_is_tried_at_once() -> None:
    bench = charging(building_a=20)
    assert told(bench).style.purpose is None
    before = told(bench).order_number
    run_drawing(bench, 32, 21, building_a=7)  # two reports, and none of them is believed alone
    assert told(bench).style.purpose is ProfilePurpose.TX_DEFAULT
    assert told(bench).order_number > before
    assert "limits-ignored" in alarms(bench)


def test_others_make_room_for_overdraw_on_a_conductor_without_a_meter_of_its_own() -> None:
    bench = Bench(plant("A", "B", limit_a=100, hall_a=40))
    bench.boot("A", "B")
    bench.start("A")
    bench.start("B")
    bench.run(60, building_a=10)
    assert bench.limit_a("A") == bench.limit_a("B") == 20
    bench.wait(1)
    bench.values("A", amps=(32, 32, 32))
    for _ in range(5):
        bench.wait(1)
        bench.meter(10 + 32 + 20)
    assert 6 <= bench.limit_a("B") < 9, "what 40 A leave beside 32 A"


def test_a_single_report_above_the_limit_proves_nothing() -> None:
    bench = charging(building_a=20)
    run_drawing(bench, 32, 10, building_a=7)
    bench.run(60, building_a=20)
    assert told(bench).style.purpose is None


def test_every_rung_is_tried_in_order_and_then_the_transaction_is_stopped() -> None:
    bench = charging(limit_a=30, building_a=18)
    decisions = run_drawing(bench, 28, 200, building_a=18)
    purposes = [order.style.purpose for order in of(SetLimit, decisions)]
    assert list(dict.fromkeys(p for p in purposes if p)) == [
        ProfilePurpose.TX_DEFAULT,
        ProfilePurpose.STATION_MAX,
        ProfilePurpose.TX,
    ]
    (session,) = bench.controller._sessions.open.values()
    stops = [ask for ask in of(Ask, decisions) if ask.request == "stop-transaction"]
    assert stops
    assert stops[0].arguments == (("transaction", session.transaction),)
    assert len(stops) <= 200 // 60 + 1


def test_nobody_is_stopped_while_there_is_room_for_what_it_draws() -> None:
    bench = Bench(plant(Charger(A, plant("X").circuits[0].id, max_ma=16_000), limit_a=200))
    bench.boot("A")
    bench.start("A")
    bench.run(30, building_a=10)
    decisions = run_drawing(bench, 30, 300)
    assert not [ask for ask in of(Ask, decisions) if ask.request == "stop-transaction"]
    assert "limits-ignored" in alarms(bench)


def test_a_way_that_works_is_kept_and_remembered_for_the_next_session() -> None:
    bench = charging(building_a=20)
    run_drawing(bench, 32, 21, building_a=7)
    news = of(Remember, bench.run(120, building_a=20))
    assert [(one.key, one.document) for one in news if one.kind == "rungs-that-work"] == [("A", {"rung": "tx-default"})]
    assert "limits-ignored" not in alarms(bench)
    (session,) = bench.controller._sessions.open.values()
    bench.stop("A", session.transaction)
    bench.start("A", meter_wh=5000)
    bench.run(30, building_a=20)
    assert told(bench).style.purpose is ProfilePurpose.TX_DEFAULT
    bench._link += 1
    bench.put(ChargerConnected(A, bench._link, "ocpp1.6", "127.0.0.1", 1))
    bench.put(ChargerBooted(bench.call("A"), "Vendor", "Model", firmware="2"))
    (session,) = bench.controller._sessions.open.values()
    bench.stop("A", session.transaction, 6000)
    bench.start("A", meter_wh=7000)
    bench.run(30, building_a=20)
    assert told(bench).style.purpose is None  # new firmware begins anew


def test_limits_that_are_refused_climb_too_and_a_lost_link_does_not() -> None:
    bench = charging(building_a=20)
    bench.answers_limits = False
    for _ in range(3):
        bench.wait(11)
        bench.put(LimitAnswered(A, 1, told(bench).order_number, Outcome.DISCONNECTED))
        bench.run(1, building_a=25, follows=False)
    assert told(bench).style.purpose is None
    for _ in range(3):
        bench.wait(11)
        bench.meter(25)
        bench.put(LimitAnswered(A, 1, told(bench).order_number, Outcome.REJECTED))
        bench.run(1, building_a=25, follows=False)
    assert told(bench).style.purpose is ProfilePurpose.TX_DEFAULT


def test_others_make_room_for_what_is_really_drawn() -> None:
    bench = Bench(plant("A", "B", limit_a=60))
    bench.boot("A", "B")
    bench.start("A")
    bench.start("B")
    bench.run(60, building_a=20)
    for second in range(40):
        bench.wait(1)
        other_a = bench.limit_a("B")
        bench.meter(20 + 32 + other_a)
        if second % 10 == 9:
            bench.values("A", amps=(32, 32, 32))
            bench.values("B", amps=(other_a, other_a, other_a))
        bench.tick()
    assert bench.limit_a("B") < 60 - 20 - 32 + 1  # smaller steps are not worth a message


def test_a_ladder_without_a_station_maximum_leaves_that_rung_out() -> None:
    ladder = Ladder()
    ladder.begin(Rung.TX, has_station_max=False, now=Instant(0, 0))
    seen = [ladder.rung]
    for number in range(1, 6):
        ladder.note_draw(30_000, 10_000, 10_000, number * 10, Instant(number * 10, 0))
        if ladder.rung is not seen[-1]:
            seen.append(ladder.rung)
    assert seen == [Rung.TX, Rung.TX_DEFAULT, Rung.STOP]
