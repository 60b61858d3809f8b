"""What a charger is known to do differently changes how it is told its limits, and how it is believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from support.plant import TAG, Bench, answer, of, plant, records

from edgectl.core.corrections import corrected, reversed_uid
from edgectl.domain.decisions import ActionAnswered, Ask, BootAnswer, InstallFallback, SetLimit, SignCertificate
from edgectl.domain.events import (
    ActionRequested,
    Call,
    CertificateRequested,
    CertificateSigned,
    ChargerBooted,
    ChargerConnected,
    MeterValuesReported,
    Outcome,
    RequestAnswered,
    Sample,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, CircuitId, IdToken
from edgectl.domain.phases import Phases
from edgectl.domain.quirks import ProfileKind, ProfilePurpose, QuirkProfile, Quirks, QuirkValue, RateUnit
from edgectl.domain.records import EventKept
from edgectl.domain.site import Charger

A = ChargerId("A")
CALL = Call(A, 1, "m", "X")


def odd(**quirks: QuirkValue) -> Charger:
    """A charger whose quirks the site's file names."""
    return Charger(A, CircuitId("grid"), own_quirks=tuple(quirks.items()))


def charging(bench: Bench, seconds: int = 60, building_a: float = 10) -> None:
    bench.boot("A")
    bench.start("A")
    bench.run(seconds, building_a=building_a)


def profile(name: str, vendor: str, **values: QuirkValue) -> QuirkProfile:
    return QuirkProfile(name, vendor, "*", "*", f"{name} was seen", "a trace", tuple(values.items()))


def test_quirks_follow_what_the_charger_says_it_is_and_are_shown_with_why() -> None:
    bench = Bench(
        plant("A"),
        is_configured=True,
        quirk_table=(profile("others", "Else*", stack_level=5), profile("vend", "vEND*", stack_level=0)),
    )
    charging(bench)
    assert bench.orders[next(iter(bench.orders))].style.stack_level == 0
    (charger,) = bench.controller.picture(bench.now).chargers
    assert charger.quirks == (("vend", "vend was seen"),)


def test_what_the_sites_file_says_of_a_charger_wins() -> None:
    table = (profile("vend", "*", stack_level=0, unit=RateUnit.WATTS),)
    bench = Bench(plant(odd(stack_level=3)), quirk_table=table)
    charging(bench)
    (order,) = bench.orders.values()
    assert (order.style.stack_level, order.style.unit) == (3, RateUnit.WATTS)


def test_purpose_and_kind_reach_the_order() -> None:
    bench = Bench(plant(odd(purpose=ProfilePurpose.TX_DEFAULT, kind=ProfileKind.RELATIVE)))
    charging(bench)
    (order,) = bench.orders.values()
    assert (order.style.purpose, order.style.kind) == (ProfilePurpose.TX_DEFAULT, ProfileKind.RELATIVE)


def test_where_the_stations_maximum_carries_the_lease_the_fallback_lies_under_it() -> None:
    bench = Bench(plant(odd(purpose=ProfilePurpose.STATION_MAX)))
    (installed,) = of(InstallFallback, bench.boot("A"))
    assert installed.max_ma == installed.fallback_ma == 6_000


def test_a_station_maximum_never_stands_for_two_evses() -> None:
    bench = Bench(plant(replace(odd(purpose=ProfilePurpose.STATION_MAX), evse_count=2)))
    (installed,) = of(InstallFallback, bench.boot("A"))
    assert (installed.style.purpose, installed.max_ma) == (None, 64_000)


def test_a_higher_minimum_is_never_undercut_and_nothing_is_told_below_it() -> None:
    bench = Bench(plant(odd(min_ma=10_000), limit_a=30))
    charging(bench, building_a=12)
    told = [order.limit_ma for order in of(SetLimit, bench.log)]
    bench.run(60, building_a=22)
    told = [order.limit_ma for order in of(SetLimit, bench.log)]
    assert told[-1] == 0
    assert all(limit == 0 or limit >= 10_000 for limit in told)


def test_a_fallback_below_the_real_minimum_becomes_nothing() -> None:
    bench = Bench(plant(odd(min_ma=8_000)))
    (installed,) = of(InstallFallback, bench.boot("A"))
    assert installed.fallback_ma == 0


def test_only_its_steps_are_told_rounded_down() -> None:
    bench = Bench(plant(odd(steps_ma=(6_000, 8_000, 10_000, 13_000, 16_000)), limit_a=30))
    charging(bench, seconds=120, building_a=15.5)
    told = {order.limit_ma for order in of(SetLimit, bench.log)}
    assert told <= {0, 6_000, 8_000, 10_000, 13_000, 16_000}
    assert bench.limit_a("A") == 13


def test_one_that_must_not_pause_keeps_its_place_when_turns_change() -> None:
    bench = Bench(plant(odd(can_pause=False), "B", limit_a=20))
    bench.boot("A", "B")
    bench.start("A")
    bench.run(30, building_a=10)
    bench.start("B")
    later = bench.run(3600, building_a=10)  # room for one only, and turns of 15 minutes
    assert all(order.limit_ma > 0 for order in of(SetLimit, later) if order.evse.charger == "A")
    assert bench.limit_a("B") == 0


