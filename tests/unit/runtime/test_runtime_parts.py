"""Ids, the service manager's socket, the supervisor."""

from __future__ import annotations

import asyncio
import socket
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.domain.errors import InvariantError
from edgectl.runtime import supervisor as supervisor_module
from edgectl.runtime.clock import uuid7
from edgectl.runtime.notify import SystemdNotifier
from edgectl.runtime.supervisor import Supervisor


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_session_ids_are_version_7_and_sort_by_time(utc_ms: int, bits: int) -> None:
    parsed = uuid.UUID(uuid7(utc_ms, bits))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == utc_ms
    if utc_ms:
        assert uuid7(utc_ms - 1, 2**74 - 1) < uuid7(utc_ms, bits)


def test_the_service_manager_hears_ready_and_watchdog(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(5)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(path)})
        notifier.ready()
        notifier.watchdog()
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"WATCHDOG=1"]


def test_without_a_service_manager_nothing_happens(tmp_path: Path) -> None:
    SystemdNotifier({}).ready()
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


async def test_a_failed_task_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_MS", 1)
    supervisor = Supervisor()
    done = asyncio.Event()
    attempts = 0

    async def flaky() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ValueError("not yet")
        done.set()

    supervisor.start("flaky", flaky)
    async with asyncio.timeout(5):
        await done.wait()
    assert supervisor.restart_counts == {"flaky": 2}
    await supervisor.stop_all()


async def test_a_broken_invariant_in_any_task_reaches_the_daemon() -> None:
    supervisor = Supervisor()

    async def broken() -> None:
        raise InvariantError("never")

    supervisor.start("broken", broken)
    async with asyncio.timeout(5):
        assert isinstance(await supervisor.failure, InvariantError)
    await supervisor.stop_all()


async def test_stopping_cancels_and_waits() -> None:
    supervisor = Supervisor()
    ended = asyncio.Event()

    async def patient() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    supervisor.start("patient", patient)
    await asyncio.sleep(0)
    await supervisor.stop("patient")
    assert ended.is_set()
