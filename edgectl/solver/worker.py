"""Programmes are solved one at a time, in a thread of their own: HiGHS leaves the interpreter to the loop meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from edgectl.domain.decisions import Solve
from edgectl.domain.events import Solved
from edgectl.domain.programme import Programme
from edgectl.ports import Inbox
from edgectl.solver.highs import SolveError, solve

log = structlog.get_logger(__name__)

Solving = Callable[[Programme], tuple[float, ...]]


def answer(request: Solve, solving: Solving = solve) -> Solved:
    """Whatever happens, there is an answer: without one the share-out goes on by itself."""
    try:
        return Solved(request.number, solving(request.programme))
    except SolveError as problem:
        return Solved(request.number, None, str(problem))
    except Exception as problem:  # a library that fails must cost no more than its answer
        log.exception("solver_failed", columns=len(request.programme.columns))
        return Solved(request.number, None, f"{type(problem).__name__}: {problem}")


class SolverThread:
    """Takes requests at once, and puts each answer into the inbox."""

    def __init__(self, inbox: Inbox, solving: Solving = solve) -> None:
        self._inbox = inbox
        self._solving = solving
        self._pool = ThreadPoolExecutor(1, "solver")

    def solve(self, request: Solve) -> None:
        loop = asyncio.get_running_loop()

        def on_done(done: Future[Solved]) -> None:
            if not done.cancelled() and not loop.is_closed():
                loop.call_soon_threadsafe(self._inbox.put, done.result())

        self._pool.submit(answer, request, self._solving).add_done_callback(on_done)

    def close(self) -> None:
        """What is being solved is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class SolverInPlace:
    """The answer is there at once: for a world whose time stands still while it is worked out."""

    def __init__(self, inbox: Inbox, solving: Solving = solve) -> None:
        self._inbox = inbox
        self._solving = solving

    def solve(self, request: Solve) -> None:
        self._inbox.put(answer(request, self._solving))

    def close(self) -> None:
        """Nothing is under way."""
