"""A real mosquitto on a free loopback port, with its files in a directory of the test: start, kill, restart."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pytest

from hwsim.tools.mosquitto import find_or_fetch_mosquitto

START_S = 10.0


class Mosquitto:
    """One broker. ``async with Mosquitto(tmp_path) as broker: ... broker.port``.

    ``acl`` is the text of an access list; ``users`` are names with passwords, without them everybody is anonymous;
    ``max_packet_size`` in bytes; ``more`` are further lines of the configuration. Nothing is persistent: a killed broker has
    forgotten everything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        acl: str | None = None,
        users: dict[str, str] | None = None,
        max_packet_size: int | None = None,
        more: Sequence[str] = (),
        has_listener: bool = True,
    ) -> None:
        program = find_or_fetch_mosquitto()
        if program is None:
            pytest.skip("there is no mosquitto")
        self._program = program
        self.port = free_port()
        self.log = directory / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = ["persistence false", "log_type all", "log_timestamp true"]
        if has_listener:
            lines.append(f"listener {self.port} 127.0.0.1")
        if os.geteuid() == 0:
            lines.append("user root")  # it would give up the right to read the test's files
        if users:
            lines += ["allow_anonymous false", f"password_file {_password_file(directory, users)}"]
        elif has_listener:
            lines.append("allow_anonymous true")
        if acl is not None:
            (directory / "acl").write_text(acl)
            lines.append(f"acl_file {directory / 'acl'}")
        if max_packet_size is not None:
            lines.append(f"max_packet_size {max_packet_size}")
        self._configuration = directory / "mosquitto.conf"
        self._configuration.write_text("\n".join([*lines, *more]) + "\n")

    def configure(self, text: str) -> None:
        """Add these lines to the configuration; they count from the next start."""
        with self._configuration.open("a") as file:
            file.write(text)

    async def __aenter__(self) -> Mosquitto:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    async def start(self) -> None:
        """Run it until it takes connections."""
        self._process = self._spawn()
        async with asyncio.timeout(START_S):
            while not _accepts(self.port):
                if self._process.poll() is not None:
                    raise RuntimeError(f"mosquitto ended at once:\n{self.log.read_text()[-2000:]}")
                await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [str(self._program), "-c", str(self._configuration)]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9, as in a power cut. Does nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its sockets and answers nothing, like a host that has hung."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    async def restart(self) -> None:
        self.kill()
        await self.start()


def free_port() -> int:
    """Below the ports that outgoing connections take (32768 and up), so that nobody has it by the time it is bound."""
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _password_file(directory: Path, users: dict[str, str]) -> Path:
    """As mosquitto_passwd writes it: PBKDF2-HMAC-SHA512 with salt, both in base64."""
    path = directory / "passwords"
    with path.open("w") as file:
        for name, password in users.items():
            salt = name.encode().ljust(12, b".")[:12]
            digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101, 64)
            file.write(f"{name}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n")
    path.chmod(0o600)
    return path
