"""The sender's policy against a disk, a broker and a backend that do everything they are allowed to do, and some things more."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgectl.contract.channels import STREAMS, TELEMETRY
from edgectl.ports import OutboxRow
from edgectl.uplink.window import STRIKES_COUNT, WINDOW_COUNT, Park, Send, SendLive, SendWindow, line_count

TIMEOUT_MS = 60_000
LIMIT_BYTES = 1_000
NATURES = ("fine", "fine", "fine", "denied", "huge", "poison")

STREAM = st.sampled_from(STREAMS)
CODE = st.sampled_from([0, 0, 0, 0x10, 0x97])
RECEIVE_MAXIMUM = st.sampled_from([1, 2, 20, 65_535])
RETURNS = st.tuples(RECEIVE_MAXIMUM, st.booleans()) | st.none()
"""How the broker is met again at once: its receive maximum, whether it remembers us; None: not at once."""


class Rows(RuleBasedStateMachine):
    """``self.disk`` is what is owed, ``self.flying`` what the broker has on its table, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.window = SendWindow(TIMEOUT_MS, 20)
        self.now_ms = 5_000_000
        self.disk: dict[int, OutboxRow] = {}
        self.nature: dict[int, str] = {}
        self.parked: dict[int, OutboxRow] = {}
        self.flying: list[tuple[int, OutboxRow | None]] = []
        self.delivered: set[int] = set()
        self.asked: dict[str, list[OutboxRow]] = {}
        self.first_sent: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        self.crashed_on: Counter[int] = Counter()
        self.capacity = 0

    # --- the disk -----------------------------------------------------------------------------------------------------

    @rule(stream=STREAM, nature=st.sampled_from(NATURES), count=st.integers(1, 5))
    def owe(self, stream: str, nature: str, count: int) -> None:
        for number in range(count):
            seq = len(self.nature) + 1
            is_odd = number == 0 and nature != "fine"
            self.nature[seq] = nature if is_odd else "fine"
            body = b"x" * (2 * LIMIT_BYTES if self.nature[seq] == "huge" else 50)
            self.disk[seq] = OutboxRow(seq, stream, f"r{seq}", 1, "billing/session", body, 0)

    def head(self, stream: str) -> list[OutboxRow]:
        found = [row for _, row in sorted(self.disk.items(), reverse=stream == TELEMETRY) if row.stream == stream]
        return found[: line_count(stream)]

    @rule(stream=STREAM)
    def ask(self, stream: str) -> None:
        self.asked[stream] = self.head(stream)

    @rule(stream=STREAM)
    def answer_late(self, stream: str) -> None:
        rows = self.asked.pop(stream, None)
        if rows is not None:
            self.window.refreshed(stream, rows, line_count(stream), self.now_ms)

    @rule()
    def look(self) -> None:
        for stream in STREAMS:
            self.window.refreshed(stream, self.head(stream), line_count(stream), self.now_ms)

    @precondition(lambda self: self.parked)
    @rule()
    def a_person_puts_one_back(self) -> None:
        seq, row = self.parked.popitem()
        self.disk[seq] = row
        if self.nature[seq] != "huge":
            self.nature[seq] = "fine"  # somebody has mended the broker
            self.crashed_on[seq] = 0

    def park(self, order: Park) -> None:
        seq = order.row.seq
        is_guilty = self.nature[seq] != "fine" or self.crashed_on[seq] >= STRIKES_COUNT
        assert is_guilty, f"an innocent row was parked: {order}"
        row = self.disk.pop(seq, None)
        if row is not None:
            self.parked[seq] = row

    # --- the broker ---------------------------------------------------------------------------------------------------

    @initialize(
        receive_maximum=RECEIVE_MAXIMUM, owed=st.lists(st.tuples(STREAM, st.sampled_from(NATURES)), min_size=3, max_size=20)
    )
    def begin(self, receive_maximum: int, owed: list[tuple[str, str]]) -> None:
        for stream, nature in owed:
            self.owe(stream, nature, count=1)
        self.connect(receive_maximum, is_session_present=False)

    @precondition(lambda self: not self.capacity)
    @rule(receive_maximum=RECEIVE_MAXIMUM, is_session_present=st.booleans())
    def connect(self, receive_maximum: int, is_session_present: bool) -> None:
        self.capacity = min(WINDOW_COUNT, receive_maximum)
        self.window.connected(receive_maximum, LIMIT_BYTES, is_session_present, self.now_ms)

    @precondition(lambda self: self.capacity)
    @rule(count=st.integers(1, 40), has_live=st.booleans())
    def send(self, count: int, has_live: bool) -> None:
        live_since_ms = self.now_ms - 1_500 if has_live else None
        for _ in range(count):
            order = self.window.next(self.now_ms, live_since_ms)
            if order is None:
                return
            self.carry_out(order)

    @precondition(lambda self: self.capacity)
    @rule(code=CODE, is_lost=st.booleans())
    def look_send_and_be_answered(self, code: int, is_lost: bool) -> None:
        self.look()
        self.send(40, has_live=False)
        if self.flying:
            self.answer(40, code, is_lost)

    def carry_out(self, order: Send | SendLive | Park) -> None:
        if isinstance(order, Park):
            self.park(order)
            return
        row = order.row if isinstance(order, Send) else None
        self.flying.append((order.ticket, row))
        assert len(self.flying) <= self.capacity, "more than the broker takes"
        if row is not None:
            assert self.nature[row.seq] != "huge"
            before = self.first_sent[row.stream]
            if row.seq not in before:
                is_late = row.stream == TELEMETRY  # the newest first of what there is
                assert is_late or not before or row.seq > max(before), "sent for the first time out of order"
                before.append(row.seq)

    @precondition(lambda self: self.flying)
    @rule(count=st.integers(1, 40), code=CODE, is_lost=st.booleans())
    def answer(self, count: int, code: int, is_lost: bool) -> None:
        for _ in range(min(count, len(self.flying))):
            ticket, row = self.flying[0]
            nature = "fine" if row is None else self.nature[row.seq]
            if nature == "poison":
                self.end(is_by_broker=True)
                return
            self.flying.pop(0)
            result = self.window.answered(ticket, 0x87 if nature == "denied" else code, self.now_ms)
            if isinstance(result, Park):
                self.park(result)
            elif row is not None:
                self.crashed_on[row.seq] = 0
                if code == 0 and not is_lost:
                    self.delivered.add(row.seq)

    @precondition(lambda self: self.capacity)
    @rule(kind=st.sampled_from(["link", "crash", "reset"]), returns=RETURNS)
    def trouble(self, kind: str, returns: tuple[int, bool] | None) -> None:
        """The link dies; the broker dies; or a poisonous row makes the broker reset the connection, and the answers to rows
        before it are lost with it."""
        head = self.flying[0][1] if self.flying else None
        has_poison = any(row is not None and self.nature[row.seq] == "poison" for _, row in self.flying)
        if kind == "reset" and not has_poison:
            return
        if kind == "crash" and head is not None:
            self.crashed_on[head.seq] += 1
        self.end(is_by_broker=kind != "link")
        if returns is not None:
            self.connect(*returns)

    def end(self, *, is_by_broker: bool) -> None:
        self.capacity = 0
        self.flying.clear()
        for order in self.window.disconnected(is_by_broker, self.now_ms):
            self.park(order)

    # --- the backend, and time ----------------------------------------------------------------------------------------

    @rule(stream=STREAM, share=st.integers(1, 3))
    def receipt(self, stream: str, share: int) -> None:
        for seq in [seq for seq in self.delivered if seq % share == 0]:
            row = self.disk.get(seq)
            if row is not None and row.stream == stream:
                del self.disk[seq]
        self.window.receipt_heard(stream)

    @rule(ms=st.sampled_from([1, 500, 1_000, 30_000, 60_000, 600_000]))
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @invariant()
    def the_window_knows_what_is_in_flight(self) -> None:
        assert self.window.in_flight_count == len(self.flying)

    def teardown(self) -> None:
        """Everything heals, but for the rows that no broker will ever take: all that is owed arrives, in bounded time."""
        rounds = 0
        while self.disk:
            rounds += 1
            assert rounds < 40 + 8 * len(self.nature), f"still owed after {rounds} rounds: {sorted(self.disk)}"
            if not self.capacity:
                self.connect(20, is_session_present=True)
            self.look()
            while (order := self.window.next(self.now_ms, None)) is not None:
                self.carry_out(order)
            while self.flying:
                self.answer(40, code=0, is_lost=False)
            for stream in STREAMS:
                self.receipt(stream, share=1)
            self.now_ms = max(self.now_ms + 1, self.window.due_ms() or 0)


Rows.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestRows = Rows.TestCase
