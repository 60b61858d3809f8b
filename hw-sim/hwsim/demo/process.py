"""Child processes that never outlive the demo: asked to end, then made to; and by the kernel if the demo itself is killed."""

from __future__ import annotations

import asyncio
import ctypes
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_S = 6.0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One child process, its output in a file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, name: str, *command: str, log: Path) -> Child:
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Its own session: a Ctrl-C in the terminal reaches only the demo, which then ends its children in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        return cls(name, process, log)

    @property
    def is_running(self) -> bool:
        return self.process.returncode is None

    async def stop(self) -> float:
        """End it; how long that took, in seconds."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if self.is_running:
            self.process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        return loop.time() - began_s

    def last_lines(self, count: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
