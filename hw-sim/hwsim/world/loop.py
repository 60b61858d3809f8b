"""An asyncio event loop whose clock jumps to the next timer: a depot-day in seconds, the same every time.

What keeps it deterministic: whole microseconds; timers in the order of (time, sequence), where asyncio's own heap gives equal
deadlines in any order; tasks that hash to their number, so that a set of them (``asyncio.wait``, a ``TaskGroup`` that cancels)
has the same order in every process; no threads, no real sockets, no wall clock. A run that has nothing left to do, or that spins
without time passing, ends with an error that names the waiting tasks, instead of hanging.

With ``shuffle`` the tasks that are ready in the same turn run in an order drawn from that source: asyncio promises them none, and
code that relies on one is found by its seed. Callbacks keep their order, which asyncio does promise.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import ipaddress
import random
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


class NumberedTask(asyncio.Task[Any]):
    """A task that hashes to the number of its creation on its loop, not to its address."""

    def __init__(self, coro: Any, number: int, **options: Any) -> None:
        self.number = number  # first: asyncio puts every task into a set while it is being made
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop. ``network`` supplies connections; everything that would touch the machine is refused."""

    def __init__(self, network: Any = None, shuffle: random.Random | None = None) -> None:
        self.network = network
        self.now_us = 0
        self.turn_count = 0
        self._shuffle = shuffle
        self._sequence = 0
        self._task_count = 0
        self._turns_now = 0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._is_running = False
        self._is_closed = False
        self._is_stopping = False
        self._debug = False
        self._frozen: set[str | None] = set()
        self._held: list[asyncio.Handle] = []
        """What would have run in a frozen process, in order."""
        self._processes: weakref.WeakKeyDictionary[NumberedTask, str] = weakref.WeakKeyDictionary()
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
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._timers, (max(self.now_us, round(when * 1_000_000)), self._sequence, timer))
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
        try:
            while not self._is_stopping:
                if not self._ready:
                    self._jump()
                if self._shuffle is not None and len(self._ready) > 1:
                    self._shuffle_tasks(self._shuffle)
                for _ in range(len(self._ready)):
                    handle = self._ready.popleft()
                    if handle._cancelled:
                        continue
                    if self._frozen and handle._context.get(PROCESS) in self._frozen:  # type: ignore[attr-defined]
                        self._held.append(handle)
                    else:
                        handle._run()
                self.turn_count += 1
                self._turns_now += 1
                if self._turns_now > TURNS_PER_INSTANT_MAX:
                    raise LivelockError(
                        f"no time has passed for {self._turns_now} turns at {self.time():.6f} s; {self._waiting()}"
                    )
        finally:
            self._is_running = False
            events._set_running_loop(None)

    def _jump(self) -> None:
        """To the next moment at which anything happens."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise DeadEndError(f"nothing left to do at {self.time():.6f} s; {self._waiting()}")
        if timers[0][0] > self.now_us:  # a timer may also be due at once: then no time passes, and it counts as spinning
            self.now_us = timers[0][0]
            self._turns_now = 0
        while timers and timers[0][0] <= self.now_us:
            self._ready.append(heapq.heappop(timers)[2])

    def _shuffle_tasks(self, shuffle: random.Random) -> None:
        """Permute the steps of tasks among the places they hold; everything else keeps its own."""
        handles = list(self._ready)
        places = [index for index, handle in enumerate(handles) if _is_task_step(handle)]
        if len(places) > 1:
            steps = [handles[index] for index in places]
            shuffle.shuffle(steps)
            for index, step in zip(places, steps, strict=True):
                handles[index] = step
            self._ready = deque(handles)

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
        self._task_count += 1
        task = NumberedTask(coro, self._task_count, loop=self, name=name, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            self._processes[task] = process
        return task

    async def run_as(self, process: str, coro: Any) -> Any:
        """Run in a simulated process of that name: everything it starts belongs to it."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return await self.create_task(coro, context=context)

    def freeze(self, process: str) -> None:
        """Nothing of the process runs until ``thaw``, as with SIGSTOP; time passes, and what is sent to it waits."""
        self._frozen.add(process)

    def thaw(self, process: str) -> None:
        """It goes on where it was: all that has come due meanwhile is due now."""
        self._frozen.discard(process)
        self._ready.extend(handle for handle in self._held if handle._context.get(PROCESS) == process)  # type: ignore[attr-defined]
        self._held = [handle for handle in self._held if handle._context.get(PROCESS) != process]  # type: ignore[attr-defined]

    async def kill(self, process: str) -> None:
        """End every task of a process, as kill -9 would: cut its connections first, so that nothing it says is heard."""
        self.thaw(process)
        for _ in range(3):  # what is cancelled may start something on its way out
            tasks = [task for task, name in self._processes.items() if name == process and not task.done()]
            for task in sorted(tasks, key=lambda task: task.number):
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
        try:
            address = ipaddress.ip_address("127.0.0.1" if host in {None, "", "localhost"} else host)
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, f"there is no name service in virtual time: {host}") from None
        number = int(port or 0)
        if address.version == 6:
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (str(address), number, 0, 0))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (str(address), number))]


_REFUSED = {
    "run_in_executor": "threads",
    "set_default_executor": "threads",
    "add_signal_handler": "signals",
    "remove_signal_handler": "signals",
    "subprocess_exec": "processes",
    "subprocess_shell": "processes",
    "add_reader": "file descriptors",
    "add_writer": "file descriptors",
    "connect_read_pipe": "pipes",
    "connect_write_pipe": "pipes",
    "sock_accept": "sockets",
    "sock_connect": "sockets",
    "sock_recv": "sockets",
    "sock_sendall": "sockets",
    "create_datagram_endpoint": "datagrams",
    "create_unix_connection": "Unix sockets",
    "create_unix_server": "Unix sockets",
    "start_tls": "TLS",
}
"""What would touch the machine or another thread, and would make a run depend on it."""


def _refuse(method: str, thing: str) -> Callable[..., NoReturn]:
    def refused(self: VirtualLoop, *args: Any, **options: Any) -> NoReturn:
        shown = ", ".join(repr(argument) for argument in args)
        raise RuntimeError(f"{thing} do not exist in virtual time: {method}({shown})")

    return refused


for _method, _thing in _REFUSED.items():
    setattr(VirtualLoop, _method, _refuse(_method, _thing))


def _is_task_step(handle: asyncio.Handle) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]


def _one_host(host: Any) -> str:
    if isinstance(host, list | tuple):
        host = host[0]
    return host or "127.0.0.1"
