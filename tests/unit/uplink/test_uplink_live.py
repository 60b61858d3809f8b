"""Live messages: the newest wins, not more than one a second of each thing, in the order of waiting."""

from __future__ import annotations

from edgectl.uplink.live import MAX_NOTES_COUNT, MAX_THINGS_COUNT, LiveMessage, LiveMessages


def state(topic: str, payload: bytes = b"1") -> LiveMessage:
    return LiveMessage(topic, payload)


def note(payload: bytes) -> LiveMessage:
    return LiveMessage("ack", payload, is_state=False)


def test_the_newest_state_of_a_thing_takes_the_place_of_the_older() -> None:
    live = LiveMessages()
    live.state(state("a", b"old"), 0)
    live.state(state("b"), 10)
    live.state(state("a", b"new"), 20)
    taken = [live.take(20), live.take(20), live.take(20)]
    assert [(message.topic, message.payload) for message in taken if message] == [("a", b"new"), ("b", b"1")]
    assert taken[2] is None


def test_waiting_counts_from_the_first_offer() -> None:
    live = LiveMessages()
    live.state(state("a", b"old"), 100)
    live.state(state("a", b"new"), 900)
    assert live.waiting_since_ms(900) == 100


def test_a_thing_is_told_once_a_second_at_most() -> None:
    live = LiveMessages()
    live.state(state("a"), 0)
    assert live.take(0) is not None
    live.state(state("a", b"2"), 300)
    assert live.take(999) is None
    assert live.waiting_since_ms(999) is None
    assert live.due_ms() == 1_000
    assert live.waiting_since_ms(1_000) == 300
    assert live.take(1_000) == state("a", b"2")


def test_one_that_is_held_back_holds_nobody_else() -> None:
    live = LiveMessages()
    live.state(state("a"), 0)
    live.take(0)
    live.state(state("a"), 1)
    live.state(state("b"), 2)
    assert live.take(2) == state("b")


def test_notes_go_first_and_do_not_wait() -> None:
    live = LiveMessages()
    live.state(state("a"), 5)
    live.note(note(b"x"))
    assert live.waiting_since_ms(6) == 0
    assert live.take(6) == note(b"x")
    assert live.take(6) == state("a")


def test_a_state_that_has_become_due_behind_a_note_is_due_no_more() -> None:
    live = LiveMessages()
    live.state(state("a"), 0)
    live.note(note(b"x"))
    assert live.waiting_since_ms(1) == 0
    assert live.due_ms() is None


def test_what_may_not_have_arrived_is_put_back_unless_there_is_something_newer() -> None:
    live = LiveMessages()
    live.put_back(state("a", b"old"), 0)
    live.state(state("b", b"new"), 0)
    live.put_back(state("b", b"old"), 0)
    live.put_back(note(b"x"), 0)
    assert [live.take(0), live.take(0), live.take(0)] == [state("a", b"old"), state("b", b"new"), None]


def test_there_is_room_for_so_many_things_and_notes() -> None:
    live = LiveMessages()
    assert all(live.state(state(f"t{number}"), 0) for number in range(MAX_THINGS_COUNT))
    assert not live.state(state("one more"), 0)
    assert live.state(state("t0", b"newer"), 0)
    for number in range(MAX_NOTES_COUNT + 1):
        live.note(note(str(number).encode()))
    assert live.take(0) == note(b"1")


def test_a_message_with_correlation_data_is_larger() -> None:
    assert LiveMessage("t", b"", correlation_data=b"12345678").size >= LiveMessage("t", b"").size + 8 + 3
