"""Is the tree ready? Format, lint, types, imports, the unit's exposure, and the fast tests, in that order.

    .venv/bin/python tests/check.py
    .venv/bin/python tests/check.py --without-tests   what `make lint` runs

Every step runs, even after one that failed, so that one run shows all there is to mend.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHON = str(BIN / "python")

# Cheapest first: what is wrong shows soonest.
STEPS: dict[str, list[str]] = {
    "format": [PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."],
    "lint": [PYTHON, "-m", "ruff", "check", "--quiet", "."],
    "types": [PYTHON, "-m", "mypy", "--no-error-summary"],
    "imports": [str(BIN / "lint-imports"), "--no-cache", "--no-logo"],
    "exposure": [PYTHON, ".ci/exposure.py"],
}
TESTS: dict[str, list[str]] = {
    "tests": [PYTHON, "-m", "pytest", "-m", "not slow", "--numprocesses", "auto", "--maxprocesses", "4", "--quiet"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--without-tests", action="store_true", help="only what reads the code without running it")
    steps = STEPS if parser.parse_args().without_tests else STEPS | TESTS
    failed = [name for name, command in steps.items() if not passes(name, command)]
    if failed:
        print(f"Not ready: {', '.join(failed)} failed.")
        return 1
    print("Ready." if steps.keys() >= TESTS.keys() else "Ready to be tested.")
    return 0


def passes(name: str, command: list[str]) -> bool:
    """Run a step; show its words only when it fails, save the one line that some say when all is well."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        print(f"{name:10} failed  {took:5.1f} s\n{said}\n", flush=True)
        return False
    closing = said.splitlines()[-1].strip("= ") if said else ""
    print(f"{name:10} passed  {took:5.1f} s  {closing}".rstrip(), flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
