"""Turns: nobody starves, few are stopped, runs and pauses last, and what somebody went without decides who is next."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.core.turns import DWELL_MS, Turns
from edgectl.domain.ids import ChargerId, EvseId

MIN_MA = 6_000
MINUTE = 60_000
TURN_MS = 15 * MINUTE


def evse(name: str) -> EvseId:
    return EvseId(ChargerId(name), 1)


class Yard:
    """A conductor with room for a few minima, and the queue before it; one step every half minute."""

    def __init__(self, names: str, *, exempt: str = "") -> None:
        self.turns = Turns(TURN_MS)
        self.names = [evse(name) for name in names]
        self.now_ms = 0
        self.served: set[EvseId] = set()
        self.served_ms = dict.fromkeys(self.names, 0)
        self.spans: list[tuple[bool, int]] = []
        """Finished runs (true) and pauses: how long they lasted."""
        self._since = dict.fromkeys(self.names, 0)
        for one in self.names:
            self.turns.join(one, is_exempt=one.charger in exempt)

    def run(self, minutes: int, room: int) -> None:
        for _ in range(2 * minutes):
            ready = [one for one in self.names if not self.turns.is_resting(one, self.now_ms)]
            order = sorted(
                ready,
                key=lambda one: (not self.turns.keeps_running(one, self.now_ms), self.turns.order(one, self.now_ms)),
            )
            served = set(order[:room])
            for one in self.names:
                if (one in served) != (one in self.served):
                    if self.now_ms:
                        self.spans.append((one in self.served, self.now_ms - self._since[one]))
                    self._since[one] = self.now_ms
                if one in served:
                    self.served_ms[one] += 30_000
            self.served = served
            waiting = {one: MIN_MA for one in self.names if one not in served}
            self.turns.note(dict.fromkeys(served, MIN_MA), waiting, self.now_ms)
            self.now_ms += 30_000


def test_everybody_is_served_in_turn_and_for_about_as_long() -> None:
    yard = Yard("ABCDE")
    yard.run(20 * 60, room=2)
    fair_ms = 20 * 60 * MINUTE * 2 // 5
    assert all(abs(ms - fair_ms) < 60 * MINUTE for ms in yard.served_ms.values())


def test_no_run_and_no_pause_is_shorter_than_ten_minutes() -> None:
    yard = Yard("ABCDE")
    yard.run(10 * 60, room=2)
    assert min(length for is_run, length in yard.spans if is_run) >= DWELL_MS
    assert min(length for _, length in yard.spans) >= DWELL_MS


def test_one_that_is_never_paused_is_never_paused() -> None:
    yard = Yard("ABC", exempt="A")
    yard.run(10 * 60, room=1)
    assert yard.served_ms[evse("A")] == 10 * 60 * MINUTE
    assert yard.turns.by_evse[evse("A")].pause_count == 0


def test_nobody_is_paused_while_there_is_room_for_all() -> None:
    yard = Yard("ABC")
    yard.run(10 * 60, room=3)
    assert yard.turns.pause_count == 0


def test_who_waits_longest_is_first_in_the_queue() -> None:
    yard = Yard("AB")
    yard.run(5, room=1)
    yard.names.append(evse("C"))
    yard.turns.join(evse("C"))
    yard.served_ms[evse("C")] = yard._since[evse("C")] = 0
    yard.run(2, room=1)
    assert yard.turns.queue({evse("B"), evse("C")}, yard.now_ms) == {evse("B"): 1, evse("C"): 2}


def test_one_stopped_by_a_conductor_goes_on_when_there_is_room_but_not_twice_in_half_an_hour() -> None:
    yard = Yard("A")
    yard.run(2, room=1)
    yard.run(1, room=0)
    assert not yard.turns.is_resting(evse("A"), yard.now_ms)
    yard.run(2, room=1)
    yard.run(1, room=0)
    assert yard.turns.is_resting(evse("A"), yard.now_ms)


def test_a_pause_costs_ten_minutes_of_charging() -> None:
    """After its turn a vehicle goes on until another is owed more by that."""
    turns = Turns(TURN_MS)
    for name in "AB":
        turns.join(evse(name))
    turns.note({evse("A"): MIN_MA}, {}, 0)
    turns.note({evse("A"): MIN_MA}, {evse("B"): MIN_MA}, 14 * MINUTE)
    turns.by_evse[evse("A")].min_ma = MIN_MA
    turns.by_evse[evse("B")].owed_ma_s = 0
    turns.note({evse("A"): MIN_MA}, {evse("B"): MIN_MA}, 23 * MINUTE)  # B has waited for 9 minutes
    assert turns.order(evse("A"), 23 * MINUTE) < turns.order(evse("B"), 23 * MINUTE)
    turns.note({evse("A"): MIN_MA}, {evse("B"): MIN_MA}, 25 * MINUTE)
    assert turns.order(evse("B"), 25 * MINUTE) < turns.order(evse("A"), 25 * MINUTE)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 60), st.integers(0, 4)), min_size=2, max_size=12))
def test_nobody_starves_whatever_the_room(spans: list[tuple[int, int]]) -> None:
    """Nobody is owed more than another by more than one round of the queue, as long as there is room for one."""
    yard = Yard("ABCD")
    for minutes, room in spans:
        yard.run(minutes, max(1, room))
    round_ma_s = MIN_MA * (len(yard.names) * (TURN_MS + DWELL_MS) + DWELL_MS) // 1_000
    owed = [turn.owed_ma_s for turn in yard.turns.by_evse.values()]
    assert max(owed) - min(owed) <= round_ma_s