def test_a_paused_vehicle_is_woken_with_what_it_needs_to_wake() -> None:
    bench = Bench(plant(odd(wakes_at_ma=9_000), limit_a=30))
    charging(bench, building_a=12)
    bench.run(60, building_a=28)  # no room: paused
    assert bench.limit_a("A") == 0
    bench.run(120, building_a=22.5, follows=False)  # room for 7.5 A: enough to charge, not to wake
    assert bench.limit_a("A") == 0
    bench.run(120, building_a=20, follows=False)
    assert bench.limit_a("A") >= 9


def test_watts_are_told_for_the_phases_that_have_been_seen() -> None:
    bench = Bench(plant(odd(unit=RateUnit.WATTS)))
    bench.boot("A")
    bench.start("A")
    bench.run(5, building_a=10, follows=False)
    first = of(SetLimit, bench.log)
    assert {order.limit_w for order in first} == {
        order.limit_ma * 230 // 1000 for order in first
    }  # as if all flowed on one phase
    for _ in range(3):
        bench.wait(10)
        bench.values("A", amps=(6, 6, 6))
    bench.run(120, building_a=10)
    order = next(iter(bench.orders.values()))
    assert order.limit_w == order.limit_ma * 230 * 3 // 1000


def test_one_that_forgets_its_profiles_counts_at_its_rating_while_it_is_away() -> None:
    bench = Bench(plant(odd(keeps_profiles=False), "B", limit_a=60))
    charging(bench)
    bench.boot("B")
    bench.drop("A")
    bench.tick()
    (circuit,) = bench.controller.picture(bench.now).circuits
    assert circuit.silent_ma == Phases.uniform(32_000)
    bench.boot("A")
    bench.run(30, building_a=10)
    (circuit,) = bench.controller.picture(bench.now).circuits
    assert circuit.silent_ma == Phases.uniform(0)


def test_the_last_limit_of_one_that_ignores_the_end_of_a_lease_stays_counted() -> None:
    bench = Bench(plant(odd(has_lease=False)))
    charging(bench, seconds=120)
    last_ma = round(bench.limit_a("A") * 1000)
    bench.drop("A")
    bench.wait(3600)
    bench.tick()
    (circuit,) = bench.controller.picture(bench.now).circuits
    assert circuit.silent_ma == Phases.uniform(last_ma) != Phases.uniform(6_000)


def test_raises_wait_where_each_wears_the_flash_and_reductions_do_not() -> None:
    bench = Bench(plant(odd(write_interval_ms=120_000), limit_a=40))
    charging(bench, seconds=600, building_a=10)
    raises = [later for earlier, later in pairwise(of(SetLimit, bench.log)) if later.limit_ma > earlier.limit_ma]
    assert 1 <= len(raises) <= 600 // 120
    before_a = bench.limit_a("A")
    bench.run(10, building_a=30)
    assert bench.limit_a("A") < before_a


def test_a_charger_that_drops_its_link_for_minutes_raises_no_alarm_within_its_grace() -> None:
    bench = Bench(plant(odd(offline_grace_ms=600_000)))
    bench.boot("A")
    bench.drop("A")
    bench.run(500, building_a=10)
    assert not bench.controller.picture(bench.now).alarms
    bench.run(120, building_a=10)
    assert [alarm.kind for alarm in bench.controller.picture(bench.now).alarms] == ["charger-offline"]


# --- what it says -----------------------------------------------------------------------------------------------------


def test_registers_are_scaled_wherever_they_occur() -> None:
    quirks = Quirks(energy_scale_permille=1_000_000)
    started = TransactionStarted(CALL, 1, 1, TAG, 12, None, samples=(Sample(energy_wh=13),))
    ended = TransactionEnded(CALL, None, None, 15, None, "Local", samples=(Sample(energy_wh=15),))
    values = MeterValuesReported(CALL, 1, None, (Sample(energy_wh=14), Sample()))
    assert corrected(started, quirks, "UTC").meter_start_wh == 12_000
    assert corrected(started, quirks, "UTC").samples[0].energy_wh == 13_000
    assert corrected(ended, quirks, "UTC").meter_stop_wh == 15_000
    assert [sample.energy_wh for sample in corrected(values, quirks, "UTC").samples] == [14_000, None]


def test_currents_that_do_not_flow_are_dropped_and_power_is_kept() -> None:
    sample = Sample(current_ma=Phases.uniform(5), current_single_ma=3, power_w=700)
    (kept,) = corrected(MeterValuesReported(CALL, 1, None, (sample,)), Quirks(has_currents=False), "UTC").samples
    assert (kept.current_ma, kept.current_single_ma, kept.power_w) == (None, None, 700)


def test_a_reversed_uid_is_read_as_printed_on_the_card() -> None:
    assert reversed_uid(IdToken("04AABBCC")) == "CCBBAA04"
    assert reversed_uid(IdToken("a-word")) == "a-word"
    bench = Bench(plant(odd(has_reversed_uid=True)))
    bench.boot("A")
    bench.start("A", token="CCBBAA04")
    (session,) = bench.controller._sessions.open.values()
    assert session.id_token == TAG
    assert session.authorisation.status == "accepted"


