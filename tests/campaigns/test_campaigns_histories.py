"""Charging histories: a slice of the campaign, the same parts driven by hypothesis, and proof that broken cores are noticed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgectl.core.sessions.book import SessionBook
from edgectl.core.sessions.endings import Endings
from edgectl.core.sessions.registers import Energy
from edgectl.domain.ids import SiteId
from edgectl.domain.records import Record, Restored, SessionStatus
from edgectl.domain.time import Instant
from edgectl.store.records import RecordWriter
from hwsim.campaigns.checks import check
from hwsim.campaigns.histories import JUMPS_MS, run_histories, run_history
from hwsim.campaigns.history import TOKENS, History
from hwsim.campaigns.ledger import QuickLedger
from hwsim.campaigns.promises import BrokenPromiseError, quiet_logs
from hwsim.campaigns.server import Server
from hwsim.world.disk import Disk, SimStore

SLICE = 300


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with quiet_logs():
        yield


def test_three_hundred_histories_break_no_promise() -> None:
    transactions = repeats = 0
    for seed in range(1, SLICE + 1):
        history = run_history(seed)
        transactions += len(history.charger.transactions)
        repeats += sum(sent.count - 1 for sent in history.sent)
    assert transactions > SLICE
    assert repeats > SLICE


def test_the_same_seed_makes_the_same_history() -> None:
    told: list[list[str]] = [[], []]
    for words in told:
        run_history(6, say=words.append)
    assert told[0] == told[1]
    assert any("StartTransaction" in line or "TransactionEvent" in line for line in told[0])


# --- what the campaign would notice -----------------------------------------------------------------------------------------


def _never(*_arguments: Any, **_options: Any) -> None:
    return None


def _forget_sessions(ledger: QuickLedger, _now: Instant) -> Restored:
    return Restored()


def _half_the_energy(*_arguments: Any) -> Energy:
    return Energy(1, frozenset())


BREAKAGES: dict[str, tuple[object, str, Callable[..., Any]]] = {
    "a start that is repeated is another session": (SessionBook, "by_start", _never),
    "a transaction is not known by its id": (SessionBook, "find", _never),
    "a stop that is repeated is an orphan": (
        Endings,
        "stop",
        lambda self, event, source, now: self._orphan(event, "", source, now),
    ),
    "nothing is known after a restart": (QuickLedger, "restore", _forget_sessions),
    "the energy is not stop less start": ("edgectl.core.sessions.registers.session_energy", "", _half_the_energy),
    "messages wait for an answer for ever": (Server, "_release", _never),
}


def _run_hundred() -> None:
    for seed in range(1, 101):
        run_history(seed)


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_core_is_noticed(breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, replacement = BREAKAGES[breakage]
    if isinstance(owner, str):
        monkeypatch.setattr(owner, replacement)
    else:
        monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(BrokenPromiseError):
        _run_hundred()


def test_a_failure_names_its_seed_and_tells_the_history(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SessionBook, "find", _never)
    assert run_histories(50, 1) == 1
    said = capsys.readouterr()
    assert "again with: python -m hwsim histories --seed" in said.err
    assert "the charger connects and boots" in said.out


def test_a_campaign_that_holds_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_histories(5, 1) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("histories 5  seeds 1..5  transactions ")
    assert "broken 0" in line


# --- the quick ledger ---------------------------------------------------------------------------------------------------------


def test_the_quick_ledger_restores_what_the_real_one_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit of some histories, written by the real statements as well."""
    commits: list[tuple[Sequence[Record], Instant]] = []
    keep = QuickLedger.commit

    def noted(ledger: QuickLedger, records: Sequence[Record], now: Instant) -> None:
        commits.append((records, now))
        keep(ledger, records, now)

    monkeypatch.setattr(QuickLedger, "commit", noted)
    for seed in range(1, 25):
        commits.clear()
        history = run_history(seed)
        now = history.clock.now()
        store = SimStore(Disk(tmp_path / f"{seed}.db"), None, SiteId("campaign"), "epoch", now)
        writer = RecordWriter(SiteId("campaign"), "epoch")
        for records, at in commits:
            writer.write(store._connection, records, at)
        assert store.restore() == history.ledger.restore(now), f"seed {seed}"
        store.kill()


