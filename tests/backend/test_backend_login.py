"""Who may look at the fleet's page, and that nothing is open to other machines by oversight."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from support.backend_bench import ROOT, BackendProcess
from support.certificates import Authority
from support.mosquitto import Mosquitto, free_port

from edgectl_backend.postgres.database import Database
from edgectl_backend.web import login as rooms
from edgectl_backend.web.login import Login, TooBusyError, UsersFileError, make_line, read_users
from edgectl_backend.web.server import FleetServer, Pulse

CHEAP = 2**4
"""Of scrypt: what is tried here is not how long guessing takes."""
WELL = Pulse(is_connected=True, is_subscribed=True, is_storing=True, detail="", waiting_count=0, counters={"messages": 7})
PASSWORD = "correct horse: ü"
LINE = "ops:scrypt:16:8:3:zbzGlO5iWpS95rQV3adxHA==:W3uUxqfOOfUEbuzzEYQwrUbUGhQHMw+wMGlY8PWOfDI="
"""Of ``ops`` with that password; the same in every process, for tests have their names of it."""


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "is_let_in"),
    [
        (basic("ops", PASSWORD), True),
        (basic("ops", PASSWORD).replace("Basic", "basic"), True),
        (basic("ops", PASSWORD + "x"), False),
        (basic("ops", ""), False),
        (basic("Ops", PASSWORD), False),
        (basic("stranger", PASSWORD), False),
        ("Bearer " + basic("ops", PASSWORD).split()[1], False),
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic /w==", False),
        ("Basic b3Bz", False),
        ("", False),
        (None, False),
    ],
)
async def test_only_a_name_with_its_own_password_is_let_in(header: str | None, is_let_in: bool) -> None:
    login = Login(read_users(LINE, "users"))
    assert await login.lets_in(header) is is_let_in
    assert await login.lets_in(header) is is_let_in, "and the second time as the first"


async def test_a_flood_of_guesses_is_sent_away_and_who_is_known_still_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login(read_users(LINE, "users"))
    assert await login.lets_in(basic("ops", PASSWORD))
    guesses = [asyncio.create_task(login.lets_in(basic("ops", f"guess {number}"))) for number in range(50)]
    found = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(one, TooBusyError) for one in found) == 50 - rooms.WAITING_MAX
    assert found.count(False) == rooms.WAITING_MAX == login.refused_count
    assert await login.lets_in(basic("ops", PASSWORD))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "users: nobody is named"),
        ("# only words\n\n", "users: nobody is named"),
        (f"{LINE}\nops:plain text", "users:2: no user with a hash"),
        (LINE.replace("scrypt", "md5"), "users:1: no user with a hash"),
        (LINE.replace(f":{CHEAP}:", ":15:"), "users:1: no user with a hash"),
        (LINE.replace(f":{CHEAP}:", f":{2**24}:"), "users:1: no user with a hash"),
        (LINE[:-8], "users:1: no user with a hash"),
        (f"{LINE}\n\n{LINE}", "users:3: 'ops' is there twice"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(UsersFileError, match=words):
        read_users(text, "users")


def test_a_line_never_holds_the_password_and_no_two_are_alike() -> None:
    assert PASSWORD not in LINE
    assert make_line("ops", PASSWORD, cost=CHEAP) != LINE
    for name, password in (("a:b", PASSWORD), ("", PASSWORD), ("ops", "short")):
        with pytest.raises(ValueError, match="allowed"):
            make_line(name, password, cost=CHEAP)


@asynccontextmanager
async def fleet(database: Database, login: Login | None, pulse: Pulse = WELL) -> AsyncIterator[str]:
    server = FleetServer(database, lambda: pulse, login)
    try:
        yield f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    finally:
        await server.close()


@pytest.mark.slow
async def test_nothing_but_the_health_is_told_to_who_is_not_let_in(database: Database) -> None:
    paths = ["/", "/metrics", "/nowhere"]
    paths += [f"/api/v1/{name}" for name in ("fleet", "sessions", "gaps", "chain-faults", "alarms", "rejects", "telemetry-gaps")]
    async with (
        fleet(database, Login(read_users(LINE, "users"))) as url,
        aiohttp.ClientSession() as stranger,
        aiohttp.ClientSession(headers={"Authorization": basic("ops", PASSWORD)}) as known,
    ):
        for path in paths:
            async with stranger.get(url + path) as answer:
                assert answer.status == 401, path
                assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
                assert (await answer.json())["error"]["code"] == "login-needed"
        for path in paths:
            async with known.get(url + path) as answer:
                assert answer.status == (404 if path == "/nowhere" else 200), path
        async with stranger.get(url + "/healthz") as answer:
            assert await answer.json() == {"ok": True}
        async with stranger.get(url, headers={"Authorization": basic("ops", "wrong password")}) as answer:
            assert answer.status == 401
        async with known.get(url + "/metrics") as answer:
            assert "edgectl_backend_logins_refused_total 1.0" in await answer.text()


@pytest.mark.slow
async def test_without_a_login_it_says_more_of_its_health(database: Database) -> None:
    async with fleet(database, None) as url, aiohttp.ClientSession() as anybody, anybody.get(url + "/healthz") as answer:
        assert await answer.json() == {"ok": True, "broker": "subscribed", "database": "ok"}


@pytest.mark.slow
async def test_connected_and_not_subscribed_yet_is_not_ready(database: Database) -> None:
    waiting = dataclasses.replace(WELL, is_subscribed=False, detail="not granted yet")
    async with fleet(database, None, waiting) as url, aiohttp.ClientSession() as anybody:
        async with anybody.get(url + "/healthz") as answer:
            assert answer.status == 503
            assert await answer.json() == {"ok": False, "broker": "not granted yet", "database": "ok"}
        async with anybody.get(url + "/metrics") as answer:
            text = await answer.text()
    assert "edgectl_backend_broker_connected 1.0" in text
    assert "edgectl_backend_ready 0.0" in text


def command(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edgectl_backend", *arguments]
    return subprocess.run(line, cwd=ROOT, input=typed, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "0.0.0.0:1"], "--users-file, or with --without-login"),
        (["--listen", "[::]:1"], "--users-file, or with --without-login"),
        (["--listen", "fleet.example.com:1"], "--users-file, or with --without-login"),
        (["--listen", "0.0.0.0:1", "--without-login"], "--page-certificate, or with --without-tls"),
        (["--listen", "127.0.0.1:1", "--users-file", "/nowhere"], "No such file"),
        (["--listen", "127.0.0.1:1", "--page-certificate", "/nowhere"], "No such file"),
    ],
)
def test_what_would_be_open_by_oversight_does_not_start(options: list[str], words: str) -> None:
    done = command("run", "--broker", "mqtt://127.0.0.1:1", "--database", "postgresql://127.0.0.1:1/x", *options)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
async def test_the_page_over_https_with_a_password_that_was_typed(tmp_path: Path, database_url: str) -> None:
    hashed = command("hash-password", "ops", typed=f"{PASSWORD}\n")
    assert hashed.returncode == 0, hashed.stderr
    assert "allowed are" in command("hash-password", "ops", typed="short\n").stderr
    users = tmp_path / "users"
    users.write_text(f"# the control room\n{hashed.stdout}")
    authority = Authority()
    pem = tmp_path / "page.pem"
    pem.write_bytes(authority.server())
    trust = ssl.create_default_context(cadata=authority.root_pem.decode())
    trust.check_hostname = False  # the test's certificate names none
    port = free_port()
    options = ("--listen", f"0.0.0.0:{port}", "--users-file", str(users), "--page-certificate", str(pem))
    async with (
        Mosquitto(tmp_path) as broker,
        BackendProcess(tmp_path, broker.port, database_url, *options),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
    ):
        async with session.get(f"https://127.0.0.1:{port}/") as answer:
            assert answer.status == 401
        async with session.get(f"https://127.0.0.1:{port}/", headers={"Authorization": basic("ops", PASSWORD)}) as answer:
            assert answer.status == 200
            assert "edgectl fleet" in await answer.text()
