"""Reservations: held, used by a session, or billed without one; each once, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import TAG, Bench, of, plant, records

from edgectl.core.sessions.book import SEALED_MS
from edgectl.core.sessions.reservations import GRACE_MS
from edgectl.domain.decisions import ActionAnswered, Ask, Decision
from edgectl.domain.events import (
    ActionRequested,
    ChargerNotified,
    ConnectorStatus,
    CorrectionRequested,
    MeterValuesReported,
    Outcome,
    RequestAnswered,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, IdToken, TransactionRef
from edgectl.domain.records import BillKept, ReservationKept, Restored, Session, SessionKept, SessionStatus
from edgectl.domain.reservations import Reservation, ReservationEnd
from edgectl.domain.site import Charger, Site, Token
from edgectl.domain.tariff import Pricing
from edgectl.domain.tariff_objects import tariff_of
from edgectl.domain.time import iso

A, OTHER, MATE = ChargerId("A"), IdToken("OTHER"), IdToken("MATE")
TARIFF = {
    "id": "public",
    "currency": "EUR",
    "elements": [
        {"price_components": [{"type": "FLAT", "price": 4, "vat": 20}], "restrictions": {"reservation": "RESERVATION_EXPIRES"}},
        {
            "price_components": [{"type": "TIME", "price": 5, "vat": 20, "step_size": 60}],
            "restrictions": {"reservation": "RESERVATION"},
        },
        {"price_components": [{"type": "ENERGY", "price": "0.25", "vat": 10}, {"type": "FLAT", "price": "0.5", "vat": 20}]},
    ],
}


def site(evse_count: int = 2) -> Site:
    tokens = (Token(TAG, group=IdToken("G")), Token(OTHER), Token(MATE, group=IdToken("g")))
    found = replace(plant(Charger(A, plant("A").circuits[0].id, evse_count=evse_count)), tokens=tokens)
    return replace(found, pricing=Pricing((tariff_of(TARIFF),), default="public"))


def bench_of(evse_count: int = 2) -> Bench:
    bench = Bench(site(evse_count))
    bench.boot("A")
    bench.meter(10)
    return bench


def act(bench: Bench, name: str, outcome: Outcome = Outcome.ACCEPTED, **arguments: str) -> list[Decision]:
    """Somebody asks for it, and the charger answers."""
    action_id = f"a{bench.mono_ms}-{len(bench.log)}"
    begun = bench.put(ActionRequested(action_id, A, name, tuple(arguments.items()), "local:ops"))
    (ask,) = of(Ask, begun)
    return bench.put(RequestAnswered(A, ask.ask_id, outcome, outcome.value))


def reserve(bench: Bench, minutes: int = 60, **arguments: str) -> list[Decision]:
    expires = iso(bench.utc_ms + minutes * 60_000)
    return act(bench, "reserve", **{"reservation": "5", "token": TAG, "evse": "1", "expires": expires, **arguments})


def begin(bench: Bench, token: str = TAG, evse: int = 1, number: int | None = None, **more: Any) -> list[Decision]:
    call = bench.call("A", "StartTransaction")
    event = TransactionStarted(call, evse, 1, IdToken(token), 1_000, bench.utc_ms, reservation_number=number, **more)
    return bench.settle(bench.put(event))


def charged(bench: Bench, decisions: list[Decision], energy_wh: int = 20_000) -> Session:
    """It goes on for an hour."""
    session = records(SessionKept, decisions)[-1].session
    bench.wait(3_600)
    return records(SessionKept, bench.stop("A", session.transaction, 1_000 + energy_wh))[-1].session


def own_record(decisions: list[Decision]) -> Session:
    """The record of one that nobody came for; it is billed with the same."""
    found = [kept.session for kept in records(SessionKept, decisions) if kept.session.is_reservation]
    (session,) = found
    (bill,) = [kept for kept in records(BillKept, decisions) if kept.session == session.id]
    assert bill.rev == session.rev == 1
    return session


def held(bench: Bench) -> list[Reservation]:
    return list(bench.controller._sessions.reservations.held)


def test_what_is_held_is_shown_without_its_token() -> None:
    bench = bench_of()
    reserve(bench)
    (charger,) = bench.controller.picture(bench.now).chargers
    (shown,) = charger.reservations
    assert (shown.reservation_number, shown.evse_number, shown.until_utc_ms) == (5, 1, bench.utc_ms + 3_600_000)
    assert TAG not in repr(shown)
    begin(bench)
    assert bench.controller.picture(bench.now).chargers[0].reservations == ()


# --- used ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [5, None], ids=["by-its-number", "by-its-token"])
def test_the_session_that_uses_it_carries_it_and_pays_it(number: int | None) -> None:
    bench = bench_of()
    (kept,) = records(ReservationKept, reserve(bench))
    assert (kept.is_over, kept.reservation.token, kept.reservation.from_utc_ms) == (False, TAG, bench.utc_ms)
    bench.wait(15 * 60)
    begun = begin(bench, number=number)
    assert [one.is_over for one in records(ReservationKept, begun)] == [True]
    assert held(bench) == []
    session = charged(bench, begun)
    reserved = session.reservation
    assert reserved is not None
    assert (reserved.end, reserved.reservation_number, reserved.ended_utc_ms) == (ReservationEnd.USED, 5, session.started_utc_ms)
    assert reserved.ended_utc_ms - reserved.from_utc_ms == 15 * 60_000
    # OCPI's own example: 15 min at 5/h, 0.50, and 20 kWh at 0.25: 1.25 + 0.50 + 5.00, taxed at 20 % but the energy at 10 %
    assert session.cost is not None
    assert (session.cost.before_taxes, session.cost.after_taxes) == ("6.75", "7.60")
    (bill,) = [one for one in records(BillKept, bench.log) if one.session == session.id]
    assert bill.body["reservation"] == {
        "id": 5,
        "from": iso(reserved.from_utc_ms),
        "until": iso(reserved.until_utc_ms),
        "ended_at": iso(session.started_utc_ms),
        "outcome": "used",
    }


@pytest.mark.parametrize(
    ("asked", "began", "is_used"),
    [
        ({}, {"token": MATE}, False),
        ({"group": "G"}, {"token": MATE}, True),
        ({"group": "G"}, {"token": OTHER}, False),
        ({}, {"token": OTHER}, False),
        ({}, {"token": OTHER, "number": 5}, True),
        ({}, {"evse": 2}, False),
        ({"evse": "0"}, {"evse": 2}, True),
        ({}, {"token": TAG.lower()}, True),
    ],
)
def test_it_is_used_by_whom_it_is_for_where_it_is(asked: dict[str, str], began: dict[str, Any], *, is_used: bool) -> None:
    bench = bench_of()
    reserve(bench, **asked)
    bench.wait(60)
    session = records(SessionKept, begin(bench, **began))[-1].session
    assert (session.reservation is not None) is is_used
    assert (held(bench) == []) is is_used
    assert session.flags == ()


def test_a_name_nobody_knows_is_flagged_and_a_start_before_it_uses_nothing() -> None:
    bench = bench_of()
    session = records(SessionKept, begin(bench, number=9))[-1].session
    assert session.flags == ("reservation-unknown",)
    reserve(bench, evse="2")
    early = TransactionStarted(bench.call("A"), 2, 1, TAG, 1_000, bench.utc_ms - 3_600_000, is_offline=True)
    assert records(SessionKept, bench.put(early))[-1].session.reservation is None
    assert len(held(bench)) == 1


def test_a_station_may_tell_it_when_the_driver_is_known() -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(600)
    event = TransactionStarted(bench.call("A"), 1, 1, None, 1_000, bench.utc_ms, TransactionRef("T"), sequence_number=0)
    first = records(SessionKept, bench.put(event))[-1].session
    assert first.reservation is None
    bench.wait(30)
    values = MeterValuesReported(bench.call("A"), 1, TransactionRef("T"), (), token=TAG, sequence_number=1, reservation_number=5)
    told = bench.put(values)
    assert [one.is_over for one in records(ReservationKept, told)] == [True]
    session = records(SessionKept, told)[-1].session
    assert session.reservation is not None
    assert session.reservation.ended_utc_ms == first.started_utc_ms


@pytest.mark.parametrize("ends_first", [False, True])
def test_a_start_that_comes_after_its_values_or_its_end_uses_it(*, ends_first: bool) -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(15 * 60)
    began_utc_ms, name = bench.utc_ms, TransactionRef("T-1")
    bench.wait(600)
    if ends_first:
        event = TransactionEnded(bench.call("A"), name, TAG, 21_000, bench.utc_ms, "Local", 1, is_offline=True, sequence_number=2)
        assert "orphan-stop" in records(SessionKept, bench.put(event))[-1].session.flags
    else:
        bench.put(MeterValuesReported(bench.call("A"), 1, name, (), sequence_number=1))
    assert len(held(bench)) == (0 if ends_first else 1)  # whose place it was is known by the token
    late = TransactionStarted(
        bench.call("A"), 1, 1, TAG, 1_000, began_utc_ms, name, is_offline=True, sequence_number=0, reservation_number=5
    )
    decisions = bench.put(late)
    session = records(SessionKept, decisions)[-1].session
    assert session.reservation is not None
    assert (session.reservation.ended_utc_ms, session.flags.count("reservation-unknown")) == (began_utc_ms, 0)
    assert [one.is_over for one in records(ReservationKept, bench.log)] == [False, True]
    assert [bill.body["reservation"] is not None for bill in records(BillKept, decisions)] == ([True] if ends_first else [])


def test_whoever_is_known_by_the_end_alone_has_used_it_too() -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(600)
    name = TransactionRef("T-1")
    bench.put(MeterValuesReported(bench.call("A"), 1, name, (), sequence_number=1))
    bench.wait(600)
    ended = TransactionEnded(bench.call("A"), name, TAG, 21_000, bench.utc_ms, "Local", 1, sequence_number=2)
    session = records(SessionKept, bench.put(ended))[-1].session
    assert ("token-from-stop" in session.flags, session.reservation is not None, held(bench)) == (True, True, [])

    reserve(bench, reservation="6")
    bench.wait(600)
    orphan = TransactionEnded(bench.call("A"), TransactionRef("T-2"), TAG, 21_000, bench.utc_ms, "Local", sequence_number=2)
    session = records(SessionKept, bench.put(orphan))[-1].session
    assert (session.status, session.reservation is not None, held(bench)) == (SessionStatus.ORPHAN, True, [])
    assert session.cost is None


def test_a_repeated_start_uses_no_second_one() -> None:
    bench = bench_of()
    reserve(bench)
    event = TransactionStarted(bench.call("A"), 1, 1, TAG, 1_000, bench.utc_ms, reservation_number=5)
    bench.put(event)
    reserve(bench, reservation="6")
    assert records(ReservationKept, bench.put(replace(event, call=bench.call("A")))) == []
    assert [one.reservation_number for one in held(bench)] == [6]


# --- not used -----------------------------------------------------------------------------------------------------------------


def overdue(bench: Bench) -> list[Decision]:
    """Ticks over the whole time of grace."""
    decisions = bench.tick()
    bench.wait(GRACE_MS / 1_000)
    return decisions + bench.tick()


def test_one_that_runs_out_is_a_record_of_its_own() -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(3_599)
    assert records(BillKept, overdue(bench)) == []
    session = own_record(overdue(bench))
    assert (session.energy_wh, session.periods, session.stop_reason, session.id_token) == (0, (), "reservation-expired", TAG)
    assert session.reservation is not None
    assert session.ended_utc_ms == session.reservation.until_utc_ms == session.started_utc_ms + 3_600_000
    # an hour at 5, and 4 because it expired; neither the fee nor anything else of a session
    assert session.cost is not None
    assert {line.dimension: line.amount for line in session.cost.lines} == {
        "RESERVATION_TIME": "5.0000",
        "RESERVATION_FLAT": "4.0000",
    }
    assert (session.cost.before_taxes, session.cost.after_taxes) == ("9.00", "10.80")
    assert (held(bench), records(BillKept, overdue(bench))) == ([], [])


def test_one_that_is_cancelled_is_paid_until_then_and_has_not_expired() -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(12 * 60)
    decisions = act(bench, "cancel-reservation", reservation="5")
    (answer,) = of(ActionAnswered, decisions)
    session = own_record(decisions)
    assert (answer.outcome, session.stop_reason) == (Outcome.ACCEPTED, "reservation-cancelled")
    assert session.cost is not None
    assert [(line.dimension, line.amount) for line in session.cost.lines] == [("RESERVATION_TIME", "1.0000")]


def removed_by_status(bench: Bench) -> list[Decision]:
    return bench.status("A", ConnectorStatus.FAULTED)


def removed_by_word(bench: Bench) -> list[Decision]:
    detail = (("reservation", "5"), ("status", "Removed"))
    return bench.put(ChargerNotified(bench.call("A"), "reservation-status", detail))


def removed_by_ignorance(bench: Bench) -> list[Decision]:
    return act(bench, "cancel-reservation", Outcome.REJECTED, reservation="5")


@pytest.mark.parametrize("lose", [removed_by_status, removed_by_word, removed_by_ignorance])
def test_one_that_the_charger_gave_up_has_no_price(lose: Any) -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(60)
    session = own_record(lose(bench))
    assert (session.stop_reason, session.cost, session.tariff) == ("reservation-removed", None, None)
    assert records(BillKept, lose(bench) if lose is not removed_by_ignorance else overdue(bench)) == []


@pytest.mark.parametrize(("word", "lasted_min"), [("Expired", 60), ("NoTransaction", 30)])
def test_the_stations_own_word_ends_it_at_once(word: str, lasted_min: int) -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(lasted_min * 60)
    detail = (("reservation", "5"), ("status", word))
    session = own_record(bench.put(ChargerNotified(bench.call("A"), "reservation-status", detail)))
    assert session.stop_reason == "reservation-expired"
    assert session.ended_utc_ms == session.started_utc_ms + lasted_min * 60_000


def test_what_is_told_of_one_after_its_time_finds_it_expired() -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(3_601)
    session = own_record(act(bench, "cancel-reservation", Outcome.REJECTED, reservation="5"))
    assert (session.stop_reason, session.cost is None) == ("reservation-expired", False)


def test_nothing_expires_while_its_charger_cannot_say_that_it_was_used() -> None:
    bench = bench_of()
    reserve(bench)
    bench.drop("A")
    bench.wait(2 * 86_400)
    assert records(BillKept, overdue(bench)) == []
    bench.boot("A")
    bench.tick()
    late = TransactionStarted(
        bench.call("A"), 1, 1, TAG, 1_000, bench.utc_ms - 172_000_000, is_offline=True, reservation_number=5
    )
    session = records(SessionKept, bench.put(late))[-1].session
    assert session.reservation is not None
    assert records(BillKept, overdue(bench)) == []

    forgotten = bench_of()
    reserve(forgotten)
    forgotten.drop("A")
    forgotten.wait(3_600 + SEALED_MS / 1_000)
    assert own_record(overdue(forgotten)).stop_reason == "reservation-expired"


def test_the_same_number_goes_on_for_the_same_driver_and_replaces_another() -> None:
    bench = bench_of()
    reserve(bench)
    began_utc_ms = bench.utc_ms
    bench.wait(600)
    assert records(BillKept, reserve(bench, 120)) == []
    (one,) = held(bench)
    assert (one.from_utc_ms, one.until_utc_ms) == (began_utc_ms, bench.utc_ms + 7_200_000)
    session = own_record(reserve(bench, token=OTHER))
    assert (session.stop_reason, session.id_token) == ("reservation-cancelled", TAG)
    assert [(one.token, one.from_utc_ms) for one in held(bench)] == [(OTHER, bench.utc_ms)]


def test_one_that_is_refused_is_not_held_and_a_moment_nobody_understands_is_not_asked_for() -> None:
    bench = bench_of()
    act(bench, "reserve", Outcome.REJECTED, reservation="5", token=TAG, expires=iso(bench.utc_ms + 60_000))
    assert held(bench) == []
    begun = bench.put(
        ActionRequested("x", A, "reserve", (("reservation", "5"), ("token", TAG), ("expires", "at six")), "local:ops")
    )
    (answer,) = of(ActionAnswered, begun)
    assert (answer.outcome, of(Ask, begun)) == (Outcome.REJECTED, [])
    assert "'at six'" in answer.problem


def test_its_energy_is_not_corrected_and_its_tariff_is() -> None:
    bench = bench_of()
    reserve(bench)
    bench.wait(12 * 60)
    session = own_record(act(bench, "cancel-reservation", reservation="5"))
    (answer,) = of(ActionAnswered, bench.put(CorrectionRequested("1", "local:ops", session, None, 4_000, None, "why")))
    assert (answer.outcome, "has no energy" in answer.problem) == (Outcome.REJECTED, True)
    half = msgspec.json.encode({**TARIFF, "id": "half", "elements": [TARIFF["elements"][2]]}).decode()  # type: ignore[index]
    decisions = bench.put(CorrectionRequested("2", "local:ops", session, None, None, half, "friends"))
    *_, replacement = (kept.session for kept in records(SessionKept, decisions))
    assert replacement.cost is not None
    assert (replacement.cost.before_taxes, replacement.is_reservation) == ("0.00", True)


@pytest.mark.parametrize(("evse_count", "asked", "evse"), [(1, None, 1), (1, "0", 0), (2, None, 0), (2, "2", 2)])
def test_where_there_is_one_evse_that_is_meant(evse_count: int, asked: str | None, evse: int) -> None:
    bench = bench_of(evse_count=evse_count)
    arguments = {"reservation": "5", "token": TAG, "expires": iso(bench.utc_ms + 60_000)}
    decisions = act(bench, "reserve", **arguments, **({} if asked is None else {"evse": asked}))
    assert [kept.reservation.evse_number for kept in records(ReservationKept, decisions)] == [evse]
    (ask,) = [one for one in of(Ask, bench.log) if one.request == "reserve"]
    assert dict(ask.arguments).get("evse") == (None if (evse_count, asked) == (2, None) else str(evse))


# --- whatever happens ---------------------------------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from(["5", "6"]), st.sampled_from([TAG, OTHER]), st.sampled_from(["0", "1", "2"])),
    st.tuples(st.just("cancel"), st.sampled_from(["5", "6"]), st.booleans()),
    st.tuples(st.just("begin"), st.sampled_from([TAG, OTHER, MATE]), st.sampled_from([1, 2]), st.sampled_from([None, 5, 6, 9])),
    st.tuples(st.just("told"), st.sampled_from(["5", "6", "x"]), st.sampled_from(["Expired", "Removed", "Odd"])),
    st.tuples(
        st.just("status"), st.sampled_from([0, 1, 2]), st.sampled_from([ConnectorStatus.FAULTED, ConnectorStatus.AVAILABLE])
    ),
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.sampled_from(["drop", "restart"])),
)


class Ledger:
    """What is on the disk."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.held: dict[int, Reservation] = {}
        self.made: list[Reservation] = []

    def keep(self, decisions: list[Decision]) -> None:
        for kept in records(ReservationKept, decisions):
            if kept.is_over:
                assert self.held.pop(kept.reservation.reservation_number) == kept.reservation
            else:
                before = self.held.get(kept.reservation.reservation_number)
                assert before is None or before.from_utc_ms == kept.reservation.from_utc_ms
                self.made += [] if before is not None else [kept.reservation]
                self.held[kept.reservation.reservation_number] = kept.reservation
        for session in (kept.session for kept in records(SessionKept, decisions)):
            known = self.sessions.get(session.id)
            assert known is None or known.reservation in (None, session.reservation)
            self.sessions[session.id] = msgspec.json.decode(msgspec.json.encode(session), type=Session)

    def restored(self) -> Restored:
        opened = tuple(one for one in self.sessions.values() if one.ended_utc_ms is None)
        closed = tuple(one for one in self.sessions.values() if one.ended_utc_ms is not None)
        return Restored(opened, closed, 100, "e", tuple(self.held.values()))


