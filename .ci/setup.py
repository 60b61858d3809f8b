#!/usr/bin/env python3
"""Sets up ``.venv`` from a lock file and fetches the programs that tests use. Run by ``make``; needs no root.

    python3 .ci/setup.py requirements.lock                          what the daemon and the demo need
    python3 .ci/setup.py requirements-dev.lock --program mosquitto  and what tests and linters need

When nothing has changed since the last time it takes no time, uses no network and says nothing. A ``.venv`` that is stale, was
moved or was left half-made is mended or made anew. Where Python came without pip (on Debian without python3-venv), pip comes from
its Debian package, unpacked into ``.cache``.
"""
# ruff: noqa: S603, T201 - a script that prints and starts programs

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older one should say so, not fail on a word it does not know
    sys.exit(f"edgectl needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11")

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "hw-sim"))
from hwsim.tools.debian import PackageError, fetch_program, find_program, unpack  # noqa: E402 - found only from here on
from hwsim.tools.libmodbus import find_or_fetch_libmodbus  # noqa: E402
from hwsim.tools.postgres import PACKAGE as POSTGRES  # noqa: E402
from hwsim.tools.postgres import PROGRAMS as POSTGRES_PROGRAMS  # noqa: E402
from hwsim.tools.postgres import fetch_postgres, find_postgres  # noqa: E402

VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
PYTHON = VENV / "bin" / "python"
INSTALLING = VENV / ".installing"
# A lock file whose packages include those of another: with the first set up, the second is, too.
SUPERSETS = dict.fromkeys(("requirements.lock", "requirements-backend.lock"), "requirements-dev.lock")
# The Debian package of each program that is fetched when it is not installed.
PACKAGES = {"mosquitto": "mosquitto", "postgres": POSTGRES, "systemd-analyze": "systemd"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lock", choices=["requirements.lock", "requirements-backend.lock", "requirements-dev.lock"])
    parser.add_argument("--program", action="append", default=[], choices=sorted(PACKAGES), help="a program that is needed")
    parser.add_argument("--library", action="append", default=[], choices=["libmodbus"], help="a library that is needed")
    arguments = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two `make` at once take turns
        try:
            set_up_venv(arguments.lock)
            for program in arguments.program:
                set_up_program(program)
            for _ in arguments.library:
                find_or_fetch_libmodbus()
        except (PackageError, SetupError) as error:
            print(f"Setting up failed: {error}", file=sys.stderr)
            return 1
    return 0


class SetupError(Exception):
    """What went wrong, and what a person can do."""


def set_up_venv(lock: str) -> None:
    """Make or mend ``.venv`` so that it holds what ``lock`` names."""
    healthy = is_healthy()
    if healthy and any(is_stamped(name) for name in (lock, SUPERSETS.get(lock)) if name):
        return
    print(f"Setting up .venv from {lock}", flush=True)
    if not healthy:
        create()
    install(lock)


def is_healthy() -> bool:
    """Whether ``.venv`` starts, has a pip, was made at this very place, and was not left in the middle of an installation."""
    pip = VENV / "bin" / "pip"
    if INSTALLING.exists() or not pip.is_file() or str(VENV) not in pip.read_text(errors="replace"):
        return False
    return ask(str(PYTHON), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))") is not None


def create() -> None:
    """Make ``.venv`` from nothing, with a pip in it."""
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("ensurepip") is not None:
        if ask(sys.executable, "-m", "venv", str(VENV)) is not None:
            return
        shutil.rmtree(VENV, ignore_errors=True)
    wheel = find_pip_wheel()
    venv.create(VENV, symlinks=True, with_pip=False)
    # A wheel is a zip file, and Python runs a package inside a zip file.
    pip_in_wheel = [str(PYTHON), str(wheel / "pip"), "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    if subprocess.run(pip_in_wheel, check=False, env=environment()).returncode != 0:
        raise SetupError("pip could not be put into .venv. On Debian, `sudo apt-get install python3-venv` brings one")


def find_pip_wheel() -> Path:
    """Debian's pip wheel: where the system has it, else from the package."""
    folder = "usr/share/python-wheels"
    for _ in range(2):
        for root in (Path("/"), CACHE / "debian" / "pip"):
            found = sorted((root / folder).glob("pip-*.whl"))
            if found:
                return found[-1]
        print("No pip: fetching the Debian package python3-pip-whl into .cache (nothing is installed)", flush=True)
        unpack(["python3-pip-whl"], CACHE / "debian" / "pip", with_dependencies=False)
    raise SetupError("the Debian package python3-pip-whl holds no pip wheel")


def install(lock: str) -> None:
    """Install the lock file, every file checked against its hash, then make this checkout importable."""
    # pip takes a package for installed that a killed pip left half-written: so whoever finds this mark starts from nothing.
    INSTALLING.touch()
    for stamp in VENV.glob(".set-up-*"):
        stamp.unlink()
    # The lock file is complete, so there is nothing to resolve.
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--requirement", str(ROOT / lock)]
    if subprocess.run(command, check=False, env=environment(), stdin=subprocess.DEVNULL).returncode != 0:
        raise SetupError(f"pip could not install {lock}; its words are above. The next try starts with a new .venv")
    packages = ask(str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    if packages is None:
        raise SetupError("the new .venv does not answer")
    Path(packages, "edgectl-checkout.pth").write_text(f"{ROOT}\n{ROOT / 'hw-sim'}\n")
    for program, module in (("edgectl", "edgectl"), ("edgectl-backend", "edgectl_backend")):
        command_line = VENV / "bin" / program
        command_line.write_text(f'#!/bin/sh\nexec "$(dirname -- "$(readlink -f -- "$0")")/python" -m {module} "$@"\n')
        command_line.chmod(0o755)
    stamp_of(lock).write_text(fingerprint(lock))
    INSTALLING.unlink()


def stamp_of(lock: str) -> Path:
    return VENV / f".set-up-{lock}"


def is_stamped(lock: str) -> bool:
    stamp = stamp_of(lock)
    return stamp.is_file() and stamp.read_text() == fingerprint(lock)


def fingerprint(lock: str) -> str:
    """Changes when the lock file, this script or the place of the checkout does."""
    return hashlib.sha256(b"\0".join([(ROOT / lock).read_bytes(), Path(__file__).read_bytes(), os.fsencode(ROOT)])).hexdigest()


def ask(*command: str) -> str | None:
    """What the command printed, or None if it could not run or failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def environment() -> dict[str, str]:
    """Ours, without what would lead Python or pip out of ``.venv``."""
    strays = {"PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    return {name: value for name, value in os.environ.items() if name not in strays} | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }


def set_up_program(program: str) -> None:
    """Fetch the program into ``.cache/debian/bin`` unless it is installed."""
    is_postgres = program == "postgres"
    installed = find_postgres() if is_postgres else find_program(program)
    fetched = POSTGRES_PROGRAMS if is_postgres else (program,)
    if installed is not None or all((CACHE / "debian" / "bin" / name).exists() for name in fetched):
        return
    package = PACKAGES[program]
    print(f"{program} is not installed: fetching the Debian package {package} into .cache (nothing is installed)", flush=True)
    if is_postgres:
        fetch_postgres(CACHE)
    else:
        fetch_program(package, program, CACHE)


if __name__ == "__main__":
    sys.exit(main())
