"""The outbox against a model that is a dict: any order of keeping, sending, acknowledging, parking and restarting."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.store_bench import ledger_bench
from support.store_records import NOW, alarm, assert_chain, bill, receipt

from edgectl.domain.records import ParkKept, Record
from edgectl.ports import OutboxSummary

NAMES = st.sampled_from(["a", "b", "c"])
REVS = st.integers(1, 3)
STREAMS = st.sampled_from(["billing", "events"])
PLACES = st.integers(0, 12)
"""Which row or number is meant, also one that is not there."""


@dataclass
class Owed:
    stream: str
    stream_seq: int
    record_id: str
    rev: int
    sent_count: int = 0
    is_parked: bool = False


class OutboxMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.stack = ExitStack()
        directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.bench = self.stack.enter_context(ledger_bench(directory))
        self.ledger = self.bench.open()
        self.epoch = self.ledger.opened.epoch
        self.owed: dict[int, Owed] = {}
        self.bodies: dict[tuple[str, int], bytes] = {}
        self.last_seq = {"outbox": 0, "billing": 0, "events": 0}

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def keep(self, *records: Record) -> None:
        self.bench.wait(self.ledger.commit(records, NOW))

    def owe(self, stream: str, record_id: str, rev: int) -> None:
        self.last_seq["outbox"] += 1
        self.owed[self.last_seq["outbox"]] = Owed(stream, self.last_seq[stream], record_id, rev)

    def seq_at(self, place: int) -> int:
        seqs = sorted(self.owed)
        return seqs[place] if place < len(seqs) else 10_000 + place

    @rule(name=NAMES, rev=REVS)
    def keep_bill(self, name: str, rev: int) -> None:
        self.keep(bill(name, rev))
        if (name, rev) not in self.bodies:
            self.last_seq["billing"] += 1
            self.owe("billing", name, rev)
            (row,) = self.bench.wait(self.ledger.rows("billing", self.last_seq["outbox"] - 1, 1))
            self.bodies[name, rev] = row.body

    @rule()
    def keep_event(self) -> None:
        self.keep(alarm())
        self.last_seq["events"] += 1
        self.owe("events", f"{self.epoch}-{self.last_seq['events']}", 1)

    @rule(place=PLACES)
    def send(self, place: int) -> None:
        seq = self.seq_at(place)
        self.bench.wait(self.ledger.mark_sent([seq], NOW))
        if seq in self.owed:
            self.owed[seq].sent_count += 1

    @rule(stream=STREAMS, name=NAMES, rev=REVS, is_ours=st.booleans())
    def acknowledge(self, stream: str, name: str, rev: int, is_ours: bool) -> None:
        self.keep(receipt(self.epoch if is_ours else "another", (name, rev), stream=stream))
        if is_ours:
            self.owed = {s: one for s, one in self.owed.items() if (one.stream, one.record_id, one.rev) != (stream, name, rev)}

    @rule(stream=STREAMS, through=PLACES)
    def acknowledge_through(self, stream: str, through: int) -> None:
        self.keep(receipt(self.epoch, through=through, stream=stream))
        if through <= self.last_seq[stream]:
            self.owed = {
                s: one for s, one in self.owed.items() if one.stream != stream or one.is_parked or one.stream_seq > through
            }

    @rule(name=NAMES, rev=REVS)
    def reject(self, name: str, rev: int) -> None:
        self.keep(receipt(self.epoch, rejected=((name, rev, "schema"),)))
        for one in self.owed.values():
            one.is_parked |= (one.stream, one.record_id, one.rev) == ("billing", name, rev)

    @rule(place=PLACES)
    def park(self, place: int) -> None:
        seq = self.seq_at(place)
        self.keep(ParkKept(seq, "too large", NOW.utc_ms))
        if seq in self.owed:
            self.owed[seq].is_parked = True

    @rule(place=PLACES)
    def requeue(self, place: int) -> None:
        seq = self.seq_at(place)
        one = self.owed.get(seq)
        assert self.bench.wait(self.ledger.requeue([seq])) == int(one is not None and one.is_parked)
        if one is not None and one.is_parked:
            one.is_parked, one.sent_count = False, 0

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = self.bench.open()
        assert self.ledger.opened.epoch == self.epoch

    @invariant()
    def shows_what_the_model_owes(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for stream in ("billing", "events"):
            rows = self.bench.wait(self.ledger.rows(stream, 0, 100))
            assert [(row.seq, row.record_id, row.rev, row.sent_count) for row in rows] == [
                (seq, one.record_id, one.rev, one.sent_count)
                for seq, one in sorted(self.owed.items())
                if one.stream == stream and not one.is_parked
            ]
        waiting = sum(not one.is_parked for one in self.owed.values())
        assert self.bench.wait(self.ledger.summary()) == OutboxSummary(
            waiting, len(self.owed) - waiting, NOW.utc_ms if waiting else None
        )
        assert_chain(list(self.bodies.values()), self.epoch)


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
