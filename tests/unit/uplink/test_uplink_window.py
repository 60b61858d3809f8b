"""The sender's policy, one rule at a time."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.ports import OutboxRow
from edgectl.uplink.line import FIRST_HOLD_MS, LONGEST_TIMEOUT_MS
from edgectl.uplink.transport import packet_size
from edgectl.uplink.window import (
    LINE_COUNT,
    LONGEST_FLIGHT_MS,
    LONGEST_HOLD_MS,
    STALLED_MS,
    TELEMETRY_BURST_BYTES,
    TELEMETRY_BYTES_PER_S,
    TELEMETRY_FLIGHT_COUNT,
    TELEMETRY_LINE_COUNT,
    TELEMETRY_LONGEST_HOLD_MS,
    TELEMETRY_TIMEOUT_MS,
    WINDOW_COUNT,
    Park,
    Send,
    SendLive,
    SendWindow,
)

TIMEOUT_MS = 60_000
PREFIX_BYTES = 16


def rows(*seqs: int, stream: str = "billing", size: int = 10) -> list[OutboxRow]:
    return [OutboxRow(seq, stream, f"r{seq}", 1, "billing/session", b"x" * size, 0) for seq in seqs]


class Bench:
    """A window, a clock and what was sent."""

    def __init__(self, receive_maximum: int = 65_535, maximum_packet_size: int | None = None) -> None:
        self.window = SendWindow(TIMEOUT_MS, PREFIX_BYTES)
        self.now_ms = 1_000_000
        self.tickets: dict[int, int] = {}
        self.connect(receive_maximum, maximum_packet_size)

    def connect(
        self, receive_maximum: int = 65_535, maximum_packet_size: int | None = None, *, is_session_present: bool = True
    ) -> None:
        self.window.connected(receive_maximum, maximum_packet_size, is_session_present, self.now_ms)

    def disk(self, owed: Sequence[OutboxRow], stream: str = "billing") -> None:
        self.window.refreshed(stream, owed, LINE_COUNT, self.now_ms)

    def send(self, live_since_ms: int | None = None, at_most: int = 1_000) -> list[object]:
        """Everything that may go now, by seq; live messages as ``live``, parked rows as ``Park``."""
        sent: list[object] = []
        for _ in range(at_most):
            order = self.window.next(self.now_ms, live_since_ms)
            if order is None:
                break
            if isinstance(order, Send):
                self.tickets[order.row.seq] = order.ticket
                sent.append(order.row.seq)
            else:
                sent.append("live" if isinstance(order, SendLive) else order)
        return sent

    def answer(self, *seqs: int, code: int = 0) -> list[OutboxRow | Park | None]:
        return [self.window.answered(self.tickets.pop(seq), code, self.now_ms) for seq in seqs]

    def lose(self, *, is_by_broker: bool) -> list[Park]:
        return self.window.disconnected(is_by_broker, self.now_ms)

    def wait(self, ms: int) -> None:
        self.now_ms += ms


def held_for(bench: Bench) -> int:
    """How long the window rests by itself, and that it rests."""
    assert bench.send() == []
    due_ms = bench.window.due_ms()
    assert due_ms is not None
    return due_ms - bench.now_ms


def test_nothing_is_sent_before_the_disk_was_read_on_this_connection() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.lose(is_by_broker=False)
    bench.connect()
    assert bench.send() == []
    bench.disk(rows(1))
    assert bench.send() == [1]


def test_rows_go_in_order_up_to_the_window() -> None:
    bench = Bench()
    bench.disk(rows(*range(1, 101)))
    assert bench.send() == list(range(1, WINDOW_COUNT + 1))
    bench.answer(1, 2)
    assert bench.send() == [WINDOW_COUNT + 1, WINDOW_COUNT + 2]


def test_the_brokers_receive_maximum_narrows_the_window() -> None:
    bench = Bench(receive_maximum=3)
    bench.disk(rows(1, 2, 3, 4))
    assert bench.send() == [1, 2, 3]


def test_billing_goes_before_events_before_telemetry() -> None:
    bench = Bench()
    for stream, seq in (("telemetry", 1), ("events", 2), ("billing", 3)):
        bench.disk(rows(seq, stream=stream), stream)
    assert bench.send() == [3, 2, 1]


def test_a_puback_lets_nothing_go_but_says_which_row_the_broker_has() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.send()
    assert bench.answer(1) == rows(1)
    bench.wait(TIMEOUT_MS - 1)
    assert bench.send() == []
    bench.wait(1)
    assert bench.send() == [1]


def test_without_a_receipt_all_are_sent_again_from_the_head_and_in_order() -> None:
    bench = Bench()
    bench.disk(rows(1, 2, 3))
    bench.send()
    bench.answer(1)
    bench.wait(5_000)
    bench.answer(2, 3)
    bench.wait(TIMEOUT_MS - 5_000)
    assert bench.send() == [1, 2, 3]


def test_an_absent_backend_is_asked_more_and_more_seldom() -> None:
    bench = Bench()
    bench.disk(rows(1))
    gaps_ms = []
    for _ in range(7):
        assert bench.send() == [1]
        bench.answer(1)
        due_ms = bench.window.due_ms()
        assert due_ms is not None
        gaps_ms.append(due_ms - bench.now_ms)
        bench.wait(gaps_ms[-1])
    assert gaps_ms == [60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000]


def test_a_word_of_the_backend_makes_the_timeout_short_again() -> None:
    bench = Bench()
    bench.disk(rows(1))
    for _ in range(4):
        bench.send()
        bench.answer(1)
        bench.wait(bench.window.due_ms() - bench.now_ms)  # type: ignore[operator]
    bench.send()
    bench.answer(1)
    bench.wait(TIMEOUT_MS)
    assert bench.send() == []
    bench.window.receipt_heard("billing")
    assert bench.send() == [1]


def test_receipts_for_others_do_not_make_the_rest_go_again_too_soon() -> None:
    bench = Bench()
    bench.disk(rows(1, 2, 3))
    bench.send()
    bench.answer(1, 2, 3)
    bench.wait(TIMEOUT_MS - 1_000)
    bench.disk(rows(2, 3))
    bench.wait(2_000)
    assert bench.send() == []


def test_a_row_whose_own_receipt_was_lost_is_sent_again_though_others_get_theirs() -> None:
    bench = Bench()
    began_ms = bench.now_ms
    bench.disk(rows(1))
    sent = bench.send()
    bench.answer(1)
    seq = 1
    while bench.now_ms < began_ms + 2 * LONGEST_TIMEOUT_MS:
        seq += 1
        bench.disk(rows(1, seq))
        sent = bench.send()
        if 1 in sent:
            break
        bench.answer(seq)
        bench.wait(30_000)
        bench.disk(rows(1))
    assert 1 in sent
    assert bench.now_ms - began_ms == LONGEST_TIMEOUT_MS


def test_a_row_that_has_left_the_disk_is_never_sent_again() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.answer(1, 2)
    bench.disk(rows(2))
    bench.wait(TIMEOUT_MS)
    assert bench.send() == [2]


def test_rows_pushed_out_of_the_line_by_older_ones_are_no_sign_of_a_receipt() -> None:
    bench = Bench()
    line = rows(*range(10, 10 + LINE_COUNT))
    bench.disk(line)
    bench.answer(*[int(str(seq)) for seq in bench.send()])
    bench.wait(TIMEOUT_MS)
    bench.disk([*rows(5), *line[:-1]])
    assert bench.send()[:2] == [5, 10]


def test_a_refused_row_is_parked_and_the_line_moves_on() -> None:
    bench = Bench(receive_maximum=1)
    bench.disk(rows(1, 2))
    assert bench.send() == [1]
    (parked,) = bench.answer(1, code=0x87)
    assert isinstance(parked, Park)
    assert parked.row.seq == 1
    assert parked.reason == "the broker refused it: not authorised (the broker's access list) (0x87)"
    assert bench.send() == [2]


def test_no_subscriber_is_no_delivery_and_no_refusal() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.send()
    assert bench.answer(1, code=0x10) == [None]
    assert held_for(bench) == FIRST_HOLD_MS
    bench.wait(FIRST_HOLD_MS)
    assert bench.send() == [1]


def test_bills_that_nobody_is_subscribed_to_are_asked_with_one_and_go_at_once_when_somebody_is() -> None:
    bench = Bench()
    bench.disk(rows(1, 2, 3))
    assert bench.send() == [1, 2, 3]
    bench.answer(1, 2, 3, code=0x10)
    rests = []
    for _ in range(6):
        rests.append(held_for(bench))
        bench.wait(rests[-1])
        assert bench.send() == [1]
        bench.answer(1, code=0x10)
    assert rests == [FIRST_HOLD_MS * 2**n for n in range(3)] + [LONGEST_HOLD_MS] * 3
    bench.wait(LONGEST_HOLD_MS)
    assert bench.send() == [1]
    assert bench.send() == []
    assert bench.window.undelivered_streams == ("billing",)
    bench.answer(1)
    assert bench.window.undelivered_streams == ()
    assert bench.send() == [2, 3]


def test_a_reader_of_some_events_is_not_kept_from_them_by_those_nobody_reads() -> None:
    bench = Bench()
    topics = {1: "event/charger", 2: "event/limit", 3: "event/charger", 4: "event/limit"}
    bench.disk([OutboxRow(seq, "events", f"r{seq}", 1, topic, b"x", 0) for seq, topic in topics.items()], "events")
    assert bench.send() == [1, 2, 3, 4]
    bench.answer(1, 3, code=0x10)
    bench.answer(2, 4)
    assert held_for(bench) == FIRST_HOLD_MS
    bench.disk([OutboxRow(seq, "events", f"r{seq}", 1, topics.get(seq, "event/limit"), b"x", 0) for seq in range(1, 7)], "events")
    assert bench.send() == [5, 6], "what is read goes on, and says nothing of the rest"
    bench.answer(5, 6)
    bench.wait(FIRST_HOLD_MS)
    assert bench.send() == [1]
    bench.answer(1)
    assert bench.send() == [3]


def test_who_is_found_by_one_stream_gets_the_others_at_once() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.disk(rows(2, 3, stream="events"), "events")
    assert bench.send() == [1, 2, 3]
    bench.answer(1, code=0x10)
    bench.wait(FIRST_HOLD_MS // 2)
    bench.answer(2, 3, code=0x10)
    bench.wait(FIRST_HOLD_MS // 2)
    assert bench.send() == [1]
    bench.answer(1)
    assert bench.send() == [2, 3]


def test_who_hears_states_again_gets_the_records_at_once_and_who_never_did_is_not_asked_more_often() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.answer(1, 2, code=0x10)
    bench.window.state_answered(0)
    assert bench.send() == [], "somebody heard states all the time"
    bench.window.state_answered(0x10)
    assert bench.send() == []
    bench.window.state_answered(0)
    assert bench.send() == [1, 2]
    bench.answer(1, 2, code=0x10)
    bench.window.state_answered(0)
    assert held_for(bench) == FIRST_HOLD_MS


def test_a_rule_of_the_broker_that_hands_on_is_a_reader_though_nobody_is_subscribed() -> None:
    bench = Bench()
    bench.disk(rows(1, 2, 3))
    bench.send()
    bench.answer(1, 2, 3, code=0x10)
    assert bench.send() == []
    bench.window.receipt_heard("billing")
    bench.disk(rows(2, 3, 4))
    assert bench.send() == [2, 3, 4]
    bench.answer(2, 3, 4, code=0x10)
    bench.disk(rows(4, 5, 6))
    assert bench.send() == [5, 6]  # no rest any more; 4 waits for its receipt like any other
    bench.answer(5, code=0x97)
    assert held_for(bench) == FIRST_HOLD_MS  # a full broker is one all the same


def test_a_suspect_that_nobody_is_subscribed_to_rests_like_any_other() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.lose(is_by_broker=True)
    bench.connect()
    bench.disk(rows(1, 2))
    assert bench.send() == [1]
    bench.answer(1, code=0x10)
    assert held_for(bench) == FIRST_HOLD_MS


def test_a_broker_that_is_full_gets_the_row_again_later() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.send()
    assert bench.answer(1, code=0x97) == [None]
    bench.wait(TIMEOUT_MS)
    assert bench.send() == [1]


def test_a_row_above_the_packet_size_is_parked_at_once_and_the_next_goes() -> None:
    limit = packet_size(PREFIX_BYTES + len("billing/session"), 100)
    bench = Bench(maximum_packet_size=limit)
    bench.disk([*rows(1, size=101), *rows(2, size=100)])
    parked, second = bench.send()
    assert isinstance(parked, Park)
    assert "too large" in parked.reason
    assert second == 2


def test_a_row_with_an_impossible_topic_is_parked() -> None:
    bench = Bench()
    bench.disk([OutboxRow(1, "billing", "r", 1, "billing/#", b"", 0)])
    (parked,) = bench.send()
    assert isinstance(parked, Park)


def test_what_was_in_flight_when_the_link_died_is_sent_again_and_nobody_is_blamed() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    for _ in range(10):
        assert bench.send() == [1, 2]
        assert bench.lose(is_by_broker=False) == []
        bench.connect()
        bench.disk(rows(1, 2))


def test_a_broker_that_remembers_us_gets_only_what_it_had_not_answered() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.answer(1)
    bench.lose(is_by_broker=False)
    bench.connect(is_session_present=True)
    bench.disk(rows(1, 2))
    assert bench.send() == [2]


def test_a_broker_that_has_forgotten_us_gets_everything_again() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.answer(1, 2)
    bench.lose(is_by_broker=True)
    bench.connect(is_session_present=False)
    bench.disk(rows(1, 2))
    assert bench.send() == [1, 2]


def test_the_row_the_broker_cannot_bear_is_found_alone_and_parked_at_the_third_time() -> None:
    bench = Bench()
    owed = rows(1, 2, 3)
    bench.disk(owed)
    assert bench.send() == [1, 2, 3]
    assert bench.lose(is_by_broker=True) == []  # the reset took the answer to 1 with it
    bench.connect()
    bench.disk(owed)
    assert bench.send() == [1]  # alone: it was the oldest
    bench.answer(1)
    assert bench.send() == [2, 3]
    assert bench.lose(is_by_broker=True) == []
    for _ in range(2):
        bench.connect()
        bench.disk(owed)
        assert bench.send() == [2]
        parked = bench.lose(is_by_broker=True)
    assert [order.row.seq for order in parked] == [2]
    bench.connect()
    bench.disk(rows(1, 3))
    assert bench.send() == [3]


def test_a_suspect_that_was_receipted_meanwhile_holds_nobody_up() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.disk(rows(2))
    bench.lose(is_by_broker=True)
    bench.connect()
    bench.disk(rows(2))
    assert bench.send() == [2]


def test_a_row_the_broker_never_answers_while_it_answers_others_is_parked_too() -> None:
    bench = Bench()
    owed = rows(1, 2)
    parked: list[Park] = []
    for _ in range(3):
        bench.disk(owed)
        bench.send(live_since_ms=bench.now_ms)
        later = max(bench.tickets.values()) + 1
        assert bench.window.answered(later, 0, bench.now_ms) is None  # a live message sent after it
        bench.wait(LONGEST_FLIGHT_MS)
        assert bench.window.is_stalled(bench.now_ms)
        parked = bench.lose(is_by_broker=False)
        bench.tickets.clear()
        bench.connect()
    assert [order.row.seq for order in parked] == [1]


def test_a_parked_row_that_is_still_on_the_disk_is_tried_again_at_last() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.send()
    bench.answer(1, code=0x87)
    bench.disk(rows(1))
    bench.wait(LONGEST_TIMEOUT_MS - 1)
    assert bench.send() == []
    bench.wait(1)
    assert bench.send() == [1]


def test_no_answer_for_long_while_something_is_in_flight_is_a_stall() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    bench.send()
    bench.wait(STALLED_MS - 1)
    assert not bench.window.is_stalled(bench.now_ms)
    bench.answer(2)  # slow, but alive
    bench.wait(STALLED_MS - 1)
    assert not bench.window.is_stalled(bench.now_ms)
    bench.wait(1)
    assert bench.window.is_stalled(bench.now_ms)


def test_silence_with_nothing_in_flight_is_no_stall() -> None:
    bench = Bench()
    bench.wait(10 * LONGEST_FLIGHT_MS)
    assert not bench.window.is_stalled(bench.now_ms)


def test_a_live_message_waits_for_the_backlog_but_not_longer_than_a_second() -> None:
    bench = Bench(receive_maximum=4)
    bench.disk(rows(*range(1, 20)))
    since_ms = bench.now_ms
    assert bench.send(live_since_ms=since_ms, at_most=1) == [1]
    bench.wait(999)
    assert bench.send(live_since_ms=since_ms, at_most=1) == [2]
    bench.wait(1)
    assert bench.send(live_since_ms=since_ms, at_most=1) == ["live"]


def test_many_live_messages_take_turns_with_the_rows() -> None:
    bench = Bench(receive_maximum=6)
    bench.disk(rows(*range(1, 20)))
    assert bench.send(live_since_ms=bench.now_ms - 5_000) == ["live", 1, "live", 2, "live", 3]


def test_after_retiring_only_live_messages_go() -> None:
    bench = Bench()
    bench.disk(rows(1))
    bench.window.retire()
    assert bench.send(live_since_ms=bench.now_ms, at_most=1) == ["live"]
    assert bench.send() == []


# --- telemetry ------------------------------------------------------------------------------------------------------------


def blocks(bench: Bench, *seqs: int, size: int = 10) -> None:
    """The disk's answer: the newest first."""
    owed = rows(*sorted(seqs, reverse=True), stream="telemetry", size=size)[:TELEMETRY_LINE_COUNT]
    bench.window.refreshed("telemetry", owed, TELEMETRY_LINE_COUNT, bench.now_ms)


