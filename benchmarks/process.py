"""Servers as child processes of their own, and what the kernel says they cost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
START_S = 30.0
STOP_S = 8.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``async with Server(name, command, port, log)``: listening when entered, gone when left."""

    def __init__(self, name: str, command: list[str], port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Server:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is timed
                self._command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = asyncio.get_running_loop().time() + START_S
        while not self._listens():
            if self._process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                self._end()
                raise RuntimeError(f"{self.name} does not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, _type: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        await asyncio.to_thread(self._end)

    def _listens(self) -> bool:
        # Looked up, not tried: a connection without a word would be one more thing for the server to deal with.
        wanted = f":{self.port:04X}"
        lines = [*_lines("/proc/net/tcp"), *_lines("/proc/net/tcp6")]
        return any(fields[1].endswith(wanted) and fields[3] == "0A" for fields in (line.split() for line in lines[1:]))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    def cpu_s(self) -> float:
        """Seconds of CPU of all its threads since it began, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def rss_mb(self, which: str = "VmRSS") -> float:
        """Memory that is resident now, or ``VmHWM``: the most that ever was."""
        for line in _lines(f"/proc/{self.pid}/status"):
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"no {which} of {self.name}")

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except FileNotFoundError:
        return []
