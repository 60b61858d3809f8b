"""What the backend manages beside the file: tokens, tariffs; a start without a token; records sent again."""

from __future__ import annotations

import pytest
from support.plant import Bench, of, plant

from edgectl.core.controller import Controller
from edgectl.core.housekeeping import BROKER_GRACE_MS
from edgectl.core.managed import TOKENS_COUNT
from edgectl.domain.decisions import ActionAnswered, Ask, Decision, Keep, Remember, Reply, StartAnswer, TokenAnswer
from edgectl.domain.events import (
    AccessChecked,
    ActionRequested,
    CredentialsChecked,
    Outcome,
    PublishRefused,
    ReplayRequested,
    RequeueRequested,
    SiteReloaded,
    TariffsGiven,
    Tick,
    TokenPresented,
    TokensGiven,
    UplinkChanged,
)
from edgectl.domain.ids import ChargerId, IdToken
from edgectl.domain.records import EventKept, ReplayKept, RequeueKept, Restored, SessionKept
from edgectl.domain.remembered import MANAGED
from edgectl.domain.site import Token, TokenStatus
from edgectl.domain.tariff import Tariff
from edgectl.domain.tariff_objects import tariff_of


def verdict(bench: Bench, uid: str) -> TokenStatus:
    (reply,) = of(Reply, bench.put(TokenPresented(bench.call("A"), IdToken(uid))))
    assert isinstance(reply.answer, TokenAnswer)
    return reply.answer.verdict.status


def given(*uids: str, version: int = 1, mode: str = "replace", **more: object) -> TokensGiven:
    return TokensGiven("a1", "backend:boss", version, mode, tuple(Token(IdToken(uid), **more) for uid in uids))  # type: ignore[arg-type]


def answer(decisions: list[Decision]) -> ActionAnswered:
    (found,) = of(ActionAnswered, decisions)
    return found


def test_tokens_of_the_backend_may_charge_until_they_are_taken_away() -> None:
    bench = Bench(plant("A"))
    assert verdict(bench, "B-1") is TokenStatus.UNKNOWN
    done = bench.put(given("b-1", "b-2"))
    assert (answer(done).outcome, dict(answer(done).detail)) == (Outcome.ACCEPTED, {"version": "1", "tokens": "2"})
    assert verdict(bench, "B-1") is TokenStatus.ACCEPTED
    bench.put(given("b-3", version=2, mode="merge"))
    assert [verdict(bench, uid) for uid in ("b-1", "b-3")] == [TokenStatus.ACCEPTED] * 2
    bench.put(given("B-1", version=3, mode="remove"))
    assert [verdict(bench, uid) for uid in ("b-1", "b-2")] == [TokenStatus.UNKNOWN, TokenStatus.ACCEPTED]
    bench.put(given("b-9", version=4))
    assert [verdict(bench, uid) for uid in ("b-2", "b-9")] == [TokenStatus.UNKNOWN, TokenStatus.ACCEPTED]


def test_the_file_counts_for_a_token_of_both_and_stays_when_it_is_read_again() -> None:
    bench = Bench(plant("A"))
    bench.put(given("VIP", "b-1", status=TokenStatus.BLOCKED))
    assert verdict(bench, "vip") is TokenStatus.ACCEPTED, "the file's"
    bench.put(SiteReloaded(bench.site))
    assert verdict(bench, "b-1") is TokenStatus.BLOCKED, "the backend's, after a reload"


def test_an_older_list_and_too_long_a_one_are_refused_and_recorded() -> None:
    bench = Bench(plant("A"))
    bench.put(given("b-1", version=5))
    older = bench.put(given("b-2", version=4))
    assert (answer(older).outcome, answer(older).status) == (Outcome.REJECTED, "older")
    long = bench.put(given(*(f"t{number}" for number in range(TOKENS_COUNT + 1)), version=6))
    assert answer(long).status == "too-many"
    assert verdict(bench, "b-1") is TokenStatus.ACCEPTED
    (kept,) = [keep.record for keep in of(Keep, older)]
    assert isinstance(kept, EventKept)
    assert (kept.kind, kept.body["actor"], kept.body["outcome"]) == ("action", "backend:boss", "rejected")


def test_what_the_backend_gave_is_known_after_a_restart() -> None:
    bench = Bench(plant("A"))
    remembered = {MANAGED: {told.key: told.document for told in of(Remember, bench.put(given("b-1", priority=7)))}}
    bench.controller = Controller(bench.site, Restored(), bench.ids, bench.now, remembered=remembered)
    assert verdict(bench, "b-1") is TokenStatus.ACCEPTED
    assert answer(bench.put(given("b-2", version=0))).status == "older"


def tariff(name: str, currency: str = "EUR") -> Tariff:
    component = {"type": "ENERGY", "price": "0.40", "step_size": 1}
    return tariff_of({"id": name, "currency": currency, "elements": [{"price_components": [component]}]})


def priced(bench: Bench) -> str | None:
    """What 1 kWh in half an hour costs."""
    bench.wait(600)
    bench.boot("A")
    started = bench.start("A")
    (reply,) = [reply for reply in of(Reply, started) if isinstance(reply.answer, StartAnswer)]
    assert isinstance(reply.answer, StartAnswer)
    bench.wait(1_800)
    ended = bench.stop("A", reply.answer.transaction)
    (session,) = [keep.record.session for keep in of(Keep, ended) if isinstance(keep.record, SessionKept)]
    return None if session.cost is None else session.cost.after_taxes


