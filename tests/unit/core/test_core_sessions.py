"""Sessions: once each, whatever a charger repeats, reorders or forgets; energy that is explained."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plant import NOON_UTC_MS, TAG, Bench, answer, of, plant, records

from edgectl.domain.decisions import Ask, Reply, StartAnswer, StopAnswer, TokenAnswer, WakeUplink
from edgectl.domain.events import (
    ConnectorStatus,
    MeterValuesReported,
    Sample,
    TokenPresented,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import IdToken, TransactionRef
from edgectl.domain.records import BillKept, Durability, MessageKept, PeriodState, Restored, Session, SessionKept, SessionStatus
from edgectl.domain.site import OfflinePolicy, Token, TokenStatus

HOUR_MS = 3_600_000


@pytest.fixture
def bench() -> Bench:
    bench = Bench(plant("A", "B"))
    bench.boot("A", "B")
    bench.meter(5)
    return bench


def started(decisions: list[object]) -> StartAnswer:
    reply = answer(decisions)  # type: ignore[arg-type]
    assert isinstance(reply, StartAnswer)
    return reply


def kept_session(decisions: list[object]) -> Session:
    return records(SessionKept, decisions)[-1].session  # type: ignore[arg-type]


def test_a_start_is_kept_durably_beside_its_reply(bench: Bench) -> None:
    decisions = bench.start("A", meter_wh=12_000)
    kept = records(SessionKept, decisions)[0]
    assert kept.durability is Durability.BILLING
    assert kept.session.meter_start_wh == 12_000
    assert started(decisions).transaction == kept.session.transaction == "1"
    assert [message.frame[:5] for message in records(MessageKept, decisions)] == ["frame"]


def test_a_start_repeated_with_a_new_message_id_gets_the_same_transaction_and_no_second_session(bench: Bench) -> None:
    first = bench.start("A", reported_utc_ms=NOON_UTC_MS)
    bench.wait(40)
    again = bench.start("A", reported_utc_ms=NOON_UTC_MS)
    assert started(again) == started(first)
    assert {kept.session.id for kept in records(SessionKept, bench.log)} == {"session-1"}


def test_a_start_repeated_after_the_charger_corrected_its_clock_is_the_same_session(bench: Bench) -> None:
    first = bench.start("A", meter_wh=500, reported_utc_ms=NOON_UTC_MS - 7000)
    again = bench.start("A", meter_wh=500, reported_utc_ms=NOON_UTC_MS)
    assert started(again) == started(first)


def test_a_start_repeated_after_its_stop_is_still_the_same_session(bench: Bench) -> None:
    first = bench.start("A", reported_utc_ms=NOON_UTC_MS)
    bench.wait(60)
    bench.stop("A", "1")
    assert started(bench.start("A", reported_utc_ms=NOON_UTC_MS)) == started(first)


def test_a_stop_ends_in_exactly_one_bill(bench: Bench) -> None:
    bench.start("A", meter_wh=1_000)
    bench.wait(1_800)
    decisions = bench.stop("A", "1", meter_wh=9_000)
    (bill,) = records(BillKept, decisions)
    assert (bill.rev, bill.body["energy_wh"], bill.body["status"]) == (1, 8_000, "completed")
    assert isinstance(answer(decisions), StopAnswer)
    assert of(WakeUplink, decisions)


def test_a_repeated_stop_changes_nothing_and_gets_the_same_answer(bench: Bench) -> None:
    bench.start("A")
    bench.wait(60)
    first = bench.stop("A", "1", reported_utc_ms=NOON_UTC_MS)
    again = bench.stop("A", "1", reported_utc_ms=NOON_UTC_MS)
    assert answer(again) == answer(first)
    assert records(BillKept, again) == []
    assert records(SessionKept, again) == []


@pytest.mark.parametrize("reference", ["-1", "0", "777", None])
def test_a_stop_with_a_foreign_id_is_matched_to_the_one_open_session(bench: Bench, reference: str | None) -> None:
    bench.start("A", meter_wh=1_000)
    bench.wait(60)
    decisions = bench.stop("A", reference, meter_wh=1_100, token=TAG.lower())
    (bill,) = records(BillKept, decisions)
    assert bill.body["energy_wh"] == 100
    assert "stop-matched" in bill.body["flags"]  # type: ignore[operator]


def test_a_stop_that_matches_nothing_is_kept_as_an_orphan_and_acknowledged(bench: Bench) -> None:
    decisions = bench.stop("A", "-1", meter_wh=4_000)
    session = kept_session(decisions)  # type: ignore[arg-type]
    assert session.status is SessionStatus.ORPHAN
    assert session.energy_wh == 0
    assert isinstance(answer(decisions), StopAnswer)
    again = bench.stop("A", "-1", meter_wh=4_000, reported_utc_ms=bench.utc_ms)
    assert records(SessionKept, again) == []


def test_a_stop_with_two_candidates_is_not_guessed() -> None:
    bench = Bench(replace(plant("A"), chargers=(replace(plant("A").chargers[0], evse_count=2),)))
    bench.boot("A")
    bench.start("A", evse=1)
    bench.start("A", evse=2)
    decisions = bench.stop("A", "-1", meter_wh=5_000)
    assert kept_session(decisions).status is SessionStatus.ORPHAN  # type: ignore[arg-type]
    assert bench.controller.picture(bench.now).open_session_count == 2


def test_a_second_start_on_one_evse_closes_the_first_at_the_new_register(bench: Bench) -> None:
    bench.start("A", meter_wh=1_000)
    bench.wait(600)
    decisions = bench.start("A", meter_wh=1_700)
    (bill,) = records(BillKept, decisions)
    assert bill.body["energy_wh"] == 700
    assert bill.body["stop_reason"] == "superseded"
    assert started(decisions).transaction == "2"


def test_values_after_the_end_reopen_nothing(bench: Bench) -> None:
    bench.start("A")
    bench.wait(60)
    bench.stop("A", "1", meter_wh=1_050)
    decisions = bench.values("A", energy_wh=9_999)
    assert records(SessionKept, decisions) == []
    assert bench.controller.picture(bench.now).open_session_count == 0


@pytest.mark.parametrize(
    ("start", "values", "stop", "energy", "flag"),
    [
        (1_000, [1_500], 900, 500, "register-backwards"),
        (1_000, [1_500], 9_000_000, 500, "register-jump"),
        (1_000, [], None, 0, "meter-stop-missing"),
        (None, [], 5_000, 0, "energy-unknown"),
        (None, [2_000], 2_600, 600, "meter-start-derived"),
        (101, [36], 140, 39, "register-backwards"),
    ],
)
def test_energy_from_a_lying_register_is_explained_and_flagged(
    bench: Bench, start: int | None, values: list[int], stop: int | None, energy: int, flag: str
) -> None:
    bench.start("A", meter_wh=start)
    bench.wait(600)
    for value in values:
        bench.values("A", energy_wh=value)
    (bill,) = records(BillKept, bench.stop("A", "1", meter_wh=stop))
    assert bill.body["energy_wh"] == energy
    assert flag in bill.body["flags"]  # type: ignore[operator]
    assert bill.body["meter_stop_wh"] == stop, "the raw value is kept"


@pytest.mark.parametrize(
    ("reported", "flag"),
    [(0, "clock-lost"), (None, "clock-missing"), (NOON_UTC_MS + 24 * HOUR_MS, "clock-corrected")],
)
def test_an_incredible_clock_is_replaced_by_ours_and_flagged(bench: Bench, reported: int | None, flag: str) -> None:
    session = kept_session(bench.start("A", reported_utc_ms=reported))  # type: ignore[arg-type]
    assert session.started_utc_ms == bench.utc_ms
    assert session.started_reported_utc_ms == reported
    assert flag in session.flags


def test_a_start_from_the_offline_queue_keeps_its_own_time_and_says_so(bench: Bench) -> None:
    session = kept_session(bench.start("A", reported_utc_ms=NOON_UTC_MS - 5 * HOUR_MS))  # type: ignore[arg-type]
    assert session.started_utc_ms == NOON_UTC_MS - 5 * HOUR_MS
    assert "reported-late" in session.flags
    assert session.authorisation.is_offline


def test_an_hour_of_queued_values_delivered_at_once_is_no_jump(bench: Bench) -> None:
    bench.start("A", meter_wh=0, reported_utc_ms=NOON_UTC_MS - HOUR_MS)
    for step in range(1, 61):
        bench.values("A", energy_wh=step * 300)
    (bill,) = records(BillKept, bench.stop("A", "1", meter_wh=18_000))
    assert bill.body["energy_wh"] == 18_000
    assert "register-jump" not in bill.body["flags"]  # type: ignore[operator]


def test_running_energy_is_written_every_ten_seconds_but_not_more_often(bench: Bench) -> None:
    bench.start("A", meter_wh=0)
    kept = []
    for second in range(1, 21):
        bench.wait(1)
        kept += records(SessionKept, bench.values("A", energy_wh=second, amps=(20, 20, 20)))
    assert 1 <= len(kept) <= 3
    assert {record.durability for record in kept} == {Durability.PROGRESS}


def test_a_pause_of_ours_is_never_the_vehicle_s(bench: Bench) -> None:
    bench.start("A", meter_wh=0)
    bench.wait(10)
    bench.values("A", energy_wh=60, amps=(20, 20, 20))
    bench.wait(10)
    bench.meter(120)
    assert bench.limit_a("A") == 0
    bench.wait(10)
    bench.values("A", energy_wh=80, amps=(0, 0, 0))
    bench.run(60, 120, follows=False)
    (bill,) = records(BillKept, bench.stop("A", "1", meter_wh=80))
    states = [period["state"] for period in bill.body["periods"]]  # type: ignore[index, union-attr]
    assert states[0] == "charging"
    assert states[-1] == "suspended_evse"
    assert "suspended_ev" not in states


def test_a_full_vehicle_is_its_own_pause(bench: Bench) -> None:
    bench.start("A", meter_wh=0)
    bench.wait(10)
    bench.values("A", energy_wh=60, amps=(20, 20, 20))
    bench.status("A", ConnectorStatus.SUSPENDED_EV)
    bench.wait(10)
    bench.values("A", energy_wh=70, amps=(0, 0, 0))
    bench.wait(20)
    (bill,) = records(BillKept, bench.stop("A", "1", meter_wh=70))
    assert bill.body["periods"][-1]["state"] == PeriodState.SUSPENDED_EV.value  # type: ignore[index]


def test_the_energies_of_the_periods_add_up_to_the_session() -> None:
    bench = Bench(plant("A", limit_a=60))
    bench.boot("A")
    bench.meter(10)
    bench.start("A", meter_wh=0)
    for step in range(1, 13):
        bench.run(10, 10 if step % 3 else 58)
        bench.values("A", energy_wh=step * 40, amps=(bench.limit_a("A"),) * 3)
    (bill,) = records(BillKept, bench.stop("A", "1", meter_wh=500))
    periods = bill.body["periods"]
    assert len(periods) > 2  # type: ignore[arg-type]
    assert sum(period["energy_wh"] for period in periods) == bill.body["energy_wh"] == 500  # type: ignore[attr-defined]
    edges = [(period["from"], period["to"]) for period in periods]  # type: ignore[attr-defined]
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(edges))


def test_a_restart_goes_on_with_the_same_session_and_number() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    session = kept_session(bench.start("A", meter_wh=1_000, reported_utc_ms=NOON_UTC_MS))  # type: ignore[arg-type]
    after = Bench(plant("A", "B"), Restored(open_sessions=(session,), last_transaction_number=1), utc_ms=NOON_UTC_MS + 120_000)
    after.ids.count = 1
    after.boot("A", "B")
    again = after.start("A", meter_wh=1_000, reported_utc_ms=NOON_UTC_MS)
    assert started(again).transaction == session.transaction
    assert started(after.start("B")).transaction == "2"
    (bill,) = records(BillKept, after.stop("A", "1", meter_wh=1_300))
    assert (bill.session, bill.body["energy_wh"]) == (session.id, 300)


def test_after_a_restart_the_old_lease_counts_at_its_worst_until_answered() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    session = kept_session(bench.start("A"))  # type: ignore[arg-type]
    after = Bench(plant("A"), Restored(open_sessions=(session,)))
    after.tick()
    assert after.controller.picture(after.now).circuits[0].reserved_ma.l1 == 32_000


@pytest.mark.parametrize(
    ("token", "policy", "status"),
    [
        (TAG, OfflinePolicy.KNOWN_TOKENS, TokenStatus.ACCEPTED),
        (TAG.lower() + " ", OfflinePolicy.KNOWN_TOKENS, TokenStatus.ACCEPTED),
        ("STRANGER", OfflinePolicy.KNOWN_TOKENS, TokenStatus.UNKNOWN),
        ("STRANGER", OfflinePolicy.ANYONE, TokenStatus.ACCEPTED),
        ("LOST", OfflinePolicy.ANYONE, TokenStatus.BLOCKED),
        ("OLD", OfflinePolicy.KNOWN_TOKENS, TokenStatus.EXPIRED),
    ],
)
def test_who_may_charge(token: str, policy: OfflinePolicy, status: TokenStatus) -> None:
    site = plant("A")
    tokens = (*site.tokens, Token(IdToken("LOST"), TokenStatus.BLOCKED), Token(IdToken("OLD"), expires_utc_ms=NOON_UTC_MS - 1))
    bench = Bench(replace(site, tokens=tokens, offline_policy=policy))
    reply = answer(bench.put(TokenPresented(bench.call("A"), IdToken(token))))
    assert isinstance(reply, TokenAnswer)
    assert reply.verdict.status is status


def test_a_refused_token_still_leaves_a_record_of_what_flowed(bench: Bench) -> None:
    decisions = bench.start("A", token="STRANGER")
    assert started(decisions).verdict.status is TokenStatus.UNKNOWN
    assert kept_session(decisions).authorisation.status == "unknown"  # type: ignore[arg-type]


STEPS = st.sampled_from(["start", "start-again", "stop", "stop-again", "values", "wait", "restart", "drop", "foreign-stop"])


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_history_of_repeats_and_restarts_bills_every_session_once(steps: list[str]) -> None:
    """One charger that repeats its last messages with new ids, across restarts of ours."""
    bench = Bench(plant("A"))
    bench.boot("A")
    sessions: dict[str, Session] = {}
    bills: dict[str, int] = {}
    register, started_at, stopped_at, reference, ended = 1_000, None, None, None, False

    def take(decisions: list[object]) -> None:
        assert len(of(Reply, decisions)) == 1
        for kept in records(SessionKept, decisions):  # type: ignore[arg-type]
            sessions[kept.session.id] = kept.session
        for bill in records(BillKept, decisions):  # type: ignore[arg-type]
            bills[bill.session] = bills.get(bill.session, 0) + 1
            assert bill.body["energy_wh"] >= 0  # type: ignore[operator]

    starts = 0
    for step in steps:
        if step == "wait":
            bench.wait(60)
            register += 100
        elif step == "start" and (started_at is None or ended):
            bench.wait(1)
            started_at, stopped_at, ended, starts = (bench.utc_ms, register), None, False, starts + 1
            decisions = bench.start("A", meter_wh=register, reported_utc_ms=bench.utc_ms)
            reference = started(decisions).transaction  # type: ignore[arg-type]
            take(decisions)  # type: ignore[arg-type]
        elif step == "start-again" and started_at is not None:
            decisions = bench.start("A", meter_wh=started_at[1], reported_utc_ms=started_at[0])
            assert started(decisions).transaction == reference  # type: ignore[arg-type]
            take(decisions)  # type: ignore[arg-type]
        elif step in {"stop", "stop-again"} and reference is not None:
            if stopped_at is None:
                stopped_at = (bench.utc_ms, register)
            ended = True
            take(bench.stop("A", reference, meter_wh=stopped_at[1], reported_utc_ms=stopped_at[0]))  # type: ignore[arg-type]
        elif step == "foreign-stop" and reference is not None and not ended:
            stopped_at, ended = (bench.utc_ms, register), True
            take(bench.stop("A", "-1", meter_wh=register, reported_utc_ms=stopped_at[0]))  # type: ignore[arg-type]
        elif step == "values":
            take(bench.values("A", energy_wh=register))  # type: ignore[arg-type]
        elif step == "drop":
            bench.drop("A")
            bench.boot("A")
        elif step == "restart":
            open_ = tuple(s for s in sessions.values() if s.status is SessionStatus.ACTIVE)
            recent = tuple(s for s in sessions.values() if s.status is not SessionStatus.ACTIVE)
            restored = Restored(open_, recent, starts)
            bench = Bench(plant("A"), restored, mono_ms=5, utc_ms=bench.utc_ms)
            bench.ids.count = len(sessions)
            bench.boot("A")
    assert len([s for s in sessions.values() if s.status is not SessionStatus.ORPHAN]) == starts
    assert set(bills.values()) <= {1}
    assert {s.id for s in sessions.values() if s.status is not SessionStatus.ACTIVE} == set(bills)


# --- OCPP 2.x and lost starts -------------------------------------------------------------------------------------------


def event_started(bench: Bench, transaction: str, **more: object) -> list[object]:
    known = {"evse_number": 1, "connector_number": 1, "token": TAG, "meter_start_wh": 1_000, "reported_utc_ms": bench.utc_ms}
    event = TransactionStarted(bench.call("A", "TransactionEvent"), transaction=TransactionRef(transaction), **(known | more))  # type: ignore[arg-type]
    return bench.settle(bench.put(event))  # type: ignore[return-value]


def event_updated(bench: Bench, transaction: str, energy_wh: int, **more: object) -> list[object]:
    sample = Sample(reported_utc_ms=bench.utc_ms, energy_wh=energy_wh)
    known: dict[str, object] = {"evse_number": 0}
    event = MeterValuesReported(
        bench.call("A", "TransactionEvent"),
        transaction=TransactionRef(transaction),
        samples=(sample,),
        **(known | more),  # type: ignore[arg-type]
    )
    return bench.settle(bench.put(event))  # type: ignore[return-value]


def test_values_of_a_transaction_never_started_open_a_provisional_session(bench: Bench) -> None:
    first = event_updated(bench, "tx-9", 5_000, evse_number=1)
    assert records(SessionKept, first)[0].durability is Durability.BILLING  # type: ignore[arg-type]
    bench.wait(600)
    event_updated(bench, "tx-9", 6_000)
    (bill,) = records(BillKept, bench.stop("A", "tx-9", meter_wh=6_500))
    assert bill.body["energy_wh"] == 1_500
    assert set(bill.body["flags"]) >= {"start-missing", "meter-start-derived"}  # type: ignore[call-overload]


def test_the_late_start_of_a_running_session_completes_it(bench: Bench) -> None:
    event_updated(bench, "tx-9", 5_000, evse_number=1)
    began = bench.utc_ms - 60_000
    decisions = event_started(bench, "tx-9", meter_start_wh=4_800, reported_utc_ms=began)
    bench.wait(600)
    (bill,) = records(BillKept, bench.stop("A", "tx-9", meter_wh=6_500))
    assert started(decisions).transaction == "tx-9"
    assert bill.body["energy_wh"] == 1_700
    assert bill.body["id_token"] == TAG
    assert "start-missing" not in bill.body["flags"]  # type: ignore[operator]


def test_a_start_that_arrives_after_its_end_completes_the_orphan_with_a_new_revision(bench: Bench) -> None:
    (orphan,) = records(BillKept, bench.stop("A", "tx-9", meter_wh=6_500))
    began = bench.utc_ms - 1_800_000
    decisions = event_started(bench, "tx-9", meter_start_wh=4_500, reported_utc_ms=began)
    (bill,) = records(BillKept, decisions)  # type: ignore[arg-type]
    assert (bill.session, orphan.rev, bill.rev) == (orphan.session, 1, 2)
    assert (bill.body["energy_wh"], bill.body["status"]) == (2_000, "completed")
    assert bench.controller.picture(bench.now).open_session_count == 0
    assert records(BillKept, event_started(bench, "tx-9", meter_start_wh=4_500, reported_utc_ms=began)) == []  # type: ignore[arg-type]


def test_a_token_shown_after_the_start_is_answered_and_kept(bench: Bench) -> None:
    event_started(bench, "tx-1", token=None)
    decisions = event_updated(bench, "tx-1", 1_000, token=TAG)
    reply = answer(decisions)  # type: ignore[arg-type]
    assert isinstance(reply, TokenAnswer)
    assert reply.verdict.status is TokenStatus.ACCEPTED
    assert kept_session(decisions).id_token == TAG


def test_missing_sequence_numbers_are_flagged_and_asked_for(bench: Bench) -> None:
    event_started(bench, "tx-1", sequence_number=0)
    event_updated(bench, "tx-1", 1_200, sequence_number=1)
    event = TransactionEnded(
        bench.call("A", "TransactionEvent"), TransactionRef("tx-1"), None, 1_900, bench.utc_ms, "Local", sequence_number=4
    )
    decisions = bench.put(event)
    (bill,) = records(BillKept, decisions)
    assert "messages-missing" in bill.body["flags"]  # type: ignore[operator]
    assert [ask.request for ask in of(Ask, decisions)] == ["get-transaction-status"]


@pytest.mark.parametrize("numbers", [(0, 0, 0), (0, 1, 2), (0, 2, 2), (5, 6, 7)])
def test_constant_or_repeated_sequence_numbers_are_no_gap(bench: Bench, numbers: tuple[int, int, int]) -> None:
    event_started(bench, "tx-1", sequence_number=numbers[0])
    event_updated(bench, "tx-1", 1_200, sequence_number=numbers[1])
    event = TransactionEnded(
        bench.call("A", "E"), TransactionRef("tx-1"), None, 1_900, bench.utc_ms, "Local", sequence_number=numbers[2]
    )
    (bill,) = records(BillKept, bench.put(event))
    assert "messages-missing" not in bill.body["flags"]  # type: ignore[operator]


def test_the_only_evse_needs_no_number(bench: Bench) -> None:
    event_started(bench, "tx-1", evse_number=0)
    assert bench.view("A").session is not None
    assert bench.limit_a("A") == 32


def test_an_evse_named_later_is_balanced_from_then_on() -> None:
    site = plant("A")
    bench = Bench(replace(site, chargers=(replace(site.chargers[0], evse_count=2),)))
    bench.boot("A")
    bench.meter(5)
    event_started(bench, "tx-1", evse_number=0)
    assert bench.view("A", 2).session is None
    event_updated(bench, "tx-1", 1_100, evse_number=2)
    assert bench.view("A", 2).session is not None
