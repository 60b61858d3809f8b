"""Programs from Debian packages without root: downloaded, checked and unpacked into a cache folder.

Nothing is installed and nothing on the system changes. apt gets a state folder of ours, so it needs neither root nor an earlier
``apt-get update``; it still reads the system's own sources, keys and proxies, and checks signatures as it always does.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Long enough for the package lists over a slow mobile link, short enough that a hanging mirror is noticed.
_COMMAND_TIMEOUT_S = 600
# Debian keeps servers here, but not on the PATH of an ordinary user.
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")
# A shell answers 126 and 127 when a program cannot be started, the dynamic linker 127 when a library is missing.
_CANNOT_START = (126, 127)


class PackageError(Exception):
    """A Debian package cannot be had here. The text says why, in one line."""


def find_program(name: str) -> Path | None:
    """Where the program is already installed, if it is."""
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    found = shutil.which(name, path=folders)
    return Path(found) if found else None


def fetch_program(package: str, program: str, cache: Path, *, without: str = "") -> Path:
    """An executable ``cache/debian/bin/PROGRAM`` that runs the program of the package with the libraries it needs.

    ``without``: a pattern of packages it asks for and does not need. Downloads once; later calls only look. Raises
    :class:`PackageError`.
    """
    debian = cache.absolute() / "debian"
    launcher = debian / "bin" / program
    unpacked = debian / package
    if launcher.exists() and unpacked.is_dir():
        return launcher
    unpack([package], unpacked, with_dependencies=True, without=without)
    folders = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/lib/postgresql/*/bin")
    places = (path for folder in folders for path in sorted(unpacked.glob(f"{folder}/{program}")))
    executable = next((path for path in places if os.access(path, os.X_OK)), None)
    if executable is None:
        raise PackageError(f"the Debian package {package} holds no program {program}")
    _write_launcher(launcher, executable, unpacked)
    started = subprocess.run([launcher, "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)  # noqa: S603
    if started.returncode in _CANNOT_START:
        launcher.unlink()
        raise PackageError(f"{program} from the Debian package {package} does not start: {_last_line(started.stderr)}")
    return launcher


def unpack(packages: Sequence[str], folder: Path, *, with_dependencies: bool, without: str = "") -> None:
    """Unpack the packages into ``folder``, which appears whole or not at all. Raises :class:`PackageError`.

    With dependencies, those are added that the system does not have, but for names that are wholly ``without``.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise PackageError(f"{tool} is missing; packages can only be fetched on Debian and its children")
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as scratch:
        downloads, tree = Path(scratch, "downloads"), Path(scratch, "tree")
        downloads.mkdir()
        tree.mkdir(mode=0o755)
        apt = _apt_command(folder.parent / "apt")
        _run([*apt, "update"])
        wanted = [*packages]
        if with_dependencies:
            plan = _run([*apt, "--simulate", "--no-install-recommends", "install", *packages])
            found = [name for name in re.findall(r"^Inst (\S+)", plan, re.MULTILINE) if name not in packages]
            wanted += [name for name in found if re.fullmatch(without, name) is None]
        _run([*apt, "download", *wanted], cwd=downloads)
        for archive in sorted(downloads.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(tree)])
        try:
            tree.rename(folder)
        except OSError as error:
            # Someone else may have been faster; then theirs is as good as ours.
            if not folder.is_dir():
                raise PackageError(f"cannot write {folder}: {error}") from error


def _apt_command(state: Path) -> list[str]:
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "Dir::Cache::pkgcache": "",  # worth nothing for one download, and large
        "Dir::Cache::srcpkgcache": "",
        "Dir::State::status": "/var/lib/dpkg/status",
        "APT::Sandbox::User": "root",  # as root, apt would switch to a user that may not read our folder
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments as a list
            command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_COMMAND_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise PackageError(f"{command[0]}: {_last_line(done.stderr) or f'ended with {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else ""


def _write_launcher(launcher: Path, executable: Path, unpacked: Path) -> None:
    """A small script beside the unpacked tree. It finds the tree from its own place, so the folder may be moved."""
    root = os.path.relpath(unpacked, launcher.parent)
    folders = sorted({path.parent.relative_to(unpacked).as_posix() for path in unpacked.rglob("lib*.so*")})
    libraries = ":".join(f"$root/{folder}" for folder in folders)
    program = executable.relative_to(unpacked).as_posix()
    script = f"""#!/bin/sh
root=$(cd -- "$(dirname -- "$0")/{root}" && pwd) || exit
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "$root/{program}" "$@"
"""
    launcher.parent.mkdir(parents=True, exist_ok=True)
    draft = launcher.with_name(f".{launcher.name}.{os.getpid()}")
    draft.write_text(script)
    draft.chmod(draft.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    draft.replace(launcher)
