"""The arbiter of limits from outside: the lowest wins, nobody widens, and an end comes when it was said, whatever clocks do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plant import GRID, NOON_UTC_MS, Bench, of, plant, records

from edgectl.core.arbiter import Held, arbitrate
from edgectl.core.external import LIMITS_COUNT, ExternalLimits
from edgectl.domain.decisions import ActionAnswered, Decision, Remember, SetLimit
from edgectl.domain.events import ActionRequested, InputRead, LimitRequested, Outcome
from edgectl.domain.external import (
    LONGEST_MS,
    Amount,
    ExternalInput,
    Level,
    LimitSource,
    LimitWish,
    Target,
    TargetKind,
    WishError,
    read_wish,
)
from edgectl.domain.ids import ChargerId, InputId
from edgectl.domain.phases import ALL_PHASES, Phases
from edgectl.domain.records import EventKept
from edgectl.domain.site import Site
from edgectl.domain.time import Instant

HOUR = 3_600_000
ON_GRID = Target(TargetKind.CIRCUIT, GRID)
ON_A = Target(TargetKind.CHARGER, "A")
BOOT = "boot-1"


def now(seconds: float = 0, clock_s: float | None = None) -> Instant:
    """``seconds`` of uptime later; the wall clock as well, unless it shows something else."""
    return Instant(1_000_000 + round(seconds * 1000), NOON_UTC_MS + round(1000 * (seconds if clock_s is None else clock_s)))


def wish(target: Target = ON_GRID, *, amps: float | None = 20, for_ms: int = HOUR, then: Amount | None = None) -> LimitWish:
    amount = None if amps is None else Amount(Phases.uniform(round(amps * 1000)))
    return LimitWish(target, amount, None, for_ms if amount is not None else None, then)


def ask(one: LimitWish, source: LimitSource = LimitSource.BACKEND, **more: Any) -> LimitRequested:
    return LimitRequested("a1", source, "ops", one, **more)


def answer(decisions: list[Decision]) -> tuple[bool, str]:
    (found,) = of(ActionAnswered, decisions)
    return found.outcome is Outcome.ACCEPTED, found.status


def allowed_a(limits: ExternalLimits, at: Instant, place: str = GRID) -> float | None:
    """What is allowed on L1; None where nobody outside says anything."""
    found = {str(name): one for name, one in limits.allowed(at).items()}.get(place)
    return None if found is None else found.current_ma.l1 / 1000


# --- the lowest wins ------------------------------------------------------------------------------------------------------

CURRENT = st.none() | st.builds(Phases, *[st.integers(0, 400_000)] * 3)
AMOUNT = st.builds(Amount, CURRENT, st.none() | st.integers(0, 300_000))
CONFIGURED = st.builds(Amount, st.builds(Phases, *[st.integers(0, 250_000)] * 3), st.none() | st.integers(0, 200_000))
HELD = st.lists(AMOUNT, max_size=6).map(lambda amounts: [Held(f"l{n}", f"who {n}", one) for n, one in enumerate(amounts)])


@given(CONFIGURED, HELD, st.randoms(use_true_random=False))
def test_the_lowest_wins_whoever_comes_first_and_nobody_widens(configured: Amount, limits: list[Held], rng: Any) -> None:
    found = arbitrate(configured, limits)
    assert configured.current_ma is not None
    for phase in ALL_PHASES:
        said = [one.amount.current_ma[phase] for one in limits if one.amount.current_ma is not None]
        assert found.current_ma[phase] == min([configured.current_ma[phase], *said])
        by = found.by(phase)
        assert (by is None) == (found.current_ma[phase] == configured.current_ma[phase])
        assert by is None or (by.amount.current_ma is not None and by.amount.current_ma[phase] == found.current_ma[phase])
    powers = [one.amount.power_w for one in limits if one.amount.power_w is not None]
    assert found.power_w == min([*powers, *([] if configured.power_w is None else [configured.power_w])], default=None)
    shuffled = list(limits)
    rng.shuffle(shuffled)
    assert arbitrate(configured, shuffled) == found


@given(CONFIGURED, HELD, AMOUNT)
def test_one_more_voice_never_raises_anything(configured: Amount, limits: list[Held], more: Amount) -> None:
    before, after = arbitrate(configured, limits), arbitrate(configured, [*limits, Held("z", "z", more)])
    assert after.current_ma.fits(before.current_ma)
    assert before.power_w is None or (after.power_w is not None and after.power_w <= before.power_w)


@given(AMOUNT, AMOUNT)
def test_the_lower_of_two_amounts_narrows_both(one: Amount, other: Amount) -> None:
    both = one.lowest(other)
    assert both.narrows(one)
    assert both.narrows(other)
    assert both in (one.lowest(other), other.lowest(one))


# --- ends -----------------------------------------------------------------------------------------------------------------


@given(st.integers(1, LONGEST_MS), st.integers(-3, 3))
def test_a_limit_ends_at_its_moment_and_not_before(for_ms: int, off_ms: int) -> None:
    limits = ExternalLimits(plant(), {}, now())
    limits.request(ask(wish(for_ms=for_ms)), now())
    moment = Instant(now().mono_ms + for_ms + off_ms, NOON_UTC_MS)
    assert (allowed_a(limits, moment) == 20) == (off_ms < 0)


@given(st.integers(-10 * 365 * 86_400, 10 * 365 * 86_400))
def test_a_clock_that_jumps_ends_nothing_early_and_keeps_nothing_late(jump_s: int) -> None:
    limits = ExternalLimits(plant(), {}, now())
    limits.request(ask(wish()), now())
    for seconds, expected in ((0, 20), (3_599.9, 20), (3_600, None)):
        moment = now(seconds, seconds + jump_s)
        limits.tick(moment)
        assert allowed_a(limits, moment) == expected


@given(
    st.lists(st.tuples(st.sampled_from(["set", "lift", "tick"]), st.integers(0, 5_000), st.integers(1, 9_000)), max_size=12),
    st.integers(-5_000, 5_000),
)
def test_a_restart_on_a_running_machine_is_no_restart(steps: list[tuple[str, int, int]], jump_s: int) -> None:
    lasting, restarted = (ExternalLimits(plant(), {}, now(), BOOT) for _ in range(2))
    document: dict[str, Any] = {}
    seconds = 0.0
    for number, (what, pause_s, for_s) in enumerate(steps):
        seconds += pause_s
        moment = now(seconds, seconds + jump_s)
        restarted = ExternalLimits(plant(), {"all": document}, moment, BOOT) if document else restarted
        for limits in (lasting, restarted):
            if what == "tick":
                decisions = limits.tick(moment)
            else:
                one = wish(
                    amps=number + 1 if what == "set" else None,
                    for_ms=for_s * 1000,
                    then=Amount(power_w=900) if number % 2 else None,
                )
                decisions = limits.request(ask(one, LimitSource.LOCAL_CLI), moment)
            if limits is restarted:
                document = next((told.document for told in of(Remember, decisions)), document)
        assert lasting.allowed(moment) == restarted.allowed(moment)
        assert lasting.views(moment) == restarted.views(moment)


@given(st.integers(0, 10_000), st.integers(-20_000, 20_000), st.integers(0, 8_000), st.booleans())
def test_after_the_machine_was_off_the_lower_of_limit_and_successor_holds_while_nobody_knows(
    off_s: int, clock_error_s: int, later_s: int, is_lower_after: bool
) -> None:
    then = Amount(Phases.uniform(10_000 if is_lower_after else 60_000))
    limits = ExternalLimits(plant(), {}, now(), BOOT)
    (told,) = of(Remember, limits.request(ask(wish(then=then)), now()))
    started = Instant(5_000, NOON_UTC_MS + 1000 * (off_s + clock_error_s))
    after = ExternalLimits(plant(), {"all": told.document}, started, "boot-2")
    moment = Instant(started.mono_ms + later_s * 1000, started.utc_ms + later_s * 1000)
    follows_a = 10 if is_lower_after else 60
    clock_says_s = max(0, off_s + clock_error_s) + later_s
    if later_s >= 3_600:
        expected_a = follows_a
    else:
        expected_a = 20 if clock_says_s < 3_600 else min(20, follows_a)
    assert allowed_a(after, moment) == expected_a


def test_what_follows_stays_until_it_is_lifted() -> None:
    limits = ExternalLimits(plant(), {}, now(), BOOT)
    limits.request(ask(wish(amps=50, then=Amount(Phases.uniform(8_000)))), now())
    assert allowed_a(limits, now(3_599)) == 50
    assert allowed_a(limits, now(30 * 86_400)) == 8
    assert limits.views(now(4_000))[0].state == "then"
    assert answer(limits.request(ask(wish(amps=None)), now(4_000))) == (True, "lifted")
    assert allowed_a(limits, now(4_001)) is None


# --- who may what ---------------------------------------------------------------------------------------------------------


def test_only_the_authority_that_set_a_limit_lifts_it() -> None:
    limits = ExternalLimits(plant(), {}, now())
    limits.request(ask(wish()), now())
    assert answer(limits.request(ask(wish(amps=None), LimitSource.LOCAL_CLI), now())) == (False, "no-such-limit")
    limits.request(ask(wish(amps=90), LimitSource.LOCAL_CLI), now())
    assert allowed_a(limits, now()) == 20, "a second authority that allows more changes nothing"


def test_a_door_that_may_only_lower_neither_raises_nor_lifts_nor_shortens() -> None:
    limits = ExternalLimits(plant(), {}, now())
    limits.request(ask(wish()), now())
    for one, words in (
        (wish(amps=21), "20 A stands and this is more"),
        (wish(amps=None), "not lift them"),
        (wish(amps=20, for_ms=HOUR - 1), "20 A stands and this would end sooner"),
    ):
        told = limits.request(ask(one, may_raise=False), now())
        assert answer(told) == (False, "raises")
        assert words in of(ActionAnswered, told)[0].problem
    assert answer(limits.request(ask(wish(amps=19), may_raise=False), now())) == (True, "set")
    assert allowed_a(limits, now()) == 19


def test_an_older_command_never_replaces_a_newer_one_even_after_a_lift_and_a_restart() -> None:
    limits = ExternalLimits(plant(), {}, now())
    limits.request(ask(wish(amps=10), request_id="c2", issued_utc_ms=NOON_UTC_MS), now())
    older = ask(wish(amps=30), request_id="c1", issued_utc_ms=NOON_UTC_MS - 1)
    assert answer(limits.request(older, now())) == (False, "older")
    assert answer(limits.request(ask(wish(amps=99), request_id="c2", issued_utc_ms=NOON_UTC_MS), now())) == (True, "repeated")
    assert allowed_a(limits, now()) == 10
    (told,) = of(Remember, limits.request(ask(wish(amps=None), request_id="c3", issued_utc_ms=NOON_UTC_MS + 5), now(1)))
    again = ExternalLimits(plant(), {"all": told.document}, now(2), BOOT)
    assert answer(again.request(ask(wish(amps=10), request_id="c2", issued_utc_ms=NOON_UTC_MS), now(2))) == (False, "older")
    assert allowed_a(again, now(2)) is None


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (wish(Target(TargetKind.CIRCUIT, "attic")), "no-such-target"),
        (wish(Target(TargetKind.CHARGER, "Z")), "no-such-target"),
        (replace(wish(), for_ms=None, until_utc_ms=NOON_UTC_MS), "past"),
        (wish(for_ms=LONGEST_MS + 1), "too-long"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_code(one: LimitWish, code: str) -> None:
    assert answer(ExternalLimits(plant("A"), {}, now()).request(ask(one), now())) == (False, code)


def test_so_many_and_no_more() -> None:
    site = plant(*(f"C{n}" for n in range(LIMITS_COUNT)))
    limits = ExternalLimits(site, {}, now())
    for n in range(LIMITS_COUNT):
        assert answer(limits.request(ask(wish(Target(TargetKind.CHARGER, f"c{n}"))), now())) == (True, "set")
    assert answer(limits.request(ask(wish()), now())) == (False, "too-many")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"circuit": "grid"},
        {"circuit": "grid", "charger": "A", "current_ma": 1, "for_s": 1},
        {"circuit": "grid", "current_ma": 1},
        {"circuit": "grid", "current_ma": 1, "for_s": 1, "until": "2030-01-01T00:00:00Z"},
        {"circuit": "grid", "current_ma": -1, "for_s": 1},
        {"circuit": "grid", "current_ma": 1.5, "for_s": 1},
        {"circuit": "grid", "current_ma": float("nan"), "for_s": 1},
        {"circuit": "grid", "current_ma": float("inf"), "for_s": 1},
        {"circuit": "grid", "current_ma": True, "for_s": 1},
        {"circuit": "grid", "current_ma": 10**12, "for_s": 1},
        {"circuit": "grid", "current_ma": {"L1": 1, "L2": 1}, "for_s": 1},
        {"circuit": "grid", "power_w": "11 kW", "for_s": 1},
        {"circuit": "grid", "current_ma": 1, "for_s": 0},
        {"circuit": "grid", "current_ma": 1, "until": "tomorrow"},
        {"circuit": "grid", "current_ma": 1, "until": "2030-01-01T00:00:00"},
        {"circuit": "grid", "current_ma": 1, "for_s": 1, "then": 5},
        {"circuit": "grid", "lift": True, "current_ma": 1},
        {"circuit": "grid", "lift": False},
        {"circuit": "grid", "current_ma": 1, "for_s": 1, "raise": True},
    ],
)
def test_absurd_arguments_are_refused_in_words(arguments: dict[str, Any]) -> None:
    with pytest.raises(WishError, match=r"."):
        read_wish(arguments)


KEYS = st.sampled_from(["circuit", "charger", "current_ma", "power_w", "until", "for_s", "then", "lift", "x"])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dictionaries(st.text(), st.integers())


@given(st.dictionaries(KEYS, VALUES))
def test_any_arguments_are_a_wish_or_refused(arguments: dict[str, Any]) -> None:
    try:
        found = read_wish(arguments)
    except WishError:
        return
    assert found.amount is None or not found.amount.is_none


# --- on the site ----------------------------------------------------------------------------------------------------------


def charging(*names: str, **site: Any) -> Bench:
    bench = Bench(plant(*names, **site))
    bench.boot(*names)
    bench.meter(0)
    for name in names:
        bench.start(name)
    bench.run(40, 0)
    return bench


def test_a_lower_limit_leaves_at_once_and_its_reason_says_whose_it_is() -> None:
    bench = charging("A", "B", limit_a=100)
    assert bench.limit_a("A") == 32
    decisions = bench.put(ask(wish(amps=24)))
    assert {order.evse.charger: order.limit_ma for order in of(SetLimit, decisions)} == {"A": 12_000, "B": 12_000}
    kinds = [type(one).__name__ for one in decisions]
    assert kinds.index("SetLimit") < kinds.index("ActionAnswered")
    reason = bench.view("A").reason
    assert (reason.cause, reason.authority, reason.by) == ("external", "external", "backend (ops)")
    assert reason.until_utc_ms == bench.utc_ms + HOUR
    assert [item.value for item in reason.inputs if item.name == "external-limit"] == [24_000]
    (event,) = [one for one in records(EventKept, decisions) if one.kind == "limit"]
    assert (event.body["action"], event.body["actor"], event.body["amount"]) == ("set", "ops", "24 A")


def test_after_its_end_the_file_holds_again() -> None:
    bench = charging("A", limit_a=100)
    bench.put(ask(wish(amps=10, for_ms=60_000)))
    assert bench.limit_a("A") == 10
    bench.run(59, 0)
    assert bench.limit_a("A") == 10
    decisions = bench.run(60, 0)
    assert bench.limit_a("A") == 32
    assert [one.body["action"] for one in records(EventKept, decisions) if one.kind == "limit"] == ["ended"]


def test_zero_means_zero() -> None:
    bench = charging("A", limit_a=100)
    bench.put(ask(wish(amps=0)))
    assert bench.limit_a("A") == 0
    bench.run(120, 0)
    assert bench.limit_a("A") == 0


def test_a_charger_with_a_limit_leaves_the_rest_to_others() -> None:
    bench = charging("A", "B", limit_a=40)
    bench.settle(bench.put(ask(wish(ON_A, amps=8))))
    bench.run(60, 0)
    assert (bench.limit_a("A"), bench.limit_a("B")) == (8, 32)
    assert bench.view("A").reason.circuit is None
    assert bench.view("A").reason.by == "backend (ops)"
    assert next(c for c in bench.controller.picture(bench.now).chargers if c.id == "A").limited_by.startswith("backend (ops)")


def test_a_limit_in_watts_counts_over_all_phases() -> None:
    bench = charging("A", limit_a=100)
    power = LimitWish(ON_GRID, Amount(power_w=6_900), None, HOUR)
    bench.settle(bench.put(ask(power)))
    assert bench.limit_a("A") == 10


def test_a_limit_above_the_file_s_changes_nothing_and_says_so() -> None:
    bench = charging("A", "B", limit_a=40)
    before = bench.limit_a("A")
    decisions = bench.put(ask(wish(amps=500)))
    (told,) = of(ActionAnswered, decisions)
    assert "no more than 40 A anyway" in dict(told.detail)["note"]
    bench.run(60, 0)
    assert bench.limit_a("A") == before
    assert bench.view("A").reason.authority == "conductor"


def test_a_charger_with_a_limit_from_outside_is_not_drilled() -> None:
    bench = charging("A", limit_a=100)
    bench.put(ask(wish(ON_A, amps=8)))
    (told,) = of(ActionAnswered, bench.put(ActionRequested("d", ChargerId("A"), "drill")))
    assert "limit from outside" in told.problem


# --- contacts and registers -----------------------------------------------------------------------------------------------

RELAY = ExternalInput(
    InputId("relay"), ON_GRID, ((0, Level()), (1, Level(share_percent=30))), None, Level(share_percent=60), 5_000
)


def with_inputs(*inputs: ExternalInput) -> Site:
    return replace(plant("A", limit_a=50), inputs=inputs)


def test_a_contact_that_closes_lowers_and_one_that_is_lost_holds_its_fail_safe() -> None:
    limits = ExternalLimits(with_inputs(RELAY), {}, now())
    assert allowed_a(limits, now()) == 30, "never read: as if it were lost"
    for second, value, expected in ((0, 0, None), (1, 1, 15), (2, 0, None)):
        limits.read(InputRead(RELAY.id, now(second).mono_ms, value), now(second))
        assert allowed_a(limits, now(second)) == expected
    limits.read(InputRead(RELAY.id, now(6).mono_ms, None, "timeout"), now(6))
    assert allowed_a(limits, now(7)) is None
    assert allowed_a(limits, now(7.1)) == 30
    assert limits.views(now(8))[0].state == "lost"
    assert "timeout" in limits.views(now(8))[0].detail


def test_a_value_that_means_nothing_counts_as_lost() -> None:
    limits = ExternalLimits(with_inputs(RELAY), {}, now())
    limits.read(InputRead(RELAY.id, now().mono_ms, 0), now())
    limits.read(InputRead(RELAY.id, now(4).mono_ms, 7), now(4))
    assert allowed_a(limits, now(6)) == 30
    assert "means nothing" in limits.views(now(6))[0].detail


def test_after_a_restart_the_last_value_holds_for_as_long_as_a_reading_may_be_old() -> None:
    limits = ExternalLimits(with_inputs(RELAY), {}, now())
    (told,) = of(Remember, limits.read(InputRead(RELAY.id, now().mono_ms, 1), now()))
    after = ExternalLimits(with_inputs(RELAY), {"all": told.document}, now(60))
    assert allowed_a(after, now(65)) == 15
    assert allowed_a(after, now(65.1)) == 30


@given(st.integers(0, 0xFFFF))
def test_a_register_counts_in_its_unit_and_never_widens(value: int) -> None:
    setpoint = ExternalInput(InputId("dso"), ON_GRID, (), Level(current_ma=100), Level(current_ma=0), 5_000)
    limits = ExternalLimits(with_inputs(setpoint), {}, now())
    limits.read(InputRead(setpoint.id, now().mono_ms, value), now())
    assert allowed_a(limits, now()) == min(value / 10, 50)


def test_of_several_relays_the_lowest_wins_and_a_loss_is_an_alarm() -> None:
    other = replace(RELAY, id=InputId("relay-60"), levels=((0, Level()), (1, Level(share_percent=60))))
    bench = Bench(with_inputs(RELAY, other))
    for relay, value in ((RELAY, 1), (other, 1)):
        bench.put(InputRead(relay.id, bench.mono_ms, value))
    assert bench.controller.picture(bench.now).circuits[0].allowed_ma == Phases.uniform(15_000)
    bench.wait(6)
    bench.tick()
    assert {alarm.subject for alarm in bench.controller.picture(bench.now).alarms if alarm.kind == "input-lost"} == {
        "relay",
        "relay-60",
    }
