"""Runs the adapters' long-lived tasks. A task that fails is restarted with back-off and told about; none ends silently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from edgectl.domain.errors import InvariantError
from edgectl.domain.units import Millis

log = structlog.get_logger(__name__)

FIRST_PAUSE_MS: Millis = 500
LONGEST_PAUSE_MS: Millis = 30_000


class Supervisor:
    """Children of one daemon. ``start`` them, ``stop`` them all; a broken invariant in any of them ends the daemon."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.restart_counts: dict[str, int] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep ``run`` running until it returns by itself or is stopped."""
        self._tasks[name] = asyncio.create_task(self._keep_running(name, run), name=name)

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause_ms = FIRST_PAUSE_MS
        while True:
            try:
                await run()
                return
            except InvariantError as error:
                log.critical("invariant_broken", task=name, reason=str(error))
                if not self.failure.done():
                    self.failure.set_result(error)
                return
            except Exception:  # the boundary that keeps one adapter's bug from ending the others
                self.restart_counts[name] = self.restart_counts.get(name, 0) + 1
                log.exception("task_failed", task=name, restart_in_ms=pause_ms)
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(LONGEST_PAUSE_MS, pause_ms * 2)

    async def stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop_all(self) -> None:
        for name in reversed(list(self._tasks)):
            await self.stop(name)
