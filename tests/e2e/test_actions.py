"""What a person asks of a charger with a command, through the real command line, socket, daemon and WebSocket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.peer import Peer, peer
from support.small_site import CHARGER, TAG, SmallSite, small_site


class Shell:
    """The command line of a person at the gateway."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edgectl", "--socket", str(self._socket), *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def gateway(tmp_path: Path, version: str = "1.6") -> AsyncIterator[tuple[Shell, Peer, SmallSite]]:
    socket = tmp_path / "api.sock"
    async with small_site(tmp_path, socket_path=socket) as site, peer(site.url(), version, CHARGER) as station:
        await station.boot()
        yield Shell(socket), station, site


async def test_an_accepted_request_is_said_so_and_reached_the_charger(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (shell, station, _):
        assert await shell("unlock", "CP-1/1") == (0, "CP-1 accepted: Unlocked\n", "")
        assert await station.asked("UnlockConnector") == {"connectorId": 1}
        assert await shell("start", "cp-1/1", "--token", TAG) == (0, "CP-1 accepted\n", "")
        assert await station.asked("RemoteStartTransaction") == {"idTag": TAG, "connectorId": 1}
        assert await shell("reset", "CP-1", "--hard") == (0, "CP-1 accepted\n", "")
        assert (await station.asked("Reset"))["type"] == "Hard"


async def test_what_the_charger_says_instead_is_told_and_the_exit_code_is_1(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (shell, station, _):
        station.answers["ClearCache"] = {"status": "Rejected"}
        assert await shell("clear-cache", "CP-1") == (1, "", "CP-1 refused: Rejected\n")
        code, out, _ = await shell("clear-cache", "CP-1", "--json")
        assert code == 1
        answer = json.loads(out)
        assert {key: answer[key] for key in ("charger", "action", "outcome", "status")} == {
            "charger": "CP-1", "action": "clear-cache", "outcome": "rejected", "status": "Rejected",
        }  # fmt: skip


async def test_stop_without_a_session_and_unknown_chargers_are_refused_in_words(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (shell, _, _site):
        assert await shell("stop", "CP-1") == (1, "", "CP-1 refused: nothing is charging there\n")
        code, _, err = await shell("reset", "CP-9")
        assert (code, err) == (1, "edgectl: no charger is called 'CP-9'\n")


async def test_a_charger_that_is_away_is_said_to_be_away(tmp_path: Path) -> None:
    socket = tmp_path / "api.sock"
    async with small_site(tmp_path, socket_path=socket):
        code, _, err = await Shell(socket)("reset", "CP-1")
        assert (code, err) == (1, "CP-1 refused: CP-1 is not connected (it never was)\n")


@pytest.mark.parametrize(("version", "key"), [("1.6", "HeartbeatInterval"), ("2.0.1", "OCPPCommCtrlr.HeartbeatInterval")])
async def test_configuration_is_shown_and_written(version: str, key: str, tmp_path: Path) -> None:
    async with gateway(tmp_path, version) as (shell, station, _):
        code, out, _ = await shell("configure", "CP-1", key)
        assert (code, f"{key}: 300" in out) == (0, True)
        assert await shell("configure", "CP-1", f"{key}=60") == (0, f"{key} = 60: CP-1 accepted\n", "")
        assert await station.asked("ChangeConfiguration" if version == "1.6" else "SetVariables")


async def test_lists_and_certificates_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps([{"token": "04AA", "status": "accepted"}]), encoding="utf-8")
    (tmp_path / "root.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", encoding="utf-8")
    async with gateway(tmp_path) as (shell, station, _):
        assert (await shell("local-list", "send", "CP-1", str(tmp_path / "list.json"), "--version", "3"))[0] == 0
        assert (await station.asked("SendLocalList"))["listVersion"] == 3
        assert (await shell("certificates", "install", "CP-1", str(tmp_path / "root.pem")))[0] == 0
        assert "BEGIN CERTIFICATE" in (await station.asked("InstallCertificate"))["certificate"]


async def test_who_asked_for_what_is_part_of_the_site_s_history(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (shell, _, site):
        await shell("clear-cache", "CP-1")
        async with asyncio.timeout(20):
            found: list[str] = []
            while not found:  # such records wait for others to share a sync with
                await asyncio.sleep(0.05)
                rows = await asyncio.wrap_future(site.daemon._parts.store.rows("events", 0, 100))
                found = [row.body.decode() for row in rows if b"clear-cache" in row.body]
        (action,) = found
        assert "local:" in action
        assert "accepted" in action


async def test_one_charger_is_shown_with_its_quirks_and_why(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (shell, _, _site):
        code, out, _ = await shell("chargers", "show", "CP-1")
        assert code == 0
        assert "site file: is_configured, settle_ms" in " ".join(out.split())


async def test_who_was_not_let_in_is_listed_and_can_be_adopted(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (shell, _, site), peer(site.url(), "1.6", "CP-NEW"):
        code, out, _ = await shell("chargers")
        assert (code, "waiting to be adopted" in " ".join(out.split())) == (0, True)
        code, out, _ = await shell("adopt", "cp-new")
        assert (code, "CP-NEW: {circuit: grid}" in out) == (0, True)
        assert (await shell("adopt", "nobody"))[0] == 1


async def test_a_body_that_is_no_request_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path):
        for body in ("[]", "{", '{"arguments": 3}', '{"arguments": {"a": 1}}', '{"else": 1}'):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
            head = f"POST /api/v1/chargers/CP-1/actions/reset HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            assert b" 400 " in await reader.readline()
            writer.close()
            await writer.wait_closed()
