"""The depot in a box, as a new user tries it: it starts, it shows, it ends, and nothing is left."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwsim.demo.summary import Progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "hwsim", "demo"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'hw-sim'}"}


@pytest.fixture(autouse=True)
def _one_demo_at_a_time() -> Iterator[None]:
    """Two demos side by side would hand each other the ports that the one has just freed."""
    with (Path(tempfile.gettempdir()) / "edgectl-demo-test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_sessions_are_closed_published_and_receipted() -> None:
    done = subprocess.run(
        [*COMMAND, "--seconds", "60"], env=ENVIRONMENT, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert re.search(r"receipted [1-9]", done.stdout.splitlines()[-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_and_frees_every_port(number: signal.Signals) -> None:
    with subprocess.Popen(COMMAND, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        line = demo.stdout.readline()
        while "Status page" not in line:
            assert line, "the demo ended before it said where its page is"
            line = demo.stdout.readline()
        (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", line)
        children = children_of(demo.pid)
        assert len(children) >= 2, "the daemon and the broker"
        demo.send_signal(number)
        demo.communicate(timeout=30)
        assert demo.returncode == 0
    deadline = time.monotonic() + 5
    while any(is_running(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [child for child in children if is_running(child)] == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", int(port)))


def test_without_a_broker_it_says_so_and_shows_what_waits() -> None:
    done = subprocess.run(
        [*COMMAND, "--seconds", "45", "--no-broker"], env=ENVIRONMENT, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 1, "no receipt, so it is not a success"
    assert "No broker can be had" in done.stderr
    waiting = re.search(r"waiting for a receipt (\d+)", done.stdout.splitlines()[-1])
    assert waiting is not None
    assert int(waiting[1]) >= 1


@pytest.mark.parametrize(
    ("receipted", "over_s", "troubles", "is_good"),
    [(1, 15.0, [], True), (0, 0.0, [], False), (3, 15.5, [], False), (3, 0.0, ["x"], False)],
)
def test_what_counts_as_a_good_demo(receipted: int, over_s: float, troubles: list[str], is_good: bool) -> None:
    progress = Progress("", "", receipted=receipted, longest_over_s=over_s, troubles=troubles)
    assert progress.is_good is is_good
