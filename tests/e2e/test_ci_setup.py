"""``.ci/setup.py`` makes and mends a real virtual environment, from a lock file that names nothing, in a folder with a space."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BYTECODE = shutil.ignore_patterns("__pycache__")
"""Other tests write it meanwhile."""

pytestmark = pytest.mark.slow


class Checkout:
    """The parts of a checkout that setting up touches."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def set_up(self, **environ: str) -> str:
        command = [sys.executable, ".ci/setup.py", "requirements.lock"]
        offline = os.environ | {"PIP_NO_INDEX": "1"} | environ
        done = subprocess.run(command, cwd=self.root, env=offline, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, code: str) -> str:
        command = [self.root / ".venv/bin/python", "-c", code]
        return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "my depot"
    shutil.copytree(ROOT / ".ci", root / ".ci", ignore=BYTECODE)
    shutil.copytree(ROOT / "hw-sim/hwsim/tools", root / "hw-sim/hwsim/tools", ignore=BYTECODE)
    (root / "hw-sim/hwsim/__init__.py").touch()
    for lock in ("requirements.lock", "requirements-backend.lock", "requirements-dev.lock"):
        (root / lock).write_text("# nothing\n")
    return Checkout(root)


def test_a_fresh_checkout_can_be_imported_and_is_then_left_alone(checkout: Checkout) -> None:
    assert checkout.set_up().startswith("Setting up .venv from requirements.lock\n")
    assert checkout.ask("import hwsim.tools; print(hwsim.tools.__file__)").startswith(str(checkout.root))
    assert checkout.set_up() == ""


def test_a_changed_lock_file_is_set_up_again(checkout: Checkout) -> None:
    checkout.set_up()
    (checkout.root / "requirements.lock").write_text("# something else\n")
    (checkout.root / "requirements-dev.lock").write_text("# something else\n")
    assert checkout.set_up().startswith("Setting up .venv from requirements.lock\n")


def test_a_checkout_that_was_moved_gets_an_environment_of_its_new_place(checkout: Checkout) -> None:
    checkout.set_up()
    checkout.root = checkout.root.rename(checkout.root.with_name("moved depot"))
    checkout.set_up()
    assert checkout.ask("import hwsim.tools; print(hwsim.tools.__file__)").startswith(str(checkout.root))
    assert subprocess.run([checkout.root / ".venv/bin/pip", "--version"], check=False, capture_output=True).returncode == 0


def test_an_environment_left_half_made_is_made_anew(checkout: Checkout) -> None:
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv" / ".installing").touch()
    (checkout.root / ".venv" / "half-written").touch()
    checkout.set_up()
    assert not (checkout.root / ".venv" / "half-written").exists()


def test_an_environment_of_a_python_that_is_gone_is_made_anew(checkout: Checkout) -> None:
    python = checkout.root / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python3")
    checkout.set_up()
    assert checkout.ask("print('alive')") == "alive"