# --- driven by hypothesis -------------------------------------------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """The moves of a history in any order that hypothesis can think of."""

    history: History

    @initialize(
        version=st.sampled_from(["1.6", "2.0.1"]),
        evse_count=st.sampled_from([1, 2]),
        register_wh=st.sampled_from([0, 1_000]),
        keeps_id=st.booleans(),
        answers_calls=st.booleans(),
        names_evse=st.booleans(),
    )
    def build(self, version: str, evse_count: int, register_wh: int, **habits: bool) -> None:
        self.history = History(random.Random(1), version, evse_count, register_wh=register_wh, **habits)
        self.history.connect(boots=True)

    def running(self) -> list[int]:
        return list(self.history.charger.running)

    @precondition(lambda self: len(self.history.charger.transactions) < 4)
    @rule(evse_number=st.sampled_from([1, 2]), token=st.sampled_from(TOKENS))
    def begin(self, evse_number: int, token: str) -> None:
        if evse_number in self.history.charger.registers and evse_number not in self.running():
            self.history.begin(evse_number, token)

    @precondition(lambda self: self.running())
    @rule(index=st.integers(0, 1), passed_ms=st.sampled_from([0, 10_000, 900_000]))
    def measure(self, index: int, passed_ms: int) -> None:
        self.history.measure(self.running()[index % len(self.running())], passed_ms)

    @precondition(lambda self: self.running())
    @rule(index=st.integers(0, 1), passed_ms=st.sampled_from([0, 30_000, 7_200_000]))
    def end(self, index: int, passed_ms: int) -> None:
        self.history.end(self.running()[index % len(self.running())], passed_ms)

    @precondition(lambda self: self.history.charger.ended)
    @rule(index=st.integers(0, 3))
    def remember_late(self, index: int) -> None:
        self.history.remember_late(index)

    @rule()
    def deliver(self) -> None:
        self.history.wait(100)
        self.history.deliver()

    @precondition(lambda self: self.history.charger.queue)
    @rule()
    def overtake(self) -> None:
        self.history.wait(100)
        self.history.deliver(len(self.history.charger.queue) - 1)

    @rule(index=st.integers(0, 20), with_new_id=st.booleans())
    def repeat(self, index: int, with_new_id: bool) -> None:
        self.history.repeat(index, with_new_id=with_new_id)

    @rule(boots=st.booleans())
    def connect(self, boots: bool) -> None:
        self.history.connect(boots=boots)

    @precondition(lambda self: self.history.line is not None)
    @rule()
    def drop(self) -> None:
        self.history.drop()

    @rule(synced_count=st.integers(0, 3))
    def crash(self, synced_count: int) -> None:
        self.history.crash(synced_count)

    @rule()
    def stall_or_sync_disk(self) -> None:
        if self.history.is_disk_stalled:
            self.history.sync_disk()
        else:
            self.history.stall_disk()

    @rule(by_ms=st.sampled_from([jump_ms for jump_ms in JUMPS_MS if abs(jump_ms) <= 3_600_000]))
    def jump_clock(self, by_ms: int) -> None:
        self.history.jump_clock(by_ms)

    @rule(passed_ms=st.sampled_from([1_000, 60_000]), with_tick=st.booleans())
    def wait(self, passed_ms: int, with_tick: bool) -> None:
        self.history.wait(passed_ms, with_tick=with_tick)

    @invariant()
    def never_more_sessions_open_than_transactions_told(self) -> None:
        history = getattr(self, "history", None)
        if history is None:
            return
        kept = history.ledger.sessions.values()
        active = [session for session in kept if session.status is SessionStatus.ACTIVE]
        assert len(active) <= len(history.charger.transactions)

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.history.finish()
            check(self.history)


Histories.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, derandomize=True)
TestHistories = Histories.TestCase
