#!/usr/bin/env python3
"""How exposed the systemd unit leaves the gateway, by systemd's own measure; fails above the bar.

python3 .ci/exposure.py
"""
# ruff: noqa: S603, T201 - a script that prints and starts programs

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "hw-sim"))
from hwsim.tools.debian import PackageError, fetch_program, find_program  # noqa: E402 - found only from here on

UNIT = ROOT / "systemd" / "edgectl.service"
# systemd's own journald and networkd lie above 2; what is left of ours is the network and the serial adapters, its very job.
BAR = 1.5


def main() -> int:
    installed = find_program("systemd-analyze")
    try:
        analyze = installed or fetch_program("systemd", "systemd-analyze", ROOT / ".cache")
    except PackageError as error:
        print(f"The unit's exposure was not measured: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        is_within = measure(analyze, Path(folder))
        # The package alone, unpacked, does not know the units that ours refers to.
        is_understood = installed is None or verify(installed, Path(folder))
    return 0 if is_within and is_understood else 1


def measure(analyze: Path, folder: Path) -> bool:
    """Print the score, and what makes it up where it is above the bar."""
    # As a user's unit, because a system's one wants to write below /run; the score is the same.
    command = [str(analyze), "--user", "security", "--offline=true", f"--threshold={BAR * 10:.0f}", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"XDG_RUNTIME_DIR": str(folder)})
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if score is None:
        print(done.stdout + done.stderr, file=sys.stderr)
        return False
    print(f"{UNIT.name}: exposure {score[1]}, at most {BAR}")
    if done.returncode != 0:
        print("\n".join(line for line in done.stdout.splitlines() if line.startswith("✗")), file=sys.stderr)
    return done.returncode == 0


def verify(analyze: Path, folder: Path) -> bool:
    """Whether systemd understands every line, with an executable that exists here."""
    copy = folder / UNIT.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    done = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    complaints = (done.stdout + done.stderr).strip()
    if complaints:
        print(complaints, file=sys.stderr)
    return done.returncode == 0 and not complaints


if __name__ == "__main__":
    sys.exit(main())
