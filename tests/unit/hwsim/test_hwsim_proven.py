"""The judge's own reckoning of what each charger may draw, and of who has a fault of his own."""

from __future__ import annotations

import pytest

from edgectl.domain.decisions import ProfileStyle, SetLimit
from edgectl.domain.events import LimitAnswered, Outcome
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.reasons import IDLE_REASON
from edgectl.domain.site import PowerKind
from edgectl.domain.time import Instant
from hwsim.world.proven import Afflictions, Proven

A = ChargerId("A")
STYLE = ProfileStyle()


def at(seconds: float) -> Instant:
    return Instant(round(1000 * seconds), round(1000 * seconds))


class Told:
    def __init__(self) -> None:
        self.proven = Proven(6_000)
        self.number = 0

    def order(self, limit_ma: int, seconds: float) -> bool:
        self.number += 1
        order = SetLimit(EvseId(A, 1), self.number, limit_ma, 0, PowerKind.AC, 3, 180_000, None, IDLE_REASON, STYLE)
        return self.proven.order(order, at(seconds))

    def answer(self, outcome: Outcome, seconds: float, number: int | None = None) -> int | None:
        return self.proven.answer(LimitAnswered(A, 1, number or self.number, outcome), at(seconds))

    def worst_ma(self, seconds: float) -> int:
        return self.proven.worst_ma(A, at(seconds))


def test_what_is_accepted_stands_until_its_lease_ends() -> None:
    told = Told()
    assert told.worst_ma(0) == 6_000
    assert not told.order(16_000, 0), "the first is no raise"
    assert told.answer(Outcome.ACCEPTED, 0.2) == 200
    assert told.order(20_000, 1)
    told.answer(Outcome.ACCEPTED, 1.2)
    assert told.worst_ma(180) == 20_000
    assert told.worst_ma(200) == 20_000, "its clock may be a minute behind"
    assert told.worst_ma(242) == 6_000


def test_a_reduction_that_is_refused_leaves_what_stood_before() -> None:
    told = Told()
    told.order(16_000, 0)
    told.answer(Outcome.ACCEPTED, 0)
    told.order(8_000, 1)
    assert told.worst_ma(2) == 16_000
    told.answer(Outcome.REJECTED, 2)
    assert told.worst_ma(3) == 16_000


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.DISCONNECTED, Outcome.ERROR])
def test_an_order_without_an_answer_may_have_been_taken_however_many_follow(outcome: Outcome) -> None:
    told = Told()
    told.order(20_000, 0)
    told.answer(outcome, 15)
    for number in range(6):
        told.order(10_000 - 100 * number, 20 + 10 * number)
        told.answer(outcome, 29 + 10 * number)
    assert told.worst_ma(100) == 20_000
    told.order(9_000, 100)
    told.answer(Outcome.ACCEPTED, 101)
    assert told.worst_ma(102) == 9_000, "the link keeps the order, so all before is settled"


def test_a_new_daemon_counts_anew_and_what_the_old_one_said_is_not_forgotten() -> None:
    told = Told()
    for _ in range(5):
        told.order(20_000, 0)
    told.proven.restarted()
    told.number = 0
    told.order(6_000, 10)
    assert told.worst_ma(11) == 20_000
    told.answer(Outcome.ACCEPTED, 12)
    assert told.worst_ma(13) == 6_000


def test_a_charger_is_excused_while_a_fault_is_its_own_and_for_a_while_after() -> None:
    found = Afflictions(60)
    found.begin("one fault", "A")
    found.begin("another", "A")
    found.end("one fault", 10)
    assert found.has("A", 100)
    assert not found.has("B", 100)
    found.end("another", 100)
    assert found.has("A", 159)
    assert not found.has("A", 161)