def step(bench: Bench, what: tuple[Any, ...]) -> list[Decision]:
    match what:
        case ("reserve", number, token, evse):
            return reserve(bench, reservation=number, token=token, evse=evse)
        case ("cancel", number, was_known):
            return act(bench, "cancel-reservation", Outcome.ACCEPTED if was_known else Outcome.REJECTED, reservation=number)
        case ("begin", token, evse, number):
            return begin(bench, token, evse, number)
        case ("told", number, word):
            return bench.put(ChargerNotified(bench.call("A"), "reservation-status", (("reservation", number), ("status", word))))
        case ("status", evse, status):
            return bench.status("A", status, evse)
        case ("wait", minutes):
            bench.wait(minutes * 60)
            return overdue(bench)
        case ("drop",):
            dropped = bench.drop("A")
            bench.wait(60)
            return dropped + bench.boot("A")
    raise AssertionError(what)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_each_ends_in_exactly_one_record_also_over_restarts(steps: list[tuple[Any, ...]]) -> None:
    bench, disk = bench_of(), Ledger()
    ids = bench.ids
    for what in [*steps, ("wait", 60), ("wait", 60)]:
        if what == ("restart",):
            restored = msgspec.json.decode(msgspec.json.encode(disk.restored()), type=Restored)
            bench = Bench(site(), restored, mono_ms=5_000, utc_ms=bench.utc_ms + 1_000)
            ids.count += 1_000
            bench.ids.count = ids.count
            disk.keep(bench.boot("A") + bench.meter(10))
        else:
            disk.keep(step(bench, what))
    assert disk.held == {}
    found = [one.reservation for one in disk.sessions.values() if one.reservation is not None]
    assert sorted((one.reservation_number, one.from_utc_ms) for one in found) == sorted(
        (one.reservation_number, one.from_utc_ms) for one in disk.made
    )
    for session in disk.sessions.values():
        one = session.reservation
        if one is None:
            continue
        assert one.from_utc_ms <= one.ended_utc_ms <= max(one.until_utc_ms, one.from_utc_ms)
        if session.is_reservation:
            assert (session.energy_wh, session.rev, session.ended_utc_ms) == (0, 1, one.ended_utc_ms)
            assert (session.cost is None) is (one.end is ReservationEnd.REMOVED)