def test_telemetry_comes_after_bills_events_and_states_and_the_newest_block_first() -> None:
    bench = Bench()
    bench.disk(rows(1, 2))
    blocks(bench, 11, 12, 13)
    assert bench.send(at_most=2) == [1, 2]
    assert bench.send(live_since_ms=bench.now_ms, at_most=1) == ["live"], "also one that has waited no time"
    assert bench.send() == [13, 12, 11]


def test_few_blocks_are_on_the_wire_at_once_so_that_nothing_is_behind_many() -> None:
    bench = Bench()
    blocks(bench, *range(10))
    first = bench.send()
    assert first == [9, 8, 7, 6]
    assert len(first) == TELEMETRY_FLIGHT_COUNT
    bench.answer(9)
    assert bench.send() == [5]


def test_telemetry_goes_no_faster_than_its_bucket_fills() -> None:
    bench = Bench()
    size = TELEMETRY_BYTES_PER_S
    sent_bytes = 0
    waiting = set(range(30))
    for _ in range(20_000):
        blocks(bench, *waiting, size=size)
        for seq in bench.send():
            assert isinstance(seq, int)
            waiting.discard(seq)
            bench.answer(seq)
            sent_bytes += size
        if not waiting:
            break
        due_ms = bench.window.due_ms()
        assert due_ms is not None
        assert due_ms > bench.now_ms, "somebody wakes it, and not in vain"
        bench.now_ms = due_ms
    assert not waiting
    took_s = (bench.now_ms - 1_000_000) / 1_000
    assert sent_bytes <= TELEMETRY_BURST_BYTES + took_s * TELEMETRY_BYTES_PER_S + size