# --- who it is --------------------------------------------------------------------------------------------------------


def test_a_charger_that_only_reconnects_is_asked_once_who_it_is() -> None:
    bench = Bench(plant("A"))
    bench.put(ChargerConnected(A, 1, "ocpp1.6", "127.0.0.1", 1))
    asked = [ask for ask in of(Ask, bench.run(30)) if ask.request == "trigger"]
    assert [ask.arguments for ask in asked] == [(("message", "BootNotification"),)]


def test_a_charger_that_is_known_is_never_made_to_boot() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.drop("A")
    bench._link += 1
    bench.put(ChargerConnected(A, bench._link, "ocpp1.6", "127.0.0.1", 1))
    assert not of(Ask, bench.run(30))


def test_heartbeat_intervals_differ_between_chargers_and_not_between_boots() -> None:
    names = [f"CP-{number}" for number in range(20)]
    bench = Bench(plant(*names))

    def interval_s(name: str) -> int:
        bench.put(ChargerConnected(ChargerId(name), 1, "ocpp1.6", "127.0.0.1", 1))
        boot = answer(bench.put(ChargerBooted(Call(ChargerId(name), 1, "m", "BootNotification"), "V", "M")))
        assert isinstance(boot, BootAnswer)
        return boot.interval_s

    first = [interval_s(name) for name in names]
    assert len(set(first)) > 5
    assert all(270 <= interval <= 330 for interval in first)
    assert [interval_s(name) for name in names] == first


# --- actions ----------------------------------------------------------------------------------------------------------


def act(bench: Bench, name: str, **arguments: str) -> list[object]:
    return list(bench.put(ActionRequested("7", A, name, tuple(arguments.items()), "local:anna")))


def test_an_action_reaches_the_charger_and_its_answer_comes_back() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    (ask,) = of(Ask, act(bench, "unlock", evse="1"))
    assert (ask.request, ask.arguments) == ("unlock", (("evse", "1"),))
    decisions = bench.put(RequestAnswered(A, ask.ask_id, Outcome.REJECTED, "UnlockFailed", (("problem", "stuck"), ("x", "y"))))
    (told,) = of(ActionAnswered, decisions)
    assert told == ActionAnswered("7", Outcome.REJECTED, "UnlockFailed", "stuck", (("x", "y"),))
    (kept,) = records(EventKept, decisions)
    assert (kept.kind, kept.body["actor"], kept.body["outcome"]) == ("action", "local:anna", "rejected")


def test_an_action_is_answered_once_even_if_the_charger_answers_twice() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    (ask,) = of(Ask, act(bench, "reset"))
    bench.put(RequestAnswered(A, ask.ask_id, Outcome.ACCEPTED))
    assert not of(ActionAnswered, bench.put(RequestAnswered(A, ask.ask_id, Outcome.ACCEPTED)))


def test_stop_finds_the_transaction_that_runs_there() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    (told,) = of(ActionAnswered, act(bench, "stop", evse="1"))
    assert (told.outcome, told.problem) == (Outcome.REJECTED, "nothing is charging there")
    bench.start("A")
    (session,) = bench.controller._sessions.open.values()
    (ask,) = of(Ask, act(bench, "stop"))
    assert (ask.request, ask.arguments) == ("stop-transaction", (("transaction", session.transaction),))


def test_what_cannot_be_asked_is_refused_in_words() -> None:
    bench = Bench(plant(odd(token_char_count=16, takes_availability=False)))
    (gone,) = of(ActionAnswered, act(bench, "reset"))
    assert "not connected" in gone.problem
    bench.boot("A")
    (unknown,) = of(ActionAnswered, act(bench, "explode"))
    assert "there is no action 'explode'" in unknown.problem
    (long,) = of(ActionAnswered, act(bench, "start", token="X" * 17))
    assert "16" in long.problem
    (unwilling,) = of(ActionAnswered, act(bench, "availability", state="operative"))
    assert "refuses" in unwilling.problem


# --- certificates -----------------------------------------------------------------------------------------------------


def test_an_authenticated_charger_gets_its_certificate() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    decisions = bench.put(CertificateRequested(bench.call("A", "SignCertificate"), "csr"))
    assert getattr(answer(decisions), "is_accepted", None) is True
    (sign,) = of(SignCertificate, decisions)
    assert (sign.charger, sign.csr) == (A, "csr")
    (ask,) = of(Ask, bench.put(CertificateSigned(A, sign.request_id, "chain")))
    assert (ask.request, ask.arguments) == ("certificate-signed", (("chain", "chain"),))


def test_no_certificate_for_one_that_has_not_shown_who_it_is() -> None:
    bench = Bench(plant("A"))
    bench.put(ChargerConnected(A, 1, "ocpp1.6", "127.0.0.1", 0))
    decisions = bench.put(CertificateRequested(Call(A, 1, "m", "SignCertificate"), "csr"))
    assert getattr(answer(decisions), "is_accepted", None) is False
    assert not of(SignCertificate, decisions)
