"""Where PostgreSQL is: the database under the reference backend, for tests, campaigns and benchmarks."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hwsim.tools.debian import PackageError, fetch_program, find_program
from hwsim.tools.mosquitto import DEFAULT_CACHE

PACKAGE = "postgresql"
PROGRAMS = ("initdb", "postgres")
USER = "edgectl"
NOBODY = 65_534
START_S = 60.0
# What the package asks for and the server does not need: the compiler of its queries, Debian's cluster scripts and their Perl.
_NEEDLESS = r"libllvm.*|libz3.*|.*perl.*|ssl-cert|postgresql-(client-)?common|logrotate|locales|.*sysv.*"


def find_postgres() -> Path | None:
    """The folder with the installed server's ``initdb`` and ``postgres``, if there is one. Debian keeps it off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    on_path = find_program("postgres")
    if on_path is not None:
        folders.append(on_path.resolve().parent)
    return next((folder for folder in folders if all(os.access(folder / name, os.X_OK) for name in PROGRAMS)), None)


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


def fetch_postgres(cache: Path) -> Path:
    """The folder ``cache/debian/bin`` with launchers of both programs. Raises :class:`PackageError`."""
    for name in PROGRAMS:
        launcher = fetch_program(PACKAGE, name, cache, without=_NEEDLESS)
    return launcher.parent


def find_or_fetch_postgres(cache: Path = DEFAULT_CACHE) -> Path | None:
    """The folder with ``initdb`` and ``postgres``: the installed ones, else Debian's unpacked into ``cache``, or ``None``.

    Says on standard error what it fetches, and why nothing could be had.
    """
    installed = find_postgres()
    if installed is not None:
        return installed
    if not all((cache / "debian" / "bin" / name).exists() for name in PROGRAMS):
        print(f"Fetching the Debian package {PACKAGE} into {cache} (nothing is installed)", file=sys.stderr)
    try:
        return fetch_postgres(cache)
    except PackageError as error:
        print(f"No PostgreSQL: {error}. Install it with: sudo apt-get install {PACKAGE}", file=sys.stderr)
        return None


class PostgresServer:
    """A server of its own on a loopback port, everybody trusted, its files in ``folder``: create, start, kill, start again.

    ``is_durable`` syncs to the disk, as where it matters what a power cut leaves; without, kill -9 loses nothing either.
    """

    def __init__(self, programs: Path, folder: Path, port: int, *, is_durable: bool = False, options: Sequence[str] = ()) -> None:
        self._programs = programs
        self._data = folder / "postgres"
        self.port = port
        self.log = folder / "postgres.log"
        self.url = f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "timezone=GMT", "log_timezone=GMT", *options]
        if not is_durable:
            settings += ["fsync=off", "full_page_writes=off"]
        self._settings = [part for setting in settings for part in ("-c", setting)]
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make an empty cluster."""
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self._data, NOBODY, NOBODY)
        command = [self._programs / "initdb", "-D", self._data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments as a list
            [*_as_somebody(), *map(str, command), "--no-sync"],
            env={**os.environ, "TZ": "GMT"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb: {done.stderr[-2000:]}")

    def start(self) -> None:
        """Run it until it takes connections. After a kill this includes its recovery."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self._process is None or self._process.poll() is not None:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"postgres does not start:\n{self.log.read_text()[-2000:]}")
                self._spawn()
            if time.monotonic() > deadline:
                raise RuntimeError(f"postgres takes no connections:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def _spawn(self) -> None:
        command = [self._programs / "postgres", "-D", self._data, "-p", self.port]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*_as_somebody(), *map(str, command), *self._settings],
                env={**os.environ, "TZ": "GMT"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that a kill takes its helpers along
            )

    def _is_ready(self) -> bool:
        """Whether it answers a start-up packet with a request to authenticate, or with being let in."""
        if self._process is None or self._process.poll() is not None:
            return False
        words = b"".join(part + b"\0" for part in (b"user", USER.encode(), b"database", b"postgres")) + b"\0"
        packet = (196_608).to_bytes(4, "big") + words
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as probe:
                probe.sendall((len(packet) + 4).to_bytes(4, "big") + packet)
                return probe.recv(1) == b"R"
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9 of all its processes. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End it in order."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        self.kill()


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root. Then it is nobody, who may still read a root's checkout where the kernel lets him."""
    if os.geteuid() != 0:
        return []
    plain = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    able = [*plain, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    tried = subprocess.run([*able, "true"], check=False, capture_output=True, cwd="/")  # noqa: S603
    return able if tried.returncode == 0 else plain