def test_a_backend_that_sends_no_receipts_for_telemetry_gets_a_block_again_after_an_hour() -> None:
    bench = Bench()
    blocks(bench, 1)
    assert bench.send() == [1]
    bench.answer(1)
    bench.wait(TELEMETRY_TIMEOUT_MS - 1)
    assert bench.send() == []
    bench.wait(1)
    assert bench.send() == [1]


def test_a_block_that_newer_ones_push_out_of_sight_is_not_taken_for_receipted() -> None:
    bench = Bench()
    blocks(bench, *range(TELEMETRY_LINE_COUNT))
    assert bench.send()[0] == TELEMETRY_LINE_COUNT - 1
    line = bench.window._lines["telemetry"]
    before_ms = line.progress_ms
    bench.wait(1)
    blocks(bench, *range(TELEMETRY_LINE_COUNT + 3))
    assert line.progress_ms == before_ms
    blocks(bench, *range(TELEMETRY_LINE_COUNT + 2))  # the newest is gone: that was a receipt
    assert line.progress_ms == bench.now_ms


def test_blocks_that_nobody_is_subscribed_to_are_asked_with_one_more_and_more_seldom_and_never_forgotten() -> None:
    bench = Bench()
    blocks(bench, *range(1, 7))
    assert bench.send() == [6, 5, 4, 3]
    bench.answer(6, 5, 4, 3, code=0x10)
    rests = []
    for _ in range(9):
        rests.append(held_for(bench))
        bench.wait(rests[-1])
        assert bench.send() == [6]
        bench.answer(6, code=0x10)
    assert rests == [FIRST_HOLD_MS * 2**n for n in range(6)] + [TELEMETRY_LONGEST_HOLD_MS] * 3
    blocks(bench, *range(1, 8))
    bench.wait(TELEMETRY_LONGEST_HOLD_MS)
    assert bench.send() == [7]  # the newest there is by then
    bench.answer(7)
    assert bench.send() == [6, 5, 4, 3]  # and the rest in its order


