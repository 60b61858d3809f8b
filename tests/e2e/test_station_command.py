"""``python -m hwsim station``: one charger, any version, any fault, against the real daemon over a real socket."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from support.small_site import CHARGER, TAG, small_site


@pytest.mark.parametrize(("version", "fault"), [("1.6", "Q22"), ("2.0.1", "repeat-events"), ("2.1", "same-sequence")])
async def test_it_charges_in_every_version(version: str, fault: str, tmp_path: Path) -> None:
    async with small_site(tmp_path) as site:
        command = [sys.executable, "-m", "hwsim", "station", "--url", site.url().removesuffix("/ocpp"), "--id", CHARGER]
        command += ["--version", version, "--fault", fault, "--token", TAG, "--seconds", "9"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0
        assert "transaction " in out.decode().splitlines()[-1]
        (session,) = site.sessions
        assert session.id_token == TAG


async def test_a_fault_that_does_not_exist_is_named() -> None:
    command = [sys.executable, "-m", "hwsim", "station", "--url", "ws://127.0.0.1:9", "--fault", "sulks"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert "no such fault: sulks" in err.decode()
