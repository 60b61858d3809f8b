"""Writes the unit, its user and its folders, and hands them to systemd. Doing it twice does no more than doing it once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

UNIT = "edgectl.service"
SITE_FILE = Path("/etc/edgectl/site.yaml")
_UNIT_FILE = Path("/etc/systemd/system") / UNIT
_SYSUSERS_FILE = Path("/etc/sysusers.d/edgectl.conf")
_TMPFILES_FILE = Path("/etc/tmpfiles.d/edgectl.conf")

# The unit's ProtectHome= and PrivateTmp= hide these from the service, and with them whatever is installed there.
_HIDDEN_FROM_SERVICE = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108
# The slowest command starts the service, and the unit gives that 60 s.
_COMMAND_TIMEOUT_S = 90

Runner = Callable[[Sequence[str]], None]


class ServiceError(Exception):
    """edgectl cannot be made a service here. The text says why and what helps."""


def install(
    root: Path = Path("/"),
    executable: Path | None = None,
    start: bool = True,
    dry_run: bool = False,
    *,
    starter: str,
    run: Runner | None = None,
) -> list[str]:
    """Install the service below ``root`` and say, a line for each step, what was done.

    ``executable`` is the path as the service sees it; by default the edgectl beside the running Python. ``starter`` is the text
    of a first site file; it is written only where there is none, and then the service is enabled but not started: a starter
    file describes nobody's wiring. With ``dry_run`` the lines say what would be done. Below another root, as for an image,
    nothing is started.

    Raises:
        ServiceError: without root rights, with an executable the service could not reach, or when a command fails.
    """
    is_this_system = root.resolve() == Path("/")
    if is_this_system and not dry_run and os.geteuid() != 0:
        raise ServiceError("installing a service needs root: run it again with sudo")
    chosen = executable or Path(sys.executable).with_name("edgectl")
    _refuse_unreachable(chosen, root, is_this_system=is_this_system)

    steps = _Steps(root, dry_run=dry_run, run=run or run_command)
    unit = re.sub(r"^ExecStart=\S+", lambda _: f"ExecStart={_quoted(chosen)}", _shipped(UNIT), flags=re.MULTILINE)
    had_unit = steps.exists(_UNIT_FILE)
    unit_changed = steps.write(_UNIT_FILE, unit)
    steps.write(_SYSUSERS_FILE, _shipped("edgectl.sysusers"))
    steps.write(_TMPFILES_FILE, _shipped("edgectl.tmpfiles"))

    elsewhere = [] if is_this_system else [f"--root={root}"]
    steps.command("systemd-sysusers", *elsewhere, str(_SYSUSERS_FILE))
    steps.command("systemd-tmpfiles", *elsewhere, "--create", str(_TMPFILES_FILE))
    is_fresh = not steps.exists(SITE_FILE)
    if is_fresh:
        steps.write(SITE_FILE, starter)
    else:
        steps.say(f"left {SITE_FILE} as it is")

    steps.command("systemctl", *elsewhere, "enable", UNIT)
    if is_this_system:
        steps.command("systemctl", "daemon-reload")
        if start and not is_fresh:
            # A running service goes on with its old unit until it is restarted.
            steps.command("systemctl", "restart" if had_unit and unit_changed else "start", UNIT)
    if is_fresh:
        steps.say(f"next: describe the site in {SITE_FILE}, then `edgectl check`, then `systemctl start edgectl`")
    return steps.lines


class _Steps:
    """Carries out each step, or only says so in a dry run."""

    def __init__(self, root: Path, *, dry_run: bool, run: Runner) -> None:
        self.lines: list[str] = []
        self._root = root
        self._dry_run = dry_run
        self._run = run

    def exists(self, path: Path) -> bool:
        return self._below_root(path).exists()

    def write(self, path: Path, text: str) -> bool:
        """Write the file unless it already reads so; tells whether it did not."""
        target = self._below_root(path)
        try:
            if target.is_file() and target.read_text(encoding="utf-8") == text:
                self.say(f"{path} is up to date")
                return False
            self._say_done("wrote", "write", str(path))
            if not self._dry_run:
                _replace(target, text)
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceError(f"cannot write {path}: {error}") from error
        return True

    def command(self, *arguments: str) -> None:
        self._say_done("ran", "run", " ".join(arguments))
        if not self._dry_run:
            self._run(arguments)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def _say_done(self, done: str, planned: str, what: str) -> None:
        self.say(f"would {planned} {what}" if self._dry_run else f"{done} {what}")

    def _below_root(self, path: Path) -> Path:
        return self._root / path.relative_to("/")


def run_command(arguments: Sequence[str]) -> None:
    """Run a command of the service manager to its end. Raises :class:`ServiceError` with its own last words."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments as a list
            arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_COMMAND_TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise ServiceError(f"{arguments[0]} is missing: this system is not run by systemd") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"`{' '.join(arguments)}` did not end within {_COMMAND_TIMEOUT_S} s") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip() or f"ended with {done.returncode}"
        raise ServiceError(f"`{' '.join(arguments)}` failed: {words}")


def _refuse_unreachable(executable: Path, root: Path, *, is_this_system: bool) -> None:
    if not executable.is_absolute():
        raise ServiceError(f"the executable must be an absolute path, not {executable}")
    if not os.access(root / executable.relative_to("/"), os.X_OK):
        raise ServiceError(f"{executable} is not an executable file")
    needed = [executable, *([executable.resolve(), _interpreter(executable)] if is_this_system else [])]
    for path in needed:
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN_FROM_SERVICE):
            raise ServiceError(
                f"{path} lies where the service, which sees no home folders and no /tmp, cannot run it. "
                "Install edgectl for the whole system: sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install edgectl"
            )


def _interpreter(executable: Path) -> Path:
    """The Python that a script's first line names, followed to the real file; the executable itself where it is no script."""
    with executable.open("rb") as file:
        first_line = file.readline(4096)
    named = re.match(rb"#!\s*(/\S+)", first_line)
    return Path(os.fsdecode(named[1])).resolve() if named else executable


def _quoted(executable: Path) -> str:
    """As systemd reads a path in ExecStart= (systemd.service(5), "Command lines")."""
    text = str(executable).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return text if re.fullmatch(r"[\w./+@:%=-]+", text) else f'"{text}"'


def _shipped(name: str) -> str:
    packaged = Path(__file__).with_name("files")
    checkout = Path(__file__).resolve().parents[2] / "systemd"
    return ((packaged if packaged.is_dir() else checkout) / name).read_text(encoding="utf-8")


def _replace(target: Path, text: str) -> None:
    """The file holds the old or the new text, never a part: the power may fail at any moment."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, prefix=".edgectl-", delete=False) as draft:
        try:
            draft.write(text)
            draft.flush()
            os.fchmod(draft.fileno(), 0o644)
            os.fsync(draft.fileno())
            Path(draft.name).replace(target)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