def test_a_tariff_of_the_backend_prices_sessions_over_a_restart_too() -> None:
    bench = Bench(plant("A"))
    assert priced(bench) is None
    done = bench.put(TariffsGiven("a1", "backend:boss", 1, (tariff("T1"),), "T1"))
    assert answer(done).outcome is Outcome.ACCEPTED
    assert priced(bench) == "0.40"
    remembered = {MANAGED: {told.key: told.document for told in of(Remember, done)}}
    bench.controller = Controller(bench.site, Restored(), bench.ids, bench.now, remembered=remembered)
    assert priced(bench) == "0.40"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (TariffsGiven("a1", "x", 1, (tariff("T1", "CHF"),)), "bad-arguments"),
        (TariffsGiven("a1", "x", 1, (tariff("T1"),), "T2"), "bad-arguments"),
    ],
)
def test_tariffs_that_do_not_fit_the_site_are_refused(event: TariffsGiven, code: str) -> None:
    assert answer(Bench(plant("A")).put(event)).status == code


def test_more_tariffs_than_a_gateway_keeps_are_refused() -> None:
    event = TariffsGiven("a1", "x", 1, tuple(tariff(f"T{n}" + "x" * 30) for n in range(4_000)))
    assert answer(Bench(plant("A")).put(event)).status == "too-many"


def test_a_start_without_a_token_gets_one_that_is_good_for_that_start_alone() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    (ask,) = of(Ask, bench.put(ActionRequested("a7", ChargerId("A"), "start", (("evse", "1"),), "backend:boss")))
    token = dict(ask.arguments)["token"]
    assert len(token) <= 20
    assert verdict(bench, token) is TokenStatus.ACCEPTED
    started = bench.start("A", token=token)
    session = next(keep.record.session for keep in of(Keep, started) if isinstance(keep.record, SessionKept))
    assert (session.authorisation.how, session.authorisation.by) == ("remote", "backend:boss")
    bench.wait(11 * 60)
    assert verdict(bench, token) is TokenStatus.UNKNOWN


@pytest.mark.parametrize(("first", "last", "is_taken"), [(1, 1, True), (5, 10_004, True), (5, 10_005, False), (9, 8, False)])
def test_records_are_sent_again_within_a_bound(first: int, last: int, is_taken: bool) -> None:
    done = Bench(plant("A")).put(ReplayRequested("a1", "backend:boss", "billing", first, last))
    records = [keep.record for keep in of(Keep, done)]
    assert any(isinstance(record, ReplayKept) for record in records) == is_taken
    assert (answer(done).outcome is Outcome.ACCEPTED) == is_taken


def test_what_a_person_puts_back_ends_the_alarm_and_what_the_broker_denies_raises_one() -> None:
    bench = Bench(plant("A"))
    bench.put(PublishRefused(7, "too large"))
    raised = {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}
    assert raised == {"record-parked"}
    done = bench.put(RequeueRequested("a1", "local:me", (7,)))
    assert answer(done).status == "queued"
    assert RequeueKept((7,), bench.utc_ms) in [keep.record for keep in of(Keep, done)]
    assert bench.controller.picture(bench.now).alarms == ()
    bench.put(AccessChecked("the broker's access list denies publishing on billing/#"))
    bench.put(AccessChecked("the broker's access list denies publishing on billing/# and publishing on status"))
    assert [(alarm.kind, alarm.detail) for alarm in bench.controller.picture(bench.now).alarms] == [
        ("broker-access", "the broker's access list denies publishing on billing/# and publishing on status")
    ]
    bench.put(AccessChecked(""))
    assert bench.controller.picture(bench.now).alarms == ()


def alarms(bench: Bench) -> list[tuple[str, str]]:
    found = bench.controller.picture(bench.now).alarms
    return [(alarm.kind, alarm.detail) for alarm in found if alarm.subject == "uplink"]


def test_a_broker_that_is_away_for_long_is_an_alarm_with_its_reason_until_it_is_back() -> None:
    bench = Bench(plant("A"))
    bench.put(UplinkChanged(False, "the connection was closed"))
    bench.wait(BROKER_GRACE_MS // 1_000 - 5)
    bench.put(Tick())
    bench.put(UplinkChanged(False, "the broker's certificate is not trusted"))
    assert alarms(bench) == []
    bench.wait(10)
    bench.put(Tick())
    assert alarms(bench) == [("broker-lost", "the broker's certificate is not trusted")]
    bench.put(UplinkChanged(True))
    assert alarms(bench) == []
    bench.put(UplinkChanged(False, "the connection was closed"))
    bench.wait(BROKER_GRACE_MS // 1_000 - 5)
    bench.put(Tick())
    bench.put(UplinkChanged(True))
    bench.wait(60)
    bench.put(Tick())
    assert alarms(bench) == []


def test_a_site_without_a_broker_misses_none() -> None:
    bench = Bench(plant("A"))
    bench.put(UplinkChanged(False, "the connection was closed"))
    bench.wait(BROKER_GRACE_MS // 1_000 + 5)
    bench.put(UplinkChanged(False, "no broker is configured", has_broker=False))
    bench.wait(BROKER_GRACE_MS // 1_000 + 5)
    bench.put(Tick())
    assert alarms(bench) == []


def test_credentials_that_cannot_be_used_are_an_alarm_while_the_last_ones_are() -> None:
    bench = Bench(plant("A"))
    bench.put(CredentialsChecked("credential 'client' is not a PEM certificate with its key"))
    assert [kind for kind, _ in alarms(bench)] == ["broker-credentials"]
    assert "credential 'client' is not a PEM certificate with its key" in alarms(bench)[0][1]
    bench.put(CredentialsChecked(""))
    assert alarms(bench) == []
