"""The thread that solves: answers come into the inbox, whatever happens."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgectl.domain.decisions import Solve
from edgectl.domain.events import Solved
from edgectl.domain.programme import Column, Programme, Row
from edgectl.runtime.inbox import Inbox
from edgectl.solver import SolverInPlace, SolverThread

HALF = Programme((Column(2.0, 1.0), Column(1.5, 1.0, is_choice=True)), (Row(1.5, ((0, 1.0), (1, 1.0))),))
NEVER = Programme((Column(1.0, 1.0),), (Row(-1.0, ((0, 1.0),)),))


async def _next(inbox: Inbox) -> Solved:
    event = await asyncio.wait_for(inbox.get(), 30)
    assert isinstance(event, Solved)
    return event


async def test_answers_come_in_order_and_also_where_there_is_none() -> None:
    inbox = Inbox()
    solver = SolverThread(inbox)
    solver.solve(Solve(1, HALF))
    solver.solve(Solve(2, NEVER))
    first, second = await _next(inbox), await _next(inbox)
    solver.close()
    assert first.number == 1
    assert first.values == pytest.approx((0.5, 1.0))
    assert (second.number, second.values) == (2, None)
    assert "HiGHS" in second.problem


async def test_a_library_that_breaks_is_an_answer_with_its_reason() -> None:
    inbox = Inbox()

    def broken(_: Programme) -> tuple[float, ...]:
        raise MemoryError("none left")

    SolverInPlace(inbox, broken).solve(Solve(7, HALF))
    assert await _next(inbox) == Solved(7, None, "MemoryError: none left")


async def test_the_loop_goes_on_meanwhile_and_closing_waits_for_nobody() -> None:
    inbox, goes_on = Inbox(), threading.Event()

    def slow(_: Programme) -> tuple[float, ...]:
        assert goes_on.wait(30)
        return (1.0,)

    solver = SolverThread(inbox, slow)
    solver.solve(Solve(1, HALF))
    solver.solve(Solve(2, HALF))
    await asyncio.sleep(0)
    solver.close()
    goes_on.set()
    assert (await _next(inbox)).number == 1
