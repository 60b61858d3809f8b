"""An asyncio event loop whose clock jumps to the next timer: a depot-day in seconds, the same every time.

What keeps it deterministic: whole microseconds; timers in the order of (time, sequence), where asyncio's own heap gives equal
deadlines in any order; no threads, no real sockets, no wall clock. A run that has nothing left to do, or that spins without time
passing, ends with an error that names the waiting tasks, instead of hanging.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import socket
import weakref
from asyncio import events
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

TURNS_PER_INSTANT_MAX = 200_000
"""A depot of a thousand chargers needs some ten thousand turns in its busiest instant; more is a loop that never sleeps."""


PROCESS: contextvars.ContextVar[str | None] = contextvars.ContextVar("process", default=None)
"""Which simulated process a task belongs to; tasks inherit it, connections carry it to both their ends."""


class DeadEndError(RuntimeError):
    """Nothing is ready and nothing is scheduled: the tasks wait for each other."""


class LivelockError(RuntimeError):
    """Something runs on and on without time passing."""


class _Timer(asyncio.TimerHandle):
    """A timer that orders by (microsecond, sequence)."""

    __slots__ = ("key",)

    key: tuple[int, int]

    def __lt__(self, other: object) -> bool:
        return isinstance(other, _Timer) and self.key < other.key


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop. ``network`` supplies connections; everything that would touch the machine is refused."""

    def __init__(self, network: Any = None) -> None:
        self.network = network
        self.now_us = 0
        self.turn_count = 0
        self._sequence = 0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[_Timer] = []
        self._is_running = False
        self._is_closed = False
        self._is_stopping = False
        self._debug = False
        self._processes: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()
        self.errors: list[dict[str, Any]] = []
        """What tasks raised and nobody took: a simulated run fails when there is any."""

    # --- time ---------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now_us / 1_000_000

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        self._sequence += 1
        timer.key = (max(self.now_us, round(when * 1_000_000)), self._sequence)
        heapq.heappush(self._timers, timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by ``TimerHandle.cancel``; a cancelled timer is dropped when its moment comes."""

    # --- running ------------------------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        if self._is_running:
            raise RuntimeError("the loop is running")
        self._is_running = True
        self._is_stopping = False
        events._set_running_loop(self)
        turns_now = 0
        try:
            while not self._is_stopping:
                if not self._ready:
                    self._jump()
                    turns_now = 0
                for _ in range(len(self._ready)):
                    handle = self._ready.popleft()
                    if not handle._cancelled:
                        handle._run()
                self.turn_count += 1
                turns_now += 1
                if turns_now > TURNS_PER_INSTANT_MAX:
                    raise LivelockError(f"no time has passed for {turns_now} turns at {self.time():.6f} s; {self._waiting()}")
        finally:
            self._is_running = False
            events._set_running_loop(None)

    def _jump(self) -> None:
        """To the next moment at which anything happens."""
        while self._timers and self._timers[0]._cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            raise DeadEndError(f"nothing left to do at {self.time():.6f} s; {self._waiting()}")
        self.now_us = max(self.now_us, self._timers[0].key[0])
        while self._timers and self._timers[0].key[0] <= self.now_us:
            self._ready.append(heapq.heappop(self._timers))

    def _waiting(self) -> str:
        names = sorted(task.get_name() for task in asyncio.all_tasks(self) if not task.done())
        return f"waiting: {', '.join(names) or 'nobody'}"

    def run_until_complete(self, future: Any) -> Any:
        is_new = not asyncio.isfuture(future)
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(lambda _: self.stop())
        try:
            self.run_forever()
        except BaseException:
            if is_new and task.done() and not task.cancelled():
                task.exception()
            raise
        if not task.done():
            raise RuntimeError("the loop was stopped before the future was done")
        return task.result()

    def stop(self) -> None:
        self._is_stopping = True

    def is_running(self) -> bool:
        return self._is_running

    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        if self._is_running:
            raise RuntimeError("a running loop cannot be closed")
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()

    async def shutdown_asyncgens(self) -> None:
        pass

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        pass

    # --- futures and tasks --------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            self._processes[task] = process
        return task

    async def run_as(self, process: str, coro: Any) -> Any:
        """Run in a simulated process of that name: everything it starts belongs to it."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return await self.create_task(coro, context=context)

    async def kill(self, process: str) -> None:
        """End every task of a process, as kill -9 would: cut its connections first, so that nothing it says is heard."""
        for _ in range(3):  # what is cancelled may start something on its way out
            tasks = [task for task, name in self._processes.items() if name == process and not task.done()]
            for task in sorted(tasks, key=lambda task: task.get_name()):
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=60)

    def get_task_factory(self) -> None:
        return None

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    # --- the network --------------------------------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return self.network.listen(self, protocol_factory, _one_host(host), port or 0, **options)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self.network.connect(self, protocol_factory, _one_host(host), port, **options)

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    # --- refused ------------------------------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:
        raise RuntimeError(f"threads do not exist in virtual time: {func!r}")

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> NoReturn:
        raise RuntimeError("signals do not exist in virtual time")


def _one_host(host: Any) -> str:
    if isinstance(host, list | tuple):
        host = host[0]
    return host or "127.0.0.1"