def test_a_rest_of_telemetry_holds_up_nothing_else() -> None:
    bench = Bench()
    blocks(bench, 1, 2)
    bench.send()
    bench.answer(2, 1, code=0x10)
    bench.disk(rows(3, 4))
    assert bench.send(live_since_ms=bench.now_ms, at_most=3) == [3, 4, "live"]


def test_a_backend_that_is_back_gets_telemetry_at_once() -> None:
    bench = Bench()
    bench.disk(rows(9))
    bench.send()
    bench.answer(9, code=0x10)
    blocks(bench, 1, 2)
    bench.send()
    bench.answer(2, 1, code=0x10)
    bench.wait(FIRST_HOLD_MS)
    assert bench.send() == [9, 2]
    bench.answer(2, code=0x10)
    assert bench.send() == []
    bench.answer(9)
    assert bench.send() == [2, 1]


def test_a_backend_that_takes_bills_and_never_telemetry_is_not_asked_at_each_receipt() -> None:
    bench = Bench()
    blocks(bench, 1, 2)
    bench.send()
    bench.answer(2, 1, code=0x10)
    for _ in range(3):
        bench.window.receipt_heard("billing")
        assert bench.send() == []
    bench.window.receipt_heard("telemetry")
    assert bench.send() == [2, 1]


def test_a_broker_that_remembers_us_is_not_asked_sooner_and_one_that_does_not_is() -> None:
    bench = Bench()
    blocks(bench, 1)
    bench.send()
    bench.answer(1, code=0x10)
    for is_session_present, sent in ((True, []), (False, [1])):
        bench.lose(is_by_broker=False)
        bench.connect(is_session_present=is_session_present)
        blocks(bench, 1)
        assert bench.send() == sent
