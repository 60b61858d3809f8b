"""The control loop, told as a story of events: what is lowered at once, what waits, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import convert
from support.plant import GRID, MAIN, NOON_UTC_MS, TAG, Bench, of, plant, records

from edgectl.contract.states import Turn
from edgectl.core.controller import Controller
from edgectl.core.limits import EvseLimit, Order
from edgectl.domain.decisions import InstallFallback, PublishState, Remember, SetLimit
from edgectl.domain.events import (
    ChargerConnected,
    ConnectorStatus,
    LimitAnswered,
    MeterRead,
    MeterReading,
    Outcome,
    Quality,
    SiteReloaded,
    Tick,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, EvseId, TransactionRef
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.reasons import IDLE_REASON, Cause
from edgectl.domain.records import EventKept, LimitKept, Restored
from edgectl.domain.site import Charger, MeterLoss, Strategy
from edgectl.domain.time import Instant, iso


def running(*chargers: str, building_a: float = 10, **site: object) -> Bench:
    """A bench on which every named charger has been charging for a while."""
    bench = Bench(plant(*chargers, **site))  # type: ignore[arg-type]
    bench.boot(*chargers)
    bench.meter(building_a)
    for charger in chargers:
        bench.start(charger)
    bench.run(60, building_a)
    return bench


def test_a_lone_vehicle_gets_all_its_charger_can_give() -> None:
    bench = running("A")
    assert bench.limit_a("A") == 32
    assert bench.view("A").reason.cause is Cause.FULL


def test_vehicles_share_what_the_building_leaves() -> None:
    bench = running("A", "B", "C", limit_a=60)
    assert [bench.limit_a(c) for c in "ABC"] == pytest.approx([16.6, 16.6, 16.6], abs=0.3)


def test_a_rising_building_load_lowers_everyone_with_the_very_next_reading() -> None:
    bench = running("A", "B", limit_a=60)
    bench.wait(1)
    bench.meter(40 + bench.drawn_ma() / 1000)
    assert [bench.limit_a(c) for c in "AB"] == pytest.approx([10, 10], abs=0.3)


def test_a_falling_building_load_raises_only_after_it_has_lasted() -> None:
    bench = running("A", "B", limit_a=60, building_a=40)
    low = bench.limit_a("A")
    bench.run(9, 10)
    assert bench.limit_a("A") == low
    bench.run(5, 10)
    assert bench.limit_a("A") > low


def test_a_vehicle_that_follows_its_new_limit_is_not_mistaken_for_the_building() -> None:
    bench = running("A", "B", limit_a=60)
    bench.wait(1)
    drawn = bench.drawn_ma() / 1000
    bench.meter(40 + drawn)
    lowered = bench.limit_a("A")
    # The vehicles need some seconds; the meter still shows the old current, then the new one.
    for _ in range(4):
        bench.wait(1)
        bench.meter(40 + drawn)
        assert bench.limit_a("A") == lowered
    bench.run(10, 40)
    assert bench.limit_a("A") == lowered


def test_a_newcomer_is_raised_only_when_the_others_have_confirmed_their_reduction() -> None:
    bench = running("A", limit_a=60, building_a=20)
    bench.boot("A")
    site = plant("A", "B", limit_a=60)
    bench.put(SiteReloaded(site))
    bench.boot("B")
    bench.answers_limits = False
    bench.wait(20)
    bench.meter(20 + 32)
    bench.start("B")
    order_a, order_b = bench.orders[EvseId(ChargerId("A"), 1)], bench.orders[EvseId(ChargerId("B"), 1)]
    assert order_a.limit_ma < 32_000
    assert order_b.limit_ma + 32_000 <= 40_000, "A has not confirmed, so its old limit still counts"
    bench.answers_limits = True
    bench.settle(bench.put(LimitAnswered(ChargerId("A"), 1, order_a.order_number, Outcome.ACCEPTED)))
    bench.settle(bench.put(LimitAnswered(ChargerId("B"), 1, order_b.order_number, Outcome.ACCEPTED)))
    bench.run(30, 20)
    assert bench.limit_a("B") == pytest.approx(20, abs=0.5)


def test_a_refused_reduction_keeps_its_old_value_reserved() -> None:
    bench = running("A", "B", limit_a=60)
    before = bench.limit_a("A")
    bench.answers_limits = False
    bench.wait(6)
    bench.meter(30 + bench.drawn_ma() / 1000)
    order = bench.orders[EvseId(ChargerId("A"), 1)]
    bench.put(LimitAnswered(ChargerId("A"), 1, order.order_number, Outcome.REJECTED))
    circuit = bench.controller.picture(bench.now).circuits[0]
    assert circuit.reserved_ma.l1 >= before * 1000


def test_an_order_nobody_answered_stays_reserved_however_many_follow() -> None:
    """Each may be the one that the charger has taken: the largest counts until one is accepted or its lease is over."""
    limit = EvseLimit(EvseId(ChargerId("A"), 1), Charger(ChargerId("A"), GRID))
    now = Instant(0, NOON_UTC_MS)
    limit.open(now)

    def told(number: int, limit_ma: int) -> None:
        mono_ms = 10_000 * number
        limit.note_order(Order(number, limit_ma, mono_ms, mono_ms + 180_000, IDLE_REASON), limit_ma)
        limit.answer(LimitAnswered(ChargerId("A"), 1, number, Outcome.TIMEOUT))

    told(1, 20_000)
    for number in range(2, 20):
        told(number, 10_000)
    assert limit.worst_ma(Instant(200_000, NOON_UTC_MS), None) == 20_000
    assert len(limit.unanswered) <= 4, "and those that are less than a later one are forgotten"
    told(25, 9_000)
    assert limit.worst_ma(Instant(251_000, NOON_UTC_MS), None) == 10_000, "its lease and a minute are over"
    told(26, 8_000)
    limit.answer(LimitAnswered(ChargerId("A"), 1, 26, Outcome.ACCEPTED))
    assert limit.worst_ma(Instant(262_000, NOON_UTC_MS), None) == 8_000


def test_the_room_of_a_refused_order_is_nobody_elses() -> None:
    """It is told again within seconds; whoever had been given its room meanwhile would be too much then."""
    bench = Bench(plant("A", "B", limit_a=50))
    bench.boot("A", "B")
    bench.meter(10)
    bench.answers_limits = False
    bench.start("A")
    order = bench.orders[EvseId(ChargerId("A"), 1)]
    assert order.limit_ma == 32_000
    bench.put(LimitAnswered(ChargerId("A"), 1, order.order_number, Outcome.REJECTED))
    bench.wait(1)
    bench.start("B")
    assert 10 + bench.limit_a("A") + bench.limit_a("B") <= 50


def test_three_refusals_raise_an_alarm_and_acceptance_ends_it() -> None:
    bench = running("A", limit_a=60)
    bench.answers_limits = False
    for building_a in (30, 34, 38):
        bench.wait(11)
        bench.meter(building_a + bench.limit_a("A"))
        order = bench.orders[EvseId(ChargerId("A"), 1)]
        decisions = bench.put(LimitAnswered(ChargerId("A"), 1, order.order_number, Outcome.REJECTED))
    (alarm,) = records(EventKept, decisions)
    assert (alarm.kind, alarm.body["state"]) == ("limit-refused", "raised")
    bench.wait(11)
    (again,) = of(SetLimit, bench.put(Tick()))
    decisions = bench.put(LimitAnswered(ChargerId("A"), 1, again.order_number, Outcome.ACCEPTED))
    assert [e.body["state"] for e in records(EventKept, decisions)] == ["cleared"]


def test_a_lost_guard_meter_means_fallbacks_within_its_age_limit() -> None:
    bench = running("A", "B")
    bench.run(3, None)
    assert bench.limit_a("A") == 32
    bench.run(1, None)
    assert [bench.limit_a(c) for c in "AB"] == [6, 6]
    assert bench.view("A").reason.cause is Cause.METER_LOST
    assert bench.view("A").reason.circuit == GRID


def test_a_reading_without_a_value_is_not_a_reading_of_zero() -> None:
    bench = running("A")
    for _ in range(5):
        bench.wait(1)
        bench.put(MeterRead(MeterReading(MAIN, bench.mono_ms, Quality.NO_VALUE, reason="nan")))
        bench.tick()
    assert bench.limit_a("A") == 6


def test_no_meter_at_the_start_means_fallbacks() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.start("A")
    assert bench.limit_a("A") == 6


def test_on_meter_loss_stop_gives_nothing() -> None:
    bench = running("A", on_meter_loss=MeterLoss.STOP)
    bench.run(4, None)
    assert bench.limit_a("A") == 0


def test_on_meter_loss_hold_keeps_the_last_limits_for_its_time_and_raises_nobody() -> None:
    bench = running("A", "B", limit_a=60, on_meter_loss=MeterLoss.HOLD, hold_ms=20_000)
    held = bench.limit_a("A")
    bench.stop("B", "2")
    bench.run(15, None)
    assert bench.limit_a("A") == held
    bench.run(10, None)
    assert bench.limit_a("A") == 6


def test_without_a_meter_the_configured_other_loads_are_assumed() -> None:
    bench = running("A", "B", limit_a=40, metered=False, other_loads_ma=Phases.uniform(10_000))
    assert [bench.limit_a(c) for c in "AB"] == [15, 15]


def test_a_silent_charger_keeps_its_worst_credible_share() -> None:
    bench = running("A", "B", limit_a=50)
    share = bench.limit_a("A")
    bench.drop("A")
    bench.run(30, None)
    circuit = bench.controller.picture(bench.now).circuits[0]
    assert circuit.reserved_ma.l1 >= share * 1000
    assert bench.view("A").reason.cause is Cause.CHARGER_SILENT


def test_after_its_lease_a_silent_charger_is_counted_at_its_fallback() -> None:
    bench = running("A", "B", limit_a=50, building_a=10)
    bench.drop("A")
    for _ in range(300):
        bench.wait(1)
        bench.meter(10 + 6 + bench.limit_a("B"))
        bench.values("B", amps=(bench.limit_a("B"),) * 3)
        bench.tick()
    assert bench.limit_a("B") == pytest.approx(32, abs=0.5)


def test_leases_are_renewed_at_half_life_without_a_new_limit() -> None:
    bench = running("A")
    before = bench.orders[EvseId(ChargerId("A"), 1)]
    decisions = bench.run(90, 10)
    renewals = of(SetLimit, decisions)
    assert renewals
    assert {order.limit_ma for order in renewals} == {before.limit_ma}
    assert records(LimitKept, decisions) == []


def test_limits_are_sent_again_right_after_a_reconnect() -> None:
    bench = running("A")
    bench.drop("A")
    bench.wait(3)
    decisions = bench.put(ChargerConnected(ChargerId("A"), 99, "ocpp1.6", "127.0.0.1", 1))
    (order,) = of(SetLimit, decisions)
    assert order.evse == EvseId(ChargerId("A"), 1)


def test_after_its_lease_a_reconnect_gives_no_more_than_the_fallback_until_the_next_step() -> None:
    bench = running("A", "B", limit_a=50)
    assert bench.limit_a("A") == 20
    bench.drop("A")
    bench.run(300, building_a=10, follows=False)
    assert bench.limit_a("B") > 20, "the other has what it left"
    sent = of(SetLimit, bench.put(ChargerConnected(ChargerId("A"), 99, "ocpp1.6", "127.0.0.1", 1)))
    assert [order.limit_ma for order in sent] == [6_000]


def test_a_reconnect_without_a_meter_gives_no_more_than_the_fallback() -> None:
    bench = running("A", "B", limit_a=50)
    bench.drop("A")
    bench.run(10)
    assert bench.controller.circuits(bench.now)[0].mode == "safe"
    sent = of(SetLimit, bench.put(ChargerConnected(ChargerId("A"), 99, "ocpp1.6", "127.0.0.1", 1)))
    assert [order.limit_ma for order in sent] == [6_000]


def test_a_charger_that_reconnects_without_booting_gets_its_fallback_written_again() -> None:
    bench = Bench(plant("A"))
    bench.put(ChargerConnected(ChargerId("A"), 1, "ocpp1.6", "127.0.0.1", 1))
    decisions = bench.run(11, 5)
    assert [order.fallback_ma for order in of(InstallFallback, decisions)] == [6_000]


def test_no_set_point_between_zero_and_the_minimum_is_ever_ordered() -> None:
    bench = running("A", "B", "C", limit_a=60)
    for building_a in (10, 45, 50, 56, 70, 44, 20, 53, 10):
        bench.run(12, building_a)
    limits = {order.limit_ma for order in of(SetLimit, bench.log)}
    assert not [limit for limit in limits if 0 < limit < 6_000]
    assert 0 in limits


def test_who_waits_is_served_after_the_turn_of_others() -> None:
    site = plant("A", "B", "C", limit_a=25)
    site = replace(site, balancing=replace(site.balancing, rotate_ms=60_000))
    bench = Bench(site)
    bench.boot("A", "B", "C")
    bench.meter(10)
    for charger in "ABC":
        bench.start(charger)
    bench.run(30, 10)
    assert bench.limit_a("C") == 0
    assert bench.view("C").reason.cause is Cause.TURN
    assert bench.view("C").queue_number == 1
    served = set()
    for _ in range(20):
        bench.run(10, 10)
        served |= {c for c in "ABC" if bench.limit_a(c) >= 6}
    assert served == {"A", "B", "C"}


def test_how_each_stands_in_the_queue_is_told_to_the_broker() -> None:
    site = plant("A", "B", limit_a=18)
    bench = Bench(replace(site, balancing=replace(site.balancing, rotate_ms=60_000)))
    bench.boot("A", "B")
    bench.meter(10)
    bench.start("A")
    began_utc_ms = bench.utc_ms
    bench.start("B")
    bench.run(240, 10)
    told = {state.id: state.body["turn"] for state in of(PublishState, bench.log) if state.kind == "evse"}
    waiting, served = ("A-1", "B-1") if bench.limit_a("A") == 0 else ("B-1", "A-1")
    first, second = (convert(told[name], Turn) for name in (waiting, served))
    assert (first.place, second.place) == (1, None)
    assert first.pauses >= 1
    # 6 A at 230 V on three phases, for up to a minute.
    assert 0 < first.owed_wh <= 69
    assert iso(began_utc_ms) < first.since <= iso(bench.utc_ms)


def test_priority_is_served_first_when_minima_do_not_fit() -> None:
    site = plant("A", "B", limit_a=18)
    site = replace(site, balancing=replace(site.balancing, strategy=Strategy.PRIORITY))
    bench = Bench(site)
    bench.boot("A", "B")
    bench.meter(10)
    bench.start("A")
    bench.run(15, 10)
    bench.start("B", token="VIP")
    bench.run(15, 10)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (8, 0), "a run lasts ten minutes, whoever comes"
    bench.run(600, 10)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (0, 8)


def test_what_a_vehicle_does_not_use_is_released_to_others_and_given_back() -> None:
    bench = running("A", "B", limit_a=50)
    for _ in range(9):
        for _ in range(10):
            bench.wait(1)
            bench.meter(10 + 8 + bench.limit_a("B"))
            bench.tick()
        bench.values("A", amps=(8, 8, 8))
        bench.values("B", amps=(bench.limit_a("B"),) * 3)
    assert bench.limit_a("A") == pytest.approx(10, abs=0.2)
    assert bench.limit_a("B") > 25
    for _ in range(6):
        for _ in range(10):
            bench.wait(1)
            bench.meter(10 + bench.limit_a("A") + bench.limit_a("B"))
            bench.tick()
        for charger in "AB":
            bench.values(charger, amps=(bench.limit_a(charger),) * 3)
    assert bench.limit_a("A") == pytest.approx(20, abs=1.5)


def test_a_single_phase_vehicle_is_recognised_and_leaves_the_other_phases() -> None:
    bench = Bench(plant("A", Charger(ChargerId("B"), GRID, phases=(Phase.L2, Phase.L3, Phase.L1)), limit_a=30))
    bench.boot("A", "B")
    bench.meter(0)
    bench.start("A")
    bench.start("B")
    for _ in range(8):
        a, b = bench.limit_a("A"), bench.limit_a("B")
        for _ in range(10):
            bench.wait(1)
            bench.meter(a, b, 0)
            bench.tick()
        a, b = bench.limit_a("A"), bench.limit_a("B")
        bench.values("A", amps=(a, 0, 0))
        bench.values("B", amps=(b, 0, 0))
        bench.wait(1)
        bench.meter(a, b, 0)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (30, 30), "A is alone on L1, B's L1 is wired to L2"


def test_a_reload_takes_effect_at_once() -> None:
    bench = running("A", "B", limit_a=60)
    bench.wait(6)
    bench.settle(bench.put(SiteReloaded(plant("A", "B", limit_a=40))))
    assert sum(bench.limit_a(c) for c in "AB") <= 30.1


def test_a_charger_taken_out_of_the_file_is_forgotten_without_losing_its_session() -> None:
    bench = running("A", "B", limit_a=60)
    bench.put(SiteReloaded(plant("A", limit_a=60)))
    assert [c.id for c in bench.controller.picture(bench.now).chargers] == ["A"]
    assert bench.controller.picture(bench.now).open_session_count == 2


def test_a_vehicle_that_pauses_itself_keeps_only_its_minimum() -> None:
    bench = running("A", "B", limit_a=50)
    bench.status("A", ConnectorStatus.SUSPENDED_EV)
    bench.run(40, 10, follows=False)
    assert bench.limit_a("A") == 6


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.DISCONNECTED, Outcome.ERROR])
def test_an_unanswered_raise_counts_as_if_it_had_arrived(outcome: Outcome) -> None:
    bench = Bench(plant("A", limit_a=60), answers_limits=False)
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    order = bench.orders[EvseId(ChargerId("A"), 1)]
    bench.put(LimitAnswered(ChargerId("A"), 1, order.order_number, outcome))
    assert bench.controller.picture(bench.now).circuits[0].reserved_ma.l1 == order.limit_ma == 32_000


def test_who_a_charger_is_is_remembered_once_and_known_after_a_restart() -> None:
    bench = Bench(plant("A"))
    came, told = of(Remember, [d for d in bench.boot("A") if isinstance(d, Remember) and d.kind == "adopted-chargers"])
    assert came.document["adopted_utc_ms"] == told.document["adopted_utc_ms"] == NOON_UTC_MS
    assert told.document["vendor"] == "Vendor"
    bench.drop("A")
    assert [d for d in bench.boot("A") if isinstance(d, Remember)] == []
    after = Controller(plant("A"), Restored(), bench.ids, bench.now, remembered={told.kind: {"A": told.document}})
    assert after.picture(bench.now).chargers[0].model == "Model"


def test_an_occupied_connector_is_shown_with_what_its_transaction_says() -> None:
    """OCPP 2.x has no other word for a connector with a vehicle."""
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.status("A", ConnectorStatus.OCCUPIED)
    assert bench.view("A").status == "occupied"
    bench.put(
        TransactionStarted(
            bench.call("A"), 1, 1, TAG, 0, bench.utc_ms, TransactionRef("t-1"), charging_state=ConnectorStatus.SUSPENDED_EV
        )
    )
    assert (bench.view("A").status, bench.view("A").reported_status) == ("suspended_ev", "occupied")
