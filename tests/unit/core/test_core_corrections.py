"""A sealed record that was wrong: what seals it, and the credit and the replacement that follow it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plant import TAG, Bench, of, plant, records

from edgectl.core.sessions import periods
from edgectl.core.tariffs.credit import negated
from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import CorrectionRequested, Outcome
from edgectl.domain.ids import IdToken
from edgectl.domain.reasons import Cause
from edgectl.domain.records import BillKept, EventKept, MessageKept, Period, PeriodState, Restored, Session, SessionKept
from edgectl.domain.site import Site, Token
from edgectl.domain.tariff import Pricing
from edgectl.domain.tariff_objects import tariff_of, tariff_text

SEALED_S = 601


def tariff(name: str, each: str) -> Any:
    component = {"type": "ENERGY", "price": each, "vat": 19, "step_size": 1}
    return tariff_of({"id": name, "currency": "EUR", "elements": [{"price_components": [component]}]})


def priced() -> Site:
    tokens = (Token(TAG), Token(IdToken("OTHER")))
    return replace(plant("A"), pricing=Pricing((tariff("public", "0.40"),), default="public"), tokens=tokens)


def charged(bench: Bench, stop_wh: int | None = 6_000) -> Session:
    """5 kWh in an hour, at 0.40: 2.00 and 2.38."""
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    (session,) = bench.controller._sessions.open.values()
    bench.wait(3_600)
    return records(SessionKept, bench.stop("A", session.transaction, meter_wh=stop_wh))[-1].session


def ask(bench: Bench, session: Session, replacement: Session | None = None, **wish: Any) -> tuple[ActionAnswered, list[Any]]:
    given_ = {"energy_wh": None, "tariff": None, "reason": "meter exchanged", **wish}
    decisions = bench.put(CorrectionRequested("1", "local:ops", session, replacement, **given_))
    (answer,) = of(ActionAnswered, decisions)
    return answer, decisions


def test_a_sealed_record_is_taken_back_and_replaced_in_one_commit() -> None:
    bench = Bench(priced())
    sealed = charged(bench)
    bench.wait(SEALED_S)
    answer, decisions = ask(bench, sealed, energy_wh=4_000)
    assert (answer.outcome, answer.status) == (Outcome.ACCEPTED, "corrected")
    noted, credit, replacement = (kept.session for kept in records(SessionKept, decisions))
    assert noted == replace(sealed, credited_by=credit.id, replaced_by=replacement.id)
    assert len({sealed.id, credit.id, replacement.id}) == 3
    assert (credit.energy_wh, credit.net_energy_wh, credit.periods) == (5_000, -5_000, sealed.periods)
    assert credit.cost is not None
    assert (credit.cost.before_taxes, credit.cost.after_taxes) == ("-2.00", "-2.38")
    assert credit.cost.taxes == (("19", "-2.00", "-0.38"),)
    assert [line.amount for line in credit.cost.lines] == ["-2.0000"]
    assert replacement.cost is not None
    assert (replacement.energy_wh, replacement.cost.after_taxes) == (4_000, "1.90")  # 1.60 and 0.30
    assert (sum(p.energy_wh for p in replacement.periods), "energy-corrected" in replacement.flags) == (4_000, True)
    assert dict(answer.detail)["billed"] == "4000 Wh, 1.90 EUR after taxes"

    bills = records(BillKept, decisions)
    assert [(bill.session, bill.rev) for bill in bills] == [(credit.id, 1), (replacement.id, 1)]
    told = {"of": sealed.id, "session": sealed.id, "by": "local:ops", "reason": "meter exchanged"}
    for bill, kind in zip(bills, ("credit", "replacement"), strict=True):
        found = bill.body["correction"]
        assert isinstance(found, dict)
        assert found.items() >= {"kind": kind, **told}.items()
        assert bill.body["id"] == bill.session
    (audit,) = [kept for kept in records(EventKept, decisions) if kept.kind == "action"]
    assert (audit.subject, audit.body["action"], audit.body["actor"]) == (sealed.id, "correct-session", "local:ops")


def test_given_twice_it_is_made_once_whatever_the_asker_has_read() -> None:
    bench = Bench(priced())
    sealed = charged(bench)
    bench.wait(SEALED_S)
    first, decisions = ask(bench, sealed, energy_wh=4_000)
    noted, _, replacement = (kept.session for kept in records(SessionKept, decisions))
    again, more = ask(bench, sealed, energy_wh=4_000)
    assert (again.status, dict(again.detail)["replacement"]) == ("there already", dict(first.detail)["replacement"])
    assert records(BillKept, more) == []

    later = Bench(priced(), Restored(recent_sessions=(noted, replacement)), utc_ms=bench.utc_ms)  # another run, from the ledger
    again, more = ask(later, noted, replacement, energy_wh=4_000)
    assert (again.outcome, again.status, records(BillKept, more)) == (Outcome.ACCEPTED, "there already", [])
    other, more = ask(later, noted, replacement, energy_wh=3_000)
    assert (other.outcome, records(BillKept, more)) == (Outcome.REJECTED, [])
    assert replacement.id in other.problem


def test_a_replacement_that_was_wrong_is_corrected_in_its_turn() -> None:
    bench = Bench(priced())
    sealed = charged(bench)
    bench.wait(SEALED_S)
    _, decisions = ask(bench, sealed, energy_wh=4_000)
    first = records(SessionKept, decisions)[-1].session
    answer, decisions = ask(bench, first, tariff=tariff_text(tariff("staff", "0.10")))
    assert answer.outcome is Outcome.ACCEPTED
    _, credit, second = (kept.session for kept in records(SessionKept, decisions))
    assert credit.correction is not None
    assert second.correction is not None
    assert (credit.correction.of, second.correction.of, second.correction.session) == (first.id, first.id, sealed.id)
    assert second.cost is not None
    assert (second.energy_wh, second.cost.before_taxes) == (4_000, "0.40")
    assert {"energy-corrected", "tariff-corrected"} <= set(second.flags)
    refused, _ = ask(bench, credit, energy_wh=1)
    assert (refused.outcome, "a credit is not credited" in refused.problem) == (Outcome.REJECTED, True)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"energy_wh": 5_000}, "nothing would change"),
        ({}, "say what should stand there"),
        ({"energy_wh": -1}, "cannot be"),
        ({"energy_wh": 1_000_000}, "cannot be: 0 to"),  # 22 kW for an hour
    ],
)
def test_what_cannot_stand_there_is_refused(wish: dict[str, Any], words: str) -> None:
    bench = Bench(priced())
    sealed = charged(bench)
    bench.wait(SEALED_S)
    answer, decisions = ask(bench, sealed, **wish)
    assert (answer.outcome, records(BillKept, decisions)) == (Outcome.REJECTED, [])
    assert words in answer.problem


def test_what_runs_or_has_just_ended_is_not_corrected() -> None:
    bench = Bench(priced())
    bench.boot("A")
    bench.start("A")
    (running,) = bench.controller._sessions.open.values()
    assert "is active" in ask(bench, running, energy_wh=1)[0].problem
    bench.wait(3_600)
    ended = records(SessionKept, bench.stop("A", running.transaction, meter_wh=6_000))[-1].session
    assert "has just ended" in ask(bench, ended, energy_wh=1)[0].problem
    bench.wait(SEALED_S)
    assert ask(bench, ended, energy_wh=1)[0].outcome is Outcome.ACCEPTED


# --- the seal -------------------------------------------------------------------------------------------------------------


def superseded(bench: Bench) -> Session:
    """Its end was guessed: another start came before the charger told it."""
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    (session,) = bench.controller._sessions.open.values()
    bench.wait(3_600)
    decisions = bench.start("A", token="OTHER", meter_wh=6_000)
    return next(kept.session for kept in records(SessionKept, decisions) if kept.session.id == session.id)


def test_what_a_charger_tells_of_a_guessed_end_is_a_revision_for_seven_days_and_then_an_event() -> None:
    bench = Bench(priced())
    session = superseded(bench)
    bench.wait(86_400 * 6)
    told = bench.stop("A", session.transaction, meter_wh=5_500)
    (bill,) = records(BillKept, told)
    assert (bill.session, bill.rev, bill.body["energy_wh"]) == (session.id, 2, 4_500)

    bench = Bench(priced())
    session = superseded(bench)
    bench.wait(86_400 * 7 + 3_600)
    told = bench.stop("A", session.transaction, meter_wh=5_500)
    assert records(BillKept, told) == []
    (event,) = [kept for kept in records(EventKept, told) if kept.kind == "evidence-after-seal"]
    assert (event.subject, event.body["billed_wh"], event.body["said"]) == (session.id, "5000", "an end at 5500 Wh")
    assert len(records(MessageKept, told)) == 1  # the evidence itself
    assert [
        kept for kept in records(EventKept, bench.stop("A", session.transaction, meter_wh=5_501)) if "seal" in kept.kind
    ] == []


def test_no_charger_revises_what_was_corrected() -> None:
    bench = Bench(priced())
    session = superseded(bench)
    bench.wait(SEALED_S)
    assert ask(bench, session, energy_wh=4_000)[0].outcome is Outcome.ACCEPTED
    told = bench.stop("A", session.transaction, meter_wh=5_500)
    assert records(BillKept, told) == []
    assert [kept.kind for kept in records(EventKept, told)] == ["evidence-after-seal"]


def test_a_repeated_stop_after_a_restart_finds_the_session_and_not_what_corrects_it() -> None:
    bench = Bench(priced())
    sealed = charged(bench)
    stopped_utc_ms = bench.utc_ms
    bench.wait(SEALED_S)
    _, decisions = ask(bench, sealed, energy_wh=4_000)
    kept = tuple(one.session for one in records(SessionKept, decisions))
    later = Bench(priced(), Restored(recent_sessions=kept), utc_ms=bench.utc_ms)
    later.boot("A")
    told = later.stop("A", sealed.transaction, meter_wh=6_000, reported_utc_ms=stopped_utc_ms)
    assert records(BillKept, told) == records(SessionKept, told) == []
    assert later.controller._sessions.find(sealed.charger, sealed.transaction) == kept[0]


# --- arithmetic -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**6), max_size=20), st.integers(0, 10**7))
def test_shares_are_whole_and_add_up(energies: list[int], total_wh: int) -> None:
    spans = tuple(Period(n, n + 1, PeriodState.CHARGING, wh, Cause.IDLE) for n, wh in enumerate(energies))
    found = periods.scaled(spans, total_wh)
    assert sum(one.energy_wh for one in found) == (total_wh if sum(energies) else 0)
    assert all(one.energy_wh >= 0 for one in found)
    assert [replace(one, energy_wh=0) for one in found] == [replace(one, energy_wh=0) for one in spans]


def test_a_cost_taken_back_twice_is_the_cost() -> None:
    sealed = charged(Bench(priced()), stop_wh=1_000)
    assert sealed.cost is not None
    assert negated(sealed.cost).before_taxes == "0.00"  # never -0.00
    assert negated(negated(sealed.cost)) == sealed.cost
    assert Decimal(negated(sealed.cost).after_taxes) == -Decimal(sealed.cost.after_taxes)
